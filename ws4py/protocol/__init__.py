"""The WebSocket protocol (RFC 6455, RFC 7692) without I/O.

Bytes and time go in, messages and bytes come out.

Nothing in this package may know sockets, threads, event loops or a clock of its own.
"""

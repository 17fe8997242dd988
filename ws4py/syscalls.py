"""The two system calls that every message costs, with as little around them as can be.

For sockets that do not wait. Compiled, on Unix, these are the calls themselves; else they go
through the socket object. This module must never know what the bytes mean.
"""

from __future__ import annotations

from typing import Any

__all__ = ["READ_SIZE", "new_buffer", "receive", "transmit"]

#: Whether this module runs compiled, so that the functions of ``syscalls.pxd`` are there.
COMPILED = not __file__.endswith((".py", ".pyc"))

#: One read takes at most this much: enough for bulk, little enough to be fair to the others.
READ_SIZE = 262144 if COMPILED else 65536


def new_buffer() -> bytearray:
    """What one thread receives into, to be used again and again."""
    return bytearray(READ_SIZE if COMPILED else 0)


def receive(sock: Any, fd: int, buffer: bytearray) -> bytes | None:
    """What has arrived; ``None`` when nothing has, ``b""`` at the end. Raises ``OSError``."""
    if COMPILED and direct:  # type: ignore[name-defined] # noqa: F821
        return call_recv(fd, buffer)  # type: ignore[name-defined,no-any-return] # noqa: F821
    try:
        data: bytes = sock.recv(READ_SIZE)
    except (BlockingIOError, InterruptedError):
        return None
    return data


def transmit(sock: Any, fd: int, data: bytes | memoryview) -> int:
    """How much of ``data`` the system has taken; 0 when it has no room. Raises ``OSError``."""
    if COMPILED and direct and type(data) is bytes:  # type: ignore[name-defined] # noqa: F821
        return call_send(fd, data)  # type: ignore[name-defined,no-any-return] # noqa: F821
    try:
        sent: int = sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0
    return sent

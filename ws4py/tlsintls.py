"""TLS inside of TLS: to a server, through a proxy that is itself spoken to over TLS.

``ssl`` wraps sockets only, and a socket that speaks TLS already cannot be wrapped again. This
looks like one that is, and does not block. It must never know what is said over it.
"""

from __future__ import annotations

import _socket
import ssl
from typing import Any

__all__ = ["TlsInTls"]

READ_SIZE = 65536


class TlsInTls:
    """TLS over ``carrier``, a socket that speaks TLS and does not block.

    As a socket of ``ssl`` would be, to be used by one thread at a time. What is not here is the
    carrier's: ``fileno()``, ``close()``, ``getpeername()`` and the like.
    """

    def __init__(self, carrier: Any, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self.carrier = carrier
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        self._unsent = b""  # encrypted, and not taken by the carrier yet
        self._accepted = 0  # bytes of the caller's that are in there

    def __getattr__(self, name: str) -> Any:
        return getattr(self.carrier, name)

    @property
    def _sock(self) -> Any:
        """The system's socket, for who has to go past TLS; gevent's have it inside."""
        return getattr(self.carrier, "_sock", self.carrier)

    def do_handshake(self) -> None:
        """Go on with it; raises ``SSLWantReadError`` or ``SSLWantWriteError`` until it is done."""
        while True:
            try:
                self._tls.do_handshake()
                self._push()
                return
            except ssl.SSLWantReadError:
                self._push()
                self._pull()
            except ssl.SSLError:
                self._farewell()
                raise

    def recv(self, size: int) -> bytes:
        """What has come, ``b""`` at the end."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._pull()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def send(self, data: bytes | memoryview) -> int:
        """How much was taken. After ``SSLWantWriteError`` it has to be given the same again."""
        if not self._accepted and data:
            self._push()
            self._accepted = self._tls.write(data)
        self._push()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def unwrap(self) -> None:
        """Say that no more will come."""
        try:
            self._tls.unwrap()
        finally:
            self._push()

    def shutdown(self, how: int) -> None:
        """The system's, past both layers of TLS."""
        _socket.socket.shutdown(self._sock, how)

    def pending(self) -> int:
        """Decrypted bytes at hand."""
        return self._tls.pending()

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The certificate of the server, not of the proxy."""
        return self._tls.getpeercert(binary_form)

    def version(self) -> str | None:
        """The version of TLS that is spoken with the server."""
        return self._tls.version()

    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher that is used with the server."""
        return self._tls.cipher()

    # Between the two layers

    def _pull(self) -> None:
        data = self.carrier.recv(READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _push(self) -> None:
        """Give the carrier all that is encrypted; raises ``SSLWantWriteError`` for the rest."""
        self._unsent += self._outgoing.read()
        while self._unsent:
            sent = self.carrier.send(self._unsent)
            if not sent:  # gevent's way to say so
                raise ssl.SSLWantWriteError
            self._unsent = self._unsent[sent:]

    def _farewell(self) -> None:
        """What is wrong with the server's TLS is said to it, if that can be said at once."""
        try:
            self._push()
        except OSError:
            pass

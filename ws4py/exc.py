"""The error tree.

Each class says whose fault it is; the protocol ones carry the close code (RFC 6455 section
7.4.1) that belongs on the wire, so that whoever catches one needs no table of its own::

    WebSocketException
     +-- HandshakeError                  opening handshake refused or malformed
     |    +-- ProxyError                 the same, by a proxy on the way
     +-- ProtocolException               the peer broke RFC 6455 (1002)
     |    +-- FrameTooLargeException     over a limit of ours (1009)
     |    +-- UnsupportedFrameTypeException  a kind of data we do not take (1003)
     |    +-- TextFrameEncodingException text that is not UTF-8 (1007)
     |    +-- InvalidBytesError          bytes that are no frame at all (1002)
     +-- ConnectionTimeout               a deadline of ours passed (also a TimeoutError)
     +-- StreamClosed                    used after its end
          +-- ConnectionClosed           with the close report (also a RuntimeError, as in 0.6)

This module must never know sockets, threads or frameworks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ws4py.protocol.connection import CloseInfo

__all__ = [
    "ConnectionClosed",
    "ConnectionTimeout",
    "FrameTooLargeException",
    "HandshakeError",
    "InvalidBytesError",
    "ProtocolException",
    "ProxyError",
    "StreamClosed",
    "TextFrameEncodingException",
    "UnsupportedFrameTypeException",
    "WebSocketException",
]


class WebSocketException(Exception):
    """Base of every error that this package defines."""


class ProtocolException(WebSocketException):
    """The peer broke the protocol. ``code`` is the close code that answers it."""

    code = 1002


class FrameTooLargeException(ProtocolException):
    """A frame or message is larger than ``Config`` allows (close code 1009)."""

    code = 1009


class UnsupportedFrameTypeException(ProtocolException):
    """A kind of data that this end does not take (close code 1003)."""

    code = 1003


class TextFrameEncodingException(ProtocolException):
    """Text that is not valid UTF-8 (close code 1007)."""

    code = 1007


class InvalidBytesError(ProtocolException):
    """Bytes that are no WebSocket frame (close code 1002)."""


class HandshakeError(WebSocketException):
    """The opening handshake failed.

    On a client, ``status``, ``headers`` and ``body`` hold what the server answered (``None``,
    empty and ``b""`` when it gave no HTTP answer). On a server, ``status`` is the HTTP status
    that answers the bad request and ``headers`` what has to go with it. ``header``: which one is
    to blame, if it is one of a 101.
    """

    header: str | None = None

    def __init__(
        self,
        msg: str,
        status: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(msg)
        self.msg = msg
        self.status = status
        self.headers = list(headers)
        self.body = body

    def __str__(self) -> str:
        return self.msg


class ProxyError(HandshakeError):
    """A proxy between client and server refused or garbled the connection."""


class ConnectionTimeout(WebSocketException, TimeoutError):
    """One of our deadlines passed: opening, keepalive or closing."""


class StreamClosed(WebSocketException):
    """The connection was used after its end."""


class ConnectionClosed(StreamClosed, RuntimeError):
    """The connection is closed; ``close_info`` is the close report, if there is one.

    Also a ``RuntimeError``, which is what ws4py 0.6 raised from ``send()`` after the end.
    """

    def __init__(self, msg: str, close_info: CloseInfo | None = None) -> None:
        super().__init__(msg)
        self.close_info = close_info

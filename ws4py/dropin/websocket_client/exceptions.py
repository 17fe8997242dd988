"""The errors of websocket-client, and which of ours each one says.

This module must never decide what is an error.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from ws4py.exc import (
    ConnectionClosed,
    FrameTooLargeException,
    HandshakeError,
    ProtocolException,
    ProxyError,
    TextFrameEncodingException,
)
from ws4py.protocol.http import REASONS

__all__ = [
    "WebSocketAddressException",
    "WebSocketBadStatusException",
    "WebSocketConnectionClosedException",
    "WebSocketException",
    "WebSocketPayloadException",
    "WebSocketProtocolException",
    "WebSocketProxyException",
    "WebSocketTimeoutException",
    "OURS",
    "closed_error",
    "lowered",
    "translated",
    "translation",
]


class WebSocketException(Exception):
    """Base of all of these."""


class WebSocketProtocolException(WebSocketException):
    """The server broke the protocol, or the program asked for what the protocol does not have."""


class WebSocketPayloadException(WebSocketException):
    """A payload that is not what it should be: text that is not UTF-8, or too much of it."""


class WebSocketConnectionClosedException(WebSocketException):
    """The connection is over. ``status_code`` and ``reason``: those of the server's close frame."""

    status_code: int | None = None
    reason: str | None = None


class WebSocketTimeoutException(WebSocketException, TimeoutError):
    """It took too long. Also a ``TimeoutError``, which sockets raise."""


class WebSocketProxyException(WebSocketException):
    """A proxy refused or garbled the connection."""


class WebSocketBadStatusException(WebSocketException):
    """The server answered the opening handshake with another status than 101."""

    def __init__(
        self,
        message: str,
        status_code: int,
        status_message: str | None = None,
        resp_headers: Mapping[str, str] | None = None,
        resp_body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.status_message = status_message
        self.resp_headers = resp_headers
        self.resp_body = resp_body


class WebSocketAddressException(WebSocketException):
    """The name of the host was not found."""


class _Reset(WebSocketConnectionClosedException, ConnectionResetError):
    """The connection broke: what the library says, and what it lets through of the socket's."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise what the library raises for what ours raise."""
    try:
        yield
    except OURS as exc:
        raise translation(exc) from exc


#: What is translated; what else sockets raise is let through.
OURS = (
    ConnectionClosed,
    HandshakeError,
    TimeoutError,
    socket.gaierror,
    ConnectionResetError,
    BrokenPipeError,
)


def translation(exc: Exception) -> WebSocketException:
    """What the library raises for one of ``OURS``."""
    if isinstance(exc, ConnectionClosed):
        return closed_error(exc)
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return _Reset(*exc.args)
    if isinstance(exc, ProxyError):
        return WebSocketProxyException(str(exc))
    if isinstance(exc, HandshakeError):
        return _handshake_error(exc)
    if isinstance(exc, TimeoutError):
        return WebSocketTimeoutException(str(exc))
    return WebSocketAddressException(*exc.args)


def _handshake_error(exc: HandshakeError) -> WebSocketException:
    if exc.status is None or exc.status == 101:
        return WebSocketException(f"Invalid WebSocket Header: {exc}")
    reason = REASONS.get(exc.status, "")
    return WebSocketBadStatusException(
        f"Handshake status {exc.status} {reason} -+-+- {exc}",
        exc.status,
        reason,
        lowered(exc.headers),
        exc.body,
    )


def closed_error(exc: ConnectionClosed) -> WebSocketException:
    """The connection is over: an error of its own where somebody broke a rule."""
    info = exc.close_info
    error = None if info is None else info.error
    if isinstance(error, TextFrameEncodingException | FrameTooLargeException):
        return WebSocketPayloadException(str(error))
    if isinstance(error, ProtocolException):
        return WebSocketProtocolException(str(error))
    if isinstance(error, TimeoutError):
        return WebSocketTimeoutException(f"ping/pong timed out: {error}")
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return _Reset(*error.args)
    closed = WebSocketConnectionClosedException(str(exc))
    if info is not None and info.received is not None:
        closed.status_code, closed.reason = info.received
    return closed


def lowered(headers: Any) -> dict[str, str]:
    """Headers as a dictionary with names in lower case; those of one name are joined."""
    result: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        between = "; " if name == "set-cookie" else ", "
        result[name] = f"{result[name]}{between}{value}" if name in result else value
    return result

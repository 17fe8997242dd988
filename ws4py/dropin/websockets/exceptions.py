"""The exceptions of ``websockets``, with their attributes, texts and family tree.

Which of them stands for which of ours is said in ``translation``.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ws4py.dropin.websockets.frames import Close, CloseCode

if TYPE_CHECKING:
    from ws4py.dropin.websockets.http11 import Response
    from ws4py.protocol.connection import CloseInfo

__all__ = [
    "AbortHandshake",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DuplicateParameter",
    "HeaderLineTooLong",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidStatusCode",
    "InvalidURI",
    "InvalidUpgrade",
    "NegotiationError",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "RedirectHandshake",
    "RequestLineTooLong",
    "SecurityError",
    "StatusLineTooLong",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
]


class WebSocketException(Exception):
    """Base of all of them."""


class ConnectionClosed(WebSocketException):
    """The connection is over. ``rcvd`` and ``sent`` are the two close frames, or ``None``.

    ``rcvd_then_sent``: which was first, when there were both. ``close_info`` is our close report,
    which knows more; ``None`` where the connection is still on its way to the end.
    """

    close_info: CloseInfo | None = None

    def __init__(
        self, rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None
    ) -> None:
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        if self.rcvd is None:
            if self.sent is None:
                return "no close frame received or sent"
            return f"sent {self.sent}; no close frame received"
        if self.sent is None:
            return f"received {self.rcvd}; no close frame sent"
        if self.rcvd_then_sent:
            return f"received {self.rcvd}; then sent {self.sent}"
        return f"sent {self.sent}; then received {self.rcvd}"

    @property
    def code(self) -> int:
        """Of the received close frame; as of old, 1006 without one."""
        warnings.warn("use ConnectionClosed.rcvd.code", DeprecationWarning, stacklevel=2)
        return CloseCode.ABNORMAL_CLOSURE if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """Of the received close frame; as of old, empty without one."""
        warnings.warn("use ConnectionClosed.rcvd.reason", DeprecationWarning, stacklevel=2)
        return "" if self.rcvd is None else self.rcvd.reason


class ConnectionClosedOK(ConnectionClosed):
    """It ended as connections do: both close frames, with 1000, 1001 or no code."""


class ConnectionClosedError(ConnectionClosed):
    """It ended otherwise."""


class InvalidURI(WebSocketException):
    """What is to be connected to is no WebSocket URI."""

    def __init__(self, uri: str, msg: str) -> None:
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} isn't a valid URI: {self.msg}"


class InvalidProxy(WebSocketException):
    """What is to be connected through is no proxy."""

    def __init__(self, proxy: str, msg: str) -> None:
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


class InvalidHandshake(WebSocketException):
    """The opening handshake failed."""


class SecurityError(InvalidHandshake):
    """A request or response is over a limit, or leads where it must not."""


class RequestLineTooLong(SecurityError):
    """Kept for programs that catch it; ours are ``SecurityError``."""


class StatusLineTooLong(SecurityError):
    """Kept for programs that catch it; ours are ``SecurityError``."""


class HeaderLineTooLong(SecurityError):
    """Kept for programs that catch it; ours are ``SecurityError``."""


class TooManyHeaders(SecurityError):
    """Kept for programs that catch it; ours are ``SecurityError``."""


class ProxyError(InvalidHandshake):
    """A proxy cannot be used, or would not."""


class InvalidProxyMessage(ProxyError):
    """A proxy's answer is malformed."""


class InvalidMessage(InvalidHandshake):
    """A request or response is malformed, or did not come."""


class InvalidMethod(InvalidHandshake):
    """A request is not GET."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """A request is not HTTP/1.1."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatus(InvalidHandshake):
    """The server did not answer with 101; ``response`` is what it said.

    As of old, ``status_code`` and ``headers`` of it are here too.
    """

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.response.status_code:d}"

    @property
    def status_code(self) -> int:
        """As of old."""
        return self.response.status_code

    @property
    def headers(self) -> Any:
        """As of old."""
        return self.response.headers


#: The older name, for programs that catch it.
InvalidStatusCode = InvalidStatus


class InvalidProxyStatus(ProxyError):
    """The proxy refused."""

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code:d}"


class InvalidHeader(InvalidHandshake):
    """A header is missing or wrong."""

    def __init__(self, name: str, value: str | None = None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        if self.value == "":
            return f"empty {self.name} header"
        return f"invalid {self.name} header: {self.value}"


class InvalidHeaderFormat(InvalidHeader):
    """A header cannot be read."""

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")


class InvalidHeaderValue(InvalidHeader):
    """A header says what cannot be accepted."""


class InvalidOrigin(InvalidHeader):
    """The Origin is not allowed."""

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)


class InvalidUpgrade(InvalidHeader):
    """The Upgrade or Connection header is wrong."""


class NegotiationError(InvalidHandshake):
    """No agreement about a subprotocol or an extension."""


class DuplicateParameter(NegotiationError):
    """An extension's parameter occurs twice."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """An extension's parameter is not known."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """An extension's parameter has a wrong value."""

    def __init__(self, name: str, value: str | None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        if self.value == "":
            return f"empty value for parameter {self.name}"
        return f"invalid value for parameter {self.name}: {self.value}"


class AbortHandshake(InvalidHandshake):
    """Kept for programs that catch it."""


class RedirectHandshake(InvalidHandshake):
    """Kept for programs that catch it."""


class ProtocolError(WebSocketException):
    """What was to be sent breaks the protocol."""


class PayloadTooBig(WebSocketException):
    """Kept for programs that catch it: the connection ends with 1009 instead."""


class TooManyFragments(WebSocketException):
    """Kept for programs that catch it: the connection ends with 1009 instead."""


class InvalidState(WebSocketException, AssertionError):
    """Kept for programs that catch it."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two callers at once where there is room for one."""

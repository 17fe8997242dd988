"""aiohttp's WebSocket client on our engine: ``import ws4py.dropin.aiohttp as aiohttp``.

Of the time when the project began (``ws_connect`` of the module, ``MsgType``, ``msg.tp``, verbs
that need no ``await``) and of today. What else a program asks of aiohttp is that of the real one,
where it is installed. docs/coming-from-aiohttp.md says what differs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ws4py.dropin.aiohttp import errors as errors
from ws4py.dropin.aiohttp import real
from ws4py.dropin.aiohttp.cookies import CookieJar, DummyCookieJar
from ws4py.dropin.aiohttp.errors import (
    ClientConnectionError,
    ClientConnectionResetError,
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ClientSSLError,
    ConnectionTimeoutError,
    ContentTypeError,
    InvalidURL,
    ServerConnectionError,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
    ServerTimeoutError,
    SocketTimeoutError,
    TooManyRedirects,
    WebSocketError,
    WSMessageTypeError,
    WSServerHandshakeError,
)
from ws4py.dropin.aiohttp.session import ClientSession, request, ws_connect
from ws4py.dropin.aiohttp.values import (
    BaseConnector,
    BasicAuth,
    ClientTimeout,
    ClientWSTimeout,
    Fingerprint,
    MsgType,
    RequestInfo,
    TCPConnector,
    UnixConnector,
    WSCloseCode,
    WSMessage,
    WSMsgType,
)
from ws4py.dropin.aiohttp.websocket import ClientWebSocketResponse

__all__ = [
    "BaseConnector",
    "BasicAuth",
    "ClientConnectionError",
    "ClientConnectionResetError",
    "ClientConnectorCertificateError",
    "ClientConnectorDNSError",
    "ClientConnectorError",
    "ClientConnectorSSLError",
    "ClientError",
    "ClientHttpProxyError",
    "ClientOSError",
    "ClientPayloadError",
    "ClientProxyConnectionError",
    "ClientResponseError",
    "ClientSSLError",
    "ClientSession",
    "ClientTimeout",
    "ClientWSTimeout",
    "ClientWebSocketResponse",
    "ConnectionTimeoutError",
    "ContentTypeError",
    "CookieJar",
    "DummyCookieJar",
    "Fingerprint",
    "InvalidURL",
    "MsgType",
    "RequestInfo",
    "ServerConnectionError",
    "ServerDisconnectedError",
    "ServerFingerprintMismatch",
    "ServerTimeoutError",
    "SocketTimeoutError",
    "TCPConnector",
    "TooManyRedirects",
    "UnixConnector",
    "WSCloseCode",
    "WSMessage",
    "WSMessageTypeError",
    "WSMsgType",
    "WSServerHandshakeError",
    "WebSocketError",
    "request",
    "ws_connect",
]


def __getattr__(name: str) -> Any:
    """``web``, ``FormData`` and the like: the real aiohttp's."""
    if name.startswith("__"):
        raise AttributeError(name)
    if real.aiohttp is None:
        raise AttributeError(f"aiohttp.{name} is not known here: {real.ADVICE}")
    if name == "web":
        return import_module("aiohttp.web")  # which is not there until it is asked for
    return getattr(real.aiohttp, name)

"""The errors of aiohttp, also under ``aiohttp.errors`` as of old, and ours in their place."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, NamedTuple

from ws4py.client.pinning import FingerprintMismatch
from ws4py.dropin.aiohttp.real import ours_or_real
from ws4py.exc import ConnectionTimeout, HandshakeError, ProxyError
from ws4py.protocol.headers import Headers


@ours_or_real
class ClientError(Exception):
    """Base of all of them."""


@ours_or_real
class ClientConnectionError(ClientError):
    """The connection, or the lack of one."""


@ours_or_real
class ClientConnectionResetError(ClientConnectionError, ConnectionResetError):
    """Used after its end."""


@ours_or_real
class ClientPayloadError(ClientError):
    """A body that ends too early; of ordinary requests."""


@ours_or_real
class ClientResponseError(ClientError):
    """The server answered, but not as it should."""

    def __init__(
        self,
        request_info: Any,
        history: tuple[Any, ...],
        *,
        code: int | None = None,
        status: int | None = None,
        message: str = "",
        headers: Any = None,
    ) -> None:
        self.request_info = request_info
        self.history = history
        self.status = status or code or 0
        self.message = message
        self.headers = headers
        self.args = (request_info, history)

    @property
    def code(self) -> int:
        """The older name of ``status``."""
        return self.status

    def __str__(self) -> str:
        url = getattr(self.request_info, "real_url", None)
        return f"{self.status}, message={self.message!r}, url={str(url)!r}"


@ours_or_real
class WSServerHandshakeError(ClientResponseError):
    """The opening handshake failed."""


@ours_or_real
class ContentTypeError(ClientResponseError):
    """Of ordinary requests."""


@ours_or_real
class TooManyRedirects(ClientResponseError):
    """Sent from one place to the next."""


@ours_or_real
class ClientHttpProxyError(ClientResponseError):
    """A proxy refused."""


@ours_or_real
class ClientOSError(ClientConnectionError, OSError):
    """What the system says."""


@ours_or_real
class ClientConnectorError(ClientOSError):
    """No connection to the server."""

    def __init__(self, connection_key: Any, os_error: OSError) -> None:
        super().__init__(os_error.errno, os_error.strerror)
        self._key = connection_key
        self._os_error = os_error

    @property
    def os_error(self) -> OSError:
        """The system's error."""
        return self._os_error

    @property
    def host(self) -> str | None:
        """Of the server."""
        host: str | None = self._key.host
        return host

    @property
    def port(self) -> int | None:
        """Of the server."""
        port: int | None = self._key.port
        return port

    def __str__(self) -> str:
        return f"Cannot connect to host {self.host}:{self.port} [{self.strerror}]"

    __reduce__ = BaseException.__reduce__


@ours_or_real
class ClientConnectorDNSError(ClientConnectorError):
    """The host has no address."""


@ours_or_real
class ClientProxyConnectionError(ClientConnectorError):
    """No connection to the proxy."""


@ours_or_real
class ClientSSLError(ClientConnectorError):
    """TLS."""


@ours_or_real
class ClientConnectorSSLError(ClientSSLError, ssl.SSLError):
    """No TLS with the server."""


@ours_or_real
class ClientConnectorCertificateError(ClientSSLError, ssl.SSLCertVerificationError):
    """The certificate is not accepted."""

    @property
    def certificate_error(self) -> Exception:
        """What is wrong with it."""
        error: Exception = self.os_error
        return error


@ours_or_real
class ServerConnectionError(ClientConnectionError):
    """The server's doing."""


@ours_or_real
class ServerDisconnectedError(ServerConnectionError):
    """It hung up."""

    def __init__(self, message: Any = None) -> None:
        self.args = (message or "Server disconnected",)
        self.message = self.args[0]


@ours_or_real
class ServerTimeoutError(ServerConnectionError, asyncio.TimeoutError):
    """It took too long."""


@ours_or_real
class ConnectionTimeoutError(ServerTimeoutError):
    """Connecting took too long."""


@ours_or_real
class SocketTimeoutError(ServerTimeoutError):
    """Reading took too long."""


@ours_or_real
class ServerFingerprintMismatch(ServerConnectionError):
    """It has another certificate."""

    def __init__(self, expected: bytes, got: bytes, host: str, port: int) -> None:
        self.expected = expected
        self.got = got
        self.host = host
        self.port = port
        self.args = (expected, got, host, port)


@ours_or_real
class InvalidURL(ClientError, ValueError):
    """Not to be understood."""

    def __init__(self, url: Any, description: str | None = None) -> None:
        super().__init__(*filter(None, (url, description)))
        self.url = url
        self.description = description


@ours_or_real
class WebSocketError(Exception):
    """The peer broke the protocol; ``code`` is the close code that answers it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


@ours_or_real
class WSMessageTypeError(TypeError):
    """Another kind of message than was asked for."""


#: Names of the time when the document was written.
ClientRequestError = ClientError
DisconnectedError = ClientConnectionError
ServerDisconnected = ServerDisconnectedError
WSClientDisconnectedError = ClientConnectionResetError


class ConnectionKey(NamedTuple):
    """Whom the connection is with, for the errors."""

    host: str
    port: int | None
    is_ssl: bool
    ssl: Any = True


def translated(exc: Exception, request: Any, key: ConnectionKey) -> Exception:
    """What aiohttp would raise where our client raises ``exc`` from ``connect()``."""
    if isinstance(exc, ProxyError) and exc.status is None:
        return ClientProxyConnectionError(key, OSError(None, str(exc)))
    if isinstance(exc, HandshakeError):
        kind = ClientHttpProxyError if isinstance(exc, ProxyError) else WSServerHandshakeError
        return kind(
            request, (), message=exc.msg, status=exc.status or 0, headers=Headers(exc.headers)
        )
    if isinstance(exc, ConnectionTimeout):
        return ConnectionTimeoutError(str(exc))
    if isinstance(exc, FingerprintMismatch):
        return ServerFingerprintMismatch(exc.expected, exc.got, key.host, key.port or 0)
    for ours, theirs in _CONNECTOR_ERRORS:
        if isinstance(exc, ours):
            error: Exception = theirs(key, exc)
            return error
    return exc


#: The first that fits.
_CONNECTOR_ERRORS: list[tuple[type[Exception], Any]] = [
    (ssl.SSLCertVerificationError, ClientConnectorCertificateError),
    (ssl.SSLError, ClientConnectorSSLError),
    (socket.gaierror, ClientConnectorDNSError),
    (OSError, ClientConnectorError),
]

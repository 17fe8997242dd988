"""``ClientSession``: its WebSocket part on our client, ordinary requests by the real aiohttp."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlencode, urljoin, urlsplit

from ws4py.awaited import Later
from ws4py.client.pinning import pinned
from ws4py.dropin.aiohttp import real
from ws4py.dropin.aiohttp.cookies import CookieJar, as_jar
from ws4py.dropin.aiohttp.errors import ConnectionKey, InvalidURL, translated
from ws4py.dropin.aiohttp.values import (
    BaseConnector,
    ClientWSTimeout,
    Fingerprint,
    RequestInfo,
    UnixConnector,
)
from ws4py.dropin.aiohttp.websocket import ClientWebSocketResponse, Connection
from ws4py.protocol.config import DEFAULT, Compression, Config
from ws4py.protocol.headers import Headers
from ws4py.protocol.uri import parse_uri

__all__ = ["ClientSession", "request", "ws_connect"]

MAX_MSG_SIZE = 4 * 1024 * 1024
NO_TIMEOUT = ClientWSTimeout(ws_receive=None, ws_close=10.0)


class Opening(Later):
    """What ``ws_connect()`` gives: ``await`` it, or ``async with`` it, which closes in the end."""

    __slots__ = ("_opened",)

    def __init__(self, start: Callable[[], Any]) -> None:
        super().__init__(start)
        self._opened: Any = None

    async def __aenter__(self) -> Any:
        self._opened = await self
        return self._opened

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.close()


class ClientSession:
    """Options that several connections share. Arguments as those of aiohttp, old and new."""

    def __init__(
        self,
        base_url: Any = None,
        *,
        connector: Any = None,
        loop: asyncio.AbstractEventLoop | None = None,
        cookies: Any = None,
        headers: Any = None,
        proxy: Any = None,
        proxy_auth: Any = None,
        auth: Any = None,
        cookie_jar: Any = None,
        connector_owner: bool = True,
        timeout: Any = None,
        trust_env: bool = False,
        ws_response_class: type[ClientWebSocketResponse] = ClientWebSocketResponse,
        **others: Any,
    ) -> None:
        self._base_url = base_url
        self._connector = connector
        self._connector_owner = connector_owner
        self._headers = pairs(headers)
        self._proxy = proxy
        self._proxy_auth = proxy_auth
        self._auth = auth
        self._timeout = timeout
        self._trust_env = trust_env
        self._ws_response_class = ws_response_class
        self._others = others  # of ordinary requests
        self._jar = as_jar(cookie_jar)
        if cookies:
            self._jar.update_cookies(cookies)
        self._real: Any = None
        self._closed = False
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()

    # -- facts -----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._closed

    @property
    def connector(self) -> Any:
        """As it was given."""
        return self._connector

    @property
    def cookie_jar(self) -> Any:
        """The cookies of all servers."""
        return self._jar

    @property
    def headers(self) -> Headers:
        """Sent with every request."""
        return Headers(self._headers)

    @property
    def auth(self) -> Any:
        """The login of every request."""
        return self._auth

    @property
    def timeout(self) -> Any:
        """As it was given."""
        return self._timeout

    @property
    def trust_env(self) -> bool:
        """Whether a proxy is looked for in the environment."""
        return self._trust_env

    # -- WebSocket -------------------------------------------------------------------------

    def ws_connect(self, url: Any, **options: Any) -> Opening:
        """Connect: ``await`` it, or ``async with`` it. Arguments as those of aiohttp.

        Raises the errors of aiohttp: ``WSServerHandshakeError`` when the server refuses,
        ``ClientConnectorError`` when there is none, ``InvalidURL``.
        """
        return Opening(lambda: self._ws_connect(url, **options))

    async def _ws_connect(
        self,
        url: Any,
        *,
        method: str = "GET",
        protocols: Iterable[str] = (),
        timeout: Any = None,
        receive_timeout: float | None = None,
        autoclose: bool = True,
        autoping: bool = True,
        heartbeat: float | None = None,
        auth: Any = None,
        origin: str | None = None,
        params: Any = None,
        headers: Any = None,
        proxy: Any = None,
        proxy_auth: Any = None,
        ssl: Any = True,
        verify_ssl: bool | None = None,
        fingerprint: bytes | None = None,
        ssl_context: Any = None,
        server_hostname: str | None = None,
        proxy_headers: Any = None,
        compress: int = 0,
        max_msg_size: int = MAX_MSG_SIZE,
        decode_text: bool = True,
        connector: Any = None,
        ws_response_class: Any = None,
        loop: Any = None,
        config: Config | None = None,
    ) -> Any:
        if self._closed:
            raise RuntimeError("Session is closed")
        if method.upper() != "GET":
            raise ValueError(
                f"a WebSocket is opened by GET, not by {method} (RFC 6455 section 4.1)"
            )
        how = connector_options(self._connector if connector is None else connector)
        limits = timeouts(timeout, receive_timeout)
        target, host = self._target(url, params, how.get("path"))
        given = [*overridden(self._headers, pairs(headers)), *host]
        login = auth or self._auth
        if login is not None:
            given.append(("Authorization", login.encode()))
        tls = chosen_ssl(how, ssl, verify_ssl, fingerprint, ssl_context)
        connection = Connection(
            target,
            list(protocols),
            ssl_options=tls_options(tls, server_hostname),
            headers=[*given, ("Origin", origin)] if origin else given,
            exclude_headers=() if origin or "Origin" in Headers(given) else ("Origin",),
            config=(config or self._config(limits, heartbeat, compress, max_msg_size)).replace(
                answer_pings=autoping, answer_close=autoclose
            ),
            cookies=self._jar,
            proxy=self._proxy_url(proxy, proxy_auth),
            # The same for a proxy, whose certificate is another.
            proxy_ssl_options={} if hasattr(tls, "fingerprint") else tls_options(tls, None),
            local_addr=how.get("local_addr"),
        )
        connection.shows_pings = not autoping
        await self._connect(connection)
        kind = ws_response_class or self._ws_response_class
        return kind(
            connection,
            autoclose=autoclose,
            receive_timeout=limits.ws_receive,
            decode_text=decode_text,
        )

    def _target(self, url: Any, params: Any, path: str | None) -> tuple[str, list[tuple[str, str]]]:
        """Where to connect to, and the ``Host`` if that does not say it."""
        text = str(url)
        if self._base_url is not None:
            text = urljoin(str(self._base_url), text)
        text = text.partition("#")[0]
        if params:
            query = params if isinstance(params, str) else urlencode(params, doseq=True)
            text += ("&" if urlsplit(text).query else "?") + query
        try:
            uri = parse_uri(text)
        except ValueError as exc:
            raise InvalidURL(url, str(exc)) from exc
        if path is None:
            return text, []
        scheme = "wss+unix" if uri.secure else "ws+unix"
        return f"{scheme}://{path}:{uri.resource}", [("Host", uri.host_header)]

    def _config(
        self, limits: ClientWSTimeout, heartbeat: float | None, compress: int, size: int
    ) -> Config:
        total = getattr(self._timeout, "total", self._timeout) or None
        return DEFAULT.replace(
            open_timeout=DEFAULT.open_timeout if self._timeout is None else total,
            close_timeout=limits.ws_close,
            ping_interval=heartbeat or None,
            ping_timeout=heartbeat / 2 if heartbeat else None,
            max_message_size=size or None,
            compression=Compression(
                client_max_window_bits=compress, server_max_window_bits=compress
            )
            if compress
            else None,
        )

    def _proxy_url(self, proxy: Any, proxy_auth: Any) -> str | bool | None:
        """With the login in it, which is how our client takes one."""
        chosen = proxy or self._proxy
        if chosen is None:
            return self._trust_env or None
        login = proxy_auth or self._proxy_auth
        if login is None:
            return str(chosen)
        scheme, _, where = str(chosen).partition("://")
        name = urlencode({"": login.login})[1:]
        word = urlencode({"": login.password})[1:]
        return f"{scheme}://{name}:{word}@{where.rpartition('@')[2]}"

    async def _connect(self, connection: Connection) -> None:
        uri = connection.uri
        request = RequestInfo(
            connection.url, "GET", Headers(connection.handshake_headers), connection.url
        )
        try:
            await connection.connect()
        except Exception as exc:
            error = translated(exc, request, ConnectionKey(uri.host, uri.port, uri.secure))
            if error is exc:
                raise
            raise error from exc
        self._open.add(connection)

    # -- ordinary requests -----------------------------------------------------------------

    def request(self, method: str, url: Any, **options: Any) -> Any:
        """An ordinary request, by the real aiohttp; ``ImportError`` without it."""
        return self._real_session().request(method, url, **options)

    def get(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().get(url, **options)

    def options(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().options(url, **options)

    def head(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().head(url, **options)

    def post(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().post(url, **options)

    def put(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().put(url, **options)

    def patch(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().patch(url, **options)

    def delete(self, url: Any, **options: Any) -> Any:
        """As ``request``."""
        return self._real_session().delete(url, **options)

    def _real_session(self) -> Any:
        if real.aiohttp is None:
            raise ImportError(real.ADVICE)
        if self._closed:
            raise RuntimeError("Session is closed")
        if self._real is None:
            self._real = self._new_real_session(real.aiohttp)
        return self._real

    def _new_real_session(self, aiohttp: Any) -> Any:
        """One with the same options and the same cookies."""
        aiohttp.abc.AbstractCookieJar.register(CookieJar)
        given = {
            "headers": self._headers or None,
            "auth": self._auth,
            "timeout": self._timeout,
            "proxy": self._proxy,
            "proxy_auth": self._proxy_auth,
            "connector": real_connector(self._connector, aiohttp),
        }
        return aiohttp.ClientSession(
            self._base_url,
            cookie_jar=self._jar,
            trust_env=self._trust_env,
            **{name: value for name, value in given.items() if value is not None},
            **self._others,
        )

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> Awaitable[None]:
        """Cut what is still open. May be awaited or not."""
        self._closed = True
        for connection in list(self._open):
            connection.close_connection()
        if self._connector_owner and self._connector is not None:
            self._connector.close()
        return Later(self._close_real)

    async def _close_real(self) -> None:
        for connection in list(self._open):
            await connection.wait_closed()
        if self._real is not None:
            await self._real.close()

    def detach(self) -> None:
        """Let go of everything without closing it."""
        self._closed = True
        self._connector = None

    async def __aenter__(self) -> ClientSession:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def ws_connect(
    url: Any, *, connector: Any = None, loop: Any = None, ws_response_class: Any = None, **how: Any
) -> Opening:
    """``ClientSession.ws_connect()`` without a session, as of old."""
    session = ClientSession(
        connector=connector,
        connector_owner=False,
        ws_response_class=ws_response_class or ClientWebSocketResponse,
    )
    return session.ws_connect(url, **how)


def request(method: str, url: Any, **options: Any) -> Any:
    """An ordinary request, by the real aiohttp; ``ImportError`` without it."""
    if real.aiohttp is None:
        raise ImportError(real.ADVICE)
    if "connector" in options:
        options["connector"] = real_connector(options["connector"], real.aiohttp)
    return real.aiohttp.request(method, url, **options)


# -- from one way of saying it to the other ------------------------------------------------


def pairs(headers: Any) -> list[tuple[str, str]]:
    """Headers, however they are given, as pairs."""
    if not headers:
        return []
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [(str(name), str(value)) for name, value in items]


def overridden(
    general: list[tuple[str, str]], particular: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Those of the session, except where those of the request say otherwise."""
    names = Headers(particular)
    return [(name, value) for name, value in general if name not in names] + particular


def timeouts(timeout: Any, receive_timeout: float | None) -> ClientWSTimeout:
    """A number is the time for closing, as it has been for most of the time."""
    if timeout is None:
        limits = NO_TIMEOUT
    elif hasattr(timeout, "ws_close"):
        limits = timeout
    else:
        limits = ClientWSTimeout(ws_close=float(timeout))
    if receive_timeout is not None:
        limits = ClientWSTimeout(receive_timeout, limits.ws_close)
    return limits


def connector_options(connector: Any) -> dict[str, Any]:
    """What a connector says about connecting. ``TypeError`` for one that is not ours."""
    if connector is None:
        return {}
    if not isinstance(connector, BaseConnector):
        raise TypeError(
            f"a WebSocket cannot use a {type(connector).__name__}: give a TCPConnector or a "
            "UnixConnector of ws4py.dropin.aiohttp"
        )
    if connector.closed:
        raise RuntimeError("Connector is closed")
    return connector.options


def chosen_ssl(how: Mapping[str, Any], *request: Any) -> Any:
    """What the request says about TLS, and else the connector, in the one argument of today."""
    merged = merged_ssl(*request)
    if merged is True:
        merged = merged_ssl(
            how.get("ssl", True),
            how.get("verify_ssl"),
            how.get("fingerprint"),
            how.get("ssl_context"),
        )
    return merged


def tls_options(merged: Any, server_hostname: str | None) -> dict[str, Any]:
    """``ssl_options`` of our client."""
    options: dict[str, Any] = {}
    if isinstance(merged, ssl.SSLContext):
        options["ssl_context"] = merged
    elif merged is False:
        options["cert_reqs"] = ssl.CERT_NONE
    elif hasattr(merged, "fingerprint"):
        options["ssl_context"] = pinned(merged.fingerprint)
    elif merged is not True:
        raise TypeError(f"ssl should be SSLContext, Fingerprint, or bool, got {merged!r} instead.")
    if server_hostname is not None:
        options["server_hostname"] = server_hostname
    return options


def merged_ssl(
    how: Any = True,
    verify_ssl: bool | None = None,
    fingerprint: bytes | None = None,
    ssl_context: Any = None,
) -> Any:
    """The one argument that took the place of the four."""
    others = [
        value
        for value, is_given in (
            (False, verify_ssl is False),
            (ssl_context, ssl_context is not None),
            (fingerprint and Fingerprint(fingerprint), fingerprint is not None),
        )
        if is_given
    ]
    if not others:
        return True if how is None else how
    if len(others) > 1 or how not in (True, None):
        raise ValueError(
            "verify_ssl, ssl_context, fingerprint and ssl parameters are mutually exclusive"
        )
    return others[0]


def real_connector(connector: Any, aiohttp: Any) -> Any:
    """One of the real aiohttp with the same options."""
    if not isinstance(connector, BaseConnector):
        return connector
    name = "UnixConnector" if isinstance(connector, UnixConnector) else "TCPConnector"
    return cast(Any, getattr(aiohttp, name))(**connector.options)

"""Clients: what all of them share, whatever drives their socket.

``WebSocketBaseClient`` turns a URL into an open connection on the calling thread; the modules of
this package, one per way of running, say what happens then. Nothing here knows frames.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Union

from ws4py.client.auth import Auth
from ws4py.client.cookies import Cookies
from ws4py.client.dial import Network, drive
from ws4py.client.journey import GivenHeaders, Journey, header_pairs
from ws4py.client.persistent import PersistentClient, new_key
from ws4py.client.reconnect import Reconnecting
from ws4py.client.route import Deadline, Steps, Way, attempt, evaluated
from ws4py.client.tls import as_options
from ws4py.exc import HandshakeError, ProxyError
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import ClientHandshake
from ws4py.protocol.http import Response
from ws4py.protocol.uri import Uri, parse_uri
from ws4py.transport import BlockingTransport, Transport

__all__ = ["WebSocketBaseClient"]

#: The connected socket and the handshake that was done on it.
Opened = tuple[Any, ClientHandshake]
#: A URL, or what gives it, called at each attempt.
GivenUrl = Union[str, Callable[[], Union[str, Awaitable[str]]]]  # noqa: UP007 - run time, 3.10


class WebSocketBaseClient(PersistentClient):
    """A client that connects on the calling thread and leaves the driving to you.

    ``url``: ``ws://``, ``wss://``, ``ws+unix://`` or ``wss+unix://`` (``http`` and ``https``
    count as ``ws`` and ``wss``); ``ValueError`` for anything else. It may also be a function that
    gives one, called at each attempt. ``protocols``: subprotocols to offer, best first.
    ``extensions``: kept from 0.6; compression is offered as ``config`` says. ``ssl_options``: see
    ``client.tls.make_ssl_context``; certificates are verified unless it says otherwise.
    ``headers``: to send besides the standard ones, replacing one of the same
    name: pairs, a mapping, or a function that gives either, called at each attempt (a coroutine
    function, where a loop drives the client); ``exclude_headers``: names to leave out.
    ``origin``: by default that of a page on the same server. ``cookies``: ``"a=1; b=2"``, a
    mapping, or an ``http.cookiejar.CookieJar``, which also keeps what the server sets. ``auth``:
    ``(user, password)``, ``client.auth.Bearer(token)``, an ``httpx.Auth`` (Digest), or a function
    that gives one of them. Redirects are followed (``Config.max_redirects``). ``reconnect``:
    connect again whenever the connection is lost, and when the first attempt fails: ``True``, a
    ``client.reconnect.Reconnect`` or an iterable of delays.

    Override ``handshake_ok`` to hand the open connection to whatever drives it; by default call
    ``run()`` after ``connect()``.
    """

    _client = True
    _our_flag = "client_terminated"
    _peer_flag = "server_terminated"
    #: The calls with which ``connect()`` connects.
    _network = Network()

    def __init__(
        self,
        url: GivenUrl,
        protocols: Iterable[str] | None = None,
        extensions: list[str] | None = None,
        heartbeat_freq: float | None = None,
        ssl_options: Mapping[str, Any] | ssl.SSLContext | None = None,
        headers: GivenHeaders | None = None,
        exclude_headers: Iterable[str] | None = None,
        *,
        origin: str | None = None,
        cookies: Cookies | None = None,
        auth: Auth | Callable[[], Any] | None = None,
        config: Config | None = None,
        proxy: str | bool | None = True,
        proxy_ssl_options: Mapping[str, Any] | ssl.SSLContext | None = None,
        sock: Any = None,
        local_addr: str | tuple[Any, ...] | None = None,
        socket_options: Iterable[tuple[Any, ...]] = (),
        reconnect: Reconnecting = None,
    ) -> None:
        self._prepare_reconnecting(reconnect)
        self._given_url = url
        if not callable(url):
            self._locate(url)
        self.ssl_options = as_options(ssl_options)
        self.proxy = proxy
        self.proxy_ssl_options = as_options(proxy_ssl_options)
        self.given_sock = sock
        self.local_addr = (local_addr, 0) if isinstance(local_addr, str) else local_addr
        self.socket_options = list(socket_options)
        # A function is called at each attempt; what is a list may be changed until then.
        self.extra_headers: Any = headers if callable(headers) else header_pairs(headers)
        self.exclude_headers = [name.lower() for name in exclude_headers or ()]
        self._origin = origin
        self._cookies = cookies
        self._auth = auth
        self.key = new_key()
        #: Where it is connected, which a redirect may have changed, and the answer from there.
        self.connected_uri: Uri | None = None
        self.handshake_response: Response | None = None
        if config is not None:
            self.config = config
        super().__init__(None, list(protocols or ()), extensions, heartbeat_freq=heartbeat_freq)

    def _locate(self, url: str) -> None:
        """This is the URL, from now on."""
        uri = parse_uri(url)
        self.url = url
        self.scheme = uri.scheme
        self.host = uri.host
        self.port = uri.port
        self.resource = uri.resource
        self.unix_socket_path = uri.unix_path

    @property
    def uri(self) -> Uri:
        """Where to connect to; follows ``host``, ``port`` and ``resource``, which may be set."""
        return replace(
            parse_uri(self.url),
            host=self.host,
            port=self.port,
            resource=self.resource,
            unix_path=self.unix_socket_path,
        )

    @property
    def bind_addr(self) -> Any:
        """The address that ``connect()`` connects to: ``(host, port)`` or a path."""
        return self.unix_socket_path or (self.host, self.port)

    @property
    def _way(self) -> Way:
        return Way(
            ssl_options=self.ssl_options,
            proxy=self.proxy,
            proxy_ssl_options=self.proxy_ssl_options,
            sock=self.given_sock,
            local_addr=self.local_addr,
            socket_options=self.socket_options,
        )

    # -- the opening handshake -------------------------------------------------------------

    def _new_journey(self, headers: Any, auth: Any) -> Journey:
        config = self.config or DEFAULT
        return Journey(
            self.uri,
            headers=headers,
            cookies=self._cookies,
            auth=auth,
            max_redirects=config.max_redirects,
        )

    def _new_handshake(self, journey: Journey) -> ClientHandshake:
        return ClientHandshake(
            journey.uri,
            config=self.config or DEFAULT,
            protocols=self.protocols or (),
            headers=journey.headers,
            exclude_headers=self.exclude_headers,
            origin=self._origin,
            key=self.key,
        )

    def _first_handshake(self) -> ClientHandshake:
        headers, auth = self.extra_headers, self._auth
        return self._new_handshake(
            self._new_journey(
                None if callable(headers) else headers, None if callable(auth) else auth
            )
        )

    @property
    def handshake_headers(self) -> list[tuple[str, str]]:
        """The headers of the opening handshake in their order, without what functions give."""
        return self._first_handshake().request_headers

    @property
    def handshake_request(self) -> bytes:
        """The opening handshake as it goes over the wire, without what functions give."""
        return self._first_handshake().request

    def connect(self) -> None:
        """Connect and do the opening handshake, within ``Config.open_timeout`` in all.

        Then calls ``handshake_ok()``. Raises ``OSError`` (``ssl.SSLError`` included) when there
        is no connection, ``ConnectionTimeout`` when it takes too long and ``HandshakeError``
        when the server refuses or does not speak WebSocket. With ``reconnect``, only after it is
        given up; ``ConnectionClosed`` when another thread has called ``close()`` meanwhile.
        """
        if self.sock is not None or self._persists:
            raise RuntimeError(f"{self!r} is connected already")
        if self.reconnect is None:
            self._established(drive(self._opening(), self._network))
        else:
            self._connect_for_good()
        self.handshake_ok()

    def _opening(self) -> Steps[Opened]:
        """The whole opening, for whoever drives it: attempts, until one ends in a connection."""
        deadline, way = Deadline(self.config or DEFAULT), self._way
        self.given_sock = None  # it leads there once
        if callable(self._given_url):
            self._locate((yield from evaluated(self._given_url, deadline, "the server")))
        whom = str(self.uri)
        headers = yield from evaluated(self.extra_headers, deadline, whom)
        auth = yield from evaluated(self._auth, deadline, whom)
        journey = self._new_journey(headers, auth)
        while True:
            uri, handshake = journey.uri, self._new_handshake(journey)
            try:
                sock = yield from attempt(uri, handshake, way, deadline, self._network)
            except HandshakeError as error:
                # A proxy does not send anybody anywhere; a given socket leads to one place only.
                if isinstance(error, ProxyError) or way.sock is not None:
                    raise
                journey.refused(error)
            else:
                assert handshake.response is not None
                journey.accepted(handshake.response.headers.items())
                return sock, handshake
            way = way.onward(uri, journey.uri)
            self.key = new_key()

    def _established(self, opened: Opened) -> None:
        self.sock, handshake = opened
        self.connected_uri = handshake.uri
        self.handshake_response = handshake.response
        self._offered = self.protocols, self.extensions
        # As bytes, which is what 0.6 left here; ``subprotocol`` is for people.
        self.protocols = [handshake.subprotocol.encode()] if handshake.subprotocol else []
        self.extensions = [name.encode() for name in handshake.extensions]
        # Made here and not when needed: several threads may be about to send.
        self.transport = self._new_transport()
        if self._persists:
            self._renew()
        self.setup(self.config or DEFAULT, handshake.deflate)
        if handshake.rest:
            # What came right behind the answer is delivered by whoever drives the connection.
            self.stream.receive_data(handshake.rest)

    def _new_transport(self) -> Transport:
        return BlockingTransport(self.sock)

    def handshake_ok(self) -> None:
        """The connection is open. Override it to start or choose what drives the socket."""
        self.connection_made()

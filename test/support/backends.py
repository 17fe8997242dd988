"""Every backend that the conformance tests run over: one entry each.

A server backend starts a handler class with the options of ``BaseServer``; a client backend
connects hooks to a URL. What a backend cannot do is data, an option or an ability with the
reason; tests that need it skip with that reason. Nothing here knows what is tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import make_server

import asyncio_backends
import asyncore_backend
import dropin_backends
import pytest
import wsgi_backends
from asgi_backends import ASGI_CANNOT, UVICORN_CANNOT, uvicorn_backend
from gevent_backends import GEVENT_SERVER_CANNOT, gevent_client, gevent_server
from rawpeer import RawClient, RawHead
from sync_backends import sync_client
from tornado_backends import TORNADO_CANNOT, tornado_client, tornado_server
from waiting import TIMEOUT, wait_for

from ws4py.client import WebSocketBaseClient
from ws4py.client.threadedclient import WebSocketClient
from ws4py.manager import EPollPoller, PollPoller, SelectPoller, WebSocketManager
from ws4py.protocol.config import Config
from ws4py.server import threadedserver, wsgirefserver
from ws4py.server.managedserver import WebSocketServer

#: Short deadlines: a test that runs into one shall not take long.
QUICK = Config(open_timeout=5.0, close_timeout=5.0)

#: What the behaviours are crossed with where that is cheap.
LINKS = ("tcp", "tls", "unix")


class _Backend:
    name: str
    cannot: Mapping[str, str]

    def need(self, *abilities: str) -> None:
        """Skip the test unless the backend has these abilities."""
        for ability in abilities:
            if ability in self.cannot:
                pytest.skip(f"{self.name} has no {ability}: {self.cannot[ability]}")


# -- servers -------------------------------------------------------------------------------


@dataclass
class Served:
    """A running server."""

    #: A port on 127.0.0.1, or the path of a Unix socket.
    address: int | str
    #: Close all connections with 1001 and wait for the end.
    stop: Callable[[], Any]
    #: Send to every connection; ``None`` where there is no such thing.
    broadcast: Callable[..., Any] | None = None
    #: What clients trust, if TLS is spoken.
    tls: ssl.SSLContext | None = None

    def url(self, target: str = "/") -> str:
        """For clients that take a URL."""
        scheme = "ws" if self.tls is None else "wss"
        if isinstance(self.address, str):
            return f"{scheme}+unix://{self.address}:{target}"
        return f"{scheme}://localhost:{self.address}{target}"

    def connect(self, **how: Any) -> RawClient:
        """A raw peer, TLS done, nothing said yet."""
        client = RawClient.connect(self.address, tls=self.tls, **how)
        if isinstance(self.address, int):
            # Two small writes in a row would otherwise take the 40 ms of a delayed ACK.
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def peer(
        self,
        target: str = "/",
        headers: dict[str, str | None] | None = None,
        *,
        extra: bytes = b"",
        **how: Any,
    ) -> RawClient:
        """A raw peer after its opening handshake, with ``extra`` bytes right behind it."""
        client = self.connect(**how)
        try:
            client.handshake(target, headers, extra=extra)
        except BaseException:
            client.close()
            raise
        return client

    def answer_to(self, request: bytes, **how: Any) -> RawHead:
        """The head of the answer to a whole request; the connection is closed after it."""
        with self.connect(**how) as client:
            client.send(request)
            head = client.read_head()
            client.read_to_eof()
            return head


@dataclass(frozen=True)
class ServerBackend(_Backend):
    name: str
    #: ``start(handler, **options)``; ``stop()`` of what it returns leaves nothing behind.
    start: Callable[..., Served]
    #: Options of ``BaseServer``, ``broadcast``, and some habits: ability → why not.
    cannot: Mapping[str, str] = field(default_factory=dict)

    def serve(self, handler: Any, tls: ssl.SSLContext | None = None, **options: Any) -> Served:
        """Start, unless an option is among what it cannot."""
        self.need(*options)
        options.setdefault("config", QUICK)
        served = self.start(handler, **options)
        served.tls = tls
        return served


def managed(poller: Callable[[], Any]) -> Callable[..., Served]:
    """The flagship, with this kind of poller."""

    def start(handler: Any, **options: Any) -> Served:
        server = WebSocketServer(handler, poller=poller(), **options)
        server.start()
        address = server.port if server.port is not None else server.addresses[0]
        return Served(address, server.close, server.manager.broadcast)

    return start


def _threaded(handler: Any, **options: Any) -> Served:
    server = threadedserver.WebSocketServer(handler, **options)
    server.start()
    address = server.port if server.port is not None else server.addresses[0]
    return Served(address, server.close, server.broadcast)


class _WSGIServer(ThreadingMixIn, wsgirefserver.WSGIServer):
    """With a thread for each request, so that a slow one does not delay the others."""


class _QuietRequestHandler(wsgirefserver.WebSocketWSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def _wsgiref(handler: Any, **options: Any) -> Served:
    context = options.pop("ssl", None)
    application = wsgirefserver.WebSocketWSGIApplication(
        handler_cls=handler, protocols=options.pop("protocols", None), **options
    )
    server = make_server(
        "127.0.0.1",
        0,
        app=application,
        server_class=_WSGIServer,
        handler_class=_QuietRequestHandler,
    )
    if context is not None:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.initialize_websockets_manager()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="wsgiref")
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()

    return Served(server.server_port, stop, server.manager.broadcast)


_WSGIREF_CANNOT = {
    "unix_path": "wsgiref listens on TCP only",
    "process_request": "the WSGI application around ours answers ordinary requests",
    "extra_headers": "the WSGI application around ours adds headers",
    "open_timeout": "http.server reads the head; its timeout is one for each pause",
    "strict heads": "http.server reads the head, and is lenient",
    "cutting handshakes": "socketserver waits for its threads, until their timeout",
}

SERVERS = (
    ServerBackend("managed-epoll", managed(EPollPoller)),
    ServerBackend("managed-poll", managed(PollPoller)),
    ServerBackend("managed-select", managed(SelectPoller)),
    ServerBackend("threaded", _threaded),
    ServerBackend("asyncio", asyncio_backends.server(asyncio.new_event_loop)),
    ServerBackend("uvloop", asyncio_backends.server(asyncio_backends.new_uvloop)),
    ServerBackend(
        "protocol-asyncio",
        asyncio_backends.protocol(asyncio.new_event_loop),
        asyncio_backends.PROTOCOL_CANNOT,
    ),
    ServerBackend(
        "protocol-uvloop",
        asyncio_backends.protocol(asyncio_backends.new_uvloop),
        asyncio_backends.PROTOCOL_CANNOT,
    ),
    ServerBackend("wsgiref", _wsgiref, _WSGIREF_CANNOT),
    ServerBackend("wsgi-cheroot", wsgi_backends.cheroot_server, wsgi_backends.CHEROOT_CANNOT),
    ServerBackend("cherrypy", wsgi_backends.cherrypy_server, wsgi_backends.CHERRYPY_CANNOT),
    ServerBackend("wsgi-werkzeug", wsgi_backends.werkzeug_server, wsgi_backends.CHEROOT_CANNOT),
    ServerBackend(
        "wsgi-gunicorn-gthread", wsgi_backends.gunicorn_server, wsgi_backends.GUNICORN_CANNOT
    ),
    ServerBackend("gevent", functools.partial(gevent_server, Served), GEVENT_SERVER_CANNOT),
    ServerBackend("tornado", tornado_server, TORNADO_CANNOT),
    ServerBackend("asgi-uvicorn", uvicorn_backend("websockets-sansio"), ASGI_CANNOT),
    ServerBackend(
        "uvicorn-protocol",
        uvicorn_backend("ws4py.server.asgi:WebSocketProtocol"),
        UVICORN_CANNOT,
    ),
)


# -- clients -------------------------------------------------------------------------------


@dataclass
class Connected:
    """A client that is driven by something."""

    ws: Any
    #: Wait for the driver to end after the connection has; raises after the deadline.
    join: Callable[[float], Any]
    #: End everything at once.
    stop: Callable[[], Any]

    @property
    def log(self) -> Any:
        """What its hooks were called with (see ``hooks``)."""
        return self.ws.log

    def wait_closed(self, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Code and reason of ``closed()``, once it has returned and the driver is done."""
        code, reason = self.log.wait("closed", timeout=timeout)
        wait_for(lambda: self.ws.terminated, timeout)
        self.join(timeout)
        return code, reason


@dataclass(frozen=True)
class ClientBackend(_Backend):
    name: str
    #: ``connect(hooks, url, **options)``: ``hooks`` is a mixin to be put before the client class.
    #: Raises what ``connect()`` raises, leaving nothing behind.
    start: Callable[..., Connected]
    cannot: Mapping[str, str] = field(default_factory=dict)

    def connect(self, hooks: type, url: str, tls: Any = None, **options: Any) -> Connected:
        """Connect; ``tls`` is the context to verify the server with."""
        options.setdefault("config", QUICK)
        if tls is not None:
            options["ssl_options"] = {"ssl_context": tls, "server_hostname": "localhost"}
        return self.start(hooks, url, **options)


def _client(hooks: type, base: type, url: str, **options: Any) -> Any:
    return type(hooks.__name__, (hooks, base), {})(url, **options)


def _join(thread: threading.Thread) -> Callable[[float], None]:
    def join(timeout: float) -> None:
        thread.join(timeout)
        assert not thread.is_alive(), f"{thread.name} still runs after {timeout} s"

    return join


def _threaded_client(hooks: type, url: str, **options: Any) -> Connected:
    ws = _client(hooks, WebSocketClient, url, **options)
    ws.daemon = True
    ws.connect()

    def stop() -> None:
        ws.close_connection()
        ws.run_forever()

    return Connected(ws, _join(ws._th), stop)


def _client_run_by_hand(hooks: type, url: str, **options: Any) -> Connected:
    ws = _client(hooks, WebSocketBaseClient, url, **options)
    ws.connect()
    thread = threading.Thread(target=ws.run, name="test-run", daemon=True)
    thread.start()

    def stop() -> None:
        ws.close_connection()
        _join(thread)(TIMEOUT)

    return Connected(ws, _join(thread), stop)


def _client_under_manager(poller: Callable[[], Any]) -> Callable[..., Connected]:
    def start(hooks: type, url: str, **options: Any) -> Connected:
        manager = WebSocketManager(poller())

        class Managed(WebSocketBaseClient):
            def handshake_ok(self) -> None:
                manager.add(self)

        manager.start()

        def stop() -> None:
            manager.stop()
            manager.join(TIMEOUT)
            assert not manager.is_alive()

        try:
            ws = _client(hooks, Managed, url, **options)
            ws.connect()
        except BaseException:
            stop()
            raise
        return Connected(ws, lambda timeout: wait_for(lambda: ws not in manager, timeout), stop)

    return start


_OPENED_IN_CONNECT = {
    "one thread": "connect() calls opened(), as in 0.6, before anything drives it"
}

CLIENTS = (
    ClientBackend("threaded", _threaded_client),
    ClientBackend("asyncio", asyncio_backends.client(asyncio.new_event_loop)),
    ClientBackend("uvloop", asyncio_backends.client(asyncio_backends.new_uvloop)),
    ClientBackend("tornado", tornado_client),
    ClientBackend("run-by-hand", _client_run_by_hand, _OPENED_IN_CONNECT),
    ClientBackend("manager-epoll", _client_under_manager(EPollPoller), _OPENED_IN_CONNECT),
    ClientBackend("manager-select", _client_under_manager(SelectPoller), _OPENED_IN_CONNECT),
    ClientBackend("gevent", functools.partial(gevent_client, Connected)),
    ClientBackend(
        "sync",
        functools.partial(sync_client, Connected),
        {**_OPENED_IN_CONNECT, "reconnect": "every connection is an object of its own"},
    ),
)


def _dropin(name: str, facade: Any) -> ClientBackend:
    start = functools.partial(dropin_backends.dropin_client, Connected, facade)
    return ClientBackend(f"dropin-{name}", start, facade.cannot)


#: The client sides of the drop-ins. They run through the same conformance class.
DROPINS = (
    _dropin("websockets", dropin_backends.Websockets),
    _dropin("websockets-sync", dropin_backends.BlockingWebsockets),
    _dropin("websocket-client", dropin_backends.WebsocketClient),
    _dropin("aiohttp", dropin_backends.Aiohttp),
    _dropin("asyncore", asyncore_backend.Asyncore),
)


@contextlib.contextmanager
def websockets_server(handler: Callable[[Any], Any], **options: Any) -> Iterator[str]:
    """A server of the ``websockets`` package; gives its URL.

    ``options`` as for its ``serve()``; ``ssl=`` makes it speak TLS, ``path=`` a Unix socket.
    """
    sync = pytest.importorskip("websockets.sync.server")
    path = options.pop("path", None)
    if path is not None:
        server = sync.unix_serve(handler, path, **options)
        url = f"ws+unix://{path}"
    else:
        server = sync.serve(handler, "127.0.0.1", 0, **options)
        scheme = "wss" if options.get("ssl") else "ws"
        url = f"{scheme}://localhost:{server.socket.getsockname()[1]}"
    thread = threading.Thread(target=server.serve_forever, name="websockets-server")
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join(TIMEOUT)
        # The last release for Python 3.10 leaves these open.
        for name in ("shutdown_watcher", "shutdown_notifier"):
            fd = getattr(server, name, None)
            if isinstance(fd, int):
                os.close(fd)

"""gevent's WSGI server, for pages and websockets on one port::

    server = WSGIServer(("", 9000), WebSocketWSGIApplication(handler_cls=EchoWebSocket))
    server.serve_forever()

Every websocket has a greenlet, the one that read its request; its hooks run there and may wait.
Works with and without monkey patching. This module must never know frames.
"""

from __future__ import annotations

import logging
from typing import Any

from ws4py._extras import missing
from ws4py.broadcasting import broadcast
from ws4py.greenlets import wrap_tls
from ws4py.protocol.config import DEFAULT
from ws4py.server import LAST_WORDS, SHUTTING_DOWN
from ws4py.server.geventheads import read_ahead, read_upgrade
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.transport import cut
from ws4py.websocket import WebSocket, short_address

try:
    import gevent
    from gevent import pywsgi
    from gevent.pool import Pool
except ImportError as exc:
    raise missing(__name__, "gevent", exc) from exc

__all__ = [
    "GEventWebSocketPool",
    "WSGIServer",
    "WebSocketWSGIApplication",
    "WebSocketWSGIHandler",
]

logger = logging.getLogger("ws4py.server")

#: What pywsgi logs to where nobody wants a log.
NO_LOG: Any = getattr(pywsgi, "_NoopLog", ())


class WebSocketWSGIHandler(pywsgi.WSGIHandler):  # type: ignore[misc]
    """Serves one connection: requests, and the websocket that the application leaves.

    That is looked for when the response is out, so it may as well be made by a generator. When
    the response fails behind a 101, the peer is told with 1011 and no hook is called.
    """

    #: Seconds of silence after which a request is given up.
    timeout = DEFAULT.open_timeout

    socket: Any
    rfile: Any
    response_headers: Any
    code: Any
    websocket: WebSocket | None = None
    _failed = False

    def handle(self) -> None:
        """All of the connection, on the calling greenlet."""
        self.socket.settimeout(self.timeout)
        try:
            super().handle()
        except OSError as exc:
            logger.info("request of %s broke: %s", self.client_address, exc)
        ws, self.websocket = self.websocket, None
        if ws is not None:
            self.server.websockets.drive(ws)

    def MessageClass(self, *args: Any) -> Any:
        """The headers, read. Those of nearly every opening handshake without pywsgi's parser,
        which is made for mail and was a quarter of the time of a connection."""
        headers = read_upgrade(self.requestline, self.rfile)
        return super().MessageClass(*args) if headers is None else headers

    def get_environ(self) -> dict[str, Any]:
        """What PEP 3333 wants, and the socket."""
        environ: dict[str, Any] = super().get_environ()
        environ["ws4py.socket"] = self.socket
        return environ

    def finalize_headers(self) -> None:
        """The headers are about to be sent. What pywsgi adds is for responses with a body.

        A 101 has none, nor says how long it would be (RFC 9110 section 8.6).
        """
        if self.code != 101:
            super().finalize_headers()
            return
        self.connection_upgraded = True
        self.response_headers = [
            pair for pair in self.response_headers if pair[0].lower() != b"content-length"
        ]

    def handle_error(self, *exc_info: Any) -> None:
        """The application failed."""
        self._failed = True
        super().handle_error(*exc_info)

    def handle_one_response(self) -> None:
        """Answer; then the socket is the websocket's. Whoever was refused may hang up."""
        self.server.busy.add(self.socket)
        try:
            super().handle_one_response()
        finally:
            self.server.busy.discard(self.socket)
        if self.code >= 400 or self.server.closed:
            self.close_connection = True
        ws = self.environ.pop("ws4py.websocket", None)
        if ws is not None and self.code == 101:
            self._take(ws)

    def _take(self, ws: WebSocket) -> None:
        self.close_connection = True
        if self._failed or not self.headers_sent:
            ws.fail("internal error")
            ws.close_connection()
            return
        rest = read_ahead(self.headers, self.socket, self.rfile)
        self.rfile.close()  # it has a buffer, and keeps the socket open
        self.socket = None  # gevent would close it at the end of the request
        if rest:
            ws.stream.receive_data(rest)
        ws._peer_address = short_address(self.client_address)  # need not be asked for at the end
        self.websocket = ws

    def log_request(self) -> None:
        """One line for each response; it takes a while to make."""
        if not isinstance(self.server.log, NO_LOG):
            super().log_request()


class GEventWebSocketPool(Pool):  # type: ignore[misc]
    """The greenlets of websockets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.websockets: set[WebSocket] = set()

    def track(self, websocket: WebSocket) -> Any:
        """Drive it on a greenlet of its own, which is returned."""
        return self.spawn(self._run, websocket)

    def drive(self, websocket: WebSocket) -> None:
        """Drive it on the calling greenlet; returns when it is over."""
        here = gevent.getcurrent()
        self.add(here)
        try:
            self._run(websocket)
        finally:
            self.discard(here)

    def _run(self, websocket: WebSocket) -> None:
        self.websockets.add(websocket)
        try:
            websocket.run()
        except Exception:
            logger.exception("error while serving %r", websocket)
        finally:
            self.websockets.discard(websocket)

    def clear(self) -> None:
        """Begin to close every websocket with 1001; ``join()`` waits for their ends."""
        for ws in list(self.websockets):
            try:
                ws.close(*SHUTTING_DOWN)
            except Exception:
                logger.exception("error in close() of %r", ws)


class WSGIServer(pywsgi.WSGIServer):  # type: ignore[misc]
    """gevent's server, which knows what to do with websockets. Arguments: as gevent's.

    ``pool`` has their greenlets, unless ``spawn`` is a pool for all connections; then
    ``websockets`` has them.
    """

    handler_class = WebSocketWSGIHandler
    #: As many may wait to be accepted as the system allows.
    backlog = 1024
    pool: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        context = kwargs.get("ssl_context")
        super().__init__(*args, **kwargs)
        if context is not None:
            self.wrap_socket = lambda sock, **options: wrap_tls(context, sock, **options)
        self.websockets = GEventWebSocketPool()
        if self.pool is None:
            self.pool = self.websockets
        self._connections: set[Any] = set()
        #: Of these, the ones whose answer is being made.
        self.busy: set[Any] = set()

    def handle(self, sock: Any, address: Any) -> None:
        """One connection, on a greenlet of its own."""
        self._connections.add(sock)
        try:
            super().handle(sock, address)
        finally:
            self._connections.discard(sock)

    def broadcast(self, message: Any, binary: bool = False) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged."""
        broadcast(list(self.websockets.websockets), message, binary)

    def stop(self, timeout: float | None = None) -> None:
        """Accept no more, close the websockets with 1001, wait, cut what is left but pages.

        ``timeout``: seconds for all of that; by default what the closing of a websocket may take.
        """
        self.close()
        websockets = list(self.websockets.websockets)
        if timeout is None:
            longest = max((ws.stream.config.close_timeout or 0 for ws in websockets), default=0)
            timeout = longest + LAST_WORDS
        self.websockets.clear()
        self.websockets.join(timeout)
        for ws in list(self.websockets.websockets):
            ws.close_connection()
        for sock in self._connections - self.busy:
            cut(sock)
        super().stop(LAST_WORDS)

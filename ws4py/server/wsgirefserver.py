"""The standard library's server (``wsgiref``), for pages and websockets on one port::

    server = make_server("", 9000, server_class=WSGIServer,
                         handler_class=WebSocketWSGIRequestHandler,
                         app=WebSocketWSGIApplication(handler_cls=EchoWebSocket))
    server.initialize_websockets_manager()
    server.serve_forever()

Requests are served one after the other, as always with wsgiref: a client that is slow with its
request keeps the next ones waiting (``WebSocketWSGIRequestHandler.timeout`` bounds each of its
pauses; mix ``socketserver.ThreadingMixIn`` in where that matters). Websockets are not concerned:
once the handshake is answered they live in a manager, on its thread. This module must never know
frames.
"""

from __future__ import annotations

import logging
import socketserver
import threading
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler
from wsgiref.simple_server import WSGIServer as WSGIRefServer

from ws4py.manager import WebSocketManager
from ws4py.protocol.config import DEFAULT
from ws4py.runtime import is_secure
from ws4py.server import LAST_WORDS, SHUTTING_DOWN
from ws4py.server.wsgihosts import read_ahead
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import WebSocket

__all__ = [
    "WSGIServer",
    "WebSocketWSGIApplication",
    "WebSocketWSGIHandler",
    "WebSocketWSGIRequestHandler",
]

logger = logging.getLogger("ws4py.server")

#: The longest request line; wsgiref's own limit.
MAX_LINE = 65536


class WebSocketWSGIHandler(ServerHandler):
    """Runs the application for one request, and passes on the websocket that it leaves.

    That is looked for when the response is out, so it may as well be made by a generator. When
    the response fails behind a 101, the peer is told with 1011 and no hook is called.
    """

    #: An upgrade needs 1.1 (RFC 9110 section 7.8).
    http_version = "1.1"
    request_handler: Any
    environ: dict[str, Any]
    headers: Any
    status: str | None

    _switched = False

    def setup_environ(self) -> None:
        """Give the application the socket."""
        super().setup_environ()
        self.environ["ws4py.socket"] = self.request_handler.connection

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """WSGI's, which forbids what belongs to the connection (PEP 3333); we are the exception."""
        ours = [pair for pair in headers if pair[0].lower() in ("connection", "upgrade")]
        theirs = [pair for pair in headers if pair not in ours]
        write = super().start_response(status, theirs, exc_info)
        for name, value in ours:
            self.headers.add_header(name, value)
        return write

    def cleanup_headers(self) -> None:
        """The headers are about to be sent. A 101 has no length (RFC 9110 section 8.6)."""
        self._switched = (self.status or "").startswith("101")
        if self._switched:
            del self.headers["Content-Length"]
        else:
            super().cleanup_headers()

    def finish_response(self) -> None:
        """Write the response; then a websocket goes to the server."""
        environ = self.environ  # forgotten at the end of the response
        try:
            super().finish_response()
        except BaseException:
            self._drop(environ)
            raise
        ws = environ.pop("ws4py.websocket", None)
        if ws is not None and self._switched:
            self._hand_over(ws)

    def _drop(self, environ: dict[str, Any]) -> None:
        ws = environ.pop("ws4py.websocket", None)
        if ws is not None and self._switched:
            ws.fail("internal error")
            ws.close_connection()

    def _hand_over(self, ws: WebSocket) -> None:
        request = self.request_handler
        request.server.keep(request.connection)
        reader: Any = self.stdin
        rest = read_ahead(reader, request.connection)
        if rest:
            ws.stream.receive_data(rest)
        request.server.link_websocket_to_server(ws)


class WebSocketWSGIRequestHandler(WSGIRequestHandler):
    """One request of one connection. ``WebSocketWSGIHandler`` names the class that answers it."""

    WebSocketWSGIHandler = WebSocketWSGIHandler
    #: Seconds of silence after which a request is given up.
    timeout = DEFAULT.open_timeout
    disable_nagle_algorithm = True

    def get_environ(self) -> dict[str, Any]:
        """What PEP 3333 wants; whether it is TLS included."""
        environ: dict[str, Any] = super().get_environ()
        environ["REMOTE_PORT"] = str(self.client_address[1])
        if is_secure(self.connection):
            environ["HTTPS"] = "on"
        return environ

    def handle(self) -> None:
        """Read the head and answer."""
        try:
            if self._read_head():
                self._answer()
        except OSError as exc:
            self.log_error("request broke: %s", exc)

    def _read_head(self) -> bool:
        self.raw_requestline = self.rfile.readline(MAX_LINE + 1)
        if len(self.raw_requestline) <= MAX_LINE:
            return self.parse_request()
        self.requestline = self.request_version = self.command = ""
        self.send_error(414)
        return False

    def _answer(self) -> None:
        server: Any = self.server
        reader: Any = self.rfile
        writer: Any = self.wfile
        handler = self.WebSocketWSGIHandler(
            reader,
            writer,
            self.get_stderr(),
            self.get_environ(),
            multithread=isinstance(server, socketserver.ThreadingMixIn),
        )
        handler.request_handler = self
        handler.run(server.get_app())


class WSGIServer(WSGIRefServer):
    """wsgiref's server with a manager for websockets; ``server_close()`` ends both."""

    #: How many may wait to be accepted; socketserver's five are for pages, one after the other.
    request_queue_size = 128
    #: Serves the websockets; see ``initialize_websockets_manager``.
    manager: WebSocketManager | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._kept: set[Any] = set()
        self._first = threading.Lock()  # requests may have threads, and come at the same moment
        super().__init__(*args, **kwargs)

    def initialize_websockets_manager(self) -> None:
        """Start the manager. Done with the first websocket if nobody did before."""
        with self._first:
            if self.manager is None:
                self.manager = WebSocketManager()
                self.manager.start()

    def link_websocket_to_server(self, ws: WebSocket) -> None:
        """Have the manager serve ``ws``. All its hooks run on the manager's thread."""
        self.initialize_websockets_manager()
        assert self.manager is not None
        self.manager.entrust(ws)

    def keep(self, request: Any) -> None:
        """This socket is a websocket's: it stays open when the request is done."""
        self._kept.add(request)

    def shutdown_request(self, request: Any) -> None:
        """The request is done."""
        if request in self._kept:
            self._kept.remove(request)
        else:
            super().shutdown_request(request)

    def server_close(self) -> None:
        """Listen no more, close the websockets with 1001, wait, cut what is left."""
        super().server_close()
        self.close_websockets()

    def close_websockets(self) -> None:
        """Close the websockets with 1001, wait, cut what is left. Those that still come, too."""
        if self.manager is not None:
            self.manager.shut_down(*SHUTTING_DOWN, LAST_WORDS)

"""CherryPy: a tool that turns a request into a websocket, and a plugin that serves it::

    WebSocketPlugin(cherrypy.engine).subscribe()
    cherrypy.tools.websocket = WebSocketTool()

    class Root:
        @cherrypy.expose
        @cherrypy.tools.websocket(handler_cls=EchoWebSocket)
        def ws(self):
            pass                    # runs before the answer; sees cherrypy.request.ws_handler

    cherrypy.quickstart(Root())

The plugin's manager serves all websockets on one thread of its own, where all their hooks run;
CherryPy's threads are free for pages. Plain and over TLS. This module must never know frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ws4py._extras import missing
from ws4py.manager import WebSocketManager
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, VERSIONS, Request, ServerHandshake
from ws4py.server import LAST_WORDS, SHUTTING_DOWN
from ws4py.server.cherootconnection import CONNECTION, install
from ws4py.websocket import WebSocket

try:
    import cherrypy
    from cheroot.server import HTTPServer
    from cherrypy.process.plugins import SimplePlugin
except ImportError as exc:
    raise missing(__name__, "cherrypy", exc) from exc

__all__ = ["WebSocketPlugin", "WebSocketTool"]

logger = logging.getLogger("ws4py.server")

#: The bus channel on which a websocket is passed to whoever serves it.
HANDLE = "handle-websocket"


class WebSocketTool(cherrypy.Tool):  # type: ignore[misc]
    """Opening handshakes, on the pages where ``tools.websocket.on`` is set.

    Configuration, each as ``tools.websocket.NAME`` or as an argument of the decorator:
    ``handler_cls`` (called as ``handler_cls(sock, protocols, extensions, environ)``, and with
    ``heartbeat_freq`` if there is one), ``protocols``, ``version`` (a number or several),
    ``heartbeat_freq`` (seconds), ``config``, ``origins`` and ``select_subprotocol`` (see
    ``ws4py.server.BaseServer``), ``priority``. ``extensions`` is kept from 0.6; compression is
    negotiated as ``config`` says.

    A request that is no opening handshake gets an ordinary error page. For one that is, the
    handler is in ``cherrypy.request.ws_handler`` before the page handler runs; what that returns
    is not sent, and when it raises, its error page is the answer and the handler is not used.
    """

    def __init__(self) -> None:
        super().__init__("before_request_body", self.upgrade)

    def _setup(self) -> None:
        conf = self._merged_args()
        hooks = cherrypy.serving.request.hooks
        priority = conf.pop("priority", self._priority)
        hooks.attach(self._point, self.callable, priority=priority, **conf)
        hooks.attach("before_finalize", self.complete, priority=priority)

    def upgrade(
        self,
        protocols: Sequence[str] | None = None,
        extensions: Sequence[str] | None = None,
        version: int | Sequence[int] = tuple(map(int, VERSIONS)),
        handler_cls: Callable[..., WebSocket] = WebSocket,
        heartbeat_freq: float | None = None,
        *,
        config: Config = DEFAULT,
        origins: Any = SAME_ORIGIN,
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
    ) -> None:
        """Check the request and make the handler; the answer is prepared by ``complete``."""
        request = cherrypy.serving.request
        connection = request.wsgi_environ.pop(CONNECTION, None)
        if connection is not None:
            connection.end()  # whatever the answer: it is no connection for further requests
        handshake = ServerHandshake(
            config=config,
            protocols=protocols or (),
            select_subprotocol=select_subprotocol,
            origins=origins,
            versions=tuple(map(str, (version,) if isinstance(version, int) else version)),
        )
        answer = handshake.answer(Request.from_environ(request.wsgi_environ))
        if not handshake.accepted:
            cherrypy.serving.response.headers.update(answer.headers.items())
            raise cherrypy.HTTPError(answer.status, answer.body.decode())
        check_means(connection)
        ws = handler_cls(
            connection.socket,
            [handshake.subprotocol] if handshake.subprotocol else [],
            list(handshake.extensions),
            request.wsgi_environ.copy(),
            **({"heartbeat_freq": heartbeat_freq} if heartbeat_freq else {}),
        )
        ws.setup(ws.config or config, handshake.deflate)
        request.ws_handler, request.ws_upgrade = ws, (connection, answer)

    def complete(self) -> None:
        """The page handler has run: make its response the 101, unless it is an error."""
        request, response = cherrypy.serving.request, cherrypy.serving.response
        status = str(response.status or 200)
        if not hasattr(request, "ws_upgrade") or not status.startswith("2"):
            return
        connection, answer = request.ws_upgrade
        response.status = answer.status
        response.headers.update(answer.headers.items())
        response.headers.pop("Content-Type", None)
        response.body = answer.body
        ws, peer = request.ws_handler, (request.remote.ip, request.remote.port)
        connection.part(lambda early: pass_on(ws, early, peer))


def check_means(connection: Any) -> None:
    """Refuse with 501 and advice what cannot be served."""
    if not cherrypy.engine.listeners.get(HANDLE):
        why = "nobody serves websockets: subscribe a WebSocketPlugin to cherrypy.engine."
    elif connection is None:
        why = (
            "the socket is out of reach. This needs the HTTP server that comes with CherryPy, and"
            " a WebSocketPlugin that was started; a ConnectionClass of your own has to be derived"
            " from ws4py.server.cherootconnection.Connection."
        )
    elif not connection.can_part():
        why = "over TLS this needs Python's own: set server.ssl_module to 'builtin'."
    else:
        return
    logger.error("no websocket can be served: %s", why)
    raise cherrypy.HTTPError(501, why)


def pass_on(ws: WebSocket, early: bytes, peer: tuple[str, int]) -> None:
    """The response is out: the websocket goes to the plugin."""
    if early:
        ws.stream.receive_data(early)
    if not cherrypy.engine.publish(HANDLE, ws, peer):  # the plugin has stopped meanwhile
        ws.close(*SHUTTING_DOWN)
        ws.close_connection()


class WebSocketPlugin(SimplePlugin):  # type: ignore[misc]
    """Serves websockets as long as the engine runs; ``manager`` has them.

    ``poller``: what makes the manager's poller (a class of ``ws4py.manager``'s), by default the
    platform's best. Channels of the bus: ``handle-websocket`` (websocket, address of the peer),
    ``websocket-broadcast`` (message, ``binary=False``). Stopping closes all with 1001 and waits;
    it can be started again.
    """

    def __init__(self, bus: Any, poller: Callable[[], Any] | None = None) -> None:
        super().__init__(bus)
        self._poller = poller
        self.manager = WebSocketManager(poller and poller())

    def start(self) -> None:
        """The engine starts."""
        install(HTTPServer)
        self.bus.subscribe(HANDLE, self.handle)
        self.bus.subscribe("websocket-broadcast", self.broadcast)
        if not self.manager.running:
            self.manager.start()
            self.bus.log("WebSocket manager started")

    # Behind whatever forks (Daemonizer, 65), before the server (75).
    start.priority = 70  # type: ignore[attr-defined]

    def stop(self) -> None:
        """The engine stops."""
        self.cleanup()
        self.bus.unsubscribe(HANDLE, self.handle)
        self.bus.unsubscribe("websocket-broadcast", self.broadcast)

    def handle(self, ws_handler: WebSocket, peer_addr: Any) -> None:
        """Serve this websocket. All its hooks run on the manager's thread."""
        logger.info("websocket from %s:%s", *peer_addr)
        self.manager.entrust(ws_handler)

    def cleanup(self) -> None:
        """Close all websockets with 1001, wait, and stop the manager."""
        self.manager.shut_down(*SHUTTING_DOWN, LAST_WORDS)
        if self._poller is not None:
            self.manager.poller = self._poller()
        self.bus.log("WebSocket manager stopped")

    def broadcast(self, message: Any, binary: bool = False) -> None:
        """Send to every websocket."""
        self.manager.broadcast(message, binary)

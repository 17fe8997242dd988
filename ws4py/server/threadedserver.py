"""The stand-alone server with a thread for each connection.

For handlers that wait: a hook may block as long as it likes, its own connection alone stands
still. One more thread accepts. This module must never know frames.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ws4py.broadcasting import broadcast
from ws4py.messaging import Message
from ws4py.pulled import Pulled
from ws4py.reactor import Reactor
from ws4py.runtime import close_socket
from ws4py.server import LAST_WORDS
from ws4py.server.blockingopening import BlockingOpening
from ws4py.server.reactorserver import ReactorServer
from ws4py.websocket import WebSocket

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["WebSocketServer", "serve"]

logger = logging.getLogger("ws4py.server")


class WebSocketServer(ReactorServer):
    """Serves each connection on a thread of its own. Arguments: see ``BaseServer``.

    ``max_connections``: this many are served at a time, and the others wait until one has gone.
    Everything about a connection runs on its thread: TLS, the opening handshake with
    ``process_request``, ``handler`` and all hooks. A program ends when all hooks have returned.
    """

    def __init__(
        self,
        handler: Callable[..., WebSocket] = WebSocket,
        host: Any = "127.0.0.1",
        port: int = 0,
        *,
        max_connections: int = 1000,
        **options: Any,
    ) -> None:
        super().__init__(handler, host, port, **options)
        self.max_connections = max_connections
        self._loop = Reactor()
        self._connections: set[_Connection] = set()  # changed on the acceptor's thread only

    def __iter__(self) -> Iterator[WebSocket]:
        found = [connection.ws for connection in list(self._connections)]
        return iter([ws for ws in found if ws is not None and not ws.terminated])

    def broadcast(self, message: Payload | Message, binary: bool = False) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged."""
        broadcast(self, message, binary)

    # -- for ReactorServer -----------------------------------------------------------------

    def _reactor(self) -> Reactor:
        return self._loop

    def _serve(self) -> None:
        self._loop.run()
        # All are cut, so only a hook that does not return can keep a thread.
        end = time.monotonic() + LAST_WORDS
        for connection in list(self._connections):
            connection.join(max(0.0, end - time.monotonic()))
            if connection.is_alive():
                logger.warning("a hook of %r has not returned", connection.ws)
        self._loop.release()

    def _discard(self) -> None:
        self._loop.release()

    def _accept(self, sock: socket.socket, peer: Any) -> None:
        connection = _Connection(self, sock, peer)
        self._connections.add(connection)  # before it can be heard of: broadcast() looks here
        try:
            connection.start()
        except RuntimeError as exc:
            self._connections.discard(connection)
            close_socket(sock)
            for acceptor in self._acceptors:
                acceptor.rest(f"{exc}. Raise the limit of threads (ulimit -u)")
            return
        if len(self._connections) >= self.max_connections:
            logger.warning("%d connections: the next have to wait", len(self._connections))
            self._hold(True)

    def gone(self, connection: _Connection) -> None:
        """The thread of a connection is about to end."""
        connection.join()
        self._connections.discard(connection)
        if len(self._connections) == self.max_connections - 1:
            self._hold(False)
        self.look()

    def _hold(self, held: bool) -> None:
        for acceptor in self._acceptors:
            acceptor.hold(held)

    def _busy(self) -> bool:
        return bool(self._connections)

    def _dismiss(self, code: int, reason: str) -> None:
        for connection in list(self._connections):
            connection.dismiss(code, reason)

    def _cut(self) -> None:
        for connection in list(self._connections):
            connection.cut()
        self._loop.stop()

    def _serves_here(self) -> bool:
        here = threading.current_thread()
        return super()._serves_here() or (isinstance(here, _Connection) and here.server is self)


class _Connection(threading.Thread):
    """One connection, from its TLS handshake to its end."""

    def __init__(self, server: WebSocketServer, sock: socket.socket, peer: Any) -> None:
        super().__init__(name=f"WebSocketServer-{peer}")
        self.server = server
        self.opening = BlockingOpening(server, sock, peer)
        #: Set when the handshake is done.
        self.ws: WebSocket | None = None

    def run(self) -> None:
        """Shake hands, then drive the websocket until it is over."""
        try:
            ws = self.opening.run()
            if ws is not None:
                transport = ws.transport  # made here, before another thread can see the websocket
                self.ws = ws
                with transport.lock:
                    transport.flush(ws)  # the response, before opened() takes its time
                ws.run()
        except Exception:
            logger.exception("error while serving %s", self.opening.peer)
        finally:
            self.opening.close()
            self.server._loop.call_soon(self.server.gone, self)

    # On the acceptor's thread

    def dismiss(self, code: int, reason: str) -> None:
        """The server goes away."""
        if self.ws is None:
            self.cut()
            return
        ws = self.ws
        try:
            if isinstance(ws, Pulled):
                ws.begin_close(code, reason)  # whose close() waits
            else:
                ws.close(code, reason)
        except Exception:
            logger.exception("error in close() of %r", self.ws)

    def cut(self) -> None:
        """End it now; the thread finds out by itself."""
        if self.ws is not None:
            self.ws.close_connection()
        else:
            self.opening.cut()


def serve(
    handler: Callable[..., WebSocket], host: Any = "127.0.0.1", port: int = 0, **options: Any
) -> WebSocketServer:
    """A server that listens already: go on with ``serve_forever()``, ``start()`` or ``with``."""
    return WebSocketServer(handler, host, port, **options)

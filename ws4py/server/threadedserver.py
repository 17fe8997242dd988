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

from ws4py.messaging import Message
from ws4py.protocol.handshake import Response
from ws4py.pulled import Pulled
from ws4py.reactor import Reactor
from ws4py.runtime import close_socket
from ws4py.server import FAREWELL, LAST_WORDS
from ws4py.server.reactorserver import ReactorServer
from ws4py.syscalls import READ_SIZE
from ws4py.transport import drive_handshake, end_output
from ws4py.websocket import WebSocket, to_bytes

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
        if isinstance(message, Message):
            binary = message.is_binary
            data = message.data
        else:
            data = to_bytes(message, binary)
        for ws in self:
            try:
                send_without_waiting(ws, data, binary)
            except Exception:
                logger.debug("no broadcast to %r", ws, exc_info=True)

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
        try:
            connection.start()
        except RuntimeError as exc:
            close_socket(sock)
            for acceptor in self._acceptors:
                acceptor.rest(f"{exc}. Raise the limit of threads (ulimit -u)")
            return
        self._connections.add(connection)
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
        self.sock: Any = sock
        self.peer = peer
        self.handshake = server.new_handshake(peer)
        #: Set when the handshake is done.
        self.ws: WebSocket | None = None

    def run(self) -> None:
        """Shake hands, then drive the websocket until it is over."""
        try:
            try:
                self._open()
            except (OSError, ValueError) as exc:
                logger.info("opening handshake with %s broke: %s", self.peer, exc)
            if self.ws is not None:
                self.ws.run()
        except Exception:
            logger.exception("error while serving %s", self.peer)
        finally:
            close_socket(self.sock)
            self.server._loop.call_soon(self.server.gone, self)

    def _open(self) -> None:
        server, handshake = self.server, self.handshake
        self.sock = server.prepare(self.sock)
        if server._closing:
            return  # cut() may have met the socket that prepare() took away
        if server.ssl is not None:
            end = handshake.deadline
            self.sock.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            self.sock.do_handshake()
        drive_handshake(
            self.sock,
            handshake,
            lambda: bool(handshake.request or handshake.response or handshake.error),
        )
        if handshake.request is None and handshake.response is None:
            return  # came and went without a word
        response = handshake.response or server.answer(handshake)
        if handshake.accepted:
            try:
                ws = server.upgrade(self.sock, handshake, self.peer)
            except Exception:
                response = server.failed(handshake)
            else:
                transport = ws.transport  # made here, before another thread can see the websocket
                self.ws = ws
                with transport.lock:
                    transport.flush(ws)  # the response, before opened() takes its time
                return
        self._refuse(response)

    def _refuse(self, response: Response) -> None:
        """Answer, and read on until the peer has hung up: earlier could destroy the answer."""
        logger.info("refused %s with %d", self.peer, response.status)
        sock, end = self.sock, time.monotonic() + FAREWELL
        sock.settimeout(FAREWELL)
        sock.sendall(response.serialize())
        sock.settimeout(0)  # TLS has a farewell of its own, whose answer nobody needs
        end_output(sock)
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(READ_SIZE):
                return

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
            return
        try:
            # Not the TLS layer's shutdown: that would take the session away under the reader.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            logger.debug("%s had gone already", self.peer)


def send_without_waiting(ws: WebSocket, data: bytes, binary: bool) -> None:
    """Send, but where ``ws.send()`` would wait for a peer that does not read, end it instead."""
    transport, stream = ws.transport, ws.stream
    with transport.lock:
        if stream.buffered > stream.config.high_water:
            policy = "drop" if stream.config.overflow == "drop" else "close"
            admitted = stream.overflow(policy)
            transport.flush(ws)
            if not admitted:
                return
        stream.send_message(data, binary=binary)
        transport.flush(ws)


def serve(
    handler: Callable[..., WebSocket], host: Any = "127.0.0.1", port: int = 0, **options: Any
) -> WebSocketServer:
    """A server that listens already: go on with ``serve_forever()``, ``start()`` or ``with``."""
    return WebSocketServer(handler, host, port, **options)

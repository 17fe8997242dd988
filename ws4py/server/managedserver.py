"""The stand-alone server: one acceptor and one manager, on one thread.

Opening handshakes are done on the manager's poller: a silent or slow client costs a small buffer
and its own deadline, and nobody a thread. This module must never know frames.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl as ssl_module
import threading
from collections.abc import Callable
from typing import Any

from ws4py.manager import WebSocketManager
from ws4py.protocol.handshake import ServerHandshake
from ws4py.reactor import READ, WRITE, Channel
from ws4py.server import ACCEPT_PAUSE, OUT_OF_DESCRIPTORS, SHUTTING_DOWN, BaseServer
from ws4py.transport import READ_SIZE, close_socket, end_output
from ws4py.websocket import WebSocket, short_address

__all__ = ["WebSocketServer", "serve"]

logger = logging.getLogger("ws4py.server")

#: Connections accepted in one turn; the others have to wait no longer than these take.
ACCEPT_BATCH = 64


class WebSocketServer(BaseServer):
    """Serves any number of connections on one thread. Arguments: see ``BaseServer``.

    ``poller``: see ``WebSocketManager``. Hooks, ``process_request`` and the rest run on the
    server's thread and must not wait: others are served there too.

    Listens from the moment it is made; ``serve_forever()`` serves on the calling thread,
    ``start()`` on one of its own. As a context manager it starts, and closes at the end.
    """

    def __init__(
        self,
        handler: Callable[..., WebSocket] = WebSocket,
        host: Any = "127.0.0.1",
        port: int = 0,
        *,
        poller: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(handler, host, port, **options)
        self.manager = WebSocketManager(poller)
        self.manager.name = "WebSocketServer"
        self._openings: set[_Opening] = set()
        self._acceptors: list[_Acceptor] = []
        self._state = threading.Lock()
        self._listening = False
        self._closing = False
        self._shutdown = _Shutdown(self)

    # -- running ---------------------------------------------------------------------------

    def serve_forever(self) -> None:
        """Serve on the calling thread until ``close()``, which may come from a signal handler."""
        self._listen()
        self.manager.run()

    def start(self) -> None:
        """Serve on a thread of the server's own."""
        self._listen()
        self.manager.start()

    def _listen(self) -> None:
        with self._state:
            if self._closing:
                raise RuntimeError("this server was closed: make a new one")
            if self._listening:
                raise RuntimeError("this server is running already")
            self._listening = True
        reactor = self.manager.reactor
        for listener in self.listeners:
            acceptor = _Acceptor(self, listener)
            self._acceptors.append(acceptor)
            reactor.register(listener.fileno(), acceptor)
        logger.info("serving on %s", ", ".join(map(str, self.addresses)))

    def close(self, code: int = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]) -> None:
        """Stop accepting, close every connection with ``code``, wait, then cut what is left.

        Any thread, hooks and signal handlers: there it returns at once, and ``serve_forever()``
        returns when all is done; elsewhere it waits for that. The second call cuts at once.
        """
        with self._state:
            again, self._closing = self._closing, True
            listening = self._listening
        manager = self.manager
        if not listening:
            self.close_listeners()
            manager.stop()
            return
        manager.reactor.call_soon(self._shutdown.begin, code, reason, again)
        manager.join()

    def __enter__(self) -> WebSocketServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- openings, on the manager's thread -------------------------------------------------

    def accept(self, sock: socket.socket, peer: Any) -> None:
        """A connection has come in."""
        opening = _Opening(self, sock, peer)
        self._openings.add(opening)
        opening.begin()

    def forget(self, opening: _Opening) -> None:
        """An opening handshake is over, either way."""
        self._openings.discard(opening)


class _Shutdown(Channel):
    """The orderly end of a server: its deadline, and who is still there."""

    def __init__(self, server: WebSocketServer) -> None:
        super().__init__()
        self.server = server

    def begin(self, code: int, reason: str, at_once: bool) -> None:
        """On the manager's thread."""
        server = self.server
        manager = server.manager
        for acceptor in server._acceptors:
            acceptor.stop()
        server.close_listeners()
        for opening in list(server._openings):
            opening.end()
        manager.reactor.on_forget = self.look
        timeout = server.config.close_timeout
        if at_once or timeout is None:
            self.ring()
            return
        logger.info("shutting down: closing %d connections with %d", len(manager), code)
        manager.close_all(code, reason)
        # Each connection ends by its own deadline; this one is for what ignores even that.
        manager.reactor.set_alarm(self, manager.reactor.clock() + timeout + 1)
        self.look()

    def look(self) -> None:
        """Is anybody left?"""
        if not len(self.server.manager):
            self.ring()

    def ring(self) -> None:
        """Time is up: the manager cuts what is left."""
        self.server.manager.stop()


class _Acceptor(Channel):
    """A listening socket on the manager's poller."""

    def __init__(self, server: WebSocketServer, listener: socket.socket) -> None:
        super().__init__()
        self.server = server
        self.listener = listener
        listener.setblocking(False)

    def readable(self) -> None:
        """Accept what waits; when descriptors run out, rest for a moment."""
        for _ in range(ACCEPT_BATCH):
            try:
                sock, address = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in OUT_OF_DESCRIPTORS:
                    self._rest(exc)
                    return
                logger.debug("a connection broke before it was accepted: %s", exc)
                continue
            self.server.accept(sock, short_address(address))

    def _rest(self, exc: OSError) -> None:
        """Not to accept is the only way not to be told again and again."""
        logger.error(
            "cannot accept connections (%s): trying again in %g s. Raise the limit of open files "
            "(ulimit -n) if this machine can take more.",
            exc.strerror,
            ACCEPT_PAUSE,
        )
        reactor = self.server.manager.reactor
        reactor.modify(self.listener.fileno(), 0)
        reactor.set_alarm(self, reactor.clock() + ACCEPT_PAUSE)

    def ring(self) -> None:
        """The rest is over."""
        self.server.manager.reactor.modify(self.listener.fileno(), READ)

    def stop(self) -> None:
        """Accept no more."""
        reactor = self.server.manager.reactor
        reactor.cancel_alarm(self)
        reactor.unregister(self.listener.fileno())


class _Opening(Channel):
    """One connection until it is a websocket, or has had its answer."""

    __slots__ = (
        "__weakref__",
        "_answer",
        "_interest",
        "_step",
        "handshake",
        "peer",
        "server",
        "sock",
    )

    def __init__(self, server: WebSocketServer, sock: Any, peer: Any) -> None:
        super().__init__()
        self.server = server
        self.sock = sock
        self.peer = peer
        self.handshake: ServerHandshake = server.new_handshake()
        self._answer = memoryview(b"")
        self._interest = READ
        self._step: Callable[[], None] = self._read

    def begin(self) -> None:
        """Watch the socket; what it has already sent is read at once."""
        reactor = self.server.manager.reactor
        try:
            self.sock.setblocking(False)
            if self.sock.family != getattr(socket, "AF_UNIX", None):
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.ssl is not None:
                self.sock = self.server.ssl.wrap_socket(
                    self.sock, server_side=True, do_handshake_on_connect=False
                )
                self._step = self._shake_hands
            reactor.register(self.sock.fileno(), self)
        except (OSError, ValueError) as exc:
            logger.info("cannot serve %s: %s", self.peer, exc)
            self.end()
            return
        if self.handshake.deadline is not None:
            reactor.set_alarm(self, self.handshake.deadline)
        self.readable()

    # What the poller tells

    def readable(self) -> None:
        """Go on with the step that waits for the peer."""
        try:
            self._step()
        except (BlockingIOError, InterruptedError, ssl_module.SSLWantReadError):
            self._watch(READ)
        except ssl_module.SSLWantWriteError:
            self._watch(WRITE)
        except OSError as exc:
            logger.info("opening handshake with %s broke: %s", self.peer, exc)
            self.end()

    writable = readable

    def ring(self) -> None:
        """The deadline of the opening handshake, or of the farewell after a refusal."""
        self.handshake.tick()
        if self._step == self._linger or self.handshake.response is None:
            self.end()
        else:
            self._respond()

    def _watch(self, events: int) -> None:
        if events != self._interest:
            self._interest = events
            self.server.manager.reactor.modify(self.sock.fileno(), events)

    # The steps

    def _shake_hands(self) -> None:
        """TLS."""
        self.sock.do_handshake()
        self._step = self._read
        self._read()

    def _read(self) -> None:
        """The request."""
        handshake = self.handshake
        while handshake.request is None and handshake.response is None:
            data = self.sock.recv(READ_SIZE)
            if data:
                handshake.receive_data(data)
            else:
                handshake.receive_eof()
                if handshake.response is None:
                    self.end()
                    return
        if handshake.response is None:
            self.server.answer(handshake)
        self._respond()

    def _respond(self) -> None:
        response = self.handshake.response
        assert response is not None
        if self.handshake.accepted:
            self._upgrade(response.serialize())
            return
        logger.info("refused %s with %d", self.peer, response.status)
        self._answer = memoryview(response.serialize())
        self._step = self._write
        self.readable()

    def _write(self) -> None:
        """The answer to what is no WebSocket handshake."""
        while self._answer:
            self._watch(WRITE)
            self._answer = self._answer[self.sock.send(self._answer) :]
        end_output(self.sock)
        self._watch(READ)
        self._step = self._linger

    def _linger(self) -> None:
        """Read on until the peer has hung up: to close earlier could destroy the answer."""
        while self.sock.recv(READ_SIZE):
            pass
        self.end()

    def _upgrade(self, response: bytes) -> None:
        """From here on it is a websocket's."""
        server, sock = self.server, self.sock
        self._leave()
        try:
            ws = server.upgrade(sock, self.handshake, self.peer)
        except Exception:
            logger.exception("error while making the handler for %s", self.peer)
            close_socket(sock)
            return
        # The answer leaves with whatever opened() sends, in one write.
        ws.stream.preface(response)
        server.manager.adopt(ws)
        ws.connection_made()

    def _leave(self) -> None:
        reactor = self.server.manager.reactor
        reactor.cancel_alarm(self)
        with contextlib.suppress(OSError):
            reactor.unregister(self.sock.fileno())
        self.server.forget(self)

    def end(self) -> None:
        """Hang up."""
        self._leave()
        close_socket(self.sock)


def serve(
    handler: Callable[..., WebSocket], host: Any = "127.0.0.1", port: int = 0, **options: Any
) -> WebSocketServer:
    """A server that listens already: go on with ``serve_forever()``, ``start()`` or ``with``."""
    return WebSocketServer(handler, host, port, **options)

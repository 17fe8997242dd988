"""The opening handshake on a reactor, and the server whose websockets are in a manager.

A silent or slow client costs a small buffer and its own deadline, and nobody a thread. For the
managed server and the asyncio one. This module must never know what waits for the sockets.
"""

from __future__ import annotations

import logging
import socket
import ssl as ssl_module
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ws4py.manager import WebSocketManager
from ws4py.messaging import Message
from ws4py.protocol.handshake import Response, ServerHandshake
from ws4py.reactor import READ, WRITE, Channel, Reactor
from ws4py.runtime import close_socket
from ws4py.server import FAREWELL
from ws4py.server.reactorserver import AcceptingServer
from ws4py.syscalls import READ_SIZE
from ws4py.transport import end_output
from ws4py.websocket import WebSocket

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["Opening", "OpeningServer"]

logger = logging.getLogger("ws4py.server")


class OpeningServer(AcceptingServer):
    """Opens connections on the reactor of its ``manager``, which serves them from then on."""

    manager: WebSocketManager

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._openings: set[Opening] = set()

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self.manager)

    def __len__(self) -> int:
        return len(self.manager)

    def broadcast(self, message: Payload | Message, binary: bool = False) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged."""
        self.manager.broadcast(message, binary)

    # -- for AcceptingServer ---------------------------------------------------------------

    def _reactor(self) -> Reactor:
        return self.manager.reactor

    def _accept(self, sock: socket.socket, peer: Any) -> None:
        opening = self._open(sock, peer)
        self._openings.add(opening)
        opening.begin()

    def _open(self, sock: socket.socket, peer: Any) -> Opening:
        return Opening(self, sock, peer)

    def _busy(self) -> bool:
        return len(self.manager) > 0

    def _dismiss(self, code: int, reason: str) -> None:
        self._let_be()
        self.manager.close_all(code, reason)

    def _let_be(self) -> None:
        for opening in list(self._openings):
            opening.dismiss()
        self.manager.on_forget = self.look

    def _cut(self) -> None:
        self.manager.stop()

    # -- for openings ----------------------------------------------------------------------

    def begun(self, ws: WebSocket) -> None:
        """``opened()`` was called. For subclasses."""

    def forget(self, opening: Opening) -> None:
        """An opening handshake is over, either way."""
        self._openings.discard(opening)


class Opening(Channel):
    """One connection until it is a websocket, or has had its answer."""

    __slots__ = ("_answer", "_interest", "_step", "handshake", "peer", "reactor", "server", "sock")

    def __init__(self, server: OpeningServer, sock: Any, peer: Any) -> None:
        super().__init__()
        self.server = server
        self.reactor = server.manager.reactor
        self.sock = sock
        self.peer = peer
        self.handshake: ServerHandshake = server.new_handshake(peer)
        self._answer: bytes | memoryview = b""
        self._interest = READ
        #: What the next bytes are for. A bound method: taken away at the end, as it is a cycle.
        self._step: Callable[[], object] = self._read

    def begin(self) -> None:
        """Watch the socket; what it has already sent is read at once."""
        server = self.server
        try:
            self.sock = server.prepare(self.sock)
            self.reactor.register(self.sock.fileno(), self)
        except (OSError, ValueError) as exc:
            logger.info("cannot serve %s: %s", self.peer, exc)
            self.end()
            return
        if server.ssl is not None:
            self.sock.setblocking(False)  # the TLS layer's own idea of it
            self._step = self._shake_hands
        if self.handshake.deadline is not None:
            self.reactor.set_alarm(self, self.handshake.deadline)
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
        waits_for_head = self._step == self._read
        self.handshake.tick()
        if waits_for_head and self.handshake.response is not None:
            self._refuse(self.handshake.response)
        else:
            self.end()

    def _watch(self, events: int) -> None:
        if events != self._interest:
            self._interest = events
            self.reactor.modify(self.sock.fileno(), events)

    # The steps

    def _shake_hands(self) -> None:
        """TLS."""
        self.sock.do_handshake()
        self._step = self._read
        self._read()

    def _read(self) -> None:
        """The request, then the answer."""
        handshake = self.handshake
        while handshake.request is None and handshake.response is None:
            data = self._receive()
            if data is None:
                self._watch(READ)
                return
            if data:
                handshake.receive_data(data)
                continue
            handshake.receive_eof()
            if handshake.error is not None and handshake.response is None:
                self.end()  # came and went without a word
                return
        self._decide()

    def _receive(self) -> bytes | None:
        """What has arrived; ``None`` when nothing has, which is no error that has to be raised."""
        if self.server.ssl is not None:
            data: bytes = self.sock.recv(READ_SIZE)
            return data
        buffer = self.reactor.buffer
        size = buffer.fill(self.sock, self.sock.fileno())
        return None if size < 0 else buffer.data[:size]

    def _decide(self) -> None:
        """There is a request, or what cannot become one."""
        self._conclude(self.handshake.response or self.server.answer(self.handshake))

    def _conclude(self, response: Response) -> None:
        if self.handshake.accepted:
            self._upgrade()
        else:
            self._refuse(response)

    def _refuse(self, response: Response) -> None:
        logger.info("refused %s with %d", self.peer, response.status)
        self._answer = memoryview(response.serialize())
        self._step = self._write
        self.reactor.set_alarm(self, self.reactor.clock() + FAREWELL)
        self.readable()

    def _write(self) -> None:
        """The answer to what is no WebSocket handshake."""
        try:
            while self._answer:
                self._answer = self._answer[self.sock.send(self._answer) :]
        except BlockingIOError:
            self._watch(WRITE)
            return
        end_output(self.sock)
        self._watch(READ)
        self._step = self._linger

    def _linger(self) -> None:
        """Read on until the peer has hung up: to close earlier could destroy the answer."""
        if not self.sock.recv(READ_SIZE):
            self.end()

    def _upgrade(self) -> None:
        """From here on it is a websocket's."""
        server = self.server
        try:
            ws = server.upgrade(self.sock, self.handshake, self.peer)
        except Exception:
            self._refuse(server.failed(self.handshake))
            return
        self._watch(READ)
        self._leave()
        try:
            server.manager.adopt(ws, self)
        except Exception:
            logger.exception("cannot serve %r", ws)
            self.end()
            return
        ws.connection_made()
        server.begun(ws)

    def _leave(self) -> None:
        self._step = _nothing
        self.reactor.cancel_alarm(self)
        self.server.forget(self)

    def dismiss(self) -> None:
        """The server goes away."""
        self.end()

    def end(self) -> None:
        """Hang up."""
        self._leave()
        if self.sock.fileno() >= 0:
            self.reactor.unregister(self.sock.fileno())
        close_socket(self.sock)


def _nothing() -> None:
    """It is over: there is nothing to go on with."""

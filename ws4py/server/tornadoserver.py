"""Tornado: websockets beside the other handlers of an application (6.5 and newer).

    Application([(r"/ws", WebSocketHandler, {"handler_cls": Echo})])

Tornado reads the request and gives away its stream; the socket is then served on the same loop,
by what serves asyncio. This module must never know frames.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from ws4py._extras import missing
from ws4py.awaited import handled
from ws4py.loopmanager import LoopManager
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, Request, Response
from ws4py.protocol.headers import Headers
from ws4py.server import SHUTTING_DOWN, Upgrader
from ws4py.server.farewell import dismiss
from ws4py.websocket import WebSocket, short_address

try:
    from tornado.ioloop import IOLoop
    from tornado.iostream import IOStream, StreamClosedError
    from tornado.web import RequestHandler
except ImportError as exc:
    raise missing(__name__, "tornado", exc) from exc

__all__ = ["WebSocketHandler", "close_all", "websockets"]

logger = logging.getLogger("ws4py.server")


class WebSocketHandler(RequestHandler):  # type: ignore[misc,unused-ignore]
    """Turns a request into a websocket, which has nothing to do with Tornado from then on.

    ``handler_cls`` makes the websocket of each connection, as for ``ws4py.server.BaseServer``;
    there too ``protocols``, ``origins``, ``select_subprotocol``, ``extra_headers`` and ``config``
    are described. ``prepare()`` and whatever else a ``RequestHandler`` has come before it: to
    refuse somebody, raise ``HTTPError`` there. ``handler_cls`` may be a coroutine function of one
    argument too, the connection in its awaited face (``ws4py.awaited``). Hooks run on the loop's
    thread, and may be coroutine functions.
    """

    def initialize(
        self,
        handler_cls: Callable[..., Any] = WebSocket,
        protocols: Sequence[str] = (),
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
        origins: Any = SAME_ORIGIN,
        extra_headers: Sequence[tuple[str, str]] = (),
        config: Config = DEFAULT,
    ) -> None:
        """Called by Tornado with the third item of the route."""
        self.upgrader = Upgrader(
            handled(handler_cls),
            protocols=protocols,
            select_subprotocol=select_subprotocol,
            origins=origins,
            extra_headers=extra_headers,
            config=config,
        )

    def get(self, *args: str, **kwargs: str) -> None:
        """Answer the opening handshake, or say what is wrong with it."""
        sock: Any = self.request.connection.stream.socket  # type: ignore[union-attr]
        if sock is None:
            return  # the peer has gone
        handshake = self.upgrader.new_handshake()
        handshake.request = self._request(sock)
        response = self.upgrader.answer(handshake)
        if not handshake.accepted:
            self._refuse(response)
            return
        try:
            ws = self.upgrader.upgrade(sock, handshake, handshake.request.peer)
        except Exception:
            self._refuse(self.upgrader.failed(handshake))
            return
        early = take_over(self.detach())
        # In place of finish(), which is not called: what templates use refers to this handler.
        self.ui.clear()
        if early is None:
            logger.info("%s has gone before it was served", handshake.request.peer)
            return
        if early:
            ws.stream.receive_data(early)
        websockets().add(ws)

    # To be told that only GET will do.
    head = post = put = delete = patch = options = get

    def _request(self, sock: Any) -> Request:
        ours = self.request
        return Request(
            ours.method or "",
            ours.uri or "",
            ours.version,
            Headers(ours.headers.get_all()),
            secure=ours.protocol == "https",
            peer=peer_of(sock),
        )

    def _refuse(self, response: Response) -> None:
        logger.info("refused %s with %d", self.request.remote_ip, response.status)
        self.clear()
        self.set_status(response.status)
        for name, value in response.headers.items():
            self.set_header(name, value)
        stream = self.request.connection.stream  # type: ignore[union-attr]
        # Whoever was refused has nothing else to ask on this connection.
        self.finish(response.body).add_done_callback(lambda _: stream.close())


def peer_of(sock: Any) -> Any:
    """The address of the peer; ``None`` of one that has gone before it was served."""
    try:
        return short_address(sock.getpeername())
    except OSError:
        return None


def take_over(stream: IOStream) -> bytes | None:
    """Make a stream let go of its socket: what it has read already; ``None``: it is closed."""
    # All of its buffer, or else one chunk of the socket's: not as much as a peer likes to send.
    try:
        reading: Any = stream.read_bytes(stream.max_buffer_size, partial=True)
    except StreamClosedError:
        return None
    if stream.closed():
        reading.exception()  # which is known
        return None
    IOLoop.current().remove_handler(stream.socket.fileno())
    return bytes(reading.result()) if reading.done() else b""


def websockets() -> LoopManager:
    """The open websockets of the running loop, to look through or to ``broadcast()`` to."""
    loop: Any = asyncio.get_running_loop()
    manager: LoopManager | None = getattr(loop, "_ws4py_tornado", None)
    if manager is None:
        manager = loop._ws4py_tornado = LoopManager()
    return manager


async def close_all(code: int = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]) -> None:
    """Close every websocket of the running loop, and wait for that. For the end of a program.

    Stop the HTTP server before. Takes little more than ``Config.close_timeout`` seconds.
    """
    await dismiss(websockets(), code, reason)

"""ASGI: websockets under uvicorn, hypercorn, granian, daphne or gunicorn's ASGI worker.

``WebSocketASGIApplication`` makes an application of a ``WebSocket`` subclass or a coroutine
function; the server does the framing. ``WebSocketProtocol`` is for ``uvicorn --ws``: there any
application runs on ws4py's own engine, and this one without ASGI in between. This module must
never know frames, nor which server it runs under.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ws4py.asynchooks import hook_task
from ws4py.awaited import handled
from ws4py.loopmanager import LoopManager
from ws4py.messaging import Message
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, Request, ServerHandshake
from ws4py.server import SHUTTING_DOWN, Upgrader, request_environ
from ws4py.server.asgimessages import CONNECTION, Event, Receive, Send, encode, refuse, respond
from ws4py.server.asgitransport import ASGITransport
from ws4py.server.farewell import dismiss
from ws4py.transport import PolledTransport
from ws4py.websocket import WebSocket

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["WebSocketASGIApplication"]

logger = logging.getLogger("ws4py.server")

#: What belongs to the server's own answer.
SERVERS_OWN = ("upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol")


class WebSocketASGIApplication:
    """An ASGI application (version 3) whose every path is a WebSocket endpoint.

    ``handler`` makes the websocket of each connection, as for ``ws4py.server.BaseServer``, or is
    a coroutine function of one argument, the connection in its awaited face (``ws4py.awaited``).
    Hooks may be coroutine functions. ``protocols``, ``origins``, ``select_subprotocol``,
    ``extra_headers`` and ``config``: see ``BaseServer``. Compression, pings and the largest
    message are the server's business: ``ping()`` does nothing and ``sock`` is ``None``. A
    fragmented message leaves in one piece. Not so under ``WebSocketProtocol``: there a websocket
    is what it is everywhere, and ``config`` goes before uvicorn's settings.

    ``environ["asgi.scope"]`` of a websocket is the scope of its request. Ordinary requests get
    426 and an explanation, so it can be mounted beside others. ``broadcast`` works from any
    thread; ``for ws in application`` and ``len(application)`` are about the open websockets.
    """

    def __init__(
        self,
        handler: Callable[..., Any] = WebSocket,
        *,
        protocols: Sequence[str] = (),
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
        origins: Any = SAME_ORIGIN,
        extra_headers: Sequence[tuple[str, str]] = (),
        config: Config = DEFAULT,
    ) -> None:
        self._upgrader = Upgrader(
            handled(handler),
            protocols=protocols,
            select_subprotocol=select_subprotocol,
            origins=origins,
            extra_headers=extra_headers,
            config=config,
        )
        self._manager: _Manager | None = None

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """One connection, one request, or the life of the server."""
        kind = scope["type"]
        if kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "http":
            await respond(ServerHandshake().answer(Request.from_scope(scope)), send, "http")
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        else:
            raise ValueError(f"an ASGI application for websockets cannot serve {kind!r}")

    # -- one connection --------------------------------------------------------------------

    async def _websocket(self, scope: Event, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        ours = (scope.get("extensions") or {}).get(CONNECTION, {}).get("connection")
        upgrader = self._upgrader
        handshake = upgrader.new_handshake(compression=ours is not None)
        handshake.request = request = Request.from_scope(scope)
        response = upgrader.answer(handshake)
        ws = None
        if handshake.accepted:
            try:
                ws = self._make(scope, request, handshake, ours and ours.sock)
            except Exception:
                response = upgrader.failed(handshake)
        if ws is None:
            logger.info("refused %s with %d", request.peer, response.status)
            await refuse(response, scope, send)
            return
        headers = encode([p for p in response.headers.items() if p[0].lower() not in SERVERS_OWN])
        event = {"type": "websocket.accept", "headers": headers}
        if handshake.subprotocol:
            event["subprotocol"] = handshake.subprotocol
        if ours is not None:
            await self.manager.take(ws, ours, send(event))
            return
        await send(event)
        transport = ASGITransport(ws, receive, send, request.secure)
        ws.transport = transport
        await self.manager.serve(ws, transport)

    def _make(
        self, scope: Event, request: Request, handshake: ServerHandshake, sock: Any
    ) -> WebSocket:
        server = scope.get("server")
        local = tuple(server) if server and server[1] is not None else server and server[0]
        environ = request_environ(request, local, request.peer, request.secure)
        root = scope.get("root_path") or ""
        environ["SCRIPT_NAME"] = root
        environ["PATH_INFO"] = scope["path"].removeprefix(root)
        environ["asgi.scope"] = scope
        return self._upgrader.make(sock, handshake, environ, local, request.peer)

    # -- all of them -----------------------------------------------------------------------

    @property
    def manager(self) -> _Manager:
        """The open websockets. First asked for on the loop's thread."""
        if self._manager is None:
            self._manager = _Manager()
        return self._manager

    def broadcast(self, message: Payload | Message, binary: bool | None = None) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged."""
        self.manager.broadcast(message, binary)

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self._manager or ())

    def __len__(self) -> int:
        return len(self._manager or ())

    def __bool__(self) -> bool:
        return True  # an application that nobody is connected to is one all the same

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.shutdown":
                await self.close()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return

    async def close(self, code: int = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]) -> None:
        """Close every websocket, and wait for that: little more than ``Config.close_timeout``."""
        await dismiss(self.manager, code, reason)


class _Manager(LoopManager):
    """Keeps the websockets that the tasks of the server serve."""

    async def serve(self, ws: WebSocket, transport: ASGITransport) -> None:
        """Until the end of the connection, of its hooks and of its handler."""
        hooks = hook_task(ws, self._reactor)
        self._websockets[id(ws)] = ws
        try:
            await transport.serve()
        finally:
            self._forget(ws)
            await self._last_words(ws, hooks)

    async def take(self, ws: WebSocket, connection: Any, accepted: Awaitable[None]) -> None:
        """The same for a connection of ours, once it is ``accepted``."""
        over = asyncio.Event()
        hooks = None

        def start(transport: PolledTransport) -> None:
            nonlocal hooks
            hooks = self.adopt_over(transport, ws, over.set)
            ws.connection_made()

        connection.take(ws, start)
        await accepted
        try:
            await over.wait()
        finally:
            ws.close_connection()  # if the server has lost its patience
            await self._last_words(ws, hooks)

    async def _last_words(self, ws: WebSocket, hooks: asyncio.Task[None] | None) -> None:
        tasks = {task for task in (hooks, getattr(ws, "task", None)) if task is not None}
        for task in tasks:
            self.keep(task)
        if tasks:
            await asyncio.wait(tasks)


def __getattr__(name: str) -> Any:
    if name == "WebSocketProtocol":
        return importlib.import_module("ws4py.server.uvicornprotocol").WebSocketProtocol
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The server on an asyncio loop, for coroutine handlers and for any ``WebSocket`` subclass.

uvloop's loop does as well. This module must never know frames, or how a loop waits.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Generator
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from ws4py.awaited import Later, handled
from ws4py.loopmanager import LoopManager
from ws4py.messaging import Message
from ws4py.protocol.handshake import Response
from ws4py.server import LAST_WORDS, SHUTTING_DOWN
from ws4py.server.opening import Opening, OpeningServer
from ws4py.websocket import Payload, WebSocket

__all__ = ["WebSocketServer", "serve"]


class WebSocketServer(OpeningServer):
    """Serves any number of connections on the running loop. Arguments: see ``BaseServer``.

    ``handler`` may also be a coroutine function of one argument, the connection in its awaited
    face (see ``ws4py.awaited``): when it returns the connection is closed with 1000, when it
    raises with 1011. Hooks, ``process_request`` and
    ``process_response`` may be coroutine functions.

    Listens from the moment it is made and serves after ``await server`` or within
    ``async with server``. Everything belongs to the loop's thread except ``close()`` and
    ``broadcast()``.
    """

    manager: LoopManager

    def __init__(
        self,
        handler: Callable[..., Any] = WebSocket,
        host: Any = "127.0.0.1",
        port: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(handled(handler), host, port, **options)
        self._ended = asyncio.Event()

    # -- running ---------------------------------------------------------------------------

    async def start(self) -> WebSocketServer:
        """Begin to serve; returns the server."""
        self.manager = LoopManager()
        self._listen()
        return self

    def __await__(self) -> Generator[Any, Any, WebSocketServer]:
        return self.start().__await__()

    async def __aenter__(self) -> WebSocketServer:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def serve_forever(self) -> None:
        """Serve until ``close()`` or SIGTERM; started if it was not.

        When it is cancelled, as Ctrl-C does, it closes as well before it goes.
        """
        if self._running is None:
            await self.start()
        undo = self._close_on_sigterm()
        try:
            await self._ended.wait()
        finally:
            undo()
            await self.close()

    def _close_on_sigterm(self) -> Callable[[], object]:
        """Only where nobody else has; the rest of the program may have plans of its own."""
        loop = asyncio.get_running_loop()
        try:
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                loop.add_signal_handler(signal.SIGTERM, self.close)
                return functools.partial(loop.remove_signal_handler, signal.SIGTERM)
        except (NotImplementedError, RuntimeError, ValueError):
            pass  # not the main thread, or not Unix
        return lambda: None

    def close(
        self, code: int | None = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]
    ) -> Awaitable[None]:
        """Stop accepting, close every connection with ``code``; what does not go is cut.

        With ``None`` for a code the connections are left to themselves, and waited for.

        Any thread; returns at once. Awaiting it waits for the end, for little more than
        ``Config.close_timeout`` seconds. The second call with anybody left cuts at once.
        """
        again, self._closing = self._closing, True
        if self._running is None:
            self.close_listeners()
            self._ended.set()
        elif not self._ended.is_set():
            self._running.call_soon(self._shutdown.begin, code, reason, again)
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Wait for the end of ``close()``."""
        await self._ended.wait()

    # -- websockets ------------------------------------------------------------------------

    @property
    def connections(self) -> list[WebSocket]:
        """The open websockets: a copy."""
        return list(self.manager) if self._running is not None else []

    def broadcast(self, message: Payload | Message, binary: bool | None = None) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged.

        To a coroutine handler's peers ``bytes`` go as binary, else as text unless ``binary``.
        """
        self.manager.broadcast(message, binary)

    # -- for OpeningServer -----------------------------------------------------------------

    def _open(self, sock: socket.socket, peer: Any) -> Opening:
        kind = AskingOpening if self._awaits() else Opening
        return kind(self, sock, peer)

    def _awaits(self) -> bool:
        """Whether a hook of the opening handshake is a coroutine function."""
        hooks = (self.process_request, self.process_response)
        return any(iscoroutinefunction(hook) for hook in hooks)

    def begun(self, ws: WebSocket) -> None:
        """Keep the handler's task."""
        self.manager.begun(ws)

    def _busy(self) -> bool:
        return super()._busy() or bool(self.manager.tasks)

    def _cut(self) -> None:
        if not self._ended.is_set():
            self._end_task = asyncio.get_running_loop().create_task(self._end())

    async def _end(self) -> None:
        try:
            await self.manager.end(LAST_WORDS)
        finally:
            for opening in list(self._openings):
                opening.end()
            self._ended.set()


class AskingOpening(Opening):
    """An opening some of whose hooks are coroutine functions."""

    server: WebSocketServer
    asking = False

    def dismiss(self) -> None:
        """Hang up, unless an answer is on its way."""
        if not self.asking:
            self.end()

    def _decide(self) -> None:
        if self.handshake.request is None:
            super()._decide()
            return
        self._watch(0)
        self.asking = True
        self.server.manager.keep(asyncio.get_running_loop().create_task(self._ask()))

    async def _ask(self) -> None:
        server, handshake = self.server, self.handshake
        response = await awaiting(server.asking(handshake))
        if server._closing and handshake.accepted:
            response = Response.text(503, "The server is shutting down.\n")
            handshake.replace(response)
        if self.sock.fileno() >= 0:  # else time was up
            self._conclude(response)


async def awaiting(steps: Generator[Any, Any, Response]) -> Response:
    """What steps come to where each may be something to await."""
    try:
        step = next(steps)
        while True:
            try:
                result = await step if isawaitable(step) else step
            except Exception as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(result)
    except StopIteration as end:
        response: Response = end.value
        return response


def serve(
    handler: type[WebSocket] | Callable[[Any], Coroutine[Any, Any, object]] | Callable[..., Any],
    host: Any = "127.0.0.1",
    port: int = 0,
    **options: Any,
) -> WebSocketServer:
    """A server that listens already.

    Go on with ``async with serve(…) as server``, ``server = await serve(…)`` or
    ``await serve(…).serve_forever()``. Arguments: see ``WebSocketServer``.
    """
    return WebSocketServer(handler, host, port, **options)

"""The manager on an asyncio loop: its websockets, and the tasks that belong to them.

Every server and every program on a loop needs the same of it, whoever opens the connections. It
must never know the opening handshake, TLS or frames.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ws4py.asynchooks import hook_task
from ws4py.asyncioreactor import AsyncioReactor, reactor_of
from ws4py.awaited import HandledWebSocket
from ws4py.broadcasting import broadcast
from ws4py.manager import WebSocketManager
from ws4py.messaging import Message
from ws4py.reactor import Channel
from ws4py.transport import PolledTransport
from ws4py.websocket import WebSocket

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["LoopManager"]

logger = logging.getLogger("ws4py")


class LoopManager(WebSocketManager):
    """Serves websockets on the running loop; hooks may be coroutine functions.

    ``add``, ``remove`` and iteration belong to the loop's thread, everything else to any.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reactor: AsyncioReactor = reactor_of(asyncio.get_running_loop())
        #: Handlers and hooks that run.
        self.tasks: set[asyncio.Task[Any]] = set()
        self.running = True

    def start(self) -> None:
        """Not here: the loop runs it."""
        raise RuntimeError("this manager is run by the asyncio loop")

    run = start

    def add(self, ws: WebSocket) -> None:
        """Serve this websocket and call ``opened()``. No-op when it is in."""
        if ws not in self:
            # As a turn: the answer to its opening handshake need not wait for the loop's next one.
            self._reactor.within(self._begin, ws)

    def _begin(self, ws: WebSocket) -> None:
        self.adopt(ws)
        ws.connection_made()
        self.begun(ws)

    def adopt(self, ws: WebSocket, before: Channel | None = None) -> None:
        """Serve this websocket, whose ``opened()`` is taken care of."""
        self.keep(hook_task(ws, self._reactor))
        super().adopt(ws, before)

    def adopt_over(
        self, transport: PolledTransport, ws: WebSocket, over: Callable[[], object]
    ) -> asyncio.Task[None] | None:
        """The same over a transport that there is already; its hooks' task, if it has one.

        ``over`` is called when the connection is.
        """
        hooks = hook_task(ws, self._reactor)
        self.keep(hooks)

        def end(ws: WebSocket) -> None:
            self._forget(ws)
            over()

        transport.on_end = end
        ws.transport = transport
        self._websockets[id(ws)] = ws
        transport.start(ws)
        return hooks

    def begun(self, ws: WebSocket) -> None:
        """``opened()`` was called: if it started a handler, keep an eye on it."""
        if isinstance(ws, HandledWebSocket):
            self.keep(ws.task)

    def keep(self, task: asyncio.Task[Any] | None) -> None:
        """Remember a task until it is done; the loop itself does not."""
        if task is not None and not task.done():
            self.tasks.add(task)
            task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("error in %r", task, exc_info=error)
        if self.on_forget is not None:
            self.on_forget()

    def stop(self) -> None:
        """Cut every connection; see ``close_all`` for manners. The hooks of the end follow."""
        for ws in self:
            ws.close_connection()

    async def end(self, patience: float) -> None:
        """Cut what is left and wait until it is gone; cancel tasks that take longer."""
        self.stop()
        # Each end is a call to the loop that was made before this one.
        await asyncio.sleep(0)
        for _ in range(2):
            if self.tasks:
                _, late = await asyncio.wait(self.tasks, timeout=patience)
                for task in late:
                    task.cancel()

    def broadcast(self, message: Payload | Message, binary: bool | None = None) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged.

        ``binary``: by default as the ``send()`` of each takes it.
        """
        broadcast(self, message, binary)

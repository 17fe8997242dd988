"""Hooks that are coroutine functions: run one after another, in one task per connection.

For backends on an asyncio loop. While a hook runs, its connection is not read from, so that what
waits is bounded. This module must never know sockets, frames or what a hook does.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from ws4py.asyncioreactor import AsyncioReactor
from ws4py.websocket import WebSocket

__all__ = ["HookTask", "hook_task"]

logger = logging.getLogger("ws4py")

HOOKS = ("opened", "received_message", "ponged", "unhandled_error", "closed")
#: Those of clients that connect again, which belong between the others.
MORE_HOOKS = ("reconnected", "_send_kept")


def has_coroutine_hooks(cls: type[WebSocket]) -> bool:
    """Whether any hook of this class is a coroutine function."""
    return any(iscoroutinefunction(getattr(cls, name, None)) for name in (*HOOKS, *MORE_HOOKS))


def hook_task(ws: WebSocket, reactor: AsyncioReactor) -> asyncio.Task[None] | None:
    """Run the hooks of this websocket in a task, if any is a coroutine function.

    To be called before anything is delivered; the task ends when ``closed()`` has.
    """
    return HookTask(ws, reactor).task if has_coroutine_hooks(type(ws)) else None


class HookTask:
    """Stands in front of the hooks of one websocket and calls them in turn."""

    def __init__(self, ws: WebSocket, reactor: AsyncioReactor) -> None:
        self.ws = ws
        self.reactor = reactor
        self._stream = ws.stream
        self._transport: Any = None
        self._hooks: dict[str, Callable[..., Any]] = {}
        self._calls: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._over = False
        self._idle: asyncio.Future[None] | None = None
        for name in (*HOOKS, *MORE_HOOKS):
            if hasattr(ws, name):
                self._hooks[name] = getattr(ws, name)
                setattr(ws, name, functools.partial(self._call, name))
        ws.terminate = self._terminate  # type: ignore[method-assign]
        self.task = reactor.loop.create_task(self._run())

    def _call(self, name: str, *args: Any) -> None:
        """The websocket calls a hook; on the loop's thread."""
        self._calls.append((name, args))
        self.ws.stream.held = True
        self._wake()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _terminate(self) -> None:
        """In the place of the websocket's: what comes after ``closed()`` waits for it."""
        info = self.ws._begin_end()
        if info is not None:
            self._transport = self.ws._transport
            self._calls.append(("closed", (info.code, info.reason)))
            self._over = True
            self.reactor.call_soon(self._wake)

    async def _run(self) -> None:
        ws = self.ws
        try:
            while not self._over or self._calls:
                if not self._calls:
                    await self._wait()
                    continue
                name, args = self._calls.popleft()
                await self._run_hook(name, args)
        except asyncio.CancelledError:
            logger.warning("a hook of %r was cancelled: closed() is not called", ws)
            raise
        finally:
            for name in (*HOOKS, *MORE_HOOKS, "terminate"):
                ws.__dict__.pop(name, None)
            if ws.stream is self._stream:
                ws._begin_end()  # nothing new, unless it was cancelled
                ws._finish_end()
            elif self._transport is not None:
                self._transport.close()  # closed() has called __init__: this is another connection

    async def _wait(self) -> None:
        """Until there is something to call; let the connection go on reading."""
        self._idle = self.reactor.loop.create_future()
        self.ws.stream.held = False
        self.ws.transport.proceed()
        try:
            await self._idle
        finally:
            self._idle = None

    async def _run_hook(self, name: str, args: tuple[Any, ...]) -> None:
        try:
            result = self._hooks[name](*args)
            if isawaitable(result):
                await result
        except Exception:
            if name == "closed":
                logger.exception("error in %s.closed() of %r", type(self.ws).__name__, self.ws)
            else:
                self.ws._hook_failed(name)

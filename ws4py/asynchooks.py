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


def has_coroutine_hooks(cls: type[WebSocket]) -> bool:
    """Whether any hook of this class is a coroutine function."""
    return any(iscoroutinefunction(getattr(cls, name)) for name in HOOKS)


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
        self._hooks: dict[str, Callable[..., Any]] = {}
        self._calls: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._over = False
        self._told = False  # closed() was called
        self._idle: asyncio.Future[None] | None = None
        for name in HOOKS:
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
            logger.warning("a hook of %r was cancelled", ws)
            self._cancelled()
            raise
        finally:
            for name in (*HOOKS, "terminate"):
                ws.__dict__.pop(name, None)
            ws._finish_end()

    async def _wait(self) -> None:
        """Until there is something to call; let the connection go on reading."""
        self._idle = self.reactor.loop.create_future()
        self.ws.stream.held = False
        self.ws.transport.proceed()
        try:
            await self._idle
        finally:
            self._idle = None

    def _cancelled(self) -> None:
        """Nothing can be waited for any more, but a plain ``closed()`` can still be called."""
        info = self.ws._begin_end() or self.ws.close_info
        if self._told or info is None:
            return
        closed = self._hooks["closed"]
        if iscoroutinefunction(closed):
            logger.warning("closed() of %r is not called: it would have to be waited for", self.ws)
            return
        try:
            closed(info.code, info.reason)
        except Exception:
            logger.exception("error in %s.closed() of %r", type(self.ws).__name__, self.ws)

    async def _run_hook(self, name: str, args: tuple[Any, ...]) -> None:
        self._told = name == "closed"
        try:
            result = self._hooks[name](*args)
            if isawaitable(result):
                await result
        except Exception:
            if name == "closed":
                logger.exception("error in %s.closed() of %r", type(self.ws).__name__, self.ws)
            else:
                self.ws._hook_failed(name)

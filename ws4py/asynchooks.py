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

HOOKS = (
    "opened",
    "received_message",
    "ponged",
    "unhandled_error",
    "closed",
    # Those of clients that connect again, which belong between the others.
    "reconnected",
    "_send_kept",
)
#: What they are until a class overrides them.
PLAIN_HOOKS = [(name, getattr(WebSocket, name, None)) for name in HOOKS]


def has_coroutine_hooks(cls: type[WebSocket]) -> bool:
    """Whether any hook of this class is a coroutine function."""
    # To look into every hook for every connection takes as long as to read the request.
    for name, plain in PLAIN_HOOKS:
        hook = getattr(cls, name, None)
        if hook is not plain and iscoroutinefunction(hook):
            return True
    return False


def hook_task(ws: WebSocket, reactor: AsyncioReactor) -> asyncio.Task[None] | None:
    """Run the hooks of this websocket in a task, if any is a coroutine function.

    To be called before anything is delivered; the task ends when ``closed()`` has.
    """
    return HookTask(ws, reactor).task if has_coroutine_hooks(type(ws)) else None


def forget_hooks(ws: WebSocket, of: HookTask | None = None) -> None:
    """Call the hooks of this websocket directly again; ``of``: if this one stands before them."""
    for name in (*HOOKS, "terminate"):
        there = ws.__dict__.get(name)
        owner = getattr(getattr(there, "func", there), "__self__", None)
        if isinstance(owner, HookTask) and of in (None, owner):
            del ws.__dict__[name]


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
        self._told = False  # closed() was called
        self._idle: asyncio.Future[None] | None = None
        forget_hooks(ws)  # of the connection before, if this is begun in its closed()
        for name in HOOKS:
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
            logger.warning("a hook of %r was cancelled", ws)
            if ws.stream is self._stream:
                self._cancelled()
            raise
        finally:
            forget_hooks(ws, self)
            if ws.stream is self._stream:
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

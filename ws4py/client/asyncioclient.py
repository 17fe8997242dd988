"""The clients on an asyncio loop: ``connect()`` for coroutines, ``WebSocketClient`` with hooks.

uvloop's loop does as well. This module must never know sockets or frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

from ws4py.asyncioreactor import reactor_of
from ws4py.awaited import Awaited
from ws4py.client import GivenUrl
from ws4py.client.opening import LoopClient, drive
from ws4py.client.reconnect import (
    DEFAULT,
    Attempts,
    Reconnecting,
    Why,
    keep_trying,
    policy_of,
    tell_nobody,
)
from ws4py.client.route import Await, Steps

__all__ = ["ClientConnection", "WebSocketClient", "connect"]


class WebSocketClient(LoopClient):
    """Hooks on an asyncio loop. Arguments as ``WebSocketBaseClient``.

    ``await ws.connect()`` where a loop runs; in a plain program ``ws.connect()`` and then
    ``ws.run_forever()``.
    """


class ClientConnection(Awaited, LoopClient):  # type: ignore[misc]
    """The awaited face of a client; ``connect()`` makes it."""


class connect:
    """``ws = await connect(url)`` or ``async with connect(url) as ws``, which closes in the end.

    Arguments and errors as ``WebSocketBaseClient`` and its ``connect()``. See ``Awaited`` for
    what can be done with a connection.

    ``async for ws in connect(url)`` gives one connection after the other: when the body is done
    with one, be it by ``continue``, it is closed, and the next is waited for as ``reconnect``
    says (see ``client.reconnect``). The error for which it is given up ends the loop.
    """

    def __init__(self, url: GivenUrl, *, reconnect: Reconnecting = None, **options: Any) -> None:
        self._url = url
        self._options = options
        self._policy = policy_of(reconnect)
        self._ws: ClientConnection | None = None

    def _opening(self) -> Steps[ClientConnection]:
        ws = ClientConnection(self._url, **self._options)
        yield Await(ws._open(), None)
        return ws

    async def _next(self, attempts: Attempts, why: Why | None = None) -> ClientConnection:
        steps = keep_trying(attempts, self._opening, tell_nobody, why)
        return await drive(steps, reactor_of(asyncio.get_running_loop()))

    async def _connect(self) -> ClientConnection:
        if self._policy is not None:
            return await self._next(Attempts(self._policy))
        ws = ClientConnection(self._url, **self._options)
        await ws._open()
        return ws

    def __await__(self) -> Generator[Any, Any, ClientConnection]:
        return self._connect().__await__()

    async def __aenter__(self) -> ClientConnection:
        self._ws = await self._connect()
        return self._ws

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._ws is not None
        await self._ws.close()

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        attempts = Attempts(self._policy or DEFAULT)
        why = None
        while True:
            ws = await self._next(attempts, why)
            async with ws:
                yield ws
            why = ws.close_info

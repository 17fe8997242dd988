"""The clients on an asyncio loop: ``connect()`` for coroutines, ``WebSocketClient`` with hooks.

uvloop's loop does as well. This module must never know sockets or frames.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ws4py.awaited import Awaited
from ws4py.client.opening import LoopClient

__all__ = ["ClientConnection", "WebSocketClient", "connect"]


class WebSocketClient(LoopClient):
    """Hooks on an asyncio loop. Arguments as ``WebSocketBaseClient``.

    ``await ws.connect()`` where a loop runs; in a plain program ``ws.connect()`` and then
    ``ws.run_forever()``.
    """


class ClientConnection(Awaited, LoopClient):
    """The awaited face of a client; ``connect()`` makes it."""


class connect:
    """``ws = await connect(url)`` or ``async with connect(url) as ws``, which closes in the end.

    Arguments and errors as ``WebSocketBaseClient`` and its ``connect()``. See ``Awaited`` for
    what can be done with a connection.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._ws: ClientConnection | None = None

    async def _connect(self) -> ClientConnection:
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

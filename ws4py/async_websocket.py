"""The ``WebSocket`` of ws4py 0.6 for asyncio, made with the protocol that serves it.

New programs need no class of their own for asyncio: see ``ws4py.server.asyncioserver``. This
module must never know how a connection is opened or driven.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ws4py.messaging import Message
from ws4py.websocket import WebSocket as _WebSocket

__all__ = ["EchoWebSocket", "WebSocket"]


class WebSocket(_WebSocket):
    """Hooks as always, plain or coroutine functions; ``proto`` is a ``WebSocketProtocol``."""

    def __init__(self, proto: Any) -> None:
        super().__init__(None)
        self.proto = proto
        #: Whether ``opened()`` was called.
        self.started = False
        self._over = asyncio.Event()

    def connection_made(self) -> None:
        """Call ``opened()``."""
        self.started = True
        super().connection_made()

    async def run(self) -> None:  # type: ignore[override]
        """Wait until ``closed()`` has returned; the loop does the rest."""
        await self._over.wait()

    def _finish_end(self) -> None:
        super()._finish_end()
        self._over.set()

    def once(self) -> bool:
        """Not here: the loop reads."""
        raise NotImplementedError("the asyncio loop drives this websocket: await run()")


class EchoWebSocket(WebSocket):
    """Sends every message back as it came."""

    def received_message(self, message: Message) -> None:
        """Echo."""
        self.send(message.data, message.is_binary)

"""``websockets`` as it was in 2.x, when the project began.

    import ws4py.dropin.websockets.v2 as websockets

``recv()`` gives ``None`` at the end, whatever that was. ``send()`` need not be awaited: it returns
a future, which ``asyncio.wait()`` takes as it took coroutines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ws4py.dropin.websockets.asyncio import client, server
from ws4py.dropin.websockets.asyncio.connection import Connection as WebSocketCommonProtocol
from ws4py.dropin.websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidOrigin,
    InvalidState,
    InvalidURI,
)
from ws4py.dropin.websockets.uri import WebSocketURI, parse_uri
from ws4py.exc import ConnectionClosed as EngineClosed

__all__ = [
    "ConnectionClosed",
    "InvalidHandshake",
    "InvalidOrigin",
    "InvalidState",
    "InvalidURI",
    "WebSocketClientProtocol",
    "WebSocketCommonProtocol",
    "WebSocketServerProtocol",
    "WebSocketURI",
    "connect",
    "parse_uri",
    "serve",
]


class _Eager(WebSocketCommonProtocol):
    """Sends without being awaited."""

    def send(self, message: Any, *, text: bool | None = None) -> Any:
        """Send; a future that is done when the peer has room for more.

        Now, not when the loop comes to it: a caller may have looked whether it is ``open``, and
        may close it next.
        """
        try:
            begun = self._begin(message, text)
        except EngineClosed:
            begun = self._ended()
        return asyncio.ensure_future(self._finish(begun))

    async def _finish(self, begun: Awaitable[None]) -> None:
        try:
            await begun
        except EngineClosed:
            await self._ended()


class WebSocketClientProtocol(_Eager, client.ClientConnection):
    """What ``connect`` gives."""


class WebSocketServerProtocol(_Eager, server.ServerConnection):
    """What a handler gets."""


def connect(uri: str, **options: Any) -> client.connect:
    """See ``asyncio.client.connect``."""
    options.setdefault("klass", WebSocketClientProtocol)
    return client.connect(uri, legacy_recv=True, **options)


def serve(
    handler: Callable[..., Any], host: Any = None, port: int | None = None, **options: Any
) -> server.Server:
    """See ``asyncio.server.serve``; ``handler`` takes the connection and the path."""
    options.setdefault("klass", WebSocketServerProtocol)
    return server.serve(handler, host, port, legacy_recv=True, **options)

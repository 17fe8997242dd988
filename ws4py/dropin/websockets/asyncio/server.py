"""``serve`` for coroutines, over our server on an asyncio loop."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Generator
from typing import Any

from ws4py.awaited import HandledWebSocket
from ws4py.dropin.websockets.answering import Answering
from ws4py.dropin.websockets.asyncio.connection import Connection, broadcast
from ws4py.dropin.websockets.auth import basic_auth
from ws4py.dropin.websockets.exceptions import ConnectionClosed
from ws4py.dropin.websockets.frames import CloseCode
from ws4py.dropin.websockets.protocol import OPEN, Protocol
from ws4py.dropin.websockets.serving import BaseServer, Responding
from ws4py.server.asyncioserver import WebSocketServer
from ws4py.server.opening import Opening

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]


class ServerConnection(Responding, Connection):
    """What a handler gets."""

    def __init__(self, protocol: Protocol, server: Any = None, **limits: Any) -> None:
        super().__init__(protocol, **limits)
        self.server = server


class _Engine(Answering, WebSocketServer):
    """Our server."""

    def __init__(self, owner: Server, **options: Any) -> None:
        self.owner = owner
        super().__init__(functools.partial(HandledWebSocket, owner.handle), **options)

    def _awaits(self) -> bool:
        return self.process_request is not None or self.owner.asks()

    def _open(self, sock: socket.socket, peer: Any) -> Opening:
        opening = super()._open(sock, peer)
        opening.handshake.connection.protocol.opening = opening  # type: ignore[attr-defined]
        return opening


class Server(BaseServer):
    """What ``serve`` gives: ``await`` it, or use it with ``async with``.

    May be made before a loop runs; it listens when it is awaited.
    """

    connection_class = ServerConnection

    def __init__(
        self, handler: Callable[..., Any], host: Any, port: int | None, options: dict[str, Any]
    ) -> None:
        super().__init__(handler, host, port, options)
        self.server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun = self._closing = False

    def asks(self) -> bool:
        """Whether a hook may have to be awaited."""
        return self.process_request is not None or self.process_response is not None

    async def handle(self, ws: Any) -> None:
        """One connection, from its opening to its end."""
        connection = ws.face
        try:
            await self._call(connection)
        except Exception as exc:
            if isinstance(exc, ConnectionClosed) and connection.protocol.state is not OPEN:
                self.logger.debug("the handler has met the end of %r", connection)
            else:
                connection.logger.error("connection handler failed", exc_info=True)
            await connection.close(CloseCode.INTERNAL_ERROR)
        else:
            await connection.close()

    # -- running ---------------------------------------------------------------------------

    async def _await(self) -> Server:
        if self.server is None:
            self._loop = asyncio.get_running_loop()
            self.server = _Engine(self, **self._engine_options)
            if self.options.get("start_serving", True):
                await self.start_serving()
        return self

    def __await__(self) -> Generator[Any, Any, Server]:
        return self._await().__await__()

    async def __aenter__(self) -> Server:
        return await self

    async def __aexit__(self, *exc_info: Any) -> None:
        self.close()
        await self.wait_closed()

    async def start_serving(self) -> None:
        """Begin to serve, where ``start_serving=False`` has put it off."""
        await self
        if not self._begun:
            self._begun = True
            await self.server.start()
            for address in self.server.addresses:
                self.logger.info("server listening on %s", address)

    async def serve_forever(self) -> None:
        """Serve until ``close()``; to cancel it closes too."""
        await self.start_serving()
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._begun and not self._closing

    def get_loop(self) -> Any:
        """The loop that it serves on."""
        return self._loop

    def close(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop accepting; close the connections, or let them be; ``wait_closed()`` waits."""
        if self._closing or self.server is None:
            return
        self._closing = True
        self.logger.info("server closing")
        self.server.close(int(code) if close_connections else None, reason)

    async def wait_closed(self) -> None:
        """Wait until all connections are closed and all handlers have returned."""
        await self.server.wait_closed()

    # -- facts -----------------------------------------------------------------------------

    @property
    def connections(self) -> set[Any]:
        """The open connections."""
        return {ws.face for ws in self.server.connections if ws.face.protocol.state is OPEN}

    #: As of old.
    websockets = connections

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Those it listens on."""
        if self.server is None or self._closing:
            return ()
        return tuple(self.server.listeners)


def serve(
    handler: Callable[..., Any], host: Any = None, port: int | None = None, **options: Any
) -> Server:
    """A server whose ``handler`` is a coroutine function of the connection.

    Of the connection and the path, if it takes two arguments, as of old. Arguments are those of
    ``websockets``, of today and of old; ``legacy_recv`` lets ``recv()`` give ``None`` at the end.
    """
    return Server(handler, host, port, options)


def unix_serve(handler: Callable[..., Any], path: Any = None, **options: Any) -> Server:
    """The same on the Unix socket at ``path``."""
    return Server(handler, None, None, {"unix": True, "path": path, **options})

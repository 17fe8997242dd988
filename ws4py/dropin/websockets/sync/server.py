"""``serve`` for threads, over our server with a thread for each connection."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from ws4py.dropin.websockets.answering import Answering
from ws4py.dropin.websockets.auth import basic_auth
from ws4py.dropin.websockets.exceptions import ConnectionClosed
from ws4py.dropin.websockets.frames import CloseCode
from ws4py.dropin.websockets.protocol import OPEN, Protocol
from ws4py.dropin.websockets.serving import BaseServer, Responding
from ws4py.dropin.websockets.sync.connection import Connection
from ws4py.protocol.handshake import Response, ServerHandshake
from ws4py.pulled import PulledHandler
from ws4py.server.threadedserver import WebSocketServer

__all__ = ["Server", "ServerConnection", "basic_auth", "serve", "unix_serve"]


class ServerConnection(Responding, Connection):
    """What a handler gets."""

    def __init__(self, socket: Any, protocol: Protocol, server: Any = None, **limits: Any) -> None:
        super().__init__(protocol, **limits)
        self.server = server


class _Engine(Answering, WebSocketServer):
    """Our server."""

    def __init__(self, owner: Server, **options: Any) -> None:
        self.owner = owner
        super().__init__(functools.partial(PulledHandler, owner.handle), **options)

    def answer(self, handshake: ServerHandshake) -> Response:
        """On the thread of the connection, which has the socket, or whose opening has."""
        here: Any = threading.current_thread()
        opening = getattr(here, "opening", here)
        handshake.connection.protocol.opening = opening  # type: ignore[attr-defined]
        return super().answer(handshake)


class Server(BaseServer):
    """What ``serve`` gives; it listens already: go on with ``serve_forever()``."""

    connection_class = ServerConnection
    connection_limits = ("ping_interval", "ping_timeout", "close_timeout", "max_queue")

    def __init__(
        self, handler: Callable[..., Any], host: Any, port: int | None, options: dict[str, Any]
    ) -> None:
        super().__init__(handler, host, port, options)
        self.server = _Engine(self, **self._engine_options)
        self._closing = False

    def create(self, factory: Any, protocol: Protocol) -> Any:
        """Call a factory as theirs are called."""
        return super().create(functools.partial(factory, None), protocol)

    def handle(self, ws: Any) -> None:
        """One connection, from its opening to its end."""
        connection = ws.face
        try:
            self._call(connection)
        except Exception as exc:
            if isinstance(exc, ConnectionClosed) and connection.protocol.state is not OPEN:
                self.logger.debug("the handler has met the end of %r", connection)
            else:
                connection.logger.error("connection handler failed", exc_info=True)
            connection.close(CloseCode.INTERNAL_ERROR)
        else:
            connection.close()

    def serve_forever(self) -> None:
        """Serve on the calling thread until ``shutdown()``."""
        self.server.serve_forever()

    def shutdown(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop accepting; close the connections, or let them be; wait for their handlers."""
        if not self._closing:
            self._closing = True
            self.logger.info("server closing")
            self.server.close(int(code) if close_connections else None, reason)

    @property
    def socket(self) -> Any:
        """The one that it listens on."""
        return self.server.listeners[0]

    @property
    def connections(self) -> set[Any]:
        """The open connections."""
        found: list[Any] = list(self.server)
        return {ws.face for ws in found if ws.face.protocol.state is OPEN}

    def fileno(self) -> int:
        """Of the socket that it listens on."""
        return int(self.socket.fileno())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()


def serve(
    handler: Callable[..., Any], host: Any = None, port: int | None = None, **options: Any
) -> Server:
    """A server whose ``handler`` is a function of the connection, called on a thread of its own.

    The arguments are those of ``websockets``.
    """
    if "ssl_context" in options:
        options["ssl"] = options.pop("ssl_context")
    return Server(handler, host, port, options)


def unix_serve(handler: Callable[..., Any], path: Any = None, **options: Any) -> Server:
    """The same on the Unix socket at ``path``."""
    return serve(handler, unix=True, path=path, **options)

"""Tornado for the command: an application with one route, and a client, on a loop of their own."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from ws4py.cli.loops import LoopThread, OnLoopThread
from ws4py.client.tornadoclient import TornadoWebSocketClient
from ws4py.server import listen_tcp, tornadoserver

__all__ = ["Client", "Server"]


class Server:
    """Listens from the moment it is made, and raises ``OSError`` when it cannot."""

    def __init__(
        self,
        handler: Callable[..., Any],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl: ssl_module.SSLContext | None = None,
        sockets: Any = None,
        **options: Any,
    ) -> None:
        self.sockets = listen_tcp(host, port, 1024, False) if sockets is None else list(sockets)
        self.port = self.sockets[0].getsockname()[1]
        route = (r"/.*", tornadoserver.WebSocketHandler, {"handler_cls": handler, **options})
        self.application = Application([route], log_function=lambda handler: None)
        self.server = HTTPServer(self.application, ssl_options=ssl)
        #: The open websockets, once started.
        self.manager: Any = None

    def start(self) -> None:
        """Serve on a thread of its own."""
        self._thread = LoopThread(asyncio.new_event_loop)
        self._thread.call(self._start())

    async def _start(self) -> None:
        self.manager = tornadoserver.websockets()
        self.server.add_sockets(self.sockets)

    def close(self) -> None:
        """Close every connection with 1001, wait, end the thread."""
        if self._thread.is_alive():
            self._thread.call(self._close())
            self._thread.stop()

    async def _close(self) -> None:
        self.server.stop()
        await tornadoserver.close_all()
        await self.server.close_all_connections()


class Client(OnLoopThread, TornadoWebSocketClient):  # type: ignore[misc]
    """The hooks client, connected to from a program without a loop."""

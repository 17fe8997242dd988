"""An ASGI application under uvicorn, started and stopped like the other backends."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
import threading
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn

from ws4py.protocol.config import DEFAULT, Config
from ws4py.server import listen_tcp
from ws4py.server.asgi import WebSocketASGIApplication

__all__ = ["Server"]

#: Our own engine under whatever the application is.
PROTOCOL = "ws4py.server.asgi:WebSocketProtocol"


class _Server(uvicorn.Server):
    """Tells when it listens, and on which loop."""

    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's: begin to listen."""
        await super().startup(sockets=sockets)
        self.loop = asyncio.get_running_loop()
        self.ready.set()


class Server:
    """Listens from the moment it is made, and raises ``OSError`` when it cannot.

    ``settings`` go to uvicorn, everything else to the application.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl: ssl_module.SSLContext | None = None,
        config: Config = DEFAULT,
        sockets: Sequence[socket.socket] | None = None,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.sockets = listen_tcp(host, port, 1024, False) if sockets is None else list(sockets)
        self.port = self.sockets[0].getsockname()[1]
        self.application = WebSocketASGIApplication(handler, config=config, **options)
        self.settings = uvicorn.Config(
            self.application,
            **{
                "ws": PROTOCOL,
                "log_config": None,
                "ws_max_size": config.max_message_size,
                "ws_ping_interval": config.ping_interval,
                "ws_ping_timeout": config.ping_timeout,
                "ws_per_message_deflate": config.compression is not None,
                **(settings or {}),
            },
        )
        self.settings.load()
        self.settings.ssl = ssl
        self.server = _Server(self.settings)
        self._thread = threading.Thread(target=self._run, name="uvicorn")

    def start(self) -> None:
        """Serve on a thread."""
        self._thread.start()
        self.server.ready.wait()

    def _run(self) -> None:
        try:
            self.server.run(sockets=self.sockets)
        finally:
            self.server.ready.set()

    def close(self) -> None:
        """Accept no more, close the connections politely, end the thread."""
        if self._thread.is_alive() and self.server.loop is not None:
            asyncio.run_coroutine_threadsafe(self._close(), self.server.loop).result()
        self._thread.join()
        for sock in self.sockets:
            sock.close()

    async def _close(self) -> None:
        for each in self.server.servers:
            each.close()
        await self.application.close()
        self.server.should_exit = True

"""For ``uvicorn --ws ws4py.server.asgi:WebSocketProtocol``: any ASGI application on our engine.

uvicorn gives the request and the connection, the application is called as it always is. This
module must never know frames. It needs nothing of uvicorn but what it is given.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ws4py.protocol.config import DEFAULT, Compression, Config
from ws4py.protocol.handshake import Request
from ws4py.server import RESTARTING
from ws4py.server.asgiconnection import ASGIConnection, ClientDisconnected

__all__ = ["ClientDisconnected", "WebSocketProtocol"]

#: uvicorn's own, so that its settings of the log apply.
logger = logging.getLogger("uvicorn.error")


def config_of(settings: Any) -> Config:
    """The policy that uvicorn's settings ask for."""
    return DEFAULT.replace(
        max_message_size=settings.ws_max_size,
        receive_queue=settings.ws_max_queue or DEFAULT.receive_queue,
        ping_interval=settings.ws_ping_interval or None,
        ping_timeout=settings.ws_ping_timeout or None,
        compression=Compression() if settings.ws_per_message_deflate else None,
        max_head_size=settings.h11_max_incomplete_event_size or 4 * DEFAULT.max_head_size,
    )


class WebSocketProtocol(ASGIConnection):
    """One connection, as uvicorn makes and counts it."""

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None
    ) -> None:
        if not config.loaded:
            config.load()
        super().__init__(config_of(config), logger, _loop or asyncio.get_running_loop())
        self.settings = config
        self.server_state = server_state
        self.app_state = app_state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A request is about to come."""
        self.server_state.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.server_state.connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """uvicorn ends, or starts again."""
        self.dismiss(*RESTARTING)

    def default_headers(self) -> Any:
        """uvicorn's: the date and the like."""
        return self.server_state.default_headers

    def begin(self, request: Request) -> None:
        """Call the application in a task that uvicorn waits for in its end."""
        settings = self.settings
        state = self.app_state.copy()
        scope = self.scope(request, settings.root_path, settings.asgi_version, state)
        task = self.loop.create_task(self.serve(settings.loaded_app, scope))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

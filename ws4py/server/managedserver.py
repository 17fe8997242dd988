"""The stand-alone server: one acceptor and one manager, on one thread.

Opening handshakes are done on the manager's poller. This module must never know frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ws4py.manager import WebSocketManager
from ws4py.server.opening import OpeningServer
from ws4py.server.reactorserver import ReactorServer
from ws4py.websocket import WebSocket

__all__ = ["WebSocketServer", "serve"]


class WebSocketServer(OpeningServer, ReactorServer):
    """Serves any number of connections on one thread. Arguments: see ``BaseServer``.

    ``poller``: see ``WebSocketManager``. Hooks, ``process_request`` and the rest run on the
    server's thread and must not wait: others are served there too. The websockets are in
    ``manager``.
    """

    def __init__(
        self,
        handler: Callable[..., WebSocket] = WebSocket,
        host: Any = "127.0.0.1",
        port: int = 0,
        *,
        poller: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(handler, host, port, **options)
        self.manager = WebSocketManager(poller)

    # -- for ReactorServer -----------------------------------------------------------------

    def _serve(self) -> None:
        self.manager.run()

    def _discard(self) -> None:
        self.manager.stop()


def serve(
    handler: Callable[..., WebSocket], host: Any = "127.0.0.1", port: int = 0, **options: Any
) -> WebSocketServer:
    """A server that listens already: go on with ``serve_forever()``, ``start()`` or ``with``."""
    return WebSocketServer(handler, host, port, **options)

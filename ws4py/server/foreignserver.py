"""The server on a loop of your own (see ``ws4py.foreign``). It must never know frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ws4py.foreign import ExternalReactor
from ws4py.manager import WebSocketManager
from ws4py.server import SHUTTING_DOWN
from ws4py.server.opening import OpeningServer
from ws4py.websocket import WebSocket

__all__ = ["WebSocketServer"]


class WebSocketServer(OpeningServer):
    """Serves any number of connections on ``reactor``, which your loop runs.

    Arguments: see ``BaseServer``. Accepts from the moment it is made, which happens on the
    loop's thread. Hooks and ``process_request`` run there, and must not wait.
    """

    def __init__(
        self,
        handler: Callable[..., WebSocket] = WebSocket,
        host: Any = "127.0.0.1",
        port: int = 0,
        *,
        reactor: ExternalReactor,
        **options: Any,
    ) -> None:
        super().__init__(handler, host, port, **options)
        self.manager = WebSocketManager(reactor=reactor)
        self._ending = False
        self._listen()

    def close(self, code: int = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]) -> None:
        """Stop accepting, close every connection with ``code``; what does not go is cut.

        Any thread; returns at once: run the loop until ``closed`` says so, which takes little
        more than ``Config.close_timeout`` seconds. The second call cuts at once.
        """
        again, self._closing = self._closing, True
        self.manager.reactor.call_soon(self._shutdown.begin, code, reason, again)

    @property
    def closed(self) -> bool:
        """Whether the end that ``close()`` began has come."""
        return self._ending and not len(self.manager)

    def _cut(self) -> None:
        self._ending = True
        super()._cut()

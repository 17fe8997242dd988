"""cheroot, the HTTP server of CherryPy, started and stopped like the other backends."""

from __future__ import annotations

import ssl as ssl_module
import threading
from typing import Any

from cheroot import wsgi

from ws4py.protocol.config import Config
from ws4py.server.cherootconnection import ContextAdapter, install
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import WebSocket

__all__ = ["Server"]


class QuietServer(wsgi.Server):  # type: ignore[misc,unused-ignore]
    """cheroot logs by itself, not by ``logging``; that somebody hangs up is not worth it."""

    def error_log(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing."""


class Server:
    """Listens from the moment it is made, and raises ``OSError`` when it cannot."""

    def __init__(
        self,
        handler: type[WebSocket],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | None,
        config: Config,
    ) -> None:
        app = self.make_application(handler, config)
        self.server = QuietServer((host, port), app, request_queue_size=1024)
        if ssl is not None:
            self.server.ssl_adapter = ContextAdapter(ssl)
        install(self.server)
        try:
            self.server.prepare()
        except OSError as exc:
            raise OSError(exc.errno, f"cannot listen on {host}:{port} ({exc})") from exc
        self.port = int(self.server.bind_addr[1])
        self._thread = threading.Thread(target=self.server.serve, name="cheroot")

    def make_application(self, handler: type[WebSocket], config: Config) -> Any:
        """What the server serves."""
        self.websockets = WebSocketWSGIApplication(handler_cls=handler, config=config)
        return self.websockets

    def start(self) -> None:
        """Serve on threads."""
        self._thread.start()

    def close(self) -> None:
        """Accept no more, and close the connections politely."""
        self.shut_down()
        self.server.stop()
        self._thread.join()

    def shut_down(self) -> None:
        """Close the websockets."""
        self.websockets.shut_down()

"""The server of the standard library, started and stopped like the other backends."""

from __future__ import annotations

import ssl as ssl_module
import threading
from typing import Any
from wsgiref.simple_server import make_server

from ws4py.protocol.config import Config
from ws4py.server.wsgirefserver import WebSocketWSGIRequestHandler, WSGIServer
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import WebSocket

__all__ = ["Server"]


class QuietHandler(WebSocketWSGIRequestHandler):
    """wsgiref writes a line for each request, which nobody asked for here."""

    def log_request(self, *args: Any) -> None:
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
        try:
            self.server = make_server(
                host,
                port,
                server_class=WSGIServer,
                handler_class=QuietHandler,
                app=WebSocketWSGIApplication(handler_cls=handler, config=config),
            )
        except OSError as exc:
            where = f"{host}:{port}"
            raise OSError(exc.errno, f"cannot listen on {where} ({exc.strerror})") from exc
        if ssl is not None:
            # The TLS handshake is left to the first read, which has a timeout; accept() has none.
            self.server.socket = ssl.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, name="wsgiref")

    def start(self) -> None:
        """Serve on a thread."""
        self.server.initialize_websockets_manager()
        self._thread.start()

    def close(self) -> None:
        """Accept no more, and close the connections politely."""
        self.server.close_websockets()
        self.server.shutdown()  # it looks twice a second: too late to say good-bye
        self._thread.join()
        self.server.server_close()

"""gunicorn with threads, started and stopped like the other backends: as the program that it is."""

from __future__ import annotations

import os
import ssl as ssl_module
import subprocess
import sys

from ws4py.cli.common import USAGE, Failure
from ws4py.cli.serve import find_handler
from ws4py.protocol.config import DEFAULT, Config
from ws4py.server import listen_tcp
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import WebSocket

__all__ = ["Server", "make_application"]


def make_application(target: str, compression: bool) -> WebSocketWSGIApplication:
    """What gunicorn's worker serves: ``target`` is ``MODULE:CLASS``."""
    config = DEFAULT if compression else DEFAULT.replace(compression=None)
    return WebSocketWSGIApplication(handler_cls=find_handler(target), config=config)


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
        if ssl is not None:
            raise Failure("over TLS gunicorn keeps a thread for each: put a proxy before it", USAGE)
        target = f"{handler.__module__}:{handler.__qualname__}"
        self._app = f"ws4py.cli.gunicorn:make_application({target!r}, {bool(config.compression)})"
        self._listeners = listen_tcp(host, port, 1024, False)
        self.port = self._listeners[0].getsockname()[1]

    def start(self) -> None:
        """Start the program."""
        fds = [listener.fileno() for listener in self._listeners]
        binds = [f"--bind=fd://{fd}" for fd in fds]
        options = ["-k", "gthread", "--threads=4", "--log-level=warning", *binds]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, self._app],
            pass_fds=fds,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for us, and we stop it politely
        )
        for listener in self._listeners:
            listener.close()

    def close(self) -> None:
        """Have it accept no more, and close the connections politely."""
        self._process.terminate()
        self._process.wait()

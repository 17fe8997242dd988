"""gevent for programs whose main thread does something else: the hub has a thread of its own."""

from __future__ import annotations

import ssl as ssl_module
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ws4py._extras import missing
from ws4py.client import geventclient
from ws4py.protocol.config import Config
from ws4py.server import BaseServer
from ws4py.server.geventserver import WebSocketWSGIApplication, WSGIServer
from ws4py.websocket import WebSocket

try:
    import gevent
    import gevent.event
except ImportError as exc:
    raise missing(__name__, "gevent", exc) from exc

__all__ = ["Client", "HubThread", "Server"]


class HubThread:
    """A thread that runs a hub, from when this is made until ``stop()``."""

    def __init__(self, daemon: bool = False) -> None:
        self._hub: Any = None
        self._end: Any = None
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="gevent-hub", daemon=daemon)
        self.thread.start()
        self._ready.wait()

    def _run(self) -> None:
        self._hub = gevent.get_hub()
        self._end = gevent.event.Event()
        awake = self._hub.loop.async_()  # or else a hub with nothing to do would end
        awake.start(lambda: None)
        self._ready.set()
        self._end.wait()
        awake.close()
        self._hub.destroy(destroy_loop=True)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run it on a greenlet there (if this is one: on this); what it returns or raises."""
        if threading.current_thread() is self.thread:
            return function(*args, **kwargs)
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        self._hub.loop.run_callback_threadsafe(gevent.spawn, run)
        return future.result()

    def stop(self) -> None:
        """End the hub, and with it whatever still runs there."""
        if self.thread.is_alive():
            self._hub.loop.run_callback_threadsafe(self._end.set)
            self.thread.join()


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
        listening = BaseServer(handler, host, port)
        self.port = listening.port
        self._listeners = listening.listeners
        self._tls = {} if ssl is None else {"ssl_context": ssl}
        self._application = WebSocketWSGIApplication(handler_cls=handler, config=config)
        self._hub: HubThread | None = None
        self._servers: list[WSGIServer] = []

    def start(self) -> None:
        """Serve on a thread."""
        self._hub = HubThread()
        for listener in self._listeners:
            self._servers.append(self._hub.call(self._serve, listener))

    def _serve(self, listener: Any) -> WSGIServer:
        server = WSGIServer(listener, self._application, log=None, **self._tls)
        server.start()
        return server

    def close(self) -> None:
        """Accept no more, and close the connections politely."""
        assert self._hub is not None
        for server in self._servers:
            self._hub.call(server.stop)
        self._hub.stop()


class Client(geventclient.WebSocketClient):
    """A client on a hub of its own: every method may be called from real threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        hub: HubThread | None = getattr(self, "_thread", None)
        if hub is None or not hub.thread.is_alive():  # else a program that connects again
            self._thread = HubThread(daemon=True)
        self._on_hub(super().__init__, *args, **kwargs)

    def connect(self) -> None:
        """Connect; see ``WebSocketBaseClient.connect``."""
        self._on_hub(super().connect)

    def _on_hub(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            self._thread.call(function, *args, **kwargs)
        except BaseException:
            self._thread.stop()
            raise

    def run_forever(self) -> None:
        """Wait for the end."""
        if self._thread.thread.is_alive():
            self._thread.call(super().run_forever)
            self._thread.stop()

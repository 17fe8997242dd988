"""asyncio backends for the command, which itself is plain: a loop on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ws4py.client import asyncioclient
from ws4py.client.opening import LoopClient
from ws4py.server import asyncioserver

__all__ = ["Client", "LoopThread", "OnLoopThread", "Server", "UvloopClient", "UvloopServer"]


def new_uvloop() -> asyncio.AbstractEventLoop:
    """uvloop's loop."""
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class LoopThread:
    """A loop that runs on a thread until ``stop()``."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = new_loop()
        self._thread = threading.Thread(target=self._run, name="asyncio-loop")
        self._thread.start()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine there and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def is_alive(self) -> bool:
        """Whether it was not stopped yet."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the loop and wait for its thread."""
        if self.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()


class Server:
    """``asyncioserver.WebSocketServer`` with the methods of the servers that run on threads."""

    new_loop = staticmethod(asyncio.new_event_loop)

    def __init__(self, handler: Any, host: str, port: int, **options: Any) -> None:
        self.server = asyncioserver.WebSocketServer(handler, host, port, **options)
        self.port = self.server.port

    def start(self) -> None:
        """Serve on a thread of its own."""
        self._thread = LoopThread(self.new_loop)
        self._thread.call(self.server.start())

    def close(self) -> None:
        """Close every connection with 1001, wait, end the thread."""
        self.server.close()
        self._thread.call(self.server.wait_closed())
        self._thread.stop()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class UvloopServer(Server):
    """The same on uvloop."""

    new_loop = staticmethod(new_uvloop)


class OnLoopThread(LoopClient):
    """Mixin for a hooks client to be connected from a program without a loop, as the others are."""

    new_loop = staticmethod(asyncio.new_event_loop)

    def connect(self) -> None:  # type: ignore[override]
        """Connect on a loop of its own."""
        self._thread = LoopThread(self.new_loop)
        try:
            self._thread.call(self._open())
        except BaseException:
            self._thread.stop()
            raise

    def run_forever(self) -> None:
        """Wait until ``closed()`` has returned, and end the loop."""
        self._thread.call(self.wait_closed())
        self._thread.stop()


class Client(OnLoopThread, asyncioclient.WebSocketClient):
    """The hooks client on an asyncio loop."""


class UvloopClient(Client):
    """The same on uvloop."""

    new_loop = staticmethod(new_uvloop)

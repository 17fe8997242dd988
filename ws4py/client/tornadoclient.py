"""The client on Tornado's loop, which is an asyncio loop. It must never know sockets or frames."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from ws4py._extras import missing
from ws4py.awaited import Later
from ws4py.client.journey import GivenHeaders
from ws4py.client.opening import LoopClient

try:
    from tornado.ioloop import IOLoop
except ImportError as exc:
    raise missing(__name__, "tornado", exc) from exc

__all__ = ["TornadoWebSocketClient", "WebSocketClient"]

logger = logging.getLogger("ws4py")


class TornadoWebSocketClient(LoopClient):
    """Hooks on Tornado's loop; they may be coroutine functions.

    Arguments as ``WebSocketBaseClient``, but the fourth is the ``IOLoop`` (by default the
    current one). ``connect()`` works before that loop runs, as it does within it::

        ws = Client("ws://127.0.0.1:9000/")
        ws.connect()
        IOLoop.current().start()       # or ws.run_forever()

    Where nobody can be told that connecting failed, ``closed()`` is called with 1006 and why.
    """

    def __init__(
        self,
        url: str,
        protocols: Iterable[str] | None = None,
        extensions: list[str] | None = None,
        io_loop: IOLoop | None = None,
        ssl_options: Mapping[str, Any] | None = None,
        headers: GivenHeaders | None = None,
        exclude_headers: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            url,
            protocols,
            extensions,
            ssl_options=ssl_options,
            headers=headers,
            exclude_headers=exclude_headers,
            **options,
        )
        self._io_loop = io_loop

    @property
    def io_loop(self) -> IOLoop:
        """The loop that drives it: the one given, else the current one."""
        if self._io_loop is None:
            self._io_loop = IOLoop.current()
        return self._io_loop

    def connect(self) -> Awaitable[None]:  # type: ignore[override]
        """Connect, as soon as the loop comes to it; see ``LoopClient.connect``. Any thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._wanted = True
            self.io_loop.add_callback(self._begin)
            return Later(self._open)
        return super().connect()

    async def _begin(self) -> None:
        """The loop has come to it, unless it was done meanwhile."""
        if not self._wanted:
            return
        try:
            await self._open()
        except Exception as exc:
            logger.info("%s", exc)
            self.stream.receive_eof(exc)
            info = self.stream.close_info
            assert info is not None
            self.closed(info.code, info.reason)

    def run_forever(self) -> None:
        """Connect if that is still to be done, and wait until ``closed()`` has returned.

        Runs the loop if nobody does, else is for other threads. Raises what connecting raises.
        """
        if self._wanted:
            self._wanted = False
            loop: Any = self.io_loop
            if loop.asyncio_loop.is_running():
                asyncio.run_coroutine_threadsafe(self._run(), loop.asyncio_loop).result()
            else:
                loop.run_sync(self._run)
        else:
            super().run_forever()


WebSocketClient = TornadoWebSocketClient

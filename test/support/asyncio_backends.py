"""The asyncio backends of the conformance tests: a loop on a thread, tests outside of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ws4py.cli.loops import LoopThread
from ws4py.client import asyncioclient
from ws4py.server import asyncioserver


def new_uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def server(new_loop: Callable[[], Any]) -> Callable[..., Any]:
    """Start it on a loop of this kind: the server and what stops it."""

    def start(handler: Any, **options: Any) -> Any:
        from backends import Served

        thread = LoopThread(new_loop)
        try:
            server = asyncioserver.serve(handler, **options)
            thread.call(server.start())
        except BaseException:
            thread.stop()
            raise

        def stop() -> None:
            server.close()
            if thread.is_alive():
                thread.call(server.wait_closed())
                thread.stop()

        address = server.port if server.port is not None else server.addresses[0]
        return Served(address, stop, server.broadcast)

    return start


def client(new_loop: Callable[[], Any]) -> Callable[..., Any]:
    """Connect the hooks client on a loop of this kind."""

    def start(hooks: type, url: str, **options: Any) -> Any:
        from backends import Connected

        ws = type(hooks.__name__, (hooks, asyncioclient.WebSocketClient), {})(url, **options)
        thread = LoopThread(new_loop)

        async def connect() -> None:
            await ws.connect()

        async def join(timeout: float) -> None:
            await asyncio.wait_for(ws.wait_closed(), timeout)

        def stop() -> None:
            ws.close_connection()
            thread.call(join(5))
            thread.stop()

        try:
            thread.call(connect())
        except BaseException:
            thread.stop()
            raise
        return Connected(ws, lambda timeout: thread.call(join(timeout)), stop)

    return start

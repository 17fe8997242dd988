"""The asyncio backends of the conformance tests: a loop on a thread, tests outside of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ws4py.cli.loops import LoopThread
from ws4py.client import asyncioclient
from ws4py.server import asyncioserver, tulipserver


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


class Protocol(tulipserver.WebSocketProtocol):
    """Remembers when it was told of the end."""

    lost: asyncio.Event | None = None

    def connection_made(self, transport: Any) -> None:
        self.lost = asyncio.Event()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        assert self.lost is not None
        self.lost.set()


def protocol(new_loop: Callable[[], Any]) -> Callable[..., Any]:
    """The 0.6 protocol under ``loop.create_server()``; the orderly end is done here."""

    def start(handler: Any, **options: Any) -> Any:
        from backends import Served

        made: list[Any] = []
        context, path = options.pop("ssl", None), options.pop("unix_path", None)
        thread = LoopThread(new_loop)

        def new_protocol() -> Any:
            made.append(Protocol(handler, **options))
            return made[-1]

        async def listen() -> Any:
            loop = asyncio.get_running_loop()
            if path is not None:
                return await loop.create_unix_server(new_protocol, path, ssl=context)
            return await loop.create_server(new_protocol, "127.0.0.1", 0, ssl=context)

        async def dismiss(server: Any) -> None:
            server.close()
            for each in made:
                if each.ws is not None and not each.ws.terminated:
                    each.ws.close(1001, "Server is shutting down")
            for each in made:
                if each.lost is not None:  # else its TLS handshake is not done
                    if each.ws is None:
                        each.transport.abort()
                    await asyncio.wait_for(each.lost.wait(), 20)  # more than a close timeout
            await asyncio.sleep(0)  # uvloop closes its sockets a turn later

        server = thread.call(listen())

        def stop() -> None:
            if thread.is_alive():
                thread.call(dismiss(server))
                thread.stop()

        return Served(path or server.sockets[0].getsockname()[1], stop)

    return start


#: What the 0.6 protocol leaves to whoever calls ``loop.create_server()``.
PROTOCOL_CANNOT = {
    "broadcast": "it knows one connection",
    "cutting handshakes": "the end of the server is up to its owner",
}


def client(
    new_loop: Callable[[], Any], base: type = asyncioclient.WebSocketClient
) -> Callable[..., Any]:
    """Connect the hooks client on a loop of this kind."""

    def start(hooks: type, url: str, **options: Any) -> Any:
        from backends import Connected

        ws = type(hooks.__name__, (hooks, base), {})(url, **options)
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

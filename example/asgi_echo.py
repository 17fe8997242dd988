"""A class as an ASGI application, and an ASGI application on ws4py's engine, under uvicorn.

    python example/asgi_echo.py [PORT]
    python example/asgi_echo.py --selftest

``/hooks`` is a ``WebSocket`` subclass, ``/plain`` speaks ASGI and knows nothing of ws4py.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

try:
    import uvicorn
except ImportError:
    print('this example needs uvicorn: pip install "ws4py[asgi]"')
    sys.exit(77)

from ws4py.client.asyncioclient import connect
from ws4py.server.asgi import WebSocketASGIApplication
from ws4py.websocket import EchoWebSocket

hooks = WebSocketASGIApplication(EchoWebSocket)


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def application(scope: Any, receive: Any, send: Any) -> None:
    target = plain if scope["type"] == "websocket" and scope["path"] == "/plain" else hooks
    await target(scope, receive, send)


def settings(port: int) -> uvicorn.Config:
    return uvicorn.Config(application, port=port, ws="ws4py.server.asgi:WebSocketProtocol")


async def selftest() -> None:
    config = settings(0)
    config.log_level = "error"
    config.configure_logging()
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    for path in ("/hooks", "/plain"):
        async with connect(f"ws://127.0.0.1:{port}{path}") as ws:
            await ws.send("Grüße")
            assert await ws.recv() == "Grüße"
    server.should_exit = True
    await serving


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        asyncio.run(selftest())
    else:
        uvicorn.Server(settings(int(sys.argv[1]) if sys.argv[1:] else 9000)).run()

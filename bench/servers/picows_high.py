"""picows' high-level API, modelled on websockets' asyncio one."""

import asyncio

from _args import ECHO, PORT, SINK, run
from picows.websockets.asyncio.server import serve

try:
    from picows.websockets.asyncio.server import broadcast
except ImportError:
    from picows.websockets.asyncio.connection import broadcast
from picows.websockets.exceptions import ConnectionClosed

clients = set()


async def handler(ws):
    n = 0
    clients.add(ws)
    try:
        async for m in ws:
            if ECHO:
                await ws.send(m)
            elif SINK:
                if type(m) is bytes:
                    n += 1
                else:
                    await ws.send(str(n))
                    n = 0
            else:
                broadcast(clients, m)
    except ConnectionClosed:
        pass
    finally:
        clients.discard(ws)


async def main():
    async with serve(
        handler,
        "127.0.0.1",
        PORT,
        compression=None,
        max_size=None,
        backlog=4096,
        ping_interval=None,
    ):
        await asyncio.get_running_loop().create_future()


run(main)

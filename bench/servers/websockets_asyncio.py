"""websockets, its asyncio server, without compression and keepalive."""

import asyncio

from _args import ECHO, PORT, SINK, run
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

clients = set()


async def echo(ws):
    try:
        async for m in ws:
            await ws.send(m)
    except ConnectionClosed:
        pass


async def sink(ws):
    n = 0
    try:
        async for m in ws:
            if type(m) is bytes:
                n += 1
            else:
                await ws.send(str(n))
                n = 0
    except ConnectionClosed:
        pass


async def bcast(ws):
    clients.add(ws)
    try:
        async for m in ws:
            broadcast(clients, m)
    except ConnectionClosed:
        pass
    finally:
        clients.discard(ws)


async def main():
    async with serve(
        echo if ECHO else sink if SINK else bcast,
        "127.0.0.1",
        PORT,
        compression=None,
        max_size=None,
        backlog=4096,
        ping_interval=None,
    ):
        await asyncio.get_running_loop().create_future()


run(main)

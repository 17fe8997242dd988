"""ws4py 1.0, the asyncio server with a coroutine handler."""

import asyncio

from _args import ECHO, PORT, SINK, run

from ws4py.server.asyncioserver import serve


async def echo(ws) -> None:
    async for message in ws:
        await ws.send(message)


async def sink(ws) -> None:
    count = 0
    async for message in ws:
        if isinstance(message, bytes):
            count += 1
        else:
            await ws.send(str(count))
            count = 0


async def broadcast(ws) -> None:
    async for message in ws:
        server.broadcast(message)


handler = echo if ECHO else sink if SINK else broadcast


async def main() -> None:
    global server
    server = await serve(handler, "127.0.0.1", PORT)
    await asyncio.Event().wait()


run(main)

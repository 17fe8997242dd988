"""aiohttp, without compression, as it is otherwise."""

import asyncio

from _args import BCAST, ECHO, PORT, SINK, run
from aiohttp import WSMsgType, web

TEXT, BINARY = WSMsgType.TEXT, WSMsgType.BINARY
clients = set()


async def handler(request):
    ws = web.WebSocketResponse(compress=False, max_msg_size=0)
    await ws.prepare(request)
    n = 0
    if BCAST:
        clients.add(ws)
    async for m in ws:
        if ECHO:
            if m.type is BINARY:
                await ws.send_bytes(m.data)
            else:
                await ws.send_str(m.data)
        elif SINK:
            if m.type is BINARY:
                n += 1
            else:
                await ws.send_str(str(n))
                n = 0
        else:
            for c in list(clients):
                await (c.send_bytes if m.type is BINARY else c.send_str)(m.data)
    clients.discard(ws)
    return ws


async def main():
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=4096).start()
    await asyncio.get_running_loop().create_future()


run(main)

"""A bare ASGI application under uvicorn: PORT MODE LOOP PROTOCOL.

PROTOCOL is one of uvicorn's own or ``ws4py.server.asgi:WebSocketProtocol``.
"""

import sys

import uvicorn
from _args import ECHO, LOOP, PORT, SINK

clients = set()


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    clients.add(send)
    count = 0
    while (event := await receive())["type"] == "websocket.receive":
        answer = {**event, "type": "websocket.send"}
        if ECHO:
            await send(answer)
        elif not SINK:
            for each in list(clients):
                await each(answer)
        elif event.get("bytes") is not None:
            count += 1
        else:
            await send({"type": "websocket.send", "text": str(count)})
            count = 0
    clients.discard(send)


uvicorn.run(
    application,
    host="127.0.0.1",
    port=PORT,
    loop=LOOP,
    ws=sys.argv[4],
    lifespan="off",
    log_level="critical",
    access_log=False,
    ws_per_message_deflate=False,
    ws_ping_interval=None,
    ws_max_size=1 << 30,
    backlog=4096,
)

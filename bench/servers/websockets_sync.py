"""websockets, its threaded server: a thread for each connection."""

import socket
import threading

from _args import ECHO, PORT, SINK
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

clients = set()
lock = threading.Lock()


def handler(ws):
    n = 0
    with lock:
        clients.add(ws)
    try:
        for m in ws:
            if ECHO:
                ws.send(m)
            elif SINK:
                if type(m) is bytes:
                    n += 1
                else:
                    ws.send(str(n))
                    n = 0
            else:
                with lock:
                    for c in clients:
                        c.send(m)
    except ConnectionClosed:
        pass
    finally:
        with lock:
            clients.discard(ws)


ls = socket.create_server(("127.0.0.1", PORT), backlog=4096)
with serve(handler, sock=ls, compression=None, max_size=None) as server:
    server.serve_forever()

"""wsproto (sans-I/O, pure Python) on a bare asyncio.Protocol."""

import asyncio

from _args import ECHO, PORT, SINK, run
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Request,
    TextMessage,
)

clients = set()


class P(asyncio.Protocol):
    def connection_made(self, t):
        self.t = t
        self.c = WSConnection(ConnectionType.SERVER)
        self.parts = []
        self.n = 0

    def connection_lost(self, exc):
        clients.discard(self)

    def data_received(self, data):
        c, w = self.c, self.t.write
        c.receive_data(data)
        for e in c.events():
            if isinstance(e, (TextMessage, BytesMessage)):
                self.parts.append(e.data)
                if e.message_finished:
                    p = self.parts
                    m = (
                        p[0]
                        if len(p) == 1
                        else (b"" if isinstance(e, BytesMessage) else "").join(p)
                    )
                    p.clear()
                    if ECHO:
                        w(c.send(Message(data=m)))
                    elif SINK:
                        if isinstance(e, BytesMessage):
                            self.n += 1
                        else:
                            w(c.send(Message(data=str(self.n))))
                            self.n = 0
                    else:
                        for o in clients:
                            o.t.write(o.c.send(Message(data=m)))
            elif isinstance(e, Request):
                w(c.send(AcceptConnection()))
                clients.add(self)
            elif isinstance(e, Ping):
                w(c.send(e.response()))
            elif isinstance(e, CloseConnection):
                w(c.send(e.response()))
                self.t.close()


async def main():
    s = await asyncio.get_running_loop().create_server(P, "127.0.0.1", PORT, backlog=4096)
    await s.serve_forever()


run(main)

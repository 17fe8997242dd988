"""picows' own (low-level) API: one listener object per connection."""

from _args import ECHO, PORT, SINK, run
from picows import WSListener, WSMsgType, ws_create_server

TEXT, BINARY, CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE
clients = set()


class Echo(WSListener):
    if ECHO:

        def on_ws_frame(self, transport, frame):
            t = frame.msg_type
            if t == BINARY:
                transport.send(BINARY, frame.get_payload_as_bytes())
            elif t == TEXT:
                transport.send(TEXT, frame.get_payload_as_bytes())
            elif t == CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
    elif SINK:
        n = 0

        def on_ws_frame(self, transport, frame):
            t = frame.msg_type
            if t == BINARY:
                self.last = frame.get_payload_as_bytes()  # deliver the payload, as the others do
                self.n += 1
            elif t == TEXT:
                transport.send(TEXT, str(self.n).encode())
                self.n = 0
            elif t == CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
    else:

        def on_ws_connected(self, transport):
            self.t = transport
            clients.add(transport)

        def on_ws_disconnected(self, transport):
            clients.discard(transport)

        def on_ws_frame(self, transport, frame):
            t = frame.msg_type
            if t == CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
            else:
                p = frame.get_payload_as_bytes()
                for c in clients:
                    c.send(t, p)


async def main():
    server = await ws_create_server(
        lambda r: Echo(), "127.0.0.1", PORT, backlog=4096, max_frame_size=64 << 20
    )
    await server.serve_forever()


run(main)

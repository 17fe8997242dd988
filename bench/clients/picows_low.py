"""picows' own (low-level) API: callbacks on a listener."""

from _cargs import FLOOD, PAYLOAD, URL, WHAT, Flood, Meter, check, run
from picows import WSListener, WSMsgType, ws_connect

TEXT, BINARY, CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE


class Listener(WSListener):
    def on_ws_connected(self, transport):
        if WHAT == "rt":
            self.meter = Meter()
            transport.send(BINARY, PAYLOAD)
        else:
            self.flood = Flood()
            transport.send(TEXT, FLOOD.encode())

    def on_ws_frame(self, transport, frame):
        kind = frame.msg_type
        if kind == CLOSE:
            transport.disconnect()
        elif WHAT == "rt":
            check(frame.get_payload_as_bytes())
            if self.meter.tick():
                transport.send(BINARY, PAYLOAD)
            else:
                transport.disconnect()
        elif kind == BINARY:
            self.last = frame.get_payload_as_bytes()
            self.flood.n += 1
        else:
            self.flood.done()
            transport.disconnect()


async def main():
    transport, _ = await ws_connect(Listener, URL, max_frame_size=64 << 20)
    await transport.wait_disconnected()


run(main)

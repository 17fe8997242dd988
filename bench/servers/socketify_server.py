"""socketify: uWebSockets (C++) behind Python callbacks."""

from _args import ECHO, PORT, SINK
from socketify import App, OpCode

counts = {}
tot = [0]


def on_message(ws, message, opcode):
    if ECHO:
        ws.send(message, opcode)
    elif SINK:
        if opcode == OpCode.BINARY:
            tot[0] += 1
        else:
            ws.send(str(tot[0]), OpCode.TEXT)
            tot[0] = 0
    else:
        app.publish("all", message, opcode)


def on_open(ws):
    if not ECHO and not SINK:
        ws.subscribe("all")


app = App()
app.ws(
    "/*",
    {
        "compression": 0,
        "max_payload_length": 64 << 20,
        "idle_timeout": 0,
        "max_backpressure": 1 << 30,
        "open": on_open,
        "message": on_message,
    },
)
app.listen({"port": PORT, "host": "127.0.0.1"}, lambda c: None)
app.run()

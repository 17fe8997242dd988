"""A message there and back, with whatever build of ws4py is installed.

::

    python .ci/selfcheck.py [compiled|pure]   # and fail if it is not this build

What cibuildwheel and .ci/builds run against each wheel: no test requirements, seconds.
"""

from __future__ import annotations

import sys

import ws4py
from ws4py.client.threadedclient import WebSocketClient
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket

SENT = ["", "héllo", b"\0\xff" * 50, b"x" * 70_000, "compressible " * 1000]


class Client(WebSocketClient):
    def opened(self) -> None:
        self.received: list[str | bytes] = []
        for data in SENT:
            self.send(data, binary=isinstance(data, bytes))

    def received_message(self, message) -> None:  # type: ignore[no-untyped-def]
        self.received.append(message.data if message.is_binary else str(message))
        if len(self.received) == len(SENT):
            self.close()


def main(expected: str | None) -> None:
    if expected not in (None, ws4py.IMPLEMENTATION):
        raise SystemExit(f"selfcheck: {ws4py.IMPLEMENTATION}, expected {expected}")
    with WebSocketServer(EchoWebSocket, "127.0.0.1", 0) as server:
        client = Client(f"ws://127.0.0.1:{server.port}/")
        client.connect()
        client.run_forever()
    assert client.received == SENT, client.received
    assert client.close_info is not None
    assert client.close_info.clean
    print(f"selfcheck: ws4py {ws4py.__version__}, {ws4py.IMPLEMENTATION}, {ws4py.__file__}")


if __name__ == "__main__":
    main(*sys.argv[1:] or [None])

"""An echo server: every message goes back to whoever sent it.

    python example/echo_server.py [PORT]
    python example/echo_server.py --selftest

One thread serves all connections. ``echo_client.py`` talks to it.
"""

from __future__ import annotations

import sys

from ws4py.client.threadedclient import WebSocketClient
from ws4py.messaging import Message
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import WebSocket


class Echo(WebSocket):
    """One connection. All its hooks run on the server's thread: they must not wait."""

    def opened(self) -> None:
        print(self.peer_address, "came")

    def received_message(self, message: Message) -> None:
        self.send(message)  # text stays text, binary stays binary

    def closed(self, code: int, reason: str | None = None) -> None:
        print(self.peer_address, "went:", code, reason)


def main(port: int) -> None:
    server = WebSocketServer(Echo, "127.0.0.1", port)
    print(f"ws://127.0.0.1:{server.port}/ echoes until Ctrl-C")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # every client has been told that the server goes away


def selftest() -> None:
    answers = []

    class Asker(WebSocketClient):
        def opened(self) -> None:
            self.send("Grüße")

        def received_message(self, message: Message) -> None:
            answers.append(str(message))
            self.close()

    with WebSocketServer(Echo) as server:  # on any free port
        client = Asker(f"ws://127.0.0.1:{server.port}/")
        client.connect()
        client.run_forever()
    assert answers == ["Grüße"], answers


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 9000)

"""A client with a thread of its own: it sends some messages and prints what comes back.

    python example/echo_client.py [URL]
    python example/echo_client.py --selftest

Start ``echo_server.py`` first.
"""

from __future__ import annotations

import sys

from ws4py.client.threadedclient import WebSocketClient
from ws4py.exc import HandshakeError
from ws4py.messaging import Message
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket

MESSAGES = ["one", "two", "three"]


class Client(WebSocketClient):
    """All hooks run on the client's thread, one at a time."""

    def opened(self) -> None:
        self.answers: list[str] = []
        for text in MESSAGES:
            self.send(text)
        # A generator makes one message, sent piece by piece as it is produced.
        self.send(f"piece {i}, " for i in range(3))

    def received_message(self, message: Message) -> None:
        print("=>", message)
        self.answers.append(str(message))
        if len(self.answers) == len(MESSAGES) + 1:
            self.close(reason="Bye bye")

    def closed(self, code: int, reason: str | None = None) -> None:
        print("closed:", code, reason)


def main(url: str) -> Client:
    client = Client(url)
    client.connect()
    client.run_forever()  # or do something else meanwhile: the thread needs no help
    return client


def selftest() -> None:
    with WebSocketServer(EchoWebSocket) as server:  # on any free port
        client = main(f"ws://127.0.0.1:{server.port}/")
    assert client.answers == [*MESSAGES, "piece 0, piece 1, piece 2, "], client.answers


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        try:
            main(sys.argv[1] if sys.argv[1:] else "ws://127.0.0.1:9000/")
        except (OSError, HandshakeError) as exc:
            sys.exit(f"error: {exc}")

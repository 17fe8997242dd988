"""Many clients on one thread: each is handed to one manager as soon as it is connected.

    python example/manager_clients.py [URL [COUNT]]
    python example/manager_clients.py --selftest

Start ``echo_server.py`` first.
"""

from __future__ import annotations

import sys
import time

from ws4py.client import WebSocketBaseClient
from ws4py.exc import HandshakeError
from ws4py.manager import WebSocketManager
from ws4py.messaging import Message
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket


class Client(WebSocketBaseClient):
    """Says one thing, hears it again, and goes."""

    def __init__(self, url: str, manager: WebSocketManager) -> None:
        super().__init__(url)
        self.manager = manager
        self.answer: str | None = None

    def handshake_ok(self) -> None:
        self.manager.add(self)  # from here on the manager's thread does everything

    def opened(self) -> None:
        self.send(f"hello from {self.local_address}")

    def received_message(self, message: Message) -> None:
        self.answer = str(message)
        self.close()


def main(url: str, count: int) -> int:
    """Returns how many of the clients got their answer."""
    manager = WebSocketManager()
    manager.start()
    started = time.perf_counter()
    try:
        clients = [Client(url, manager) for _ in range(count)]
        for client in clients:
            client.connect()
        manager.wait_closed(30)
    finally:
        manager.stop()
        manager.join()
    answered = sum(client.answer is not None for client in clients)
    print(f"{answered} of {count} answered within {time.perf_counter() - started:.2f} s")
    return answered


def selftest() -> None:
    with WebSocketServer(EchoWebSocket) as server:  # on any free port
        assert main(f"ws://127.0.0.1:{server.port}/", 100) == 100


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        try:
            main(
                sys.argv[1] if sys.argv[1:] else "ws://127.0.0.1:9000/",
                int(sys.argv[2]) if sys.argv[2:] else 1000,
            )
        except (OSError, HandshakeError) as exc:
            sys.exit(f"error: {exc}")

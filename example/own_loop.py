"""WebSockets on a loop of your own: here one around the standard library's ``selectors``.

    python example/own_loop.py [PORT]
    python example/own_loop.py --selftest

The loop does its own work too: it prints how many connections there are, every five seconds.
"""

from __future__ import annotations

import selectors
import sys
import time
from collections.abc import Callable

from ws4py.client import WebSocketBaseClient
from ws4py.foreign import READ, WRITE, ExternalReactor
from ws4py.manager import WebSocketManager
from ws4py.messaging import Message
from ws4py.server.foreignserver import WebSocketServer
from ws4py.websocket import EchoWebSocket


class Loop:
    """Waits for sockets and for the next moment at which something is to be done."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.reactor = ExternalReactor()

    def turn(self, patience: float | None = None) -> None:
        for fd, events in self.reactor.changes():
            self.watch(fd, events)
        timeout = self.reactor.timeout()
        if timeout is None or (patience is not None and patience < timeout):
            timeout = patience
        ready = self.selector.select(timeout)
        self.reactor.serve([(key.fd, to_ours(events)) for key, events in ready])

    def watch(self, fd: int, events: int) -> None:
        if fd in self.selector.get_map():
            self.selector.unregister(fd)
        if events:
            self.selector.register(fd, to_theirs(events))

    def run_until(self, done: Callable[[], bool]) -> None:
        while not done():
            self.turn()

    def close(self) -> None:
        self.reactor.release()
        self.selector.close()


def to_ours(events: int) -> int:
    return (READ if events & selectors.EVENT_READ else 0) | (
        WRITE if events & selectors.EVENT_WRITE else 0
    )


def to_theirs(events: int) -> int:
    return (selectors.EVENT_READ if events & READ else 0) | (
        selectors.EVENT_WRITE if events & WRITE else 0
    )


def main(port: int) -> None:
    loop = Loop()
    server = WebSocketServer(EchoWebSocket, port=port, reactor=loop.reactor)
    print(f"ws://127.0.0.1:{server.port}/ echoes until Ctrl-C")
    try:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                print(len(server), "connections")
                due += 5.0
            loop.turn(due - time.monotonic())
    except KeyboardInterrupt:
        server.close()
        loop.run_until(lambda: server.closed)
    finally:
        loop.close()


def selftest() -> None:
    loop = Loop()
    clients = WebSocketManager(reactor=loop.reactor)
    answers = []

    class Asker(WebSocketBaseClient):
        def handshake_ok(self) -> None:
            clients.add(self)  # and so it is served by the loop

        def opened(self) -> None:
            self.send("Grüße")

        def received_message(self, message: Message) -> None:
            answers.append(str(message))

    # connect() waits for the server's answer: it must not be this loop that owes it.
    from ws4py.server.managedserver import WebSocketServer as ThreadServer

    with ThreadServer(EchoWebSocket) as elsewhere:
        client = Asker(f"ws://127.0.0.1:{elsewhere.port}/")
        client.connect()
        loop.run_until(lambda: bool(answers))
        client.close()
        loop.run_until(lambda: client.terminated)
    assert answers == ["Grüße"], answers

    server = WebSocketServer(EchoWebSocket, reactor=loop.reactor)
    import threading

    from ws4py.client.threadedclient import WebSocketClient

    class Caller(WebSocketClient):
        def opened(self) -> None:
            self.send("hello")

        def received_message(self, message: Message) -> None:
            server.close()  # from another thread

        def closed(self, code: int, reason: str | None = None) -> None:
            answers.append(str(code))

    caller = Caller(f"ws://127.0.0.1:{server.port}/")
    connecting = threading.Thread(target=caller.connect)
    connecting.start()
    loop.run_until(lambda: server.closed)
    connecting.join()
    caller.run_forever()
    loop.close()
    assert answers == ["Grüße", "1001"], answers


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 9000)

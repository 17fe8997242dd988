"""A reactor on a loop of one's own, and the server on it."""

from __future__ import annotations

import select
import socket
import threading
import time

import pytest
from conversation import Background, ask, read_close_code, read_text
from hooks import echo, recorded
from rawpeer import PING, RawClient

from ws4py.foreign import READ, WRITE, ExternalReactor
from ws4py.manager import WebSocketManager
from ws4py.protocol.config import DEFAULT
from ws4py.reactor import Channel
from ws4py.server.foreignserver import WebSocketServer
from ws4py.transport import PolledTransport
from ws4py.websocket import EchoWebSocket, WebSocket

QUICK = DEFAULT.replace(close_timeout=2.0)


class SelectLoop:
    """The smallest loop there is."""

    def __init__(self) -> None:
        self.reactor = ExternalReactor()
        self.interest: dict[int, int] = {}
        self.waits: list[float | None] = []

    def turn(self) -> None:
        for fd, events in self.reactor.changes():
            self.interest.pop(fd, None)
            if events:
                self.interest[fd] = events
        readers = [fd for fd, events in self.interest.items() if events & READ]
        writers = [fd for fd, events in self.interest.items() if events & WRITE]
        self.waits.append(self.reactor.timeout())
        readable, writable, _ = select.select(readers, writers, (), self.waits[-1])
        self.reactor.serve([(fd, READ) for fd in readable] + [(fd, WRITE) for fd in writable])

    def run_until(self, done, timeout: float = 10.0) -> None:
        end = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < end, "it never came"
            self.turn()


@pytest.fixture
def loop():
    made = SelectLoop()
    yield made
    made.reactor.release()


@pytest.fixture
def serve(loop):
    """A server on the loop; closed at the end."""
    servers = []

    def serve(handler, **options):
        server = WebSocketServer(handler, reactor=loop.reactor, **{"config": QUICK, **options})
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.close()
        loop.run_until(lambda server=server: server.closed)


def talk(loop, function, *args):
    """Run the peer's side on a thread, and the loop meanwhile."""
    other = Background(function, *args)
    loop.reactor.call_soon(lambda: None)

    def wake():
        try:
            other.result(15)
        except BaseException:
            pass  # told below
        loop.reactor.call_soon(lambda: None)

    waker = threading.Thread(target=wake)
    waker.start()
    loop.run_until(lambda: not other.running)
    waker.join()
    return other.result()


def test_a_server_echoes_and_says_goodbye(loop, serve):
    handler = echo()
    server = serve(handler)

    def peer():
        with RawClient.connect(server.port) as client:
            client.handshake()
            for text in ("hello", "x" * 300_000):
                assert ask(client, text) == text
            server.close()  # any thread
            assert read_close_code(client) == 1001
            client.close_frame(1001)
            client.expect_eof()

    talk(loop, peer)
    loop.run_until(lambda: server.closed)
    assert handler.next().log.names == ["opened", *["received_message"] * 2, "closed"]
    assert handler.made.empty()


def test_it_waits_no_longer_than_the_next_deadline(loop, serve):
    server = serve(WebSocket, config=QUICK.replace(ping_interval=0.2))

    def peer():
        with RawClient.connect(server.port) as client:
            client.handshake()
            frame = client.read_frame()
            assert frame.opcode == PING
            client.pong(frame.payload)
            client.close_frame(1000)
            client.read_to_eof()

    talk(loop, peer)
    assert any(wait is not None and 0 < wait <= 0.2 for wait in loop.waits)


def test_without_a_deadline_it_may_wait_for_ever(loop):
    loop.reactor.changes()
    assert loop.reactor.timeout() is None


def test_another_thread_sends(loop, serve):
    handler = recorded(WebSocket)
    server = serve(handler)

    def peer():
        with RawClient.connect(server.port) as client:
            client.handshake()
            handler.next().send("from elsewhere")
            assert read_text(client) == "from elsewhere"
            client.close_frame(1000)
            client.read_to_eof()

    talk(loop, peer)


def test_one_socket_by_itself(loop):
    ours, theirs = socket.socketpair()
    with theirs:
        ws = echo()(ours)
        transport = ws.transport = PolledTransport(ours, loop.reactor)
        fd = transport.fileno()
        transport.start(ws)
        ws.connection_made()
        assert (fd, READ) in loop.reactor.changes()
        assert transport.interest == READ
        ws.send("outside of a turn")
        assert loop.reactor.timeout() == 0
        loop.reactor.changes()
        assert theirs.recv(100)[2:] == b"outside of a turn"
        ws.close_connection()
        assert (fd, 0) in loop.reactor.changes()
        loop.reactor.serve()
        assert ws.log.names == ["opened", "closed"]


def test_what_came_and_went_is_not_to_be_watched(loop):
    """Its descriptor is closed already, or another's."""
    ours, theirs = socket.socketpair()
    with theirs:
        ws = echo()(ours)
        transport = ws.transport = PolledTransport(ours, loop.reactor)
        fd = transport.fileno()
        transport.start(ws)
        ws.connection_made()
        ws.close_connection()
        loop.reactor.serve()
        assert fd not in dict(loop.reactor.changes())


def test_a_peer_that_does_not_read_is_watched_for_room(loop):
    ours, theirs = socket.socketpair()
    with theirs:
        ws = WebSocket(ours)
        transport = ws.transport = PolledTransport(ours, loop.reactor)
        transport.start(ws)
        ws.send(bytes(1_000_000), True)
        assert transport.interest == READ | WRITE
        assert loop.reactor.changes()[-1] == (transport.fileno(), READ | WRITE)
        ws.close_connection()
        loop.reactor.serve()


def test_a_manager_on_it_cuts_everybody_when_stopped(loop):
    manager = WebSocketManager(reactor=loop.reactor)
    ours, theirs = socket.socketpair()
    with theirs:
        ws = recorded(EchoWebSocket)(ours)
        manager.add(ws)
        assert list(manager) == [ws]
        manager.stop()
        loop.reactor.serve()
        assert len(manager) == 0
        assert ws.log.names == ["opened", "closed"]


def test_it_does_not_wait_by_itself(loop):
    for wait in (loop.reactor.turn, loop.reactor.run):
        with pytest.raises(RuntimeError, match="does not wait"):
            wait()


def test_to_remind_again_of_the_same_moment_wakes_nobody():
    """Loops remind before each wait; the thread that keeps the time is not to run each time."""
    reactor = ExternalReactor()
    channel = Channel()
    try:
        reactor.set_alarm(channel, reactor.clock() + 20)
        reactor.changes()
        reactor.serve()
        assert 19 < reactor.timeout() <= 20
        reactor.remind()
        first = reactor._bell.alarm_at
        for _ in range(100):
            reactor.remind()
        assert reactor._bell.alarm_at == first
        reactor.set_alarm(channel, reactor.clock() + 10)
        reactor.serve()
        reactor.remind()
        assert reactor._bell.alarm_at < first - 5
    finally:
        reactor.release()

"""Keepalive that knows whose fault it is: one's own blocked loop is not the peer's death.

With a fake clock, and in earnest: with processes that are stopped and a line that is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from backends import CLIENTS, QUICK
from fakeclock import FakeClock
from hooks import Recorded
from rawpeer import CLOSE, PING, PONG, TEXT, make_frame
from running import Program, environment
from waiting import wait_for

from ws4py.asyncioreactor import AsyncioReactor, StreamTransport
from ws4py.exc import ConnectionTimeout
from ws4py.protocol.config import Config
from ws4py.protocol.connection import State
from ws4py.reactor import Channel
from ws4py.transport import BlockingTransport, PolledTransport, SocketReactor
from ws4py.websocket import WebSocket

#: 20 s of silence, then 20 s to answer: the defaults.
KEEPALIVE = Config(ping_interval=20, ping_timeout=20)
MASK = b"\1\2\3\4"


class Handler(Recorded, WebSocket):
    """Hooks that are written down."""


class Peer:
    """The other end of a socket pair, and what keepalive asks it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.ours, self.sock = socket.socketpair()
        self.sock.settimeout(5)
        self.ws = Handler(self.ours)
        self.ws.stream.clock = clock
        self.ws.setup(KEEPALIVE)

    def read_ping(self) -> bytes:
        head = self.sock.recv(2)
        assert head == bytes([0x80 | PING, 4])
        return self.sock.recv(4)

    def pong(self, payload: bytes) -> None:
        self.sock.send(make_frame(PONG, payload, key=MASK))

    @property
    def is_open(self) -> bool:
        return self.ws.stream.state is State.OPEN

    def close(self) -> None:
        self.sock.close()
        self.ours.close()


@pytest.fixture
def peer(clock):
    peer = Peer(clock)
    yield peer
    peer.close()


# -- a reactor ------------------------------------------------------------------------------


class Blocker(Channel):
    """Somebody else's hook, which takes a minute. ``meanwhile``: what happens during it."""

    def __init__(self, reactor, meanwhile):
        super().__init__()
        self.reactor = reactor
        self.meanwhile = meanwhile
        self.ours, self.theirs = socket.socketpair()
        reactor.register(self.ours.fileno(), self)
        self.theirs.send(b"x")

    def readable(self):
        self.ours.recv(1)
        self.meanwhile()
        self.reactor.unregister(self.ours.fileno())
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def reactor(clock, peer):
    """A reactor that serves the websocket, turned by hand."""
    reactor = SocketReactor(clock=clock)
    reactor.ident = threading.get_ident()
    transport = PolledTransport(peer.ours, reactor)
    peer.ws.transport = transport
    transport.start(peer.ws)
    reactor.served()
    yield reactor
    peer.ws.terminate()
    reactor.turn(0)
    reactor.release()


def test_a_blocked_reactor_does_not_kill_a_healthy_connection(clock, peer, reactor):
    clock.advance(20)
    reactor.turn(0)
    payload = peer.read_ping()

    def minute():
        peer.pong(payload)  # it answers at once, and nobody is there to read it
        clock.advance(60)

    Blocker(reactor, minute)
    reactor.turn(0)  # the alarm rings behind the hook, before anybody looks at the socket
    assert peer.is_open
    assert peer.ws.latency == 60
    assert [pong.data for (pong,) in peer.ws.log.args("ponged")] == [payload]


def test_a_message_that_lies_unread_is_life_too(clock, peer, reactor):
    clock.advance(20)
    reactor.turn(0)
    peer.read_ping()

    def minute():
        peer.sock.send(make_frame(TEXT, b"busy", key=MASK)[:3])  # even half a frame
        clock.advance(60)

    Blocker(reactor, minute)
    reactor.turn(0)
    assert peer.is_open


def test_a_dead_peer_is_found_although_the_reactor_was_blocked(clock, peer, reactor):
    clock.advance(20)
    reactor.turn(0)
    peer.read_ping()
    Blocker(reactor, lambda: clock.advance(60))
    reactor.turn(0)
    assert peer.is_open  # we were late: it is asked once more
    peer.read_ping()
    clock.advance(20)
    reactor.turn(0)
    reactor.turn(0)
    code, reason = peer.ws.log.wait("closed")
    assert code == 1006
    assert "keepalive" in reason


def test_a_dead_peer_is_found_on_time(clock, peer, reactor):
    clock.advance(20)
    reactor.turn(0)
    peer.read_ping()
    clock.advance(20)
    reactor.turn(0)
    reactor.turn(0)
    assert peer.ws.log.wait("closed")[0] == 1006
    assert isinstance(peer.ws.close_info.error, ConnectionTimeout)


def test_an_end_that_lies_unread_is_the_end_and_no_time_out(clock, peer, reactor):
    clock.advance(20)
    reactor.turn(0)
    peer.read_ping()

    def minute():
        peer.sock.send(make_frame(CLOSE, b"\x03\xe9bye", key=MASK))
        peer.sock.shutdown(socket.SHUT_WR)
        clock.advance(60)

    Blocker(reactor, minute)
    reactor.turn(0)
    reactor.turn(0)
    assert peer.ws.log.wait("closed") == (1001, "bye")


def test_a_close_frame_that_lies_unread_is_read_before_the_close_times_out(clock, peer, reactor):
    peer.ws.close(1000)
    reactor.served()
    assert peer.sock.recv(4) == b"\x88\x02\x03\xe8"

    def minute():
        peer.sock.send(make_frame(CLOSE, b"\x03\xe8", key=MASK))
        clock.advance(60)

    Blocker(reactor, minute)
    reactor.turn(0)
    reactor.turn(0)
    assert peer.ws.log.wait("closed") == (1000, "")
    assert peer.ws.close_info.clean


# -- asyncio --------------------------------------------------------------------------------


class FakeLoop(asyncio.SelectorEventLoop):
    """Whose time is a fake clock's."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.time = clock  # type: ignore[method-assign]
        self._ws4py_reactor = AsyncioReactor(self, clock)


async def turns(clock):
    for _ in range(5):
        clock.advance(0.001)  # what a timer takes at least
        await asyncio.sleep(0)


def run(clock, main):
    loop = FakeLoop(clock)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main(loop, loop._ws4py_reactor))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.parametrize("timers_first", [False, True], ids=["asyncio", "as-in-libuv"])
def test_a_blocked_loop_does_not_kill_a_healthy_connection(clock, peer, timers_first):
    async def main(loop, reactor):
        transport = PolledTransport(peer.ours, reactor)
        peer.ws.transport = transport
        transport.start(peer.ws)
        await turns(clock)
        clock.advance(20)
        await turns(clock)
        peer.pong(peer.read_ping())
        clock.advance(60)  # as if this coroutine had blocked for a minute
        if timers_first:
            reactor._ring()
        await turns(clock)
        assert peer.is_open
        assert peer.ws.log.args("ponged")
        peer.ws.close_connection()
        await turns(clock)

    run(clock, main)


def test_the_same_over_an_asyncio_transport(clock, peer):
    """Which reads for itself: what lies with the system counts without being read."""
    made = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(StreamTransport(transport, asyncio.get_running_loop()._ws4py_reactor))

        def data_received(self, data):
            made[0].data_received(data)

        def connection_lost(self, exc):
            made[0].connection_lost(exc)

    async def main(loop, reactor):
        await loop.create_connection(Protocol, sock=peer.ours)
        (transport,) = made
        peer.ws.transport = transport
        transport.start(peer.ws)
        await turns(clock)
        clock.advance(20)
        await turns(clock)
        peer.pong(peer.read_ping())
        clock.advance(60)
        reactor._ring()
        assert peer.is_open
        await turns(clock)
        assert peer.ws.log.args("ponged")
        peer.ws.close_connection()
        await turns(clock)

    peer.ours.setblocking(False)
    run(clock, main)


# -- threads --------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [False, True], ids=["in a hook", "in recv()"])
def test_a_blocked_thread_does_not_kill_a_healthy_connection(reads):
    """Whether its thread was kept by a hook, or everything was kept from running."""
    clock = FakeClock(time.monotonic() + 1e5)  # so late that the real alarm never rings
    with contextlib.closing(Peer(clock)) as peer:
        keep_from_running(clock, peer, reads)


def keep_from_running(clock, peer, reads):
    transport = peer.ws.transport
    assert isinstance(transport, BlockingTransport)
    with transport.lock:
        transport.flush(peer.ws)
    clock.advance(20)
    transport.ring()
    peer.pong(peer.read_ping())
    transport._receiving = reads
    clock.advance(60)
    transport.ring()  # the alarm's thread is the first to run again
    transport._receiving = False
    assert peer.is_open
    transport.receive(peer.ws)
    assert peer.ws.log.args("ponged")
    assert peer.ws.latency == 60
    peer.ws.terminate()


# -- in earnest -----------------------------------------------------------------------------

SHORT = QUICK.replace(ping_interval=0.3, ping_timeout=0.3)

SERVER = """
    import sys
    from ws4py.server.managedserver import serve
    from ws4py.websocket import EchoWebSocket
    server = serve(EchoWebSocket, sys.argv[1], 0)
    print(f"ws://{sys.argv[1]}:{server.port}/", flush=True)
    server.serve_forever()
"""

CLIENT = """
    import sys, threading, time
    from ws4py.client import WebSocketBaseClient
    from ws4py.client.threadedclient import WebSocketClient as Threaded
    from ws4py.manager import WebSocketManager
    from ws4py.protocol.config import Config
    import ws4py.cli.loops as loops

    short = Config(ping_interval=0.3, ping_timeout=0.3)
    manager = WebSocketManager()
    manager.start()

    class Hooks:
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.answered = threading.Event()
        def received_message(self, message):
            self.answered.set()

    class Managed(Hooks, WebSocketBaseClient):
        def handshake_ok(self):
            manager.add(self)

    classes = [Managed, type("Threaded", (Hooks, Threaded), {}),
               type("Asyncio", (Hooks, loops.Client), {})]
    try:
        import uvloop
        classes.append(type("Uvloop", (Hooks, loops.UvloopClient), {}))
    except ImportError:
        pass
    try:
        from ws4py.cli.gevent import Client
        classes.append(type("Gevent", (Hooks, Client), {}))
    except ImportError:
        pass
    clients = [cls(sys.argv[1], config=short) for cls in classes]
    for client in clients:
        client.connect()
    while any(client.latency is None for client in clients):
        time.sleep(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    for client in clients:
        client.send("still there?")
        assert client.answered.wait(10), client
    print("alive", len(clients), flush=True)
    for client in clients:
        client.close()
    for client in clients[1:]:
        client.run_forever()
    manager.stop()
"""


@pytest.fixture
def program(tmp_path):
    """``program(source, *args, before=[...])``: it runs until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(source, *args, before=()):
            command = [*before, sys.executable, "-c", textwrap.dedent(source), *args]
            program = Program(command, tmp_path, environment(tmp_path / "bin"))
            stack.callback(program.kill)
            return program

        yield start


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP on this platform")
def test_a_process_that_was_stopped_finds_its_connections_alive(tmp_path, program):
    """For three times what keepalive allows, on every way of running at once."""
    server = program(SERVER, "127.0.0.1")
    url = server.wait_for_output(r"ws://\S+")[0]
    env = environment(tmp_path / "bin")
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, text=True) as client:
        try:
            assert client.stdout.readline() == "ready\n"
            client.send_signal(signal.SIGSTOP)
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(1.8)
            client.send_signal(signal.SIGCONT)
            output, _ = client.communicate("go on\n", timeout=30)
        finally:
            client.kill()
    assert output.startswith("alive")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP on this platform")
def test_a_peer_that_is_stopped_is_noticed_by_every_client(program):
    server = program(SERVER, "127.0.0.1")
    url = server.wait_for_output(r"ws://\S+")[0]
    everybody_notices(url, lambda: server.process.send_signal(signal.SIGSTOP))


@pytest.fixture
def namespace():
    """A network namespace with a server's address in it, and how to cut the line to it."""
    if not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip("needs the program ip and the right to make network namespaces")
    name, ours, theirs = f"ws4py-{os.getpid()}", f"ws4a{os.getpid()}"[:15], "ws4b"
    network = f"198.18.{os.getpid() % 256}"  # RFC 2544: for tests

    def ip(*args):
        subprocess.run(["ip", *args], check=True, capture_output=True, text=True, timeout=10)

    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"no network namespaces here: {exc.stderr.strip()}")
    try:
        try:
            ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        except subprocess.CalledProcessError as exc:
            pytest.skip(f"no virtual network here: {exc.stderr.strip()}")
        ip("addr", "add", f"{network}.1/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", name, "addr", "add", f"{network}.2/30", "dev", theirs)
        ip("-n", name, "link", "set", theirs, "up")
        enter = ["ip", "netns", "exec", name]
        yield f"{network}.2", enter, lambda: ip("-n", name, "link", "set", theirs, "down")
    finally:
        for rest in (["link", "del", ours], ["netns", "del", name]):
            subprocess.run(["ip", *rest], capture_output=True, timeout=10)


def test_a_line_that_is_cut_is_noticed_by_every_client(namespace, program):
    """No packet says so: only silence."""
    host, enter, cut = namespace
    server = program(SERVER, host, before=enter)
    url = server.wait_for_output(r"ws://\S+")[0]
    wait_for(lambda: reachable(host, int(url.rpartition(":")[2].strip("/"))))
    everybody_notices(url, cut)


def reachable(host, port):
    """A line that has just been laid may not carry yet."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), 5):
        return True


def everybody_notices(url, cut):
    clients = []
    with contextlib.ExitStack() as stack:
        for backend in CLIENTS:
            try:
                client = backend.connect(Recorded, url, config=SHORT, proxy=None)
            except pytest.skip.Exception:
                continue
            stack.callback(client.stop)
            clients.append(client)
        for client in clients:
            wait_for(lambda client=client: client.ws.latency is not None)  # it is healthy
            assert client.ws.latency < 5
        cut()
        for client in clients:
            code, reason = client.wait_closed()
            assert code == 1006
            assert "keepalive" in reason

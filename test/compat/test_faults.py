"""The faults of ws4py 0.6.0, verified on it one by one, and the test that each is gone here.

Fault in 0.6.0 → test, or the policy and its reason.

manager
  half a TLS record stalls all
    → test_manager_half_a_tls_record_stalls_nobody
  over TLS a message waits for the next record
    → test_manager_delivers_a_lone_tls_message
  broadcast() waits for who does not read
    → test_manager_broadcast_waits_for_nobody
  echoing to who does not read stalls all
    → test_manager_echo_to_who_does_not_read_stalls_nobody
  closing by the server never completes
    → test_manager_completes_a_close_of_ours
  close_connection() in a handler leaves it in
    → test_manager_forgets_who_closes_its_connection

manager, select
  the same, spinning
    → test_select_does_not_spin_when_a_socket_is_closed
  descriptor 1024 kills the manager
    → test_select_refuses_descriptors_above_1023
  add() waits for the poll
    → test_manager_add_acts_at_once

manager
  stop() while a handler runs
    → test_manager_stop_while_a_handler_runs
  close_all() with a close() that uses it
    → test_manager_close_all_with_a_close_that_uses_it
  iteration while it changes
    → test_manager_iteration_while_it_changes
  remove() and "in" after terminate()
    → test_manager_remove_after_terminate
  heartbeat never started
    → test_manager_keeps_the_heartbeat
  CherryPy plugin cannot be restarted
    → test_manager_can_be_started_again
  KQueuePoller builds an epoll
    → test_kqueue_poller_asks_kqueue

client
  no timeout on connect and handshake
    → test_client_connect_has_one_timeout
  no timeout on the closing handshake
    → test_client_does_not_wait_for_ever_for_the_close
  bytes behind the 101 lost, or in wrong thread
    → test_client_keeps_bytes_behind_the_101
  wss verifies nothing by default
    → test_client_verifies_by_default
  ca_certs without cert_reqs verifies nothing
    → test_client_ca_certs_alone_verify
  cert_reqs=CERT_NONE turns verification on
    → test_client_cert_none_means_none
  server_hostname ignored
    → test_client_checks_server_hostname
  wss+unix sends plain text
    → test_client_speaks_tls_on_unix_sockets
  response not checked, or too strictly
    → test_client_checks_the_response
  Host and Origin malformed
    → test_client_request_headers_are_well_formed
  name looked up twice, in the constructor
    → test_client_looks_a_name_up_once_and_late
  close() on a dead connection raises
    → test_client_close_on_a_dead_connection

protocol
  reserved close codes on the wire
    → test_protocol_reserved_close_codes
  masking of empty frames not checked
    → test_protocol_checks_the_mask_of_empty_frames
  no size limit
    → test_protocol_refuses_sizes_at_the_header
  no extensions
    → test_protocol_knows_permessage_deflate

sending
  two threads tear each other's frames
    → test_sending_from_two_threads
  a message inside a fragmented one
    → test_sending_within_a_fragmented_message
  other iterables
    → test_sending_other_iterables

object
  kept messages lose their data
    → test_object_messages_may_be_kept
  a failing handler tells the peer nothing
    → test_object_failing_handler_closes_with_1011
  second terminate(), late send() and ping()
    → test_object_verbs_after_the_end

heartbeat
  process exit waits for the sleep
    → test_heartbeat_does_not_hold_up_the_exit

WSGI
  bad requests are exceptions and 500
    → test_wsgi_answers_bad_requests

import
  wsgirefserver changes wsgiref.util
    → test_import_changes_nothing_elsewhere

speed
  four recv() calls for a short message
    → test_reading_takes_what_is_there
  masking and UTF-8 in pure Python
    → policy: measured in bench/, not asserted here

versions
  asyncio, Tornado, gevent, CherryPy
    → policy: each adapter has tests of its own
"""

from __future__ import annotations

import contextlib
import fcntl
import resource
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from backends import QUICK, SERVERS
from conversation import Background, TlsByHand, ask, read_message, read_text
from hooks import Recorded, echo, recorded
from rawpeer import (
    BINARY,
    CLOSE,
    TEXT,
    RawClient,
    RawServer,
    RawServerConnection,
    close_payload,
    make_frame,
)
from waiting import TIMEOUT, wait_for

from ws4py.client.threadedclient import WebSocketClient
from ws4py.exc import ConnectionTimeout, HandshakeError
from ws4py.manager import EPollPoller, KQueuePoller, PollPoller, SelectPoller, WebSocketManager
from ws4py.websocket import EchoWebSocket, Heartbeat, WebSocket

POLLERS = [EPollPoller, PollPoller, SelectPoller]


class Client(Recorded, WebSocketClient):
    """A threaded client whose hooks are recorded."""

    config = QUICK


@pytest.fixture(params=POLLERS, ids=lambda poller: poller.__name__)
def manager(request):
    """A running manager; one for each kind of poller."""
    manager = WebSocketManager(request.param())
    manager.start()
    yield manager
    manager.stop()
    manager.join(TIMEOUT)
    assert not manager.is_alive()


@pytest.fixture
def pair(manager):
    """Put one end of a connection into the manager: ``ws, peer = pair(Handler)``."""
    with contextlib.ExitStack() as stack:

        def pair(handler=EchoWebSocket, tls=None, **more):
            ours, theirs = socket.socketpair()
            if tls is None:
                peer = RawClient(theirs)
            else:
                server_tls, client_tls = tls
                shaking = Background(TlsByHand, theirs, client_tls)
                ours = server_tls.wrap_socket(ours, server_side=True)
                peer = RawClient(shaking.result())
            stack.callback(peer.close)
            ws = handler(ours, **more)
            ws.setup(QUICK)
            manager.add(ws)
            return ws, peer

        yield pair


@pytest.fixture
def tls(server_tls, client_tls):
    return server_tls, client_tls


@contextlib.contextmanager
def answering(server: RawServer, extra: bytes = b"", **headers):
    """A thread that accepts one client and shakes hands; gives the ``Background``."""

    def accept():
        peer = server.accept()
        peer.handshake(headers, extra=extra)
        return peer

    accepting = Background(accept)
    yield accepting
    accepting.result()


def connected(
    server: RawServer, extra: bytes = b"", **options
) -> tuple[Client, RawServerConnection]:
    """A threaded client and its raw peer."""
    client = Client(server.url, **options)
    with answering(server, extra) as accepting:
        client.connect()
    return client, accepting.result()


def ended(client: Client) -> tuple[int, str]:
    """Arguments of ``closed()``, once the client's thread has ended."""
    client._th.join(TIMEOUT)
    assert not client._th.is_alive()
    return client.log.wait("closed")


# -- the manager ---------------------------------------------------------------------------


def test_manager_half_a_tls_record_stalls_nobody(pair, tls):
    _, slow = pair(tls=tls)
    _, other = pair(tls=tls)
    record = slow.sock.record(make_frame(TEXT, b"in two halves", key=b"1234"))
    slow.sock.sock.sendall(record[:9])
    assert ask(other, timeout=1) == "ping?"
    slow.sock.sock.sendall(record[9:])
    assert read_text(slow) == "in two halves"


def test_manager_delivers_a_lone_tls_message(pair, tls):
    _, peer = pair(tls=tls)
    peer.text("lone!")
    assert read_text(peer, 2) == "lone!"


def test_manager_broadcast_waits_for_nobody(manager, pair):
    """Not even for a peer that does not read, when it is called from another thread."""
    deaf, _ = pair()
    deaf.setup(QUICK.replace(high_water=65536, overflow="drop"))
    quick, other = pair()
    quick.setup(QUICK.replace(high_water=1 << 24))

    def broadcasts():
        for n in range(200):
            manager.broadcast(f"{n} " + "x" * 10_000)

    sending = Background(broadcasts)
    for n in range(200):
        assert read_text(other).startswith(f"{n} ")
    sending.result(1)
    assert deaf.buffered_amount > 65536


def test_manager_echo_to_who_does_not_read_stalls_nobody(pair):
    ws, deaf = pair()
    ws.setup(QUICK.replace(high_water=65536))
    _, other = pair()
    count = 100
    flooding = Background(lambda: [deaf.binary(bytes(65536)) for _ in range(count)])
    wait_for(lambda: ws.buffered_amount > 65536)
    for _ in range(5):
        assert ask(other, timeout=1) == "ping?"
    for _ in range(count):
        assert read_message(deaf) == (BINARY, bytes(65536))
    flooding.result()


def test_manager_completes_a_close_of_ours(manager, pair):
    ws, peer = pair(recorded(WebSocket))
    ws.close(1000, "done")
    assert peer.read_close().close_code == 1000
    peer.close_frame(1000)
    peer.expect_eof()
    assert ws.log.wait("closed") == (1000, "")
    wait_for(lambda: ws not in manager)
    assert ws.sock is None


def test_manager_forgets_who_closes_its_connection(manager, pair):
    handler = recorded(WebSocket, received_message=lambda ws, message: ws.close_connection())
    pairs = [pair(handler) for _ in range(20)]
    for _, peer in pairs:
        peer.text("cut it")
    for ws, peer in pairs:
        peer.expect_eof()
        assert ws.log.wait("closed")[0] == 1006
    wait_for(lambda: len(manager) == 0)


class CountingPoller:
    """Another poller, and how often it was asked."""

    def __init__(self, poller):
        self.poller = poller
        self.snapshot = poller.snapshot
        self.register, self.modify = poller.register, poller.modify
        self.unregister, self.release = poller.unregister, poller.release
        self.count = 0

    def wait(self, timeout):
        self.count += 1
        return self.poller.wait(timeout)


@pytest.mark.parametrize("poller", POLLERS)
def test_select_does_not_spin_when_a_socket_is_closed(poller):
    """Neither by a verb nor behind the manager's back."""
    counting = CountingPoller(poller())
    manager = WebSocketManager(counting)
    manager.start()
    try:
        ours, theirs = socket.socketpair()
        third, other = socket.socketpair()
        fourth, another = socket.socketpair()
        with RawClient(theirs) as peer, other, another:
            manager.add(EchoWebSocket(ours))
            polite, rude = EchoWebSocket(third), EchoWebSocket(fourth)
            manager.add(polite)
            manager.add(rude)
            polite.close_connection()
            wait_for(lambda: polite.terminated)
            rude.sock.close()
            assert ask(peer) == "ping?"
            before = counting.count
            assert peer.silent_for(0.1)
            assert counting.count - before < 20
    finally:
        manager.stop()
        manager.join(TIMEOUT)


def test_select_refuses_descriptors_above_1023():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("the limit of open files is too low for a descriptor above 1023")
    manager = WebSocketManager(SelectPoller())
    manager.start()
    try:
        low, theirs = socket.socketpair()
        high, far = socket.socketpair()
        moved = socket.socket(fileno=fcntl.fcntl(high.fileno(), fcntl.F_DUPFD, 1100))
        high.close()
        with RawClient(theirs) as peer, far, moved:
            manager.add(EchoWebSocket(low))
            ws = WebSocket(moved)
            with pytest.raises(ValueError, match="1024"):
                manager.add(ws)
            assert ws not in manager
            assert ask(peer) == "ping?"
    finally:
        manager.stop()
        manager.join(TIMEOUT)


def test_manager_add_acts_at_once(manager, pair):
    """Ten in a row take less than one poll of 0.6's did, and each is served at once."""
    begin = time.monotonic()
    for _ in range(10):
        _, peer = pair()
        assert ask(peer) == "ping?"
    assert time.monotonic() - begin < 0.5


@pytest.mark.parametrize("poller", POLLERS)
def test_manager_stop_while_a_handler_runs(poller):
    running, go_on = threading.Event(), threading.Event()

    def received_message(ws, message):
        running.set()
        go_on.wait(5)

    manager = WebSocketManager(poller())
    manager.start()
    ours, theirs = socket.socketpair()
    with RawClient(theirs) as peer:
        ws = recorded(WebSocket, received_message=received_message)(ours)
        manager.add(ws)
        peer.text("work")
        running.wait(5)
        manager.stop()
        go_on.set()
        manager.join(TIMEOUT)
        assert not manager.is_alive()
        assert ws.log.wait("closed")[0] == 1006
        peer.expect_eof()


def test_manager_close_all_with_a_close_that_uses_it(manager, pair):
    class Handler(Recorded, WebSocket):
        def close(self, code=1000, reason=""):
            assert self in manager
            assert len(list(manager)) == len(manager)
            super().close(code, reason)

    pairs = [pair(Handler) for _ in range(3)]
    Background(manager.close_all).result(2)
    for ws, peer in pairs:
        frame = peer.read_close()
        assert (frame.close_code, frame.close_reason) == (1001, "Server is shutting down")
        peer.close_frame(1001)
        assert ws.log.wait("closed") == (1001, "")


def test_manager_iteration_while_it_changes(manager, pair):
    pairs = [pair() for _ in range(5)]
    for n, ws in enumerate(manager):
        manager.remove(ws)
        if n == 0:
            pairs.append(pair())
    for ws in list(manager.websockets.values()):
        manager.remove(ws)
    assert len(manager) == 0
    for ws, _ in pairs:
        ws.terminate()


def test_manager_remove_after_terminate(manager, pair):
    ws, _ = pair(recorded(WebSocket))
    ws.terminate()
    manager.remove(ws)
    assert ws not in manager
    manager.remove(ws)
    with pytest.raises(RuntimeError):
        manager.add(ws)
    assert ws.log.names == ["opened", "closed"]


def test_manager_keeps_the_heartbeat(manager):
    ours, theirs = socket.socketpair()
    with RawClient(theirs) as peer:
        manager.add(WebSocket(ours, heartbeat_freq=0.05))
        frame = peer.read_frame(2)
        assert frame.opcode == 0x9


def test_manager_can_be_started_again(manager, pair):
    _, peer = pair()
    assert ask(peer) == "ping?"
    manager.stop()
    manager.join(TIMEOUT)
    manager.start()
    _, peer = pair()
    assert ask(peer) == "ping?"


def test_kqueue_poller_asks_kqueue(monkeypatch):
    """Where there is none (Linux), a stand-in notes what it is asked for."""
    if hasattr(select, "kqueue"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            poller = KQueuePoller()
            poller.register(ours.fileno())
            assert list(poller.wait(0)) == []
            theirs.send(b"x")
            assert list(poller.poll()) == [ours.fileno()]
            poller.unregister(ours.fileno())
            poller.release()
        return
    changes = []

    class Kqueue:
        def control(self, changed, number, timeout):
            changes.extend(changed or ())
            return []

        def close(self):
            changes.append("closed")

    monkeypatch.setattr(select, "kqueue", Kqueue, raising=False)
    monkeypatch.setattr(select, "kevent", lambda *what: what, raising=False)
    for name in ("KQ_FILTER_READ", "KQ_FILTER_WRITE", "KQ_EV_ADD", "KQ_EV_DELETE"):
        monkeypatch.setattr(select, name, name, raising=False)
    poller = KQueuePoller()
    poller.register(7)
    poller.unregister(7)
    poller.release()
    assert changes == [
        (7, "KQ_FILTER_READ", "KQ_EV_ADD"),
        (7, "KQ_FILTER_READ", "KQ_EV_DELETE"),
        "closed",
    ]


# -- clients -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_client_connect_has_one_timeout(raw_server, scheme):
    """A server that accepts and says nothing, with and without TLS in between."""
    client = Client(
        f"{scheme}://127.0.0.1:{raw_server.port}/", config=QUICK.replace(open_timeout=0.2)
    )
    begin = time.monotonic()
    with pytest.raises(ConnectionTimeout, match=str(raw_server.port)):
        client.connect()
    assert time.monotonic() - begin < 2


def test_client_does_not_wait_for_ever_for_the_close(raw_server):
    client, _ = connected(raw_server, config=QUICK.replace(close_timeout=0.2))
    client.close()
    Background(client.run_forever).result(3)
    assert client.log.wait("closed")[0] == 1006


def test_client_keeps_bytes_behind_the_101(raw_server):
    early = b"".join(make_frame(TEXT, text) for text in (b"1", b"2", b"3"))
    client, peer = connected(raw_server, early + make_frame(CLOSE, close_payload(1000, "done")))
    assert peer.read_close().close_code == 1000
    peer.close()
    assert ended(client) == (1000, "done")
    assert client.log.texts == ["1", "2", "3"]
    assert client.log.threads() == {client._th.ident}


@contextlib.contextmanager
def failing_handshakes(server: RawServer):
    """A server whose TLS handshake the client breaks off."""

    def accept():
        with pytest.raises(OSError):
            server.accept().read(1)

    accepting = Background(accept)
    yield
    accepting.result()


def test_client_verifies_by_default(raw_tls_server):
    client = Client(raw_tls_server.url)
    with failing_handshakes(raw_tls_server), pytest.raises(ssl.SSLCertVerificationError):
        client.connect()


def test_client_ca_certs_alone_verify(raw_tls_server, tls_files, tmp_path):
    import trustme

    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    client = Client(raw_tls_server.url, ssl_options={"ca_certs": str(other)})
    with failing_handshakes(raw_tls_server), pytest.raises(ssl.SSLCertVerificationError):
        client.connect()
    client, peer = connected(raw_tls_server, ssl_options={"ca_certs": str(tls_files.ca)})
    peer.close()
    ended(client)


def test_client_cert_none_means_none(raw_tls_server):
    client, peer = connected(raw_tls_server, ssl_options={"cert_reqs": ssl.CERT_NONE})
    client.send("unverified, as asked for")
    assert read_text(peer) == "unverified, as asked for"
    peer.close()
    ended(client)


def test_client_checks_server_hostname(raw_tls_server, tls_files):
    trusted = {"ca_certs": str(tls_files.ca)}
    wrong = Client(raw_tls_server.url, ssl_options={**trusted, "server_hostname": "example.org"})
    with failing_handshakes(raw_tls_server), pytest.raises(ssl.SSLCertVerificationError):
        wrong.connect()
    # The certificate names 127.0.0.1 and localhost; an alias of ours is told which one to check.
    client, peer = connected(
        raw_tls_server, ssl_options={**trusted, "server_hostname": "localhost"}
    )
    peer.close()
    ended(client)


def test_client_speaks_tls_on_unix_sockets(tmp_path, server_tls, tls_files):
    with RawServer(tls=server_tls, path=str(tmp_path / "socket")) as server:
        assert server.url.startswith("wss+unix://")
        client, peer = connected(server, ssl_options={"ca_certs": str(tls_files.ca)})
        client.send("in secret")
        assert read_text(peer) == "in secret"
        peer.close()
        ended(client)


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"Sec-WebSocket-Accept": None}, False),
        ({"Sec-WebSocket-Accept": "wrong"}, False),
        ({"Upgrade": None}, False),
        ({"Connection": None}, False),
        ({"Sec-WebSocket-Protocol": "never-offered"}, False),
        ({"Sec-WebSocket-Extensions": "never-offered"}, False),
        ({"Connection": "keep-alive, Upgrade"}, True),
    ],
)
def test_client_checks_the_response(raw_server, headers, accepted):
    client = Client(raw_server.url)
    with answering(raw_server, **headers) as accepting:
        if not accepted:
            with pytest.raises(HandshakeError):
                client.connect()
            return
        client.connect()
    accepting.result().close()
    ended(client)


def test_client_takes_a_status_line_without_reason(raw_server):
    client = Client(raw_server.url)

    def accept():
        peer = raw_server.accept()
        peer.read_request()
        peer.send(peer.response().replace(b" Switching Protocols", b"", 1))
        return peer

    accepting = Background(accept)
    client.connect()
    accepting.result().close()
    ended(client)


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("ws://[::1]:9000/chat", "[::1]:9000", "http://[::1]:9000"),
        ("wss://example.org/", "example.org", "https://example.org"),
        ("ws+unix:///run/my.sock", "localhost", "http://localhost"),
    ],
)
def test_client_request_headers_are_well_formed(url, host, origin):
    headers = dict(Client(url).handshake_headers)
    assert headers["Host"] == host
    assert headers["Origin"] == origin


def test_client_looks_a_name_up_once_and_late(raw_server, monkeypatch):
    asked = []
    getaddrinfo = socket.getaddrinfo

    def listening(*args, **kwargs):
        asked.append(args)
        return getaddrinfo(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", listening)
    client = Client(f"ws://localhost:{raw_server.port}/")
    assert asked == []
    with answering(raw_server) as accepting:
        client.connect()
    assert len(asked) == 1
    accepting.result().close()
    ended(client)


def test_client_close_on_a_dead_connection(raw_server):
    client, peer = connected(raw_server)
    peer.reset()
    client.close()
    assert ended(client)[0] == 1006
    client.close()


# -- protocol ------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"\x03", *map(close_payload, (999, 1006, 5000))])
def test_protocol_reserved_close_codes(raw_server, payload):
    """An empty close frame is answered with an empty one, an illegal one with 1002."""
    client, peer = connected(raw_server)
    peer.send_frame(CLOSE, payload)
    frame = peer.read_close()
    assert frame.close_code == (1002 if payload else None)
    peer.close()
    ended(client)


def test_protocol_checks_the_mask_of_empty_frames(raw_server):
    client, peer = connected(raw_server)
    peer.send(make_frame(TEXT, b"", key=b"1234"))
    assert peer.read_close().close_code == 1002
    peer.close()
    ended(client)
    assert client.log.texts == []


@pytest.mark.parametrize("size", [1 << 30, 1 << 62])
def test_protocol_refuses_sizes_at_the_header(raw_server, size):
    client, peer = connected(raw_server)
    peer.send(make_frame(BINARY, b"", length=size))
    assert peer.read_close().close_code == 1009
    peer.close()
    ended(client)


def test_protocol_knows_permessage_deflate(raw_server):
    client = Client(raw_server.url)
    extension = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    with answering(raw_server, **extension) as accepting:
        client.connect()
    peer = accepting.result()
    assert "permessage-deflate" in peer.head.headers["sec-websocket-extensions"]
    client.send("compress me " * 1000)
    frame = peer.read_frame()
    assert frame.rsv == 4
    assert len(frame.payload) < 1000
    peer.close()
    ended(client)


# -- sending -------------------------------------------------------------------------------


def test_sending_from_two_threads(raw_server):
    client, peer = connected(raw_server)
    size = 300_000
    both = [Background(client.send, letter * size) for letter in ("a", "b")]
    assert {read_text(peer) for _ in both} == {"a" * size, "b" * size}
    for each in both:
        each.result()
    peer.close()
    ended(client)


def test_sending_within_a_fragmented_message(raw_server):
    client, peer = connected(raw_server)

    def pieces():
        yield "one "
        client.send("whole")
        yield "two "
        yield "three"

    client.send(pieces())
    got = {read_text(peer), read_text(peer)}
    assert got == {"one two three", "whole"}
    peer.close()
    ended(client)


def test_sending_other_iterables(raw_server):
    client, peer = connected(raw_server)
    client.send(memoryview(b"view"))
    client.send(iter(["an ", "iterator"]))
    client.send(piece for piece in ())
    client.send(map(str, range(3)))
    assert [read_text(peer) for _ in range(4)] == ["view", "an iterator", "", "012"]
    peer.close()
    ended(client)


# -- the object ----------------------------------------------------------------------------


def test_object_messages_may_be_kept(raw_server):
    client, peer = connected(raw_server)
    peer.text("kept")
    peer.close_frame(1000)
    peer.read_close()
    peer.close()
    ended(client)
    assert client.log.args("received_message")[0][0].data == b"kept"


def test_object_failing_handler_closes_with_1011(raw_server, caplog):
    class Failing(Client):
        def received_message(self, message):
            raise KeyError("a bug")

    client = Failing(raw_server.url)
    with answering(raw_server) as accepting:
        client.connect()
    peer = accepting.result()
    peer.text("go")
    assert peer.read_close().close_code == 1011
    peer.close()
    ended(client)
    assert [r for r in caplog.records if r.exc_info and r.exc_info[0] is KeyError]


def test_object_verbs_after_the_end(raw_server):
    client, peer = connected(raw_server)
    peer.close()
    ended(client)
    client.terminate()
    client.close()
    client.close_connection()
    for verb in (client.send, client.ping):
        with pytest.raises(RuntimeError):
            verb("late")
    assert client.log.names == ["opened", "closed"]


def test_heartbeat_does_not_hold_up_the_exit():
    """A heartbeat of a minute, and a program that is done at once."""
    script = """
import socket
from ws4py.websocket import Heartbeat, WebSocket
ours, theirs = socket.socketpair()
ws = WebSocket(ours, heartbeat_freq=60)
theirs.close()
with Heartbeat(ws, 60):
    ws.run()
print("done", ws.close_info.code)
"""
    begin = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.split() == ["done", "1006"]
    assert ran.stderr == ""
    assert time.monotonic() - begin < 10


def test_heartbeat_pings(manager, pair):
    ws, peer = pair(WebSocket)
    with Heartbeat(ws, 0.05):
        assert peer.read_frame(2).opcode == 0x9


# -- WSGI, imports, speed ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": "!!!"}, 400),
        ({"Sec-WebSocket-Version": "7"}, 426),
        ({"Upgrade": None}, 426),
        ({"method": "POST"}, 405),
    ],
)
def test_wsgi_answers_bad_requests(changes, status):
    wsgiref = next(backend for backend in SERVERS if backend.name == "wsgiref")
    served = wsgiref.serve(echo())
    try:
        changes = dict(changes)
        method = changes.pop("method", "GET")
        with served.connect() as peer:
            peer.send(peer.request("/", changes, method=method))
            assert peer.read_head().status == status
    finally:
        served.stop()


def test_import_changes_nothing_elsewhere():
    script = """
import wsgiref.util, wsgiref.handlers
before = wsgiref.util.is_hop_by_hop, wsgiref.handlers.is_hop_by_hop
import ws4py.server.wsgirefserver
assert before == (wsgiref.util.is_hop_by_hop, wsgiref.handlers.is_hop_by_hop)
assert wsgiref.util.is_hop_by_hop("Upgrade")
"""
    subprocess.run([sys.executable, "-c", script], timeout=30, check=True)


class CountingSocket:
    """Stands in for a socket (which is allowed): the input all at once, and a count."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.count = 0
        self.sent = b""

    def recv(self, size: int) -> bytes:
        self.count += 1
        data, self.data = self.data[:size], self.data[size:]
        return data

    def sendall(self, data: bytes) -> None:
        self.sent += bytes(data)


def test_reading_takes_what_is_there():
    sock = CountingSocket(make_frame(TEXT, b"short", key=b"1234") * 100)
    ws = recorded(WebSocket)(sock)
    ws.run()
    assert len(ws.log.texts) == 100
    assert sock.count == 2  # all of it, and the end


def test_the_table_names_tests_that_exist():
    named = {word for word in __doc__.split() if word.startswith("test_")}
    assert len(named) > 40
    assert named <= set(globals())

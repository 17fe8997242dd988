"""Clients that connect again: each behaviour once, over every client with hooks.

Which delays there are is tested with a fake clock (``test/protocol/test_reconnect.py``); here the
peers are real, and delays are none.
"""

from __future__ import annotations

import contextlib
import itertools
import threading

import pytest
from backends import CLIENTS
from conversation import Background, read_text
from hooks import Recorded
from rawpeer import TEXT, RawServer
from waiting import wait_for

from ws4py.client.reconnect import Reconnect
from ws4py.exc import ConnectionClosed, HandshakeError
from ws4py.protocol.connection import CloseInfo

AT_ONCE = Reconnect(delays=lambda: itertools.repeat(0.0))
IN_AN_HOUR = Reconnect(delays=lambda: itertools.repeat(3600.0))


class Subscriber(Recorded):
    """Says what it wants whenever it is connected, and writes down every hook."""

    def opened(self):
        super().opened()
        self.send("subscribe")

    def reconnecting(self, attempt, delay, why):
        self.log.add("reconnecting", attempt, delay, why)

    def reconnected(self, attempt):
        self.log.add("reconnected", attempt)

    def gave_up(self, error):
        self.log.add("gave_up", error)


@pytest.fixture(params=CLIENTS, ids=lambda backend: backend.name)
def backend(request):
    request.param.need("reconnect")
    if request.param.name in ("gevent", "tornado", "uvloop"):
        pytest.importorskip(request.param.name)  # before anybody waits for it to connect
    return request.param


@pytest.fixture
def raw():
    with RawServer() as server:
        yield server


@pytest.fixture
def connect(backend, raw):
    """``connect(policy, **options)``: a client, and the first peer; ended when the test is."""
    with contextlib.ExitStack() as stack:

        def connect(reconnect, hooks=Subscriber, **options):
            accepting = Background(accept, raw)
            url = options.pop("url", raw.url)
            client = backend.connect(hooks, url, reconnect=reconnect, **options)
            stack.callback(client.stop)
            stack.callback(end, client.ws)
            return client, accepting.result()

        yield connect


def end(ws):
    """Wherever it is."""
    ws.close()
    ws.close_connection()
    wait_for(lambda: not ws._persists)


def accept(raw):
    peer = raw.accept()
    peer.handshake()
    return peer


def refuse(raw, status):
    peer = raw.accept()
    peer.read_head()
    peer.send(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    peer.close()


def finish(client):
    """Everything ends, and nothing goes on."""
    client.ws.close()
    wait_for(lambda: client.ws.terminated and not client.ws._persists)
    client.join(10)


def test_one_object_has_one_connection_after_the_other(connect, raw):
    client, peer = connect(AT_ONCE)
    for n in range(1, 4):
        assert read_text(peer) == "subscribe"
        peer.text(f"number {n}")
        client.log.wait("received_message", n)
        peer.reset() if n == 1 else peer.close()
        peer = accept(raw)
    assert read_text(peer) == "subscribe"
    client.log.wait("reconnected", 3)
    assert client.ws.terminated is False
    assert client.log.texts == ["number 1", "number 2", "number 3"]
    once = ["opened", "received_message", "closed", "reconnecting", "reconnected"]
    names = [name for name in client.log.names if name != "unhandled_error"]
    assert names[:4] == once[:4]
    assert [name for name in names if name in ("opened", "reconnected")] == (
        ["opened"] + ["opened", "reconnected"] * 3
    )
    attempt, delay, why = client.log.args("reconnecting")[0]
    assert (attempt, delay) == (1, 0.0)
    assert isinstance(why, CloseInfo)
    assert why.code == 1006
    peer_end = Background(peer.read_close)
    client.ws.close(1000, "enough")
    assert peer_end.result().close_reason == "enough"
    peer.close_frame(1000)
    peer.close()
    client.log.wait("closed", 4)
    wait_for(lambda: client.ws.terminated)
    client.join(10)
    assert client.log.names.count("closed") == 4
    assert "gave_up" not in client.log.names


def test_a_normal_close_by_the_server_is_a_loss_too(connect, raw):
    client, peer = connect(AT_ONCE)
    read_text(peer)
    peer.close_frame(1001, "restarting")
    peer.read_close()
    peer.close()
    peer = accept(raw)
    assert client.log.args("closed") == [(1001, "restarting")]
    assert client.log.wait("reconnecting")[2].code == 1001
    peer.close()


def test_connect_tries_until_the_server_is_there(backend, raw):
    """Also after an answer that may be different next time."""
    serving = Background(lambda: (refuse(raw, 503), refuse(raw, 429), accept(raw)))
    client = backend.connect(Subscriber, raw.url, reconnect=AT_ONCE)
    *_, peer = serving.result()
    assert read_text(peer) == "subscribe"
    whys = [args[2] for args in client.log.args("reconnecting")]
    assert [why.status for why in whys] == [503, 429]
    assert "reconnected" not in client.log.names
    peer.close()
    client.ws.close()
    client.stop()


def test_connect_raises_what_it_gave_up_with(backend, raw):
    serving = Background(lambda: (refuse(raw, 503), refuse(raw, 401)))
    with pytest.raises(HandshakeError) as caught:
        backend.connect(Subscriber, raw.url, reconnect=AT_ONCE)
    assert caught.value.status == 401
    serving.result()


def test_it_gives_up_what_cannot_be_cured(connect, raw):
    client, peer = connect(AT_ONCE)
    read_text(peer)
    peer.close()
    refuse(raw, 500)
    refuse(raw, 404)
    (error,) = client.log.wait("gave_up")
    assert error.status == 404
    wait_for(lambda: client.ws.terminated)
    client.join(10)
    assert [args[0] for args in client.log.args("reconnecting")] == [1, 2]
    with pytest.raises(ConnectionClosed):
        client.ws.send("too late")


def test_attempts_are_counted(connect, raw):
    client, peer = connect(Reconnect(delays=[0, 0, 0], attempts=2))
    read_text(peer)
    peer.close()
    raw.close()
    (error,) = client.log.wait("gave_up")
    assert isinstance(error, ConnectionRefusedError)
    assert [args[0] for args in client.log.args("reconnecting")] == [1, 2]
    client.join(10)


def test_what_a_function_gives_is_asked_for_once_for_each_attempt(connect, raw):
    calls = {"url": 0, "headers": 0, "auth": 0}

    def url():
        calls["url"] += 1
        return f"{raw.url}?{calls['url']}"

    def headers():
        calls["headers"] += 1
        return {"X-Attempt": str(calls["headers"])}

    def auth():
        calls["auth"] += 1
        return ("user", str(calls["auth"]))

    client, peer = connect(AT_ONCE, url=url, headers=headers, auth=auth)
    keys = {peer.head.headers["sec-websocket-key"]}
    for n in range(2, 5):
        read_text(peer)
        peer.close()
        peer = accept(raw)
        head = peer.head
        assert head.target.endswith(f"?{n}")
        assert head.headers["x-attempt"] == str(n)
        keys.add(head.headers["sec-websocket-key"])
    assert calls == {"url": 4, "headers": 4, "auth": 4}
    assert len(keys) == 4
    finish_with(client, peer)


def finish_with(client, peer):
    read_text(peer)
    ending = Background(lambda: (peer.read_close(), peer.close_frame(1000), peer.close()))
    client.ws.close()
    ending.result()
    client.join(10)


def test_close_ends_a_wait(connect, raw):
    client, peer = connect(IN_AN_HOUR)
    read_text(peer)
    peer.close()
    client.log.wait("reconnecting")
    finish(client)
    assert client.log.names.count("closed") == 1


def test_close_ends_an_attempt(connect, raw):
    client, peer = connect(AT_ONCE)
    read_text(peer)
    peer.close()
    silent = raw.accept()
    silent.read_head()
    finish(client)
    silent.read_to_eof()
    silent.close()


def test_close_ends_the_first_attempt(backend, raw):
    """From the hook, where the object is not out of ``connect()`` yet."""

    class Impatient(Subscriber):
        def reconnecting(self, attempt, delay, why):
            self.close()

    refusing = Background(refuse, raw, 503)
    with pytest.raises(ConnectionClosed, match="while it was connecting"):
        backend.connect(Impatient, raw.url, reconnect=IN_AN_HOUR)
    refusing.result()


def test_close_in_closed_ends_it(connect, raw):
    class Once(Subscriber):
        def closed(self, code, reason=None):
            super().closed(code, reason)
            self.close()

    client, peer = connect(AT_ONCE, Once)
    read_text(peer)
    peer.close()
    wait_for(lambda: client.ws.terminated)
    client.join(10)
    assert "reconnecting" not in client.log.names


def test_a_cut_connection_comes_back(connect, raw):
    client, peer = connect(AT_ONCE)
    read_text(peer)
    client.ws.close_connection()
    again = accept(raw)
    assert read_text(again) == "subscribe"
    again.close()
    peer.close()


def test_without_a_queue_sending_offline_is_an_error(connect, raw):
    client, peer = connect(IN_AN_HOUR)
    read_text(peer)
    peer.close()
    client.log.wait("reconnecting")
    for _ in range(2):
        with pytest.raises(ConnectionClosed):
            client.ws.send("lost")
    assert client.ws.close_info.code == 1006
    finish(client)


def test_what_is_sent_offline_follows_the_subscription(connect, raw):
    policy = Reconnect(delays=lambda: itertools.repeat(0.0), queue=10)
    refused = threading.Event()

    class Patient(Subscriber):
        def reconnecting(self, attempt, delay, why):
            super().reconnecting(attempt, delay, why)
            if attempt == 1:
                self.send("one")
                self.send(b"\xff", binary=True)
                self.send(piece for piece in ["th", "ree"])
                with pytest.raises(ConnectionClosed):
                    self.ping("nobody")
                refused.set()

    client, peer = connect(policy, Patient)
    read_text(peer)
    peer.close()
    refuse(raw, 503)
    again = accept(raw)
    assert read_text(again) == "subscribe"
    frames = [again.read_frame() for _ in range(3)]
    assert [frame.payload for frame in frames] == [b"one", b"\xff", b"three"]
    assert [frame.opcode == TEXT for frame in frames] == [True, False, True]
    client.ws.send("four")
    assert read_text(again) == "four"
    assert refused.is_set()
    again.close()


def test_the_subprotocols_are_offered_again(connect, raw):
    _, peer = connect(AT_ONCE, protocols=["one", "two"])
    read_text(peer)
    peer.close()
    again = accept(raw)
    assert again.head.headers["sec-websocket-protocol"] == "one, two"
    again.close()


def test_an_error_in_a_hook_of_reconnecting_is_logged(connect, raw, caplog):
    class Clumsy(Subscriber):
        def reconnecting(self, attempt, delay, why):
            raise RuntimeError("clumsy")

    _, peer = connect(AT_ONCE, Clumsy)
    read_text(peer)
    peer.close()
    again = accept(raw)
    assert read_text(again) == "subscribe"
    assert "clumsy" in caplog.text
    again.close()

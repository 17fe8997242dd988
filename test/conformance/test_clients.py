"""What every client does, whatever drives its socket: each behaviour once, over all backends.

The peer is a raw server where the wire matters and one of the ``websockets`` package where a real
one is asked for. A backend joins by one entry in ``test/support/backends.py``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import socket
import ssl
import threading
import time
import zlib
from datetime import datetime, timedelta, timezone
from http.cookiejar import CookieJar

import pytest
from backends import CLIENTS, DROPINS, LINKS, QUICK, ClientBackend, websockets_server
from broken import BROKEN
from conversation import Background, TlsByHand, ask, read_close_code, read_message, read_text
from hooks import Recorded
from hostile import HOSTILE, Drip, HostileServer, redirection, reset
from proxyserver import ConnectProxy
from rawpeer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    RawServer,
    RawServerConnection,
    close_payload,
    make_frame,
)
from waiting import TIMEOUT, wait_for

from ws4py.client.auth import Bearer, Digest
from ws4py.exc import ConnectionClosed, ConnectionTimeout, HandshakeError, ProxyError
from ws4py.protocol.config import Compression

KEEPALIVE = QUICK.replace(ping_interval=0.15, ping_timeout=0.15)
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate"}


def needs(*abilities):
    """For a behaviour that not every backend can have."""
    return pytest.mark.needs(*abilities)


over_all_links = pytest.mark.parametrize("link", LINKS)
over_tls = pytest.mark.parametrize("link", ["tls"])


class Echo(Recorded):
    """Hooks that send everything back."""

    def received_message(self, message):
        super().received_message(message)
        self.send(message.data, message.is_binary)


def hooks(**members) -> type:
    """Recorded hooks, some of them replaced (those are not recorded)."""
    return type("Hooks", (Recorded,), members)


@pytest.fixture(params=[*CLIENTS, *DROPINS], ids=lambda backend: backend.name)
def backend(request) -> ClientBackend:
    return request.param


@pytest.fixture(autouse=True)
def abilities(backend, request):
    for mark in request.node.iter_markers("needs"):
        backend.need(*mark.args)


@pytest.fixture
def link() -> str:
    return "tcp"


@pytest.fixture(scope="session")
def bad_tls(ca) -> dict[str, ssl.SSLContext]:
    """TLS of servers whom nobody should trust."""
    long_ago = datetime(2001, 1, 1, tzinfo=timezone.utc)
    fine, other = ca.issue_cert("localhost"), ca.issue_cert("elsewhere.test")
    old = ca.issue_cert("localhost", not_before=long_ago, not_after=long_ago + timedelta(days=9))
    contexts = {}
    for fault, certificate in {"expired": old, "for another host": other, "": fine}.items():
        contexts[fault] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(contexts[fault])
    lonely = type(ca)()
    with lonely.private_key_pem.tempfile() as key, lonely.cert_pem.tempfile() as certificate:
        contexts["self-signed"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        contexts["self-signed"].load_cert_chain(certificate, key)
    return contexts


@pytest.fixture
def connect(backend, link, request):
    """Connect somewhere: ``connect(url, hooks, **options)``; ended when the test is."""
    tls = request.getfixturevalue("client_tls") if link == "tls" else None
    with contextlib.ExitStack() as stack:

        def connect(url, hooks=Recorded, **options):
            client = backend.connect(hooks, url, tls=tls, **options)
            stack.callback(client.stop)
            return client

        yield connect


@pytest.fixture
def raw(link, request, tmp_path):
    """The listening raw peer."""
    tls = request.getfixturevalue("server_tls") if link == "tls" else None
    path = str(tmp_path / "socket") if link == "unix" else None
    with RawServer(tls=tls, path=path) as server:
        yield server


@pytest.fixture
def meet(backend, connect, raw):
    """A client and its raw peer after the handshake: ``meet(hooks, **options)``.

    ``headers`` change the 101, ``extra`` follows it in the same write.
    """

    def meet(hooks=Recorded, *, headers=None, extra=b"", **options):
        backend.need(*options)

        def accept():
            peer = raw.accept()
            peer.handshake(headers, extra=extra)
            if raw.path is None:
                peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return peer

        accepting = Background(accept)
        client = connect(raw.url, hooks, **options)
        return client, accepting.result()

    return meet


@pytest.fixture
def echo_url(link, request, tmp_path):
    """A server of the ``websockets`` package that echoes."""

    def handler(ws):
        for message in ws:
            ws.send(message)

    options = {}
    if link == "tls":
        options["ssl"] = request.getfixturevalue("server_tls")
    elif link == "unix":
        options["path"] = str(tmp_path / "echo")
    with websockets_server(handler, **options) as url:
        yield url


def goodbye(peer: RawServerConnection, code: int | None = 1000, reason: str = "") -> None:
    """A server's clean end: close frame, its echo, end of the connection."""
    peer.close_frame(code, reason)
    assert peer.read_close().close_code == code
    peer.close()


# -- messages ------------------------------------------------------------------------------


class TestMessages:
    @over_all_links
    def test_a_real_server_echoes_what_is_sent(self, backend, connect, echo_url):
        """Text, binary, empty, unicode, each form of the length, 1 MiB, a generator."""
        client = connect(echo_url)
        texts = ["", "hello", "żółw \N{TURTLE} \0", "x" * 125, "y" * 126, "z" * 65536]
        blobs = [b"", b"\xff", os.urandom(300), os.urandom(1 << 19)]
        for text in texts:
            client.ws.send(text)
        for blob in blobs:
            client.ws.send(blob, binary=True)
        whole, pieces = "in three pieces", (piece for piece in ["in ", "three ", "pieces"])
        client.ws.send(whole if "generators" in backend.cannot else pieces)
        client.log.wait("received_message", len(texts) + len(blobs) + 1)
        messages = [args[0] for args in client.log.args("received_message")]
        assert [str(m) for m in messages[: len(texts)]] == texts
        assert all(m.is_text for m in messages[: len(texts)])
        assert [m.data for m in messages[len(texts) : -1]] == blobs
        assert all(m.is_binary for m in messages[len(texts) : -1])
        assert str(messages[-1]) == whole
        client.ws.close(1000, "thanks")
        assert client.wait_closed() == (1000, "thanks")

    @needs("pings")
    def test_every_frame_is_masked_with_a_key_of_its_own(self, meet):
        client, peer = meet()
        for _ in range(5):
            client.ws.send("same")
        client.ws.ping("p")
        client.ws.close()
        keys = set()
        for size in (4, 4, 4, 4, 4, 1, 2):
            head = peer.read(2)
            assert head[1] == 0x80 | size
            keys.add(peer.read(4))
            peer.read(size)
        assert len(keys) == 7

    @needs("generators", "mixed pieces")
    def test_a_generator_is_sent_in_fragments(self, meet):
        client, peer = meet()
        client.ws.send(piece for piece in ["a", b"bc", bytearray(b"d")])
        frames = [peer.read_frame() for _ in range(3)]
        assert [(f.opcode, f.fin) for f in frames] == [(TEXT, False), (CONT, False), (CONT, True)]
        assert b"".join(f.payload for f in frames) == b"abcd"
        assert all(f.masked for f in frames)

    def test_a_thousand_messages_in_one_go_keep_their_order(self, meet):
        client, peer = meet()
        expected = [f"message {n}" for n in range(1000)]
        peer.send(b"".join(make_frame(TEXT, text.encode()) for text in expected))
        client.log.wait("received_message", 1000)
        assert client.log.texts == expected

    def test_a_message_may_come_byte_by_byte(self, meet):
        client, peer = meet()
        for byte in make_frame(TEXT, "drip żółw".encode()):
            peer.send(bytes([byte]))
        assert str(client.log.wait("received_message")[0]) == "drip żółw"

    def test_fragments_with_a_ping_in_between_are_one_message(self, meet):
        client, peer = meet()
        peer.text("hel", fin=False)
        peer.ping(b"in between")
        peer.send_frame(CONT, b"", fin=False)
        peer.send_frame(CONT, b"lo")
        frame = peer.read_frame()
        assert (frame.opcode, frame.payload, frame.masked) == (PONG, b"in between", True)
        assert str(client.log.wait("received_message")[0]) == "hello"

    def test_a_large_message_arrives_whole(self, meet):
        _, peer = meet(Echo)
        data = os.urandom(1 << 20)
        Background(peer.binary, data).result()
        assert read_message(peer) == (BINARY, data)

    def test_messages_may_be_kept(self, meet):
        client, peer = meet()
        peer.text("kept")
        peer.binary(b"\xff")
        goodbye(peer)
        client.wait_closed()
        (text,), (binary,) = client.log.args("received_message")
        assert (text.data, str(text), text.is_text, len(text)) == (b"kept", "kept", True, 4)
        assert (binary.data, binary.is_binary) == (b"\xff", True)

    def test_what_cannot_be_sent_is_refused_and_nothing_is_torn(self, meet):
        client, peer = meet()
        for wrong in (None, 5, object()):
            with pytest.raises((TypeError, ValueError)):
                client.ws.send(wrong)
        with pytest.raises(ValueError):
            client.ws.send(b"\xff is no text")
        client.ws.send("still whole")
        assert read_text(peer) == "still whole"


# -- pings ---------------------------------------------------------------------------------


class TestPings:
    @needs("answers in step")
    def test_answers_keep_the_order_of_what_caused_them(self, meet):
        _, peer = meet(Echo)
        peer.send(
            make_frame(PING, b"1")
            + make_frame(TEXT, b"2")
            + make_frame(PING, b"")
            + make_frame(TEXT, b"4")
        )
        got = [peer.read_frame() for _ in range(4)]
        assert [(f.opcode, f.payload) for f in got] == [
            (PONG, b"1"),
            (TEXT, b"2"),
            (PONG, b""),
            (TEXT, b"4"),
        ]

    @needs("ponged")
    def test_our_ping_measures_the_latency(self, meet):
        client, peer = meet()
        assert client.ws.latency is None
        client.ws.ping("how far?")
        frame = peer.read_frame()
        assert (frame.opcode, frame.payload) == (PING, b"how far?")
        peer.pong(frame.payload)
        assert client.log.wait("ponged")[0].data == b"how far?"
        assert 0 <= client.ws.latency < 5

    def test_a_silent_server_that_does_not_answer_pings_is_given_up(self, meet):
        client, peer = meet(config=KEEPALIVE)
        assert peer.read_frame().opcode == PING
        code, reason = client.wait_closed(4)
        assert code == 1006
        assert "keepalive" in reason
        assert isinstance(client.ws.close_info.error, ConnectionTimeout)

    @needs("patience of its own")
    def test_a_silent_server_that_answers_pings_stays(self, meet):
        _, peer = meet(Echo, config=KEEPALIVE)
        for _ in range(3):
            frame = peer.read_frame()
            assert frame.opcode == PING
            peer.pong(frame.payload)
        peer.text("alive")
        assert read_text(peer) == "alive"

    def test_heartbeat_freq_is_a_keepalive_of_ones_own(self, meet):
        _, peer = meet(heartbeat_freq=0.1)
        assert peer.read_frame(4).opcode == PING


# -- the end -------------------------------------------------------------------------------


class TestClosing:
    @over_all_links
    def test_the_server_closes_with_code_and_reason(self, meet):
        client, peer = meet()
        peer.close_frame(4321, "żegnaj")
        frame = peer.read_close()
        assert (frame.close_code, frame.close_reason) == (4321, "żegnaj")
        peer.close()
        assert client.wait_closed() == (4321, "żegnaj")
        info = client.ws.close_info
        assert (info.code, info.began_by, info.clean) == (4321, "peer", True)

    def test_the_server_is_left_to_hang_up_first(self, meet):
        client, peer = meet()
        peer.close_frame(1000)
        assert peer.read_close().close_code == 1000
        assert peer.silent_for(0.1)
        assert "closed" not in client.log.names
        peer.close()
        assert client.wait_closed() == (1000, "")

    @needs("patience of its own")
    def test_a_server_that_does_not_hang_up_is_cut(self, meet):
        client, peer = meet(config=QUICK.replace(close_timeout=0.2))
        peer.close_frame(1000, "I stay")
        assert peer.read_close().close_code == 1000
        assert client.wait_closed(4) == (1000, "I stay")
        peer.expect_eof(4)

    def test_the_server_closes_without_a_code(self, meet):
        client, peer = meet()
        peer.close_frame(None)
        assert peer.read_close().payload == b""
        peer.close()
        assert client.wait_closed() == (1005, "")

    @over_all_links
    @needs("close codes")
    def test_we_close_from_another_thread(self, meet):
        client, peer = meet()
        client.ws.close(4000, "bye bye")
        frame = peer.read_close()
        assert (frame.close_code, frame.close_reason, frame.masked) == (4000, "bye bye", True)
        peer.close_frame(4000, "as you wish")
        peer.close()
        assert client.wait_closed() == (4000, "as you wish")
        assert (client.ws.close_info.began_by, client.ws.close_info.sent[0]) == ("us", 4000)

    @needs("close codes")
    def test_we_close_from_opened(self, meet):
        client, peer = meet(hooks(opened=lambda ws: ws.close(4001, "not now")))
        assert peer.read_close().close_code == 4001
        peer.close_frame(4001)
        peer.close()
        assert client.wait_closed() == (4001, "")

    @needs("close codes")
    def test_we_close_from_received_message(self, meet):
        client, peer = meet(
            hooks(received_message=lambda ws, message: ws.close(4002, str(message)))
        )
        peer.text("enough")
        frame = peer.read_close()
        assert (frame.close_code, frame.close_reason) == (4002, "enough")
        peer.close_frame(1000, "gone")
        peer.close()
        assert client.wait_closed() == (1000, "gone")

    @needs("close codes")
    def test_both_close_at_once(self, meet):
        client, peer = meet()
        gate = threading.Barrier(2)

        def servers_close():
            gate.wait(5)
            peer.close_frame(3001, "me too")

        other = Background(servers_close)
        gate.wait(5)
        client.ws.close(3000, "me")
        other.result()
        assert read_close_code(peer) in (3000, 3001)
        peer.close()
        assert client.wait_closed() == (3001, "me too")
        assert client.log.names.count("closed") == 1

    @needs("messages after close")
    def test_messages_on_their_way_are_delivered_after_our_close(self, meet):
        client, peer = meet()
        client.ws.close()
        assert peer.read_close().close_code == 1000
        peer.text("was on its way")
        peer.close_frame(1000)
        peer.close()
        client.wait_closed()
        assert client.log.texts == ["was on its way"]

    def test_nothing_is_read_behind_a_close_frame(self, meet):
        client, peer = meet()
        peer.send(
            make_frame(TEXT, b"before")
            + make_frame(CLOSE, close_payload(1000))
            + make_frame(TEXT, b"behind")
        )
        assert peer.read_close().close_code == 1000
        peer.close()
        client.wait_closed()
        assert client.log.texts == ["before"]

    def test_a_server_that_does_not_answer_our_close_is_cut(self, meet):
        client, peer = meet(config=QUICK.replace(close_timeout=0.2))
        client.ws.close(1000)
        assert peer.read_close().close_code == 1000
        code, reason = client.wait_closed(4)
        assert code == 1006
        assert "0.2 s" in reason
        peer.read_to_eof(2)

    @needs("patience of its own")
    def test_a_server_that_talks_on_after_our_close_is_cut(self, meet):
        client, peer = meet(config=QUICK.replace(close_timeout=0.2))
        client.ws.close(1000)
        stop = threading.Event()

        def talk():
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    peer.text("and another thing")

        talker = Background(talk)
        assert client.wait_closed(4)[0] == 1006
        stop.set()
        talker.result()

    @pytest.mark.parametrize("start", [b"", make_frame(TEXT, b"half")[:4]])
    def test_a_server_that_hangs_up_without_a_word(self, meet, start):
        client, peer = meet()
        peer.send(start)
        peer.shutdown()
        code, reason = client.wait_closed(4)
        assert (code, type(reason)) == (1006, str)
        assert reason
        assert client.log.names == ["opened", "closed"]

    @over_tls
    def test_a_server_that_cuts_a_tls_connection(self, meet):
        client, peer = meet()
        peer.close()
        assert client.wait_closed()[0] == 1006

    def test_a_server_that_resets(self, backend, meet):
        client, peer = meet()
        peer.reset()
        code, reason = client.wait_closed()
        assert (code, type(reason)) == (1006, str)
        backend.need("unhandled_error")
        assert client.log.names == ["opened", "unhandled_error", "closed"]

    def test_close_on_a_dead_connection_does_not_raise(self, meet):
        client, peer = meet()
        peer.reset()
        client.ws.close()
        client.ws.close(1000, "again")
        assert client.wait_closed()[0] == 1006
        client.ws.close()

    def test_send_and_ping_after_the_end_raise(self, backend, meet):
        client, peer = meet()
        goodbye(peer, 4000, "enough")
        client.wait_closed()
        for call in (client.ws.send, client.ws.ping):
            with pytest.raises(RuntimeError) as caught:
                call("late")
            assert isinstance(caught.value, ConnectionClosed)
        backend.need("texts of errors")
        assert "4000 enough" in str(caught.value)

    def test_send_after_our_close_raises(self, meet):
        client, peer = meet()
        client.ws.close()
        sending = Background(client.ws.send, "too late")  # some wait for the end, to tell it
        assert peer.read_close().close_code == 1000
        peer.close()
        with pytest.raises(RuntimeError):
            sending.result()

    @pytest.mark.parametrize("code", [0x10000, 999, 1005, 1006, 1015, 2999, 5000])
    @needs("close codes")
    def test_a_code_that_may_not_be_sent_is_refused(self, meet, code):
        client, peer = meet(Echo)
        with pytest.raises(ValueError):
            client.ws.close(code)
        assert ask(peer, "still open") == "still open"

    def test_close_connection_from_a_hook(self, meet):
        client, peer = meet(hooks(received_message=lambda ws, message: ws.close_connection()))
        peer.text("cut it")
        peer.expect_eof()
        assert client.wait_closed()[0] == 1006
        assert client.log.names.count("closed") == 1

    @pytest.mark.parametrize("verb", ["close_connection", "terminate"])
    def test_an_end_within_opened(self, backend, meet, verb):
        if verb == "terminate":
            backend.need("ways of 0.6")
        client, peer = meet(hooks(opened=lambda ws: getattr(ws, verb)()))
        peer.read_to_eof()
        assert client.wait_closed()[0] == 1006
        assert client.log.names == ["closed"]

    def test_close_connection_from_another_thread(self, meet):
        client, peer = meet()
        sock = client.ws.sock
        client.ws.close_connection()
        peer.expect_eof()
        assert client.wait_closed()[0] == 1006
        client.ws.close_connection()
        wait_for(lambda: sock.fileno() == -1)

    @needs("ways of 0.6")
    def test_terminate_by_hand_twice(self, meet):
        client, peer = meet()
        sock = client.ws.sock
        client.ws.terminate()
        client.ws.terminate()
        peer.expect_eof()
        client.wait_closed()
        wait_for(lambda: sock.fileno() == -1)
        assert client.log.names == ["opened", "closed"]

    @needs("ways of 0.6")
    def test_terminate_from_a_hook(self, meet):
        client, peer = meet(hooks(received_message=lambda ws, message: ws.terminate()))
        peer.send(make_frame(TEXT, b"stop") + make_frame(TEXT, b"never read"))
        peer.read_to_eof()
        client.wait_closed()
        assert client.log.names == ["opened", "closed"]

    @needs("ways of 0.6")
    def test_flags_written_by_hand_end_it(self, meet):

        def received_message(ws, message):
            ws.client_terminated = ws.server_terminated = True

        client, peer = meet(hooks(received_message=received_message))
        peer.text("out of the loop")
        client.wait_closed()
        assert client.log.names.count("closed") == 1

    @needs("ways of 0.6")
    def test_overridden_endings_are_called(self, meet):

        class Hooks(Recorded):
            def terminate(self):
                self.log.add("terminate")
                super().terminate()

            def close_connection(self):
                self.log.add("close_connection")
                super().close_connection()

        client, peer = meet(Hooks)
        goodbye(peer)
        assert client.wait_closed() == (1000, "")
        assert client.log.args("terminate")
        assert client.log.args("close_connection")

    @needs("ways of 0.6")
    def test_the_same_object_connects_again(self, meet):
        """By calling ``__init__`` again in ``closed()``, as programs for 0.6 do."""
        client, peer = meet()
        goodbye(peer)
        client.wait_closed()
        client.ws.__init__(client.ws.url, config=QUICK)
        assert client.ws.terminated is False
        assert client.ws.sock is None


# -- hooks ---------------------------------------------------------------------------------


class TestHooks:
    @needs("ponged")
    def test_their_order_and_number(self, meet):
        client, peer = meet()
        peer.text("one")
        peer.pong()
        peer.text("two")
        goodbye(peer)
        client.wait_closed()
        messages = ["received_message", "ponged", "received_message"]
        assert client.log.names == ["opened", *messages, "closed"]

    def test_they_run_on_one_thread(self, meet, backend):
        client, peer = meet(Echo)
        assert ask(peer) == "ping?"
        goodbye(peer)
        client.wait_closed()
        assert len(client.log.threads("received_message", "closed")) == 1
        backend.need("one thread")
        assert len(client.log.threads()) == 1

    def test_terminated_is_true_only_after_closed_has_returned(self, meet):
        client, peer = meet()
        assert client.ws.terminated is False
        goodbye(peer)
        client.wait_closed()
        assert client.ws.terminated_in_closed is False
        assert client.ws.terminated is True

    def test_addresses_can_be_read_to_the_end(self, meet, raw):
        client, peer = meet()
        client.log.wait("opened")
        theirs = peer.sock.getpeername()
        for _ in range(2):
            assert client.ws.local_address == theirs
            assert client.ws.peer_address == ("127.0.0.1", raw.port)
            if not client.ws.terminated:
                goodbye(peer)
                client.wait_closed()

    @pytest.mark.parametrize("hook", ["received_message", "ponged"])
    @needs("hooks that raise")
    def test_one_that_raises_ends_the_connection_with_1011(self, meet, caplog, hook):

        def fail(ws, argument):
            raise KeyError("what a bug looks like")

        with caplog.at_level(logging.ERROR, "ws4py"):
            client, peer = meet(hooks(**{hook: fail}))
            peer.send_frame(TEXT if hook == "received_message" else PONG, b"now")
            assert read_close_code(peer) == 1011
            peer.close()
            client.wait_closed()
        assert client.log.names.count("closed") == 1
        assert [r for r in caplog.records if r.exc_info and r.exc_info[0] is KeyError]

    @needs("hooks that raise")
    def test_closed_that_raises_leaves_nothing_behind(self, meet, caplog):

        class Hooks(Recorded):
            def closed(self, code, reason):
                super().closed(code, reason)
                raise KeyError("a bug at the end")

        with caplog.at_level(logging.ERROR, "ws4py"):
            client, peer = meet(Hooks)
            goodbye(peer)
            client.wait_closed()
        assert [r for r in caplog.records if r.exc_info and r.exc_info[0] is KeyError]

    def test_verbs_within_closed_are_harmless(self, meet):
        refused = []

        class Hooks(Recorded):
            def closed(self, code, reason):
                self.close()
                try:
                    self.send("anybody?")
                except RuntimeError as error:
                    refused.append(error)
                super().closed(code, reason)

        client, peer = meet(Hooks)
        goodbye(peer)
        client.wait_closed()
        assert len(refused) == 1


# -- broken rules --------------------------------------------------------------------------


class TestBrokenRules:
    @pytest.mark.parametrize("name", [*BROKEN, "a mask", "a mask on an empty frame"])
    def test_one_is_answered_with_its_code(self, backend, meet, name):
        if name in BROKEN:
            make, code = BROKEN[name]
            wire = make(make_frame)
        else:
            wire, code = make_frame(TEXT, b"" if "empty" in name else b"?", key=b"abcd"), 1002
        client, peer = meet(Echo)
        good = make_frame(TEXT, b"good")
        if "answers in step" in backend.cannot:
            peer.send(good)
            assert read_text(peer) == "good"
            peer.send(wire)
        else:
            peer.send(good + wire)
            assert read_text(peer) == "good"
        assert read_close_code(peer) == code
        peer.close()
        received, reason = client.wait_closed()
        assert received == 1006
        assert reason
        assert client.log.texts == ["good"]
        assert client.ws.close_info.sent[0] == code

    def test_a_size_over_the_limit_is_refused_at_the_header(self, meet):
        _, peer = meet(Echo, config=QUICK.replace(max_message_size=1000))
        peer.binary(bytes(1000))
        assert read_message(peer) == (BINARY, bytes(1000))
        peer.send(make_frame(BINARY, b"", length=1001))
        assert read_close_code(peer, 4) == 1009

    def test_fragments_over_the_limit_are_refused(self, meet):
        _, peer = meet(config=QUICK.replace(max_message_size=1000))
        peer.binary(bytes(600), fin=False)
        peer.send_frame(CONT, bytes(401))
        assert read_close_code(peer) == 1009


# -- compression ---------------------------------------------------------------------------


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


class TestCompression:
    @over_all_links
    def test_it_is_used_both_ways_with_a_real_server(self, connect, echo_url):
        client = connect(echo_url)
        texts = ["żółw " * 5000, "short", "", "żółw " * 5000, "another " * 3000]
        for text in texts:
            client.ws.send(text)
        client.log.wait("received_message", len(texts))
        assert client.log.texts == texts
        assert client.ws.extensions
        assert client.ws.stats.bytes_in < 5000
        assert client.ws.stats.bytes_out < 5000

    def test_its_frames_are_marked(self, meet):
        client, peer = meet(headers=DEFLATE)
        text = "compress me " * 500
        client.ws.send(text)
        frame = peer.read_frame()
        assert frame.rsv == 4
        assert inflated(frame.payload) == text.encode()
        peer.text(deflated(b"and back"), rsv=4)
        assert str(client.log.wait("received_message")[0]) == "and back"

    def test_small_messages_are_not_worth_it_unless_asked_for(self, backend, meet):
        client, peer = meet(headers=DEFLATE)
        client.ws.send("small")
        assert peer.read_frame().rsv == 0
        client.ws.send("small", compress=True)
        assert peer.read_frame().rsv == 4

    def test_it_is_offered_unless_it_is_off(self, meet):
        _, peer = meet()
        assert "permessage-deflate" in peer.head.headers["sec-websocket-extensions"]
        _, peer = meet(Echo, config=QUICK.replace(compression=None))
        assert "sec-websocket-extensions" not in peer.head.headers
        assert ask(peer) == "ping?"

    def test_a_server_may_decline(self, meet):
        client, peer = meet()
        client.ws.send("a" * 5000)
        assert peer.read_frame().rsv == 0
        assert not client.ws.extensions

    def test_no_context_is_taken_over_when_agreed(self, meet):
        config = QUICK.replace(compression=Compression(threshold=0))
        agreed = "permessage-deflate; client_no_context_takeover"
        client, peer = meet(headers={"Sec-WebSocket-Extensions": agreed}, config=config)
        for _ in range(2):
            client.ws.send("each message by itself")
            assert inflated(peer.read_frame().payload) == b"each message by itself"

    def test_a_bomb_is_bounded_while_it_inflates(self, meet):
        _, peer = meet(headers=DEFLATE, config=QUICK.replace(max_message_size=100_000))
        peer.binary(deflated(bytes(10_000_000)), rsv=4)
        assert read_close_code(peer) == 1009


# -- threads and pressure ------------------------------------------------------------------


class TestThreads:
    @over_all_links
    def test_eight_threads_send_whole_frames_in_their_order(self, meet):
        client, peer = meet()
        count = 60
        gate = threading.Barrier(8)

        def talk(who):
            gate.wait(5)
            for n in range(count):
                client.ws.send(f"{who} {n} " + "x" * (n * 37 % 2000))

        talkers = [Background(talk, who) for who in range(8)]
        heard = {who: [] for who in range(8)}
        for _ in range(8 * count):
            who, n, padding = read_text(peer).split(" ")
            assert padding == "x" * (int(n) * 37 % 2000)
            heard[int(who)].append(int(n))
        for talker in talkers:
            talker.result()
        assert all(numbers == list(range(count)) for numbers in heard.values())

    @needs("generators", "generators that wait")
    def test_a_message_does_not_get_into_a_fragmented_one(self, meet):
        client, peer = meet()
        client.log.wait("opened")

        def pieces():
            yield "one "
            yield "two "
            Background(client.ws.send, "whole").result()
            Background(client.ws.ping, "between").result()
            yield "three"

        client.ws.send(pieces())
        assert read_text(peer) == "one two three"
        assert read_text(peer) == "whole"

    @needs("senders that wait")
    def test_a_server_that_does_not_read_makes_a_sender_wait(self, meet):
        config = QUICK.replace(high_water=65536, overflow="block")
        client, peer = meet(config=config)
        count = 300

        def flood():
            for n in range(count):
                client.ws.send(n.to_bytes(2, "big") + bytes(65536), True)

        flooding = Background(flood)
        wait_for(lambda: client.ws.buffered_amount > 0 or not flooding.running)
        for n in range(count):
            assert read_message(peer)[1][:2] == n.to_bytes(2, "big")
        flooding.result()

    @needs("patience of its own")
    def test_a_server_that_never_reads_is_left(self, meet):
        config = QUICK.replace(high_water=65536, overflow="close", close_timeout=0.2)
        client, _ = meet(config=config)

        def flood():
            while True:
                client.ws.send(bytes(65536), True)

        with pytest.raises(RuntimeError):
            flood()
        code, reason = client.wait_closed(4)
        assert code == 1006
        assert "does not read" in reason
        assert client.ws.close_info.sent[0] == 1013

    def test_a_server_that_reads_late_misses_messages(self, meet):
        config = QUICK.replace(high_water=65536, overflow="drop")
        client, peer = meet(config=config)
        count = 300
        for n in range(count):
            client.ws.send(n.to_bytes(2, "big") + bytes(65536), True)
        assert 65536 < client.ws.buffered_amount <= 3 * 65536
        got = [read_message(peer)[1] for _ in range(client.ws.stats.messages_out)]
        assert {len(data) for data in got} == {65538}
        assert got == sorted(got)
        assert len(got) < count

    def test_both_ends_send_more_than_fits_anywhere(self, meet):
        """An echo of a flood whose sender does not read yet: nobody waits for nobody."""
        _, peer = meet(Echo, config=QUICK.replace(high_water=65536))
        block, count = 65536, 200
        flooding = Background(lambda: [peer.binary(bytes([n]) * block) for n in range(count)])
        for n in range(count):
            assert read_message(peer) == (BINARY, bytes([n]) * block)
        flooding.result()

    @needs("close codes", "senders that wait")
    def test_closing_while_threads_send(self, meet):
        # Four threads are soon ahead of the peer: they wait for it, wherever that is a choice.
        # It has a lot to read before it can answer the close, and is slow.
        config = QUICK.replace(overflow="block", high_water=65536, close_timeout=30.0)
        client, peer = meet(config=config)

        def talk():
            while True:
                client.ws.send("again and again")

        talkers = [Background(talk) for _ in range(4)]
        assert read_text(peer) == "again and again"
        client.ws.close(4000)
        assert read_close_code(peer) == 4000
        peer.close_frame(4000)
        peer.close()
        for talker in talkers:
            with pytest.raises(RuntimeError):
                talker.result()
        assert client.wait_closed()[0] == 4000


# -- the opening handshake -----------------------------------------------------------------


class TestOpening:
    @over_all_links
    def test_early_bytes_are_delivered_after_opened(self, meet, backend):
        """Three messages, a ping and half a message in one write with the 101."""
        late = make_frame(TEXT, b"cut in half")
        early = b"".join(make_frame(TEXT, text) for text in (b"1", b"2", b"3"))
        client, peer = meet(extra=early + make_frame(PING, b"4") + late[:5])
        assert peer.read_frame().payload == b"4"
        peer.send(late[5:])
        client.log.wait("received_message", 4)
        assert client.log.texts == ["1", "2", "3", "cut in half"]
        goodbye(peer)
        client.wait_closed()
        assert client.log.names == ["opened", *["received_message"] * 4, "closed"]
        assert len(client.log.threads("received_message", "closed")) == 1
        backend.need("one thread")
        assert len(client.log.threads()) == 1

    def test_an_early_close_frame_is_answered(self, meet):
        early = make_frame(TEXT, b"hello") + make_frame(CLOSE, close_payload(1000, "and bye"))
        client, peer = meet(extra=early)
        assert peer.read_close().close_reason == "and bye"
        peer.close()
        assert client.wait_closed() == (1000, "and bye")
        assert client.log.names == ["opened", "received_message", "closed"]

    def test_early_rubbish_is_answered(self, meet):
        _, peer = meet(extra=make_frame(3, b"?"))
        assert read_close_code(peer) == 1002

    def test_what_opened_sends_arrives(self, meet):
        _, peer = meet(hooks(opened=lambda ws: ws.send("hello there")))
        assert read_text(peer) == "hello there"

    @over_tls
    def test_half_a_tls_record_is_waited_for(self, connect, server_tls):
        with RawServer() as listener:

            def accept():
                listener.sock.settimeout(5)
                sock, _ = listener.sock.accept()
                torn = TlsByHand(sock, server_tls, server=True)
                peer = RawServerConnection(torn)
                peer.handshake()
                return torn, peer

            accepting = Background(accept)
            client = connect(f"wss://localhost:{listener.port}/", Echo)
            torn, peer = accepting.result()
            with peer:
                record = torn.record(make_frame(TEXT, b"in two halves"))
                torn.sock.sendall(record[:9])
                client.ws.send("meanwhile")
                assert read_text(peer) == "meanwhile"
                torn.sock.sendall(record[9:])
                assert read_text(peer) == "in two halves"

    @over_tls
    def test_many_messages_in_one_record_and_one_in_many(self, meet):
        client, peer = meet()
        peer.send(b"".join(make_frame(TEXT, str(n).encode()) for n in range(500)))
        for byte in make_frame(TEXT, b"lone!"):
            peer.send(bytes([byte]))
        client.log.wait("received_message", 501)
        assert client.log.texts == [*map(str, range(500)), "lone!"]

    @needs("protocols")
    def test_one_subprotocol_is_agreed_upon(self, meet):
        client, peer = meet(protocols=["mqtt", "chat"], headers={"Sec-WebSocket-Protocol": "chat"})
        assert peer.head.headers["sec-websocket-protocol"] == "mqtt, chat"
        assert client.ws.subprotocol == "chat"
        assert list(client.ws.protocols) == [b"chat"]

    @needs("protocols")
    def test_a_server_may_choose_no_subprotocol(self, meet):
        client, _ = meet(protocols=["mqtt"])
        assert client.ws.subprotocol is None

    def test_headers_are_sent(self, backend, meet):
        _, peer = meet(headers=None)
        headers = peer.head.headers
        assert headers["upgrade"] == "websocket"
        assert headers["connection"] == "Upgrade"
        assert headers["sec-websocket-version"] == "13"
        assert headers["host"].startswith("127.0.0.1:")
        backend.need("an Origin")
        assert headers["origin"] == f"http://{headers['host']}"

    @pytest.mark.parametrize(
        "changes",
        [
            {"Sec-WebSocket-Accept": None},
            {"Sec-WebSocket-Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
            {"Upgrade": None},
            {"Upgrade": "websocketx"},
            {"Connection": "close"},
            {"Sec-WebSocket-Protocol": "never-offered"},
            {"Sec-WebSocket-Extensions": "never-offered"},
            {"Sec-WebSocket-Extensions": "permessage-deflate; nonsense=1"},
        ],
        ids=lambda changes: "-".join(map(str, next(iter(changes.items())))),
    )
    def test_a_101_that_breaks_the_rules_is_refused(self, meet, raw, changes):
        with pytest.raises(HandshakeError):
            meet(headers=changes)
        raw.accepted[0].read_to_eof()

    def test_a_101_may_be_written_in_many_ways(self, meet):
        _, peer = meet(Echo, headers={"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"})
        assert ask(peer) == "ping?"

    def test_a_refusal_carries_the_answer(self, connect, raw):
        def refuse():
            peer = raw.accept()
            peer.read_request()
            peer.send(b"HTTP/1.1 403 Forbidden\r\nX-Why: you\r\nContent-Length: 6\r\n\r\ngo off")
            peer.close()

        refusing = Background(refuse)
        with pytest.raises(HandshakeError) as caught:
            connect(raw.url)
        refusing.result()
        assert (caught.value.status, caught.value.body) == (403, b"go off")
        assert ("X-Why", "you") in caught.value.headers

    @over_tls
    def test_a_server_that_stops_within_the_tls_handshake(self, connect):
        with RawServer() as silent, pytest.raises(ConnectionTimeout):
            connect(f"wss://localhost:{silent.port}/", config=QUICK.replace(open_timeout=0.2))

    def test_a_server_that_hangs_up_within_the_handshake(self, connect, raw):
        closing = Background(lambda: raw.accept().close())
        with pytest.raises((HandshakeError, OSError)):
            connect(raw.url)
        closing.result()

    def test_nobody_listens(self, connect, raw):
        port = raw.port
        raw.close()
        with pytest.raises(ConnectionRefusedError, match=str(port)):
            connect(f"ws://127.0.0.1:{port}/")

    def test_certificates_are_verified_by_default(self, connect, server_tls):
        with RawServer(tls=server_tls) as server:

            def accept():
                with pytest.raises(OSError):
                    server.accept().read(1)

            accepting = Background(accept)
            with pytest.raises(ssl.SSLCertVerificationError):
                connect(f"wss://localhost:{server.port}/")
            accepting.result()

    @needs("an opening of its own")
    @pytest.mark.parametrize("fault", ["expired", "self-signed", "for another host"])
    def test_a_bad_certificate_is_refused(self, connect, ca, bad_tls, fault):
        with RawServer(tls=bad_tls[fault]) as server:

            def accept():
                with pytest.raises(OSError):
                    server.accept().read(1)

            accepting = Background(accept)
            trusting = {"ca_data": ca.cert_pem.bytes().decode()}
            with pytest.raises(ssl.SSLCertVerificationError, match="is not accepted"):
                connect(f"wss://localhost:{server.port}/", ssl_options=trusting)
            accepting.result()

    @over_all_links
    def test_ten_connections_at_once(self, meet):
        pairs = [meet(Echo) for _ in range(10)]
        for n, (_, peer) in enumerate(pairs):
            peer.text(f"number {n}")
        for n, (_, peer) in enumerate(pairs):
            assert read_text(peer) == f"number {n}"
        for _, peer in pairs:
            goodbye(peer)
        for client, _ in pairs:
            assert client.wait_closed() == (1000, "")


# -- the way to the server -----------------------------------------------------------------

LOGIN = base64.b64encode(b"me:s@cret").decode()


@needs("an opening of its own")
class TestTheWay:
    @pytest.mark.parametrize("link", ["tcp", "tls"])
    @pytest.mark.parametrize("secure", [False, True], ids=["http proxy", "https proxy"])
    def test_through_a_proxy(self, connect, echo_url, secure, server_tls, client_tls):
        """Also TLS inside of TLS: 128 KiB there and back, and what TLS cuts in pieces."""
        blob = os.urandom(1 << 17)
        with ConnectProxy(tls=server_tls if secure else None, login=LOGIN) as proxy:
            client = connect(
                echo_url,
                proxy=proxy.url.replace("://", "://me:s%40cret@"),
                proxy_ssl_options=client_tls,
            )
            client.ws.send(blob, binary=True)
            for n in range(8):
                client.ws.send("x" * n * 3000)
            client.log.wait("received_message", 9)
            messages = [args[0] for args in client.log.args("received_message")]
            assert messages[0].data == blob
            assert [len(message.data) for message in messages[1:]] == list(range(0, 24000, 3000))
            client.ws.close(1000, "thanks")
            assert client.wait_closed() == (1000, "thanks")
        target = echo_url.partition("://")[2].strip("/")
        assert proxy.heads[0].startswith(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n")

    def test_a_proxy_that_refuses(self, connect, raw):
        with ConnectProxy(login=LOGIN) as proxy, pytest.raises(ProxyError) as caught:
            connect(raw.url, proxy=proxy.url)
        assert caught.value.status == 407
        assert ("Proxy-Authenticate", 'Basic realm="test"') in caught.value.headers

    def test_the_proxy_of_the_environment_finds_the_host(self, connect, raw, monkeypatch):
        with ConnectProxy() as proxy:
            monkeypatch.setenv("http_proxy", f"localhost:{proxy.port}")

            def accept():
                peer = raw.accept()
                peer.handshake()
                return peer

            accepting = Background(accept)
            connect(f"ws://somewhere.test:{raw.port}/", Echo)
            assert ask(accepting.result()) == "ping?"

    def test_the_hosts_certificate_is_checked_through_a_proxy(self, connect, bad_tls, ca):
        with RawServer(tls=bad_tls[""]) as server, ConnectProxy() as proxy:

            def accept():
                with pytest.raises(OSError):
                    server.accept().read(1)

            accepting = Background(accept)
            with pytest.raises(ssl.SSLCertVerificationError):
                connect(
                    f"wss://somewhere.test:{server.port}/",
                    proxy=proxy.url,
                    ssl_options={"ca_data": ca.cert_pem.bytes().decode()},
                )
            accepting.result()

    @needs("http in a URL")
    def test_http_in_a_url_means_ws(self, meet, raw, monkeypatch):
        monkeypatch.setattr(RawServer, "url", f"http://127.0.0.1:{raw.port}/")
        _, peer = meet(Echo)
        assert ask(peer) == "ping?"

    def test_tls_over_a_unix_socket(self, connect, server_tls, client_tls, tmp_path):
        with RawServer(tls=server_tls, path=str(tmp_path / "socket")) as server:

            def accept():
                peer = server.accept()
                peer.handshake()
                return peer

            accepting = Background(accept)
            connect(server.url, Echo, ssl_options=client_tls)
            assert ask(accepting.result()) == "ping?"

    @pytest.mark.parametrize("link", ["tcp", "tls"])
    @needs("sock")
    def test_a_socket_that_is_connected_already(self, meet, raw):
        sock = socket.create_connection(("127.0.0.1", raw.port), 10)
        _, peer = meet(Echo, sock=sock)
        assert ask(peer) == "ping?"
        assert len(raw.accepted) == 1

    @needs("sock")
    def test_a_socket_of_the_users_is_closed_when_there_is_no_connection(self, connect, raw):
        sock = socket.create_connection(("127.0.0.1", raw.port), 10)
        closing = Background(lambda: raw.accept().close())
        with pytest.raises((HandshakeError, OSError)):
            connect(raw.url, sock=sock)
        closing.result()
        assert sock.fileno() == -1

    @pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs all of 127.0.0.0/8")
    def test_the_address_to_connect_from(self, meet):
        _, peer = meet(local_addr="127.0.0.9")
        assert peer.sock.getpeername()[0] == "127.0.0.9"

    def test_options_of_the_socket(self, meet):
        client, _ = meet(socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)])
        assert client.ws.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert client.ws.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# -- HTTP around the opening ---------------------------------------------------------------


class Visits(HostileServer):
    """Answers each request with the next of these; 101 for ``None``. Remembers the requests."""

    def __init__(self, *answers: bytes | None) -> None:
        self.requests: list = []
        self._answers = list(answers)
        super().__init__(self._answer)

    def _answer(self, peer) -> None:
        head = peer.read_request()
        answer = self._answers[len(self.requests)]
        self.requests.append(head)
        peer.send(peer.response() if answer is None else answer)
        peer.read_to_eof()

    def header(self, name: str) -> list:
        return [head.headers.get(name) for head in self.requests]


def visit(connect, url, **options) -> None:
    """Connect and hang up."""
    client = connect(url, **options)
    client.ws.close_connection()
    client.wait_closed()


@needs("an opening of its own")
class TestHTTP:
    def test_redirects_are_followed(self, backend, connect):
        with Visits(None) as there:
            place = f"http://localhost:{there.port}/there?x#y"
            with Visits(redirection("second"), redirection(place, "308 Go")) as here:
                client = connect(f"ws://127.0.0.1:{here.port}/a/first", headers={"X": "y"})
                assert str(client.ws.connected_uri) == f"ws://localhost:{there.port}/there?x"
                assert client.ws.handshake_response.status == 101
                client.ws.close_connection()
                client.wait_closed()
        paths = [head.start_line.split()[1] for head in [*here.requests, *there.requests]]
        assert paths == ["/a/first", "/a/second", "/there?x"]
        assert here.header("x") + there.header("x") == ["y", "y", "y"]
        if "an Origin" not in backend.cannot:
            assert there.header("origin") == [f"http://{there.header('host')[0]}"]
        keys = here.header("sec-websocket-key") + there.header("sec-websocket-key")
        assert len(set(keys)) == 3

    @needs("tls after a redirect")
    def test_a_redirect_from_plain_to_tls_and_not_back(self, connect, server_tls, client_tls):
        options = {"ssl_options": {"ssl_context": client_tls}}
        with RawServer(tls=server_tls) as safe, Visits(redirection(safe.url)) as plain:
            back, there = plain.url, safe.url

            def answer():
                peer = safe.accept()
                peer.read_request()
                peer.send(redirection(back))
                peer.read_to_eof()

            answering = Background(answer)
            with pytest.raises(HandshakeError) as caught:
                connect(plain.url, **options)
            answering.result()
        assert str(caught.value) == (
            f"{there} answered 302 Found and redirects to {back!r}, which is not followed: it"
            f" would give up TLS; connect to {back} if that is what you want"
        )
        assert caught.value.status == 302

    def test_secrets_are_not_given_to_others(self, backend, connect):
        jar = {} if "cookies" in backend.cannot else {"cookies": CookieJar()}
        secrets = {"Authorization": "Bearer abc", "Cookie": "a=1", "X": "y"}
        with (
            Visits(None) as there,
            Visits(redirection("/2"), redirection(there.url, "307 Go")) as here,
        ):
            visit(connect, here.url, headers=secrets, **jar)
        assert here.header("authorization") == ["Bearer abc"] * 2
        assert here.header("cookie") == ["a=1"] * 2
        assert there.header("x") == ["y"]
        assert there.header("authorization") == there.header("cookie") == [None]

    @needs("cookies")
    def test_cookies_are_kept_and_sent(self, connect):
        jar = CookieJar()
        first = redirection("/in", "303 In", "Set-Cookie: session=1; Path=/")
        with Visits(first, None, None) as server:
            visit(connect, server.url, cookies=jar)
            visit(connect, server.url, cookies=jar)
            assert server.header("cookie") == [None, "session=1", "session=1"]
        with Visits(None, None) as server:
            visit(connect, server.url, cookies="a=1; b=2")
            visit(connect, server.url, cookies={"a": "1"}, headers=[("Cookie", "c=3")])
            assert server.header("cookie") == ["a=1; b=2", "c=3; a=1"]

    @needs("cookies")
    def test_cookies_of_a_refusal_are_kept(self, connect):
        jar = CookieJar()
        refusal = b"HTTP/1.1 403 No\r\nSet-Cookie: why=you\r\nContent-Length: 0\r\n\r\n"
        with Visits(refusal) as server, pytest.raises(HandshakeError):
            connect(server.url, cookies=jar)
        assert [cookie.name for cookie in jar] == ["why"]

    def test_who_we_are(self, connect):
        with Visits(None, None, None) as server:
            visit(connect, f"ws://joe:secret@127.0.0.1:{server.port}/")
            visit(connect, server.url, auth=("joe", "secret"))
            visit(connect, server.url, auth=Bearer("abc"))
            basic = "Basic am9lOnNlY3JldA=="
            assert server.header("authorization") == [basic, basic, "Bearer abc"]

    def test_digest_is_answered(self, connect):
        pytest.importorskip("httpx")
        challenge = (
            b"HTTP/1.1 401 Who\r\nContent-Length: 4\r\n"
            b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\nWho?'
        )
        auth = Digest("joe", "secret")
        with Visits(challenge, None, None) as server:
            visit(connect, server.url, auth=auth)
            visit(connect, server.url, auth=auth)
            first, *others = server.header("authorization")
        assert first is None
        assert len(others) == 2
        for given in others:
            assert given.startswith('Digest username="joe", realm="r", nonce="n", uri="/"')
        assert len(set(others)) == 2

    def test_functions_are_asked_at_each_attempt(self, connect):
        asked = []

        def headers():
            asked.append("headers")
            return {"X-Count": str(len(asked))}

        def auth():
            asked.append("auth")
            return Bearer(f"token-{len(asked)}")

        # Redirects belong to the same attempt.
        with Visits(redirection("/2"), None, None) as server:
            visit(connect, server.url, headers=headers, auth=auth)
            visit(connect, server.url, headers=headers, auth=auth)
            assert server.header("x-count") == ["1", "1", "3"]
            assert server.header("authorization") == [f"Bearer token-{n}" for n in (2, 2, 4)]
        assert asked == ["headers", "auth"] * 2

    def test_a_function_that_raises(self, connect, raw):
        with pytest.raises(ZeroDivisionError):
            connect(raw.url, headers=lambda: 1 / 0)
        with pytest.raises(TypeError, match="auth has to be"):
            connect(raw.url, auth=lambda: "token")

    def test_a_coroutine_function_where_a_loop_runs(self, connect, backend):
        async def auth():
            await asyncio.sleep(0)
            return Bearer("abc")

        async def headers():
            return [("X", "y")]

        with Visits(None) as server:
            if backend.name not in ("asyncio", "uvloop", "tornado"):
                with pytest.raises(TypeError, match="give this one an ordinary function"):
                    connect(server.url, auth=auth)
                return
            visit(connect, server.url, auth=auth, headers=headers)
            assert server.header("authorization") == ["Bearer abc"]
            assert server.header("x") == ["y"]

    def test_a_coroutine_function_that_takes_too_long(self, connect, raw, backend):
        if backend.name not in ("asyncio", "uvloop", "tornado"):
            pytest.skip("no loop runs it")

        async def headers():
            await asyncio.sleep(TIMEOUT)

        with pytest.raises(ConnectionTimeout) as caught:
            connect(raw.url, headers=headers, config=QUICK.replace(open_timeout=0.2))
        assert str(caught.value) == (
            f"could not connect to {raw.url} within 0.2 s: the function that gives the URL, "
            "headers or auth took too long. Whom does it ask? Config.open_timeout sets the time."
        )

    def test_headers_can_be_changed_and_left_out(self, connect):
        with Visits(None) as server:
            visit(
                connect,
                server.url,
                headers=[("Host", "chat.example"), ("User-Agent", "me")],
                origin="https://chat.example",
                exclude_headers=["Sec-WebSocket-Extensions"],
            )
            assert server.header("host") == ["chat.example"]
            assert server.header("origin") == ["https://chat.example"]
            assert server.header("user-agent") == ["me"]
            assert server.header("sec-websocket-extensions") == [None]

    @needs("sock")
    def test_a_socket_of_ones_own_leads_to_one_place(self, connect):
        with Visits(redirection("/2")) as server:
            sock = socket.create_connection(("127.0.0.1", server.port))
            with pytest.raises(HandshakeError, match="answered 302 Found: it redirects to '/2'"):
                connect(server.url, sock=sock)
            assert len(server.requests) == 1


# -- servers that are broken or mean ---------------------------------------------------------

#: Little time for what is silent or endless, and enough for the rest on a slow machine.
HURRIED = QUICK.replace(
    open_timeout=TIMEOUT,
    connect_timeout=0.3,
    tls_timeout=0.2,
    handshake_timeout=0.2,
    close_timeout=0.2,
    max_redirects=5,
)
PATIENT = HURRIED.replace(connect_timeout=None, handshake_timeout=None)


class TestHostileServers:
    """Whatever a server does, it ends in an error that says so, within the deadline."""

    @needs("an opening of its own")
    @pytest.mark.parametrize("name", HOSTILE)
    def test_an_opening_with_it_fails(self, backend, connect, name):
        case = HOSTILE[name]
        jar = {} if "cookies" in backend.cannot else {"cookies": CookieJar()}
        with HostileServer(case.script) as server:
            config = (HURRIED if case.takes_time else PATIENT).replace(**case.config)
            begun = time.monotonic()
            with pytest.raises(case.error) as caught:
                connect(server.url, config=config, **jar)
            assert time.monotonic() - begun < TIMEOUT / 2
            assert str(server.port) in str(caught.value)
        assert type(caught.value) is case.error
        assert case.text in str(caught.value)
        assert len(str(caught.value)) < 1000
        # A redirect may have come too late.
        assert len(server.accepted) == case.connections or case.takes_time
        if case.body:
            assert len(caught.value.body) == case.body

    @needs("an opening of its own")
    def test_one_that_drips_a_tls_handshake(self, connect):
        def drip(peer):
            peer.read(5)
            for byte in Drip(b"\x16\x03\x03\x40\x00\x02" + bytes(10_000)):
                peer.send(byte)

        slow = pytest.raises(ConnectionTimeout, match=r"within 0.2 s: the TLS handshake")
        with HostileServer(drip) as server, slow:
            connect(f"wss://localhost:{server.port}/", config=HURRIED)

    @needs("patience of its own")
    def test_one_that_does_not_accept(self, connect):
        """Its queue is full, so that nobody hears anything of it."""
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            port = listener.getsockname()[1]
            with pytest.raises(ConnectionTimeout, match=f"{port}/ within 0.3 s: the TCP"):
                connect(f"ws://127.0.0.1:{port}/", config=HURRIED)

    @pytest.mark.parametrize(
        ("early", "code"),
        [
            (make_frame(TEXT, b"?", key=b"abcd"), 1002),
            (make_frame(TEXT, b"?", rsv=2), 1002),
            (make_frame(TEXT, b"?", rsv=4), 1002),
            (make_frame(3, b"?"), 1002),
            (make_frame(BINARY, b"", length=1 << 40), 1009),
            (make_frame(BINARY, deflated(bytes(10_000_000)), rsv=4), 1009),
            (make_frame(TEXT, b"\xff"), 1007),
            (make_frame(TEXT, b"", fin=False) + make_frame(CONT, b"", fin=False) * 5000, 1009),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", 1002),
        ],
        ids=[
            *("masked", "reserved bit", "not deflated", "reserved opcode", "huge", "bomb"),
            *("no UTF-8", "empty fragments", "another answer"),
        ],
    )
    def test_frames_right_behind_the_101(self, meet, early, code):
        good = make_frame(TEXT, b"good")
        config = PATIENT.replace(max_message_size=1_000_000)
        client, peer = meet(extra=good + early, config=config, headers=DEFLATE)
        assert read_close_code(peer) == code
        peer.close()
        assert client.wait_closed()[0] == 1006
        assert client.log.texts == ["good"]
        assert client.ws.close_info.sent[0] == code

    @pytest.mark.parametrize(
        "extra", [b"", make_frame(TEXT, b"hello"), make_frame(TEXT, b"he")[:3]]
    )
    @pytest.mark.parametrize("end", [reset, lambda peer: peer.close()], ids=["RST", "FIN"])
    def test_the_end_right_behind_the_101(self, connect, raw, extra, end):
        def accept():
            peer = raw.accept()
            peer.handshake(extra=extra)
            end(peer)

        accepting = Background(accept)
        try:
            client = connect(raw.url, config=QUICK)
        except (HandshakeError, OSError):  # the RST may overtake the answer
            assert end is reset
        else:
            code, reason = client.wait_closed()
            assert (code, bool(reason)) == (1006, True)
            if end is not reset and extra.endswith(b"hello"):
                assert client.log.texts == ["hello"]
        accepting.result()

    @needs("patience of its own")
    def test_pings_without_end_from_one_that_does_not_read(self, meet):
        """Neither does the memory grow, nor does it take longer than that to close."""
        client, peer = meet(config=PATIENT.replace(high_water=65536))
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sock.settimeout(0.2)
        with contextlib.suppress(OSError):
            for _ in range(500):
                peer.sock.sendall(make_frame(PING, b"x" * 125) * 100)
        # The high water, and what the pings of the read that got there ask for.
        assert client.ws.buffered_amount <= 512 * 1024
        client.ws.close()
        with contextlib.suppress(OSError):
            while True:
                peer.sock.sendall(make_frame(PING, b"x" * 125) * 100)
        client.log.wait("closed")

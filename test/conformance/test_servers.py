"""What every server does, whatever drives its sockets: each behaviour once, over all backends.

The peer is raw bytes where the wire matters and the ``websockets`` package where a real client is
asked for. A backend joins by one entry in ``test/support/backends.py``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import threading
import zlib

import pytest
from backends import LINKS, QUICK, SERVERS, ServerBackend
from broken import BROKEN
from conversation import (
    Background,
    TlsByHand,
    ask,
    read_close_code,
    read_message,
    read_text,
    say_goodbye,
)
from hooks import Recorded, echo, recorded
from rawpeer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Eof,
    RawClient,
    close_payload,
    make_frame,
)
from waiting import TIMEOUT, wait_for

from ws4py.exc import ConnectionClosed, ConnectionTimeout
from ws4py.messaging import BinaryMessage, TextMessage
from ws4py.protocol.config import Compression
from ws4py.protocol.handshake import Response
from ws4py.websocket import EchoWebSocket, WebSocket

KEY = b"\x01\x02\x03\x04"
#: Before the opening handshake of somebody else has taken too long.
SOON = QUICK.open_timeout - 1
KEEPALIVE = QUICK.replace(ping_interval=0.15, ping_timeout=0.15)


def needs(*abilities):
    """For a behaviour that not every backend can have."""
    return pytest.mark.needs(*abilities)


over_all_links = pytest.mark.parametrize("link", LINKS)
over_tls = pytest.mark.parametrize("link", ["tls"])


@pytest.fixture(params=SERVERS, ids=lambda backend: backend.name)
def backend(request) -> ServerBackend:
    return request.param


@pytest.fixture
def link() -> str:
    return "tcp"


@pytest.fixture(autouse=True)
def abilities(backend, request):
    for mark in request.node.iter_markers("needs"):
        backend.need(*mark.args)


@pytest.fixture
def serve(backend, link, request, tmp_path):
    """Start a server: ``serve(handler, **options)``; it is stopped at the end of the test."""
    if link == "tls":
        context, tls = request.getfixturevalue("server_tls"), request.getfixturevalue("client_tls")
    with contextlib.ExitStack() as stack:

        def serve(handler, **options):
            if link == "tls":
                options.update(ssl=context, tls=tls)
            elif link == "unix":
                options["unix_path"] = str(tmp_path / "socket")
            served = backend.serve(handler, **options)
            stack.callback(served.stop)
            return served

        yield serve


def masked(opcode: int, payload: bytes = b"", **how) -> bytes:
    """One frame of a client's."""
    return make_frame(opcode, payload, key=KEY, **how)


def send_for_ever(ws, data: bytes) -> None:
    """Until it raises."""
    while True:
        ws.send(data, True)


# -- messages ------------------------------------------------------------------------------


class TestMessages:
    @over_all_links
    def test_text_and_binary_are_echoed_as_what_they_are(self, serve):
        """Empty, unicode, each form of the length, and 1 MiB."""
        served = serve(echo())
        texts = ["", "hello", "żółw \N{TURTLE} \0", "x" * 125, "y" * 126, "z" * 65535]
        with served.peer() as peer:
            for text in texts:
                peer.text(text)
                assert read_message(peer) == (TEXT, text.encode())
            for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
                data = os.urandom(size)
                peer.binary(data)
                assert read_message(peer) == (BINARY, data)
            say_goodbye(peer)

    @over_all_links
    def test_a_real_client_is_served(self, serve):
        sync = pytest.importorskip("websockets.sync.client")
        served = serve(echo())
        sock = None
        if isinstance(served.address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(served.address)
        uri = "ws://localhost/" if sock else served.url()
        with sync.connect(uri, sock=sock, ssl=served.tls, open_timeout=5, close_timeout=5) as ws:
            for message in ("text", b"binary", "", "żółw", "a" * 100_000, bytes(300_000)):
                ws.send(message)
                assert ws.recv(timeout=5) == message
            ws.send(iter(["in ", "three ", "pieces"]))
            assert ws.recv(timeout=5) == "in three pieces"
            assert ws.ping().wait(5)
        assert ws.close_code == 1000

    def test_a_thousand_messages_in_one_go_keep_their_order(self, serve):
        served = serve(echo())
        expected = [f"message {n}" for n in range(1000)]
        with served.peer() as peer:
            peer.send(b"".join(masked(TEXT, text.encode()) for text in expected))
            assert [read_text(peer) for _ in expected] == expected

    def test_a_message_may_come_byte_by_byte(self, serve):
        served = serve(echo())
        with served.peer() as peer:
            for byte in masked(TEXT, "drip żółw".encode()):
                peer.send(bytes([byte]))
            assert read_text(peer) == "drip żółw"

    @needs("frames")
    def test_a_generator_is_sent_in_fragments(self, serve):
        pieces = ["one ", b"two ", bytearray(b"three ")]
        served = serve(recorded(WebSocket, opened=lambda ws: ws.send(piece for piece in pieces)))
        with served.peer() as peer:
            frames = [peer.read_frame() for _ in range(3)]
        assert [(f.opcode, f.fin) for f in frames] == [(TEXT, False), (CONT, False), (CONT, True)]
        assert b"".join(f.payload for f in frames) == b"one two three "

    def test_a_generator_may_be_binary_empty_or_of_one_item(self, serve):
        def opened(ws):
            ws.send((piece for piece in [b"\xff", b"\xfe"]), binary=True)
            ws.send(iter([]))
            ws.send(iter(["only"]))

        served = serve(recorded(WebSocket, opened=opened))
        with served.peer() as peer:
            assert read_message(peer) == (BINARY, b"\xff\xfe")
            assert read_message(peer) == (TEXT, b"")
            assert read_message(peer) == (TEXT, b"only")

    def test_whatever_holds_bytes_can_be_sent(self, serve):
        def opened(ws):
            ws.send("text")
            ws.send(b"bytes are text")
            ws.send(b"\xff", True)
            ws.send(bytearray(b"\xfe"), binary=True)
            ws.send(memoryview(b"\xfd"), binary=True)
            ws.send(TextMessage("message"))
            ws.send(BinaryMessage(b"\xfc"))

        served = serve(recorded(WebSocket, opened=opened))
        with served.peer() as peer:
            got = [read_message(peer) for _ in range(7)]
        assert got == [
            (TEXT, b"text"),
            (TEXT, b"bytes are text"),
            (BINARY, b"\xff"),
            (BINARY, b"\xfe"),
            (BINARY, b"\xfd"),
            (TEXT, b"message"),
            (BINARY, b"\xfc"),
        ]

    def test_what_cannot_be_sent_is_refused_and_nothing_is_torn(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            for wrong in (None, 5, object()):
                with pytest.raises((TypeError, ValueError)):
                    ws.send(wrong)
            with pytest.raises(ValueError):
                ws.send(b"\xff is no text")
            with pytest.raises(ValueError):
                ws.ping("x" * 126)
            ws.send("still whole")
            assert read_text(peer) == "still whole"

    def test_fragments_with_a_ping_in_between_are_one_message(self, serve):
        served = serve(echo())
        with served.peer() as peer:
            peer.text("hel", fin=False)
            peer.ping(b"in between")
            peer.send_frame(CONT, b"", fin=False)
            peer.send_frame(CONT, b"lo", fin=True)
            first, second = peer.read_frame(), peer.read_frame()
        assert (first.opcode, first.payload) == (PONG, b"in between")
        assert (second.opcode, second.payload) == (TEXT, b"hello")

    def test_a_character_may_be_split_between_fragments(self, serve):
        served = serve(echo())
        data = "ż\N{TURTLE}".encode()
        with served.peer() as peer:
            peer.text(data[:1], fin=False)
            peer.send_frame(CONT, data[1:4], fin=False)
            peer.send_frame(CONT, data[4:])
            assert read_message(peer) == (TEXT, data)

    def test_messages_may_be_kept(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            peer.text("kept")
            peer.binary(b"\xff")
            say_goodbye(peer)
        log = handler.next().log
        log.wait("closed")
        (text,), (binary,) = log.args("received_message")
        assert (text.data, str(text), text.is_text, len(text)) == (b"kept", "kept", True, 4)
        assert (binary.data, binary.is_binary) == (b"\xff", True)


# -- pings ---------------------------------------------------------------------------------


class TestPings:
    def test_a_ping_is_answered_with_its_payload(self, serve):
        served = serve(echo())
        with served.peer() as peer:
            for payload in (b"", b"a", os.urandom(125)):
                peer.ping(payload)
                frame = peer.read_frame()
                assert (frame.opcode, frame.payload, frame.masked) == (PONG, payload, False)

    @needs("pings")
    def test_answers_keep_the_order_of_what_caused_them(self, serve):
        served = serve(echo())
        with served.peer() as peer:
            peer.send(
                masked(PING, b"1") + masked(TEXT, b"2") + masked(PING, b"3") + masked(TEXT, b"4")
            )
            got = [peer.read_frame() for _ in range(4)]
        assert [(f.opcode, f.payload) for f in got] == [
            (PONG, b"1"),
            (TEXT, b"2"),
            (PONG, b"3"),
            (TEXT, b"4"),
        ]

    @needs("pings")
    def test_our_ping_measures_the_latency(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            assert ws.latency is None
            ws.ping("how far?")
            frame = peer.read_frame()
            assert (frame.opcode, frame.payload) == (PING, b"how far?")
            peer.pong(frame.payload)
            (pong,) = ws.log.wait("ponged")
            assert pong.data == b"how far?"
            assert 0 <= ws.latency < 5

    @needs("pings")
    def test_a_pong_nobody_asked_for_is_only_told(self, serve):
        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            peer.pong(b"sign of life")
            assert ask(peer, "on it goes") == "on it goes"
            assert handler.next().log.wait("ponged")[0].data == b"sign of life"

    @needs("pings")
    def test_a_silent_peer_that_does_not_answer_pings_is_given_up(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=KEEPALIVE)
        with served.peer() as peer:
            assert peer.read_frame().opcode == PING
            rest = peer.read_to_eof()
            assert not rest or rest[2:4] == struct.pack("!H", 1011)
        ws = handler.next()
        code, reason = ws.log.wait("closed")
        assert code == 1006
        assert "keepalive" in reason
        assert isinstance(ws.close_info.error, ConnectionTimeout)

    def test_a_silent_peer_that_answers_pings_lives(self, serve):
        served = serve(echo(), config=KEEPALIVE)
        with served.peer() as peer:
            for _ in range(3):
                frame = peer.read_frame()
                assert frame.opcode == PING
                peer.pong(frame.payload)
            peer.text("alive")
            assert read_text(peer) == "alive"

    @needs("pings")
    def test_any_byte_counts_as_life(self, serve):
        """Half a frame after the ping, and no pong."""
        served = serve(echo(), config=KEEPALIVE)
        with served.peer() as peer:
            frame = masked(TEXT, b"slow")
            assert peer.read_frame().opcode == PING
            peer.send(frame[:4])
            assert peer.read_frame().opcode == PING
            peer.send(frame[4:])
            assert read_text(peer) == "slow"

    def test_the_ping_is_left_out_while_messages_come(self, serve):
        served = serve(echo(), config=QUICK.replace(ping_interval=5.0))
        with served.peer() as peer:
            assert ask(peer) == "ping?"
            assert peer.silent_for(0.05)

    @needs("pings")
    def test_heartbeat_freq_is_a_keepalive_of_ones_own(self, serve):
        class Handler(Recorded, EchoWebSocket):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, heartbeat_freq=0.1, **kwargs)

        served = serve(Handler)
        with served.peer() as peer:
            assert peer.read_frame(4).opcode == PING


# -- the end -------------------------------------------------------------------------------


class TestClosing:
    @over_all_links
    def test_the_peer_closes_with_code_and_reason(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            peer.close_frame(4321, "żegnaj")
            frame = peer.read_close()
            assert (frame.close_code, frame.close_reason) == (4321, "żegnaj")
            peer.expect_eof()
        ws = handler.next()
        assert ws.log.wait("closed") == (4321, "żegnaj")
        wait_for(lambda: ws.terminated)
        info = ws.close_info
        assert (info.code, info.began_by, info.clean) == (4321, "peer", True)

    def test_the_peer_closes_without_a_code(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            peer.close_frame(None)
            assert peer.read_close().payload == b""
            peer.expect_eof()
        assert handler.next().log.wait("closed") == (1005, "")

    @needs("the peer's end")
    @over_all_links
    def test_we_close_from_another_thread(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            ws.close(4000, "bye bye")
            frame = peer.read_close()
            assert (frame.close_code, frame.close_reason) == (4000, "bye bye")
            peer.close_frame(4000, "as you wish")
            peer.expect_eof()
        assert ws.log.wait("closed") == (4000, "as you wish")
        wait_for(lambda: ws.terminated)
        assert (ws.close_info.began_by, ws.close_info.sent) == ("us", (4000, "bye bye"))

    @needs("the peer's end")
    def test_we_close_from_opened(self, serve):
        handler = recorded(WebSocket, opened=lambda ws: ws.close(4001, "no room"))
        served = serve(handler)
        with served.peer() as peer:
            assert peer.read_close().close_code == 4001
            peer.close_frame(4001)
            peer.expect_eof()
        ws = handler.made.get(timeout=5)
        assert ws.log.wait("closed") == (4001, "")

    @needs("the peer's end")
    def test_we_close_from_received_message(self, serve):
        handler = recorded(
            WebSocket, received_message=lambda ws, message: ws.close(4002, str(message))
        )
        served = serve(handler)
        with served.peer() as peer:
            peer.text("go away")
            frame = peer.read_close()
            assert (frame.close_code, frame.close_reason) == (4002, "go away")
            peer.close_frame(1000, "gone")
            peer.expect_eof()
        assert handler.made.get(timeout=5).log.wait("closed") == (1000, "gone")

    @needs("frames")
    def test_we_close_without_a_code(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            handler.next().close(None)
            assert peer.read_close().payload == b""

    def test_a_reason_may_be_none_or_bytes_and_is_cut_to_fit(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        for reason, expected in ((None, ""), (b"bytes", "bytes"), ("ż" * 100, "ż" * 61)):
            with served.peer() as peer:
                handler.next().close(1000, reason)
                frame = peer.read_close()
                assert (frame.close_code, frame.close_reason) == (1000, expected)

    def test_only_the_first_close_counts(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            ws.close(4000, "first")
            ws.close(4001, "second")
            assert peer.read_close().close_code == 4000
            peer.close_frame(4000)
            peer.expect_eof()
        ws.log.wait("closed")
        ws.close(4002, "late")

    @pytest.mark.parametrize("code", [0x10000, 999, 1004, 1005, 1006, 1015, 2999, 5000])
    def test_a_code_that_may_not_be_sent_is_refused(self, serve, code):
        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            with pytest.raises(ValueError):
                handler.next().close(code)
            assert ask(peer, "still open") == "still open"

    @needs("the peer's end")
    def test_both_close_at_once(self, serve):
        """Our close frame is on its way while the peer's is."""
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            gate = threading.Barrier(2)

            def peers_close():
                gate.wait(5)
                peer.close_frame(3001, "me too")

            other = Background(peers_close)
            gate.wait(5)
            ws.close(3000, "me")
            other.result()
            assert read_close_code(peer) in (3000, 3001)
            peer.expect_eof()
        assert ws.log.wait("closed") == (3001, "me too")
        assert ws.log.names.count("closed") == 1

    @needs("frames")
    def test_nothing_is_read_behind_a_close_frame(self, serve):
        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            peer.send(
                masked(TEXT, b"before")
                + masked(CLOSE, close_payload(1000))
                + masked(TEXT, b"behind")
                + masked(PING, b"?")
            )
            assert read_text(peer) == "before"
            assert peer.read_close().close_code == 1000
            peer.expect_eof()
        log = handler.next().log
        log.wait("closed")
        assert log.texts == ["before"]

    @needs("the peer's end")
    def test_messages_on_their_way_are_delivered_after_our_close(self, serve):
        handler = recorded(WebSocket, opened=lambda ws: ws.close())
        served = serve(handler)
        with served.peer() as peer:
            assert peer.read_close().close_code == 1000
            peer.text("was on its way")
            peer.close_frame(1000)
            peer.expect_eof()
        log = handler.made.get(timeout=5).log
        log.wait("closed")
        assert log.texts == ["was on its way"]

    @needs("cutting")
    @needs("the peer's end")
    def test_a_peer_that_does_not_answer_our_close_is_cut(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=QUICK.replace(close_timeout=0.2))
        with served.peer() as peer:
            ws = handler.next()
            ws.close(1000)
            assert peer.read_close().close_code == 1000
            peer.expect_eof(4)
        code, reason = ws.log.wait("closed")
        assert code == 1006
        assert "0.2 s" in reason

    @needs("the peer's end")
    def test_a_peer_that_talks_on_after_our_close_is_cut(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=QUICK.replace(close_timeout=0.3))
        with served.peer() as peer:
            ws = handler.next()
            ws.close(1000)
            pause = threading.Event()

            def talk():
                with contextlib.suppress(OSError):
                    while not pause.wait(0.02):
                        peer.text("and another thing")

            talker = Background(talk)
            assert ws.log.wait("closed", timeout=TIMEOUT)[0] == 1006
            pause.set()
            talker.result()

    @needs("the peer's end")
    @pytest.mark.parametrize(
        "start", [b"", masked(TEXT, b"half")[:7], masked(TEXT, b"x", fin=False)]
    )
    def test_a_peer_that_hangs_up_without_a_word(self, serve, start):
        """FIN between frames, within a frame, within a message."""
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            peer.send(start)
            peer.shutdown()
            peer.read_to_eof()
        ws = handler.next()
        code, reason = ws.log.wait("closed")
        assert (code, type(reason)) == (1006, str)
        assert reason
        assert ws.log.names == ["opened", "closed"]
        assert ws.close_info.clean is False

    @needs("the peer's end")
    @over_tls
    def test_a_peer_that_cuts_a_tls_connection(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        served.peer().close()
        assert handler.next().log.wait("closed")[0] == 1006

    @needs("errors")
    @needs("the peer's end")
    def test_a_peer_that_resets(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        peer = served.peer()
        ws = handler.next()
        peer.reset()
        code, reason = ws.log.wait("closed")
        assert (code, type(reason)) == (1006, str)
        (error,) = ws.log.wait("unhandled_error")
        assert isinstance(error, ConnectionError)
        assert ws.log.names == ["opened", "unhandled_error", "closed"]

    @needs("the peer's end")
    def test_a_peer_that_resets_while_it_is_written_to(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=QUICK.replace(overflow="drop"))
        peer = served.peer()
        ws = handler.next()
        peer.reset()
        with contextlib.suppress(ConnectionClosed):
            for _ in range(1000):
                ws.send("anybody there?")
        assert ws.log.wait("closed")[0] == 1006
        with pytest.raises(RuntimeError):
            ws.send("late")

    def test_send_and_ping_after_the_end_raise(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            say_goodbye(peer, 4000, "enough")
        ws.log.wait("closed")
        for call in (ws.send, ws.ping):
            with pytest.raises(RuntimeError) as caught:
                call("late")
            assert isinstance(caught.value, ConnectionClosed)
        with pytest.raises(RuntimeError):
            ws.send(iter(["late"]))
        assert "4000 enough" in str(caught.value)
        wait_for(lambda: ws.terminated)

    def test_send_after_our_close_raises(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            ws.close()
            with pytest.raises(RuntimeError):
                ws.send("too late")
            assert peer.read_close().close_code == 1000

    @needs("cutting")
    def test_close_connection_from_a_hook(self, serve):
        handler = recorded(WebSocket, received_message=lambda ws, message: ws.close_connection())
        served = serve(handler)
        with served.peer() as peer:
            peer.text("cut it")
            peer.expect_eof()
        ws = handler.made.get(timeout=5)
        assert ws.log.wait("closed")[0] == 1006
        wait_for(lambda: ws.terminated)
        assert ws.log.names.count("closed") == 1
        assert ws.sock is None

    @needs("cutting")
    @pytest.mark.parametrize("verb", ["close_connection", "terminate"])
    def test_an_end_within_opened(self, serve, verb):
        handler = recorded(WebSocket, opened=lambda ws: getattr(ws, verb)())
        served = serve(handler)
        with served.connect() as peer:
            peer.send(peer.request())
            peer.read_to_eof()
        ws = handler.made.get(timeout=5)
        assert ws.log.wait("closed")[0] == 1006
        wait_for(lambda: ws.terminated)
        assert ws.log.names == ["closed"]

    @needs("socket")
    def test_close_connection_from_another_thread(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            sock = ws.sock
            ws.close_connection()
            peer.expect_eof()
            assert ws.log.wait("closed")[0] == 1006
            ws.close_connection()
            wait_for(lambda: sock.fileno() == -1)

    @needs("socket")
    def test_terminate_by_hand_twice(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            sock = ws.sock
            ws.terminate()
            ws.terminate()
            peer.expect_eof()
        assert ws.terminated
        wait_for(lambda: sock.fileno() == -1)
        assert ws.log.names == ["opened", "closed"]

    def test_terminate_from_a_hook(self, serve):
        handler = recorded(WebSocket, received_message=lambda ws, message: ws.terminate())
        served = serve(handler)
        with served.peer() as peer:
            peer.send(masked(TEXT, b"stop") + masked(TEXT, b"never read"))
            peer.read_to_eof()
        ws = handler.made.get(timeout=5)
        wait_for(lambda: ws.terminated)
        assert ws.log.names == ["opened", "closed"]

    def test_flags_written_by_hand_end_it(self, serve):
        def received_message(ws, message):
            ws.client_terminated = ws.server_terminated = True

        handler = recorded(WebSocket, received_message=received_message)
        served = serve(handler)
        with served.peer() as peer:
            peer.text("out of the loop")
            peer.read_to_eof()
        ws = handler.made.get(timeout=5)
        ws.log.wait("closed")
        assert ws.log.names.count("closed") == 1

    def test_overridden_endings_are_called(self, serve):
        class Handler(Recorded, WebSocket):
            def terminate(self):
                self.log.add("terminate")
                super().terminate()

            def close_connection(self):
                self.log.add("close_connection")
                super().close_connection()

        served = serve(Handler)
        with served.peer() as peer:
            say_goodbye(peer)
        ws = Handler.next()
        wait_for(lambda: ws.terminated)
        assert ws.log.args("terminate")
        assert ws.log.args("close_connection")
        assert ws.log.args("closed") == [(1000, "")]

    @needs("errors")
    @needs("the peer's end")
    def test_unhandled_error_may_end_it_as_in_0_6(self, serve):
        class Handler(Recorded, WebSocket):
            def unhandled_error(self, error):
                super().unhandled_error(error)
                self.terminate()
                self.close()

        served = serve(Handler)
        peer = served.peer()
        ws = Handler.next()
        peer.reset()
        ws.log.wait("closed")
        assert ws.log.names == ["opened", "unhandled_error", "closed"]

    def test_verbs_within_closed_are_harmless(self, serve):
        refused = []

        class Handler(Recorded, WebSocket):
            def closed(self, code, reason):
                self.close()
                try:
                    self.send("anybody?")
                except RuntimeError as error:
                    refused.append(error)
                super().closed(code, reason)

        served = serve(Handler)
        with served.peer() as peer:
            say_goodbye(peer)
        Handler.next().log.wait("closed")
        assert len(refused) == 1


# -- hooks ---------------------------------------------------------------------------------


class TestHooks:
    @needs("pings")
    def test_their_order_and_number(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            peer.text("one")
            peer.pong()
            peer.text("two")
            say_goodbye(peer)
        ws = handler.next()
        ws.log.wait("closed")
        wait_for(lambda: ws.terminated)
        messages = ["received_message", "ponged", "received_message"]
        assert ws.log.names == ["opened", *messages, "closed"]

    def test_they_run_on_one_thread(self, serve, backend):
        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            assert ask(peer) == "ping?"
            say_goodbye(peer)
        log = handler.next().log
        log.wait("closed")
        assert len(log.threads("received_message", "closed")) == 1
        backend.need("one thread")
        assert len(log.threads()) == 1

    def test_terminated_is_true_only_after_closed_has_returned(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            say_goodbye(peer)
        ws = handler.next()
        ws.log.wait("closed")
        assert ws.terminated_in_closed is False
        wait_for(lambda: ws.terminated)

    def test_environ_and_addresses_can_be_read_to_the_end(self, serve):
        seen = {}

        class Handler(Recorded, WebSocket):
            def opened(self):
                seen["opened"] = dict(self.environ)
                super().opened()

            def closed(self, code, reason):
                seen["closed"] = dict(self.environ)
                super().closed(code, reason)

        served = serve(Handler)
        with served.peer("/room/7?who=me", {"X-Colour": "green"}) as peer:
            ours = peer.sock.getsockname()
            ws = Handler.next()
            say_goodbye(peer)
        ws.log.wait("closed")
        environ = seen["opened"]
        assert environ["PATH_INFO"] == "/room/7"
        assert environ["QUERY_STRING"] == "who=me"
        assert environ["HTTP_X_COLOUR"] == "green"
        assert environ["REQUEST_METHOD"] == "GET"
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert seen["closed"]["PATH_INFO"] == "/room/7"
        wait_for(lambda: ws.terminated)
        assert ws.peer_address == ours
        assert ws.local_address == ("127.0.0.1", served.address)

    @pytest.mark.parametrize("hook", ["opened", "received_message", "ponged"])
    def test_one_that_raises_harms_its_own_connection_only(self, serve, backend, caplog, hook):
        if hook == "ponged":
            backend.need("pings")

        def fail(ws, *args):
            if "fail" in ws.environ["PATH_INFO"]:
                raise KeyError("what a bug looks like")

        class Handler(Recorded, EchoWebSocket):
            pass

        def failing(self, *args):
            getattr(super(Handler, self), hook)(*args)
            fail(self)

        setattr(Handler, hook, failing)
        served = serve(Handler)
        with caplog.at_level(logging.ERROR, "ws4py"), served.peer("/good") as other:
            Handler.next()
            with served.peer("/fail") as peer:
                ws = Handler.made.get(timeout=5)
                if hook != "opened":
                    peer.send_frame(TEXT if hook == "received_message" else PONG, b"now")
                assert read_close_code(peer) == 1011
                if "cutting" not in backend.cannot:
                    peer.read_to_eof()
                peer.shutdown()
                assert ws.log.wait("closed")[0] in (1006, 1011)
            assert ask(other, "not my business") == "not my business"
        assert ws.log.names.count("closed") == 1
        assert [r for r in caplog.records if r.exc_info and r.exc_info[0] is KeyError]

    def test_closed_that_raises_leaves_nothing_behind(self, serve, caplog):
        class Handler(Recorded, EchoWebSocket):
            def closed(self, code, reason):
                super().closed(code, reason)
                raise KeyError("a bug at the end")

        served = serve(Handler)
        with caplog.at_level(logging.ERROR, "ws4py"):
            with served.peer() as peer:
                say_goodbye(peer)
            ws = Handler.next()
            wait_for(lambda: ws.terminated)
            assert ws.log.names.count("closed") == 1
            with served.peer() as peer:
                assert ask(peer, "the next one") == "the next one"
        assert [r for r in caplog.records if r.exc_info and r.exc_info[0] is KeyError]

    def test_a_handler_that_cannot_be_made_harms_nobody_else(self, serve, caplog):
        class Handler(Recorded, EchoWebSocket):
            def __init__(self, sock, protocols=None, extensions=None, environ=None):
                if environ["PATH_INFO"] == "/fail":
                    raise KeyError("a bug at the beginning")
                super().__init__(sock, protocols, extensions, environ)

        served = serve(Handler)
        with served.peer("/good") as other:
            with served.connect() as peer:
                peer.send(peer.request("/fail"))
                peer.read_to_eof()
            assert ask(other, "still here") == "still here"

    def test_a_source_of_fragments_that_raises_ends_the_connection(self, serve, caplog):
        def pieces():
            yield "half "
            yield "a "
            raise KeyError("no more")

        handler = recorded(WebSocket, opened=lambda ws: ws.send(pieces()))
        served = serve(handler)
        with served.peer() as peer:
            assert read_close_code(peer) == 1011

    def test_a_source_that_raises_before_its_first_fragment_harms_nothing(self, serve):
        def nothing():
            raise KeyError("empty")
            yield

        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            with pytest.raises(KeyError):
                handler.next().send(nothing())
            assert ask(peer, "as if nothing was") == "as if nothing was"


# -- broken rules --------------------------------------------------------------------------


@needs("frames")
class TestBrokenRules:
    @pytest.mark.parametrize("name", [*BROKEN, "no mask", "no mask on an empty frame"])
    def test_one_is_answered_with_its_code(self, serve, name):
        if name in BROKEN:
            make, code = BROKEN[name]
            wire = make(masked)
        else:
            wire, code = make_frame(TEXT, b"" if "empty" in name else b"bare"), 1002
        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            peer.send(masked(TEXT, b"good") + wire)
            assert read_text(peer) == "good"
            assert read_close_code(peer) == code
            peer.read_to_eof()
        ws = handler.next()
        received = ws.log.wait("closed")
        assert received[0] == 1006
        assert received[1]
        assert ws.log.texts == ["good"]
        assert ws.close_info.sent[0] == code

    def test_a_size_over_the_limit_is_refused_at_the_header(self, serve):
        served = serve(echo(), config=QUICK.replace(max_message_size=1000))
        with served.peer() as peer:
            peer.binary(bytes(1000))
            assert read_message(peer) == (BINARY, bytes(1000))
            peer.send(masked(BINARY, b"", length=1001))
            assert read_close_code(peer, 4) == 1009

    def test_fragments_over_the_limit_are_refused(self, serve):
        served = serve(echo(), config=QUICK.replace(max_message_size=1000))
        with served.peer() as peer:
            peer.binary(bytes(600), fin=False)
            peer.send_frame(CONT, bytes(401))
            assert read_close_code(peer) == 1009

    def test_too_many_fragments_are_refused(self, serve):
        served = serve(echo(), config=QUICK.replace(max_fragments=10))
        with served.peer() as peer:
            peer.send(masked(TEXT, b"x", fin=False) + masked(CONT, b"x", fin=False) * 20)
            assert read_close_code(peer) in (1008, 1009)

    def test_an_announced_size_and_then_silence_costs_nobody_else(self, serve):
        served = serve(echo())
        with served.peer() as silent, served.peer() as other:
            silent.send(masked(BINARY, b"", length=16 << 20))
            assert ask(other, timeout=SOON) == "ping?"


# -- compression ---------------------------------------------------------------------------


OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


@needs("frames")
class TestCompression:
    @over_all_links
    def test_it_is_used_both_ways_with_a_real_client(self, serve):
        sync = pytest.importorskip("websockets.sync.client")
        handler = echo()
        served = serve(handler)
        sock = None
        if isinstance(served.address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(served.address)
        uri = "ws://localhost/" if sock else served.url()
        message = json.dumps([{"id": n, "name": "żółw"} for n in range(2000)])
        with sync.connect(uri, sock=sock, ssl=served.tls, compression="deflate") as ws:
            ours = handler.next()
            for expected in (message, message[::-1], "", "short", os.urandom(5000)):
                ws.send(expected)
                assert ws.recv(timeout=5) == expected
            sizes = ours.stats.bytes_in, ours.stats.bytes_out
        assert ours.extensions
        assert "permessage-deflate" in ours.extensions[0]
        assert max(sizes) < len(message) / 2

    def test_it_is_negotiated_and_its_frames_are_marked(self, serve):
        served = serve(echo())
        with served.connect() as peer:
            head = peer.handshake("/", OFFER)
            assert head.headers["sec-websocket-extensions"].startswith("permessage-deflate")
            text = b"compress me " * 500
            peer.text(deflated(text), rsv=4)
            frame = peer.read_frame()
            assert frame.rsv == 4
            assert len(frame.payload) < len(text) / 4
            assert inflated(frame.payload) == text

    def test_small_messages_are_not_worth_it(self, serve):
        served = serve(echo())
        with served.peer("/", OFFER) as peer:
            peer.text("small")
            frame = peer.read_frame()
            assert (frame.rsv, frame.payload) == (0, b"small")

    def test_a_compressed_message_may_come_in_fragments(self, serve):
        served = serve(echo())
        with served.peer("/", OFFER) as peer:
            data = deflated(b"compressed and fragmented")
            peer.text(data[:5], rsv=4, fin=False)
            peer.ping(b"between")
            peer.send_frame(CONT, data[5:])
            assert peer.read_frame().opcode == PONG
            assert read_text(peer) == "compressed and fragmented"

    def test_it_can_be_off(self, serve):
        served = serve(echo(), config=QUICK.replace(compression=None))
        with served.connect() as peer:
            head = peer.handshake("/", OFFER)
            assert "sec-websocket-extensions" not in head.headers
            assert ask(peer) == "ping?"

    def test_who_does_not_offer_gets_none(self, serve):
        served = serve(echo())
        with served.connect() as peer:
            assert "sec-websocket-extensions" not in peer.handshake().headers
            peer.text("a" * 5000)
            assert peer.read_frame().rsv == 0

    def test_parameters_are_agreed_upon(self, serve):
        config = QUICK.replace(compression=Compression(threshold=0))
        served = serve(echo(), config=config)
        offer = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10"
        with served.connect() as peer:
            head = peer.handshake("/", {"Sec-WebSocket-Extensions": offer})
            agreed = head.headers["sec-websocket-extensions"]
            assert "server_no_context_takeover" in agreed
            assert "server_max_window_bits=10" in agreed
            for _ in range(2):
                peer.text("each message by itself")
                # A new inflater each time: no context is taken over.
                assert inflated(peer.read_frame().payload) == b"each message by itself"

    def test_a_bomb_is_bounded_while_it_inflates(self, serve):
        served = serve(echo(), config=QUICK.replace(max_message_size=100_000))
        with served.peer("/", OFFER) as peer:
            peer.binary(deflated(bytes(10_000_000)), rsv=4)
            assert read_close_code(peer) == 1009

    def test_garbage_is_no_compressed_message(self, serve):
        served = serve(echo())
        with served.peer("/", OFFER) as peer:
            peer.binary(b"\xff" * 50, rsv=4)
            assert read_close_code(peer) in (1002, 1007)


# -- who reads slowly ----------------------------------------------------------------------


class TestPressure:
    @needs("socket")
    @over_all_links
    def test_one_that_does_not_read_its_echoes_delays_nobody(self, serve):
        """And gets all of them in the end, in order."""
        handler = echo()
        served = serve(handler, config=QUICK.replace(high_water=65536))
        block, count = 65536, 250
        with (
            served.peer(receive_buffer=16384) as slow,
            served.peer() as fast,
        ):
            ws = handler.next()

            def flood():
                for n in range(count):
                    slow.binary(bytes([n]) * block)

            flooding = Background(flood)
            wait_for(lambda: ws.buffered_amount > 0 or not flooding.running)
            for _ in range(20):
                assert ask(fast) == "ping?"
            assert ws.buffered_amount <= 65536 + 2 * (block + 16)
            for n in range(count):
                assert read_message(slow) == (BINARY, bytes([n]) * block)
            flooding.result()

    def test_one_that_never_reads_is_closed(self, serve):
        config = QUICK.replace(high_water=65536, overflow="close", close_timeout=0.2)
        handler = echo()
        served = serve(handler, config=config)
        with served.peer(receive_buffer=16384) as slow, served.peer() as fast:
            ws = handler.next()
            with pytest.raises(RuntimeError):
                send_for_ever(ws, bytes(65536))
            assert ask(fast) == "ping?"
            code, reason = ws.log.wait("closed", timeout=TIMEOUT)
            assert code == 1006
            assert "does not read" in reason
            assert ws.close_info.sent[0] == 1013
            with contextlib.suppress(Eof):
                assert read_close_code(slow) == 1013

    def test_one_that_never_reads_misses_messages(self, serve):
        config = QUICK.replace(high_water=65536, overflow="drop")
        handler = echo()
        served = serve(handler, config=config)
        count = 300
        with served.peer(receive_buffer=16384) as slow, served.peer() as fast:
            ws = handler.next()
            for n in range(count):
                ws.send(n.to_bytes(2, "big") + bytes(65536), True)
            assert 65536 < ws.buffered_amount <= 3 * 65536
            assert ask(fast) == "ping?"
            got = [read_message(slow)[1] for _ in range(ws.stats.messages_out)]
            assert {len(data) for data in got} == {65538}
            assert got == sorted(got)
            assert len(got) < count
            assert ask(slow, "and now?") == "and now?"

    def test_a_thread_that_sends_to_it_waits(self, serve):
        config = QUICK.replace(high_water=65536, overflow="block")
        handler = echo()
        served = serve(handler, config=config)
        count = 300
        with served.peer(receive_buffer=16384) as slow, served.peer() as fast:
            ws = handler.next()

            def flood():
                for n in range(count):
                    ws.send(n.to_bytes(2, "big") + bytes(65536), True)

            flooding = Background(flood)
            wait_for(lambda: ws.buffered_amount > 0 or not flooding.running)
            assert flooding.running
            assert ask(fast) == "ping?"
            for n in range(count):
                assert read_message(slow)[1][:2] == n.to_bytes(2, "big")
            flooding.result()

    @needs("cutting")
    @pytest.mark.parametrize("end", ["peer", "us"])
    def test_a_sender_that_waits_is_woken_by_the_end(self, serve, end):
        config = QUICK.replace(high_water=65536, overflow="block", close_timeout=0.5)
        handler = recorded(WebSocket)
        served = serve(handler, config=config)
        with served.peer(receive_buffer=16384) as peer:
            ws = handler.next()
            flooding = Background(send_for_ever, ws, bytes(65536))
            wait_for(lambda: ws.buffered_amount > 0)
            if end == "peer":
                peer.reset()
            else:
                ws.close_connection()
            with pytest.raises(RuntimeError):
                flooding.result()
            ws.log.wait("closed")

    @needs("the peer's end")
    def test_closing_one_that_never_reads_ends_in_time(self, serve):
        config = QUICK.replace(overflow="drop", high_water=65536, close_timeout=0.2)
        handler = recorded(WebSocket)
        served = serve(handler, config=config)
        with served.peer(receive_buffer=16384):
            ws = handler.next()
            for _ in range(300):
                ws.send(bytes(65536), True)
            ws.close()
            assert ws.log.wait("closed", timeout=TIMEOUT)[0] == 1006

    def test_a_flood_of_one_does_not_starve_another(self, serve):
        served = serve(echo())
        stop = threading.Event()
        with served.peer() as loud, served.peer() as quiet:
            # Large enough that what waits in the kernel at the end is not half a million messages.
            batch = masked(TEXT, b"noise" * 50) * 50

            def shout():
                while not stop.is_set():
                    loud.send(batch)

            def hear():
                while not stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        loud.read(4096, 0.2)

            shouting, hearing = Background(shout), Background(hear)
            try:
                for _ in range(5):
                    assert ask(quiet) == "ping?"  # within 10 s; starved, it would be never
            finally:
                stop.set()
                hearing.result()
                loud.sock.shutdown(socket.SHUT_RDWR)
                with contextlib.suppress(OSError):
                    shouting.result()

    def test_pongs_for_one_that_does_not_read_do_not_pile_up(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=QUICK.replace(close_timeout=0.3))
        with served.peer(receive_buffer=16384) as peer:
            ws = handler.next()
            batch = masked(PING, bytes(125)) * 1000
            peer.sock.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                for _ in range(100):
                    peer.sock.sendall(batch)
            assert ws.buffered_amount < 4 << 20

    @over_all_links
    def test_a_hundred_connections_at_once(self, serve):
        handler = echo()
        served = serve(handler)
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(served.connect()) for _ in range(100)]
            for peer in peers:
                peer.send(peer.request())
            for peer in peers:
                assert peer.read_head().status == 101
            for n, peer in enumerate(peers):
                peer.text(f"number {n}")
            for n, peer in enumerate(peers):
                assert read_text(peer) == f"number {n}"
            for peer in peers:
                peer.close_frame(1000)
            for peer in peers:
                assert peer.read_close().close_code == 1000
        for _ in peers:
            handler.next().log.wait("closed")


# -- threads -------------------------------------------------------------------------------


class TestThreads:
    @over_all_links
    def test_eight_threads_send_whole_frames_in_their_order(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        count = 60
        with served.peer() as peer:
            ws = handler.next()
            gate = threading.Barrier(8)

            def talk(who):
                gate.wait(5)
                for n in range(count):
                    ws.send(f"{who} {n} " + "x" * (n * 37 % 2000))

            talkers = [Background(talk, who) for who in range(8)]
            heard = {who: [] for who in range(8)}
            for _ in range(8 * count):
                who, n, padding = read_text(peer).split(" ")
                assert padding == "x" * (int(n) * 37 % 2000)
                heard[int(who)].append(int(n))
            for talker in talkers:
                talker.result()
        assert all(numbers == list(range(count)) for numbers in heard.values())

    def test_threads_send_while_the_peer_is_echoed_to(self, serve):
        handler = echo()
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            talker = Background(lambda: [ws.send(f"ours {n}") for n in range(200)])
            for n in range(200):
                peer.text(f"theirs {n}")
            got = [read_text(peer) for _ in range(400)]
            talker.result()
        for whose in ("ours", "theirs"):
            assert [t for t in got if t.startswith(whose)] == [f"{whose} {n}" for n in range(200)]

    @pytest.mark.parametrize("where", ["in a hook", "in another thread"])
    def test_a_message_does_not_get_into_a_fragmented_one(self, serve, where):
        def pieces(ws):
            yield "one "
            yield "two "
            Background(ws.send, "whole").result()
            Background(ws.ping, "between").result()
            yield "three"

        def received_message(ws, message):
            ws.send(pieces(ws))

        handler = recorded(WebSocket, received_message=received_message)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.made.get(timeout=5)
            if where == "in a hook":
                peer.text("go")
            else:
                ws.log.wait("opened")
                Background(ws.send, pieces(ws)).result()
            assert read_text(peer) == "one two three"
            assert read_text(peer) == "whole"

    def test_two_generators_at_once_are_two_messages(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            gate = threading.Barrier(2)

            def pieces(who):
                for _ in range(3):
                    gate.wait(5)
                    yield who

            both = [Background(ws.send, pieces(who)) for who in ("a", "b")]
            assert sorted(read_text(peer) for _ in both) == ["aaa", "bbb"]
            for each in both:
                each.result()

    @needs("the peer's end")
    def test_closing_while_threads_send(self, serve):
        # Four threads are soon ahead of the peer: they wait for it, wherever that is a choice.
        handler = recorded(WebSocket)
        # It has a lot to read before it can answer the close, and is slow.
        config = QUICK.replace(overflow="block", high_water=65536, close_timeout=30.0)
        served = serve(handler, config=config)
        with served.peer() as peer:
            ws = handler.next()

            def talk():
                with pytest.raises(RuntimeError):
                    send_for_ever(ws, b"again and again")

            talkers = [Background(talk) for _ in range(4)]
            assert read_text(peer) == "again and again"
            ws.close(4000)
            assert read_close_code(peer) == 4000
            peer.close_frame(4000)
            peer.expect_eof()
            for talker in talkers:
                talker.result()
        assert ws.log.wait("closed")[0] == 4000

    def test_a_message_to_others_may_be_sent_from_a_hook(self, serve):
        """A chat: what one says, all hear."""
        room = []

        class Handler(Recorded, WebSocket):
            def opened(self):
                room.append(self)
                super().opened()

            def received_message(self, message):
                for ws in room:
                    ws.send(message)

        served = serve(Handler)
        with served.peer() as a, served.peer() as b, served.peer() as c:
            for _ in range(3):
                Handler.next()
            b.text("hello all")
            assert [read_text(peer) for peer in (a, b, c)] == ["hello all"] * 3


# -- the opening handshake -----------------------------------------------------------------


class TestOpening:
    @needs("early bytes")
    @over_all_links
    def test_early_bytes_are_delivered_after_opened(self, serve, backend):
        """Three messages, a ping and half a message in one write with the request."""
        handler = echo()
        served = serve(handler)
        late = masked(TEXT, b"cut in half")
        early = b"".join(masked(TEXT, text) for text in (b"1", b"2", b"3"))
        with served.peer(extra=early + masked(PING, b"4") + late[:9]) as peer:
            assert [read_text(peer) for _ in range(3)] == ["1", "2", "3"]
            assert peer.read_frame().payload == b"4"
            peer.send(late[9:])
            assert read_text(peer) == "cut in half"
        log = handler.next().log
        log.wait("closed")
        assert log.names == ["opened", *["received_message"] * 4, "closed"]
        assert len(log.threads("received_message", "closed")) == 1
        backend.need("one thread")
        assert len(log.threads()) == 1

    @needs("early bytes")
    def test_an_early_close_frame_is_answered(self, serve):
        handler = echo()
        served = serve(handler)
        early = masked(TEXT, b"hello") + masked(CLOSE, close_payload(1000, "and bye"))
        with served.peer(extra=early) as peer:
            assert read_text(peer) == "hello"
            assert peer.read_close().close_reason == "and bye"
            peer.expect_eof()
        log = handler.next().log
        assert log.wait("closed") == (1000, "and bye")
        assert log.names == ["opened", "received_message", "closed"]

    @needs("early bytes")
    def test_early_rubbish_is_answered(self, serve):
        handler = echo()
        served = serve(handler)
        with served.peer(extra=make_frame(TEXT, b"bare")) as peer:
            assert read_close_code(peer) == 1002

    def test_what_opened_sends_follows_the_answer(self, serve):
        served = serve(recorded(WebSocket, opened=lambda ws: ws.send("welcome")))
        with served.peer() as peer:
            assert read_text(peer) == "welcome"

    def test_the_request_may_come_byte_by_byte(self, serve):
        served = serve(echo())
        with served.connect() as peer:
            for byte in peer.request():
                peer.send(bytes([byte]))
            assert peer.read_head().status == 101
            assert ask(peer) == "ping?"

    @over_all_links
    def test_half_a_handshake_delays_nobody(self, serve, backend):
        backend.need("stalled heads")
        served = serve(echo())
        with contextlib.ExitStack() as stack:
            stalled = [stack.enter_context(served.connect()) for _ in range(30)]
            for peer in stalled:
                peer.send(peer.request()[:40])
            with served.peer() as other:
                assert ask(other, timeout=SOON) == "ping?"
            late = stalled[7]
            late.send(late.request()[40:])
            assert late.read_head().status == 101
            assert ask(late) == "ping?"

    @over_tls
    def test_half_a_tls_record_delays_nobody(self, serve):
        served = serve(echo())
        torn = TlsByHand(socket.create_connection(("127.0.0.1", served.address)), served.tls)
        with RawClient(torn) as slow, served.peer() as other:
            slow.handshake()
            record = torn.record(masked(TEXT, b"in two halves"))
            torn.sock.sendall(record[:11])
            for _ in range(3):
                assert ask(other, timeout=SOON) == "ping?"
            torn.sock.sendall(record[11:])
            assert read_text(slow) == "in two halves"

    @over_tls
    def test_half_a_tls_handshake_delays_nobody(self, serve, backend):
        backend.need("stalled TLS")
        served = serve(echo())
        with (
            RawClient.connect(served.address) as silent,
            RawClient.connect(served.address) as half,
            served.peer() as other,
        ):
            half.send(b"\x16\x03\x01\x02\x00\x01\x00")
            assert ask(other, timeout=SOON) == "ping?"
            silent.send(b"")

    @over_tls
    def test_who_does_not_speak_tls_is_dropped(self, serve):
        served = serve(echo())
        with RawClient.connect(served.address) as peer:
            peer.send(peer.request())
            peer.read_to_eof()
        with served.peer() as peer:
            assert ask(peer) == "ping?"

    @over_tls
    def test_many_messages_in_one_record_and_one_in_many(self, serve):
        served = serve(echo())
        with served.peer() as peer:
            peer.send(b"".join(masked(TEXT, str(n).encode()) for n in range(500)))
            assert [read_text(peer) for _ in range(500)] == [str(n) for n in range(500)]
            for byte in masked(TEXT, b"lone!"):
                peer.send(bytes([byte]))
            assert read_text(peer) == "lone!"

    def test_a_handshake_that_takes_too_long_ends(self, serve, backend):
        backend.need("open_timeout")
        served = serve(echo(), config=QUICK.replace(open_timeout=0.2))
        with served.connect() as silent, served.connect() as drip:
            drip.send(drip.request()[:20])
            assert b" 408 " in drip.read_to_eof(4)
            silent.read_to_eof(4)

    def test_a_peer_that_leaves_within_the_handshake(self, serve):
        served = serve(echo())
        for start in (b"", b"GET / HT"):
            with served.connect() as peer:
                peer.send(start)
            with served.connect() as peer:
                peer.send(start)
                peer.reset()
        with served.peer() as other:
            assert ask(other) == "ping?"

    def test_one_subprotocol_is_chosen_by_the_clients_preference(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, protocols=["chat", "mqtt", "wamp"])
        for offered, chosen in (
            ("mqtt, chat", "mqtt"),
            ("soap, wamp", "wamp"),
            ("soap", None),
            (None, None),
        ):
            with served.connect() as peer:
                head = peer.handshake("/", {"Sec-WebSocket-Protocol": offered})
                assert head.headers.get("sec-websocket-protocol") == chosen
                assert head.raw.lower().count(b"sec-websocket-protocol") == (chosen is not None)
                ws = handler.next()
                assert ws.subprotocol == chosen
                assert list(ws.protocols or []) == ([chosen] if chosen else [])

    def test_a_function_may_choose_the_subprotocol(self, serve):
        served = serve(echo(), select_subprotocol=lambda request, offered: offered[-1])
        with served.connect() as peer:
            head = peer.handshake("/", {"Sec-WebSocket-Protocol": "a, b, c"})
            assert head.headers["sec-websocket-protocol"] == "c"

    def test_extra_headers_go_into_the_answer(self, serve):
        served = serve(echo(), extra_headers=[("Set-Cookie", "seen=1"), ("X-Who", "us")])
        with served.connect() as peer:
            head = peer.handshake()
            assert (head.headers["set-cookie"], head.headers["x-who"]) == ("seen=1", "us")

    @needs("heads")
    def test_versions_8_and_13_are_spoken(self, serve):
        served = serve(echo())
        for version in ("8", "13"):
            with served.peer("/", {"Sec-WebSocket-Version": version}) as peer:
                assert ask(peer) == "ping?"

    @needs("token lists")
    def test_token_lists_are_read_as_such(self, serve):
        served = serve(echo())
        headers = {"Connection": "keep-alive, uPgRaDe", "Upgrade": "h2c, WebSocket"}
        with served.peer("/", headers) as peer:
            assert ask(peer) == "ping?"

    def test_a_foreign_origin_is_refused(self, serve):
        served = serve(echo())
        with served.connect() as peer:
            peer.handshake("/", {"Origin": "http://evil.example"}, expect=403)
            assert b"localhost" in peer.read_to_eof()
        for origin in (None, "http://localhost", "https://localhost"):
            host = "localhost:443" if origin == "https://localhost" else "localhost"
            with served.peer("/", {"Origin": origin, "Host": host}) as peer:
                assert ask(peer) == "ping?"

    def test_who_may_connect_can_be_chosen(self, serve):
        served = serve(echo(), origins=["https://friend.example"])
        for origin, status in (
            ("https://friend.example", 101),
            ("http://localhost", 403),
            (None, 403),
        ):
            with served.connect() as peer:
                peer.handshake("/", {"Origin": origin}, expect=status)

    def test_everybody_may_be_let_in(self, serve):
        served = serve(echo(), origins=None)
        with served.peer("/", {"Origin": "null"}) as peer:
            assert ask(peer) == "ping?"

    def test_ordinary_http_on_the_same_port(self, serve):
        def process_request(request):
            if request.path == "/health":
                return Response.text(200, "fine\n")
            if request.path == "/bug":
                raise KeyError("a bug")
            return None

        served = serve(echo(), process_request=process_request)
        with served.connect() as peer:
            peer.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.read_head().status == 200
            assert peer.read_to_eof() == b"fine\n"
        with served.connect() as peer:
            peer.handshake("/bug", expect=500)
        with served.peer("/") as peer:
            assert ask(peer) == "ping?"

    def test_every_answer_may_be_changed(self, serve):
        def process_response(request, response):
            if request.path == "/bug":
                raise KeyError("a bug")
            if request.path == "/no" and response.status == 101:
                return Response.text(403, "no\n")
            response.headers.add("X-Path", request.path)
            return None

        served = serve(
            echo(),
            process_request=lambda request: None,
            process_response=process_response,
        )
        with served.connect() as peer:
            assert peer.handshake("/a").headers["x-path"] == "/a"
            assert ask(peer) == "ping?"
        with served.connect() as peer:
            peer.send(b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = peer.read_head()
            assert (head.status, head.headers["x-path"]) == (426, "/plain")
        for path, status in (("/no", 403), ("/bug", 500)):
            with served.connect() as peer:
                peer.handshake(path, expect=status)

    @over_all_links
    def test_a_plain_get_is_told_to_upgrade(self, serve):
        served = serve(echo())
        head = served.answer_to(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert head.status == 426
        assert head.headers["upgrade"] == "websocket"
        with served.peer() as peer:
            assert ask(peer) == "ping?"

    @needs("heads")
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"method": "POST"}, 405),
            ({"Sec-WebSocket-Version": "7"}, 426),
            ({"Sec-WebSocket-Version": None}, 426),
            ({"Sec-WebSocket-Key": None}, 400),
            ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
            ({"Sec-WebSocket-Key": "not base64 at all, is it?"}, 400),
            ({"Upgrade": None}, 426),
            ({"Upgrade": "websocketx"}, 426),
            ({"Connection": "upgrader"}, 400),
            ({"Host": None}, 400),
            ({"Content-Length": "5"}, 400),
            ({"Sec-WebSocket-Protocol": "a b"}, 400),
            ({"Sec-WebSocket-Extensions": "=;="}, 400),
        ],
    )
    def test_a_bad_request_is_answered_as_such(self, serve, backend, changes, status):
        if "Content-Length" in changes:
            backend.need("bodies")
        handler = echo()
        served = serve(handler)
        changes = dict(changes)
        method = changes.pop("method", "GET")
        with served.connect() as peer:
            peer.send(peer.request("/", changes, method=method))
            head = peer.read_head()
            assert head.status == status
            if status == 426 and "Sec-WebSocket-Version" in changes:
                assert "13" in head.headers["sec-websocket-version"]
            if status == 405:
                assert head.headers["allow"] == "GET"
        assert handler.made.empty()
        with served.peer() as peer:
            assert ask(peer) == "ping?"

    @pytest.mark.parametrize(
        ("wire", "statuses"),
        [
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 405, 505}),
            (b"rubbish\r\n\r\n", {400}),
            (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", {400}),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n", {400}),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", {400}),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", {431}),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", {431}),
            (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", {414, 431}),
        ],
        ids=[
            "tls",
            "http2",
            "rubbish",
            "blank",
            "folded",
            "hosts",
            "nul",
            "long",
            "many",
            "target",
        ],
    )
    def test_what_is_no_request_is_answered_shortly(self, serve, backend, wire, statuses):
        backend.need("strict heads")
        served = serve(echo())
        with served.connect() as peer:
            peer.send(wire)
            assert peer.read_head().status in statuses
            peer.read_to_eof()


# -- all of them ---------------------------------------------------------------------------


class TestWholeServer:
    def test_broadcast_reaches_everybody(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        if served.broadcast is None:
            pytest.skip("this server keeps no list of its connections")
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(served.peer()) for _ in range(20)]
            for _ in peers:
                handler.next()
            served.broadcast("to all")
            served.broadcast(b"\xff", binary=True)
            for peer in peers:
                assert read_message(peer) == (TEXT, b"to all")
                assert read_message(peer) == (BINARY, b"\xff")

    def test_broadcast_does_not_wait_for_one_that_does_not_read(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=QUICK.replace(high_water=65536, close_timeout=0.2))
        if served.broadcast is None:
            pytest.skip("this server keeps no list of its connections")
        with served.peer(receive_buffer=16384) as slow, served.peer() as fast:
            sockets = [handler.next() for _ in (slow, fast)]
            for n in range(150):
                served.broadcast(bytes([n]) * 65536, binary=True)
                assert read_message(fast) == (BINARY, bytes([n]) * 65536)
            ws = next(ws for ws in sockets if ws.peer_address == slow.sock.getsockname())
            assert "does not read" in ws.log.wait("closed")[1]

    @needs("the peer's end")
    @over_all_links
    def test_shutting_down_closes_everybody_with_1001(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(served.peer()) for _ in range(10)]
            sockets = [handler.next() for _ in peers]
            stopping = Background(served.stop)
            for peer in peers:
                frame = peer.read_close()
                assert (frame.close_code, frame.close_reason) == (1001, "Server is shutting down")
            for peer in peers:
                peer.close_frame(1001)
                peer.expect_eof()
            stopping.result()
            for ws in sockets:
                assert ws.log.wait("closed") == (1001, "")
                assert ws.log.names == ["opened", "closed"]
            with pytest.raises(OSError):
                served.connect(timeout=1)

    @needs("cutting")
    @needs("the peer's end")
    def test_shutting_down_cuts_who_does_not_answer(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler, config=QUICK.replace(close_timeout=0.3))
        with served.peer() as peer:
            ws = handler.next()
            Background(served.stop).result(4)
            assert peer.read_close().close_code == 1001
            peer.expect_eof()
        assert ws.log.wait("closed")[0] == 1006

    @over_all_links
    def test_shutting_down_cuts_half_a_handshake(self, serve, backend):
        backend.need("cutting handshakes")
        served = serve(echo())
        with served.connect() as half, served.connect() as silent:
            half.send(half.request()[:30])
            Background(served.stop).result(4)
            half.read_to_eof()
            silent.read_to_eof()

    def test_messages_sent_before_the_shutdown_arrive(self, serve):
        handler = recorded(WebSocket)
        served = serve(handler)
        with served.peer() as peer:
            ws = handler.next()
            for n in range(50):
                ws.send(f"{n} " + "x" * 10000)
            stopping = Background(served.stop)
            assert [read_text(peer).split()[0] for _ in range(50)] == [str(n) for n in range(50)]
            assert peer.read_close().close_code == 1001
            peer.close_frame(1001)
            peer.expect_eof()
            stopping.result()

    def test_connections_that_come_and_go_leave_nothing(self, serve):
        handler = echo()
        served = serve(handler)
        for n in range(50):
            with served.peer() as peer:
                assert ask(peer, str(n)) == str(n)
                if n % 3 == 0:
                    say_goodbye(peer)
                elif n % 3 == 1:
                    peer.reset()
        for _ in range(50):
            ws = handler.next()
            ws.log.wait("closed")
            wait_for(lambda ws=ws: ws.terminated and ws.sock is None)

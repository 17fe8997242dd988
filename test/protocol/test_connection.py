"""A connection from its first message to its close report: two ends back to back, a fake clock.

No socket, no thread, no waiting. Where one end has to misbehave, its bytes are made by hand.
"""

from __future__ import annotations

import random
import sys

import pytest
from pair import Pair, byte_by_byte
from rawpeer import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, make_frame, xor

from ws4py.exc import (
    ConnectionClosed,
    ConnectionTimeout,
    FrameTooLargeException,
    ProtocolException,
    StreamClosed,
    TextFrameEncodingException,
)
from ws4py.messaging import (
    BinaryMessage,
    CloseControlMessage,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
)
from ws4py.protocol.config import Compression, Config
from ws4py.protocol.connection import Connection, PreparedMessage, State, is_valid_close_code
from ws4py.protocol.deflate import PerMessageDeflate

OPEN, CLOSING, CLOSED = State.OPEN, State.CLOSING, State.CLOSED

LEGAL_CODES = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
ILLEGAL_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535]


@pytest.fixture
def pair(clock):
    return Pair(clock)


def server(clock, **config):
    """A server alone; its peer is made by hand."""
    return Connection(client=False, config=Config(**config), clock=clock)


def client(clock, **config):
    return Connection(client=True, config=Config(**config), clock=clock)


def masked(opcode, payload=b"", **how):
    """A client's frame."""
    return make_frame(opcode, payload, key=b"\1\2\3\4", **how)


def feed(connection, *segments):
    """What these bytes make."""
    events = []
    for segment in segments:
        connection.receive_data(segment)
        while (event := connection.next_event()) is not None:
            events.append(event)
    return events


def frames(stream):
    """The frames of a stream as ``(first byte, unmasked payload)``; nothing may be left over."""
    found = []
    while stream:
        first, second = stream[:2]
        size, start = second & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(stream[2:start], "big")
        key = b"\0\0\0\0"
        if second & 0x80:
            key = stream[start : start + 4]
            start += 4
        payload = stream[start : start + size]
        assert len(payload) == size, stream
        found.append((first, xor(payload, key)))
        stream = stream[start + size :]
    return found


def sent(connection):
    """The frames that a connection owes."""
    return frames(connection.data_to_send())


def closed_with(stream):
    """Code and reason of the close frame with which a stream ends."""
    first, payload = frames(stream)[-1]
    assert first == 0x80 | CLOSE
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


# -- messages ------------------------------------------------------------------------------


def test_a_new_connection_is_open_and_owes_nothing(pair):
    for end in (pair.client, pair.server):
        connection = end.connection
        assert connection.state is OPEN
        assert connection.data_to_send() == b""
        assert connection.buffered == 0
        assert connection.next_event() is None
        assert connection.close_info is None
        assert connection.latency is None
        assert not connection.want_eof
        assert not connection.want_abort
        assert not connection.input_pending


def test_messages_arrive_whole_and_in_order_both_ways(pair):
    there = [(False, b""), (False, "größe".encode()), (True, b"\xff\0"), (True, b"x" * 70_000)]
    back = [(True, b""), (False, b"y" * 200)]
    for binary, payload in there:
        pair.client.connection.send_message(payload, binary=binary)
    for binary, payload in back:
        pair.server.connection.send_message(payload, binary=binary)
    pair.pump()
    assert pair.server.payloads == there
    assert pair.client.payloads == back
    assert type(pair.server.events[0]) is TextMessage
    assert type(pair.server.events[2]) is BinaryMessage
    assert all(event.completed for event in pair.server.events)


def test_messages_and_bytes_are_counted_each_way(pair):
    pair.client.connection.send_message(b"one")
    pair.client.connection.send_message(b"two")
    pair.client.connection.send_ping()
    pair.pump()
    assert pair.client.connection.messages_out == 2
    assert pair.server.connection.messages_in == 2
    assert pair.client.connection.bytes_out == pair.server.connection.bytes_in == 6 * 3 + 2 * 3
    assert pair.server.connection.bytes_out == pair.client.connection.bytes_in == 2  # the pong


def test_only_the_client_masks(pair):
    for end in (pair.client, pair.server):
        end.connection.send_message(b"Hello")
        end.connection.send_close()
    pair.pump()
    assert pair.client.wire[1] == 0x80 | 5
    assert pair.server.wire[:7] == b"\x81\x05Hello"
    assert pair.client.connection.always_mask
    assert pair.server.connection.expect_masking
    assert not pair.client.connection.expect_masking


def test_masking_may_be_set_as_in_0_6(clock):
    odd = client(clock)
    odd.always_mask = False
    odd.expect_masking = True
    odd.send_message(b"a")
    assert odd.data_to_send() == b"\x81\x01a"
    assert feed(odd, masked(TEXT, b"b"))[0].data == b"b"


def test_each_frame_has_a_mask_of_its_own(clock):
    connection = client(clock)
    for _ in range(50):
        connection.send_message(b"")
    stream = connection.data_to_send()
    assert len({stream[i + 2 : i + 6] for i in range(0, len(stream), 6)}) == 50


def test_all_output_of_one_segment_leaves_in_one_write(clock):
    connection = server(clock)
    for event in feed(connection, masked(TEXT, b"a") + masked(PING, b"p") + masked(TEXT, b"b")):
        if event.is_text:
            connection.send_message(event.data)
    assert connection.data_to_send() == b"\x8a\x01p" + b"\x81\x01a" + b"\x81\x01b"
    assert connection.data_to_send() == b""


def test_replies_leave_in_the_order_of_what_caused_them(clock):
    connection = server(clock)
    connection.receive_data(masked(TEXT, b"a") + masked(PING, b"p") + masked(TEXT, b"b"))
    while (event := connection.next_event()) is not None:
        if event.is_text:
            connection.send_message(event.data)
    assert connection.data_to_send() == b"\x81\x01a" + b"\x8a\x01p" + b"\x81\x01b"


def test_nothing_is_acted_upon_before_it_is_taken(clock):
    connection = server(clock)
    connection.receive_data(masked(PING) + masked(CLOSE))
    assert connection.input_pending
    assert (connection.state, connection.buffered) == (OPEN, 0)
    assert isinstance(connection.next_event(), PingControlMessage)
    assert (connection.state, connection.buffered) == (OPEN, 2)
    assert isinstance(connection.next_event(), CloseControlMessage)
    assert connection.state is CLOSED
    assert not connection.input_pending


def test_the_handshake_response_leaves_before_everything_else(clock):
    connection = server(clock)
    connection.send_message(b"hello")
    connection.preface(b"HEAD")
    assert connection.buffered == 7 + 4
    assert connection.data_to_send() == b"HEAD" + b"\x81\x05hello"
    assert connection.bytes_out == 7  # the handshake is not the connection's
    assert connection.buffered == 0


# -- fragments, and who waits for them -----------------------------------------------------


def test_a_message_in_fragments_arrives_whole(pair):
    message = pair.client.connection.fragmented()
    assert not message.started
    message.send(b"one ")
    assert message.started
    pair.pump()
    assert pair.server.events == []
    message.send(b"two ")
    message.send(b"three", True)
    pair.pump()
    assert pair.server.texts == ["one two three"]
    assert [first for first, _ in frames(pair.client.wire)] == [TEXT, CONT, 0x80 | CONT]
    assert pair.client.connection.messages_out == 1


def test_a_single_fragment_is_a_whole_message(pair):
    pair.client.connection.fragmented(binary=True).send(b"all", True)
    pair.pump()
    assert pair.server.payloads == [(True, b"all")]


def test_control_frames_go_between_fragments(pair):
    message = pair.client.connection.fragmented()
    message.send(b"a")
    pair.client.connection.send_ping(b"?")
    pair.client.connection.send_pong(b"!")
    pair.server.connection.send_ping(b"??")
    pair.pump()
    message.send(b"b", True)
    pair.pump()
    kinds = [type(event) for event in pair.server.events]
    assert kinds == [PingControlMessage, PongControlMessage, PongControlMessage, TextMessage]


def test_whoever_sends_meanwhile_waits_for_the_end_of_a_fragmented_message(pair):
    connection = pair.client.connection
    first = connection.fragmented()
    first.send(b"1")
    connection.send_message(b"A")
    second = connection.fragmented(binary=True)
    second.send(b"2")
    connection.send_message(b"B")
    second.send(b"2")
    third = connection.fragmented()
    third.send(b"3", True)
    assert second.started
    assert third.started
    pair.pump()
    assert pair.server.events == []
    first.send(b"1", True)
    pair.pump()
    assert pair.server.payloads == [(False, b"11"), (False, b"A")]
    second.send(b"2", True)
    pair.pump()
    assert pair.server.payloads[2:] == [(True, b"222"), (False, b"B"), (False, b"3")]
    assert connection.buffered == 0
    assert connection.messages_out == 5


def test_a_message_that_waited_may_be_complete_before_its_turn_comes(pair):
    connection = pair.client.connection
    first, second = connection.fragmented(), connection.fragmented()
    first.send(b"1")
    for fin in (False, False, True):
        second.send(b"2", fin)
    first.send(b"", True)
    connection.send_message(b"after")
    pair.pump()
    assert pair.server.texts == ["1", "222", "after"]


def test_nothing_follows_the_last_fragment(pair):
    connection = pair.client.connection
    first, second = connection.fragmented(), connection.fragmented()
    first.send(b"1")
    second.send(b"2", True)  # waits
    with pytest.raises(ValueError, match="given already"):
        second.send(b"more")
    first.send(b"1", True)
    with pytest.raises(ValueError, match="given already"):
        first.send(b"more", True)
    pair.pump()
    assert pair.server.texts == ["11", "2"]
    assert pair.server.connection.state is OPEN


def test_writers_that_take_turns_at_random_never_tear_a_message(clock):
    for seed in range(30):
        generator = random.Random(seed)
        pair = Pair(clock, compression=Compression(threshold=4) if seed % 2 else None)
        connection = pair.client.connection
        expected = {f"{writer}": b"" for writer in range(4)}
        writers = {name: connection.fragmented() for name in expected}
        singles = 0
        while writers:
            name = generator.choice(list(writers))
            fin = generator.random() < 0.2
            part = name.encode() * generator.randint(0, 9)
            expected[name] += part
            writers[name].send(part, fin)
            if fin:
                del writers[name]
            if generator.random() < 0.3:
                connection.send_message(b"s" * singles)
                singles += 1
            if generator.random() < 0.3:
                pair.pump()
        pair.pump()
        texts = pair.server.texts
        whole = [text for text in texts if not set(text) - set("s")]
        assert sorted(text for text in texts if set(text) - set("s")) == sorted(
            part.decode() for part in expected.values() if part
        )
        assert len(texts) == singles + 4
        assert [len(text) for text in whole if text] == list(range(1, singles))
        assert connection.buffered == 0


def test_what_waits_in_line_counts_as_owed(pair):
    connection = pair.client.connection
    first = connection.fragmented()
    first.send(b"x" * 100)
    in_line = connection.fragmented()
    for _ in range(10):
        connection.send_message(b"y" * 1000)
        in_line.send(b"z" * 1000)
    owed = connection.buffered
    assert owed >= 20_100
    pair.pump()  # takes the first fragment and nothing else
    assert 20_000 <= connection.buffered < owed
    assert connection.bytes_out == 106
    first.send(b"", True)
    assert 20_000 <= connection.buffered < 20_500
    in_line.send(b"", True)
    pair.pump()
    assert connection.buffered == 0
    assert connection.bytes_out == pair.server.connection.bytes_in


def test_even_empty_messages_in_line_count(clock):
    connection = client(clock)
    connection.fragmented().send(b"")
    connection.data_to_send()
    for _ in range(1000):
        connection.send_message(b"")
    assert connection.buffered >= 6000


def test_a_message_in_line_is_lost_with_the_connection_and_not_counted(pair):
    connection = pair.client.connection
    first, second = connection.fragmented(), connection.fragmented()
    first.send(b"1")
    connection.send_message(b"A")
    second.send(b"2")
    connection.send_close()
    assert connection.buffered == (6 + 1) + (6 + 2)
    for message in (first, second):
        with pytest.raises(ConnectionClosed):
            message.send(b"", True)
    pair.pump()
    assert pair.server.texts == []
    assert pair.server.info.code == 1000
    assert connection.messages_out == 1
    assert connection.buffered == 0


def test_the_line_is_dropped_when_the_peer_closes_or_is_lost(clock):
    for end in (masked(CLOSE), b""):
        connection = server(clock)
        connection.fragmented().send(b"a")
        connection.send_message(b"waits")
        connection.data_to_send()
        feed(connection, end)
        if not end:
            connection.receive_eof()
        assert connection.state is CLOSED
        assert connection.data_to_send() == (b"\x88\x00" if end else b"")
        assert connection.buffered == 0


# -- compression ---------------------------------------------------------------------------


def test_messages_are_compressed_from_the_threshold_on(clock):
    pair = Pair(clock, compression=Compression(threshold=100))
    for size in (99, 100, 5000):
        pair.client.connection.send_message(b"x" * size)
    pair.pump()
    assert [first for first, _ in frames(pair.client.wire)] == [0x81, 0xC1, 0xC1]
    assert len(pair.client.wire) < 99 + 100
    assert [len(text) for text in pair.server.texts] == [99, 100, 5000]


def test_a_message_may_wish_to_be_compressed_or_not(clock):
    pair = Pair(clock, compression=Compression(threshold=100))
    connection = pair.client.connection
    connection.send_message(b"x", compress=True)
    connection.send_message(b"x" * 500, compress=False)
    for wish in (True, False, None):
        message = connection.fragmented(compress=wish)
        message.send(b"y" * 50)
        message.send(b"y" * 500, True)
    pair.pump()
    # Without a wish, the first fragment decides: the message has to be of one kind.
    expected = [0xC1, 0x81, 0x41, 0x80, 0x01, 0x80, 0x01, 0x80]
    assert [first for first, _ in frames(pair.client.wire)] == expected
    assert [len(text) for text in pair.server.texts] == [1, 500, 550, 550, 550]


def test_a_message_that_waited_in_line_is_compressed_by_its_first_fragment(clock):
    pair = Pair(clock, compression=Compression(threshold=100))
    connection = pair.client.connection
    first, long, short = (connection.fragmented() for _ in range(3))
    first.send(b"1")
    long.send(b"x" * 100)
    long.send(b"y", True)
    short.send(b"z", True)
    first.send(b"1", True)
    pair.pump()
    heads = [first for first, _ in frames(pair.client.wire)]
    assert heads == [0x01, 0x80, 0x41, 0x80, 0x81]
    assert pair.server.texts == ["11", "x" * 100 + "y", "z"]


def test_nothing_is_compressed_unless_that_was_negotiated(pair):
    connection = pair.client.connection
    connection.send_message(b"x" * 5000, compress=True)
    message = connection.fragmented(compress=True)
    message.send(b"x" * 5000, True)
    pair.pump()
    assert [first for first, _ in frames(pair.client.wire)] == [0x81, 0x81]


@pytest.mark.parametrize("forgetful", [True, False])
def test_the_compression_context_is_kept_in_the_order_of_the_wire(clock, forgetful):
    compression = Compression(threshold=0)
    pair = Pair(clock)
    for end in (pair.client, pair.server):
        connection = end.connection
        deflate = PerMessageDeflate(
            client=connection.client, compression=compression, client_no_context_takeover=forgetful
        )
        connection.setup(connection.config, deflate)
    connection = pair.client.connection
    texts = [b"the quick brown fox " + bytes([48 + i]) * 30 for i in range(8)]
    first, second = connection.fragmented(), connection.fragmented()
    first.send(texts[0])
    connection.send_message(texts[1])
    second.send(texts[2])
    connection.send_message(texts[3], compress=False)
    first.send(texts[4])
    second.send(texts[5])
    first.send(texts[6], True)
    second.send(texts[7], True)
    pair.pump()
    assert pair.server.texts == [
        (texts[0] + texts[4] + texts[6]).decode(),
        texts[1].decode(),
        (texts[2] + texts[5] + texts[7]).decode(),
        texts[3].decode(),
    ]


def test_compression_that_rests_during_silence_goes_on_in_the_middle_of_messages(clock):
    pair = Pair(clock, compression=Compression(threshold=0))
    text = b"all work and no play " * 9
    writers = [end.connection.fragmented() for end in (pair.client, pair.server)]
    for _ in range(3):
        for writer in writers:
            writer.send(text)
        pair.pump()
        pair.pass_time(100)  # pings only
    for end, writer in zip((pair.client, pair.server), writers):
        writer.send(b"", True)
        end.connection.send_message(text)
    pair.pump()
    for end in (pair.client, pair.server):
        assert end.texts == [3 * text.decode(), text.decode()]
        assert end.connection.state is OPEN


def test_setup_takes_over_policy_and_extension_of_the_handshake(clock):
    connection = server(clock)
    clock.advance(100)
    config = Config(max_message_size=10, max_fragments=2, ping_interval=5)
    connection.setup(config, PerMessageDeflate(client=False, compression=Compression(threshold=3)))
    assert connection.config is config
    assert connection.deadline == clock() + 5  # silence is counted from the handshake on
    connection.send_message(b"abc")
    assert connection.data_to_send()[0] == 0xC1
    assert [e.data for e in feed(connection, masked(TEXT, b"x" * 10))] == [b"x" * 10]
    feed(connection, masked(TEXT, b"x" * 11))
    assert isinstance(connection.error, FrameTooLargeException)


def test_setup_after_the_end_takes_no_deadline_away(clock):
    connection = client(clock)
    connection.send_close()
    deadline = connection.deadline
    connection.setup(Config(close_timeout=None))
    assert connection.deadline == deadline
    clock.advance_to(deadline)
    connection.tick()
    assert connection.state is CLOSED


# -- ping and pong -------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_payload_and_measures_latency(pair, clock):
    pair.client.connection.send_ping(b"are you there?")
    clock.advance(0.25)
    pair.pump()
    assert pair.client.connection.latency == 0.25
    assert pair.server.events[0].data == b"are you there?"
    assert type(pair.client.events[0]) is PongControlMessage
    assert pair.client.events[0].data == b"are you there?"


def test_only_the_pong_of_the_last_ping_measures_latency(clock):
    connection = server(clock)
    connection.send_ping(b"first")
    clock.advance(1)
    connection.send_ping(b"second")
    clock.advance(1)
    feed(connection, masked(PONG, b"unasked"), masked(PONG, b"first"))
    assert connection.latency is None
    feed(connection, masked(PONG, b"second"))
    assert connection.latency == 1
    clock.advance(1)
    feed(connection, masked(PONG, b"second"))  # once more
    assert connection.latency == 1


def test_an_unasked_pong_is_delivered_and_not_answered(pair):
    pair.client.connection.send_pong(b"hi")
    pair.pump()
    assert [type(event) for event in pair.server.events] == [PongControlMessage]
    assert pair.client.events == []
    assert pair.client.connection.latency is None


@pytest.mark.parametrize("verb", ["send_ping", "send_pong"])
def test_a_control_frame_carries_125_bytes_and_no_more(pair, verb):
    getattr(pair.client.connection, verb)(b"x" * 125)
    with pytest.raises(ValueError, match="125 bytes, not 126"):
        getattr(pair.client.connection, verb)(b"x" * 126)
    pair.pump()
    assert [len(event.data) for event in pair.server.events] == [125]


def test_while_the_peer_does_not_read_one_pong_waits_the_newest(clock):
    connection = server(clock)
    connection.send_message(b"x" * 100)
    connection.data_to_send()
    connection.unsent = 50
    feed(connection, *[masked(PING, b"%d" % i) for i in range(1000)])
    assert connection.buffered == 50
    assert connection.data_to_send() == b""
    connection.unsent = 0
    assert sent(connection) == [(0x8A, b"999")]
    assert connection.data_to_send() == b""
    feed(connection, masked(PING, b"next"))
    assert sent(connection) == [(0x8A, b"next")]


def test_a_pong_that_waits_never_leaves_behind_a_newer_one(clock):
    connection = server(clock)
    connection.unsent = 50
    feed(connection, masked(PING, b"old"))
    connection.unsent = 0
    feed(connection, masked(PING, b"new"))
    assert sent(connection) == [(0x8A, b"new")]


@pytest.mark.parametrize("how", ["send_close", "fail", "peer"])
def test_a_pong_that_waits_leaves_before_the_close_frame_or_never(clock, how):
    connection = server(clock)
    connection.unsent = 50
    feed(connection, masked(PING, b"p"))
    if how == "send_close":
        connection.send_close()
    elif how == "fail":
        connection.fail(1011, "")
    else:
        feed(connection, masked(CLOSE, close_payload(1000)))
    assert [first for first, _ in sent(connection)] == [0x8A, 0x88]
    connection.unsent = 0
    assert connection.data_to_send() == b""


def test_a_pong_that_waits_is_not_sent_when_the_peer_is_gone(clock):
    connection = server(clock)
    connection.unsent = 50
    feed(connection, masked(PING, b"p"))
    connection.receive_eof()
    connection.unsent = 0
    assert connection.data_to_send() == b""


def test_a_ping_is_not_answered_behind_our_close_frame(pair):
    pair.server.connection.send_close()
    pair.client.connection.send_ping(b"p")
    pair.pump()
    assert frames(pair.server.wire)[0][0] == 0x88
    assert len(frames(pair.server.wire)) == 1
    assert type(pair.server.events[0]) is PingControlMessage


# -- keepalive -----------------------------------------------------------------------------


def test_silence_is_answered_with_a_ping_and_any_pong_keeps_the_connection(pair, clock):
    pair.pass_time(1000)
    for end in (pair.client, pair.server):
        assert end.connection.state is OPEN
        assert end.connection.latency == 0
    pings = [e for e in pair.server.events if isinstance(e, PingControlMessage)]
    # The two ends' pings are life for each other: at most one each per interval.
    assert 1 <= len(pings) <= 50
    assert len({ping.data for ping in pings}) == len(pings)


def test_a_ping_is_sent_after_the_interval_of_silence_and_not_before(clock):
    connection = server(clock, ping_interval=20, ping_timeout=7)
    start = clock()
    assert connection.deadline == start + 20
    clock.advance(19.9)
    connection.tick()
    assert connection.data_to_send() == b""
    clock.advance_to(start + 20)
    connection.tick()
    ((first, payload),) = sent(connection)
    assert first == 0x89
    assert len(payload) == 4
    assert connection.deadline == start + 27


@pytest.mark.parametrize(
    "sign", [masked(PONG), masked(TEXT, b"a"), masked(PING), b"\x81", masked(TEXT, length=9)]
)
def test_any_byte_after_the_ping_counts_as_life(clock, sign):
    connection = server(clock, ping_interval=20, ping_timeout=7)
    clock.advance_to(connection.deadline)
    connection.tick()
    clock.advance(6)
    feed(connection, sign)
    heard = clock()
    clock.advance_to(connection.deadline)
    connection.tick()
    assert connection.state is OPEN
    assert connection.deadline == heard + 20  # the deadline is lazy: it moves when it rings
    clock.advance_to(connection.deadline)
    connection.tick()
    assert sent(connection)[-1][0] == 0x89


def test_an_answer_within_the_same_tick_of_a_coarse_clock_counts_too(clock):
    connection = server(clock, ping_interval=20, ping_timeout=7)
    clock.advance_to(connection.deadline)
    connection.tick()
    feed(connection, masked(PONG))  # time stands still
    clock.advance_to(connection.deadline)
    connection.tick()
    assert connection.state is OPEN


def test_no_sign_of_life_ends_the_connection_at_once(clock):
    connection = server(clock, ping_interval=20, ping_timeout=7)
    for _ in range(2):
        clock.advance_to(connection.deadline)
        connection.tick()
    assert connection.state is CLOSED
    assert connection.want_abort
    assert connection.deadline is None
    info = connection.close_info
    assert info.code == 1006
    assert isinstance(info.error, ConnectionTimeout)
    assert isinstance(info.error, TimeoutError)
    assert info.reason == "keepalive: nothing from the peer within 7 s of a ping"
    assert info.sent == (1011, "keepalive timeout")


def test_a_dead_peer_is_found_by_both_ends_of_a_cut_line(pair, clock):
    pair.client.reads = pair.server.reads = False
    pair.pass_time(60)
    for end in (pair.client, pair.server):
        assert end.aborted
        assert end.info.code == 1006


def test_traffic_needs_no_pings_and_no_alarms(pair, clock):
    deadline = pair.server.connection.deadline
    for _ in range(100):
        clock.advance(1)
        pair.client.connection.send_message(b"a")
        pair.server.connection.send_message(b"a")
        pair.pump()
        if clock() < deadline:
            assert pair.server.connection.deadline == deadline  # not moved per message
        pair.tick()
    assert {first for first, _ in frames(pair.client.wire + pair.server.wire)} == {0x81}


def test_a_peer_that_only_reads_is_asked_once_per_interval(clock):
    pair = Pair(clock, client=Config(ping_interval=None))
    for _ in range(100):
        pair.pass_time(1)
        pair.server.connection.send_message(b"news")
        pair.pump()
    assert 3 <= [first for first, _ in frames(pair.server.wire)].count(0x89) <= 5


def test_without_an_interval_there_is_no_deadline(clock):
    connection = server(clock, ping_interval=None)
    assert connection.deadline is None
    clock.advance(1e9)
    connection.tick()
    assert connection.state is OPEN
    assert connection.data_to_send() == b""


def test_without_a_timeout_silence_is_never_the_end(clock):
    connection = server(clock, ping_interval=20, ping_timeout=None)
    for _ in range(10):
        clock.advance_to(connection.deadline)
        connection.tick()
        assert [first for first, _ in sent(connection)] == [0x89]
    assert connection.state is OPEN


def test_without_a_timeout_pings_do_not_pile_up_before_a_peer_that_does_not_read(clock):
    connection = server(clock, ping_interval=20, ping_timeout=None)
    for _ in range(1000):
        clock.advance_to(connection.deadline)
        connection.tick()
    assert len(sent(connection)) == 1
    assert connection.state is OPEN


def test_keepalive_begins_anew_when_its_policy_changes(clock):
    connection = server(clock, ping_interval=20, ping_timeout=20)
    clock.advance_to(connection.deadline)
    connection.tick()  # has asked
    clock.advance(5)
    connection.keep_alive(connection.config.replace(ping_interval=2))
    clock.advance(0)
    connection.tick()
    assert connection.state is OPEN
    assert [first for first, _ in sent(connection)] == [0x89, 0x89]
    assert connection.deadline == clock() + 20
    connection.keep_alive(connection.config.replace(ping_interval=None))
    assert connection.deadline is None


def test_keepalive_policy_does_not_touch_the_deadline_of_the_end(clock):
    connection = client(clock)
    config = connection.config
    connection.send_close()
    deadline = connection.deadline
    connection.keep_alive(Config(ping_interval=1, close_timeout=None))
    assert connection.deadline == deadline
    assert connection.config is config
    clock.advance_to(deadline)
    connection.tick()
    assert connection.close_info.reason == "no close frame from the peer within 10 s"


# -- closing -------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["client", "server"])
def test_either_side_closes(pair, by):
    closer, other = pair.client, pair.server
    if by == "server":
        closer, other = other, closer
    closer.connection.send_close(1001, "going away")
    assert closer.connection.state is CLOSING
    pair.pump()
    assert closer.info.received == closer.info.sent == (1001, "going away")
    assert other.info.received == other.info.sent == (1001, "going away")
    assert (closer.info.began_by, other.info.began_by) == ("us", "peer")
    for end in (closer, other):
        assert end.connection.state is CLOSED
        assert end.info.clean
        assert (end.info.code, end.info.reason) == (1001, "going away")
        assert end.info.error is None
        assert not end.aborted
        assert isinstance(end.events[-1], CloseControlMessage)
    assert pair.client.got_eof


def test_both_sides_close_at_once(pair):
    pair.client.connection.send_close(1000, "client")
    pair.server.connection.send_close(1001, "server")
    pair.pump()
    assert pair.client.info.received == (1001, "server")
    assert pair.client.info.sent == (1000, "client")
    assert pair.server.info.received == (1000, "client")
    assert pair.client.info.began_by == pair.server.info.began_by == "us"
    assert len(frames(pair.client.wire)) == len(frames(pair.server.wire)) == 1


def test_the_server_hangs_up_and_the_client_waits_for_it(clock):
    theirs = server(clock)
    feed(theirs, masked(CLOSE))
    assert theirs.state is CLOSED
    ours = client(clock)
    feed(ours, make_frame(CLOSE))
    assert ours.state is CLOSING
    assert not ours.want_eof
    ours.receive_eof()
    assert ours.state is CLOSED
    assert ours.close_info.clean


def test_an_empty_close_frame_is_1005_and_answered_with_one(pair):
    pair.client.connection.send_close(None)
    pair.pump()
    assert pair.client.wire[:2] == b"\x88\x80"
    assert pair.server.wire == b"\x88\x00"
    for end in (pair.client, pair.server):
        assert end.info.received == end.info.sent == (1005, "")
        assert end.info.code == 1005
        assert end.info.clean
        assert end.events[-1].code is None


def test_without_a_code_there_is_no_reason_either(pair):
    pair.client.connection.send_close(None, "lost on the way")
    pair.pump()
    assert pair.client.info.sent == pair.server.info.received == (1005, "")


def test_a_reason_is_cut_between_two_characters(pair):
    pair.client.connection.send_close(1000, "ä" * 100)
    pair.pump()
    assert pair.client.info.sent == (1000, "ä" * 61)
    assert pair.server.info.received == (1000, "ä" * 61)


def test_a_reason_of_123_bytes_is_echoed(clock):
    connection = server(clock)
    feed(connection, masked(CLOSE, close_payload(1000, "x" * 123)))
    assert closed_with(connection.data_to_send()) == (1000, "x" * 123)


@pytest.mark.parametrize("code", [*ILLEGAL_CODES[1:], -1, 70_000])
def test_a_code_that_may_not_be_sent_is_refused_and_changes_nothing(pair, code):
    with pytest.raises(ValueError, match=f"close code {code} may not be sent"):
        pair.client.connection.send_close(code)
    assert pair.client.connection.state is OPEN
    assert pair.client.connection.data_to_send() == b""


@pytest.mark.parametrize("code", LEGAL_CODES)
def test_a_legal_code_is_sent_and_echoed(clock, code):
    pair = Pair(clock)
    pair.client.connection.send_close(code)
    pair.pump()
    assert pair.server.info.code == pair.client.info.code == code
    assert is_valid_close_code(code)


@pytest.mark.parametrize("code", ILLEGAL_CODES)
def test_an_illegal_code_from_the_peer_is_a_broken_rule(clock, code):
    connection = server(clock)
    assert feed(connection, masked(CLOSE, close_payload(code))) == []
    assert closed_with(connection.data_to_send()) == (1002, f"close code {code} may not be sent")
    assert not is_valid_close_code(code)
    connection.receive_eof()
    assert connection.close_info.code == 1006
    assert connection.close_info.sent[0] == 1002


def test_half_a_code_is_a_broken_rule(clock):
    connection = server(clock)
    assert feed(connection, masked(CLOSE, b"\x03")) == []
    assert closed_with(connection.data_to_send()) == (1002, "close frame with half a code")


@pytest.mark.parametrize("reason", [b"\xff", b"ok\xc3", b"\xed\xa0\x80"])
def test_a_reason_that_is_not_utf8_is_answered_with_1007(clock, reason):
    connection = server(clock)
    assert feed(connection, masked(CLOSE, close_payload(1000, reason))) == []
    assert closed_with(connection.data_to_send()) == (1007, "close reason is not valid UTF-8")
    assert isinstance(connection.error, ProtocolException)


def test_only_the_first_close_counts(pair):
    connection = pair.client.connection
    connection.send_close(1000, "first")
    connection.send_close(1001, "second")
    pair.pump()
    connection.send_close(1001, "third")
    assert pair.client.info.sent == (1000, "first")
    assert connection.data_to_send() == b""


def test_nothing_can_be_sent_behind_a_close_frame(pair):
    connection = pair.client.connection
    message = connection.fragmented()
    connection.send_close()
    for send in (
        lambda: connection.send_message(b""),
        lambda: connection.send_ping(),
        lambda: connection.send_pong(),
        lambda: connection.fragmented(),
        lambda: message.send(b""),
    ):
        with pytest.raises(ConnectionClosed, match="the connection is closing") as caught:
            send()
        assert caught.value.close_info is None
        assert isinstance(caught.value, RuntimeError)
        assert isinstance(caught.value, StreamClosed)
    assert len(sent(connection)) == 1


def test_sending_after_the_end_raises_with_the_close_report(pair):
    pair.client.connection.send_close(4000, "enough")
    pair.pump()
    for end in (pair.client, pair.server):
        for send in (end.connection.send_message, end.connection.send_ping):
            with pytest.raises(ConnectionClosed, match=r"is closed \(4000 enough\)") as caught:
                send(b"")
            assert caught.value.close_info is end.info


def test_messages_that_come_behind_our_close_frame_are_still_delivered(pair):
    pair.server.connection.send_message(b"on its way")
    pair.client.connection.send_close()
    pair.pump()
    assert pair.client.texts == ["on its way"]


def test_nothing_behind_the_peer_s_close_frame_is_read(clock):
    behind = masked(TEXT, b"ignored") + b"\xff" * 100
    connection = server(clock)
    events = feed(connection, masked(TEXT, b"a") + masked(CLOSE) + behind, behind)
    assert [type(event) for event in events] == [TextMessage, CloseControlMessage]
    assert not connection.input_pending
    assert connection.close_info.received == (1005, "")
    assert connection.close_info.messages_in == 1
    assert connection.data_to_send() == b"\x88\x00"


def test_a_close_frame_in_the_middle_of_a_message_ends_it(clock):
    connection = server(clock)
    feed(connection, masked(TEXT, b"half", fin=False), masked(CLOSE), masked(CONT, b""))
    assert connection.close_info.messages_in == 0
    assert connection.close_info.clean


def test_a_peer_that_never_answers_our_close_is_cut_at_the_deadline(clock):
    for make in (client, server):
        connection = make(clock, close_timeout=3)
        connection.send_close()
        connection.data_to_send()
        assert connection.deadline == clock() + 3
        clock.advance(2.9)
        connection.tick()
        assert connection.state is CLOSING
        clock.advance_to(connection.deadline)
        connection.tick()
        assert connection.state is CLOSED
        assert connection.want_abort
        assert connection.deadline is None
        info = connection.close_info
        assert isinstance(info.error, ConnectionTimeout)
        assert info.reason == "no close frame from the peer within 3 s"
        assert info.code == 1006
        assert not info.clean


def test_a_peer_that_keeps_talking_does_not_extend_the_deadline(clock):
    connection = server(clock)
    connection.send_close()
    connection.data_to_send()
    deadline = connection.deadline
    while clock() < deadline:
        clock.advance(1)
        feed(connection, masked(TEXT, b"and another thing"), masked(PING))
        connection.tick()
    assert connection.state is CLOSED
    assert connection.want_abort
    assert connection.data_to_send() == b""


def test_a_server_that_never_hangs_up_is_cut_at_the_deadline_without_blame(clock):
    connection = client(clock)
    feed(connection, make_frame(CLOSE, close_payload(1000)))
    clock.advance_to(connection.deadline)
    connection.tick()
    assert connection.want_abort
    assert connection.close_info.clean
    assert connection.close_info.error is None


def test_a_close_frame_that_cannot_be_written_has_a_deadline_too(clock):
    connection = server(clock)
    connection.send_message(b"x" * 100)
    connection.data_to_send()
    connection.unsent = 100
    feed(connection, masked(CLOSE))
    assert connection.state is CLOSED
    assert connection.deadline == clock() + 10
    clock.advance_to(connection.deadline)
    connection.tick()
    assert connection.want_abort
    assert connection.deadline is None
    assert connection.close_info.bytes_out == 2  # not what the system never took
    assert connection.close_info.error is None  # the peer has closed as it should


def test_what_cannot_be_written_to_a_lost_peer_blames_nobody(clock):
    connection = server(clock)
    connection.send_message(b"x")
    connection.receive_eof()
    ring(connection, clock)
    assert connection.want_abort
    assert connection.close_info.error is None


def test_without_a_close_timeout_there_is_no_deadline(clock):
    connection = client(clock, close_timeout=None)
    connection.send_close()
    assert connection.deadline is None
    clock.advance(1e9)
    connection.tick()
    assert connection.state is CLOSING


def test_ticks_are_harmless_at_any_time(pair, clock):
    for end in (pair.client, pair.server):
        end.connection.tick()
    pair.client.connection.send_close()
    for end in (pair.client, pair.server):
        end.connection.tick()
    pair.pump()
    clock.advance(1000)
    for end in (pair.client, pair.server):
        end.connection.tick()
        assert end.info.clean
        assert end.info.error is None
        assert end.connection.data_to_send() == b""


# -- failing -------------------------------------------------------------------------------

BROKEN_RULES = [
    (make_frame(TEXT, b"not masked"), 1002, ProtocolException),
    (masked(3), 1002, ProtocolException),
    (masked(TEXT, rsv=4), 1002, ProtocolException),
    (masked(CONT), 1002, ProtocolException),
    (masked(PING, fin=False), 1002, ProtocolException),
    (masked(TEXT, b"\xff"), 1007, TextFrameEncodingException),
    (masked(TEXT, length=101, length_bytes=0), 1009, FrameTooLargeException),
    (masked(BINARY, length=2**40), 1009, FrameTooLargeException),
    (b"GET / HTTP/1.1\r\n\r\n", 1002, ProtocolException),
]


@pytest.mark.parametrize(("stream", "code", "error"), BROKEN_RULES)
def test_a_broken_rule_fails_the_connection_with_the_code_that_answers_it(
    clock, stream, code, error
):
    connection = server(clock, max_message_size=100)
    assert [e.data for e in feed(connection, masked(TEXT, b"before") + stream)] == [b"before"]
    assert connection.state is CLOSING
    assert connection.want_eof
    assert not connection.want_abort
    assert connection.deadline == clock() + 10
    told, reason = closed_with(connection.data_to_send())
    assert told == code
    assert type(connection.error) is error
    assert reason == str(connection.error)
    assert feed(connection, masked(TEXT, b"after") + masked(CLOSE)) == []
    connection.receive_eof()
    info = connection.close_info
    assert (info.code, info.sent[0], info.began_by) == (1006, code, "us")
    assert info.error is connection.error
    assert connection.data_to_send() == b""


def test_what_the_peer_did_wrong_comes_after_the_messages_before_it(clock):
    connection = server(clock)
    connection.receive_data(masked(TEXT, b"a") + masked(TEXT, b"b") + b"\xff\xff")
    assert connection.next_event().data == b"a"
    assert connection.state is OPEN
    connection.send_message(b"answer to a")
    assert connection.next_event().data == b"b"
    assert connection.next_event() is None
    assert [first for first, _ in sent(connection)] == [0x81, 0x88]


def test_failing_tells_the_peer_and_hangs_up_on_it(pair):
    pair.server.connection.fail(1011, "internal error")
    pair.pump()
    assert pair.client.info.received == (1011, "internal error")
    assert pair.client.info.sent == (1011, "internal error")
    assert pair.server.wrote_eof
    assert pair.server.info.sent == (1011, "internal error")
    assert pair.server.info.began_by == "us"
    assert pair.server.info.error is None


def test_a_client_that_fails_ends_too(pair):
    pair.client.connection.fail(1003, "no such thing")
    pair.pump()
    assert pair.client.connection.state is CLOSED
    assert pair.server.info.code == 1003


def test_a_failed_connection_ends_at_its_deadline_when_the_peer_does_not_hang_up(clock):
    connection = server(clock)
    feed(connection, b"\xff\xff")
    error = connection.error
    clock.advance_to(connection.deadline)
    connection.tick()
    assert connection.want_abort
    assert connection.close_info.error is error  # not that it took long


def test_failing_while_closing_sends_no_second_close_frame(clock):
    connection = server(clock)
    connection.send_close(1000)
    deadline = connection.deadline
    clock.advance(1)
    feed(connection, b"\xff\xff")
    assert connection.want_eof
    assert connection.deadline == deadline
    assert len(sent(connection)) == 1
    connection.receive_eof()
    assert connection.close_info.sent == (1000, "")
    assert isinstance(connection.close_info.error, ProtocolException)


def test_the_first_error_is_the_one_that_is_reported(clock):
    connection = server(clock)
    first, second = OSError("first"), OSError("second")
    connection.fail(1011, "x", first)
    connection.fail(1011, "y", second)
    connection.receive_eof(second)
    assert connection.close_info.error is first


def test_failing_after_the_end_changes_nothing(clock):
    connection = server(clock)
    connection.receive_eof()
    info = connection.close_info
    connection.fail(1011, "late", OSError())
    connection.receive_eof(OSError())
    assert connection.close_info is info
    assert info.error is None
    assert connection.data_to_send() == b""


# -- the end of the stream -----------------------------------------------------------------


def eof_while_open(connection):
    """No frame at all."""


def eof_in_a_frame(connection):
    feed(connection, masked(TEXT, b"abc", length=100))


def eof_in_a_message(connection):
    feed(connection, masked(TEXT, b"abc", fin=False))


def eof_while_closing(connection):
    connection.send_close()


def eof_after_failing(connection):
    connection.fail(1011, "")


@pytest.mark.parametrize(
    "before",
    [eof_while_open, eof_in_a_frame, eof_in_a_message, eof_while_closing, eof_after_failing],
)
@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
def test_the_end_of_the_stream_without_a_close_frame_is_1006(clock, before, error):
    for make in (client, server) if before is not eof_in_a_frame else (server,):
        connection = make(clock)
        if before is not eof_in_a_message or make is server:
            before(connection)
        connection.receive_eof(error)
        assert connection.state is CLOSED
        assert not connection.want_eof
        info = connection.close_info
        assert info.code == 1006
        assert info.received is None
        assert info.error is error
        assert info.reason == (str(error) if error else "connection lost without a close frame")
        assert not info.clean


def test_what_is_owed_at_the_end_of_the_stream_may_still_be_written(clock):
    connection = server(clock)
    connection.send_message(b"last words")
    connection.receive_eof()
    assert connection.deadline == clock() + 10
    assert sent(connection) == [(0x81, b"last words")]


def test_the_end_may_be_told_as_often_as_one_likes(pair):
    pair.client.connection.send_close()
    pair.pump()
    for end in (pair.client, pair.server):
        info = end.info
        end.connection.receive_eof()
        end.connection.receive_eof(OSError())
        assert end.connection.close_info is info
        assert info.error is None


def test_bytes_after_the_end_are_counted_and_kept_nowhere(clock):
    connection = server(clock)
    connection.receive_eof()
    assert feed(connection, masked(TEXT, b"a")) == []
    assert connection.bytes_in == 7
    assert not connection.input_pending
    junk = b"x" * 1_000_000
    references = sys.getrefcount(junk)
    connection.receive_data(junk)
    assert sys.getrefcount(junk) == references


# -- pressure ------------------------------------------------------------------------------


def test_buffered_is_all_that_is_owed_and_not_taken(clock):
    connection = server(clock)
    connection.send_message(b"x" * 10)
    assert connection.buffered == 12
    connection.send_ping(b"p")
    assert connection.buffered == 15
    connection.data_to_send()
    connection.unsent = 9  # the system took six bytes
    assert connection.buffered == 9
    connection.send_message(b"y")
    assert connection.buffered == 12
    connection.receive_eof()
    assert connection.close_info.bytes_out == 6


def test_above_the_high_water_a_message_may_be_dropped_or_waited_for(clock):
    connection = server(clock)
    connection.unsent = 10**7
    assert connection.overflow("drop") is False
    assert connection.overflow("block") is True
    assert connection.state is OPEN
    assert connection.data_to_send() == b""


def test_above_the_high_water_a_connection_may_be_closed_with_1013(pair):
    pair.client.reads = False
    connection = pair.server.connection
    connection.send_message(b"x" * 10**6)
    pair.pump()
    assert connection.overflow("close") is True
    with pytest.raises(ConnectionClosed, match="closing"):
        connection.send_message(b"one more")
    assert connection.want_eof
    assert "the peer does not read: 1000010 bytes wait" in str(connection.error)
    pair.pass_time(10)
    assert pair.server.aborted
    assert pair.server.info.sent == (1013, "peer reads too slowly")


def test_a_slow_peer_that_reads_again_gets_everything_in_order(pair):
    pair.client.reads = False
    for i in range(5):
        pair.server.connection.send_message(b"%d" % i)
        pair.client.connection.send_ping(b"%d" % i)
        pair.pump()
    assert pair.server.connection.buffered == 5 * 3 + 3  # the first pong was in time
    pair.client.reads = True
    pair.pump()
    assert pair.client.texts == ["0", "1", "2", "3", "4"]
    pongs = [e.data for e in pair.client.events if isinstance(e, PongControlMessage)]
    assert pongs == [b"0", b"4"]
    assert pair.server.connection.buffered == 0


# -- the close report ----------------------------------------------------------------------


def test_the_age_of_the_last_pong_is_that_at_the_first_moment_of_the_end(clock):
    connection = server(clock, close_timeout=5)
    feed(connection, masked(PONG))
    clock.advance(2)
    feed(connection, masked(CLOSE))
    ring(connection, clock)  # what was owed could not be written in time
    assert connection.close_info.last_pong_age == 2


def test_the_close_report_tells_bytes_messages_and_the_age_of_the_last_pong(pair, clock):
    pair.client.connection.send_message(b"abc")
    pair.client.connection.send_ping()
    pair.pump()
    clock.advance(3)
    pair.client.connection.send_close()
    pair.pump()
    clock.advance(100)  # whenever it is asked for
    info = pair.client.info
    assert (info.messages_out, info.messages_in) == (1, 0)
    assert (info.bytes_out, info.bytes_in) == (9 + 6 + 8, 2 + 4)
    assert info.last_pong_age == 3
    assert pair.server.info.last_pong_age is None
    assert pair.server.info.bytes_in == info.bytes_out
    assert pair.client.connection.close_info is info


def ended(clock, how):
    """A server whose connection has ended in one of many ways, and is closed."""
    connection = server(clock, max_message_size=1000, close_timeout=4, ping_timeout=5)
    how(connection, clock)
    connection.data_to_send()
    if connection.state is CLOSING:
        connection.receive_eof()
    return connection.close_info


def ring(connection, clock):
    clock.advance_to(connection.deadline)
    connection.tick()


def send_close_and(rest):
    def how(connection, clock):
        connection.send_close(4001, "ours")
        rest(connection, clock)

    return how


#: How it ended → peer's code, received, sent, who began, error.
ENDINGS = {
    "peer closes": (
        lambda c, t: feed(c, masked(CLOSE, close_payload(1000, "bye"))),
        (1000, (1000, "bye"), (1000, "bye"), "peer", None),
    ),
    "peer closes without a code": (
        lambda c, t: feed(c, masked(CLOSE)),
        (1005, (1005, ""), (1005, ""), "peer", None),
    ),
    "we close, peer echoes": (
        send_close_and(lambda c, t: feed(c, masked(CLOSE, close_payload(4001, "ours")))),
        (4001, (4001, "ours"), (4001, "ours"), "us", None),
    ),
    "we close, peer has a reason of its own": (
        send_close_and(lambda c, t: feed(c, masked(CLOSE, close_payload(4002, "theirs")))),
        (4002, (4002, "theirs"), (4001, "ours"), "us", None),
    ),
    "we close, peer hangs up": (
        send_close_and(lambda c, t: c.receive_eof()),
        (1006, None, (4001, "ours"), "us", None),
    ),
    "we close, line breaks": (
        send_close_and(lambda c, t: c.receive_eof(OSError("broken"))),
        (1006, None, (4001, "ours"), "us", OSError),
    ),
    "we close, peer is silent": (
        send_close_and(ring),
        (1006, None, (4001, "ours"), "us", ConnectionTimeout),
    ),
    "we close, peer sends garbage": (
        send_close_and(lambda c, t: feed(c, b"\xff\xff")),
        (1006, None, (4001, "ours"), "us", ProtocolException),
    ),
    "peer hangs up": (
        lambda c, t: c.receive_eof(),
        (1006, None, None, None, None),
    ),
    "line breaks": (
        lambda c, t: c.receive_eof(ConnectionResetError("reset")),
        (1006, None, None, None, ConnectionResetError),
    ),
    "peer hangs up inside of a frame": (
        lambda c, t: (feed(c, masked(TEXT, length=9)), c.receive_eof()),
        (1006, None, None, None, None),
    ),
    "garbage": (
        lambda c, t: feed(c, b"\xff\xff"),
        (1006, None, (1002, "reserved opcode 0xf"), "us", ProtocolException),
    ),
    "bad text": (
        lambda c, t: feed(c, masked(TEXT, b"\xff")),
        (
            1006,
            None,
            (1007, "text is not valid UTF-8: invalid start byte"),
            "us",
            TextFrameEncodingException,
        ),
    ),
    "too large": (
        lambda c, t: feed(c, masked(TEXT, length=1001)),
        (
            1006,
            None,
            (1009, "message is over the limit of 1000 bytes"),
            "us",
            FrameTooLargeException,
        ),
    ),
    "illegal close code": (
        lambda c, t: feed(c, masked(CLOSE, close_payload(1006))),
        (1006, None, (1002, "close code 1006 may not be sent"), "us", ProtocolException),
    ),
    "keepalive": (
        lambda c, t: (ring(c, t), ring(c, t)),
        (1006, None, (1011, "keepalive timeout"), "us", ConnectionTimeout),
    ),
    "a hook fails": (
        lambda c, t: c.fail(1011, "internal error"),
        (1006, None, (1011, "internal error"), "us", None),
    ),
    "too slow": (
        lambda c, t: c.overflow("close"),
        (1006, None, (1013, "peer reads too slowly"), "us", ConnectionClosed),
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_close_report_of_every_ending(clock, ending):
    how, (code, received, sent_close, began_by, error) = ENDINGS[ending]
    info = ended(clock, how)
    assert info.code == code
    assert info.received == received
    assert info.sent == sent_close
    assert info.began_by == began_by
    assert type(info.error) is (type(None) if error is None else error)
    assert info.clean is (received is not None and sent_close is not None)
    assert info.reason or info.code == 1005


def test_every_ending_is_the_same_byte_by_byte(clock):
    pair = Pair(clock, split=byte_by_byte)
    pair.client.connection.send_message("größe".encode())
    pair.client.connection.send_close(3000, "ünd")
    pair.pump()
    assert pair.server.texts == ["größe"]
    assert pair.server.info.received == pair.client.info.received == (3000, "ünd")


# -- adversity -----------------------------------------------------------------------------


def check_invariants(connection, stream, clock):
    """What holds at any moment, whatever happened before."""
    heads = [first for first, _ in frames(stream)]
    closes = [i for i, first in enumerate(heads) if first & 0x0F == CLOSE]
    assert len(closes) <= 1
    assert not closes or closes[0] == len(heads) - 1, "a frame behind the close frame"
    if connection.state is not OPEN and not connection.want_abort:
        assert connection.deadline is not None, "nothing ends this"
    assert connection.buffered >= 0
    assert (connection.close_info is None) == (connection.state is not CLOSED)
    if connection.state is not OPEN:
        assert not connection._backlog


STEPS = {
    "message": lambda c, r: c.send_message(b"m" * r.randint(0, 300)),
    "writer": lambda c, r: c.writers.append(c.fragmented()),
    "fragment": lambda c, r: r.choice(c.writers).send(b"f", False),
    "last": lambda c, r: c.writers.pop(r.randrange(len(c.writers))).send(b"l", True),
    "ping": lambda c, r: c.send_ping(b"p"),
    "pong": lambda c, r: c.send_pong(b"q"),
    "close": lambda c, r: c.send_close(1000),
    "fail": lambda c, r: c.fail(1011, "f"),
    "peer message": lambda c, r: feed(c, masked(TEXT, b"a")),
    "peer ping": lambda c, r: feed(c, masked(PING, b"b")),
    "peer pong": lambda c, r: feed(c, masked(PONG, b"b")),
    "peer close": lambda c, r: feed(c, masked(CLOSE)),
    "peer garbage": lambda c, r: feed(c, b"\xff\xff"),
    "eof": lambda c, r: c.receive_eof(),
    "stall": lambda c, r: setattr(c, "unsent", r.randint(1, 100)),
    "drain": lambda c, r: setattr(c, "unsent", 0),
    "policy": lambda c, r: c.keep_alive(Config(ping_interval=r.randint(1, 30))),
    "overflow": lambda c, r: c.overflow(r.choice(["block", "drop", "close"])),
    "time": lambda c, r: (c.clock.advance(r.random() * 15), c.tick()),
}
#: Steps that end the connection come more rarely, or nothing else would ever happen.
RARE = {"close", "fail", "peer close", "peer garbage", "eof", "overflow"}


class Driven(Connection):
    """With room for the writers of the test below."""

    __slots__ = ("writers",)


@pytest.mark.parametrize("is_client", [False, True])
def test_no_sequence_of_steps_sends_behind_the_close_or_leaves_no_deadline(clock, is_client):
    names = [name for name in STEPS for _ in range(1 if name in RARE else 6)]
    for seed in range(600):
        generator = random.Random(seed)
        connection = Driven(client=is_client, clock=clock)
        connection.expect_masking = True
        connection.writers = []
        stream = b""
        for _ in range(generator.randint(5, 60)):
            step = STEPS[generator.choice(names)]
            before = connection.state
            try:
                step(connection, generator)
            except ConnectionClosed:
                assert before is not OPEN
            except (IndexError, ValueError):
                assert not connection.writers  # none to choose from
            if generator.random() < 0.5 and not connection.unsent:
                stream += connection.data_to_send()
                check_invariants(connection, stream, clock)
        connection.unsent = 0
        stream += connection.data_to_send()
        check_invariants(connection, stream, clock)
        # What was sent is what the peer can read.
        if connection.state is not OPEN:
            assert connection.data_to_send() == b""


def test_messages_are_read_as_they_were_sent_after_any_steps(clock):
    harmless = [name for name in STEPS if name not in RARE and "peer" not in name]
    for seed in range(200):
        generator = random.Random(seed)
        connection = Driven(client=True, clock=clock)
        connection.writers = []
        peer = server(clock)
        for _ in range(generator.randint(5, 60)):
            try:
                STEPS[generator.choice([n for n in harmless if n != "time"])](connection, generator)
            except (IndexError, ValueError):
                assert not connection.writers
            if not connection.unsent:
                feed(peer, connection.data_to_send())
        connection.unsent = 0
        while connection.writers:
            connection.writers.pop(0).send(b"", True)
        feed(peer, connection.data_to_send())
        assert peer.state is OPEN, peer.error
        assert peer.messages_in == connection.messages_out
        assert peer.bytes_in == connection.bytes_out
        assert connection.buffered == 0


def test_a_flood_of_pings_is_answered_in_proportion_and_remembered_not_at_all(clock):
    connection = server(clock)
    for _ in range(100):
        feed(connection, masked(PING) * 1000)
        assert connection.buffered <= 2000
        connection.data_to_send()
    assert connection.buffered == 0


def test_a_peer_that_works_off_a_jam_is_alive_although_it_says_nothing(clock):
    """Reading from it is paused, so that its pongs lie unread: only what it takes tells."""
    connection = Connection(client=False, clock=clock)
    connection.send_message(b"x" * 1000, binary=True)
    connection.unsent = len(connection.data_to_send())
    for _ in range(5):
        clock.advance(20)
        connection.tick()
        connection.data_to_send()
        assert connection.state is State.OPEN
        connection.unsent -= 100
    clock.advance(20)
    connection.tick()
    clock.advance(20)
    connection.tick()
    assert connection.state is State.CLOSED


def test_a_sign_of_life_that_a_driver_saw_postpones_the_question(clock):
    connection = Connection(client=False, clock=clock)
    for _ in range(5):
        clock.advance(20)
        connection.tick()
        connection.sign_of_life()
        assert connection.deadline == clock() + 20
    connection.receive_eof()
    connection.sign_of_life()
    assert connection.close_info.error is None


def test_the_reason_of_an_error_without_text_is_its_name(clock):
    connection = Connection(client=False, clock=clock)
    connection.fail(1011, "internal error", KeyError())
    connection.receive_eof()
    assert connection.close_info.reason == "KeyError()"


# -- who answers ---------------------------------------------------------------------------


def test_pings_may_be_left_to_whoever_gets_the_messages(clock):
    connection = server(clock, answer_pings=False)
    (ping,) = feed(connection, masked(PING, b"there?"))
    assert (type(ping), ping.data) == (PingControlMessage, b"there?")
    assert connection.data_to_send() == b""
    connection.send_pong(ping.data)
    assert connection.data_to_send() == make_frame(PONG, b"there?")


@pytest.mark.parametrize("client_side", [False, True])
def test_a_close_frame_may_be_answered_later_and_by_another_code(clock, client_side):
    key = None if client_side else b"\1\2\3\4"
    connection = Connection(client=client_side, config=Config(answer_close=False), clock=clock)
    connection.always_mask = False  # easier to read
    (close,) = feed(connection, make_frame(CLOSE, close_payload(1001, "away"), key=key))
    assert (close.code, close.reason) == (1001, "away")
    assert (connection.state, connection.data_to_send()) == (OPEN, b"")
    # RFC 6455 section 5.5.1: what is being said may be said to its end.
    connection.send_message(b"one more thing")
    connection.send_close(3000, "so long")
    assert connection.data_to_send() == make_frame(TEXT, b"one more thing") + make_frame(
        CLOSE, close_payload(3000, "so long")
    )
    assert connection.state is (CLOSING if client_side else CLOSED)
    connection.receive_eof()
    info = connection.close_info
    assert (info.received, info.sent) == ((1001, "away"), (3000, "so long"))
    assert (info.began_by, info.clean) == ("peer", True)


def test_a_close_frame_that_nobody_answers_is_answered_in_time(clock):
    connection = server(clock, answer_close=False, close_timeout=5)
    feed(connection, masked(CLOSE, close_payload(4000, "bye")))
    assert connection.deadline == clock() + 5
    connection.sign_of_life()  # which would be keepalive's
    clock.advance(5)
    connection.tick()
    assert connection.data_to_send() == make_frame(CLOSE, close_payload(4000, "bye"))
    assert connection.state is CLOSED
    assert connection.close_info.clean


def test_a_peer_that_hangs_up_instead_of_waiting_for_the_answer(clock):
    connection = client(clock, answer_close=False)
    feed(connection, make_frame(CLOSE, close_payload(1000)))
    connection.receive_eof()
    info = connection.close_info
    assert (info.received, info.sent, info.clean) == ((1000, ""), None, False)


class TestPreparedMessages:
    """One message to many connections, encoded once for each form."""

    def test_every_connection_gets_the_same_bytes(self, clock):
        message = PreparedMessage(b"for all", False)
        first, second = server(clock), server(clock)
        first.send_prepared(message)
        second.send_prepared(message)
        frame = first.data_to_send()
        assert frame == make_frame(TEXT, b"for all")
        assert second.data_to_send() is frame
        assert first.messages_out == 1
        assert first.bytes_out == len(frame)
        assert first.owed() == 0

    def test_a_client_masks_each_by_itself(self, clock):
        message = PreparedMessage(b"\xff" * 200, True)
        end = client(clock)
        end.send_prepared(message)
        end.send_prepared(message)
        wire = end.data_to_send()
        assert wire[:208][4:8] != wire[208:][4:8]
        assert [event.data for event in feed(server(clock), wire)] == [b"\xff" * 200] * 2

    def test_it_waits_behind_a_message_in_fragments(self, clock):
        end = server(clock)
        fragments = end.fragmented(binary=True)
        fragments.send(b"a")
        end.send_prepared(PreparedMessage(b"b", True))
        fragments.send(b"c", fin=True)
        assert [event.data for event in feed(client(clock), end.data_to_send())] == [b"ac", b"b"]

    def test_it_is_refused_by_a_connection_that_is_closing(self, clock):
        end = server(clock)
        end.send_close()
        with pytest.raises(ConnectionClosed):
            end.send_prepared(PreparedMessage(b"late", True))
        assert end.messages_out == 0

    @pytest.mark.parametrize("bits", [9, 15])
    @pytest.mark.parametrize("resets", [True, False], ids=["no-takeover", "takeover"])
    def test_among_compressed_messages_it_is_understood(self, clock, bits, resets):
        """Whatever the connection's own compressor refers to is what the peer has seen."""
        agreed = {"server_max_window_bits": bits, "server_no_context_takeover": resets}
        ends, peers = [], []
        for _ in range(2):
            ends.append(server(clock))
            peers.append(client(clock))
            for end in (ends[-1], peers[-1]):
                end.setup(
                    Config(),
                    PerMessageDeflate(
                        client=end.client, compression=Compression(threshold=3), **agreed
                    ),
                )
        words = [bytes(random.Random(n).choices(b"abcdefgh", k=400)) for n in range(4)]
        for round_ in range(6):
            message = PreparedMessage(words[round_ % 4] * 2, True)
            sent = []
            for end in ends:
                end.send_message(words[round_ % 3], True)
                end.send_prepared(message)
                end.send_message(words[round_ % 4] + words[0], True)
                sent.append(end.data_to_send())
            for peer, data in zip(peers, sent, strict=True):
                assert [event.data for event in feed(peer, data)] == [
                    words[round_ % 3],
                    words[round_ % 4] * 2,
                    words[round_ % 4] + words[0],
                ]
            assert len(sent[0]) < 1000

    def test_a_short_one_is_not_compressed(self, clock):
        end = server(clock)
        end.setup(Config(), PerMessageDeflate(client=False, compression=Compression(threshold=100)))
        end.send_prepared(PreparedMessage(b"short", True))
        assert end.data_to_send() == make_frame(BINARY, b"short")


# -- whose fault a silence is ----------------------------------------------------------------


def test_when_our_own_alarm_was_late_the_peer_is_asked_once_more(clock):
    """A blocked loop or a suspended machine says nothing about the peer."""
    connection = server(clock, ping_interval=20, ping_timeout=20)
    clock.advance(20)
    connection.tick()
    sent(connection)
    clock.advance(60)  # the deadline was after 20
    connection.tick()
    assert connection.state is OPEN
    ((first, payload),) = sent(connection)
    assert first == 0x89
    assert connection.deadline == clock() + 20
    feed(connection, masked(PONG, payload))
    clock.advance_to(connection.deadline)
    connection.tick()
    assert connection.state is OPEN


def test_a_dead_peer_profits_only_once_of_our_being_late(clock):
    connection = server(clock, ping_interval=20, ping_timeout=20)
    clock.advance(20)
    connection.tick()
    for late in (60, 60):
        assert connection.state is OPEN
        clock.advance(late)
        connection.tick()
    assert connection.state is CLOSED
    assert "keepalive" in connection.close_info.reason


def test_life_makes_up_for_it(clock):
    """Every silence is judged by itself, however often this end is late."""
    connection = server(clock, ping_interval=20, ping_timeout=20)
    clock.advance(20)
    connection.tick()
    for _ in range(10):
        clock.advance(60)
        connection.tick()  # late: asked once more
        assert connection.state is OPEN
        feed(connection, masked(TEXT, b"here"))
        clock.advance(20)
        connection.tick()  # silent again: asked


def test_a_punctual_alarm_gives_no_second_chance(clock):
    connection = server(clock, ping_interval=20, ping_timeout=20)
    clock.advance(20)
    connection.tick()
    clock.advance(20.9)
    connection.tick()
    assert connection.state is CLOSED


def test_there_is_doubt_only_while_an_answer_is_due(clock):
    connection = server(clock, ping_interval=20, ping_timeout=20)
    assert not connection.in_doubt()
    clock.advance(20)
    connection.tick()
    assert connection.in_doubt()
    feed(connection, b"\x81")
    assert not connection.in_doubt()
    connection.send_close()
    assert connection.in_doubt()  # its close frame may be on its way
    connection.receive_eof()
    assert not connection.in_doubt()


# -- what drop-ins ask for -----------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, Compression(threshold=0)])
def test_fragments_may_be_delivered_one_by_one(clock, compression):
    config = Config(deliver_fragments=True, compression=compression)
    connection = Connection(client=False, config=config, clock=clock)
    got = feed(
        connection,
        masked(TEXT, b"a\xc3", fin=False),
        masked(PING, b"p"),
        masked(CONT, b"\xbc", fin=False),
        masked(CONT, b"b"),
        masked(TEXT, b"whole"),
        masked(BINARY, b"x", fin=False),
        masked(CONT, b""),
    )
    parts = [(type(m), m.opcode, m.data, m.completed) for m in got if m.opcode != PING]
    assert parts == [
        (TextMessage, TEXT, b"a\xc3", False),
        (TextMessage, CONT, b"\xbc", False),
        (TextMessage, CONT, b"b", True),
        (TextMessage, TEXT, b"whole", True),
        (BinaryMessage, BINARY, b"x", False),
        (BinaryMessage, CONT, b"", True),
    ]
    assert connection.messages_in == 3


def test_fragments_of_bad_text_end_it_where_they_do(clock):
    connection = server(clock, deliver_fragments=True)
    assert len(feed(connection, masked(TEXT, b"a", fin=False), masked(CONT, b"\xff"))) == 1
    assert closed_with(connection.data_to_send())[0] == 1007


def test_text_may_go_unchecked(clock):
    connection = server(clock, check_text=False)
    got = feed(
        connection,
        masked(TEXT, b"\xff"),
        masked(TEXT, b"\xff", fin=False),
        masked(CONT, b"\xfe"),
        masked(TEXT, "ü".encode()),
    )
    assert [message.data for message in got] == [b"\xff", b"\xff\xfe", "ü".encode()]
    assert str(got[2]) == "ü"
    with pytest.raises(UnicodeDecodeError):
        str(got[0])


def test_pings_may_come_at_fixed_times_with_a_payload(clock):
    connection = server(
        clock, ping_interval=10, ping_timeout=3, ping_always=True, ping_payload=b"knock"
    )
    began = clock()
    for number in (1, 2, 3):
        due = began + 10 * number
        assert connection.deadline == due
        clock.advance(due - clock() - 1)
        feed(connection, masked(TEXT, b"busy"))
        clock.advance(1)
        connection.tick()
        assert frames(connection.data_to_send()) == [(0x80 | PING, b"knock")]
        assert connection.last_ping == clock()
        feed(connection, masked(PONG, b"knock"))
        clock.advance(3)
        connection.tick()
        assert connection.state is OPEN


def test_masks_may_come_from_elsewhere(clock):
    connection = client(clock)
    connection.key_source = lambda: b"abcd"
    connection.send_message(b"Hello")
    assert connection.data_to_send() == b"\x81\x85abcd)\x07\x0f\x08\x0e"

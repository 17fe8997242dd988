"""``Stream``: what programs and tests of ws4py 0.6 do with it."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from ws4py.framing import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_CONTINUATION,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    Frame,
)
from ws4py.messaging import (
    BinaryMessage,
    CloseControlMessage,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
)
from ws4py.protocol.connection import Connection
from ws4py.streaming import VALID_CLOSING_CODES, Stream

KEY = b"\x37\xfa\x21\x3d"


def frame(opcode, body=b"", fin=1, key=KEY):
    return Frame(opcode, body, key, fin).build()


@pytest.fixture
def stream():
    """A server's."""
    return Stream()


# -- by hand -------------------------------------------------------------------------------


def test_a_new_stream_has_received_nothing(stream):
    assert stream.message is None
    assert stream.has_message is False
    assert (stream.pings, stream.pongs, stream.errors) == ([], [], [])
    assert stream.closing is None
    assert (stream.always_mask, stream.expect_masking) == (False, True)


def test_the_parser_is_a_primed_generator_and_always_the_same(stream):
    assert isinstance(stream.parser, Generator)
    assert stream.parser is stream.parser
    assert isinstance(stream.receiver(), Generator)


@pytest.mark.parametrize(
    ("opcode", "kind"), [(OPCODE_TEXT, TextMessage), (OPCODE_BINARY, BinaryMessage)]
)
def test_a_message_is_received(stream, opcode, kind):
    stream.parser.send(frame(opcode, b"Hello"))
    next(stream.parser)
    assert stream.has_message
    assert type(stream.message) is kind
    assert (stream.message.data, stream.message.completed) == (b"Hello", True)
    stream.message = None
    assert not stream.has_message


def test_bytes_may_come_one_at_a_time(stream):
    for octet in frame(OPCODE_TEXT, b"Hello"):
        assert not stream.has_message
        assert stream.parser.send(bytes([octet])) == 1
    assert str(stream.message) == "Hello"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_can_be_sent(stream, kind):
    stream.parser.send(kind(frame(OPCODE_BINARY, b"abc")))
    assert (type(stream.message.data), stream.message.data) == (bytes, b"abc")


@pytest.mark.parametrize("rubbish", ["text", 129])
def test_what_is_not_bytes_is_a_mistake(stream, rubbish):
    with pytest.raises(TypeError):
        stream.parser.send(rubbish)


def test_a_message_is_not_completed_before_its_last_fragment(stream):
    stream.parser.send(frame(OPCODE_TEXT, b"Hel", fin=0))
    assert not stream.has_message
    assert (type(stream.message), stream.message.completed) == (TextMessage, False)
    begun = stream.message
    stream.parser.send(frame(OPCODE_PING, b"in between"))
    stream.parser.send(frame(OPCODE_CONTINUATION, b"l", fin=0))
    assert stream.message is begun
    assert not stream.has_message
    stream.parser.send(frame(OPCODE_CONTINUATION, b"o"))
    assert stream.has_message
    assert str(stream.message) == "Hello"
    assert [ping.data for ping in stream.pings] == [b"in between"]


def test_the_beginning_of_a_message_replaces_the_one_before(stream):
    stream.parser.send(frame(OPCODE_TEXT, b"first"))
    stream.parser.send(frame(OPCODE_BINARY, b"sec", fin=0))
    assert not stream.has_message
    assert type(stream.message) is BinaryMessage


def test_messages_that_come_together_are_met_one_by_one(stream):
    # 0.6 lost the second.
    stream.parser.send(
        frame(OPCODE_TEXT, b"first") + frame(OPCODE_PONG) + frame(OPCODE_TEXT, b"second")
    )
    assert str(stream.message) == "first"
    next(stream.parser)
    assert str(stream.message) == "second"
    assert len(stream.pongs) == 1


def test_control_messages_are_kept_for_the_caller_to_answer(stream):
    stream.parser.send(frame(OPCODE_PING, b"a") + frame(OPCODE_PING, b"b"))
    stream.parser.send(frame(OPCODE_PONG, b"c"))
    assert [(type(p), p.data) for p in stream.pings] == [
        (PingControlMessage, b"a"),
        (PingControlMessage, b"b"),
    ]
    assert [(type(p), p.data) for p in stream.pongs] == [(PongControlMessage, b"c")]
    assert stream.data_to_send() == b""
    assert stream.buffered == 0


def test_a_close_frame_is_received(stream):
    stream.parser.send(frame(OPCODE_CLOSE, b"\x03\xe9bye"))
    assert type(stream.closing) is CloseControlMessage
    assert (stream.closing.code, stream.closing.reason) == (1001, "bye")
    assert stream.errors == []
    assert stream.data_to_send() == b""


def test_an_empty_close_frame_counts_as_1005(stream):
    stream.parser.send(frame(OPCODE_CLOSE))
    assert (stream.closing.code, stream.closing.reason) == (1005, "")


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(OPCODE_TEXT, b"Hello", key=None), 1002),
        (frame(OPCODE_TEXT, b"", key=None), 1002),
        (frame(OPCODE_CONTINUATION, b"Hello"), 1002),
        (frame(OPCODE_TEXT, b"a", fin=0) + frame(OPCODE_TEXT, b"b"), 1002),
        (frame(OPCODE_BINARY, b"a", fin=0) + frame(OPCODE_BINARY, b"b"), 1002),
        (b"\x83\x80" + KEY, 1002),
        (b"\xc1\x80" + KEY, 1002),
        (frame(OPCODE_TEXT, b"\xff"), 1007),
        (frame(OPCODE_TEXT, b"a", fin=0) + frame(OPCODE_CONTINUATION, b"\xff"), 1007),
        # What 0.6 let pass as 1005
        (frame(OPCODE_CLOSE, b"\x03"), 1002),
        (frame(OPCODE_CLOSE, b"\x03\xed"), 1002),
        (frame(OPCODE_CLOSE, b"\x03\xe8\xff"), 1007),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big"), 1009),
    ],
)
def test_errors_come_with_the_code_that_answers_them(stream, wire, code):
    stream.parser.send(wire)
    [error] = stream.errors
    assert (type(error), error.code) == (CloseControlMessage, code)
    assert error.reason
    assert not stream.has_message
    stream.parser.send(frame(OPCODE_TEXT, b"deaf"))
    assert len(stream.errors) == 1
    assert not stream.has_message
    assert stream.data_to_send() == b""


def test_a_client_takes_what_is_not_masked_and_nothing_else():
    wire = frame(OPCODE_TEXT, b"Hello", key=None)
    stream = Stream(always_mask=True, expect_masking=False)
    stream.parser.send(wire)
    assert str(stream.message) == "Hello"
    stream = Stream()
    stream.always_mask, stream.expect_masking = True, False
    stream.parser.send(wire)
    assert str(stream.message) == "Hello"
    stream.parser.send(frame(OPCODE_TEXT, b"masked"))
    assert [error.code for error in stream.errors] == [1002]


def test_a_parser_can_be_closed(stream):
    stream.parser.send(b"\x81")
    stream.parser.close()
    with pytest.raises(StopIteration):
        next(stream.parser)


def test_cleaning_up_lets_go_of_everything(stream):
    stream.parser.send(frame(OPCODE_TEXT, b"Hello") + frame(OPCODE_CLOSE))
    stream._cleanup()
    assert stream.message is None
    assert stream.pings is stream.pongs is stream.errors is None
    assert not stream.has_message
    Stream()._cleanup()


# -- what is to be sent --------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_helpers_make_messages_and_frames(masked):
    stream = Stream(always_mask=masked)
    text = stream.text_message("Grüße")
    assert (type(text), text.data) == (TextMessage, "Grüße".encode())
    binary = stream.binary_message(b"\0\xff")
    assert (type(binary), binary.data) == (BinaryMessage, b"\0\xff")
    close = stream.close(1001, "bye")
    assert (type(close), close.code, close.reason) == (CloseControlMessage, 1001, "bye")
    assert stream.close().code == 1000
    for wire, opcode in ((stream.ping("Hi"), OPCODE_PING), (stream.pong(b"Hi"), OPCODE_PONG)):
        parsed = Frame()
        parsed.parser.send(wire)
        assert (parsed.opcode, parsed.fin) == (opcode, 1)
        assert (parsed.masking_key is not None) == masked
        assert parsed.unmask(parsed.body) == b"Hi"


def test_what_may_not_be_sent_is_refused(stream):
    for given in (None, 5, ["Hello"]):
        with pytest.raises(TypeError):
            stream.text_message(given)
    with pytest.raises(TypeError):
        stream.binary_message("Hello")


def test_the_closing_codes_are_those_of_0_6():
    assert [*range(1000, 1004), *range(1007, 1012)] == VALID_CLOSING_CODES


# -- as the stream of a websocket ----------------------------------------------------------


def test_driven_as_a_connection_it_knows_the_close_frame(stream):
    stream.receive_data(frame(OPCODE_CLOSE, b"\x03\xe9bye"))
    assert stream.closing is None
    stream.next_event()
    assert (stream.closing.code, stream.closing.reason) == (1001, "bye")
    assert stream.closing is stream.closing
    assert stream.data_to_send() == frame(OPCODE_CLOSE, b"\x03\xe9bye", key=None)


def test_driven_as_a_connection_without_a_close_frame_there_is_no_closing(stream):
    stream.receive_eof()
    assert stream.closing is None


def test_driven_as_a_connection_an_empty_close_frame_counts_as_1005(stream):
    stream.receive_data(frame(OPCODE_CLOSE))
    stream.next_event()
    assert (stream.closing.code, stream.closing.reason) == (1005, "")


def test_closing_can_be_set(stream):
    stream.closing = closing = CloseControlMessage(1000, "by hand")
    assert stream.closing is closing


def test_it_is_as_light_as_a_connection(stream):
    assert sys.getsizeof(stream) - sys.getsizeof(Connection(client=False)) <= 6 * 8
    with pytest.raises(AttributeError):
        stream.__dict__  # noqa: B018
    with pytest.raises(AttributeError, match="Stream' object has no attribute 'pangs'"):
        stream.pangs  # noqa: B018

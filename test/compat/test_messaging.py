"""Messages: what programs written for ws4py 0.6 do with them."""

from __future__ import annotations

import copy
import json
import pickle

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
    Message,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
)
from ws4py.protocol.connection import Connection

GREETING = "Grüße, 世界"


def parsed(wire):
    frame = Frame()
    frame.parser.send(wire)
    return frame


def received(wire):
    """The message that an application gets for a frame of a server."""
    connection = Connection(client=True)
    connection.receive_data(wire)
    return connection.next_event()


# -- what they hold ------------------------------------------------------------------------


@pytest.mark.parametrize("given", [GREETING, GREETING.encode(), bytearray(GREETING.encode())])
def test_text_is_kept_as_bytes(given):
    message = TextMessage(given)
    assert (type(message.data), message.data) == (bytes, GREETING.encode())
    assert message.opcode == OPCODE_TEXT
    assert message.encoding == "utf-8"
    assert (message.is_text, message.is_binary) == (True, False)
    assert message.data.decode(message.encoding) == GREETING


def test_text_shows_and_counts_characters():
    message = TextMessage(GREETING)
    assert str(message) == message.__unicode__() == GREETING
    assert len(message) == len(GREETING) < len(message.data)


@pytest.mark.parametrize("given", [b"\x00\xff", bytearray(b"\x00\xff")])
def test_binary_is_kept_as_bytes(given):
    message = BinaryMessage(given)
    assert (type(message.data), message.data) == (bytes, b"\x00\xff")
    assert message.opcode == OPCODE_BINARY
    assert message.encoding is None
    assert (message.is_text, message.is_binary) == (False, True)
    assert len(message) == 2


def test_binary_can_be_shown():
    # 0.6 raised TypeError.
    assert str(BinaryMessage(b"Hello")) == "Hello"
    assert str(BinaryMessage(b"\x00\xff")) == "\x00\\xff"


def test_a_message_copies_what_may_change():
    data = bytearray(b"Hello")
    message = BinaryMessage(data)
    data[0] = 0
    assert message.data == b"Hello"


def test_what_is_no_payload_is_refused():
    for given in (None, 5, ["Hello"], memoryview(b"Hello")):
        with pytest.raises(TypeError):
            TextMessage(given)
        with pytest.raises(TypeError):
            Message(OPCODE_BINARY, given)
    with pytest.raises(TypeError):
        BinaryMessage("Hello")
    with pytest.raises(TypeError):
        Message(OPCODE_TEXT, "Hello", encoding=None)
    with pytest.raises(TypeError):
        TextMessage()


def test_an_empty_message_is_falsy():
    for message in (TextMessage(""), BinaryMessage(), Message(OPCODE_TEXT)):
        assert not message
    for message in (TextMessage(" "), BinaryMessage(b"\0")):
        assert message


def test_any_encoding_can_be_named():
    message = Message(OPCODE_TEXT, "é", encoding="latin-1")
    assert message.data == b"\xe9"
    assert str(message) == "é"


def test_data_can_be_replaced():
    message = TextMessage("before")
    assert str(message) == "before"
    message.data = "after"
    assert (message.data, str(message)) == (b"after", "after")
    with pytest.raises(TypeError):
        message.data = None


@pytest.mark.parametrize("more", ["def", b"def", bytearray(b"def")])
def test_text_can_be_extended(more):
    message = TextMessage("abc")
    assert len(message) == 3
    message.extend(more)
    assert (message.data, str(message)) == (b"abcdef", "abcdef")


def test_binary_can_be_extended_by_bytes_only():
    message = BinaryMessage(b"abc")
    message.extend(bytearray(b"def"))
    assert message.data == b"abcdef"
    for given in ("abc", None, 5):
        with pytest.raises(TypeError):
            message.extend(given)


def test_completed_can_be_set():
    message = TextMessage("abc")
    assert message.completed is False
    message.completed = True
    assert message.completed is True


def test_messages_can_be_copied_and_pickled():
    for message in (TextMessage(GREETING), BinaryMessage(b"\0"), CloseControlMessage(1001, "bye")):
        for twin in (copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
            assert type(twin) is type(message)
            assert (twin.opcode, twin.data) == (message.opcode, message.data)
            assert str(twin) == str(message)


def test_messages_show_themselves():
    assert repr(TextMessage("Hello")) == "<TextMessage b'Hello'>"
    assert repr(BinaryMessage(bytes(1000))).endswith("1000 bytes>")


# -- control messages ----------------------------------------------------------------------


def test_a_close_message_has_code_and_reason():
    message = CloseControlMessage(1001, "going away")
    assert (message.opcode, message.encoding) == (OPCODE_CLOSE, "utf-8")
    assert (message.code, message.reason) == (1001, "going away")
    assert message.data == b"\x03\xe9going away"
    assert str(message) == message.__unicode__() == "going away"


def test_a_close_message_is_normal_by_default():
    message = CloseControlMessage()
    assert (message.code, message.reason, message.data) == (1000, "", b"\x03\xe8")


@pytest.mark.parametrize("reason", [None, "", b""])
def test_a_reason_may_be_none(reason):
    assert CloseControlMessage(1000, reason).reason == ""


def test_a_reason_is_text_also_when_given_as_bytes():
    # 0.6 had bytes here: a documented change.
    message = CloseControlMessage(1000, GREETING.encode())
    assert message.reason == GREETING
    assert message.data == b"\x03\xe8" + GREETING.encode()


@pytest.mark.parametrize("code", [None, 0])
def test_without_a_code_the_frame_is_empty(code):
    message = CloseControlMessage(code, "nobody will read this")
    assert message.code is None
    assert message.data == b""


def test_a_reason_is_cut_to_fit_between_two_characters():
    # 0.6 built an illegal frame.
    message = CloseControlMessage(1000, "é" * 100)
    assert message.reason == "é" * 61
    assert len(message.data) == 2 + 122


def test_ping_and_pong():
    assert PingControlMessage().data == b""
    for kind, opcode in ((PingControlMessage, OPCODE_PING), (PongControlMessage, OPCODE_PONG)):
        for given in ("Hello", b"Hello", bytearray(b"Hello")):
            message = kind(given)
            assert (message.opcode, message.data, str(message)) == (opcode, b"Hello", "Hello")
        assert parsed(kind("Hello").single()).opcode == opcode


# -- becoming frames -----------------------------------------------------------------------


def test_a_message_as_one_frame():
    frame = parsed(TextMessage("Hello").single())
    assert (frame.fin, frame.opcode, frame.masking_key) == (1, OPCODE_TEXT, None)
    assert frame.body == b"Hello"


def test_a_masked_frame_has_a_key_of_its_own():
    message = BinaryMessage(b"Hello")
    frames = [parsed(message.single(mask=True)) for _ in range(3)]
    assert len({frame.masking_key for frame in frames}) == 3
    assert {bytes(frame.unmask(frame.body)) for frame in frames} == {b"Hello"}


@pytest.mark.parametrize("mask", [False, True])
def test_a_message_as_fragments(mask):
    message = TextMessage("Hello")
    first = parsed(message.fragment(first=True, mask=mask))
    middle = parsed(message.fragment(mask=mask))
    last = parsed(message.fragment(last=True, mask=mask))
    assert (first.fin, first.opcode) == (0, OPCODE_TEXT)
    assert (middle.fin, middle.opcode) == (0, OPCODE_CONTINUATION)
    assert (last.fin, last.opcode) == (1, OPCODE_CONTINUATION)
    for frame in (first, middle, last):
        assert (frame.masking_key is not None) == mask
        assert frame.unmask(frame.body) == b"Hello"


# -- received ------------------------------------------------------------------------------


def test_a_received_message_is_like_one_made_by_hand():
    for made in (TextMessage(GREETING), BinaryMessage(b"\x00\xff"), TextMessage("")):
        got = received(made.single())
        assert type(got) is type(made)
        assert (got.opcode, got.data, got.encoding) == (made.opcode, made.data, made.encoding)
        assert (str(got), len(got), got.is_text) == (str(made), len(made), made.is_text)
        assert got.completed is True
        assert got.single() == made.single()


def test_a_received_message_may_be_kept():
    # In 0.6 its data was None as soon as received_message() had returned.
    connection = Connection(client=True)
    connection.receive_data(TextMessage("first").single() + TextMessage("second").single())
    first, second = connection.next_event(), connection.next_event()
    assert (str(first), str(second)) == ("first", "second")


def test_a_received_message_can_be_extended_and_read():
    got = received(TextMessage('{"a": 1').single())
    assert len(got) == 7
    got.extend("}")
    assert json.loads(str(got)) == {"a": 1}

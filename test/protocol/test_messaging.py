"""The vocabulary of messages: what each kind takes, shows and becomes on the wire."""

from __future__ import annotations

import pytest
from rawpeer import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, make_frame, xor

from ws4py.messaging import (
    BinaryMessage,
    CloseControlMessage,
    Message,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
    received_binary,
    received_text,
)

KINDS = [
    (TextMessage, TEXT),
    (BinaryMessage, BINARY),
    (PingControlMessage, PING),
    (PongControlMessage, PONG),
]


# -- content -------------------------------------------------------------------------------


def test_text_is_kept_as_utf8_and_counted_in_characters():
    message = TextMessage("größe ☺")
    assert message.data == "größe ☺".encode()
    assert str(message) == message.__unicode__() == "größe ☺"
    assert len(message) == 7
    assert message.opcode == TEXT
    assert message.encoding == "utf-8"


@pytest.mark.parametrize("text", ["größe", "größe".encode(), bytearray("größe".encode())])
def test_text_is_made_of_str_or_of_its_bytes(text):
    message = TextMessage(text)
    assert type(message.data) is bytes
    assert str(message) == "größe"


@pytest.mark.parametrize("data", [b"\0\xff\xfe", bytearray(b"\0\xff\xfe")])
def test_binary_data_is_kept_as_bytes_and_counted_in_bytes(data):
    message = BinaryMessage(data)
    assert message.data == b"\0\xff\xfe"
    assert type(message.data) is bytes
    assert len(message) == 3
    assert message.opcode == BINARY
    assert message.encoding is None


def test_only_data_messages_are_text_or_binary():
    assert (TextMessage("").is_text, TextMessage("").is_binary) == (True, False)
    assert (BinaryMessage().is_text, BinaryMessage().is_binary) == (False, True)
    for control in (CloseControlMessage(), PingControlMessage(), PongControlMessage()):
        assert (control.is_text, control.is_binary) == (False, False)


def test_a_bytearray_is_copied():
    data = bytearray(b"abc")
    message = BinaryMessage(data)
    data[0] = 0
    assert message.data == b"abc"


@pytest.mark.parametrize("data", [None, 7, ["a"], memoryview(b"abc"), object()])
def test_what_is_neither_str_nor_bytes_is_refused(data):
    for kind in (TextMessage, BinaryMessage):
        with pytest.raises(TypeError, match=f"{kind.__name__} takes str, bytes or bytearray"):
            kind(data)
    with pytest.raises(TypeError):
        TextMessage("").extend(data)


def test_a_binary_message_takes_no_text():
    with pytest.raises(TypeError, match="BinaryMessage takes bytes, not str"):
        BinaryMessage("text")
    with pytest.raises(TypeError, match="not str"):
        BinaryMessage(b"").extend("text")


def test_data_may_be_replaced_and_extended():
    message = TextMessage("one")
    assert str(message) == "one"
    message.data = "two"
    assert (message.data, str(message)) == (b"two", "two")
    message.extend(" thr")
    message.extend(bytearray(b"e"))
    assert str(message) == "two thre"
    message.extend(b"e")
    assert (str(message), len(message)) == ("two three", 9)
    with pytest.raises(TypeError):
        message.data = 3


def test_an_encoding_of_one_s_own_is_used_both_ways():
    message = Message(TEXT, "größe", "latin-1")
    assert message.data == "größe".encode("latin-1")
    assert str(message) == "größe"


def test_text_that_is_no_text_is_an_error_when_it_is_read():
    message = TextMessage(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        str(message)


def test_anything_else_is_shown_as_well_as_can_be():
    assert str(BinaryMessage(b"a\xff\xc3\xb6")) == "a\\xffö"
    assert str(PingControlMessage(b"\xff")) == "\\xff"
    assert str(PongControlMessage(b"p")) == "p"


@pytest.mark.parametrize("kind", [PingControlMessage, PongControlMessage])
def test_a_ping_without_payload_is_empty(kind):
    assert kind().data == kind(None).data == kind("").data == b""
    assert kind("payload").data == b"payload"
    assert len(kind("payload")) == 7


def test_a_message_shows_what_it_is_and_only_the_beginning_of_much():
    assert repr(TextMessage("hello")) == "<TextMessage b'hello'>"
    shown = repr(BinaryMessage(b"x" * 10**6))
    assert shown == f"<BinaryMessage b'{'x' * 30}'… 1000000 bytes>"


# -- close ---------------------------------------------------------------------------------


def test_a_close_message_is_normal_unless_it_says_something_else():
    message = CloseControlMessage()
    assert (message.code, message.reason, message.data) == (1000, "", close_payload(1000))
    assert message.opcode == CLOSE


def test_a_close_message_has_code_and_reason():
    for reason in ("größe", "größe".encode()):
        message = CloseControlMessage(4001, reason)
        assert (message.code, message.reason) == (4001, "größe")
        assert str(message) == message.__unicode__() == "größe"
        assert message.data == close_payload(4001, "größe")


@pytest.mark.parametrize("code", [None, 0])
def test_a_close_message_without_a_code_is_empty(code):
    message = CloseControlMessage(code, None)
    assert (message.code, message.reason, message.data) == (None, "", b"")


def test_a_reason_that_does_not_fit_is_cut_between_characters():
    assert CloseControlMessage(1000, "x" * 124).reason == "x" * 123
    message = CloseControlMessage(1000, "☺" * 42)
    assert message.reason == "☺" * 41
    assert len(message.data) == 125
    assert CloseControlMessage(1000, "xx" + "☺" * 41).reason == "xx" + "☺" * 40


def test_a_reason_of_bytes_that_are_no_text_loses_them():
    assert CloseControlMessage(1000, b"a\xffb").reason == "ab"


# -- frames --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "opcode"), KINDS)
def test_a_message_becomes_one_frame(kind, opcode):
    assert kind(b"payload").single() == make_frame(opcode, b"payload")
    masked = kind(b"payload").single(mask=True)
    assert masked[:2] == bytes([0x80 | opcode, 0x80 | 7])
    assert xor(masked[6:], masked[2:6]) == b"payload"


def test_a_close_message_becomes_a_frame():
    assert CloseControlMessage(1001, "bye").single() == make_frame(
        CLOSE, close_payload(1001, "bye")
    )


def test_each_masked_frame_has_a_key_of_its_own():
    message = TextMessage("")
    assert len({message.single(mask=True)[2:] for _ in range(50)}) == 50


@pytest.mark.parametrize(("first", "last"), [(1, 0), (0, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("kind", "opcode"), KINDS[:2])
def test_a_message_may_be_a_fragment_of_a_longer_one(kind, opcode, first, last):
    expected = make_frame(opcode if first else CONT, b"part", fin=bool(last))
    assert kind(b"part").fragment(first=bool(first), last=bool(last)) == expected
    masked = kind(b"part").fragment(first=bool(first), last=bool(last), mask=True)
    assert masked[0] == expected[0]
    assert xor(masked[6:], masked[2:6]) == b"part"


# -- received ones -------------------------------------------------------------------------


def test_received_messages_are_like_any_other():
    text = received_text("größe".encode(), None)
    assert (type(text), str(text), text.opcode, text.encoding) == (
        TextMessage,
        "größe",
        TEXT,
        "utf-8",
    )
    binary = received_binary(b"\xff")
    assert (type(binary), binary.data, binary.opcode, binary.encoding) == (
        BinaryMessage,
        b"\xff",
        BINARY,
        None,
    )
    assert text.completed
    assert binary.completed
    text.extend("!")
    assert str(text) == "größe!"


def test_text_that_was_decoded_already_is_not_decoded_again():
    decoded = "größe"
    assert str(received_text(decoded.encode(), decoded)) is decoded

"""``Frame``: what programs and tests of ws4py 0.6 do with single frames."""

from __future__ import annotations

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws4py import framing
from ws4py.exc import FrameTooLargeException, ProtocolException
from ws4py.framing import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_CONTINUATION,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    Frame,
)
from ws4py.protocol.wire import encode_frame

KEY = b"\x37\xfa\x21\x3d"
OPCODES = (0x0, 0x1, 0x2, 0x8, 0x9, 0xA)


def parsed(*pieces):
    frame = Frame()
    for piece in pieces:
        frame.parser.send(piece)
    return frame


def test_the_opcodes_of_the_rfc():
    # RFC 6455 section 11.8
    assert (OPCODE_CONTINUATION, OPCODE_TEXT, OPCODE_BINARY) == (0, 1, 2)
    assert (OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG) == (8, 9, 10)
    assert framing.OPCODES == OPCODES


# -- building ------------------------------------------------------------------------------


def test_a_new_frame_is_empty():
    frame = Frame()
    assert (frame.opcode, frame.body, frame.masking_key) == (None, b"", None)
    assert (frame.fin, frame.rsv1, frame.rsv2, frame.rsv3) == (0, 0, 0, 0)
    assert frame.payload_length == 0


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        # The examples of RFC 6455 section 5.7
        (Frame(OPCODE_TEXT, b"Hello", fin=1), "810548656c6c6f"),
        (Frame(OPCODE_TEXT, b"Hello", KEY, fin=1), "818537fa213d7f9f4d5158"),
        (Frame(OPCODE_TEXT, b"Hel"), "010348656c"),
        (Frame(OPCODE_CONTINUATION, b"lo", fin=1), "80026c6f"),
        (Frame(OPCODE_PING, b"Hello", fin=1), "890548656c6c6f"),
        (Frame(OPCODE_PONG, b"Hello", KEY, fin=1), "8a8537fa213d7f9f4d5158"),
        (Frame(OPCODE_BINARY, fin=1, rsv1=1, rsv3=1), "d200"),
        (Frame(OPCODE_CLOSE, rsv2=1), "2800"),
    ],
)
def test_a_frame_is_built(frame, wire):
    assert frame.build() == bytes.fromhex(wire)
    assert type(frame.build()) is bytes


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("key", [None, KEY])
def test_a_built_frame_is_that_of_the_engine(size, key):
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    frame = Frame(OPCODE_BINARY, body, key, fin=1)
    assert frame.build() == encode_frame(OPCODE_BINARY, body, key=key)


def test_the_length_may_be_forged():
    frame = Frame(OPCODE_BINARY, b"abc", fin=1)
    frame.payload_length = 1 << 40
    assert frame.build() == bytes.fromhex("827f0000010000000000") + b"abc"
    frame.payload_length = 1 << 63
    with pytest.raises(FrameTooLargeException):
        frame.build()


@pytest.mark.parametrize("fin", [2, -1])
def test_fin_is_one_bit(fin):
    with pytest.raises(ValueError, match="fin"):
        Frame(OPCODE_TEXT, b"Hello", fin=fin).build()


@pytest.mark.parametrize("opcode", [None, -1, 3, 7, 11, 15, 16])
def test_reserved_opcodes_are_not_built(opcode):
    with pytest.raises(ValueError, match="opcode"):
        Frame(opcode, b"Hello", fin=1).build()


@pytest.mark.parametrize("body", ["Hello", bytearray(b"Hello"), None])
def test_a_body_is_bytes(body):
    with pytest.raises(TypeError, match="body"):
        Frame(OPCODE_TEXT, body)


def test_masking_is_undone_by_itself():
    frame = Frame(masking_key=KEY)
    masked = frame.mask(b"Hello")
    assert (type(masked), masked) == (bytearray, b"\x7f\x9f\x4d\x51\x58")
    assert frame.unmask(masked) == b"Hello"
    assert frame.unmask(b"Hello") == masked


def test_without_a_key_masking_changes_nothing():
    assert Frame().mask(b"Hello") == b"Hello"


def test_wsaccel_may_patch_it(monkeypatch):
    wsaccel = pytest.importorskip("wsaccel")
    import ws4py.streaming

    for target, name in ((Frame, "mask"), (Frame, "unmask")):
        monkeypatch.setattr(target, name, getattr(target, name))
    monkeypatch.setattr(ws4py.streaming, "Utf8Validator", None, raising=False)
    ours = Frame.mask
    wsaccel.patch_ws4py()
    assert Frame.mask is not ours
    frame = Frame(OPCODE_TEXT, b"Hello", KEY, fin=1)
    assert frame.build() == bytes.fromhex("818537fa213d7f9f4d5158")
    assert frame.unmask(b"\x7f\x9f\x4d\x51\x58") == b"Hello"


# -- parsing -------------------------------------------------------------------------------


def test_the_parser_is_a_primed_generator_and_always_the_same():
    frame = Frame()
    assert type(frame.parser) is types.GeneratorType
    assert frame.parser is frame.parser


def test_the_parser_says_how_many_bytes_it_wants():
    frame = Frame()
    wire = Frame(OPCODE_TEXT, bytes(70_000), KEY, fin=1).build()
    assert next(frame.parser) == 1
    assert frame.parser.send(wire[:1]) == 1
    assert (frame.fin, frame.opcode, frame.payload_length) == (1, OPCODE_TEXT, 0)
    assert frame.parser.send(wire[1:2]) == 8
    assert (frame.payload_length, frame.masking_key) == (127, None)
    assert frame.parser.send(wire[2:9]) == 1
    assert frame.payload_length == 127
    assert frame.parser.send(wire[9:10]) == 4
    assert (frame.payload_length, frame.masking_key) == (70_000, None)
    assert frame.parser.send(wire[10:14]) == 70_000
    assert frame.masking_key == KEY
    assert frame.parser.send(wire[14:1014]) == 69_000
    assert frame.parser.send(wire[1014:]) is None
    assert frame.body != bytes(70_000)
    assert frame.unmask(frame.body) == bytes(70_000)


def test_the_length_of_16_bits_shows_when_it_is_whole():
    frame = Frame()
    assert frame.parser.send(b"\x82\x7e\x01") == 1
    assert frame.payload_length == 126
    assert frame.parser.send(b"\x02") == 0x102
    assert frame.payload_length == 0x102


def test_after_the_frame_the_parser_is_at_its_end():
    frame = parsed(b"\x81\x05Hello")
    assert frame.body == b"Hello"
    with pytest.raises(StopIteration):
        next(frame.parser)
    with pytest.raises(StopIteration):
        frame.parser.send(b"more")


def test_what_follows_the_frame_is_dropped():
    frame = parsed(b"\x81\x05Hello\x81\x05World")
    assert frame.body == b"Hello"
    assert frame.payload_length == 5


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_can_be_sent(kind):
    frame = parsed(*[kind(bytes([octet])) for octet in b"\x82\x83\x37\xfa\x21\x3dabc"])
    assert (type(frame.body), frame.body) == (bytes, b"abc")
    assert frame.masking_key == KEY


@pytest.mark.parametrize("text", ["\x81", "a", "€"])
def test_text_is_no_frame(text):
    with pytest.raises(ProtocolException):
        Frame().parser.send(text)


@pytest.mark.parametrize("first", [0x81 | bit for bit in (0x10, 0x20, 0x40)])
def test_reserved_bits_are_refused(first):
    with pytest.raises(ProtocolException, match="reserved bits"):
        parsed(bytes([first]))


@pytest.mark.parametrize("opcode", sorted(set(range(16)) - set(OPCODES)))
def test_reserved_opcodes_are_refused(opcode):
    with pytest.raises(ProtocolException, match="reserved opcode"):
        parsed(bytes([0x80 | opcode]))


@pytest.mark.parametrize("opcode", [OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG])
def test_control_frames_are_whole_and_small(opcode):
    with pytest.raises(ProtocolException, match="fragmented"):
        parsed(bytes([opcode]))
    with pytest.raises(FrameTooLargeException):
        parsed(bytes([0x80 | opcode, 126]))
    assert parsed(bytes([0x80 | opcode, 125]) + bytes(125)).body == bytes(125)


def test_lengths_beyond_63_bits_and_longer_than_needed_are_refused():
    with pytest.raises(FrameTooLargeException):
        parsed(b"\x82\x7f\x80" + bytes(7))
    for head in (b"\x82\x7e\x00\x7d", b"\x82\x7f" + (65535).to_bytes(8, "big")):
        with pytest.raises(ProtocolException, match="shortest form"):
            parsed(head)
    assert Frame().parser.send(b"\x82\x7f\x7f" + b"\xff" * 7) == (1 << 63) - 1


def test_a_parser_can_be_closed():
    frame = Frame()
    frame.parser.close()
    with pytest.raises(StopIteration):
        next(frame.parser)


def test_after_cleaning_up_the_frame_parses_anew():
    frame = Frame()
    frame._cleanup()
    frame.parser.send(b"\x81\x05He")
    frame._cleanup()
    frame.parser.send(b"\x82\x01a")
    assert (frame.opcode, frame.body) == (OPCODE_BINARY, b"a")


@given(
    body=st.binary(max_size=400),
    key=st.one_of(st.none(), st.binary(min_size=4, max_size=4)),
    opcode=st.sampled_from([OPCODE_CONTINUATION, OPCODE_TEXT, OPCODE_BINARY]),
    fin=st.integers(0, 1),
    cut=st.integers(1, 50),
)
def test_what_was_built_is_parsed_however_it_is_cut(body, key, opcode, fin, cut):
    wire = Frame(opcode, body, key, fin).build()
    frame = parsed(*[wire[i : i + cut] for i in range(0, len(wire), cut)])
    assert (frame.opcode, frame.fin, frame.masking_key) == (opcode, fin, key)
    assert frame.unmask(frame.body) == body

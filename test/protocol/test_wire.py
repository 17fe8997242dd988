"""Frames and messages: every rule of RFC 6455 section 5, at every split of the bytes.

Streams are made by ``rawpeer.make_frame``, which shares nothing with the code under test.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import random
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from rawpeer import BINARY, CLOSE, CONT, PING, PONG, TEXT, make_frame, xor
from twins import is_compiled

from ws4py.exc import FrameTooLargeException, ProtocolException, TextFrameEncodingException
from ws4py.protocol import wire
from ws4py.protocol.config import Compression
from ws4py.protocol.deflate import PerMessageDeflate
from ws4py.protocol.wire import Decoder, encode_frame, new_key
from ws4py.syscalls import READ_SIZE, ReadBuffer

KEY = b"\x37\xfa\x21\x3d"

#: Both ends: whether the decoder expects masks (a server), and the key that its peer uses.
SIDES = pytest.mark.parametrize("key", [KEY, b"\0\0\0\0", None], ids=["server", "zero", "client"])


def decoder_for(key, **limits):
    return Decoder(key is not None, **limits)


def messages(decoder, *segments):
    """Everything that the segments make, as ``(opcode, payload)``; text has to be itself."""
    found = []
    for segment in segments:
        decoder.receive(segment)
        while decoder.next_message():
            if decoder.text is not None:
                assert decoder.opcode == TEXT
                assert decoder.text == decoder.payload.decode()
            assert type(decoder.payload) is bytes
            found.append((decoder.opcode, decoder.payload))
    return found


def octets(stream):
    return [stream[i : i + 1] for i in range(len(stream))]


def cuts(stream, generator, most=9):
    """The stream in random pieces of up to ``most`` bytes."""
    pieces = []
    position = 0
    while position < len(stream):
        size = generator.randint(1, most)
        pieces.append(stream[position : position + size])
        position += size
    return pieces


def at_every_split(stream, **arguments):
    """What a stream makes: in one piece, byte by byte, cut in two everywhere and at random."""
    arguments.setdefault("expect_masking", False)
    whole = messages(Decoder(**arguments), stream)
    generator = random.Random(len(stream))
    assert messages(Decoder(**arguments), *octets(stream)) == whole
    for _ in range(10):
        assert messages(Decoder(**arguments), *cuts(stream, generator)) == whole
    if len(stream) < 400:
        for cut in range(1, len(stream)):
            assert messages(Decoder(**arguments), stream[:cut], stream[cut:]) == whole
    return whole


def refused_at(stream, decoder):
    """Feed byte by byte; how many bytes it took to refuse the stream, and with which code."""
    for taken, octet in enumerate(octets(stream), 1):
        try:
            messages(decoder, octet)
        except ProtocolException as exc:
            return taken, exc.code
    return None


def refused(stream, *, expect_masking=False, inflates=False, **limits):
    """The one close code with which a stream is refused, however it is split."""
    codes = set()
    splits = [[stream], octets(stream), cuts(stream, random.Random(1)), [stream[:1], stream[1:]]]
    for split in splits:
        decoder = Decoder(expect_masking, inflater=deflate() if inflates else None, **limits)
        with pytest.raises(ProtocolException) as caught:
            messages(decoder, *split)
        codes.add(caught.value.code)
    (code,) = codes
    return code


class Memory:
    """What Python allocates inside of the block, in bytes: at most, and still at its end."""

    peak = kept = 0

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *exc_info):
        self.kept, self.peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()


def text_of(size):
    return (b"Smile \xe2\x98\xba " * (size // 10 + 1))[: size // 10 * 10].ljust(size, b".")


# -- lengths -------------------------------------------------------------------------------

LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200000]


@SIDES
@pytest.mark.parametrize("size", LENGTHS)
def test_a_message_of_any_length_is_read_back(key, size):
    for opcode, payload in ((BINARY, os.urandom(size)), (TEXT, text_of(size))):
        stream = make_frame(opcode, payload, key=key)
        assert messages(decoder_for(key), stream) == [(opcode, payload)]
        assert messages(decoder_for(key), *cuts(stream, random.Random(size), 5000)) == [
            (opcode, payload)
        ]


@SIDES
@pytest.mark.parametrize("size", LENGTHS)
@pytest.mark.parametrize("opcode", [CONT, TEXT, BINARY])
def test_a_frame_of_any_length_is_written_as_the_rfc_says(key, size, opcode):
    payload = os.urandom(size)
    for fin in (True, False):
        for rsv1 in (True, False):
            expected = make_frame(opcode, payload, fin=fin, rsv=4 if rsv1 else 0, key=key)
            assert encode_frame(opcode, payload, fin, rsv1, key) == expected


@pytest.mark.parametrize("size", [0, 1, 125])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_may_carry_up_to_125_bytes(opcode, size):
    stream = make_frame(opcode, b"x" * size, key=KEY)
    assert at_every_split(stream, expect_masking=True) == [(opcode, b"x" * size)]
    assert encode_frame(opcode, b"x" * size, key=KEY) == stream


@pytest.mark.parametrize("size", [126, 127, 65536])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_longer_control_frame_is_refused_by_its_second_byte(opcode, size):
    stream = make_frame(opcode, b"x" * size)
    assert refused_at(stream, Decoder(False)) == (2, 1002)
    assert refused(stream) == 1002


@SIDES
@pytest.mark.parametrize(
    ("size", "form"), [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)]
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_length_not_in_its_shortest_form_is_refused(key, size, form, opcode):
    stream = make_frame(opcode, b"x" * size, key=key, length_bytes=form)
    assert refused_at(stream, decoder_for(key)) == (2 + form, 1002)
    assert refused(stream, expect_masking=key is not None) == 1002


@pytest.mark.parametrize("length", [2**63, 2**63 + 1, 2**64 - 1, 0xFFFF_FFFF_FFFF_FF80])
@pytest.mark.parametrize("limits", [{}, {"max_size": 1000}])
def test_a_length_with_its_top_bit_set_is_refused_and_never_wraps(length, limits):
    stream = make_frame(BINARY, length=length)
    assert refused_at(stream, Decoder(False, **limits)) == (10, 1002)


@pytest.mark.parametrize("length", [65536, 2**31, 2**32 + 5, 2**62, 2**63 - 1])
def test_a_huge_length_followed_by_silence_costs_nothing(length):
    decoder = Decoder(False)
    with Memory() as memory:
        assert messages(decoder, make_frame(BINARY, b"abc", length=length)) == []
        assert messages(decoder, b"more of it") == []
    assert memory.peak < 20_000


# -- masks ---------------------------------------------------------------------------------

FRAMES = [
    (opcode, payload, fin)
    for opcode, fin in ((TEXT, True), (TEXT, False), (BINARY, True), (CLOSE, True), (PING, True))
    for payload in (b"", b"x", b"y" * 125)
]


@pytest.mark.parametrize(("opcode", "payload", "fin"), FRAMES)
def test_an_unmasked_frame_is_refused_by_a_server(opcode, payload, fin):
    stream = make_frame(opcode, payload, fin=fin)
    assert refused_at(stream, Decoder(True)) == (2, 1002)
    assert refused(stream, expect_masking=True) == 1002


@pytest.mark.parametrize(("opcode", "payload", "fin"), FRAMES)
def test_a_masked_frame_is_refused_by_a_client(opcode, payload, fin):
    stream = make_frame(opcode, payload, fin=fin, key=KEY)
    assert refused_at(stream, Decoder(False)) == (2, 1002)
    assert refused(stream) == 1002


def test_the_wrong_side_is_refused_in_the_middle_of_a_message_too():
    for wrong in (make_frame(CONT, b"b"), make_frame(PING)):
        stream = make_frame(TEXT, b"a", fin=False, key=KEY) + wrong
        assert refused(stream, expect_masking=True) == 1002


def test_each_frame_is_unmasked_with_its_own_key():
    stream = (
        make_frame(TEXT, b"one ", fin=False, key=b"abcd")
        + make_frame(PING, b"between", key=b"\xff\0\xff\0")
        + make_frame(CONT, b"message", key=b"\0\0\0\0")
        + make_frame(BINARY, b"another", key=KEY)
    )
    assert at_every_split(stream, expect_masking=True) == [
        (PING, b"between"),
        (TEXT, b"one message"),
        (BINARY, b"another"),
    ]


def test_masking_is_exclusive_or_with_the_key_that_stands_before_the_payload():
    frame = encode_frame(TEXT, b"Hello", key=KEY)
    assert frame == b"\x81\x85" + KEY + b"\x7f\x9f\x4d\x51\x58"  # RFC 6455 section 5.7
    assert xor(frame[6:], frame[2:6]) == b"Hello"


def test_keys_are_four_bytes_each_and_do_not_repeat():
    keys = [new_key() for _ in range(2000)]
    assert {len(key) for key in keys} == {4}
    assert len(set(keys)) > 1990


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_keys_of_its_own():
    for _ in range(3):
        new_key()  # some are in stock now
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        os.write(writable, b"".join(new_key() for _ in range(50)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(readable, 200)
    os.close(readable)
    os.close(writable)
    assert len(theirs) == 200
    assert {new_key() for _ in range(50)}.isdisjoint(
        theirs[i : i + 4] for i in range(0, len(theirs), 4)
    )


def test_it_works_where_processes_do_not_fork(monkeypatch):
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    # The source by its name: beside it there may be a compiled module.
    source = Path(wire.__file__).with_name("wire.py")
    spec = importlib.util.spec_from_file_location("wire_alone", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.new_key()) == 4


# -- the first byte ------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF])
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("payload", [b"", b"x" * 200])
def test_a_reserved_opcode_is_refused(opcode, fin, payload):
    stream = make_frame(opcode, payload, fin=fin, key=KEY)
    assert refused_at(stream, Decoder(True)) == (2, 1002)
    assert refused(stream, expect_masking=True) == 1002


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_a_reserved_bit_that_nobody_negotiated_is_refused(rsv, opcode):
    stream = make_frame(opcode, b"", rsv=rsv, key=KEY)
    assert refused_at(stream, Decoder(True)) == (2, 1002)
    assert refused(stream, expect_masking=True) == 1002


@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits_on_a_continuation_are_refused(rsv):
    stream = make_frame(TEXT, b"a", fin=False) + make_frame(CONT, b"b", rsv=rsv)
    assert refused(stream) == 1002
    assert refused(stream, inflates=True) == 1002


@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
def test_compression_gives_no_meaning_to_the_other_reserved_bits(rsv):
    stream = make_frame(TEXT, b"a", rsv=rsv)
    assert refused(stream, inflates=True) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_fragmented_control_frame_is_refused(opcode):
    stream = make_frame(opcode, b"", fin=False, key=KEY)
    assert refused_at(stream, Decoder(True)) == (2, 1002)


# -- fragments -----------------------------------------------------------------------------


@SIDES
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_make_one_message(key, opcode):
    parts = [b"a", b"", "ünd".encode(), b"x" * 130, b""]
    stream = make_frame(opcode, parts[0], fin=False, key=key)
    for part in parts[1:-1]:
        stream += make_frame(CONT, part, fin=False, key=key)
    stream += make_frame(CONT, parts[-1], key=key)
    stream += make_frame(opcode, b"next", key=key)
    assert at_every_split(stream, expect_masking=key is not None) == [
        (opcode, b"".join(parts)),
        (opcode, b"next"),
    ]


def test_a_message_of_empty_fragments_is_an_empty_message():
    stream = make_frame(TEXT, fin=False) + make_frame(CONT, fin=False) + make_frame(CONT)
    assert at_every_split(stream) == [(TEXT, b"")]


def test_control_frames_between_fragments_are_delivered_at_once():
    stream = (
        make_frame(BINARY, b"1", fin=False)
        + make_frame(PING, b"p")
        + make_frame(CONT, b"2", fin=False)
        + make_frame(PONG, b"q")
        + make_frame(PING)
        + make_frame(CONT, b"3")
        + make_frame(CLOSE, b"\x03\xe8")
    )
    assert at_every_split(stream) == [
        (PING, b"p"),
        (PONG, b"q"),
        (PING, b""),
        (BINARY, b"123"),
        (CLOSE, b"\x03\xe8"),
    ]


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_is_refused(fin):
    stream = make_frame(CONT, b"lost", fin=fin)
    assert refused_at(stream, Decoder(False)) == (2, 1002)
    after_a_message = make_frame(TEXT, b"a", fin=False) + make_frame(CONT) + stream
    assert refused(after_a_message) == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_new_message_inside_of_a_message_is_refused(opcode, fin):
    start = make_frame(TEXT, b"a", fin=False)
    taken = refused_at(start + make_frame(opcode, b"b", fin=fin), Decoder(False))
    assert taken == (len(start) + 2, 1002)


# -- sizes ---------------------------------------------------------------------------------


@SIDES
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536])
def test_a_message_of_the_limit_passes_and_one_byte_more_is_refused_at_the_header(key, limit):
    assert messages(
        decoder_for(key, max_size=limit), make_frame(BINARY, b"x" * limit, key=key)
    ) == [(BINARY, b"x" * limit)]
    stream = make_frame(BINARY, b"x" * (limit + 1), key=key)
    header = len(stream) - limit - 1 - (4 if key is not None else 0)
    assert refused_at(stream, decoder_for(key, max_size=limit)) == (header, 1009)
    assert refused(stream, expect_masking=key is not None, max_size=limit) == 1009


def test_the_limit_is_for_the_message_not_for_its_frames():
    start = make_frame(TEXT, b"x" * 60, fin=False) + make_frame(CONT, b"x" * 30, fin=False)
    fits = start + make_frame(PING, b"y" * 100) + make_frame(CONT, b"x" * 10)
    assert at_every_split(fits, max_size=100)[1] == (TEXT, b"x" * 100)
    too_large = start + make_frame(CONT, b"x" * 11)
    assert refused_at(too_large, Decoder(False, 100)) == (len(start) + 2, 1009)


def test_the_limit_begins_anew_with_each_message():
    stream = (make_frame(TEXT, b"x" * 60, fin=False) + make_frame(CONT, b"x" * 40)) * 5
    assert len(at_every_split(stream, max_size=100)) == 5


@pytest.mark.parametrize("length", [101, 65536, 2**62, 2**63 - 1])
def test_a_size_is_refused_before_anything_of_it_is_stored(length):
    with pytest.raises(FrameTooLargeException, match="over the limit of 100"):
        messages(Decoder(False, 100), make_frame(BINARY, length=length))


def test_control_frames_do_not_count_against_the_limit():
    stream = make_frame(PING, b"x" * 125) + make_frame(TEXT, b"abc")
    assert at_every_split(stream, max_size=3)[1] == (TEXT, b"abc")


def test_a_large_message_in_small_fragments_passes():
    # Autobahn's cases 9.3 and 9.4: 4 MiB in fragments of 64 bytes.
    size = 4 * 1024 * 1024
    payload = os.urandom(size)
    parts = [payload[i : i + 64] for i in range(0, size, 64)]
    stream = make_frame(BINARY, parts[0], fin=False) + b"".join(
        make_frame(CONT, part, fin=False) for part in parts[1:]
    )
    stream += make_frame(CONT)
    segments = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    assert messages(Decoder(False, 16 * 1024 * 1024), *segments) == [(BINARY, payload)]


@pytest.mark.parametrize(("payload", "most"), [(b"", 4096), (b"x", 4161)])
def test_a_flood_of_tiny_fragments_ends(payload, most):
    decoder = Decoder(False)
    messages(decoder, make_frame(BINARY, payload, fin=False))
    for _ in range(most - 1):
        messages(decoder, make_frame(CONT, payload, fin=False))
    with pytest.raises(FrameTooLargeException, match=f"more than {most} fragments"):
        messages(decoder, make_frame(CONT, payload, fin=False))


def test_the_number_of_fragments_is_limited_by_the_decoder_s_own_setting():
    start = make_frame(TEXT, b"", fin=False)
    full = start + make_frame(CONT, fin=False) * 9
    assert messages(Decoder(False, max_fragments=11), full + make_frame(CONT)) == [(TEXT, b"")]
    assert refused(full + make_frame(CONT), max_fragments=10) == 1009
    # … and begins anew with each message.
    stream = (start + make_frame(CONT, fin=False) * 8 + make_frame(CONT)) * 3
    assert len(messages(Decoder(False, max_fragments=10), stream)) == 3


# -- text ----------------------------------------------------------------------------------

GOOD_TEXT = [
    "κόσμε".encode(),
    "\U0001f600 \ufffd \ufffe\uffff \U0010ffff \0".encode(),
    b"\xef\xbb\xbfwith a byte order mark",
    b"\xed\x9f\xbf\xee\x80\x80",  # on both sides of the surrogates
]

#: Bad text with the number of bytes that tells (Autobahn's cases 6.3 and 6.4 and RFC 3629).
BAD_TEXT = [
    (b"abc\xff", 4),
    (b"\x80", 1),
    (b"\xc0\xaf", 1),  # overlong
    (b"\xc1\xbf", 1),
    (b"\xe0\x9f\xbf", 2),
    (b"\xf0\x8f\xbf\xbf", 2),
    (b"\xed\xa0\x80", 2),  # a surrogate
    (b"\xed\xbf\xbf", 2),
    (b"\xf4\x90\x80\x80", 2),  # behind U+10FFFF
    (b"\xf5\x80\x80\x80", 1),
    (b"\xc3\x28 and so on", 2),
    (b"\xe2\x82\x28", 3),
    (b"\xf0\x9f\x98\x28", 4),
    ("κόσμε".encode() + b"\xed\xa0\x80edited", len("κόσμε".encode()) + 2),
]


@pytest.mark.parametrize("text", GOOD_TEXT)
def test_text_may_be_cut_anywhere_even_inside_of_a_character(text):
    assert at_every_split(make_frame(TEXT, text, key=KEY), expect_masking=True) == [(TEXT, text)]
    for cut in range(len(text) + 1):
        stream = make_frame(TEXT, text[:cut], fin=False) + make_frame(CONT, text[cut:])
        assert messages(Decoder(False), stream) == [(TEXT, text)]
        assert messages(Decoder(False), *octets(stream)) == [(TEXT, text)]


@pytest.mark.parametrize(("text", "telling"), BAD_TEXT)
def test_bad_text_is_refused_with_1007(text, telling):
    assert refused(make_frame(TEXT, text, key=KEY), expect_masking=True) == 1007
    with pytest.raises(TextFrameEncodingException, match="not valid UTF-8"):
        messages(Decoder(False), make_frame(TEXT, text))


@SIDES
@pytest.mark.parametrize(("text", "telling"), BAD_TEXT)
def test_bad_text_is_refused_at_its_first_bad_byte_within_a_frame(key, text, telling):
    stream = make_frame(TEXT, text + b"a" * 50, key=key)
    head = 2 if key is None else 6
    assert refused_at(stream, decoder_for(key)) == (head + telling, 1007)


@pytest.mark.parametrize(("text", "telling"), BAD_TEXT)
def test_bad_text_is_refused_at_its_first_bad_byte_across_fragments(text, telling):
    first = make_frame(TEXT, text[:1], fin=False)
    rest = b"".join(make_frame(CONT, octet, fin=False) for octet in octets(text[1:]))
    taken = refused_at(first + rest + make_frame(CONT), Decoder(False))
    assert taken == (3 * telling, 1007)  # frames of one byte


@pytest.mark.parametrize("text", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"ok \xe2"])
def test_text_that_ends_inside_of_a_character_is_refused(text):
    assert refused(make_frame(TEXT, text, key=KEY), expect_masking=True) == 1007
    fragments = make_frame(TEXT, text, fin=False)
    assert messages(Decoder(False), fragments) == []
    assert refused(fragments + make_frame(CONT)) == 1007
    assert refused(compressed(text), inflates=True) == 1007


def test_binary_data_is_not_text():
    payload = bytes(range(256))
    stream = make_frame(BINARY, payload[:99], fin=False) + make_frame(CONT, payload[99:])
    assert at_every_split(stream) == [(BINARY, payload)]


# -- compressed messages -------------------------------------------------------------------


def deflate(client=True, **parameters):
    return PerMessageDeflate(client=client, compression=Compression(threshold=0), **parameters)


def deflated(payload):
    """By zlib itself, as RFC 7692 section 7.2.1 wants it."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(payload, opcode=TEXT, key=None):
    return make_frame(opcode, deflated(payload), rsv=4, key=key)


@pytest.mark.parametrize("payload", [b"", b"a", text_of(1000), b"x" * 100_000])
def test_a_compressed_message_is_inflated(payload):
    stream = compressed(payload, key=KEY)
    assert messages(Decoder(True, inflater=deflate(client=False)), stream) == [(TEXT, payload)]
    assert messages(Decoder(True, inflater=deflate(client=False)), *octets(stream)) == [
        (TEXT, payload)
    ]


def test_only_the_first_frame_of_a_compressed_message_says_so():
    data = deflated(text_of(300))
    stream = (
        make_frame(TEXT, data[:10], fin=False, rsv=4)
        + make_frame(PING, b"plain")
        + make_frame(CONT, b"", fin=False)
        + make_frame(CONT, data[10:])
        + make_frame(BINARY, b"not compressed")
        + make_frame(TEXT, b"nor ", fin=False)
        + make_frame(CONT, b"this")
    )
    expected = [
        (PING, b"plain"),
        (TEXT, text_of(300)),
        (BINARY, b"not compressed"),
        (TEXT, b"nor this"),
    ]
    assert messages(Decoder(False, inflater=deflate()), stream) == expected
    assert messages(Decoder(False, inflater=deflate()), *octets(stream)) == expected


def test_bad_text_is_found_inside_of_compressed_messages():
    for text in (b"\xff", b"abc\xc3", b"\xed\xa0\x80"):
        assert refused(compressed(text), inflates=True) == 1007


def test_data_that_is_not_deflate_is_refused():
    stream = make_frame(BINARY, b"\xff\xff\xff\xff", rsv=4)
    with pytest.raises(ProtocolException) as caught:
        messages(Decoder(False, inflater=deflate()), stream)
    assert caught.value.code == 1002


@pytest.mark.parametrize("split", [None, 1, 1000])
def test_the_inflated_size_is_bounded_while_inflating(split):
    bomb = deflated(bytes(64 * 1024 * 1024))  # 64 KiB that want to be 64 MiB
    stream = make_frame(BINARY, bomb, rsv=4)
    segments = [stream] if split is None else [stream[:split], stream[split:]]
    decoder = Decoder(False, 100_000, inflater=deflate())
    with Memory() as memory, pytest.raises(FrameTooLargeException):
        messages(decoder, *segments)
    assert memory.peak < 1_000_000


def test_the_limit_is_for_the_inflated_message():
    stream = compressed(b"x" * 1000)
    assert messages(Decoder(False, 1000, inflater=deflate()), stream) == [(TEXT, b"x" * 1000)]
    assert refused(stream, max_size=999, inflates=True) == 1009
    # In fragments, too: what is inflated already counts.
    data = deflated(b"x" * 600)
    half = len(data) // 2
    stream = make_frame(TEXT, data[:half], fin=False, rsv=4) + make_frame(CONT, data[half:])
    assert messages(Decoder(False, 600, inflater=deflate()), stream) == [(TEXT, b"x" * 600)]
    assert refused(stream, max_size=599, inflates=True) == 1009


def test_what_the_end_of_a_message_adds_counts_too():
    # A stored block of 998 bytes and the head of one of four: the tail that a sender leaves out.
    data = struct.pack("<BHH", 0, 998, 998 ^ 0xFFFF) + bytes(998) + b"\0\4\0\xfb\xff"
    stream = make_frame(BINARY, data, rsv=4)
    whole = bytes(998) + b"\0\0\xff\xff"
    assert messages(Decoder(False, 1002, inflater=deflate()), stream) == [(BINARY, whole)]
    assert refused(stream, inflates=True, max_size=1001) == 1009


def test_compressed_data_that_inflates_to_little_may_be_a_little_larger_than_the_limit():
    for size in (1, 1000, 100_000):
        noise = os.urandom(size)  # grows when it is compressed
        stream = compressed(noise, BINARY)
        assert len(stream) > size
        assert messages(Decoder(False, size, inflater=deflate()), stream) == [(BINARY, noise)]


def test_an_absurd_compressed_size_is_refused_at_the_header():
    for start, opcode, rsv in ((b"", BINARY, 4), (make_frame(TEXT, fin=False, rsv=4), CONT, 0)):
        stream = start + make_frame(opcode, length=10**9, rsv=rsv)
        taken = refused_at(stream, Decoder(False, 1_000_000, inflater=deflate()))
        assert taken == (len(start) + 10, 1009)


def test_without_a_limit_anything_inflates():
    stream = compressed(b"x" * 1_000_000)
    decoder = Decoder(False, inflater=deflate())
    assert messages(decoder, stream) == [(TEXT, b"x" * 1_000_000)]


# -- many messages, and what they cost -----------------------------------------------------


def test_many_messages_in_one_segment_come_out_one_by_one():
    payloads = [str(i).encode() for i in range(500)]
    stream = b"".join(make_frame(TEXT, payload, key=KEY) for payload in payloads)
    assert at_every_split(stream, expect_masking=True) == [(TEXT, p) for p in payloads]


def test_whether_received_bytes_wait_is_known():
    decoder = Decoder(False)
    assert not decoder.has_input()
    decoder.receive(make_frame(TEXT, b"a") + make_frame(TEXT, b"b")[:1])
    assert decoder.has_input()
    assert decoder.next_message()
    assert decoder.has_input()
    assert not decoder.next_message()
    assert not decoder.has_input()  # what there is has been looked at, and is too little
    decoder.receive(make_frame(TEXT, b"b")[1:])
    assert decoder.has_input()
    assert decoder.next_message()
    assert (decoder.payload, decoder.has_input()) == (b"b", False)


def test_bytes_may_be_added_before_all_are_decoded():
    decoder = Decoder(False)
    decoder.receive(make_frame(TEXT, b"a") + make_frame(TEXT, b"b"))
    assert decoder.next_message()
    decoder.receive(make_frame(TEXT, b"c"))
    assert messages(decoder, b"") == [(TEXT, b"b"), (TEXT, b"c")]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_taken_and_not_shared_with_whoever_gave_them(kind):
    stream = bytearray(make_frame(TEXT, b"one", key=KEY) + make_frame(BINARY, b"two", key=KEY))
    decoder = Decoder(True)
    found = messages(decoder, kind(stream[:3]), kind(stream[3:20]), kind(stream[20:]))
    stream[:] = bytes(len(stream))
    assert found == [(TEXT, b"one"), (BINARY, b"two")]


def test_what_is_discarded_is_forgotten():
    decoder = Decoder(False)
    messages(decoder, make_frame(TEXT, b"half", fin=False) + make_frame(CONT, b"abc", length=100))
    decoder.receive(make_frame(TEXT, b"more"))
    decoder.discard()
    assert not decoder.has_input()
    assert messages(decoder, b"") == []
    assert messages(decoder, make_frame(TEXT, b"afresh")) == [(TEXT, b"afresh")]


def test_an_idle_decoder_keeps_neither_messages_nor_segments_alive():
    size = 5_000_000
    for rest in (b"", b"\x82", make_frame(BINARY, b"abc", length=70_000)):
        decoder = Decoder(False)
        with Memory() as memory:
            decoder.receive(make_frame(BINARY, bytes(size)) + make_frame(TEXT, b"x" * size) + rest)
            while decoder.next_message():
                pass
        assert memory.kept < 10_000


def test_a_payload_in_tiny_pieces_takes_no_more_memory_than_it_has_bytes():
    size = 200_000
    decoder = Decoder(True)
    messages(decoder, make_frame(BINARY, length=size, key=KEY))
    masked = xor(bytes(size), KEY)
    with Memory() as memory:
        for i in range(0, size - 2, 2):
            decoder.receive(masked[i : i + 2])
            assert not decoder.next_message()
    # As an object of its own, each piece would take more than twenty times its size.
    assert memory.peak < 5 * size
    assert messages(decoder, masked[-2:]) == [(BINARY, bytes(size))]


def seconds_for(segments):
    """Best of three: the processor time to decode, whatever else the machine does."""
    best = float("inf")
    for _ in range(3):
        decoder = Decoder(False)
        start = time.process_time()
        for segment in segments:
            decoder.receive(segment)
            while decoder.next_message():
                pass
        best = min(best, time.process_time() - start)
    return best


def large_frame(size):
    stream = make_frame(BINARY, bytes(size))
    return [stream[i : i + 100] for i in range(0, len(stream), 100)]


def dripped_frame(size):
    return octets(make_frame(TEXT, b"x" * (size // 20)))


def small_fragments(size):
    count = size // 64
    stream = make_frame(BINARY, bytes(64), fin=False)
    stream += make_frame(CONT, bytes(64), fin=False) * count + make_frame(CONT)
    return [stream[i : i + 4096] for i in range(0, len(stream), 4096)]


def small_messages(size):
    stream = make_frame(BINARY, b"abcd") * (size // 60)
    return [stream[i : i + 65536] for i in range(0, len(stream), 65536)]


@pytest.mark.parametrize("stream_of", [large_frame, dripped_frame, small_fragments, small_messages])
def test_four_times_the_bytes_take_about_four_times_the_time(stream_of):
    # Quadratic would be sixteen times; the rest is for a busy machine.
    small, large = stream_of(500_000), stream_of(2_000_000)
    assert seconds_for(large) < 10 * max(seconds_for(small), 0.001)


def test_a_buffer_that_was_lent_may_be_written_over():
    """Compiled, the transport receives into the same bytes again: nothing may still look there."""
    decoder = Decoder(False)
    payload = bytes(range(250)) * 400
    stream = encode_frame(2, payload) + encode_frame(1, b"next") * 3
    for start in range(0, len(stream), 7001):
        part = stream[start : start + 7001]
        lent = bytes(bytearray(part + b"?"))  # as ReadBuffer has it: one byte more than counts
        decoder.receive(lent, len(part))
        found = [decoder.payload] if decoder.next_message() else []
        decoder.keep()
        ctypes.memset(id(lent) + bytes.__basicsize__ - 1, 0x55, len(lent))
        if found:
            break
    assert found == [payload]
    assert decoder.next_message()
    assert decoder.payload == b"next"


def test_the_buffer_of_a_transport_is_never_quite_filled():
    """A slice of all of it would be no copy: it has one byte more than is received at once."""
    buffer = ReadBuffer()
    assert len(buffer.data) in (0, READ_SIZE + 1)


class TestBodies:
    """Large payloads, which are collected where they stay; pure Python collects pieces."""

    def received(self, decoder, stream, how):
        """The messages of a stream whose bytes come in turns as ``how`` says, while it can.

        ``how`` yields sizes: positive ones for ``receive()``, negative ones for ``body()``.
        """
        found = []
        while stream:
            size = next(how)
            body = decoder.body() if size < 0 else None
            if body is None:
                part = stream[: abs(size)]
                decoder.receive(part)
            else:
                filled = decoder.body_size()
                part = stream[: min(-size, len(body) - filled)]
                assert part
                target = id(body) + bytes.__basicsize__ - 1 + filled
                ctypes.memmove(target, part, len(part))  # as recv() does
                decoder.receive_body(body, len(part))
                del body
            stream = stream[len(part) :]
            while decoder.next_message():
                found.append((decoder.opcode, decoder.payload))
        return found

    @SIDES
    @pytest.mark.parametrize("size", [65_535, 65_536, 200_000, (1 << 20) + 3, 5_000_000])
    def test_arrive_in_any_way(self, key, size):
        generator = random.Random(size)
        payload = generator.randbytes(size)
        stream = make_frame(BINARY, payload, key=key) + make_frame(TEXT, b"next", key=key)
        for most in (70_000, 1_000_000, 3_000_000):
            sizes = (generator.choice((1, -1)) * generator.randint(1, most) for _ in range(99_999))
            found = self.received(decoder_for(key), stream, sizes)
            assert found == [(BINARY, payload), (TEXT, b"next")]

    @SIDES
    def test_end_with_the_frame(self, key):
        payload = os.urandom(300_000)
        decoder = decoder_for(key)
        found = self.received(
            decoder, make_frame(BINARY, payload, key=key), iter([9, -250_000] * 9)
        )
        assert found == [(BINARY, payload)]
        assert decoder.body() is None
        assert not decoder.has_input()

    def test_of_the_next_only_the_beginning_is_moved(self):
        """Whoever reads a little behind a large payload receives the next one where it belongs."""
        decoder = Decoder(True)
        payloads = [os.urandom(300_000) for _ in range(4)]
        stream = b"".join(make_frame(BINARY, payload, key=b"abcd") for payload in payloads)
        moved = 0

        def sizes():
            nonlocal moved
            while True:
                if decoder.body() is not None:
                    yield -(1 << 20)
                else:
                    size = decoder.read_size(262_144)
                    moved += size
                    yield size

        assert self.received(decoder, stream, sizes()) == [(BINARY, data) for data in payloads]
        if is_compiled(wire):
            assert moved <= 262_144 + 3 * 17_000
        assert decoder.read_size(262_144) <= 262_144
        assert messages(decoder, make_frame(TEXT, b"small", key=b"abcd")) == [(TEXT, b"small")]
        assert decoder.read_size(262_144) == 262_144

    def test_wait_for_who_asks(self):
        decoder = Decoder(False)
        stream = make_frame(BINARY, bytes(100_000))
        decoder.receive(stream[:20_000])
        assert not decoder.next_message()
        if (body := decoder.body()) is None:
            decoder.receive(stream[20_000:])
        else:
            decoder.receive_body(body, 100_000 - decoder.body_size())
        assert decoder.has_input()
        assert decoder.next_message()
        assert not decoder.has_input()

    def test_are_forgotten_when_everything_is(self):
        """Another thread may fail the connection while this one is about to receive."""
        decoder = Decoder(False)
        decoder.receive(make_frame(BINARY, bytes(100_000))[:20_000])
        assert not decoder.next_message()
        body = decoder.body()
        decoder.discard()
        decoder.receive_body(body or b"", 50_000)
        assert decoder.body() is None
        assert not decoder.has_input()
        assert messages(decoder, make_frame(TEXT, b"new")) == [(TEXT, b"new")]

    def test_text_and_fragments_are_looked_at_as_they_come(self):
        for opcode, fin in ((TEXT, True), (BINARY, False), (TEXT, False)):
            decoder = Decoder(False)
            decoder.receive(make_frame(opcode, bytes(100_000), fin=fin)[:20_000])
            assert not decoder.next_message()
            assert decoder.body() is None

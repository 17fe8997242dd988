"""permessage-deflate: what is negotiated, and what then happens to payloads (RFC 7692)."""

from __future__ import annotations

import random
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws4py.exc import FrameTooLargeException, HandshakeError, ProtocolException
from ws4py.protocol.config import Compression
from ws4py.protocol.deflate import (
    PerMessageDeflate,
    accept_offers,
    accept_response,
    offer,
)
from ws4py.protocol.headers import parse_extensions

TAIL = b"\x00\x00\xff\xff"
LARGEST = Compression(server_max_window_bits=15, client_max_window_bits=15, mem_level=8)


def server_says(value, compression=Compression()):  # noqa: B008
    """The response value to an offer, ``None`` when it is declined."""
    accepted = accept_offers(parse_extensions([value]), compression)
    if accepted is None:
        return None
    response, agreed = accepted
    assert response == agreed.parameters
    return response


def client_takes(value, compression=Compression()):  # noqa: B008
    return accept_response(parse_extensions([value]), compression)


def pair(compression=LARGEST, **agreed):
    """Client and server with the same parameters agreed upon."""
    return (
        PerMessageDeflate(client=True, compression=compression, **agreed),
        PerMessageDeflate(client=False, compression=compression, **agreed),
    )


def receive(end, *pieces, limit=None):
    """One message that comes in ``pieces``."""
    got = b""
    for piece in pieces:
        got += end.decompress(piece, None if limit is None else limit - len(got))
    return got + end.finish(None if limit is None else limit - len(got))


@pytest.fixture
def end():
    """A server that lets the client use all there is."""
    return pair()[1]


# -- the offer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "value"),
    [
        (
            Compression(),
            "permessage-deflate; client_max_window_bits; server_max_window_bits=12, "
            "permessage-deflate; client_max_window_bits",
        ),
        (
            Compression(server_no_context_takeover=True, client_no_context_takeover=True),
            "permessage-deflate; client_max_window_bits; client_no_context_takeover; "
            "server_no_context_takeover; server_max_window_bits=12, "
            "permessage-deflate; client_max_window_bits; client_no_context_takeover",
        ),
        (LARGEST, "permessage-deflate; client_max_window_bits"),
    ],
)
def test_a_client_offers_its_wishes_first_and_then_what_every_server_takes(compression, value):
    assert offer(compression) == value


def test_what_a_client_offers_a_server_accepts_and_the_client_takes_the_answer():
    for compression in (
        Compression(),
        LARGEST,
        Compression(server_no_context_takeover=True, client_no_context_takeover=True),
        Compression(server_max_window_bits=9, client_max_window_bits=10),
    ):
        response, server = accept_offers(parse_extensions([offer(compression)]), Compression())
        client = accept_response(parse_extensions([response]), compression)
        assert client.parameters == server.parameters
        for sender, receiver in ((client, server), (server, client)):
            for _ in range(3):
                assert receive(receiver, sender.compress(b"Hello" * 1000)) == b"Hello" * 1000


# -- a server's answer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        # What Chrome, Firefox and the packages for Python and Node send.
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        # Section 7.1.1
        (
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
        ),
        # Section 7.1.2: as asked for, or less.
        (
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=8",
        ),
        # RFC 6455 section 9.1: quoted values.
        (
            'permessage-deflate; server_max_window_bits="9"; client_max_window_bits="11"',
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11",
        ),
        # The client's order decides among the alternatives that are acceptable.
        (
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "x-webkit-deflate-frame, permessage-deflate; use_magic, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
    ],
)
def test_a_server_accepts_the_first_offer_that_it_can_keep(offered, answer):
    assert server_says(offered) == answer


@pytest.mark.parametrize(
    "offered",
    [
        "permessage-bzip2",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=1e1",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=-9",
        # zlib cannot compress with so small a window.
        "permessage-deflate; server_max_window_bits=8",
    ],
)
def test_a_server_declines_what_is_illegal_unknown_or_beyond_zlib(offered):
    assert server_says(offered) is None


def test_no_offer_no_compression():
    assert accept_offers([], Compression()) is None


def test_a_server_adds_its_own_wishes():
    compression = Compression(
        server_max_window_bits=15,
        client_max_window_bits=9,
        server_no_context_takeover=True,
        client_no_context_takeover=True,
    )
    both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    assert server_says("permessage-deflate; client_max_window_bits", compression) == (
        f"{both}; server_max_window_bits=15; client_max_window_bits=9"
    )
    # Not offered, so the client may not be asked for a smaller window.
    assert server_says("permessage-deflate", compression) == f"{both}; server_max_window_bits=15"


# -- what a client takes for an answer -----------------------------------------------------


def test_no_answer_no_compression():
    assert accept_response([], Compression()) is None
    assert accept_response([], None) is None


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        ("permessage-deflate", (15, 15, False, False)),
        ("permessage-deflate; server_no_context_takeover", (15, 15, True, False)),
        ("permessage-deflate; client_no_context_takeover", (15, 15, False, True)),
        ("permessage-deflate; server_max_window_bits=12", (12, 15, False, False)),
        ("permessage-deflate; server_max_window_bits=8", (8, 15, False, False)),
        ('permessage-deflate; client_max_window_bits="10"', (15, 10, False, False)),
        ("permessage-deflate; client_max_window_bits=8", (15, 8, False, False)),
    ],
)
def test_a_client_takes_what_its_offer_allows(answer, agreed):
    taken = client_takes(answer)
    assert agreed == (
        taken.server_max_window_bits,
        taken.client_max_window_bits,
        taken.server_no_context_takeover,
        taken.client_no_context_takeover,
    )


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("permessage-bzip2", "not offered: permessage-bzip2"),
        ("permessage-deflate, foo", "not offered: foo"),
        ("permessage-deflate, permessage-deflate", "more than once"),
        ("permessage-deflate; unknown", "unknown"),
        ("permessage-deflate; server_no_context_takeover=1", "with a value"),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "twice"),
        ("permessage-deflate; server_max_window_bits", "8 to 15"),
        ("permessage-deflate; server_max_window_bits=16", "8 to 15"),
        ("permessage-deflate; server_max_window_bits=7", "8 to 15"),
        ("permessage-deflate; server_max_window_bits=012", "8 to 15"),
        ("permessage-deflate; client_max_window_bits", "8 to 15"),
        ("permessage-deflate; client_max_window_bits=0", "8 to 15"),
    ],
)
def test_a_client_refuses_what_it_did_not_offer(answer, complaint):
    with pytest.raises(HandshakeError, match=complaint):
        client_takes(answer)


def test_a_client_that_offered_nothing_refuses_everything():
    with pytest.raises(HandshakeError, match="not offered: permessage-deflate"):
        client_takes("permessage-deflate", None)


def test_a_client_that_forgets_its_window_does_so_whatever_the_server_says():
    taken = client_takes("permessage-deflate", Compression(client_no_context_takeover=True))
    assert taken.compress(b"Hello") == taken.compress(b"Hello")


# -- the examples of section 7.2.3 ---------------------------------------------------------


def test_one_block(end):
    # 7.2.3.1, in one frame and in two
    assert receive(end, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    client, server = pair()
    assert client.compress(b"Hello") == bytes.fromhex("f248cdc9c90700")
    assert receive(server, bytes.fromhex("f248cd"), bytes.fromhex("c9c90700")) == b"Hello"


def test_sharing_the_window(end):
    # 7.2.3.2
    assert receive(end, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert receive(end, bytes.fromhex("f200110000")) == b"Hello"


def test_block_without_compression(end):
    # 7.2.3.3
    assert receive(end, bytes.fromhex("000500faff48656c6c6f00")) == b"Hello"


def test_final_block(end):
    # 7.2.3.4
    for _ in range(3):
        assert receive(end, bytes.fromhex("f348cdc9c9070000")) == b"Hello"


def test_two_blocks(end):
    # 7.2.3.5
    assert receive(end, bytes.fromhex("f248050000 00ffffcac9c90700")) == b"Hello"


def test_empty_fragment(end):
    # 7.2.3.6
    assert receive(end, b"\x00") == b""
    assert receive(end, b"\xf2\x48\xcd", b"\xc9\xc9\x07\x00", b"") == b"Hello"


# -- sending -------------------------------------------------------------------------------


def test_an_empty_message_is_one_octet():
    client, server = pair()
    for payload in (b"", b"", b"Hello", b"", b""):
        compressed = client.compress(payload)
        assert payload or compressed == b"\x00"
        assert receive(server, compressed) == payload


def test_fragments_can_be_read_as_they_come_and_may_be_empty():
    client, server = pair()
    for parts in ([b"Hel", b"lo"], [b"", b"Hello", b""], [b"", b""], [b"Hello", b"", b""]):
        *firsts, last = parts
        for part in firsts:
            assert server.decompress(client.compress(part, fin=False), None) == part
        assert receive(server, client.compress(last)) == last


def test_the_window_is_used_unless_that_was_agreed_away():
    payload = random.Random(1).randbytes(200)
    client, server = pair()
    assert len(client.compress(payload)) > 200 > 20 > len(client.compress(payload))
    client, server = pair(client_no_context_takeover=True)
    assert client.compress(payload) == client.compress(payload)
    assert len(server.compress(payload)) > 200 > 20 > len(server.compress(payload))
    client, server = pair(server_no_context_takeover=True)
    assert server.compress(payload) == server.compress(payload)


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("side", ["client", "server"])
def test_nothing_is_sent_that_refers_behind_the_agreed_window(bits, side):
    client, server = pair(**{f"{side}_max_window_bits": bits})
    sender = client if side == "client" else server
    inflater = zlib.decompressobj(-bits)
    block = random.Random(bits).randbytes(1 << (bits - 1))
    for _ in range(5):
        compressed = sender.compress(block + b"Hello" * 100)
        assert inflater.decompress(compressed + TAIL) == block + b"Hello" * 100


def test_our_own_windows_may_be_smaller_than_agreed():
    client, _ = pair(Compression(client_max_window_bits=9))
    inflater = zlib.decompressobj(-9)
    block = random.Random(9).randbytes(2000)
    for _ in range(3):
        assert inflater.decompress(client.compress(block) + TAIL) == block


def test_a_client_limited_to_a_window_of_8_bits_looks_back_at_nothing():
    client, server = pair(client_max_window_bits=8)
    payload = b"abcdefgh" * 1000
    compressed = client.compress(payload)
    assert len(compressed) < len(payload)
    assert receive(server, compressed) == payload
    # Without any window of the past the second message reads the same.
    client.compress(payload)
    fresh = zlib.decompressobj(-9)
    assert fresh.decompress(client.compress(payload) + TAIL) == payload


def test_windows_of_8_bits_are_inflated():
    client, _ = pair(server_max_window_bits=8)
    assert receive(client, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert receive(client, bytes.fromhex("f200110000")) == b"Hello"


def test_level_and_threshold_come_from_the_policy():
    client, _ = pair(Compression(level=0, threshold=77))
    assert client.threshold == 77
    assert b"Hello" in client.compress(b"Hello")


# -- receiving -----------------------------------------------------------------------------


def deflated(*payloads):
    """The payloads of successive messages as a peer with one compressor sends them."""
    compressor = zlib.compressobj(wbits=-15)
    return [(compressor.compress(p) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for p in payloads]


def test_a_peer_that_forgets_its_window_gets_a_fresh_one():
    for side in ("client", "server"):
        client, server = pair(**{f"{side}_no_context_takeover": True})
        receiver = server if side == "client" else client
        first, second = deflated(b"Hello", b"Hello")
        assert receive(receiver, first) == b"Hello"
        with pytest.raises(ProtocolException, match="too far back"):
            receive(receiver, second)


@pytest.mark.parametrize("data", [b"\x06\x00", b"\xff", b"\x00\x05\x00\x05\x00Hello"])
def test_what_is_no_deflate_data_is_a_broken_rule(end, data):
    with pytest.raises(ProtocolException, match="compressed data is broken") as caught:
        receive(end, data)
    assert caught.value.code == 1002


def test_a_reference_behind_the_agreed_window_is_a_broken_rule():
    _, server = pair(client_max_window_bits=9)
    block = random.Random(3).randbytes(3000)
    first, second = deflated(block, block)
    assert receive(server, first) == block
    with pytest.raises(ProtocolException, match="too far back"):
        receive(server, second)


@pytest.mark.parametrize("size", [0, 1, 5, 1000, 32768, 100_000])
def test_a_message_just_within_the_limit_passes_and_one_byte_more_does_not(size):
    client, server = pair()
    compressed = client.compress(bytes(size))
    assert receive(server, compressed, limit=size) == bytes(size)
    client, server = pair()
    compressed = client.compress(bytes(size + 1))
    with pytest.raises(FrameTooLargeException) as caught:
        receive(server, compressed, limit=size)
    assert caught.value.code == 1009


def test_the_limit_counts_over_all_pieces():
    client, server = pair()
    compressed = client.compress(bytes(5000))
    pieces = [compressed[i : i + 1] for i in range(len(compressed))]
    with pytest.raises(FrameTooLargeException):
        receive(server, *pieces, limit=4999)


def test_the_limit_holds_behind_a_final_block():
    final = final_block(b"Hello")
    [bomb] = deflated(bytes(10_000))
    _, server = pair()
    assert receive(server, final + bomb, limit=10_005) == b"Hello" + bytes(10_000)
    _, server = pair()
    with pytest.raises(FrameTooLargeException):
        receive(server, final + bomb, limit=10_004)


@pytest.mark.parametrize("limit", [None, sys.maxsize, 1 << 80])
def test_without_a_limit_all_is_inflated(end, limit):
    [compressed] = deflated(bytes(1 << 20))
    assert receive(end, compressed, limit=limit) == bytes(1 << 20)


def test_a_bomb_costs_no_more_memory_than_the_limit(end):
    [bomb] = deflated(bytes(100 << 20))
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(FrameTooLargeException):
            receive(end, bomb, limit=1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


# Final blocks (section 7.2.3.4)


def final_block(payload, window=b"", bits=15):
    compressor = zlib.compressobj(wbits=-bits, zdict=window)
    return compressor.compress(payload) + compressor.flush()


def test_blocks_behind_a_final_block_may_refer_to_what_was_before_it(end):
    payload = random.Random(4).randbytes(1000)
    assert receive(end, final_block(payload), b"\x00") == payload
    second = final_block(payload, payload)
    assert len(second) < 100
    assert receive(end, second + b"\x00") == payload
    # Within a message too, and then from an ordinary block.
    third = zlib.compressobj(wbits=-15, zdict=payload)
    ordinary = (third.compress(payload) + third.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert receive(end, second + ordinary) == payload * 2


@pytest.mark.parametrize("size", [1, 100, 511, 512, 513, 1500])
def test_the_window_behind_a_final_block_is_as_long_as_agreed(size):
    _, server = pair(client_max_window_bits=9)
    generator = random.Random(5)
    sent = b""
    for _ in range(30):
        payload = generator.randbytes(size)
        sent += payload
        assert receive(server, deflated(payload)[0]) == payload
    # zlib itself leaves the last 262 bytes of a window alone.
    again = sent[-250:]
    assert receive(server, final_block(again, sent[-512:], bits=9) + b"\x00") == again
    assert receive(server, final_block(again, again, bits=9) + b"\x00") == again


def test_a_message_may_end_with_its_final_block(end):
    for _ in range(3):
        assert receive(end, final_block(b"Hello")) == b"Hello"
        assert receive(end, deflated(b"Hello")[0]) == b"Hello"


def test_a_message_of_no_octets_at_all_does_no_harm(end):
    first, second = deflated(b"Hello", b"Hello")
    assert receive(end, first) == b"Hello"
    assert receive(end) == b""
    assert receive(end, b"") == b""
    assert receive(end, second) == b"Hello"


def test_a_flood_of_final_blocks_takes_time_in_proportion(end):
    # Ten bits each: quadratic, this would take minutes.
    assert receive(end, b"\x03\x00" * 100_000 + b"\x00", limit=10) == b""


def test_pieces_may_be_cut_anywhere_around_final_blocks():
    payload = b"Hello"
    message = final_block(payload) * 3 + final_block(b"") + deflated(payload)[0]
    for cut in range(len(message) + 1):
        _, server = pair()
        assert receive(server, message[:cut], message[cut:]) == payload * 4
        assert receive(server, deflated(payload)[0]) == payload


# -- resting -------------------------------------------------------------------------------


def test_a_rest_between_messages_loses_nothing():
    client, server = pair()
    payload = random.Random(6).randbytes(500)
    for _ in range(3):
        assert receive(server, client.compress(payload)) == payload
        server.rest()
    client.rest()
    assert receive(server, client.compress(payload)) == payload


def test_a_rest_in_the_middle_of_a_message_loses_nothing():
    client, server = pair()
    first = client.compress(b"Hel" * 100, fin=False)
    client.rest()
    whole = first + client.compress(b"lo" * 100)
    got = server.decompress(whole[:7], None)
    server.rest()
    assert got + receive(server, whole[7:]) == b"Hel" * 100 + b"lo" * 100


def test_a_rest_gives_memory_back():
    def traced():
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = traced()
        ends = [pair(Compression(), client_max_window_bits=12) for _ in range(20)]
        unused = traced() - before
        for client, server in ends:
            receive(server, client.compress(random.Random(7).randbytes(20_000)))
            receive(client, server.compress(bytes(1000)))
            client.rest()
            server.rest()
        rested = traced() - before
    finally:
        tracemalloc.stop()
    assert unused / 40 < 1024
    assert rested / 40 < 6 * 1024


# -- against others ------------------------------------------------------------------------

MESSAGES = st.lists(
    st.lists(
        st.one_of(
            st.binary(max_size=50),
            st.builds(lambda unit, n: unit * n, st.binary(max_size=20), st.integers(0, 400)),
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=6,
)
AGREED = st.fixed_dictionaries(
    {
        "server_max_window_bits": st.integers(9, 15),
        "client_max_window_bits": st.integers(9, 15),
        "server_no_context_takeover": st.booleans(),
        "client_no_context_takeover": st.booleans(),
    }
)


@settings(deadline=None, max_examples=60)
@given(messages=MESSAGES, agreed=AGREED)
def test_zlib_reads_what_we_send(messages, agreed):
    client, _ = pair(**agreed)
    inflater = None
    for parts in messages:
        if inflater is None or agreed["client_no_context_takeover"]:
            inflater = zlib.decompressobj(-agreed["client_max_window_bits"])
        sent = [client.compress(part, fin=i == len(parts)) for i, part in enumerate(parts, 1)]
        assert inflater.decompress(b"".join(sent) + TAIL) == b"".join(parts)


@settings(deadline=None, max_examples=60)
@given(
    messages=MESSAGES,
    agreed=AGREED,
    ends=st.lists(
        st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH]), min_size=1
    ),
    cut=st.integers(1, 40),
)
def test_we_read_what_zlib_sends(messages, agreed, ends, cut):
    _, server = pair(**agreed)
    bits = agreed["client_max_window_bits"]
    compressor = None
    for number, parts in enumerate(messages):
        payload = b"".join(parts)
        if compressor is None or agreed["client_no_context_takeover"]:
            compressor = zlib.compressobj(wbits=-bits)
        end = ends[number % len(ends)]
        data = compressor.compress(payload) + compressor.flush(end)
        if end == zlib.Z_FINISH:
            data += b"\x00"
            compressor = None
        else:
            data = data.removesuffix(TAIL)
        pieces = [data[i : i + cut] for i in range(0, len(data), cut)]
        assert receive(server, *pieces, limit=len(payload)) == payload


@settings(deadline=None, max_examples=200)
@given(pieces=st.lists(st.binary(max_size=40)), limit=st.integers(0, 2000))
def test_rubbish_is_refused_or_stays_within_the_limit(pieces, limit):
    _, server = pair()
    try:
        got = receive(server, *pieces, limit=limit)
    except ProtocolException:
        return
    assert len(got) <= limit


@settings(deadline=None, max_examples=40)
@given(messages=MESSAGES, agreed=AGREED)
def test_websockets_understands_us_and_we_understand_it(messages, agreed):
    theirs = pytest.importorskip("websockets.extensions.permessage_deflate")
    frames = pytest.importorskip("websockets.frames")
    _, ours = pair(**agreed)
    peer = theirs.PerMessageDeflate(
        remote_no_context_takeover=agreed["server_no_context_takeover"],
        local_no_context_takeover=agreed["client_no_context_takeover"],
        remote_max_window_bits=agreed["server_max_window_bits"],
        local_max_window_bits=agreed["client_max_window_bits"],
    )
    for parts in messages:
        opcodes = [frames.Opcode.BINARY] + [frames.Opcode.CONT] * (len(parts) - 1)
        fins = [False] * (len(parts) - 1) + [True]
        sent = [
            peer.encode(frames.Frame(opcode, part, fin)).data
            for opcode, part, fin in zip(opcodes, parts, fins)
        ]
        assert receive(ours, *sent) == b"".join(parts)
        for i, (opcode, part, fin) in enumerate(zip(opcodes, parts, fins)):
            compressed = ours.compress(part, fin=fin)
            frame = frames.Frame(opcode, compressed, fin, rsv1=i == 0)
            assert peer.decode(frame, max_size=None).data == part


@pytest.mark.parametrize(
    "compression", [Compression(), LARGEST, Compression(server_no_context_takeover=True)]
)
def test_websockets_accepts_our_offer_and_we_accept_its(compression):
    theirs = pytest.importorskip("websockets.extensions.permessage_deflate")
    factory = theirs.ServerPerMessageDeflateFactory()
    for _, parameters in parse_extensions([offer(compression)])[:1]:
        answer, _ = factory.process_request_params(parameters, [])
        taken = accept_response([("permessage-deflate", answer)], compression)
        assert taken.server_max_window_bits <= compression.server_max_window_bits
        assert taken.server_no_context_takeover >= compression.server_no_context_takeover
    client = theirs.ClientPerMessageDeflateFactory()
    response, _ = accept_offers([("permessage-deflate", client.get_request_params())], compression)
    client.process_response_params(parse_extensions([response])[0][1], [])

"""Compiled against pure: the same bytes give the same messages, errors and answers.

The left side is what is imported, the right side its pure twin (``test/support/twins.py``). Where
nothing is compiled there is nothing to compare. A difference is reported with its seed::

    SEED=1234 python -m pytest test/protocol/test_differential.py -k one_seed
"""

from __future__ import annotations

import itertools
import os
import random
import zlib
from types import ModuleType

import pytest
import streams
from fakeclock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import is_compiled, twin

from ws4py import messaging, streaming
from ws4py.exc import FrameTooLargeException, ProtocolException
from ws4py.protocol import connection, deflate, mask, wire
from ws4py.protocol.config import Compression, Config

#: Random streams through a decoder, and random lives of a connection; in so many tests each.
STREAMS, LIVES, PARTS = 100_000, 20_000, 10

REAL = [mask, wire, messaging, deflate, connection, streaming]
PURE = [twin(module.__name__) for module in REAL]

compiled_only = pytest.mark.skipif(
    not any(map(is_compiled, REAL)), reason="nothing is compiled: there is nothing to compare"
)
patient = pytest.mark.timeout(600)  # a loaded machine is no difference


def described(error: BaseException | None) -> object:
    return error and (type(error).__name__, getattr(error, "code", None), str(error))


# -- decoding ------------------------------------------------------------------------------


class Doubler:
    """Stands in for deflate where the limits matter: every byte comes out twice."""

    def __init__(self, log: list[object]) -> None:
        self.log = log

    def decompress(self, data: bytes, limit: int | None) -> bytes:
        self.log.append((data, limit))
        if b"\xee" in data:
            raise ProtocolException("not what this compresses to")
        if limit is not None and 2 * len(data) > limit:
            raise FrameTooLargeException("over the limit")
        return bytes(octet for octet in data for _ in "12")

    def finish(self, limit: int | None) -> bytes:
        self.log.append(limit)
        return b""


def inflater_of(kind: str, client: bool, log: list[object], deflate: ModuleType) -> object:
    if kind == "plain":
        return None
    if kind == "doubler":
        return Doubler(log)
    return deflate.PerMessageDeflate(client=client, compression=COMPRESSION)


COMPRESSION = Compression(threshold=0, level=1, mem_level=1)


def decoded(modules: list[ModuleType], parts, options) -> list[object]:
    """All that a decoder tells about a stream, up to its first complaint."""
    _, wire, _, deflate, *_ = modules
    expect_masking, limit, fragments, kind = options
    seen: list[object] = []
    decoder = wire.Decoder(
        expect_masking,
        wire.NO_LIMIT if limit is None else limit,
        fragments,
        inflater_of(kind, not expect_masking, seen, deflate),
    )
    try:
        for part in parts:
            decoder.receive(part)
            while decoder.next_message():
                seen.append((decoder.opcode, type(decoder.payload), decoder.payload, decoder.text))
            seen.append((decoder.payload, decoder.text))
    except Exception as exc:
        seen.append(described(exc))
        decoder.discard()
        seen.append((decoder.payload, decoder.text))
    return seen


def stream_of(seed: int):
    """(parts of a stream, options of its decoder) for a seed."""
    rng = random.Random(seed)
    kind = rng.choice(("plain", "plain", "doubler", "deflate"))
    masks = rng.random() < 0.5
    errs = rng.choice((0, 0.05, 0.3))
    peer = streams.Peer(rng, masks=masks, deflates=kind != "plain", errs=errs)
    data = peer.stream(rng.choice((1, 2, 3, 3, 8)))
    limit = rng.choice(streams.LIMITS)
    return streams.pieces(data, rng), (masks, limit, rng.choice((1, 3, 4096)), kind)


def compare_stream(parts, options, hint: object) -> None:
    ours, theirs = decoded(REAL, parts, options), decoded(PURE, parts, options)
    assert ours == theirs, f"{hint}: {options}, {[part.hex() for part in parts]}"


@compiled_only
@patient
@pytest.mark.parametrize("part", range(PARTS))
def test_random_streams_are_decoded_alike(part):
    for seed in range(part * STREAMS // PARTS, (part + 1) * STREAMS // PARTS):
        compare_stream(*stream_of(seed), seed)


def test_random_streams_are_of_every_kind():
    # What the test above is worth depends on what it is fed.
    seen: set[object] = set()
    for seed in range(2000):
        trace = [each for each in decoded(PURE, *stream_of(seed)) if isinstance(each, tuple)]
        seen.update(each[1] for each in trace if isinstance(each[0], str))  # close codes
        seen.update(f"opcode {each[0]}" for each in trace if len(each) == 4)
        seen.add("no error" if len(trace) < 2 or not isinstance(trace[-2][0], str) else "error")
    assert seen >= {1002, 1007, 1009, "no error", *(f"opcode {i}" for i in (1, 2, 8, 9, 10))}


def test_a_difference_would_be_seen(monkeypatch):
    # The twin against a twin that lets one rule pass: the comparison has to notice.
    broken = type("Lax", (PURE[1].Decoder,), {"_check_header": lambda *args: None})
    lax = ModuleType("lax")
    lax.__dict__.update(PURE[1].__dict__, Decoder=broken)
    modules = [PURE[0], lax, *PURE[2:]]
    assert any(
        decoded(PURE, *stream) != decoded(modules, *stream)
        for stream in map(stream_of, range(1000))
    )


RAW = st.builds(
    streams.frame,
    first=st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0xC1, 0xC2, 0x41])
    | st.integers(0, 255),
    payload=st.binary(max_size=140) | st.text(max_size=60).map(str.encode),
    key=st.none() | st.binary(min_size=4, max_size=4),
    claim=st.none() | st.none() | st.sampled_from(streams.CLAIMS),
    form=st.sampled_from([0, 0, 0, 2, 8]),
)


@compiled_only
@patient
@settings(deadline=None, max_examples=1000)
@given(
    frames=st.lists(RAW | st.binary(max_size=20), max_size=6),
    cuts=st.lists(st.integers(0, 900), max_size=6),
    masks=st.booleans(),
    limit=st.sampled_from(streams.LIMITS),
    fragments=st.sampled_from([1, 2, 4096]),
    kind=st.sampled_from(["plain", "doubler", "deflate"]),
)
def test_streams_that_hypothesis_thinks_of_are_decoded_alike(
    frames, cuts, masks, limit, fragments, kind
):
    data = b"".join(frames)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    parts = [data[i:j] for i, j in itertools.pairwise(edges)]
    compare_stream(parts, (masks, limit, fragments, kind), "hypothesis")


# -- the life of a connection --------------------------------------------------------------

CONFIGS = [
    Config(),
    Config(max_message_size=None, ping_interval=None, close_timeout=None),
    Config(max_message_size=300, max_fragments=3, ping_interval=5, ping_timeout=None),
    Config(max_message_size=1000, ping_interval=1, ping_timeout=2, close_timeout=1),
]
KEYS = [bytes((i, 7 * i & 255, 255 - i, 1)) for i in range(256)]
CODES = (None, 1000, 1001, 1003, 1005, 1006, 1011, 3000, 4999, 5000, 0)
REASONS = ("", "bye", "é" * 61, "é" * 70, "x" * 123, "x" * 124)


REPORT = (
    *("received", "sent", "began_by", "error", "bytes_in", "bytes_out", "messages_in"),
    *("messages_out", "last_pong_age", "clean", "code", "reason"),
)


class Life:
    """One connection and what a driver and an application do with it, one step after another."""

    def __init__(
        self,
        modules: list[ModuleType],
        client: bool,
        config: Config,
        kind: str,
        as_stream: bool,
    ) -> None:
        _, wire, _, deflate, connection, streaming = modules
        wire._keys[:] = KEYS * 2  # the same keys for both sides
        self.clock = FakeClock()
        self.trace: list[object] = []
        extension = inflater_of(kind, client, [], deflate)
        if as_stream:  # which is what a WebSocket has
            self.connection = streaming.Stream(client, not client)
            self.connection.clock = self.clock
            self.connection.setup(config, extension)
        else:
            self.connection = connection.Connection(
                client=client, config=config, clock=self.clock, deflate=extension
            )
        self.open: list[object] = []

    def run(self, steps) -> list[object]:
        for verb, *args in steps:
            try:
                result = getattr(self, verb)(*args)
            except Exception as exc:
                result = described(exc)
            self.trace.append((verb, result, *self.facts()))
        return self.trace

    def facts(self):
        c = self.connection
        info = c.close_info
        return (
            *(c.state.name, c.want_eof, c.want_abort, c.deadline, c.buffered, c.unsent, c.latency),
            *(c.bytes_in, c.bytes_out, c.messages_in, c.messages_out, c.began_by, c.input_pending),
            described(c.error),
            info and [str(getattr(info, name)) for name in REPORT],
        )

    # What can happen

    def receive(self, parts):
        events = []
        for part in parts:
            self.connection.receive_data(part)
            while (event := self.connection.next_event()) is not None:
                events.append((type(event).__name__, event.opcode, event.data, event.completed))
                if not event.is_binary:
                    events.append(str(event))
                if event.opcode == 8:
                    events.append((event.code, event.reason))
        return events

    def eof(self, error):
        self.connection.receive_eof(error)

    def later(self, seconds):
        self.clock.advance(seconds)
        self.connection.tick()

    def write(self):
        data = self.connection.data_to_send()
        return type(data), data

    def jam(self, left):
        self.connection.unsent = left

    def send(self, payload, binary, compress):
        self.connection.send_message(payload, binary=binary, compress=compress)

    def begin(self, binary, compress):
        self.open.append(self.connection.fragmented(binary=binary, compress=compress))

    def fragment(self, which, payload, fin):
        if self.open:
            message = self.open[which % len(self.open)]
            message.send(payload, fin)
            return message.started
        return None

    def ping(self, data):
        self.connection.send_ping(data)

    def pong(self, data):
        self.connection.send_pong(data)

    def close(self, code, reason):
        self.connection.send_close(code, reason)

    def fail(self, code, reason):
        self.connection.fail(code, reason, ProtocolException("failed"))

    def overflow(self, policy):
        return self.connection.overflow(policy)

    def alive(self):
        self.connection.sign_of_life()

    def policy(self, config):
        self.connection.keep_alive(config)

    def preface(self, data):
        self.connection.preface(data)

    def masking(self, on):
        self.connection.always_mask = on


def life_of(seed: int):
    """(steps, client, config, kind of compression, as a Stream) for a seed."""
    rng = random.Random(seed)
    client = rng.random() < 0.5
    kind = rng.choice(("plain", "plain", "deflate"))
    errs = rng.choice((0, 0, 0.05))
    peer = streams.Peer(rng, masks=not client, deflates=kind == "deflate", errs=errs)
    verbs = rng.choices(list(STEPS), weights=WEIGHTS, k=rng.randint(2, 14))
    steps = [(verb, *STEPS[verb](rng, peer)) for verb in verbs]
    return [*steps, ("write",)], client, rng.choice(CONFIGS), kind, rng.random() < 0.3


def small(rng: random.Random) -> bytes:
    return rng.choice(streams.TEXTS) * rng.choice((1, 1, 3, 50))


def wish(rng: random.Random) -> bool | None:
    return rng.choice((None, None, True, False))


STEPS = {
    "receive": lambda rng, peer: (streams.pieces(peer.stream(rng.choice((1, 2, 4))), rng),),
    "write": lambda rng, peer: (),
    "send": lambda rng, peer: (small(rng), rng.random() < 0.5, wish(rng)),
    "begin": lambda rng, peer: (rng.random() < 0.5, wish(rng)),
    "fragment": lambda rng, peer: (rng.randrange(3), small(rng), rng.random() < 0.3),
    "later": lambda rng, peer: (rng.choice((0, 0.5, 1, 2, 5, 20, 40)),),
    "ping": lambda rng, peer: (rng.randbytes(rng.choice((0, 4, 125, 126))),),
    "pong": lambda rng, peer: (rng.randbytes(rng.choice((0, 4, 125, 126))),),
    "jam": lambda rng, peer: (rng.choice((0, 0, 1, 5000)),),
    "close": lambda rng, peer: (rng.choice(CODES), rng.choice(REASONS)),
    "eof": lambda rng, peer: (rng.choice((None, OSError(104, "reset"))),),
    "fail": lambda rng, peer: (rng.choice((1002, 1009, 1011)), rng.choice(REASONS)),
    "overflow": lambda rng, peer: (rng.choice(("block", "drop", "close")),),
    "alive": lambda rng, peer: (),
    "policy": lambda rng, peer: (rng.choice(CONFIGS),),
    "preface": lambda rng, peer: (b"HTTP/1.1 101 Switching Protocols\r\n\r\n",),
    "masking": lambda rng, peer: (rng.random() < 0.5,),
}
WEIGHTS = (30, 14, 12, 7, 14, 10, 3, 2, 4, 2, 1, 1, 1, 2, 2, 1, 1)


@pytest.fixture
def known_bytes(monkeypatch):
    """The random bytes of keepalive pings and of masking keys are known, for the moment."""
    monkeypatch.setattr(os, "urandom", lambda size: bytes(range(size % 256)))
    yield
    wire._keys.clear()


@compiled_only
@patient
@pytest.mark.usefixtures("known_bytes")
@pytest.mark.parametrize("part", range(PARTS))
def test_random_lives_of_a_connection_are_alike(part):
    for seed in range(part * LIVES // PARTS, (part + 1) * LIVES // PARTS):
        compare_life(seed)


def compare_life(seed: int) -> None:
    steps, *options = life_of(seed)
    ours, theirs = Life(REAL, *options).run(steps), Life(PURE, *options).run(steps)
    for step, (one, other) in enumerate(zip(ours, theirs)):
        assert one == other, f"{seed}, step {step} of {options}: {steps[: step + 1]}"


@compiled_only
@pytest.mark.usefixtures("known_bytes")
@pytest.mark.skipif("SEED" not in os.environ, reason="for one seed, which is in $SEED")
def test_one_seed():
    seed = int(os.environ["SEED"])
    compare_stream(*stream_of(seed), seed)
    compare_life(seed)


# -- the other way -------------------------------------------------------------------------


@compiled_only
@patient
def test_frames_are_encoded_alike():
    rng = random.Random(6455)
    for size in [*streams.SIZES, *streams.LONG_SIZES] * 20:
        opcode, payload = rng.randrange(16), rng.randbytes(size)
        fin, rsv1 = rng.random() < 0.5, rng.random() < 0.5
        key = rng.choice((None, b"\0\0\0\0", rng.randbytes(4)))
        ours = wire.encode_frame(opcode, payload, fin, rsv1, key)
        assert type(ours) is bytes
        assert ours == PURE[1].encode_frame(opcode, payload, fin, rsv1, key), (opcode, size, key)


@compiled_only
@patient
def test_masking_is_alike_at_every_size_and_place():
    rng = random.Random(6455)
    pure = PURE[0]
    for size in [*range(300), 383, 384, 385, *streams.LONG_SIZES]:
        data, key = rng.randbytes(size), rng.randbytes(4)
        for kind in (bytes, bytearray, memoryview):
            assert mask.mask(kind(data), key) == pure.mask(kind(data), key)
        start = rng.randrange(4, 20)
        buffer = rng.randbytes(start) + data + b"behind"
        assert mask.unmask(buffer, start, start + size) == pure.unmask(buffer, start, start + size)
        assert mask.rotate(key, size) == pure.rotate(key, size)


ARGUMENTS = [
    *(
        (value,)
        for value in (b"", b"x", "é", bytearray(b"y"), "x" * 70000, None, 5, memoryview(b"z"))
    ),
    *((code, reason) for code in CODES for reason in (*REASONS, b"\xff", None)),
    ("a", "b", "c"),
    (),
]


def told(make, args) -> object:
    """What a message says about itself, or why there is none."""
    try:
        message = make(*args)
        message.extend(b"more")
        frames = message.single(), message.fragment(first=True), message.fragment(last=True)
        return repr(message), str(message), len(message), message.data, frames
    except Exception as exc:
        # The words of a TypeError about the number of arguments are the compiler's.
        return type(exc).__name__


@compiled_only
@pytest.mark.parametrize("name", sorted(set(messaging.__all__) - {"Message"}))
def test_messages_are_made_alike(name):
    for args in ARGUMENTS:
        ours = told(getattr(messaging, name), args)
        assert ours == told(getattr(PURE[2], name), args), args


def test_the_compressor_of_the_streams_compresses():
    peer = streams.Peer(random.Random(1), masks=True, deflates=True, errs=0)
    inflated = zlib.decompressobj(-15).decompress(peer.compressed(b"again " * 50) + streams.TAIL)
    assert inflated == b"again " * 50

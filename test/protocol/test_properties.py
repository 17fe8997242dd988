"""What holds for every conversation: hypothesis looks for one that breaks it."""

from __future__ import annotations

import random

from fakeclock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st
from pair import Pair
from rawpeer import make_frame

from ws4py.exc import ProtocolException
from ws4py.protocol.config import Compression, Config
from ws4py.protocol.connection import Connection, State, is_valid_close_code
from ws4py.protocol.deflate import PerMessageDeflate
from ws4py.protocol.wire import Decoder

# On a shared machine an example may take any time.
USUAL = settings(deadline=None, max_examples=150)
THOROUGH = settings(deadline=None, max_examples=400)

TEXTS = st.text(max_size=60) | st.text(min_size=100, max_size=400)
PAYLOADS = st.tuples(st.just(False), TEXTS.map(str.encode)) | st.tuples(
    st.just(True), st.binary(max_size=300)
)
#: From which end, what, in how many fragments; and whether the network moves afterwards.
STEPS = st.lists(
    st.tuples(st.sampled_from(["client", "server"]), PAYLOADS, st.integers(0, 4), st.booleans()),
    max_size=12,
)
COMPRESSION = st.sampled_from(
    [None, Compression(threshold=0), Compression(threshold=64, level=1, mem_level=1)]
)


def splitter(generator):
    """Reads of any size, as a network makes them."""

    def split(data):
        most = generator.choice([1, 2, 7, 100, 10**6])
        position = 0
        while position < len(data):
            size = generator.randint(1, most)
            yield data[position : position + size]
            position += size

    return split


def in_fragments(payload, count, generator):
    cuts = sorted(generator.randint(0, len(payload)) for _ in range(count - 1))
    return [payload[i:j] for i, j in zip([0, *cuts], [*cuts, len(payload)])]


@USUAL
@given(steps=STEPS, compression=COMPRESSION, seed=st.integers(0, 2**32), close=st.booleans())
def test_every_message_arrives_whole_and_in_order(steps, compression, seed, close):
    generator = random.Random(seed)
    pair = Pair(FakeClock(), compression=compression, split=splitter(generator))
    expected = {"client": [], "server": []}
    for sender, (binary, payload), fragments, move in steps:
        connection = getattr(pair, sender).connection
        expected["server" if sender == "client" else "client"].append((binary, payload))
        if fragments:
            message = connection.fragmented(binary=binary)
            parts = in_fragments(payload, fragments, generator)
            for i, part in enumerate(parts, 1):
                message.send(part, i == len(parts))
                if generator.random() < 0.2:
                    connection.send_ping(part[:125])
        else:
            connection.send_message(payload, binary=binary)
        if move:
            pair.pump()
    pair.pump()
    if close:
        pair.client.connection.send_close(1000, "done")
        pair.pump()
        assert pair.client.info.clean
        assert pair.server.info.clean
    for end in ("client", "server"):
        assert getattr(pair, end).payloads == expected[end]
        assert getattr(pair, end).connection.error is None
        assert getattr(pair, end).connection.buffered == 0


#: Things that are nearly frames: a good head with a bad body, a good frame with one odd bit.
FRAMES = st.builds(
    lambda opcode, payload, fin, rsv, key, length, form: make_frame(
        opcode,
        payload,
        fin=fin,
        rsv=rsv,
        key=key,
        length=length if length is not None and (form or length < 126) else None,
        length_bytes=form if form or len(payload) < 126 else None,
    ),
    opcode=st.sampled_from([0, 1, 1, 2, 2, 8, 9, 10]) | st.integers(0, 15),
    payload=st.binary(max_size=130) | TEXTS.map(str.encode),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4]) | st.integers(0, 7),
    key=st.none() | st.binary(min_size=4, max_size=4),
    length=st.none() | st.integers(0, 65535),
    form=st.sampled_from([None, None, 2, 8]),
)
STREAMS = st.lists(FRAMES | st.binary(max_size=40), max_size=8).map(b"".join)


def deflate_for(client, compression):
    return compression and PerMessageDeflate(client=client, compression=compression)


@given(stream=STREAMS, client=st.booleans(), compression=COMPRESSION, seed=st.integers(0, 99))
@THOROUGH
def test_garbage_never_raises_and_ends_legally_or_waits_for_more(stream, client, compression, seed):
    connection = Connection(
        client=client,
        config=Config(max_message_size=1000, max_fragments=5),
        clock=FakeClock(),
        deflate=deflate_for(client, compression),
    )
    output = b""
    for piece in splitter(random.Random(seed))(stream):
        connection.receive_data(piece)
        while connection.next_event() is not None:
            pass
        output += connection.data_to_send()
    if connection.state is not State.OPEN:
        assert connection.deadline is not None
        connection.receive_eof()
        info = connection.close_info
        assert info.sent is not None
        assert is_valid_close_code(info.sent[0]) or info.sent[0] == 1005
        assert info.code in (1005, 1006) or is_valid_close_code(info.code)
        assert (connection.error is None) == info.clean
    else:
        assert connection.error is None
        connection.send_message(b"still there")
        assert connection.data_to_send()


def outcome(stream, split, masked, compression):
    """Everything that a decoder makes of a stream, to the end or to the error."""
    decoder = Decoder(masked, 1000, 5, deflate_for(not masked, compression))
    found = []
    try:
        for piece in split(stream):
            decoder.receive(piece)
            while decoder.next_message():
                found.append((decoder.opcode, decoder.payload))
    except ProtocolException as exc:
        found.append(exc.code)
    return found


@given(stream=STREAMS, masked=st.booleans(), compression=COMPRESSION, seed=st.integers(0, 99))
@THOROUGH
def test_how_the_network_cuts_a_stream_changes_nothing(stream, masked, compression, seed):
    whole = outcome(stream, lambda data: [data], masked, compression)
    cut = outcome(stream, splitter(random.Random(seed)), masked, compression)
    # A message may break several rules at once, and it depends on the cut which is met first.
    if whole and isinstance(whole[-1], int):
        assert isinstance(cut[-1], int)
        assert cut[:-1] == whole[:-1]
    else:
        assert cut == whole


@USUAL
@given(
    steps=st.lists(
        st.sampled_from(["client message", "server message", "client close", "server close"])
        | st.floats(0.1, 30),
        max_size=20,
    ),
    deaf=st.sampled_from([None, "client", "server"]),
)
def test_every_connection_that_closes_ends_within_its_deadlines(steps, deaf):
    clock = FakeClock()
    pair = Pair(clock)
    if deaf:
        getattr(pair, deaf).reads = False
    for step in steps:
        if isinstance(step, float):
            pair.pass_time(step)
            continue
        end, _, verb = step.partition(" ")
        connection = getattr(pair, end).connection
        if verb == "close":
            connection.send_close()
        elif connection.state is State.OPEN:
            connection.send_message(b"x")
        pair.pump()
    pair.client.connection.send_close()
    pair.pump()
    pair.pass_time(60)
    for end in (pair.client, pair.server):
        assert end.hung_up
        assert end.connection.state is State.CLOSED
        assert end.info is end.info

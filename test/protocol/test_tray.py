"""Frames of several connections on the one tray of the process: each gets its own, in order."""

from __future__ import annotations

import random

import pytest
from rawpeer import BINARY, TEXT, make_frame

from ws4py.protocol.config import Config
from ws4py.protocol.connection import Connection, PreparedMessage

#: What the tray holds.
SIZE = 65536


def connection():
    return Connection(client=False, config=Config(compression=None))


def all_of(stream):
    """What ``stream`` gives to be written, until nothing comes."""
    return b"".join(iter(stream.data_to_send, b""))


def test_what_is_sent_together_leaves_together():
    stream = connection()
    stream.send_message(b"one", True)
    stream.send_message(b"two", True)
    assert stream.queued() == 10
    assert stream.data_to_send() == make_frame(BINARY, b"one") + make_frame(BINARY, b"two")
    assert (stream.queued(), stream.data_to_send()) == (0, b"")


def test_connections_that_take_turns_get_each_its_own():
    streams = [connection() for _ in range(3)]
    for number in range(50):
        for index, stream in enumerate(streams):
            stream.send_message(f"{index}:{number}".encode())
    for index, stream in enumerate(streams):
        assert all_of(stream) == b"".join(
            make_frame(TEXT, f"{index}:{number}".encode()) for number in range(50)
        )


def test_more_than_fits_is_in_order():
    stream = connection()
    payloads = [bytes([number % 256]) * 4000 for number in range(3 * SIZE // 4000)]
    for payload in payloads:
        stream.send_message(payload, True)
    assert all_of(stream) == b"".join(make_frame(BINARY, payload) for payload in payloads)


def test_one_that_is_gone_loses_nothing_of_the_others():
    gone, stream = connection(), connection()
    gone.send_message(b"never written")
    del gone
    stream.send_message(b"kept")
    assert all_of(stream) == make_frame(TEXT, b"kept")


@pytest.mark.parametrize("seed", range(20))
def test_frames_of_every_kind_keep_their_order(seed):
    rng = random.Random(seed)
    streams = [connection() for _ in range(3)]
    expected = [b""] * 3
    given = [b""] * 3
    for _ in range(300):
        index = rng.randrange(3)
        stream = streams[index]
        payload = rng.randbytes(rng.choice((0, 1, 125, 126, 1000, 4095, 4096, 5000, SIZE, 70000)))
        kind = rng.randrange(4)
        if kind == 0:
            stream.send_prepared(PreparedMessage(payload, True))
        elif kind == 1 and len(payload) <= 125:
            stream.send_ping(payload)
            expected[index] += make_frame(9, payload)
            continue
        elif kind == 2:
            given[index] += (
                b"".join(stream.pieces_to_send())
                if stream.is_scattered()
                else stream.data_to_send()
            )
            continue
        else:
            stream.send_message(payload, True)
        expected[index] += make_frame(BINARY, payload)
    for index, stream in enumerate(streams):
        assert given[index] + all_of(stream) == expected[index]
        assert stream.queued() == 0

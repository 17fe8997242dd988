"""Bytes that are used again, once nobody else holds them."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from twins import is_compiled

from ws4py.protocol import storage
from ws4py.protocol.storage import Storage
from ws4py.protocol.wire import OPCODE_BINARY, Decoder, encode_frame

compiled = pytest.mark.skipif(not is_compiled(storage), reason="pure Python writes into no bytes")

LARGE = 256 << 10


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1 << 20, (1 << 20) + 1])
def test_bytes_have_the_size_that_was_asked_for(size: int) -> None:
    kept = Storage()
    for _ in range(3):
        data = kept.take(size)
        assert type(data) is bytes
        assert len(data) == size
        del data


@compiled
def test_what_nobody_holds_is_used_again() -> None:
    kept = Storage()
    where = id(kept.take(LARGE))
    assert id(kept.take(LARGE)) == where
    smaller = kept.take(LARGE - 1000)
    assert id(smaller) == where
    assert len(smaller) == LARGE - 1000


@compiled
def test_what_somebody_holds_is_left_alone() -> None:
    kept = Storage()
    held = kept.take(LARGE)
    view = memoryview(kept.take(LARGE))
    others = [kept.take(LARGE) for _ in range(20)]
    assert len({id(held), id(view.obj), *map(id, others)}) == 22


@compiled
def test_what_is_far_too_large_is_not_used_for_less() -> None:
    kept = Storage()
    where = id(kept.take(1 << 20))
    small = kept.take(65_536)
    assert id(small) != where
    assert len(small) == 65_536


@compiled
def test_there_is_a_limit_to_what_is_kept() -> None:
    kept = Storage()
    tracemalloc.start()
    try:
        held = [kept.take(1 << 20) for _ in range(64)]
        held += [kept.take(65_536) for _ in range(512)]
        assert tracemalloc.get_traced_memory()[0] > 90 << 20
        held.clear()
        assert tracemalloc.get_traced_memory()[0] <= storage_limit()
        for turn in range(300):  # of any size, it does not grow
            kept.take(65_536 + turn * 2600)
        assert tracemalloc.get_traced_memory()[0] <= storage_limit()
    finally:
        tracemalloc.stop()


def storage_limit() -> int:
    return (32 << 20) + (1 << 20)


def test_messages_that_are_held_stay_as_they_were() -> None:
    chance = random.Random(6455)
    decoder = Decoder(True)
    held: list[tuple[bytes, bytes]] = []
    hashes: set[int] = set()
    for turn in range(60):
        payload = bytes([turn]) * chance.randrange(60_000, 300_000)
        frame = encode_frame(OPCODE_BINARY, payload, key=chance.randbytes(4))
        cut = chance.randrange(0, len(frame))
        decoder.receive(frame[:cut])
        whole = decoder.next_message()
        decoder.receive(frame[cut:])
        assert whole or decoder.next_message()
        message = decoder.payload
        assert message == payload
        assert hash(message) == hash(payload)  # not that of what was there before
        hashes.add(hash(message))
        if turn % 3 == 0:
            held.append((message, payload))
    assert all(message == payload for message, payload in held)
    assert len(hashes) == 60

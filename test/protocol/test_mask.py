"""Masking: every implementation gives what RFC 6455 section 5.3 says, at every size."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws4py.protocol import mask as installed

KEYS = st.binary(min_size=4, max_size=4)


def by_the_rfc(data, key):
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(data))


def load(monkeypatch, with_wsaccel):
    """The module as it comes up with or without wsaccel, apart from the imported one."""
    if with_wsaccel:
        pytest.importorskip("wsaccel.xormask")
    else:
        monkeypatch.setitem(sys.modules, "wsaccel.xormask", None)
    # The source by its name: beside it there may be a compiled module.
    spec = importlib.util.spec_from_file_location(
        "mask_alone", Path(installed.__file__).with_name("mask.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["python", "wsaccel"])
def module(request, monkeypatch):
    return load(monkeypatch, request.param == "wsaccel")


def test_masking_is_exclusive_or_with_the_repeated_key_at_every_size(module):
    generator = random.Random(6455)
    sizes = [*range(40), 125, 126, *range(module.STRIDES - 5, module.STRIDES + 6), 1024, 65537]
    for size in sizes:
        data, key = generator.randbytes(size), generator.randbytes(4)
        masked = module.mask(data, key)
        assert type(masked) is bytes
        assert masked == by_the_rfc(data, key), size
        assert module.mask(masked, key) == data, size


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [0, 7, 1001])
@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\x37\xfa\x21\x3d"])
def test_any_kind_of_bytes_is_taken_and_left_alone(module, kind, size, key):
    original = random.Random(size).randbytes(size)
    data = kind(original)
    masked = module.mask(data, key)
    assert type(masked) is bytes
    assert masked == by_the_rfc(original, key)
    assert data == original


def test_the_example_of_the_rfc(module):
    # RFC 6455 section 5.7: a single-frame masked text message.
    assert module.mask(b"\x7f\x9f\x4d\x51\x58", b"\x37\xfa\x21\x3d") == b"Hello"


def test_a_key_of_zeros_changes_nothing_and_copies_nothing(module):
    data = b"as it is"
    assert module.mask(data, bytes(4)) is data


@given(data=st.binary(max_size=700), key=KEYS, cut=st.integers(min_value=0))
@example(data=b"", key=b"abcd", cut=0)
def test_pieces_masked_with_the_turned_key_make_the_whole(data, key, cut):
    cut %= len(data) + 1
    head = installed.mask(data[:cut], key)
    tail = installed.mask(data[cut:], installed.rotate(key, cut))
    assert head + tail == by_the_rfc(data, key)


def test_turning_a_key():
    assert [installed.rotate(b"abcd", n) for n in range(6)] == [
        b"abcd",
        b"bcda",
        b"cdab",
        b"dabc",
        b"abcd",
        b"bcda",
    ]

"""Policy: the defaults make sense, and nonsense is refused where it is written."""

from __future__ import annotations

import dataclasses

import pytest

from ws4py.protocol.config import DEFAULT, Compression, Config

TIMEOUTS = ["open_timeout", "close_timeout", "ping_interval", "ping_timeout"]
LIMITS = ["max_fragments", "max_head_size", "max_headers", "high_water"]


def test_everything_is_limited_by_default():
    for name in [*TIMEOUTS, *LIMITS, "max_message_size"]:
        assert getattr(DEFAULT, name) > 0
    assert DEFAULT.max_message_size == 16 * 1024 * 1024  # Autobahn's largest case fits
    assert DEFAULT.compression == Compression()
    assert Config() == DEFAULT


def test_a_policy_never_changes_but_may_be_varied():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT.high_water = 1
    changed = DEFAULT.replace(high_water=1, overflow="drop")
    assert (changed.high_water, changed.overflow) == (1, "drop")
    assert changed.replace(high_water=DEFAULT.high_water, overflow=None) == DEFAULT


@pytest.mark.parametrize("name", TIMEOUTS)
def test_a_timeout_is_positive_or_off(name):
    assert getattr(Config(**{name: None}), name) is None
    assert getattr(Config(**{name: 0.001}), name) == 0.001
    for nonsense in (0, -1, -0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{name} must be a positive time or None, not"):
            Config(**{name: nonsense})
        with pytest.raises(ValueError, match=name):
            DEFAULT.replace(**{name: nonsense})


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_positive(name):
    assert getattr(Config(**{name: 1}), name) == 1
    for nonsense in (0, -1):
        with pytest.raises(ValueError, match=f"{name} must be positive, not {nonsense}"):
            Config(**{name: nonsense})


def test_the_message_size_may_be_unlimited_or_zero_but_not_negative():
    assert Config(max_message_size=None).max_message_size is None
    assert Config(max_message_size=0).max_message_size == 0
    with pytest.raises(ValueError, match="max_message_size must not be negative, not -1"):
        Config(max_message_size=-1)


def test_there_are_three_ways_to_overflow():
    for policy in ("block", "drop", "close", None):
        assert Config(overflow=policy).overflow == policy
    with pytest.raises(ValueError, match="overflow must be block, drop, close or None, not 'wait'"):
        Config(overflow="wait")


def test_options_are_given_by_name():
    with pytest.raises(TypeError):
        Config(1024)
    with pytest.raises(TypeError):
        Compression(12)
    with pytest.raises(TypeError):
        Config(max_size=1)


@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
def test_window_bits_are_those_that_zlib_can_do(name):
    for bits in (9, 15):
        assert getattr(Compression(**{name: bits}), name) == bits
    for bits in (8, 16, 0, -15):
        with pytest.raises(ValueError, match=f"{name} must be between 9 and 15, not {bits}"):
            Compression(**{name: bits})


@pytest.mark.parametrize(
    ("name", "legal", "illegal"),
    [("level", (-1, 0, 9), (-2, 10)), ("mem_level", (1, 9), (0, 10)), ("threshold", (0,), (-1,))],
)
def test_compression_effort_is_what_zlib_allows(name, legal, illegal):
    for value in legal:
        assert getattr(Compression(**{name: value}), name) == value
    for value in illegal:
        with pytest.raises(ValueError, match=f"{name} must .*, not {value}"):
            Compression(**{name: value})

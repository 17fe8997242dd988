"""``Utf8Validator``: the answers of ws4py 0.6, computed by the standard library."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws4py.utf8validator import UTF8_ACCEPT, UTF8_REJECT, Utf8Validator

#: Octets at which RFC 3629 section 4 draws its lines.
EDGES = bytes.fromhex("00 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")


def by_the_rfc(octets):
    """(number of valid octets, whether they end on a character, whether all are valid)."""
    position = 0
    while position < len(octets):
        first = octets[position]
        low, high, more = 0x80, 0xBF, 0
        if 0xC2 <= first <= 0xDF:
            more = 1
        elif 0xE0 <= first <= 0xEF:
            more = 2
            low, high = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F)}.get(first, (low, high))
        elif 0xF0 <= first <= 0xF4:
            more = 3
            low, high = {0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(first, (low, high))
        elif first > 0x7F:
            return position, True, False
        position += 1
        for _ in range(more):
            if position == len(octets):
                return position, False, True
            if not low <= octets[position] <= high:
                return position, False, False
            low, high = 0x80, 0xBF
            position += 1
    return position, True, True


def check(octets, cuts=()):
    validator = Utf8Validator()
    expected, whole, valid = by_the_rfc(octets)
    total = 0
    result = validator.validate(b"")
    for start, stop in itertools.pairwise([0, *cuts, len(octets)]):
        chunk = octets[start:stop]
        result = validator.validate(chunk)
        total += result[2]
        assert result[3] == total
        if not result[0]:
            break
        assert result[2] == len(chunk)
    assert result == (valid, valid and whole, result[2], expected)


def test_valid_text_is_counted():
    validator = Utf8Validator()
    assert validator.validate(b"Hello") == (True, True, 5, 5)
    assert validator.validate("Grüße".encode()) == (True, True, 7, 12)
    assert validator.validate(b"") == (True, True, 0, 12)


def test_a_character_may_be_cut():
    validator = Utf8Validator()
    assert validator.validate(b"ab\xe2\x82") == (True, False, 4, 4)
    assert validator.validate(b"") == (True, False, 0, 4)
    assert validator.validate(b"\xac!") == (True, True, 2, 6)


@pytest.mark.parametrize(
    ("chunks", "result"),
    [
        ([b"ab\xffcd"], (False, False, 2, 2)),
        ([b"ab\xc3("], (False, False, 3, 3)),
        ([b"ab\xc3", b"("], (False, False, 0, 3)),
        ([b"ab\xf0\x9f", b"\x98("], (False, False, 1, 5)),
        ([b"\xed", b"\xa0\x80"], (False, False, 0, 1)),
    ],
)
def test_the_first_bad_octet_is_found_across_chunks(chunks, result):
    validator = Utf8Validator()
    for chunk in chunks[:-1]:
        assert validator.validate(chunk)[0]
    assert validator.validate(chunks[-1]) == result


def test_invalid_stays_invalid_until_reset():
    validator = Utf8Validator()
    validator.validate(b"abc\xff")
    assert validator.validate(b"fine") == (False, False, 0, 3)
    assert validator.decode(ord("a")) == UTF8_REJECT
    validator.reset()
    assert validator.validate(b"fine") == (True, True, 4, 4)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_taken(kind):
    validator = Utf8Validator()
    assert validator.validate(kind(b"ab\xe2")) == (True, False, 3, 3)
    assert validator.validate(kind(b"\x82\xff")) == (False, False, 1, 4)


def test_octets_decode_to_code_points():
    validator = Utf8Validator()
    for character in "aß€😀\0\uffff":
        *firsts, last = character.encode()
        for octet in firsts:
            assert validator.decode(octet) not in (UTF8_ACCEPT, UTF8_REJECT)
        assert validator.decode(last) == UTF8_ACCEPT
        assert validator.codepoint == ord(character)
    assert validator.decode(0xFF) == UTF8_REJECT


def test_the_constants_are_where_they_were():
    assert (Utf8Validator.UTF8_ACCEPT, Utf8Validator.UTF8_REJECT) == (0, 1)
    assert (UTF8_ACCEPT, UTF8_REJECT) == (0, 1)


def test_every_edge_of_the_definition():
    for octets in itertools.product(EDGES, repeat=3):
        check(bytes(octets))


@given(
    octets=st.one_of(st.binary(max_size=30), st.text(max_size=15).map(str.encode)),
    bad=st.binary(max_size=2),
    cuts=st.lists(st.integers(0, 40)),
)
@example(octets=b"\xf4\x8f\xbf", bad=b"\xc0", cuts=[1, 2, 3])
def test_wherever_it_is_cut_the_answer_is_that_of_the_definition(octets, bad, cuts):
    octets += bad
    check(octets, sorted(cut for cut in cuts if cut <= len(octets)))


@given(chunks=st.lists(st.one_of(st.binary(max_size=6), st.text(max_size=4).map(str.encode))))
def test_wsaccel_gives_the_same_answers(chunks):
    theirs = pytest.importorskip("wsaccel.utf8validator").Utf8Validator()
    ours = Utf8Validator()
    for chunk in chunks:
        result = ours.validate(chunk)
        assert result == theirs.validate(chunk)
        if not result[0]:
            break

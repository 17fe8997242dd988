"""HTTP heads: what is read, what is refused, and that it costs no more than its length."""

from __future__ import annotations

import random

import pytest

from ws4py.exc import HandshakeError
from ws4py.protocol import headers as module
from ws4py.protocol.headers import (
    Headers,
    HeadReader,
    accept_key,
    excerpt,
    format_head,
    has_token,
    parse_extensions,
    parse_request_head,
    parse_response_head,
    parse_tokens,
)

REQUEST = b"GET /chat HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n"


# -- Headers -------------------------------------------------------------------------------


def test_headers_are_found_in_any_case_and_keep_their_order():
    headers = Headers([("Host", "h"), ("X-A", "1"), ("x-a", "2")])
    assert headers["HOST"] == "h"
    assert headers.get("x-A") == "1"
    assert headers.get_all("X-a") == ["1", "2"]
    assert headers.items() == [("Host", "h"), ("X-A", "1"), ("x-a", "2")]
    assert list(headers) == ["Host", "X-A", "x-a"]
    assert len(headers) == 3
    assert "hOST" in headers


def test_headers_that_are_not_there():
    headers = Headers()
    assert headers.get("x") is None
    assert headers.get("x", "default") == "default"
    assert headers.get_all("x") == []
    assert "x" not in headers
    assert 7 not in headers
    with pytest.raises(KeyError, match="X-Name"):
        headers["X-Name"]


def test_what_get_all_and_items_give_is_a_copy():
    headers = Headers([("a", "1")])
    headers.get_all("a").append("2")
    headers.items().clear()
    assert headers.get_all("a") == ["1"]
    assert len(headers) == 1


def test_headers_are_the_same_after_giving_up_what_makes_looking_up_quick():
    headers = parse_request_head(b"GET / HTTP/1.1\r\nA: b\r\na: c\r\n\r\n")[3]
    before = headers.by_name
    headers.slim()
    headers.add("D", "e")
    assert headers.by_name == {**before, "d": ["e"]}
    assert headers.get_all("A") == ["b", "c"]


def test_headers_compare_by_content():
    assert Headers([("a", "1")]) == Headers([("a", "1")])
    assert Headers([("a", "1")]) != Headers([("a", "2")])
    assert Headers() != []


def test_headers_do_not_show_values():
    assert repr(Headers([("Cookie", "secret"), ("Host", "h")])) == "<Headers Cookie, Host>"


# -- HeadReader ----------------------------------------------------------------------------


def read(*pieces: bytes, max_size: int = 1000, max_headers: int = 10) -> HeadReader:
    reader = HeadReader(max_size, max_headers)
    for piece in pieces:
        reader.receive_data(piece)
    return reader


def refused(*pieces: bytes, **limits: int) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        read(*pieces, **limits)
    return caught.value


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
def test_a_head_in_pieces(size):
    data = REQUEST + b"\x81\x00\r\n\r\n"
    reader = read(*[data[i : i + size] for i in range(0, len(data), size)])
    assert reader.complete
    assert reader.head == REQUEST
    assert reader.rest == b"\x81\x00\r\n\r\n"


@pytest.mark.parametrize("end", range(len(REQUEST)))
def test_a_head_is_complete_with_its_last_byte_only(end):
    reader = read(REQUEST[:end])
    assert not reader.complete
    assert reader.head == b""
    reader.receive_data(memoryview(REQUEST)[end:])
    assert reader.complete
    assert reader.head == REQUEST


def test_the_limit_of_bytes():
    size = len(REQUEST)
    assert read(REQUEST + b"x" * 100, max_size=size).complete
    error = refused(REQUEST, max_size=size - 1)
    assert error.status == 431
    assert f"longer than {size - 1} bytes" in str(error)


def test_the_limit_of_bytes_holds_before_the_end():
    assert refused(b"GET / HTTP/1.1\r\nX: ", b"x" * 50, max_size=60).status == 431
    assert refused(b"GET /", b"x" * 60, max_size=60).status == 414


def test_the_limit_of_lines():
    head = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10
    assert read(head + b"\r\n").complete
    assert read(head, b"\r\n").complete
    assert refused(head + b"a: b\r\n\r\n").status == 431
    error = refused(head, b"a: b\r\n")
    assert error.status == 431
    assert "more than 10 header lines" in str(error)


def test_lines_behind_the_head_do_not_count():
    assert read(REQUEST + b"\n" * 50 + b"\r\n" * 50).complete


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET / HTTP/1.1\n",),
        (b"GET / HTTP/1.1\n\n",),
        (b"GET / HTTP/1.1\r\na: b\n",),
        (b"GET / HTTP/1.1\r\na: b\n\r\n\r\n",),
        (b"GET / HTTP/1.1\r\n\n",),
        (b"GET / HTTP/1.1", b"\n"),
    ],
)
def test_a_bare_line_feed_is_refused_at_once(pieces):
    assert refused(*pieces).status == 400


def test_dripping_costs_no_more_than_the_length(monkeypatch):
    looked_at = 0

    class Counting(bytearray):
        def count(self, sub, start=0, end=2**62):
            nonlocal looked_at
            looked_at += min(end, len(self)) - start
            return super().count(sub, start, end)

        def find(self, sub, start=0, end=2**62):
            nonlocal looked_at
            looked_at += min(end, len(self)) - start
            return super().find(sub, start, end)

        rfind = find

    monkeypatch.setattr(module, "bytearray", Counting, raising=False)
    head = b"GET / HTTP/1.1\r\n" + b"name: value\r\n" * 90 + b"long: " + b"x" * 2000 + b"\r\n\r\n"
    reader = HeadReader(16384, 100)
    for byte in head:
        reader.receive_data(bytes([byte]))
    assert reader.complete
    assert looked_at < 10 * len(head)


# -- requests and responses ----------------------------------------------------------------


def test_a_request():
    head = (
        b"GET /a?b=c HTTP/1.1\r\nHost: h:80\r\nX-Empty:\r\nX-Pad: \t a b\t \r\nX: \xe9\x80\r\n\r\n"
    )
    method, target, version, headers = parse_request_head(head)
    assert (method, target, version) == ("GET", "/a?b=c", "HTTP/1.1")
    assert headers.items() == [
        ("Host", "h:80"),
        ("X-Empty", ""),
        ("X-Pad", "a b"),
        ("X", "\xe9\x80"),
    ]
    assert headers["x-pad"] == "a b"


def test_a_request_without_headers():
    assert parse_request_head(b"GET / HTTP/1.0\r\n\r\n") == ("GET", "/", "HTTP/1.0", Headers())


def test_headers_of_the_same_name_are_all_there():
    headers = parse_request_head(b"GET / HTTP/1.1\r\nA: 1\r\nB: x\r\na: 2\r\n\r\n")[3]
    assert headers.get_all("A") == ["1", "2"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/\tHTTP/1.1",
        b"GET / HTTP/1",
        b"GET / HTTP/1.",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1.\xb2",
        b"GET / http/1.1",
        b"GET / HTTP 1.1",
        b"GET / JUNK/1.1",
        b"G(T / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET /#top HTTP/1.1",
        b"GET /\rX HTTP/1.1",
    ],
)
def test_bad_request_lines(line):
    with pytest.raises(HandshakeError, match="is no HTTP request line") as caught:
        parse_request_head(line + b"\r\nHost: h\r\n\r\n")
    assert caught.value.status == 400


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"3.1"])
def test_other_major_versions(version):
    with pytest.raises(HandshakeError, match="is not spoken here") as caught:
        parse_request_head(b"PRI * HTTP/" + version + b"\r\n\r\n")
    assert caught.value.status == 505


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (b"Host : h", "space before the colon of the header 'Host'"),
        (b"Host\t: h", "space before the colon"),
        (b" X: folded", "continues on a second line"),
        (b"\tX: folded", "continues on a second line"),
        (b"X", "'X' is no header"),
        (b": x", "': x' is no header"),
        (b"X(: x", "is no header"),
        (b"X Y: x", "is no header"),
        (b"X\xe9: x", "is no header"),
        (b"X: a\x00b", "'X' contains a control character"),
        (b"X: a\rb", "'X' contains a control character"),
        (b"X: a\nY: b", "'X' contains a control character"),
        (b"X: a\n", "'X' contains a control character"),
        (b"X: a\r", "'X' contains a control character"),
        (b"\nX: a", "is no header"),
        (b"X: a\x1bb", "control character"),
        (b"X: a\x7fb", "control character"),
        (b"X: a\r\n", "is no header"),
    ],
)
def test_bad_fields(field, why):
    for head in (
        b"GET / HTTP/1.1\r\n" + field + b"\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + field + b"\r\n\r\n",
    ):
        with pytest.raises(HandshakeError) as caught:
            parse_request_head(head)
        assert caught.value.status == 400
        assert why in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\nx\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n\n",
    ],
)
def test_half_a_head(head):
    with pytest.raises(HandshakeError):
        parse_request_head(head)


def test_a_head_holds_one_blank_line():
    with pytest.raises(HandshakeError, match="is no header"):
        parse_request_head(b"GET / HTTP/1.1\r\nA: b\r\n\r\nC: d\r\n\r\n")


def test_what_came_from_outside_is_escaped():
    with pytest.raises(HandshakeError) as caught:
        parse_request_head(b"GET / \x1b[31m\xe9\x07" + b"x" * 500 + b"\r\n\r\n")
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 130


def test_excerpt():
    assert excerpt("a") == "'a'"
    assert excerpt("a\nb") == r"'a\nb'"
    assert excerpt("abcdef", 4) == r"'abc\u2026'"


@pytest.mark.parametrize(
    ("line", "version", "status", "reason"),
    [
        (b"HTTP/1.1 101 Switching Protocols", "HTTP/1.1", 101, "Switching Protocols"),
        (b"HTTP/1.0 404 ", "HTTP/1.0", 404, ""),
        (b"HTTP/1.1 999", "HTTP/1.1", 999, ""),
        (b"HTTP/1.1 200 d\xe9j\xe0\tvu", "HTTP/1.1", 200, "déjà\tvu"),
    ],
)
def test_a_response(line, version, status, reason):
    got = parse_response_head(line + b"\r\nA: b\r\n\r\n")
    assert got == (version, status, reason, Headers([("A", "b")]))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 10",
        b"HTTP/1.1 1011 x",
        b"HTTP/1.1  101 x",
        b"HTTP/1.1 \xb1\xb0\xb1 x",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 101x",
        b"HTTP/1.1 101 a\x00b",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
    ],
)
def test_bad_status_lines(line):
    with pytest.raises(HandshakeError, match=r"is no HTTP/1\.1 status line"):
        parse_response_head(line + b"\r\n\r\n")


# -- writing -------------------------------------------------------------------------------


def test_format_head():
    head = format_head("HTTP/1.1 200 OK", [("A", "b"), ("C", "d\te"), ("E", "\xe9")])
    assert head == b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\te\r\nE: \xe9\r\n\r\n"
    assert format_head("GET / HTTP/1.1", []) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\r\nX: y", "\0", "\x1b", "\x7f", "\x0b"])
def test_nothing_can_be_slipped_into_a_head(bad):
    with pytest.raises(ValueError, match="control character"):
        format_head("HTTP/1.1 200 OK", [("A", f"x{bad}y")])
    with pytest.raises(ValueError, match="control character"):
        format_head(f"HTTP/1.1 200 O{bad}K", [("A", "b")])
    with pytest.raises(ValueError, match="is no name of a header"):
        format_head("HTTP/1.1 200 OK", [(f"A{bad}", "b")])


@pytest.mark.parametrize("name", ["", "A B", "A:", "Ä", " A"])
def test_bad_names_are_not_written(name):
    with pytest.raises(ValueError, match="is no name of a header"):
        format_head("HTTP/1.1 200 OK", [(name, "b")])


def test_characters_that_no_header_has():
    with pytest.raises(ValueError, match=r"'\\u20ac' cannot stand in a header"):
        format_head("HTTP/1.1 200 OK", [("A", "5 €")])


# -- lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["upgrade"], True),
        (["Upgrade"], True),
        (["keep-alive, Upgrade"], True),
        (["keep-alive,\tUPGRADE ,x"], True),
        (["keep-alive", "upgrade"], True),
        ([], False),
        ([""], False),
        (["upgrader"], False),
        (["keep-alive, upgrader"], False),
        (["upgrade; x"], False),
        (["up grade"], False),
        (['"upgrade"'], False),
    ],
)
def test_has_token(values, found):
    assert has_token(values, "upgrade") is found


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ([], []),
        ([""], []),
        (["chat"], ["chat"]),
        (["chat, superchat"], ["chat", "superchat"]),
        (["a,b\t,", ", c"], ["a", "b", "c"]),
        (["v1.chat!#$%&'*+-^_`|~"], ["v1.chat!#$%&'*+-^_`|~"]),
    ],
)
def test_parse_tokens(values, tokens):
    assert parse_tokens(values) == tokens


@pytest.mark.parametrize("value", ["a b", '"a"', "a;b", "a, b/c", "é", "a\x0b"])
def test_what_is_no_list_of_tokens(value):
    with pytest.raises(HandshakeError, match="is no token") as caught:
        parse_tokens(["ok", value])
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        ([], []),
        ([""], []),
        ([" , "], []),
        (["foo"], [("foo", [])]),
        (["foo, bar"], [("foo", []), ("bar", [])]),
        (["foo", "bar"], [("foo", []), ("bar", [])]),
        (["foo,,bar ,"], [("foo", []), ("bar", [])]),
        (["foo;a"], [("foo", [("a", None)])]),
        (["foo ; a ; b = 1,bar;c"], [("foo", [("a", None), ("b", "1")]), ("bar", [("c", None)])]),
        (['foo; a="10"'], [("foo", [("a", "10")])]),
        (['foo; a="1\\0" , bar'], [("foo", [("a", "10")]), ("bar", [])]),
        (["foo;a;a"], [("foo", [("a", None), ("a", None)])]),
    ],
)
def test_parse_extensions(values, extensions):
    assert parse_extensions(values) == extensions


@pytest.mark.parametrize(
    "value",
    [
        "foo bar",
        "foo;",
        "foo;;a",
        "foo; a b",
        "foo; a=",
        "foo; a=,",
        "foo; =1",
        "foo; a==1",
        'foo; a="',
        'foo; a="1',
        'foo; a=""',
        'foo; a="1 2"',
        'foo; a="1,2"',
        'foo; a="1"2',
        'foo; a="1\\"',
        'foo; a="\x01"',
        "foo=1",
        "é",
        ";a",
        "foo, ;a",
        "foo\x0b",
    ],
)
def test_what_is_no_list_of_extensions(value):
    with pytest.raises(HandshakeError, match="malformed at") as caught:
        parse_extensions([value])
    assert caught.value.status == 400


def test_accept_key():
    # The example of RFC 6455 section 1.3.
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# -- time ----------------------------------------------------------------------------------

LONG = 200_000


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        " " * LONG,
        "," * LONG,
        "a," * LONG,
        "a;" * LONG,
        "a;b" + " " * LONG + "=",
        "a;b=" + " " * LONG,
        "a" + " " * LONG + "b",
        'a;b="' + "\\" * LONG,
        'a;b="' + "x" * LONG,
        'a;b="c"' * LONG,
        "a;b=c" * LONG,
        " ," * LONG + "(",
        "a" * LONG + "(",
    ],
)
def test_lists_take_linear_time(text):
    # Quadratic work on this much would take hours.
    for parse in (parse_tokens, parse_extensions, lambda values: has_token(values, "b")):
        try:
            parse([text])
        except HandshakeError as error:
            assert len(str(error)) < 500  # noqa: PT017


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "field",
    [
        b"x" * LONG,
        b"x:" + b" " * LONG + b"\x00",
        b"x:" + b" a" * LONG + b"\r",
        b"x" * LONG + b":\x00",
        b":" * LONG,
        b"x:\r" * LONG,
        b"a\n" * LONG,
        b"x:y\r\n" * LONG + b"z",
        b"x" + b" " * LONG + b":",
    ],
)
def test_heads_take_linear_time(field):
    with pytest.raises(HandshakeError):
        parse_request_head(b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n")
    with pytest.raises(HandshakeError):
        parse_request_head(field + b"\r\n\r\n")
    with pytest.raises(HandshakeError):
        parse_response_head(b"HTTP/1.1 200 " + field.replace(b"x", b"\x00") + b"\x00\r\n\r\n")


def test_no_accident_passes():
    """Whatever is changed in a good head by inserting a byte, nothing else is raised."""
    chance = random.Random(6455)
    for _ in range(500):
        head = bytearray(REQUEST)
        for _ in range(chance.randint(1, 3)):
            head.insert(chance.randrange(len(head) + 1), chance.randrange(256))
        try:
            _, target, _, headers = parse_request_head(bytes(head))
        except HandshakeError:
            continue
        for text in (target, *headers, *[value for _, value in headers.items()]):
            assert "\r" not in text
            assert "\n" not in text
            assert "\0" not in text

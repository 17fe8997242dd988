"""Our parser of heads against h11 and httptools, which other people wrote.

What we accept, they have to read in the same words; what h11 refuses, we have to refuse. Where we
are stricter than they are, that is written down in ``STRICTER``; where h11 is stricter than we are,
in ``LENIENT``; nothing else may differ. Bytes are made from the grammar and then damaged, because
random ones never get past the first line.
"""

from __future__ import annotations

import re

import pytest

from ws4py.exc import HandshakeError
from ws4py.protocol.handshake import ServerHandshake
from ws4py.protocol.headers import parse_request_head, parse_response_head

hypothesis = pytest.importorskip("hypothesis")
h11 = pytest.importorskip("h11")
from hypothesis import example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

TCHAR = "!#$%&'*+-.^_`|~0123456789abcXYZ"
Fields = list[tuple[bytes, bytes]]


# -- heads that are good, and heads that are nearly so ---------------------------------------

token = st.text(TCHAR, min_size=1, max_size=12).map(lambda text: text.encode())
blanks = st.sampled_from([b"", b" ", b"\t", b"  ", b" \t "])
visible = st.binary(max_size=20).map(
    lambda data: bytes(byte for byte in data if byte == 9 or 0x20 <= byte != 0x7F)
)
known = st.sampled_from(
    [
        (b"Host", b"localhost:9000"),
        (b"Connection", b"Upgrade"),
        (b"connection", b"keep-alive, Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Protocol", b"chat, superchat"),
        (b"Origin", b"http://localhost:9000"),
        (b"Content-Length", b"0"),
        (b"Content-Length", b"+1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Transfer-Encoding", b"gzip"),
    ]
)
field = st.one_of(known, st.tuples(token, visible))
line = st.builds(lambda f, a, b: f[0] + b":" + a + f[1] + b + b"\r\n", field, blanks, blanks)
lines = st.lists(line, max_size=8).map(b"".join)
target = st.text("/?&=%abc.:@!$'()*+,;~-_[]|^`{}<>\"\\", min_size=1, max_size=20).map(
    lambda text: text.encode()
)
request_line = st.builds(
    lambda method, target, minor: b"%s %s HTTP/1.%d\r\n" % (method, target, minor),
    st.one_of(st.just(b"GET"), token),
    target,
    st.integers(0, 1),
)
status_line = st.builds(
    lambda minor, status, reason: b"HTTP/1.%d %d%s\r\n" % (minor, status, reason),
    st.integers(0, 1),
    st.integers(100, 999),
    st.one_of(st.just(b""), visible.map(lambda reason: b" " + reason)),
)

#: What breaks parsers, and what belongs to a head but stands elsewhere.
POISON = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x0b", b"\x7f", b"\x80", b"\xff"]
POISON += [
    b"#",
    b"\r\n ",
    b"\r\n\t",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b",",
    b'"',
    b"\x1b",
    b"\x85",
    b"\xa0",
]


@st.composite
def damaged(draw, heads):
    """A head with a few bytes put in, taken out or changed."""
    head = draw(heads)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head)))
        gone = draw(st.integers(0, 2))
        put = draw(st.one_of(st.sampled_from(POISON), st.binary(max_size=2)))
        head = head[:at] + put + head[at + gone :]
    # What HeadReader gives always ends like this, and nowhere before.
    return (head + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


requests = st.builds(lambda start, rest: start + rest + b"\r\n", request_line, lines)
responses = st.builds(lambda start, rest: start + rest + b"\r\n", status_line, lines)


# -- the parsers, in the same words ----------------------------------------------------------


def in_bytes(headers) -> Fields:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def ours_request(head: bytes):
    try:
        method, target, version, headers = parse_request_head(head)
    except HandshakeError:
        return None
    return method.encode(), target.encode(), version.encode(), in_bytes(headers)


def ours_response(head: bytes):
    try:
        version, status, reason, headers = parse_response_head(head)
    except HandshakeError:
        return None
    return version.encode(), status, reason.encode("latin-1"), in_bytes(headers)


def h11_event(role, head: bytes):
    """What h11 makes of a head, with the reason if it refuses."""
    connection = h11.Connection(role, max_incomplete_event_size=1 << 20)
    if role is h11.CLIENT:
        upgrade = [("Host", "h"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        connection.send(h11.Request(method="GET", target="/", headers=upgrade))
        connection.send(h11.EndOfMessage())
    connection.receive_data(head)
    try:
        return connection.next_event(), ""
    except h11.RemoteProtocolError as error:
        return None, str(error)


def one_length(fields: Fields) -> Fields:
    """h11 makes one Content-Length of two equal ones."""
    lengths = [f for f in fields if f[0].lower() == b"content-length"]
    return [f for f in fields if f not in lengths[1:] or f is lengths[0]]


def raw_fields(event) -> Fields:
    return [(bytes(name), bytes(value)) for name, value in event.headers.raw_items()]


#: What h11 says about the meaning of a header, not about syntax: ``ServerHandshake`` refuses
#: these, and a little more (see test_handshake.py), but later.
LENIENT = (
    "Missing mandatory Host: header",
    "Found multiple Host: headers",
    "bad Content-Length",
    "conflicting Content-Length headers",
    "multiple Transfer-Encoding headers",
    "Only Transfer-Encoding: chunked is supported",
    "Illegal header value",  # h11 checks that Host is visible ASCII
)


def stricter(head: bytes) -> bool:
    """Whether we refuse on purpose what h11 lets pass."""
    start_line = head.partition(b"\r\n")[0]
    return (
        # Line feeds alone end a line for h11.
        b"\n" in head.replace(b"\r\n", b"")
        # Folded lines are joined.
        or b"\r\n " in head
        or b"\r\n\t" in head
        # A fragment never belongs into a request (RFC 9112 section 3.2).
        or b"#" in start_line
        # Only 1.x.
        or (b" HTTP/1." not in start_line and not start_line.startswith(b"HTTP/1."))
        # A status begins with a digit that means something.
        or start_line[9:10] == b"0"
        # Controls that RFC 9110 section 5.5 does not allow; h11 lets all but NUL and white space.
        or any((byte < 0x20 and byte not in b"\t\r\n") or byte == 0x7F for byte in head)
    )


# -- what has to hold ------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(damaged(requests))
@example(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\n X: y\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX: \x85y\xa0\r\n\r\n")
def test_requests_against_h11(head):
    ours = ours_request(head)
    event, reason = h11_event(h11.SERVER, head)
    if ours is None:
        assert event is None or stricter(head), f"h11 accepts: {event!r}"
    elif event is None:
        assert reason in LENIENT, f"h11 refuses: {reason}"
    else:
        theirs = (
            bytes(event.method),
            bytes(event.target),
            b"HTTP/" + bytes(event.http_version),
            raw_fields(event),
        )
        assert theirs == (*ours[:3], one_length(ours[3]))


@settings(max_examples=400, deadline=None)
@given(damaged(responses))
@example(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
@example(b"HTTP/1.1 200\r\n\r\n")
def test_responses_against_h11(head):
    ours = ours_response(head)
    event, reason = h11_event(h11.CLIENT, head)
    if ours is None:
        assert event is None or stricter(head), f"h11 accepts: {event!r}"
    elif event is None:
        assert reason in LENIENT or "status" in reason.lower(), f"h11 refuses: {reason}"
    else:
        theirs = (
            b"HTTP/" + bytes(event.http_version),
            event.status_code,
            bytes(event.reason),
            raw_fields(event),
        )
        assert theirs == (*ours[:3], one_length(ours[3]))


#: What httptools knows beyond syntax: the methods that are registered, what a target is made of,
#: how long the body is. And it does not want to go on behind an upgrade, which is not a refusal.
MEANING = re.compile("method|in url|Pause on|Content-Length|Transfer-Encoding")


class Collected:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.target = b""
        self.reason = b""
        self.fields: Fields = []
        self.complete = False

    def on_url(self, data: bytes) -> None:
        self.target += data

    def on_status(self, data: bytes) -> None:
        self.reason += data

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


def feed(kind: str, head: bytes):
    """The parser and what it called; ``None`` when it refuses the meaning of a header."""
    httptools = pytest.importorskip("httptools")
    collected = Collected()
    parser = getattr(httptools, kind)(collected)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        if not MEANING.search(str(error)):
            pytest.fail(f"httptools refuses: {error}")
        return None
    fields = [(name, value.rstrip(b" \t")) for name, value in collected.fields]
    return parser, b"HTTP/" + parser.get_http_version().encode(), collected, fields


@settings(max_examples=400, deadline=None)
@given(damaged(requests))
@example(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
def test_requests_against_httptools(head):
    ours = ours_request(head)
    theirs = ours and feed("HttpRequestParser", head)
    if theirs:
        parser, version, collected, fields = theirs
        assert collected.complete
        assert (parser.get_method(), collected.target, version, fields) == ours


@settings(max_examples=400, deadline=None)
@given(damaged(responses))
def test_responses_against_httptools(head):
    ours = ours_response(head)
    theirs = ours and feed("HttpResponseParser", head)
    if theirs:
        parser, version, collected, fields = theirs
        assert (version, parser.get_status_code(), collected.reason, fields) == ours


upgrade_fields = st.permutations(
    [
        b"Host: localhost:9000\r\n",
        b"Connection: Upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
    ]
).map(b"".join)
upgrades = st.builds(
    lambda path, fields, rest: b"GET /" + path + b" HTTP/1.1\r\n" + fields + rest + b"\r\n",
    target,
    upgrade_fields,
    lines,
)


@settings(max_examples=400, deadline=None)
@given(damaged(upgrades))
@example(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
def test_whom_we_let_in_they_understand(head):
    """With the meaning of headers: nothing that either of them refuses gets a 101 from us."""
    httptools = pytest.importorskip("httptools")
    handshake = ServerHandshake(origins=None)
    handshake.receive_data(head)
    if handshake.request is None:
        return
    handshake.answer()
    if not handshake.accepted:
        return
    event, reason = h11_event(h11.SERVER, head)
    assert event is not None, f"h11 refuses: {reason}"
    collected = Collected()
    with pytest.raises((httptools.HttpParserUpgrade, httptools.HttpParserError)) as caught:
        httptools.HttpRequestParser(collected).feed_data(head)
    assert collected.complete, f"httptools refuses: {caught.value!r}"
    assert collected.target == bytes(event.target)

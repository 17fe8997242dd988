"""The opening handshake: who is let in, who is refused and what they are told, on both sides."""

from __future__ import annotations

import base64
import logging
import re
import time

import pytest

from ws4py.exc import ConnectionTimeout, HandshakeError
from ws4py.protocol.config import DEFAULT, Compression
from ws4py.protocol.handshake import (
    SAME_ORIGIN,
    ClientHandshake,
    Request,
    Response,
    ServerHandshake,
    same_origin,
)
from ws4py.protocol.headers import Headers, format_head, parse_response_head
from ws4py.protocol.uri import parse_uri

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
STANDARD = {
    "Host": "localhost:9000",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request_head(
    *extra: tuple[str, str], line: str = "GET /chat?x=1 HTTP/1.1", **changes: str | None
) -> bytes:
    """A good request with headers changed (``Host="h"``), removed (``Host=None``) and added."""
    headers = dict(STANDARD)
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in extra]
    return "\r\n".join([line, *lines, "", ""]).encode("latin-1")


def ask(*extra: tuple[str, str], line: str = "GET /chat?x=1 HTTP/1.1", server=None, **changes):
    """The server's side after a request."""
    handshake = server or ServerHandshake()
    handshake.receive_data(request_head(*extra, line=line, **changes))
    if handshake.response is None:
        handshake.answer()
    return handshake


def refusal(handshake) -> tuple[int, str]:
    assert not handshake.accepted
    assert isinstance(handshake.error, HandshakeError)
    assert handshake.response is not None
    text = handshake.response.body.decode()
    assert str(handshake.error) in text
    assert handshake.deadline is None
    return handshake.response.status, text


def on_the_wire(response: Response) -> tuple[int, Headers, bytes]:
    head, _, body = response.serialize().partition(b"\r\n\r\n")
    _, status, _, headers = parse_response_head(head + b"\r\n\r\n")
    return status, headers, body


# -- requests that are accepted --------------------------------------------------------------


def test_a_good_request():
    handshake = ask()
    assert handshake.accepted
    assert handshake.error is None
    assert handshake.deadline is None
    assert handshake.subprotocol is None
    assert handshake.extensions == []
    assert handshake.deflate is None
    assert handshake.response is not None
    assert handshake.response.serialize() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "UPGRADE"),
        ("Upgrade", "WebSocket"),
        ("Upgrade", "h2c, websocket"),
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Key", "A" * 22 + "=="),
        ("Host", "example.com"),
        ("Host", "[::1]:9000"),
        ("Host", "127.0.0.1:80"),
        ("Host", "a_b.example:"),
    ],
)
def test_accepted(name, value):
    assert ask(**{name.replace("-", "_"): value}).accepted


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET /?x=%20 HTTP/1.1",
        "GET /a/b//c HTTP/1.2",
        "GET http://localhost:9000/ HTTP/1.1",
        "GET http://localhost HTTP/1.1",
        "GET wss://other/x?y HTTP/1.1",
    ],
)
def test_accepted_lines(line):
    assert ask(line=line).accepted


def test_lists_may_run_over_several_lines():
    handshake = ask(
        ("Connection", "keep-alive"),
        ("connection", "upgrade"),
        ("Upgrade", "foo"),
        ("Upgrade", "websocket"),
        Connection=None,
        Upgrade=None,
    )
    assert handshake.accepted


def test_a_content_length_of_zero_is_no_body():
    assert ask(("Content-Length", "0")).accepted


@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_request_in_pieces_and_what_comes_behind(size):
    handshake = ServerHandshake()
    data = request_head() + b"\x81\x00\r\n\r\n"
    for i in range(0, len(data), size):
        assert handshake.response is None
        handshake.receive_data(data[i : i + size])
    assert handshake.request is not None
    assert handshake.answer() is handshake.response
    assert handshake.accepted
    assert handshake.rest == b"\x81\x00\r\n\r\n"
    handshake.receive_data(b"more")
    assert handshake.rest == b"\x81\x00\r\n\r\nmore"


def test_asking_again_gives_the_same_answer():
    handshake = ask()
    assert handshake.answer() is handshake.answer()


def test_there_is_nothing_to_answer_without_a_request():
    with pytest.raises(RuntimeError, match="no request"):
        ServerHandshake().answer()


def test_what_a_hook_sees():
    handshake = ServerHandshake(secure=True, peer=("10.0.0.1", 4711))
    handshake.receive_data(request_head(("Cookie", "a=1")))
    request = handshake.request
    assert request is not None
    assert (request.method, request.target, request.version) == ("GET", "/chat?x=1", "HTTP/1.1")
    assert (request.path, request.query, request.host) == ("/chat", "x=1", "localhost:9000")
    assert request.cookies == {"a": "1"}
    assert request.secure
    assert request.peer == ("10.0.0.1", 4711)


# -- requests that are refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"Host": None}, 400, "no Host header"),
        ({"Host": ""}, 400, "'' is no host"),
        ({"Host": "a b"}, 400, "is no host"),
        ({"Host": "a,b"}, 400, "is no host"),
        ({"Host": "a/b"}, 400, "is no host"),
        ({"Host": "user@a"}, 400, "is no host"),
        ({"Host": "a:b"}, 400, "is no host"),
        ({"Host": "::1"}, 400, "is no host"),
        ({"Upgrade": None}, 426, "this is a WebSocket server; connect to ws://localhost:9000/chat"),
        ({"Upgrade": ""}, 426, "this is a WebSocket server"),
        ({"Upgrade": "websocketx"}, 426, "this is a WebSocket server"),
        ({"Upgrade": "websocket/13"}, 426, "this is a WebSocket server"),
        ({"Upgrade": "h2c"}, 426, "this is a WebSocket server"),
        ({"Connection": None}, 400, "Connection header does not say 'Upgrade'"),
        ({"Connection": "upgrader"}, 400, "does not say 'Upgrade'"),
        ({"Connection": "keep-alive"}, 400, "nginx"),
        ({"Sec_WebSocket_Version": None}, 426, "spoken here are 13, 8"),
        ({"Sec_WebSocket_Version": "12"}, 426, "spoken here are 13, 8"),
        ({"Sec_WebSocket_Version": "013"}, 426, "spoken here are 13, 8"),
        ({"Sec_WebSocket_Version": "13, 8"}, 426, "spoken here are 13, 8"),
        ({"Sec_WebSocket_Key": None}, 400, "one Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": ""}, 400, "one Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "A" * 24}, 400, "16 bytes"),
        ({"Sec_WebSocket_Key": "A" * 20 + "=="}, 400, "16 bytes"),
        ({"Sec_WebSocket_Key": "A" * 23 + "="}, 400, "16 bytes"),
        ({"Sec_WebSocket_Key": "SGVsbG8sIHdvcmxkIQ=="}, 400, "16 bytes"),
        ({"Sec_WebSocket_Key": "-" * 22 + "=="}, 400, "16 bytes"),
        ({"Content_Length": "1"}, 400, "no body"),
        ({"Content_Length": "00"}, 400, "no body"),
        ({"Content_Length": "-1"}, 400, "no body"),
        ({"Content_Length": ""}, 400, "no body"),
        ({"Transfer_Encoding": "chunked"}, 400, "no body"),
        ({"Transfer_Encoding": "identity"}, 400, "no body"),
        ({"Sec_WebSocket_Protocol": "a b"}, 400, "is no token"),
        ({"Sec_WebSocket_Extensions": "a b"}, 400, "malformed at"),
    ],
)
def test_refused(changes, status, text):
    got = refusal(ask(**changes))
    assert got[0] == status
    assert text in got[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "localhost:9000"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ],
)
def test_what_may_come_only_once(name, value):
    assert refusal(ask((name, value)))[0] == 400


def test_two_content_lengths_are_refused():
    assert refusal(ask(("Content-Length", "0"), ("Content-Length", "0")))[0] == 400


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("POST /chat HTTP/1.1", 405, "the method 'POST' is not used here, only GET"),
        ("HEAD /chat HTTP/1.1", 405, "'HEAD'"),
        ("get /chat HTTP/1.1", 405, "'get'"),
        ("CONNECT h:80 HTTP/1.1", 405, "'CONNECT'"),
        ("GET /chat HTTP/1.0", 426, "proxy_http_version 1.1"),
        ("GET * HTTP/1.1", 400, "the target '*' is no path"),
        ("GET ?x HTTP/1.1", 400, "is no path"),
        ("GET h:80 HTTP/1.1", 400, "is no path"),
        ("GET http:///x HTTP/1.1", 400, "is no path"),
        ("GET ftp://h/x HTTP/1.1", 400, "is no path"),
        ("GET http://a@b/x HTTP/1.1", 400, "'a@b' is no host"),
        ("GET /#x HTTP/1.1", 400, "no HTTP request line"),
        ("GET /chat HTTP/2.0", 505, "only HTTP/1.1"),
        ("nonsense", 400, "'nonsense' is no HTTP request line"),
    ],
)
def test_refused_lines(line, status, text):
    got = refusal(ask(line=line))
    assert got[0] == status
    assert text in got[1]


def test_what_goes_with_405_and_426():
    response = ask(line="POST / HTTP/1.1").response
    assert response.headers["allow"] == "GET"
    response = ask(Sec_WebSocket_Version="7").response
    assert response.headers["sec-websocket-version"] == "13, 8"
    response = ask(Upgrade=None).response
    assert "sec-websocket-version" not in response.headers
    _, headers, _ = on_the_wire(response)
    assert headers.get_all("upgrade") == ["websocket"]
    assert headers.get_all("connection") == ["Upgrade, close"]


def test_a_plain_page_is_told_where_to_connect_over_tls():
    handshake = ask(server=ServerHandshake(secure=True), Upgrade=None)
    assert "wss://localhost:9000/chat" in refusal(handshake)[1]


def test_http2_gets_an_answer():
    handshake = ServerHandshake()
    handshake.receive_data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert refusal(handshake) == (
        505,
        "505 HTTP Version Not Supported: HTTP/2.0 is not spoken here, only HTTP/1.1\n",
    )


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"\x16", b"\x15\x03"])
def test_tls_on_a_plain_port_gets_an_answer_at_once(first):
    handshake = ServerHandshake()
    handshake.receive_data(first)
    status, text = refusal(handshake)
    assert status == 400
    assert "use ws:// instead of wss://" in text


@pytest.mark.parametrize("first", [b"\x00\x00", b"\x80", b"\r\n", b" GET", b"\xff"])
def test_what_is_no_http_gets_an_answer_at_once(first):
    handshake = ServerHandshake()
    handshake.receive_data(memoryview(first))
    assert refusal(handshake) == (400, "400 Bad Request: this is not HTTP\n")
    assert handshake.request is None
    assert handshake.answer() is handshake.response


def test_heads_are_limited():
    config = DEFAULT.replace(max_head_size=300, max_headers=6)
    assert ask(server=ServerHandshake(config=config)).accepted
    many = ask(("a", "b"), ("c", "d"), server=ServerHandshake(config=config))
    assert refusal(many)[0] == 431
    large = ServerHandshake(config=config)
    large.receive_data(b"GET / HTTP/1.1\r\nCookie: " + b"x" * 300)
    assert refusal(large)[0] == 431
    long = ServerHandshake(config=config)
    long.receive_data(b"GET /" + b"x" * 300)
    assert refusal(long) == (414, f"414 {REASON_414}: the first line is longer than 300 bytes\n")


REASON_414 = (
    Response.text(414, "").serialize().partition(b"\r\n")[0].decode()[len("HTTP/1.1 414 ") :]
)


def test_after_a_refusal_nothing_more_is_read():
    handshake = ServerHandshake()
    handshake.receive_data(b"\n")
    response = handshake.response
    handshake.receive_data(request_head())
    handshake.receive_eof()
    handshake.tick()
    assert handshake.response is response
    assert handshake.request is None
    assert handshake.rest == b""


def test_frames_sent_before_the_answer_are_bounded():
    handshake = ServerHandshake(config=DEFAULT.replace(high_water=100))
    handshake.receive_data(request_head())
    handshake.receive_data(b"x" * 100)
    assert handshake.response is None
    handshake.receive_data(b"x")
    assert refusal(handshake)[0] == 413


def test_errors_are_fit_for_a_log():
    handshake = ask(Host="a\x85\xa0b/")
    assert str(handshake.error).isascii()
    assert str(handshake.error).isprintable()


# -- time and the end ------------------------------------------------------------------------


def test_the_deadline_does_not_move_with_a_drip(clock):
    handshake = ServerHandshake(clock=clock)
    assert handshake.deadline == clock() + DEFAULT.open_timeout
    for byte in request_head()[:9]:
        handshake.receive_data(bytes([byte]))
        clock.advance(1)
        handshake.tick()
        assert handshake.response is None
    clock.advance_to(handshake.deadline)
    handshake.tick()
    assert handshake.response.status == 408
    assert b"within 10 seconds" in handshake.response.body
    assert isinstance(handshake.error, ConnectionTimeout)
    assert handshake.deadline is None


def test_there_is_no_deadline_once_the_request_is_there(clock):
    handshake = ServerHandshake(clock=clock)
    handshake.receive_data(request_head())
    assert handshake.deadline is None
    clock.advance(100)
    handshake.tick()
    assert handshake.response is None


def test_no_deadline_at_all(clock):
    handshake = ServerHandshake(config=DEFAULT.replace(open_timeout=None), clock=clock)
    assert handshake.deadline is None
    clock.advance(1e6)
    handshake.tick()
    assert handshake.response is None


def test_silence_is_not_answered():
    handshake = ServerHandshake()
    handshake.receive_data(b"")
    handshake.receive_eof()
    assert handshake.response is None
    assert handshake.deadline is None
    assert "ended before" in str(handshake.error)


def test_half_a_request_is_answered():
    handshake = ServerHandshake()
    handshake.receive_data(request_head()[:-1])
    handshake.receive_eof()
    assert refusal(handshake)[0] == 400


def test_the_end_behind_a_request_means_nothing():
    handshake = ServerHandshake()
    handshake.receive_data(request_head())
    handshake.receive_eof()
    assert handshake.response is None
    assert handshake.answer().status == 101


# -- Origin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:9000", "localhost:9000"),
        ("https://example.com", "example.com"),
        ("https://Example.com", "EXAMPLE.com"),
        ("https://example.com", "example.com:443"),
        ("http://example.com:80", "example.com"),
        ("http://example.com", "example.com:80"),
        ("http://example.com", "example.com:"),
        ("http://[::1]", "[::1]:80"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("ws://localhost:9000", "localhost:9000"),
        ("wss://example.com", "example.com"),
    ],
)
def test_pages_of_the_same_host_are_let_in(origin, host):
    assert ask(("Origin", origin), Host=host).accepted


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "localhost:9000"),
        ("http://localhost", "localhost:9000"),
        ("http://localhost:9001", "localhost:9000"),
        ("http://localhost:9000.evil.example", "localhost:9000"),
        ("http://evil.example/localhost:9000", "localhost:9000"),
        ("http://example.com", "example.com:443"),
        ("http://example.com:443", "example.com"),
        ("http://[::1]", "[::1]:8000"),
        ("null", "localhost:9000"),
        ("", "localhost:9000"),
        ("localhost:9000", "localhost:9000"),
        ("file://", "localhost:9000"),
        ("app://localhost:9000", "localhost:9000"),
        ("http://localhost:9000, http://localhost:9000", "localhost:9000"),
    ],
)
def test_foreign_pages_are_refused(origin, host):
    status, text = refusal(ask(("Origin", origin), Host=host))
    assert status == 403
    assert f"Origin {origin!r} is not allowed here" in text
    assert f"allowed are pages of {host!r}" in text


def test_the_host_of_the_target_goes_before_the_header():
    origin = ("Origin", "http://a.example")
    assert ask(origin, line="GET http://a.example/ HTTP/1.1").accepted
    assert not ask(origin, line="GET http://b.example/ HTTP/1.1", Host="a.example").accepted


def test_programs_send_no_origin():
    assert ask().accepted
    assert same_origin(None, Request("GET", "/", "HTTP/1.1", Headers()))
    assert not same_origin("http://", Request("GET", "/", "HTTP/1.1", Headers()))
    assert SAME_ORIGIN is same_origin


def test_two_origins_are_refused():
    origin = ("Origin", "http://localhost:9000")
    assert refusal(ask(origin, origin))[0] == 400


def test_version_8_calls_it_otherwise():
    evil = ("Sec-WebSocket-Origin", "http://evil.example")
    assert refusal(ask(evil, Sec_WebSocket_Version="8"))[0] == 403
    assert ask(
        ("Sec-WebSocket-Origin", "http://localhost:9000"), Sec_WebSocket_Version="8"
    ).accepted
    assert ask(evil).accepted


def with_origins(origins, origin):
    extra = [] if origin is None else [("Origin", origin)]
    return ask(*extra, server=ServerHandshake(origins=origins))


@pytest.mark.parametrize(
    ("origins", "origin", "accepted"),
    [
        (None, "http://evil.example", True),
        (None, None, True),
        (["https://a.example"], "https://a.example", True),
        (["https://A.example"], "https://a.EXAMPLE", True),
        (["https://a.example"], "https://a.example:443", False),
        (["https://a.example"], "https://b.example", False),
        (["https://a.example"], None, False),
        (["https://a.example", None], None, True),
        ([None], "https://a.example", False),
        ([re.compile(r"https://.*\.example")], "https://a.example", True),
        ([re.compile(r"https://.*\.example")], "https://a.example.evil", False),
        ([re.compile(r"https://.*\.example")], None, False),
        ([], "https://a.example", False),
        ([], None, False),
        (lambda origin, request: origin == request.path, "/chat", True),
        (lambda origin, request: origin == request.path, "https://a.example", False),
        (lambda origin, request: origin is None, None, True),
    ],
)
def test_origins(origins, origin, accepted):
    assert with_origins(origins, origin).accepted is accepted


def test_who_is_refused_learns_which_origins_are_allowed():
    origins = ["https://a.example", re.compile("https://b[0-9]"), None]
    text = refusal(with_origins(origins, "https://c.example"))[1]
    assert "allowed are https://a.example, https://b[0-9], none" in text
    assert "no Origin is not allowed here" in refusal(with_origins(["https://a.example"], None))[1]
    assert "no Origins at all" in refusal(with_origins([], "https://c.example"))[1]
    assert refusal(with_origins(lambda *_: False, "https://c.example"))[1].endswith("here\n")


def test_a_text_is_no_list():
    with pytest.raises(TypeError, match="origins has to be a list"):
        ServerHandshake(origins="https://a.example")
    with pytest.raises(TypeError, match="protocols has to be a list"):
        ServerHandshake(protocols="chat")
    with pytest.raises(TypeError, match="protocols has to be a list"):
        ClientHandshake(parse_uri("ws://h"), protocols="chat")


# -- subprotocols, extensions, hooks ---------------------------------------------------------


def with_protocols(offered, **arguments):
    extra = [("Sec-WebSocket-Protocol", value) for value in offered]
    return ask(*extra, server=ServerHandshake(**arguments))


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        (["chat"], ["chat"], "chat"),
        (["superchat, chat"], ["chat", "superchat"], "superchat"),
        (["superchat", "chat"], ["chat"], "chat"),
        (["chat"], ["superchat"], None),
        (["Chat"], ["chat"], None),
        (["chat"], [], None),
        ([], ["chat"], None),
    ],
)
def test_subprotocols(offered, spoken, chosen):
    handshake = with_protocols(offered, protocols=spoken)
    assert handshake.accepted
    assert handshake.subprotocol == chosen
    answered = handshake.response.headers.get_all("sec-websocket-protocol")
    assert answered == ([] if chosen is None else [chosen])


def test_a_selector_of_subprotocols():
    seen = []

    def select(request, offered):
        seen.append((request.path, offered))
        return offered[-1] if offered else None

    assert with_protocols(["a, b"], select_subprotocol=select).subprotocol == "b"
    assert with_protocols([], select_subprotocol=select).subprotocol is None
    assert seen == [("/chat", ["a", "b"]), ("/chat", [])]


@pytest.mark.parametrize(
    "arguments",
    [
        {"select_subprotocol": lambda request, offered: "other"},
        {"select_subprotocol": lambda request, offered: 1 / 0},
        {"origins": lambda origin, request: 1 / 0},
        {"extra_headers": [("X", "a\r\nSet-Cookie: b")]},
        {"extra_headers": [("X: y\r\nZ", "a")]},
    ],
)
def test_a_fault_of_ours_is_logged_and_answered(arguments, caplog):
    handshake = with_protocols(["a"], **arguments)
    assert refusal(handshake) == (
        500,
        "500 Internal Server Error: the server failed to answer this request\n",
    )
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.name == "ws4py.handshake"
    assert record.exc_info is not None
    assert "'/chat?x=1'" in record.getMessage()


def test_a_hook_may_refuse_with_an_answer_of_its_own():
    def select(request, offered):
        raise HandshakeError("who are you?", 401, [("WWW-Authenticate", "Basic")], b"page")

    handshake = with_protocols([], select_subprotocol=select)
    assert not handshake.accepted
    assert str(handshake.error) == "who are you?"
    status, headers, body = on_the_wire(handshake.response)
    assert status == 401
    assert headers["www-authenticate"] == "Basic"
    assert body == b"page"


def test_a_refusal_without_a_status_is_400():
    def select(request, offered):
        raise HandshakeError("no")

    assert refusal(with_protocols([], select_subprotocol=select))[0] == 400


def test_extra_headers():
    server = ServerHandshake(extra_headers=[("Server", "ws4py"), ("Set-Cookie", "a=1")])
    head = ask(server=server).response.serialize()
    assert head.endswith(b"=\r\nServer: ws4py\r\nSet-Cookie: a=1\r\n\r\n")


def test_compression_is_agreed_upon():
    offer = ("Sec-WebSocket-Extensions", "foo, permessage-deflate; client_max_window_bits")
    handshake = ask(offer)
    assert handshake.accepted
    assert handshake.deflate is not None
    (value,) = handshake.response.headers.get_all("sec-websocket-extensions")
    assert handshake.extensions == [value]
    assert value.startswith("permessage-deflate")


@pytest.mark.parametrize(
    ("offered", "config"),
    [
        ("foo", DEFAULT),
        ("", DEFAULT),
        ("permessage-deflate; nonsense", DEFAULT),
        ("permessage-deflate", DEFAULT.replace(compression=None)),
    ],
)
def test_no_compression(offered, config):
    offer = ("Sec-WebSocket-Extensions", offered)
    handshake = ask(offer, server=ServerHandshake(config=config))
    assert handshake.accepted
    assert handshake.deflate is None
    assert handshake.extensions == []
    assert "sec-websocket-extensions" not in handshake.response.headers


# -- answers of the application --------------------------------------------------------------


def test_an_ordinary_page():
    handshake = ServerHandshake()
    handshake.receive_data(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    page = Response.text(200, "fine\n")
    handshake.reject(page)
    assert handshake.response is page
    assert not handshake.accepted
    status, headers, body = on_the_wire(page)
    assert (status, body) == (200, b"fine\n")
    assert headers["content-length"] == "5"


def test_head_gets_no_body_and_others_still_do():
    page = Response.text(200, "fine\n")
    handshake = ServerHandshake()
    handshake.receive_data(b"HEAD /health HTTP/1.1\r\nHost: h\r\n\r\n")
    handshake.reject(page)
    _, headers, body = on_the_wire(handshake.response)
    assert body == b""
    assert headers["content-length"] == "5"
    assert page.serialize().endswith(b"fine\n")


def test_an_answer_that_cannot_be_sent(caplog):
    handshake = ServerHandshake()
    handshake.reject(Response.text(200, "", [("X", "a\r\nb")]))
    assert handshake.response.status == 500
    assert "cannot be sent" in caplog.text


# -- Response --------------------------------------------------------------------------------


def new_year():
    return time.gmtime(1767225600)


def test_a_refusal_on_the_wire():
    response = Response.text(403, "nö\n", [("X-A", "b")])
    assert response.serialize(now=new_year) == (
        b"HTTP/1.1 403 Forbidden\r\n"
        b"X-A: b\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b"Content-Length: 4\r\n"
        b"Connection: close\r\n\r\nn\xc3\xb6\n"
    )


@pytest.mark.parametrize("stamp", range(0, 2**31, 86400 * 290 + 3599))
def test_dates(stamp):
    moment = time.gmtime(stamp)
    expected = time.strftime("%a, %d %b %Y %H:%M:%S GMT", moment)
    answer = Response(200).serialize(now=lambda: moment)
    assert f"Date: {expected}\r\n".encode() in answer


def test_a_page_of_html():
    _, headers, body = on_the_wire(Response.html(200, "<p>ü"))
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert body == "<p>ü".encode()


def test_headers_of_the_application_are_kept():
    given = [
        ("content-type", "application/json"),
        ("Content-Length", "99"),
        ("date", "today"),
        ("Connection", "Close"),
    ]
    _, headers, _ = on_the_wire(Response.text(200, "{}", given))
    assert headers.get_all("content-type") == ["application/json"]
    assert headers.get_all("content-length") == ["2"]
    assert headers.get_all("date") == ["today"]
    assert headers.get_all("connection") == ["Close"]


@pytest.mark.parametrize("status", [103, 204, 304])
def test_answers_without_a_body(status):
    _, headers, body = on_the_wire(Response(status, body=b"x"))
    assert "content-length" not in headers
    assert body == b""


def test_a_status_that_nobody_knows():
    assert Response(299).serialize().startswith(b"HTTP/1.1 299 \r\n")


def test_nothing_can_be_slipped_into_an_answer():
    with pytest.raises(ValueError, match="control character"):
        Response(200, Headers([("A", "b\r\nC: d")])).serialize()


@pytest.mark.parametrize(
    "last",
    [
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"),
        ("Sec-WebSocket-Accept", "a\r\nB: c"),
        ("Sec-WebSocket-Accept", "\u20ac"),
        ("Sec-WebSocket-Accept", ""),
        ("No name", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("X", "y"),
    ],
)
def test_a_101_is_written_as_any_other_head(last):
    headers = Headers([("Upgrade", "websocket"), ("Connection", "Upgrade"), last])
    try:
        expected = format_head("HTTP/1.1 101 Switching Protocols", headers.items())
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            Response(101, headers).serialize()
    else:
        assert Response(101, headers).serialize() == expected


def test_a_101_may_be_added_to():
    response = ask().response
    before = response.serialize()
    response.headers.add("Set-Cookie", "a=b")
    assert response.serialize() == before[:-2] + b"Set-Cookie: a=b\r\n\r\n"


# -- Request ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("/", "/", "", "h"),
        ("/a%20b?c?d", "/a%20b", "c?d", "h"),
        ("//a/b", "//a/b", "", "h"),
        ("http://x:1/a?b", "/a", "b", "x:1"),
        ("HTTPS://x?b", "/", "b", "x"),
        ("*", "", "", "h"),
        ("x:80", "", "", "h"),
    ],
)
def test_targets(target, path, query, host):
    request = Request("GET", target, "HTTP/1.1", Headers([("Host", "h")]))
    assert (request.path, request.query, request.host) == (path, query, host)


def test_no_host():
    assert Request("GET", "/", "HTTP/1.1", Headers()).host == ""
    assert Request("GET", "*", "HTTP/1.1", Headers()).host == ""


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], {}),
        (["a=1"], {"a": "1"}),
        (["a=1; b=2;c=3 ; d"], {"a": "1", "b": "2", "c": "3"}),
        (["a=1; a=2", "a=3"], {"a": "1"}),
        (["a=b=c; d="], {"a": "b=c", "d": ""}),
        (['a="x y"; b="\\"q\\054"'], {"a": "x y", "b": '"q,'}),
        (["[a]={b}"], {"[a]": "{b}"}),
        (['a="' + "\\" * 5000 + '"'], {"a": '"' + "\\" * 5000 + '"'}),
    ],
)
def test_cookies(lines, cookies):
    headers = Headers([("Cookie", line) for line in lines])
    assert Request("GET", "/", "HTTP/1.1", headers).cookies == cookies


def environ(**changes):
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/chat",
        "QUERY_STRING": "x=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.1",
        "REMOTE_PORT": "4711",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "",
        "HTTP_HOST": "localhost:9000",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "wsgi.url_scheme": "https",
        "wsgi.input": object(),
        **changes,
    }


def test_a_request_of_wsgi():
    request = Request.from_environ(environ())
    assert (request.method, request.target, request.version) == ("GET", "/chat?x=1", "HTTP/1.1")
    assert request.secure
    assert request.peer == ("10.0.0.1", 4711)
    assert request.headers.items() == [
        ("Content-Type", "text/plain"),
        ("Host", "localhost:9000"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
    handshake = ServerHandshake()
    assert handshake.answer(request).headers["sec-websocket-accept"] == ACCEPT
    assert handshake.accepted
    assert handshake.request is request
    assert handshake.deadline is None
    assert handshake.rest == b""


def test_a_path_of_wsgi_is_encoded_again():
    path = "/ü?%#".encode().decode("latin-1")
    request = Request.from_environ(environ(SCRIPT_NAME="/app", PATH_INFO=path, QUERY_STRING=""))
    assert request.target == "/app/%C3%BC%3F%25%23"
    bare = {"REQUEST_METHOD": "GET"}
    assert Request.from_environ(bare).target == "/"
    assert Request.from_environ(bare).peer is None
    assert not Request.from_environ(bare).secure
    assert Request.from_environ({**bare, "REMOTE_ADDR": "::1"}).peer == ("::1", 0)


def test_a_body_is_refused_under_wsgi_too():
    handshake = ServerHandshake()
    handshake.answer(Request.from_environ(environ(CONTENT_LENGTH="5")))
    assert refusal(handshake)[0] == 400


# -- the client's request --------------------------------------------------------------------


def test_the_request_in_the_order_of_0_6():
    client = ClientHandshake(
        parse_uri("ws://localhost:9000/chat?x=1"),
        protocols=["chat", "superchat"],
        headers=[("Cookie", "a=1")],
        key=KEY.encode(),
        config=DEFAULT.replace(compression=None),
    )
    assert client.request == (
        b"GET /chat?x=1 HTTP/1.1\r\n"
        b"Host: localhost:9000\r\n"
        b"Connection: Upgrade\r\n"
        b"Upgrade: websocket\r\n"
        b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: chat, superchat\r\n"
        b"Cookie: a=1\r\n"
        b"Origin: http://localhost:9000\r\n\r\n"
    )


def headers_of(url="ws://h/", **arguments) -> Headers:
    return Headers(ClientHandshake(parse_uri(url), **arguments).request_headers)


def test_compression_is_offered():
    names = list(headers_of())
    assert names.index("Sec-WebSocket-Extensions") == names.index("Sec-WebSocket-Version") + 1
    assert headers_of()["sec-websocket-extensions"].startswith("permessage-deflate")


def test_keys_are_16_random_bytes():
    keys = {headers_of()["sec-websocket-key"] for _ in range(20)}
    assert len(keys) == 20
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


def test_a_given_header_takes_the_place_of_the_standard_one():
    headers = headers_of(
        headers=[("host", "virtual"), ("ORIGIN", "null"), ("X", "1"), ("X", "2"), ("host", "two")]
    )
    assert headers.items()[:2] == [("Host", "virtual"), ("Host", "two")]
    assert headers.get_all("origin") == ["null"]
    assert headers.get_all("x") == ["1", "2"]


def test_headers_can_be_left_out():
    headers = headers_of(
        headers=[("X-A", "1")],
        exclude_headers=["host", "ORIGIN", "x-a", "Sec-WebSocket-Extensions"],
    )
    assert list(headers) == ["Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]


def test_origin():
    assert headers_of("wss://h")["origin"] == "https://h"
    assert headers_of(origin="https://page.example")["origin"] == "https://page.example"


def test_user_and_password_of_the_url():
    headers = headers_of("ws://jö:p%3Aw@h/")
    scheme, _, login = headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(login).decode() == "jö:p:w"
    assert "authorization" not in headers_of("ws://h/")
    given = headers_of("ws://joe:pw@h/", headers=[("Authorization", "Bearer x")])
    assert given.get_all("authorization") == ["Bearer x"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"headers": [("X", "a\r\nY: b")]},
        {"headers": [("X:", "a")]},
        {"protocols": ["a b"]},
        {"protocols": ["a,b"]},
        {"protocols": ["a\r\nX: y"]},
        {"protocols": [""]},
        {"origin": "a\r\nX: y"},
        {"key": b"short"},
        {"key": b"\r\n"},
    ],
)
def test_what_cannot_stand_in_a_request(arguments):
    with pytest.raises(ValueError):
        ClientHandshake(parse_uri("ws://h/"), **arguments)


# -- the client's view of an answer ----------------------------------------------------------


def good_answer(*extra: tuple[str, str], line="HTTP/1.1 101 Switching Protocols", **changes):
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": ACCEPT,
    }
    for name, value in changes.items():
        headers[name.replace("_", "-")] = value
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in extra]
    return "\r\n".join([line, *lines, "", ""]).encode("latin-1")


def new_client(url="ws://localhost:9000/chat", **arguments) -> ClientHandshake:
    return ClientHandshake(parse_uri(url), key=KEY.encode(), **arguments)


def answered(*data: bytes, eof=False, **arguments) -> ClientHandshake:
    client = new_client(**arguments)
    for piece in data:
        client.receive_data(piece)
    if eof:
        client.receive_eof()
    return client


def failure(client: ClientHandshake) -> str:
    assert client.done
    assert client.deadline is None
    assert isinstance(client.error, HandshakeError)
    assert "ws://localhost:9000/chat" in str(client.error).replace("wss://", "ws://")
    assert str(client.error).isprintable()
    return str(client.error)


def test_a_good_answer():
    client = answered(good_answer())
    assert client.done
    assert client.error is None
    assert client.deadline is None
    assert client.response is not None
    assert client.response.status == 101
    assert client.subprotocol is None
    assert client.extensions == []
    assert client.deflate is None
    assert client.rest == b""


@pytest.mark.parametrize("size", [1, 2, 60])
def test_an_answer_in_pieces_and_what_comes_behind(size):
    client = new_client()
    data = good_answer() + b"\x81\x00\r\n\r\n"
    for i in range(0, len(data), size):
        client.receive_data(data[i : i + size])
    assert client.done
    assert client.error is None
    assert client.rest == b"\x81\x00\r\n\r\n"
    client.receive_eof()
    client.tick()
    assert client.error is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "websocket,"),
        ("Connection", "upgrade"),
        ("Connection", "keep-alive, Upgrade"),
        ("Content-Length", "0"),
    ],
)
def test_accepted_answers(name, value):
    client = answered(good_answer(**{name.replace("-", "_"): value}))
    assert client.error is None
    assert client.done


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (good_answer(Upgrade=None), "does not upgrade to WebSocket"),
        (good_answer(Upgrade="websocketx"), "does not upgrade to WebSocket"),
        (good_answer(Upgrade="websocket, h2c"), "does not upgrade to WebSocket"),
        (good_answer(("Upgrade", "websocket")), "does not upgrade to WebSocket"),
        (good_answer(Upgrade="web socket"), "does not upgrade to WebSocket"),
        (good_answer(Connection=None), "does not say 'Connection: Upgrade'"),
        (good_answer(Connection="close"), "does not say 'Connection: Upgrade'"),
        (good_answer(Sec_WebSocket_Accept=None), "wrong Sec-WebSocket-Accept"),
        (good_answer(Sec_WebSocket_Accept=ACCEPT.lower()), "wrong Sec-WebSocket-Accept"),
        (good_answer(Sec_WebSocket_Accept=ACCEPT + "x"), "wrong Sec-WebSocket-Accept"),
        (good_answer(("Sec-WebSocket-Accept", ACCEPT)), "wrong Sec-WebSocket-Accept"),
        (good_answer(line="HTTP/1.0 101 Switching"), "HTTP/1.0, which knows no upgrades"),
        (good_answer(("Sec-WebSocket-Protocol", "chat")), "chose subprotocol 'chat'"),
        (good_answer(("Sec-WebSocket-Extensions", "foo")), "not offered: foo"),
        (good_answer(("Sec-WebSocket-Extensions", "a b")), "malformed at"),
    ],
)
def test_refused_answers(data, text):
    client = answered(data)
    assert text in failure(client)
    assert client.error.status == 101
    assert client.error.headers == client.response.headers.items()
    assert client.deflate is None
    client.receive_data(b"more")
    assert client.rest == b""


@pytest.mark.parametrize(
    ("chosen", "accepted"),
    [
        (["chat"], True),
        (["superchat"], True),
        (["Chat"], False),
        (["chat, superchat"], False),
        (["chat", "superchat"], False),
        (["chat", "chat"], False),
        ([""], False),
        ([], True),
    ],
)
def test_the_servers_choice_of_subprotocol(chosen, accepted):
    data = good_answer(*[("Sec-WebSocket-Protocol", value) for value in chosen])
    client = answered(data, protocols=["chat", "superchat"])
    assert (client.error is None) is accepted
    assert client.subprotocol == (chosen[0] if accepted and chosen else None)


def test_a_subprotocol_offered_by_a_header():
    headers = [("Sec-WebSocket-Protocol", "a, chat")]
    client = answered(good_answer(("Sec-WebSocket-Protocol", "chat")), headers=headers)
    assert client.subprotocol == "chat"


def test_compression_is_used_when_the_server_agrees():
    data = good_answer(("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=9"))
    client = answered(data)
    assert client.error is None
    assert client.deflate is not None
    assert client.extensions == [client.deflate.parameters]
    assert answered(good_answer(("Sec-WebSocket-Extensions", ","))).extensions == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"config": DEFAULT.replace(compression=None)},
        {"exclude_headers": ["sec-websocket-extensions"]},
    ],
)
def test_compression_that_was_not_offered(arguments):
    data = good_answer(("Sec-WebSocket-Extensions", "permessage-deflate"))
    assert "not offered" in failure(answered(data, **arguments))


def test_a_key_of_ones_own_is_the_one_that_counts():
    client = ClientHandshake(parse_uri("ws://h/"), headers=[("Sec-WebSocket-Key", KEY)])
    client.receive_data(good_answer())
    assert client.error is None
    without = new_client(exclude_headers=["sec-websocket-key"])
    without.receive_data(good_answer())
    assert "wrong Sec-WebSocket-Accept" in str(without.error)


def test_answers_before_the_answer():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert answered(early + good_answer() + b"rest").rest == b"rest"
    assert answered(b"HTTP/1.1 100\r\n\r\n", early, good_answer()).error is None
    assert not answered(early).done


def test_answers_that_never_come_to_an_answer():
    client = new_client()
    client.receive_data(b"HTTP/1.1 100\r\n\r\n" * 100_000)
    assert "without coming to an answer" in failure(client)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x46", "answered with TLS: did you mean wss://?"),
        (b"\x16", "answered with TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", r"but with 'SSH-2.0-OpenSSH_9.2\r\n'"),
        (b"HTTP/2.0 200\r\n\r\n", "did not answer with HTTP/1.1"),
        (b"ICY 200 OK\r\n\r\n", "did not answer with HTTP/1.1"),
        (b"\x00\x00\x12\x04", "did not answer with HTTP/1.1"),
        (b"HTTP/1.1 101 ok\n", "is malformed: a line ends with LF alone"),
        (b"HTTP/1.1 ok\r\n\r\n", "is malformed: 'HTTP/1.1 ok' is no HTTP/1.1 status line"),
        (b"HTTP/1.1 101 ok\r\nA : b\r\n\r\n", "is malformed: there is a space before the colon"),
        (b"HTTP/1.1 101 ok\r\nA: " + b"x" * 20000, "is malformed: the head is longer"),
        (b"HTTP/1.1 101 ok\r\n" + b"A: b\r\n" * 101, "is malformed: there are more than 100"),
    ],
)
def test_what_is_no_answer(data, text):
    client = answered(data)
    assert text in failure(client)
    assert client.error.status is None
    assert client.response is None
    client.receive_data(good_answer())
    assert client.response is None
    # In pieces the first wrong byte is noticed, so the excerpt may be shorter.
    failure(answered(*[bytes([byte]) for byte in data]))


def test_tls_within_tls_is_something_else():
    client = answered(b"\x15\x03\x03", url="wss://localhost:9000/chat")
    assert "did not answer with HTTP/1.1" in failure(client)


def test_the_end_instead_of_an_answer():
    assert "without an answer; if it expects TLS, use wss://" in failure(answered(eof=True))
    text = failure(answered(eof=True, url="wss://localhost:9000/chat"))
    assert "TLS" not in text
    assert "within its answer" in failure(answered(good_answer()[:-1], eof=True))


# -- refusals and what people are told about them --------------------------------------------


def refused_with(status_line: str, *headers: str, body: bytes = b"", **arguments) -> str:
    head = "\r\n".join(
        [f"HTTP/1.1 {status_line}", *headers, f"Content-Length: {len(body)}", "", ""]
    )
    client = answered(head.encode("latin-1") + body, **arguments)
    text = failure(client)
    status = int(status_line[:3])
    assert f"answered {status_line.strip()}" in text
    assert client.error.status == client.response.status == status
    assert client.error.headers == client.response.headers.items()
    assert client.error.body == client.response.body == body
    return text


PAGE = b"<!doctype html>\n<html><head><title>My\n Site</title></head><body>Hello</body></html>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (
            "200 OK",
            ["Content-Type: text/html"],
            PAGE,
            "an HTML page and not WebSocket: is the path",
        ),
        ("200 OK", ["Content-Type: text/html"], PAGE, "It says 'My Site'"),
        ("200 OK", [], PAGE, "an HTML page"),
        ("200 OK", [], b"hello", "an ordinary answer and not WebSocket"),
        ("200 OK", ["Content-Type: text/html"], b"<p>a <b>b", "It says 'a b'"),
        ("301 Moved", ["Location: https://x/\x9b"], b"", r"redirects to 'https://x/\x9b'"),
        ("300 Choices", [], b"", "answered 300 Choices"),
        ("400 Bad Request", [], b"", "malformed"),
        (
            "400 Bad",
            [],
            b"sent to HTTPS port",
            "did you mean wss://? It says 'sent to HTTPS port'",
        ),
        ("401 Unauthorized", [], b"", "who you are"),
        ("403 Forbidden", [], b"Origin not allowed\n", "It says 'Origin not allowed'"),
        ("404 Not Found", [], b"", "nothing at this path"),
        ("418 Teapot", [], b"", "answered 418 Teapot"),
        ("426 Upgrade", [], b"", "another version of WebSocket"),
        ("426 Upgrade", ["Sec-WebSocket-Version: 99"], b"", "another version of WebSocket: '99'"),
        ("500 Oops", [], b"\x1b[31m\xff", r"its log knows more; it says '\x1b[31m\ufffd'"),
        ("503 Busy", [], b"", "try again later"),
        ("500 \x9b31m", [], b"", r"answered 500 \x9b31m: it failed"),
    ],
)
def test_what_a_refusal_says(status, headers, body, expected):
    if "\x9b" in status:
        client = answered(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
        assert expected in failure(client)
    else:
        assert expected in refused_with(status, *headers, body=body)


def test_a_hint_about_tls_makes_no_sense_over_tls():
    text = refused_with("400 Bad", body=b"HTTPS", url="wss://localhost:9000/chat")
    assert "did you mean" not in text


def test_a_status_without_a_reason():
    text = failure(answered(b"HTTP/1.1 418\r\nContent-Length: 0\r\n\r\n"))
    assert text == "ws://localhost:9000/chat answered 418"


def test_an_answer_in_http_1_0():
    client = answered(b"HTTP/1.0 404 Not Found\r\n\r\nno", eof=True)
    assert "answered 404 Not Found (in HTTP/1.0): " in failure(client)


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_is_not_waited_for(status):
    failure(answered(f"HTTP/1.1 {status} x\r\n\r\n".encode()))


def test_a_body_with_a_length():
    head = b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\n"
    assert not answered(head + b"abc").done
    assert answered(head + b"abc", b"defg").error.body == b"abcd"
    assert answered(head + b"abc", eof=True).error.body == b"abc"


@pytest.mark.parametrize("length", ["x", "-1", "1\r\nContent-Length: 1", "9" * 30])
def test_a_body_with_nonsense_for_a_length_ends_with_the_connection(length):
    head = f"HTTP/1.1 403 No\r\nContent-Length: {length}\r\n\r\n".encode()
    client = answered(head + b"abc")
    assert not client.done
    client.receive_eof()
    assert client.error.body == b"abc"


def test_a_body_is_cut_off():
    client = new_client()
    client.receive_data(b"HTTP/1.1 500 No\r\nContent-Length: 999999999\r\n\r\n")
    for _ in range(63):
        client.receive_data(memoryview(b"x" * 1024))
    assert not client.done
    client.receive_data(b"x" * 1_000_000)
    assert client.done
    assert client.error.body == b"x" * 65536


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n", b"abcdefg"),
        (b"0\r\n\r\n", b""),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"zz\r\nabc\r\n0\r\n\r\n", b""),
        (b"-3\r\nabc\r\n0\r\n\r\n", b""),
        (b"ffffffffffffffffffff\r\nabc0\r\n\r\n", b"abc0\r\n\r\n"),
    ],
)
def test_a_chunked_body(chunks, body):
    head = b"HTTP/1.1 403 No\r\nTransfer-Encoding: Chunked\r\n\r\n"
    client = answered(head, chunks)
    assert client.error.body == body
    assert client.response.body == body
    client = answered(head, chunks[:-1])
    assert not client.done
    client.receive_eof()
    assert body.startswith(client.error.body)


# -- the client's time -----------------------------------------------------------------------


def test_one_deadline_for_the_answer(clock):
    client = new_client(clock=clock)
    assert client.deadline == clock() + 10
    for byte in good_answer()[:9]:
        client.receive_data(bytes([byte]))
        clock.advance(1)
        client.tick()
        assert not client.done
    clock.advance_to(client.deadline)
    client.tick()
    assert client.done
    assert client.deadline is None
    assert isinstance(client.error, ConnectionTimeout)
    assert str(client.error) == (
        "ws://localhost:9000/chat did not answer the opening handshake within 10 seconds"
    )


def test_a_page_that_never_ends_does_not_hide_the_refusal(clock):
    client = new_client(clock=clock)
    client.receive_data(b"HTTP/1.1 403 Forbidden\r\n\r\nno")
    clock.advance(10)
    client.tick()
    assert isinstance(client.error, HandshakeError)
    assert client.error.status == 403
    assert client.error.body == b"no"


def test_the_deadline_may_be_moved(clock):
    client = new_client(clock=clock, config=DEFAULT.replace(open_timeout=None))
    assert client.deadline is None
    clock.advance(1e6)
    client.tick()
    assert not client.done
    client.deadline = clock()
    client.tick()
    assert isinstance(client.error, ConnectionTimeout)
    assert "within" not in str(client.error)


# -- both ends, back to back -----------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, Compression()])
@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("url", ["ws://h", "wss://[::1]:9000/ü?x=ß", "ws+unix:///run/x.sock:/chat"])
def test_both_ends(url, size, compression):
    config = DEFAULT.replace(compression=compression)
    client = ClientHandshake(parse_uri(url), config=config, protocols=["b", "a"])
    server = ServerHandshake(config=config, protocols=["a", "b"])
    for i in range(0, len(client.request), size):
        server.receive_data(client.request[i : i + size])
    answer = server.answer().serialize()
    for i in range(0, len(answer), size):
        client.receive_data(answer[i : i + size])
    assert server.accepted
    assert client.done
    assert client.error is None
    assert client.subprotocol == server.subprotocol == "b"
    assert client.extensions == server.extensions
    assert (client.deflate is None) == (server.deflate is None) == (compression is None)


@pytest.mark.parametrize("url", ["ws://h", "wss://h"])
def test_a_refusal_reaches_the_other_end(url):
    client = ClientHandshake(parse_uri(url), origin="https://evil.example")
    server = ServerHandshake()
    server.receive_data(client.request)
    client.receive_data(server.answer().serialize())
    assert client.error.status == 403
    assert "Origin 'https://evil.example' is not allowed here" in str(client.error)


# -- for those who put their own words to it -----------------------------------------------


def test_an_answer_may_be_replaced():
    server = ServerHandshake(origins=None)
    server.receive_data(request_head())
    response = server.answer()
    response.headers.add("X-A", "b")
    server.replace(response)
    assert server.accepted
    assert server.response is response
    server.replace(Response.text(403, "no"))
    assert not server.accepted
    assert server.response is not None
    assert server.response.status == 403
    server.replace(Response(101))
    assert not server.accepted, "nothing was agreed upon"


@pytest.mark.parametrize(
    ("answer", "header"),
    [
        ("Connection: Upgrade", "Upgrade"),
        ("Upgrade: websocket", "Connection"),
        ("Upgrade: websocket\r\nConnection: Upgrade", "Sec-WebSocket-Accept"),
    ],
)
def test_the_header_that_is_to_blame(answer, header):
    client = ClientHandshake(parse_uri("ws://localhost/"))
    client.receive_data(f"HTTP/1.1 101 Fine\r\n{answer}\r\n\r\n".encode())
    assert isinstance(client.error, HandshakeError)
    assert client.error.header == header


def test_an_end_without_an_answer_has_a_cause():
    client = ClientHandshake(parse_uri("ws://localhost/"))
    client.receive_eof()
    assert isinstance(client.error, HandshakeError)
    assert isinstance(client.error.__cause__, EOFError)
    assert client.error.header is None

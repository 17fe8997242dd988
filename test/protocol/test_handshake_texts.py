"""What people are told when the opening handshake fails: each text, word by word.

What happened, to which address, the likely cause, and what to do about it.
"""

from __future__ import annotations

import pytest

from ws4py.protocol.handshake import ClientHandshake
from ws4py.protocol.headers import accept_key
from ws4py.protocol.uri import parse_uri

URL = "ws://localhost:9000/chat"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body>Hello</body></html>"


def text_of(*pieces: bytes, url: str = URL, eof: bool = False, **options) -> str:
    client = ClientHandshake(parse_uri(url), key=KEY, **options)
    for piece in pieces:
        client.receive_data(piece)
    if eof:
        client.receive_eof()
    assert client.error is not None
    return str(client.error)


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def upgrade(**changes: str | None) -> bytes:
    fields: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_key(KEY.decode()),
    }
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


TEXTS = [
    (
        answer("200 OK", "Content-Type: text/html", body=PAGE),
        "ws://localhost:9000/chat answered 200 OK: that is an HTML page and not WebSocket: is the"
        " path right? It says 'Welcome'",
    ),
    (
        answer("200 OK", body=b"hello"),
        "ws://localhost:9000/chat answered 200 OK: that is an ordinary answer and not WebSocket: is"
        " the path right? It says 'hello'",
    ),
    (
        answer("302 Found", "Location: /login"),
        "ws://localhost:9000/chat answered 302 Found: it redirects to '/login'",
    ),
    (
        answer("302 Found"),
        "ws://localhost:9000/chat answered 302 Found: it redirects without saying where to",
    ),
    (
        answer("400 Bad Request", body=b"The plain HTTP request was sent to HTTPS port"),
        "ws://localhost:9000/chat answered 400 Bad Request: did you mean wss://? It says 'The"
        " plain HTTP request was sent to HTTPS port'",
    ),
    (
        answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'),
        "ws://localhost:9000/chat answered 401 Unauthorized: it wants user name and password: put"
        " them into the URL or give auth=(user, password)",
    ),
    (
        answer("401 Unauthorized", "WWW-Authenticate: Bearer"),
        "ws://localhost:9000/chat answered 401 Unauthorized: it wants a token: give"
        " auth=Bearer(token)",
    ),
    (
        answer("401 Unauthorized", 'WWW-Authenticate: Digest realm="x", nonce="y"'),
        "ws://localhost:9000/chat answered 401 Unauthorized: it wants a Digest login: give"
        " auth=Digest(user, password)",
    ),
    (
        answer("401 Unauthorized"),
        "ws://localhost:9000/chat answered 401 Unauthorized: it wants to know who you are: give"
        " auth=… or an Authorization header",
    ),
    (
        answer("403 Forbidden"),
        "ws://localhost:9000/chat answered 403 Forbidden: you may not connect: is a token or cookie"
        " missing, or Origin 'http://localhost:9000' not allowed?",
    ),
    (
        answer("404 Not Found"),
        "ws://localhost:9000/chat answered 404 Not Found: there is nothing at this path: is it"
        " spelled right?",
    ),
    (
        answer("405 Method Not Allowed"),
        "ws://localhost:9000/chat answered 405 Method Not Allowed: there is something else than"
        " WebSocket at this path: is it the right one?",
    ),
    (
        answer("407 Proxy Authentication Required"),
        "ws://localhost:9000/chat answered 407 Proxy Authentication Required: a proxy in between"
        " wants to know who you are: put user name and password into its URL",
    ),
    (
        answer("426 Upgrade Required", "Sec-WebSocket-Version: 8, 7"),
        "ws://localhost:9000/chat answered 426 Upgrade Required: it wants another protocol or"
        " another version of WebSocket: '8, 7'; sent was 13",
    ),
    (
        answer("426 Upgrade Required", "Upgrade: TLS/1.2, HTTP/1.1"),
        "ws://localhost:9000/chat answered 426 Upgrade Required: it wants another protocol or"
        " another version of WebSocket: 'TLS/1.2, HTTP/1.1'",
    ),
    (
        answer("429 Too Many Requests"),
        "ws://localhost:9000/chat answered 429 Too Many Requests: too many connections or"
        " attempts: wait before the next one",
    ),
    (
        answer("500 Internal Server Error", body=b"Traceback ..."),
        "ws://localhost:9000/chat answered 500 Internal Server Error: it failed: its log knows"
        " more; it says 'Traceback ...'",
    ),
    (
        answer("502 Bad Gateway"),
        "ws://localhost:9000/chat answered 502 Bad Gateway: the proxy in front cannot reach the"
        " server: is it running?",
    ),
    (
        answer("503 Service Unavailable"),
        "ws://localhost:9000/chat answered 503 Service Unavailable: it is overloaded or not ready:"
        " try again later",
    ),
    (
        upgrade(Upgrade=None),
        "the 101 of ws://localhost:9000/chat does not upgrade to WebSocket: does a proxy in between"
        " drop the Upgrade header?",
    ),
    (
        upgrade(Connection="close"),
        "the 101 of ws://localhost:9000/chat does not say 'Connection: Upgrade': does a proxy in"
        " between drop that header?",
    ),
    (
        upgrade(Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        "the 101 of ws://localhost:9000/chat has a wrong Sec-WebSocket-Accept, so it answers"
        " another request: is there a cache in between?",
    ),
    (
        upgrade(Sec_WebSocket_Protocol="soap"),
        "the 101 of ws://localhost:9000/chat chose subprotocol 'soap', but offered was none:"
        " protocols=[…] says what to offer",
    ),
    (
        upgrade(Sec_WebSocket_Extensions="x-webkit-deflate-frame"),
        "the 101 of ws://localhost:9000/chat cannot be used: the server uses an extension that was"
        " not offered: x-webkit-deflate-frame",
    ),
    (
        b"SSH-2.0-OpenSSH_9.2\r\n",
        "ws://localhost:9000/chat did not answer with HTTP/1.1 but with"
        r" 'SSH-2.0-OpenSSH_9.2\r\n': is the port right?",
    ),
    (
        b"\x15\x03\x03\x00\x02\x02\x46",
        "ws://localhost:9000/chat answered with TLS: did you mean wss://?",
    ),
]


@pytest.mark.parametrize(("data", "text"), TEXTS, ids=[text[25:60] for _, text in TEXTS])
def test_an_answer(data, text):
    assert text_of(data) == text


def test_a_login_that_is_not_taken():
    headers = [("Authorization", "Basic c2VjcmV0")]
    assert text_of(answer("401 Unauthorized"), headers=headers) == (
        "ws://localhost:9000/chat answered 401 Unauthorized: it does not take the Basic login that"
        " was sent: is it right, and not expired?"
    )
    assert text_of(answer("403 Forbidden"), headers=headers, exclude_headers=["origin"]) == (
        "ws://localhost:9000/chat answered 403 Forbidden: you may not connect: is this user not"
        " allowed, or an Origin missing?"
    )


def test_no_text_has_the_password_in_it():
    text = text_of(answer("401 Unauthorized"), url="ws://joe:secret@localhost:9000/chat")
    assert "secret" not in text
    assert "am9l" not in text


@pytest.mark.parametrize(
    ("url", "data", "text"),
    [
        (
            URL,
            b"",
            "ws://localhost:9000/chat closed the connection without an answer: if it expects TLS,"
            " use wss://",
        ),
        (
            "wss://localhost:9000/chat",
            b"",
            "wss://localhost:9000/chat closed the connection without an answer: its log may know"
            " why",
        ),
        (
            URL,
            b"HTTP/1.1 101 Swi",
            "ws://localhost:9000/chat closed the connection within its answer: its log may know"
            " why",
        ),
    ],
)
def test_the_end_instead_of_an_answer(url, data, text):
    assert text_of(data, url=url, eof=True) == text

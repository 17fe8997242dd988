"""HTTP around a client's opening handshake, without sockets: requests out, answers in."""

from __future__ import annotations

import sys
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy

import pytest

from ws4py.client import WebSocketBaseClient
from ws4py.client.auth import Bearer, Digest, login
from ws4py.client.cookies import cookie_text, keep_cookies
from ws4py.client.journey import MAX_QUESTIONS, Journey, header_pairs
from ws4py.exc import HandshakeError
from ws4py.protocol.config import Config
from ws4py.protocol.headers import Headers
from ws4py.protocol.uri import parse_uri

SECRET = [("Authorization", "Bearer abc"), ("X-Kind", "mine"), ("Host", "elsewhere")]


def refusal(status: int, *headers: tuple[str, str], body: bytes = b"") -> HandshakeError:
    return HandshakeError("refused", status, headers, body)


def redirect(place: str, status: int = 302) -> HandshakeError:
    return refusal(status, ("Location", place))


def names(journey: Journey) -> set[str]:
    return {name.lower() for name, _ in journey.headers}


# -- headers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [[("A", "1"), ("B", "2")], {"A": "1", "B": "2"}, Headers([("A", "1"), ("B", "2")])]
)
def test_headers_may_be_given_as(given):
    assert header_pairs(given) == [("A", "1"), ("B", "2")]
    ws = WebSocketBaseClient("ws://h/", headers=given)
    assert ws.extra_headers == [("A", "1"), ("B", "2")]
    assert b"\r\nA: 1\r\nB: 2\r\n" in ws.handshake_request


def test_the_request_shows_no_more_than_is_known_before():
    def never():
        raise AssertionError("called without an attempt")

    ws = WebSocketBaseClient("ws://h/", headers=never, auth=never, cookies="a=1", origin="http://o")
    assert ("Cookie", "a=1") in ws.handshake_headers
    assert ("Origin", "http://o") in ws.handshake_headers
    ws = WebSocketBaseClient("ws://h/", headers={"X": "1"}, auth=("me", "pw"))
    assert ws.handshake_headers[-3:] == [
        ("Authorization", "Basic bWU6cHc="),
        ("X", "1"),
        ("Origin", "http://h"),
    ]


def test_a_host_of_ones_own_and_excluded_headers():
    ws = WebSocketBaseClient(
        "ws://127.0.0.1:9/",
        headers={"Host": "chat.example"},
        exclude_headers=["Origin", "Cookie"],
        cookies="a=1",
    )
    assert [value for name, value in ws.handshake_headers if name == "Host"] == ["chat.example"]
    assert not {"Origin", "Cookie"} & {name for name, _ in ws.handshake_headers}


# -- cookies -------------------------------------------------------------------------------


def cookie(name: str, value: str, domain: str, *, secure: bool = False) -> Cookie:
    return Cookie(
        0, name, value, None, False, domain, False, False, "/", True, secure, None, True, None,
        None, {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text"),
    [(None, ""), ("a=1; b=2", "a=1; b=2"), ({"a": "1", "b": ""}, "a=1; b="), ({}, "")],
)
def test_cookies_may_be_given_as(given, text):
    assert cookie_text(given, parse_uri("ws://h/")) == text


@pytest.mark.parametrize("given", [{"a": "1; b=2"}, {"a b": "1"}, {"a": "x y"}, {"a=b": "c"}])
def test_one_cookie_is_not_two(given):
    with pytest.raises(ValueError, match="is no cookie"):
        cookie_text(given, parse_uri("ws://h/"))


def test_what_is_no_cookie():
    with pytest.raises(TypeError, match="has to be a str, a mapping or a CookieJar"):
        cookie_text(7, parse_uri("ws://h/"))


def test_a_jar_knows_for_whom_a_cookie_is():
    jar = CookieJar()
    jar.set_cookie(cookie("here", "1", "a.example"))
    jar.set_cookie(cookie("safe", "2", "a.example", secure=True))
    jar.set_cookie(cookie("there", "3", "b.example"))
    assert cookie_text(jar, parse_uri("ws://a.example/x")) == "here=1"
    assert cookie_text(jar, parse_uri("wss://a.example/x")) == "here=1; safe=2"
    assert cookie_text(jar, parse_uri("wss://b.example:99/")) == "there=3"
    assert cookie_text(jar, parse_uri("wss://c.example/")) == ""


def test_a_jar_keeps_what_comes_by_its_policy():
    jar = CookieJar()
    uri = parse_uri("wss://a.example/x/y")
    answer = [
        ("Set-Cookie", "a=1; Secure; HttpOnly"),
        ("Set-Cookie", "b=2; Path=/x; Max-Age=60"),
        ("Set-Cookie", "evil=3; Domain=b.example"),
        ("Set-Cookie", ";;;=\x00"),
    ]
    keep_cookies(jar, uri, answer)
    assert {c.name for c in jar} == {"a", "b"}
    assert sorted(cookie_text(jar, uri).split("; ")) == ["a=1", "b=2"]
    strict = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    keep_cookies(strict, uri, answer)
    assert not list(strict)
    keep_cookies("a=1", uri, answer)
    keep_cookies(None, uri, answer)


def test_a_port_and_a_local_name_are_part_of_it():
    jar = CookieJar()
    uri = parse_uri("ws://localhost:9000/chat")
    keep_cookies(jar, uri, [("Set-Cookie", 'p=1; Port="9000"; Version=1'), ("Set-Cookie", "q=2")])
    assert "q=2" in cookie_text(jar, uri)
    assert "q=2" in cookie_text(jar, parse_uri("ws+unix:///run/x.sock:/chat"))


def test_all_cookies_go_in_one_line():
    journey = Journey(parse_uri("ws://h/"), headers=[("Cookie", "a=1"), ("X", "y")], cookies="b=2")
    assert journey.headers == [("X", "y"), ("Cookie", "a=1; b=2")]


def test_cookies_that_are_set_on_the_way_are_sent_on():
    jar = CookieJar()
    journey = Journey(parse_uri("wss://a.example/"), cookies=jar)
    journey.refused(refusal(302, ("Location", "/in"), ("Set-Cookie", "session=1")))
    assert journey.headers == [("Cookie", "session=1")]
    journey.accepted([("Set-Cookie", "late=2")])
    assert {c.name for c in jar} == {"session", "late"}
    journey.refused(redirect("wss://b.example/"))
    assert journey.headers == []


# -- redirects -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("url", "place", "target"),
    [
        ("ws://h/a/b?c", "/d?e", "ws://h/d?e"),
        ("ws://h/a/b?c", "d", "ws://h/a/d"),
        ("ws://h/a/b", "?x=1", "ws://h/a/b?x=1"),
        ("ws://h/a", "#part", "ws://h/a"),
        ("ws://h:81/a", "//other/b", "ws://other/b"),
        ("wss://h/a", "//other/b", "wss://other/b"),
        ("ws://h/a", "http://h:82/b#x", "ws://h:82/b"),
        ("ws://h/a", "WSS://H/b", "wss://h/b"),
        ("ws://[::1]:9/a", "b", "ws://[::1]:9/b"),
        ("ws://h/", "/\xc3\xbc", "ws://h/%C3%BC"),
        ("ws+unix:///x.sock:/a", "b", "ws+unix:///x.sock:/b"),
        ("wss+unix:///x.sock:/a", "https://localhost/b", "wss+unix:///x.sock:/b"),
        ("ws+unix:///x.sock:/a", "ws://h/b", "ws://h/b"),
    ],
)
def test_a_redirect_is_followed(status, url, place, target):
    journey = Journey(parse_uri(url))
    journey.refused(redirect(place, status))
    assert str(journey.uri) == target


@pytest.mark.parametrize(
    ("url", "place", "why"),
    [
        (
            "wss://h/",
            "ws://h/x",
            "it would give up TLS; connect to ws://h/x if that is what you want",
        ),
        (
            "wss://h/",
            "http://other/",
            "it would give up TLS; connect to ws://other/ if that is what you want",
        ),
        (
            "wss+unix:///x",
            "ws://h/",
            "it would give up TLS; connect to ws://h/ if that is what you want",
        ),
        ("ws://h/", "ws+unix:///run/x", "no server chooses a Unix socket on this machine"),
        ("ws+unix:///x", "WS+UNIX:///y", "no server chooses a Unix socket on this machine"),
        (
            "ws://h/",
            "ftp://h/",
            "'ftp://h/' is no WebSocket URL: the scheme 'ftp' is not known; known are ws://,"
            " wss://, http://, https://, ws+unix://, wss+unix://",
        ),
        (
            "ws://h/",
            "/a b",
            "'http://h/a b' is no WebSocket URL: it contains a space or a control character; write"
            " a space as %20",
        ),
    ],
)
def test_a_redirect_that_is_not_followed(url, place, why):
    journey = Journey(parse_uri(url))
    error = refusal(301, ("Location", place), ("X", "y"), body=b"page")
    with pytest.raises(HandshakeError) as caught:
        journey.refused(error)
    assert str(caught.value) == (
        f"{parse_uri(url)} answered 301 Moved Permanently and redirects to {place!r}, which is not"
        f" followed: {why}"
    )
    assert (caught.value.status, caught.value.body) == (301, b"page")
    assert caught.value.headers == error.headers


@pytest.mark.parametrize("place", ["http://[", "//[::1", "http://h:x/", "http://h:99999/"])
def test_a_redirect_to_nonsense(place):
    with pytest.raises(HandshakeError, match="which is not followed: "):
        Journey(parse_uri("ws://h/")).refused(redirect(place))


def test_a_long_redirect_makes_no_long_text():
    with pytest.raises(HandshakeError) as caught:
        Journey(parse_uri("ws://h/")).refused(redirect("ftp://" + "x" * 10_000))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "error",
    [
        refusal(302),
        refusal(302, ("Location", "/a"), ("Location", "/b")),
        refusal(300, ("Location", "/a")),
        refusal(304, ("Location", "/a")),
        refusal(200, ("Location", "/a")),
        refusal(101, ("Location", "/a")),
        HandshakeError("no answer at all"),
    ],
)
def test_what_is_no_redirect(error):
    with pytest.raises(HandshakeError) as caught:
        Journey(parse_uri("ws://h/")).refused(error)
    assert caught.value is error


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (0, "Config.max_redirects is 0"),
        (3, "there were 3 redirects already: a circle? Config.max_redirects is 3"),
    ],
)
def test_redirects_come_to_an_end(limit, why):
    journey = Journey(parse_uri("ws://h/"), max_redirects=limit)
    for _ in range(limit):
        journey.refused(redirect("/"))
    with pytest.raises(HandshakeError) as caught:
        journey.refused(redirect("/"))
    assert str(caught.value) == (
        f"ws://h/ answered 302 Found and redirects to '/', which is not followed: {why}"
    )
    with pytest.raises(ValueError, match="max_redirects"):
        Config(max_redirects=-1)


@pytest.mark.parametrize(
    ("url", "place", "safe"),
    [
        ("ws://h/", "/other", True),
        ("ws://h:80/", "http://h/other", True),
        ("ws://h/", "https://h/", True),
        ("ws+unix:///x.sock:/a", "/b", True),
        ("ws://h/", "ws://h:81/", False),
        ("ws://h:81/", "wss://h/", False),
        ("ws://h/", "wss://h:444/", False),
        ("ws://h/", "ws://other/", False),
        ("ws://h/", "ws://sub.h/", False),
        ("wss://h/", "//other", False),
        ("ws+unix:///x.sock", "ws://h/", False),
    ],
)
def test_secrets_stay_with_their_origin(url, place, safe):
    for options in (
        {"headers": SECRET, "cookies": "a=1"},
        {"headers": [("X-Kind", "mine"), ("Cookie", "b=2"), ("Proxy-Authorization", "c")]},
        {"auth": ("me", "pw"), "headers": [("X-Kind", "mine")]},
        {"auth": Digest("me", "pw"), "headers": [("X-Kind", "mine")]},
    ):
        journey = Journey(parse_uri(url), **options)
        before = names(journey)
        journey.refused(redirect(place))
        assert names(journey) == (before if safe else {"x-kind"})
        # And they do not come back with the next redirect.
        if not safe and not url.startswith("wss") and journey.uri.secure is False:
            journey.refused(redirect(url if "unix" not in url else "/"))
            assert names(journey) == {"x-kind"}


def test_the_password_of_the_url_stays_with_its_origin():
    journey = Journey(parse_uri("ws://me:pw@h/"))
    journey.refused(redirect("/b"))
    assert journey.uri.userinfo == ("me", "pw")
    journey.refused(redirect("ws://other/"))
    assert journey.uri.userinfo is None


def test_a_server_does_not_say_who_we_are():
    journey = Journey(parse_uri("ws://me:pw@h/"))
    journey.refused(redirect("ws://you:x@h/b"))
    assert journey.uri.userinfo == ("me", "pw")
    journey.refused(redirect("ws://you:x@other/"))
    assert journey.uri.userinfo is None


# -- who one is ----------------------------------------------------------------------------


def test_basic_and_bearer_are_sent_without_being_asked():
    uri = parse_uri("ws://a:b@h/")
    assert Journey(uri, auth=("me", "ü:")).headers == [("Authorization", "Basic bWU6w7w6")]
    assert Journey(uri, auth=Bearer("abc")).headers == [("Authorization", "Bearer abc")]
    error = refusal(401, ("WWW-Authenticate", "Basic"))
    with pytest.raises(HandshakeError) as caught:
        Journey(uri, auth=("me", "pw")).refused(error)
    assert caught.value is error


def test_auth_takes_the_place_of_a_header():
    journey = Journey(parse_uri("ws://h/"), headers={"authorization": "x"}, auth=Bearer("abc"))
    assert journey.headers == [("Authorization", "Bearer abc")]


def test_no_secret_is_shown():
    assert "abc" not in repr(Bearer("abc"))
    with pytest.raises(TypeError, match=r"httpx.Auth, not of type str$"):
        login("abc")


CHALLENGE = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256')


def test_digest_answers_the_challenge():
    journey = Journey(parse_uri("ws://h:81/chat?x=1"), auth=Digest("me", "pw"))
    assert journey.headers == []
    journey.refused(refusal(401, CHALLENGE, ("Content-Encoding", "gzip"), body=b"no gzip at all"))
    [(name, value)] = journey.headers
    assert name == "Authorization"
    assert value.startswith('Digest username="me", realm="r", nonce="n", uri="/chat?x=1", ')
    again = refusal(401, CHALLENGE)
    with pytest.raises(HandshakeError) as caught:
        journey.refused(again)
    assert caught.value is again


def test_digest_that_is_kept_is_not_asked_again():
    auth = Digest("me", "pw")
    Journey(parse_uri("ws://h/"), auth=auth).refused(refusal(401, CHALLENGE))
    assert Journey(parse_uri("ws://h/"), auth=auth).headers[0][1].startswith("Digest ")


@pytest.mark.parametrize(
    "challenge",
    ["Digest", "Digest realm", 'Digest realm="r"', 'Digest realm="r", nonce="n", algorithm=ROT13'],
)
def test_digest_and_a_server_that_makes_it_stumble(challenge):
    journey = Journey(parse_uri("ws://h/"), auth=Digest("me", "pw"))
    with pytest.raises(HandshakeError) as caught:
        journey.refused(refusal(401, ("WWW-Authenticate", challenge)))
    assert caught.value.status == 401


def test_any_authentication_of_httpx_serves():
    httpx = pytest.importorskip("httpx")

    class Endless(httpx.Auth):
        def auth_flow(self, request):
            while True:
                request.headers["X-Api-Key"] = "k"
                yield request

    journey = Journey(parse_uri("ws://h/"), headers={"X": "y"}, auth=Endless())
    assert journey.headers == [("X-Api-Key", "k"), ("X", "y")]
    for _ in range(MAX_QUESTIONS):
        journey.refused(refusal(401))
    with pytest.raises(HandshakeError):
        journey.refused(refusal(401))


def test_digest_needs_httpx(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r'pip install "ws4py\[digest\]"'):
        Digest("me", "pw")

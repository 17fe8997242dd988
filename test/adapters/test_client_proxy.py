"""Which proxy leads to a server, and what is said to it: without a network."""

from __future__ import annotations

import sys

import pytest

from ws4py.client.proxy import Socks, Tunnel, is_excepted, proxy_for
from ws4py.exc import ProxyError
from ws4py.protocol.config import DEFAULT
from ws4py.protocol.uri import parse_proxy, parse_uri

# -- which one -----------------------------------------------------------------------------


def chosen(url, choice=True, **environ):
    found = proxy_for(parse_uri(url), choice, environ)
    return found and str(found)


def test_a_url_names_the_proxy_and_nothing_else_counts():
    environ = {"http_proxy": "http://else:1", "no_proxy": "*"}
    assert chosen("ws://far.test/", "http://me:pw@proxy:3128", **environ) == "http://proxy:3128"
    assert chosen("ws://localhost/", "socks5h://proxy") == "socks5h://proxy:1080"
    assert chosen("ws://far.test/", None, **environ) is None
    assert chosen("ws://far.test/", False, **environ) is None


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("ws://far.test/", {}, None),
        ("ws://far.test/", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("ws://far.test/", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("ws://far.test/", {"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:1"}, "http://q:1"),
        ("ws://far.test/", {"https_proxy": "http://p:1"}, None),
        ("wss://far.test/", {"http_proxy": "http://p:1"}, None),
        ("wss://far.test/", {"https_proxy": "https://p:1"}, "https://p:1"),
        ("ws://far.test/", {"all_proxy": "socks5://p"}, "socks5://p:1080"),
        ("wss://far.test/", {"ALL_PROXY": "socks4a://p"}, "socks4a://p:1080"),
        ("ws://far.test/", {"all_proxy": "http://p:1", "ws_proxy": "http://q:1"}, "http://q:1"),
        ("wss://far.test/", {"https_proxy": "http://p:1", "WSS_PROXY": "q:1"}, "http://q:1"),
        ("ws://far.test/", {"http_proxy": "", "all_proxy": "http://p:1"}, "http://p:1"),
        ("ws://localhost:80/", {"http_proxy": "http://p:1"}, None),
        ("ws://127.8.9.1/", {"http_proxy": "http://p:1"}, None),
        ("ws://[::1]/", {"http_proxy": "http://p:1"}, None),
        ("ws+unix:///run/x", {"all_proxy": "http://p:1"}, None),
        ("ws://far.test/", {"http_proxy": "http://p:1", "no_proxy": "test"}, None),
        ("ws://far.test/", {"http_proxy": "http://p:1", "NO_PROXY": "x, .test"}, None),
        # A CGI program: that variable may be a header of a request.
        ("ws://far.test/", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
    ],
)
def test_the_environment_names_a_proxy(url, environ, expected):
    assert chosen(url, **environ) == expected


@pytest.mark.parametrize(
    ("host", "exceptions", "expected"),
    [
        ("far.test", "", False),
        ("far.test", "*", True),
        ("far.test", "far.test", True),
        ("FAR.test", "Far.Test", True),
        ("a.far.test", "far.test", True),
        ("a.far.test", ".far.test", True),
        ("a.far.test", "*.far.test", True),
        ("far.test", ".far.test", False),
        ("nofar.test", "far.test", False),
        ("far.test", "near.test far.test", True),
        ("far.test", "far.test:80", True),
        ("far.test", "far.test:8080", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:80", True),
        ("10.1.2.3", "2.3", False),
        ("10.1.2.3", "10.1.2.9/24", True),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "[fd00::1]:80", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("[fd00::1]", "fd00:0::1", True),
        ("[fd00::1]", "10.0.0.0/8", False),
        ("far.test", "10.0.0.0/8,fd00::/8,,", False),
    ],
)
def test_no_proxy(host, exceptions, expected):
    assert is_excepted(parse_uri(f"ws://{host}/"), exceptions) is expected


def test_the_url_of_a_proxy():
    proxy = parse_proxy("HTTPS://me:s%40cret@[::1]:8080/ignored")
    assert (proxy.scheme, proxy.host, proxy.port) == ("https", "::1", 8080)
    assert proxy.userinfo == ("me", "s@cret")
    assert str(proxy) == "https://[::1]:8080"
    assert "cret" not in repr(proxy)
    assert str(parse_proxy("proxy:3128")) == "http://proxy:3128"
    with pytest.raises(ValueError, match="no URL of a proxy") as caught:
        parse_proxy("http://me:secret@proxy:port")
    assert "secret" not in str(caught.value)


# -- HTTP CONNECT --------------------------------------------------------------------------


def tunnel(url="http://proxy:3128", target="far.test", port=443):
    return Tunnel(parse_proxy(url), target, port, DEFAULT)


def test_what_is_said_to_an_http_proxy():
    assert tunnel().request == (b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n")
    assert tunnel("http://me:s%40cret@proxy", "::1").request == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"
        b"Proxy-Authorization: Basic bWU6c0BjcmV0\r\n\r\n"
    )


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_way_is_open(size):
    machine = tunnel()
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"
    for start in range(0, len(answer), size):
        assert not machine.done
        machine.receive_data(answer[start : start + size])
    assert (machine.done, machine.error) == (True, None)


def test_the_way_is_not_open():
    machine = tunnel()
    machine.receive_data(b"HTTP/1.1 403 No\r\nX-Why: you\r\n\r\n<h1>")
    assert machine.done
    assert isinstance(machine.error, ProxyError)
    assert (machine.error.status, machine.error.body) == (403, b"<h1>")
    assert machine.error.headers == [("X-Why", "you")]


# -- SOCKS ---------------------------------------------------------------------------------


def socks(url, target="far.test", port=443):
    pytest.importorskip("python_socks")
    return Socks(parse_proxy(url), target, port, DEFAULT)


def converse(machine, *lines):
    """Each line: what has to be said, and the answer to it, byte by byte."""
    for said, answer in lines:
        assert machine.request == said
        for byte in answer:
            assert not machine.done
            machine.receive_data(bytes([byte]))
    return machine.error


NAME = b"\x08far.test\x01\xbb"


def test_socks5():
    error = converse(
        socks("socks5h://proxy"),
        (b"\5\1\0", b"\5\0"),
        (b"\5\1\0\3" + NAME, b"\5\0\0\1\x7f\0\0\1\x12\x34"),
    )
    assert error is None


def test_socks5_with_a_password_and_an_address():
    error = converse(
        socks("socks5://me:pw@proxy", "10.0.0.1"),
        (b"\5\2\0\2", b"\5\2"),
        (b"\1\2me\2pw", b"\1\0"),
        (b"\5\1\0\1\x0a\0\0\1\x01\xbb", b"\5\0\0\3\4host\x12\x34"),
    )
    assert error is None


def test_socks4_and_4a():
    granted = b"\0\x5a\0\0\0\0\0\0"
    at_ten = b"\4\1\x01\xbb\x0a\0\0\1me\0"
    assert converse(socks("socks4://me@proxy", "10.0.0.1"), (at_ten, granted)) is None
    by_name = b"\4\1\x01\xbb\0\0\0\1\0far.test\0"
    assert converse(socks("socks4a://proxy"), (by_name, granted)) is None


@pytest.mark.parametrize(
    ("url", "answers", "text"),
    [
        (
            "socks5h://proxy",
            [b"\5\xff"],
            "did not connect to far.test:443 (No acceptable authentication methods were offered): "
            "does it want a user name and password, in its URL, or other ones?",
        ),
        (
            "socks5h://me:pw@proxy",
            [b"\5\2", b"\1\1"],
            "did not connect to far.test:443 (Username and password authentication failure): "
            "are user name and password in its URL right?",
        ),
        (
            "socks5h://proxy",
            [b"\5\0", b"\5\5\0"],
            "did not connect to far.test:443 (Connection refused by destination host): "
            "is a server running there, on this port?",
        ),
        (
            "socks5h://proxy",
            [b"HTTP/1.1 400 Bad Request\r\n"],
            "did not connect to far.test:443 (Unexpected SOCKS version number: 72): is it a SOCKS "
            "proxy of this version? The URL of an HTTP proxy begins with http://",
        ),
        (
            "socks4a://proxy",
            [b"\0\x5b\0\0\0\0\0\0"],
            "did not connect to far.test:443 (Request rejected or failed): "
            "does it allow connections to this host and port?",
        ),
        (
            "socks4a://proxy",
            [b"\0\x5a\0\0\0\0\0\0more"],
            "said more than that the way is open: 'more'",
        ),
        (
            "socks5h://proxy",
            [None],
            "closed the connection without an answer: is it a SOCKS proxy of this version? The "
            "URL of an HTTP proxy begins with http://",
        ),
    ],
)
def test_socks_refuses(url, answers, text):
    machine = socks(url)
    for answer in answers:
        assert not machine.done
        machine.receive_eof() if answer is None else machine.receive_data(answer)
    assert machine.done
    assert type(machine.error) is ProxyError
    where = url.replace("me:pw@", "")
    assert str(machine.error) == f"the proxy {where}:1080 {text}"


def test_a_login_that_socks_cannot_say():
    machine = socks("socks5://m%C3%A9:pw@proxy")
    machine.receive_data(b"\5\2")
    assert "cannot be spoken to in SOCKS" in str(machine.error)


def test_without_the_package_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "python_socks"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError) as caught:
        Socks(parse_proxy("socks5://proxy"), "far.test", 443, DEFAULT)
    assert str(caught.value) == (
        'the proxy socks5://proxy:1080 needs the package python_socks: pip install "ws4py[proxy]"'
    )


def test_an_older_package_will_not_do(monkeypatch):
    package = pytest.importorskip("python_socks")
    monkeypatch.setattr(package, "__version__", "2.8.0")
    with pytest.raises(ImportError) as caught:
        Socks(parse_proxy("socks5://proxy"), "far.test", 443, DEFAULT)
    assert str(caught.value) == (
        "the proxy socks5://proxy:1080 needs python-socks 3.0 or newer, not 2.8.0: "
        'pip install -U "ws4py[proxy]"'
    )

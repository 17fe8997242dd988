"""URLs: what is understood, and what is said about the rest."""

from __future__ import annotations

import dataclasses

import pytest

from ws4py.protocol.uri import Uri, parse_uri


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "resource", "header"),
    [
        ("ws://localhost", "ws", "localhost", 80, "/", "localhost"),
        ("ws://localhost/", "ws", "localhost", 80, "/", "localhost"),
        ("wss://example.com", "wss", "example.com", 443, "/", "example.com"),
        ("ws://localhost:9000/chat", "ws", "localhost", 9000, "/chat", "localhost:9000"),
        ("ws://localhost:/chat", "ws", "localhost", 80, "/chat", "localhost"),
        ("ws://h:80/", "ws", "h", 80, "/", "h"),
        ("ws://h:443/", "ws", "h", 443, "/", "h:443"),
        ("wss://h:443/", "wss", "h", 443, "/", "h"),
        ("wss://h:80/", "wss", "h", 80, "/", "h:80"),
        ("ws://h?x=1", "ws", "h", 80, "/?x=1", "h"),
        ("ws://h/a?x=1&y=/?", "ws", "h", 80, "/a?x=1&y=/?", "h"),
        ("ws://h/a%20b", "ws", "h", 80, "/a%20b", "h"),
        ("WS://Example.COM/Path", "ws", "example.com", 80, "/Path", "example.com"),
        ("http://h:8080/a", "ws", "h", 8080, "/a", "h:8080"),
        ("https://h/a", "wss", "h", 443, "/a", "h"),
        ("ws://my_service:1/", "ws", "my_service", 1, "/", "my_service:1"),
        ("ws://127.0.0.1:65535", "ws", "127.0.0.1", 65535, "/", "127.0.0.1:65535"),
        ("ws://[::1]", "ws", "::1", 80, "/", "[::1]"),
        ("wss://[2001:DB8::1]:9000/", "wss", "2001:db8::1", 9000, "/", "[2001:db8::1]:9000"),
        ("ws://[fe80::1%25eth0]:81/", "ws", "fe80::1%eth0", 81, "/", "[fe80::1]:81"),
        ("ws://bücher.example/", "ws", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("ws://h/é?ü=€%20", "ws", "h", 80, "/%C3%A9?%C3%BC=%E2%82%AC%20", "h"),
        ("ws://h/a@b:c", "ws", "h", 80, "/a@b:c", "h"),
    ],
)
def test_tcp(url, scheme, host, port, resource, header):
    uri = parse_uri(url)
    assert uri == Uri(scheme, host, port, resource)
    assert uri.host_header == header
    assert uri.secure is (scheme == "wss")
    assert uri.origin == ("https://" if uri.secure else "http://") + header
    assert uri.unix_path is None
    assert uri.userinfo is None
    assert str(uri) == f"{scheme}://{header}{resource}"


@pytest.mark.parametrize(
    ("url", "scheme", "path", "resource"),
    [
        ("ws+unix:///run/echo.sock", "ws+unix", "/run/echo.sock", "/"),
        ("wss+unix:///run/echo.sock", "wss+unix", "/run/echo.sock", "/"),
        ("ws+unix:///run/echo.sock:/chat?x=1", "ws+unix", "/run/echo.sock", "/chat?x=1"),
        ("ws+unix:///run/echo.sock?x=1", "ws+unix", "/run/echo.sock", "/?x=1"),
        ("ws+unix:///run/echo.sock:", "ws+unix", "/run/echo.sock", "/"),
        ("ws+unix:///tmp/a%20b%3Ac", "ws+unix", "/tmp/a b:c", "/"),
    ],
)
def test_unix_sockets(url, scheme, path, resource):
    uri = parse_uri(url)
    assert uri == Uri(scheme, "localhost", None, resource, unix_path=path)
    assert uri.host_header == "localhost"
    assert uri.secure is (scheme == "wss+unix")
    assert uri.origin == ("https" if uri.secure else "http") + "://localhost"
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("url", "userinfo"),
    [
        ("ws://joe:secret@h/", ("joe", "secret")),
        ("ws://joe@h/", ("joe", "")),
        ("ws://:secret@h/", ("", "secret")),
        ("ws://@h/", ("", "")),
        ("ws://j%40x:a%3Ab:c%2F@h/", ("j@x", "a:b:c/")),
        ("ws://joe:p@ss@h/", ("joe", "p@ss")),
    ],
)
def test_user_and_password(url, userinfo):
    uri = parse_uri(url)
    assert uri.userinfo == userinfo
    assert uri.host == "h"
    assert str(uri) == "ws://h/"


def test_the_password_is_not_shown():
    uri = parse_uri("ws://joe:sesame@h/")
    assert "sesame" not in repr(uri)
    assert "sesame" not in str(uri)


@pytest.mark.parametrize(
    "url",
    [
        "ws://joe:sesame@h:port/",
        "ws://joe:sesame@h h/",
        "ws://joe:ses/ame@h/",
        "ws://joe:ses#ame@h/",
        "ftp://joe:sesame@h/",
        "joe:sesame@localhost:9000",
        "//joe:sesame@h",
    ],
)
def test_no_error_shows_a_password(url):
    with pytest.raises(ValueError) as caught:
        parse_uri(url)
    assert "ses" not in str(caught.value)
    assert "ame" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "has to look like ws://host:port/path"),
        ("localhost:9000/chat", "did you mean 'ws://localhost:9000/chat'?"),
        ("/chat", "has to look like ws://host:port/path"),
        ("://h", "has to look like ws://host:port/path"),
        ("ws:h", "did you mean"),
        ("ftp://h/", "the scheme 'ftp' is not known; known are ws://, wss://"),
        ("ws://", "the host is missing"),
        ("ws:///chat", "the host is missing"),
        ("ws://:9000", "the host is missing"),
        ("ws://h:port/", "not a number"),
        ("ws://h:-1/", "not a number"),
        ("ws://h:٣/", "not a number"),
        ("ws://h:" + "1" * 5000, "not a number"),
        ("ws://h:0/", "between 1 and 65535"),
        ("ws://h:65536/", "between 1 and 65535"),
        ("ws://::1:9000/", "in brackets"),
        ("ws://[::1/", "in brackets"),
        ("ws://[::1]x/", "in brackets"),
        ("ws://[nonsense]/", "no IPv6 address"),
        ("ws://[]/", "no IPv6 address"),
        ("ws://a\\b/", "no host name has"),
        ("ws://a%2fb/", "no host name has"),
        ("ws://ü..x/", "cannot be encoded for the DNS"),
        ("ws://h/a b", "write a space as %20"),
        ("ws://h/a\r\nX: y", "control character"),
        ("ws://h/\x00", "control character"),
        (" ws://h/", "has to look like"),
        ("ws://h/#top", "write the character # as %23"),
        ("ws://h#", "fragment"),
        ("ws+unix://run/echo.sock", "three slashes"),
        ("ws+unix://", "the path of the socket is missing"),
        ("ws+unix:///", "the path of the socket is missing"),
        ("ws+unix:///:/chat", "the path of the socket is missing"),
        ("ws+unix:///a.sock:chat", "begins with '/'"),
    ],
)
def test_refused(url, why):
    with pytest.raises(ValueError) as caught:
        parse_uri(url)
    assert why in str(caught.value)


def test_a_uri_is_a_value():
    uri = parse_uri("ws://h/")
    assert {uri: 1}[parse_uri("ws://h:80")] == 1
    assert dataclasses.replace(uri, port=81).host_header == "h:81"
    with pytest.raises(dataclasses.FrozenInstanceError):
        uri.port = 81  # type: ignore[misc]

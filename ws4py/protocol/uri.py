"""Where to connect to: the URLs of RFC 6455 section 3, and Unix sockets.

``parse_uri`` takes apart what a person typed and says what is wrong with it. This module must
never resolve a name, open a socket, or show a password in a text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import quote, unquote

__all__ = ["Proxy", "Uri", "parse_proxy", "parse_uri"]

#: What may be typed, and the scheme that it stands for.
SCHEMES = {
    "ws": "ws",
    "wss": "wss",
    "http": "ws",
    "https": "wss",
    "ws+unix": "ws+unix",
    "wss+unix": "wss+unix",
}

#: Kinds of proxies, and their usual ports.
PROXIES = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}

# RFC 3986 appendix B, with "//" made mandatory.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)((?:\?[^#]*)?)(#?)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:]*))?")
# Underscores are not legal in host names, but Docker and Windows networks have them.
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class Uri:
    """A URL taken apart. ``str()`` gives it back without user name and password."""

    #: ``ws``, ``wss``, ``ws+unix`` or ``wss+unix``.
    scheme: str
    #: Lower case, IDNA-encoded, IPv6 without brackets; ``localhost`` for Unix sockets.
    host: str
    #: ``None`` for Unix sockets.
    port: int | None
    #: Path and query as they go into the request line.
    resource: str = "/"
    unix_path: str | None = None
    #: Percent-decoded user name and password; not shown by ``repr()``.
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def secure(self) -> bool:
        """Whether the connection runs over TLS."""
        return self.scheme.startswith("wss")

    @property
    def host_header(self) -> str:
        """The ``Host`` field (RFC 9112 section 3.2): without a default port."""
        if self.port is None or self.port == (443 if self.secure else 80):
            return _bracketed(self.host)
        return self.authority

    @property
    def authority(self) -> str:
        """Host and port, as a proxy wants them (RFC 9112 section 3.2.3)."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin of a page on the same server (RFC 6454 section 6.2)."""
        return f"{'https' if self.secure else 'http'}://{self.host_header}"

    def __str__(self) -> str:
        if self.unix_path is None:
            return f"{self.scheme}://{self.host_header}{self.resource}"
        path = quote(self.unix_path, safe="/")
        return f"{self.scheme}://{path}" + (f":{self.resource}" if self.resource != "/" else "")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's URL taken apart. ``str()`` gives it back without user name and password."""

    #: One of ``PROXIES``.
    scheme: str
    host: str
    port: int
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"


class _Wrong(Exception):
    """What is wrong with a URL."""


def parse_uri(url: str) -> Uri:
    """Take a URL apart: ``ws``, ``wss``, ``ws+unix``, ``wss+unix``, or ``http(s)`` for the former.

    A Unix socket is ``ws+unix:///path/to.sock``, with a resource ``ws+unix:///path/to.sock:/chat``.
    Characters outside ASCII are encoded: IDNA in the host, percent-encoded UTF-8 behind it.

    Raises ``ValueError`` with a text for people; the text never contains the password.
    """
    try:
        return _parse_uri(url)
    except _Wrong as error:
        raise ValueError(f"{_masked(url)!r} is no WebSocket URL: {error}") from None


def parse_proxy(url: str) -> Proxy:
    """Take the URL of a proxy apart: ``http``, ``https``, ``socks4``, ``4a``, ``5`` or ``5h``.

    Without a scheme it is ``http``; what follows host and port is ignored. Raises ``ValueError``
    with a text for people; the text never contains the password.
    """
    typed, _, rest = url.rpartition("://")
    scheme = typed.lower() or "http"
    try:
        if scheme not in PROXIES:
            known = ", ".join(f"{name}://" for name in PROXIES)
            _refuse(f"the scheme {typed!r} is not known; known are {known}")
        if _FORBIDDEN.search(url):
            _refuse("it contains a space or a control character")
        userinfo, at, where = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")
        host, port = _host_and_port(where)
    except _Wrong as error:
        raise ValueError(f"{_masked(url)!r} is no URL of a proxy: {error}") from None
    login = _user_and_password(userinfo) if at else None
    return Proxy(scheme, host, port or PROXIES[scheme], login)


def _parse_uri(url: str) -> Uri:
    match = _URL.match(url)
    if match is None:
        _refuse(f"it has to look like ws://host:port/path{_guess(url)}")
    typed, authority, path, query, fragment = match.groups()
    scheme = SCHEMES.get(typed.lower())
    if scheme is None:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        _refuse(f"the scheme {typed!r} is not known; known are {known}")
    if _FORBIDDEN.search(url):
        _refuse("it contains a space or a control character; write a space as %20")
    if fragment:
        _refuse("a fragment ('#…') has no meaning here; write the character # as %23")
    if scheme.endswith("+unix"):
        return _unix_uri(scheme, authority, path, query)
    userinfo, at, where = authority.rpartition("@")
    host, port = _host_and_port(where)
    return Uri(
        scheme,
        host,
        port or (443 if scheme == "wss" else 80),
        _encoded((path or "/") + query),
        userinfo=_user_and_password(userinfo) if at else None,
    )


def _unix_uri(scheme: str, authority: str, path: str, query: str) -> Uri:
    if authority:
        _refuse(f"a Unix socket takes three slashes: {scheme}:///path/to.sock")
    path, _, resource = path.partition(":")
    if path in ("", "/"):
        _refuse(f"the path of the socket is missing: {scheme}:///path/to.sock")
    if resource and not resource.startswith("/"):
        _refuse("what follows the ':' is the resource and begins with '/'")
    return Uri(
        scheme, "localhost", None, _encoded((resource or "/") + query), unix_path=unquote(path)
    )


def _host_and_port(where: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(where)
    if match is None:
        _refuse("host and port are garbled; an IPv6 address stands in brackets: ws://[::1]:80")
    host, digits = match.groups()
    if not host:
        _refuse("the host is missing")
    host = _ipv6(host[1:-1]) if host.startswith("[") else _host_name(host)
    if not digits:
        return host, None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        _refuse("the port is not a number")
    port = int(digits)
    if not 1 <= port <= 65535:
        _refuse("the port is not between 1 and 65535")
    return host, port


def _host_name(host: str) -> str:
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            _refuse(f"the host cannot be encoded for the DNS: {error}")
    if not _HOST.fullmatch(host):
        _refuse("the host contains a character that no host name has")
    return host.lower()


def _ipv6(text: str) -> str:
    # Imported here because hardly anybody types one, and it is slow to import.
    from ipaddress import IPv6Address

    # RFC 6874: the '%' before the zone index is percent-encoded.
    text = text.lower().replace("%25", "%", 1)
    try:
        IPv6Address(text)
    except ValueError:
        _refuse("what stands in brackets is no IPv6 address")
    return text


def _user_and_password(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    return unquote(user), unquote(password)


def _encoded(resource: str) -> str:
    return resource if resource.isascii() else quote(resource, safe=_VISIBLE)


def _guess(url: str) -> str:
    """What was probably meant by a URL without a scheme."""
    if "://" in url or not _HOST.match(url):
        return ""
    return f"; did you mean {'ws://' + _masked(url)!r}?"


def _masked(url: str) -> str:
    """The URL without anything that may be a password, wrongly written ones included."""
    before, at, after = url.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    return f"{scheme if slashes else ''}{slashes}…@{after}" if at else url


def _bracketed(host: str) -> str:
    """An IPv6 address in brackets; its zone means something on this machine only (RFC 6874, 4)."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host


def _refuse(why: str) -> NoReturn:
    raise _Wrong(why)

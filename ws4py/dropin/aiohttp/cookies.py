"""The cookies of a session: ``CookieJar`` with aiohttp's verbs, over a jar of the standard library.

That one knows for whom each cookie is (RFC 6265), and serves our client and the real aiohttp alike.
"""

from __future__ import annotations

import http.cookiejar
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.message import Message
from http.cookies import BaseCookie, Morsel, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

__all__ = ["CookieJar", "DummyCookieJar"]


class CookieJar:
    """Cookies of all servers. ``unsafe``: of IP addresses, too. ``jar``: where they are kept."""

    def __init__(
        self,
        *,
        unsafe: bool = False,
        quote_cookie: bool = True,
        treat_as_secure_origin: Any = None,
        loop: Any = None,
        jar: http.cookiejar.CookieJar | None = None,
    ) -> None:
        self.unsafe = unsafe
        self.quote_cookie = quote_cookie
        self.treat_as_secure_origin = treat_as_secure_origin
        self._jar = http.cookiejar.CookieJar() if jar is None else jar
        #: Those that nobody has set: they are sent everywhere.
        self._own: SimpleCookie = SimpleCookie()

    # -- aiohttp's verbs -------------------------------------------------------------------

    def update_cookies(self, cookies: Any, response_url: Any = "") -> None:
        """Keep these, which ``response_url`` has set; without one they are sent everywhere."""
        pairs = cookies.items() if isinstance(cookies, Mapping) else cookies
        found: SimpleCookie = SimpleCookie()
        for name, value in pairs:
            if isinstance(value, BaseCookie):
                found.update(value)
            elif isinstance(value, Morsel):
                found[name] = value
            else:
                found[name] = str(value)
        if str(response_url):
            lines = [morsel.OutputString() for morsel in found.values()]
            self.update_cookies_from_headers(lines, response_url)
        else:
            self._own.update(found)

    def update_cookies_from_headers(self, headers: Iterable[str], response_url: Any) -> None:
        """Keep what stands in these ``Set-Cookie`` headers of ``response_url``."""
        answer = Message()
        for line in headers:
            answer["Set-Cookie"] = line
        self.extract_cookies(_Answer(answer), urllib.request.Request(http_url(response_url)))

    def filter_cookies(self, request_url: Any) -> SimpleCookie:
        """The cookies that are sent to ``request_url``."""
        request = urllib.request.Request(http_url(request_url))
        self.add_cookie_header(request)
        return SimpleCookie(request.get_header("Cookie"))

    def clear(self, predicate: Callable[[Any], bool] | None = None) -> None:
        """Forget them all, or those for which ``predicate(morsel)`` is true."""
        if predicate is None:
            self._jar.clear()
            self._own.clear()
            return
        for name in [name for name, morsel in self._own.items() if predicate(morsel)]:
            del self._own[name]
        for cookie in list(self._jar):
            if predicate(morsel_of(cookie)):
                self._jar.clear(cookie.domain, cookie.path, cookie.name)

    def clear_domain(self, domain: str) -> None:
        """Forget those of ``domain`` and below it."""
        for cookie in list(self._jar):
            if f".{cookie.domain.lstrip('.')}".endswith(f".{domain}"):
                self._jar.clear(cookie.domain, cookie.path, cookie.name)

    def __iter__(self) -> Iterator[Any]:
        yield from list(self._own.values())
        yield from [morsel_of(cookie) for cookie in self._jar]

    def __len__(self) -> int:
        return len(self._own) + len(self._jar)

    # -- what our client asks of a jar -----------------------------------------------------

    def add_cookie_header(self, request: Any) -> None:
        """Put the cookies for this request into its header."""
        if self.unsafe or not is_address(request.get_full_url()):
            self._jar.add_cookie_header(request)
        own = [f"{name}={morsel.coded_value}" for name, morsel in self._own.items()]
        given = request.get_header("Cookie", None)
        if own:
            text = "; ".join([*own, given] if given else own)
            request.add_unredirected_header("Cookie", text)

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep what an answer sets."""
        if self.unsafe or not is_address(request.get_full_url()):
            self._jar.extract_cookies(response, request)


class DummyCookieJar(CookieJar):
    """Keeps nothing."""

    def update_cookies(self, cookies: Any, response_url: Any = "") -> None:
        """Nothing."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Nothing."""


class _Answer:
    """As much of a response as a jar looks at."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers


def as_jar(given: Any) -> Any:
    """What a session may be given as its jar: one of ours, of aiohttp's kind, or Python's own."""
    if isinstance(given, http.cookiejar.CookieJar):
        return CookieJar(jar=given, unsafe=True)
    return CookieJar() if given is None else given


def morsel_of(cookie: http.cookiejar.Cookie) -> Morsel[str]:
    """A cookie as the other module of the standard library has it."""
    found: SimpleCookie = SimpleCookie()
    found[cookie.name] = cookie.value or ""
    morsel = found[cookie.name]
    morsel["path"] = cookie.path
    morsel["domain"] = cookie.domain.lstrip(".")
    if cookie.secure:
        morsel["secure"] = True
    return morsel


def http_url(url: Any) -> str:
    """A jar knows nothing of ``ws``."""
    text = str(url)
    return f"http{text[2:]}" if text[:2].lower() == "ws" else text


def is_address(url: Any) -> bool:
    """Whether the host is an IP address."""
    try:
        ip_address(urlsplit(str(url)).hostname or "")
    except ValueError:
        return False
    return True

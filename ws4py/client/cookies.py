"""Cookies of clients: a text, a mapping, or a jar of the standard library's that keeps what comes.

A ``http.cookiejar.CookieJar`` decides itself, by its policy, what to send and what to keep; here
``ws`` and ``wss`` look like ``http`` and ``https`` to it. This module must never know sockets, nor
follow anything anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Union

from ws4py.protocol.headers import Headers, excerpt
from ws4py.protocol.uri import Uri

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

__all__ = ["Cookies", "cookie_text", "is_jar", "keep_cookies"]

#: As they may be given: ``"a=1; b=2"``, ``{"a": "1", "b": "2"}`` or a jar.
Cookies = Union[str, Mapping[str, str], "CookieJar"]


def is_jar(cookies: Any) -> bool:
    """Whether it is a jar, which knows by itself for whom each cookie is."""
    return hasattr(cookies, "add_cookie_header") and hasattr(cookies, "extract_cookies")


def cookie_text(cookies: Cookies | None, uri: Uri) -> str:
    """What the ``Cookie`` header of a request for ``uri`` says; ``""`` for none.

    Raises ``ValueError`` for a name or value that would be two, and ``TypeError``.
    """
    if cookies is None or isinstance(cookies, str):
        return cookies or ""
    if is_jar(cookies):
        request = _Request(uri)
        cookies.add_cookie_header(request)  # type: ignore[union-attr, arg-type]
        return request.headers.get("cookie") or ""
    if isinstance(cookies, Mapping):
        return "; ".join(_pair(name, value) for name, value in cookies.items())
    raise TypeError(f"cookies has to be a str, a mapping or a CookieJar, not {cookies!r}")


def keep_cookies(cookies: Cookies | None, uri: Uri, headers: Iterable[tuple[str, str]]) -> None:
    """Let a jar take the cookies from the ``headers`` of an answer of ``uri``."""
    if is_jar(cookies):
        cookies.extract_cookies(_Response(headers), _Request(uri))  # type: ignore[union-attr, arg-type]


def _pair(name: str, value: str) -> str:
    if set(";,= \t") & set(name) or set("; \t,") & set(value):
        raise ValueError(f"{excerpt(f'{name}={value}')} is no cookie: encode what it contains")
    return f"{name}={value}"


class _Request:
    """As much of a ``urllib.request.Request`` as a jar looks at."""

    unverifiable = False

    def __init__(self, uri: Uri) -> None:
        self.type = "https" if uri.secure else "http"
        self.host = uri.host_header
        self.origin_req_host = uri.host
        self.headers = Headers([("Host", uri.host_header)])
        self._url = f"{uri.origin}{uri.resource}"

    def get_full_url(self) -> str:
        return self._url

    def has_header(self, name: str) -> bool:
        return name in self.headers

    def get_header(self, name: str, default: str | None = None) -> str | None:
        return self.headers.get(name, default)

    def add_unredirected_header(self, name: str, value: str) -> None:
        self.headers.add(name, value)


class _Response:
    """As much of an answer as a jar looks at."""

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        self._headers = Headers(headers)

    def info(self) -> _Response:
        return self

    def get_all(self, name: str, default: Any = None) -> Any:
        return self._headers.get_all(name) or default

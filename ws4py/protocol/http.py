"""HTTP requests and responses, as far as the opening handshake has to do with them.

What servers hand to hooks and get back from them. The syntax lives in ``headers``, the rules of
the handshake in ``handshake``; this module must never know either side of a connection.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ws4py.protocol.headers import COMMON, Headers, format_head, has_token

if TYPE_CHECKING:
    from time import struct_time

__all__ = ["ENVIRON_KEYS", "REASONS", "SWITCHING", "Request", "Response", "environ_key"]

#: Browsers bound a cookie to this many bytes; unquoting a longer one is not worth the work.
MAX_COOKIE = 4096

#: The phrases of RFC 9110 section 15, by status.
REASONS = {status.value: status.phrase for status in HTTPStatus}
#: What may stand in a path as it is (RFC 3986 section 3.3).
PATH_SAFE = "/:;@&=+$,!~*'()"
#: What an opening handshake has and a ``Request.from_scope`` may lack or have otherwise.
UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)
#: What every 101 begins with; where this and the accept key are all, only the key is looked at.
SWITCHING = [UPGRADE[0], UPGRADE[1]]
_SWITCHING_HEAD = format_head("HTTP/1.1 101 Switching Protocols", SWITCHING)[:-2]
_ACCEPT_KEY = re.compile(r"[A-Za-z0-9+/]{27}=").fullmatch


def environ_key(name: str) -> str:
    """What WSGI calls a header (PEP 3333)."""
    return "HTTP_" + name.upper().replace("-", "_")


#: That of the names which nearly every opening handshake has, and the way back.
ENVIRON_KEYS = {name: environ_key(name) for name in COMMON}
_HEADER_NAMES = {key: name for name, key in ENVIRON_KEYS.items()}
#: Headers that go by their own names.
_OF_BODIES = ("CONTENT_TYPE", "CONTENT_LENGTH")

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
#: A path that is the same quoted.
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]+").fullmatch
_TARGET = re.compile(r"(?:(?:http|ws)s?://([^/?]+))?(/[^?]*)?(?:\?.*)?", re.IGNORECASE).fullmatch


@dataclass(slots=True)
class Request:
    """The head of a request. Nothing in it is checked yet but its syntax."""

    method: str
    #: As sent: usually path and query, sometimes a whole URL (RFC 9112 section 3.2).
    target: str
    version: str
    headers: Headers
    secure: bool = False
    #: The peer's address, whatever that is on the transport.
    peer: Any = None

    @property
    def path(self) -> str:
        """The path as sent, still percent-encoded; ``""`` when the target has none (``*``)."""
        if self.target.startswith("/"):  # nearly always
            return self.target.partition("?")[0]
        match = _TARGET(self.target)
        return (match[2] or ("/" if match[1] else "")) if match else ""

    @property
    def query(self) -> str:
        """What follows the first ``?`` of the target, as sent."""
        return self.target.partition("?")[2]

    @property
    def host(self) -> str:
        """Host and port that the client asked for; the target's go before the header's."""
        match = None if self.target.startswith("/") else _TARGET(self.target)
        return (match and match[1]) or self.headers.get("host") or ""

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; the first of a name wins (RFC 6265 section 5.4: most specific)."""
        cookies: dict[str, str] = {}
        for line in self.headers.get_all("cookie"):
            for pair in line.split(";"):
                name, equals, value = pair.partition("=")
                if equals:
                    cookies.setdefault(name.strip(" \t"), _unquoted(value.strip(" \t")))
        return cookies

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> Request:
        """A request that an ASGI server has read.

        Of type ``websocket``: the server has checked that it is an opening handshake, in whatever
        version of HTTP; here it looks like one of HTTP/1.1.
        """
        names = (
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        upgraded = scope["type"] == "websocket"
        if upgraded:
            own = {name.lower() for name, _ in UPGRADE}
            headers = Headers([*(pair for pair in names if pair[0].lower() not in own), *UPGRADE])
            offered = scope.get("subprotocols")
            if offered and "sec-websocket-protocol" not in headers:
                headers.add("Sec-WebSocket-Protocol", ", ".join(offered))
        else:
            headers = Headers(names)
        server, client = scope.get("server"), scope.get("client")
        if "host" not in headers and server:
            headers.add("Host", server[0] if server[1] is None else f"{server[0]}:{server[1]}")
        path, query = scope.get("raw_path"), scope.get("query_string")
        target = quote(scope["path"], safe=PATH_SAFE)
        if path:
            target = path.decode("latin-1").partition("?")[0]
        return cls(
            scope.get("method", "GET"),
            (target or "/") + (f"?{query.decode('latin-1')}" if query else ""),
            f"HTTP/{'1.1' if upgraded else scope.get('http_version', '1.1')}",
            headers,
            secure=scope.get("scheme") in ("https", "wss"),
            peer=tuple(client) if client else None,
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> Request:
        """A request that a WSGI server has read (PEP 3333)."""
        pairs = [
            (_HEADER_NAMES.get(key) or key.removeprefix("HTTP_").replace("_", "-").title(), value)
            for key, value in environ.items()
            if key[:5] == "HTTP_" or (key[:8] == "CONTENT_" and key in _OF_BODIES and value)
        ]
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not _PLAIN(path):
            path = quote(path or "/", safe=PATH_SAFE, encoding="latin-1")
        query = environ.get("QUERY_STRING")
        address = environ.get("REMOTE_ADDR")
        return cls(
            environ["REQUEST_METHOD"],
            f"{path}?{query}" if query else path,
            environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            Headers(pairs),
            secure=environ.get("wsgi.url_scheme") in ("https", "wss"),
            peer=(address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
        )


def _unquoted(value: str) -> str:
    if not value.startswith('"') or len(value) > MAX_COOKIE:
        return value
    # Imported here because few cookies are quoted. Its backslashes are those of http.cookies.
    from http.cookies import SimpleCookie

    return str(SimpleCookie().value_decode(value)[0])


@dataclass(slots=True)
class Response:
    """An answer, 101 or a refusal. For hooks there are ``Response.text`` and ``Response.html``."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    #: The answer to HEAD says how long the body would be and has none.
    omit_body: bool = False

    @classmethod
    def text(cls, status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """A page of plain text."""
        return cls._page(status, text, headers, "text/plain")

    @classmethod
    def html(cls, status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """A page of HTML; escaping what came from outside is up to the caller."""
        return cls._page(status, text, headers, "text/html")

    @classmethod
    def _page(
        cls, status: int, text: str, headers: Iterable[tuple[str, str]], kind: str
    ) -> Response:
        complete = Headers(headers)
        if "content-type" not in complete:
            complete.add("Content-Type", f"{kind}; charset=utf-8")
        return cls(status, complete, text.encode("utf-8"))

    def serialize(self, *, now: Callable[[], struct_time] = time.gmtime) -> bytes:
        """The bytes to write. ``now`` gives the present moment in UTC, for the ``Date``.

        Everything but a 101 ends the connection and says so. Raises ``ValueError`` for a header
        that would break the answer apart.
        """
        if self.status == 101:
            return _switch(self.headers.items())
        start_line = f"HTTP/1.1 {self.status} {REASONS.get(self.status, '')}"
        own = [(n, v) for n, v in self.headers.items() if n.lower() != "content-length"]
        if "date" not in self.headers:
            own.append(("Date", _http_date(now())))
        # RFC 9110 section 8.6: neither of these has a body, nor says how long it would be.
        bodiless = self.status < 200 or self.status in (204, 304)
        if not bodiless:
            own.append(("Content-Length", str(len(self.body))))
        if not has_token(self.headers.get_all("connection"), "close"):
            own.append(("Connection", "close"))
        head = format_head(start_line, own)
        return head if bodiless or self.omit_body else head + self.body


def _switch(pairs: list[tuple[str, str]]) -> bytes:
    """The head of a 101."""
    if len(pairs) == 3 and pairs[:2] == SWITCHING:
        name, key = pairs[2]
        if name == "Sec-WebSocket-Accept" and _ACCEPT_KEY(key):
            return b"%bSec-WebSocket-Accept: %b\r\n\r\n" % (_SWITCHING_HEAD, key.encode())
    return format_head("HTTP/1.1 101 Switching Protocols", pairs)


def _http_date(moment: struct_time) -> str:
    # By hand: strftime() follows the locale, and email.utils imports socket.
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.tm_wday]
    month = _MONTHS[3 * moment.tm_mon - 3 : 3 * moment.tm_mon]
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    return f"{day}, {moment.tm_mday:02} {month} {moment.tm_year:04} {clock} GMT"

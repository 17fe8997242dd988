"""The opening handshake (RFC 6455 section 4): both sides of it, as pure negotiation.

``ServerHandshake`` and ``ClientHandshake`` take bytes and the time and say what to answer. Every
rule about who may connect, and how, is here and nowhere else; each backend only moves bytes. The
syntax of HTTP lives in ``headers``. This module must never know sockets, frames or frameworks.

A driver feeds ``receive_data``, ``receive_eof`` and, no later than ``deadline``, ``tick``; none of
them raises for what the peer did. A server then writes ``response.serialize()``, a client looks
at ``done`` and ``error``; bytes behind the head are in ``rest``. Not thread-safe.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ws4py.exc import ConnectionTimeout, HandshakeError
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.deflate import PerMessageDeflate, accept_offers, accept_response, offer
from ws4py.protocol.headers import (
    Headers,
    HeadReader,
    accept_key,
    excerpt,
    format_head,
    has_token,
    is_token,
    parse_extensions,
    parse_request_head,
    parse_response_head,
    parse_tokens,
)
from ws4py.protocol.http import REASONS, SWITCHING, Request, Response
from ws4py.protocol.uri import Uri

if TYPE_CHECKING:
    pass

__all__ = [
    "SAME_ORIGIN",
    "ClientHandshake",
    "Request",
    "Response",
    "ServerHandshake",
    "same_origin",
]

logger = logging.getLogger("ws4py.handshake")

#: What a server understands; 8 differs from 13 in the name of the Origin header only.
VERSIONS = ("13", "8")
#: How much of the page that comes with a refusal a client keeps.
MAX_BODY = 64 * 1024

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_MODERN = re.compile(r"HTTP/1\.[1-9]").fullmatch
# RFC 3986 section 3.2.2, without the comma: joined lines, not one host, are what has one.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(?::[0-9]*)?").fullmatch
# 22 digits of base64 hold 16 bytes and four spare bits, which decoders ignore.
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch
_DIGITS = re.compile(r"[0-9]{1,19}").fullmatch
#: The content length of a request without a body.
_EMPTY = ["0"]
_TLS_RECORDS = (0x15, 0x16)  # alert, handshake

#: The values of each header of a request, by its name in lower case.
Fields = Mapping[str, list[str]]
Origins = Sequence["str | re.Pattern[str] | None"]
OriginCheck = Callable[["str | None", "Request"], bool]


def _refuse_text(name: str, value: object) -> None:
    """A text is a sequence of texts too, so it would be taken for a list of letters."""
    if isinstance(value, str):
        raise TypeError(f"{name} has to be a list: [{value!r}]")


# -- who may connect from a browser --------------------------------------------------------


def same_origin(origin: str | None, request: Request) -> bool:
    """Whether a page of this very host asks; programs, which send no Origin, may.

    Host and port have to be those of the ``Host`` header; the scheme does not, because TLS may
    end at a proxy in front of us. This keeps foreign pages from using a visitor's cookies.
    """
    if origin is None:
        return True
    scheme, _, where = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    host = request.host.lower()
    if port is None or not host:
        return False
    return where == host or _with_port(where, port) == _with_port(host, port)


def _with_port(where: str, default: str) -> str:
    host, colon, port = where.rpartition(":")
    if not colon or where.endswith("]"):
        return f"{where}:{default}"
    return f"{host}:{port or default}"


#: The default of ``origins``.
SAME_ORIGIN: OriginCheck = same_origin


# -- the server's side ---------------------------------------------------------------------


class ServerHandshake:
    """One request and the answer to it.

    First ``request`` is set, then, by ``answer()`` or ``reject()``, ``response``. When the
    handshake fails by itself, ``response`` and ``error`` are set and ``request`` may be ``None``;
    when the peer left without a word there is an ``error`` only.
    """

    def __init__(
        self,
        *,
        config: Config = DEFAULT,
        protocols: Sequence[str] = (),
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
        origins: Origins | OriginCheck | None = SAME_ORIGIN,
        extra_headers: Iterable[tuple[str, str]] = (),
        versions: Sequence[str] = VERSIONS,
        secure: bool = False,
        peer: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``protocols``: subprotocols that are spoken; the client's order of preference decides.

        ``select_subprotocol(request, offered)`` decides instead, if given. ``origins``: the
        Origins that may connect, as texts, compiled expressions (for the whole Origin) and
        ``None`` for none at all; or a function of Origin and request; or ``None`` for everybody.
        ``extra_headers`` go into a 101; ``versions`` are those of the protocol. A hook may raise
        ``HandshakeError`` to refuse with its status, headers and body; other exceptions are logged
        and answered with 500.
        """
        if isinstance(origins, str) or isinstance(protocols, str):
            _refuse_text("origins", origins)
            _refuse_text("protocols", protocols)
        self._config = config
        self._protocols = protocols
        self._select = select_subprotocol
        self._origins = origins
        self._extra_headers = extra_headers
        self._versions = versions
        self._secure = secure
        self._peer = peer
        self._clock = clock
        self._reader = HeadReader(config.max_head_size, config.max_headers)
        self._started = False
        timeout = config.open_timeout
        #: When ``tick()`` has to be called; ``None`` once the request is there.
        self.deadline: float | None = None if timeout is None else clock() + timeout
        self.request: Request | None = None
        self.response: Response | None = None
        #: Why it was refused.
        self.error: HandshakeError | ConnectionTimeout | None = None
        self.accepted = False
        self.subprotocol: str | None = None
        #: The values of ``Sec-WebSocket-Extensions`` that were agreed upon.
        self.extensions: list[str] = []
        self.deflate: PerMessageDeflate | None = None

    @property
    def rest(self) -> bytes:
        """What came behind the head: frames, for whoever takes over."""
        return self._reader.rest

    # What the peer does

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the peer. After a refusal they are ignored."""
        if self.response is not None and not self.accepted:
            return
        reader = self._reader
        try:
            if not self._started and data:
                self._started = True
                _check_first_byte(data[0])
            reader.receive_data(data)
            if self.request is None:
                if reader.complete:
                    method, target, version, headers = parse_request_head(reader.head)
                    self.deadline = None
                    self.request = Request(
                        method, target, version, headers, self._secure, self._peer
                    )
            elif len(reader.rest) > self._config.high_water and not self.accepted:
                raise HandshakeError("too much came before the request was answered", 413)
        except HandshakeError as error:
            self._refuse(error)

    def receive_eof(self) -> None:
        """The peer will send no more. Half a head is answered, silence is not."""
        if self.request is not None or self.response is not None:
            return
        error = HandshakeError("the connection ended before the request did", 400)
        if self._started:
            self._refuse(error)
        else:
            self.error = error
            self.deadline = None

    def tick(self) -> None:
        """Refuse with 408 if the deadline has passed; else nothing happens."""
        if self.deadline is None or self._clock() < self.deadline:
            return
        text = f"the request was not complete within {self._config.open_timeout:g} seconds"
        self._refuse(HandshakeError(text, 408))
        self.error = ConnectionTimeout(text)

    # What the server does

    def answer(self, request: Request | None = None) -> Response:
        """Check the request and answer it: 101 with ``accepted`` set, or a refusal.

        ``request`` is given when somebody else has read it (``Request.from_environ``). Calls the
        hooks. Asking again gives the same answer. Raises ``RuntimeError`` without a request.
        """
        if self.response is not None:
            return self.response
        if request is not None:
            self.request = request
            self.deadline = None
        if self.request is None:
            raise RuntimeError("there is no request to answer yet")
        try:
            response = self._accept(self.request)
        except HandshakeError as error:
            return self._refuse(error)
        except Exception:
            logger.exception("cannot answer the request for %s", excerpt(self.request.target))
            return self._refuse(HandshakeError("the server failed to answer this request", 500))
        self.accepted = True
        self.response = response
        return response

    def reject(self, response: Response) -> None:
        """Answer with ``response``, whatever the request was."""
        try:
            format_head("", response.headers.items())
        except ValueError:
            logger.exception("this answer cannot be sent")
            response = Response.text(500, "500 Internal Server Error\n")
        if self.request is not None and self.request.method == "HEAD":
            # A copy: a hook may give the same object to everybody.
            response = replace(response, omit_body=True)
        self.deadline = None
        self.response = response

    def replace(self, response: Response) -> None:
        """Answer with ``response`` instead; where a 101 was agreed upon, it may be another 101."""
        if self.accepted and response.status == 101:
            self.response = response
            return
        self.accepted = False
        self.reject(response)

    def _refuse(self, error: HandshakeError) -> Response:
        status = error.status or 400
        headers = list(error.headers)
        if status == 426:
            # RFC 9110 section 15.5.22; "Upgrade" has to be announced in Connection.
            headers += [("Upgrade", "websocket"), ("Connection", "Upgrade, close")]
        response = Response.text(status, f"{status} {REASONS.get(status, '')}: {error}\n", headers)
        if error.body:
            response.body = error.body
        self.reject(response)
        self.error = error
        assert self.response is not None
        return self.response

    def _accept(self, request: Request) -> Response:
        """The 101 (RFC 6455 section 4.2.2); raises ``HandshakeError`` for a refusal."""
        fields = request.headers.by_name
        _check_http(request, fields)
        key = _check_websocket(request, fields, self._versions)
        if self._origins is not None:
            self._check_origin(request, fields, self._origins)
        headers = Headers([*SWITCHING, ("Sec-WebSocket-Accept", accept_key(key))])
        self._choose_subprotocol(request, fields)
        if self.subprotocol is not None:
            headers.add("Sec-WebSocket-Protocol", self.subprotocol)
        if "sec-websocket-extensions" in fields:
            self._choose_extensions(fields["sec-websocket-extensions"])
        if self.extensions:
            headers.add("Sec-WebSocket-Extensions", ", ".join(self.extensions))
        if self._extra_headers:
            for name, value in self._extra_headers:
                headers.add(name, value)
            format_head("", headers.items())
        return Response(101, headers)

    def _check_origin(
        self, request: Request, fields: Fields, origins: Origins | OriginCheck
    ) -> None:
        values = fields.get("origin", [])
        if fields["sec-websocket-version"] == ["8"]:
            values = [*values, *fields.get("sec-websocket-origin", ())]
        if len(values) > 1:
            raise HandshakeError("there is more than one Origin", 400)
        origin = values[0] if values else None
        if callable(origins):
            allowed = origins(origin, request)
        else:
            allowed = any(_origin_matches(entry, origin) for entry in origins)
        if not allowed:
            who = "no Origin" if origin is None else f"Origin {excerpt(origin)}"
            raise HandshakeError(f"{who} is not allowed here{_allowed(origins, request)}", 403)

    def _choose_subprotocol(self, request: Request, fields: Fields) -> None:
        """RFC 6455 section 4.2.2, step 5.5: one that the client offered, or none."""
        if "sec-websocket-protocol" not in fields and self._select is None:
            return
        offered = parse_tokens(fields.get("sec-websocket-protocol", ()))
        if self._select is None:
            self.subprotocol = next((name for name in offered if name in self._protocols), None)
            return
        chosen = self._select(request, offered)
        if chosen is not None and chosen not in offered:
            raise ValueError(f"select_subprotocol chose {chosen!r}, but offered was {offered!r}")
        self.subprotocol = chosen

    def _choose_extensions(self, offers: list[str]) -> None:
        """RFC 6455 section 9.1."""
        extensions = parse_extensions(offers)
        if extensions and self._config.compression is not None:
            agreed = accept_offers(extensions, self._config.compression)
            if agreed is not None:
                self.extensions = [agreed[0]]
                self.deflate = agreed[1]


def _check_first_byte(first: int) -> None:
    """No request begins with this: say so before waiting for the end of its head."""
    if first in _TLS_RECORDS:
        raise HandshakeError(
            "this port speaks plain HTTP, and the client speaks TLS: use ws:// instead of wss://,"
            " or give the server a certificate",
            400,
        )
    if not 0x21 <= first <= 0x7E:
        raise HandshakeError("this is not HTTP", 400)


def _check_http(request: Request, fields: Fields) -> None:
    """What any request has to fulfil (RFC 9110, RFC 9112)."""
    if request.method != "GET":
        text = f"the method {excerpt(request.method)} is not used here, only GET"
        raise HandshakeError(text, 405, [("Allow", "GET")])
    if "transfer-encoding" in fields or fields.get("content-length", _EMPTY) != _EMPTY:
        # Who takes the body for frames, or frames for a body, lets requests be smuggled.
        raise HandshakeError("a request to upgrade has no body", 400)
    if request.version != "HTTP/1.1" and not _MODERN(request.version):
        raise HandshakeError(
            f"WebSocket needs HTTP/1.1, and this request is {excerpt(request.version)}; a proxy in"
            " between may have to be told (nginx: proxy_http_version 1.1)",
            426,
        )
    hosts = fields.get("host", ())
    if len(hosts) != 1:
        raise HandshakeError(f"there is {'more than one' if hosts else 'no'} Host header", 400)
    host = hosts[0]
    if not request.target.startswith("/"):  # RFC 9112 section 3.2.2: it has a host of its own
        if not request.path:
            raise HandshakeError(f"the target {excerpt(request.target)} is no path", 400)
        host = request.host
    if not _HOST(host) or (host is not hosts[0] and not _HOST(hosts[0])):
        raise HandshakeError(f"{excerpt(host)} is no host", 400)


def _check_websocket(request: Request, fields: Fields, spoken: Sequence[str]) -> str:
    """RFC 6455 section 4.2.1; returns the key."""
    if not has_token(fields.get("upgrade", ()), "websocket"):
        scheme = "wss" if request.secure else "ws"
        url = f"{scheme}://{request.host}{request.path}"
        raise HandshakeError(f"this is a WebSocket server; connect to {url} with WebSocket", 426)
    if not has_token(fields.get("connection", ()), "upgrade"):
        raise HandshakeError(
            "the Connection header does not say 'Upgrade'; a proxy in between may have dropped it"
            ' (nginx: proxy_set_header Connection "upgrade")',
            400,
        )
    versions = fields.get("sec-websocket-version", ())
    if len(versions) > 1:
        raise HandshakeError("there is more than one Sec-WebSocket-Version", 400)
    if not versions or versions[0] not in spoken:
        known = ", ".join(spoken)
        raise HandshakeError(
            f"the WebSocket versions spoken here are {known}",
            426,
            [("Sec-WebSocket-Version", known)],
        )
    keys = fields.get("sec-websocket-key", ())
    if len(keys) != 1 or not _KEY(keys[0]):
        raise HandshakeError("there has to be one Sec-WebSocket-Key, 16 bytes in base64", 400)
    return keys[0]


def _origin_matches(entry: str | re.Pattern[str] | None, origin: str | None) -> bool:
    if entry is None or origin is None:
        return entry is origin
    if isinstance(entry, str):
        return entry.lower() == origin.lower()
    return entry.fullmatch(origin) is not None


def _allowed(origins: Origins | OriginCheck, request: Request) -> str:
    """What to tell whoever was refused for the Origin."""
    if origins is same_origin:
        host = excerpt(request.host)
        return f"; allowed are pages of {host} (a proxy in between has to pass the Host header on)"
    if callable(origins):
        return ""
    names = ["none" if e is None else e if isinstance(e, str) else e.pattern for e in origins]
    return f"; allowed are {', '.join(names) or 'no Origins at all'}"


# -- the client's side ---------------------------------------------------------------------

#: The likely cause and the next step, by status.
_HINTS = {
    400: "it takes the request for malformed",
    404: "there is nothing at this path: is it spelled right?",
    405: "there is something else than WebSocket at this path: is it the right one?",
    407: "a proxy in between wants to know who you are: put user name and password into its URL",
    408: "it took too long for the request to arrive",
    426: "it wants another protocol or another version of WebSocket",
    410: "what was at this path is gone for good",
    429: "too many connections or attempts: wait before the next one",
    431: "the headers are too large: cookies?",
    500: "it failed: its log knows more",
    502: "the proxy in front cannot reach the server: is it running?",
    503: "it is overloaded or not ready: try again later",
    504: "the proxy in front waited in vain for the server: is it running?",
}
#: What a 401 asks for, by the scheme in WWW-Authenticate.
_LOGINS = {
    "basic": "it wants user name and password: put them into the URL or give auth=(user, password)",
    "bearer": "it wants a token: give auth=Bearer(token)",
    "digest": "it wants a Digest login: give auth=Digest(user, password)",
}
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


class ClientHandshake:
    """A request, and what the server makes of it.

    Write ``request``, feed what comes back until ``done``; then ``error`` is ``None`` or says why
    there is no connection. ``response`` is the server's answer, if there was one.
    """

    def __init__(
        self,
        uri: Uri,
        *,
        config: Config = DEFAULT,
        protocols: Sequence[str] = (),
        headers: Iterable[tuple[str, str]] = (),
        exclude_headers: Iterable[str] = (),
        origin: str | None = None,
        key: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``protocols``: subprotocols to offer, the preferred one first.

        ``headers`` are sent besides the standard ones; one of the same name takes the place of
        the standard one. ``exclude_headers``: names to leave out. ``origin``: by default that of
        a page on the same server. ``key``: base64 of 16 bytes, by default random. Raises
        ``ValueError`` for what cannot stand in a request.
        """
        _refuse_text("protocols", protocols)
        self._config = config
        self._clock = clock
        self.uri = uri
        timeout = config.open_timeout
        #: When ``tick()`` has to be called; may be moved, since connecting takes of the same time.
        self.deadline: float | None = None if timeout is None else clock() + timeout
        self.request_headers = self._make_headers(
            list(headers), {name.lower() for name in exclude_headers}, protocols, origin, key
        )
        self.request = format_head(f"GET {uri.resource} HTTP/1.1", self.request_headers)
        self._sent = Headers(self.request_headers)
        self._reader = HeadReader(config.max_head_size, config.max_headers)
        self._skipped = 0
        self._start = b""
        self._body = bytearray()
        self._body_length: int | None = None
        self._chunked = False
        self._rest = b""
        self._reason = ""
        #: Whether it is over, either way.
        self.done = False
        self.error: HandshakeError | ConnectionTimeout | None = None
        self.response: Response | None = None
        self.subprotocol: str | None = None
        self.extensions: list[str] = []
        self.deflate: PerMessageDeflate | None = None

    @property
    def rest(self) -> bytes:
        """What came behind the 101: frames, for whoever takes over."""
        return self._rest

    def _make_headers(
        self,
        extra: list[tuple[str, str]],
        excluded: set[str],
        protocols: Sequence[str],
        origin: str | None,
        key: bytes | None,
    ) -> list[tuple[str, str]]:
        """RFC 6455 section 4.1, in the order of ws4py 0.6."""
        uri, compression = self.uri, self._config.compression
        key = base64.b64encode(os.urandom(16)) if key is None else key
        if not _KEY(key.decode("latin-1")):
            raise ValueError(f"key has to be 16 bytes in base64, not {key!r}")
        for name in protocols:
            if not is_token(name):
                raise ValueError(f"{name!r} is no name of a subprotocol (RFC 6455 section 4.1)")
        standard = [
            ("Host", uri.host_header),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", key.decode("latin-1")),
            ("Sec-WebSocket-Version", VERSIONS[0]),
        ]
        if protocols:
            standard.append(("Sec-WebSocket-Protocol", ", ".join(protocols)))
        if compression is not None:
            standard.append(("Sec-WebSocket-Extensions", offer(compression)))
        if uri.userinfo is not None:
            login = base64.b64encode(":".join(uri.userinfo).encode("utf-8")).decode("ascii")
            standard.append(("Authorization", f"Basic {login}"))
        at_the_end = [("Origin", uri.origin if origin is None else origin)]
        given = Headers(extra)
        known = {name.lower() for name, _ in standard}
        headers = []
        for name, value in standard:
            headers += [(name, v) for v in given.get_all(name)] or [(name, value)]
        headers += [(name, value) for name, value in extra if name.lower() not in known]
        headers += [(name, value) for name, value in at_the_end if name not in given]
        return [(name, value) for name, value in headers if name.lower() not in excluded]

    # What the server does

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the server. After a refusal they are ignored."""
        try:
            if self.response is None:
                if not self.done:
                    self._read_head(bytes(data))
            elif not self.done:
                self._read_body(data)
            elif self.error is None:
                self._rest += bytes(data)
        except HandshakeError as error:
            self._end(error)

    def receive_eof(self) -> None:
        """The server will send no more, or the connection is lost."""
        if self.done:
            return
        if self.response is not None:
            self._end(self._refusal(self.response))
        else:
            hint = "; if it expects TLS, use wss://"
            if self.uri.secure or self._start:
                hint = ": its log may know why"
            how = "within its answer" if self._start else "without an answer"
            error = HandshakeError(f"{self.uri} closed the connection {how}{hint}")
            error.__cause__ = EOFError("connection closed while reading HTTP status line")
            self._end(error)

    def tick(self) -> None:
        """Give up if the deadline has passed; else nothing happens."""
        if self.done or self.deadline is None or self._clock() < self.deadline:
            return
        if self.response is not None:
            # The rest of the page is late, but the answer is known.
            self._end(self._refusal(self.response))
        else:
            seconds = self._config.open_timeout
            within = "" if seconds is None else f" within {seconds:g} seconds"
            text = f"{self.uri} did not answer the opening handshake{within}"
            self._end(ConnectionTimeout(text))

    def _end(self, error: HandshakeError | ConnectionTimeout | None) -> None:
        self.error = error
        self.done = True
        self.deadline = None

    def _read_head(self, data: bytes) -> None:
        """Answers before the final one are skipped (RFC 9110 section 15.2)."""
        while data and self.response is None:
            if len(self._start) < len(b"HTTP/1."):
                self._start += data[:80]
                if not self._start.startswith(b"HTTP/1."[: len(self._start)]):
                    raise self._not_http()
            reader = self._reader
            try:
                reader.receive_data(data)
                if not reader.complete:
                    return
                version, status, reason, headers = parse_response_head(reader.head)
            except HandshakeError as error:
                raise HandshakeError(f"the answer of {self.uri} is malformed: {error}") from None
            data = reader.rest
            if 100 <= status < 200 and status != 101:
                self._skip(reader.head)
            else:
                self._finish_head(version, status, reason, headers)

    def _skip(self, head: bytes) -> None:
        self._skipped += len(head)
        limit = self._config.max_head_size
        if self._skipped > limit:
            raise HandshakeError(f"{self.uri} sent {limit} bytes without coming to an answer")
        self._reader = HeadReader(limit, self._config.max_headers)
        self._start = b""

    def _finish_head(self, version: str, status: int, reason: str, headers: Headers) -> None:
        self.response = Response(status, headers)
        if status == 101:
            self._check(version, headers)
            self._rest = self._reader.rest
            self._end(None)
            return
        self._reason = reason if version != "HTTP/1.0" else f"{reason} (in HTTP/1.0)"
        self._expect_body(status, headers)
        self._read_body(self._reader.rest)
        if 300 <= status < 400 and "location" in headers:
            raise self._refusal(self.response)  # whoever goes on does not wait for the page

    def _not_http(self) -> HandshakeError:
        start = self._start
        if start[0] in _TLS_RECORDS and not self.uri.secure:
            return HandshakeError(f"{self.uri} answered with TLS: did you mean wss://?")
        shown = excerpt(start.decode("latin-1"))
        return HandshakeError(
            f"{self.uri} did not answer with HTTP/1.1 but with {shown}: is the port right?"
        )

    def _check(self, version: str, headers: Headers) -> None:
        """The 101 (RFC 6455 section 4.1); sets what was agreed upon."""
        if not _MODERN(version):
            raise self._broken("is in HTTP/1.0, which knows no upgrades")
        if [name.lower() for name in _names(headers.get_all("upgrade"))] != ["websocket"]:
            raise self._broken(
                "does not upgrade to WebSocket: does a proxy in between drop the Upgrade header?",
                "Upgrade",
            )
        if not has_token(headers.get_all("connection"), "upgrade"):
            raise self._broken(
                "does not say 'Connection: Upgrade': does a proxy in between drop that header?",
                "Connection",
            )
        expected = accept_key(self._sent.get("sec-websocket-key", "") or "")
        if headers.get_all("sec-websocket-accept") != [expected]:
            raise self._broken(
                "has a wrong Sec-WebSocket-Accept, so it answers another request: is there a cache"
                " in between?",
                "Sec-WebSocket-Accept",
            )
        chosen = headers.get_all("sec-websocket-protocol")
        if chosen:
            offered = _names(self._sent.get_all("sec-websocket-protocol"))
            if len(chosen) > 1 or chosen[0] not in offered:
                names = ", ".join(offered) or "none"
                raise self._broken(
                    f"chose subprotocol {excerpt(', '.join(chosen))}, but offered was {names}:"
                    " protocols=[…] says what to offer",
                    "Sec-WebSocket-Protocol",
                )
            self.subprotocol = chosen[0]
        values = headers.get_all("sec-websocket-extensions")
        if values:
            self._check_extensions(values)

    def _check_extensions(self, values: list[str]) -> None:
        sent = self._sent.get("sec-websocket-extensions") or ""
        compression = self._config.compression if "permessage-deflate" in sent else None
        try:
            self.deflate = accept_response(parse_extensions(values), compression)
        except HandshakeError as error:
            wrong = f"cannot be used: {error}"
            raise self._broken(wrong, "Sec-WebSocket-Extensions") from None
        if self.deflate is not None:
            self.extensions = [self.deflate.parameters]

    def _broken(self, what: str, header: str | None = None) -> HandshakeError:
        headers = self.response.headers.items() if self.response else ()
        error = HandshakeError(f"the 101 of {self.uri} {what}", 101, headers)
        error.header = header
        return error

    # What stands in a refusal

    def _expect_body(self, status: int, headers: Headers) -> None:
        """RFC 9112 section 6.3, as far as it matters for a page that is cut off anyway."""
        lengths = headers.get_all("content-length")
        if has_token(headers.get_all("transfer-encoding"), "chunked"):
            self._chunked = True
        elif status in (204, 304):
            self._body_length = 0
        elif len(lengths) == 1 and _DIGITS(lengths[0]):
            self._body_length = int(lengths[0])

    def _read_body(self, data: bytes | bytearray | memoryview) -> None:
        body = self._body
        body += data[: MAX_BODY - len(body)]
        enough = MAX_BODY if self._body_length is None else min(self._body_length, MAX_BODY)
        if len(body) >= enough or (self._chunked and body.endswith(b"0\r\n\r\n")):
            assert self.response is not None
            raise self._refusal(self.response)

    def _refusal(self, response: Response) -> HandshakeError:
        body = bytes(self._body)[: self._body_length]
        response.body = _dechunked(body) if self._chunked else body
        text = _explain(self.uri, response, self._reason, self._sent)
        return HandshakeError(text, response.status, response.headers.items(), response.body)


def _names(values: Iterable[str]) -> list[str]:
    """The elements of a list, whatever they are: they are compared and nothing else."""
    return [name for name in (item.strip(" \t") for item in ",".join(values).split(",")) if name]


def _dechunked(body: bytes) -> bytes:
    """As much of a chunked body as is there (RFC 9112 section 7.1)."""
    pieces = []
    position = 0
    while (end := body.find(b"\r\n", position)) >= 0:
        try:
            size = int(body[position:end].partition(b";")[0], 16)
        except ValueError:
            break
        if size <= 0:
            break
        position = end + 2 + size + 2
        pieces.append(body[end + 2 : position - 2])
    return b"".join(pieces)


def _explain(uri: Uri, response: Response, reason: str, sent: Headers) -> str:
    """What happened, its likely cause, and what the server said about it."""
    status, headers = response.status, response.headers
    # The beginning is enough, and keeps the expressions below from searching for long.
    page = response.body[:2000].decode("utf-8", "replace")
    html = "html" in (headers.get("content-type") or "") or page.lstrip().startswith("<")
    hint = _HINTS.get(status, "")
    if 300 <= status < 400 and status != 304:
        place = headers.get("location")
        where = "without saying where to" if place is None else f"to {excerpt(place, 200)}"
        hint = f"it redirects {where}"
    elif status in (401, 403):
        hint = _who_is_asked_for(status, headers, sent)
    elif status == 200:
        what = "an HTML page" if html else "an ordinary answer"
        hint = f"that is {what} and not WebSocket: is the path right?"
    elif status == 400 and "HTTPS" in page and not uri.secure:
        hint = "did you mean wss://?"
    elif status == 426 and "sec-websocket-version" in headers:
        hint += f": {excerpt(headers['sec-websocket-version'])}; sent was {VERSIONS[0]}"
    elif status == 426 and "upgrade" in headers:
        hint += f": {excerpt(headers['upgrade'])}"
    title = _TITLE.search(page)
    said = " ".join((title[1] if title else _TAG.sub(" ", page) if html else page).split())
    hint = f": {hint}" if hint else ""
    if said:
        said = f"{' It' if hint.endswith('?') else '; it'} says {excerpt(said, 200)}"
    return f"{uri} answered {status} {excerpt(reason)[1:-1]}".rstrip() + hint + said


def _who_is_asked_for(status: int, headers: Headers, sent: Headers) -> str:
    """What a 401 or 403 wants, or did not like."""
    given = sent.get("authorization")
    if status == 403:
        origin = sent.get("origin")
        who = "this user not allowed" if given else "a token or cookie missing"
        page = "an Origin missing" if origin is None else f"Origin {excerpt(origin)} not allowed"
        return f"you may not connect: is {who}, or {page}?"
    if given is not None:
        kind = excerpt(given.partition(" ")[0])[1:-1]
        return f"it does not take the {kind} login that was sent: is it right, and not expired?"
    schemes = [value.partition(" ")[0].lower() for value in headers.get_all("www-authenticate")]
    wanted = next((_LOGINS[name] for name in _LOGINS if name in schemes), None)
    return wanted or "it wants to know who you are: give auth=… or an Authorization header"

"""HTTP/1.1 heads: read within limits, parse strictly, write safely (RFC 9110, RFC 9112).

What belongs here is syntax: the start line, header fields, lists of tokens, extension lists, and
the accept key. What a header *means* for WebSocket is decided in ``handshake``. This module must
never know sockets, time, or which side of a connection it serves.

Two rules keep it honest. Nothing is repaired: what RFC 9112 lets a recipient guess at (folded
lines, bare line feeds, spaces before the colon) is refused, because two parsers that guess
differently are how requests are smuggled. And the work is proportional to the input.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from hashlib import sha1

from ws4py.exc import HandshakeError

__all__ = [
    "STDLIB_MOST_HEADERS",
    "HeadReader",
    "Headers",
    "accept_key",
    "excerpt",
    "format_head",
    "has_token",
    "is_token",
    "parse_extensions",
    "parse_request_head",
    "parse_response_head",
    "parse_tokens",
]

#: RFC 6455 section 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# RFC 9110 section 5.6.2, and what may stand in a field value (section 5.5): no control but TAB.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TEXT = r"[^\x00-\x08\n-\x1f\x7f]"

# Every expression here consumes what it has read or fails at once: no input makes it go back.
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([!\"$-~]+) HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(rf"HTTP/([0-9])\.([0-9]) ([1-9][0-9][0-9])(?: ({_TEXT}*))?")
_FIELD = re.compile(rf"{_TOKEN}:{_TEXT}*")
_CONTROL = re.compile(r"[\x00-\x08\n-\x1f\x7f]")
_IS_TOKEN = re.compile(_TOKEN).fullmatch
#: The same characters among bytes.
_CONTROLS = bytes([*range(9), *range(10, 32), 127])
#: Names that nearly every opening handshake has, as programs spell them ...
COMMON = (
    *("Host", "Connection", "Upgrade", "Origin", "User-Agent", "Pragma", "Cache-Control"),
    *("Accept-Encoding", "Accept-Language", "Cookie", "Sec-WebSocket-Key"),
    *("Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"),
)
#: ... and in lower case. By each spelling the latter and this very text of the former: these
#: names need not be looked at each time, nor kept once for each connection.
_KNOWN = {spelled: (name.lower(), spelled) for name in COMMON for spelled in (name, name.lower())}
#: So many the standard library's parser takes, by which servers of others have heads read.
STDLIB_MOST_HEADERS = 99
#: How the lines of a whole head end.
_BLANK = ["", ""]
#: Those of our answers.
_OURS = frozenset(("Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions"))
_EXTENSION = re.compile(rf"[ \t,]*(?:({_TOKEN})[ \t]*|\Z)")
_QUOTED = rf'"((?:[^"\\\x00-\x08\n-\x1f\x7f]|\\{_TEXT})*)"'
_PARAMETER = re.compile(rf";[ \t]*({_TOKEN})[ \t]*(?:=[ \t]*(?:({_TOKEN})|{_QUOTED})[ \t]*)?")
_ESCAPED = re.compile(r"\\(.)")


class Headers:
    """Header fields in the order of the wire; names are found whatever their case.

    Subscripting and ``get`` give the first value of a name, ``get_all`` every one.
    """

    __slots__ = ("_by_name", "_pairs")

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]] = (),
        by_name: dict[str, list[str]] | None = None,
    ) -> None:
        """``by_name``: what the property of that name gives, from who has it already."""
        self._pairs = list(pairs)
        self._by_name = by_name

    @property
    def by_name(self) -> dict[str, list[str]]:
        """The values of each name, which is in lower case. To be looked at, not to be changed."""
        # Made when it is first wanted: most answers are only written.
        if self._by_name is None:
            self._by_name = {}
            for name, value in self._pairs:
                self._by_name.setdefault(name.lower(), []).append(value)
        return self._by_name

    def add(self, name: str, value: str) -> None:
        """Append a field; others of the same name stay."""
        self._pairs.append((name, value))
        if self._by_name is not None:
            self._by_name.setdefault(name.lower(), []).append(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of ``name``."""
        by_name = self._by_name or self.by_name  # asked often, and a property takes its time
        values = by_name.get(name.lower())
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        """Every value of ``name``, one for each line, in order."""
        return list(self.by_name.get(name.lower(), ()))

    def slim(self) -> None:
        """Give up ``by_name``, half of the memory, until it is wanted again."""
        self._by_name = None

    def items(self) -> list[tuple[str, str]]:
        """All fields, names as they were written."""
        return list(self._pairs)

    def __getitem__(self, name: str) -> str:
        try:
            return self.by_name[name.lower()][0]
        except KeyError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self.by_name

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Names only: values are cookies and passwords, and this ends up in logs.
        return f"<Headers {', '.join(self)}>"


class HeadReader:
    """Collects bytes up to and including the blank line that ends a head.

    ``receive_data`` may be called with any pieces; once ``complete`` is true, ``head`` is the head
    and ``rest`` what came behind it. A byte is looked at once, however it arrives.
    """

    __slots__ = (
        "_buffer",
        "_lines",
        "_max_headers",
        "_max_size",
        "_scanned",
        "complete",
        "head",
        "rest",
    )

    def __init__(self, max_size: int, max_headers: int) -> None:
        """``max_size`` in bytes, ``max_headers`` in lines between start line and blank line."""
        self._max_size = max_size
        self._max_headers = max_headers
        self._buffer: bytearray | None = None
        self._scanned = 0  # up to here, behind a line feed, all is checked
        self._lines = 0
        self.complete = False
        self.head = b""
        self.rest = b""

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises ``HandshakeError`` (400, 414, 431) as soon as possible."""
        if self.complete:
            self.rest += bytes(data)
            return
        text: bytes | bytearray
        if self._buffer is None:
            # Nearly every head comes at once, and is not copied then.
            text, seen = data if type(data) is bytes else bytes(data), 0
        else:
            text, seen = self._buffer, len(self._buffer)
            text += data
        end = text.find(b"\r\n\r\n", max(0, seen - 3))
        if end >= 0:
            end += 4
            self._check(text, end, end, 1)
            if end < len(text):
                self.rest = bytes(text[end:])
                text = text[:end]
            self.head = text if type(text) is bytes else bytes(text)
            self.complete = True
            self._buffer = None
        else:
            self._check(text, text.rfind(b"\n", seen) + 1, len(text), 0)
            if self._buffer is None:
                self._buffer = bytearray(text)

    def _check(self, text: bytes | bytearray, stop: int, size: int, blank: int) -> None:
        """The lines up to ``stop``, which are whole, and the size of the head up to now.

        ``blank``: how many of these lines are the one that ends the head.
        """
        if stop > self._scanned:
            lines = text.count(b"\n", self._scanned, stop)
            if lines != text.count(b"\r\n", self._scanned, stop):
                # Said at once: whoever ends lines like that will never send CR LF CR LF.
                raise HandshakeError("a line ends with LF alone instead of CR LF", 400)
            self._scanned = stop
            self._lines += lines
            if self._lines - 1 - blank > self._max_headers:
                raise HandshakeError(f"there are more than {self._max_headers} header lines", 431)
        if size > self._max_size:
            what, status = ("head", 431) if self._lines else ("first line", 414)
            raise HandshakeError(f"the {what} is longer than {self._max_size} bytes", status)


def parse_request_head(head: bytes) -> tuple[str, str, str, Headers]:
    """A whole request head, blank line included, as method, target, version and headers.

    The version is ``"HTTP/1.1"`` or another minor one. Values are decoded as ISO 8859-1.
    Raises ``HandshakeError`` with status 400, or 505 for another major version (RFC 9112
    sections 3 and 5).
    """
    lines = head.decode("latin-1").split("\r\n")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise HandshakeError(f"{excerpt(lines[0])} is no HTTP request line", 400)
    method, target, major, minor = match.groups()
    if major != "1":
        raise HandshakeError(f"HTTP/{major}.{minor} is not spoken here, only HTTP/1.1", 505)
    return method, target, f"HTTP/1.{minor}", _parse_fields(head, lines)


def parse_response_head(head: bytes) -> tuple[str, int, str, Headers]:
    """A whole response head, blank line included, as version, status, reason and headers.

    Raises ``HandshakeError`` with status 400 (RFC 9112 sections 4 and 5).
    """
    lines = head.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None or match[1] != "1":
        raise HandshakeError(f"{excerpt(lines[0])} is no HTTP/1.1 status line", 400)
    return f"HTTP/1.{match[2]}", int(match[3]), match[4] or "", _parse_fields(head, lines)


def _parse_fields(head: bytes, lines: list[str]) -> Headers:
    """The headers of a head, given whole and as lines without their ends."""
    # As many control characters as the ends of the lines have, so there are no others.
    unwanted = len(head) - len(head.translate(None, _CONTROLS)) - 2 * (len(lines) - 1)
    if unwanted or lines[-2:] != _BLANK:
        raise HandshakeError(_what_is_wrong(lines[1:-2]), 400)
    pairs = []
    by_name: dict[str, list[str]] = {}
    for line in lines[1:-2]:
        lower, pair = _USUAL.get(line) or _field(line)
        if not lower:
            raise HandshakeError(_what_is_wrong(lines[1:-2]), 400)
        pairs.append(pair)
        if lower in by_name:
            by_name[lower].append(pair[1])
        else:
            by_name[lower] = [pair[1]]
    return Headers(pairs, by_name)


def _field(line: str) -> tuple[str, tuple[str, str]]:
    """The name in lower case, ``""`` if this is no header; then name and value."""
    name, colon, value = line.partition(":")
    known = _KNOWN.get(name)
    if known is not None:
        lower, name = known
    else:
        lower = name.lower() if _IS_TOKEN(name) else ""
    return lower if colon else "", (name, value.strip(" \t"))


#: Lines that nearly every opening handshake has, read once.
_USUAL = {
    line: _field(line)
    for line in ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
}


def _what_is_wrong(lines: list[str]) -> str:
    for line in lines:
        if _FIELD.fullmatch(line):
            continue
        if line.startswith((" ", "\t")):
            return "a header continues on a second line, which RFC 9112 abolished"
        name, colon, _ = line.partition(":")
        if colon and name != name.rstrip(" \t") and _IS_TOKEN(name.rstrip(" \t")):
            return f"there is a space before the colon of the header {excerpt(name.rstrip())}"
        if colon and _IS_TOKEN(name):
            return f"the header {excerpt(name)} contains a control character"
        return f"{excerpt(line)} is no header"
    return "the head does not end with an empty line"


def excerpt(text: str, length: int = 60) -> str:
    """The beginning of something that came from outside, escaped, fit for a log or an error."""
    return ascii(text if len(text) <= length else text[: length - 1] + "…")


def format_head(start_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A head as it goes over the wire, blank line included.

    Raises ``ValueError`` for anything that would end a line early or is no header: a CR, LF or
    other control character, a name that is no token, a character outside ISO 8859-1.
    """
    lines = [start_line]
    for name, value in headers:
        if name not in _OURS and not _IS_TOKEN(name):
            raise ValueError(f"{excerpt(name)} is no name of a header")
        lines.append(f"{name}: {value}")
    text = "".join(lines)
    wrong = None if text.isprintable() else _CONTROL.search(text)
    if wrong:
        number, culprit = next(pair for pair in enumerate(lines) if wrong[0] in pair[1])
        # A value may be a password or a token, read with the end of its line.
        shown = f"the header {culprit.partition(':')[0]}" if number else excerpt(culprit)
        raise ValueError(f"{shown} contains a control character")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{excerpt(error.object[error.start : error.end])} cannot stand in a header,"
            " which is ISO 8859-1; encode it first, as the receiver expects it"
        ) from None


def is_token(text: str) -> bool:
    """Whether ``text`` can be a name: of a header, a subprotocol, an extension."""
    return _IS_TOKEN(text) is not None


def has_token(values: Iterable[str], token: str) -> bool:
    """Whether ``token`` (lower case) is in a list that may run over several lines, in any case.

    For ``Connection`` and ``Upgrade``: what else is in the list, legal or not, is somebody else's.
    """
    for value in values:
        if value.lower() == token:
            return True
        if "," in value and token in [item.strip(" \t") for item in value.lower().split(",")]:
            return True
    return False


def parse_tokens(values: Iterable[str]) -> list[str]:
    """The tokens of a list that may run over several lines (RFC 9110 section 5.6.1).

    Empty elements are skipped. Raises ``HandshakeError`` (400) for what is no token.
    """
    tokens = []
    for value in values:
        for item in value.split(","):
            token = item.strip(" \t")
            if not token:
                continue
            if not _IS_TOKEN(token):
                raise HandshakeError(f"{excerpt(token)} is no token in a list of tokens", 400)
            tokens.append(token)
    return tokens


def parse_extensions(values: Iterable[str]) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """``Sec-WebSocket-Extensions``, over several lines: names, each with its parameters.

    A quoted value is unquoted and has to be a token (RFC 6455 section 9.1). Raises
    ``HandshakeError`` (400).
    """
    extensions: list[tuple[str, list[tuple[str, str | None]]]] = []
    for value in values:
        position = 0
        while match := _extension_at(value, position):
            parameters: list[tuple[str, str | None]] = []
            extensions.append((match[1], parameters))
            position = match.end()
            while value.startswith(";", position):
                match = _PARAMETER.match(value, position)
                if match is None:
                    raise _bad_extension(value, position)
                parameters.append((match[1], _parameter_value(match)))
                position = match.end()
            if not value.startswith(",", position) and position < len(value):
                raise _bad_extension(value, position)
    return extensions


def _extension_at(value: str, position: int) -> re.Match[str] | None:
    """The next name; ``None`` at the end of the value."""
    match = _EXTENSION.match(value, position)
    if match is None:
        raise _bad_extension(value, position)
    return match if match[1] else None


def _parameter_value(match: re.Match[str]) -> str | None:
    if match[3] is None:
        return match[2]
    value = _ESCAPED.sub(r"\1", match[3])
    if not _IS_TOKEN(value):
        raise _bad_extension(match.string, match.start())
    return value


def _bad_extension(value: str, position: int) -> HandshakeError:
    return HandshakeError(
        f"Sec-WebSocket-Extensions is malformed at {excerpt(value[position:])}", 400
    )


def accept_key(key: str) -> str:
    """``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (RFC 6455 section 4.2.2, step 5.4)."""
    # Not a matter of security, so it works where SHA-1 is banned (FIPS).
    digest = sha1(key.encode("latin-1") + GUID, usedforsecurity=False).digest()
    return b2a_base64(digest, newline=False).decode("ascii")

"""The plain values of aiohttp: kinds of messages, close codes, logins, timeouts, connectors."""

from __future__ import annotations

import binascii
import enum
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ws4py.awaited import DONE
from ws4py.dropin.aiohttp.real import ours_or_real


class WSMsgType(enum.IntEnum):
    """Kinds of messages; in small letters as of old."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    PING = 0x9
    PONG = 0xA
    CLOSE = 0x8
    CLOSING = 0x100
    CLOSED = 0x101
    ERROR = 0x102

    text = TEXT
    binary = BINARY
    ping = PING
    pong = PONG
    close = CLOSE
    closing = CLOSING
    closed = CLOSED
    error = ERROR


MsgType = WSMsgType


class WSCloseCode(enum.IntEnum):
    """Close codes by name."""

    OK = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    ABNORMAL_CLOSURE = 1006
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


class WSMessage(NamedTuple):
    """One message. ``type`` is a ``WSMsgType``; of a close frame ``data`` is the code."""

    type: WSMsgType
    data: Any
    extra: Any = None

    @property
    def tp(self) -> WSMsgType:
        """The older name of ``type``."""
        return self.type

    def json(self, *, loads: Callable[[Any], Any] = json.loads) -> Any:
        """``data`` as JSON."""
        return loads(self.data)


@dataclass(frozen=True)
class ClientWSTimeout:
    """Seconds that ``receive()`` waits, and that closing may take."""

    ws_receive: float | None = None
    ws_close: float | None = None


@ours_or_real
@dataclass(frozen=True)
class ClientTimeout:
    """Seconds; for a WebSocket ``total`` is all of the opening."""

    total: float | None = None
    connect: float | None = None
    sock_read: float | None = None
    sock_connect: float | None = None
    ceil_threshold: float = 5


class _BasicAuth(NamedTuple):
    login: str
    password: str = ""
    encoding: str = "latin1"


@ours_or_real
class BasicAuth(_BasicAuth):
    """A login for HTTP Basic."""

    def __new__(cls, login: str, password: str = "", encoding: str = "latin1") -> BasicAuth:
        """Raises ``ValueError`` for what cannot be a login."""
        if login is None or password is None:
            raise ValueError("None is not allowed as login or password value")
        if ":" in login:
            raise ValueError('A ":" is not allowed in login (RFC 1945#section-11.1)')
        return super().__new__(cls, login, password, encoding)

    @classmethod
    def decode(cls, auth_header: str, encoding: str = "latin1") -> BasicAuth:
        """From the value of an ``Authorization`` header."""
        kind, _, encoded = auth_header.partition(" ")
        if kind.lower() != "basic":
            raise ValueError(f"Unknown authorization method {kind}")
        try:
            login, colon, password = (
                b64decode(encoded, validate=True).decode(encoding).partition(":")
            )
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("Invalid base64 encoding.") from None
        if not colon:
            raise ValueError("Invalid credentials.")
        return cls(login, password, encoding)

    def encode(self) -> str:
        """The value of an ``Authorization`` header."""
        plain = f"{self.login}:{self.password}".encode(self.encoding)
        return f"Basic {b64encode(plain).decode('ascii')}"


@ours_or_real
class Fingerprint:
    """The SHA-256 of the one certificate that is accepted."""

    def __init__(self, fingerprint: bytes) -> None:
        if len(fingerprint) != 32:
            raise ValueError("fingerprint has invalid length")
        self.fingerprint = fingerprint


class RequestInfo(NamedTuple):
    """What was asked for, in errors."""

    url: Any
    method: str
    headers: Any
    real_url: Any


class BaseConnector:
    """How connections are made. Its options, kept for whoever makes them."""

    def __init__(self, **options: Any) -> None:
        options.pop("loop", None)
        self.options = options
        self.closed = False

    @property
    def limit(self) -> int:
        """Of ordinary requests at a time; a WebSocket does not count."""
        limit: int = self.options.get("limit", 100)
        return limit

    @property
    def limit_per_host(self) -> int:
        """As ``limit``."""
        limit: int = self.options.get("limit_per_host", 0)
        return limit

    @property
    def force_close(self) -> bool:
        """Of ordinary requests."""
        return bool(self.options.get("force_close", False))

    def close(self) -> Any:
        """No more connections. May be awaited or not."""
        self.closed = True
        return DONE

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()


class TCPConnector(BaseConnector):
    """Over TCP: ``ssl``, ``verify_ssl``, ``ssl_context``, ``fingerprint`` and ``local_addr``."""

    def __init__(self, *, ssl: Any = True, local_addr: Any = None, **options: Any) -> None:
        super().__init__(ssl=ssl, local_addr=local_addr, **options)


class UnixConnector(BaseConnector):
    """Over the Unix socket ``path``."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path=path, **options)

    @property
    def path(self) -> str:
        """Of the socket."""
        path: str = self.options["path"]
        return path

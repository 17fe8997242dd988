"""The heads of opening handshakes under gevent, read past pywsgi's parser, which is made for mail.

Only what that parser would take for the very same is read here; the rest is left to it. This module
must never know frames, or what a header means for WebSocket.
"""

from __future__ import annotations

from typing import Any

from ws4py.exc import HandshakeError
from ws4py.protocol.headers import STDLIB_MOST_HEADERS, Headers, parse_request_head

__all__ = ["read_ahead", "read_upgrade"]


class UpgradeHeaders(Headers):
    """The headers of a request to upgrade, as pywsgi asks for them."""

    __slots__ = ("alone",)

    status = ""
    getheader = Headers.get
    #: Whether nothing had come behind them.
    alone: bool

    @property
    def headers(self) -> list[str]:
        """The lines."""
        return [f"{name}: {value}\r\n" for name, value in self.items()]

    @property
    def typeheader(self) -> str | None:
        """The type of a body."""
        return self.get("content-type")


def read_upgrade(request_line: str, reader: Any) -> UpgradeHeaders | None:
    """The headers of a request to upgrade that has come as a whole, with nothing doubtful in it.

    ``None``: it is none, or pywsgi has to judge. Nothing is read then.
    """
    came = reader.peek()
    end = came.find(b"\r\n\r\n") + 4
    if end < 4 or came.startswith(b"\r\n"):
        return None
    try:
        line = request_line.encode("latin-1") + b"\r\n"
        fields = parse_request_head(line + came[:end])[3]
    except HandshakeError:
        return None
    if (
        "upgrade" not in fields
        or "transfer-encoding" in fields
        or len(fields) > STDLIB_MOST_HEADERS
    ):
        return None
    reader.read(end)
    headers = UpgradeHeaders(fields.items(), fields.by_name)
    headers.alone = len(came) == end
    return headers


def read_ahead(headers: Any, sock: Any, reader: Any) -> Any:
    """What has been read from the socket, or can be, behind these headers."""
    if isinstance(headers, UpgradeHeaders) and headers.alone:
        return b""
    sock.settimeout(0)  # or else peek() might wait for more
    try:
        return reader.peek()
    except OSError:  # TLS has nothing, or the websocket will meet the same error
        return b""

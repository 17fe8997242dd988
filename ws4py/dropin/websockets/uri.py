"""``parse_uri`` and what it gives, in the words of ``websockets.uri``."""

from __future__ import annotations

from dataclasses import dataclass

from ws4py.dropin.websockets.exceptions import InvalidURI
from ws4py.protocol.uri import Uri
from ws4py.protocol.uri import parse_uri as parse

__all__ = ["WebSocketURI", "parse_uri"]


@dataclass
class WebSocketURI:
    """A URI taken apart."""

    secure: bool
    host: str
    port: int
    path: str
    query: str
    username: str | None = None
    password: str | None = None

    @property
    def resource_name(self) -> str:
        """Path and query."""
        return f"{self.path or '/'}?{self.query}" if self.query else self.path or "/"

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password, if the URI has them."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password


def parse_uri(uri: str) -> WebSocketURI:
    """Take a URI apart: ``ws`` or ``wss``, or one of a Unix socket. Raises ``InvalidURI``."""
    try:
        parsed = parse(uri)
    except ValueError as exc:
        raise InvalidURI(uri, str(exc).partition(": ")[2] or str(exc)) from exc
    if not uri.lower().startswith(("ws:", "wss:", "ws+unix:", "wss+unix:")):
        raise InvalidURI(uri, "scheme isn't ws or wss")
    return taken_apart(parsed)


def taken_apart(uri: Uri) -> WebSocketURI:
    """One of our URIs, as one of theirs."""
    path, _, query = uri.resource.partition("?")
    username, password = uri.userinfo or (None, None)
    return WebSocketURI(uri.secure, uri.host, uri.port or 0, path, query, username, password)

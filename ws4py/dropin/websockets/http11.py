"""``Request`` and ``Response`` as hooks of ``websockets`` programs see them, and ours into them."""

from __future__ import annotations

import http
import os
import sys
from dataclasses import dataclass, field
from typing import Any

from ws4py._version import __version__
from ws4py.dropin.websockets.datastructures import Headers
from ws4py.protocol import http as engine
from ws4py.protocol.headers import Headers as EngineHeaders

__all__ = ["SERVER", "USER_AGENT", "Request", "Response"]

_OURSELVES = f"Python/{sys.version_info[0]}.{sys.version_info[1]} ws4py/{__version__}"
USER_AGENT = os.environ.get("WEBSOCKETS_USER_AGENT", _OURSELVES)
SERVER = os.environ.get("WEBSOCKETS_SERVER", _OURSELVES)


@dataclass
class Request:
    """The head of an opening handshake; ``path`` includes the query."""

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"

    @classmethod
    def of(cls, request: engine.Request) -> Request:
        """Of a request that a server has read."""
        headers = Headers(request.headers.items())
        return cls(request.target, headers, request.method, request.version)

    def apply(self, request: engine.Request) -> None:
        """What a hook has changed counts."""
        request.target, request.method, request.version = self.path, self.method, self.protocol
        request.headers = EngineHeaders(self.headers.raw_items())


@dataclass
class Response:
    """The answer to one. Hooks of servers make them with ``connection.respond()``."""

    status_code: int
    reason_phrase: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @classmethod
    def of(cls, response: engine.Response) -> Response:
        """Of one that was received, or is about to be sent."""
        phrase = engine.REASONS.get(response.status, "")
        return cls(response.status, phrase, Headers(response.headers.items()), response.body)

    @classmethod
    def text(cls, status: http.HTTPStatus | int, text: str) -> Response:
        """A page of plain text, with the headers that such a page has."""
        status = http.HTTPStatus(status)
        response = cls.of(engine.Response.text(status.value, text))
        response.headers["Content-Length"] = str(len(response.body))
        response.headers["Connection"] = "close"
        return response

    def apply(self, response: Any = None) -> engine.Response:
        """As an engine's response, a new one unless one is given."""
        response = engine.Response(0) if response is None else response
        response.status, response.body = int(self.status_code), bytes(self.body or b"")
        response.headers = EngineHeaders(self.headers.raw_items())
        return response  # type: ignore[no-any-return]

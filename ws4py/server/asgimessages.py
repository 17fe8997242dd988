"""The words of ASGI (version 3) that both of its sides use here: types, headers, whole pages.

It must never know who is spoken to, nor what a websocket is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ws4py.protocol.handshake import Response
from ws4py.protocol.headers import Headers

__all__ = ["CONNECTION", "Event", "Receive", "Send", "decode", "encode", "refuse", "respond"]

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

#: Extension of the scope: the connection itself, where the server's is one of ours.
CONNECTION = "ws4py.connection"
#: Extension of the scope: an opening handshake may be answered with a page.
PAGES = "websocket.http.response"


async def refuse(response: Response, scope: Event, send: Send) -> None:
    """Answer an opening handshake with something else than yes."""
    if PAGES in (scope.get("extensions") or {}):
        await respond(response, send, "websocket.http")
    else:
        await send({"type": "websocket.close"})  # the server makes a 403 of it


async def respond(response: Response, send: Send, kind: str) -> None:
    """Answer with a page; ``kind`` is how the types of the events begin."""
    body = b"" if response.omit_body else response.body
    headers = [*response.headers.items(), ("Content-Length", str(len(response.body)))]
    start = {"type": f"{kind}.response.start", "status": response.status}
    await send({**start, "headers": encode(headers)})
    await send({"type": f"{kind}.response.body", "body": body})


def encode(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def decode(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as we have them."""
    return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)

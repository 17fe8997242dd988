"""Servers' hooks in the words of ``websockets``: they get the connection that may come to be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from ws4py.dropin.websockets.exceptions import NegotiationError
from ws4py.dropin.websockets.http11 import Request, Response
from ws4py.dropin.websockets.translation import engine_response, takes_path_first
from ws4py.exc import HandshakeError
from ws4py.protocol import http as engine
from ws4py.protocol.handshake import ServerHandshake
from ws4py.server import Upgrader
from ws4py.websocket import WebSocket

__all__ = ["Answering"]


class Handshake(ServerHandshake):
    """An opening handshake that knows whose it is."""

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(**options)
        self.connection = connection


class Answering(Upgrader):
    """Mixin that goes before one of our servers; ``owner`` has the hooks and makes connections."""

    owner: Any

    def new_handshake(self, peer: Any = None, compression: bool = True) -> Handshake:
        """The opening handshake of one connection."""
        connection = self.owner.new_connection(peer)
        return Handshake(
            connection,
            config=self.config if compression else self.config.replace(compression=None),
            select_subprotocol=functools.partial(self._select, connection),
            origins=self.origins,
            secure=self.secure,
            peer=peer,
        )

    def _select(self, connection: Any, request: engine.Request, offered: list[str]) -> str | None:
        """As ``websockets`` does: the server's first, and no connection where none is common."""
        select, known = self.owner.select_subprotocol, self.protocols
        try:
            if select is not None:
                return select(connection, offered)  # type: ignore[no-any-return]
        except NegotiationError as exc:
            raise HandshakeError(str(exc) or "no subprotocol in common", 400) from exc
        if not known:
            return None
        chosen = next((name for name in known if name in offered), None)
        if chosen is None:
            raise HandshakeError(f"expected one of the subprotocols {', '.join(known)}", 400)
        return chosen

    def asks(self) -> bool:
        """Always: the connection's protocol sees request and response."""
        return True

    def ask_request(self, handshake: ServerHandshake, request: engine.Request) -> Any:
        """Call ``process_request``; what it changes in the request counts."""
        assert isinstance(handshake, Handshake)
        connection, hook = handshake.connection, self.owner.process_request
        seen = connection.protocol.request = Request.of(request)
        if hook is None:
            return None

        def conclude(answer: Any) -> engine.Response | None:
            seen.apply(request)
            return None if answer is None else engine_response(answer)

        if takes_path_first(hook):
            return then(hook(seen.path, seen.headers), conclude)
        return then(hook(connection, seen), conclude)

    def ask_response(
        self, handshake: ServerHandshake, request: engine.Request, response: engine.Response
    ) -> Any:
        """Call ``process_response``, for the answer with its ``Server`` header."""
        assert isinstance(handshake, Handshake)
        connection, hook = handshake.connection, self.owner.process_response
        seen = Response.of(response)
        for name, value in self.owner.response_headers(connection, seen):
            seen.headers[name] = value

        def conclude(answer: Any) -> engine.Response:
            final = connection.protocol.response = seen if answer is None else answer
            return engine_response(final)

        if hook is None:
            return conclude(None)
        return then(hook(connection, connection.request, seen), conclude)

    def not_answered(self, request: engine.Request, hook: str) -> engine.Response:
        """Log it where the program expects it."""
        self.owner.logger.error("opening handshake failed", exc_info=True)
        text = "Failed to open a WebSocket connection.\nSee server log for more information.\n"
        return engine.Response.text(500, text)

    def make(
        self, sock: Any, handshake: ServerHandshake, environ: Any, local: Any, peer: Any
    ) -> WebSocket:
        """Our end, with theirs around it."""
        assert isinstance(handshake, Handshake)
        ws: Any = super().make(sock, handshake, environ, local, peer)
        ws.face = handshake.connection
        handshake.connection.attach(ws)
        return ws  # type: ignore[no-any-return]


def then(result: Any, conclude: Callable[[Any], Any]) -> Any:
    """``conclude`` of the result, at once or when it was awaited."""
    if not isawaitable(result):
        return conclude(result)

    async def later() -> Any:
        return conclude(await result)

    return later()

"""The WSGI application that turns a request into a websocket, for servers that give it the socket.

It answers and makes the handler; who drives it is up to the server. It must never know frames,
nor which server it runs under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, Request, Response, ServerHandshake
from ws4py.websocket import WebSocket

__all__ = ["WebSocketWSGIApplication"]

StartResponse = Callable[..., Any]

NO_SOCKET = (
    "This WSGI server does not hand its sockets to applications: environ['ws4py.socket'] is"
    " missing. Run the application under ws4py.server.wsgirefserver or"
    " ws4py.server.geventserver.\n"
)


class WebSocketWSGIApplication:
    """A WSGI application (PEP 3333) whose every URL is a WebSocket endpoint.

    ``protocols``: subprotocols spoken, of which the first that the client wants is taken.
    ``extensions``: kept from 0.6; compression is negotiated as ``config`` says. ``handler_cls``
    is what ``make_websocket`` makes. ``config``, ``origins`` and ``select_subprotocol``: see
    ``ws4py.server.BaseServer``.

    A request that is no opening handshake is answered with 400, 403, 405 or 426. For one that
    is, the websocket is left in ``environ["ws4py.websocket"]``, to be driven by the server once
    it has written the response; 501 when there is no socket in ``environ["ws4py.socket"]``.
    """

    def __init__(
        self,
        protocols: Sequence[str] | None = None,
        extensions: Sequence[str] | None = None,
        handler_cls: Callable[..., WebSocket] = WebSocket,
        *,
        config: Config = DEFAULT,
        origins: Any = SAME_ORIGIN,
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
    ) -> None:
        self.protocols = protocols
        self.extensions = extensions
        self.handler_cls = handler_cls
        self.config = config
        self.origins = origins
        self.select_subprotocol = select_subprotocol

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """One request. What ``make_websocket`` raises is passed on, for the server to answer."""
        request = Request.from_environ(environ)
        handshake = ServerHandshake(
            config=self.config,
            protocols=self.protocols or (),
            select_subprotocol=self.select_subprotocol,
            origins=self.origins,
        )
        response = handshake.answer(request)
        sock = environ.get("ws4py.socket")
        if handshake.accepted and sock is None:
            response = Response.text(501, NO_SOCKET)
        elif handshake.accepted:
            ws = self.make_websocket(
                sock,
                [handshake.subprotocol] if handshake.subprotocol else [],
                list(handshake.extensions),
                environ,
            )
            ws.setup(ws.config or self.config, handshake.deflate)
            environ["ws4py.websocket"] = ws
        return respond(response, start_response)

    def make_websocket(
        self, sock: Any, protocols: list[str], extensions: list[str], environ: dict[str, Any]
    ) -> WebSocket:
        """The handler of one connection. To be overridden; ``environ`` is the request's."""
        return self.handler_cls(sock, protocols, extensions, environ.copy())


def respond(response: Response, start_response: StartResponse) -> Iterable[bytes]:
    """Give a response to a WSGI server."""
    status, body = response.status, b"" if response.omit_body else response.body
    headers = response.headers.items()
    if status != 101:
        headers.append(("Content-Length", str(len(response.body))))
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body] if body else []

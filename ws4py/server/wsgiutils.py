"""The WSGI application that turns a request into a websocket.

It answers, makes the handler, and has it driven: by the server where that knows how
(``wsgirefserver``, ``geventserver``), else in the request's thread or by a manager. How a server is
made to part with its socket is in ``wsgihosts``. This module must never know frames, nor which
server it runs under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ws4py.manager import WebSocketManager
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, Request, Response, ServerHandshake
from ws4py.protocol.http import REASONS
from ws4py.server.caretaker import Caretaker, process_caretaker, shut_down_soon
from ws4py.server.wsgihosts import HANDOVER, STAY, Grip, Mode, find_host, on_stop
from ws4py.websocket import WebSocket

__all__ = ["WebSocketWSGIApplication"]

StartResponse = Callable[..., Any]

NO_SOCKET = (
    "501 Not Implemented: {why}\n\nA WebSocket needs the socket under its request, and not every"
    " WSGI server gives it away. These do: gunicorn (sync, gthread and gevent workers), Werkzeug's"
    " and Flask's development server, cheroot, gevent's pywsgi, wsgiref. For others run the"
    " websockets beside them, with ws4py.server.managedserver.\n"
)
#: Headers of the connection, not of the response (RFC 9110 section 7.6.1).
HOP_BY_HOP = ("connection", "upgrade")


class WebSocketWSGIApplication:
    """A WSGI application (PEP 3333) whose every URL is a WebSocket endpoint.

    ``protocols``: subprotocols spoken, of which the first that the client wants is taken.
    ``extensions``: kept from 0.6; compression is negotiated as ``config`` says. ``handler_cls``
    is what ``make_websocket`` makes. ``config``, ``origins``, ``select_subprotocol`` and
    ``extra_headers``: see ``ws4py.server.BaseServer``.

    ``mode``: ``"stay"`` drives a websocket in the request's thread until it is closed; its hooks
    may wait. ``"handover"`` gives the socket to ``manager`` and the thread back to the server;
    all hooks run on the manager's thread and must not wait. ``"auto"`` chooses: a greenlet, a TLS
    session and a thread of Werkzeug's stay, the rest is handed over. ``manager``: one that runs;
    else there is one for the whole process. At the end of the process, or when gunicorn's worker
    is told to stop, all of them are closed with 1001.

    A request that is no opening handshake is answered with 400, 403, 405 or 426; one that comes
    through a server that keeps its socket, with 501 and advice. Where the server put the socket
    into ``environ["ws4py.socket"]``, the websocket is left in ``environ["ws4py.websocket"]``, for
    the server to drive once it has written the response.
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
        extra_headers: Sequence[tuple[str, str]] = (),
        mode: Mode = "auto",
        manager: WebSocketManager | None = None,
    ) -> None:
        if mode not in ("auto", STAY, HANDOVER):
            raise ValueError(f"mode is 'auto', 'stay' or 'handover', not {mode!r}")
        self.protocols = protocols
        self.extensions = extensions
        self.handler_cls = handler_cls
        self.config = config
        self.origins = origins
        self.select_subprotocol = select_subprotocol
        self.extra_headers = tuple(extra_headers)
        self.mode: Mode = mode
        self.caretaker = process_caretaker() if manager is None else Caretaker(manager)
        on_stop(shut_down_soon)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """One request. What ``make_websocket`` raises is passed on, for the server to answer."""
        handshake = ServerHandshake(
            config=self.config,
            protocols=self.protocols or (),
            select_subprotocol=self.select_subprotocol,
            origins=self.origins,
            extra_headers=self.extra_headers,
        )
        response = handshake.answer(Request.from_environ(environ))
        # Three kinds of servers: ours, those that can be asked for the socket, and the others.
        sock = environ.get("ws4py.socket")
        connection = environ.pop("ws4py.connection", None)
        if sock is not None:
            if handshake.accepted:
                self._make(sock, handshake, environ)
        elif connection is not None:
            response = self._part(connection, handshake, environ)
        else:
            return self._take(handshake, environ, start_response)
        return respond(response, start_response)

    def make_websocket(
        self, sock: Any, protocols: list[str], extensions: list[str], environ: dict[str, Any]
    ) -> WebSocket:
        """The handler of one connection. To be overridden; ``environ`` is the request's."""
        return self.handler_cls(sock, protocols, extensions, environ.copy())

    def shut_down(self) -> None:
        """Close the websockets with 1001 and wait for that: those of the whole process, unless
        there is a ``manager``. Needed only where the process goes on without them."""
        self.caretaker.shut_down()

    def _make(self, sock: Any, handshake: ServerHandshake, environ: dict[str, Any]) -> WebSocket:
        protocols = [handshake.subprotocol] if handshake.subprotocol else []
        ws = self.make_websocket(sock, protocols, list(handshake.extensions), environ)
        ws.setup(ws.config or self.config, handshake.deflate)
        environ["ws4py.websocket"] = ws
        return ws

    def _part(
        self, connection: Any, handshake: ServerHandshake, environ: dict[str, Any]
    ) -> Response:
        """The server lets go of the socket by itself, when it has written the response."""
        assert handshake.response is not None
        if not handshake.accepted:
            connection.end()
        elif not connection.can_part():
            return refusal("TLS is not Python's own here.")
        else:
            ws = self._make(connection.socket, handshake, environ)
            connection.part(lambda early: self._drive(ws, early, self.mode))
        return handshake.response

    def _take(
        self, handshake: ServerHandshake, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """The server does not know of it: answer by ourselves, behind its back."""
        assert handshake.response is not None
        host = find_host(environ)
        hop_by_hop = host is not None and host.hop_by_hop
        if not handshake.accepted:
            return respond(handshake.response, start_response, hop_by_hop)
        try:
            if host is None:
                raise LookupError("this server does not give its sockets to applications.")
            grip = Grip(host, environ, self.mode)
        except LookupError as why:
            return respond(refusal(why), start_response, hop_by_hop)
        try:
            ws = self._make(grip.sock, handshake, environ)
        except BaseException:
            grip.let_go()
            raise
        on_stop(shut_down_soon)  # again, because this may be the process of a worker
        ws.stream.preface(handshake.response.serialize())
        with grip:
            self._drive(ws, grip.take(), grip.mode)
        # The server writes this to a connection that has ended, and believes the client to be gone.
        start_response("101 Switching Protocols", [])
        return []

    def _drive(self, ws: WebSocket, early: bytes, mode: Mode) -> None:
        if early:
            ws.stream.receive_data(early)
        if mode == STAY:
            self.caretaker.stay(ws)
        else:
            self.caretaker.hand_over(ws)


def refusal(why: object) -> Response:
    """The answer where no socket is to be had."""
    return Response.text(501, NO_SOCKET.format(why=why))


def respond(
    response: Response, start_response: StartResponse, hop_by_hop: bool = True
) -> Iterable[bytes]:
    """Give a response to a WSGI server; ``hop_by_hop``: see ``wsgihosts.Host``."""
    status, body = response.status, b"" if response.omit_body else response.body
    headers = response.headers.items()
    if not hop_by_hop:
        headers = [pair for pair in headers if pair[0].lower() not in HOP_BY_HOP]
    if status != 101:
        headers.append(("Content-Length", str(len(response.body))))
    start_response(f"{status} {REASONS.get(status, '')}", headers)
    return [body] if body else []

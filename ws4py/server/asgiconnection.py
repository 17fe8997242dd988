"""A connection on ws4py's engine that an ASGI application answers: the server's side of ASGI.

The request becomes a scope, what the application says becomes the answer, and messages become
events. An application of ours takes the connection over instead, and has all that a websocket can
do. This module must never know frames, nor which server has accepted the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote

from ws4py.asyncioreactor import StreamTransport, reactor_of
from ws4py.awaited import Awaited
from ws4py.exc import ConnectionClosed
from ws4py.protocol.config import Config
from ws4py.protocol.connection import ABNORMAL, NORMAL
from ws4py.protocol.handshake import Request, Response
from ws4py.protocol.headers import parse_tokens
from ws4py.server import Upgrader
from ws4py.server.asgimessages import CONNECTION, PAGES, Event, decode, encode
from ws4py.websocket import WebSocket, short_address

__all__ = ["ASGIConnection", "ClientDisconnected"]


class ClientDisconnected(ConnectionClosed, OSError):
    """What ``send()`` raises behind the end, as ASGI 2.4 wants it."""


class ASGIConnection(asyncio.Protocol):
    """One connection, from the request on. Everything happens on the loop's thread.

    For subclasses: ``begin(request)`` is to have ``serve()`` called in a task.
    """

    def __init__(
        self, config: Config, logger: logging.Logger, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self.logger = logger
        self.config = config
        self.ws: Any = None  # an Awaited or the application's own, once the request is accepted
        self.transport: Any = None  # asyncio's
        self._stream: StreamTransport | None = None  # ours, on top of it
        self._connected = False
        self._answered = asyncio.Event()
        self._lost = asyncio.Event()
        self._closed = False  # by the application
        self._page: Response | None = None
        self._taken: tuple[WebSocket, Callable[[StreamTransport], object]] | None = None

    # -- what a subclass says --------------------------------------------------------------

    def begin(self, request: Request) -> None:
        """There is a request that is none to refuse anyway."""
        raise NotImplementedError

    def default_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """What goes into every answer."""
        return ()

    # -- what asyncio says -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A request is about to come."""
        self.transport = cast("asyncio.Transport", transport)
        #: What the loop has made of the socket.
        self.sock = transport.get_extra_info("socket")
        self.upgrader = Upgrader(
            Awaited,
            origins=None,
            secure=transport.get_extra_info("sslcontext") is not None,
            config=self.config,
        )
        self.peer = short_address(transport.get_extra_info("peername"))
        self.handshake = self.upgrader.new_handshake(self.peer)

    def data_received(self, data: bytes) -> None:
        """The request, then frames."""
        if self._stream is not None:
            self._stream.data_received(data)
            return
        handshake = self.handshake
        asked = handshake.request is not None
        handshake.receive_data(data)
        if handshake.request is not None and not asked:
            self._check(handshake.request)
        elif handshake.response is not None and not self._answered.is_set():
            self._refuse(handshake.response)

    def _check(self, request: Request) -> None:
        """Ask the application, unless any application would have to refuse."""
        check = self.upgrader.new_handshake()
        response = check.answer(request)
        if check.accepted:
            self.begin(request)
        else:
            self._refuse(response)

    def eof_received(self) -> bool:
        """The peer will send no more; whether to keep the connection."""
        return self._stream is not None and self._stream.eof_received()

    def resume_writing(self) -> None:
        """All is written."""
        if self._stream is not None:
            self._stream.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._answered.set()
        if self._stream is not None:
            self._stream.connection_lost(exc)
        self._lost.set()

    def dismiss(self, code: int, reason: str) -> None:
        """The server goes away. The application learns it from the end of the connection."""
        if self.ws is not None:
            self.ws.close(code, reason)
        elif not self._answered.is_set():
            self._refuse(Response.text(503, "The server is about to go away.\n"))

    # -- the application -------------------------------------------------------------------

    def scope(self, request: Request, root: str, version: str, state: Any) -> Event:
        """The request as ASGI describes it."""
        ours = self.transport.get_extra_info("sockname")
        peer = request.peer
        return {
            "type": "websocket",
            "asgi": {"version": version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if request.secure else "ws",
            "server": ours[:2] if isinstance(ours, tuple) else (ours, None),
            "client": peer if isinstance(peer, tuple) else None,
            "root_path": root,
            "path": root + unquote(request.path),
            "raw_path": (root + request.path).encode("latin-1"),
            "query_string": request.query.encode("latin-1"),
            "headers": encode(request.headers.items()),
            "subprotocols": parse_tokens(request.headers.get_all("sec-websocket-protocol")),
            "state": state,
            "extensions": {PAGES: {}, CONNECTION: {"connection": self}},
        }

    async def serve(self, application: Any, scope: Event) -> None:
        """Call the application, and see that there is an end."""
        ended = "returned without answering the handshake"
        try:
            await application(scope, self.receive, self.send)
        except ClientDisconnected:
            pass  # it wrote on, as many do
        except Exception as exc:
            self.logger.exception("Exception in ASGI application\n")
            ended = "failed"
            if self.ws is not None:
                self.ws.fail("internal error", exc)
        except BaseException:
            self.transport.abort()
            raise
        if self.ws is not None:
            self.ws.close()
        elif not self._answered.is_set():
            self.logger.error("ASGI callable %s.", ended)
            self._refuse(Response.text(500, "Internal Server Error"))

    def take(self, ws: WebSocket, start: Callable[[StreamTransport], object]) -> None:
        """Serve this websocket, not by events, when the application accepts the request.

        ``start`` is called with its transport then, and has to see that hooks are called.
        """
        self._taken = ws, start
        # What else there is to agree upon stands in the application's answer.
        self.upgrader.config = self.config.replace(compression=None)

    async def receive(self) -> Event:
        """ASGI's: what the peer has said."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        await self._answered.wait()
        if self._taken is not None:
            await self._lost.wait()  # the messages go another way
        elif self.ws is not None:
            try:
                message = await self.ws.recv()
            except ConnectionClosed:
                pass
            else:
                kind = "text" if isinstance(message, str) else "bytes"
                return {"type": "websocket.receive", kind: message}
        info = self.ws and self.ws.close_info
        code, reason = (info.code, info.reason) if info else (ABNORMAL, "")
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def send(self, event: Event) -> None:
        """ASGI's: say something to the peer. Waits while it reads too slowly."""
        kind = event["type"]
        if self.ws is None:
            self._answer(kind, event)
        elif self._taken is not None or self._closed:
            raise unexpected(kind)
        elif kind == "websocket.send":
            text = event.get("text")
            try:
                await self.ws.send(event["bytes"] if text is None else text)
            except ConnectionClosed as exc:
                raise ClientDisconnected(str(exc), exc.close_info) from None
        elif kind == "websocket.close":
            self._closed = True
            self.ws.close(event.get("code", NORMAL), event.get("reason") or "")
        else:
            raise unexpected(kind)

    def _answer(self, kind: str, event: Event) -> None:
        """What the application says to the request."""
        if self._answered.is_set() and not self._closed:
            raise ClientDisconnected("the opening handshake is over already")
        if kind == "websocket.http.response.body" and self._page is not None:
            self._page.body += event.get("body", b"")
            if not event.get("more_body", False):
                self._closed = True
                self._refuse(self._page)
        elif self._page is not None or self._closed:
            raise unexpected(kind)
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close":
            self._closed = True
            self._refuse(Response.text(403, "Forbidden\n"))
        elif kind == "websocket.http.response.start":
            self._page = Response(event["status"], decode(event.get("headers", ())))
        else:
            raise unexpected(kind)

    def _accept(self, event: Event) -> None:
        upgrader, asked = self.upgrader, self.handshake
        headers = [*self.default_headers(), *event.get("headers", ())]
        upgrader.extra_headers = tuple(decode(headers).items())
        upgrader.select_subprotocol = lambda request, offered: event.get("subprotocol")
        handshake = upgrader.new_handshake(self.peer)
        handshake.request = asked.request
        response = upgrader.answer(handshake)
        if not handshake.accepted:
            self._refuse(response)
            return
        self._log("[accepted]")
        if self._taken is not None:
            self.ws = ws = self._taken[0]
            ws.stream.preface(response.serialize())
        else:
            self.ws = ws = upgrader.upgrade(self.sock, handshake, self.peer)
        if asked.rest:
            ws.stream.receive_data(asked.rest)
        self._stream = stream = StreamTransport(self.transport, reactor_of(self.loop))
        self._answered.set()
        if self._taken is not None:
            self._taken[1](stream)
        else:
            ws.transport = stream
            stream.start(ws)
            ws.connection_made()

    def _refuse(self, response: Response) -> None:
        self._answered.set()
        self._log(str(response.status))
        for name, value in decode(self.default_headers()).items():
            if name not in response.headers:
                response.headers.add(name, value)
        self.transport.write(response.serialize())
        self.transport.close()

    def _log(self, what: str) -> None:
        request = self.handshake.request
        if request is not None:
            self.logger.info('%s - "WebSocket %s" %s', request.peer, request.target, what)


def unexpected(kind: str) -> RuntimeError:
    """The application does things in the wrong order."""
    return RuntimeError(f"ASGI message {kind!r} was not to be expected here")

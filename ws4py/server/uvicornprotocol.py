"""For ``uvicorn --ws ws4py.server.asgi:WebSocketProtocol``: any ASGI application on our engine.

uvicorn gives the request and the connection, the application is called as it always is. This
module must never know frames. It needs nothing of uvicorn but what it is given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from ws4py.asyncioreactor import StreamTransport, reactor_of
from ws4py.awaited import Awaited
from ws4py.exc import ConnectionClosed
from ws4py.protocol.config import DEFAULT, Compression, Config
from ws4py.protocol.connection import ABNORMAL, NORMAL
from ws4py.protocol.handshake import Request, Response
from ws4py.protocol.headers import Headers, parse_tokens
from ws4py.server import RESTARTING, Upgrader
from ws4py.server.asgitransport import Event
from ws4py.websocket import short_address

__all__ = ["ClientDisconnected", "WebSocketProtocol"]

#: uvicorn's own, so that its settings of the log apply.
logger = logging.getLogger("uvicorn.error")


class ClientDisconnected(ConnectionClosed, OSError):
    """What ``send()`` raises behind the end, as ASGI 2.4 wants it."""


def config_of(settings: Any) -> Config:
    """The policy that uvicorn's settings ask for."""
    return DEFAULT.replace(
        max_message_size=settings.ws_max_size,
        receive_queue=settings.ws_max_queue or DEFAULT.receive_queue,
        ping_interval=settings.ws_ping_interval or None,
        ping_timeout=settings.ws_ping_timeout or None,
        compression=Compression() if settings.ws_per_message_deflate else None,
        max_head_size=settings.h11_max_incomplete_event_size or 4 * DEFAULT.max_head_size,
    )


class WebSocketProtocol(asyncio.Protocol):
    """One connection, from the request on. Everything happens on the loop's thread."""

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None
    ) -> None:
        if not config.loaded:
            config.load()
        self.settings = config
        self.server_state = server_state
        self.app_state = app_state
        self.loop: asyncio.AbstractEventLoop = _loop or asyncio.get_running_loop()
        self.upgrader = Upgrader(Awaited, origins=None, config=config_of(config))
        self.handshake = self.upgrader.new_handshake()
        self.ws: Any = None  # an Awaited, once the request is accepted
        self.transport: Any = None  # asyncio's
        self._stream: StreamTransport | None = None  # ours, on top of it
        self._connected = False
        self._answered = asyncio.Event()
        self._closed = False  # by the application
        self._page: Response | None = None

    # -- what uvicorn and asyncio say ------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """A request is about to come."""
        self.server_state.connections.add(self)
        self.transport = transport
        secure = transport.get_extra_info("sslcontext") is not None
        self.upgrader.secure = secure
        peer = short_address(transport.get_extra_info("peername"))
        self.handshake = self.upgrader.new_handshake(peer)

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
        """Ask the application about a request that is none to refuse anyway."""
        check = self.upgrader.new_handshake()
        response = check.answer(request)
        if not check.accepted:
            self._refuse(response)
            return
        task = self.loop.create_task(self._run(self._scope(request)))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def eof_received(self) -> bool:
        """The peer will send no more; whether to keep the connection."""
        return self._stream is not None and self._stream.eof_received()

    def resume_writing(self) -> None:
        """All is written."""
        if self._stream is not None:
            self._stream.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.server_state.connections.discard(self)
        self._answered.set()
        if self._stream is not None:
            self._stream.connection_lost(exc)

    def shutdown(self) -> None:
        """The server goes away. The application learns it from the end of the connection."""
        if self.ws is not None:
            self.ws.close(*RESTARTING)
        elif not self._answered.is_set():
            self._refuse(Response.text(503, "The server is about to go away.\n"))

    # -- the application -------------------------------------------------------------------

    def _scope(self, request: Request) -> Event:
        root = self.settings.root_path
        ours = self.transport.get_extra_info("sockname")
        peer = request.peer
        return {
            "type": "websocket",
            "asgi": {"version": self.settings.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if request.secure else "ws",
            "server": ours[:2] if isinstance(ours, tuple) else (ours, None),
            "client": peer if isinstance(peer, tuple) else None,
            "root_path": root,
            "path": root + unquote(request.path),
            "raw_path": (root + request.path).encode("latin-1"),
            "query_string": request.query.encode("latin-1"),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in request.headers.items()
            ],
            "subprotocols": parse_tokens(request.headers.get_all("sec-websocket-protocol")),
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }

    async def _run(self, scope: Event) -> None:
        ended = "returned without answering the handshake"
        try:
            await self.settings.loaded_app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass  # it wrote on, as many do
        except Exception as exc:
            logger.exception("Exception in ASGI application\n")
            ended = "failed"
            if self.ws is not None:
                self.ws.fail("internal error", exc)
        except BaseException:
            self.transport.abort()
            raise
        if self.ws is not None:
            self.ws.close()
        elif not self._answered.is_set():
            logger.error("ASGI callable %s.", ended)
            self._refuse(Response.text(500, "Internal Server Error"))

    async def receive(self) -> Event:
        """ASGI's: what the peer has said."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        await self._answered.wait()
        if self.ws is None:
            return {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
        try:
            message = await self.ws.recv()
        except ConnectionClosed:
            info = self.ws.close_info
            assert info is not None
            return {"type": "websocket.disconnect", "code": info.code, "reason": info.reason}
        kind = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", kind: message}

    async def send(self, event: Event) -> None:
        """ASGI's: say something to the peer. Waits while it reads too slowly."""
        kind = event["type"]
        if self.ws is None:
            self._answer(kind, event)
        elif kind == "websocket.send" and not self._closed:
            text = event.get("text")
            try:
                await self.ws.send(event["bytes"] if text is None else text)
            except ConnectionClosed as exc:
                raise ClientDisconnected(str(exc), exc.close_info) from None
        elif kind == "websocket.close" and not self._closed:
            self._closed = True
            self.ws.close(event.get("code", NORMAL), event.get("reason") or "")
        else:
            raise unexpected(kind)

    def _answer(self, kind: str, event: Event) -> None:
        """What the application says to the request."""
        if self._answered.is_set() and not self._closed:
            raise ClientDisconnected("the peer has left within the opening handshake")
        if kind == "websocket.http.response.body" and self._page is not None:
            self._page.body += event.get("body", b"")
            if not event.get("more_body", False):
                self._refuse(self._page)
        elif self._page is not None or self._closed:
            raise unexpected(kind)
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close":
            self._refuse(Response.text(403, "Forbidden\n"))
        elif kind == "websocket.http.response.start":
            self._page = Response(event["status"], decoded(event.get("headers", ())))
        else:
            raise unexpected(kind)

    def _accept(self, event: Event) -> None:
        upgrader, asked = self.upgrader, self.handshake
        assert asked.request is not None
        headers = [*self.server_state.default_headers, *event.get("headers", ())]
        upgrader.extra_headers = tuple(decoded(headers).items())
        upgrader.select_subprotocol = lambda request, offered: event.get("subprotocol")
        handshake = upgrader.new_handshake(asked.request.peer)
        handshake.request = asked.request
        response = upgrader.answer(handshake)
        if not handshake.accepted:
            self._refuse(response)
            return
        self._log("[accepted]")
        sock = self.transport.get_extra_info("socket")
        self.ws = ws = upgrader.upgrade(sock, handshake, asked.request.peer)
        if asked.rest:
            ws.stream.receive_data(asked.rest)
        self._stream = ws.transport = StreamTransport(self.transport, reactor_of(self.loop))
        self._stream.start(ws)
        ws.connection_made()
        self._answered.set()

    def _refuse(self, response: Response) -> None:
        self._closed = True
        self._answered.set()
        self._log(str(response.status))
        for name, value in decoded(self.server_state.default_headers).items():
            if name not in response.headers:
                response.headers.add(name, value)
        self.transport.write(response.serialize())
        self.transport.close()

    def _log(self, what: str) -> None:
        request = self.handshake.request
        if request is not None:
            logger.info('%s - "WebSocket %s" %s', request.peer, request.target, what)


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers as ASGI has them, as we have them."""
    return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def unexpected(kind: str) -> RuntimeError:
    """The application does things in the wrong order."""
    return RuntimeError(f"ASGI message {kind!r} was not to be expected here")

"""A protocol for ``loop.create_server()``, as ws4py 0.6 had it::

    server = await loop.create_server(lambda: WebSocketProtocol(EchoWebSocket), "", 9000)

``ws4py.server.asyncioserver`` is faster and does more: an orderly end, for one. This module must
never know frames.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from ws4py.async_websocket import WebSocket
from ws4py.asynchooks import hook_task
from ws4py.asyncioreactor import StreamTransport, reactor_of
from ws4py.protocol.handshake import Response, ServerHandshake
from ws4py.reactor import Channel
from ws4py.server import BaseServer
from ws4py.websocket import WebSocket as AnyWebSocket
from ws4py.websocket import short_address

__all__ = ["WebSocketProtocol"]

logger = logging.getLogger("ws4py.server")


class WebSocketProtocol(asyncio.Protocol):
    """One connection, from its opening handshake to its end.

    ``handler_cls``: a subclass of ``ws4py.async_websocket.WebSocket``, or of any ``WebSocket``.
    ``options``: as ``BaseServer``'s, without those about listening.
    """

    def __init__(self, handler_cls: type[AnyWebSocket], **options: Any) -> None:
        self.handler_cls = handler_cls
        #: The websocket, once there is one.
        self.ws: AnyWebSocket | None = None
        self._options = options
        self._driver: StreamTransport | None = None
        self._refused = False

    def close(self) -> None:
        """Close the connection politely, or at once if it is not open yet."""
        if self.ws is not None:
            self.ws.close()
        else:
            self.transport.close()

    # What the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request, within ``Config.open_timeout``."""
        self.transport = cast("asyncio.Transport", transport)
        self._reactor = reactor_of(asyncio.get_running_loop())
        tls = transport.get_extra_info("sslcontext")
        self._server = BaseServer(self._make, sockets=(), ssl=tls, **self._options)
        self._peer = short_address(transport.get_extra_info("peername"))
        self._handshake = self._server.new_handshake(self._peer)
        self._deadline = _Deadline(self)
        if self._handshake.deadline is not None:
            self._reactor.set_alarm(self._deadline, self._handshake.deadline)

    def data_received(self, data: bytes) -> None:
        """The request, and then frames."""
        if self._driver is not None:
            self._driver.data_received(data)
        elif not self._refused:
            self._handshake.receive_data(data)
            self._look()

    def eof_received(self) -> bool:
        """The peer sends no more."""
        if self._driver is not None:
            return self._driver.eof_received()
        self._handshake.receive_eof()
        self._look()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._reactor.cancel_alarm(self._deadline)
        if self._driver is not None:
            self._driver.connection_lost(exc)

    def resume_writing(self) -> None:
        """The peer has read."""
        if self._driver is not None:
            self._driver.resume_writing()

    # The opening handshake

    def timeout(self) -> None:
        """The request did not come in time."""
        self._handshake.tick()
        self._look()

    def _look(self) -> None:
        """Answer, if there is something to answer."""
        handshake = self._handshake
        response = handshake.response
        if response is None and handshake.request is not None:
            response = self._server.answer(handshake)
        if handshake.accepted:
            self._upgrade(handshake)
        elif response is not None:
            self._refuse(response)

    def _upgrade(self, handshake: ServerHandshake) -> None:
        self._reactor.cancel_alarm(self._deadline)
        try:
            sock = self.transport.get_extra_info("socket")
            self.ws = ws = self._server.upgrade(sock, handshake, self._peer)
        except Exception:
            self._refuse(self._server.failed(handshake))
            return
        self._driver = StreamTransport(self.transport, self._reactor)
        ws.transport = self._driver
        #: The task of a class whose hooks are coroutine functions.
        self.task = hook_task(ws, self._reactor)
        self._driver.start(ws)
        ws.connection_made()

    def _make(
        self, sock: Any, protocols: list[str], extensions: list[str], environ: dict[str, Any]
    ) -> AnyWebSocket:
        if not issubclass(self.handler_cls, WebSocket):
            return self.handler_cls(
                sock, protocols=protocols, extensions=extensions, environ=environ
            )
        ws = self.handler_cls(self)
        ws.sock, ws.protocols, ws.extensions, ws.environ = sock, protocols, extensions, environ
        return ws

    def _refuse(self, response: Response) -> None:
        logger.info("refused %s with %d", self._peer, response.status)
        self._refused = True
        self.transport.write(response.serialize())
        self.transport.close()


class _Deadline(Channel):
    """That of the opening handshake."""

    def __init__(self, protocol: WebSocketProtocol) -> None:
        super().__init__()
        self.protocol = protocol

    def ring(self) -> None:
        """Time is up."""
        self.protocol.timeout()

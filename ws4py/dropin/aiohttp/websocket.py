"""``ClientWebSocketResponse``: the verbs and messages of aiohttp over our awaited client.

Its verbs write at once, as in the beginning; awaiting what they return, as today, waits for room.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from ws4py.awaited import Later
from ws4py.client.asyncioclient import ClientConnection
from ws4py.dropin.aiohttp.errors import (
    ClientConnectionResetError,
    ServerTimeoutError,
    WebSocketError,
    WSMessageTypeError,
)
from ws4py.dropin.aiohttp.values import WSMessage, WSMsgType
from ws4py.exc import ConnectionClosed, ConnectionTimeout, ProtocolException
from ws4py.messaging import (
    BinaryMessage,
    CloseControlMessage,
    Message,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
)
from ws4py.protocol.connection import parse_close

__all__ = ["ClientWebSocketResponse", "Connection"]

logger = logging.getLogger("ws4py")

CLOSING = WSMessage(WSMsgType.CLOSING, None)
CLOSED = WSMessage(WSMsgType.CLOSED, None)
ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)
#: Stands in the queue behind what came before ``close()`` of another task.
LEAVING = CloseControlMessage(None)


class Unsent(Later):
    """A message for which there is no room: sent when there is, by whoever awaits it.

    Where nobody does, as in programs of old, it is sent all the same: to a peer that does not
    read, ``Awaited.push()`` decides.
    """

    __slots__ = ("_push",)

    def __init__(
        self, start: Callable[[], Coroutine[Any, Any, Any]], push: Callable[[], None]
    ) -> None:
        super().__init__(start)
        self._push = push

    def __del__(self) -> None:
        if self._coroutine is None:
            self._push()


def reset() -> Exception:
    """The error of who sends after the end."""
    return ClientConnectionResetError("Cannot write to closing transport")


class Connection(ClientConnection):
    """Our client, showing the close frame of the peer and, if that is wanted, pings and pongs."""

    shows_pings = False

    def _deliver_control(self, message: Message) -> None:
        super()._deliver_control(message)
        if isinstance(message, CloseControlMessage):
            if self.stream.began_by == "peer":
                self.received_message(message)
        elif self.shows_pings:
            self.received_message(message)


class ClientWebSocketResponse:
    """An open connection; ``ws_connect()`` makes it. One task may receive, any number send."""

    def __init__(
        self,
        connection: Connection,
        *,
        response: Any = None,
        autoclose: bool = True,
        receive_timeout: float | None = None,
        decode_text: bool = True,
    ) -> None:
        self._ws = connection
        self._response = response
        self._autoclose = autoclose
        self._receive_timeout = receive_timeout
        self._decode_text = decode_text
        self._receiving = False
        self._closed = False
        self._close_code: int | None = None
        self._exception: BaseException | None = None

    # -- facts -----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called, or the end was received."""
        return self._closed

    @property
    def close_code(self) -> int | None:
        """The peer's close code, 1006 when none came; ours if the peer broke the protocol."""
        info = self._ws.close_info
        if info is None or not self._closed:
            return self._close_code
        return info.error.code if isinstance(info.error, ProtocolException) else info.code

    @property
    def protocol(self) -> str | None:
        """The subprotocol in use."""
        return self._ws.subprotocol

    @property
    def compress(self) -> int:
        """Window bits of what we compress; 0: nothing is compressed."""
        deflate = self._ws.stream.deflate
        return 0 if deflate is None else deflate.client_max_window_bits

    @property
    def client_notakeover(self) -> bool:
        """Whether each of our messages is compressed by itself."""
        deflate = self._ws.stream.deflate
        return deflate is not None and deflate.client_no_context_takeover

    def exception(self) -> BaseException | None:
        """What ended the connection, if that was an error."""
        return self._exception

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of an asyncio transport: ``peername``, ``sockname``, ``socket``, ``ssl_object`` …"""
        ws = self._ws
        known: dict[str, Callable[[], Any]] = {
            "peername": lambda: ws.peer_address,
            "sockname": lambda: ws.local_address,
            "socket": lambda: ws.sock,
        }
        if hasattr(ws.sock, "getpeercert"):
            known |= {
                "ssl_object": lambda: ws.sock,
                "sslcontext": lambda: ws.sock.context,
                "peercert": ws.sock.getpeercert,
                "cipher": ws.sock.cipher,
                "compression": ws.sock.compression,
            }
        value = known[name]() if name in known else None
        return default if value is None else value

    # -- sending ---------------------------------------------------------------------------

    def _send(self, what: Any, binary: bool | None = None, compress: Any = None) -> Awaitable[Any]:
        if compress is not None:
            compress = bool(compress)
        if not self._ws.has_room:
            return Unsent(
                lambda: self._send_later(what, binary, compress), lambda: self._push(what, binary)
            )
        try:
            sent = self._ws.send(what, binary, compress)
        except ConnectionClosed as exc:
            raise reset() from exc
        return sent

    async def _send_later(self, *what: Any) -> None:
        try:
            await self._ws.send(*what)
        except ConnectionClosed as exc:
            raise reset() from exc

    def _push(self, what: Any, binary: bool | None) -> None:
        try:
            self._ws.push(what, binary)
        except ConnectionClosed as exc:
            logger.warning("lost a message to %r: %s", self._ws, exc)

    def send_str(self, data: str, compress: int | None = None) -> Awaitable[Any]:
        """Send text. ``TypeError`` for anything else than ``str``."""
        if not isinstance(data, str):
            raise TypeError(f"data argument must be str ({type(data)!r})")
        return self._send(data, False, compress)

    def send_bytes(
        self, data: bytes | bytearray | memoryview, compress: int | None = None
    ) -> Awaitable[Any]:
        """Send a binary message. ``TypeError`` for what is not made of bytes."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be byte-ish ({type(data)!r})")
        return self._send(data, True, compress)

    def send_json(
        self,
        data: Any,
        compress: int | None = None,
        *,
        dumps: Callable[[Any], str] = json.dumps,
    ) -> Awaitable[Any]:
        """Send ``data`` as JSON, in a text message."""
        return self.send_str(dumps(data), compress)

    def send_json_bytes(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], bytes]
    ) -> Awaitable[Any]:
        """The same in a binary message."""
        return self.send_bytes(dumps(data), compress)

    def send_frame(
        self, message: bytes, opcode: WSMsgType, compress: int | None = None
    ) -> Awaitable[Any]:
        """Send a message of this kind. ``ValueError`` for a fragment."""
        if opcode in (WSMsgType.TEXT, WSMsgType.BINARY):
            return self._send(message, opcode == WSMsgType.BINARY, compress)
        if opcode == WSMsgType.PING:
            return self.ping(message)
        if opcode == WSMsgType.PONG:
            return self.pong(message)
        if opcode == WSMsgType.CLOSE:
            code, reason = parse_close(message)
            return self.close(code=code if message else None, message=reason)
        raise ValueError(f"cannot send a frame of the kind {opcode!r}")

    def ping(self, message: str | bytes = b"") -> Awaitable[Any]:
        """Send a ping; its pong is not waited for."""
        return self._send(PingControlMessage(message))

    def pong(self, message: str | bytes = b"") -> Awaitable[Any]:
        """Send a pong."""
        return self._send(PongControlMessage(message))

    def close(self, *, code: int | None = 1000, message: str | bytes = b"") -> Awaitable[bool]:
        """Begin to close, or answer the peer's close frame; awaiting it waits for the end.

        Gives whether this call was it.
        """
        first = not self._closed
        self._ws.close(code, message)
        self._closed = True
        if self._receiving:
            self._ws.received_message(LEAVING)
        return Later(lambda: self._end(first))

    async def _end(self, first: bool) -> bool:
        await self._ws.wait_closed()
        if first:
            self._remember_error()
        return first

    # -- receiving -------------------------------------------------------------------------

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """The next message, of whatever kind; after the end always one of the kind ``CLOSED``.

        Raises ``asyncio.TimeoutError`` (nothing is lost by it) and ``RuntimeError`` while
        another task is in it.
        """
        if self._receiving:
            raise RuntimeError("Concurrent call to receive() is not allowed")
        if self._closed:
            return CLOSED
        self._receiving = True
        try:
            limit = timeout or self._receive_timeout
            if limit:
                message = await asyncio.wait_for(self._ws.next_message(), limit)
            else:
                message = await self._ws.next_message()
        except ConnectionClosed:
            return self._last()
        finally:
            self._receiving = False
        kind = type(message)
        if kind is TextMessage:
            return WSMessage(
                WSMsgType.TEXT, str(message) if self._decode_text else message.data, ""
            )
        if kind is BinaryMessage:
            return WSMessage(WSMsgType.BINARY, message.data, "")
        return self._control(message)

    def _control(self, message: Message) -> WSMessage:
        if message is LEAVING:
            return CLOSING
        if isinstance(message, CloseControlMessage):
            self._closed = self._closed or self._autoclose
            self._close_code = message.code or 0
            return WSMessage(WSMsgType.CLOSE, self._close_code, message.reason)
        if isinstance(message, PingControlMessage):
            return WSMessage(WSMsgType.PING, message.data, "")
        return WSMessage(WSMsgType.PONG, message.data, "")

    def _last(self) -> WSMessage:
        """The connection is over, and not because of ``close()``."""
        self._closed = True
        error = self._remember_error()
        if isinstance(error, WebSocketError | ServerTimeoutError):
            return WSMessage(WSMsgType.ERROR, error)
        return CLOSED

    def _remember_error(self) -> BaseException | None:
        info = self._ws.close_info
        if info is None or info.clean:
            return None
        error = info.error
        if isinstance(error, ProtocolException):
            # Told as a message, and not kept: so aiohttp has it.
            return WebSocketError(error.code, str(error))
        if isinstance(error, ConnectionTimeout):
            self._exception = ServerTimeoutError(str(error))
        elif error is None or isinstance(error, OSError):
            self._exception = ClientConnectionResetError(info.reason)
        else:
            self._exception = error
        return self._exception

    def _unexpected(self, message: WSMessage, kind: WSMsgType) -> NoReturn:
        raise WSMessageTypeError(
            f"Received message {message.type}:{message.data!r} is not WSMsgType.{kind.name}"
        )

    async def receive_str(self, *, timeout: float | None = None) -> Any:
        """The next message, which has to be text; else ``WSMessageTypeError``."""
        message = await self.receive(timeout)
        if message.type != WSMsgType.TEXT:
            self._unexpected(message, WSMsgType.TEXT)
        return message.data

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """The next message, which has to be binary; else ``WSMessageTypeError``."""
        message = await self.receive(timeout)
        if message.type != WSMsgType.BINARY:
            self._unexpected(message, WSMsgType.BINARY)
        data: bytes = message.data
        return data

    async def receive_json(
        self, *, loads: Callable[[Any], Any] = json.loads, timeout: float | None = None
    ) -> Any:
        """The next message, text, as JSON."""
        return loads(await self.receive_str(timeout=timeout))

    def __aiter__(self) -> ClientWebSocketResponse:
        return self

    async def __anext__(self) -> WSMessage:
        message = await self.receive()
        if message.type in ENDS:
            raise StopAsyncIteration
        return message

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

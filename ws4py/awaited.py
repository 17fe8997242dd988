"""The awaited face: ``recv``, ``send`` and iteration for coroutines, over the hooks.

The verbs act at once; awaiting what they return waits until there is room, or the end. One class
for clients and servers; it must never know sockets, frames or who drives the connection.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from inspect import iscoroutinefunction
from typing import Any

from ws4py.exc import ConnectionClosed
from ws4py.messaging import Message, PongControlMessage
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.connection import OPEN, CloseInfo
from ws4py.protocol.deflate import PerMessageDeflate
from ws4py.websocket import Payload, WebSocket, to_bytes

__all__ = ["Awaited", "HandledWebSocket", "Handler", "handled"]

Handler = Callable[["HandledWebSocket"], Coroutine[Any, Any, object]]
Pieces = Iterator[Payload] | AsyncIterable[Payload]


class _Done(Coroutine[Any, Any, None]):
    """Nothing to wait for: awaiting it costs no turn of the loop."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return NOTHING  # type: ignore[no-any-return]

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        raise error[-1] if isinstance(error[-1], BaseException) else error[0]

    def close(self) -> None:
        pass


class Later(Coroutine[Any, Any, Any]):
    """A coroutine that need not be awaited: it begins when it is."""

    __slots__ = ("_coroutine", "_start")

    def __init__(self, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._start = start
        self._coroutine: Coroutine[Any, Any, Any] | None = None

    def _begun(self) -> Coroutine[Any, Any, Any]:
        if self._coroutine is None:
            self._coroutine = self._start()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        """As of any coroutine."""
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        """As of any coroutine."""
        return self._begun().throw(*error)

    def close(self) -> None:
        """As of any coroutine."""
        if self._coroutine is not None:
            self._coroutine.close()


#: An iterator at its end; it has no state that could be shared.
NOTHING: Any = iter(())
DONE: Any = _Done()


class Awaited(WebSocket):
    """Mixin that goes before a ``WebSocket`` class on an asyncio loop; its hooks feed ``recv()``.

    Everything belongs to the loop's thread, except ``close()``. Messages wait in a queue of
    ``Config.receive_queue``; when it is full the peer is no longer read from.
    """

    _sends_plainly = True  # what it adds, waiting, is not for broadcasts
    _bytes_are_binary = True
    _most = DEFAULT.receive_queue
    _most_bytes = DEFAULT.receive_queue_size

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Set when the connection is over, for handlers that only send.
        self.closed_event = asyncio.Event()
        self.write_through = True
        self._leaving = False  # close() was called: nobody waits for more messages
        self._full = False
        self._received: deque[Message] = deque()
        self._received_size = 0
        self._receiver: asyncio.Future[None] | None = None
        self._senders: list[asyncio.Future[None]] = []
        self._pings: list[tuple[bytes, float, asyncio.Future[float]]] = []

    def setup(self, config: Config, deflate: PerMessageDeflate | None = None) -> None:
        """Take over what the opening handshake knows."""
        super().setup(config, deflate)
        self._most = config.receive_queue
        self._most_bytes = config.receive_queue_size

    # -- receiving -------------------------------------------------------------------------

    async def recv(self) -> str | bytes:
        """The next message: ``str`` for text, ``bytes`` for binary.

        Raises ``ConnectionClosed`` when the connection is over and everything that came before
        was taken. To cancel it loses nothing. ``RuntimeError`` while another task is in it.
        """
        if not self._received:
            await self._arrival()
        return self._take()

    async def next_message(self) -> Message:
        """The same as the ``Message`` that it is."""
        if not self._received:
            await self._arrival()
        return self._take_message()

    def message_at_hand(self) -> Message | None:
        """The next message if it is there already, else ``None``."""
        return self._take_message() if self._received else None

    def _take(self) -> str | bytes:
        message = self._take_message()
        return str(message) if message.is_text else message.data

    def _take_message(self) -> Message:
        received = self._received
        message = received.popleft()
        self._received_size -= len(message.data)
        if not received:
            self.write_through = True
        if self._full and not self._is_full(2):
            self._let_in()
        return message

    async def _arrival(self) -> None:
        """Wait for a message."""
        if self._receiver is not None:
            raise RuntimeError(f"another task is in recv() of {self!r}: one at a time")
        while not self._received:
            if self._ended:
                raise self._closed_error()
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; ends quietly after a normal close, else raises ``ConnectionClosed``."""
        return self

    async def __anext__(self) -> str | bytes:
        if not self._received:
            try:
                await self._arrival()
            except ConnectionClosed as exc:
                if is_normal(exc.close_info):
                    raise StopAsyncIteration from None
                raise
        return self._take()

    def _is_full(self, share: int = 1) -> bool:
        """Whether the queue holds a ``share``-th of what it may."""
        return (
            len(self._received) * share >= self._most
            or self._received_size * share >= self._most_bytes
        )

    def _let_in(self) -> None:
        self._full = self.stream.held = False
        if self._transport is not None:
            self._transport.proceed()

    # -- sending ---------------------------------------------------------------------------

    def send(  # type: ignore[override]
        self,
        payload: Payload | Message | Pieces,
        binary: bool | None = None,
        compress: bool | None = None,
    ) -> Awaitable[None]:
        """Send a message: ``str`` as text, everything else as binary, unless ``binary`` says.

        Waits while more than ``Config.high_water`` bytes are owed to the peer. An iterator,
        asynchronous or not, makes one message in fragments; its first item says of what kind.
        What an asynchronous one gives is sent as it comes, and an empty fragment at its end.
        Raises ``ConnectionClosed`` unless the connection is open, ``ValueError`` or
        ``TypeError`` for what cannot be sent.
        """
        kind = type(payload)
        if kind is not str and kind is not bytes and isinstance(payload, AsyncIterable | Iterator):
            return self._send_pieces(payload, binary, compress)
        whole: Any = payload
        stream = self.stream
        if stream.owed() > stream.high_water and self._may_wait():
            return self._send_later(whole, binary, compress)
        if binary is None:
            binary = kind is not str and not isinstance(payload, str)
        super().send(whole, binary, compress)
        if stream.owed() > stream.high_water and self._may_wait():
            return Later(self._room)
        return DONE  # type: ignore[no-any-return]

    def push(self, payload: Payload | Message, binary: bool | None = None) -> None:
        """Send to a peer that nobody waits for: one that reads too slowly is closed with 1013.

        ``Config.overflow`` may choose ``drop``. Any thread.
        """
        super().send(payload, not isinstance(payload, str) if binary is None else binary)

    @property
    def has_room(self) -> bool:
        """Whether a message that is sent now is written now, instead of when it is awaited."""
        stream = self.stream
        return stream.owed() <= stream.high_water or not self._may_wait()

    def _may_wait(self) -> bool:
        return self.stream.config.overflow in (None, "block") and self.stream.state is OPEN

    async def _send_later(
        self, payload: Payload | Message, binary: bool | None, compress: bool | None
    ) -> None:
        await self._room()
        await self.send(payload, binary, compress)

    async def _room(self) -> None:
        """Wait until the peer has read what it was owed, or is gone."""
        stream, transport = self.stream, self._transport
        if transport is None:
            return
        while True:
            with transport.lock:  # another thread may be about to write the last of it
                if stream.owed() <= stream.high_water or not self._may_wait():
                    return
                transport.on_room = self._wake_senders
            room = asyncio.get_running_loop().create_future()
            self._senders.append(room)
            try:
                await room
            finally:
                if room in self._senders:  # cancelled: perhaps over and over, before there is room
                    self._senders.remove(room)

    def _wake_senders(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            if not sender.done():
                sender.set_result(None)

    async def _send_pieces(
        self, pieces: Pieces, binary: bool | None, compress: bool | None
    ) -> None:
        message = None
        at_once = isinstance(pieces, AsyncIterable)  # the next may be long in coming
        held: Any = None
        try:
            async for piece in each(pieces):
                if message is None:
                    kind = not isinstance(piece, str) if binary is None else binary
                    message = self.stream.fragmented(binary=kind, compress=compress)
                elif held is not None:
                    await self._send_piece(message, held, False)
                if at_once:
                    await self._send_piece(message, piece, False)
                else:
                    held = piece
            if message is None:
                message = self.stream.fragmented(binary=bool(binary), compress=compress)
            await self._send_piece(message, b"" if held is None else held, True)
        except ConnectionClosed:
            raise
        except BaseException as exc:
            if message is not None and message.started:
                # Half a message is out and cannot be taken back.
                self.fail("the source of a fragmented message failed", exc)
            raise

    async def _send_piece(self, message: Any, piece: Payload, fin: bool) -> None:
        data = to_bytes(piece, True)
        await self._room()
        with self.transport.lock:
            message.send(data, fin)
            self.transport.flush(self, self.write_through)

    def ping(self, message: str | bytes = b"") -> Awaitable[float]:  # type: ignore[override]
        """Send a ping; awaiting it waits for the pong and gives the seconds that it took.

        Behind more than ``Config.high_water`` bytes it waits first, as ``send()`` does. Raises
        ``ConnectionClosed`` when the connection ends before.
        """
        data = message.encode() if isinstance(message, str) else message
        data = data or os.urandom(4)
        if self.stream.owed() > self.stream.high_water and self._may_wait():
            return Later(functools.partial(self._ping_later, data))
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        super().ping(data)
        self._pings.append((data, self.stream.clock(), pong))
        return pong

    async def _ping_later(self, data: bytes) -> float:
        await self._room()
        return await self.ping(data)

    def close(  # type: ignore[override]
        self, code: int | None = 1000, reason: str | bytes | None = ""
    ) -> Awaitable[None]:
        """Begin to close; awaiting it waits for the end. Any thread may begin.

        From now on messages that find the queue full are dropped.
        """
        self._leaving = True
        super().close(code, reason)
        if self._full:
            self._let_in()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Wait until the connection is over."""
        await self.closed_event.wait()

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # -- hooks -----------------------------------------------------------------------------

    def received_message(self, message: Message) -> None:
        """Into the queue."""
        received = self._received
        size = self._received_size + len(message.data)
        if received and self._leaving and self._is_full():
            return  # nobody reads on, and it may be for ever that somebody writes
        received.append(message)
        self._received_size = size
        self.write_through = False
        if len(received) >= self._most or size >= self._most_bytes:
            self._full = self.stream.held = not self._leaving
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            receiver.set_result(None)

    def ponged(self, pong: PongControlMessage) -> None:
        """The answer to a ping, and to those before it."""
        known = [index for index, ping in enumerate(self._pings) if ping[0] == pong.data]
        if not known:
            return
        now = self.stream.clock()
        answered = self._pings[: known[0] + 1]
        del self._pings[: known[0] + 1]
        for _, sent_at, waiting in answered:
            if not waiting.done():
                waiting.set_result(now - sent_at)

    def closed(self, code: int, reason: str | None = None) -> None:
        """Wake everybody who waits."""
        self.closed_event.set()
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
        self._wake_senders()
        pings, self._pings = self._pings, []
        for _, _, waiting in pings:
            if not waiting.done():
                waiting.set_exception(self._closed_error())
                waiting.exception()  # it is no mistake not to wait for a pong

    def _closed_error(self) -> ConnectionClosed:
        info = self.close_info
        how = "never opened" if info is None else f"closed ({info.code} {info.reason})"
        return ConnectionClosed(f"the connection is {how}".replace(" )", ")"), info)


class HandledWebSocket(Awaited):
    """A server's end that a coroutine function handles, in a task of its own.

    When it returns the connection is closed with 1000; when it raises, with 1011.
    """

    def __init__(self, handler: Handler, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handler = handler
        #: The task that runs the handler, once the connection is open.
        self.task: asyncio.Task[None] | None = None

    def opened(self) -> None:
        """Start the handler."""
        self.task = asyncio.get_running_loop().create_task(self._handle())

    async def _handle(self) -> None:
        try:
            await self._handler(self)
        except Exception:
            self._user_failed(getattr(self._handler, "__qualname__", repr(self._handler)))
        finally:
            self.close()


def handled(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What makes the websockets of a server whose ``handler`` may be a coroutine function."""
    if not isinstance(handler, type) and (
        iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
    ):
        return functools.partial(HandledWebSocket, handler)
    return handler


def is_normal(info: CloseInfo | None) -> bool:
    """Whether a connection ended as connections should (RFC 6455 section 7.4.1)."""
    return info is not None and info.clean and info.code in NORMAL_ENDS


#: Done; going away; and no code at all.
NORMAL_ENDS = (1000, 1001, 1005)


async def each(pieces: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    """The items of either kind of iterable."""
    if isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece

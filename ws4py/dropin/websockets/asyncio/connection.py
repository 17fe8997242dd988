"""Connections of ``websockets`` programs on an asyncio loop, over our awaited face."""

from __future__ import annotations

import asyncio
import builtins
import functools
import traceback
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
)
from typing import Any, NoReturn

from ws4py.awaited import each
from ws4py.dropin.websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosedOK,
    ProtocolError,
)
from ws4py.dropin.websockets.frames import CloseCode
from ws4py.dropin.websockets.habits import Habits
from ws4py.dropin.websockets.protocol import OPEN, Protocol
from ws4py.dropin.websockets.translation import as_bytes, ping_payload
from ws4py.exc import ConnectionClosed as EngineClosed
from ws4py.messaging import PongControlMessage

__all__ = ["Connection", "broadcast"]

BytesLike = (bytes, bytearray, memoryview)


class Connection(Habits):
    """One end, once the opening handshake is done; ``connect`` and ``serve`` make them."""

    #: As of 2.x and 3.x: ``recv()`` gives ``None`` at the end instead of raising.
    legacy_recv = False

    def __init__(self, protocol: Protocol, **limits: Any) -> None:
        super().__init__(protocol)
        self.limits = limits

    # -- receiving -------------------------------------------------------------------------

    async def recv(self, decode: bool | None = None) -> Any:
        """The next message: ``str`` or ``bytes``, or as ``decode`` says.

        Raises ``ConnectionClosed`` at the end, and ``ConcurrencyError`` while somebody else is
        in it. To cancel it loses nothing.
        """
        try:
            message = await self._ws.recv()
        except EngineClosed:
            if self.legacy_recv:
                return None
            raise self.close_exc  # noqa: B904 -- with its own cause
        except RuntimeError:
            raise ConcurrencyError(
                "cannot call recv while another coroutine is already running recv or recv_streaming"
            ) from None
        if decode is None:
            return message
        return await self._decoded(message, decode)

    async def _decoded(self, message: str | bytes, decode: bool) -> str | bytes:
        if not decode:
            return message.encode() if isinstance(message, str) else message
        if isinstance(message, str):
            return message
        try:
            return message.decode()
        except UnicodeDecodeError as exc:
            await self.close(CloseCode.INVALID_DATA, f"{exc.reason} at position {exc.start}")
            raise self.close_exc from exc

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Any]:
        """The next message, as an iterator of what it is made of.

        Here that is always one piece: the message as a whole.
        """
        try:
            message = await self.recv(decode)
        except RuntimeError:
            raise ConcurrencyError(
                "cannot call recv_streaming while another coroutine is already running recv or "
                "recv_streaming"
            ) from None
        yield message

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            while True:
                message = await self.recv()
                if message is None:
                    return
                yield message
        except ConnectionClosedOK:
            return

    # -- sending ---------------------------------------------------------------------------

    async def send(self, message: Any, *, text: bool | None = None) -> None:
        """Send a message: ``str`` as text, bytes as binary, or as ``text`` says.

        An iterable, asynchronous or not, makes one message in fragments. Waits while the peer
        does not read. Raises ``ConnectionClosed`` and ``TypeError``.
        """
        try:
            await self._begin(message, text)
        except EngineClosed:
            await self._ended()

    def _begin(self, message: Any, text: bool | None) -> Awaitable[None]:
        """Send, and leave the waiting; a whole message is behind the others at once."""
        whole: Awaitable[None]
        if isinstance(message, str):
            whole = self._ws.send(message, text is False)
        elif isinstance(message, BytesLike):
            whole = self._ws.send(message, text is not True)
        else:
            return self._send_pieces(message, text)
        return whole

    async def _send_pieces(self, message: Any, text: bool | None) -> None:
        if isinstance(message, Mapping):
            raise TypeError("data is a dict-like object")
        if not isinstance(message, AsyncIterable | Iterable):
            raise TypeError("data must be str, bytes, iterable, or async iterable")
        pieces = each(message)
        async for first in pieces:
            if not isinstance(first, (str, *BytesLike)):
                raise TypeError("iterable must contain bytes or str")
            await self._ws.send(alike(first, pieces), None if text is None else not text)

    async def ping(self, data: Any = None) -> Awaitable[float]:
        """Send a ping; what is returned can be awaited for the seconds until its pong."""
        payload = ping_payload(data)
        if any(payload == sent for sent, _, _ in self._ws._pings):
            raise ConcurrencyError("already waiting for a pong with the same data")
        try:
            pong = self._ws.ping(payload)
        except EngineClosed:
            await self._ended()
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        pong.add_done_callback(functools.partial(self._settle, waiter))
        return waiter

    def _settle(self, waiter: asyncio.Future[float], pong: asyncio.Future[float]) -> None:
        if waiter.done():
            return
        if pong.exception() is None:
            waiter.set_result(pong.result())
        else:
            waiter.set_exception(self.close_exc)
            waiter.exception()  # it is no mistake not to wait for a pong

    async def pong(self, data: Any = b"") -> None:
        """Send a pong that nobody has asked for."""
        try:
            await self._ws.send(PongControlMessage(as_bytes(data)))
        except EngineClosed:
            await self._ended()

    async def _ended(self) -> NoReturn:
        await self.wait_closed()
        raise self.close_exc  # with its own cause

    # -- the end ---------------------------------------------------------------------------

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close, and wait until it is done, within ``close_timeout``. May be called again."""
        try:
            await self._ws.close(int(code), reason)
        except ValueError as exc:
            raise ProtocolError(str(exc)) from exc

    async def wait_closed(self) -> None:
        """Wait until the connection is over."""
        await self._ws.wait_closed()

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        failed = kind is not None
        await self.close(CloseCode.INTERNAL_ERROR if failed else CloseCode.NORMAL_CLOSURE)

    @property
    def transport(self) -> Any:
        """What programs ask of an asyncio transport."""
        return ConnectionTransport(self)


class ConnectionTransport:
    """The few things that programs want from ``connection.transport``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def _sock(self) -> Any:
        ws = self._connection._ws
        return self._connection.protocol.opening.sock if ws is None else ws.sock

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``peername``, ``sockname``, ``socket``, and of TLS ``ssl_object`` and the rest."""
        connection, sock = self._connection, self._sock
        tls = sock if hasattr(sock, "cipher") else None
        found: dict[str, Callable[[], Any]] = {
            "peername": lambda: connection.remote_address,
            "sockname": lambda: connection.local_address,
            "socket": lambda: sock,
            "ssl_object": lambda: tls,
            "sslcontext": lambda: tls and tls.context,
            "cipher": lambda: tls and tls.cipher(),
            "peercert": lambda: tls and tls.getpeercert(),
        }
        value = found[name]() if name in found else None
        return default if value is None else value

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._connection.protocol.state > OPEN

    def abort(self) -> None:
        """Hang up without a closing handshake."""
        connection = self._connection
        if connection._ws is None:
            connection.protocol.opening.end()
        else:
            connection._ws.close_connection()

    close = abort


async def alike(first: Any, others: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """The pieces of a message, which have to be all text or all bytes."""
    yield first
    kinds: Any = str if isinstance(first, str) else BytesLike
    async for piece in others:
        if not isinstance(piece, kinds):
            raise TypeError("iterable must contain uniform types")
        yield piece


def broadcast(
    connections: Iterable[Connection],
    message: Any,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send to all of these that are open. Nobody is waited for.

    A peer that reads too slowly is closed with 1013 when ``write_limit`` bytes wait for it.
    """
    if not isinstance(message, (str, *BytesLike)):
        raise TypeError("data must be str or bytes")
    binary = not isinstance(message, str) if text is None else not text
    failures = []
    for connection in connections:
        if connection.protocol.state is not OPEN:
            continue
        try:
            connection._ws.push(message, binary)
        except Exception as exc:
            failure = RuntimeError("failed to write message")
            failure.__cause__ = exc
            failures.append(failure)
            if not raise_exceptions:
                short = traceback.format_exception_only(type(exc), exc)[0].strip()
                connection.logger.warning("skipped broadcast: failed to write message: %s", short)
    if raise_exceptions and failures:
        raise_group("skipped broadcast", failures)


def raise_group(text: str, failures: list[RuntimeError]) -> None:
    """All of them together, where Python can (3.11); else the first."""
    group: Any = getattr(builtins, "ExceptionGroup", None)
    raise failures[0] if group is None else group(text, failures)

"""Connections of ``websockets`` programs with threads, over our blocking face."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ws4py.dropin.websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosedOK,
    ProtocolError,
)
from ws4py.dropin.websockets.frames import CloseCode
from ws4py.dropin.websockets.habits import Habits
from ws4py.dropin.websockets.protocol import Protocol
from ws4py.dropin.websockets.translation import as_bytes, ping_payload
from ws4py.exc import ConnectionClosed as EngineClosed
from ws4py.messaging import PongControlMessage
from ws4py.pulled import Pong

__all__ = ["Connection"]

BytesLike = (bytes, bytearray, memoryview)


class Connection(Habits):
    """One end, once the opening handshake is done; ``connect`` and ``serve`` make them.

    All methods may be called from any thread.
    """

    #: As of 2.x and 3.x: ``recv()`` gives ``None`` at the end instead of raising.
    legacy_recv = False

    def __init__(self, protocol: Protocol, **limits: Any) -> None:
        super().__init__(protocol)
        self.limits = limits
        self._reader = threading.Lock()

    @property
    def socket(self) -> Any:
        """The socket."""
        return self.protocol.opening.sock if self._ws is None else self._ws.sock

    # -- receiving -------------------------------------------------------------------------

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Any:
        """The next message: ``str`` or ``bytes``, or as ``decode`` says.

        Raises ``TimeoutError`` after ``timeout`` seconds, ``ConnectionClosed`` at the end and
        ``ConcurrencyError`` while another thread is in it.
        """
        if not self._reader.acquire(False):
            raise ConcurrencyError(
                "cannot call recv while another thread is already running recv or recv_streaming"
            )
        try:
            message = self._ws.next_message(timeout)
        except EngineClosed:
            if self.legacy_recv:
                return None
            raise self.close_exc  # noqa: B904 -- with its own cause
        except TimeoutError as exc:
            raise TimeoutError(f"timed out in {timeout:.1f}s") from exc
        finally:
            self._reader.release()
        if decode is None:
            decode = message.is_text
        if not decode or message.is_text:
            return str(message) if decode else message.data
        try:
            return message.data.decode()
        except UnicodeDecodeError as exc:
            self.close(CloseCode.INVALID_DATA, f"{exc.reason} at position {exc.start}")
            raise self.close_exc from exc

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Any]:
        """The next message, as an iterator of what it is made of.

        Here that is always one piece: the message as a whole.
        """
        try:
            message = self.recv(decode=decode)
        except ConcurrencyError:
            raise ConcurrencyError(
                "cannot call recv_streaming while another thread is already running recv or "
                "recv_streaming"
            ) from None
        yield message

    def __iter__(self) -> Iterator[Any]:
        try:
            while True:
                message = self.recv()
                if message is None:
                    return
                yield message
        except ConnectionClosedOK:
            return

    # -- sending ---------------------------------------------------------------------------

    def send(self, message: Any, text: bool | None = None) -> None:
        """Send a message: ``str`` as text, bytes as binary, or as ``text`` says.

        An iterable makes one message in fragments. Waits while the peer does not read. Raises
        ``ConnectionClosed`` and ``TypeError``.
        """
        try:
            if isinstance(message, str):
                self._ws.send(message, text is False)
            elif isinstance(message, BytesLike):
                self._ws.send(message, text is not True)
            else:
                self._send_pieces(message, text)
        except EngineClosed:
            self._raise_closed()

    def _send_pieces(self, message: Any, text: bool | None) -> None:
        if isinstance(message, Mapping):
            raise TypeError("data is a dict-like object")
        if not isinstance(message, Iterable):
            raise TypeError("data must be str, bytes, or iterable")
        pieces = iter(message)
        for first in pieces:
            if not isinstance(first, (str, *BytesLike)):
                raise TypeError("iterable must contain bytes or str")
            binary = not isinstance(first, str) if text is None else not text
            self._ws.send(alike(first, pieces), binary)

    def ping(self, data: Any = None, ack_on_close: bool = False) -> threading.Event:
        """Send a ping; the event is set when its pong arrives.

        ``ack_on_close``: or when the connection ends. Nobody waits for a pong beyond that.
        """
        payload = ping_payload(data)
        if any(payload == sent for sent, _ in list(self._ws._pongs)):
            raise ConcurrencyError("already waiting for a pong with the same data")
        try:
            return Acknowledged(self._ws.ping(payload), ack_on_close)
        except EngineClosed:
            self._raise_closed()
            raise

    def pong(self, data: Any = b"") -> None:
        """Send a pong that nobody has asked for."""
        try:
            self._ws.send(PongControlMessage(as_bytes(data)))
        except EngineClosed:
            self._raise_closed()

    # -- the end ---------------------------------------------------------------------------

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close, and wait until it is done, within ``close_timeout``. May be called again."""
        try:
            self._ws.close(int(code), reason)
        except ValueError as exc:
            raise ProtocolError(str(exc)) from exc

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the connection is over, for ``timeout`` seconds; whether it is."""
        return bool(self._ws.over.wait(timeout))

    def _raise_closed(self) -> None:
        self.wait_closed(self._ws.stream.config.close_timeout)
        raise self.close_exc

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        failed = kind is not None
        self.close(CloseCode.INTERNAL_ERROR if failed else CloseCode.NORMAL_CLOSURE)


class Acknowledged(threading.Event):
    """Set when a pong is there."""

    def __init__(self, pong: Pong, ack_on_close: bool) -> None:
        super().__init__()
        self._pong = pong
        self._ack_on_close = ack_on_close

    def is_set(self) -> bool:
        """Whether it is there."""
        pong = self._pong
        return pong.arrived.is_set() and (self._ack_on_close or pong.latency is not None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, or for the end; whether it is there."""
        self._pong.arrived.wait(timeout)
        return self.is_set()


def alike(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    """The pieces of a message, which have to be all text or all bytes."""
    yield first
    kinds: Any = str if isinstance(first, str) else BytesLike
    for piece in others:
        if not isinstance(piece, kinds):
            raise TypeError("iterable must contain uniform types")
        yield piece
    yield b""  # which says that it was the last

"""A blocking end whose messages are taken by whoever wants them, instead of delivered to hooks.

What the blocking faces stand on, of clients and of servers, and whatever else speaks of ``recv()``
in its own words. Without a reader of its own the thread that wants something drives the socket:
inside ``recv()``, ``close()`` and the wait for a pong, messages, pings and close frames are met;
at other times they wait. This module must never know frames, or how the connection was opened.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ws4py.exc import ConnectionClosed
from ws4py.messaging import Message, PongControlMessage
from ws4py.protocol.connection import CLOSED
from ws4py.transport import BlockingTransport
from ws4py.websocket import WebSocket

__all__ = ["Pong", "Pulled", "PulledHandler"]


class Inbox:
    """Messages that were read and not taken yet. ``limit``: of their bytes, a little more fit."""

    def __init__(self, limit: int) -> None:
        self._messages: deque[Message] = deque()
        self._limit = limit
        self._size = 0
        self._changed = threading.Condition()
        self._finished = False

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def full(self) -> bool:
        """Whether there is no room for another."""
        return self._size > self._limit

    def put(self, message: Message) -> None:
        """One more."""
        with self._changed:
            self._messages.append(message)
            self._size += len(message.data)
            self._changed.notify()

    def wait_for_room(self) -> None:
        """Until it is no longer full, or no more is to come."""
        with self._changed:
            while self.full and not self._finished:
                self._changed.wait()

    def get(self, timeout: float | None = 0) -> Message | None:
        """The oldest; ``None`` after ``timeout`` seconds, and when no more is to come."""
        with self._changed:
            if not self._messages and not self._finished and timeout != 0:
                self._changed.wait_for(lambda: self._messages or self._finished, timeout)
            if not self._messages:
                return None
            message = self._messages.popleft()
            self._size -= len(message.data)
            self._changed.notify_all()
            return message

    def finish(self) -> None:
        """No more is to come: nobody waits any longer."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()


class Pong:
    """The answer to a ping. ``latency``: the seconds that it took, once it is there."""

    def __init__(self, client: Pulled) -> None:
        self._client = client
        self._sent = client.stream.clock()
        #: Set when it is there, or will never be.
        self.arrived = threading.Event()
        self.latency: float | None = None

    def wait(self, timeout: float | None = None) -> float:
        """Wait for it; its ``latency``. Raises ``TimeoutError`` and ``ConnectionClosed``."""
        self._client.wait_until(self.arrived, timeout)
        if self.latency is None:
            raise self._client.closed_error()
        return self.latency

    def resolve(self, now: float | None) -> None:
        """It has come, or (``None``) will never."""
        if now is not None:
            self.latency = now - self._sent
        self.arrived.set()


class Pulled(WebSocket):
    """Mixin that goes before a ``WebSocket`` class with a socket of its own.

    ``background``: a thread reads, so that pings are answered while nobody is in ``recv()``. When
    more than ``Config.high_water`` bytes of messages wait to be taken, it stops reading.

    All methods may be called from any thread. Several may want messages: each message is given
    to one of them.
    """

    def __init__(self, *args: Any, background: bool = False, **kwargs: Any) -> None:
        self._turn = threading.Lock()  # whose turn it is to read
        self._driver = 0  # the thread whose turn it is
        self._pongs: deque[tuple[bytes, Pong]] = deque()
        self._background = background
        self._thread: threading.Thread | None = None
        #: Set when the connection is over.
        self.over = threading.Event()
        super().__init__(*args, **kwargs)
        self._inbox = Inbox(self.stream.high_water)

    # -- for the driving thread ------------------------------------------------------------

    def begin(self) -> None:
        """The connection is open: from now on messages can be taken."""
        self._inbox = Inbox(self.stream.high_water)
        self.stream.held = True  # nothing is delivered; what came waits until it is taken
        self.connection_made()
        if self._background:
            self._thread = threading.Thread(target=self._read_on, name="ws4py-reader", daemon=True)
            self._thread.start()

    def ponged(self, pong: PongControlMessage) -> None:
        """A pong answers the ping of the same payload, and all before it (RFC 6455 5.5.3)."""
        if any(data == pong.data for data, _ in list(self._pongs)):
            while True:
                data, waiting = self._pongs.popleft()
                waiting.resolve(self.stream.clock())
                if data == pong.data:
                    return

    def terminate(self) -> None:
        """End it now; see ``WebSocket.terminate``. Whoever waits is told."""
        super().terminate()
        self._inbox.finish()
        self.over.set()
        while self._pongs:
            self._pongs.popleft()[1].resolve(None)

    def _read(self, left: float | None) -> None:
        """Read once, and end the connection if that was its end. Whose turn it is."""
        transport = self.transport
        assert isinstance(transport, BlockingTransport)
        # It may be over already: by flags that were written by hand, or a server's after the
        # close frame, which hangs up without waiting for its client to do so.
        if self.stream.state is CLOSED or not transport.receive(self, left):
            if self.stream.unsent:
                transport.wait_sent(self)
            self.terminate()

    def _drive(self, done: Callable[[], bool], end: float | None) -> Message | None:
        """Read until a message is there, ``done()`` or the end. Raises ``TimeoutError``."""
        if not self._turn.acquire(False) and not self._turn.acquire(timeout=time_left(end, -1)):
            raise TimeoutError("somebody else is receiving")
        self._driver = threading.get_ident()
        tried = False
        try:
            while True:
                message = self.take()
                if message is not None or done() or self._ended:
                    return message
                left = None if end is None else max(0.0, end - time.monotonic())
                if left == 0 and tried:
                    raise TimeoutError("nothing came in time")
                self._read(left)  # once in any case: without any time, what is there already
                tried = True
        finally:
            self._driver = 0
            self._turn.release()

    def _read_on(self) -> None:
        """The reader in the background."""
        while not self._ended:
            self._inbox.wait_for_room()
            message = self._drive(bool, None)
            if message is not None:
                self._inbox.put(message)

    # -- verbs -----------------------------------------------------------------------------

    def next_message(self, timeout: float | None = None) -> Message:
        """The next message, waited for.

        Raises ``TimeoutError`` after ``timeout`` seconds (nothing is lost by that) and
        ``ConnectionClosed`` when the connection is over and all messages are taken.
        """
        message: Message | None = None
        if self._background:
            message = self._inbox.get(timeout)
            if message is None and not self._ended:
                raise TimeoutError(f"no message within {timeout} s")
        else:
            if self._inbox:
                message = self._inbox.get()
            if message is None:
                end = None if timeout is None else time.monotonic() + timeout
                message = self._drive(bool, end)
        if message is None:
            raise self.closed_error()
        return message

    def wait_until(self, event: threading.Event, timeout: float | None) -> None:
        """Wait for what happens while the socket is read; messages are kept meanwhile.

        Raises ``TimeoutError``, and ``BufferError`` when too much came that has to be received
        first.
        """
        if self._background:
            if not event.wait(timeout):
                raise TimeoutError(f"no answer within {timeout} s")
            return
        end = None if timeout is None else time.monotonic() + timeout
        while not event.is_set() and not self._ended:
            if self._inbox.full:
                raise BufferError("more messages came than are kept: receive them first")
            message = self._drive(event.is_set, end)
            if message is not None:
                self._inbox.put(message)

    def ping(self, message: str | bytes = b"") -> Pong:  # type: ignore[override]
        """Send a ping of at most 125 bytes; its answer can be waited for."""
        data = message.encode() if isinstance(message, str) else bytes(message)
        pong = Pong(self)
        self._pongs.append((data, pong))
        super().ping(data)
        return pong

    def begin_close(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        """Begin to close; returns at once. Any thread."""
        super().close(code, reason)

    def close(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        """Close, and wait until that is done, for ``Config.close_timeout`` seconds at most.

        Whoever waits for a message in another thread is woken. What the server still sends can
        be received afterwards, up to ``Config.high_water`` bytes of it. From a signal handler that
        interrupts this thread's own ``recv()`` it returns at once, and ``recv()`` does the rest.
        """
        self.begin_close(code, reason)
        if self._driver == threading.get_ident() or self._transport is None:
            return
        while not self._ended:
            message = self._drive(bool, None)
            if message is not None and not self._inbox.full:
                self._inbox.put(message)
        self._inbox.finish()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def closed_error(self) -> ConnectionClosed:
        """What is raised when the connection is over."""
        info = self.close_info
        assert info is not None
        ending = f"{info.code} {info.reason}".rstrip()
        return ConnectionClosed(f"the connection is closed ({ending})", info)


class PulledHandler(Pulled):
    """A server's end that a function handles, on the thread of the connection.

    When it returns the connection is closed with 1000; when it raises, with 1011.
    """

    def __init__(
        self, handler: Callable[[PulledHandler], object], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, background=True, **kwargs)
        self._handler = handler

    def run(self) -> None:
        """Call the handler, then close."""
        self.begin()
        try:
            self._handler(self)
        except Exception:
            self._user_failed(getattr(self._handler, "__qualname__", repr(self._handler)))
        finally:
            self.close()


def time_left(end: float | None, forever: float) -> float:
    """Seconds until ``end``."""
    return forever if end is None else max(0.0, end - time.monotonic())

"""What is sent while there is no connection: kept, up to a limit, for the next one.

A stream that is not open any more puts messages into the queue, so that sending is the same call
as ever, from any thread. This module must never know sockets or frames.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from ws4py.exc import ConnectionClosed
from ws4py.lock import new_lock
from ws4py.protocol.connection import OPEN, CloseInfo
from ws4py.streaming import Stream
from ws4py.transport import Driven, Transport

if TYPE_CHECKING:
    from ws4py.client.reconnect import Reconnect

__all__ = ["KeepingStream", "NoTransport", "Queue"]

#: Payload, whether binary, whether to compress.
Kept = tuple[bytes, bool, "bool | None"]


class Queue:
    """Messages for the next connection of one client. Any thread."""

    def __init__(self, policy: Reconnect) -> None:
        self.policy = policy
        self._lock = threading.RLock()
        self._kept: deque[Kept] = deque()
        self._size = 0
        self._online: Any = None  # the stream that took what was kept, and its websocket
        self._over = False

    def put(self, message: Kept, stream: Stream) -> None:
        """``stream`` is closed: keep it. Raises ``ConnectionClosed`` when there is no room."""
        with self._lock:
            if self._over:
                raise ConnectionClosed("cannot send: the client is closed", stream.close_info)
            if self._online is None or self._online[0] is stream:
                self._online = None
                self._keep(message)
                return
            ws = self._online[1]
        # Whoever sends this has not noticed yet that there is another connection.
        pass_on(ws, [message])

    def _keep(self, message: Kept) -> None:
        policy = self.policy
        while len(self._kept) >= policy.queue or self._size + len(message[0]) > policy.queue_size:
            if policy.when_full == "drop_newest":
                return
            if policy.when_full == "refuse" or not self._kept:
                raise ConnectionClosed(
                    f"offline: {len(self._kept)} messages ({self._size} bytes) wait already, and "
                    "no more are kept"
                )
            self._size -= len(self._kept.popleft()[0])
        self._kept.append(message)
        self._size += len(message[0])

    def hand_over(self, ws: Any) -> None:
        """``ws`` is connected again: it sends what was kept."""
        with ws.transport.lock, self._lock:
            self._online = ws.stream, ws
            kept = list(self._kept)
            self._kept.clear()
            self._size = 0
            pass_on(ws, kept)

    def end(self) -> int:
        """There will be no other connection; how many messages are lost."""
        with self._lock:
            self._over = True
            lost = len(self._kept)
            self._kept.clear()
            return lost


def pass_on(ws: Any, messages: list[Kept]) -> None:
    """Send these now. If that connection is over already, they are kept for the next."""
    transport, stream = ws.transport, ws.stream
    with transport.lock, contextlib.suppress(ConnectionClosed):
        for payload, binary, compress in messages:
            stream.send_message(payload, binary, compress)
        if stream.state is OPEN:
            transport.flush(ws)


class KeepingStream(Stream):
    """As long as it is open, a stream as any other; then messages go into the queue."""

    def __init__(self, queue: Queue, *, was_open: bool = True) -> None:
        super().__init__(always_mask=True, expect_masking=False)
        self._queue_of_messages = queue
        self._was_open = was_open
        if not was_open:
            self.receive_eof()

    @property
    def close_info(self) -> CloseInfo | None:
        """The close report; ``None`` before the first connection."""
        return super().close_info if self._was_open else None

    def send_message(
        self, payload: bytes, binary: bool = False, compress: bool | None = None
    ) -> None:
        """Send it, or keep it. Raises ``ConnectionClosed`` when it is all over, or full."""
        if self.state is OPEN:
            super().send_message(payload, binary, compress)
        else:
            self._queue_of_messages.put((payload, binary, compress), self)

    def fragmented(self, *, binary: bool = False, compress: bool | None = None) -> Any:
        """A message in fragments, to be kept as one."""
        if self.state is OPEN:
            return super().fragmented(binary=binary, compress=compress)
        return _Fragments(self, self._queue_of_messages.policy.queue_size, (binary, compress))


class _Fragments:
    """A message that is sent in fragments: kept when its last one is there."""

    def __init__(self, stream: KeepingStream, most: int, how: tuple[bool, bool | None]) -> None:
        self._stream = stream
        self._most = most
        self._how = how
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def started(self) -> bool:
        """Never: it can always be taken back."""
        return False

    def send(self, payload: bytes, fin: bool = False) -> None:
        """One more; ``fin`` marks the last."""
        self._pieces.append(payload)
        self._size += len(payload)
        if self._size > self._most:
            raise ConnectionClosed("offline, and the message is larger than what is kept")
        if fin:
            self._stream.send_message(b"".join(self._pieces), *self._how)


class NoTransport(Transport):
    """Of a client that was never connected: moves nothing anywhere."""

    def __init__(self) -> None:
        super().__init__(new_lock(), False)

    def flush(self, ws: Driven, now: bool = False) -> None:
        """There is nowhere to write to."""

    def wait_sent(self, ws: Driven) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to close."""

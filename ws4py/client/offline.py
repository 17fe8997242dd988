"""What is sent while there is no connection: kept, up to a limit, for the next one.

In the place of stream and transport of a client that is about to connect again, so that sending
is the same call as ever, from any thread. This module must never know sockets or frames.
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

__all__ = ["OfflineStream", "OfflineTransport"]

#: Payload, whether binary, whether to compress.
Kept = tuple[bytes, bool, "bool | None"]


class _Fragments:
    """A message that is sent in fragments: kept when its last one is there."""

    def __init__(self, stream: OfflineStream, binary: bool, compress: bool | None) -> None:
        self._stream = stream
        self._how = binary, compress
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
        if self._size > self._stream.policy.queue_size:
            raise ConnectionClosed("offline, and the message is larger than what is kept")
        if fin:
            self._stream.send_message(b"".join(self._pieces), *self._how)


class OfflineStream(Stream):
    """Keeps messages; ``close_info`` and ``latency`` are those of the last connection."""

    def __init__(self, policy: Reconnect, before: Any) -> None:
        super().__init__(always_mask=True, expect_masking=False)
        self.policy = policy
        self.config = before.config
        self.high_water = before.high_water
        self.latency = before.latency
        self.deadline = None
        self._last: CloseInfo | None = before.close_info
        self._kept: deque[Kept] = deque()
        self._size = 0
        self._lock = threading.RLock()
        self._online: Any = None  # the websocket that is connected again
        self._over = False

    @property
    def close_info(self) -> CloseInfo | None:
        """How the last connection ended."""
        return self._last

    def send_message(
        self, payload: bytes, binary: bool = False, compress: bool | None = None
    ) -> None:
        """Keep it. Raises ``ConnectionClosed`` when it is all over, or there is no room."""
        with self._lock:
            if self._over:
                raise ConnectionClosed("cannot send: the client is closed", self._last)
            if self._online is None:
                self._keep((payload, binary, compress))
                return
        # Whoever sends this has seen the end of being offline only by half.
        pass_on(self._online, [(payload, binary, compress)])

    def _keep(self, message: Kept) -> None:
        policy = self.policy
        while len(self._kept) >= policy.queue or (self._size + len(message[0]) > policy.queue_size):
            if policy.when_full == "drop_newest":
                return
            if policy.when_full == "refuse" or not self._kept:
                raise ConnectionClosed(
                    f"offline: {len(self._kept)} messages ({self._size} bytes) wait already, and "
                    "no more are kept",
                    self._last,
                )
            self._size -= len(self._kept.popleft()[0])
        self._kept.append(message)
        self._size += len(message[0])

    def fragmented(self, *, binary: bool = False, compress: bool | None = None) -> Any:
        """A message in fragments, to be kept as one."""
        return _Fragments(self, binary, compress)

    def send_ping(self, data: bytes = b"") -> None:
        """Not here: nobody would answer."""
        raise ConnectionClosed("cannot ping: there is no connection", self._last)

    send_pong = send_ping

    def fail(self, code: int, reason: str, error: BaseException | None = None) -> None:
        """There is nothing that could fail."""

    def hand_over(self, ws: Any) -> None:
        """``ws`` is connected again: it sends what was kept, and all that still comes here."""
        with ws.transport.lock, self._lock:
            self._online = ws
            kept = list(self._kept)
            self._kept.clear()
            pass_on(ws, kept)

    def end(self) -> int:
        """There will be no other connection; how many messages are lost."""
        with self._lock:
            self._over = True
            lost = len(self._kept)
            self._kept.clear()
            return lost


def pass_on(ws: Any, messages: list[Kept]) -> None:
    """Send these. If it is closing already, they are as lost as if they had been sent just now."""
    transport, stream = ws.transport, ws.stream
    with transport.lock, contextlib.suppress(ConnectionClosed):
        for payload, binary, compress in messages:
            stream.send_message(payload, binary, compress)
        if stream.state is OPEN:
            transport.flush(ws)


class OfflineTransport(Transport):
    """Moves nothing anywhere."""

    def __init__(self) -> None:
        super().__init__(new_lock(), False)

    def flush(self, ws: Driven, now: bool = False) -> None:
        """There is nowhere to write to."""

    def wait_sent(self, ws: Driven) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to close."""

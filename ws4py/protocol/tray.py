"""Where the small frames of a connection are laid one behind another until they are written.

Whoever answers sixteen messages of one segment would make sixteen bytes objects else, and one more
of them all. There is one tray in a process: who puts a frame on it while it holds those of another
connection moves these into that connection's queue first, which takes no longer than to have put
them there at once.

Interpreted, or without an interpreter's lock, each frame goes into the queue. This module must
never know what a frame is.
"""

from __future__ import annotations

__all__ = ["Tray", "tray"]

#: Whether this module runs compiled, so that the functions of ``tray.pxd`` are there.
COMPILED = not __file__.endswith((".py", ".pyc"))


class Tray:
    """Collects for one queue at a time. Whoever reads that queue says ``settle()`` before."""

    __slots__ = ("_end", "_queue")

    def __init__(self) -> None:
        self._queue: list[bytes] | None = None
        self._end = 0

    def put(self, queue: list[bytes], head: bytes, payload: bytes) -> None:
        """One frame more, behind all that ``queue`` holds."""
        size = len(head) + len(payload)
        if not COMPILED or size > room(self, 0):  # type: ignore[name-defined] # noqa: F821
            self.settle(queue)
            queue.append(head + payload)
            return
        if self._queue is not queue or size > room(self, self._end):  # type: ignore[name-defined] # noqa: F821
            self._clear()
            self._queue = queue
        self._end = lay(self, head, self._end)  # type: ignore[name-defined] # noqa: F821
        self._end = lay(self, payload, self._end)  # type: ignore[name-defined] # noqa: F821

    def settle(self, queue: list[bytes]) -> None:
        """What lies here of this queue goes into it."""
        if self._queue is queue:
            self._clear()

    def take(self, queue: list[bytes]) -> bytes:
        """What lies here of this queue, without putting it there first."""
        if self._queue is not queue:
            return b""
        self._queue = None
        size, self._end = self._end, 0
        return taken(self, size)  # type: ignore[name-defined,no-any-return] # noqa: F821

    def _clear(self) -> None:
        queue = self._queue
        if queue is not None:
            queue.append(self.take(queue))


#: That of the process.
tray = Tray()

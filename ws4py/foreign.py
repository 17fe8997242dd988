"""A reactor for a loop of your own: it tells what to watch and until when, and never waits.

    reactor = ExternalReactor()
    while True:
        for fd, events in reactor.changes():
            ...                                  # watch fd for these from now on; 0: no longer
        ready = ...                              # wait, for reactor.timeout() seconds at most
        reactor.serve(ready)                     # pairs of descriptor and READ, WRITE or both

It must never know what waits, nor what its channels do.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from ws4py.reactor import READ, WRITE, Channel
from ws4py.runtime import runtime_of
from ws4py.syscalls import this_thread
from ws4py.transport import SocketReactor

__all__ = ["READ", "WRITE", "ExternalReactor"]


class _Notes:
    """Writes down what a poller would do."""

    # A change by another thread has to end the wait: the loop learns of it in its next turn.
    snapshot = True

    def __init__(self) -> None:
        self.changes: deque[tuple[int, int]] = deque()

    def register(self, fd: int, events: int = READ) -> None:
        self.changes.append((fd, events))

    modify = register

    def unregister(self, fd: int) -> None:
        self.changes.append((fd, 0))

    def wait(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        raise RuntimeError("an ExternalReactor does not wait: see changes(), timeout() and serve()")

    def release(self) -> None:
        self.changes.clear()


#: Seconds by which ``remind()`` may be late.
SLACK = 0.001


class _Bell(Channel):
    """Ends a wait when its time has come."""

    __slots__ = ("_reactor",)

    def __init__(self, reactor: ExternalReactor) -> None:
        super().__init__()
        self._reactor = reactor

    def ring(self) -> None:
        self._reactor.call_soon(bool)


class ExternalReactor(SocketReactor):
    """Serves websockets on a loop of yours; the thread that makes it is the loop's.

    ``PolledTransport(sock, reactor).start(ws)``, or a ``WebSocketManager(reactor=reactor)``,
    puts a websocket on it. ``changes``, ``timeout`` and ``serve`` belong to the loop's thread;
    others may send and close, which ends the wait. One descriptor that is reported belongs to
    the reactor itself and does just that. ``release()`` gives it back in the end.
    """

    poller: _Notes
    _bell: _Bell | None = None

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(_Notes(), clock)
        self._told: set[int] = set()  # what the loop watches
        self.ident = this_thread()
        self.running = True

    def changes(self) -> list[tuple[int, int]]:
        """What was asked for since the last call, in this order: descriptor and what to watch it
        for: ``READ``, ``WRITE``, both, or 0 for nothing (it may be closed already).
        """
        if self.dirty:
            self.served()  # what was sent outside of serve()
        taken = self.poller.changes
        no_longer: list[tuple[int, int]] = []
        wanted: dict[int, int] = {}
        for _ in range(len(taken)):
            fd, events = taken.popleft()
            wanted.pop(fd, None)  # what came and went in between is closed by now
            if events:
                wanted[fd] = events
            elif fd in self._told:
                self._told.discard(fd)
                no_longer.append((fd, 0))
        self._told.update(wanted)
        return [*no_longer, *wanted.items()]

    def timeout(self) -> float | None:
        """Seconds until something is to be done without a socket being ready; ``None``: never."""
        self._waiting = True  # before looking how long: a signal may come in between
        if self.dirty or self.poller.changes:
            return 0
        patience = self._patience(None)
        return None if patience < 0 else patience

    def remind(self) -> None:
        """End the wait when ``timeout()`` says, for a loop that cannot be told how long to wait.

        To be called before it waits. The time is kept by a thread that all share.
        """
        if self._bell is None:
            self._bell = _Bell(self)
        patience, alarm = self.timeout(), runtime_of(None).alarm()
        if patience is not None:
            when, set_for = time.monotonic() + patience, self._bell.alarm_at
            # To set it anew wakes that thread; where it rings too early, this is called again.
            if set_for is None or when < set_for - SLACK:
                alarm.set_alarm(self._bell, when)
        elif self._bell.alarm_at is not None:
            alarm.cancel_alarm(self._bell)

    def release(self) -> None:
        """Give back the descriptor; nothing is served any more."""
        if self._bell is not None and self._bell.alarm_at is not None:
            runtime_of(None).alarm().cancel_alarm(self._bell)
        super().release()

    def serve(self, ready: Iterable[tuple[int, int]] = ()) -> None:
        """Serve these descriptors, and whatever else is due. Calls hooks."""
        self._waiting = False
        super().serve(ready)

    def turn(self, timeout: float | None = None) -> None:
        """Not here: the loop is yours."""
        self.poller.wait(timeout)

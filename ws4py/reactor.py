"""A small event loop on one thread: readiness, alarms, and calls from other threads.

It serves channels: anything with a descriptor and the three methods of ``Channel``. The manager
runs its websockets on one, and one more (``alarm()``) keeps the deadlines of all connections
that have a thread of their own. It must never know WebSocket, frames or what a channel does.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from ws4py.clock import read_clock
from ws4py.syscalls import DIRECT_EPOLL, ReadyList, patched, this_thread

__all__ = [
    "READ",
    "WRITE",
    "Channel",
    "EPollPoller",
    "KQueuePoller",
    "PollPoller",
    "Poller",
    "Reactor",
    "SelectPoller",
    "alarm",
    "best_poller",
]

logger = logging.getLogger("ws4py")

#: Interest and readiness, with the values that poll and epoll use: no conversion on the way.
READ, WRITE = 1, 4

#: Seconds after which one looks again, whatever is to be waited for: pollers count milliseconds in
#: 32 bits.
LONGEST_WAIT = 86400.0


class Poller(Protocol):
    """What tells which descriptors are ready. ``register`` and the like: any thread.

    ``snapshot`` says whether ``wait`` works on the set as it was when it began, so that a change
    by another thread has to wake it.
    """

    snapshot: bool

    def register(self, fd: int, events: int = READ) -> None: ...

    def modify(self, fd: int, events: int) -> None: ...

    def unregister(self, fd: int) -> None: ...

    def wait(self, timeout: float | None) -> Iterable[tuple[int, int]]: ...

    def release(self) -> None: ...


class _BasePoller:
    """``timeout`` and ``poll()`` of ws4py 0.6 over ``wait()``."""

    snapshot = True

    def __init__(self, timeout: float = 0.1) -> None:
        self.timeout = timeout

    def wait(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        raise NotImplementedError

    def poll(self) -> Iterator[int]:
        """The descriptors that can be read, after at most ``self.timeout`` seconds."""
        for fd, events in self.wait(self.timeout):
            if events & ~WRITE:
                yield fd


class SelectPoller(_BasePoller):
    """``select()``: everywhere, but only for descriptors below 1024 (``ValueError`` above)."""

    def __init__(self, timeout: float = 0.1) -> None:
        super().__init__(timeout)
        self._interest: dict[int, int] = {}

    @property
    def _fds(self) -> list[int]:
        return list(self._interest)

    def register(self, fd: int, events: int = READ) -> None:
        if fd >= 1024 and os.name == "posix":
            raise ValueError(
                f"select() cannot watch descriptor {fd} (1024 and above): use the epoll, poll or "
                "kqueue poller for so many connections"
            )
        self._interest[fd] = events

    modify = register

    def unregister(self, fd: int) -> None:
        self._interest.pop(fd, None)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        interest = list(self._interest.items())
        readers = [fd for fd, events in interest if events & READ]
        writers = [fd for fd, events in interest if events & WRITE]
        if not readers and not writers:
            time.sleep(
                self.timeout if timeout is None else timeout
            )  # Windows cannot select nothing
            return []
        try:
            readable, writable, _ = select.select(readers, writers, (), timeout)
        except (OSError, ValueError):
            self._forget_dead()
            return []
        return [(fd, READ) for fd in readable] + [(fd, WRITE) for fd in writable]

    def _forget_dead(self) -> None:
        """A descriptor was closed without a word: drop it, or select() would fail for ever."""
        for fd in list(self._interest):
            try:
                select.select((fd,), (), (), 0)
            except (OSError, ValueError):
                logger.warning("descriptor %d was closed while being watched", fd)
                self._interest.pop(fd, None)

    def release(self) -> None:
        self._interest.clear()


class PollPoller(_BasePoller):
    """``poll()``: most of Unix, any number of descriptors, cost grows with their number."""

    def __init__(self, timeout: float = 0.1) -> None:
        super().__init__(timeout)
        self._interest: dict[int, int] = {}

    def register(self, fd: int, events: int = READ) -> None:
        self._interest[fd] = events

    modify = register

    def unregister(self, fd: int) -> None:
        self._interest.pop(fd, None)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        # A fresh object each time: a poll object may not change while another thread waits on it.
        poll = select.poll()
        for fd, events in list(self._interest.items()):
            poll.register(fd, events)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        for fd, events in ready:
            if events & select.POLLNVAL:
                logger.warning("descriptor %d was closed while being watched", fd)
                self._interest.pop(fd, None)
        return ready

    def release(self) -> None:
        self._interest.clear()


class EPollPoller(_BasePoller):
    """Linux's epoll: tens of thousands of descriptors; changes by other threads act at once."""

    snapshot = False

    def __init__(self, timeout: float = 0.1) -> None:
        super().__init__(timeout)
        self._epoll = select.epoll()

    def fileno(self) -> int:
        """The descriptor of the epoll itself."""
        return self._epoll.fileno()

    # With ``try``, as each connection comes here twice: ``suppress()`` costs more than the call.

    def register(self, fd: int, events: int = READ) -> None:
        try:
            self._epoll.register(fd, events)
        except FileExistsError:
            pass

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            pass

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        return self._epoll.poll(timeout)

    def release(self) -> None:
        self._epoll.close()


class KQueuePoller(_BasePoller):
    """BSD's and macOS' kqueue."""

    snapshot = False

    def __init__(self, timeout: float = 0.1) -> None:
        super().__init__(timeout)
        self._kqueue: Any = select.kqueue()  # type: ignore[attr-defined,unused-ignore]
        self._interest: dict[int, int] = {}

    def register(self, fd: int, events: int = READ) -> None:
        self._interest.setdefault(fd, 0)
        self.modify(fd, events)

    def modify(self, fd: int, events: int) -> None:
        before = self._interest.get(fd, 0)
        self._interest[fd] = events
        for flag, kind in ((READ, "KQ_FILTER_READ"), (WRITE, "KQ_FILTER_WRITE")):
            if (before ^ events) & flag:
                self._change(fd, kind, "KQ_EV_ADD" if events & flag else "KQ_EV_DELETE")

    def unregister(self, fd: int) -> None:
        if fd in self._interest:
            with contextlib.suppress(OSError):
                self.modify(fd, 0)
            del self._interest[fd]

    def _change(self, fd: int, kind: str, action: str) -> None:
        module: Any = select
        event = module.kevent(fd, getattr(module, kind), getattr(module, action))
        self._kqueue.control([event], 0, 0)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        module: Any = select
        events = self._kqueue.control(None, max(1, len(self._interest)), timeout)
        return [(e.ident, WRITE if e.filter == module.KQ_FILTER_WRITE else READ) for e in events]

    def release(self) -> None:
        self._kqueue.close()


class LegacyPoller:
    """A poller of ws4py 0.6's kind (``register``, ``unregister``, ``poll``, ``release``).

    Such a poller knows nothing of writing, so who waits to write is asked for separately.
    """

    snapshot = True

    def __init__(self, poller: Any) -> None:
        self.poller = poller
        self._writers: set[int] = set()
        self._readers: set[int] = set()

    def register(self, fd: int, events: int = READ) -> None:
        self.modify(fd, events)

    def modify(self, fd: int, events: int) -> None:
        if events & READ and fd not in self._readers:
            self._readers.add(fd)
            self.poller.register(fd)
        elif not events & READ and fd in self._readers:
            self._readers.discard(fd)
            self.poller.unregister(fd)
        (self._writers.add if events & WRITE else self._writers.discard)(fd)

    def unregister(self, fd: int) -> None:
        self.modify(fd, 0)

    def wait(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        ready = [(fd, READ) for fd in list(self.poller.poll() or ())]
        if self._writers:
            _, writable, _ = select.select((), list(self._writers), (), 0)
            ready += [(fd, WRITE) for fd in writable]
        return ready

    def release(self) -> None:
        self.poller.release()


def best_poller() -> Poller:
    """The best poller of this platform."""
    if hasattr(select, "epoll"):
        return EPollPoller()
    if hasattr(select, "kqueue"):
        return KQueuePoller()
    return PollPoller() if hasattr(select, "poll") else SelectPoller()


#: When, its number among all, and whose it is: ``None`` once it is void.
Alarm = list[Any]


class Channel:
    """Something that a reactor serves. Methods are called on the reactor's thread only."""

    __slots__ = ("alarm", "alarm_at")

    def __init__(self) -> None:
        #: When the reactor will call ``ring()``; set by ``Reactor.set_alarm`` alone.
        self.alarm_at: float | None = None
        #: Its entry among the reactor's alarms.
        self.alarm: Alarm | None = None

    def readable(self) -> None:
        """There is something to read, or the end of it."""

    def writable(self) -> None:
        """There is room to write."""

    def ring(self) -> None:
        """The alarm that was set has gone off."""


class _Waker(Channel):
    """Ends a reactor's wait from another thread or a signal handler."""

    __slots__ = ("_awake", "_reader", "_writer")

    def __init__(self) -> None:
        super().__init__()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._awake = False

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        if not self._awake:
            self._awake = True
            with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody to wake
                self._writer.send(b"\0")

    def readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(64)
        # After the read: who finds it still set has left its errand where this turn will look.
        self._awake = False

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Reactor:
    """The loop. ``run()`` makes the calling thread the reactor's; ``stop()`` ends it.

    ``register``, ``modify``, ``unregister``, ``set_alarm``, ``cancel_alarm``, ``call_soon`` and
    ``stop`` may be called from any thread (the last two from signal handlers too).
    """

    def __init__(self, poller: Any = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.poller: Poller
        # Past the poller's objects for each event, where that can be done.
        self._epoll = -1
        self._ready: ReadyList | None = None
        patched()  # for this_thread()
        self.clock = clock
        self.running = False
        self.ident = 0  # the thread that runs it, if one does
        self._waiting = False
        self._channels: dict[int, Channel] = {}
        self._alarms: list[Alarm] = []
        self._stale = 0
        self._sequence = itertools.count()
        self._alarm_lock = threading.Lock()
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._waker: _Waker
        self._prepare(poller)

    def _prepare(self, poller: Any) -> None:
        """What waits, and what ends the wait. A reactor on somebody else's loop needs neither."""
        if poller is None:
            poller = best_poller()
        elif not hasattr(poller, "wait"):
            poller = LegacyPoller(poller)
        self.poller = poller
        if DIRECT_EPOLL and type(poller) is EPollPoller:
            # Past the poller's objects for each event.
            self._epoll, self._ready = poller.fileno(), ReadyList()
        self._waker = _Waker()
        self.register(self._waker.fileno(), self._waker)

    # Any thread

    def in_thread(self) -> bool:
        """Whether the caller is the reactor's own thread."""
        return self.ident == this_thread()

    def register(self, fd: int, channel: Channel, events: int = READ) -> None:
        """Watch ``fd`` on behalf of ``channel``."""
        self._channels[fd] = channel
        try:
            self.poller.register(fd, events)
        except BaseException:
            del self._channels[fd]
            raise
        self._changed()

    def pass_on(self, fd: int, channel: Channel) -> None:
        """Watch ``fd`` on behalf of another ``channel`` from now on, for reading as before."""
        self._channels[fd] = channel

    def modify(self, fd: int, events: int) -> None:
        """Change what ``fd`` is watched for; ``events`` may be 0."""
        self.poller.modify(fd, events)
        self._changed()

    def unregister(self, fd: int) -> None:
        """Stop watching ``fd``; to be called before it is closed."""
        if self._channels.pop(fd, None) is not None:
            self.poller.unregister(fd)
            self._changed()

    def _changed(self) -> None:
        if self.poller.snapshot and not self.in_thread():
            self._waker.wake()

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Call it on the reactor's thread, before it waits again."""
        self._calls.append((function, args))
        # On its own thread too while it waits: that is a signal handler.
        if self._waiting or not self.in_thread():
            self._waker.wake()

    def set_alarm(self, channel: Channel, when: float) -> None:
        """Call ``channel.ring()`` at ``when`` (of ``clock``), instead of what was set before."""
        lock = self._alarm_lock
        lock.acquire()
        try:
            self._forget_alarm(channel)
            channel.alarm_at = when
            channel.alarm = [when, next(self._sequence), channel]
            heappush(self._alarms, channel.alarm)
            first = self._alarms[0] is channel.alarm
        finally:
            lock.release()
        if first:
            self._sooner(when)

    def _sooner(self, when: float) -> None:
        """The next alarm is earlier than the one that was waited for."""
        if not self.in_thread():
            self._waker.wake()

    def cancel_alarm(self, channel: Channel) -> None:
        """No alarm for this channel any more."""
        if channel.alarm is None:
            return
        lock = self._alarm_lock
        lock.acquire()
        try:
            self._forget_alarm(channel)
        finally:
            lock.release()

    def _forget_alarm(self, channel: Channel) -> None:
        """Make its alarm void; when most are, build a new heap without them."""
        if channel.alarm is None:
            return
        channel.alarm[2] = None  # it may stay for long, and must not keep anything alive
        channel.alarm = channel.alarm_at = None
        self._stale += 1
        if self._stale > 64 and self._stale * 2 > len(self._alarms):
            self._alarms = [alarm for alarm in self._alarms if alarm[2] is not None]
            heapify(self._alarms)
            self._stale = 0

    def stop(self) -> None:
        """End ``run()`` after the turn in progress."""
        self.running = False
        self._waker.wake()

    # The reactor's thread

    def run(self) -> None:
        """Serve until ``stop()``."""
        self.ident = this_thread()
        self.running = True
        try:
            while self.running:
                self.turn()
        finally:
            self.ident = 0

    def turn(self, timeout: float | None = None) -> None:
        """Wait for something to do, for ``timeout`` seconds at most, and do it."""
        self._waiting = True  # before looking how long: a signal may come in between
        patience = self._patience(timeout)
        if self._ready is None:
            ready = self.poller.wait(None if patience < 0 else patience)
            self._waiting = False
            self.serve(ready)
            return
        count = self._ready.wait(self._epoll, patience)
        self._waiting = False
        for index in range(count):
            self._serve(self._ready.descriptor(index), self._ready.events(index))
        self._look_around()

    def serve(self, ready: Iterable[tuple[int, int]] = ()) -> None:
        """Serve these descriptors, which are ready for that, and whatever else is due."""
        for fd, events in ready:
            self._serve(fd, events)
        self._look_around()

    def _serve(self, fd: int, events: int) -> None:
        """Let the channel do what its descriptor is ready for."""
        channel = self._channels.get(fd)
        if channel is None:
            return
        try:
            if events == READ:  # nearly always
                channel.readable()
            else:
                if events & ~WRITE:
                    channel.readable()
                if events & WRITE:
                    channel.writable()
        except Exception:
            logger.exception("error while serving descriptor %d; no longer watched", fd)
            self.unregister(fd)
        self.served()

    def _look_around(self) -> None:
        """Serve what is due besides descriptors."""
        alarms = self._alarms
        if alarms:
            when: float = alarms[0][0]
            if when <= read_clock(self.clock):
                self._ring_alarms()
        if self._calls:
            self._run_calls()

    def served(self) -> None:
        """Called after each channel's turn, each alarm and each call. For subclasses."""

    def _patience(self, timeout: float | None) -> float:
        """How long there is nothing to do but wait, in seconds; -1: for ever."""
        if self._calls:
            return 0.0
        alarms = self._alarms  # another thread may put a list without this one in its place
        if alarms:
            when: float = alarms[0][0]
            left = min(max(0.0, when - read_clock(self.clock)), LONGEST_WAIT)
            return left if timeout is None else min(left, timeout)
        return -1.0 if timeout is None else timeout

    def _ring_alarms(self) -> None:
        now = read_clock(self.clock)
        while (channel := self._due(now)) is not None:
            try:
                channel.ring()
            except Exception:
                logger.exception("error while serving an alarm")
            self.served()

    def _due(self, now: float) -> Channel | None:
        with self._alarm_lock:
            while self._alarms and self._alarms[0][0] <= now:
                channel: Channel | None = heappop(self._alarms)[2]
                if channel is not None:
                    channel.alarm = channel.alarm_at = None
                    return channel
                self._stale -= 1
        return None

    def _run_calls(self) -> None:
        # Only what is there now: a call that calls again must not keep the sockets waiting.
        for _ in range(len(self._calls)):
            function, args = self._calls.popleft()
            try:
                function(*args)
            except Exception:
                logger.exception("error in a call to the reactor's thread")
            self.served()

    def release(self) -> None:
        """Give back poller and waker. The reactor is of no use afterwards."""
        self.unregister(self._waker.fileno())
        self.poller.release()
        self._waker.close()


# -- one reactor for everybody who has a thread of his own ---------------------------------

_alarm: Reactor | None = None
_alarm_guard = threading.Lock()


def alarm() -> Reactor:
    """The process' reactor for deadlines, on a daemon thread that starts with the first use."""
    global _alarm
    if _alarm is not None:
        return _alarm
    with _alarm_guard:
        if _alarm is None:
            reactor = Reactor()
            thread = threading.Thread(target=reactor.run, name="ws4py-alarm", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:
                # Python 3.12 and later start no thread once the program's first one has ended.
                logger.warning("connections are served without deadlines: %s", exc)
            _alarm = reactor
        return _alarm


def _forget_alarm_thread() -> None:
    """In a forked child: the thread stayed with the parent."""
    global _alarm, _alarm_guard
    _alarm = None
    _alarm_guard = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_alarm_thread)

"""Connections over gevent's sockets: what both gevent adapters stand on.

Importing this has every connection over such a socket wait in greenlets, whether the standard
library is patched or not. Deadlines are timers of the hub; no hook ever runs there. This module
must never know what is sent.
"""

from __future__ import annotations

import select
import ssl
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ws4py import runtime
from ws4py._extras import missing
from ws4py.lock import native_lock
from ws4py.reactor import READ, WRITE, Channel
from ws4py.syscalls import new_buffer, read_some

try:
    import gevent
    import gevent.event
    import gevent.socket
    import gevent.ssl
    import gevent.thread
    from gevent import monkey
except ImportError as exc:
    raise missing(__name__, "gevent", exc) from exc

__all__ = ["Greenlets", "adopt", "call_in", "wait", "wrap_tls"]

#: The system's, whether patched or not.
_system_thread: Callable[[], int] = monkey.get_original("_thread", "get_ident")
_system_poll: Any = monkey.get_original("select", "poll") if hasattr(select, "poll") else None

#: Whether reading goes through a buffer of ours, as the compiled build has it.
COMPILED = bool(new_buffer())
#: What one read takes at most: its messages are handled before others have their turn.
READ_SIZE = 65536 if COMPILED else 16384

#: One read buffer for each hub: nobody switches between reading and taking the bytes out.
_buffers: weakref.WeakKeyDictionary[Any, bytearray] = weakref.WeakKeyDictionary()


class Greenlets(runtime.Runtime):
    """The greenlets of the hub that is running; one of these for each connection.

    Greenlets never switch while they hold its lock, for nothing that is done under it waits. So
    only another thread of the system's can have it, and never for long.
    """

    __slots__ = ("_alarm", "_buffer", "_hub")

    read_size = READ_SIZE

    def __init__(self, sock: Any) -> None:
        self._hub = sock.hub  # the calling thread may have another one, or none
        self._alarm = HubAlarm(self._hub)
        buffer = _buffers.get(self._hub)
        if buffer is None:
            buffer = _buffers[self._hub] = bytearray(READ_SIZE)
        self._buffer = buffer

    @property
    def sockets_wait(self) -> bool:
        """They would wait with the lock in hand."""
        return False

    def is_socket(self, sock: Any) -> bool:
        """Only for gevent's sockets is this runtime made."""
        return True

    def new_lock(self) -> Any:
        """Among threads; see above."""
        return native_lock()

    def identity(self) -> object:
        """The calling greenlet."""
        return gevent.thread.get_ident()

    def alarm(self) -> HubAlarm:
        """Timers and watchers of the hub."""
        return self._alarm

    def read(self, sock: Any, fd: int) -> bytes | None:
        """Compiled, past gevent: it raises an exception for each time that nothing is there."""
        return read_some(sock, fd, self._buffer) if COMPILED else super().read(sock, fd)

    def wait_ready(self, sock: Any, events: int, timeout: float | None) -> bool:
        """The calling greenlet waits; a thread without a hub waits as threads do."""
        if timeout == 0 or _system_thread() != self._hub.thread_ident:
            return wait_natively(sock, events, timeout)
        watcher = self._hub.loop.io(sock.fileno(), native_events(events))
        try:
            if timeout is None:
                self._hub.wait(watcher)
                return True
            with gevent.Timeout(timeout, False):
                self._hub.wait(watcher)
                return True
            return False
        finally:
            watcher.close()

    def give_way(self, sock: Any) -> None:
        """See ``Runtime``."""
        self.wait_ready(sock, READ | WRITE, 0.001)

    def close_socket(self, sock: Any) -> None:
        """Close it in the hub's own thread, behind what is to be done there already."""
        call_in(self._hub, runtime.close_socket, sock)


class HubAlarm:
    """Rings by a timer of the hub, and looks for room by a watcher; for one connection.

    What rings is called in the hub, where nothing may wait.
    """

    __slots__ = ("_hub", "_timer", "_watcher")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._timer: Any = None
        self._watcher: Any = None

    def in_thread(self) -> bool:
        """Whether this is the hub itself, which must not wait."""
        return gevent.getcurrent() is self._hub

    def set_alarm(self, channel: Channel, when: float) -> None:
        """``channel.ring()`` at ``when`` (of ``time.monotonic()``)."""
        channel.alarm_at = when
        call_in(self._hub, self._start_timer, channel)

    def cancel_alarm(self, channel: Channel) -> None:
        """No alarm any more."""
        channel.alarm_at = None
        call_in(self._hub, self._stop_timer)

    def register(self, fd: int, channel: Channel, events: int) -> None:
        """``channel.writable()`` when there is room."""
        call_in(self._hub, self._watch, fd, channel)

    def unregister(self, fd: int) -> None:
        """Look no more."""
        call_in(self._hub, self._unwatch)

    # In the thread of the hub

    def _start_timer(self, channel: Channel) -> None:
        self._stop_timer()
        when = channel.alarm_at
        if when is not None:
            self._timer = self._hub.loop.timer(max(0.0, when - time.monotonic()))
            self._timer.start(self._ring, channel)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _ring(self, channel: Channel) -> None:
        self._stop_timer()
        channel.alarm_at = None
        channel.ring()

    def _watch(self, fd: int, channel: Channel) -> None:
        self._unwatch()
        self._watcher = self._hub.loop.io(fd, native_events(WRITE))
        self._watcher.start(channel.writable)

    def _unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()


def call_in(hub: Any, function: Callable[..., object], *args: object) -> None:
    """Call it in the thread of this hub: now if that is the calling one. Nothing may wait."""
    if _system_thread() == hub.thread_ident:
        function(*args)
    elif hub.loop is not None:  # else the hub is gone, and all that it watched
        hub.loop.run_callback_threadsafe(function, *args)


def native_events(events: int) -> int:
    """Interest in the words of gevent's loop."""
    return (1 if events & READ else 0) | (2 if events & WRITE else 0)


def wait_natively(sock: Any, events: int, timeout: float | None) -> bool:
    """Wait as threads do. (Without ``poll`` that is Windows, where gevent patches no select.)"""
    if _system_poll is None:
        return runtime.wait_ready(sock, events, timeout)
    poll = _system_poll()
    poll.register(sock.fileno(), events)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def wait(sockets: Mapping[Any, int], timeout: float | None) -> Iterable[Any]:
    """Those of the sockets that are ready, once one is; none after ``timeout`` seconds."""
    loop = gevent.get_hub().loop
    ready: set[Any] = set()
    some = gevent.event.Event()

    def note(sock: Any) -> None:
        ready.add(sock)
        some.set()

    watchers = []
    try:
        for sock, events in sockets.items():
            watchers.append(loop.io(sock.fileno(), native_events(events)))
            watchers[-1].start(note, sock)
        some.wait(timeout)
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()
    return ready


def wrap_tls(context: ssl.SSLContext, sock: Any, **options: Any) -> Any:
    """TLS around a socket of gevent's, by a context of gevent's or of the standard library's.

    The latter's own method would make a socket that blocks the hub.
    """
    return gevent.ssl.SSLSocket(sock=sock, _context=context, **options)


def adopt(sock: Any) -> Any:
    """A socket of gevent's in the place of one of the standard library's, which is used up."""
    if isinstance(sock, (gevent.socket.socket, ssl.SSLSocket)):
        return sock
    return gevent.socket.socket(fileno=sock.detach())


runtime.register(gevent.socket.socket, gevent.ssl.SSLSocket, Greenlets)

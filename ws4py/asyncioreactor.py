"""A running asyncio loop as a reactor, so that what runs on reactors runs on any such loop.

uvloop's is one, Tornado's too. No poller, no thread, no waker: the loop waits, and calls. For
protocols that were given an asyncio transport and no socket there is ``StreamTransport``. This
module must never know WebSocket, frames or coroutines.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from ws4py.lock import new_lock
from ws4py.reactor import READ, WRITE, Channel
from ws4py.syscalls import this_thread
from ws4py.transport import (
    Driven,
    PolledTransport,
    SocketReactor,
    _SocketTransport,
    wait_ready,
)

__all__ = ["AsyncioReactor", "StreamTransport", "reactor_of"]

logger = logging.getLogger("ws4py")

#: Alarms are about seconds. Loops that count in milliseconds may come a moment too early, and
#: shall not be asked over and over.
SHORTEST_WAIT = 0.001
#: Bytes delivered in one turn when there is a flood of them.
FAIR_READ = 65536
#: Seconds that a peer has to end TLS when all else is said.
TLS_FAREWELL = 1.0


def reactor_of(loop: asyncio.AbstractEventLoop) -> AsyncioReactor:
    """The one reactor of this loop, made when first asked for. To be called on its thread."""
    reactor: AsyncioReactor | None = getattr(loop, "_ws4py_reactor", None)
    if reactor is None:
        reactor = AsyncioReactor(loop)
        loop._ws4py_reactor = reactor  # type: ignore[attr-defined]
    reactor.ident = this_thread()  # a loop may be run on one thread today and another tomorrow
    return reactor


class AsyncioReactor(SocketReactor):
    """Channels on an asyncio loop. To be made on the loop's thread; see ``reactor_of()``.

    ``register()`` belongs to that thread, everything else may be called from any. Raises
    ``RuntimeError`` there when the loop cannot watch sockets.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(None, clock)
        self.loop = loop
        self.ident = this_thread()
        self.running = True
        self._interest: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        # Inside of a channel's turn, whose end writes what was sent; or that end is on its way.
        self._serving = False
        self._scheduled = False

    def _prepare(self, poller: Any) -> None:
        """The loop has all that is needed."""

    # Readiness

    def register(self, fd: int, channel: Channel, events: int = READ) -> None:
        """Watch ``fd`` on behalf of ``channel``. The loop's thread."""
        self._channels[fd] = channel
        try:
            self._watch(channel, fd, events)
        except NotImplementedError:
            del self._channels[fd]
            raise RuntimeError(
                f"{type(self.loop).__name__} cannot watch sockets: run the program on a selector "
                "loop, with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop), or before "
                "Python 3.11 after asyncio.set_event_loop_policy("
                "asyncio.WindowsSelectorEventLoopPolicy())"
            ) from None

    def pass_on(self, fd: int, channel: Channel) -> None:
        """Watch ``fd`` on behalf of another ``channel`` from now on. The loop's thread."""
        self._channels[fd] = channel
        self.loop.add_reader(fd, self._readable, channel, fd)

    def modify(self, fd: int, events: int) -> None:
        """Change what ``fd`` is watched for; ``events`` may be 0."""
        channel = self._channels.get(fd)
        if channel is None:
            raise FileNotFoundError(f"descriptor {fd} is not watched")
        if self.in_thread():
            self._watch(channel, fd, events)
        else:
            self._call_threadsafe(self._watch, (channel, fd, events))

    def _watch(self, channel: Channel, fd: int, events: int) -> None:
        if self._channels.get(fd) is not channel:
            return  # asked for by another thread, and out of date
        before = self._interest.get(fd, 0)
        self._interest[fd] = events
        changed = before ^ events
        if changed & READ:
            if events & READ:
                self.loop.add_reader(fd, self._readable, channel, fd)
            else:
                self.loop.remove_reader(fd)
        if changed & WRITE:
            if events & WRITE:
                self.loop.add_writer(fd, self._writable, channel, fd)
            else:
                self.loop.remove_writer(fd)

    def unregister(self, fd: int) -> None:
        """Stop watching ``fd``; to be called before it is closed."""
        if self._channels.pop(fd, None) is not None:
            if self.in_thread():
                self._forget(fd)
            else:
                self._call_threadsafe(self._forget, (fd,))

    def _forget(self, fd: int) -> None:
        interest = self._interest.pop(fd, 0)
        if self.loop.is_closed():
            return
        if interest & READ:
            self.loop.remove_reader(fd)
        if interest & WRITE:
            self.loop.remove_writer(fd)

    def _readable(self, channel: Channel, fd: int) -> None:
        # As within() does, spelled out: this is the way of every message.
        self._serving = True
        try:
            channel.readable()
        except BaseException as error:
            self._failed(fd, error)
        self._serving = False
        if self.dirty:
            self.served()

    def _writable(self, channel: Channel, fd: int) -> None:
        try:
            self.within(channel.writable)
        except Exception as error:
            self._failed(fd, error)

    def _failed(self, fd: int, error: BaseException) -> None:
        if not isinstance(error, Exception):  # Ctrl-C, say
            self._serving = False
            raise error
        logger.exception("error while serving descriptor %d; no longer watched", fd)
        self.unregister(fd)

    # Calls

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Call it on the loop's thread, after what runs there now. Signal handlers may do so."""
        if self._inside():
            self.loop.call_soon(self._call, function, args)
        else:
            self._call_threadsafe(function, args)

    def _inside(self) -> bool:
        """Whether the loop runs the caller, and so will look what else there is to do.

        A signal handler is on the loop's thread too, but the loop may be asleep behind it.
        """
        return self.in_thread() and (self._serving or asyncio.current_task(self.loop) is not None)

    def _call_threadsafe(self, function: Callable[..., object], args: tuple[object, ...]) -> None:
        try:
            self.loop.call_soon_threadsafe(self._call, function, args)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            self._call(function, args)  # nobody is left whom it could disturb

    def _call(self, function: Callable[..., object], args: tuple[object, ...]) -> None:
        try:
            self.within(function, *args)
        except Exception:
            logger.exception("error in a call to the loop's thread")

    def within(self, function: Callable[..., object], *args: object) -> None:
        """Call it now, as a turn: what it sends is written before this returns. The loop's thread.

        Raises what it raises.
        """
        outer, self._serving = self._serving, True
        try:
            function(*args)
        finally:
            self._serving = outer
            if self.dirty and not outer:
                self.served()

    # Output

    def soon(self, transport: Any) -> None:
        """Have it write at the end of this turn, or as soon as the loop goes on. Its thread."""
        self.dirty.append(transport)
        if not self._serving and not self._scheduled:
            self._scheduled = True
            if self._inside():
                self.loop.call_soon(self._write_dirty)
            else:
                self._call_threadsafe(self._write_dirty, ())

    def _write_dirty(self) -> None:
        self._scheduled = False
        self.served()

    # Alarms: one timer of the loop's for all

    def _sooner(self, when: float) -> None:
        if self.in_thread():
            self._set_timer()
        else:
            self._call_threadsafe(self._set_timer, ())

    def _set_timer(self) -> None:
        """See that the timer goes off no later than the first alarm."""
        if not self._alarms or self.loop.is_closed():
            return
        when = self._alarms[0][0]
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.loop.call_later(max(SHORTEST_WAIT, when - self.clock()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        # Spelled out, too: Cython takes _ring_alarms for a C function, which cannot be passed.
        self._serving = True
        try:
            self._ring_alarms()
        finally:
            self._serving = False
        self._set_timer()

    # What the loop does by itself

    def turn(self, timeout: float | None = None) -> None:
        """Not here: the loop does the waiting."""
        raise RuntimeError("a reactor on an asyncio loop is run by that loop")

    def run(self) -> None:
        """Not here: run the loop."""
        self.turn()

    def stop(self) -> None:
        """Nothing to do: the loop belongs to somebody else."""

    def release(self) -> None:
        """Give back the timer. The reactor can be used again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class StreamTransport(PolledTransport):
    """The same over an asyncio transport, for who was given one and not the socket.

    The owner is an ``asyncio.Protocol``. It makes one of these when the opening handshake is
    done, passes on what it is told (``data_received``, ``eof_received``, ``connection_lost``,
    ``resume_writing``), and lets go of everything else.
    """

    __slots__ = ("_blocked", "_full", "_more", "loop", "stream_transport")

    def __init__(self, transport: asyncio.Transport, reactor: AsyncioReactor) -> None:
        _SocketTransport.__init__(self, transport.get_extra_info("socket"), new_lock(), -1)
        self.is_secure = transport.get_extra_info("sslcontext") is not None
        self.stream_transport = transport
        self.loop = reactor.loop
        self._full = False
        self._more = b""  # received, and not given to the websocket yet
        self._blocked: list[threading.Event] = []  # threads that wait until the peer has read
        self._begin(reactor)
        # To be told when all is written, and not before.
        transport.set_write_buffer_limits(0)

    def fileno(self) -> int:
        """None of ours."""
        return -1

    def start(self, ws: Driven, before: Channel | None = None) -> None:
        """Begin to serve ``ws``. The loop's thread."""
        self.ws = ws
        with self.lock:
            self.flush(ws)
        if ws.stream.input_pending:
            self.reactor.call_soon(self._catch_up)

    # What the protocol is told

    def data_received(self, data: bytes) -> None:
        """The peer has sent this."""
        if self.ws is None:
            return
        stream = self.ws.stream
        if self._more or self._paused or stream.held or stream.has_input():
            self._more += data  # one more may come after it was asked to pause
            with self.lock:
                stream.sign_of_life()  # be it the answer to a ping, or not
            if not self._paused:
                self._pause_for_now()
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        """Deliver what is fair to handle now, the rest when the others had their turn.

        asyncio gives up to 256 KiB at a time, and uvloop goes on and on with that.
        """
        ws = self.ws
        self._more = data[FAIR_READ:]
        self._delivering = True
        try:
            ws.data_received(data[:FAIR_READ])  # type: ignore[union-attr]
        finally:
            self._delivering = False
        if len(data) >= FAIR_READ and not self._paused:
            self._pause_for_now()

    def _pause_for_now(self) -> None:
        with self.lock:
            self.pause()
        self.reactor.call_soon(self._let_others)

    def _let_others(self) -> None:
        self.proceed()

    def proceed(self) -> None:
        """Whoever held the messages wants them again. Any thread."""
        if self.reactor.in_thread():
            PolledTransport.proceed(self)
        else:  # the asyncio transport belongs to the loop's
            self.reactor.call_soon(self._let_others)

    def eof_received(self) -> bool:
        """The peer will send no more; whether the transport has to stay open."""
        self._lost(None)
        return not self.is_secure

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._full = False
        self._lost(error)

    def _lost(self, error: Exception | None) -> None:
        self._at_end = True
        if self.ws is not None:
            if self._more:
                with self.lock:
                    self.ws.stream.receive_data(self._more)
                self._more = b""
            self.ws.eof_received(error)

    def resume_writing(self) -> None:
        """All that was given to the asyncio transport is written."""
        ws = self.ws
        self._full = False
        if ws is not None:
            with self.lock:
                ws.stream.unsent = 0
                self.write(ws)

    # What a PolledTransport does with its socket

    def _catch_up(self) -> None:
        ws = self.ws
        if ws is None or self._ending or self._paused:
            return
        ws.resume()
        if not self._more or self._paused:
            return
        if ws.stream.held:
            with self.lock:
                self.pause()
            return
        self._deliver(self._more)
        with self.lock:
            self._update_interest()

    def flush(self, ws: Driven, now: bool = False) -> None:
        """Write now or when the hook returns; other threads leave it to the loop's."""
        if self.reactor.in_thread():
            PolledTransport.flush(self, ws, now)  # Cython knows no bare super() here
            return
        # Nobody knows yet whether it will be taken: the sender shall look, and perhaps wait.
        ws.stream.unsent = ws.stream.unsent or 1
        if not self._dirty:
            self._dirty = True
            self.reactor.call_soon(self._write_soon)

    def _write_soon(self) -> None:
        self.write_dirty()

    def _write(self, ws: Driven) -> bool:
        stream = ws.stream
        if not self._full:
            stream.unsent = 0
        while not self._full and (data := stream.data_to_send()):
            if not self.stream_transport.is_closing():
                self.stream_transport.write(data)
                stream.unsent = self.stream_transport.get_write_buffer_size()
                self._full = stream.unsent > 0
        return not self._full

    def write(self, ws: Driven) -> None:
        """Write what the asyncio transport takes. Lock held."""
        PolledTransport.write(self, ws)
        if self._blocked and (self._ending or ws.stream.owed() <= ws.stream.high_water // 2):
            for event in self._blocked:
                event.set()
            self._blocked.clear()

    def wait_sent(self, ws: Driven) -> None:
        """Wait, without the lock, until the peer has read half or is gone."""
        event = threading.Event()
        with self.lock:
            if self._ending or ws.stream.owed() <= ws.stream.high_water:
                return
            self._blocked.append(event)
        event.wait()  # the end is written, too, and comes in time: the connection's deadlines

    def _unread(self) -> bool:
        if self._more:
            return True
        known = self.sock is not None and not self.stream_transport.is_closing()
        return known and not self._at_end and wait_ready(self.sock, READ, 0)

    def _listen(self, ws: Driven) -> None:
        """The loop reads, in a moment; unless it was told not to, because the peer does not."""
        stream = ws.stream
        with self.lock:
            if stream.held or stream.owed() <= stream.high_water // 2:
                stream.sign_of_life()

    def _half_close(self) -> None:
        if not self._eof_sent and self.stream_transport.can_write_eof():
            self._eof_sent = True
            self.stream_transport.write_eof()

    def _update_interest(self) -> None:
        # What is at hand goes first: a peer that is faster than its turns would fill the memory.
        wanted = 0 if self._paused or self._at_end or self._more else READ
        if wanted != self._interest and not self._ending:
            self._interest = wanted
            if self.stream_transport.is_closing():
                return
            if wanted:
                self.stream_transport.resume_reading()
            else:
                self.stream_transport.pause_reading()

    def close(self) -> None:
        """Close now, without what is not written yet; the hooks of the end run on the loop."""
        if self.reactor.in_thread():
            self._hang_up()
        else:
            self.reactor.call_soon(self._hang_up)
        with self.lock:
            self._end_soon()
            for event in self._blocked:
                event.set()

    def _hang_up(self) -> None:
        transport = self.stream_transport
        if self._full:
            transport.abort()
        elif not transport.is_closing():
            transport.close()
            if self.is_secure:
                # asyncio would wait for half a minute until the peer has said good-bye to TLS.
                self.loop.call_later(TLS_FAREWELL, transport.abort)

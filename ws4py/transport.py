"""Transports: how the bytes of a connection reach a socket, and who waits for what.

A transport is all that a backend has to be. Two live here: ``BlockingTransport`` for a
connection with a thread of its own, ``PolledTransport`` for one among thousands on a reactor.
They move bytes, keep the deadlines that the protocol sets and close sockets; they must never
know frames, close codes, limits or hooks.
"""

from __future__ import annotations

import _socket
import contextlib
import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ws4py.lock import new_lock
from ws4py.protocol.connection import CLOSED, Connection
from ws4py.reactor import READ, WRITE, Channel, Reactor
from ws4py.runtime import close_socket, is_secure, runtime_of, wait_ready
from ws4py.syscalls import (
    DIRECT_WRITE,
    DONTWAIT,
    READ_SIZE,
    WAIT_SIZE,
    ReadBuffer,
    fill_rest,
    wait_some,
    write_pieces,
    write_some,
)

__all__ = [
    "BlockingTransport",
    "PolledTransport",
    "Transport",
    "close_socket",
    "drive_handshake",
    "feed_handshake",
    "is_secure",
    "wait_ready",
]

logger = logging.getLogger("ws4py")

#: TLS hands out records of 16 KiB; after this many the others have their turn.
TLS_READS = 16
#: What hooks send on a reactor is written when the hook returns, or when this much has gathered.
CORK_SIZE = 65536

_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Driven:
    """What a transport wants of the websocket that it serves."""

    __slots__ = ("stream",)

    stream: Connection

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer. The driving thread only."""
        self._data_received(data)

    def _data_received(self, data: bytes, size: int = -1) -> None:
        """The same for the transports here, which compiled know each other by their types.

        Of a buffer that is only lent the first ``size`` bytes count.
        """
        raise NotImplementedError

    def eof_received(self, error: Exception | None = None) -> None:
        """The peer hung up, or the socket broke with ``error``. The driving thread only."""
        raise NotImplementedError

    def deadline_reached(self) -> None:
        """The moment in ``stream.deadline`` has come. Any thread; calls no hook."""
        raise NotImplementedError

    def resume(self) -> None:
        """Deliver what was received before. The driving thread only."""
        raise NotImplementedError

    def terminate(self) -> None:
        """End it now. Any thread."""
        raise NotImplementedError


class Transport(Channel):
    """The contract between a websocket and its backend; subclasses say how.

    ``lock`` is held around every use of the connection's state, and never while a hook runs;
    ``is_secure`` says whether TLS is spoken.
    """

    __slots__ = ("is_secure", "lock", "on_room")

    #: What ``Config.overflow`` is here when nobody chose.
    overflow = "close"

    def __init__(self, lock: Any, is_secure: bool) -> None:
        super().__init__()
        self.lock = lock
        self.is_secure = is_secure
        #: Called once on a loop's thread, when the peer has read half of what it was owed, or has
        #: gone. Only transports on a loop call it.
        self.on_room: Callable[[], object] | None = None

    def may_block(self) -> bool:
        """Whether the calling thread may wait until the peer has read."""
        return False

    def flush(self, ws: Driven, now: bool = False) -> None:
        """Write what is owed as far as the system takes it; set the alarm. Lock held.

        A transport may leave it to the end of the hook that is running, unless ``now``.
        """
        raise NotImplementedError

    def wait_sent(self, ws: Driven) -> None:
        """Wait until what was left is written. Lock not held; only where ``may_block()``."""
        raise NotImplementedError

    def pause(self) -> bool:
        """The peer does not read: stop reading from it, if that is possible. Lock held."""
        return False

    def proceed(self) -> None:
        """Whoever held the stream wants its messages again. Any thread."""

    def write_dirty(self) -> None:
        """The hook has returned: write what it sent. For transports on a reactor."""

    def close(self) -> None:
        """Close the socket. Any thread; harmless when repeated."""
        raise NotImplementedError


def end_output(sock: Any) -> None:
    """Tell the peer that nothing more will come; what it still sends can be read."""
    if is_secure(sock):
        with contextlib.suppress(OSError, ValueError):
            sock.unwrap()  # sends close_notify; the answer is not waited for
    with contextlib.suppress(OSError, AttributeError):
        sock.shutdown(socket.SHUT_WR)


def cut(sock: Any) -> None:
    """End the connection, but leave the socket to whoever may be using it."""
    with contextlib.suppress(OSError, AttributeError):
        # Not the TLS layer's shutdown: that would take the session away under a reader. And
        # gevent's sockets have the system's inside.
        _socket.socket.shutdown(getattr(sock, "_sock", sock), socket.SHUT_RDWR)


class _SocketTransport(Transport):
    """What both transports share: the socket and the output that it has not taken yet."""

    __slots__ = ("_eof_sent", "_fd", "_gathers", "_rest", "sock", "ws")

    def __init__(self, sock: Any, lock: Any, fd: int) -> None:
        """``fd``: the descriptor for calls past the socket object; -1 if there is none."""
        super().__init__(lock, is_secure(sock))
        self.sock = sock
        self._fd = fd
        self._gathers = DIRECT_WRITE and fd >= 0 and not self.is_secure
        self.ws: Driven | None = None
        self._rest: memoryview | None = None
        self._eof_sent = False

    def _receive_body(self, stream: Connection, body: bytes) -> int:
        """Receive straight into a large payload; as ``ReadBuffer.fill()``."""
        size = fill_rest(self.sock, self._fd, body, stream.body_size())
        if size > 0:
            with self.lock:
                stream.receive_body(body, size)
        return size

    def _write(self, ws: Driven) -> bool:
        """Offer all that is owed to the socket once; whether nothing is left. Lock held."""
        stream = ws.stream
        while True:
            if self._rest is None and self._gathers and stream.is_scattered():
                pieces = stream.pieces_to_send()
                sent = self._offer(ws, pieces)
                if sent >= 0 and not self._all_taken(stream, pieces, sent):
                    return False
                continue
            data: bytes | memoryview = self._rest or stream.data_to_send()
            if not data:
                return True
            sent = self._offer(ws, data)
            if 0 <= sent < len(data):
                self._keep(stream, data, sent)
                return False
            self._rest = None
            stream.unsent = 0

    def _offer(self, ws: Driven, data: Any) -> int:
        """Send bytes, or a list of them, without waiting; how much was taken.

        -1: the connection is broken, and all that is sent is gone.
        """
        try:
            return write_pieces(self._fd, data) if type(data) is list else self._send(data)
        except _AGAIN:
            return 0
        except OSError as exc:
            # What it still has to say is read first; the end of it tells the hooks.
            ws.stream.error = ws.stream.error or exc
            self._broken(ws)
            return -1

    def _all_taken(self, stream: Connection, pieces: list[bytes], sent: int) -> bool:
        """Whether the system took all the pieces; what it did not take is kept."""
        for index, piece in enumerate(pieces):
            if sent < len(piece):
                self._keep(stream, piece, sent)
                stream.take_back(pieces[index + 1 :])
                return False
            sent -= len(piece)
        return True

    def _keep(self, stream: Connection, data: bytes | memoryview, sent: int) -> None:
        """The system has no room for the rest of this."""
        self._rest = memoryview(data)[sent:]
        stream.unsent = len(self._rest)

    def _send(self, data: bytes | memoryview) -> int:
        raise NotImplementedError

    def _broken(self, ws: Driven) -> None:
        """Nothing can be written any more. Lock held."""

    def _half_close(self) -> None:
        if not self._eof_sent:
            self._eof_sent = True
            end_output(self.sock)


class BlockingTransport(_SocketTransport):
    """A connection with a thread (or greenlet) of its own, which calls ``receive()``.

    Sending is possible from any thread. Nobody holds the lock while waiting for the network:
    who wants to send waits for room outside of it. Deadlines are kept by the alarm of the
    runtime (threads have one more thread for it); all it does is write pings and cut
    connections, so that the reading thread wakes up and runs the hooks.

    ``sock`` may be anything with ``recv`` and ``sendall``; then ``sendall`` is used and
    deadlines can only be kept if it also has ``close``.
    """

    __slots__ = (
        "_bulk",
        "_closed",
        "_fresh",
        "_greedy",
        "_held",
        "_held_size",
        "_reader",
        "_real",
        "_receiving",
        "_runtime",
        "_successor",
        "_waiters",
        "_waits",
        "_watched",
    )

    overflow = "block"

    def __init__(self, sock: Any) -> None:
        runtime = self._runtime = runtime_of(sock)
        self._real = runtime.is_socket(sock)
        super().__init__(sock, runtime.new_lock(), sock.fileno() if self._real else -1)
        self._closed = False
        self._fresh = True
        self._reader: object = None
        self._receiving = False
        self._bulk = False  # the last read was a full one: the next one takes more
        self._greedy = False  # there was something to read at once: others first, next time
        self._waiters = 0  # others that wait for the socket
        self._watched = False
        # Read while the reading thread waited to write, and to be delivered in its turn.
        self._held: deque[bytes] = deque()
        self._held_size = 0
        self._successor: PolledTransport | None = None
        # TLS must not be read and written by two threads at once: there every call is short and
        # made under the lock, and waiting is done outside of it.
        self._waits = not self._real or (runtime.sockets_wait and not self.is_secure)
        if self._real:
            runtime.alarm()  # now: at the end of a program no thread can be started any more
            sock.settimeout(None if self._waits else 0)

    # Reading

    def begin(self) -> None:
        """The calling thread will be the one that reads."""
        self._reader = self._runtime.identity()

    def receive(self, ws: Driven, timeout: float | None = None) -> bool:
        """Read once and deliver; ``False`` when the connection is over. The reading thread.

        After ``timeout`` seconds in which nothing came there is nothing to deliver.
        """
        if self._reader is None:
            self.begin()
        if self._fresh:
            self._fresh = False
            with self.lock:
                self.flush(ws)  # from now on the deadlines are kept, keepalive's for one
            if ws.stream.input_pending:  # came with the opening handshake
                ws.resume()
                return ws.stream.state is not CLOSED and not self._closed
        self.lock.acquire()
        try:
            self._receiving = not self._closed
        finally:
            self.lock.release()
        error: OSError | None = None
        size = -1
        try:
            body = ws.stream.body() if timeout is None and self._waits_for_more() else None
            if body is None:
                data = self._next_data(timeout)
            else:
                size = self._receive_body(ws.stream, body)
                data = b"" if size == 0 else None
        except OSError as exc:
            data, error = b"", exc
        finally:
            self._received()
        if size > 0:
            ws._data_received(b"", 0)
        elif data:
            ws._data_received(data)
        elif data is not None:
            ws.eof_received(None if self._closed else error)
        return ws.stream.state is not CLOSED and not self._closed

    def _waits_for_more(self) -> bool:
        """Whether the next call on the socket is one that waits until something has come."""
        return self._waits and self._real and self._receiving and not self._held

    def _received(self) -> None:
        self.lock.acquire()
        try:
            if self._receiving:
                self._receiving = False
                self._let_go()
        finally:
            self.lock.release()

    def _let_go(self) -> None:
        """One that waited for the socket does so no more; the last one closes it. Lock held."""
        if self._closed and not self._receiving and not self._waiters:
            self._runtime.close_socket(self.sock)

    def _next_data(self, timeout: float | None) -> bytes | None:
        if self._greedy:
            self._greedy = False
            self._runtime.give_way(self.sock)
        if self._held:
            self._greedy = not self._waits
            held: bytes = self._held.popleft()
            self._held_size -= len(held)
            return held
        if not self._receiving:
            return b""  # closed, so that its number may be another's
        if self._waits:
            if timeout is not None and not self._runtime.wait_ready(self.sock, READ, timeout):
                return None
            if self._real and not self._bulk:
                received = wait_some(self.sock, self._fd)
            else:
                received = self._recv()
            self._bulk = received is not None and len(received) >= WAIT_SIZE
            return received
        end = None if timeout is None else time.monotonic() + timeout
        waited = False
        while True:
            data, events = self._read()
            if data is not None:
                self._greedy = not waited
                return data
            waited = True
            left = None if end is None else max(0.0, end - time.monotonic())
            if not self._runtime.wait_ready(self.sock, events, left):
                return None

    def _recv(self) -> bytes:
        """Much at once, or from what only looks like a socket."""
        data: bytes = self.sock.recv(READ_SIZE)
        return data

    def _read(self) -> tuple[bytes | None, int]:
        """What has arrived; ``None`` when nothing has, with what has to be waited for."""
        if not self.is_secure:
            return self._runtime.read(self.sock, self._fd), READ
        with self.lock:
            if self._closed:
                return b"", 0
            try:
                return self.sock.recv(READ_SIZE), 0
            except ssl.SSLWantReadError:
                return None, READ
            except ssl.SSLWantWriteError:
                return None, WRITE
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b"", 0

    # Writing

    def may_block(self) -> bool:
        """Any thread but the alarm's, which has others to serve."""
        return not self._runtime.alarm().in_thread()

    def pause(self) -> bool:
        """Not needed: a thread that does not read is not read from."""
        return False

    def flush(self, ws: Driven, now: bool = False) -> None:
        """Write what the system takes now. Lock held."""
        if self._successor is not None:
            self._successor.flush(ws)
            return
        if self._closed:
            return
        self.ws = ws
        stream = ws.stream
        if self._write(ws):
            if self._watched:
                self._watched = False
                self._runtime.alarm().unregister(self._fd)
            if stream.want_eof:
                self._half_close()
        elif not self._watched and self._real:
            # Nobody may be there to wait for room (a pong, a ping of the alarm's).
            self._watched = True
            self._runtime.alarm().register(self._fd, self, WRITE)
        if stream.want_abort:
            self._abort()
        elif stream.deadline is not None and (
            self.alarm_at is None or stream.deadline < self.alarm_at
        ):
            self._runtime.alarm().set_alarm(self, stream.deadline)

    def _send(self, data: bytes | memoryview) -> int:
        if not self._real:
            self.sock.sendall(data)
            return len(data)
        if self.is_secure:
            sent: int = self.sock.send(data)
            return sent
        if self._waits and not DONTWAIT:
            return self._send_windows(data)
        return write_some(self.sock, self._fd, data)

    def _send_windows(self, data: bytes | memoryview) -> int:
        """Where a single call cannot be made non-blocking: ask for room first, send a little."""
        if not self._runtime.wait_ready(self.sock, WRITE, 0):
            return 0
        return int(self.sock.send(data[:4096]))

    def wait_sent(self, ws: Driven) -> None:
        """Wait, without the lock, until everything that was left is written.

        The thread that reads goes on reading meanwhile: a peer that answers as it is written to
        (an echo) would otherwise wait for us while we wait for it.
        """
        limit = ws.stream.config.max_message_size or READ_SIZE
        reads = self._reader == self._runtime.identity()
        while ws.stream.unsent:
            with self.lock:
                if self._closed:
                    return
                self._waiters += 1
            try:
                with contextlib.suppress(OSError, ValueError):
                    if not reads or self._held_size > limit:
                        self._runtime.wait_ready(self.sock, WRITE, None)
                    else:
                        self._runtime.wait_ready(self.sock, READ | WRITE, None)
                        reads = self._hold()
            finally:
                with self.lock:
                    self._waiters -= 1
                    self._let_go()
            with self.lock:
                self.flush(ws)

    def _hold(self) -> bool:
        """Take what the peer has sent, to be delivered later; ``False`` at the end of it."""
        data: bytes | None
        if self._waits:
            try:
                data = self.sock.recv(READ_SIZE, DONTWAIT)
            except _AGAIN:
                return True
        else:
            data, _ = self._read()
            if data is None:
                return True
        if data:
            self._held.append(data)
            self._held_size += len(data)
            with self.lock:
                if self.ws is not None:
                    self.ws.stream.sign_of_life()
        return bool(data)

    def writable(self) -> None:
        """The alarm thread found room for what nobody waits for."""
        ws = self.ws
        with self.lock:
            if ws is not None and not self._closed:
                self.flush(ws)

    def ring(self) -> None:
        """The deadline; on the alarm thread."""
        ws = self.ws
        if ws is None:
            return
        with self.lock:
            # A hook may keep the reading thread from what the peer has long said, or everything
            # was kept from running: the peer is judged by what lies with the system.
            unheard = not self._receiving or ws.stream.in_doubt()
            look = unheard and self._real and not self._closed
            if look and self._runtime.wait_ready(self.sock, READ, 0):
                ws.stream.sign_of_life()
        ws.deadline_reached()

    # The end

    def _broken(self, ws: Driven) -> None:
        self._abort()

    def _abort(self) -> None:
        """Wake the reading thread, which finds the end and runs the hooks."""
        if self._real:
            cut(self.sock)
        else:
            close_socket(self.sock)

    def close(self) -> None:
        """Close the socket; wakes the thread that reads from it."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self.ws = None
            self.release()
            if self._receiving or self._waiters:
                # Its number may be given to another connection at once: whoever waits for it,
                # woken by this, closes it when it has let go of it.
                self._abort()
            else:
                self._runtime.close_socket(self.sock)

    def release(self) -> None:
        """Let go of the alarm."""
        if self._watched:
            self._watched = False
            self._runtime.alarm().unregister(self._fd)
        if self.alarm_at is not None:
            self._runtime.alarm().cancel_alarm(self)

    def hand_over(self, successor: PolledTransport) -> memoryview | None:
        """``successor`` serves the socket from now on; what was left unsent is returned.

        Lock held. A thread that is about to send through this transport sends through that one.
        """
        self.release()
        self._successor = successor
        return self._rest


class SocketReactor(Reactor):
    """A reactor whose channels are websockets.

    What they send on the reactor's thread is written once the hook that sent it has returned:
    one write for everything that one input segment caused, on whichever connections.
    """

    def __init__(self, poller: Any = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(poller, clock)
        self.dirty: list[Transport] = []
        self.buffer = ReadBuffer()

    def soon(self, transport: Transport) -> None:
        """Have this one write when the reactor has ``served()`` what it is at."""
        self.dirty.append(transport)

    def served(self) -> None:
        """Write what the last hook sent."""
        dirty = self.dirty
        while dirty:
            batch = dirty[:]
            dirty.clear()
            for transport in batch:
                transport.write_dirty()


class PolledTransport(_SocketTransport):
    """A connection among many on a reactor; nothing here ever waits.

    Usable from a loop of your own through ``fileno()``, ``interest`` and the three methods of a
    channel. Sending is possible from any thread; hooks run on the reactor's thread only, and
    what they send there is written when they return.
    """

    __slots__ = (
        "_at_end",
        "_delivering",
        "_dirty",
        "_ending",
        "_interest",
        "_paused",
        "_tls_wants_write",
        "on_end",
        "reactor",
    )

    def __init__(self, sock: socket.socket, reactor: SocketReactor) -> None:
        super().__init__(sock, new_lock(), sock.fileno())
        if sock.gettimeout() != 0:
            sock.setblocking(False)
        self._begin(reactor)

    def _begin(self, reactor: SocketReactor) -> None:
        self.reactor = reactor
        #: Called on the reactor's thread with the websocket when it has ended.
        self.on_end: Callable[[Any], object] | None = None
        self._dirty = False
        self._delivering = False
        self._interest = READ
        self._paused = False
        self._at_end = False
        self._tls_wants_write = False
        self._ending = False

    def take_over(self, before: BlockingTransport) -> None:
        """Go on where ``before`` stops, under the same lock. That lock held."""
        self.lock = before.lock
        self._rest = before.hand_over(self)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return int(self.sock.fileno())

    def start(self, ws: Driven, before: Channel | None = None) -> None:
        """Begin to serve ``ws``. The reactor's thread, or before it runs.

        ``before``: for whom the reactor has watched the socket, for reading, up to now.
        """
        self.ws = ws
        if before is None:
            self.reactor.register(self.fileno(), self, self._interest)
        else:
            self.reactor.pass_on(self.fileno(), self)
        with self.lock:
            self.flush(ws)
        if self.is_secure or ws.stream.input_pending:
            # Bytes behind the handshake wait in the TLS layer or in the decoder.
            self.reactor.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        ws = self.ws
        # It may have been paused again: what is held is delivered when that is over, not before.
        if ws is not None and not self._ending and not self._paused:
            ws.resume()
            if self.is_secure:
                self.readable()

    # Reading

    def readable(self) -> None:
        """Read once and deliver (over TLS: until it has nothing more decrypted)."""
        if not self.is_secure:
            self._read()
            return
        for _ in range(TLS_READS):
            if self._ending or self._paused or not self._read():
                return
        # More is decrypted than is fair to handle now, and the poller will not tell.
        self.reactor.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self.ws is not None and not self._ending and not self._paused:
            self.readable()

    def _read(self) -> bool:
        """One ``recv``; whether there may be more."""
        ws = self.ws
        if ws is None:
            return False
        stream = ws.stream
        if stream.has_input() and not stream.held and not self._paused:
            # First what is there: where messages are taken slowly, it would grow and grow.
            ws.resume()
            if self._paused:
                return False
        if stream.held:
            with self.lock:
                self.pause()
            return False
        error: OSError | None = None
        buffer = self.reactor.buffer
        data = buffer.data
        body = None if self.is_secure else stream.body()
        try:
            if self.is_secure:
                received = self._receive_tls()
                size = -1 if received is None else len(received)
                data = received or b""
            elif body is not None:
                size = self._receive_body(stream, body)
            else:
                size = buffer.fill(self.sock, self._fd, stream.read_size(READ_SIZE))
                data = buffer.data
        except OSError as exc:
            size, error = 0, exc
        if size < 0:
            return False
        if size:
            if body is not None:
                data, size = b"", 0  # it is where it belongs
            self._delivering = True
            try:
                ws._data_received(data, size)
            finally:  # Ctrl-C in a hook: what others send here later has to leave
                self._delivering = False
            return True
        # An end stays readable for ever; what is still to be written need not spin on it.
        self._at_end = True
        ws.eof_received(error)
        return False

    def _receive_tls(self) -> bytes | None:
        """What is decrypted, or ``None``; TLS may have to write for that."""
        try:
            with self.lock:
                data: bytes = self.sock.recv(READ_SIZE)
        except ssl.SSLWantWriteError:
            self._tls_wants_write = True
            self._update_interest()
            return None
        except _AGAIN:
            return None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        return data

    def pause(self) -> bool:
        """Read no more until the peer has read what it is owed. Lock held."""
        self._paused = True
        self._update_interest()
        return True

    def proceed(self) -> None:
        """Deliver and read again, unless the peer is to read first."""
        ws = self.ws
        if ws is None or self._ending:
            return
        with self.lock:
            if self._paused:
                self._go_on(ws)
                self._update_interest()
            elif ws.stream.has_input():
                self.reactor.call_soon(self._catch_up)

    def _go_on(self, ws: Driven) -> None:
        """Read again if the peer has read enough and the messages are wanted. Lock held."""
        stream = ws.stream
        if stream.owed() <= stream.high_water // 2 and not stream.held:
            self._paused = False
            self.reactor.call_soon(self._catch_up)

    # Writing

    def may_block(self) -> bool:
        """Any thread but the reactor's."""
        return not self.reactor.in_thread()

    def flush(self, ws: Driven, now: bool = False) -> None:
        """Write what the system takes, now or (on the reactor's thread) after the hook."""
        stream = ws.stream
        if not now and stream.owed() < CORK_SIZE and self.reactor.in_thread():
            # While this very connection's messages are delivered, the end of that writes.
            if not self._delivering and not self._dirty:
                self._dirty = True
                self.reactor.soon(self)
            return
        self.write(ws)

    def write_dirty(self) -> None:
        """The hook has returned: write what it sent."""
        self.lock.acquire()
        try:
            self._dirty = False
            if self.ws is not None:
                self.write(self.ws)
        finally:
            self.lock.release()

    def write(self, ws: Driven) -> None:
        """Write what the system takes. Lock held."""
        if self._ending:
            return
        stream = ws.stream
        done = self._write(ws)
        if done and stream.want_eof:
            self._half_close()
        if stream.want_abort or (done and stream.state is CLOSED):
            self._end_soon()
            return
        if self._paused:
            self._go_on(ws)
        if self.on_room is not None and stream.owed() <= stream.high_water // 2:
            self._tell_room()
        self._update_interest()
        deadline = stream.deadline
        if deadline is not None and (self.alarm_at is None or deadline < self.alarm_at):
            self.reactor.set_alarm(self, deadline)

    def _tell_room(self) -> None:
        tell, self.on_room = self.on_room, None
        if tell is not None:
            self.reactor.call_soon(tell)

    def _send(self, data: bytes | memoryview) -> int:
        if self.is_secure:
            return int(self.sock.send(data))
        return write_some(self.sock, self._fd, data)

    def _broken(self, ws: Driven) -> None:
        # Reading will find the same end; if reading was paused, nobody would look.
        self._paused = False

    def _update_interest(self) -> None:
        wanted = 0 if self._paused or self._at_end else READ
        if self._rest is not None or self._tls_wants_write:
            wanted |= WRITE
        if wanted != self._interest and not self._ending:
            self._interest = wanted
            with contextlib.suppress(OSError):  # not registered yet: start() will say what it wants
                self.reactor.modify(self.fileno(), wanted)

    @property
    def interest(self) -> int:
        """What the descriptor has to be watched for: ``READ``, ``WRITE``, both or 0."""
        return self._interest

    def wait_sent(self, ws: Driven) -> None:
        """Wait, without the lock, until what was left is below the high-water mark."""
        limit = ws.stream.config.high_water
        while ws.stream.buffered > limit and not self._ending:
            with contextlib.suppress(OSError, ValueError):
                wait_ready(self.sock, WRITE, None)
            with self.lock:
                self.write(ws)

    def writable(self) -> None:
        """Room for what was left, or for what TLS wanted to say."""
        ws = self.ws
        if ws is None:
            return
        with self.lock:
            wanted, self._tls_wants_write = self._tls_wants_write, False
            self.write(ws)
        if wanted:
            self.readable()

    def ring(self) -> None:
        """The deadline; on the reactor's thread."""
        ws = self.ws
        if ws is None or self._ending:
            return
        if (ws.stream.held or ws.stream.in_doubt()) and self._unread():
            self._listen(ws)
        ws.deadline_reached()

    def _unread(self) -> bool:
        """Whether the peer has said something, or hung up, that nobody has read yet."""
        return not self._at_end and self.fileno() >= 0 and wait_ready(self.sock, READ, 0)

    def _listen(self, ws: Driven) -> None:
        """The peer has spoken, and nobody had the time to listen: first read, then judge."""
        stream = ws.stream
        before = stream.bytes_in
        if not stream.held and not self._paused:
            self.readable()
        if stream.held or (not self._paused and stream.bytes_in == before):
            with self.lock:
                stream.sign_of_life()  # not wanted now, or half a record of TLS

    # The end

    def _end_soon(self) -> None:
        """Have the hooks of the end run on the reactor's thread, outside of any other hook."""
        if not self._ending:
            self._ending = True
            self.reactor.call_soon(self._end)

    def _end(self) -> None:
        ws = self.ws
        if ws is not None:
            ws.terminate()
        self._release()

    def close(self) -> None:
        """Close the socket now; the hooks of the end run on the reactor's thread."""
        with self.lock:
            if self.fileno() >= 0:
                self.reactor.unregister(self._fd)
                if self.ws is not None and self.reactor.ident and not self.reactor.in_thread():
                    # Its number must not go to another connection while that thread may be about
                    # to read from it: it closes the socket itself.
                    cut(self.sock)
                else:
                    close_socket(self.sock)
            self._end_soon()

    def detach(self) -> None:
        """Serve the websocket no longer, and leave its socket open. Any thread."""
        with self.lock:
            self._ending = True
            self.ws = None
            self.reactor.cancel_alarm(self)
            if self.fileno() >= 0:
                self.reactor.unregister(self.fileno())

    def _release(self) -> None:
        """Nothing is to come: whatever still refers to this transport holds nothing else."""
        self.close()
        if self.alarm_at is not None:
            self.reactor.cancel_alarm(self)
        ws, self.ws = self.ws, None
        self._rest = None
        self._tell_room()
        if self.on_end is not None and ws is not None:
            self.on_end(ws)


class Handshake(Protocol):
    """An opening handshake of either end (see ``protocol.handshake``)."""

    deadline: float | None

    def receive_data(self, data: bytes) -> None: ...

    def receive_eof(self) -> None: ...

    def tick(self) -> None: ...


def drive_handshake(
    sock: Any,
    handshake: Handshake,
    done: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Feed a handshake from a blocking socket until ``done()``, within its deadline.

    Raises ``OSError`` for what happens to the socket; what the peer says wrong is in the
    handshake afterwards.
    """
    while not done():
        left = None if handshake.deadline is None else handshake.deadline - clock()
        if left is not None and left <= 0:
            handshake.tick()
            continue
        sock.settimeout(left)
        try:
            feed_handshake(sock, handshake)
        except TimeoutError:
            handshake.tick()


def feed_handshake(sock: Any, handshake: Handshake) -> None:
    """Read once for a handshake. Raises what the socket raises, but for a reset: that is an end."""
    try:
        data = sock.recv(READ_SIZE)
    except (ssl.SSLEOFError, ConnectionResetError):
        data = b""  # what came before may explain it
    if data:
        handshake.receive_data(data)
    else:
        handshake.receive_eof()

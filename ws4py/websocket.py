"""The ``WebSocket``: events into hooks, verbs into output. The same class on every backend.

Whatever is particular to a backend is in its transport; whatever is protocol is in the stream.
Hooks run in one place, outside the protocol and outside every lock; the end happens once.
This module must never know sockets, threads, loops or frameworks.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ws4py.exc import ConnectionClosed
from ws4py.messaging import (
    BinaryMessage,
    CloseControlMessage,
    Message,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
)
from ws4py.protocol.config import Config
from ws4py.protocol.connection import CLOSED, INTERNAL_ERROR, OPEN, CloseInfo, PreparedMessage
from ws4py.protocol.deflate import PerMessageDeflate
from ws4py.streaming import Stream
from ws4py.transport import BlockingTransport, Driven, Transport

__all__ = ["EchoWebSocket", "Heartbeat", "WebSocket"]

logger = logging.getLogger("ws4py")

#: What ws4py 0.6 wanted its first read to be; kept for programs that look at it.
DEFAULT_READING_SIZE = 2

#: What describes a request, or what makes that when it is first asked for.
Environ = dict[str, Any] | Callable[[], dict[str, Any]]

Payload = str | bytes | bytearray | memoryview


class Endpoint(Driven):
    """The way of every message: received bytes into ``received_message``, ``send`` into bytes.

    The half of ``WebSocket`` that the compiled build knows by its types; nothing else is here.
    """

    __slots__ = ("_transport", "client_terminated", "server_terminated", "sock", "write_through")

    _transport: Transport | None
    client_terminated: bool
    server_terminated: bool
    sock: Any
    stream: Stream
    #: What is sent is written at once, even where it could wait for the end of the turn.
    write_through: bool

    @property
    def transport(self) -> Transport:
        """What moves the bytes; a ``BlockingTransport`` over ``sock`` if no backend says else."""
        return self._mover()

    @transport.setter
    def transport(self, transport: Transport | None) -> None:
        self._check_made()
        self._transport = transport

    def _mover(self) -> Transport:
        """The transport, for who will use the stream too."""
        self._check_made()
        transport = self._transport
        return self._make_transport() if transport is None else transport

    def _check_made(self) -> None:
        """Raise if there is no stream. Compiled, nobody who uses it looks, and all would crash."""
        if self.stream is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} has no stream: its __init__ has to call WebSocket.__init__")

    # -- in --------------------------------------------------------------------------------

    def received_message(self, message: Message) -> None:
        """A whole message arrived: a ``TextMessage`` or a ``BinaryMessage``, yours to keep."""

    def _data_received(self, data: bytes, size: int = -1) -> None:
        stream, transport = self.stream, self._mover()
        lock = transport.lock
        lock.acquire()
        try:
            stream.receive_data(data, size)
            message = None
            if not stream.held:
                message = stream.next_event()
        finally:
            lock.release()
        try:
            self._deliver_from(message)
        finally:
            stream.keep_data()

    def resume(self) -> None:
        """Deliver what was received before. The driving thread only."""
        with self.transport.lock:
            message = None if self.stream.held else self.stream.next_event()
        self._deliver_from(message)

    def _deliver_from(self, message: Message | None) -> None:
        """Deliver this message and those behind it, then write what that caused."""
        stream, transport = self.stream, self._mover()
        lock = transport.lock
        while message is not None:
            self._deliver(message)
            if not stream.has_input():
                break
            lock.acquire()
            try:
                if stream.held:
                    break  # what is left is delivered when it is wanted
                if stream.owed() > stream.high_water and transport.pause():
                    break  # ... or when the peer has read
                message = stream.next_event()
            finally:
                lock.release()
        if self.client_terminated and self.server_terminated:
            with lock:
                stream.receive_eof()  # the flags were written by hand: out of the loop
        if stream.owed() or stream.state is not OPEN:
            lock.acquire()
            try:
                transport.flush(self, True)
                if stream.owed() > stream.high_water:
                    transport.pause()
            finally:
                lock.release()

    def take(self) -> Message | None:
        """The next data message, for who takes them instead of having them delivered.

        ``None`` when more has to be read for one, or there will be none. Pings and the like that
        came before it are dealt with. The driving thread only.
        """
        stream, transport = self.stream, self._mover()
        lock = transport.lock
        while True:
            lock.acquire()
            try:
                message = stream.next_event()
            finally:
                lock.release()
            if message is None or type(message) is TextMessage or type(message) is BinaryMessage:
                break
            self._deliver_control(message)
        if self.client_terminated and self.server_terminated:
            with lock:
                stream.receive_eof()  # the flags were written by hand
        if stream.owed() or stream.state is not OPEN:
            lock.acquire()
            try:
                transport.flush(self, True)
            finally:
                lock.release()
        return message

    def _deliver(self, message: Message) -> None:
        if type(message) is TextMessage or type(message) is BinaryMessage:
            try:
                self.received_message(message)
            except Exception:
                self._hook_failed("received_message")
        else:
            self._deliver_control(message)

    def eof_received(self, error: Exception | None = None) -> None:
        """The peer hung up, or the socket broke with ``error``. The driving thread only."""
        stream, transport = self.stream, self.transport
        while stream.input_pending:
            # Received before the end, and not delivered because the peer did not read.
            with transport.lock:
                message = stream.next_event()
            if message is None:
                break
            self._deliver(message)
        with transport.lock:
            expected = stream.state is not OPEN
            stream.receive_eof(error)
        if error is not None and not expected:
            self._call("unhandled_error", error)
        with transport.lock:
            transport.flush(self)

    def deadline_reached(self) -> None:
        """The moment in ``stream.deadline`` has come. Any thread; calls no hook."""
        transport = self.transport
        with transport.lock:
            self.stream.tick()
            transport.flush(self)

    def _call(self, hook: str, *args: Any) -> None:
        try:
            getattr(self, hook)(*args)
        except Exception:
            self._hook_failed(hook)

    def _hook_failed(self, hook: str) -> None:
        """An error in the user's code harms its own connection only."""
        self._user_failed(f"{type(self).__name__}.{hook}()")

    def _user_failed(self, name: str) -> None:
        error = sys.exc_info()[1]
        if self.stream.state is not OPEN and isinstance(error, ConnectionClosed):
            # The end came while it was about to send: no fault of anybody's.
            logger.debug("%s sent to %r, which is closing", name, self)
            return
        logger.exception("error in %s of %r", name, self)
        self.fail("internal error", error)

    # -- out -------------------------------------------------------------------------------

    def send(
        self,
        payload: Payload | Message | Iterable[Payload],
        binary: bool = False,
        compress: bool | None = None,
    ) -> None:
        """Send a message: text, unless ``binary`` or a message that says otherwise.

        ``bytes`` without ``binary`` have to be UTF-8. A generator (or any other iterator) makes
        one message in fragments, item by item. ``compress`` overrides the threshold where
        compression was negotiated. Any thread; messages of one thread keep their order.

        Raises ``ConnectionClosed`` (a ``RuntimeError``) unless the connection is open and
        ``ValueError`` or ``TypeError`` for what cannot be sent. When more than
        ``Config.high_water`` bytes wait already, ``Config.overflow`` decides.
        """
        if type(payload) is bytes or type(payload) is str:  # what nearly everybody sends
            data = to_bytes(payload, binary)
        elif isinstance(payload, Message):
            if not (payload.is_text or payload.is_binary):
                self._send_control(payload)
                return
            binary = payload.is_binary
            data = payload.data
        elif isinstance(payload, Iterator):
            self._send_fragments(payload, binary, compress)
            return
        else:
            data = to_bytes(payload, binary)
        stream, transport = self.stream, self._mover()
        lock = transport.lock
        lock.acquire()
        try:
            if not self._admitted(transport):
                return
            stream.send_message(data, binary, compress)
            transport.flush(self, self.write_through)
        finally:
            lock.release()
        if stream.unsent and self._policy(transport) == "block":
            transport.wait_sent(self)

    def send_prepared(self, message: PreparedMessage) -> None:
        """Send one of the copies of a message to many; see ``ws4py.broadcasting``. Any thread.

        Waits for nobody: a peer that does not read is closed with 1013, or goes without the
        message where ``Config.overflow`` is ``drop``. Raises ``ConnectionClosed``.
        """
        stream, transport = self.stream, self._mover()
        lock = transport.lock
        lock.acquire()
        try:
            # One like it may just be leaving, where another thread writes: not slow for that.
            if stream.owed() > stream.high_water + len(message.payload):
                policy = "drop" if stream.config.overflow == "drop" else "close"
                admitted = stream.overflow(policy)
                transport.flush(self)
                if not admitted:
                    return
            stream.send_prepared(message)
            transport.flush(self, self.write_through)
        finally:
            lock.release()

    @property
    def terminated(self) -> bool:
        """Whether both ends are through; true only after ``closed()`` has returned."""
        return self.is_over()

    def is_over(self) -> bool:
        """``terminated``, for those who ask for every message."""
        return self.client_terminated is True and self.server_terminated is True

    def _admitted(self, transport: Transport) -> bool:
        """Whether there is room for one more message, or may be made. Lock held."""
        stream = self.stream
        if stream.owed() <= stream.high_water:
            return True
        admitted = stream.overflow(self._policy(transport))
        transport.flush(self)  # if this was the end, its deadline runs from now on
        return admitted

    def _policy(self, transport: Transport) -> str:
        """What happens above the high water; who must not wait cannot ``block``."""
        policy = self.stream.config.overflow or transport.overflow
        return "close" if policy == "block" and not transport.may_block() else policy

    def _send_control(self, message: Message) -> None:
        if isinstance(message, CloseControlMessage):
            self.close(message.code, message.reason)
            return
        transport = self.transport
        with transport.lock:
            if not self._admitted(transport):
                return
            if isinstance(message, PingControlMessage):
                self.stream.send_ping(message.data)
            else:
                self.stream.send_pong(message.data)
            transport.flush(self, self.write_through)

    def _send_fragments(
        self, items: Iterator[Payload], binary: bool, compress: bool | None
    ) -> None:
        transport, stream = self.transport, self.stream
        with transport.lock:
            message = stream.fragmented(binary=binary, compress=compress)
        try:
            data, fin = b"", False
            for following in look_ahead(items):
                data, fin = following
                # Text is checked as a whole by the peer; a fragment may end inside a character.
                data = to_bytes(data, True)
                with transport.lock:
                    if not message.started and not self._admitted(transport):
                        return
                    message.send(data, fin)
                    transport.flush(self)
                if stream.unsent and self._policy(transport) == "block":
                    transport.wait_sent(self)
        except BaseException:
            if message.started and not fin:
                # Half a message is out and cannot be taken back.
                self.fail("the source of a fragmented message failed", sys.exc_info()[1])
            raise

    def fail(self, why: str, error: BaseException | None = None) -> None:
        """End it for an error on this side: the peer gets 1011 and ``why``. Any thread."""
        transport = self.transport
        with transport.lock:
            self.stream.fail(INTERNAL_ERROR, why, error)
            transport.flush(self)

    # -- the other half, in WebSocket ------------------------------------------------------

    def _make_transport(self) -> Transport:
        raise NotImplementedError

    def _deliver_control(self, message: Message) -> None:
        raise NotImplementedError

    def close(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        """Begin to close."""
        raise NotImplementedError

    def terminate(self) -> None:
        """End it now."""
        raise NotImplementedError


class WebSocket(Endpoint):
    """One end of a WebSocket connection. Subclass it and override the hooks.

    ``sock`` is a connected socket whose opening handshake is done, or anything with ``recv``
    and ``sendall``; ``protocols`` and ``extensions`` are what the handshake agreed on;
    ``environ`` describes the request (WSGI names), or is a function that will when it is asked
    for. ``heartbeat_freq``: seconds of silence after which the peer is pinged, instead of
    ``Config.ping_interval``.

    ``send``, ``ping`` and ``close`` work from any thread. Hooks run one at a time, on the thread
    that drives the connection: the one in ``run()``, the manager's, the loop's.
    """

    #: Policy for websockets of this class that nobody gives another.
    config: Config | None = None
    reading_buffer_size = DEFAULT_READING_SIZE

    _environ: Environ | None
    #: Set in an instance that was driven without anybody having set a transport.
    _blocking: BlockingTransport | None = None

    # For broadcasts: whether ``send()`` is ours, and whether it takes bytes for binary.
    _sends_plainly = True
    _bytes_are_binary = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "send" in vars(cls):
            cls._sends_plainly = "_sends_plainly" in vars(cls)

    # Which end this is, and which of the two flags is ours; a client has it the other way round.
    _client = False
    _our_flag = "server_terminated"
    _peer_flag = "client_terminated"

    def __init__(
        self,
        sock: Any,
        protocols: list[Any] | None = None,
        extensions: list[Any] | None = None,
        environ: Environ | None = None,
        heartbeat_freq: float | None = None,
    ) -> None:
        # All of it, because calling __init__ again is how programs reconnect.
        self.stream = Stream(always_mask=self._client, expect_masking=not self._client)
        self._transport = None
        self.write_through = False
        if self._blocking is not None:
            del self._blocking
        self._local_address: Any = None
        self._peer_address: Any = None
        self._opened = False
        self._ended = False
        self.sock = sock
        self.protocols = protocols
        self.extensions = extensions
        self.environ = environ
        self.heartbeat_freq = heartbeat_freq
        self.client_terminated = False
        self.server_terminated = False
        if self.config is not None or heartbeat_freq:
            self.setup(self.config or self.stream.config)

    def setup(self, config: Config, deflate: PerMessageDeflate | None = None) -> None:
        """Take over what the opening handshake knows, before any data. For servers and clients."""
        if self.heartbeat_freq:
            config = config.replace(ping_interval=self.heartbeat_freq)
        self.stream.setup(config, deflate)

    # -- hooks -----------------------------------------------------------------------------

    def opened(self) -> None:
        """The connection is open: the first hook, called once."""

    def ponged(self, pong: PongControlMessage) -> None:
        """A pong arrived, asked for or not."""

    def unhandled_error(self, error: Exception) -> None:
        """The socket broke with an ``OSError``; ``closed(1006, …)`` follows. By default logged."""
        logger.info("%r lost its connection: %s", self, error)

    def closed(self, code: int, reason: str | None = None) -> None:
        """The connection is over: the last hook, called once.

        ``code`` and ``reason`` are those of the peer's close frame (RFC 6455 section 7.1.5);
        1005 when it carried none, 1006 and an explanation when no close frame came. Everything
        else is in ``close_info``.
        """

    # -- verbs -----------------------------------------------------------------------------

    def ping(self, message: str | bytes = b"") -> None:
        """Send a ping of at most 125 bytes; ``ponged()`` is called with the answer."""
        self._send_control(PingControlMessage(message))

    def close(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        """Begin to close; returns at once. ``closed()`` is called when it is done.

        Works from any thread and any hook; only the first call counts. The end is there within
        ``Config.close_timeout``. Raises ``ValueError`` for a code that may not be sent.
        """
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        transport = self._transport_or_none()
        if transport is None or self._ended:
            return
        with transport.lock:
            self.stream.send_close(code, reason or "")
            setattr(self, self._our_flag, True)
            transport.flush(self)

    def flush(self) -> None:
        """Write now what was sent from a hook under a manager, instead of when it returns."""
        transport = self.transport
        with transport.lock:
            transport.flush(self, now=True)

    # -- for drivers -----------------------------------------------------------------------

    def connection_made(self) -> None:
        """Call ``opened()`` unless that was done. The driving thread, or the one that connects."""
        if not self._opened and not self._ended:
            self._opened = True
            self._call("opened")
            self._after_opened()

    def _after_opened(self) -> None:
        """``opened()`` was called. For clients that connect again."""

    def _released(self) -> None:
        """Whoever drove it has let go of it, after the end."""

    def _dismissed(self) -> None:
        """Whoever drives it ends: there is nobody to come back to."""

    def _deliver_control(self, message: Message) -> None:
        if isinstance(message, PongControlMessage):
            self._call("ponged", message)
        elif isinstance(message, CloseControlMessage):
            if self.stream.state is CLOSED:
                setattr(self, self._peer_flag, True)
            elif self.stream.state is OPEN:
                self.flush()  # to be answered in time by whoever gets the messages: set the alarm

    # -- driving it yourself, as in 0.6 ----------------------------------------------------

    def run(self) -> None:
        """Drive the connection on the calling thread until it is over."""
        try:
            if isinstance(self.transport, BlockingTransport):
                self.transport.begin()
            self.connection_made()
            while self.once():
                pass
            if self.stream.unsent and not self._ended:
                self.transport.wait_sent(self)
        finally:
            self.terminate()

    def once(self) -> bool:
        """Read once and deliver; ``False`` when the connection is over."""
        transport = self.transport
        if self._ended or not isinstance(transport, BlockingTransport):
            return False
        return transport.receive(self)

    def process(self, data: bytes) -> bool:
        """Deliver bytes that were read elsewhere; ``False`` for none or when it is over."""
        if not data or self._ended:
            return False
        self.data_received(data)
        return self.stream.state is not CLOSED

    def terminate(self) -> None:
        """End it now: ``closed()`` if that was not called yet, then the socket. Any thread."""
        info = self._begin_end()
        if info is None:
            return
        stream, transport = self.stream, self._transport
        try:
            self.closed(info.code, info.reason)
        except Exception:
            logger.exception("error in %s.closed() of %r", type(self).__name__, self)
        finally:
            if self.stream is stream:
                self._finish_end()
            elif transport is not None:
                transport.close()  # closed() has called __init__: this is another connection

    def _begin_end(self) -> CloseInfo | None:
        """The close report, for the first who asks; he calls ``closed()``."""
        transport = self._transport_or_none()
        if transport is None:
            self._ended = True
            return None
        with transport.lock:
            if self._ended:
                return None
            self._ended = True
            self.stream.receive_eof()
            return self.stream.close_info

    def _finish_end(self) -> None:
        """``closed()`` has returned."""
        self.client_terminated = self.server_terminated = True
        self.close_connection()
        self.environ = None

    def close_connection(self) -> None:
        """Close the socket without a closing handshake. Any thread.

        The hooks of the end follow on the thread that drives the connection, if there is one.
        """
        transport = self._transport_or_none()
        if transport is not None:
            self._remember_addresses()
            transport.close()
            self.sock = None

    # -- facts -----------------------------------------------------------------------------

    def _make_transport(self) -> Transport:
        if self.sock is None:
            raise RuntimeError(f"{self!r} is not connected: call connect() first")
        # Two threads may come here at once, and there must be one lock: setdefault() is atomic.
        transport: Transport = self.__dict__.setdefault("_blocking", BlockingTransport(self.sock))
        self._transport = transport
        return transport

    def _transport_or_none(self) -> Transport | None:
        return self._transport if self.sock is None else self.transport

    @property
    def connection(self) -> Any:
        """The socket; ``None`` when it is closed."""
        return self.sock

    @property
    def environ(self) -> dict[str, Any] | None:
        """The request in the words of WSGI, if a server knows it; ``None`` after the end."""
        environ = self._environ
        if callable(environ):  # most programs never look at it
            environ = self._environ = environ()
        return environ

    @environ.setter
    def environ(self, environ: Environ | None) -> None:
        self._environ = environ

    @property
    def close_info(self) -> CloseInfo | None:
        """The close report; ``None`` until the connection is closed."""
        return self.stream.close_info

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol in use (RFC 6455 section 1.9)."""
        protocol = self.protocols[0] if self.protocols else None
        return protocol.decode() if isinstance(protocol, bytes) else protocol

    @property
    def latency(self) -> float | None:
        """Seconds that the last ping took to come back; ``None`` before the first."""
        return self.stream.latency

    @property
    def stats(self) -> Stream:
        """Counters: ``messages_in``, ``messages_out``, ``bytes_in``, ``bytes_out``."""
        return self.stream

    @property
    def buffered_amount(self) -> int:
        """Bytes sent that the system has not taken yet."""
        transport = self._transport
        if transport is None:
            return self.stream.buffered
        with transport.lock:  # else what another thread is just writing would count for nothing
            return self.stream.buffered

    @property
    def local_address(self) -> Any:
        """Address of our end: ``(host, port)``, or the path of a Unix socket."""
        if self._local_address is None and self.sock is not None:
            self._local_address = short_address(self.sock.getsockname())
        return self._local_address

    @property
    def peer_address(self) -> Any:
        """Address of the peer: ``(host, port)``, or the path of a Unix socket."""
        if self._peer_address is None and self.sock is not None:
            self._peer_address = short_address(self.sock.getpeername())
        return self._peer_address

    def _remember_addresses(self) -> None:
        """They may be asked for after the socket is gone."""
        for name in ("local_address", "peer_address"):
            try:
                getattr(self, name)
            except Exception:  # anything may serve as a socket
                logger.debug("no %s of %r", name, self.sock)

    def __repr__(self) -> str:
        peer = self._peer_address
        return (
            f"<{type(self).__name__} {'' if peer is None else f'{peer} '}{self.stream.state.value}>"
        )


class EchoWebSocket(WebSocket):
    """Sends every message back as it came."""

    def received_message(self, message: Message) -> None:
        """Echo."""
        self.send(message.data, message.is_binary)


class Heartbeat:
    """Keepalive for one websocket, as a context manager; 0.6 had a thread do it.

    ``frequency``: seconds of silence after which the peer is pinged. Nothing is started: the
    connection's own deadline does the work, whatever drives it.
    """

    def __init__(self, websocket: WebSocket, frequency: float | None = 2.0) -> None:
        self.websocket = websocket
        self.frequency = frequency
        self._before: Config | None = None

    def start(self) -> None:
        """Begin to watch the peer."""
        if self.frequency:
            self._before = self.websocket.stream.config
            self._apply(self._before.replace(ping_interval=self.frequency))

    def stop(self) -> None:
        """Back to what the connection's ``Config`` says."""
        if self._before is not None:
            self._apply(self._before)
            self._before = None

    def _apply(self, config: Config) -> None:
        transport = self.websocket.transport
        with transport.lock:
            self.websocket.stream.keep_alive(config)
            transport.flush(self.websocket)

    def __enter__(self) -> Heartbeat:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def to_bytes(payload: Any, binary: bool) -> bytes:
    """What goes on the wire for a payload; ``bytes`` to be sent as text are checked."""
    if isinstance(payload, str):
        return payload.encode()
    if not isinstance(payload, bytes):
        if not isinstance(payload, bytearray | memoryview):
            raise ValueError(
                f"cannot send {type(payload).__name__}: give str, bytes, bytearray, memoryview, "
                "a message or an iterator of these"
            )
        payload = bytes(payload)
    data: bytes = payload
    if not binary and not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as exc:
            raise ValueError(
                f"bytes to be sent as text are not UTF-8 ({exc.reason} at {exc.start}): "
                "pass binary=True to send them as they are"
            ) from None
    return data


def look_ahead(items: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
    """Each item with whether it is the last; no items make one empty last one."""
    try:
        current = next(items)
    except StopIteration:
        yield b"", True
        return
    for following in items:
        yield current, False
        current = following
    yield current, True


def short_address(address: Any) -> Any:
    """An IPv6 address without scope and flow; an unnamed Unix socket has none."""
    if isinstance(address, tuple):
        return address[:2]
    return address or None

"""A WebSocket connection without I/O (RFC 6455 sections 5 to 7).

``Connection`` takes bytes and the time; it gives messages, the bytes that are owed to the peer,
and the moment by which it wants to be called again. Everything that an endpoint *does* about
what it receives is decided here and nowhere else: pongs, keepalive, the closing handshake, who
hangs up, what a broken rule costs. It must never know sockets, threads, hooks or frameworks.

A driver moves bytes and watches the clock::

    connection.receive_data(data)
    while (message := connection.next_event()) is not None:
        ...                                  # deliver it
    write(connection.data_to_send())         # then look at want_eof, want_abort and state
    wake_up_at(connection.deadline)          # and call connection.tick()

Not thread-safe: whoever shares a connection between threads holds one lock around each call.
"""

from __future__ import annotations

import enum
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from ws4py.clock import read_clock
from ws4py.exc import (
    ConnectionClosed,
    ConnectionTimeout,
    ProtocolException,
)
from ws4py.messaging import (
    MAX_CONTROL_PAYLOAD,
    CloseControlMessage,
    Message,
    PingControlMessage,
    PongControlMessage,
    received_binary,
    received_close,
    received_text,
)
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.deflate import PerMessageDeflate
from ws4py.protocol.mask import mask
from ws4py.protocol.tray import tray
from ws4py.protocol.wire import (
    MAX_FRAME_HEAD,
    NO_LIMIT,
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_CONTINUATION,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    Decoder,
    encode_frame,
    encode_head,
    new_key,
)

__all__ = [
    "CloseInfo",
    "Connection",
    "OutgoingMessage",
    "PreparedMessage",
    "State",
    "is_valid_close_code",
]

#: RFC 6455 section 7.4.1: what stands for "none given" and "none came"; never on the wire.
NO_STATUS = 1005
ABNORMAL = 1006

NORMAL = 1000
GOING_AWAY = 1001
INVALID_DATA = 1007
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

#: From this many bytes on, a payload is not put together with its head, or with others unless
#: whoever writes cannot write several pieces at once; from ``LARGE`` on not even then.
APART = 4096
LARGE = 65536

#: So many pieces are written at once, and only if they have this many bytes each on average.
MOST_PIECES = 64
WORTH_A_PIECE = 2048

#: An alarm that rings so many seconds late tells of trouble at this end: a loop that was blocked,
#: a process or machine that was suspended. Half the time that the peer has, if that is less.
LATE = 1.0


def is_valid_close_code(code: int) -> bool:
    """Whether ``code`` may stand in a close frame (RFC 6455 section 7.4, IANA's registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class State(enum.Enum):
    """Where a connection stands (RFC 6455 section 4.1, 7.1)."""

    #: Messages go both ways.
    OPEN = "open"
    #: A close frame was sent, or has to be; nothing but the end is to come.
    CLOSING = "closing"
    #: Over: what is owed may still be written, then the socket is closed.
    CLOSED = "closed"


OPEN, CLOSING, CLOSED = State.OPEN, State.CLOSING, State.CLOSED
_OPEN = OPEN  # for what every message asks; compiled, no name to be looked up


class CloseInfo(NamedTuple):
    """The close report: how a connection ended. The same object on every backend."""

    #: Code and reason of the peer's close frame; ``None`` when none came. 1005: an empty one.
    received: tuple[int, str] | None
    #: Code and reason of our close frame; ``None`` when none was sent.
    sent: tuple[int, str] | None
    #: Who began to close: ``None`` when the connection was simply lost.
    began_by: Literal["us", "peer"] | None
    #: The protocol, timeout, OS or TLS error that ended it, if one did.
    error: BaseException | None
    bytes_in: int
    bytes_out: int
    messages_in: int
    messages_out: int
    #: Seconds since the last pong when it ended; ``None`` when there was none.
    last_pong_age: float | None

    @property
    def clean(self) -> bool:
        """Whether both close frames were exchanged."""
        return self.received is not None and self.sent is not None

    @property
    def normal(self) -> bool:
        """Whether it ended as connections do: cleanly, its purpose fulfilled or an end gone away.

        That is with 1000, 1001 or no code at all (RFC 6455 section 7.4.1).
        """
        return self.clean and self.code in (NORMAL, GOING_AWAY, NO_STATUS)

    @property
    def code(self) -> int:
        """The peer's close code, 1006 when no close frame came (RFC 6455 section 7.1.5)."""
        return ABNORMAL if self.received is None else self.received[0]

    @property
    def reason(self) -> str:
        """The peer's reason; without a close frame from it, what happened in our words."""
        if self.received is not None:
            return self.received[1]
        if self.error is None:
            return "connection lost without a close frame"
        return str(self.error) or repr(self.error)


class OutgoingMessage:
    """A message that is sent in fragments (RFC 6455 section 5.4). See ``Connection.fragmented``.

    While another message is on its way in fragments, this one waits behind it.
    """

    __slots__ = ("_compress", "_connection", "_finished", "_opcode", "_started", "_waiting")

    def __init__(self, connection: Connection, opcode: int, compress: bool | None) -> None:
        self._connection = connection
        self._opcode = opcode
        self._compress = compress
        self._started = False
        self._finished = False
        self._waiting: list[tuple[bytes, bool]] = []

    @property
    def started(self) -> bool:
        """Whether a fragment was given already, so that the message cannot be taken back."""
        return self._started or bool(self._waiting)

    def send(self, payload: bytes, fin: bool = False) -> None:
        """One more fragment; ``fin`` marks the last. Raises ``ConnectionClosed``.

        Raises ``ValueError`` when the last one was given already.
        """
        self._connection._send_fragment(self, payload, fin)


class PreparedMessage:
    """A message for many connections: encoded once for each form that they have agreed on.

    ``payload`` is what goes on the wire, UTF-8 unless ``binary``. See
    ``Connection.send_prepared``. Any thread.
    """

    __slots__ = ("_compressed", "_plain", "binary", "opcode", "payload")

    def __init__(self, payload: bytes, binary: bool) -> None:
        self.payload = payload
        self.binary = binary
        self.opcode = OPCODE_BINARY if binary else OPCODE_TEXT
        self._plain = b""
        self._compressed: dict[object, bytes] = {}

    def plain(self) -> bytes:
        """The frame of a server."""
        if not self._plain:
            self._plain = encode_frame(self.opcode, self.payload)
        return self._plain

    def compressed(self, deflate: PerMessageDeflate) -> bytes:
        """The frame of a server that has agreed on permessage-deflate."""
        form = deflate.form
        frame = self._compressed.get(form)
        if frame is None:
            frame = encode_frame(self.opcode, deflate.compress_apart(self.payload), rsv1=True)
            self._compressed[form] = frame
        return frame


class Connection:
    """One end of a WebSocket connection, after its opening handshake.

    ``client`` says which end; ``deflate`` is what the handshake negotiated; ``clock`` counts
    seconds. The methods that receive never raise for what the peer did: a broken rule ends the
    connection with the close code that answers it.
    """

    __slots__ = (
        "_asked",
        "_backlog",
        "_close_info",
        "_deaf",
        "_decoder",
        "_ended_at",
        "_forgiven",
        "_last_received",
        "_out",
        "_ping",
        "_ping_at",
        "_pings_from",
        "_pong",
        "_pong_at",
        "_queued",
        "_received_close",
        "_sent_close",
        "_waiting",
        "_writer",
        "always_mask",
        "began_by",
        "bytes_in",
        "bytes_out",
        "client",
        "clock",
        "config",
        "deadline",
        "deflate",
        "error",
        "held",
        "high_water",
        "key_source",
        "last_ping",
        "latency",
        "messages_in",
        "messages_out",
        "state",
        "unsent",
        "want_abort",
        "want_eof",
    )

    def __init__(
        self,
        *,
        client: bool,
        config: Config = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
        deflate: PerMessageDeflate | None = None,
    ) -> None:
        self.client = client
        #: RFC 6455 section 5.1: a client masks what it sends, a server does not.
        self.always_mask = client
        #: Gives the four bytes of each mask; ``None``: the system's random numbers, as section
        #: 5.3 demands. Any other is for tests.
        self.key_source: Callable[[], bytes] | None = None
        self.clock = clock
        self.state = OPEN
        self._decoder = Decoder(not client)
        self._deaf = False  # nothing more is read from the peer
        #: Whoever gets the messages wants no more for now. Drivers heed it where they can.
        self.held = False
        # Output: bytes queued here, and bytes that a driver took and the system has not.
        self._out: list[bytes] = []
        self._queued = 0
        self.unsent = 0
        self._pong: bytes | None = None
        self._writer: OutgoingMessage | None = None
        self._backlog: deque[OutgoingMessage | tuple[int, bytes, bool | None]] | None = None
        self._waiting = 0  # bytes in that line, which nobody can take yet
        self.want_eof = False
        self.want_abort = False
        # Keepalive
        self._ping = b""
        self._ping_at: float | None = None
        # What had come in, and what the peer had taken of a jam, when keepalive asked for life.
        self._asked: tuple[int, int | None] | None = None
        self._forgiven = False  # it was asked twice, because we were late
        self._pong_at: float | None = None
        #: When the last ping was sent.
        self.last_ping: float | None = None
        self.latency: float | None = None
        self.deadline: float | None = None
        # The end
        self._ended_at = 0.0
        self._received_close: tuple[int, str] | None = None
        self._sent_close: tuple[int, str] | None = None
        self._close_info: CloseInfo | None = None
        self.began_by: Literal["us", "peer"] | None = None
        self.error: BaseException | None = None
        # Figures
        self.bytes_in = 0
        self.bytes_out = 0
        self.messages_in = 0
        self.messages_out = 0
        self.setup(config, deflate)

    def setup(self, config: Config, deflate: PerMessageDeflate | None = None) -> None:
        """Take over policy and extension from an opening handshake, before any data."""
        self.deflate = deflate
        decoder = self._decoder
        limit = config.max_message_size
        decoder.max_size = NO_LIMIT if limit is None else min(limit, NO_LIMIT)
        decoder.max_fragments = config.max_fragments
        decoder.inflater = deflate
        decoder.check_text = config.check_text
        decoder.piecewise = config.deliver_fragments
        self._last_received = self._pings_from = read_clock(self.clock)
        self.keep_alive(config)

    def keep_alive(self, config: Config) -> None:
        """Change the policy of an open connection; its keepalive begins anew."""
        if self.state is not OPEN or self._received_close is not None:
            return  # the deadline is that of the end, by the policy under which it began
        self.config = config
        self.high_water = config.high_water
        self._asked = None
        interval = config.ping_interval
        self.deadline = None if interval is None else self._quiet_since() + interval

    @property
    def expect_masking(self) -> bool:
        """Whether received frames have to be masked (RFC 6455 section 5.1)."""
        return self._decoder.expect_masking

    @expect_masking.setter
    def expect_masking(self, expected: bool) -> None:
        self._decoder.expect_masking = expected

    # -- in --------------------------------------------------------------------------------

    def receive_data(self, data: bytes, size: int = -1) -> None:
        """Take bytes from the peer. Call ``next_event()`` until it gives ``None`` before more.

        Of a buffer that is only lent the first ``size`` bytes count, until ``keep_data()``.
        """
        self.bytes_in += len(data) if size < 0 else size
        self._last_received = read_clock(self.clock)
        if not self._deaf:
            self._decoder.receive(data, size)

    def body(self) -> bytes | None:
        """Where the bytes that come next belong, behind ``body_size()``; or ``None``.

        A large payload stays where it is received: whoever can, receives straight into it, and
        says so with ``receive_body()``. All others use ``receive_data()``.
        """
        return None if self._deaf else self._decoder.body()

    def body_size(self) -> int:
        """How much of ``body()`` is filled already."""
        return self._decoder.body_size()

    def receive_body(self, body: bytes, size: int) -> None:
        """``size`` more bytes from the peer are in ``body``. Call ``next_event()`` now."""
        self.bytes_in += size
        self._last_received = read_clock(self.clock)
        self._decoder.receive_body(body, size)

    def read_size(self, most: int) -> int:
        """How much to read next where ``body()`` is ``None``: ``most`` bytes, or fewer.

        Behind a large payload another one is likely, of which as little as possible should have
        to be moved to where it belongs.
        """
        return self._decoder.read_size(most)

    def keep_data(self) -> None:
        """Give back a buffer that was lent; what is left in it is kept."""
        self._decoder.keep()

    def receive_eof(self, error: BaseException | None = None) -> None:
        """The peer hung up, or the connection broke with ``error``. Call as often as you like."""
        if self.state is CLOSED:
            return
        if error is not None and self.error is None:
            self.error = error
        self._finish()

    @property
    def input_pending(self) -> bool:
        """Whether ``next_event()`` may have something without more bytes."""
        return self.has_input()

    def has_input(self) -> bool:
        """``input_pending``, for those who ask for every message."""
        return not self._deaf and self._decoder.has_input()

    def next_event(self) -> Message | None:
        """The next message, acted upon at this moment and not before; ``None``: needs more data.

        Pings are answered, close frames carried on, broken rules punished as they are met, so
        that replies leave in the order of what caused them.
        """
        if self._deaf:
            return None
        decoder = self._decoder
        try:
            if not decoder.next_message():
                return None
            opcode = decoder.opcode
            if opcode == OPCODE_TEXT:
                self.messages_in += 1
                return received_text(decoder.payload, decoder.text)
            if opcode == OPCODE_BINARY:
                self.messages_in += 1
                return received_binary(decoder.payload)
            return self._receive_control(opcode, decoder.payload)
        except ProtocolException as exc:
            self.fail(exc.code, str(exc), exc)
            return None

    def _receive_fragment(self, payload: bytes) -> Message:
        decoder = self._decoder
        message: Message
        if decoder.fragment_of == OPCODE_TEXT:
            message = received_text(payload, None)
        else:
            message = received_binary(payload)
        message.opcode = decoder.fragment_opcode
        message.completed = decoder._fin
        self.messages_in += decoder._fin
        return message

    def _receive_control(self, opcode: int, payload: bytes) -> Message:
        if opcode == OPCODE_CONTINUATION:
            return self._receive_fragment(payload)
        if opcode == OPCODE_PING:
            if self.config.answer_pings:
                self._answer_ping(payload)
            return PingControlMessage(payload)
        if opcode == OPCODE_PONG:
            self._pong_at = read_clock(self.clock)
            if self._ping_at is not None and payload == self._ping:
                self.latency = self._pong_at - self._ping_at
                self._ping_at = None
            return PongControlMessage(payload)
        return self._receive_close(payload)

    def _answer_ping(self, payload: bytes) -> None:
        if self.state is not OPEN:
            return  # RFC 6455 section 5.5.2: not after a close frame
        if self.unsent:
            # The peer does not read: one pong waits, the newest (section 5.5.3 allows it).
            self._pong = payload
        else:
            self._pong = None  # one that still waits is older
            self._queue(OPCODE_PONG, payload)

    def _receive_close(self, payload: bytes) -> Message:
        """RFC 6455 sections 5.5.1 and 7.1: after this frame nothing more is read."""
        code, reason = parse_close(payload)
        self._received_close = code, reason
        self._stop_reading()
        if self.state is OPEN:
            self.began_by = "peer"
            if self.config.answer_close:
                self._queue_close(code, reason)
        if self._sent_close is not None:
            self._both_closed()
        else:
            self._set_close_deadline()
        return received_close(None if code == NO_STATUS else code, reason, payload)

    def _both_closed(self) -> None:
        """The closing handshake is done."""
        if self.client:
            # Section 7.1.1: the server closes TCP first; wait for that, within the deadline.
            self._start_closing()
        else:
            self._finish()

    def _stop_reading(self) -> None:
        self._deaf = True
        self._decoder.discard()

    # -- time ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Act on the deadline if it is due; harmless at any other time."""
        now = read_clock(self.clock)
        if self.deadline is None or now < self.deadline:
            return
        if self.state is OPEN and self._received_close is not None:
            # Who wanted to answer the close frame did not.
            self._queue_close(*self._received_close)
            self._both_closed()
            return
        if self.state is OPEN:
            self._keep_alive(now)
            return
        # Closing took too long, or the last bytes could not be written in time.
        if self.state is CLOSING and self.error is None and self._received_close is None:
            self.error = ConnectionTimeout(
                f"no close frame from the peer within {self.config.close_timeout:g} s"
            )
        self._finish()
        self.want_abort = True
        self.deadline = None

    def _keep_alive(self, now: float) -> None:
        interval, timeout = self.config.ping_interval, self.config.ping_timeout
        assert interval is not None, "else there is no deadline"
        if timeout is not None and self._asked is not None:
            if self._shows_life(*self._asked):
                self._forgiven = False
            elif self._forgiven or not self._late(now, timeout):
                self._give_up(timeout)
                return
            else:
                self._forgiven = True  # whose fault it is will show when it is asked once more
        due = self._quiet_since() + interval
        if now < due:
            self.deadline = due  # something came in meanwhile: look again later
            return
        if self.deflate is not None:
            self.deflate.rest()  # a silent connection needs no compressor in memory
        if timeout is not None or not self.buffered:
            # Without a timeout, pings to a peer that does not read would pile up for ever.
            payload = self.config.ping_payload
            self.send_ping(os.urandom(4) if payload is None else payload)
        self._pings_from = now
        self._asked = self.bytes_in, self.bytes_out - self.unsent if self.unsent else None
        self.deadline = now + (interval if timeout is None else timeout)

    def _quiet_since(self) -> float:
        """The moment from which the time until the next ping counts."""
        return self._pings_from if self.config.ping_always else self._last_received

    def _shows_life(self, bytes_in: int, taken: int | None) -> bool:
        """Whether the peer has done anything since there were these.

        Bytes tell, not times: an answer may come within one tick of a coarse clock. And where
        output is jammed, room for more of it can only come of a peer that reads.
        """
        return self.bytes_in > bytes_in or (
            taken is not None and self.bytes_out - self.unsent > taken
        )

    def _late(self, now: float, timeout: float) -> bool:
        """Whether the deadline is long past already, which is not the peer's doing."""
        return self.deadline is not None and now - self.deadline > min(LATE, timeout / 2)

    def in_doubt(self) -> bool:
        """Whether ``tick()`` might be about to give the peer up: a driver reads first, if it can.

        What it has said may lie with the system, unread, because this end had no time for it.
        """
        if self.state is OPEN:
            return self._asked is not None and not self._shows_life(*self._asked)
        return self.state is CLOSING and self._received_close is None and not self._deaf

    def sign_of_life(self) -> None:
        """A driver knows that the peer is alive, by bytes that nobody had the time to read."""
        if self.state is OPEN:
            self._forgiven = False
            self._last_received = read_clock(self.clock)
            self.keep_alive(self.config)

    def _give_up(self, timeout: float) -> None:
        self.fail(
            INTERNAL_ERROR,
            "keepalive timeout",
            ConnectionTimeout(f"keepalive: nothing from the peer within {timeout:g} s of a ping"),
        )
        # The peer is gone: there is nobody to wait for.
        self._finish()
        self.want_abort = True
        self.deadline = None

    # -- verbs -----------------------------------------------------------------------------

    def send_message(
        self, payload: bytes, binary: bool = False, compress: bool | None = None
    ) -> None:
        """One data message in one frame. Raises ``ConnectionClosed`` unless open.

        ``compress`` overrides the threshold of permessage-deflate where that was negotiated.
        """
        if self.state is not _OPEN:
            raise self._closed_error()
        opcode = OPCODE_BINARY if binary else OPCODE_TEXT
        if self._writer is not None:
            self._wait_in_line((opcode, payload, compress), len(payload))
            return
        self._send_whole(opcode, payload, compress)

    def send_prepared(self, message: PreparedMessage) -> None:
        """One of the copies of a message to many. Raises ``ConnectionClosed`` unless open."""
        if self.always_mask or self._writer is not None or self.state is not _OPEN:
            self.send_message(message.payload, message.binary)  # no two masks are the same
            return
        self.messages_out += 1
        deflate = self.deflate
        if deflate is not None and self._compresses(message.payload, None):
            frame = message.compressed(deflate)
            deflate.sent_apart()
        else:
            frame = message.plain()
        tray.settle(self._out)
        self._out.append(frame)
        self._queued += len(frame)

    def fragmented(self, *, binary: bool = False, compress: bool | None = None) -> OutgoingMessage:
        """A message to be sent in fragments. Other messages wait until its last one."""
        if self.state is not OPEN:
            raise self._closed_error()
        return OutgoingMessage(self, OPCODE_BINARY if binary else OPCODE_TEXT, compress)

    def send_ping(self, data: bytes = b"") -> None:
        """A ping (RFC 6455 section 5.5.2); its pong sets ``latency``."""
        self._send_control(OPCODE_PING, data)
        self._ping = data
        self._ping_at = self.last_ping = read_clock(self.clock)

    def send_pong(self, data: bytes = b"") -> None:
        """An unasked-for pong, a sign of life (RFC 6455 section 5.5.3)."""
        self._send_control(OPCODE_PONG, data)

    def send_close(self, code: int | None = NORMAL, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455 section 7.1.2), or answer the peer's close frame.

        Only the first call counts. No code: an empty close frame. Raises ``ValueError`` for a code
        that may not be sent.
        """
        if code and not is_valid_close_code(code):
            raise ValueError(
                f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999"
            )
        if self.state is not OPEN:
            return
        answers = self._received_close is not None
        self.began_by = "peer" if answers else "us"
        self._queue_close(code or NO_STATUS, reason)
        if answers:
            self._both_closed()
        else:
            self._start_closing()

    def fail(self, code: int, reason: str, error: BaseException | None = None) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): close frame, end of output, deaf ears."""
        if self.state is CLOSED:
            return
        if self.error is None:
            self.error = error
        self._stop_reading()
        if self.state is OPEN:
            self.began_by = "us"
            self._queue_close(code, reason)
        self._start_closing()
        self.want_eof = True

    def _start_closing(self) -> None:
        self._drop_backlog()
        if self.state is OPEN:
            self.state = CLOSING
            self._set_close_deadline()

    def _set_close_deadline(self) -> None:
        timeout = self.config.close_timeout
        self.deadline = None if timeout is None else read_clock(self.clock) + timeout

    def _finish(self) -> None:
        """Nothing more will be read; what is owed may be written until the deadline."""
        if self.state is not CLOSED:
            self._ended_at = read_clock(self.clock)
        self._start_closing()
        self._stop_reading()
        self.state = CLOSED
        self._pong = None
        self.want_eof = False

    # -- out -------------------------------------------------------------------------------

    def overflow(self, policy: str) -> bool:
        """More than the high water waits: whether one more message may be sent all the same.

        ``drop`` says no; ``close`` fails the connection with 1013, so that the send raises;
        ``block`` says yes to a sender who will wait for it.
        """
        if policy == "close":
            slow = ConnectionClosed(f"the peer does not read: {self.buffered} bytes wait for it")
            self.fail(TRY_AGAIN_LATER, "peer reads too slowly", slow)
        return policy != "drop"

    @property
    def buffered(self) -> int:
        """Bytes owed to the peer that the system has not taken yet."""
        return self.owed()

    def owed(self) -> int:
        """``buffered``, for those who ask for every message."""
        return self._queued + self._waiting + self.unsent

    def queued(self) -> int:
        """Bytes that ``data_to_send()`` has to give."""
        return self._queued

    def data_to_send(self) -> bytes:
        """What is owed, joined once; yours from now on (say in ``unsent`` what is left).

        All of it, but for large payloads: each is given by itself, so ask again until nothing
        comes. ``queued()`` says how much there is.
        """
        if self._pong is not None and not self.unsent:
            self._queue_pong(self._pong)
        out = self._out
        if not out:
            data = tray.take(out)
        else:
            tray.settle(out)
            if self._queued < LARGE:
                data = out[0] if len(out) == 1 else b"".join(out)
                out.clear()
            else:
                data = self._take_some()
        self.bytes_out += len(data)
        self._queued -= len(data)
        return data

    def is_scattered(self) -> bool:
        """Whether ``pieces_to_send()`` saves more than to write several pieces costs."""
        if not self._out:
            return False
        tray.settle(self._out)
        count = len(self._out)
        return count > 1 and self._queued >= count * WORTH_A_PIECE

    def pieces_to_send(self) -> list[bytes]:
        """What ``data_to_send()`` gives, not joined, for who can write several pieces at once."""
        out = self._out
        tray.settle(out)
        if len(out) > MOST_PIECES:
            self._out = out[MOST_PIECES:]
            del out[MOST_PIECES:]
        else:
            self._out = []
        size = 0
        for piece in out:
            size += len(piece)
        self.bytes_out += size
        self._queued -= size
        return out

    def take_back(self, pieces: list[bytes]) -> None:
        """The last of these the system had no room for. Say in ``unsent`` that it had none."""
        self._out[:0] = pieces
        size = sum(map(len, pieces))
        self.bytes_out -= size
        self._queued += size

    def _take_some(self) -> bytes:
        """A large payload, or what stands before the next one."""
        out = self._out
        count = 0
        while count < len(out) and len(out[count]) < LARGE:
            count += 1
        data = b"".join(out[:count]) if count else out[0]
        del out[: max(1, count)]
        return data

    def preface(self, data: bytes) -> None:
        """Bytes that have to leave before everything else: a server's handshake response."""
        self._out.insert(0, data)
        self._queued += len(data)
        self.bytes_out -= len(data)  # not the connection's: counts the day it is taken

    def _queue(self, opcode: int, payload: bytes, fin: bool = True, rsv1: bool = False) -> None:
        out = self._out
        head = encode_head(opcode, len(payload), fin, rsv1, self.always_mask)
        if self.always_mask:
            key = new_key() if self.key_source is None else self.key_source()
            head += key
            payload = mask(payload, key)
        self._queued += len(head) + len(payload)
        if len(payload) < APART:
            tray.put(out, head, payload)
            return
        # Not joined with its head: to copy so much costs more than a second piece.
        tray.settle(out)
        out.append(head)
        out.append(payload)

    def _queue_pong(self, pong: bytes) -> None:
        self._pong = None
        self._queue(OPCODE_PONG, pong)

    def _queue_close(self, code: int, reason: str) -> None:
        if self._pong is not None:
            self._queue_pong(self._pong)  # now or never: nothing follows a close frame
        if code == NO_STATUS:
            message = CloseControlMessage(None)
        else:
            message = CloseControlMessage(code, reason)
        self._sent_close = code, message.reason
        self._queue(OPCODE_CLOSE, message.data)

    def _send_control(self, opcode: int, data: bytes) -> None:
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a ping or pong carries {MAX_CONTROL_PAYLOAD} bytes, not {len(data)}")
        if self.state is not OPEN:
            raise self._closed_error()
        self._queue(opcode, data)

    # Whole messages and fragments

    def _send_whole(self, opcode: int, payload: bytes, compress: bool | None) -> None:
        self.messages_out += 1
        deflate = self.deflate
        if deflate is not None and self._compresses(payload, compress):
            self._queue(opcode, deflate.compress(payload), rsv1=True)
        else:
            self._queue(opcode, payload)

    def _compresses(self, payload: bytes, wish: bool | None) -> bool:
        if self.deflate is None:
            return False
        return len(payload) >= self.deflate.threshold if wish is None else wish

    def _send_fragment(self, message: OutgoingMessage, payload: bytes, fin: bool) -> None:
        if self.state is not OPEN:
            raise self._closed_error()
        if message._finished:
            raise ValueError("the last fragment of this message was given already")
        message._finished = fin
        if self._writer is None:
            self._writer = message
        if self._writer is not message:
            self._wait_in_line(None if message._waiting else message, len(payload))
            message._waiting.append((payload, fin))
        else:
            self._write_fragment(message, payload, fin)
            if fin:
                self._next_in_line()

    def _write_fragment(self, message: OutgoingMessage, payload: bytes, fin: bool) -> None:
        opcode = OPCODE_CONTINUATION
        rsv1 = False
        if not message._started:
            # The choice is made once, at the first fragment (RFC 7692 section 6.1).
            message._compress = self._compresses(payload, message._compress)
            opcode, rsv1 = message._opcode, message._compress
            message._started = True
            self.messages_out += 1
        if message._compress:
            assert self.deflate is not None
            payload = self.deflate.compress(payload, fin=fin)
        self._queue(opcode, payload, fin, rsv1)

    def _wait_in_line(
        self, item: OutgoingMessage | tuple[int, bytes, bool | None] | None, size: int
    ) -> None:
        """Behind the message that is being sent in fragments, its bytes counted as owed."""
        if self._backlog is None:
            self._backlog = deque()
        if item is not None:
            self._backlog.append(item)
        self._waiting += size + MAX_FRAME_HEAD

    def _next_in_line(self) -> None:
        """A fragmented message is complete: send what waited for it, up to the next open one."""
        self._writer = None
        while self._backlog and self._writer is None:
            item = self._backlog.popleft()
            if isinstance(item, tuple):
                self._waiting -= len(item[1]) + MAX_FRAME_HEAD
                self._send_whole(*item)
                continue
            for payload, fin in item._waiting:
                self._waiting -= len(payload) + MAX_FRAME_HEAD
                self._write_fragment(item, payload, fin)
            item._waiting = []
            if not item._finished:
                self._writer = item
        if not self._backlog:
            self._backlog = None

    def _drop_backlog(self) -> None:
        """The connection closes: what waits behind an unfinished message is never sent."""
        self._waiting = 0
        self._backlog = None
        self._writer = None

    # -- facts -----------------------------------------------------------------------------

    @property
    def close_info(self) -> CloseInfo | None:
        """The close report; ``None`` until the connection is closed."""
        if self._close_info is None and self.state is CLOSED:
            age = None if self._pong_at is None else self._ended_at - self._pong_at
            self._close_info = CloseInfo(
                received=self._received_close,
                sent=self._sent_close,
                began_by=self.began_by,
                error=self.error,
                bytes_in=self.bytes_in,
                bytes_out=max(0, self.bytes_out - self.unsent),
                messages_in=self.messages_in,
                messages_out=self.messages_out,
                last_pong_age=age,
            )
        return self._close_info

    def _closed_error(self) -> ConnectionClosed:
        if self.state is CLOSING:
            return ConnectionClosed("cannot send: the connection is closing", None)
        info = self.close_info
        assert info is not None
        return ConnectionClosed(
            f"cannot send: the connection is closed ({info.code} {info.reason})".rstrip(), info
        )


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame's payload (RFC 6455 section 5.5.1).

    Raises ``ProtocolException`` with the code that answers an illegal one.
    """
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolException("close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not is_valid_close_code(code):
        raise ProtocolException(f"close code {code} may not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        error = ProtocolException("close reason is not valid UTF-8")
        error.code = INVALID_DATA
        raise error from None

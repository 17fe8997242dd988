"""Frames: bytes into messages and messages into bytes (RFC 6455 section 5).

This is the hot leaf. What belongs here: the layout of a frame, which frames are legal, how
fragments become a message, the size limits, and the check of text. What must never be known
here: sockets, time, the state of the connection, what anybody does about a message.

Two rules keep it honest. The state of a frame lives in ``Decoder``, that of a message in
``Assembly``; they never mix, because control frames arrive in the middle of messages. And every
check happens at the earliest byte that allows it: sizes at the header, text at the first bad byte.
"""

from __future__ import annotations

import codecs
import os
from struct import Struct
from typing import Protocol

from ws4py.exc import (
    FrameTooLargeException,
    ProtocolException,
    TextFrameEncodingException,
)
from ws4py.protocol.mask import mask, rotate, unmask, unmask_part

__all__ = [
    "MAX_FRAME_HEAD",
    "OPCODE_BINARY",
    "OPCODE_CLOSE",
    "OPCODE_CONTINUATION",
    "OPCODE_PING",
    "OPCODE_PONG",
    "OPCODE_TEXT",
    "Decoder",
    "encode_frame",
    "encode_head",
    "frame_size",
    "new_key",
]

#: RFC 6455 section 11.8.
OPCODE_CONTINUATION = 0x0
OPCODE_TEXT = 0x1
OPCODE_BINARY = 0x2
OPCODE_CLOSE = 0x8
OPCODE_PING = 0x9
OPCODE_PONG = 0xA

#: What a frame may need besides its payload, so that even empty messages in line count.
MAX_FRAME_HEAD = 14

#: A message may have more than ``max_fragments`` fragments as long as they carry this many bytes
#: each on average: a large message in small pieces is legal, a flood of empty frames is not.
FRAGMENT_FLOOR = 64

#: Pieces of a message are put together when there are more than this and they are smaller than
#: ``FRAGMENT_FLOOR`` on average, because an object of its own costs more than such a piece.
MAX_PIECES = 1024

#: A frame of this many bytes or more that is not wholly here is collected in one place, at its
#: final size, instead of in pieces that are put together in the end: two such payloads at a time
#: are more than the C library keeps, so each would cost fresh pages. Compiled, and only where
#: nothing has to look at it on the way: no text, no compression.
BODY_SIZE = 65536

#: From here on what is left of it is read by itself, because to move so much takes longer than
#: another call; what is smaller may come together with what follows.
READ_APART = 131072

#: Room is made for twice as much as has come, whatever a frame announces; but for this much at
#: once (untouched, it costs no memory yet) when the peer has sent ``EARNED`` bytes of it.
FIRST_ROOM = 1 << 20
EARNED = 16384

#: No limit on the size of messages: what no frame can announce, and C integers can hold.
NO_LIMIT = (1 << 63) - 1

#: Compressed data may be this much larger than what it inflates to: 1/128 and a few headers.
DEFLATE_SLACK = 1024

#: Whether this module runs compiled, so that the primitives of ``wire.pxd`` are there.
COMPILED = not __file__.endswith((".py", ".pyc"))

_UTF8 = codecs.getincrementaldecoder("utf-8")
_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack


class Inflater(Protocol):
    """What the decoder wants of an extension that compresses messages."""

    def decompress(self, data: bytes, limit: int | None) -> bytes: ...

    def finish(self, limit: int | None) -> bytes: ...


# -- encoding ------------------------------------------------------------------------------

_keys: list[bytes] = []


def new_key() -> bytes:
    """A fresh masking key of four unpredictable bytes (RFC 6455 section 5.3). Any thread."""
    try:
        return _keys.pop()
    except IndexError:
        # One system call for many keys; list.pop and list.extend are atomic.
        block = os.urandom(1024)
        _keys.extend([block[i : i + 4] for i in range(4, 1024, 4)])
        return block[:4]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)  # parent and child must not share keys


def encode_head(opcode: int, length: int, fin: bool, rsv1: bool, masked: bool) -> bytes:
    """The head of a frame (RFC 6455 section 5.2), without the masking key."""
    if length < 126 and fin and not rsv1 and not masked:
        # Made once: to put two numbers into bytes takes longer than all the rest of a frame.
        return _SHORT_HEADS[opcode << 7 | length]
    first = opcode
    if fin:
        first |= 0x80
    if rsv1:
        first |= 0x40
    mark = 0x80 if masked else 0
    if length < 126:
        return _SHORT(first, mark | length)
    if length < 65536:
        return medium_head(first, mark | 126, length)
    return _LONG(first, mark | 127, length)


def frame_size(length: int, masked: bool) -> int:
    """How long the frame of a payload of this length is."""
    head = 2 if length < 126 else 4 if length < 65536 else 10
    return length + head + 4 if masked else length + head


def medium_head(first: int, second: int, length: int) -> bytes:
    """Two bytes and a length in two more."""
    if COMPILED:
        return pack_medium(first, second, length)  # type: ignore[name-defined,no-any-return] # noqa: F821
    return _MEDIUM(first, second, length)


#: The heads of short frames that are whole messages, by opcode and length.
_SHORT_HEADS = [_SHORT(0x80 | index >> 7, index & 0x7F) for index in range(16 << 7)]


def encode_frame(
    opcode: int, payload: bytes, fin: bool = True, rsv1: bool = False, key: bytes | None = None
) -> bytes:
    """One frame on the wire (RFC 6455 section 5.2), masked with ``key`` when there is one."""
    if not key:
        return join(encode_head(opcode, len(payload), fin, rsv1, False), payload)
    head = encode_head(opcode, len(payload), fin, rsv1, True)
    return join(head + key, mask(payload, key))


def join(head: bytes, payload: bytes) -> bytes:
    """One behind the other."""
    if COMPILED:
        return glue(head, payload)  # type: ignore[name-defined,no-any-return] # noqa: F821
    return head + payload


def part(buffer: bytes, start: int, stop: int) -> bytes:
    """What stands there; Cython would make three objects to say so."""
    if COMPILED:
        return cut(buffer, start, stop)  # type: ignore[name-defined,no-any-return] # noqa: F821
    return buffer[start:stop]


# -- decoding ------------------------------------------------------------------------------


class Assembly:
    """What has arrived of one data message: the state that belongs to a message."""

    __slots__ = ("body", "fragments", "inflater", "limit", "opcode", "pieces", "size", "utf8")

    def __init__(self, opcode: int, inflater: Inflater | None, limit: int) -> None:
        self.opcode = opcode
        self.inflater = inflater
        self.limit = limit
        self.pieces: list[bytes] = []
        #: Room for the payload, filled up to ``size``; or ``None``, and it is in ``pieces``.
        self.body: bytes | None = None
        self.size = 0
        self.fragments = 0
        self.utf8 = _UTF8() if opcode == OPCODE_TEXT else None

    def add(self, piece: bytes) -> None:
        """Take unmasked payload as it comes, whole fragments or parts of them."""
        if self.inflater is not None:
            piece = self.inflater.decompress(piece, self.limit - self.size)
        self._store(piece, False)

    def make_room(self, length: int, coming: int) -> None:
        """Have the payload, of ``length`` bytes in all, collected in ``body``. Compiled only.

        There is room for ``coming`` bytes then, and for some more that nobody has seen yet.
        """
        come = self.size + coming
        room = min(length, 2 * come if come < EARNED else max(FIRST_ROOM, 2 * come))
        self.body = enlarged(self.body, self.size, room)  # type: ignore[name-defined] # noqa: F821

    def finish(self) -> bytes:
        """The whole payload, once the last fragment is in."""
        if self.body is not None:
            return self.body
        if self.inflater is not None:
            self._store(self.inflater.finish(self.limit - self.size), True)
        elif self.utf8 is not None:
            self._store(b"", True)
        pieces = self.pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _store(self, piece: bytes, final: bool) -> None:
        if piece:
            self.size += len(piece)
            self.pieces.append(piece)
            if len(self.pieces) > MAX_PIECES + self.size // FRAGMENT_FLOOR:
                self.pieces = [b"".join(self.pieces)]
        if self.utf8 is not None:
            try:
                # Only a check: whoever asks for text decodes the whole once.
                self.utf8.decode(piece, final)
            except UnicodeDecodeError as exc:
                raise TextFrameEncodingException(f"text is not valid UTF-8: {exc.reason}") from None
            if piece and 0xA0 <= piece[-1] < 0xC0:
                self._refuse_surrogate()

    def _refuse_surrogate(self) -> None:
        """Python would wait for a third byte before it says that ED A0 is no character."""
        assert self.utf8 is not None
        begun = self.utf8.getstate()[0]
        if len(begun) == 2 and begun[0] == 0xED:
            raise TextFrameEncodingException("text is not valid UTF-8: surrogate")


class Decoder:
    """Turns received bytes into messages, one at a time.

    Call ``receive(data)``, then ``next_message()`` until it returns ``False``; after each
    ``True`` the message is in ``opcode``, ``payload`` and, for text that came in one piece,
    ``text`` (else ``None``). Control frames are messages of their own. Raises the
    ``ProtocolException`` whose ``code`` answers the peer's mistake; the decoder is of no use
    after that. Not thread-safe.
    """

    __slots__ = (
        "_buffer",
        "_end",
        "_fin",
        "_in_frame",
        "_key",
        "_large",
        "_lent",
        "_message",
        "_position",
        "_remaining",
        "_starved",
        "check_text",
        "expect_masking",
        "fragment_of",
        "fragment_opcode",
        "inflater",
        "max_fragments",
        "max_size",
        "opcode",
        "payload",
        "piecewise",
        "text",
    )

    def __init__(
        self,
        expect_masking: bool,
        max_size: int = NO_LIMIT,
        max_fragments: int = 4096,
        inflater: Inflater | None = None,
    ) -> None:
        self.expect_masking = expect_masking
        self.max_size = max_size
        self.max_fragments = max_fragments
        self.inflater = inflater
        #: Whether text has to be UTF-8.
        self.check_text = True
        #: Give each fragment by itself: ``opcode`` is that of a continuation then, for the first
        #: one too; what its frame said is in ``fragment_opcode``, and that of the first one in
        #: ``fragment_of``.
        self.piecewise = False
        self.fragment_of = 0
        self.fragment_opcode = 0
        self.opcode = 0
        self.payload = b""
        self.text: str | None = None
        self._buffer = b""
        self._position = 0
        self._end = 0
        self._lent = False
        self._starved = False  # what has arrived is not enough for a message
        self._large = False  # a payload was read apart, and read_size() not asked since
        self._message: Assembly | None = None
        # The frame whose payload is arriving in pieces.
        self._in_frame = False
        self._fin = False
        self._remaining = 0
        self._key = b""

    def receive(self, data: bytes, size: int = -1) -> None:
        """Take bytes from the peer. Decodes nothing.

        Of a buffer that is only lent the first ``size`` bytes count, until ``keep()``.
        """
        self._lent = size >= 0
        if not self._lent:
            if not isinstance(data, bytes):
                data = bytes(data)
            size = len(data)
        if self._position < self._end:
            # What is left of the last segment; once drained, never more than a control frame.
            data = self._buffer[self._position : self._end] + data[:size]
            size = len(data)
            self._lent = False
        self._buffer = data
        self._position = 0
        self._end = size
        self._starved = False

    def keep(self) -> None:
        """Make what is left one's own: a buffer that was lent is wanted back."""
        if self._position >= self._end:
            self._let_go()
        elif self._lent:
            self._shorten()

    def _shorten(self) -> None:
        """Hold nothing but what is left."""
        self._buffer = self._buffer[self._position : self._end]
        self._end -= self._position
        self._position = 0
        self._lent = False

    def _let_go(self) -> None:
        """Hold nothing."""
        self._lent = False
        self._buffer = b""
        self._position = self._end = 0
        self.payload = b""
        self.text = None

    def has_input(self) -> bool:
        """Whether bytes wait of which ``next_message()`` has not said that they are too few."""
        if self._starved:
            return False
        return self._position < self._end or (self._in_frame and self._remaining == 0)

    # Receiving a large payload where it will stay

    def body(self) -> bytes | None:
        """Where the bytes that come next belong, behind ``body_size()``; or ``None``.

        Whoever can, receives straight into it, and says so with ``receive_body()``.
        """
        message = self._message
        if message is None or message.body is None or self._position < self._end:
            return None
        if message.size < EARNED or self._remaining == 0 or len(message.body) < READ_APART:
            return None
        wanted = min(self._remaining, BODY_SIZE)
        if len(message.body) - message.size < wanted:
            message.make_room(message.size + self._remaining, wanted)
        return message.body

    def read_size(self, most: int) -> int:
        """How much to read next where ``body()`` is ``None``: ``most`` bytes, or fewer.

        After one that was read apart, only so much that another one would have earned its room.
        """
        if not self._large:
            return most
        self._large = False
        return min(most, MAX_FRAME_HEAD + EARNED)

    def body_size(self) -> int:
        """How much of ``body()`` is filled already."""
        message = self._message
        return 0 if message is None else message.size

    def receive_body(self, body: bytes, size: int) -> None:
        """``size`` bytes have come into ``body``; of one that was discarded, nothing counts."""
        message = self._message
        if message is None or message.body is not body:
            return
        self._starved = False
        if self._key:
            unmask_here(body, message.size, size, self._key)  # type: ignore[name-defined] # noqa: F821
        self._fill_more(message, size)

    def discard(self) -> None:
        """Forget everything received and not yet delivered."""
        self._let_go()
        self._message = None
        self._in_frame = False

    def next_message(self) -> bool:
        """Decode up to the end of the next message; ``False`` when more bytes are needed."""
        while True:
            if self._in_frame:
                if not self._read_payload():
                    return self._wait()
                if self._end_fragment():
                    return True
                continue
            buffer = self._buffer
            position = self._position
            end = self._end
            if end - position < 2:
                return self._wait()
            first = buffer[position]
            second = buffer[position + 1]
            masked = second & 0x80
            # Unfragmented, uncompressed data between messages is most of all traffic: it skips
            # the checks that it cannot fail.
            plain = (first == 0x82 or first == 0x81) and self._message is None
            if not plain or (masked != 0) != self.expect_masking:
                self._check_header(first, second)
            length = second & 0x7F
            start = position + 2
            if length > 125:
                start += 2 if length == 126 else 8
                if start > end:
                    return self._wait()
                length = self._long_length(length, position + 2)
            if (length > self.max_size or not plain) and not first & 0x08:
                self._check_size(first, length)
            if masked:
                start += 4
            if start > end:
                return self._wait()
            # Not start + length > end, which would wrap round in C for the largest lengths.
            if length > end - start or not plain:
                if first & 0x08:
                    if length > end - start:
                        return self._wait()
                    stop = start + length
                    self._position = stop
                    self._take_control(first, start, stop, masked)
                    return True
                self._begin_fragment(first, start, length, masked)
                continue
            stop = start + length
            payload = unmask(buffer, start, stop) if masked else part(buffer, start, stop)
            self._position = stop
            self.opcode = first & 0x0F
            self.payload = payload
            self.text = self._decode(payload) if first == 0x81 and self.check_text else None
            return True

    def _wait(self) -> bool:
        """More bytes are needed. While none come, no segment and no message is kept alive."""
        self._shorten()
        self._starved = True
        self.payload = b""
        self.text = None
        return False

    # Reading a header

    def _check_header(self, first: int, second: int) -> None:
        """Everything that the first two bytes can be wrong about (RFC 6455 section 5.2)."""
        opcode = first & 0x0F
        if opcode > OPCODE_PONG or OPCODE_BINARY < opcode < OPCODE_CLOSE:
            raise ProtocolException(f"reserved opcode {opcode:#x}")
        if first & 0x30:
            raise ProtocolException("reserved bits are set that no extension has defined")
        if first & 0x40 and (self.inflater is None or opcode not in (OPCODE_TEXT, OPCODE_BINARY)):
            raise ProtocolException("RSV1 is set on a frame that cannot be compressed")
        if bool(second & 0x80) != self.expect_masking:
            raise ProtocolException(
                "frame is not masked" if self.expect_masking else "frame is masked by a server"
            )
        if opcode & 0x08:
            if not first & 0x80:
                raise ProtocolException("fragmented control frame")
            if second & 0x7F > 125:
                raise ProtocolException("control frame longer than 125 bytes")
        elif opcode == OPCODE_CONTINUATION:
            if self._message is None:
                raise ProtocolException("continuation frame without a message to continue")
        elif self._message is not None:
            raise ProtocolException("new message in the middle of a fragmented one")

    def _long_length(self, marker: int, position: int) -> int:
        """The extended payload length, which has to be the shortest form of itself."""
        buffer = self._buffer
        if marker == 126:
            length = buffer[position] << 8 | buffer[position + 1]
            if length < 126:
                raise ProtocolException("payload length not in its shortest form")
            return length
        # The top bit first: beyond it the number would not fit a signed 64-bit integer.
        if buffer[position] & 0x80:
            raise ProtocolException("payload length with its top bit set")
        length = int.from_bytes(buffer[position : position + 8], "big")
        if length < 65536:
            raise ProtocolException("payload length not in its shortest form")
        return length

    def _check_size(self, first: int, length: int) -> None:
        """Refuse too large a message before a byte of it is stored (close code 1009)."""
        limit = self.max_size
        if limit == NO_LIMIT:
            return
        message = self._message
        if first & 0x40 or (message is not None and message.inflater is not None):
            # The inflated size counts, and is bounded while inflating; here only the absurd.
            # (Taken from the length: added to the limit, the largest would wrap round in C.)
            length -= (length >> 7) + DEFLATE_SLACK
        elif message is not None:
            limit -= message.size
        if length > limit:
            raise FrameTooLargeException(f"message is over the limit of {self.max_size} bytes")

    # Reading a payload

    def _take_control(self, first: int, start: int, stop: int, masked: int) -> None:
        buffer = self._buffer
        self.opcode = first & 0x0F
        self.payload = unmask(buffer, start, stop) if masked else part(buffer, start, stop)
        self.text = None

    def _begin_fragment(self, first: int, start: int, length: int, masked: int) -> None:
        """Enter a data frame that is fragmented, compressed or not wholly here yet."""
        message = self._message
        if message is None:
            inflater = self.inflater if first & 0x40 else None
            message = self._message = Assembly(first & 0x0F, inflater, self.max_size)
            if not self.check_text:
                message.utf8 = None
        message.fragments += 1
        if message.fragments > self.max_fragments + message.size // FRAGMENT_FLOOR:
            raise FrameTooLargeException(
                f"message in more than {message.fragments - 1} fragments for {message.size} bytes"
            )
        self._fin = bool(first & 0x80)
        self._remaining = length
        self._key = self._buffer[start - 4 : start] if masked else b""
        self._position = start
        self._in_frame = True
        here = self._end - start
        if COMPILED and first == 0x82 and length >= BODY_SIZE and length > here:
            message.make_room(length, here)

    def _read_payload(self) -> bool:
        """Move what is here of the frame's payload to its message; whether that was all."""
        available = self._end - self._position
        take = min(self._remaining, available)
        if take:
            start = self._position
            message = self._message
            assert message is not None
            if message.body is not None:
                self._fill_body(message, take)
                return self._remaining == 0
            if self._key:
                piece = unmask_part(self._buffer, start, start + take, self._key)
                self._key = rotate(self._key, take)
            else:
                piece = self._buffer[start : start + take]
            self._position += take
            self._remaining -= take
            message.add(piece)
        return self._remaining == 0

    def _fill_body(self, message: Assembly, take: int) -> None:
        """Move ``take`` bytes to where the payload is collected. Compiled only."""
        start = self._position
        assert message.body is not None
        if take > len(message.body) - message.size:
            message.make_room(message.size + self._remaining, take)
        body, filled, key = message.body, message.size, self._key
        if key:
            unmask_into(body, filled, self._buffer, start, take, key)  # type: ignore[name-defined] # noqa: F821
        else:
            copy(body, filled, self._buffer, start, take)  # type: ignore[name-defined] # noqa: F821
        self._position += take
        self._fill_more(message, take)

    def _fill_more(self, message: Assembly, size: int) -> None:
        """``size`` more bytes are where they belong, unmasked."""
        if self._key:
            self._key = rotate(self._key, size)
        message.size += size
        self._remaining -= size

    def _end_fragment(self) -> bool:
        """Leave the frame; whether it was the last of its message."""
        self._in_frame = False
        message = self._message
        assert message is not None
        if self.piecewise and not (self._fin and message.fragments == 1):
            self._give_fragment(message)
            return True
        if not self._fin:
            return False
        self._message = None
        self._large = message.body is not None and len(message.body) >= READ_APART
        self.opcode = message.opcode
        self.payload = message.finish()
        self.text = None
        return True

    def _give_fragment(self, message: Assembly) -> None:
        self.opcode = OPCODE_CONTINUATION
        self.fragment_of = message.opcode
        self.fragment_opcode = message.opcode if message.fragments == 1 else OPCODE_CONTINUATION
        self.payload = message.finish() if self._fin else b"".join(message.pieces)
        self.text = None
        message.pieces = []
        if self._fin:
            self._message = None

    def _decode(self, payload: bytes) -> str:
        try:
            return payload.decode()
        except UnicodeDecodeError as exc:
            raise TextFrameEncodingException(f"text is not valid UTF-8: {exc.reason}") from None

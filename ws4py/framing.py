"""Single frames: the 0.6 vocabulary over ``protocol.wire`` and ``protocol.mask``.

For programs and tests that build or take apart one frame at a time (RFC 6455 section 5.2).
Connections do not use it. This module must never know messages.
"""

from __future__ import annotations

from collections.abc import Generator

from ws4py.exc import FrameTooLargeException, InvalidBytesError, ProtocolException
from ws4py.protocol.mask import mask
from ws4py.protocol.wire import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_CONTINUATION,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
)

__all__ = [
    "OPCODE_BINARY",
    "OPCODE_CLOSE",
    "OPCODE_CONTINUATION",
    "OPCODE_PING",
    "OPCODE_PONG",
    "OPCODE_TEXT",
    "Frame",
]

OPCODES = (
    OPCODE_CONTINUATION,
    OPCODE_TEXT,
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_PING,
    OPCODE_PONG,
)

#: RFC 6455 section 5.2: the most significant bit of a 64-bit length is 0.
TOO_LARGE = 1 << 63

Parser = Generator["int | None", bytes, None]


class Frame:
    """One frame, to be built from its parts or parsed into them. Not thread-safe.

    Everything is an attribute and may be set. Raises ``TypeError`` for a body that is not
    ``bytes``. ``payload_length`` is that of the body, or what ``parser`` has read of it.
    """

    def __init__(
        self,
        opcode: int | None = None,
        body: bytes = b"",
        masking_key: bytes | None = None,
        fin: int = 0,
        rsv1: int = 0,
        rsv2: int = 0,
        rsv3: int = 0,
    ) -> None:
        if not isinstance(body, bytes):
            raise TypeError(f"the body of a frame is bytes, not {type(body).__name__}")
        self.opcode = opcode
        self.body = body
        self.masking_key = masking_key
        self.fin = fin
        self.rsv1 = rsv1
        self.rsv2 = rsv2
        self.rsv3 = rsv3
        self.payload_length = len(body)
        self._parser: Parser | None = None
        self._received = bytearray()

    # Building

    def build(self) -> bytes:
        """The frame on the wire, its body masked if there is a ``masking_key``.

        Raises ``ValueError`` for a ``fin`` other than 0 or 1 or an opcode that is reserved, and
        ``FrameTooLargeException`` for a ``payload_length`` of 2**63 and more.
        """
        if self.fin not in (0, 1):
            raise ValueError(f"fin is 0 or 1, not {self.fin!r}")
        if self.opcode not in OPCODES:
            raise ValueError(f"opcode {self.opcode!r} is reserved or none")
        flags = self.fin << 7 | self.rsv1 << 6 | self.rsv2 << 5 | self.rsv3 << 4
        masked = 0x80 if self.masking_key else 0
        length = self.payload_length
        if length < 126:
            head = bytes((flags | self.opcode, masked | length))
        elif length < 1 << 16:
            head = bytes((flags | self.opcode, masked | 126)) + length.to_bytes(2, "big")
        elif length < TOO_LARGE:
            head = bytes((flags | self.opcode, masked | 127)) + length.to_bytes(8, "big")
        else:
            raise FrameTooLargeException(f"a frame of {length} bytes is not possible")
        if not self.masking_key:
            return head + self.body
        return head + self.masking_key + self.mask(self.body)

    def mask(self, data: bytes | bytearray) -> bytearray:
        """``data`` masked with ``masking_key``, as it is without one; does and undoes."""
        return bytearray(mask(data, self.masking_key) if self.masking_key else data)

    unmask = mask

    # Parsing

    @property
    def parser(self) -> Parser:
        """A generator that yields how many bytes it wants next and takes them with ``send()``.

        ``None`` instead of a number says that the frame is complete; what was sent beyond it is
        dropped. ``body`` is left masked. Raises ``ProtocolException`` and
        ``FrameTooLargeException`` out of ``send()`` as soon as the frame is known to be illegal.
        """
        if self._parser is None:
            self._parser = self._parse()
            next(self._parser)
        return self._parser

    def _parse(self) -> Parser:
        [first] = yield from self._take(1)
        self._set_flags(first)
        [second] = yield from self._take(1)
        self.payload_length = second & 0x7F
        if first & 0x08 and self.payload_length > 125:
            raise FrameTooLargeException("control frame longer than 125 bytes")
        if self.payload_length > 125:
            extended = yield from self._take(2 if self.payload_length == 126 else 8)
            self._set_length(int.from_bytes(extended, "big"))
        if second & 0x80:
            self.masking_key = yield from self._take(4)
        self.body = yield from self._take(self.payload_length)
        self._received.clear()
        yield None

    def _take(self, size: int) -> Generator[int, bytes, bytes]:
        received = self._received
        while len(received) < size:
            data = yield size - len(received)
            if isinstance(data, str):
                raise InvalidBytesError("frames are made of bytes, not of str")
            received += data or b""
        taken = bytes(received[:size])
        del received[:size]
        return taken

    def _set_flags(self, first: int) -> None:
        self.fin = first >> 7
        self.rsv1 = first >> 6 & 1
        self.rsv2 = first >> 5 & 1
        self.rsv3 = first >> 4 & 1
        self.opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolException("reserved bits are set that no extension has defined")
        if self.opcode not in OPCODES:
            raise ProtocolException(f"reserved opcode {self.opcode:#x}")
        if first & 0x08 and not self.fin:
            raise ProtocolException("fragmented control frame")

    def _set_length(self, length: int) -> None:
        """Take over an extended length, which has to be the shortest form of itself."""
        if length >= TOO_LARGE:
            raise FrameTooLargeException("payload length with its top bit set")
        if length < (126 if self.payload_length == 126 else 1 << 16):
            raise ProtocolException("payload length not in its shortest form")
        self.payload_length = length

    def _cleanup(self) -> None:
        """Give up parsing."""
        if self._parser is not None:
            self._parser.close()
            self._parser = None
        self._received.clear()

"""Streams: the 0.6 vocabulary over ``protocol.connection``.

``WebSocket.stream`` is one. What a connection does is all in ``Connection``; here are the names
by which programs for ws4py 0.6 read it, make messages, or parse frames without a connection.
This module must never know sockets, threads, hooks or frameworks.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ws4py.exc import ProtocolException
from ws4py.messaging import (
    BinaryMessage,
    CloseControlMessage,
    Message,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
)
from ws4py.protocol.connection import NO_STATUS, Connection
from ws4py.protocol.wire import OPCODE_TEXT

__all__ = ["Stream"]

#: RFC 6455 section 7.4.1, as 0.6 had them. ``Connection`` also takes those registered since.
VALID_CLOSING_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011]

Parser = Generator[int, bytes, None]

#: What stands for a list that nobody has looked at yet.
UNTOUCHED = ()


class Stream(Connection):
    """The protocol of one end of a connection, with the names that ws4py 0.6 gave it.

    ``always_mask`` says that what is sent is masked, as a client's frames are;
    ``expect_masking`` that what is received has to be, as a server's peer's.

    Bytes sent to ``parser`` become ``message``, ``pings``, ``pongs``, ``closing`` and
    ``errors``. Where a ``WebSocket`` drives the stream, the hooks get the messages instead, and
    only ``closing`` is set.
    """

    __slots__ = ("_closing", "_errors", "_parser", "_pings", "_pongs", "message")

    def __init__(self, always_mask: bool = False, expect_masking: bool = True) -> None:
        super().__init__(client=always_mask)
        self.expect_masking = expect_masking
        #: The data message that the parser has met last; set it to ``None`` when done with it.
        #: While fragments come in, it is not ``completed`` and has no data yet.
        self.message: Message | None = None
        self._closing: CloseControlMessage | None = None
        self._parser: Parser | None = None
        # Lists when first looked at: one of ten thousand streams has none of these.
        self._errors: Any = UNTOUCHED
        self._pings: Any = UNTOUCHED
        self._pongs: Any = UNTOUCHED

    @property
    def errors(self) -> list[CloseControlMessage]:
        """Close messages that answer what the parser has found wrong."""
        if self._errors is UNTOUCHED:
            self._errors = []
        errors: list[CloseControlMessage] = self._errors
        return errors

    @property
    def pings(self) -> list[PingControlMessage]:
        """What the parser has received; nobody but the caller takes them out."""
        if self._pings is UNTOUCHED:
            self._pings = []
        pings: list[PingControlMessage] = self._pings
        return pings

    @property
    def pongs(self) -> list[PongControlMessage]:
        """What the parser has received; nobody but the caller takes them out."""
        if self._pongs is UNTOUCHED:
            self._pongs = []
        pongs: list[PongControlMessage] = self._pongs
        return pongs

    # -- received --------------------------------------------------------------------------

    @property
    def has_message(self) -> bool:
        """Whether the parser has completed a data message."""
        return self.message is not None and self.message.completed

    @property
    def closing(self) -> CloseControlMessage | None:
        """The peer's close frame, if one has come; its code is 1005 when it had none."""
        if self._closing is None and self.close_info is not None and self.close_info.received:
            self._closing = CloseControlMessage(*self.close_info.received)
        return self._closing

    @closing.setter
    def closing(self, closing: CloseControlMessage | None) -> None:
        self._closing = closing

    @property
    def parser(self) -> Parser:
        """A generator that takes bytes with ``send()`` and sorts out what they contain.

        Each ``send()`` and ``next()`` goes as far as the end of a data message. What it yields
        is a number of bytes that is safe to wait for. The caller answers pings, close frames and
        errors; nothing comes of a stream after one of the latter two.
        """
        if self._parser is None:
            self._parser = self.receiver()
            next(self._parser)
        return self._parser

    def receiver(self) -> Parser:
        """The generator behind ``parser``."""
        while True:
            data = yield 1
            # memoryview() refuses what is not bytes; bytes() would make something of a number.
            self.receive_data(bytes(memoryview(data or b"")))
            while (event := self.next_event()) is not None:
                self._sort(event)
                if event is self.message:
                    break
            else:
                self._look_at_fragments()
            if not self.errors and isinstance(self.error, ProtocolException):
                self.errors.append(CloseControlMessage(self.error.code, str(self.error)))
            self.data_to_send()  # to answer is up to the caller

    def _sort(self, event: Message) -> None:
        if isinstance(event, PingControlMessage):
            self.pings.append(event)
        elif isinstance(event, PongControlMessage):
            self.pongs.append(event)
        elif isinstance(event, CloseControlMessage):
            self.closing = CloseControlMessage(event.code or NO_STATUS, event.reason)
        else:
            self.message = event

    def _look_at_fragments(self) -> None:
        begun = self._decoder._message
        if begun is not None and (self.message is None or self.message.completed):
            self.message = TextMessage("") if begun.opcode == OPCODE_TEXT else BinaryMessage()

    def _cleanup(self) -> None:
        """Let go of everything received."""
        if self._parser is not None:
            self._parser.close()
        self.message = self._closing = self._parser = None
        self._errors = self._pings = self._pongs = None

    # -- to be sent ------------------------------------------------------------------------

    def text_message(self, text: str | bytes | bytearray) -> TextMessage:
        """A text message, to become frames with ``single()`` or ``fragment()``."""
        return TextMessage(text)

    def binary_message(self, bytes: bytes | bytearray) -> BinaryMessage:
        """A binary message, to become frames with ``single()`` or ``fragment()``."""
        return BinaryMessage(bytes)

    def close(
        self, code: int | None = 1000, reason: str | bytes | None = ""
    ) -> CloseControlMessage:
        """A close message."""
        return CloseControlMessage(code, reason)

    def ping(self, data: str | bytes | bytearray = b"") -> bytes:
        """A ping frame."""
        return PingControlMessage(data).single(mask=self.always_mask)

    def pong(self, data: str | bytes | bytearray = b"") -> bytes:
        """A pong frame."""
        return PongControlMessage(data).single(mask=self.always_mask)

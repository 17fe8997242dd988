"""Messages: the vocabulary of what travels over a WebSocket (RFC 6455 section 5.4 to 5.6).

A message knows its kind and its content, and how to become frames. It must never know
connections, sockets, or who sends or receives it.
"""

from __future__ import annotations

from typing import Any

from ws4py.protocol.wire import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_CONTINUATION,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    encode_frame,
    new_key,
)

__all__ = [
    "BinaryMessage",
    "CloseControlMessage",
    "Message",
    "PingControlMessage",
    "PongControlMessage",
    "TextMessage",
]

#: RFC 6455 section 5.5: a control frame carries 125 bytes; a close frame spends two on its code.
MAX_CONTROL_PAYLOAD = 125


class Message:
    """One message, received or to be sent. ``data`` is always ``bytes``.

    ``str`` is encoded with ``encoding``, ``bytearray`` is copied; anything else raises
    ``TypeError``. A received message stays valid for as long as anybody keeps it.
    """

    __slots__ = ("_data", "_text", "completed", "encoding", "opcode")

    is_text = False
    is_binary = False

    def __init__(
        self, opcode: int, data: str | bytes | bytearray = b"", encoding: str | None = "utf-8"
    ) -> None:
        self.opcode = opcode
        self.encoding = encoding
        self.completed = False
        self._text: str | None = None
        self._data = self._to_bytes(data)

    def _to_bytes(self, data: Any) -> bytes:
        if isinstance(data, bytes):
            return data
        if isinstance(data, str):
            if self.encoding is None:
                raise TypeError(f"{type(self).__name__} takes bytes, not str")
            return data.encode(self.encoding)
        if isinstance(data, bytearray):
            return bytes(data)
        raise TypeError(f"{type(self).__name__} takes str, bytes or bytearray, not {type(data)!r}")

    @property
    def data(self) -> bytes:
        """The payload."""
        return self._data

    @data.setter
    def data(self, data: str | bytes | bytearray) -> None:
        self._data = self._to_bytes(data)
        self._text = None

    def extend(self, data: str | bytes | bytearray) -> None:
        """Append to the payload."""
        self._data += self._to_bytes(data)
        self._text = None

    def single(self, mask: bool = False) -> bytes:
        """The whole message as one frame."""
        return encode_frame(self.opcode, self._data, key=new_key() if mask else None)

    def fragment(self, first: bool = False, last: bool = False, mask: bool = False) -> bytes:
        """The payload as one fragment of a longer message (RFC 6455 section 5.4)."""
        opcode = self.opcode if first else OPCODE_CONTINUATION
        return encode_frame(opcode, self._data, fin=last, key=new_key() if mask else None)

    def __len__(self) -> int:
        return len(str(self))

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._data.decode(self.encoding or "utf-8", self._errors)
        return self._text

    __unicode__ = __str__

    #: Text is text or an error; what may be anything is shown as well as can be.
    _errors = "strict"

    def __repr__(self) -> str:
        data = self._data
        shown = repr(data) if len(data) <= 40 else f"{data[:30]!r}… {len(data)} bytes"
        return f"<{type(self).__name__} {shown}>"


class TextMessage(Message):
    """A text message; ``len()`` counts characters, ``str()`` is the text."""

    __slots__ = ()
    is_text = True

    def __init__(self, text: str | bytes | bytearray) -> None:
        super().__init__(OPCODE_TEXT, text)


class BinaryMessage(Message):
    """A binary message; ``len()`` counts bytes, ``str()`` shows them."""

    __slots__ = ()
    is_binary = True
    _errors = "backslashreplace"

    def __init__(self, bytes: bytes | bytearray = b"") -> None:
        super().__init__(OPCODE_BINARY, bytes, None)

    def __len__(self) -> int:
        return len(self._data)


class CloseControlMessage(Message):
    """A close frame. ``code`` is ``None`` and ``reason`` empty when it carries none.

    A reason that does not fit the frame is cut between two characters.
    """

    __slots__ = ("code", "reason")

    def __init__(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        if isinstance(reason, str):
            reason = reason.encode()
        # A peer may put anything into a reason; here it only has to fit and be readable.
        self.reason = (reason or b"")[: MAX_CONTROL_PAYLOAD - 2].decode("utf-8", "ignore")
        self.code = code or None
        data = self.code.to_bytes(2, "big") + self.reason.encode() if self.code else b""
        super().__init__(OPCODE_CLOSE, data)

    def __str__(self) -> str:
        return self.reason

    __unicode__ = __str__


class PingControlMessage(Message):
    """A ping; the peer answers with a pong of the same payload."""

    __slots__ = ()
    _errors = "backslashreplace"

    def __init__(self, data: str | bytes | bytearray | None = None) -> None:
        super().__init__(OPCODE_PING, data or b"")


class PongControlMessage(Message):
    """A pong: the answer to a ping, or unasked for a sign of life."""

    __slots__ = ()
    _errors = "backslashreplace"

    def __init__(self, data: str | bytes | bytearray | None = None) -> None:
        super().__init__(OPCODE_PONG, data or b"")


def received_text(data: bytes, text: str | None) -> TextMessage:
    """A ``TextMessage`` of bytes already known to be UTF-8. Skips what a user's own would check."""
    message = TextMessage.__new__(TextMessage)
    message.opcode = OPCODE_TEXT
    message.encoding = "utf-8"
    message.completed = True
    message._data = data
    message._text = text
    return message


def received_close(code: int | None, reason: str, data: bytes) -> CloseControlMessage:
    """A ``CloseControlMessage`` of a payload that is checked already, and what stands in it."""
    message = CloseControlMessage.__new__(CloseControlMessage)
    message.opcode = OPCODE_CLOSE
    message.encoding = "utf-8"
    message.completed = False
    message._data = data
    message._text = None
    message.code = code
    message.reason = reason
    return message


def received_binary(data: bytes) -> BinaryMessage:
    """A ``BinaryMessage`` of received bytes."""
    message = BinaryMessage.__new__(BinaryMessage)
    message.opcode = OPCODE_BINARY
    message.encoding = None
    message.completed = True
    message._data = data
    message._text = None
    return message

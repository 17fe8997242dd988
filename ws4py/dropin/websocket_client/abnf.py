"""Frames as websocket-client shows them, and its numbers.

What a frame looks like on the wire is ``ws4py.protocol.wire``'s. This module must never send one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ws4py.dropin.websocket_client.exceptions import (
    WebSocketPayloadException,
    WebSocketProtocolException,
)
from ws4py.messaging import MAX_CONTROL_PAYLOAD, Message
from ws4py.protocol.connection import is_valid_close_code
from ws4py.protocol.mask import mask
from ws4py.protocol.wire import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_CONTINUATION,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    encode_frame,
)

STATUS_NORMAL = 1000
STATUS_GOING_AWAY = 1001
STATUS_PROTOCOL_ERROR = 1002
STATUS_UNSUPPORTED_DATA_TYPE = 1003
STATUS_STATUS_NOT_AVAILABLE = 1005
STATUS_ABNORMAL_CLOSED = 1006
STATUS_INVALID_PAYLOAD = 1007
STATUS_POLICY_VIOLATION = 1008
STATUS_MESSAGE_TOO_BIG = 1009
STATUS_INVALID_EXTENSION = 1010
STATUS_UNEXPECTED_CONDITION = 1011
STATUS_SERVICE_RESTART = 1012
STATUS_TRY_AGAIN_LATER = 1013
STATUS_BAD_GATEWAY = 1014
STATUS_TLS_HANDSHAKE_ERROR = 1015

__all__ = [
    "ABNF",
    "STATUS_ABNORMAL_CLOSED",
    "STATUS_BAD_GATEWAY",
    "STATUS_GOING_AWAY",
    "STATUS_INVALID_EXTENSION",
    "STATUS_INVALID_PAYLOAD",
    "STATUS_MESSAGE_TOO_BIG",
    "STATUS_NORMAL",
    "STATUS_POLICY_VIOLATION",
    "STATUS_PROTOCOL_ERROR",
    "STATUS_SERVICE_RESTART",
    "STATUS_STATUS_NOT_AVAILABLE",
    "STATUS_TLS_HANDSHAKE_ERROR",
    "STATUS_TRY_AGAIN_LATER",
    "STATUS_UNEXPECTED_CONDITION",
    "STATUS_UNSUPPORTED_DATA_TYPE",
]


class ABNF:
    """A frame: ``fin``, ``opcode`` and ``data``, which is ``bytes`` where it was received."""

    OPCODE_CONT = OPCODE_CONTINUATION
    OPCODE_TEXT = OPCODE_TEXT
    OPCODE_BINARY = OPCODE_BINARY
    OPCODE_CLOSE = OPCODE_CLOSE
    OPCODE_PING = OPCODE_PING
    OPCODE_PONG = OPCODE_PONG
    OPCODES = (
        OPCODE_CONTINUATION,
        OPCODE_TEXT,
        OPCODE_BINARY,
        OPCODE_CLOSE,
        OPCODE_PING,
        OPCODE_PONG,
    )
    OPCODE_MAP = {  # noqa: RUF012 - the library's
        OPCODE_CONTINUATION: "cont",
        OPCODE_TEXT: "text",
        OPCODE_BINARY: "binary",
        OPCODE_CLOSE: "close",
        OPCODE_PING: "ping",
        OPCODE_PONG: "pong",
    }
    LENGTH_7 = 0x7E
    LENGTH_16 = 1 << 16
    LENGTH_63 = 1 << 63

    def __init__(
        self,
        fin: int = 0,
        rsv1: int = 0,
        rsv2: int = 0,
        rsv3: int = 0,
        opcode: int = OPCODE_TEXT,
        mask_value: int = 1,
        data: str | bytes | bytearray | None = "",
    ) -> None:
        self.fin = fin
        self.rsv1 = rsv1
        self.rsv2 = rsv2
        self.rsv3 = rsv3
        self.opcode = opcode
        self.mask_value = mask_value
        self.data: Any = "" if data is None else data
        self.get_mask_key: Callable[[int], str | bytes] = os.urandom

    @classmethod
    def received(cls, message: Message) -> ABNF:
        """A message of ours as the one frame that it may have been, or a fragment of one."""
        partial = not message.completed and (message.is_text or message.is_binary)
        return cls(not partial, 0, 0, 0, message.opcode, 0, message.data)

    @staticmethod
    def create_frame(data: str | bytes, opcode: int, fin: int = 1) -> ABNF:
        """A frame to be sent; text may be ``str``."""
        if isinstance(data, str) and opcode == OPCODE_TEXT:
            data = data.encode("utf-8")
        return ABNF(fin, 0, 0, 0, opcode, 1, data)

    def validate(self, skip_utf8_validation: bool = False) -> None:
        """Raise ``WebSocketProtocolException`` for a frame that may not be."""
        if self.rsv1 or self.rsv2 or self.rsv3:
            raise WebSocketProtocolException("rsv is not implemented, yet")
        if self.opcode not in ABNF.OPCODES:
            raise WebSocketProtocolException(f"Invalid opcode {self.opcode!r}")
        if self.opcode == OPCODE_PING and not self.fin:
            raise WebSocketProtocolException("Invalid ping frame.")
        if self.opcode == OPCODE_CLOSE and self.data:
            self._validate_close(skip_utf8_validation)

    def _validate_close(self, skip_utf8_validation: bool) -> None:
        data = bytes(self.payload)
        if len(data) == 1 or len(data) > MAX_CONTROL_PAYLOAD:
            raise WebSocketProtocolException("Invalid close frame.")
        if not skip_utf8_validation:
            try:
                data[2:].decode()
            except UnicodeDecodeError:
                raise WebSocketProtocolException("Invalid close frame.") from None
        code = int.from_bytes(data[:2], "big")
        if not is_valid_close_code(code):
            raise WebSocketProtocolException(f"Invalid close opcode {code!r}")

    @property
    def payload(self) -> bytes:
        """``data`` as it goes over the wire."""
        return self.data.encode() if isinstance(self.data, str) else bytes(self.data)

    def format(self) -> bytes:
        """The frame as it would go over the wire."""
        for bit in (self.fin, self.rsv1, self.rsv2, self.rsv3):
            if bit not in (0, 1):
                raise ValueError("not 0 or 1")
        if self.opcode not in ABNF.OPCODES:
            raise ValueError("Invalid OPCODE")
        if self.rsv2 or self.rsv3:
            raise ValueError("rsv2 and rsv3 belong to no extension that is known here")
        if len(self.data) >= ABNF.LENGTH_63:
            raise ValueError("data is too long")
        key = as_key(self.get_mask_key(4)) if self.mask_value else b""
        return encode_frame(self.opcode, self.payload, bool(self.fin), bool(self.rsv1), key)

    @staticmethod
    def mask(mask_key: str | bytes, data: str | bytes | None) -> bytes:
        """``data`` masked, or unmasked, with four bytes."""
        plain = data.encode("latin-1") if isinstance(data, str) else bytes(data or b"")
        return mask(plain, as_key(mask_key))

    def __str__(self) -> str:
        return f"fin={self.fin} opcode={self.opcode} data={self.data}"


def as_key(key: str | bytes) -> bytes:
    """A mask as bytes; the library takes text, too."""
    return key.encode("latin-1") if isinstance(key, str) else bytes(key)


def text_of(data: bytes) -> str:
    """Received text; it was not looked at before where the program said so."""
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise WebSocketPayloadException(f"cannot decode: {exc}") from None

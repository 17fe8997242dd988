"""The vocabulary of frames, as ``websockets.frames`` has it: opcodes, close codes, ``Close``.

Names only: frames themselves are made and read by ``ws4py.protocol.wire``, nowhere here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Close", "CloseCode", "Opcode"]


class Opcode(enum.IntEnum):
    """Kinds of frames (RFC 6455 section 11.8)."""

    CONT, TEXT, BINARY = 0x00, 0x01, 0x02
    CLOSE, PING, PONG = 0x08, 0x09, 0x0A


class CloseCode(enum.IntEnum):
    """Close codes (RFC 6455 section 11.7 and IANA's registry)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


#: What people are told about a code.
MEANINGS = {
    1000: "OK",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status received [internal]",
    1006: "abnormal closure [internal]",
    1007: "invalid frame payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS handshake failure [internal]",
}
#: Codes with which nothing went wrong.
OK_CLOSE_CODES = (
    CloseCode.NORMAL_CLOSURE,
    CloseCode.GOING_AWAY,
    CloseCode.NO_STATUS_RCVD,
)

CONT, TEXT, BINARY = Opcode.CONT, Opcode.TEXT, Opcode.BINARY
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG
#: Older names.
OP_CONT, OP_TEXT, OP_BINARY = CONT, TEXT, BINARY
OP_CLOSE, OP_PING, OP_PONG = CLOSE, PING, PONG
DATA_OPCODES, CTRL_OPCODES = (CONT, TEXT, BINARY), (CLOSE, PING, PONG)


@dataclass
class Close:
    """Code and reason of a close frame."""

    code: int
    reason: str

    def __str__(self) -> str:
        if 3000 <= self.code < 4000:
            meaning = "registered"
        elif 4000 <= self.code < 5000:
            meaning = "private use"
        else:
            meaning = MEANINGS.get(self.code, "unknown")
        return f"{int(self.code)} ({meaning}) {self.reason}".rstrip()

"""Frames that break a rule of RFC 6455, and the close code that answers each.

Each entry makes its bytes with ``frame(opcode, payload, **how)``, a maker of frames that are
masked as the sender's role wants it.
"""

from __future__ import annotations

from collections.abc import Callable

from rawpeer import BINARY, CLOSE, CONT, PING, TEXT, close_payload

Frame = Callable[..., bytes]

BROKEN: dict[str, tuple[Callable[[Frame], bytes], int]] = {
    "reserved opcode 3": (lambda frame: frame(3, b"?"), 1002),
    "reserved opcode 11": (lambda frame: frame(0xB, b""), 1002),
    "RSV1 without an extension": (lambda frame: frame(TEXT, b"?", rsv=4), 1002),
    "RSV2": (lambda frame: frame(TEXT, b"?", rsv=2), 1002),
    "RSV3 on a ping": (lambda frame: frame(PING, b"", rsv=1), 1002),
    "fragmented ping": (lambda frame: frame(PING, b"", fin=False), 1002),
    "long ping": (lambda frame: frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (lambda frame: frame(CONT, b"?"), 1002),
    "start within a message": (
        lambda frame: frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        1002,
    ),
    "length not in its shortest form": (lambda frame: frame(TEXT, b"abc", length_bytes=2), 1002),
    "length of 64 bits with the top bit": (lambda frame: frame(BINARY, b"", length=1 << 63), 1002),
    "close code of one byte": (lambda frame: frame(CLOSE, b"\x03"), 1002),
    **{
        f"close code {code}": (
            lambda frame, code=code: frame(CLOSE, close_payload(code)),  # type: ignore[misc]
            1002,
        )
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "close reason that is no UTF-8": (
        lambda frame: frame(CLOSE, close_payload(1000, b"\xff")),
        1007,
    ),
    "text that is no UTF-8": (lambda frame: frame(TEXT, b"\xff\xfe"), 1007),
    "text cut within a character": (lambda frame: frame(TEXT, b"\xc5"), 1007),
    "bad text in the first of two fragments": (lambda frame: frame(TEXT, b"\xc0", fin=False), 1007),
    "a surrogate": (lambda frame: frame(TEXT, b"\xed\xa0\x80"), 1007),
    "larger than the limit": (lambda frame: frame(BINARY, b"", length=1 << 40), 1009),
}

"""Masking: XOR with a four-byte key (RFC 6455 section 5.3).

Compiled, it is the loop in ``mask.pxd``; else wsaccel where that is installed, else plain Python
in the shape that suits the size. This module must never know frames, nor where keys come from.
"""

from __future__ import annotations

from typing import Any

try:
    from wsaccel.xormask import XorMaskerSimple as _Masker

    _masker: Any = _Masker
except ImportError:
    _masker = None

__all__ = ["mask", "rotate", "unmask", "unmask_part"]

#: Whether this module runs compiled, so that ``xor`` and ``xor_behind`` of ``mask.pxd`` are there.
COMPILED = not __file__.endswith((".py", ".pyc"))

# Microseconds per call (CPython 3.11, wsaccel 0.6.7, best of 7):
#
#                  16 B   64 B  256 B  384 B  1 KiB  16 KiB   1 MiB
#   one integer    0.69   0.84   0.82   1.38   2.4     29     3,090
#   four strides   1.6    1.7    1.0    1.11   1.8     18     1,190
#   wsaccel        0.53   0.34   0.44   0.51   0.90     9.2     570
#
# wsaccel wins at every size, so there is no size to choose by when it is there.

#: From this many bytes on, four strides beat one integer.
STRIDES = 384

_IDENTITY = int.from_bytes(bytes(range(256)), "little")
_ONES = int.from_bytes(b"\1" * 256, "little")

#: For each key byte the table by which ``bytes.translate`` masks. 64 KiB, made in 0.2 ms.
_TABLES = [(_IDENTITY ^ _ONES * byte).to_bytes(256, "little") for byte in range(256)]


def mask(data: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """``data`` masked with the four bytes of ``key``; the same call unmasks. Any thread."""
    if COMPILED and type(data) is bytes:
        result: bytes = xor(data, 0, len(data), key)  # type: ignore[name-defined] # noqa: F821
        return result
    if key == b"\0\0\0\0":
        return bytes(data)
    if _masker is not None:
        masked: bytes = _masker(key).process(data)
        return masked
    size = len(data)
    if size < STRIDES:
        mask_number = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(data, "little") ^ mask_number).to_bytes(size, "little")
    out = bytearray(data)
    out[0::4] = out[0::4].translate(_TABLES[key[0]])
    out[1::4] = out[1::4].translate(_TABLES[key[1]])
    out[2::4] = out[2::4].translate(_TABLES[key[2]])
    out[3::4] = out[3::4].translate(_TABLES[key[3]])
    return bytes(out)


def unmask(buffer: bytes, start: int, stop: int) -> bytes:
    """``buffer[start:stop]`` unmasked with the four bytes before it, as a frame has them."""
    if COMPILED:
        result: bytes = xor_behind(buffer, start, stop)  # type: ignore[name-defined] # noqa: F821
        return result
    return mask(buffer[start:stop], buffer[start - 4 : start])


def unmask_part(buffer: bytes, start: int, stop: int, key: bytes) -> bytes:
    """``buffer[start:stop]`` unmasked with ``key``."""
    if COMPILED:
        result: bytes = xor(buffer, start, stop, key)  # type: ignore[name-defined] # noqa: F821
        return result
    return mask(buffer[start:stop], key)


def rotate(key: bytes, n: int) -> bytes:
    """The key as it stands ``n`` bytes further on, for data that arrives in pieces."""
    turn = n & 3
    return key[turn:] + key[:turn]

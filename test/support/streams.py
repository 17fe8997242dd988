"""Random conversations, legal and not, for comparing two implementations of the protocol.

Everything comes from the ``random.Random`` that is given, so a seed names a stream. Plain code,
because a hundred thousand streams are made in one run; hypothesis has its own, in
``test_differential.py``. Shares no code with ws4py.
"""

from __future__ import annotations

import random
import zlib

#: Where the header changes its form, masking its word, text its last bytes; the long ones rarely.
SIZES = [*range(10), 15, 16, 17, 31, 32, 33, 63, 64, 65, *range(123, 130), 255, 256, 257, 1000]
LONG_SIZES = [65534, 65535, 65536, 65537, 70000]
#: What a header may claim without there being that much.
CLAIMS = [
    *(0, 1, 125, 126, 127, 128, 65535, 65536, 65537),
    *(2**e + d for e in (16, 24, 31, 32, 53, 62, 63) for d in (-1, 0, 1)),
    *(2**64 - 2, 2**64 - 1),
]
LIMITS = [
    *(None, None, None, 0, 1, 10, 125, 126, 300, 1000, 1000, 65535, 65536),
    *(2**31, 2**32, 2**62, 2**63 - 2, 2**63 - 1),
]
TEXTS = [s.encode() for s in ("", "x", "hello", "é", "€uro", "日本語", "😀", "a\0b", "\ufeff")]
BROKEN = [
    *(b"\x80", b"\xff", b"\xc0\x80", b"\xc3", b"\xc3\x28", b"\xe2\x82", b"\xf0\x9f\x98"),
    *(b"\xed\xa0\x80", b"\xed\xa0", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf4\x90", b"\xf8"),
    *(b"ok \xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80 no", b"\xe0\x80"),
]
CLOSES = [
    *(b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x03\xee", b"\0\0", b"\x03\xe7"),
    *(b"\x03\xf3\xff", b"\x0b\xb8\xc3\xa9", b"\x13\x87", b"\x13\x88", b"\xff\xff", b"\x03\xf0"),
    b"\x03\xe8" + b"r" * 123,
]
TAIL = b"\x00\x00\xff\xff"


def frame(
    first: int, payload: bytes, key: bytes | None, claim: int | None = None, form: int = 0
) -> bytes:
    """A frame whose header says whatever is asked for. ``form``: bytes of extended length."""
    length = len(payload) if claim is None else claim
    form = form or (0 if length < 126 else 2 if length < 65536 else 8)
    marker = {0: length & 0x7F, 2: 126, 8: 127}[form]
    head = bytes((first, marker | (0 if key is None else 0x80)))
    if form:
        head += (length & (1 << 8 * form) - 1).to_bytes(form, "big")
    if key is None:
        return head + payload
    size = len(payload)
    pad = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return head + key + (int.from_bytes(payload, "little") ^ pad).to_bytes(size, "little")


class Peer:
    """Makes what a peer sends: mostly what it may, now and then what it may not."""

    def __init__(self, rng: random.Random, *, masks: bool, deflates: bool, errs: float) -> None:
        self.rng = rng
        self.masks = masks
        self.errs = errs
        self.compressor = zlib.compressobj(1, zlib.DEFLATED, -9) if deflates else None
        self.open: bytes | None = None  # what is left of a fragmented message

    def stream(self, frames: int) -> bytes:
        """What it sends in so many frames, perhaps cut short, perhaps with noise at the end."""
        rng = self.rng
        data = b"".join([self.frame() for _ in range(frames)])
        luck = rng.random()
        if luck < 0.1:
            return data[: rng.randint(0, len(data))]
        if luck < 0.2:
            return data + rng.randbytes(rng.randint(1, 30))
        return data

    def key(self) -> bytes | None:
        rng = self.rng
        masks = self.masks
        if rng.random() < self.errs / 4:
            masks = not masks
        if not masks:
            return None
        return b"\0\0\0\0" if rng.random() < 0.1 else rng.randbytes(4)

    def payload(self, text: bool) -> bytes:
        rng = self.rng
        luck = rng.random()
        if text and luck < self.errs / 2:
            return rng.choice(TEXTS) * rng.randint(0, 3) + rng.choice(BROKEN) + rng.choice(TEXTS)
        if luck < 0.4:
            return b"".join(rng.choices(TEXTS, k=rng.randint(0, 9)))
        size = rng.choice(LONG_SIZES if luck > 0.995 else SIZES)
        if luck < 0.7:
            return (rng.choice(TEXTS[1:]) * (size // 2 + 1))[:size] if not text else b"t" * size
        return b"e" * size if text else rng.randbytes(size)

    def frame(self) -> bytes:
        rng = self.rng
        if rng.random() < self.errs:
            return self.wrong()
        if rng.random() < 0.2:
            return self.control()
        if self.open is not None:
            cut = rng.randint(0, len(self.open))
            now, rest = self.open[:cut], self.open[cut:]
            fin = rng.random() < 0.5
            self.open = None if fin else rest
            return frame(0x80 if fin else 0, now + rest if fin else now, self.key())
        text = rng.random() < 0.5
        first = 1 if text else 2
        payload = self.payload(text)
        if self.compressor is not None and rng.random() < 0.6:
            first |= 0x40
            payload = self.compressed(payload)
        if rng.random() < 0.6:
            return frame(0x80 | first, payload, self.key())
        cut = rng.randint(0, len(payload))
        self.open = payload[cut:]
        return frame(first, payload[:cut], self.key())

    def compressed(self, payload: bytes) -> bytes:
        assert self.compressor is not None
        rng = self.rng
        out = self.compressor.compress(payload) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        if rng.random() < self.errs and out:
            spoilt = bytearray(out)
            spoilt[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
            return bytes(spoilt)
        return out.removesuffix(TAIL) or b"\0"

    def control(self) -> bytes:
        rng = self.rng
        luck = rng.random()
        if luck < 0.05:
            return frame(0x88, rng.choice(CLOSES), self.key())
        size = rng.choice((0, 0, 4, 5, 124, 125))
        return frame(0x89 if luck < 0.6 else 0x8A, rng.randbytes(size), self.key())

    def wrong(self) -> bytes:
        """A frame that breaks a rule, or only looks as if."""
        rng = self.rng
        kind = rng.randrange(8)
        payload = self.payload(False)
        if kind == 0:  # any first byte
            return frame(rng.randrange(256), payload, self.key())
        if kind == 1:  # a length that is not there, or is too much
            first = rng.choice((0x81, 0x82, 1, 2, 0x80, 0, 0x88, 0x89, 0xC1, 0xC2))
            return frame(first, payload, self.key(), claim=rng.choice(CLAIMS))
        if kind == 2:  # not the shortest form
            form = rng.choice((2, 8))
            return frame(rng.choice((0x81, 0x82, 2, 0x80)), payload[:60000], self.key(), form=form)
        if kind == 3:  # out of order: a continuation of nothing, a message inside a message
            return frame(rng.choice((0, 0x80, 1, 2, 0x81, 0x82)), payload, self.key())
        if kind == 4:
            return rng.randbytes(rng.randint(1, 40))
        if kind == 5:  # a message that goes on with more than it may have
            first = frame(rng.choice((1, 2, 0x41)), payload, self.key())
            return first + frame(rng.choice((0, 0x80)), b"", self.key(), claim=rng.choice(CLAIMS))
        # many fragments of little
        count = rng.randint(2, 12)
        piece = payload[: rng.choice((0, 1, 63, 64))]
        first = [frame(rng.choice((1, 2)), piece, self.key())]
        return b"".join(first + [frame(0, piece, self.key()) for _ in range(count)])


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    """``data`` as a network might deliver it: at once, byte by byte, or anything between."""
    luck = rng.random()
    if luck < 0.3 or len(data) < 2:
        return [data]
    if luck < 0.45 and len(data) < 400:
        return [data[i : i + 1] for i in range(len(data))]
    cuts = sorted({rng.randrange(1, len(data)) for _ in range(rng.choice((1, 1, 2, 3, 8, 30)))})
    return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)])]

"""Where large payloads are put: in bytes that served before, once nobody else holds them.

Freed memory of that size the C library gives back to the system, so that each payload would pay
for fresh pages: 64 page faults for 256 KiB, half of the time that its echo takes. Kept are never
more bytes than were in use at one time, nor more than the limits below.

For the compiled build only, which may write to bytes that it has just made. This module must
never know what the bytes are for.
"""

from __future__ import annotations

__all__ = ["Storage"]

#: Whether this module runs compiled, so that the functions of ``storage.pxd`` are there.
COMPILED = not __file__.endswith((".py", ".pyc"))

#: Bytes objects smaller or larger than this are made and freed as ever.
LEAST = 64 << 10
MOST = 1 << 20

#: Of the others so many are kept, with so many bytes in all.
MAX_COUNT = 128
MAX_BYTES = 32 << 20

#: So many are looked at before another is made.
LOOKS = 8


class Storage:
    """Keeps bytes objects that it has given out, to give them out again. Holds the GIL."""

    __slots__ = ("_at", "_kept", "_sizes", "_total")

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._sizes: list[int] = []  # what they have room for
        self._total = 0
        self._at = 0

    def take(self, size: int) -> bytes:
        """Bytes of this size, whatever is in them, to be filled before anybody sees them."""
        if not COMPILED:
            return bytes(size)
        if size < LEAST or size > MOST:
            return fresh(size)  # type: ignore[name-defined,no-any-return] # noqa: F821
        count = len(self._kept)
        unfit = -1
        for _ in range(min(count, LOOKS)):
            at = self._at  # the one that was given out last is still in the processor's cache
            if alone(self._kept, at):  # type: ignore[name-defined] # noqa: F821
                if size <= self._sizes[at] <= 2 * size:
                    return again(self._kept[at], size)  # type: ignore[name-defined,no-any-return] # noqa: F821
                unfit = at
            self._at = at + 1 if at + 1 < count else 0
        made: bytes = fresh(size)  # type: ignore[name-defined] # noqa: F821
        if count < MAX_COUNT and self._total + size <= MAX_BYTES:
            self._kept.append(made)
            self._sizes.append(size)
            self._total += size
        elif unfit >= 0 and self._total - self._sizes[unfit] + size <= MAX_BYTES:
            self._total += size - self._sizes[unfit]
            self._kept[unfit] = made
            self._sizes[unfit] = size
        return made


#: That of the process; compiled modules have it by ``cimport``.
storage = Storage()

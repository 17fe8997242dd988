"""What time it is: seconds of a clock that is an argument everywhere, read as fast as can be.

Every segment that comes in asks once or twice. This module must never know what the time is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["read_clock"]

#: Whether this module runs compiled, so that ``clock_seconds`` of ``clock.pxd`` is there.
COMPILED = not __file__.endswith((".py", ".pyc"))

_MONOTONIC = time.monotonic


def read_clock(clock: Callable[[], float]) -> float:
    """``clock()``; for ``time.monotonic`` compiled on Linux, the system's clock behind it."""
    if COMPILED and direct_clock and clock is _MONOTONIC:  # type: ignore[name-defined] # noqa: F821
        return clock_seconds()  # type: ignore[name-defined,no-any-return] # noqa: F821
    return clock()

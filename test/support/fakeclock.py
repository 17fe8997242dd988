"""A clock that only moves when a test says so."""

from __future__ import annotations


class FakeClock:
    """Stands in for ``time.monotonic``: call it for the time, ``advance()`` it to let time pass.

    >>> clock = FakeClock(100.0)
    >>> clock.advance(2.5)
    102.5
    >>> clock()
    102.5
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` pass and return the new time. Time never goes back."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.now += seconds
        return self.now

    def advance_to(self, instant: float | None) -> float:
        """Jump to ``instant`` (a published deadline); fails when there is none."""
        if instant is None:
            raise AssertionError("there is no deadline to advance to")
        return self.advance(max(0.0, instant - self.now))

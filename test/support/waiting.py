"""Waiting for something to become true, with a deadline.

Prefer an event: ``wait_for(event)`` wakes at once. A condition is looked at again and again, for
what gives no sign (the number of threads, a line in a log).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

#: Seconds. Only ever spent by a test that is about to fail, so it may be generous.
TIMEOUT = 10.0


def wait_for(condition: Callable[[], Any] | threading.Event, timeout: float = TIMEOUT) -> Any:
    """Wait until ``condition`` holds and return its (true) value.

    ``condition`` is a ``threading.Event`` or a callable without arguments. Raises
    ``AssertionError`` after ``timeout`` seconds.
    """
    if isinstance(condition, threading.Event):
        if condition.wait(timeout):
            return True
        raise AssertionError(f"the event was not set within {timeout} s")
    deadline = time.monotonic() + timeout
    pause = threading.Event()  # waits without counting as a sleep that orders anything
    step = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{condition!r} was not true within {timeout} s, but {value!r}")
        pause.wait(step)
        step = min(step * 1.5, 0.05)

"""The lock of a connection: recursive, and as cheap as can be while nobody else wants it.

Every message takes it two or three times and hardly ever has to wait. This module must never know
what is locked.
"""

from __future__ import annotations

import _thread
import sys
import threading
from typing import Any

from ws4py.syscalls import patched, this_thread

__all__ = ["Lock", "native_lock", "new_lock"]

#: Whether this module runs compiled, so that no other Python code runs between two lines of it.
COMPILED = not __file__.endswith((".py", ".pyc"))

#: Whether the interpreter's lock is there. It may come back while a program runs, never go away.
GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()


class Lock:
    """A recursive lock that the interpreter's own lock makes safe: only for the compiled build.

    What every message passes through says ``acquire`` and ``release``: ``with`` is ten times
    as dear, because Cython looks up and calls what it stands for as the interpreter would.

    Where another thread has it, ``acquire`` waits at a gate; whoever sets the lock free while
    somebody waits opens the gate for one of them. Who comes by just then may be quicker, but only
    once: the interpreter changes threads where a system call is made, so a thread that sends and
    sends holds the lock whenever another one gets to run. Whoever has waited in vain goes first.
    """

    __slots__ = ("_count", "_gate", "_owner", "_starved", "_waiting")

    def __init__(self) -> None:
        self._owner = 0
        self._count = 0
        self._waiting = 0
        self._starved = 0
        self._gate: Any = None

    def acquire(self) -> None:
        """Take the lock, at once if this thread has it already."""
        me = this_thread()
        if self._count == 0:
            if self._starved:
                self._wait()
            self._owner = me
        elif self._owner != me:
            self._wait()
            self._owner = me
        self._count += 1

    def release(self) -> None:
        """Give it back as often as it was taken."""
        self._count -= 1
        if self._count == 0 and self._waiting:
            self._open_gate()

    def _wait(self) -> None:
        if self._gate is None:
            self._gate = threading.Lock()
            self._gate.acquire()
        in_vain = False
        try:
            while True:
                self._waiting += 1
                try:
                    self._gate.acquire()
                finally:
                    self._waiting -= 1
                if self._count == 0:
                    return
                if not in_vain:
                    in_vain = True
                    self._starved += 1
        finally:
            if in_vain:
                self._starved -= 1

    def _open_gate(self) -> None:
        if self._gate.locked():
            self._gate.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.release()


class SystemLock(Lock):
    """The same over one of the system's, where there is no interpreter's lock to rely on."""

    __slots__ = ("_lock",)

    def __init__(self, lock: Any) -> None:
        super().__init__()
        self._lock = lock

    def acquire(self) -> None:
        """Take the lock."""
        self._lock.acquire()

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


def new_lock() -> Any:
    """The cheapest recursive lock that is safe here, among threads as ``threading`` has them."""
    if not COMPILED:
        return threading.RLock()
    if patched() or not GIL:
        return SystemLock(threading.RLock())
    return Lock()


def native_lock() -> Any:
    """A recursive lock among the system's threads, even where greenlets pass for threads.

    For greenlets that never switch while they hold it.
    """
    lock = _thread.RLock()
    return SystemLock(lock) if COMPILED else lock

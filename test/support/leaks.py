"""What a test left behind: threads, and on Linux sockets, pipes and pollers."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: One thread of ours lives as long as the process: the alarm clock of all blocking connections.
EXEMPT_THREADS = ("ws4py-alarm",)
#: What a connection consists of. Plain files are left out: coverage and hypothesis keep some.
KINDS = ("socket:", "pipe:", "anon_inode:[event")
#: Seconds that a thread may still need to end after the test has.
GRACE = 3.0


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collector meanwhile: what is in a circle stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True)
class Snapshot:
    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]

    @classmethod
    def take(cls) -> Snapshot:
        return cls(frozenset(threading.enumerate()), frozenset(_descriptors()))


def leaked(before: Snapshot, grace: float = GRACE) -> list[str]:
    """Names of what is there now, was not there ``before``, and does not go within ``grace``."""
    left = _difference(before)
    if not left:
        return []
    deadline = time.monotonic() + grace
    for thread in threading.enumerate():
        if thread not in before.threads and thread.name not in EXEMPT_THREADS:
            thread.join(max(0.0, deadline - time.monotonic()))
    gc.collect()  # a cycle may hold a socket; if nobody closed it, ResourceWarning says so
    pause = threading.Event()
    while (left := _difference(before)) and time.monotonic() < deadline:
        pause.wait(0.01)
    return left


def _difference(before: Snapshot) -> list[str]:
    now = Snapshot.take()
    threads = [
        f"thread {thread.name}{' (daemon)' if thread.daemon else ''}"
        for thread in now.threads - before.threads
        if thread.name not in EXEMPT_THREADS
    ]
    descriptors = [f"descriptor {fd} {link}" for fd, link in now.descriptors - before.descriptors]
    return sorted(threads) + sorted(descriptors)


def _descriptors() -> list[tuple[int, str]]:
    found = []
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:  # not Linux
        return []
    for number in numbers:
        try:
            link = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the descriptor of the listing itself
            continue
        if link.startswith(KINDS):
            found.append((int(number), link))
    return found

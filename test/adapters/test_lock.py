"""The lock of a connection: what it promises to threads, whichever build it is."""

from __future__ import annotations

import select
import threading

import pytest

from ws4py.lock import SystemLock, new_lock

TIMEOUT = 10.0


@pytest.fixture(params=[new_lock, lambda: SystemLock(threading.RLock())], ids=["new", "system"])
def lock(request):
    return request.param()


def pause() -> None:
    """Let go of the interpreter for a moment, as every system call does."""
    select.select((), (), (), 0)


def test_it_is_recursive(lock):
    with lock:
        with lock:
            pass
        free = []
        thread = threading.Thread(target=lambda: (lock.acquire(), free.append(1), lock.release()))
        thread.start()
        pause()
        assert not free, "another thread came in while it was held"
    thread.join(TIMEOUT)
    assert free


def test_one_thread_at_a_time(lock):
    inside, most, done = [], [], 0

    def work():
        nonlocal done
        for _ in range(300):
            with lock:
                inside.append(1)
                pause()
                most.append(len(inside))
                inside.pop()
                done += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert (max(most), done) == (1, 1200)


def test_who_takes_it_again_and_again_does_not_keep_others_out(lock):
    """The interpreter changes threads in system calls, which a sender makes under the lock."""
    stop = threading.Event()
    begun = threading.Event()

    def hog():
        while not stop.is_set():
            with lock:
                begun.set()
                pause()

    thread = threading.Thread(target=hog)
    thread.start()
    got = []

    def ask():
        for _ in range(20):
            with lock:
                got.append(1)

    other = threading.Thread(target=ask)
    try:
        assert begun.wait(TIMEOUT)
        other.start()
        other.join(2.0)
        assert len(got) == 20
    finally:
        stop.set()
        thread.join(TIMEOUT)
        other.join(TIMEOUT)

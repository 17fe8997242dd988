"""The event loop under the manager: pollers, alarms, calls from elsewhere."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakeclock import FakeClock
from running import ROOT

from ws4py import manager, reactor
from ws4py.reactor import READ, WRITE, Channel, LegacyPoller, Reactor

POLLERS: dict[str, Callable[[], Any]] = {"select": reactor.SelectPoller}
if hasattr(select, "poll"):
    POLLERS["poll"] = reactor.PollPoller
if hasattr(select, "epoll"):
    POLLERS["epoll"] = reactor.EPollPoller
if hasattr(select, "kqueue"):
    POLLERS["kqueue"] = reactor.KQueuePoller


class OldStylePoller:
    """A poller of ws4py 0.6's kind, as applications brought their own."""

    def __init__(self) -> None:
        self.fds: list[int] = []

    def register(self, fd: int) -> None:
        self.fds.append(fd)

    def unregister(self, fd: int) -> None:
        self.fds.remove(fd)

    def poll(self) -> Iterator[int]:
        yield from select.select(self.fds, (), (), 0.05)[0]

    def release(self) -> None:
        self.fds.clear()


POLLERS["legacy"] = lambda: LegacyPoller(OldStylePoller())


@pytest.fixture(params=POLLERS)
def poller(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = POLLERS[request.param]()
    yield made
    made.release()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        b.setblocking(False)
        yield a, b


def test_reports_what_can_be_read(poller: Any, pair: tuple[socket.socket, socket.socket]) -> None:
    a, b = pair
    poller.register(a.fileno())
    assert list(poller.wait(0)) == []
    b.send(b"x")
    assert [(fd, bool(events & READ)) for fd, events in poller.wait(1)] == [(a.fileno(), True)]
    poller.unregister(a.fileno())
    assert list(poller.wait(0)) == []


def test_reports_what_can_be_written(
    poller: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    a, _ = pair
    poller.register(a.fileno(), READ)
    poller.modify(a.fileno(), READ | WRITE)
    assert [(fd, bool(events & WRITE)) for fd, events in poller.wait(1)] == [(a.fileno(), True)]
    poller.modify(a.fileno(), READ)
    assert list(poller.wait(0)) == []


def test_reports_a_peer_that_hung_up_as_readable(
    poller: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    a, b = pair
    poller.register(a.fileno())
    b.close()
    assert any(fd == a.fileno() and events & ~WRITE for fd, events in poller.wait(1))


def test_unregistering_what_is_not_there_is_harmless(poller: Any) -> None:
    poller.unregister(12345)


def test_poll_of_0_6_gives_descriptors() -> None:
    poller = manager.SelectPoller(timeout=0)
    a, b = socket.socketpair()
    with a, b:
        poller.register(a.fileno())
        assert poller._fds == [a.fileno()]
        assert list(poller.poll()) == []
        b.send(b"x")
        assert list(poller.poll()) == [a.fileno()]


def test_select_refuses_descriptors_that_it_cannot_watch() -> None:
    poller = reactor.SelectPoller()
    with pytest.raises(ValueError, match="epoll"):
        poller.register(1024)
    assert list(poller.wait(0)) == []


@pytest.mark.parametrize("kind", ["select", "poll"])
def test_a_descriptor_closed_behind_its_back_is_dropped(kind: str) -> None:
    poller = POLLERS[kind]()
    a, b = socket.socketpair()
    poller.register(a.fileno())
    poller.register(b.fileno())
    fd = a.fileno()
    a.close()
    poller.wait(0)
    assert fd not in poller._interest
    # The peer is still served: it has hung up.
    assert [ready for ready, _ in poller.wait(1)] == [b.fileno()]
    b.close()


# -- the loop ------------------------------------------------------------------------------


class Recorder(Channel):
    """Writes down what it is told."""

    def __init__(self, log: list[str], name: str = "") -> None:
        super().__init__()
        self.log = log
        self.name = name

    def readable(self) -> None:
        self.log.append(self.name + "readable")

    def writable(self) -> None:
        self.log.append(self.name + "writable")

    def ring(self) -> None:
        self.log.append(self.name + "ring")


@pytest.fixture
def loop(clock: FakeClock) -> Iterator[Reactor]:
    made = Reactor(clock=clock)
    yield made
    made.release()


def test_alarms_ring_in_order_and_once(loop: Reactor, clock: FakeClock) -> None:
    log: list[str] = []
    first, second = Recorder(log, "1"), Recorder(log, "2")
    loop.set_alarm(second, clock() + 2)
    loop.set_alarm(first, clock() + 1)
    loop.turn(0)
    assert log == []
    clock.advance(5)
    loop.turn(0)
    loop.turn(0)
    assert log == ["1ring", "2ring"]


def test_an_alarm_set_anew_replaces_the_old_one(loop: Reactor, clock: FakeClock) -> None:
    log: list[str] = []
    channel = Recorder(log)
    loop.set_alarm(channel, clock() + 1)
    loop.set_alarm(channel, clock() + 10)
    clock.advance(5)
    loop.turn(0)
    assert log == []
    clock.advance(5)
    loop.turn(0)
    assert log == ["ring"]


def test_a_cancelled_alarm_keeps_nothing_alive(loop: Reactor, clock: FakeClock) -> None:
    channel = Recorder([])
    loop.set_alarm(channel, clock() + 20)
    loop.cancel_alarm(channel)
    gone = weakref.ref(channel)
    del channel
    assert gone() is None


def test_cancelled_alarms_do_not_ring_and_do_not_pile_up(loop: Reactor, clock: FakeClock) -> None:
    log: list[str] = []
    for _ in range(10000):
        channel = Recorder(log)
        loop.set_alarm(channel, clock() + 20)
        loop.cancel_alarm(channel)
    assert len(loop._alarms) < 200
    clock.advance(30)
    loop.turn(0)
    assert log == []


def test_an_error_in_one_channel_leaves_the_others_served(
    loop: Reactor, pair: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Channel):
        def readable(self) -> None:
            raise RuntimeError("broken channel")

    log: list[str] = []
    a, b = pair
    loop.register(a.fileno(), Broken())
    loop.register(b.fileno(), Recorder(log))
    a.send(b"x")
    b.send(b"x")
    loop.turn(1)
    assert log == ["readable"]
    assert "broken channel" in caplog.text
    log.clear()
    loop.turn(0)
    assert log == ["readable"]  # and the broken one is not watched any more


def test_a_call_from_another_thread_wakes_it(poller: Any) -> None:
    loop = Reactor(poller)
    done = threading.Event()
    thread = threading.Thread(target=loop.run)
    thread.start()
    loop.call_soon(done.set)
    assert done.wait(5)
    loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    loop.unregister(loop._waker.fileno())
    loop._waker.close()


def test_an_alarm_in_the_far_future_is_waited_for(poller: Any) -> None:
    """Pollers count milliseconds in 32 bits: 25 days are too many."""
    loop = Reactor(poller)
    loop.set_alarm(Channel(), loop.clock() + 1e10)
    thread = threading.Thread(target=loop.run)
    thread.start()
    for _ in range(2):  # for the second call it has waited
        done = threading.Event()
        loop.call_soon(done.set)
        assert done.wait(5)
    loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    loop.unregister(loop._waker.fileno())
    loop._waker.close()


def test_a_socket_registered_by_another_thread_is_served_at_once(
    poller: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    loop = Reactor(poller)
    a, b = pair
    seen = threading.Event()

    class Reader(Channel):
        def readable(self) -> None:
            a.recv(10)
            seen.set()

    started = threading.Event()
    loop.call_soon(started.set)
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert started.wait(5)
    b.send(b"x")
    loop.register(a.fileno(), Reader())
    assert seen.wait(5)
    loop.stop()
    thread.join(5)
    loop.unregister(a.fileno())
    loop.unregister(loop._waker.fileno())
    loop._waker.close()


def test_an_error_in_a_call_is_logged_and_survived(
    loop: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(log.append, "next")
    loop.turn(0)
    assert log == ["next"]
    assert "division by zero" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_handler_on_the_loops_own_thread_ends_its_wait() -> None:
    script = """
import os, signal, threading, time
from ws4py.reactor import Reactor
loop = Reactor()
signal.signal(signal.SIGTERM, lambda *_: loop.call_soon(loop.stop))
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
loop.run()
print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert done.stdout == "ended\n", done.stderr


def test_the_alarm_thread_is_one_for_the_process() -> None:
    assert reactor.alarm() is reactor.alarm()
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("ws4py-alarm") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_gets_an_alarm_thread_of_its_own() -> None:
    script = """
import os, threading
from ws4py.reactor import alarm
alarm()
pid = os.fork()
if pid == 0:
    done = threading.Event()
    alarm().call_soon(done.set)
    os._exit(0 if done.wait(5) else 1)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    assert done.stdout == "0\n", done.stderr

"""When to connect again and when no more: a fake clock, loaded dice, no socket."""

from __future__ import annotations

import itertools
import random
import socket
import ssl

import pytest
from fakeclock import FakeClock

from ws4py.client.persistent import Stoppable, Stopped
from ws4py.client.reconnect import (
    DEFAULT,
    Attempts,
    Reconnect,
    incurable,
    keep_trying,
    policy_of,
    tell_nobody,
)
from ws4py.client.route import Wait
from ws4py.exc import ConnectionClosed, ConnectionTimeout, HandshakeError, ProxyError
from ws4py.protocol.connection import CloseInfo

REFUSED = ConnectionRefusedError(111, "refused")


def closed(code: int | None) -> CloseInfo:
    received = None if code is None else (code, "why")
    return CloseInfo(received, None, None, None, 0, 0, 0, 0, None)


def unlucky(**options) -> Reconnect:
    """The dice always show the ceiling."""
    return Reconnect(random=lambda: 1.0, **options)


# -- delays --------------------------------------------------------------------------------


def test_the_ceiling_doubles_up_to_the_longest():
    waits = unlucky(first=1, longest=30).waits()
    assert list(itertools.islice(waits, 8)) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_waits_are_spread_over_all_of_it():
    """Full jitter: evenly between 0 and the ceiling, whatever other clients do."""
    dice = random.Random(7)
    policy = Reconnect(first=1, longest=8, random=dice.random)
    rounds = [list(itertools.islice(policy.waits(), 6)) for _ in range(2000)]
    for ceiling, column in zip([1, 2, 4, 8, 8, 8], zip(*rounds, strict=True), strict=True):
        assert 0 <= min(column) < ceiling * 0.05
        assert ceiling * 0.95 < max(column) <= ceiling
        assert sum(column) / len(column) == pytest.approx(ceiling / 2, rel=0.05)


def test_ten_thousand_failures_overflow_nothing():
    attempts = Attempts(unlucky(first=1, longest=30))
    delays = [attempts.failed(REFUSED) for _ in range(10_000)]
    assert max(delays) == 30
    assert attempts.count == 10_000


def test_without_jitter_the_waits_are_the_ceilings():
    assert list(itertools.islice(Reconnect(jitter=False, first=3).waits(), 3)) == [3, 6, 12]


def test_any_iterable_of_delays_will_do():
    for given in ([1, 2, 5], (1, 2, 5), iter([1, 2, 5]), lambda: [1, 2, 5]):
        attempts = Attempts(Reconnect(delays=given))
        assert [attempts.failed(REFUSED) for _ in range(3)] == [1, 2, 5]
        with pytest.raises(ConnectionRefusedError):
            attempts.failed(REFUSED)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_delays_have_to_be_times(wrong):
    with pytest.raises(ValueError, match="delay"):
        Attempts(Reconnect(delays=[wrong])).failed(REFUSED)


# -- what is remembered --------------------------------------------------------------------


def test_a_connection_that_was_stable_lets_everything_begin_anew(clock):
    attempts = Attempts(unlucky(first=1, stable=10, clock=clock))
    assert [attempts.failed(REFUSED) for _ in range(3)] == [1, 2, 4]
    attempts.opened()
    clock.advance(9.9)
    assert attempts.failed(closed(1001)) == 8  # it was not worth much
    assert attempts.count == 4
    attempts.opened()
    clock.advance(10)
    assert attempts.failed(closed(1001)) == 1
    assert attempts.count == 1
    assert attempts.connections == 2


def test_a_server_that_accepts_and_drops_is_not_hammered(clock):
    attempts = Attempts(unlucky(first=1, longest=30, clock=clock))
    delays = []
    for _ in range(10):
        attempts.opened()
        clock.advance(0.1)
        delays.append(attempts.failed(closed(None)))
    assert delays[-3:] == [30, 30, 30]


def test_time_between_attempts_is_no_stability(clock):
    attempts = Attempts(unlucky(first=1, stable=10, clock=clock))
    attempts.opened()
    attempts.failed(closed(1001))
    clock.advance(1000)
    assert attempts.failed(REFUSED) == 2


# -- giving up -----------------------------------------------------------------------------


def test_so_many_attempts_in_a_row(clock):
    attempts = Attempts(unlucky(attempts=2, clock=clock))
    for _ in range(2):
        attempts.opened()
        clock.advance(100)
        attempts.failed(closed(None))  # attempt 1
        attempts.failed(REFUSED)  # attempt 2
        with pytest.raises(ConnectionRefusedError) as caught:
            attempts.failed(REFUSED)
        assert caught.value is REFUSED


def test_no_attempt_at_all():
    with pytest.raises(ConnectionClosed) as caught:
        Attempts(Reconnect(attempts=0)).failed(closed(1001))
    assert caught.value.close_info.code == 1001


def test_so_much_time(clock):
    attempts = Attempts(unlucky(first=4, total=10, clock=clock))
    assert attempts.failed(REFUSED) == 4
    clock.advance(4)
    assert attempts.failed(REFUSED) == 6  # not 8: the last attempt is made within the time
    clock.advance(6)
    with pytest.raises(ConnectionRefusedError):
        attempts.failed(REFUSED)


def test_a_rule_of_ones_own_is_asked_each_time():
    seen = []
    attempts = Attempts(Reconnect(give_up=lambda why: seen.append(why) or len(seen) == 2))
    attempts.failed(HandshakeError("no", 404))
    with pytest.raises(ConnectionRefusedError):
        attempts.failed(REFUSED)
    assert [type(why) for why in seen] == [HandshakeError, ConnectionRefusedError]


@pytest.mark.parametrize(
    "why",
    [
        REFUSED,
        ConnectionResetError(104, "reset"),
        TimeoutError(),
        ConnectionTimeout("too long"),
        OSError(113, "no route to host"),
        socket.gaierror(-2, "name not known"),
        FileNotFoundError(2, "no such socket"),
        ssl.SSLEOFError(8, "broke off"),
        HandshakeError("hung up"),
        HandshakeError("busy", 500),
        HandshakeError("busy", 503),
        HandshakeError("too many", 429),
        ProxyError("bad gateway", 502),
        closed(None),
        closed(1000),
        closed(1001),
        closed(1006),
        closed(1011),
        closed(1012),
        closed(1013),
    ],
    ids=repr,
)
def test_what_may_be_different_next_time(why):
    assert not incurable(why)


@pytest.mark.parametrize(
    "why",
    [
        HandshakeError("who?", 401),
        HandshakeError("no", 403),
        HandshakeError("nothing here", 404),
        HandshakeError("a page", 200),
        HandshakeError("wrong key", 101),
        HandshakeError("elsewhere", 302),
        HandshakeError("upgrade", 426),
        ProxyError("who?", 407),
        ssl.SSLCertVerificationError(1, "expired"),
        ssl.SSLError(1, "wrong version number"),
        PermissionError(13, "not yours"),
        ValueError("bad URL"),
        TypeError("bad option"),
        closed(3000),
        closed(3003),
    ],
    ids=repr,
)
def test_what_trying_again_cannot_cure(why):
    assert incurable(why)


# -- what it may be made of ----------------------------------------------------------------


def test_what_reconnect_may_be():
    assert policy_of(None) is policy_of(False) is None
    assert policy_of(True) is DEFAULT
    assert policy_of(DEFAULT) is DEFAULT
    assert list(policy_of([1, 2]).waits()) == [1, 2]
    with pytest.raises(TypeError, match="reconnect"):
        policy_of(5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1},
        {"longest": float("inf")},
        {"factor": 0.5},
        {"stable": float("nan")},
        {"attempts": -1},
        {"total": -1},
        {"queue": -1},
        {"when_full": "weep"},
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        Reconnect(**wrong)


# -- the loop ------------------------------------------------------------------------------


class Script:
    """Attempts that end as told, carried out with a clock that jumps over the waits."""

    def __init__(self, clock: FakeClock, outcomes: list) -> None:
        self.clock = clock
        self.outcomes = list(outcomes)
        self.began: list[float] = []
        self.told: list[tuple] = []

    def opening(self):
        self.began.append(self.clock())
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
        yield

    def tell(self, *what):
        self.told.append(what)
        return
        yield

    def run(self, attempts: Attempts, why=None):
        steps = keep_trying(attempts, self.opening, self.tell, why)
        try:
            step = next(steps)
            while True:
                assert isinstance(step, Wait)
                assert not step.sockets
                self.clock.advance(step.timeout)
                step = steps.send([])
        except StopIteration as end:
            return end.value


def test_two_hundred_losses_and_as_many_failures(clock):
    """No recursion (the stack is as deep at the end as at the beginning), every wait in bounds."""
    dice = random.Random(3)
    attempts = Attempts(Reconnect(first=1, longest=30, clock=clock, random=dice.random))
    why = None
    for n in range(200):
        failures = n % 7
        script = Script(clock, [REFUSED] * failures + ["open"])
        assert script.run(attempts, why) == "open"
        assert len(script.began) == failures + 1
        offset = 0 if why is None else 1
        for index, (attempt, delay, _) in enumerate(script.told):
            assert attempt == index + 1
            assert 0 <= delay <= min(30, 2**index)
        assert len(script.told) == failures + offset
        clock.advance(11)
        why = closed(None)
    assert attempts.connections == 200


def test_the_error_that_ends_it_is_the_last_one(clock):
    script = Script(clock, [REFUSED, HandshakeError("no", 403)])
    with pytest.raises(HandshakeError):
        script.run(Attempts(Reconnect(clock=clock)))
    assert len(script.began) == 2


def test_a_programmers_error_ends_it_at_once(clock):
    script = Script(clock, [KeyError("headers")])
    with pytest.raises(KeyError):
        script.run(Attempts(Reconnect(clock=clock)))


def test_what_stops_it_is_no_failure(clock):
    attempts = Attempts(unlucky(clock=clock))
    steps = keep_trying(attempts, Script(clock, [REFUSED]).opening, tell_nobody)
    assert isinstance(next(steps), Wait)
    with pytest.raises(Stopped):
        steps.throw(Stopped())
    assert attempts.count == 1


# -- being stopped -------------------------------------------------------------------------


class FakeNetwork:
    """Whatever is waited for, somebody says stop meanwhile."""

    def __init__(self) -> None:
        self.stoppable: Stoppable | None = None
        self.waits = 0

    def wait(self, sockets, timeout):
        self.waits += 1
        self.stoppable.stop()
        return list(sockets)

    def spawn(self, function):
        self.late = function  # the name server does not answer in time

    def carry_out(self, step):
        raise OSError(f"nobody waits for {step}")


def test_a_stop_ends_a_wait_and_a_look_up():
    from ws4py.client.route import LookUp

    def steps(step):
        yield step

    for step in (Wait({}, 3600), LookUp("name", 80, 3600)):
        network = FakeNetwork()
        network.stoppable = Stoppable(network)
        with pytest.raises(Stopped):
            network.stoppable.drive(steps(step))
        assert network.waits == 1
        if isinstance(step, LookUp):
            network.late()
        with pytest.raises(Stopped):  # and nothing is begun after it
            network.stoppable.drive(steps(step))
        assert network.waits == 1

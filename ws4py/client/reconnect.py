"""Connecting again: how long to wait, when to give up, and what has been tried so far.

One policy (``Reconnect``) and one account of the attempts (``Attempts``) for every client, and
one loop for them all: ``keep_trying()``, as steps that a driver carries out like those of
``client.route``. Nothing here waits, reads a clock or draws lots by itself: all of that is given.
"""

from __future__ import annotations

import math
import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

from ws4py.client.route import Steps, T, Wait
from ws4py.exc import ConnectionClosed, HandshakeError, WebSocketException
from ws4py.protocol.connection import CloseInfo

__all__ = [
    "DEFAULT",
    "Attempts",
    "Reconnect",
    "Reconnecting",
    "Why",
    "incurable",
    "keep_trying",
    "policy_of",
]

#: Why there is no connection: an attempt failed with this, or a connection ended like this.
Why = Union[Exception, CloseInfo]  # noqa: UP007 - evaluated at run time, on 3.10 too
#: What ``reconnect=`` takes.
Reconnecting = Union["Reconnect", Iterable[float], bool, None]

#: HTTP statuses below 500 that may be different next time: time-out, too early, too many.
PASSING = (408, 425, 429)
#: Close codes that say no for good: an extension is missing; unauthorized; forbidden (IANA).
FOR_GOOD = (1010, 3000, 3003)
#: TLS that broke off, which says nothing about the next time.
_BROKE_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def incurable(why: Why) -> bool:
    """Whether trying again cannot help, as far as one can tell.

    So it is with a bad URL and anything else that is wrong with the program, with a certificate
    that is not accepted, and with an answer below 500 (401, 403, 404, a web page, a 101 that is
    none), but for 408, 425 and 429. Refused connections, time-outs, names that are not found, 5xx
    and lost connections are worth another try.
    """
    if isinstance(why, CloseInfo):
        return why.received is not None and why.code in FOR_GOOD
    if isinstance(why, HandshakeError):
        return why.status is not None and why.status < 500 and why.status not in PASSING
    if isinstance(why, ssl.SSLError):
        passing = isinstance(why, _BROKE_OFF) or "INTERNAL_ERROR" in (why.reason or "")
        return not passing
    if isinstance(why, PermissionError):
        return True
    return not isinstance(why, OSError | WebSocketException)


@dataclass(frozen=True, kw_only=True)
class Reconnect:
    """When to connect again, and when no more. Times in seconds; share it as you like.

    The waits are drawn evenly between 0 and a ceiling that begins with ``first`` and grows by
    ``factor`` up to ``longest`` ("full jitter": a thousand clients of a server that went down do
    not come back all at once). ``delays`` are used instead, as they are; when they are used up,
    it is given up. Raises ``ValueError`` for values that make no sense.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 30.0
    #: Draw the waits; ``False``: wait as long as the ceiling says.
    jitter: bool = True
    #: Any iterable, or a function that gives one for each time that a connection is lost.
    delays: Iterable[float] | Callable[[], Iterable[float]] | None = None
    #: A connection that was open for so long was a good one: after it everything begins anew.
    stable: float = 10.0
    #: Attempts in a row that may fail; ``None``: any number.
    attempts: int | None = None
    #: Time in which one has to succeed; ``None``: for ever.
    total: float | None = None
    #: Asked after each failure: ``True`` gives up at once.
    give_up: Callable[[Why], bool] = incurable
    #: Messages, and bytes of them, that are kept while there is no connection. Clients with hooks
    #: only; 0: ``send()`` raises ``ConnectionClosed`` then.
    queue: int = 0
    queue_size: int = 512 * 1024
    #: When no more fit: raise ``ConnectionClosed`` from ``send()``, or forget one.
    when_full: Literal["refuse", "drop_oldest", "drop_newest"] = "refuse"
    clock: Callable[[], float] = time.monotonic
    #: Gives numbers from 0 to 1.
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        for name in ("first", "longest", "stable"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a time, not {getattr(self, name)!r}")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor must be 1 or more, not {self.factor!r}")
        if self.attempts is not None and self.attempts < 0:
            raise ValueError(f"attempts must not be negative, not {self.attempts!r}")
        if self.total is not None and not self.total >= 0:
            raise ValueError(f"total must be a time or None, not {self.total!r}")
        if self.queue < 0 or self.queue_size < 0:
            raise ValueError("queue and queue_size must not be negative")
        if self.when_full not in ("refuse", "drop_oldest", "drop_newest"):
            raise ValueError(
                f"when_full must be refuse, drop_oldest or drop_newest, not {self.when_full!r}"
            )

    def waits(self) -> Iterator[float]:
        """The waits between attempts, from the first on."""
        if self.delays is not None:
            return iter(self.delays() if callable(self.delays) else self.delays)
        return self._backoff()

    def _backoff(self) -> Iterator[float]:
        ceiling = min(self.first, self.longest)
        while True:
            yield ceiling * self.random() if self.jitter else ceiling
            ceiling = min(ceiling * self.factor, self.longest)


#: The policy of whoever does not choose one.
DEFAULT = Reconnect()


def policy_of(reconnect: Reconnecting) -> Reconnect | None:
    """What ``reconnect=`` says: a policy, delays, ``True`` for the default, or nothing."""
    if reconnect is None or reconnect is False:
        return None
    if reconnect is True:
        return DEFAULT
    if isinstance(reconnect, Reconnect):
        return reconnect
    if not isinstance(reconnect, Iterable):
        raise TypeError(
            f"reconnect has to be True, a Reconnect or an iterable of delays, not {reconnect!r}"
        )
    return Reconnect(delays=reconnect)


class Attempts:
    """What one client has tried. No clock, no lots of its own: the policy has them."""

    def __init__(self, policy: Reconnect) -> None:
        self.policy = policy
        #: The attempt that is made or waited for, since there was a good connection: 1, 2, …
        self.count = 0
        #: How many connections there were.
        self.connections = 0
        self._began: float | None = None
        self._opened_at: float | None = None
        self._waits = policy.waits()

    def opened(self) -> None:
        """There is a connection."""
        self.connections += 1
        self._opened_at = self.policy.clock()

    def failed(self, why: Why) -> float:
        """There is none, or none any more: seconds to wait before the next attempt.

        Raises ``why`` itself, or a ``ConnectionClosed`` that carries it, to give up.
        """
        policy, now = self.policy, self.policy.clock()
        if self._opened_at is not None and now - self._opened_at >= policy.stable:
            self.count, self._began = 0, None
            self._waits = policy.waits()
        self._opened_at = None
        if self._began is None:
            self._began = now
        self.count += 1
        left = math.inf if policy.total is None else self._began + policy.total - now
        too_many = policy.attempts is not None and self.count > policy.attempts
        delay = None if left <= 0 or too_many or policy.give_up(why) else next(self._waits, None)
        if delay is None:
            raise as_error(why)
        if not 0 <= delay < math.inf:
            raise ValueError(f"a delay has to be a time, not {delay!r}")
        return min(delay, left)


def as_error(why: Why) -> Exception:
    """What is raised when it is given up."""
    if isinstance(why, CloseInfo):
        ending = f"{why.code} {why.reason}".rstrip()
        return ConnectionClosed(f"the connection is closed ({ending})", why)
    return why


def keep_trying(
    attempts: Attempts,
    opening: Callable[[], Steps[T]],
    tell: Callable[[int, float, Why], Steps[object]],
    why: Why | None = None,
) -> Steps[T]:
    """Attempts, with waits between them, until one succeeds: what it ended in.

    ``opening()`` gives the steps of one attempt; ``tell(attempt, delay, why)`` those that tell
    the user about the next one. ``why`` says that there is to be a wait before the first. Raises
    the last failure when it is given up. To stop it, throw something that is no ``Exception``.
    """
    while True:
        if why is not None:
            delay = attempts.failed(why)
            yield from tell(attempts.count, delay, why)
            yield Wait({}, delay)
        try:
            opened = yield from opening()
        except Exception as exc:
            why = exc
        else:
            attempts.opened()
            return opened


def tell_nobody(attempt: int, delay: float, why: Why) -> Steps[Any]:
    """For clients without hooks."""
    return
    yield

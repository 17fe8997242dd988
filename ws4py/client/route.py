"""What a client's way to a server is made of: steps, time, the race to its addresses.

All of it are generators that never wait. They yield what has to be waited for, a ``LookUp`` or a
``Wait``, and are sent what came of it; ``client.attempt`` puts them together. ``client.dial``
carries the steps out on threads and greenlets, ``client.opening`` on asyncio loops. This module
must never know which of them, nor HTTP.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, Union

from ws4py.exc import ConnectionTimeout
from ws4py.protocol.config import Config
from ws4py.protocol.uri import Uri
from ws4py.reactor import READ, WRITE
from ws4py.transport import Handshake, feed_handshake

__all__ = [
    "CONNECT",
    "LOOK_UP",
    "OPENING",
    "PROXY",
    "TLS",
    "Await",
    "Deadline",
    "Exchange",
    "Limit",
    "LookUp",
    "Race",
    "Sockets",
    "Step",
    "Steps",
    "Wait",
    "Way",
    "broken",
    "evaluated",
    "exchange",
    "interleaved",
    "look_up",
    "not_connected",
    "wait_ready",
]

#: RFC 8305 section 5, the Connection Attempt Delay.
STAGGER = 0.25
IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
#: Addresses that an error text names.
MOST = 4


# -- the steps -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LookUp:
    """→ what ``getaddrinfo()`` gives for streams. ``OSError``; ``TimeoutError`` after a while."""

    host: str
    port: int
    timeout: float | None


@dataclass(frozen=True)
class Wait:
    """→ those sockets (with what they shall be ready for) that are; none when time has passed."""

    sockets: Mapping[Any, int]
    timeout: float | None


@dataclass(frozen=True)
class Await:
    """→ what it gives. ``TimeoutError`` after a while, ``TypeError`` where no loop runs."""

    awaitable: Awaitable[Any]
    timeout: float | None


Step = Union[LookUp, Wait, Await]  # noqa: UP007 - evaluated at run time, on 3.10 too
T = TypeVar("T")
#: What a driver carries out, and what it ends in.
Steps = Generator[Step, Any, T]


@dataclass(frozen=True)
class Sockets:
    """Whose sockets are made: Python's, unless told otherwise. Nothing here waits."""

    #: ``(family, kind, protocol)`` → a socket.
    socket: Callable[..., Any] = lambda *args: socket.socket(*args)
    #: ``(context, sock, **options)`` → the socket with TLS around it, its handshake to be done.
    wrap_tls: Callable[..., Any] = lambda context, sock, **how: context.wrap_socket(sock, **how)
    #: A connected socket of the user's → one of these.
    adopt: Callable[[Any], Any] = lambda sock: sock


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a client wants to get there."""

    ssl_options: Mapping[str, Any] = field(default_factory=dict)
    #: The URL of a proxy; ``True``: what the environment says; ``None``: none.
    proxy: str | bool | None = None
    #: For TLS with the proxy itself.
    proxy_ssl_options: Mapping[str, Any] = field(default_factory=dict)
    #: Connected already; whoever attempts owns it from then on.
    sock: Any = None
    #: Address and port of this machine to connect from.
    local_addr: tuple[Any, ...] | None = None
    #: Arguments of ``setsockopt()``, applied before connecting.
    socket_options: Sequence[tuple[Any, ...]] = ()

    def onward(self, before: Uri, after: Uri) -> Way:
        """For one attempt more, perhaps elsewhere: what was for one place only is left behind."""
        options = dict(self.ssl_options)
        if before.host != after.host:
            options.pop("server_hostname", None)
        return replace(self, sock=None, ssl_options=options)


# -- time ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """A part of the way that may take too long."""

    name: str
    advice: str
    #: The field of ``Config`` that bounds it besides ``open_timeout``.
    setting: str


LOOK_UP = Phase("the name look-up", "Does the name server answer?", "connect_timeout")
CONNECT = Phase(
    "the TCP connection", "Is the host up and the port not filtered?", "connect_timeout"
)
TLS = Phase("the TLS handshake", "Does the server speak TLS on this port?", "tls_timeout")
PROXY = Phase(
    "the answer of the proxy",
    "Is there a proxy of this kind, and does it reach the server?",
    "handshake_timeout",
)
OPENING = Phase(
    "the opening handshake", "Is this a WebSocket server, and not overloaded?", "handshake_timeout"
)
EVALUATION = Phase(
    "the function that gives the URL, headers or auth", "Whom does it ask?", "open_timeout"
)


class Deadline:
    """One moment by which all is to be done, and moments for its parts. For one opening."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.clock = clock
        timeout = config.open_timeout
        self._end = None if timeout is None else clock() + timeout

    def limit(self, phase: Phase, whom: str) -> Limit:
        """The limit of a phase that begins now; ``whom`` is for the error text."""
        seconds: float | None = getattr(self.config, phase.setting)
        end = None if seconds is None else self.clock() + seconds
        if end is None or (self._end is not None and self._end <= end):
            return Limit(phase, whom, self.config.open_timeout, "open_timeout", self._end, self)
        return Limit(phase, whom, seconds, phase.setting, end, self)


@dataclass(frozen=True)
class Limit:
    """Until when a phase may take."""

    phase: Phase
    whom: str
    seconds: float | None
    setting: str
    end: float | None
    deadline: Deadline

    def left(self) -> float | None:
        """Seconds that are left; raises ``ConnectionTimeout`` when there are none."""
        if self.end is None:
            return None
        left = self.end - self.deadline.clock()
        if left <= 0:
            raise self.missed()
        return left

    def missed(self) -> ConnectionTimeout:
        """The error that says which phase took too long."""
        return ConnectionTimeout(
            f"could not connect to {self.whom} within {self.seconds:g} s: {self.phase.name} took "
            f"too long. {self.phase.advice} Config.{self.setting} sets the time."
        )


def evaluated(given: Any, deadline: Deadline, whom: str) -> Steps[Any]:
    """What a function (or coroutine function) gives now; anything else is given already."""
    if not callable(given):
        return given
    value = given()
    if not inspect.isawaitable(value):
        return value
    limit = deadline.limit(EVALUATION, whom)
    try:
        return (yield Await(value, limit.left()))
    except TimeoutError:
        raise limit.missed() from None


# -- the way -------------------------------------------------------------------------------


class Race:
    """Happy Eyeballs (RFC 8305): one address after the other, without waiting for the slow.

    ``new_socket`` makes those that run, and may fail.
    """

    def __init__(
        self, addresses: Sequence[Any], new_socket: Callable[..., Any], limit: Limit
    ) -> None:
        self._left = list(addresses)
        self._new_socket = new_socket
        self._limit = limit
        self._clock = limit.deadline.clock
        self._running: dict[Any, Any] = {}
        self._failures: list[tuple[Any, OSError]] = []
        self._next_start = 0.0

    def run(self) -> Steps[Any]:
        winner = None
        try:
            while winner is None and (self._left or self._running):
                if self._left and (not self._running or self._clock() >= self._next_start):
                    winner = self._start(self._left.pop(0))
                else:
                    winner = self._winner((yield Wait(self._runners(), self._patience())))
        finally:
            self._running.pop(winner, None)
            for loser in self._running:
                loser.close()
        if winner is None:
            raise self._failure()
        return winner

    def _runners(self) -> dict[Any, int]:
        return dict.fromkeys(self._running, WRITE)

    def _patience(self) -> float | None:
        left = self._limit.left()
        if not self._left:
            return left
        stagger = max(0.0, self._next_start - self._clock())
        return stagger if left is None else min(left, stagger)

    def _start(self, found: Any) -> Any:
        """Begin with this address; gives the socket if it is connected at once."""
        family, kind, protocol, _, address = found
        self._next_start = self._clock() + STAGGER
        try:
            # The kind of machine may lack the family, and the local address be of another one.
            sock = self._new_socket(family, kind, protocol)
        except OSError as exc:
            self._lost(address, exc)
            return None
        code = sock.connect_ex(address)
        self._running[sock] = address
        return None if code in IN_PROGRESS else self._result(sock, code)

    def _winner(self, ready: Iterable[Any]) -> Any:
        winner = None
        for sock in ready:
            if winner is None:
                winner = self._result(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return winner

    def _result(self, sock: Any, code: int) -> Any:
        if not code:
            return sock
        self._lost(self._running.pop(sock), OSError(code, os.strerror(code)))
        sock.close()
        return None

    def _lost(self, address: Any, failure: OSError) -> None:
        self._failures.append((address, failure))
        self._next_start = 0.0  # whoever is next need not wait

    def _failure(self) -> OSError:
        failures = self._failures
        shown = [f"{printable(address)}: {exc.strerror}" for address, exc in failures[:MOST]]
        if len(failures) > MOST:
            shown.append(f"and {len(failures) - MOST} more")
        return not_connected(failures[-1][1].errno or 0, self._limit.whom, shown)


def look_up(host: str, port: int | None, limit: Limit) -> Steps[list[Any]]:
    """All addresses of a name, or an error that says what was looked for."""
    if is_literal(host):
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    try:
        found: list[Any] = list((yield LookUp(host, port or 0, limit.left())))
    except ConnectionTimeout:
        raise
    except TimeoutError:
        raise limit.missed() from None
    except UnicodeError as exc:
        raise no_address(OSError(errno.EINVAL, "no name is like that"), host, limit.whom) from exc
    except OSError as exc:
        raise no_address(exc, host, limit.whom) from exc
    if not found:
        raise no_address(OSError(errno.ENOENT, "it has no address"), host, limit.whom)
    return found


def is_literal(host: str) -> bool:
    """Whether the name is an address already, so that nobody has to be asked."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host.partition("%")[0])
            return True
    return False


def interleaved(addresses: Sequence[Any]) -> list[Any]:
    """The families by turns, beginning with the one that the system prefers (RFC 8305, 4)."""
    families: dict[int, list[Any]] = {}
    for found in addresses:
        families.setdefault(found[0], []).append(found)
    mixed: list[Any] = []
    for n in range(len(addresses)):
        mixed += [group[n] for group in families.values() if n < len(group)]
    return mixed


# -- what every exchange on a socket that does not block needs --------------------------------


class Exchange(Handshake, Protocol):
    """What says something and hears the answer, until it is done: an opening handshake, say."""

    done: bool

    @property
    def request(self) -> bytes:
        """What to say; something else later on, where an answer is answered."""


def exchange(sock: Any, machine: Exchange, limit: Limit) -> Steps[None]:
    """Send what there is to say, and feed what comes until it is done or time is up."""
    machine.deadline = limit.end
    said = None
    try:
        while not machine.done:
            if machine.request is not said:
                said = machine.request
                yield from send_all(sock, said, limit)
            try:
                feed_handshake(sock, machine)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield from wait_ready(sock, READ, limit)
            except ssl.SSLWantWriteError:
                yield from wait_ready(sock, WRITE, limit)
    except ConnectionTimeout:
        machine.tick()
        if not machine.done:
            raise


def send_all(sock: Any, data: bytes, limit: Limit) -> Steps[None]:
    """Write all of it. Who does not take it may have said why: that is to be read then."""
    rest = memoryview(data)
    while rest:
        try:
            sent = sock.send(rest)
            rest = rest[sent:]
            if not sent:  # gevent's way to say so, over TLS
                yield from wait_ready(sock, WRITE, limit)
        except (BlockingIOError, ssl.SSLWantWriteError):
            yield from wait_ready(sock, WRITE, limit)
        except ssl.SSLWantReadError:
            yield from wait_ready(sock, READ, limit)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            return


def wait_ready(sock: Any, events: int, limit: Limit) -> Steps[None]:
    """Until the socket is ready; raises ``ConnectionTimeout``."""
    if not (yield Wait({sock: events}, limit.left())):
        raise limit.missed()


# -- what to say ---------------------------------------------------------------------------


def printable(address: Any) -> str:
    """``host:port`` of a socket address."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def no_address(cause: OSError, host: str, whom: str) -> OSError:
    """The error of a name look-up, saying what to do."""
    return type(cause)(
        cause.errno,
        f"could not find the host {host!r} of {whom} ({cause.strerror or cause}): "
        "is the name spelled right, and is the network up?",
    )


def not_connected(code: int, whom: str, details: Sequence[str]) -> OSError:
    """The error of connecting, saying where and what to do."""
    reason = ", ".join(details) or os.strerror(code)
    advice = _ADVICE.get(code, "is the host up and reachable?")
    return OSError(code, f"could not connect to {whom} ({reason}): {advice}")


def broken(exc: OSError, whom: str) -> OSError:
    """The error of a connection that broke within a handshake, saying which it was."""
    text = f"the connection to {whom} broke ({exc.strerror or exc}): is the network up?"
    return type(exc)(exc.errno, text)


_ADVICE = {
    errno.ECONNREFUSED: "is it running, and is the port right?",
    errno.ECONNRESET: "is it running, and is the port right?",
    errno.ENOENT: "there is no such socket: is the server running?",
    errno.EACCES: "may this user use it?",
    errno.EPERM: "may this user use it?",
    errno.EADDRNOTAVAIL: "is local_addr an address of this machine?",
    errno.EADDRINUSE: "is the port of local_addr in use?",
}

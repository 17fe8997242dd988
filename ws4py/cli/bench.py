"""``ws4py bench``: a small load test for any server that sends every message back.

All connections are clients under one manager; everything that counts happens on its thread.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import random
import string
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ws4py.cli.common import (
    ABNORMAL,
    INTERRUPTED,
    USAGE,
    Failure,
    StopSignals,
    add_client_options,
    client_arguments,
    no_connection,
    seconds,
)
from ws4py.client import WebSocketBaseClient
from ws4py.exc import ConnectionClosed, WebSocketException
from ws4py.manager import WebSocketManager
from ws4py.messaging import Message
from ws4py.protocol.config import DEFAULT

__all__ = ["Histogram", "add_parsers"]

#: How many connections are being opened at once: enough for a distant server, harmless to any.
OPENERS = 16
#: Seconds between two looks at how it goes.
TICK = 0.25

EPILOG = """The server has to be an echo: `ws4py echo` is one. exit status: 0 measured, 1 could not
connect or not an echo, 2 wrong usage, 3 the server refused the opening handshake, 4 a connection
ended meanwhile"""


def add_parsers(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "bench",
        help="measure an echo server",
        description="Measure a server that sends every message back: messages per second, and how "
        "long each took. Ctrl-C ends it early.",
        epilog=EPILOG,
    )
    add_client_options(parser)
    parser.add_argument(
        "--connections", metavar="N", type=positive, default=10, help="default: %(default)s"
    )
    parser.add_argument(
        "--size", metavar="BYTES", type=size, default=128, help="of a message (default: 128)"
    )
    parser.add_argument(
        "--depth",
        metavar="N",
        type=positive,
        default=1,
        help="messages under way on each connection (default: %(default)s)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", type=seconds, default=5.0, help="how long (default: %(default)g)"
    )
    length.add_argument("--messages", metavar="N", type=positive, help="how many, instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def positive(text: str) -> int:
    """A number of things."""
    value = size(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"not a positive number: {text!r}")
    return value


def size(text: str) -> int:
    """A number of bytes."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"not a whole number: {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Open the connections, measure, close them, and say what came out."""
    with StopSignals() as signals:
        load = Load(options, signals.stop)
        try:
            load.begin()
            watch(load, signals)
        finally:
            load.end()
    if load.answered:
        found = load.figures()
        print(json.dumps(found) if options.json else as_text(found), flush=True)
    if load.failure is not None:
        raise load.failure
    return 0 if load.answered else INTERRUPTED


def watch(load: Load, signals: StopSignals) -> None:
    """Return when it is over: enough seconds or messages, an error, a signal, or no answers."""
    progress = Progress()
    answered, since = 0, load.clock()
    while not signals.wait(load.pause()):
        now = load.clock()
        if load.is_due(now):
            break
        if load.answered != answered or load.began is None:
            answered, since = load.answered, now
        elif now - since > load.options.timeout:
            load.fail(load.not_an_echo(f"nothing came back for {load.options.timeout:g} s"))
            break
        progress.show(load, now)
    progress.clear()


# -- the load ------------------------------------------------------------------------------


class EchoClient(WebSocketBaseClient):
    """One connection of the load; its manager's thread calls the hooks."""

    load: Load

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: When the messages that have not come back were sent.
        self.under_way: deque[float] = deque()

    def handshake_ok(self) -> None:
        """Let the manager drive it."""
        self.load.manager.add(self)

    def received_message(self, message: Message) -> None:
        """An echo, one hopes."""
        self.load.take(self, message.data)

    def closed(self, code: int, reason: str | None = None) -> None:
        """Over, perhaps too early."""
        self.load.lost(code, reason)


class Load:
    """Many connections that each keep some messages under way, and what came of it.

    ``on_end`` is called, from any thread, when there is nothing more to wait for.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        on_end: Callable[[], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.options = options
        self.clock = clock
        self.manager = WebSocketManager()
        self.latencies = Histogram()
        #: When the first message was sent, once all connections are open.
        self.began: float | None = None
        self.ended: float | None = None
        self.opened = 0
        self.answered = 0
        self.failure: Failure | None = None
        self._on_end = on_end
        self._unsent = math.inf if options.messages is None else options.messages
        # Letters at random, so that compression has something to do and is not flattered.
        letters = random.Random(0).choices(string.ascii_letters, k=options.size)
        self._payload = "".join(letters).encode()
        self._clients: list[EchoClient] = []
        self._opener = threading.Thread(target=self._open, name="opener")

    def begin(self) -> None:
        """Start to open the connections; what follows goes by itself. Raises ``Failure``."""
        arguments = client_arguments(self.options)
        room = self.options.size * self.options.depth
        # All that is under way may wait here; a limit is for what was not asked for.
        arguments["config"] = arguments["config"].replace(
            high_water=DEFAULT.high_water + room,
            max_message_size=max(self.options.size, DEFAULT.max_message_size or 0),
        )
        try:
            for _ in range(self.options.connections):
                client = EchoClient(self.options.url, **arguments)
                client.load = self
                self._clients.append(client)
        except ValueError as exc:
            raise Failure(exc, USAGE) from exc
        self.manager.start()
        self._opener.start()

    def _open(self) -> None:
        """The opener's thread: all connections, then the first messages."""
        try:
            with ThreadPoolExecutor(OPENERS) as pool:
                for _ in pool.map(self._connect, self._clients):
                    self.opened += 1
        except RuntimeError as exc:  # no more threads to be had
            self.fail(no_connection(exc))
        if self.ended is None:
            self.manager.reactor.call_soon(self._send_first)

    def _connect(self, client: EchoClient) -> None:
        if self.ended is not None:
            return
        try:
            client.connect()
        except (OSError, WebSocketException, ValueError) as exc:
            if isinstance(exc, OSError) and exc.errno == errno.EMFILE:
                self.fail(Failure("too many open files for that many connections: see ulimit -n"))
            else:
                self.fail(no_connection(exc))

    def end(self) -> None:
        """Stop measuring, close everything, and wait until that is done."""
        self._finish()
        if self._opener.ident is None:
            return
        self._opener.join()
        self.manager.close_all(1000, "")
        self.manager.wait_closed(self.options.timeout)
        self.manager.stop()
        self.manager.join()

    def _finish(self) -> None:
        if self.ended is None:
            self.ended = self.clock()
            self._on_end()

    def fail(self, failure: Failure) -> None:
        """It ends like this, unless it has ended."""
        if self.ended is None:
            self.failure = failure
            self._finish()

    # On the manager's thread

    def _send_first(self) -> None:
        self.began = self.clock()
        for _ in range(self.options.depth):
            for client in self._clients:
                try:
                    self._send(client)
                except ConnectionClosed:
                    return  # and lost() is told why

    def _send(self, client: EchoClient) -> None:
        if self._unsent and self.ended is None:
            self._unsent -= 1
            client.under_way.append(self.clock())
            client.send(self._payload)

    def take(self, client: EchoClient, data: bytes) -> None:
        """A message came: count it and send the next one."""
        if self.ended is not None:
            return
        if not client.under_way:
            self.fail(self.not_an_echo(f"{len(data):,} B came without having been asked for"))
        elif data != self._payload:
            sent, came = f"{len(self._payload):,} B", f"{len(data):,} B"
            self.fail(self.not_an_echo(f"{sent} were sent and {came} came back that differ"))
        else:
            self.latencies.add(self.clock() - client.under_way.popleft())
            self.answered += 1
            self._send(client)
            if self.answered == self.options.messages:
                self._finish()

    def lost(self, code: int, reason: str | None) -> None:
        """A connection is over."""
        text = f"{code} {reason or ''}".rstrip()
        self.fail(Failure(f"a connection to {self.options.url} ended: {text}", ABNORMAL))

    # For who watches

    def not_an_echo(self, what: str) -> Failure:
        """The failure of a server that does something else."""
        return Failure(
            f"{self.options.url} is not an echo: {what}. "
            "This needs a server that sends every message back, as `ws4py echo` does"
        )

    def pause(self) -> float:
        """Seconds until there is something to look at."""
        if self.began is None or self.options.messages is not None:
            return TICK
        left: float = self.began + self.options.seconds - self.clock()
        return min(TICK, max(0.001, left))

    def is_due(self, now: float) -> bool:
        """Whether it has taken as long as it should."""
        if self.began is None or self.options.messages is not None:
            return False
        return bool(now - self.began >= self.options.seconds)

    def figures(self) -> dict[str, Any]:
        """All results, as what JSON can hold. Times in milliseconds but for ``seconds``."""
        assert self.began is not None
        assert self.ended is not None
        length = max(self.ended - self.began, 1e-9)
        rate = self.answered / length
        return {
            "url": self.options.url,
            "connections": self.options.connections,
            "size": self.options.size,
            "depth": self.options.depth,
            "compressed": any(client.extensions for client in self._clients),
            "seconds": round(length, 3),
            "messages": self.answered,
            "messages_per_second": round(rate, 1),
            "megabytes_per_second": round(rate * self.options.size / 1e6, 3),
            "latency_ms": {
                name: round(value * 1e3, 4) for name, value in self.latencies.summary().items()
            },
        }


class Histogram:
    """Counts times in buckets that are 1.6 % wide: a bounded number of them, however many times."""

    PER_OCTAVE = 64
    #: 2**-31 s, half a nanosecond, to 2**33 s. What is outside counts at the edge.
    LOWEST, HIGHEST = -30, 33

    def __init__(self) -> None:
        self._counts = [0] * ((self.HIGHEST - self.LOWEST + 1) * self.PER_OCTAVE)
        self.total = 0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count ``value`` seconds."""
        mantissa, exponent = math.frexp(value)  # 0.5 <= mantissa < 1
        index = (exponent - self.LOWEST) * self.PER_OCTAVE
        index += int((mantissa - 0.5) * 2 * self.PER_OCTAVE)
        self._counts[min(max(index, 0), len(self._counts) - 1)] += 1
        self.total += 1
        self.largest = max(self.largest, value)

    def percentile(self, share: float) -> float:
        """The upper edge of the bucket below which this share of the times is; 0.0 for none."""
        wanted = share * self.total
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted and count:
                octave, step = divmod(index, self.PER_OCTAVE)
                edge = math.ldexp(0.5 + (step + 1) / 2 / self.PER_OCTAVE, octave + self.LOWEST)
                return min(edge, self.largest)
        return 0.0

    def summary(self) -> dict[str, float]:
        """What is told of it, in seconds."""
        shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
        found = {name: self.percentile(share) for name, share in shares.items()}
        return {**found, "max": self.largest}


# -- for people ----------------------------------------------------------------------------


class Progress:
    """A line about how it goes, where a person sits in front of it."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def show(self, load: Load, now: float) -> None:
        """Replace the line."""
        if not self._shown:
            return
        if load.began is None:
            text = f"{load.opened:,} of {load.options.connections:,} connections"
        else:
            rate = load.answered / max(now - load.began, 1e-9)
            text = f"{now - load.began:.1f} s · {load.answered:,} messages · {rate:,.0f}/s"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave no trace."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def as_text(found: dict[str, Any]) -> str:
    """The results in two lines."""
    latency = " · ".join(f"{name} {value:.3f} ms" for name, value in found["latency_ms"].items())
    plural = "s" if found["connections"] > 1 else ""
    compressed = ", compression negotiated" if found["compressed"] else ""
    return (
        f"{found['connections']:,} connection{plural} × {found['size']:,} B × {found['depth']:,} "
        f"under way{compressed}: {found['messages']:,} messages in {found['seconds']:.2f} s\n"
        f"{found['messages_per_second']:,.0f} messages/s · "
        f"{found['megabytes_per_second']:,.2f} MB/s each way · {latency}"
    )

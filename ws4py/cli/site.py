"""The demo's inside: an echo, a chat, and a page that shows what the server is doing.

Written with what every user of the package has: ``WebSocket`` subclasses and a
``process_request`` hook. Who is connected is kept here, under one lock, because hooks run on the
server's thread and figures are published by another.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from importlib import resources
from typing import Any, ClassVar
from urllib.parse import parse_qs

from ws4py.exc import WebSocketException
from ws4py.messaging import Message
from ws4py.protocol.handshake import Request, Response
from ws4py.protocol.headers import Headers
from ws4py.websocket import WebSocket

__all__ = ["SUBPROTOCOL", "Site"]

#: What the page asks for: entries as JSON. Whoever does not, a terminal say, gets plain text.
SUBPROTOCOL = "json"

#: Seconds between two points of the chart, and how many it has.
PERIOD = 1.0
POINTS = 60
#: Seconds between two refreshes that are caused by somebody coming or going.
REFRESH = 0.1
#: Latency is measured at every so many points of the chart, while somebody looks.
PING_EVERY = 5
#: Lines of the table; a page is no place for ten thousand.
MAX_ROWS = 100
#: Chat: what a newcomer gets to read, and how long a name and a message may be.
HISTORY = 50
NAME_SIZE = 24
TEXT_SIZE = 500

FIGURES = ("messages_in", "messages_out", "bytes_in", "bytes_out")


class Visitor(WebSocket):
    """One connection to the demo, whatever it came for."""

    site: Site
    number = 0
    since = 0.0
    #: Whether its messages count in the chart.
    counts: ClassVar[bool] = True

    def opened(self) -> None:
        """Show up in the table, with a latency."""
        self.site.arrived(self)
        with contextlib.suppress(WebSocketException):
            self.ping()

    def closed(self, code: int, reason: str | None = None) -> None:
        """Leave the table, not the totals."""
        self.site.left(self)

    def asked(self, name: str, size: int) -> str:
        """A parameter of the URL's query, made harmless."""
        query = (self.environ or {}).get("QUERY_STRING", "")
        return clean(parse_qs(query).get(name, [""])[0], size)


class Echo(Visitor):
    """Sends every message back."""

    def received_message(self, message: Message) -> None:
        """As it came."""
        self.send(message)


class Chat(Visitor):
    """Sends every message to everybody. ``/name Ada`` changes the name of who sends it."""

    name = ""

    def opened(self) -> None:
        """Say hello."""
        super().opened()
        self.name = self.asked("name", NAME_SIZE) or f"guest {self.number}"
        if self.subprotocol == SUBPROTOCOL:
            history = list(self.site.history)
            self.send(json.dumps({"kind": "welcome", "id": self.number, "history": history}))
        self.site.announce(f"{self.name} joined")

    def received_message(self, message: Message) -> None:
        """A new name, or something to pass on."""
        text = clean(str(message), TEXT_SIZE)
        if text.startswith("/name "):
            before, self.name = self.name, clean(text[6:], NAME_SIZE) or self.name
            self.site.announce(f"{before} is now {self.name}")
        elif text:
            self.site.pass_on(
                {
                    "kind": "said",
                    "id": self.number,
                    "name": self.name,
                    "text": text,
                    "at": time.time(),
                }
            )

    def closed(self, code: int, reason: str | None = None) -> None:
        """Say good bye."""
        super().closed(code, reason)
        self.site.announce(f"{self.name} left")


class Watcher(Visitor):
    """Gets the figures of the server; its own messages stay out of the chart."""

    counts = False


class Site:
    """What the visitors share. ``about`` is the line that says what serves them."""

    ENDPOINTS: ClassVar[dict[str, type[Visitor]]] = {
        "/": Echo,
        "/echo": Echo,
        "/chat": Chat,
        "/stats": Watcher,
    }

    def __init__(self, about: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.about = about
        self.clock = clock
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._lock = threading.Lock()
        self._visitors: dict[int, Visitor] = {}
        self._arrived = 0
        self._gone: Counter[str] = Counter()  # figures of those who have left
        self._gone_counted = 0
        self._started = self._sampled_at = clock()
        self._rates: deque[float] = deque([0.0] * POINTS, POINTS)
        self._samples = self._counted = 0
        self._page = resources.files("ws4py.cli").joinpath("page.html").read_bytes()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._publisher = threading.Thread(target=self._run, name="ws4py-demo", daemon=True)

    # -- for the server --------------------------------------------------------------------

    def process_request(self, request: Request) -> Response | None:
        """The page, or 404; ``None`` for what is left to the opening handshake."""
        if request.path not in self.ENDPOINTS:
            return Response.text(404, "Nothing here. The page is at /\n")
        if request.path != "/" or "Upgrade" in request.headers:
            return None
        headers = Headers(
            [
                ("Content-Type", "text/html; charset=utf-8"),
                ("Cache-Control", "no-store"),
                ("Content-Security-Policy", POLICY),
                ("X-Content-Type-Options", "nosniff"),
                # An isolated page is given a clock of microseconds, not of tenths of a millisecond.
                ("Cross-Origin-Opener-Policy", "same-origin"),
                ("Cross-Origin-Embedder-Policy", "require-corp"),
            ]
        )
        return Response(200, headers, self._page)

    def handler(self, sock: Any, protocols: Any, extensions: Any, environ: Any) -> Visitor:
        """The websocket of a new connection: which class depends on the path."""
        visitor = self.ENDPOINTS[environ["PATH_INFO"]](sock, protocols, extensions, environ)
        visitor.site = self
        return visitor

    # -- for the visitors ------------------------------------------------------------------

    def arrived(self, visitor: Visitor) -> None:
        """Somebody connected."""
        with self._lock:
            self._arrived += 1
            visitor.number, visitor.since = self._arrived, self.clock()
            self._visitors[visitor.number] = visitor
        self._news.set()

    def left(self, visitor: Visitor) -> None:
        """Somebody's connection ended."""
        with self._lock:
            if self._visitors.pop(visitor.number, None) is None:
                return  # never arrived: opened() failed
            self._gone.update(figures(visitor))
            self._gone_counted += counted(visitor)
        self._news.set()

    def visitors(self, kind: type[Visitor] = Visitor) -> list[Any]:
        """Who is there for ``kind``, in the order of their arrival."""
        with self._lock:
            return [each for each in self._visitors.values() if isinstance(each, kind)]

    def pass_on(self, entry: dict[str, Any]) -> None:
        """Something was said: to all, and to those who come later."""
        self.history.append(entry)
        send_to_all(self.visitors(Chat), json.dumps(entry), f"{entry['name']}: {entry['text']}")

    def announce(self, text: str) -> None:
        """Somebody came, went or has a new name."""
        if self._stopping.is_set():
            return  # all leave at once: nobody wants to read that
        people = self.visitors(Chat)
        entry = {"kind": "system", "text": text, "people": len(people)}
        send_to_all(people, json.dumps(entry), f"* {text}")

    # -- figures ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to publish figures."""
        self._publisher.start()

    def stop(self) -> None:
        """Publish no more."""
        self._stopping.set()
        self._news.set()
        self._publisher.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.wait(max(0.0, self._sampled_at + PERIOD - self.clock()))
            self._news.clear()
            self.refresh()
            # Ten thousand arrivals in a second shall not be ten thousand refreshes.
            self._stopping.wait(REFRESH)

    def refresh(self) -> None:
        """A point for the chart if it is time, and the figures to all who watch."""
        everybody = self.visitors()
        watchers = [each for each in everybody if isinstance(each, Watcher)]
        sampled = self._sample(everybody)
        if not watchers:
            return
        figures_now = json.dumps(self.snapshot(everybody))
        send_to_all(watchers, figures_now, figures_now)
        if sampled and self._samples % PING_EVERY == 0:
            # Last, so that this thread's own work is no part of what is measured.
            for each in everybody:
                with contextlib.suppress(WebSocketException):
                    each.ping()

    def _sample(self, everybody: list[Visitor]) -> bool:
        now = self.clock()
        passed = now - self._sampled_at
        if passed < PERIOD:
            return False
        total = self._gone_counted + sum(map(counted, everybody))
        self._rates.append(max(0, total - self._counted) / passed)
        self._counted, self._sampled_at = total, now
        self._samples += 1
        return True

    def snapshot(self, everybody: list[Visitor]) -> dict[str, Any]:
        """What the page shows, as what JSON can hold."""
        totals = Counter(self._gone)
        for each in everybody:
            totals.update(figures(each))
        now = self.clock()
        newest = everybody[: -MAX_ROWS - 1 : -1]
        return {
            "server": self.about,
            "uptime": now - self._started,
            "totals": {
                "open": len(everybody),
                "opened": self._arrived,
                **{name: totals[name] for name in FIGURES},
            },
            "rates": [round(rate, 1) for rate in self._rates],
            "connections": [row(each, now) for each in newest],
            "more": len(everybody) - len(newest),
        }


#: Nothing from elsewhere, and nobody may frame the page.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def figures(visitor: Visitor) -> dict[str, int]:
    """Messages and bytes, each way."""
    return {name: getattr(visitor.stats, name) for name in FIGURES}


def counted(visitor: Visitor) -> int:
    """Messages that count in the chart."""
    return visitor.stats.messages_in + visitor.stats.messages_out if visitor.counts else 0


def row(visitor: Visitor, now: float) -> dict[str, Any]:
    """A line of the table."""
    peer = visitor.peer_address
    extensions = visitor.extensions or ()
    return {
        "id": visitor.number,
        "peer": f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer or "unnamed"),
        "path": (visitor.environ or {}).get("PATH_INFO", ""),
        "tab": visitor.asked("tab", 16),
        "subprotocol": visitor.subprotocol,
        "compression": "deflate" if any("deflate" in each for each in extensions) else None,
        **figures(visitor),
        "latency": visitor.latency,
        "age": now - visitor.since,
    }


def send_to_all(visitors: list[Any], entry: str, text: str) -> None:
    """``entry`` to those who speak JSON, ``text`` to the others."""
    for each in visitors:
        with contextlib.suppress(WebSocketException):  # on its way out
            each.send(entry if each.subprotocol == SUBPROTOCOL else text)


def clean(text: str, size: int) -> str:
    """One line of printable text, not too long."""
    return "".join(filter(str.isprintable, " ".join(text.split())))[:size]

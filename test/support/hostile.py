"""Servers that are broken or mean, and how a client's opening handshake with them has to end.

Each entry is a script for one accepted connection, the error that ``connect()`` raises, and a piece
of its text. A script may go on for ever: it ends when the client hangs up, and says how much it
could send until then.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from types import TracebackType
from typing import Any

from rawpeer import Eof, RawServer, RawServerConnection

from ws4py.exc import ConnectionTimeout, HandshakeError

__all__ = ["HOSTILE", "Drip", "Hostile", "HostileServer", "redirection", "reset"]

Script = Callable[[RawServerConnection], object]
#: More than any kernel keeps for a client that has hung up.
ENOUGH = 48 * 1024 * 1024


@dataclass(frozen=True)
class Hostile:
    script: Script
    error: type[Exception]
    text: str
    #: Whether it ends by the deadline only.
    takes_time: bool = False
    #: Changes of the configuration.
    config: dict[str, Any] = field(default_factory=dict)
    #: What the client has to have kept of a page, if anything.
    body: int = 0
    #: How many connections the client makes.
    connections: int = 1


def reset(peer: RawServerConnection) -> None:
    """End the connection with RST."""
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.sock.close()


def redirection(place: str, status: str = "302 Found", *headers: str) -> bytes:
    """The answer that sends a client elsewhere."""
    lines = [f"HTTP/1.1 {status}", f"Location: {place}", *headers, "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode("latin-1")


class HostileServer(RawServer):
    """Plays a script with everybody who connects."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script
        self._over = threading.Event()
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="hostile", daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._over.is_set():
                peer = self.accept()
                thread = threading.Thread(target=self._play, args=(peer,), name="script")
                thread.start()
                self._threads.append(thread)

    def _play(self, peer: RawServerConnection) -> None:
        try:
            self._script(peer)
        except (OSError, Eof):
            pass  # the client has hung up, as it should
        except BaseException as exc:  # shown at the end
            self.failures.append(exc)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):  # wakes accept()
            self.sock.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)
        self.close()
        assert not [t for t in self._threads if t.is_alive()], "the client has not hung up"
        assert not self.failures


# -- what they do --------------------------------------------------------------------------


def then(*pieces: bytes | Iterable[bytes], end: Script | None = None) -> Script:
    """Read the request, send all this, and do nothing more until the client hangs up."""

    def script(peer: RawServerConnection) -> None:
        peer.read_request()
        for piece in pieces:
            for data in [piece] if isinstance(piece, bytes) else piece:
                peer.send(data)
        if end is not None:
            end(peer)
        peer.read_to_eof()

    return script


def flood(data: bytes) -> Iterator[bytes]:
    """The same again and again. It is an error if anybody takes all of it."""
    yield from repeat(data, ENOUGH // len(data))
    raise AssertionError(f"the client took {ENOUGH} bytes")


@dataclass
class Drip:
    """A byte at a time, each well within any deadline; all of them take too long."""

    data: bytes
    pause: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[bytes]:
        for byte in self.data:
            self.pause.wait(0.02)
            yield bytes([byte])


def upgraded(**changes: str | None) -> Script:
    """A 101, changed."""

    def script(peer: RawServerConnection) -> None:
        peer.read_request()
        peer.send(peer.response({n.replace("_", "-"): v for n, v in changes.items()}))
        peer.read_to_eof()

    return script


def round_and_round(peer: RawServerConnection) -> None:
    """Redirect to a new place here, with every answer."""
    number = int(peer.read_request().start_line.split()[1].strip("/") or 0)
    peer.send(redirection(f"/{number + 1}"))
    peer.read_to_eof()


def redirect_and_be_silent(peer: RawServerConnection) -> None:
    """Redirect once."""
    if peer.read_request().start_line.split()[1] == "/":
        peer.send(redirection("/silence"))
    peer.read_to_eof()


def silent(peer: RawServerConnection) -> None:
    """Nothing, ever."""
    peer.read_to_eof()


def hang_up(peer: RawServerConnection) -> None:
    """The end."""
    peer.close()


def reset_within_the_request(peer: RawServerConnection) -> None:
    """RST before all was read."""
    peer.read(1)
    reset(peer)


LINE = b"X-Line: " + b"y" * 100 + b"\r\n"
OK = b"HTTP/1.1 101 Switching Protocols\r\n"
PAGE = b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\n"
HTML = b"<!doctype html><title>It works!</title>" + b"<p>" * 500

HOSTILE = {
    # silence
    "silent from the start": Hostile(silent, ConnectionTimeout, "the opening handshake took", True),
    "silent after a redirect": Hostile(
        redirect_and_be_silent,
        ConnectionTimeout,
        "within 0.4 s",
        True,
        {"open_timeout": 0.4, "handshake_timeout": None},
        connections=2,
    ),
    "silent within a page": Hostile(
        then(PAGE + b"Content-Length: 1000\r\n\r\nOops"),
        HandshakeError,
        "answered 500",
        True,
        body=4,
    ),
    # slowness
    "dripping a head": Hostile(then(Drip(OK + LINE * 50)), ConnectionTimeout, "within 0.2 s", True),
    "dripping a page": Hostile(
        then(PAGE + b"\r\n", Drip(bytes(10_000))), HandshakeError, "answered 500", True
    ),
    # floods
    "a head without end": Hostile(then(OK, flood(LINE)), HandshakeError, "more than 100 header"),
    "a line without end": Hostile(
        then(OK + b"X: ", flood(bytes([120]) * 65536)), HandshakeError, "head is longer than"
    ),
    "a status line without end": Hostile(
        then(b"HTTP/1.1 200 ", flood(bytes([120]) * 65536)), HandshakeError, "first line is longer"
    ),
    "early answers without end": Hostile(
        then(flood(b"HTTP/1.1 103 Early Hints\r\n" + LINE + b"\r\n")),
        HandshakeError,
        "without coming to an answer",
    ),
    "a page without end": Hostile(
        then(PAGE + b"\r\n", flood(HTML)), HandshakeError, "answered 500", body=65536
    ),
    "a page of a terabyte": Hostile(
        then(PAGE + b"Content-Length: 1099511627776\r\n\r\n", flood(HTML)),
        HandshakeError,
        "answered 500",
        body=65536,
    ),
    "a page in chunks without end": Hostile(
        then(PAGE + b"Transfer-Encoding: chunked\r\n\r\n", flood(b"4\r\nOops\r\n")),
        HandshakeError,
        "answered 500",
        body=4 * 7282,
    ),
    "a redirect with a page without end": Hostile(
        then(redirection("ftp://x/").replace(b"Content-Length: 0\r\n", b""), flood(HTML)),
        HandshakeError,
        "which is not followed",
    ),
    "redirects without end": Hostile(
        round_and_round, HandshakeError, "there were 5 redirects already", connections=6
    ),
    # nonsense
    "no HTTP": Hostile(then(b"220 mail.example ESMTP\r\n"), HandshakeError, "is the port right?"),
    "zeros": Hostile(then(flood(bytes(65536))), HandshakeError, "did not answer with HTTP/1.1"),
    "HTTP/1.0": Hostile(then(b"HTTP/1.0 101 OK\r\n\r\n"), HandshakeError, "in HTTP/1.0"),
    "HTTP/2": Hostile(then(b"\0\0\x12\x04\0\0\0\0\0"), HandshakeError, "did not answer with HTTP"),
    "an alert of TLS": Hostile(
        then(b"\x15\x03\x01\x00\x02\x02\x46"), HandshakeError, "did you mean wss://?"
    ),
    "bare line feeds": Hostile(
        then(b"HTTP/1.1 101 OK\nUpgrade: websocket\n\n"), HandshakeError, "LF alone"
    ),
    "a page of HTML": Hostile(
        then(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(HTML) + HTML),
        HandshakeError,
        "an HTML page and not WebSocket: is the path right? It says 'It works!'",
        body=len(HTML),
    ),
    "cookies of nonsense": Hostile(
        then(b"HTTP/1.1 403 No\r\nSet-Cookie: ;=;;\r\nContent-Length: 0\r\n\r\n"),
        HandshakeError,
        "answered 403",
    ),
    # broken promises
    "a 101 and nothing else": Hostile(then(OK + b"\r\n"), HandshakeError, "does not upgrade"),
    "no Upgrade": Hostile(upgraded(Upgrade=None), HandshakeError, "does not upgrade"),
    "another Upgrade": Hostile(upgraded(Upgrade="h2c"), HandshakeError, "does not upgrade"),
    "no Connection": Hostile(upgraded(Connection=None), HandshakeError, "Connection: Upgrade"),
    "a wrong accept key": Hostile(
        upgraded(Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        HandshakeError,
        "answers another request",
    ),
    "no accept key": Hostile(
        upgraded(Sec_WebSocket_Accept=None), HandshakeError, "wrong Sec-WebSocket-Accept"
    ),
    "a subprotocol of its own": Hostile(
        upgraded(Sec_WebSocket_Protocol="soap"), HandshakeError, "chose subprotocol 'soap'"
    ),
    "an extension of its own": Hostile(
        upgraded(Sec_WebSocket_Extensions="x-own"), HandshakeError, "not offered: x-own"
    ),
    "compression twice": Hostile(
        upgraded(Sec_WebSocket_Extensions="permessage-deflate, permessage-deflate"),
        HandshakeError,
        "cannot be used",
    ),
    "a window of nonsense": Hostile(
        upgraded(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=99"),
        HandshakeError,
        "cannot be used",
    ),
    "a parameter of its own": Hostile(
        upgraded(Sec_WebSocket_Extensions="permessage-deflate; own=1"),
        HandshakeError,
        "cannot be used",
    ),
    # endings
    "hanging up at once": Hostile(hang_up, HandshakeError, "closed the connection without"),
    "hanging up within the head": Hostile(
        then(OK + LINE, end=hang_up), HandshakeError, "closed the connection within its answer"
    ),
    "resetting within the request": Hostile(
        reset_within_the_request, HandshakeError, "closed the connection without"
    ),
    "resetting after the request": Hostile(
        then(end=reset), HandshakeError, "closed the connection without"
    ),
    "resetting within a page": Hostile(
        then(PAGE + b"Content-Length: 9\r\n\r\nOops", end=reset), HandshakeError, "answered 500"
    ),
}

"""WSGI servers, and how an application comes by the socket under its request.

What differs between them is data here: one line of ``HOSTS`` each, with two small functions. The
rest is the same for all. A plain socket is duplicated, so that the websocket has one of its own,
and where it outlives the request the server is left with a dead one: to the server it looks as if
the client had gone, which every server takes calmly. A TLS session cannot be duplicated; it is
lent, and stays in the request's thread. This module must never know frames, or who drives a
websocket.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["HANDOVER", "HOSTS", "STAY", "Grip", "Host", "Mode", "find_host", "read_ahead"]

Environ = dict[str, Any]
Mode = Literal["auto", "stay", "handover"]

#: The request's thread (or greenlet) drives the websocket until that is closed.
STAY: Mode = "stay"
#: A manager drives it, and the request is done.
HANDOVER: Mode = "handover"


@dataclass(frozen=True)
class Host:
    """One kind of server."""

    name: str
    #: The socket under the request; ``None`` when this is not the server.
    find: Callable[[Environ], Any]
    #: What the server has already read from it, behind the head. Given environ and socket.
    early: Callable[[Environ, Any], bytes]
    #: Which mode is better, where both are possible.
    prefers: Callable[[Environ], Mode]
    #: Whether it lets the application say something about the connection (PEP 3333 does not).
    hop_by_hop: bool = True


def always(mode: Mode) -> Callable[[Environ], Mode]:
    """The same for every request."""
    return lambda environ: mode


def stay_if_threaded(environ: Environ) -> Mode:
    """A thread for each connection may be kept; the only one may not."""
    return STAY if environ.get("wsgi.multithread") else HANDOVER


def under(*names: str) -> Callable[[Environ], Any]:
    """The socket at the end of these attributes of ``wsgi.input``."""

    def find(environ: Environ) -> Any:
        found = environ.get("wsgi.input")
        for name in names:
            found = getattr(found, name, None)
        return found

    return find


def peeked(environ: Environ, sock: Any) -> bytes:
    """``wsgi.input`` is a buffered reader."""
    return read_ahead(environ["wsgi.input"], sock)


def unread(environ: Environ, sock: Any) -> bytes:
    """gunicorn's parser keeps what it has read too much."""
    buffer = under("reader", "unreader", "buf")(environ)
    return b"" if buffer is None else bytes(buffer.getvalue())


HOSTS = (
    # sync and gthread; gevent's sockets stay anyway. The tornado worker gives none.
    Host("gunicorn", lambda environ: environ.get("gunicorn.socket"), unread, always(HANDOVER)),
    Host("Werkzeug", lambda environ: environ.get("werkzeug.socket"), peeked, stay_if_threaded),
    Host(
        "cheroot",
        under("rfile", "raw", "_sock"),
        lambda environ, sock: read_ahead(environ["wsgi.input"].rfile, sock),
        always(HANDOVER),
        hop_by_hop=False,
    ),
    # wsgiref, and gevent's pywsgi for requests with an Upgrade header.
    Host("wsgiref", under("raw", "_sock"), peeked, always(HANDOVER), hop_by_hop=False),
)


def find_host(environ: Environ) -> Host | None:
    """The server that this request comes from, if it is a known one that gives its socket."""
    return next((host for host in HOSTS if host.find(environ) is not None), None)


def read_ahead(reader: Any, sock: Any) -> bytes:
    """What a buffered reader has taken from its socket. The socket no longer waits after it."""
    sock.setblocking(False)  # or else peek() might wait for more
    try:
        data: bytes = reader.peek()
    except OSError:  # TLS has nothing, or whoever reads next will meet the same error
        data = b""
    return data


class Grip:
    """A hold on the socket of one request: ``sock`` is for the websocket.

    ``mode`` says how it is to be driven. Raises ``LookupError``, with an explanation for whoever
    asked, where the server cannot part with its socket in the mode that is ``wanted``.
    """

    def __init__(self, host: Host, environ: Environ, wanted: Mode = "auto") -> None:
        self._host = host
        self._environ = environ
        self._theirs = host.find(environ)
        if not hasattr(self._theirs, "dup"):
            raise LookupError(f"{host.name} does its input and output in a way of its own here.")
        if is_green(self._theirs):
            importlib.import_module("ws4py.greenlets")  # knows how such a socket waits
        try:
            self.sock = self._theirs.dup()
            self._lent = False
        except NotImplementedError:  # TLS
            self.sock = self._theirs
            self._lent = True
        tied = self._tied()
        if tied and self._refuses(wanted):
            self.let_go()
            raise LookupError(f"{host.name} cannot hand this connection over: {tied}.")
        self.mode = STAY if tied else wanted if wanted != "auto" else host.prefers(environ)

    def _refuses(self, wanted: Mode) -> bool:
        """Whether to stay is no way out, either: a server's only thread would serve nobody else."""
        alone = not self._environ.get("wsgi.multithread") and not is_green(self._theirs)
        return wanted == HANDOVER or (wanted == "auto" and alone)

    def _tied(self) -> str:
        """Why the socket cannot leave the request's thread, if so."""
        if self._lent:
            return "its TLS session belongs to the server; let a proxy end TLS, or use mode='stay'"
        if not isinstance(self._theirs, socket.socket) or is_green(self._theirs):
            return "it is driven by greenlets, which are cheap enough to stay"
        if os.name != "posix":
            return "this platform cannot exchange the socket under a server"
        return ""

    def let_go(self) -> None:
        """The server goes on with its socket as if nothing had been."""
        if not self._lent:
            self.sock.close()

    def take(self) -> bytes:
        """From here on the socket is the websocket's; what the server had read of it."""
        early = self._host.early(self._environ, self._theirs)
        if self.mode == HANDOVER:
            replace_by_dead(self._theirs)
        return early

    def __enter__(self) -> None:
        """While the websocket stays it may end the connection, but what is lent it cannot close."""
        if self._lent:
            self._theirs.close = lambda: None

    def __exit__(self, *exc_info: object) -> None:
        if self._lent:
            del self._theirs.close


def is_green(sock: Any) -> bool:
    """Whether this is one of gevent's sockets."""
    return type(sock).__module__.startswith("gevent")


def replace_by_dead(sock: socket.socket) -> None:
    """Put a connection whose peer has gone under this socket object, instead of its own."""
    dead, peer = socket.socketpair()
    with dead, peer:
        os.dup2(dead.fileno(), sock.fileno(), inheritable=False)


# -- the end of a process ------------------------------------------------------------------


def gunicorn_handler(handler: Any) -> Iterator[type]:
    """The classes of gunicorn's that a signal handler belongs to."""
    owner = type(getattr(handler, "__self__", None))
    return (base for base in owner.__mro__ if base.__module__.startswith("gunicorn.workers"))


def on_stop(callback: Callable[[], object]) -> bool:
    """Call it when the server is told to stop, as far as the server can be asked for that.

    gunicorn has no hook for it: its worker's handler of SIGTERM is preceded. Elsewhere, and on
    threads that may not handle signals, nothing is done and the answer is ``False``.
    """
    handler: Any = signal.getsignal(signal.SIGTERM)
    if not any(gunicorn_handler(handler)):
        return False

    def stop(signum: int, frame: Any) -> None:
        callback()
        handler(signum, frame)

    try:
        signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        return False
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn had it
    return True

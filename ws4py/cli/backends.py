"""Which ways of running there are, as data: a further backend is one more line in a table."""

from __future__ import annotations

import importlib
import importlib.metadata
import select
from dataclasses import dataclass
from typing import Any, Literal

from ws4py import reactor
from ws4py.cli.common import USAGE, Failure

__all__ = ["BACKENDS", "POLLERS", "Backend", "find", "load", "names", "pollers", "version"]


@dataclass(frozen=True)
class Backend:
    """One way to run a server or a client."""

    name: str
    side: Literal["server", "client"]
    #: ``module:attribute``. A server is called with handler, host and port, and ``ssl`` and
    #: ``config`` (and ``poller``, if ``polls``) by name; a client as ``WebSocketBaseClient``.
    target: str
    summary: str
    polls: bool = False
    #: The distribution that it needs, and the extra of ws4py that brings it.
    needs: str | None = None
    extra: str | None = None


BACKENDS = (
    Backend(
        "managed",
        "server",
        "ws4py.server.managedserver:WebSocketServer",
        "one thread for all connections",
        polls=True,
    ),
    Backend(
        "threaded",
        "server",
        "ws4py.server.threadedserver:WebSocketServer",
        "a thread for each connection",
    ),
    Backend(
        "wsgiref",
        "server",
        "ws4py.cli.wsgiref:Server",
        "behind the WSGI server of the standard library",
    ),
    Backend(
        "cherrypy",
        "server",
        "ws4py.cli.cherrypy:Server",
        "pages on CherryPy's threads, all connections on one more",
        needs="CherryPy",
        extra="cherrypy",
    ),
    Backend(
        "cheroot",
        "server",
        "ws4py.cli.cheroot:Server",
        "behind a WSGI server with threads",
        needs="cheroot",
        extra="cherrypy",
    ),
    Backend(
        "gunicorn",
        "server",
        "ws4py.cli.gunicorn:Server",
        "behind gunicorn, whose threads stay free",
        needs="gunicorn",
        extra="gunicorn",
    ),
    Backend(
        "asyncio",
        "server",
        "ws4py.cli.loops:Server",
        "one asyncio loop for all connections",
    ),
    Backend(
        "uvloop",
        "server",
        "ws4py.cli.loops:UvloopServer",
        "the same on uvloop",
        needs="uvloop",
        extra="speed",
    ),
    Backend(
        "tornado",
        "server",
        "ws4py.cli.tornado:Server",
        "a handler of a Tornado application",
        needs="tornado",
        extra="tornado",
    ),
    Backend(
        "asgi",
        "server",
        "ws4py.cli.asgi:Server",
        "an ASGI application under uvicorn, on our protocol class",
        needs="uvicorn",
        extra="asgi",
    ),
    Backend(
        "threaded",
        "client",
        "ws4py.client.threadedclient:WebSocketClient",
        "a thread for the connection",
    ),
    Backend(
        "asyncio",
        "client",
        "ws4py.cli.loops:Client",
        "an asyncio loop",
    ),
    Backend(
        "uvloop",
        "client",
        "ws4py.cli.loops:UvloopClient",
        "the same on uvloop",
        needs="uvloop",
        extra="speed",
    ),
    Backend(
        "tornado",
        "client",
        "ws4py.cli.tornado:Client",
        "on Tornado's loop",
        needs="tornado",
        extra="tornado",
    ),
)

#: Name on the command line, class, and what the ``select`` module has where it works.
POLLERS = (
    ("epoll", reactor.EPollPoller, "epoll"),
    ("kqueue", reactor.KQueuePoller, "kqueue"),
    ("poll", reactor.PollPoller, "poll"),
    ("select", reactor.SelectPoller, "select"),
)


def pollers() -> dict[str, Any]:
    """The pollers of this platform by name, best first."""
    return {name: kind for name, kind, marker in POLLERS if hasattr(select, marker)}


def names(side: str) -> list[str]:
    """The backends of a side, the default first."""
    return [backend.name for backend in BACKENDS if backend.side == side]


def version(distribution: str) -> str | None:
    """The installed version of a package, or ``None``."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find(name: str, side: str) -> Backend:
    """The backend of that name."""
    return next(each for each in BACKENDS if (each.name, each.side) == (name, side))


def load(backend: Backend) -> Any:
    """What to call. Raises ``Failure`` when what it needs is not installed."""
    if backend.needs is not None and version(backend.needs) is None:
        raise Failure(
            f"the {backend.name} backend needs the package {backend.needs}: "
            f'pip install "ws4py[{backend.extra}]"',
            USAGE,
        )
    module, _, attribute = backend.target.partition(":")
    return getattr(importlib.import_module(module), attribute)

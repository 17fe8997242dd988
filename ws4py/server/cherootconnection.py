"""Connections of cheroot, the HTTP server of CherryPy, that part with their socket if asked to.

cheroot closes a connection, or waits on it for the next request, after each response. One of these
hands its socket over instead, once everything of the response is done: nothing of cheroot touches
the socket after that, and TLS goes with it. This module must never know WebSocket.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from ws4py._extras import missing
from ws4py.server.wsgihosts import read_ahead

try:
    from cheroot.server import HTTPConnection
    from cheroot.ssl.builtin import BuiltinSSLAdapter
except ImportError as exc:
    raise missing(__name__, "cherrypy", exc) from exc

__all__ = ["CONNECTION", "Connection", "ContextAdapter", "install"]

logger = logging.getLogger("ws4py.server")

#: Where the connection is found in the environ of a request.
CONNECTION = "ws4py.connection"


class Connection(HTTPConnection):  # type: ignore[misc,unused-ignore]
    """An ``HTTPConnection`` that can be taken over: ``server.ConnectionClass = Connection``."""

    _successor: Callable[[bytes], object] | None = None
    _parted = False
    _last = False
    _ssl_env: dict[str, Any] | None = None

    @property
    def ssl_env(self) -> dict[str, Any]:
        """What cheroot adds to the environ of each request: the connection is part of it."""
        return {**(self._ssl_env or {}), CONNECTION: self}

    @ssl_env.setter
    def ssl_env(self, values: dict[str, Any] | None) -> None:
        self._ssl_env = values

    def can_part(self) -> bool:
        """Whether the socket is one that can be taken over; pyOpenSSL's cannot."""
        return isinstance(self.socket, socket.socket)

    def part(self, successor: Callable[[bytes], object]) -> None:
        """The socket is to be ``successor``'s when the response is out.

        It is called on the thread of the request, with what was read behind the request's head.
        """
        self._successor = successor

    def end(self) -> None:
        """This response is the last one: hang up after it."""
        self._last = True

    def communicate(self) -> bool:
        """One request; whether there may be another one."""
        more = bool(super().communicate())  # type: ignore[no-untyped-call,unused-ignore]
        # Not kept: cheroot's connections are freed by the garbage collector, a websocket at once.
        successor, self._successor = self._successor, None
        if successor is None:
            return more and not self._last
        self._parted = True
        try:
            successor(read_ahead(self.rfile, self.socket))
        except Exception:
            logger.exception("cannot take over the connection from %s", self.remote_addr)
            self._parted = False
        return False

    def close(self) -> None:
        """Close, if it is still ours."""
        if not self._parted:
            super().close()  # type: ignore[no-untyped-call,unused-ignore]


def install(server: Any) -> None:
    """Have a server (or a class of servers) make such connections. Harmless when repeated."""
    before = server.ConnectionClass
    if before is HTTPConnection:
        server.ConnectionClass = Connection
    elif not issubclass(before, Connection):
        server.ConnectionClass = type(before.__name__, (Connection, before), {})


class ContextAdapter(BuiltinSSLAdapter):  # type: ignore[misc,unused-ignore]
    """TLS for cheroot by an ``SSLContext`` that exists, instead of by the names of files."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super(BuiltinSSLAdapter, self).__init__("", "")
        self.context = context

    def get_environ(  # type: ignore[override,unused-ignore]
        self, sock: ssl.SSLSocket
    ) -> dict[str, str]:
        """What TLS adds to the environ of a request."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

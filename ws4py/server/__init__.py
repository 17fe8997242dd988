"""Servers: what all the stand-alone ones share, whatever drives their sockets.

Listening sockets, the arguments of a server, and the step from an accepted handshake to a
``WebSocket``. It must never know frames, or how anybody waits for a socket.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import ssl as ssl_module
import stat
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, Request, Response, ServerHandshake
from ws4py.protocol.http import ENVIRON_KEYS, environ_key
from ws4py.websocket import Environ, WebSocket, short_address

__all__ = ["SHUTTING_DOWN", "BaseServer", "Upgrader"]

logger = logging.getLogger("ws4py.server")

#: Close code and reason for the clients of a server that goes away (RFC 6455 section 7.4.1).
SHUTTING_DOWN = 1001, "Server is shutting down"
#: The same where somebody else, who starts servers again, ends it (IANA's registry).
RESTARTING = 1012, "Server is restarting"

#: Errors of accept() that mean "no descriptors left", not "this connection failed".
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: How long accepting rests after that, in seconds: long enough not to spin, soon enough to recover.
ACCEPT_PAUSE = 0.5
#: Connections accepted in one turn; the others have to wait no longer than these take.
ACCEPT_BATCH = 64
#: Seconds in which whoever was refused has to read the answer and hang up.
FAREWELL = 5.0
#: Seconds that the end of a server may take longer than the connections' own closing: for their
#: ``closed()`` hooks.
LAST_WORDS = 1.0


#: Whether an accepted socket has the options of the listening one: Linux copies them all.
ACCEPTED_INHERITS = sys.platform == "linux"


class Upgrader:
    """Who may connect, and the step from an accepted handshake to a ``WebSocket``.

    For whatever has a request before it, be it a server that stands alone or one of somebody
    else's. The arguments are described in ``BaseServer``; ``secure`` says whether it is TLS.
    """

    def __init__(
        self,
        handler: Callable[..., WebSocket] = WebSocket,
        *,
        protocols: Sequence[str] = (),
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
        origins: Any = SAME_ORIGIN,
        process_request: Callable[[Request], Response | None] | None = None,
        process_response: Callable[[Request, Response], Response | None] | None = None,
        extra_headers: Sequence[tuple[str, str]] = (),
        secure: bool = False,
        config: Config = DEFAULT,
    ) -> None:
        self.handler = handler
        self.protocols = tuple(protocols)
        self.select_subprotocol = select_subprotocol
        self.origins = origins
        self.process_request = process_request
        self.process_response = process_response
        self.extra_headers = tuple(extra_headers)
        self.secure = secure
        self.config = config

    def new_handshake(self, peer: Any = None, compression: bool = True) -> ServerHandshake:
        """The opening handshake of one connection. ``compression``: as ``config`` says, or none."""
        return ServerHandshake(
            config=self.config if compression else self.config.replace(compression=None),
            protocols=self.protocols,
            select_subprotocol=self.select_subprotocol,
            origins=self.origins,
            extra_headers=self.extra_headers,
            secure=self.secure,
            peer=peer,
        )

    def answer(self, handshake: ServerHandshake) -> Response:
        """What to answer to the request that has arrived; calls the hooks."""
        if not self.asks():
            return handshake.answer()
        steps = self.asking(handshake)
        try:
            result = next(steps)
            while True:
                result = steps.send(result)
        except StopIteration as end:
            response: Response = end.value
            return response

    def asking(self, handshake: ServerHandshake) -> Generator[Any, Any, Response]:
        """The same where hooks may be coroutine functions.

        What a hook returned is yielded; its result is to be sent back, or the error thrown in.
        """
        request = handshake.request
        assert request is not None
        response = None
        try:
            response = yield self.ask_request(handshake, request)
        except Exception:
            response = self.not_answered(request, "process_request")
        if response is None:
            response = handshake.answer()
        else:
            handshake.reject(response)
        try:
            other = yield self.ask_response(handshake, request, response)
        except Exception:
            other = self.not_answered(request, "process_response")
        if other is not None:
            handshake.replace(other)
        assert handshake.response is not None
        return handshake.response

    def asks(self) -> bool:
        """Whether there are hooks to be asked."""
        return self.process_request is not None or self.process_response is not None

    def ask_request(self, handshake: ServerHandshake, request: Request) -> Any:
        """Call ``process_request``."""
        return None if self.process_request is None else self.process_request(request)

    def ask_response(self, handshake: ServerHandshake, request: Request, response: Response) -> Any:
        """Call ``process_response``."""
        return None if self.process_response is None else self.process_response(request, response)

    def not_answered(self, request: Request, hook: str) -> Response:
        """The answer when a hook has raised; to be called where that is caught."""
        logger.exception("error in %s for %r", hook, request.target)
        return Response.text(500, "The server failed to answer this request.\n")

    def upgrade(self, sock: Any, handshake: ServerHandshake, peer: Any) -> WebSocket:
        """The websocket of an accepted handshake, not driven by anything yet.

        The response is its first output. Raises whatever ``handler`` raises; see ``failed``.
        """
        request = handshake.request
        assert request is not None
        local = short_address(sock.getsockname())
        request.headers.slim()  # for as long as the connection, as nobody may ask for the environ
        environ = partial(request_environ, request, local, peer, request.secure)
        ws = self.make(sock, handshake, environ, local, peer)
        if handshake.rest:
            ws.stream.receive_data(handshake.rest)
        assert handshake.response is not None
        # The answer leaves before everything else, at the best in one write with it.
        ws.stream.preface(handshake.response.serialize())
        return ws

    def make(
        self, sock: Any, handshake: ServerHandshake, environ: Environ, local: Any, peer: Any
    ) -> WebSocket:
        """The same for a socket, perhaps ``None``, of which somebody else takes care."""
        if callable(environ) and not _makes_environ(self.handler):
            environ = environ()
        ws = self.handler(
            sock,
            protocols=[handshake.subprotocol] if handshake.subprotocol else [],
            extensions=list(handshake.extensions),
            environ=environ,
        )
        ws._local_address, ws._peer_address = local, peer
        ws.setup(ws.config or self.config, handshake.deflate)
        return ws

    def failed(self, handshake: ServerHandshake) -> Response:
        """The answer when ``upgrade`` has raised; to be called where that is caught."""
        logger.exception("error while making a handler of %r", self.handler)
        handshake.accepted = False
        response = Response.text(500, "The server failed to answer this request.\n")
        handshake.reject(response)
        return response


class BaseServer(Upgrader):
    """Arguments, listening sockets and the upgrade of a stand-alone server.

    ``handler`` is called as ``handler(sock, protocols=…, extensions=…, environ=…)`` for each
    connection: a ``WebSocket`` subclass, or anything that returns an instance of one.
    ``host`` and ``port``: where to listen (port 0: any free one); ``host`` may be a list.
    ``unix_path``: listen on a Unix socket instead. ``sockets``: listening sockets made elsewhere,
    instead. ``ssl``: an ``SSLContext`` for TLS. ``protocols``: subprotocols spoken, of which
    the first that the client wants is taken; ``select_subprotocol(request, offers)`` chooses
    otherwise. ``origins``: who may connect from a browser, the same host by default; ``None``
    lets everybody in. ``process_request(request)`` may return a ``Response`` to answer ordinary
    HTTP, or ``None`` to go on. ``process_response(request, response)`` sees every answer before
    it is sent, a 101 too, and may change its headers or return another. ``config``: limits,
    timeouts and compression.

    Raises ``OSError`` when it cannot listen there.
    """

    def __init__(
        self,
        handler: Callable[..., WebSocket] = WebSocket,
        host: str | Sequence[str] | None = "127.0.0.1",
        port: int = 0,
        *,
        protocols: Sequence[str] = (),
        select_subprotocol: Callable[[Request, list[str]], str | None] | None = None,
        origins: Any = SAME_ORIGIN,
        process_request: Callable[[Request], Response | None] | None = None,
        process_response: Callable[[Request, Response], Response | None] | None = None,
        extra_headers: Sequence[tuple[str, str]] = (),
        ssl: ssl_module.SSLContext | None = None,
        unix_path: str | None = None,
        sockets: Iterable[socket.socket] | None = None,
        reuse_port: bool = False,
        backlog: int = 1024,
        config: Config = DEFAULT,
    ) -> None:
        super().__init__(
            handler,
            protocols=protocols,
            select_subprotocol=select_subprotocol,
            origins=origins,
            process_request=process_request,
            process_response=process_response,
            extra_headers=extra_headers,
            secure=ssl is not None,
            config=config,
        )
        self.ssl = ssl
        self.unix_path = unix_path
        if sockets is not None:
            self.listeners = list(sockets)
        elif unix_path is not None:
            self.listeners = [listen_unix(unix_path, backlog)]
        else:
            self.listeners = listen_tcp(host, port, backlog, reuse_port)
        for listener in self.listeners:
            _send_at_once(listener)
        self.addresses = [short_address(listener.getsockname()) for listener in self.listeners]

    @property
    def port(self) -> int | None:
        """The TCP port of the first listening socket; ``None`` for Unix sockets."""
        address = self.addresses[0]
        return address[1] if isinstance(address, tuple) else None

    def close_listeners(self) -> None:
        """Accept no more. A Unix socket's path is removed."""
        for listener in self.listeners:
            listener.close()
        if self.unix_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.unix_path)

    # -- one connection --------------------------------------------------------------------

    def prepare(self, sock: socket.socket) -> Any:
        """Options for an accepted socket, and TLS around it, its handshake still to be done.

        Raises ``OSError`` or ``ValueError`` for a socket that is broken already.
        """
        if not ACCEPTED_INHERITS:
            _send_at_once(sock)
        if self.ssl is None:
            return sock
        return self.ssl.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


def _makes_environ(handler: Any) -> bool:
    """Whether what makes the environ will do: nobody but ``WebSocket`` itself gets to see it."""
    return (
        isinstance(handler, type)
        and handler.__init__ is WebSocket.__init__  # type: ignore[misc]
        and handler.environ is WebSocket.environ  # type: ignore[attr-defined]
    )


def request_environ(request: Request, local: Any, peer: Any, secure: bool) -> dict[str, Any]:
    """The request in the words of WSGI (PEP 3333)."""
    host, port = local if isinstance(local, tuple) else ("localhost", "")
    remote, remote_port = peer if isinstance(peer, tuple) else ("", "")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path, "latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": request.version,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": remote,
        "REMOTE_PORT": str(remote_port),
        "wsgi.url_scheme": "https" if secure else "http",
    }
    for name, value in request.headers.items():
        if "_" in name:
            continue  # would pass for one with hyphens, which proxies check and set
        key = ENVIRON_KEYS.get(name) or environ_key(name)
        environ[key] = f"{environ[key]}, {value}" if key in environ else value
    return environ


# -- listening -----------------------------------------------------------------------------


def listen_tcp(
    host: str | Sequence[str] | None, port: int, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    """Listening sockets on every address of the host(s), all on one port."""
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    listeners: list[socket.socket] = []
    seen = set()
    try:
        for name in hosts:
            for family, kind, protocol, _, address in socket.getaddrinfo(
                name or None, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
            ):
                if address in seen:
                    continue
                seen.add(address)
                if port == 0 and listeners:
                    address = (address[0], listeners[0].getsockname()[1], *address[2:])
                listeners.append(_listen(family, kind, protocol, address, backlog, reuse_port))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(
    family: int, kind: int, protocol: int, address: Any, backlog: int, reuse_port: bool
) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == getattr(socket, "AF_INET6", None):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        raise _cannot_listen(exc, f"{address[0]}:{address[1]}") from exc
    return listener


def listen_unix(path: str, backlog: int) -> socket.socket:
    """A listening Unix socket; one that a dead server left behind is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(path)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        raise _cannot_listen(exc, path) from exc
    return listener


def _send_at_once(sock: socket.socket) -> None:
    """What is written leaves without waiting for more, or for the peer (Nagle's algorithm)."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # nobody listens there any more


def _cannot_listen(exc: OSError, address: str) -> OSError:
    advice = {
        errno.EADDRINUSE: "another program listens there: stop it, or choose another port",
        errno.EACCES: "this user may not: ports below 1024 belong to the system",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }.get(exc.errno or 0, "see the address and the system's limits")
    return type(exc)(exc.errno, f"cannot listen on {address} ({exc.strerror}): {advice}")

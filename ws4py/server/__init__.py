"""Servers: what all the stand-alone ones share, whatever drives their sockets.

Listening sockets, the arguments of a server, the step from an accepted handshake to a
``WebSocket``, and accepting and the orderly end of those that accept on a reactor. It must never
know frames, or who serves a connection once it is accepted.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import ssl as ssl_module
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ws4py.messaging import Message
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import SAME_ORIGIN, Request, Response, ServerHandshake
from ws4py.reactor import READ, Channel, Reactor
from ws4py.websocket import WebSocket, short_address

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["SHUTTING_DOWN", "Acceptor", "BaseServer", "ReactorServer"]

logger = logging.getLogger("ws4py.server")

#: Close code and reason for the clients of a server that goes away (RFC 6455 section 7.4.1).
SHUTTING_DOWN = 1001, "Server is shutting down"

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


class BaseServer:
    """Arguments, listening sockets and the upgrade of a stand-alone server.

    ``handler`` is called as ``handler(sock, protocols=…, extensions=…, environ=…)`` for each
    connection: a ``WebSocket`` subclass, or anything that returns an instance of one.
    ``host`` and ``port``: where to listen (port 0: any free one); ``host`` may be a list.
    ``unix_path``: listen on a Unix socket instead. ``sockets``: listening sockets made elsewhere,
    instead. ``ssl``: an ``SSLContext`` for TLS. ``protocols``: subprotocols spoken, of which
    the first that the client wants is taken; ``select_subprotocol(request, offers)`` chooses
    otherwise. ``origins``: who may connect from a browser, the same host by default; ``None``
    lets everybody in. ``process_request(request)`` may return a ``Response`` to answer ordinary
    HTTP, or ``None`` to go on. ``config``: limits, timeouts and compression.

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
        extra_headers: Sequence[tuple[str, str]] = (),
        ssl: ssl_module.SSLContext | None = None,
        unix_path: str | None = None,
        sockets: Iterable[socket.socket] | None = None,
        reuse_port: bool = False,
        backlog: int = 1024,
        config: Config = DEFAULT,
    ) -> None:
        self.handler = handler
        self.protocols = tuple(protocols)
        self.select_subprotocol = select_subprotocol
        self.origins = origins
        self.process_request = process_request
        self.extra_headers = tuple(extra_headers)
        self.ssl = ssl
        self.config = config
        self.unix_path = unix_path
        if sockets is not None:
            self.listeners = list(sockets)
        elif unix_path is not None:
            self.listeners = [listen_unix(unix_path, backlog)]
        else:
            self.listeners = listen_tcp(host, port, backlog, reuse_port)
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
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ssl is None:
            return sock
        return self.ssl.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def new_handshake(self, peer: Any = None) -> ServerHandshake:
        """The opening handshake of one connection."""
        return ServerHandshake(
            config=self.config,
            protocols=self.protocols,
            select_subprotocol=self.select_subprotocol,
            origins=self.origins,
            extra_headers=self.extra_headers,
            secure=self.ssl is not None,
            peer=peer,
        )

    def answer(self, handshake: ServerHandshake) -> Response:
        """What to answer to the request that has arrived; calls ``process_request``."""
        request = handshake.request
        assert request is not None
        if self.process_request is not None:
            try:
                response = self.process_request(request)
            except Exception:
                logger.exception("error in process_request for %r", request.target)
                response = Response.text(500, "The server failed to answer this request.\n")
            if response is not None:
                handshake.reject(response)
                return response
        return handshake.answer()

    def upgrade(self, sock: Any, handshake: ServerHandshake, peer: Any) -> WebSocket:
        """The websocket of an accepted handshake, not driven by anything yet.

        The response is its first output. Raises whatever ``handler`` raises; see ``failed``.
        """
        request = handshake.request
        assert request is not None
        local = short_address(sock.getsockname())
        ws = self.handler(
            sock,
            protocols=[handshake.subprotocol] if handshake.subprotocol else [],
            extensions=list(handshake.extensions),
            environ=request_environ(request, local, peer, self.ssl is not None),
        )
        ws._local_address, ws._peer_address = local, peer
        ws.setup(ws.config or self.config, handshake.deflate)
        if handshake.rest:
            ws.stream.receive_data(handshake.rest)
        assert handshake.response is not None
        # The answer leaves before everything else, at the best in one write with it.
        ws.stream.preface(handshake.response.serialize())
        return ws

    def failed(self, handshake: ServerHandshake) -> Response:
        """The answer when ``upgrade`` has raised; to be called where that is caught."""
        logger.exception("error while making a handler of %r", self.handler)
        handshake.accepted = False
        response = Response.text(500, "The server failed to answer this request.\n")
        handshake.reject(response)
        return response


class ReactorServer(BaseServer):
    """Accepting on a reactor, and coming to an orderly end there.

    Listens from the moment it is made; ``serve_forever()`` serves on the calling thread,
    ``start()`` on one of its own. As a context manager it starts, and closes at the end.
    ``for ws in server``, ``len(server)`` and ``ws in server`` are about the open websockets.

    For subclasses: all methods with an underscore are called on the reactor's thread.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._acceptors: list[Acceptor] = []
        self._shutdown = _Shutdown(self)
        # Reentrant, because close() may come in a signal handler.
        self._state = threading.RLock()
        self._running: Reactor | None = None
        self._closing = False
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what a subclass says --------------------------------------------------------------

    def _reactor(self) -> Reactor:
        """The reactor that ``_serve`` will run."""
        raise NotImplementedError

    def _serve(self) -> None:
        """Run the reactor until ``_cut``. Called again after an exception such as Ctrl-C."""
        raise NotImplementedError

    def _discard(self) -> None:
        """Give back the reactor, which never ran."""
        raise NotImplementedError

    def _accept(self, sock: socket.socket, peer: Any) -> None:
        """A connection has come in."""
        raise NotImplementedError

    def _busy(self) -> bool:
        """Whether the end has to wait for anybody."""
        raise NotImplementedError

    def _dismiss(self, code: int, reason: str) -> None:
        """Drop the openings, begin to close the websockets; as they go, ``look()``."""
        raise NotImplementedError

    def _cut(self) -> None:
        """Cut whatever is left and end ``_serve``."""
        raise NotImplementedError

    def _serves_here(self) -> bool:
        """Whether the calling thread is one that runs hooks (any thread)."""
        return self._running is not None and self._running.in_thread()

    # -- running ---------------------------------------------------------------------------

    def serve_forever(self) -> None:
        """Serve on the calling thread until ``close()``, which may come from a signal handler.

        Ctrl-C closes as well, a second one at once, and is raised when that is done.
        """
        self._listen()
        self._run()

    def start(self) -> None:
        """Serve on a thread of the server's own."""
        self._listen()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)
        self._thread.start()

    def _listen(self) -> None:
        with self._state:
            if self._closing:
                raise RuntimeError("this server was closed: make a new one")
            if self._running is not None:
                raise RuntimeError("this server is running already")
            self._running = reactor = self._reactor()
            for listener in self.listeners:
                acceptor = Acceptor(reactor, listener, self._accept)
                self._acceptors.append(acceptor)
                acceptor.start()
        logger.info("serving on %s", ", ".join(map(str, self.addresses)))

    def _run(self) -> None:
        interrupt: KeyboardInterrupt | None = None
        try:
            while not self._done.is_set():
                try:
                    self._serve()
                    break
                except KeyboardInterrupt as exc:
                    assert self._running is not None
                    again = interrupt is not None
                    self._running.call_soon(self._shutdown.begin, *SHUTTING_DOWN, again)
                    interrupt = exc
        finally:
            self._closing = True
            self._done.set()
        if interrupt is not None:
            raise interrupt

    def close(self, code: int = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]) -> None:
        """Stop accepting, close every connection with ``code``, wait, then cut what is left.

        Any thread, hooks and signal handlers. In hooks, and in a signal handler of the thread
        that serves, it returns at once; elsewhere it waits for the end, for little more than
        ``Config.close_timeout`` seconds. The second call cuts at once.
        """
        with self._state:
            again, self._closing = self._closing, True
            reactor = self._running
        if reactor is None:
            self.close_listeners()
            if not again:
                self._discard()
            return
        if not self._done.is_set():
            reactor.call_soon(self._shutdown.begin, code, reason, again)
        if not self._serves_here():
            self._done.wait()
            if self._thread is not None and self._thread is not threading.current_thread():
                self._thread.join()

    def look(self) -> None:
        """A connection has gone; on the reactor's thread."""
        self._shutdown.look()

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- websockets ------------------------------------------------------------------------

    def __iter__(self) -> Iterator[WebSocket]:
        raise NotImplementedError

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True  # a server that nobody is connected to is a server all the same

    def broadcast(self, message: Payload | Message, binary: bool = False) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged."""
        raise NotImplementedError


class _Shutdown(Channel):
    """The orderly end of a server and its deadline. All on the reactor's thread."""

    def __init__(self, server: ReactorServer) -> None:
        super().__init__()
        self.server = server
        self.begun = False

    def begin(self, code: int, reason: str, at_once: bool) -> None:
        """Stop accepting and dismiss everybody; the second time, do not wait for them."""
        server = self.server
        reactor = server._running
        assert reactor is not None
        server._closing = True
        if at_once and self.begun:
            self.ring()
            return
        self.begun = True
        for acceptor in server._acceptors:
            acceptor.stop()
        server.close_listeners()
        server._dismiss(code, reason)
        # Each connection ends by its own deadline; this one is for what ignores even that.
        timeout = server.config.close_timeout
        if timeout is not None:
            reactor.set_alarm(self, reactor.clock() + timeout + LAST_WORDS)
        self.look()

    def look(self) -> None:
        """Is anybody left?"""
        if self.begun and not self.server._busy():
            self.ring()

    def ring(self) -> None:
        """Nobody is left, or time is up."""
        assert self.server._running is not None
        self.server._running.cancel_alarm(self)
        self.server._cut()


class Acceptor(Channel):
    """A listening socket on a reactor; ``accept(sock, peer)`` is called for each connection."""

    def __init__(
        self,
        reactor: Reactor,
        listener: socket.socket,
        accept: Callable[[socket.socket, Any], None],
    ) -> None:
        super().__init__()
        self.reactor = reactor
        self.listener = listener
        self._accept = accept
        self._held = False
        listener.setblocking(False)

    def start(self) -> None:
        """Begin to accept."""
        self.reactor.register(self.listener.fileno(), self)

    def readable(self) -> None:
        """Accept what waits; when descriptors run out, rest for a moment."""
        for _ in range(ACCEPT_BATCH):
            if self._held or self.alarm_at is not None:
                return
            try:
                sock, address = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in OUT_OF_DESCRIPTORS:
                    self.rest(f"{exc.strerror}. Raise the limit of open files (ulimit -n)")
                    return
                logger.debug("a connection broke before it was accepted: %s", exc)
                continue
            self._accept(sock, short_address(address))

    def rest(self, why: str) -> None:
        """Not to accept is the only way not to be told again and again."""
        logger.error(
            "cannot accept connections: %s if this machine can take more. Trying again in %g s",
            why,
            ACCEPT_PAUSE,
        )
        self.reactor.set_alarm(self, self.reactor.clock() + ACCEPT_PAUSE)
        self._watch()

    def ring(self) -> None:
        """The rest is over."""
        self._watch()

    def hold(self, held: bool) -> None:
        """Accept no more until further notice, or again."""
        self._held = held
        self._watch()

    def _watch(self) -> None:
        awake = not self._held and self.alarm_at is None
        if self.listener.fileno() >= 0:
            self.reactor.modify(self.listener.fileno(), READ if awake else 0)

    def stop(self) -> None:
        """Accept no more, for good."""
        self.reactor.cancel_alarm(self)
        self.reactor.unregister(self.listener.fileno())


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
        key = "HTTP_" + name.upper().replace("-", "_")
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

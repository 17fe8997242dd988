"""Serving on a reactor: accepting, and the orderly end. For the servers that do both there.

It must never know who serves a connection once it is accepted, nor frames.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ws4py.messaging import Message
from ws4py.reactor import READ, Channel, Reactor
from ws4py.server import (
    ACCEPT_BATCH,
    ACCEPT_PAUSE,
    LAST_WORDS,
    OUT_OF_DESCRIPTORS,
    SHUTTING_DOWN,
    BaseServer,
)
from ws4py.syscalls import accept
from ws4py.websocket import WebSocket, short_address

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["AcceptingServer", "Acceptor", "ReactorServer"]

logger = logging.getLogger("ws4py.server")


class AcceptingServer(BaseServer):
    """Accepting on a reactor, and coming to an orderly end there, whoever runs it.

    Listens from the moment it is made. ``for ws in server``, ``len(server)`` and ``ws in server``
    are about the open websockets.

    For subclasses: all methods with an underscore are called on the reactor's thread.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._acceptors: list[Acceptor] = []
        self._shutdown = _Shutdown(self)
        self._running: Reactor | None = None
        self._closing = False

    # -- what a subclass says --------------------------------------------------------------

    def _reactor(self) -> Reactor:
        """The reactor to serve on."""
        raise NotImplementedError

    def _accept(self, sock: socket.socket, peer: Any) -> None:
        """A connection has come in; its socket does not wait."""
        raise NotImplementedError

    def _busy(self) -> bool:
        """Whether the end has to wait for anybody."""
        raise NotImplementedError

    def _dismiss(self, code: int, reason: str) -> None:
        """Drop the openings, begin to close the websockets; as they go, ``look()``."""
        raise NotImplementedError

    def _let_be(self) -> None:
        """Drop the openings and leave the websockets; as they go, ``look()``."""

    def _cut(self) -> None:
        """Cut whatever is left and come to the end."""
        raise NotImplementedError

    # -- running ---------------------------------------------------------------------------

    def _listen(self) -> None:
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

    def look(self) -> None:
        """A connection has gone; on the reactor's thread."""
        self._shutdown.look()

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


class ReactorServer(AcceptingServer):
    """Runs the reactor too.

    ``serve_forever()`` serves on the calling thread, ``start()`` on one of its own. As a context
    manager it starts, and closes at the end.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Reentrant, because close() may come in a signal handler.
        self._state = threading.RLock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what a subclass says --------------------------------------------------------------

    def _serve(self) -> None:
        """Run the reactor until ``_cut``. Called again after an exception such as Ctrl-C."""
        raise NotImplementedError

    def _discard(self) -> None:
        """Give back the reactor, which never ran."""
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
            super()._listen()

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

    def close(self, code: int | None = SHUTTING_DOWN[0], reason: str = SHUTTING_DOWN[1]) -> None:
        """Stop accepting, close every connection with ``code``, wait, then cut what is left.

        With ``None`` for a code the connections are left to themselves, and waited for.

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

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _Shutdown(Channel):
    """The orderly end of a server and its deadline. All on the reactor's thread."""

    def __init__(self, server: AcceptingServer) -> None:
        super().__init__()
        self.server = server
        self.begun = False

    def begin(self, code: int | None, reason: str, at_once: bool) -> None:
        """Stop accepting and dismiss everybody; the second time, do not wait for them.

        Without a code nobody is dismissed: all go in their own time.
        """
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
        if code is None:
            server._let_be()
            self.look()
            return
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
        self._family = listener.family  # looked up by name each time
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
                accepted = accept(self.listener, self._family)
            except OSError as exc:
                if exc.errno in OUT_OF_DESCRIPTORS:
                    self.rest(f"{exc.strerror}. Raise the limit of open files (ulimit -n)")
                    return
                logger.debug("a connection broke before it was accepted: %s", exc)
                continue
            if accepted is None:
                return
            sock, address = accepted
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

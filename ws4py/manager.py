"""The manager: thousands of websockets on one thread.

It adds what 0.6's users know (``add``, ``remove``, ``broadcast``, iteration) to the reactor that
does the work. It must never know the opening handshake, TLS or frames.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ws4py.broadcasting import broadcast
from ws4py.messaging import Message
from ws4py.reactor import Channel, EPollPoller, KQueuePoller, PollPoller, SelectPoller
from ws4py.syscalls import this_thread
from ws4py.transport import BlockingTransport, PolledTransport, SocketReactor

if TYPE_CHECKING:
    from ws4py.websocket import Payload, WebSocket

__all__ = ["EPollPoller", "KQueuePoller", "PollPoller", "SelectPoller", "WebSocketManager"]

logger = logging.getLogger("ws4py")


class WebSocketManager:
    """Serves any number of websockets on one thread.

    ``poller`` is one of this module's, or anything that looks like one of ws4py 0.6's
    (``register``, ``unregister``, ``poll``, ``release``); the platform's best by default.
    All hooks of the websockets run on the manager's thread (``opened()`` of one that is added:
    on the thread that adds it). All methods may be called from any thread and from hooks.

    The thread is not a daemon: it runs until ``stop()``, and can be started again after that.

    ``reactor``: serve on this one, which somebody else runs (see ``ws4py.foreign``). There is no
    thread then, and ``start()`` and ``run()`` are of no use.
    """

    def __init__(self, poller: Any = None, *, reactor: SocketReactor | None = None) -> None:
        self.lock = threading.RLock()
        self._websockets: dict[int, WebSocket] = {}  # by identity: descriptors are reused
        self._poller = poller
        self._empty = threading.Condition()
        self._awaited = 0  # how many wait for that
        #: Called on the manager's thread after a websocket has gone. For servers.
        self.on_forget: Callable[[], object] | None = None
        self._reactor = reactor
        self._guest = reactor is not None
        self._thread: threading.Thread | None = None
        self.running = False
        self._farewell: tuple[int, str] | None = None
        self.name = "WebSocketManager"
        self.daemon = False

    # -- the loop --------------------------------------------------------------------------

    @property
    def reactor(self) -> SocketReactor:
        """The loop that does the work; made when it is first needed."""
        if (reactor := self._reactor) is not None:
            return reactor
        with self.lock:
            if self._reactor is None:
                self._reactor = SocketReactor(self._poller)
                self._poller = None  # a stopped reactor takes its poller with it
            return self._reactor

    @property
    def poller(self) -> Any:
        """What tells which sockets are ready; may be replaced before anything is added."""
        poller = self.reactor.poller
        return getattr(poller, "poller", poller)

    @poller.setter
    def poller(self, poller: Any) -> None:
        with self.lock:
            if self._websockets or self.running:
                raise RuntimeError("the poller can only be replaced before anything is added")
            if self._reactor is not None:
                self._reactor.release()
                self._reactor = None
            self._poller = poller

    def start(self) -> None:
        """Serve on a thread of the manager's own. ``RuntimeError`` when it is running."""
        with self.lock:
            if self.running:
                raise RuntimeError("the manager is running already")
            self.running = True
            self._farewell = None
            self._thread = threading.Thread(target=self._loop, name=self.name, daemon=self.daemon)
            self._thread.start()

    def run(self) -> None:
        """Serve on the calling thread until ``stop()``.

        Ctrl-C and the like pass through; everything is still there then, for ``run()`` or
        ``stop()``.
        """
        self.running = True
        self._loop()

    def _loop(self) -> None:
        reactor = self.reactor
        reactor.ident = this_thread()
        try:
            while self.running:
                reactor.turn()
        except BaseException:
            self.running = False
            reactor.ident = 0
            raise
        try:
            self._cut_all(reactor)
        finally:
            self.running = False
            with self.lock:
                self._reactor = None
            reactor.ident = 0
            reactor.release()

    def _cut_all(self, reactor: SocketReactor) -> None:
        """The manager stops: no connection is left without its ``closed()``."""
        for ws in list(self._websockets.values()):
            ws._dismissed()
            ws.close_connection()
        # Each end is a call to this thread; a hook may still send or close.
        for _ in range(2):
            reactor.turn(0)
        self._websockets.clear()

    def stop(self) -> None:
        """End ``run()``. Connections still there are cut; see ``close_all`` for manners."""
        if self._guest:
            for ws in self:
                ws._dismissed()
                ws.close_connection()
            return
        with self.lock:
            was_running, self.running = self.running, False
            reactor = self._reactor
        if reactor is not None:
            if was_running or reactor.ident or self.is_alive():
                reactor.call_soon(lambda: None)
            else:
                for ws in self:
                    ws._dismissed()
                    ws.terminate()
                reactor.turn(0)
                self._reactor = None
                reactor.release()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the manager's own thread to end; nothing to do from that thread itself."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def is_alive(self) -> bool:
        """Whether the manager's own thread runs."""
        return self._thread is not None and self._thread.is_alive()

    # -- websockets ------------------------------------------------------------------------

    def add(self, ws: WebSocket) -> None:
        """Serve this websocket. Calls ``opened()`` first, on the calling thread.

        An exception of ``opened()`` is passed on and nothing is added. No-op when it is in.
        ``RuntimeError`` for one that has no socket, not yet or not any more.
        """
        if ws in self:
            return
        logger.info("managing websocket %r", ws)
        if ws.sock is None:
            raise RuntimeError(f"{ws!r} has no socket: not connected yet, or closed")
        if not ws._opened:
            ws._opened = True
            ws.opened()
            ws._after_opened()
        if ws.sock is None:
            ws.terminate()  # opened() closed the connection: there is nothing to serve
            ws._released()
        else:
            self.adopt(ws)

    def adopt(self, ws: WebSocket, before: Channel | None = None) -> None:
        """Serve this websocket, whose ``opened()`` is taken care of.

        ``before``: for whom the reactor has watched its socket up to now.
        """
        transport = PolledTransport(ws.sock, self._reactor or self.reactor)
        transport.on_end = self._forget
        blocking = ws._transport
        if isinstance(blocking, BlockingTransport):
            with blocking.lock:
                transport.take_over(blocking)
                ws.transport = transport
        else:
            ws.transport = transport
        self._websockets[id(ws)] = ws
        try:
            transport.start(ws, before)
        except BaseException:
            self._websockets.pop(id(ws), None)
            raise

    def entrust(self, ws: WebSocket) -> None:
        """Serve this websocket, with all its hooks on the manager's thread. Any thread.

        Where ``add`` calls ``opened()`` at once, this leaves it to the manager. It returns at
        once; one that comes too late for ``shut_down`` is told so and cut.
        """
        with self.lock:
            if self.running:
                self.reactor.call_soon(self._welcome, ws)
                return
        self._send_away(ws)

    def _welcome(self, ws: WebSocket) -> None:
        if not self.running:
            self._send_away(ws)
            return
        try:
            self.adopt(ws)
        except Exception:
            logger.exception("cannot serve %r", ws)
            ws.close_connection()
            return
        ws.connection_made()
        if self._farewell is not None:
            ws.close(*self._farewell)

    def _send_away(self, ws: WebSocket) -> None:
        if self._farewell is not None:
            ws.close(*self._farewell)
        ws.close_connection()

    def _forget(self, ws: Any) -> None:
        """The last word about a websocket, on the manager's thread."""
        self._websockets.pop(id(ws), None)
        if self._awaited and not self._websockets:
            with self._empty:
                self._empty.notify_all()
        ws._released()
        if self.on_forget is not None:
            self.on_forget()

    def remove(self, ws: WebSocket) -> None:
        """Serve it no longer. Calls no hook and closes nothing; no-op when it is not in."""
        if self._websockets.pop(id(ws), None) is not None:
            transport = ws._transport
            if isinstance(transport, PolledTransport):
                transport.detach()

    def close_all(self, code: int = 1001, message: str = "Server is shutting down") -> None:
        """Begin to close every websocket; returns at once. See ``wait_closed``."""
        for ws in list(self._websockets.values()):
            try:
                ws.close(code=code, reason=message)
            except Exception:
                logger.exception("error in close() of %r", ws)

    def shut_down(self, code: int, reason: str, patience: float = 1.0) -> None:
        """Close every websocket politely, wait for that, then stop; nothing if it does not run.

        A peer that does not answer is cut by its own close timeout; ``patience`` is how many
        seconds the last ``closed()`` hooks may take after that. Not from the manager's thread.
        """
        with self.lock:
            self._farewell = code, reason
            if not self.running:
                return
        begun = threading.Event()

        def begin() -> None:
            # On the manager's thread: whatever was entrusted before is there by now.
            self.close_all(code, reason)
            begun.set()

        self.reactor.call_soon(begin)
        if begun.wait(self._longest_close() + patience):
            self.wait_closed(self._longest_close() + patience)
        self.stop()
        self.join()

    def _longest_close(self) -> float:
        return max((ws.stream.config.close_timeout or 0 for ws in self), default=0)

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until no websocket is left; ``False`` after ``timeout`` seconds. Not from hooks."""
        reactor = self._reactor
        if reactor is None:
            return True
        end = None if timeout is None else time.monotonic() + timeout
        with self._empty:
            self._awaited += 1  # before looking: whoever empties it looks at this afterwards
            try:
                while self._websockets:
                    left = None if end is None else end - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    self._empty.wait(left)
            finally:
                self._awaited -= 1
        return True

    def broadcast(self, message: Payload | Message, binary: bool = False) -> None:
        """Send to every open websocket. A slow one delays nobody; a failing one is logged."""
        broadcast(list(self._websockets.values()), message, binary)

    @property
    def websockets(self) -> dict[int, WebSocket]:
        """The websockets by descriptor: a copy, safe to go through at leisure."""
        found = {}
        for ws in list(self._websockets.values()):
            sock = ws.sock
            if sock is not None:
                found[sock.fileno()] = ws
        return found

    def __len__(self) -> int:
        return len(self._websockets)

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(list(self._websockets.values()))

    def __contains__(self, ws: object) -> bool:
        return id(ws) in self._websockets

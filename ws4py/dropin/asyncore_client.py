"""The asyncore-driven ``WebSocket`` of python-websocket, on one thread::

    import ws4py.dropin.asyncore_client as asyncore
    from ws4py.dropin.asyncore_client import WebSocket

    socket = WebSocket("ws://example.com/demo", onmessage=print)
    socket.onopen = lambda: socket.send("Hello world!")
    asyncore.loop()

``loop()`` is Python's own ``asyncore.loop()`` where there is one (up to 3.11, or the package
pyasyncore), among whatever else it drives; elsewhere it is a loop of ours. This module must never
know protocol or time: it tells a loop what to watch (see ``ws4py.foreign``).
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any

from ws4py.client import WebSocketBaseClient
from ws4py.client.reconnect import as_error
from ws4py.client.stepping import Opening
from ws4py.foreign import READ, WRITE, ExternalReactor
from ws4py.messaging import Message
from ws4py.reactor import Poller, best_poller
from ws4py.syscalls import this_thread
from ws4py.transport import PolledTransport, Transport

__all__ = ["WebSocket", "loop"]


logger = logging.getLogger("ws4py")

#: Rounds of what follows from what was served, before others have their turn.
AT_ONCE = 16


def find_asyncore() -> Any:
    """The module, or ``None``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("asyncore")
        except ImportError:
            return None


class _Watched:
    """A descriptor as asyncore wants to see it."""

    accepting = False

    def __init__(self, fd: int, events: int, serve: Callable[[int, int], None]) -> None:
        self.fd = fd
        self.events = events
        self._serve = serve

    def readable(self) -> bool:
        return bool(self.events & READ)

    def writable(self) -> bool:
        return bool(self.events & WRITE)

    def handle_read_event(self) -> None:
        self._serve(self.fd, READ)

    def handle_write_event(self) -> None:
        self._serve(self.fd, WRITE)

    def handle_close(self) -> None:
        self._serve(self.fd, READ | WRITE)

    handle_expt_event = handle_close

    def handle_error(self) -> None:
        """Called where an exception is handled: out of the loop with it."""
        error = sys.exc_info()[1]
        assert error is not None
        raise error

    def close(self) -> None:
        """``asyncore.close_all()``: the websocket closes its socket itself."""


class _Loop:
    """What is watched on behalf of all websockets, by asyncore or by ourselves."""

    def __init__(self) -> None:
        self.reactor = ExternalReactor()
        self.websockets: set[WebSocket] = set()
        self.errors: list[Exception] = []
        self.serving = False
        self.asyncore = find_asyncore()
        self.poller: Poller | None = None if self.asyncore else best_poller()
        self._watched: set[int] = set()

    def add(self, websocket: WebSocket) -> None:
        """There is one more."""
        self.websockets.add(websocket)
        self.apply()

    def discard(self, websocket: WebSocket) -> None:
        """There is one less; without any, nothing is watched any more."""
        self.websockets.discard(websocket)
        if not self.serving:
            self.apply()

    def apply(self) -> None:
        """Watch what is to be watched."""
        self._watch_changes()
        if not self.websockets:
            self._release()
        elif self.asyncore:
            self.reactor.remind()

    def _watch_changes(self) -> None:
        for fd, events in self.reactor.changes():
            self._watch(fd, events)

    def _watch(self, fd: int, events: int) -> None:
        known = fd in self._watched
        if self.poller is not None:
            if events:
                (self.poller.modify if known else self.poller.register)(fd, events)
            elif known:
                self.poller.unregister(fd)
        elif events:
            self.asyncore.socket_map[fd] = _Watched(fd, events, self._ready)
        else:
            self.asyncore.socket_map.pop(fd, None)
        (self._watched.add if events else self._watched.discard)(fd)

    def _release(self) -> None:
        global _current
        if _current is self:
            _current = None
        for fd in list(self._watched):
            self._watch(fd, 0)
        self.reactor.release()
        if self.poller is not None:
            self.poller.release()

    def _ready(self, fd: int, events: int) -> None:
        if fd in self._watched:
            self.serve([(fd, events)])

    def serve(self, ready: Any) -> None:
        """Serve these; raises what nobody else wanted to hear of."""
        self.reactor.ident = this_thread()
        self.serving = True
        try:
            for _ in range(AT_ONCE):
                self.reactor.serve(ready)
                self._watch_changes()
                if self.errors or self.reactor.timeout() != 0:
                    break
                ready = ()
        finally:
            self.serving = False
            self.apply()
        if self.errors:
            first, *others = self.errors
            self.errors.clear()
            for error in others:
                logger.error("a loop ends with one error only; another was", exc_info=error)
            raise first

    def turn(self, timeout: float | None) -> None:
        """Wait and serve once, without asyncore."""
        assert self.poller is not None
        patience = self.reactor.timeout()
        if patience is None or (timeout is not None and timeout < patience):
            patience = timeout
        self.serve(list(self.poller.wait(patience)))


_current: _Loop | None = None


def _the_loop() -> _Loop:
    global _current
    if _current is None:
        _current = _Loop()
    return _current


def loop(
    timeout: float | None = 30.0, use_poll: bool = False, map: Any = None, count: int | None = None
) -> None:
    """Drive all websockets (and all that asyncore drives) until none is left.

    ``timeout``: seconds that one turn may wait; ``count``: turns after which it returns in any
    case: ``loop(0, count=1)`` serves them from a loop of your own. Raises errors that no
    ``onerror`` takes; they do not end the other connections.
    """
    asyncore = find_asyncore()
    if asyncore is not None:
        asyncore.loop(timeout, use_poll, map, count)
        return
    while _current is not None and count != 0:
        _current.turn(timeout)
        count = None if count is None else count - 1


class _Client(WebSocketBaseClient):
    """Our client, whose hooks are the websocket's callbacks."""

    def __init__(self, owner: WebSocket, loop: _Loop, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._owner = owner
        self._loop = loop

    def _new_transport(self) -> Transport:
        return PolledTransport(self.sock, self._loop.reactor)

    def handshake_ok(self) -> None:
        transport = self.transport
        assert isinstance(transport, PolledTransport)
        transport.start(self)
        self.connection_made()

    def opened(self) -> None:
        self._owner._call(self._owner.onopen)

    def received_message(self, message: Message) -> None:
        self._owner._call(self._owner.onmessage, str(message) if message.is_text else message.data)

    def unhandled_error(self, error: Exception) -> None:
        """``closed`` tells of it."""

    def closed(self, code: int, reason: str | None = None) -> None:
        self._owner._ended(self)


class WebSocket:
    """A connection to ``url``, which ``asyncore.loop()`` (or ``loop()``) makes and drives.

    ``protocol``: the subprotocol to ask for; ``cookie_jar``: an ``http.cookiejar.CookieJar`` whose
    cookies are sent, and which keeps those of the answer. Callbacks, here or as attributes:
    ``onopen()``, ``onmessage(data)``, ``onerror(exception)`` (without it the exception is raised
    out of the loop) and ``onclose()``, only after a closing handshake. ``options``: any other
    argument of ``WebSocketBaseClient``. Raises ``ValueError`` for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        protocol: str | None = None,
        cookie_jar: CookieJar | None = None,
        onopen: Callable[[], Any] | None = None,
        onmessage: Callable[[Any], Any] | None = None,
        onerror: Callable[[Exception], Any] | None = None,
        onclose: Callable[[], Any] | None = None,
        **options: Any,
    ) -> None:
        self.onopen = onopen
        self.onmessage = onmessage
        self.onerror = onerror
        self.onclose = onclose
        protocols = [protocol] if protocol else None
        self._loop = _the_loop()
        self._client = _Client(
            self, self._loop, url, protocols=protocols, cookies=cookie_jar, **options
        )
        self._opening: Opening | None = Opening(
            self._loop.reactor, self._client._opening(), self._opened, self._client._network
        )
        self._loop.add(self)

    @property
    def protocol(self) -> str | None:
        """The subprotocol in use."""
        return self._client.subprotocol if self._opening is None else None

    def fileno(self) -> int:
        """The socket's descriptor; -1: none."""
        sock = self._client.sock
        return -1 if sock is None else int(sock.fileno())

    def send(self, data: str | bytes) -> None:
        """Send text for ``str``, binary data for ``bytes``. Raises ``ConnectionClosed``."""
        self._client.send(data, binary=not isinstance(data, str))
        self._written()

    def close(self) -> None:
        """Begin to close; ``onclose`` is called from the loop when it is done."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
            self._loop.discard(self)
            return
        self._client.close()
        self._written()

    def _written(self) -> None:
        # Outside of the loop nobody writes later: it may not run again.
        if not self._loop.serving and self._client.sock is not None:
            self._client.flush()
            self._loop.apply()

    # -- from the loop -------------------------------------------------------------------------

    def _opened(self, opened: Any, error: Exception | None) -> None:
        self._opening = None
        if error is not None:
            self._loop.discard(self)
            self._failed(error)
            return
        self._client._established(opened)
        self._client.handshake_ok()

    def _ended(self, client: _Client) -> None:
        self._loop.discard(self)
        info = client.close_info
        assert info is not None
        if info.clean and info.error is None:
            self._call(self.onclose)
        else:
            error = info.error
            self._failed(error if isinstance(error, Exception) else as_error(info))

    def _call(self, callback: Callable[..., Any] | None, *args: Any) -> None:
        if callback is not None:
            try:
                callback(*args)
            except Exception as exc:
                self._failed(exc)

    def _failed(self, error: Exception) -> None:
        if self.onerror is None:
            self._loop.errors.append(error)
            return
        try:
            self.onerror(error)
        except Exception as exc:
            self._loop.errors.append(exc)

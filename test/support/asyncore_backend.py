"""The asyncore-driven drop-in as the conformance tests see it: its one loop on a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from dropin_backends import NONE_CAN, Facade, message_of
from waiting import TIMEOUT

from ws4py.dropin import asyncore_client

ASYNCORE_CANNOT = {
    **NONE_CAN,
    "hooks that raise": "it goes to onerror, and on",
    "ponged": "there are no pongs",
    "pings": "there are no pings",
    "close codes": "close() says 1000 and nothing else",
    "generators": "there are only whole messages",
    "compress": "there is no such option",
    "protocols": "one subprotocol is asked for, not a list",
    "senders that wait": "the one thread must not wait",
    "an opening of its own": "it is our client's, which takes all options as they are",
}


class _Driver:
    """The thread on which everything happens, while there is a connection."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._users = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """One more connection."""
        self._users += 1
        if self._users == 1:
            self._thread = threading.Thread(target=self._run, name="test-asyncore", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """One less."""
        self._users -= 1
        if self._users == 0:
            assert self._thread is not None
            self._jobs.put(None)
            self._thread.join(TIMEOUT)
            assert not self._thread.is_alive()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call it there, and wait for what it gives."""
        if threading.current_thread() is self._thread:
            return function(*args)
        done: Future[Any] = Future()
        self._jobs.put((done, function, args))
        loop = asyncore_client._current
        if loop is not None and loop.websockets:
            loop.reactor.call_soon(self._work)
        return done.result(TIMEOUT)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(*job)
            asyncore_client.loop()

    def _work(self) -> None:
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                return
            self._do(*job)

    def _do(self, done: Future[Any], function: Callable[..., Any], args: Any) -> None:
        try:
            done.set_result(function(*args))
        except BaseException as exc:
            done.set_exception(exc)


_driver = _Driver()


class Asyncore(Facade):
    """``WebSocket``, driven by ``loop()``."""

    cannot = ASYNCORE_CANNOT

    def connect(self) -> None:
        self._ready: Future[None] = Future()
        self._over = threading.Event()
        _driver.start()
        try:
            _driver.call(self._begin)
            self._ready.result(TIMEOUT)
        except BaseException:
            _driver.stop()
            raise

    def _begin(self) -> None:
        options = dict(self.options)
        self.connection = asyncore_client.WebSocket(
            self.url,
            cookie_jar=options.pop("cookies", None),
            onopen=self._opened,
            onmessage=lambda data: self.received_message(message_of(data)),
            onerror=self._failed,
            onclose=self._ended,
            **options,
        )

    def _opened(self) -> None:
        self.engine = self.connection._client
        self._ready.set_result(None)
        self.opened()

    def _failed(self, error: Exception) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
        elif self.engine.close_info is not None:
            self._ended()

    def _ended(self) -> None:
        self.end(None, None)  # the library tells nothing
        self._over.set()

    def send(self, data: Any, binary: bool = False, compress: bool | None = None) -> None:
        if hasattr(data, "__next__"):
            self.need("generators")
        if compress is not None:
            self.need("compress")
        if isinstance(data, bytes) and not binary:
            data = data.decode()  # bytes are binary there
        _driver.call(self.connection.send, data)

    def ping(self, data: Any) -> None:
        self.need("pings")

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        if code != 1000 or reason:
            self.need("close codes")
        _driver.call(self.connection.close)

    def close_connection(self) -> None:
        _driver.call(self.engine.close_connection)

    def join(self, timeout: float) -> None:
        assert self._over.wait(timeout)

    def stop(self) -> None:
        self.close_connection()
        self.join(TIMEOUT)
        _driver.stop()

    @property
    def subprotocol(self) -> str | None:
        return self.connection.protocol

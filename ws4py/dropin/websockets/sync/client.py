"""``connect`` for threads, over our blocking client; a thread in the background reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ws4py.client.pull import PullClient
from ws4py.dropin.websockets.client import Remembering, Retries, Wanted, backoff, process_exception
from ws4py.dropin.websockets.sync.connection import Connection
from ws4py.dropin.websockets.translation import opening_error

__all__ = ["ClientConnection", "connect", "reconnect", "unix_connect"]


class _End(Remembering, PullClient):
    """Our end."""


class ClientConnection(Connection):
    """What ``connect`` gives."""

    def __init__(self, socket: Any, protocol: Any, **limits: Any) -> None:
        super().__init__(protocol, **limits)


def connect(uri: str, **options: Any) -> Any:
    """Connect to ``uri``. The arguments are those of ``websockets``.

    Raises ``InvalidURI``, ``InvalidHandshake``, ``OSError`` and ``TimeoutError``.
    """
    wanted = Wanted(uri, {k: v for k, v in options.items() if k != "legacy"})
    try:
        ws = wanted.client(_End, background=True)
        ws.connect()
    except Exception as exc:
        error = opening_error(exc, "timed out while waiting for handshake response")
        if error is exc:
            raise
        raise error from error.__cause__
    factory = wanted.options.get("create_connection") or ClientConnection
    connection = factory(ws.sock, wanted.protocol(ws), **wanted.of_a_connection())
    connection.legacy_recv = bool(wanted.options.get("legacy_recv"))
    connection.attach(ws)
    return connection


def unix_connect(path: Any = None, uri: str | None = None, **options: Any) -> Any:
    """The same over the Unix socket at ``path``; ``uri`` says what is asked for there."""
    if uri is None:
        uri = "wss://localhost/" if options.get("ssl") else "ws://localhost/"
    return connect(uri, unix=True, path=path, **options)


class reconnect:
    """``for connection in reconnect(uri)``: connects again whenever the connection is lost."""

    def __init__(
        self,
        uri: str,
        *,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        **options: Any,
    ) -> None:
        self.uri = uri
        self.process_exception = process_exception
        self.reconnect_delays = reconnect_delays
        self.options = options
        self.logger = options.get("logger") or logging.getLogger("websockets.client")
        self._connection: Any = None
        Wanted(uri, options)

    def connect(self) -> Any:
        """Connect once."""
        return connect(self.uri, **self.options)

    def __enter__(self) -> Any:
        self._connection = self.connect()
        return self._connection.__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        connection, self._connection = self._connection, None
        connection.__exit__(*exc_info)

    def __iter__(self) -> Iterator[Any]:
        retries = Retries(self.process_exception, self.reconnect_delays, self.logger)
        while True:
            try:
                with self as connection:
                    yield connection
            except Exception as exc:
                time.sleep(retries.delay_after(exc))
            else:
                retries.succeeded()

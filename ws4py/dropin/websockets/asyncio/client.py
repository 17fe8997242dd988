"""``connect`` for coroutines: awaited, as a context manager, or as a loop that reconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from ws4py.client.asyncioclient import ClientConnection as OurConnection
from ws4py.dropin.websockets.asyncio.connection import Connection
from ws4py.dropin.websockets.client import Remembering, Retries, Wanted, backoff, process_exception
from ws4py.dropin.websockets.translation import opening_error

__all__ = ["ClientConnection", "connect", "unix_connect"]


class _End(Remembering, OurConnection):  # type: ignore[misc]
    """Our end."""


class ClientConnection(Connection):
    """What ``connect`` gives."""


class connect:
    """Connect to ``uri``: ``await`` it, use it with ``async with``, or loop over it.

    ``async for connection in connect(…)`` connects again whenever the connection is lost.
    Arguments are those of ``websockets``, of today and of old; ``legacy_recv`` lets ``recv()``
    give ``None`` at the end. Raises ``InvalidURI``, ``InvalidHandshake``, ``OSError`` and
    ``TimeoutError``.
    """

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
        self._wanted = Wanted(uri, options)
        self.logger = options.get("logger") or logging.getLogger("websockets.client")
        self._connection: Any = None

    async def connect(self) -> Any:
        """Connect once."""
        wanted = self._wanted
        try:
            ws = wanted.client(_End)
            await ws._open()
        except Exception as exc:
            error = opening_error(exc, "timed out during opening handshake")
            if error is exc:
                raise
            raise error from error.__cause__
        factory = wanted.options.get("create_connection") or ClientConnection
        connection = factory(wanted.protocol(ws), **wanted.of_a_connection())
        connection.legacy_recv = bool(wanted.options.get("legacy_recv"))
        connection.attach(ws)
        return connection

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.connect().__await__()

    async def __aenter__(self) -> Any:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = await self.connect()
        return await self._connection.__aenter__()

    async def __aexit__(self, *exc_info: Any) -> None:
        connection, self._connection = self._connection, None
        await connection.__aexit__(*exc_info)

    async def __aiter__(self) -> AsyncIterator[Any]:
        retries = Retries(self.process_exception, self.reconnect_delays, self.logger)
        while True:
            try:
                async with self as connection:
                    yield connection
            except Exception as exc:
                await asyncio.sleep(retries.delay_after(exc))
            else:
                retries.succeeded()


def unix_connect(path: Any = None, uri: str | None = None, **options: Any) -> connect:
    """The same over the Unix socket at ``path``; ``uri`` says what is asked for there."""
    if uri is None:
        uri = "wss://localhost/" if options.get("ssl") else "ws://localhost/"
    return connect(uri, unix=True, path=path, **options)

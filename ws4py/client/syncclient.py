"""The blocking face: ``connect()``, ``send()``, ``recv()``, no hooks::

    with connect("ws://localhost:9000/") as ws:
        ws.send("hello")
        print(ws.recv(timeout=5))

``str`` is text and ``bytes`` is binary, both ways. This module must never know frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, overload

from ws4py.client import GivenUrl
from ws4py.client.persistent import Stoppable, Stopped
from ws4py.client.pull import Pong, PullClient
from ws4py.client.reconnect import (
    Attempts,
    Reconnect,
    Reconnecting,
    keep_trying,
    policy_of,
    tell_nobody,
)
from ws4py.client.route import Steps
from ws4py.exc import ConnectionClosed
from ws4py.messaging import Message
from ws4py.websocket import Payload

__all__ = ["Connection", "Connections", "Pong", "connect"]


class Connection(PullClient):
    """An open connection; ``connect()`` makes one. A context manager that closes at its end.

    See ``PullClient`` about threads. Without ``background``, pings of the server are answered
    while this program is in ``recv()``, ``close()`` or waits for a pong, and only then.
    """

    def send(
        self,
        payload: Payload | Message | Iterable[Payload],
        binary: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message: text for ``str``, binary for ``bytes`` and the like.

        The first item of an iterator decides for all of the message, which is sent in fragments.
        ``binary`` and ``compress``, and what is raised: see ``WebSocket.send``.
        """
        if binary is None:
            if isinstance(payload, Iterator):
                first = next(payload, "")
                payload = itertools.chain((first,), payload)
                binary = not isinstance(first, str)
            else:
                binary = not isinstance(payload, str)
        super().send(payload, binary, compress)

    def recv(self, timeout: float | None = None) -> str | bytes:
        """The next message, waited for.

        Raises ``TimeoutError`` after ``timeout`` seconds (nothing is lost by that) and
        ``ConnectionClosed``, with the close report, when it is over and all messages are taken.
        """
        message = self.next_message(timeout)
        return str(message) if message.is_text else message.data

    def __iter__(self) -> Iterator[str | bytes]:
        """Messages until the connection is closed. Raises ``ConnectionClosed`` if it broke."""
        while True:
            try:
                message = self.recv()
            except ConnectionClosed as exc:
                if exc.close_info is not None and exc.close_info.normal:
                    return
                raise
            yield message

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Connections:
    """One connection after the other: ``for ws in connect(url, reconnect=True)``.

    When the body is done with one, be it by ``continue``, it is closed, and the next is waited
    for. The error for which it is given up ends the loop.
    """

    def __init__(self, policy: Reconnect, url: GivenUrl, *args: Any, **kwargs: Any) -> None:
        self._policy = policy
        self._how = (url, *args), kwargs
        self._stoppable = Stoppable(Connection._network)
        self._connection: Connection | None = None

    def _opening(self) -> Steps[tuple[Connection, Any]]:
        args, kwargs = self._how
        connection = Connection(*args, **kwargs)
        return connection, (yield from connection._opening())

    def __iter__(self) -> Iterator[Connection]:
        attempts, why = Attempts(self._policy), None
        while not self._stoppable.stopped:
            steps = keep_trying(attempts, self._opening, tell_nobody, why)
            try:
                connection, opened = self._stoppable.drive(steps)
            except Stopped:
                return
            connection._established(opened)
            connection.handshake_ok()
            with connection:
                self._connection = connection
                if not self._stoppable.stopped:
                    yield connection
            why = connection.close_info

    def close(self) -> None:
        """End the loop: also a wait, an attempt and the connection. Any thread."""
        self._stoppable.stop()
        if self._connection is not None:
            self._connection.close()


@overload
def connect(
    url: GivenUrl,
    *args: Any,
    background: bool = ...,
    reconnect: Literal[False] | None = ...,
    **kwargs: Any,
) -> Connection: ...
@overload
def connect(
    url: GivenUrl, *args: Any, background: bool = ..., reconnect: Reconnecting, **kwargs: Any
) -> Connections: ...
def connect(
    url: GivenUrl,
    *args: Any,
    background: bool = False,
    reconnect: Reconnecting = None,
    **kwargs: Any,
) -> Connection | Connections:
    """Connect to ``url``. Arguments and errors: see ``WebSocketBaseClient``.

    ``background``: have a thread read, so that pings are answered while the program is elsewhere.
    When more than ``Config.high_water`` bytes of messages wait to be received, it stops reading.

    ``reconnect`` (see ``client.reconnect``) gives connections, to be gone through one by one:
    ``for ws in connect(url, reconnect=True): ...``
    """
    policy = policy_of(reconnect)
    if policy is not None:
        return Connections(policy, url, *args, background=background, **kwargs)
    connection = Connection(url, *args, background=background, **kwargs)
    connection.connect()
    return connection

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
from typing import Any

from ws4py.client.pull import Pong, PullClient
from ws4py.exc import ConnectionClosed
from ws4py.messaging import Message
from ws4py.websocket import Payload

__all__ = ["Connection", "Pong", "connect"]


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


def connect(url: str, *args: Any, background: bool = False, **kwargs: Any) -> Connection:
    """Connect to ``url``. Arguments and errors: see ``WebSocketBaseClient``.

    ``background``: have a thread read, so that pings are answered while the program is elsewhere.
    When more than ``Config.high_water`` bytes of messages wait to be received, it stops reading.
    """
    connection = Connection(url, *args, background=background, **kwargs)
    connection.connect()
    return connection

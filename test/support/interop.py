"""What the interop tests share: the ways to connect, our ends of them, and what is said.

A foreign peer is asked for the same things on every way: ``MESSAGES`` come back as they went, a
ping is answered, and close codes and reasons arrive. An echo of theirs or ours closes when told
to, by the text ``close CODE REASON``.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hooks import recorded

from ws4py.cli import loops
from ws4py.client.threadedclient import WebSocketClient
from ws4py.protocol.config import DEFAULT, Config
from ws4py.server import managedserver, threadedserver
from ws4py.websocket import EchoWebSocket

MIB = 1024 * 1024

#: Each kind of message, empty ones, three sizes of length field; 1 MiB of text, which deflate
#: likes, and of bytes, which it does not.
MESSAGES: tuple[str | bytes, ...] = (
    "",
    "Grüße, 世界 🎉",
    "Grüße, 世界 🎉 " * (MIB // 21),
    b"",
    bytes(range(256)),
    os.urandom(MIB),
)

#: One message in fragments, the middle one empty.
FRAGMENTS = ("Grü", "", "ße" * 3000)

SERVERS = {
    "managed": managedserver.WebSocketServer,
    "threaded": threadedserver.WebSocketServer,
    "asyncio": loops.Server,
}


@dataclass(frozen=True)
class Way:
    """A way to connect."""

    secure: bool
    deflate: bool

    def __str__(self) -> str:
        return f"{self.scheme}-{'deflate' if self.deflate else 'plain'}"

    @property
    def scheme(self) -> str:
        return "wss" if self.secure else "ws"

    @property
    def config(self) -> Config:
        """The policy of our end: the default one, perhaps without compression."""
        return DEFAULT if self.deflate else DEFAULT.replace(compression=None)

    def agreed(self, extensions: Any) -> bool:
        """Whether the two ends agreed on compression just where they should."""
        return ("permessage-deflate" in str(extensions)) == self.deflate


every_way = pytest.mark.parametrize(
    "way", [Way(secure, deflate) for secure in (False, True) for deflate in (False, True)], ids=str
)


class EchoUntilTold(EchoWebSocket):
    """Echoes; ``close CODE REASON`` closes."""

    def received_message(self, message: Any) -> None:
        if message.is_text and str(message).startswith("close "):
            _, code, reason = str(message).split(" ", 2)
            self.close(int(code), reason)
        else:
            super().received_message(message)


@contextlib.contextmanager
def our_server(
    kind: str, way: Way, tls: ssl.SSLContext, handler: Any = None, **options: Any
) -> Iterator[tuple[str, Any]]:
    """One of ``SERVERS``: its URL and the class of its (recorded) handlers."""
    handler = handler or recorded(EchoUntilTold)
    options.update(ssl=tls if way.secure else None, config=way.config)
    with SERVERS[kind](handler, "127.0.0.1", 0, **options) as server:
        yield f"{way.scheme}://127.0.0.1:{server.port}/", handler


@contextlib.contextmanager
def our_client(url: str, way: Way, tls: ssl.SSLContext) -> Iterator[Any]:
    """The threaded client, connected, its hooks recorded in ``log``."""
    options = {"ssl_context": tls} if way.secure else None
    ws = recorded(WebSocketClient)(url, ssl_options=options, config=way.config)
    ws.daemon = True
    ws.connect()
    try:
        assert way.agreed(ws.extensions), ws.extensions
        yield ws
    finally:
        ws.close_connection()
        ws.run_forever()


def talk_to(url: str, way: Way, tls: ssl.SSLContext) -> None:
    """Our client says everything to a foreign echo server and closes with ``3000 Tschüß``."""
    with our_client(url, way, tls) as ws:
        for count, message in enumerate(MESSAGES, 1):
            ws.send(message, binary=isinstance(message, bytes))
            (answer,) = ws.log.wait("received_message", count)
            assert answer.is_binary == isinstance(message, bytes)
            assert (answer.data if answer.is_binary else str(answer)) == message
        ws.send(iter(FRAGMENTS))
        (answer,) = ws.log.wait("received_message", len(MESSAGES) + 1)
        assert str(answer) == "".join(FRAGMENTS)
        ws.ping("are you there?")
        assert ws.log.wait("ponged")[0].data == b"are you there?"
        ws.close(3000, "Tschüß")
        assert ws.log.wait("closed") == (3000, "Tschüß")


def be_dismissed_by(url: str, way: Way, tls: ssl.SSLContext) -> None:
    """A foreign echo server closes the connection of our client when it is told to."""
    with our_client(url, way, tls) as ws:
        ws.send("close 4001 genug für heute")
        assert ws.log.wait("closed") == (4001, "genug für heute")

"""What tests of drop-ins talk to: an echo server that also does what it is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from ws4py.messaging import Message
from ws4py.server.threadedserver import WebSocketServer
from ws4py.websocket import WebSocket


class Obedient(WebSocket):
    """Echoes, but for a few words."""

    def received_message(self, message: Message) -> None:
        """``environ`` asks for the request's headers; the others end the connection."""
        word, _, rest = (str(message) if message.is_text else "").partition(" ")
        if word == "environ":
            assert self.environ is not None
            self.send(json.dumps({k: v for k, v in self.environ.items() if isinstance(v, str)}))
        elif word == "close":
            code, _, reason = rest.partition(" ")
            self.close(int(code) if code else None, reason)
        elif word == "vanish":
            self.close_connection()
        elif word == "ping":
            self.ping(rest)
        elif word == "fragments":
            self.send(iter(rest.split()))
        else:
            self.send(message.data, message.is_binary)


@contextlib.contextmanager
def obedient_server(**options: Any) -> Iterator[str]:
    """Such a server on this machine; its URL."""
    with WebSocketServer(Obedient, "127.0.0.1", 0, **options) as server:
        scheme = "wss" if options.get("ssl") else "ws"
        yield f"{scheme}://localhost:{server.port}/"

"""The blocking client as the conformance tests see it: a thread receives, and calls the hooks."""

from __future__ import annotations

import threading
from typing import Any

from ws4py.client.pull import PullClient
from ws4py.exc import ConnectionClosed
from ws4py.websocket import WebSocket


class _Hooked(PullClient):
    """The verbs of hooks, where ``close()`` does not wait, on a client without hooks."""

    close = WebSocket.close

    def deliver(self) -> None:
        """Receive until the end."""
        try:
            while True:
                message = self.next_message()
                try:
                    self.received_message(message)
                except Exception:
                    self._hook_failed("received_message")
        except ConnectionClosed:
            pass


def sync_client(make: Any, hooks: type, url: str, **options: Any) -> Any:
    """The blocking client; ``make`` is ``Connected``."""
    ws = type(hooks.__name__, (hooks, _Hooked), {})(url, **options)
    ws.connect()
    thread = threading.Thread(target=ws.deliver, name="test-receiver", daemon=True)
    thread.start()

    def join(timeout: float) -> None:
        thread.join(timeout)
        assert not thread.is_alive(), f"{thread.name} still runs after {timeout} s"

    def stop() -> None:
        ws.close_connection()
        join(10)

    return make(ws, join, stop)

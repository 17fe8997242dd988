"""The client with a thread of its own: ``connect()`` returns, the thread runs the hooks."""

from __future__ import annotations

import threading
from typing import Any

from ws4py.client import WebSocketBaseClient

__all__ = ["WebSocketBaseClient", "WebSocketClient"]


class WebSocketClient(WebSocketBaseClient):
    """Arguments and hooks as ``WebSocketBaseClient``; every hook runs on the client's thread.

    The thread keeps the program alive until the connection is over, unless ``daemon`` is set
    before ``connect()``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._th = threading.Thread(target=self.run, name="WebSocketClient", daemon=False)
        super().__init__(*args, **kwargs)

    @property
    def daemon(self) -> bool:
        """Whether the program may end while the connection is open."""
        return self._th.daemon

    @daemon.setter
    def daemon(self, flag: bool) -> None:
        self._th.daemon = flag

    def handshake_ok(self) -> None:
        """Start the thread."""
        self._th.start()

    def run_forever(self) -> None:
        """Wait until ``closed()`` has returned. Ctrl-C is let through."""
        if self._th.ident is not None and self._th is not threading.current_thread():
            self._th.join()

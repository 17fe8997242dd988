"""A blocking client whose messages are taken by whoever wants them: see ``ws4py.pulled``.

What ``syncclient`` stands on. This module must never know frames.
"""

from __future__ import annotations

from ws4py.client import WebSocketBaseClient
from ws4py.pulled import Pong, Pulled

__all__ = ["Pong", "PullClient"]


class PullClient(Pulled, WebSocketBaseClient):
    """Arguments as ``WebSocketBaseClient``, and ``background`` as ``Pulled``."""

    def handshake_ok(self) -> None:
        """The connection is open."""
        self.begin()

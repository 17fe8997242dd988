"""How ``websockets`` programs ask for a compression of their own choice.

Only what is asked for: negotiation and compression are in ``ws4py.protocol.deflate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ws4py.protocol.config import Compression
from ws4py.protocol.deflate import PerMessageDeflate

__all__ = [
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
]


class PerMessageDeflateFactory:
    """Parameters of permessage-deflate; ``compress_settings``: ``level`` and ``memLevel``."""

    name = "permessage-deflate"

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | bool | None = None,
        compress_settings: Mapping[str, Any] | None = None,
        **ignored: Any,
    ) -> None:
        settings = compress_settings or {}
        limited = type(client_max_window_bits) is int
        self.compression = Compression(
            server_max_window_bits=server_max_window_bits or 15,
            client_max_window_bits=int(client_max_window_bits or 15) if limited else 15,
            server_no_context_takeover=server_no_context_takeover,
            client_no_context_takeover=client_no_context_takeover,
            level=settings.get("level", 6),
            mem_level=settings.get("memLevel", 8),
        )


class ClientPerMessageDeflateFactory(PerMessageDeflateFactory):
    """For ``connect(…, extensions=[…])``."""


class ServerPerMessageDeflateFactory(PerMessageDeflateFactory):
    """For ``serve(…, extensions=[…])``."""

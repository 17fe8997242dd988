"""ws4py: one ``WebSocket`` class, every way of running Python.

Importing this imports no framework; ``connect``-like names are loaded when they are asked for.
"""

from __future__ import annotations

import importlib
import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING, Any

from ws4py import _build
from ws4py._version import __version__

if _build.PURE:
    _build.prefer_sources()  # before any module is imported that may be compiled

if TYPE_CHECKING:
    from ws4py.websocket import WebSocket

__author__ = "the ws4py contributors"

__all__ = [
    "COMPILED_MODULES",
    "IMPLEMENTATION",
    "WS_KEY",
    "WS_VERSION",
    "__author__",
    "__version__",
    "configure_logger",
    "format_addresses",
]

#: RFC 6455 section 1.3: what is hashed with the client's key.
WS_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: The protocol versions that servers accept; clients speak the highest.
WS_VERSION = (8, 13)
#: Which build of the hot modules is in use: "compiled", "pure", or "mixed" when only some of them
#: are compiled. Found out when it is asked for, as is the next.
IMPLEMENTATION: str
#: Dotted names of the modules that are compiled. ``ws4py doctor`` says why the others are not.
COMPILED_MODULES: tuple[str, ...]

logging.getLogger("ws4py").addHandler(logging.NullHandler())

_LAZY = {
    "WebSocket": "ws4py.websocket",
    "EchoWebSocket": "ws4py.websocket",
    "Config": "ws4py.protocol.config",
    "Compression": "ws4py.protocol.config",
    "WebSocketManager": "ws4py.manager",
    "connect": "ws4py.client.syncclient",
    "serve": "ws4py.server.managedserver",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name == "IMPLEMENTATION":
        return _build.implementation()
    if name == "COMPILED_MODULES":
        return tuple(module.name for module in _build.modules() if module.compiled)
    raise AttributeError(f"module 'ws4py' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LAZY})


def configure_logger(
    stdout: bool = True, filepath: str | None = None, level: int = logging.INFO
) -> logging.Logger:
    """Send the log of ws4py to standard output and to a file (10 MiB, 3 kept); returns the logger.

    Calling it again replaces what an earlier call set up.
    """
    logger = logging.getLogger("ws4py")
    logger.setLevel(level)
    for handler in [h for h in logger.handlers if getattr(h, "ws4py", False)]:
        logger.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = []
    if filepath:
        handlers.append(
            logging.handlers.RotatingFileHandler(filepath, maxBytes=10 * 1024 * 1024, backupCount=3)
        )
    if stdout:
        handlers.append(logging.StreamHandler(sys.stdout))
    for handler in handlers:
        handler.ws4py = True  # type: ignore[attr-defined]
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s %(message)s"))
        logger.addHandler(handler)
    return logger


def format_addresses(ws: WebSocket) -> str:
    """Both ends of a connection, for log lines; usable after its end."""
    local, peer = ws.local_address, ws.peer_address
    if isinstance(local, tuple) and isinstance(peer, tuple):
        return f"[Local => {local[0]}:{local[1]} | Remote => {peer[0]}:{peer[1]}]"
    return f"[Bound to '{peer or local}']"

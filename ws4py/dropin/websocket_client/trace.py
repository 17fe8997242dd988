"""Tracing as websocket-client does it: the opening handshake and every message, on a logger.

This module must never change what it tells about.
"""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["dump", "enableTrace", "isEnabledForTrace", "logger", "trace_handshake"]

logger = logging.getLogger("websocket")
logger.addHandler(logging.NullHandler())

_on = False
_handler: logging.Handler | None = None


def enableTrace(
    traceable: bool, handler: logging.Handler | None = None, level: str = "DEBUG"
) -> None:
    """Show the opening handshake and the messages of every connection, or no longer.

    ``handler``: by default one that writes to ``sys.stderr``; ``level``: its name.
    """
    global _on, _handler
    if _handler is not None:
        logger.removeHandler(_handler)
        _handler = None
    _on = bool(traceable)
    if _on:
        _handler = handler or logging.StreamHandler()
        logger.addHandler(_handler)
        logger.setLevel(getattr(logging, level))


def isEnabledForTrace() -> bool:
    """Whether tracing is on."""
    return _on


def isEnabledForDebug() -> bool:
    """Whether debugging messages are shown."""
    return logger.isEnabledFor(logging.DEBUG)


def isEnabledForError() -> bool:
    """Whether errors are shown."""
    return logger.isEnabledFor(logging.ERROR)


def trace(text: str) -> None:
    """A line, if tracing is on."""
    if _on:
        logger.debug("%s", text)


def dump(title: str, text: str) -> None:
    """A block with a title, if tracing is on."""
    if _on:
        logger.debug("--- %s ---", title)
        logger.debug("%s", text)
        logger.debug("-----------------------")


def trace_handshake(request: bytes, status: int | None, headers: Any) -> None:
    """The opening handshake, as it was answered."""
    if not _on:
        return
    dump("request header", request.decode("latin-1").rstrip("\r\n"))
    if status is not None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        dump("response header", "\r\n".join(lines))

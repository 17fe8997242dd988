"""One message to many websockets, encoded once for each form that they have agreed on.

A peer that does not read keeps the message from nobody behind it. This module must never know who
drives a websocket.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ws4py.messaging import Message
from ws4py.protocol.connection import PreparedMessage
from ws4py.websocket import WebSocket, to_bytes

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["broadcast"]

logger = logging.getLogger("ws4py")


def broadcast(
    websockets: Iterable[WebSocket], message: Payload | Message, binary: bool | None = None
) -> None:
    """Send to each of them that is open. A slow one delays nobody; a failing one is logged.

    ``binary``: by default as the ``send()`` of each takes it. Where a class has a ``send()`` of
    its own, that is called. Any thread.
    """
    if isinstance(message, Message):
        binary = message.is_binary
        message = message.data
    encoded: dict[bool, PreparedMessage] = {}
    seen: type | None = None
    prepared: PreparedMessage | None = None  # if the class has a send() of its own
    for ws in websockets:
        if ws.is_over():
            continue
        try:
            if type(ws) is not seen:
                prepared = _prepared(ws, message, binary, encoded) if ws._sends_plainly else None
                seen = type(ws)
            if prepared is None:
                ws.send(message, bool(binary))
            else:
                ws.send_prepared(prepared)
        except Exception:
            logger.debug("no broadcast to %r", ws, exc_info=True)


def _prepared(
    ws: WebSocket, message: Payload, binary: bool | None, encoded: dict[bool, PreparedMessage]
) -> PreparedMessage:
    """As ``send()`` of this class would take it; made once for all that take it so."""
    if binary is None:
        binary = ws._bytes_are_binary and not isinstance(message, str)
    if binary not in encoded:
        encoded[binary] = PreparedMessage(to_bytes(message, binary), binary)
    return encoded[binary]

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
    prepared: dict[bool, PreparedMessage] = {}
    for ws in websockets:
        if ws.terminated:
            continue
        try:
            if not ws._sends_plainly:
                ws.send(message, bool(binary))
                continue
            kind = ws._bytes_are_binary and not isinstance(message, str)
            kind = kind if binary is None else binary
            if kind not in prepared:
                prepared[kind] = PreparedMessage(to_bytes(message, kind), kind)
            ws.send_prepared(prepared[kind])
        except Exception:
            logger.debug("no broadcast to %r", ws, exc_info=True)

"""One message to many websockets, each with a thread or greenlet of its own.

Where ``send()`` may wait, a peer that does not read would keep the message from all behind it. This
module must never know who drives a websocket.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ws4py.messaging import Message
from ws4py.websocket import WebSocket, to_bytes

if TYPE_CHECKING:
    from ws4py.websocket import Payload

__all__ = ["broadcast"]

logger = logging.getLogger("ws4py.server")


def broadcast(websockets: Iterable[WebSocket], message: Payload | Message, binary: bool) -> None:
    """Send to each of them. A slow one delays nobody; a failing one is logged."""
    if isinstance(message, Message):
        binary = message.is_binary
        data = message.data
    else:
        data = to_bytes(message, binary)
    for ws in websockets:
        try:
            _send_without_waiting(ws, data, binary)
        except Exception:
            logger.debug("no broadcast to %r", ws, exc_info=True)


def _send_without_waiting(ws: WebSocket, data: bytes, binary: bool) -> None:
    """Send, but where ``ws.send()`` would wait for a peer that does not read, end it instead."""
    transport, stream = ws.transport, ws.stream
    with transport.lock:
        if stream.buffered > stream.config.high_water:
            policy = "drop" if stream.config.overflow == "drop" else "close"
            admitted = stream.overflow(policy)
            transport.flush(ws)
            if not admitted:
                return
        stream.send_message(data, binary=binary)
        transport.flush(ws)

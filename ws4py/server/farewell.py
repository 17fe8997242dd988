"""The polite end of all websockets of an asyncio loop, for servers that somebody else runs.

It must never know how a connection is served.
"""

from __future__ import annotations

import asyncio
import time

from ws4py.loopmanager import LoopManager
from ws4py.server import LAST_WORDS

__all__ = ["dismiss"]


async def dismiss(manager: LoopManager, code: int, reason: str) -> None:
    """Close every websocket and wait until none is left; cut those that outstay their timeout."""
    gone = asyncio.Event()
    manager.on_forget = gone.set
    timeouts = [ws.stream.config.close_timeout or 0.0 for ws in manager]
    end = time.monotonic() + max(timeouts, default=0.0) + LAST_WORDS
    manager.close_all(code, reason)
    while (len(manager) or manager.tasks) and (left := end - time.monotonic()) > 0:
        gone.clear()
        waiting = asyncio.ensure_future(gone.wait())
        await asyncio.wait({waiting}, timeout=left)
        waiting.cancel()
    await manager.end(LAST_WORDS)

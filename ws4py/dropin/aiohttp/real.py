"""The real aiohttp, where it is installed: it does the ordinary requests of a session.

Its errors and its plain values (a login, a timeout) are then taken instead of our own of the same
names, so that one ``except aiohttp.ClientError`` is for both. Nothing else of it is used.
"""

from __future__ import annotations

from typing import Any

try:
    import aiohttp
except ImportError:
    aiohttp = None

__all__ = ["ADVICE", "aiohttp", "ours_or_real"]

ADVICE = (
    "ws4py.dropin.aiohttp does the WebSocket part of aiohttp by itself and hands everything else "
    "to the real aiohttp, which is not installed: pip install aiohttp"
)


def ours_or_real(ours: Any) -> Any:
    """The class of that name in the real aiohttp, else this one."""
    return getattr(aiohttp, ours.__name__, ours)

"""The names by which ws4py 0.6 hid the differences of Python 2 and 3.

Nothing in this package needs them. They stay for programs that import them, above all
``get_connection``, with which WSGI servers of one's own find their socket.
"""

from __future__ import annotations

import builtins
from typing import Any
from urllib.parse import urlsplit

__all__ = [
    "basestring",
    "detach_connection",
    "get_connection",
    "ord",
    "py3k",
    "range",
    "unicode",
    "urlsplit",
]

py3k = True
unicode = str
basestring = (bytes, str)
range = builtins.range


def ord(c: int | str | bytes | bytearray) -> int:
    """The number of a character or octet; a number is returned as it is."""
    return c if isinstance(c, int) else builtins.ord(c)


def get_connection(fileobj: Any) -> Any:
    """The socket under a buffered reader, as in ``environ["wsgi.input"]``."""
    return fileobj.raw._sock


def detach_connection(fileobj: Any) -> None:
    """Take the socket away from a buffered reader, which is of no use afterwards."""
    fileobj.detach()

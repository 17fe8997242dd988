"""The types by which programs for ``websockets`` annotate."""

from __future__ import annotations

import http
import logging
import os
from typing import Any, NewType

__all__ = [
    "BytesLike",
    "Data",
    "DataLike",
    "ExtensionName",
    "ExtensionParameter",
    "LoggerLike",
    "Origin",
    "PathLike",
    "StatusLike",
    "Subprotocol",
]

BytesLike = bytes | bytearray | memoryview
#: What is received: text or binary.
Data = str | bytes
#: What can be sent.
DataLike = str | bytes | bytearray | memoryview
LoggerLike = logging.Logger | logging.LoggerAdapter  # type: ignore[type-arg]
PathLike = str | bytes | os.PathLike  # type: ignore[type-arg]
StatusLike = http.HTTPStatus | int
Origin = NewType("Origin", str)
Subprotocol = NewType("Subprotocol", str)
ExtensionName = NewType("ExtensionName", str)
ExtensionParameter = tuple[str, str | None]
ExtensionHeader = tuple[ExtensionName, list[Any]]

"""The version, in the one place from which the build and ``ws4py.__version__`` read it."""

from __future__ import annotations

__version__ = "1.0.0.dev0"

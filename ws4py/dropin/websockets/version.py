"""The version of ``websockets`` whose interface this follows."""

from __future__ import annotations

__all__ = ["version"]

version = "17.4"

"""What an adapter says when its framework is not installed."""

from __future__ import annotations

__all__ = ["missing"]


def missing(module: str, extra: str, cause: ImportError) -> ImportError:
    """The error to raise instead of ``cause``: what is missing, and how to get it."""
    return ImportError(
        f'{module} needs the package {cause.name}: pip install "ws4py[{extra}]"', name=cause.name
    )

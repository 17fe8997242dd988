"""Callbacks of any arity: a program gets the arguments that it declared.

This module must never know what the callbacks are for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["call"]


def call(callback: Callable[..., Any], app: Any, *args: Any) -> Any:
    """Call it with ``app`` and ``args``, or with as many of them as it takes.

    One argument where there are two is the second (``on_message(message)``); a bound method that
    takes one less does without ``app``, which it is most likely part of.
    """
    everything = (app, *args)
    wanted = _positional(callback)
    if wanted is None or wanted >= len(everything):
        return callback(*everything)
    lacks_app = wanted == len(args) > 0
    if lacks_app and (len(args) == 1 or inspect.ismethod(callback)):
        return callback(*args)
    return callback(*everything[:wanted])


def _positional(callback: Callable[..., Any]) -> int | None:
    """How many positional arguments it takes; ``None``: any number, or nobody knows."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in kinds for each in parameters)

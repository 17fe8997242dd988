"""Coroutines as tests: over asyncio's loop and uvloop's, bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from asyncio_backends import new_uvloop
from waiting import TIMEOUT

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": new_uvloop}

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def make_run(kind: str) -> Run:
    """Something like ``asyncio.run`` for this kind of loop, with a deadline."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = LOOPS[kind]()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, 2 * TIMEOUT))
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run


over_loops = pytest.mark.parametrize("run", [make_run(kind) for kind in LOOPS], ids=list(LOOPS))


async def soon(condition: Callable[[], Any]) -> None:
    """Until it holds; for what gives no sign."""
    end = asyncio.get_running_loop().time() + TIMEOUT
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.005)

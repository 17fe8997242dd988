"""Openings on threads and greenlets: carries out the steps of ``client.route``, by waiting.

This module must never know what the steps are for.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ws4py.client.route import Await, LookUp, Sockets, Step, Steps, T
from ws4py.reactor import READ, WRITE

__all__ = ["Network", "drive"]


def look_up(host: str, port: int, timeout: float | None) -> list[Any]:
    """All addresses of a name. The system's look-up knows no timeout, so a thread waits for it."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except OSError as exc:
            failed.append(exc)

    if timeout is None:
        ask()
    else:
        thread = threading.Thread(target=ask, name="ws4py-lookup", daemon=True)
        thread.start()
        thread.join(timeout)
        if thread.is_alive():
            raise TimeoutError
    if failed:
        raise failed[0]
    return found


def wait(sockets: Mapping[Any, int], timeout: float | None) -> Iterable[Any]:
    """Those of the sockets that are ready, once one is; none after ``timeout`` seconds."""
    numbers = {sock.fileno(): sock for sock in sockets}
    if hasattr(select, "poll"):
        poll = select.poll()
        for sock, events in sockets.items():
            poll.register(sock.fileno(), events)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return [numbers[fd] for fd, _ in ready]
    readers = [sock for sock, events in sockets.items() if events & READ]
    writers = [sock for sock, events in sockets.items() if events & WRITE]
    # There a failure to connect is an exceptional condition.
    return set().union(*select.select(readers, writers, writers, timeout))


@dataclass(frozen=True)
class Network(Sockets):
    """The calls that wait, or make what waits: those of threads, unless told otherwise."""

    #: ``(host, port, timeout)`` → what ``getaddrinfo()`` gives. ``OSError``; ``TimeoutError``.
    look_up: Callable[[str, int, float | None], list[Any]] = look_up
    #: ``(sockets, timeout)`` → those that are ready.
    wait: Callable[[Mapping[Any, int], float | None], Iterable[Any]] = wait

    def carry_out(self, step: Step) -> Any:
        """Do what the step asks for."""
        if isinstance(step, LookUp):
            return self.look_up(step.host, step.port, step.timeout)
        if isinstance(step, Await):
            raise _nobody_awaits(step.awaitable)
        return self.wait(step.sockets, step.timeout)


def _nobody_awaits(awaitable: Any) -> TypeError:
    if hasattr(awaitable, "close"):
        awaitable.close()
    return TypeError(
        f"{awaitable!r} can only be awaited by a client on an asyncio loop: give this one an "
        "ordinary function"
    )


def drive(steps: Steps[T], network: Network) -> T:
    """Carry out all steps; what they end in. Raises what they raise."""
    try:
        step = next(steps)
        while True:
            try:
                result = network.carry_out(step)
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value

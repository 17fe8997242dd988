"""Openings on a reactor that waits for other things too: carries out the steps of ``client.route``.

For clients on a loop of the program's own (see ``ws4py.foreign``). This module must never know
what the steps are for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ws4py.client.dial import Network, look_up
from ws4py.client.route import LookUp, Step, Steps, Wait
from ws4py.reactor import Channel, Reactor

__all__ = ["Opening"]


class _Watch(Channel):
    """One socket that is waited for."""

    __slots__ = ("_opening", "_sock")

    def __init__(self, opening: Opening, sock: Any) -> None:
        super().__init__()
        self._opening = opening
        self._sock = sock

    def readable(self) -> None:
        self._opening.ready([self._sock])

    writable = readable


class Opening(Channel):
    """Steps that a reactor carries out, from its next turn on; ``done(result, error)`` in the end.

    One of ``result`` and ``error`` is ``None``. All methods belong to the reactor's thread.
    """

    __slots__ = ("_done", "_network", "_over", "_reactor", "_steps", "_watched")

    def __init__(
        self,
        reactor: Reactor,
        steps: Steps[Any],
        done: Callable[[Any, Exception | None], object],
        network: Network,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._steps = steps
        self._done = done
        self._network = network
        self._watched: list[int] = []
        self._over = False
        reactor.call_soon(self._go_on, None)

    def cancel(self) -> None:
        """Give it up; ``done`` is not called."""
        self._over = True
        self._stop_waiting()
        self._steps.close()

    def ready(self, sockets: list[Any]) -> None:
        """These are what was waited for."""
        self._stop_waiting()
        self._go_on(sockets)

    def ring(self) -> None:
        """The time is over."""
        self.ready([])

    def _go_on(self, result: Any, error: Exception | None = None) -> None:
        if self._over:
            return
        try:
            self._carry_out(self._steps.send(result) if error is None else self._steps.throw(error))
        except StopIteration as end:
            self._end(end.value, None)
        except Exception as exc:
            self._end(None, exc)

    def _end(self, result: Any, error: Exception | None) -> None:
        self._over = True
        self._done(result, error)

    def _carry_out(self, step: Step) -> None:
        if isinstance(step, Wait):
            self._wait(step)
        elif isinstance(step, LookUp):
            # The system's look-up may take its time, and others want to be served.
            threading.Thread(
                target=self._look_up, args=(step,), name="ws4py-lookup", daemon=True
            ).start()
        else:
            self._network.carry_out(step)  # says that nobody awaits here

    def _wait(self, step: Wait) -> None:
        for sock, events in step.sockets.items():
            fd = sock.fileno()
            self._reactor.register(fd, _Watch(self, sock), events)
            self._watched.append(fd)
        if step.timeout is not None:
            self._reactor.set_alarm(self, self._reactor.clock() + max(0.0, step.timeout))

    def _stop_waiting(self) -> None:
        for fd in self._watched:
            self._reactor.unregister(fd)
        self._watched.clear()
        self._reactor.cancel_alarm(self)

    def _look_up(self, step: LookUp) -> None:
        try:
            found = look_up(step.host, step.port, step.timeout)
        except Exception as exc:
            self._reactor.call_soon(self._go_on, None, exc)
        else:
            self._reactor.call_soon(self._go_on, found)

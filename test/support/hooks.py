"""Hooks that write down how they were called, in which order and on which thread.

``Recorded`` goes before the class whose hooks are recorded, on servers and on clients::

    class Handler(Recorded, WebSocket):
        def received_message(self, message):
            super().received_message(message)
            self.close(4000, "enough")

    ws = Handler.next()                     # the next one that the server makes
    assert ws.log.wait("closed") == (1000, "")
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any

from waiting import TIMEOUT

from ws4py.websocket import EchoWebSocket


@dataclass(frozen=True)
class Call:
    name: str
    args: tuple[Any, ...]
    thread: int


class HookLog:
    """The calls of one connection's hooks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.calls: list[Call] = []

    def add(self, name: str, *args: Any) -> None:
        with self._changed:
            self.calls.append(Call(name, args, threading.get_ident()))
            self._changed.notify_all()

    def wait(self, name: str, count: int = 1, timeout: float = TIMEOUT) -> tuple[Any, ...]:
        """The arguments of the ``count``-th call of that hook, once it was made."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.args(name)) >= count, timeout):
                raise AssertionError(f"{name}() was not called {count} times, but: {self.names}")
        return self.args(name)[count - 1]

    def args(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of all calls of that hook so far."""
        return [call.args for call in self.calls if call.name == name]

    @property
    def names(self) -> list[str]:
        """The hooks in the order of their calls."""
        return [call.name for call in self.calls]

    @property
    def texts(self) -> list[str]:
        """The messages so far, as text."""
        return [str(args[0]) for args in self.args("received_message")]

    def threads(self, *names: str) -> set[int]:
        """On which threads these hooks (or all) were called."""
        return {call.thread for call in self.calls if not names or call.name in names}


class Recorded:
    """Mixin that records every hook and then calls the next class's."""

    log: HookLog
    made: queue.Queue[Any]
    #: What ``terminated`` said while ``closed()`` ran.
    terminated_in_closed: bool | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.made = queue.Queue()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.log = HookLog()
        super().__init__(*args, **kwargs)
        self.made.put(self)

    @classmethod
    def next(cls, timeout: float = TIMEOUT) -> Any:
        """The next instance that was made and not yet asked for, once its ``opened()`` ran."""
        ws = cls.made.get(timeout=timeout)
        ws.log.wait("opened")
        return ws

    def opened(self) -> None:
        super().opened()  # type: ignore[misc]
        self.log.add("opened")

    def received_message(self, message: Any) -> None:
        self.log.add("received_message", message)
        super().received_message(message)  # type: ignore[misc]

    def ponged(self, pong: Any) -> None:
        self.log.add("ponged", pong)
        super().ponged(pong)  # type: ignore[misc]

    def unhandled_error(self, error: Exception) -> None:
        self.log.add("unhandled_error", error)
        super().unhandled_error(error)  # type: ignore[misc]

    def closed(self, code: int, reason: str | None = None) -> None:
        self.terminated_in_closed = self.terminated  # type: ignore[attr-defined]
        self.log.add("closed", code, reason)
        super().closed(code, reason)  # type: ignore[misc]


def recorded(base: type, **members: Any) -> Any:
    """A subclass of ``base`` with recorded hooks, new for each call."""
    return type(base.__name__, (Recorded, base), members)


def echo(**members: Any) -> Any:
    """A handler that echoes, recorded."""
    return recorded(EchoWebSocket, **members)

"""What the subcommands share: how they fail, and how they are asked to stop."""

from __future__ import annotations

import signal
import socket
import sys
from types import TracebackType

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "Failure", "StopSignals", "say"]

#: Exit statuses. 2 is what argparse uses, 130 what a shell makes of SIGINT.
FAILED = 1
USAGE = 2
INTERRUPTED = 130


class Failure(Exception):
    """Ends the command with one line on stderr and the exit status ``status``."""

    def __init__(self, text: object, status: int = FAILED) -> None:
        super().__init__(" ".join(str(text).split()))
        self.status = status


def say(text: str) -> None:
    """A line about what is going on: on stderr, so that stdout carries nothing but results."""
    print(text, file=sys.stderr, flush=True)


class StopSignals:
    """Ctrl-C and SIGTERM as something to wait for. For the main thread.

    Inside the ``with`` block the first signal ends ``wait()``; a second one kills the process, so
    that nobody has to wait for good manners. No exception is raised in the middle of other code.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> StopSignals:
        # A byte through a socket wakes the main thread on every platform, Windows included.
        self._waiting, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._before = {number: signal.signal(number, self._first) for number in self.NUMBERS}
        self._fd_before = signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        return self

    def _first(self, number: int, frame: object) -> None:
        for each in self.NUMBERS:
            signal.signal(each, signal.SIG_DFL)

    def wait(self) -> None:
        """Until the first signal, or until ``stop()``."""
        self._waiting.recv(1)

    def stop(self) -> None:
        """End ``wait()`` without a signal. Any thread."""
        self._waking.send(b"\0")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._waiting.close()
        self._waking.close()

"""Running programs as a user would: the `ws4py` command, an example, a script of a document.

Output is collected by a thread, so that no program ever blocks on a full pipe, and everything has a
deadline.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import ws4py

#: The checkout, or wherever the tests lie.
ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 30.0


def environment(shims: Path) -> dict[str, str]:
    """The environment for programs: this interpreter, this ws4py and its command come first.

    ``shims`` is a folder for a stand-in, used where the command is not installed beside the
    interpreter.
    """
    beside = Path(sys.executable).parent
    path = [str(beside)]
    if not shutil.which("ws4py", path=str(beside)):
        shims.mkdir(parents=True, exist_ok=True)
        script = shims / "ws4py"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ws4py "$@"\n')
        script.chmod(0o755)
        path.insert(0, str(shims))
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join([*path, env.get("PATH", os.defpath)])
    # A script's own folder, not the current one, is on sys.path: name the package's explicitly.
    ours = str(Path(ws4py.__file__).resolve().parent.parent)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [ours, env.get("PYTHONPATH")]))
    env["PYTHONUNBUFFERED"] = "1"
    env["PYTHONWARNINGS"] = "default"
    return env


class Program:
    """A running program, its output (both streams together) and its end."""

    def __init__(self, args: Sequence[str] | str, cwd: Path, env: dict[str, str]) -> None:
        """``args`` as for ``Popen``; a string goes through the shell."""
        self.args = args
        self.output = ""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            args,
            shell=isinstance(args, str),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that a signal reaches what a shell has started, too
        )
        self._reader = threading.Thread(target=self._read, name="program-output")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.output += line
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for_output(self, pattern: str, timeout: float = TIMEOUT) -> re.Match[str]:
        """The first match of ``pattern`` in the output, once it is there."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (match := re.search(pattern, self.output)):
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(
                        f"{self.args} never printed {pattern!r}, but:\n{self.output}"
                    )
                self._changed.wait(min(left, 0.2))
        return match

    def wait(self, timeout: float = TIMEOUT) -> int:
        """The exit code. After ``timeout`` seconds the program is killed and the test fails."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.args} still ran after {timeout} s; it printed:\n{self.output}"
            ) from None
        self._finish()
        return code

    def interrupt(self, timeout: float = TIMEOUT) -> int:
        """Press Ctrl-C and return the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it at once, and whatever it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._finish()

    def _finish(self) -> None:
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()

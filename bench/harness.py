"""Processes, cores and clocks: everything that has to do with this machine. Needs Linux (/proc).

The server runs on core 0 and the load on core 1. A sample says how much CPU *other* programs took
meanwhile (``foreign``, in cores). This module knows no WebSocket and no table of contestants.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import select
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BASE = Path(os.environ.get("WSBENCH_DIR") or Path(tempfile.gettempdir()) / "wsbench")
VENVS = Path(os.environ.get("WSBENCH_VENVS") or BASE / "venvs")
BIN = BASE / "bin"

SERVER_CORE, LOAD_CORE = "0", "1"
#: Above this share of a core taken by other programs, a sample does not count.
FOREIGN_LIMIT = 0.15
HZ = os.sysconf("SC_CLK_TCK")

Sample = dict[str, Any]


# -- making what is run --------------------------------------------------------------------


def build() -> None:
    """Compile the C programs where the source is newer."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in ("limit_server", "wsload"):
        target = BIN / name
        sources = [HERE / "csrc" / f"{name}.c", HERE / "csrc" / "common.h"]
        if target.exists() and all(s.stat().st_mtime < target.stat().st_mtime for s in sources):
            continue
        flags = ["-O3", "-march=native", "-Wall", "-Wextra"]
        subprocess.run(["cc", *flags, "-o", target, sources[0]], check=True)


def find_python(version: str) -> str:
    """An interpreter of that version, from PATH or pyenv."""
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [f"python{version}", *(str(p) for p in home.glob(f"{version}.*/bin/python"))]
    for candidate in candidates:
        found = shutil.which(candidate)
        # A shim of pyenv is there even when the version behind it is not.
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    raise SystemExit(f"bench: no Python {version} on PATH or in pyenv")


def interpreter(environment: str) -> Path:
    """The Python of an environment, whether it exists or not."""
    return VENVS / environment / "bin" / "python"


def pip_install(environment: str, arguments: Iterable[str], **env: str) -> None:
    """Run pip there."""
    command = [str(interpreter(environment)), "-m", "pip", "-q", "install", *arguments]
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(command, check=True, env={**os.environ, **quiet, **env})


def install_project(environment: str, wish: str) -> None:
    """Build the checkout as it is now, and install it. ``wish``: WS4PY_BUILD.

    From a copy: neither what an editable install has left in the tree nor what a build leaves
    there may get from one build into another.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "ws4py"
        copy.mkdir()
        for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
            shutil.copy(ROOT / name, copy)
        ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
        shutil.copytree(ROOT / "ws4py", copy / "ws4py", ignore=ignore)
        pip_install(environment, ["--force-reinstall", str(copy)], WS4PY_BUILD=wish)


# -- processes and their CPU ---------------------------------------------------------------


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def raise_open_files() -> None:
    """Let our children open as many files as this machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | 2)  # the clock of another process
        except OSError:
            pass
    return total


def busy() -> float:
    """CPU seconds that the whole machine has used."""
    values = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(values) - values[3] - values[4]) / HZ


def wait_for_quiet(patience: float) -> None:
    """Wait, at most ``patience`` seconds, until other programs leave the machine alone."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before, began = busy(), time.monotonic()
        time.sleep(0.1)
        if (busy() - before) / (time.monotonic() - began) <= FOREIGN_LIMIT:
            return


def resident(pids: Iterable[int]) -> int:
    """Resident memory of these processes, in bytes."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            pass
    return pages * os.sysconf("SC_PAGE_SIZE")


class Server:
    """A server process on its core, listening when the constructor returns.

    ``command`` is filled in by the caller but for ``{port}``. Raises ``RuntimeError`` when it does
    not start.
    """

    def __init__(self, command: str, *, cwd: Path) -> None:
        self.port = free_port()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        words = shlex.split(command.format(port=self.port))
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *words],
            cwd=cwd,
            env=env,
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
        )
        self.pids = [self.process.pid]
        self._wait_until_it_listens(time.monotonic() + 15)
        self.pids = tree(self.process.pid)

    def _wait_until_it_listens(self, end: float) -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                said = self.log.read()[-300:].decode(errors="replace")
                self.stop()
                raise RuntimeError(f"did not start: {said}")
            time.sleep(0.03)

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def rest(self) -> None:
        """Stop it where it stands: whatever it does between samples must not cost others."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except OSError:
                pass

    def stop(self) -> None:
        """End it and its children, with force."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


# -- samples -------------------------------------------------------------------------------


def watched(pids: Iterable[int], measure: Callable[[], Sample]) -> Sample:
    """A sample, with ``foreign``: what neither our children nor ``pids`` have used, in cores."""
    pids = list(pids)
    before, server, times, began = busy(), cpu_of(pids), os.times(), time.monotonic()
    sample = measure()
    after = os.times()
    own = sum(after[:4]) - sum(times[:4]) + cpu_of(pids) - server
    wall = time.monotonic() - began
    # /proc/stat counts in ticks: a short sample must not be judged by one of them.
    sample["foreign"] = round(max(0.0, busy() - before - own - 2 / HZ) / wall, 3)
    return sample


def run_load(port: int, pids: Iterable[int], options: Iterable[object], *, spin: bool) -> Sample:
    """One run of the load generator against what listens on ``port``: what it prints.

    ``spin``: it polls without sleeping, so that a server never pays for waking it.
    """
    command = ["taskset", "-c", LOAD_CORE, str(BIN / "wsload"), "--port", str(port)]
    command += ["--pids", ",".join(map(str, pids)), *(["--spin"] if spin else [])]
    return run_json([*command, *map(str, options)])


def run_json(command: list[str], cwd: Path | None = None, timeout: float = 60) -> Sample:
    """What a program prints as its last line; ``{"error": …}`` when it fails."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return {"error": "timeout"}
    lines = done.stdout.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {"error": done.stderr.strip()[-300:] or f"no output, status {done.returncode}"}
    sample: Sample = json.loads(lines[-1])
    return sample


class Held:
    """Open connections that do nothing, for as long as the ``with`` block lasts.

    Each exchanges one message first, unless compression is offered (the generator cannot inflate).
    ``opened`` and ``seconds`` say how many there are and how long opening took.
    """

    def __init__(self, port: int, count: int, *, deflate: bool, patience: float = 120) -> None:
        options = ["--mode", "idle", "--srcs", "4", "-s", "128", "-n", str(count)]
        options.append("--deflate" if deflate else "--touch")
        self._process = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, str(BIN / "wsload"), "--port", str(port), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._patience = patience
        self.opened, self.seconds = 0, 0.0

    def __enter__(self) -> Held:
        stdout = self._process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], self._patience)
        words = stdout.readline().split() if readable else []
        if words[:1] == ["READY"]:
            self.opened, self.seconds = int(words[1]), float(words[3])
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate("\n", timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


# -- facts for the page --------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": said(["cc", "--version"]).split("\n")[0],
        "commit": said(["git", "-C", str(ROOT), "log", "-1", "--format=%h %cs"]),
        "changed": bool(said(["git", "-C", str(ROOT), "status", "--porcelain", "--", "ws4py"])),
    }


def versions(environment: str) -> dict[str, str]:
    """Python and packages of an environment; for ours also whether it is compiled."""
    code = (
        "import importlib.metadata as m, json, platform\n"
        "found = {d.name: d.version for d in m.distributions()}\n"
        "found['Python'] = platform.python_version()\n"
        "try:\n"
        "    import ws4py.protocol.wire as w\n"
        "    found['build'] = 'pure' if w.__file__.endswith('.py') else 'compiled'\n"
        "except ImportError:\n"
        "    pass\n"
        "print(json.dumps(found))"
    )
    # -I: no current directory, which would be this checkout.
    return run_json([str(interpreter(environment)), "-I", "-c", code])


def said(command: list[str]) -> str:
    """What a program says, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""

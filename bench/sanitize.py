"""The compiled modules under AddressSanitizer: no access outside of what was allocated.

::

    python bench/sanitize.py               # the protocol, 100,000 random streams, real sockets
    python bench/sanitize.py test/compat   # other tests

Builds the extensions with ``-fsanitize=address`` in a copy of the tree, shows that a deliberate
access out of bounds is caught there, and runs the tests. Needs gcc with its libasan, Cython, and
the test requirements in the Python that runs this. Exits with 77 when the sanitizer is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = [
    *(
        f"test/protocol/test_{name}.py"
        for name in (
            "wire",
            "mask",
            "storage",
            "tray",
            "messaging",
            "connection",
            "properties",
            "differential",
        )
    ),
    "test/adapters/test_lock.py",
    "test/conformance/test_servers.py",
    "test/conformance/test_clients.py",
]
#: Of the backends, those whose every step is compiled. Everything takes several times as long here,
#: so the few tests that are about how fast something has to happen stay with the ordinary builds.
OPTIONS = [
    "-k",
    "(not conformance or managed-epoll) and not starve and not closing_while_threads",
    "--timeout=120",
]
#: What a checkout holds and the copy does not need.
IGNORED = shutil.ignore_patterns(".*", "*.so", "build", "node_modules", "__pycache__")

#: ``unmask`` believes its caller, as C does: here it is asked for a byte far behind a buffer.
OUT_OF_BOUNDS = "from ws4py.protocol.mask import unmask; unmask(b'x' * 10_000, 4, 10_100)"


def runtime() -> str | None:
    """The path of gcc's libasan."""
    try:
        done = subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    path = done.stdout.strip()
    return path if os.path.isabs(path) else None  # gcc repeats a name that it cannot find


def build(folder: Path) -> None:
    """Compile everything that there is to compile, with the sanitizer."""
    flags = "-O1 -fsanitize=address -fno-omit-frame-pointer -g"
    env = {**os.environ, "WS4PY_BUILD": "yes", "CFLAGS": flags, "LDFLAGS": "-fsanitize=address"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, env=env, check=True)


def main(tests: list[str]) -> int:
    library = runtime()
    if library is None:
        print("sanitize: no gcc with libasan here", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="ws4py-asan.") as temporary:
        folder = Path(temporary) / "ws4py"
        shutil.copytree(ROOT, folder, ignore=IGNORED)
        build(folder)
        env = {
            **os.environ,
            "LD_PRELOAD": library,
            "PYTHONMALLOC": "malloc",  # Python's own allocator would hide the ends of objects
            "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps what it has until its end
            "PYTHONPATH": str(folder),
        }
        env.pop("WS4PY_PURE", None)
        proof = subprocess.run(
            [sys.executable, "-c", OUT_OF_BOUNDS],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
        )
        if "AddressSanitizer" not in proof.stderr:
            print("sanitize: an access out of bounds was not noticed", file=sys.stderr)
            return 1
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OPTIONS, *tests]
        return subprocess.run(command, cwd=folder, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or TESTS))

"""The Autobahn conformance suite against every way of running: ``python bench/autobahn.py``.

Starts our servers and our clients one after the other, runs the suite (``autobahn.sh``, found in
``../shared/conformance`` or given by ``AUTOBAHN``) against each, prints its lines, and exits with
1 when a case failed or was not implemented. ``--fast`` leaves out the limits and compression.

    python bench/autobahn.py [--fast] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

#: Name of a run: arguments for the server, or for a client the name of its backend.
RUNS: dict[str, list[str] | str] = {
    "managed-epoll": ["--backend", "managed", "--poller", "epoll"],
    "managed-select": ["--backend", "managed", "--poller", "select"],
    "managed-poll": ["--backend", "managed", "--poller", "poll"],
    "threaded": ["--backend", "threaded"],
    "wsgiref": ["--backend", "wsgiref"],
    "cherrypy": ["--backend", "cherrypy"],
    "wsgi-gunicorn-gthread": ["--backend", "gunicorn"],
    "asyncio": ["--backend", "asyncio"],
    "uvloop": ["--backend", "uvloop"],
    "tornado": ["--backend", "tornado"],
    "uvicorn": ["--backend", "asgi"],
    "gevent": ["--backend", "gevent"],
    "threadedclient": "threaded",
    "asyncioclient": "asyncio",
    "uvloopclient": "uvloop",
    "tornadoclient": "tornado",
    "geventclient": "gevent",
}


def script() -> Path | None:
    """Where ``autobahn.sh`` is, if anywhere."""
    places = [os.environ.get("AUTOBAHN"), ROOT.parent / "shared" / "conformance" / "autobahn.sh"]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def run_server(options: list[str], arguments: list[str], name: str) -> str:
    """The suite's line about one of our servers."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "ws4py", "echo", *options, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        # What else it says has to be read, or it would wait for that sooner or later.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        found = re.search(r"ws://\S+", line)
        if found is None:
            raise SystemExit(f"{name} did not start: {line}")
        return suite([*arguments, "server", found.group().rstrip("/."), name])
    finally:
        server.terminate()
        server.wait()


def run_client(backend: str, arguments: list[str], name: str) -> str:
    """The suite's line about one of our clients."""
    command = [sys.executable, str(HERE / "autobahn_client.py")]
    return suite([*arguments, "--agent", name, "client", *command, "{url}", "{agent}", backend])


def suite(arguments: list[str]) -> str:
    """One run of ``autobahn.sh``: its last line."""
    path = script()
    assert path is not None
    done = subprocess.run(
        ["bash", str(path), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # the client is a script elsewhere
    )
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else f"autobahn.sh ended with {done.returncode}"


def main() -> int:
    """Run what was asked for; 0 when nothing failed."""
    parser = argparse.ArgumentParser(description="Autobahn against ws4py")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--fast", action="store_true", help="without limits and compression")
    options = parser.parse_args()
    if script() is None:
        print("autobahn.sh was not found: set AUTOBAHN to its path")
        return 3
    arguments = ["--fast"] if options.fast else ["--require-deflate"]
    bad = 0
    for name in options.names or RUNS:
        started = time.monotonic()
        what = RUNS[name]
        run = run_client if isinstance(what, str) else run_server
        line = run(what, arguments, name)  # type: ignore[operator]
        print(f"{line} [{time.monotonic() - started:.0f} s]", flush=True)
        bad += " failed 0 " not in line
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

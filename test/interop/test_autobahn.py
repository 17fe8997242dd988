"""The Autobahn suite's fast subset: all of RFC 6455 but the limits, and no compression.

The whole suite takes minutes for each run and is started by hand: ``docs/conformance.md`` has the
results.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from running import ROOT, Program, environment

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

BENCH = ROOT / "bench" / "autobahn.py"
#: Cases 1 to 8, 10 and 11; more may be added, but none may get lost unnoticed.
CASES = 247


@pytest.fixture(scope="module")
def autobahn():
    """The suite is installed; the first time, a virtualenv is made for it.

    Skips in CI, too: it needs a Python 2.7, which nobody can be asked to have.
    """
    script = os.environ.get("AUTOBAHN") or ROOT.parent / "shared" / "conformance" / "autobahn.sh"
    if not os.path.isfile(script):
        pytest.skip(f"needs autobahn.sh, which is not at {script} (set AUTOBAHN)")
    if shutil.which("bash") is None:
        pytest.skip("needs bash, for autobahn.sh")
    fcntl = pytest.importorskip("fcntl")
    with open(script) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of pytest's may be at it
        setup = subprocess.run(
            ["bash", script, "setup"], capture_output=True, text=True, check=False
        )
    if setup.returncode:
        why = setup.stderr.strip().splitlines() or ["autobahn.sh setup failed"]
        pytest.skip(f"needs the Autobahn suite: {why[-1]}")


@pytest.mark.usefixtures("autobahn")
@pytest.mark.parametrize(
    "name", ["managed-epoll", "threaded", "gevent", "uvloop", "threadedclient", "asyncioclient"]
)
def test_no_case_fails(name, tmp_path):
    command = [sys.executable, str(BENCH), "--fast", name]
    program = Program(command, ROOT, environment(tmp_path / "bin"))
    code = program.wait(240)
    counts = dict(
        re.findall(r"(ok|non-strict|informational|failed|unimplemented) (\d+)", program.output)
    )
    assert counts.pop("failed", None) == "0", program.output
    assert "unimplemented" not in counts, program.output
    assert sum(map(int, counts.values())) >= CASES, program.output
    assert code == 0, program.output

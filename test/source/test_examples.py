"""Every example runs.

``python example/NAME.py --selftest`` does what the example shows once, on ports of the kernel's
choice and without anything from outside, and exits with 0. An example whose framework is not
installed says so in its last line and exits with 77. Files that begin with ``_`` are no examples.
"""

from __future__ import annotations

import sys

import pytest
from running import ROOT, Program, environment

EXAMPLES = sorted(path for path in ROOT.glob("example/*.py") if not path.name.startswith("_"))
SKIPPED = 77


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_example_runs(example, tmp_path):
    env = environment(tmp_path / "bin")
    program = Program([sys.executable, str(example), "--selftest"], tmp_path, env)
    code = program.wait(45)
    if code == SKIPPED:
        lines = program.output.strip().splitlines()
        pytest.skip(lines[-1] if lines else "the example gave no reason")
    assert code == 0, program.output
    assert "Traceback" not in program.output, program.output
    assert "ResourceWarning" not in program.output, program.output

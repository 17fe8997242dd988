"""Runs the tests that show the rows of the founding documents, and says how they ended.

``python test/rows.py`` prints it and ends with 1 if any failed; ``--write`` makes
docs/founding-documents.md of it; ``--list`` runs nothing. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

import founding


def run(tests: list[founding.Test]) -> dict[founding.Test, str]:
    """How each of them ended; a test with parameters is as good as its worst."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}"]
        subprocess.run([*command, *(test.node for test in tests)], cwd=founding.ROOT, check=False)
        cases = list(xml.parse(report).getroot().iter("testcase"))
    ends: dict[str, list[str]] = {}
    for case in cases:
        state = "passed"
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                state = child.tag.replace("failure", "failed")
        where = case.get("classname", "")
        ends.setdefault(f"{where}.{case.get('name', '').partition('[')[0]}", []).append(state)
    return {test: worst(ends.get(dotted(test), [])) for test in tests}


def dotted(test: founding.Test) -> str:
    """As the report names it."""
    file = test.file.removesuffix(".py").replace("/", ".")
    return ".".join(filter(None, (file, test.of_class, test.name)))


def worst(states: list[str]) -> str:
    for state in ("failed", "error", "passed"):
        if state in states:
            return state
    return "skipped" if states else "error"  # it did not even run


def main() -> int:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"make {founding.TABLE.name}")
    parser.add_argument("--list", action="store_true", help="only say which tests there are")
    arguments = parser.parse_args()
    tests = founding.tests()
    states = dict.fromkeys(tests, "not run") if arguments.list else run(tests)
    shown = founding.rows_of(founding.page(states))
    for row, (by, state) in shown.items():
        print(f"{row}  {state:10}  {founding.ROWS[row]}: {by}")
    print(dict(Counter(state for _, state in shown.values())))
    if arguments.write and not arguments.list:
        founding.TABLE.write_text(founding.page(states), "utf-8")
    return int(any(state in ("failed", "error") for state in states.values()))


if __name__ == "__main__":
    sys.exit(main())

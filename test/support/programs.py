"""What a test needs from outside: a program or a package.

Where it is missing, the test skips and says why; under ``WS4PY_CI=1``, where it should be
installed, the test fails instead.
"""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType

import pytest


def missing(reason: str) -> None:
    """Skip the running test, or fail it under ``WS4PY_CI=1``. Does not return."""
    if os.environ.get("WS4PY_CI") == "1":
        pytest.fail(f"{reason} (WS4PY_CI=1: should be installed)", pytrace=False)
    pytest.skip(reason)


def need_program(*names: str, reason: str = "") -> str:
    """The path of the first program of ``names`` that is on ``PATH``."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    missing(reason or f"needs the program {' or '.join(names)}")
    raise AssertionError("unreachable")


def need_package(name: str, reason: str = "") -> ModuleType:
    """The imported package ``name``."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(reason or f"needs the package {name}")
        raise AssertionError("unreachable") from None

"""What the modules promise in ``__all__`` is there and explained."""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path

import pytest

import ws4py

PACKAGE = Path(ws4py.__file__).parent
#: Modules that need a framework, which the machine need not have; our own must always import.
FRAMEWORKS = ("cherrypy", "gevent", "tornado", "uvicorn")


def public_modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


def load(name: str):
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        if (exc.name or "").split(".")[0] in FRAMEWORKS:
            pytest.skip(f"needs {exc.name}")
        if os.name == "nt":
            pytest.skip(f"not on this system: {exc}")
        raise


@pytest.mark.parametrize("name", public_modules())
def test_module_says_what_it_is_for(name):
    assert (load(name).__doc__ or "").strip(), f"{name} has no docstring"


@pytest.mark.parametrize("name", public_modules())
def test_everything_exported_exists(name):
    module = load(name)
    exported = getattr(module, "__all__", [])
    assert len(exported) == len(set(exported)), f"{name}.__all__ names something twice"
    missing = [entry for entry in exported if not hasattr(module, entry)]
    assert not missing, f"{name}.__all__ names {missing}, which are not there"


@pytest.mark.parametrize("name", public_modules())
def test_everything_exported_is_explained(name):
    module = load(name)
    silent = []
    for entry in getattr(module, "__all__", []):
        value = getattr(module, entry)
        if not inspect.isclass(value) and not inspect.isroutine(value):
            continue
        if getattr(value, "__module__", "").split(".")[0] != "ws4py":
            continue  # not ours: a standard class under a second name
        # A dataclass without docstring gets its signature as one; that explains nothing.
        doc = value.__doc__ or ""
        if not doc.strip() or doc.startswith(f"{entry}("):
            silent.append(entry)
    assert not silent, f"in {name}, these have no docstring: {silent}"

"""Which build of the hot modules is in use, compiled or pure Python, and why.

Beside a hot module's ``.py`` there may be an extension made from it, which Python then prefers.
``WS4PY_PURE=1`` turns that round. This module knows files and the import system; it must never
import another module of ws4py, because it is imported before all of them.
"""

from __future__ import annotations

import importlib.machinery as machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["PURE", "Module", "implementation", "modules", "prefer_sources"]

#: Whether this process was asked to leave the extensions alone.
PURE = os.environ.get("WS4PY_PURE", "") not in ("", "0")

PACKAGE = Path(__file__).parent
#: Written by setup.py when ws4py is built or installed; not there in a bare source tree.
RECORD = PACKAGE / "_build.json"


class SourceFinder:
    """Finds the modules of ws4py by their source, whatever else lies beside it.

    No subclass of ``importlib.abc.MetaPathFinder``, whose import costs more than all of this.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> machinery.ModuleSpec | None:
        """The module's source; ``None``, so that others are asked, where there is none."""
        if fullname.startswith("ws4py."):
            sources = machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES
            for folder in path or ():
                spec = machinery.FileFinder(folder, sources).find_spec(fullname)
                if spec is not None and spec.loader is not None:
                    return spec
        return None


def prefer_sources() -> None:
    """From now on, import modules of ws4py from their sources. Twice is once."""
    if not any(isinstance(finder, SourceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SourceFinder())


class Module(NamedTuple):
    """A module that can be compiled."""

    name: str
    #: Whether it is used compiled, or would be if it were imported now.
    compiled: bool
    #: Why it is not; ``None`` when it is.
    why: str | None


def modules() -> list[Module]:
    """The modules that can be compiled, by name. Imports none of them."""
    record = read_record()
    names = set(record.get("modules", ()))
    kinds = (".so", ".pyd") if names else (".pxd", ".so", ".pyd")
    for path in PACKAGE.rglob("*"):
        if path.suffix in kinds:
            source = path.with_name(path.name.partition(".")[0] + ".py")
            if source.exists():
                names.add(".".join(("ws4py", *source.relative_to(PACKAGE).with_suffix("").parts)))
    return [examine(name, record) for name in sorted(names)]


def implementation() -> str:
    """``compiled``, ``pure``, or ``mixed`` when only some of the hot modules are compiled."""
    found = {module.compiled for module in modules()}
    return "mixed" if len(found) > 1 else "compiled" if True in found else "pure"


def read_record() -> dict[str, Any]:
    """What setup.py has written down; empty when it has not."""
    import json  # not for everybody who imports ws4py

    try:
        record: dict[str, Any] = json.loads(RECORD.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return record


def examine(name: str, record: dict[str, Any]) -> Module:
    """How it stands with one module."""
    spec = importlib.util.find_spec(name)
    if spec is not None and isinstance(spec.loader, machinery.ExtensionFileLoader):
        return Module(name, True, None)
    return Module(name, False, why_pure(name, record))


def why_pure(name: str, record: dict[str, Any]) -> str:
    """Why the module is not compiled, as far as that can be known afterwards."""
    *folders, stem = name.split(".")[1:]
    beside = [
        path.name
        for path in PACKAGE.joinpath(*folders).glob(f"{stem}.*")
        if path.suffix in (".so", ".pyd")
    ]
    if any(found == stem + suffix for found in beside for suffix in machinery.EXTENSION_SUFFIXES):
        return "WS4PY_PURE is set" if PURE else "compiled after it was imported"
    if beside:
        return f"compiled for another Python: {', '.join(sorted(beside))}"
    if record.get("why"):
        return str(record["why"])
    if record:
        return "did not compile when ws4py was installed (no C compiler?)"
    return "not compiled: this is a source tree that was not installed"

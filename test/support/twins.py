"""The pure Python twin of a compiled module, in the same process.

``twin("ws4py.protocol.wire")`` is a second module, made from the same ``wire.py`` whatever
extension lies beside it, under the name ``ws4py_pure.protocol.wire``. Twins import each other;
errors, settings and other modules that are never compiled they share with the real package, so
that an exception of either side is caught by the same name.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

import ws4py

PACKAGE = "ws4py_pure"
#: What both sides use: there is nothing in them to be compiled.
SHARED = {"ws4py.exc", "ws4py.protocol.config"}
SOURCES = Path(ws4py.__file__).parent


def twin(name: str) -> ModuleType:
    """The twin of ``name``, always the same one."""
    return importlib.import_module(renamed(name))


def is_compiled(module: ModuleType) -> bool:
    """Whether ``module`` came out of a compiler."""
    return not str(module.__file__).endswith((".py", ".pyc"))


def renamed(name: str) -> str:
    if name in SHARED or name.partition(".")[0] != "ws4py":
        return name
    return PACKAGE + name.removeprefix("ws4py")


class Redirect(ast.NodeTransformer):
    """Lets ``from ws4py.x import y`` mean the twin of ``x``."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.module is not None and not node.level and node.module != "ws4py":
            node.module = renamed(node.module)
        return node


class TwinLoader(importlib.machinery.SourceFileLoader):
    """Compiles anew each time: the cache beside the source is that of the real module."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = Redirect().visit(ast.parse(self.get_data(path), path))
        return compile(tree, path, "exec", dont_inherit=True)


class TwinFinder(importlib.abc.MetaPathFinder):
    """Finds ``ws4py_pure`` and what is in it among the sources of ``ws4py``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, *inside = fullname.split(".")
        if package != PACKAGE:
            return None
        base = SOURCES.joinpath(*inside)
        if not inside:  # an empty package: the real one looks after the whole process
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(base)]
            return spec
        source = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if not source.exists():
            return None
        loader = TwinLoader(fullname, str(source))
        return importlib.util.spec_from_file_location(fullname, source, loader=loader)


sys.meta_path.insert(0, TwinFinder())

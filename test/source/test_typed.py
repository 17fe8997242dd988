"""Type checkers of our users see our annotations (PEP 561)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ws4py

PACKAGE = Path(ws4py.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_the_marker_lies_in_the_package():
    assert (PACKAGE / "py.typed").is_file()


def test_the_marker_is_shipped():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    _, _, data = text.partition("[tool.setuptools.package-data]")
    assert '"py.typed"' in data.split("\n[")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_function_is_annotated(path):
    # mypy --strict says more, but it runs in .ci/run only; this much is checked everywhere.
    bare = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            every += [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
            named = [arg for arg in every if arg.arg not in ("self", "cls")]
            if node.returns is None or any(arg.annotation is None for arg in named):
                bare.append(f"{node.name} (line {node.lineno})")
    assert not bare

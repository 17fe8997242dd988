"""Two tests of one name in one place: Python keeps the second and never runs the first."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))


def duplicates(tree: ast.AST, where: str = "") -> list[str]:
    """Names of functions and classes that are defined twice in one module, class or function."""
    found = []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [node for node in getattr(tree, "body", []) if isinstance(node, kinds)]
    names = Counter(node.name for node in defined if not is_another_form(node))
    found += [f"{where}{name}" for name, times in names.items() if times > 1]
    for node in defined:
        found += duplicates(node, f"{where}{node.name}.")
    return found


def is_another_form(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a decorator makes a second definition part of the first: a setter, an overload."""
    text = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    return any(word in text for word in ("overload", ".setter", ".deleter", ".register"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_hides_another(path):
    assert not duplicates(ast.parse(path.read_text("utf-8"), str(path)))


def test_a_hidden_test_is_found():
    code = "class TestA:\n def test_x(self): 1\n def test_x(self): 2\ndef test_y(): 1\n"
    assert duplicates(ast.parse(code)) == ["TestA.test_x"]
    assert duplicates(ast.parse(code + "async def test_y(): 2\n"))[0] == "test_y"

"""Run the tests of websocket-client itself against ``ws4py.dropin.websocket_client``::

    python test/foreign/websocket_client_suite.py [VERSION]

Its source distribution is fetched from PyPI into a temporary folder; nothing of it is kept. The
modules that its tests import are ours under other names. A test counts as one of private names
if it imports one from a module whose name begins with an underscore (all but the classes and
numbers that the package exports), patches one, or uses an attribute that begins with one. The
exit status is 0 if three quarters of the others pass. Not collected by pytest.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import types
import unittest
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import ws4py.dropin.websocket_client as drop_in  # noqa: E402
from ws4py.server.threadedserver import WebSocketServer  # noqa: E402
from ws4py.websocket import EchoWebSocket  # noqa: E402

VERSION = "1.9.2"
MODULES = (
    "_abnf",
    "_app",
    "_cookiejar",
    "_core",
    "_dispatcher",
    "_exceptions",
    "_handshake",
    "_http",
    "_logging",
    "_socket",
    "_ssl_compat",
    "_url",
    "_utils",
)


class Private:
    """Stands for what is the library's own business."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise unittest.SkipTest(f"tests the private {self.name}")


def install() -> None:
    """Have ``import websocket`` and its modules give ours."""
    sys.modules["websocket"] = drop_in
    drop_in.__path__ = []
    for name in MODULES:
        module = types.ModuleType(f"websocket.{name}")

        def lookup(wanted: str, name: str = name) -> Any:
            if wanted in drop_in.__all__:
                return getattr(drop_in, wanted)
            if wanted.startswith("__"):
                raise AttributeError(wanted)
            if wanted.endswith(("Error", "Exception")):
                return type(wanted, (Exception,), {})  # something to catch
            return Private(f"{name}.{wanted}")

        module.__getattr__ = lookup  # type: ignore[method-assign]
        sys.modules[f"websocket.{name}"] = module
        setattr(drop_in, name, module)


def fetch(version: str, folder: Path) -> Path:
    """The folder of its tests."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    command += ["--no-build-isolation", "-d", str(folder), f"websocket-client=={version}"]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("websocket_client-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    return next(folder.glob("websocket_client-*/websocket/tests"))


class Names(ast.NodeVisitor):
    """What in a piece of source is private."""

    def __init__(self, private: set[str]) -> None:
        self.private = private
        self.found: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.private:
            self.found.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = node.attr
        if (name.startswith("_") and not name.startswith("__")) or name == "frame_buffer":
            self.found.add(name)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value.startswith("websocket._"):
            self.found.add(node.value)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found |= private_imports(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {a.name for a in node.names if a.name.startswith("websocket._")}


def private_imports(node: ast.ImportFrom) -> set[str]:
    if not (node.module or "").startswith("websocket._"):
        return set()
    return {alias.asname or alias.name for alias in node.names} - set(drop_in.__all__)


def private_names(test: unittest.TestCase, module_names: set[str]) -> set[str]:
    """What makes it a test of private names."""
    method = getattr(test, test._testMethodName)
    found: set[str] = set()
    for function in (method, type(test).setUp, type(test).tearDown):
        if function.__module__.startswith("unittest"):
            continue
        names = Names(module_names)
        names.visit(ast.parse(textwrap.dedent(inspect.getsource(function))))
        found |= names.found - {"_testMethodName", "_delivered"}
    return found


def load(path: Path) -> tuple[types.ModuleType, set[str]]:
    spec = importlib.util.spec_from_file_location(f"foreign_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    private: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            private |= private_imports(node)
        elif isinstance(node, ast.Import):
            private |= {
                alias.asname or alias.name
                for alias in node.names
                if alias.name.startswith("websocket._")
            }
    return module, private


def tests_in(suite: Any) -> list[unittest.TestCase]:
    if isinstance(suite, unittest.TestCase):
        return [suite]
    return [test for part in suite for test in tests_in(part)]


def outcome(test: unittest.TestCase) -> tuple[str, str]:
    """passed, failed or skipped, and why."""
    result = unittest.TestResult()
    test.run(result)
    if result.skipped:
        return "skipped", result.skipped[0][1]
    if result.errors or result.failures:
        return "failed", (result.errors + result.failures)[0][1].strip().splitlines()[-1]
    return "passed", ""


def main() -> int:
    install()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        tests = fetch(sys.argv[1] if sys.argv[1:] else VERSION, Path(folder))
        with WebSocketServer(EchoWebSocket, "127.0.0.1", 0) as server:
            os.environ["LOCAL_WS_SERVER_PORT"] = str(server.port)
            for path in sorted(tests.glob("test_*.py")):
                module, private = load(path)
                for test in tests_in(unittest.defaultTestLoader.loadTestsFromModule(module)):
                    names = private_names(test, private)
                    kind, why = ("private", ", ".join(sorted(names))) if names else outcome(test)
                    counts[kind] += 1
                    name = f"{path.stem}.{test._testMethodName}"
                    print(f"{kind:8} {name}{': ' if why else ''}{why}", flush=True)
    public = counts["passed"] + counts["failed"]
    print(
        f"\n{counts['passed']} of {public} tests of public names pass; "
        f"{counts['private']} test private names, {counts['skipped']} want the internet"
    )
    return 0 if counts["passed"] >= 0.75 * public else 1


if __name__ == "__main__":
    sys.exit(main())

"""Compiled or pure: which modules a process uses, and what it says about it.

Whole builds, with and without a compiler, are tried by ``.ci/builds``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from running import ROOT

import ws4py

PACKAGE = Path(ws4py.__file__).parent
HOT = "ws4py.protocol.wire"


def run(code: str, *, where: Path = PACKAGE.parent, pure: str | None = None):
    """The result of ``code`` in a fresh interpreter that finds the ws4py below ``where``."""
    env = {name: value for name, value in os.environ.items() if name != "WS4PY_PURE"}
    env["PYTHONPATH"] = str(where)
    if pure is not None:
        env["WS4PY_PURE"] = pure
    return subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=where, capture_output=True, text=True, timeout=30
    )


def said(code: str, **options: object) -> str:
    done = run(code, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path):
    """The package without anything compiled, to do as one likes."""
    ignore = shutil.ignore_patterns("*.so", "*.pyd", "*.pxd", "__pycache__", "_build.json")
    shutil.copytree(PACKAGE, tmp_path / "ws4py", ignore=ignore)
    return tmp_path


def put_extension(copy: Path, suffix: str = EXTENSION_SUFFIXES[0]) -> None:
    """An extension beside a hot module. Nothing can load it, so whoever tries is caught."""
    (copy / "ws4py" / "protocol" / f"wire{suffix}").write_bytes(b"no library at all")


def facts(copy: Path, pure: str | None = None):
    """What the package says about the one module, and the word for the whole."""
    code = (
        "import json, sys, ws4py, ws4py._build as b\n"
        "facts = {m.name: (m.compiled, m.why) for m in b.modules()}\n"
        f"assert {HOT!r} not in sys.modules, 'asking has imported it'\n"
        "print(json.dumps([facts, ws4py.IMPLEMENTATION, ws4py.COMPILED_MODULES]))"
    )
    modules, word, compiled = json.loads(said(code, where=copy, pure=pure))
    assert compiled == sorted(name for name, (is_compiled, _) in modules.items() if is_compiled)
    return modules.get(HOT), word


# -- the choice at run time ----------------------------------------------------------------

WHERE = f"import {HOT} as m; print(m.__file__)"


def test_an_extension_beside_the_source_is_used(copy):
    put_extension(copy)
    done = run(WHERE, where=copy)
    assert done.returncode != 0
    assert "ImportError" in done.stderr
    assert facts(copy) == ([True, None], "compiled")


@pytest.mark.parametrize("value", ["1", "yes"])
def test_ws4py_pure_leaves_extensions_alone(copy, value):
    put_extension(copy)
    assert said(WHERE, where=copy, pure=value) == str(copy / "ws4py" / "protocol" / "wire.py")
    assert facts(copy, pure=value) == ([False, "WS4PY_PURE is set"], "pure")


@pytest.mark.parametrize("value", ["", "0"])
def test_ws4py_pure_can_be_switched_off(copy, value):
    put_extension(copy)
    assert run(WHERE, where=copy, pure=value).returncode != 0


def test_ws4py_pure_is_for_every_module():
    code = (
        "import importlib, pkgutil, sys, ws4py, ws4py.protocol\n"
        "import ws4py.manager, ws4py.client.threadedclient, ws4py.server.managedserver\n"
        "ours = [m for name, m in sys.modules.items() if name.split('.')[0] == 'ws4py']\n"
        "print(ws4py.IMPLEMENTATION, {m.__file__.rpartition('.')[2] for m in ours})"
    )
    assert said(code, pure="1") == "pure {'py'}"


def test_ws4py_pure_leaves_tracebacks_and_reload_as_they_are():
    code = (
        "import importlib, inspect, ws4py, ws4py.protocol.wire as wire\n"
        "importlib.reload(wire); importlib.reload(ws4py)\n"
        "from ws4py._build import SourceFinder\n"
        "import sys; print(sum(isinstance(f, SourceFinder) for f in sys.meta_path))\n"
        "print(inspect.getsource(wire.encode_frame).split('(')[0])"
    )
    assert said(code, pure="1").split("\n") == ["1", "def encode_frame"]


def test_what_is_compiled_is_what_gets_loaded():
    # With whatever build these tests run on.
    code = (
        "import importlib, json, ws4py, ws4py._build as b\n"
        "before = b.modules()\n"
        "files = {m.name: importlib.import_module(m.name).__file__ for m in before}\n"
        "assert b.modules() == before\n"
        "print(json.dumps([[files[m.name], m.compiled] for m in before]))"
    )
    for file, compiled in json.loads(said(code)):
        assert file.endswith(".py") is not compiled, file


# -- why not -------------------------------------------------------------------------------


def record(copy: Path, **facts: object) -> None:
    (copy / "ws4py" / "_build.json").write_text(json.dumps(facts), "utf-8")


def test_without_any_extension_all_is_pure(copy):
    assert facts(copy) == (None, "pure")


def test_a_bare_source_tree_says_so(copy):
    (copy / "ws4py" / "protocol" / "wire.pxd").touch()
    (compiled, why), word = facts(copy)
    assert (compiled, word) == (False, "pure")
    assert "not installed" in why


def test_the_reason_for_a_pure_installation_is_kept(copy):
    record(copy, modules=[HOT], why="no Cython when ws4py was installed")
    assert facts(copy) == ([False, "no Cython when ws4py was installed"], "pure")


def test_an_extension_that_did_not_compile_is_told_from_one_that_was_not_wanted(copy):
    record(copy, modules=[HOT], why=None)
    (compiled, why), word = facts(copy)
    assert (compiled, word) == (False, "pure")
    assert "C compiler" in why


def test_an_extension_for_another_python_is_named(copy):
    put_extension(copy, ".cpython-27-pdp11.so")
    (compiled, why), word = facts(copy)
    assert (compiled, word) == (False, "pure")
    assert "another Python: wire.cpython-27-pdp11.so" in why


def test_some_compiled_and_some_not_is_mixed(copy):
    put_extension(copy)
    record(copy, modules=[HOT, "ws4py.protocol.mask"], why=None)
    assert facts(copy) == ([True, None], "mixed")


def test_doctor_names_the_modules_and_the_reasons(copy):
    put_extension(copy)
    record(copy, modules=[HOT, "ws4py.protocol.mask", "ws4py.messaging"], why=None)
    # Without the other subcommands, which would load what cannot be loaded here.
    doctor = "from ws4py.cli import doctor as d; print('\\n'.join(d.as_lines(d.examine())))"
    text = said(doctor, where=copy)
    assert "mixed" in text
    assert "compiled: protocol.wire\n" in text
    assert "pure: messaging, protocol.mask (did not compile when ws4py was installed" in text
    assert "pure: protocol.wire (WS4PY_PURE is set)" in said(doctor, where=copy, pure="1")


# -- building ------------------------------------------------------------------------------


def test_what_is_built_has_a_source_and_its_types():
    setup = ROOT / "setup.py"
    if not setup.exists():
        pytest.skip("not in a source tree")
    namespace: dict[str, list[str]] = {}
    text = setup.read_text("utf-8")
    begin = text.index("MODULES: ")
    exec(text[begin : text.index("]\n", begin) + 1], namespace)
    for name in namespace["MODULES"]:
        base = ROOT.joinpath(*name.split("."))
        assert base.with_suffix(".py").exists(), name
        assert base.with_suffix(".pxd").exists(), name

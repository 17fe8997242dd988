"""Build script: the metadata is in pyproject.toml; here is what depends on the machine.

Hot modules are plain Python with a ``.pxd`` beside them, from which Cython builds an extension of
the same name. ``WS4PY_BUILD`` decides:

``auto``  (default) compile when Cython and a C compiler are there, else stay pure Python
``yes``   compile, or fail
``no``    stay pure Python

Which one is in use, and why: ``ws4py doctor``, from what is written to ``ws4py/_build.json`` here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

#: Dotted names of the modules to compile: all that every message passes through, bottom up.
MODULES: list[str] = [
    "ws4py.clock",
    "ws4py.messaging",
    "ws4py.protocol.storage",
    "ws4py.protocol.mask",
    "ws4py.protocol.tray",
    "ws4py.protocol.wire",
    "ws4py.protocol.connection",
    "ws4py.streaming",
    "ws4py.syscalls",
    "ws4py.lock",
    "ws4py.reactor",
    "ws4py.transport",
    "ws4py.websocket",
    "ws4py.broadcasting",
    "ws4py.asyncioreactor",
]

#: Annotations are for people and mypy; the compiler's types are in the ``.pxd`` files.
DIRECTIVES = {"language_level": "3", "annotation_typing": False}

ROOT = Path(__file__).resolve().parent

#: For ``ws4py doctor``: which modules there are to compile, and why that was not even tried.
RECORD: dict[str, Any] = {"modules": MODULES, "why": None}


def say(text: str) -> None:
    print(f"ws4py: {text}", file=sys.stderr, flush=True)


def stay_pure(why: str) -> list[Extension]:
    """Compile nothing, and remember why."""
    RECORD["why"] = why
    say(f"pure Python build ({why})")
    return []


def source_of(module: str) -> Path:
    return Path(*module.split(".")).with_suffix(".py")


def extensions(wish: str) -> list[Extension]:
    """The extensions to build under ``WS4PY_BUILD=wish``; empty for a pure build."""
    if wish not in ("auto", "yes", "no"):
        raise SystemExit(f"ws4py: WS4PY_BUILD must be auto, yes or no, not {wish!r}")
    if wish == "no":
        return stay_pure("WS4PY_BUILD=no when ws4py was installed")
    ready = [m for m in MODULES if (ROOT / source_of(m)).with_suffix(".pxd").exists()]
    missing = sorted(set(MODULES) - set(ready))
    if wish == "yes" and (missing or not ready):
        raise SystemExit(
            f"ws4py: WS4PY_BUILD=yes, but there is no .pxd for {', '.join(missing)}"
            if missing
            else "ws4py: WS4PY_BUILD=yes, but this version has no module to compile"
        )
    if not ready:
        return stay_pure("this version has no module to compile")
    try:
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError
    except ImportError:
        if wish == "yes":
            raise SystemExit("ws4py: WS4PY_BUILD=yes, but Cython is not installed") from None
        return stay_pure("no Cython when ws4py was installed")
    say(f"compiling {', '.join(ready)} (WS4PY_BUILD={wish})")
    try:
        built: list[Extension] = cythonize(
            [Extension(m, [str(source_of(m))]) for m in ready],
            build_dir="build/cython",  # no generated C in the tree
            compiler_directives=DIRECTIVES,
        )
    except CompileError:
        if wish == "yes":
            raise
        return stay_pure("this Cython could not translate the modules when ws4py was installed")
    for extension in built:
        # Here, and not when making them: cythonize() of Cython 3.3 drops it. An optional
        # extension that does not compile is a warning, and the .py beside it is used.
        extension.optional = wish == "auto"
    return built


def write_record(folder: Path) -> None:
    """Put the record beside the modules."""
    (folder / "ws4py" / "_build.json").write_text(json.dumps(RECORD, indent=2) + "\n", "utf-8")


class BuildPy(build_py):
    """Adds the record to the modules; an editable installation has it in the source tree."""

    def run(self) -> None:
        super().run()
        write_record(ROOT if self.editable_mode else Path(self.build_lib))


class BuildExt(build_ext):
    """Knows what to ask of the compiler, and says in one line when it could not do it."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        super().run()
        if self.inplace:
            write_record(ROOT)

    def build_extensions(self) -> None:
        if self.compiler.compiler_type != "msvc":
            wished = os.environ.get("CFLAGS", "")
            for extension in self.extensions:
                if "-O" not in wished:
                    extension.extra_compile_args.append("-O3")  # Debian's Python, say, has -O2
                if "-g" not in wished:
                    # Only a debugger of C reads it, and it takes a third of the time.
                    extension.extra_compile_args.append("-g0")
        super().build_extensions()
        failed = [
            each.name
            for each in self.extensions
            if not Path(self.get_ext_fullpath(each.name)).exists()
        ]
        if failed:
            say(f"pure Python for {', '.join(failed)}: the C compiler failed, see above")


setup(
    ext_modules=extensions(os.environ.get("WS4PY_BUILD") or "auto"),
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
)

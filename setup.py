"""Build script: the metadata is in pyproject.toml; here is what depends on the machine.

Hot modules are plain Python with a ``.pxd`` beside them, from which Cython builds an extension of
the same name. ``WS4PY_BUILD`` decides:

``auto``  (default) compile when Cython and a C compiler are there, else stay pure Python
``yes``   compile, or fail
``no``    stay pure Python

Which one is in use: ``ws4py doctor``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

#: Dotted names of the modules to compile.
MODULES: list[str] = [
    "ws4py.messaging",
    "ws4py.protocol.connection",
    "ws4py.protocol.mask",
    "ws4py.protocol.wire",
]

#: Annotations are for people and mypy; the compiler's types are in the ``.pxd`` files.
DIRECTIVES = {"language_level": "3", "annotation_typing": False}

ROOT = Path(__file__).resolve().parent


def say(text: str) -> None:
    print(f"ws4py: {text}", file=sys.stderr, flush=True)


def source_of(module: str) -> Path:
    return Path(*module.split(".")).with_suffix(".py")


def extensions(wish: str) -> list[Extension]:
    """The extensions to build under ``WS4PY_BUILD=wish``; empty for a pure build."""
    if wish not in ("auto", "yes", "no"):
        raise SystemExit(f"ws4py: WS4PY_BUILD must be auto, yes or no, not {wish!r}")
    if wish == "no":
        say("pure Python build (WS4PY_BUILD=no)")
        return []
    ready = [m for m in MODULES if (ROOT / source_of(m)).with_suffix(".pxd").exists()]
    missing = sorted(set(MODULES) - set(ready))
    if wish == "yes" and (missing or not ready):
        raise SystemExit(
            f"ws4py: WS4PY_BUILD=yes, but there is no .pxd for {', '.join(missing)}"
            if missing
            else "ws4py: WS4PY_BUILD=yes, but this version has no module to compile"
        )
    if not ready:
        say("pure Python build (no module to compile)")
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if wish == "yes":
            raise SystemExit("ws4py: WS4PY_BUILD=yes, but Cython is not installed") from None
        say("pure Python build (Cython is not installed)")
        return []
    say(f"compiling {', '.join(ready)} (WS4PY_BUILD={wish})")
    built: list[Extension] = cythonize(
        [Extension(m, [str(source_of(m))]) for m in ready],
        build_dir="build/cython",  # no generated C in the tree
        compiler_directives=DIRECTIVES,
    )
    for extension in built:
        # Here, and not when making them: cythonize() of Cython 3.3 drops it. An optional
        # extension that does not compile is a warning, and the .py beside it is used.
        extension.optional = wish == "auto"
    return built


setup(ext_modules=extensions(os.environ.get("WS4PY_BUILD") or "auto"))

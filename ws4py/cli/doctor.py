"""``ws4py doctor``: what this installation can do, and what would let it do more."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import ssl
import sys
from pathlib import Path
from typing import Any

import ws4py
from ws4py import _build
from ws4py.cli import backends

__all__ = ["add_parsers", "examine"]

#: Packages that are used where they are found: distribution and extra.
ACCELERATORS = (("wsaccel", "wsaccel"), ("uvloop", "speed"))


def add_parsers(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what this installation can do",
        description="Say what this installation can do, and what would let it do more.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; always 0, because nothing of it is an error."""
    found = examine()
    print(json.dumps(found, indent=2) if options.json else "\n".join(as_lines(found)))
    return 0


def examine() -> dict[str, Any]:
    """All findings, as what JSON can hold."""
    return {
        "ws4py": {
            "version": ws4py.__version__,
            "implementation": ws4py.IMPLEMENTATION,
            "modules": [module._asdict() for module in _build.modules()],
            "path": str(Path(ws4py.__file__).parent),
        },
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
        },
        "pollers": list(backends.pollers()),
        "backends": [describe(backend) for backend in backends.BACKENDS],
        "tls": examine_tls(),
        "open_files": open_files(),
        "accelerators": [
            {"name": name, "version": backends.version(name), "extra": extra}
            for name, extra in ACCELERATORS
        ],
    }


def describe(backend: backends.Backend) -> dict[str, Any]:
    """A backend, and whether what it needs is there. ``version`` is that of what it needs."""
    found = None if backend.needs is None else backends.version(backend.needs)
    return {
        "name": backend.name,
        "side": backend.side,
        "summary": backend.summary,
        "available": backend.needs is None or found is not None,
        "needs": backend.needs,
        "version": found,
        "extra": backend.extra,
    }


def examine_tls() -> dict[str, Any]:
    """The TLS library, and the certificates that clients trust by default."""
    paths = ssl.get_default_verify_paths()
    certificates = len(ssl.create_default_context().get_ca_certs())
    if paths.capath and os.path.isdir(paths.capath):
        # Certificates in a directory are only loaded when one is asked for: count the files.
        hashed = re.compile(r"[0-9a-f]{8}\.\d+")
        certificates = max(
            certificates, sum(map(bool, map(hashed.fullmatch, os.listdir(paths.capath))))
        )
    return {
        "library": ssl.OPENSSL_VERSION,
        "certificates": certificates,
        "cafile": paths.cafile,
        "capath": paths.capath,
    }


def open_files() -> dict[str, int | None] | None:
    """The limits of open files, hence of connections; ``None`` inside for no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (None if limit == resource.RLIM_INFINITY else limit for limit in limits)
    return {"soft": soft, "hard": hard}


# -- for people ----------------------------------------------------------------------------


def as_lines(found: dict[str, Any]) -> list[str]:
    """The findings as a table of two columns."""
    own, python, tls = found["ws4py"], found["python"], found["tls"]
    rows = [
        ("ws4py", f"{own['version']} in {own['path']}"),
        ("", own["implementation"]),
        *(("", line) for line in builds(own["modules"])),
        ("Python", f"{python['implementation']} {python['version']}, {python['executable']}"),
        ("platform", python["platform"]),
        ("pollers", ", ".join(found["pollers"])),
    ]
    for side in ("server", "client"):
        of_side = [each for each in found["backends"] if each["side"] == side]
        rows += [(f"{side}s" if not i else "", state(each)) for i, each in enumerate(of_side)]
    store = tls["cafile"] or tls["capath"]
    rows += [
        ("TLS", tls["library"]),
        ("", f"{tls['certificates']} trusted authorities in {store}" if store else NO_STORE),
        ("open files", limit_text(found["open_files"])),
    ]
    for i, each in enumerate(found["accelerators"]):
        missing = f'not installed: pip install "ws4py[{each["extra"]}]"'
        rows.append(("speed-ups" if not i else "", f"{each['name']} {each['version'] or missing}"))
    return [f"{label:<12}{text}" for label, text in rows]


def builds(modules: list[dict[str, Any]]) -> list[str]:
    """Which modules are compiled, and why the others are not: a line for each reason."""
    by_reason: dict[str | None, list[str]] = {}
    for module in modules:
        by_reason.setdefault(module["why"], []).append(module["name"].removeprefix("ws4py."))
    return [
        f"  {'compiled' if why is None else 'pure'}: {', '.join(names)}"
        + (f" ({why})" if why else "")
        for why, names in by_reason.items()
    ]


NO_STORE = "no trusted authorities: wss:// needs a CA file (is ca-certificates installed?)"


def state(backend: dict[str, Any]) -> str:
    """One backend in one line."""
    name = f"{backend['name']:<10}"
    if not backend["available"]:
        return f'{name}missing: pip install "ws4py[{backend["extra"]}]"'
    needs = f" ({backend['needs']} {backend['version']})" if backend["needs"] else ""
    return f"{name}{backend['summary']}{needs}"


def limit_text(limits: dict[str, int | None] | None) -> str:
    """What the limit of open files means."""
    if limits is None or limits["soft"] is None:
        return "no limit"
    soft, hard = limits["soft"], limits["hard"]
    text = f"{soft:,}, so about that many connections"
    if hard is None or hard > soft:
        text += f" (`ulimit -n {'unlimited' if hard is None else hard}` allows more)"
    return text

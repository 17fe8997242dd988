"""The floors of the house (docs/design.md): a module imports its own floor or a lower one.

Read from the source, not from what happens to be imported, so that an import inside a function
counts too. Imports under ``if TYPE_CHECKING:`` are for the type checker and do not.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import ws4py

PACKAGE = Path(ws4py.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

FLOORS = {
    "ws4py._build": 0,
    "ws4py._extras": 0,
    "ws4py._version": 0,
    "ws4py.clock": 0,
    "ws4py.compat": 0,
    "ws4py.exc": 0,
    "ws4py.messaging": 0,
    "ws4py.framing": 0,
    "ws4py.utf8validator": 0,
    "ws4py.protocol": 0,
    "ws4py.protocol.config": 0,
    "ws4py.protocol.wire": 0,
    "ws4py.protocol.mask": 0,
    "ws4py.protocol.storage": 0,
    "ws4py.protocol.tray": 0,
    "ws4py.protocol.uri": 0,
    "ws4py.protocol.headers": 0,
    "ws4py.protocol.http": 0,
    "ws4py.protocol.connection": 1,
    "ws4py.protocol.handshake": 1,
    "ws4py.protocol.relay": 1,
    "ws4py.protocol.deflate": 1,
    "ws4py.streaming": 1,
    "ws4py.foreign": 2,
    "ws4py.lock": 2,
    "ws4py.reactor": 2,
    "ws4py.runtime": 2,
    "ws4py.syscalls": 2,
    "ws4py.tlsintls": 2,
    "ws4py.transport": 2,
    "ws4py.websocket": 3,
    "ws4py.broadcasting": 3,
    "ws4py.manager": 4,
    "ws4py.asyncioreactor": 4,
    "ws4py.asynchooks": 4,
    "ws4py.awaited": 4,
    "ws4py.loopmanager": 4,
    "ws4py.pulled": 4,
    "ws4py.greenlets": 5,  # what the gevent adapters share
    "ws4py.async_websocket": 5,  # the WebSocket of 0.6's asyncio server
    "ws4py.__main__": 5,
}
#: Everything below these is on the top floor.
TOP = ("ws4py.client", "ws4py.server", "ws4py.dropin", "ws4py.cli")

#: Adapters never import each other; these are what they share, or a second name of one.
SHARED = {
    "ws4py.client",
    "ws4py.client.attempt",
    "ws4py.client.auth",
    "ws4py.client.cookies",
    "ws4py.client.journey",
    "ws4py.client.dial",
    "ws4py.client.offline",
    "ws4py.client.opening",
    "ws4py.client.persistent",
    "ws4py.client.pinning",
    "ws4py.client.proxy",
    "ws4py.client.pull",
    "ws4py.client.reconnect",
    "ws4py.client.stepping",
    "ws4py.client.route",
    "ws4py.client.tls",
    "ws4py.server",
    "ws4py.server.blockingopening",
    "ws4py.server.caretaker",
    "ws4py.server.cherootconnection",
    "ws4py.server.opening",
    "ws4py.server.asgiconnection",
    "ws4py.server.asgimessages",
    "ws4py.server.asgitransport",
    "ws4py.server.reactorserver",
    "ws4py.server.wsgihosts",
    "ws4py.server.farewell",
    "ws4py.server.geventheads",
    "ws4py.server.wsgiutils",
}
SECOND_NAMES = {"ws4py.server.tulipserver"}

FRAMEWORKS = {"cheroot", "cherrypy", "gevent", "tornado", "uvicorn", "uvloop"}
#: What the floors without I/O, and websocket.py, may not touch.
OUTSIDE_WORLD = {"asyncio", "select", "selectors", "signal", "socket", "ssl", "threading"}
#: Packages that are neither ours nor Python's, and the one module that may use each.
OPTIONAL = {
    "aiohttp": "ws4py.dropin.aiohttp",  # ordinary requests
    "asyncore": "ws4py.dropin.asyncore_client",  # Python's own up to 3.11, then pyasyncore
    "certifi": "ws4py.client.tls",
    "httpx": "ws4py.client.auth",
    "python_socks": "ws4py.client.proxy",
    "werkzeug": "ws4py.dropin.websockets.routing",  # what route() is given is made by it
    "wsaccel": "ws4py.protocol.mask",
}


def floor(module: str) -> int | None:
    if module.startswith(TOP):
        return 5
    return FLOORS.get(module)


def clocked(module: str) -> bool:
    """Whether ``module`` lives without I/O and without a clock of its own."""
    where = floor(module)
    return module == "ws4py.websocket" or (where is not None and where <= 1)


def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"), str(MODULES[module]))


def running_code(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below ``node``, without what stands under ``if TYPE_CHECKING:``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield other
                yield from running_code(other)
            continue
        yield child
        yield from running_code(child)


def resolve(module: str, node: ast.ImportFrom) -> str:
    """The absolute name of the module that ``from … import`` names."""
    if not node.level:
        return node.module or ""
    is_package = MODULES[module].name == "__init__.py"
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join(parts + ([node.module] if node.module else []))


def imports(module: str, nodes: Iterator[ast.AST] | None = None) -> set[str]:
    """Absolute names of the modules that ``module`` imports while it runs."""
    found = set()
    for node in running_code(parse(module)) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve(module, node)
            # `from ws4py.protocol import wire` imports a module, `from ws4py.exc import X` a name
            found |= {
                f"{origin}.{alias.name}" if f"{origin}.{alias.name}" in MODULES else origin
                for alias in node.names
            }
    return found


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "ws4py"}


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


INSIDE = sorted(set(MODULES) - {"ws4py"})


@pytest.mark.parametrize("module", INSIDE)
def test_every_module_has_a_floor(module):
    assert floor(module) is not None, f"write down in FLOORS where {module} lives"


@pytest.mark.parametrize("module", INSIDE)
def test_no_module_imports_a_higher_floor(module):
    own = floor(module)
    higher = {
        other
        for other in ours(imports(module)) - {"ws4py"}
        if own is not None and (floor(other) or 0) > own
    }
    assert not higher, f"{module} (floor {own}) imports {sorted(higher)}"


@pytest.mark.parametrize("module", INSIDE)
def test_lower_floors_do_not_reach_through_the_top_package(module):
    # `from ws4py import connect` would import the top floor lazily, unseen by the test above
    if (floor(module) or 0) >= 5:
        return
    names = {
        alias.name
        for node in running_code(parse(module))
        if isinstance(node, ast.ImportFrom) and resolve(module, node) == "ws4py"
        for alias in node.names
    }
    lazy = {name for name in names if f"ws4py.{name}" not in MODULES}
    assert lazy <= {"WS_KEY", "WS_VERSION", "__version__", "format_addresses"}, lazy


def test_the_top_package_imports_only_the_ground_floor_at_once():
    # What it offers from higher up is imported by its __getattr__, when asked for.
    at_once = (
        node for node in parse("ws4py").body if isinstance(node, ast.Import | ast.ImportFrom)
    )
    assert {name for name in ours(imports("ws4py", at_once)) - {"ws4py"} if floor(name)} == set()


@pytest.mark.parametrize("module", [name for name in INSIDE if clocked(name)])
def test_no_io_below_the_transport(module):
    assert not tops(imports(module)) & (OUTSIDE_WORLD | FRAMEWORKS)


@pytest.mark.parametrize("module", INSIDE)
def test_only_adapters_import_a_framework_and_only_one(module):
    used = tops(imports(module)) & FRAMEWORKS - {"cheroot", "uvloop"}
    assert len(used) <= (1 if floor(module) == 5 else 0), used


@pytest.mark.parametrize("module", sorted(MODULES))
def test_there_is_no_dependency(module):
    standard = set(sys.stdlib_module_names) - set(OPTIONAL)
    used = tops(imports(module)) - standard - {"ws4py"} - FRAMEWORKS
    assert {name for name in used if OPTIONAL.get(name) not in (module, dialect(module))} == set()


@pytest.mark.parametrize(
    "module", [m for m in INSIDE if m.startswith(("ws4py.client", "ws4py.server"))]
)
def test_adapters_never_import_each_other(module):
    if module in SECOND_NAMES:
        return
    others = {
        name
        for name in ours(imports(module)) - {module} - SHARED
        if name.startswith(("ws4py.client", "ws4py.server")) and "._" not in name
    }
    assert not others, f"{module} imports {sorted(others)}; what they share belongs lower down"


DROPINS = [module for module in MODULES if module.startswith("ws4py.dropin")]


def dialect(module: str) -> str:
    """The drop-in that ``module`` is, or is a part of: ``ws4py.dropin.websockets.sync`` is one."""
    return ".".join(module.split(".")[:3])


@pytest.mark.parametrize("module", DROPINS)
def test_a_dropin_stands_on_our_own_faces_and_on_no_other_dropin(module):
    # It may import any module of client and server: it is another way to say what they say.
    others = {name for name in ours(imports(module)) if name.startswith("ws4py.dropin.")}
    assert {name for name in others if dialect(name) != dialect(module)} == set()
    assert not tops(imports(module)) & FRAMEWORKS


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(DROPINS)))
def test_nothing_else_imports_a_dropin(module):
    assert not {name for name in ours(imports(module)) if name.startswith("ws4py.dropin")}


def of_the_command(name: str) -> bool:
    return f"{name}.".startswith("ws4py.cli.")


@pytest.mark.parametrize("module", [name for name in INSIDE if not of_the_command(name)])
def test_only_the_command_imports_the_command(module):
    assert not {name for name in ours(imports(module)) if of_the_command(name)} or (
        module == "ws4py.__main__"
    )


@pytest.mark.parametrize("module", [name for name in INSIDE if clocked(name)])
def test_time_is_an_argument(module):
    # `clock=time.monotonic` as a default is the one use of the time module.
    tree = parse(module)
    defaults = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            values = [*node.args.defaults, *node.args.kw_defaults]
            defaults |= {sub for value in values if value for sub in ast.walk(value)}
    for node in running_code(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("time", "datetime"), f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            uses_time = node.value.id == "time" and node not in defaults
            if module == "ws4py.clock" and node.attr == "monotonic":
                continue  # which knows that clock when it is given it
            assert not uses_time, f"line {node.lineno}: time.{node.attr} outside of a default"


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``statement``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return tops(set(done.stdout.split()))


def test_import_ws4py_imports_no_framework():
    assert not loaded_after("import ws4py") & (FRAMEWORKS | set(OPTIONAL) | {"asyncio", "ssl"})


def test_the_lower_floors_load_no_framework():
    names = [name for name in INSIDE if (floor(name) or 0) <= 1]
    loaded = loaded_after("import " + ", ".join(names))
    # threading and socket may come in through logging and the like; these would come through us
    assert not loaded & (FRAMEWORKS | {"asyncio", "ssl"})


def test_the_rules_can_be_broken(tmp_path, monkeypatch):
    """The checks above, on a module that breaks all of them."""
    path = tmp_path / "wire.py"
    path.write_text(
        "from __future__ import annotations\n"
        "import time\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from ws4py.websocket import WebSocket\n"
        "def f():\n"
        "    import gevent.socket, socket, numpy\n"
        "    from ws4py.manager import WebSocketManager\n"
        "    from .handshake import Request\n"
        "    return time.monotonic()\n"
    )
    module = "ws4py.protocol.wire"
    monkeypatch.setitem(MODULES, module, path)
    assert imports(module) >= {"gevent.socket", "socket", "numpy", "ws4py.manager"}
    assert "ws4py.websocket" not in imports(module)
    for check in (
        test_no_module_imports_a_higher_floor,
        test_no_io_below_the_transport,
        test_only_adapters_import_a_framework_and_only_one,
        test_there_is_no_dependency,
        test_time_is_an_argument,
    ):
        with pytest.raises(AssertionError):
            check(module)


# -- adapters translate: what is protocol, a limit or a timer lives lower down, once --------

#: Modules of one framework or way of running: all that is not shared between several of them.
ADAPTERS = sorted(
    name
    for name in MODULES
    if name.startswith(("ws4py.client.", "ws4py.server.")) and name not in SHARED
)
#: Lines of code, without comments, docstrings and blank lines.
LIMIT = 150
#: What would make a timer of the adapter's own.
TIMERS = {"Timer", "call_at", "call_later", "spawn_later", "start_later"}


def lines_of_code(module: str) -> int:
    source = MODULES[module].read_text("utf-8")
    described: set[int] = set()
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            first = node.body[0]
            described |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    layout = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            found |= set(range(token.start[0], token.end[0] + 1))
    return len(found - described)


def names_in(tree: ast.AST) -> set[str]:
    """Every name and attribute that is used."""
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    }


def close_codes_in(tree: ast.AST) -> set[int]:
    """Numbers given to ``close`` and the like. A default of a parameter is the public signature."""
    return {
        argument.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for argument in [*node.args, *(word.value for word in node.keywords)]
        if isinstance(argument, ast.Constant)
        and type(argument.value) is int
        and 1000 <= argument.value <= 4999
    }


@pytest.mark.parametrize("module", ADAPTERS)
def test_an_adapter_is_short(module):
    assert lines_of_code(module) <= LIMIT


@pytest.mark.parametrize("module", ADAPTERS)
def test_an_adapter_knows_no_protocol_and_no_timer(module):
    tree = parse(module)
    names = names_in(tree)
    assert not {name for name in names if name.startswith("OPCODE_")}
    assert not names & TIMERS
    assert close_codes_in(tree) == set()


#: Lines of code of one module of a drop-in: names and signatures are many, but they are flat.
DIALECT_LIMIT = 500


@pytest.mark.parametrize("module", DROPINS)
def test_a_dropin_translates(module):
    # Opcodes may be named (other libraries show them); what a code or a second means may not.
    tree = parse(module)
    assert not names_in(tree) & TIMERS
    assert close_codes_in(tree) == set()
    assert lines_of_code(module) <= DIALECT_LIMIT


def test_the_rules_for_adapters_can_be_broken():
    tree = ast.parse(
        "loop.call_later(5, ws.close, 1011)\nf(OPCODE_TEXT)\ndef close(code=1000): ..."
    )
    assert close_codes_in(tree) == {1011}
    assert names_in(tree) >= {"call_later", "OPCODE_TEXT"}

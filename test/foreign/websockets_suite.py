"""The tests of ``websockets`` itself, run against ``ws4py.dropin.websockets``.

    python test/foreign/websockets_suite.py [--source TREE_OR_TARBALL] [-v]

Its source distributions on PyPI carry none of the tests of its asyncio and threads interfaces, so
Debian's source package is fetched, with ``apt-get`` and into a directory of our own; nothing of it
stays. In the copies ``websockets`` means the drop-in, and ``real_websockets`` the library, which
plays the remote end where the tests intercept its frames. Prints what passed, and each of the
others with the reason that is written here.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("client", "server", "connection", "router")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

#: Tests of private names, by a part of their source: what is private, and not counted.
PRIVATE = {
    "start_keepalive()": "the keepalive task of the library",
    "recv_messages.": "the library's queue of frames",
    'get_extra_info", return_value': "replaces a method of asyncio's transport",
    "websockets.protocol.Protocol.": "replaces methods of the library's protocol object",
    "random.getrandbits": "the random numbers that the library asks for",
    "transport.get_write_buffer_limits": "the limits of an asyncio transport of its own",
    "transport.write_eof()": "breaks the connection by a method of the library's transport",
    "socket.shutdown(socket.SHUT_WR)": "breaks the connection below us, and looks for the error",
    ".pause_writing()": "a method of the library's connection",
    "few_redirects": "replaces a number of the library's module",
    "process_redirect": "replaces a method of the library's connect",
    "protocol.send_": "drives the library's protocol object",
    "socket.socket.send": "replaces methods of the socket",
    "_write": "the library's own writing",
    "connection.close_timeout": "an attribute of the library's connection",
    "WebSocketServer": "deprecations of the library's own names",
    "assertDeprecationWarning": "deprecations of the library's own names",
}
#: The others that do not pass: parts of their names, and why.
DIFFERENT = {
    "test_recv_streaming_": "recv_streaming() gives the message as one piece",
    "non_utf8_text": "the close reason has other words",
    "test_reject_invalid_server_": "the error of TLS has other words, and says what to do",
    "client.ClientTests.test_junk_handshake": "the error has other words",
    "ClientUsageErrorsTests.test_unsupported_proxy": "the error has other words",
    "ClientUsageErrorsTests.test_unix_with": "the error has other words",
    "ServerUsageErrorsTests.test_unix_with": "the error has other words",
    "server.ServerTests.test_junk_handshake": "silence for too long is answered with 408",
    "server.ServerTests.test_timeout_during": "silence for too long is answered with 408",
    "with_send_blocked": "broadcast() waits in line behind a fragmented message; nobody is skipped",
    "test_send_during_send": "a second message waits in line behind a fragmented one",
    "test_close_during_send": "close() amid a fragmented message closes with the code it was given",
    "test_broadcast_skips_closing": "looks after two turns of the loop; we write in the third",
    "waiting_for_connection_closed": "both close frames came: no error, however TCP ends",
    "cross_origin_redirect": "a redirect is followed where it leads, host and port or not",
    "test_redirect_with_existing_socket": "the error is InvalidStatus, with the redirect",
    "test_redirect_to_insecure_uri": "the error has other words",
    "sync.test_router.RouterTests.test_redirect": "redirects are followed, as the library now does",
    "sync.test_router.RouterTests.test_secure_redirect": "redirects are followed, as it now does",
}

CONFTEST = """
import asyncio, importlib, importlib.abc, importlib.util, os, sys

REAL = importlib.util.find_spec("websockets")
spec = importlib.util.spec_from_file_location(
    "real_websockets", REAL.origin, submodule_search_locations=REAL.submodule_search_locations
)
real = importlib.util.module_from_spec(spec)
sys.modules["real_websockets"] = real
spec.loader.exec_module(real)


class Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name == "websockets" or name.startswith("websockets."):
            return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return importlib.import_module("ws4py.dropin." + spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Alias())

import ours
"""

OURS = '''
"""Our ends of connections whose opening handshake nobody has done."""

import asyncio

from ws4py.asyncioreactor import reactor_of
from ws4py.awaited import Awaited
from ws4py.dropin.websockets.asyncio.connection import Connection
from ws4py.dropin.websockets.client import OF_A_CONNECTION
from ws4py.dropin.websockets.protocol import Protocol, Side
from ws4py.dropin.websockets.sync.connection import Connection as SyncConnection
from ws4py.dropin.websockets.translation import make_config
from ws4py.pulled import Pulled
from ws4py.transport import PolledTransport
from ws4py.websocket import WebSocket


def kind(base, side):
    client = side.name == "CLIENT"
    flags = ("client_terminated", "server_terminated")
    ours, peer = flags if client else flags[::-1]
    names = {"_client": client, "_our_flag": ours, "_peer_flag": peer}
    return type("End", (base,), names)


def asyncio_end(sock, side, **limits):
    sock.setblocking(False)
    ws = kind(Awaited, side)(sock)
    ws.transport = PolledTransport(sock, reactor_of(asyncio.get_running_loop()))
    ws.setup(make_config(compression=None, ping_interval=None, **limits))
    ws.transport.start(ws)
    ws.connection_made()
    connection = Connection(Protocol(Side[side.name]))
    connection.attach(ws)
    return connection


def sync_end(sock, side, **limits):
    ws = kind(Pulled, side)(sock, background=True)
    ws.setup(make_config(compression=None, ping_interval=None, **limits))
    ws.begin()
    connection = SyncConnection(Protocol(Side[side.name]))
    connection.attach(ws)
    return connection
'''


def fetch(where: Path) -> Path:
    """The newest source package of Debian's that is to be had."""
    for name in ("lists/partial", "cache/archives/partial"):
        (where / name).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={where}/sources.list"]
    apt += ["-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State::lists={where}/lists"]
    apt += ["-o", f"Dir::Cache={where}/cache", "-o", "APT::Sandbox::User=root"]
    for suite in ("sid", "trixie"):
        text = f"deb-src [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n"
        (where / "sources.list").write_text(text)
        subprocess.run([*apt, "update"], cwd=where, timeout=300, check=False)
        command = [*apt, "source", "--download-only", "python-websockets"]
        subprocess.run(command, cwd=where, timeout=300, check=False, stderr=subprocess.DEVNULL)
        found = sorted(where.glob("python-websockets_*.orig.tar.*"))
        if found:
            return found[-1]
    raise SystemExit("the source package of Debian cannot be had: give --source")


def unpack(source: Path, where: Path) -> Path:
    """Its tests, as a directory."""
    if source.is_dir():
        return source / "tests"
    with tarfile.open(source) as archive:
        if sys.version_info >= (3, 12):
            archive.extractall(where, filter="data")
        else:
            archive.extractall(where)
    return next(where.glob("websockets-*/tests"))


def prepare(tests: Path, where: Path) -> None:
    """Copies, with the few changes that say who plays which part."""
    shutil.copytree(tests, where / "tests")
    (where / "conftest.py").write_text(CONFTEST)
    (where / "ours.py").write_text(OURS)
    for name in ("protocol.py", "asyncio/connection.py", "sync/connection.py"):
        change(where / "tests" / name, [("from websockets", "from real_websockets")])
    change(where / "tests/utils.py", [("from websockets.version import released", "released = 1")])
    hack = "server.server._ssl_context is not None"
    change(where / "tests/asyncio/server.py", [(hack, "server.server.ssl is not None")])
    change(
        where / "tests/sync/server.py",
        [
            ("isinstance(server.socket, ssl.SSLSocket)", "server.server.ssl is not None"),
            ("original_handler = server.handler", "original_handler = None"),
        ],
    )
    real = [
        ("from websockets.frames import", "from real_websockets.frames import"),
        (
            "from websockets.protocol import CLIENT, SERVER, Protocol, State",
            "from websockets.protocol import State\n"
            "from real_websockets.protocol import CLIENT, SERVER, Protocol",
        ),
    ]
    old = """self.transport, self.connection = await loop.create_connection(
            lambda: Connection(Protocol(self.LOCAL), close_timeout=2 * MS),
            sock=socket_,
        )"""
    new = """import ours
        self.connection = ours.asyncio_end(socket_, self.LOCAL, close_timeout=2 * MS)
        self.transport = self.connection.transport"""
    change(where / "tests/asyncio/test_connection.py", [*real, (old, new)])
    old = "self.connection = Connection(socket_, protocol, close_timeout=2 * MS)"
    new = "import ours; self.connection = ours.sync_end(socket_, self.LOCAL, close_timeout=2 * MS)"
    change(where / "tests/sync/test_connection.py", [*real, (old, new)])
    for path in (where / "tests/asyncio").glob("test_*.py"):
        change(path, [("from websockets.asyncio.compatibility import", "from compatible import")])
    names = "TimeoutError = TimeoutError\naiter = aiter\nanext = anext\n"
    (where / "compatible.py").write_text(f"from asyncio import timeout as asyncio_timeout\n{names}")


def change(path: Path, changes: list[tuple[str, str]]) -> None:
    """Replace texts in a file."""
    text = path.read_text("utf-8")
    for old, new in changes:
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def run(where: Path, arguments: list[str]) -> list[tuple[str, str, str]]:
    """Name, outcome and message of every test."""
    report = where / "report.xml"
    files = [f"tests/{way}/test_{name}.py" for way in ("asyncio", "sync") for name in MODULES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=30"]
    command += [f"--junitxml={report}", "-c", "/dev/null", f"--rootdir={where}", *arguments]
    paths = os.pathsep.join([str(ROOT), str(where)])
    factor = os.environ.get("WEBSOCKETS_TESTS_TIMEOUT_FACTOR", "40")
    subprocess.run(
        [*command, *files],
        cwd=where,
        env={**os.environ, "PYTHONPATH": paths, "WEBSOCKETS_TESTS_TIMEOUT_FACTOR": factor},
        stdout=None if "-v" in arguments else subprocess.DEVNULL,
        check=False,
    )
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        outcome, message = "passed", ""
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                outcome, message = child.tag, child.get("message", "").splitlines()[0][:150]
        found.append((f"{case.get('classname')}.{case.get('name')}", outcome, message))
    return found


def sources(where: Path) -> dict[str, str]:
    """The source of every test, by module and name, with decorators."""
    found = {}
    for path in sorted((where / "tests").glob("*/test_*.py")):
        module = f"tests.{path.parent.name}.{path.stem}"
        pieces = re.split(r"\n(?=    (?:@|(?:async )?def ))", path.read_text("utf-8"))
        decorators = ""
        for piece in pieces:
            match = re.match(r"    (?:async )?def (test_\w+)", piece)
            if match:
                found[f"{module}:{match[1]}"] = decorators + piece
            decorators = piece if piece.startswith("    @") else ""
    return found


def main() -> None:
    """Fetch, run, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path)
    options, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        source = options.source.resolve() if options.source else fetch(where / "fetched")
        prepare(unpack(source, where / "source"), where / "run")
        results = run(where / "run", arguments)
        texts = sources(where / "run")
    tell(results, texts)


def tell(results: list[tuple[str, str, str]], texts: dict[str, str]) -> None:
    """Counts, and the reasons."""
    passed, private, skipped, explained, open_ = [], [], [], [], []
    for name, outcome, message in results:
        module, _, test = name.rpartition(".")
        text = texts.get(f"{module.rpartition('.')[0]}:{test}", "")
        reason = next((why for part, why in PRIVATE.items() if part in text), None)
        different = next((why for part, why in DIFFERENT.items() if part in name), None)
        if outcome == "passed":
            passed.append(name)
        elif outcome == "skipped":
            skipped.append((name, message))
        elif reason is not None:
            private.append((name, reason))
        elif different is not None:
            explained.append((name, different))
        else:
            open_.append((name, message))
    for title, some in (
        ("skipped", skipped),
        ("private", private),
        ("different", explained),
        ("OPEN", open_),
    ):
        for name, why in some:
            print(f"{title:9} {name}: {why}")
    counted = len(passed) + len(explained) + len(open_)
    print(
        f"{len(passed)} of {counted} passed ({100 * len(passed) / max(1, counted):.0f} %); "
        f"besides {len(private)} of private names and {len(skipped)} skipped"
    )


if __name__ == "__main__":
    main()

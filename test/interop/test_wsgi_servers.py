"""Our WSGI application under each server it knows, each run as a program of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rawpeer import TEXT, Eof, RawClient, make_frame
from running import ROOT, Program, environment

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.name != "posix", reason="sockets are exchanged by dup2()"),
]

SUPPORT = ROOT / "test" / "support"
#: More than any of the servers has threads.
MANY = 12


@dataclass(frozen=True)
class Server:
    """A server: its packages, its command, and which thread hooks run on."""

    packages: tuple[str, ...]
    command: tuple[str, ...]
    thread: str = "ws4py-shared-manager"
    tls_thread: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    says: str = r"serving on (\d+)"


def host(*arguments: str, packages: tuple[str, ...], **how: Any) -> Server:
    return Server(packages, ("wsgi_host.py", *arguments), **how)


def gunicorn(kind: str, *options: str, packages: tuple[str, ...] = (), **how: Any) -> Server:
    command = ("-m", "gunicorn", "-b", "127.0.0.1:0", "-k", kind, *options, "--no-control-socket")
    command += ("--graceful-timeout", "5", "wsgi_host:application")
    return Server(
        ("gunicorn", *packages), command, says=r"Listening at: https?://127.0.0.1:(\d+)", **how
    )


STAY = {"MODE": "stay"}
SERVERS = {
    "gunicorn-sync": gunicorn("sync"),
    "gunicorn-gthread": gunicorn("gthread", "--threads", "4", tls_thread="ThreadPoolExecutor"),
    "gunicorn-gthread-stay": gunicorn(
        "gthread", "--threads", str(MANY + 2), thread="ThreadPoolExecutor", environ=STAY
    ),
    "gunicorn-preload": gunicorn("gthread", "--threads", "4", "--preload"),
    "gunicorn-gevent": gunicorn("gevent", packages=("gevent",), thread="Dummy", tls_thread="Dummy"),
    "gunicorn-pywsgi": gunicorn(
        "gunicorn.workers.ggevent.GeventPyWSGIWorker", packages=("gevent",), thread="Dummy"
    ),
    "wsgiref": host("wsgiref", packages=()),
    "werkzeug": host("werkzeug", packages=("werkzeug",), thread="Thread-", tls_thread="Thread-"),
    "flask": host("flask", packages=("flask",), thread="Thread-", tls_thread="Thread-"),
    "cheroot": host("cheroot", packages=("cheroot",)),
    "cheroot-connection": host(
        "cheroot_connection", packages=("cheroot",), tls_thread="ws4py-shared-manager"
    ),
    "pywsgi": host("pywsgi", packages=("gevent",), thread="Main", tls_thread="Main"),
    "pywsgi-patched": host(
        "pywsgi", "gevent-patched", packages=("gevent",), thread="", tls_thread="Dummy"
    ),
}
WITH_TLS = [name for name, server in SERVERS.items() if server.tls_thread]

Start = Callable[..., tuple[Program, int]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server and say its port."""
    with contextlib.ExitStack() as stack:

        def start(server: Server, *more: str) -> tuple[Program, int]:
            for package in server.packages:
                pytest.importorskip(package, exc_type=ImportError)
            env = environment(tmp_path / "bin")
            env["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), env["PYTHONPATH"]])
            env.update(server.environ, PYTHONWARNINGS="ignore")
            program = Program([sys.executable, *server.command, *more], SUPPORT, env)
            stack.callback(program.kill)
            return program, int(program.wait_for_output(server.says)[1])

        yield start


def get_page(port: int, scheme: str = "http", context: ssl.SSLContext | None = None) -> bytes:
    url = f"{scheme}://127.0.0.1:{port}/"
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        body: bytes = answer.read()
    return body


def exchange(ws: Any) -> None:
    for message in ("x" * 5, "y" * 300, b"z" * 70_000, b"w" * 500_000, ""):
        ws.send(message)
        assert ws.recv(timeout=10) == message


def check_thread(ws: Any, expected: str) -> None:
    ws.send("thread?")
    assert ws.recv(timeout=5).startswith(expected)


def calm(program: Program) -> None:
    """Nothing that the operator of a server would have to look at."""
    assert "Traceback" not in program.output, program.output
    assert "[ERROR]" not in program.output, program.output


@pytest.mark.parametrize("name", SERVERS)
def test_echo_close_vanish_and_the_end(name: str, start: Start) -> None:
    sync = pytest.importorskip("websockets.sync.client")
    from websockets.exceptions import ConnectionClosed

    server = SERVERS[name]
    program, port = start(server)
    url = f"ws://127.0.0.1:{port}/ws"
    with sync.connect(url) as ws:
        exchange(ws)
        check_thread(ws, server.thread)
    assert ws.close_code == 1000
    with RawClient.connect(port) as peer:  # FIN
        peer.handshake("/ws")
    with RawClient.connect(port) as peer:
        peer.handshake("/ws")
        peer.send(b"\x81")
        peer.reset()
    with RawClient.connect(port) as peer:
        peer.handshake("/ws")
        peer.send(b"\xff\xff\xff")
        assert peer.read_close().close_code == 1002
    assert get_page(port) == b"a page\n"
    with sync.connect(url) as ws:
        exchange(ws)
        program.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=5)
        assert time.monotonic() - begun < 2
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
    assert program.wait() == 0
    calm(program)


@pytest.mark.parametrize("name", SERVERS)
def test_early_bytes_and_refusals(name: str, start: Start) -> None:
    _, port = start(SERVERS[name])
    early = make_frame(TEXT, b"early", key=b"keys") + make_frame(TEXT, b"x" * 20_000, key=b"keys")
    with RawClient.connect(port) as peer:
        peer.handshake("/ws", extra=early)
        assert peer.read_frame().payload == b"early"
        assert peer.read_frame().payload == b"x" * 20_000
    with RawClient.connect(port) as peer:
        peer.handshake("/ws", {"Sec-WebSocket-Version": "7"}, expect=426)
    with RawClient.connect(port) as peer:
        peer.handshake("/ws", {"Origin": "http://evil.example"}, expect=403)
    with contextlib.suppress(Eof), RawClient.connect(port) as peer:  # gone before the answer
        peer.send(peer.request("/ws"))
        peer.reset()
    assert get_page(port) == b"a page\n"


@pytest.mark.parametrize("name", SERVERS)
def test_idle_websockets_leave_pages_answering(name: str, start: Start) -> None:
    _, port = start(SERVERS[name])
    with contextlib.ExitStack() as stack:
        peers = []
        for _ in range(MANY):
            peer = stack.enter_context(RawClient.connect(port))
            peer.handshake("/ws")
            peers.append(peer)
        for _ in range(5):
            assert get_page(port) == b"a page\n"
        for number, peer in enumerate(peers):
            peer.text(str(number))
            assert peer.read_frame().payload == str(number).encode()


@pytest.mark.parametrize("name", WITH_TLS)
def test_tls(name: str, start: Start, tls_files: Any, client_tls: ssl.SSLContext) -> None:
    sync = pytest.importorskip("websockets.sync.client")
    from websockets.exceptions import ConnectionClosed

    server = SERVERS[name]
    cert, key = str(tls_files.cert), str(tls_files.key)
    if "gunicorn" in server.packages:
        program, port = start(server, "--certfile", cert, "--keyfile", key)
    else:
        program, port = start(server, cert, key)
    url = f"wss://localhost:{port}/ws"
    # That client reads and writes one TLS session on two threads, which OpenSSL does not bear when
    # a session ticket comes meanwhile; in TLS 1.2 they come in the handshake.
    foreign_tls = ssl.create_default_context(cafile=str(tls_files.ca))
    foreign_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with sync.connect(url, ssl=foreign_tls) as ws:
        exchange(ws)
        check_thread(ws, server.tls_thread)
    with RawClient.connect(port, tls=client_tls) as peer:
        peer.handshake("/ws", extra=make_frame(TEXT, b"early", key=b"keys"))
        assert peer.read_frame().payload == b"early"
        peer.reset()
    assert get_page(port, "https", client_tls) == b"a page\n"
    with sync.connect(url, ssl=foreign_tls) as ws:
        exchange(ws)
        program.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=5)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
    assert program.wait() == 0
    calm(program)


@pytest.mark.parametrize("name", ["waitress", "gunicorn-tornado", "gunicorn-sync-tls"])
def test_where_it_cannot_be_it_says_so(
    name: str, start: Start, tls_files: Any, client_tls: ssl.SSLContext
) -> None:
    more: tuple[str, ...] = ()
    if name == "waitress":
        server = host("waitress", packages=("waitress",))
    elif name == "gunicorn-tornado":
        server = gunicorn("tornado", packages=("tornado",))
    else:
        server = gunicorn("sync")
        more = ("--certfile", str(tls_files.cert), "--keyfile", str(tls_files.key))
    program, port = start(server, *more)
    with RawClient.connect(port, tls=client_tls if more else None) as peer:
        peer.handshake("/ws", expect=501)
        assert b"gunicorn (sync, gthread and gevent" in peer.read_until(b"managedserver")
    if not more:
        assert get_page(port) == b"a page\n"
    assert "Traceback" not in program.output


def test_a_mode_that_cannot_be_is_refused(start: Start) -> None:
    pytest.importorskip("gevent")
    server = gunicorn("gevent", packages=("gevent",), environ={"MODE": "handover"})
    _, port = start(server)
    with RawClient.connect(port) as peer:
        peer.handshake("/ws", expect=501)
        assert b"greenlets" in peer.read_until(b"managedserver")

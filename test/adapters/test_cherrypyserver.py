"""CherryPy: what tool and plugin do with requests, pages and the bus; and as a whole program."""

from __future__ import annotations

import contextlib
import signal
import ssl
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conversation import ask, read_close_code, say_goodbye
from hooks import Recorded, echo, recorded
from leaks import uncollected
from rawpeer import PING, TEXT, RawClient, make_frame
from running import ROOT, Program, environment
from waiting import wait_for

from ws4py.manager import SelectPoller
from ws4py.protocol.config import Config
from ws4py.websocket import EchoWebSocket, WebSocket

cherrypy = pytest.importorskip("cherrypy", exc_type=ImportError)

from wsgi_backends import start_cheroot  # noqa: E402

from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool  # noqa: E402

QUICK = Config(close_timeout=2.0)


@pytest.fixture
def plugin() -> Iterator[WebSocketPlugin]:
    """A plugin that is started, without the engine."""
    cherrypy.config.update({"environment": "test_suite"})
    cherrypy.tools.websocket = WebSocketTool()
    plugin = WebSocketPlugin(cherrypy.engine)
    plugin.start()
    yield plugin
    if plugin.manager.running:
        plugin.stop()


@pytest.fixture
def serve(plugin):
    """``serve(root, **tool)``: the port of a server with the tool on ``/ws``."""
    stops = []

    def serve(root: Any, **tool: Any) -> int:
        tool.setdefault("config", QUICK)
        config = {f"tools.websocket.{name}": value for name, value in tool.items()}
        app = cherrypy.Application(root, "", {"/ws": {"tools.websocket.on": True, **config}})
        server, stop = start_cheroot(app, None, lambda server: None)
        stops.append(stop)
        return int(server.bind_addr[1])

    yield serve
    for stop in stops:
        stop()


class Pages:
    """``ws`` runs what it is given."""

    def __init__(self, page: Any = None) -> None:
        self.page = page

    @cherrypy.expose
    def index(self) -> str:
        return "a page\n"

    @cherrypy.expose
    def ws(self, **query: str) -> Any:
        return self.page() if self.page else None


def peer_of(port: int, target: str = "/ws", headers: Any = None, **how: Any) -> RawClient:
    peer = RawClient.connect(port)
    peer.handshake(target, headers, **how)
    return peer


def get_page(port: int, scheme: str = "http", context: Any = None) -> bytes:
    with urllib.request.urlopen(f"{scheme}://127.0.0.1:{port}/", None, 5, context=context) as page:
        body: bytes = page.read()
    return body


# -- tool ----------------------------------------------------------------------------------


def test_the_page_handler_finds_the_websocket_and_its_value_is_not_sent(serve):
    handler = recorded(WebSocket, opened=lambda ws: ws.send(ws.greeting))

    def page():
        cherrypy.request.ws_handler.greeting = "set by the page"
        return "not sent"

    port = serve(Pages(page), handler_cls=handler)
    with peer_of(port) as peer:
        assert peer.read_frame().payload == b"set by the page"


def test_the_websocket_is_not_left_to_the_garbage_collector(serve):
    made = []

    class Noted(EchoWebSocket):
        def opened(self) -> None:
            made.append(weakref.ref(self))

    port = serve(Pages(), handler_cls=Noted)
    with uncollected():
        with peer_of(port) as peer:
            assert ask(peer) == "ping?"
            say_goodbye(peer)
        wait_for(lambda: made[0]() is None)


def raise_error():
    raise cherrypy.HTTPError(403, "members only")


def redirect():
    raise cherrypy.HTTPRedirect("/elsewhere")


def fail():
    raise KeyError("a bug")


@pytest.mark.parametrize(("page", "status"), [(raise_error, 403), (redirect, 303), (fail, 500)])
def test_a_page_handler_that_raises_gives_the_answer(serve, page, status):
    handler = echo()
    port = serve(Pages(page), handler_cls=handler)
    with peer_of(port, expect=status) as peer:
        # To its end: the server hangs up, and does not wait for another request.
        assert "upgrade" not in peer.read_to_eof(4).lower().decode()
    ws = handler.made.get(timeout=5)
    assert ws.log.names == []
    assert get_page(port) == b"a page\n"


def test_a_bad_handshake_is_an_error_page(serve):
    port = serve(Pages(), handler_cls=echo())
    for headers, status in (
        ({"Sec-WebSocket-Version": "7"}, 426),
        ({"Sec-WebSocket-Key": "x"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Upgrade": None}, 426),
    ):
        with peer_of(port, headers=headers, expect=status) as peer:
            assert b"<html" in peer.read_to_eof()


def test_the_configuration_of_0_6(serve):
    class Handler(Recorded, EchoWebSocket):
        pass

    port = serve(
        Pages(),
        handler_cls=Handler,
        protocols=["mqtt", "chat"],
        extensions=[],
        version=(13,),
        heartbeat_freq=0.1,
        priority=60,
    )
    with peer_of(port, headers={"Sec-WebSocket-Version": "8"}, expect=426):
        pass
    with peer_of(port, headers={"Sec-WebSocket-Protocol": "soap, chat"}) as peer:
        assert peer.read_frame(2).opcode == PING
        ws = Handler.next()
        assert ws.subprotocol == "chat"
        assert ws.heartbeat_freq == 0.1
        assert ws.environ["PATH_INFO"] == "/ws"


def test_tools_of_the_page_add_to_the_answer(serve):
    def page():
        cherrypy.response.cookie["seen"] = "1"

    port = serve(Pages(page), handler_cls=EchoWebSocket)
    with RawClient.connect(port) as peer:
        head = peer.handshake("/ws")
        assert head.headers["set-cookie"].startswith("seen=1")
        assert "content-length" not in head.headers
        assert ask(peer) == "ping?"


def test_all_hooks_run_on_the_thread_of_the_plugin(serve, plugin):
    handler = echo()
    port = serve(Pages(), handler_cls=handler)
    with peer_of(port) as peer:
        ask(peer)
    ws = handler.next()
    ws.log.wait("closed")
    assert ws.log.threads() == {plugin.manager._thread.ident}


# -- plugin and bus ------------------------------------------------------------------------


def test_broadcast_by_the_bus(serve):
    handler = recorded(WebSocket)
    port = serve(Pages(), handler_cls=handler)
    with peer_of(port) as one, peer_of(port) as other:
        handler.next(), handler.next()
        cherrypy.engine.publish("websocket-broadcast", "to all")
        cherrypy.engine.publish("websocket-broadcast", b"\xff", binary=True)
        for peer in (one, other):
            assert peer.read_frame().payload == b"to all"
            assert peer.read_frame().payload == b"\xff"


def test_anybody_may_publish_a_websocket(plugin):
    import socket

    ours, theirs = socket.socketpair()
    handler = echo()
    with RawClient(theirs) as peer:
        cherrypy.engine.publish("handle-websocket", handler(ours), ("somewhere", 1))
        assert ask(peer) == "ping?"
        assert list(plugin.manager) == [handler.next()]


def test_the_plugin_can_be_restarted(serve, plugin):
    handler = echo()
    port = serve(Pages(), handler_cls=handler)
    for _ in range(2):
        with peer_of(port) as peer:
            assert ask(peer) == "ping?"
            stopping = threading.Thread(target=plugin.stop)
            stopping.start()
            assert read_close_code(peer) == 1001
            peer.close_frame(1001)
            peer.expect_eof()
            stopping.join(5)
        handler.next().log.wait("closed")
        with peer_of(port, expect=501) as peer:
            assert b"WebSocketPlugin" in peer.read_until(b"</html>")
        plugin.start()
    assert get_page(port) == b"a page\n"


def test_the_poller_can_be_chosen_and_is_there_after_a_restart():
    plugin = WebSocketPlugin(cherrypy.engine, poller=SelectPoller)
    for _ in range(2):
        assert isinstance(plugin.manager.poller, SelectPoller)
        plugin.start()
        plugin.stop()
    plugin.manager.reactor.release()


def test_a_server_whose_connections_are_of_another_kind(serve, plugin):
    from cheroot.server import HTTPConnection

    app = cherrypy.Application(Pages(), "", {"/ws": {"tools.websocket.on": True}})

    def other(server):
        server.ConnectionClass = HTTPConnection

    server, stop = start_cheroot(app, None, other)
    try:
        with peer_of(server.bind_addr[1], expect=501) as peer:
            assert b"cherootconnection" in peer.read_until(b"</html>")
    finally:
        stop()


# -- endings -------------------------------------------------------------------------------


def test_the_server_survives_every_ending(serve):
    def opened(ws):
        if ws.environ["QUERY_STRING"]:
            raise KeyError("a bug")

    handler = recorded(EchoWebSocket, opened=opened)
    port = serve(Pages(), handler_cls=handler)
    for _ in range(6):  # more often than there are threads
        with peer_of(port):
            pass
        with peer_of(port) as peer:
            peer.reset()
        with peer_of(port) as peer:
            peer.send(b"\xff" * 20)
            assert read_close_code(peer) == 1002
        with peer_of(port, "/ws?raise=1") as peer:
            assert read_close_code(peer) == 1011
        with RawClient.connect(port) as peer:  # gone before the 101
            peer.send(peer.request("/ws"))
            peer.reset()
    with peer_of(port) as peer:
        assert ask(peer) == "ping?"
    assert get_page(port) == b"a page\n"


# -- as a program --------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Any]:
    programs: list[Program] = []

    def start(*arguments: str) -> tuple[Program, int]:
        command = [sys.executable, str(ROOT / "test" / "support" / "cherrypy_host.py"), *arguments]
        programs.append(Program(command, tmp_path, environment(tmp_path / "bin")))
        return programs[-1], int(programs[-1].wait_for_output(r"serving on (\d+)")[1])

    yield start
    for each in programs:
        each.kill()


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_program(secure, program, tls_files, client_tls):
    sync = pytest.importorskip("websockets.sync.client")
    scheme, tls = ("wss", client_tls) if secure else ("ws", None)
    running, port = program(*([str(tls_files.cert), str(tls_files.key)] if secure else []))
    with sync.connect(f"{scheme}://localhost:{port}/ws", ssl=tls) as ws:
        for size in (5, 300, 70_000, 500_000):
            ws.send("x" * size)
            assert ws.recv(timeout=10) == "x" * size
            ws.send(bytes(size))
            assert ws.recv(timeout=10) == bytes(size)
    with RawClient.connect(port, tls=tls) as peer:
        peer.handshake("/ws", extra=make_frame(TEXT, b"early", key=b"keys"))
        assert peer.read_frame().payload == b"early"
        peer.reset()
    if secure:  # close_notify, and nothing else
        with RawClient.connect(port, tls=tls) as peer:
            peer.handshake("/ws")
            assert isinstance(peer.sock, ssl.SSLSocket)
            peer.sock.settimeout(2)
            with contextlib.suppress(OSError):
                peer.sock.unwrap()
        with RawClient.connect(port) as peer:  # no TLS at all
            peer.send(peer.request("/ws"))
            peer.read_to_eof()
    peers = [RawClient.connect(port, tls=tls) for _ in range(25)]
    try:
        for peer in peers:
            peer.handshake("/ws")
        assert get_page(port, "https" if secure else "http", tls) == b"a page\n"
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        for peer in peers:
            assert read_close_code(peer) == 1001
            peer.close_frame(1001)
        assert time.monotonic() - begun < 2
    finally:
        for peer in peers:
            peer.close()
    assert running.wait() == 0
    assert "Traceback" not in running.output, running.output


def test_pyopenssl_is_refused_with_advice(program, tls_files, client_tls):
    pytest.importorskip("OpenSSL")
    _, port = program(str(tls_files.cert), str(tls_files.key), "pyopenssl")
    with RawClient.connect(port, tls=client_tls) as peer:
        peer.handshake("/ws", expect=501)
        assert b"builtin" in peer.read_until(b"</html>")
    assert get_page(port, "https", client_tls) == b"a page\n"

"""The standard library's WSGI server: what becomes of a request, its socket and its websocket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from rawpeer import TEXT, RawClient, make_frame
from waiting import TIMEOUT, wait_for

from ws4py.manager import WebSocketManager
from ws4py.protocol.config import Config
from ws4py.server import wsgirefserver
from ws4py.server.wsgirefserver import (
    WebSocketWSGIApplication,
    WebSocketWSGIHandler,
    WebSocketWSGIRequestHandler,
    WSGIServer,
)
from ws4py.websocket import EchoWebSocket, WebSocket

QUICK = Config(close_timeout=5.0)
ECHO = WebSocketWSGIApplication(handler_cls=EchoWebSocket, config=QUICK)


class Quiet(WebSocketWSGIRequestHandler):
    """Without the access log."""

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving(
    app: Any = ECHO,
    *,
    tls: ssl.SSLContext | None = None,
    handler_class: type[WebSocketWSGIRequestHandler] = Quiet,
    server_class: type[WSGIServer] = WSGIServer,
) -> Iterator[WSGIServer]:
    server = make_server("127.0.0.1", 0, app, server_class, handler_class)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.initialize_websockets_manager()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="wsgiref")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()


def exchange(peer: RawClient, text: str = "hello") -> None:
    peer.text(text)
    assert peer.read_frame().payload == text.encode()


def get(server: WSGIServer, target: str = "/", **headers: str | None) -> tuple[Any, bytes]:
    """An ordinary request; the head and the body of its answer."""
    with RawClient.connect(server.server_port) as peer:
        peer.send(peer.request(target, {"Upgrade": None, "Connection": None, **headers}))
        return peer.read_head(), peer.read_to_eof()


def plain(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a page\n"]


def routed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """A page and a websocket on one port."""
    return (ECHO if environ["PATH_INFO"] == "/ws" else plain)(environ, start_response)


# -- serving -------------------------------------------------------------------------------


def test_a_foreign_client_gets_its_echo() -> None:
    client = pytest.importorskip("websockets.sync.client")
    with serving() as server, client.connect(f"ws://127.0.0.1:{server.server_port}/") as ws:
        for message in ("text", b"bytes", "x" * 300_000):
            ws.send(message)
            assert ws.recv(timeout=TIMEOUT) == message


def test_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    with (
        serving(tls=server_tls) as server,
        RawClient.connect(server.server_port, tls=client_tls) as peer,
    ):
        peer.handshake()
        exchange(peer)
        exchange(peer, "x" * 100_000)
        assert server.manager is not None
        (ws,) = server.manager
        assert ws.environ is not None
        assert ws.environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_bytes_right_behind_the_request_are_delivered(
    secure: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    early = make_frame(TEXT, b"early", key=b"keys") + make_frame(TEXT, b"x" * 20_000, key=b"keys")
    with (
        serving(tls=server_tls if secure else None) as server,
        RawClient.connect(server.server_port, tls=client_tls if secure else None) as peer,
    ):
        peer.handshake(extra=early)
        assert peer.read_frame().payload == b"early"
        assert peer.read_frame().payload == b"x" * 20_000
        exchange(peer)


def test_the_101_has_what_belongs_there_and_no_more() -> None:
    with serving() as server, RawClient.connect(server.server_port) as peer:
        head = peer.handshake()
        assert head.start_line == "HTTP/1.1 101 Switching Protocols"
        assert head.headers["connection"].lower() == "upgrade"
        assert "content-length" not in head.headers


def test_pages_and_websockets_on_one_port() -> None:
    with serving(routed) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake("/ws")
        head, body = get(server, "/page")
        assert head.status == 200
        assert body == b"a page\n"
        exchange(peer)
        assert get(server, "/ws")[0].status == 426
        exchange(peer)


def test_all_hooks_run_on_the_thread_of_the_manager() -> None:
    threads: list[str] = []
    done = threading.Event()

    class Handler(WebSocket):
        def opened(self) -> None:
            threads.append(threading.current_thread().name)
            self.send("welcome")

        def received_message(self, message: Any) -> None:
            threads.append(threading.current_thread().name)

        def closed(self, code: int, reason: str | None = None) -> None:
            threads.append(threading.current_thread().name)
            done.set()

    app = WebSocketWSGIApplication(handler_cls=Handler)
    with serving(app) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake(extra=make_frame(TEXT, b"early", key=b"keys"))
        assert peer.read_frame().payload == b"welcome"
        peer.close_frame()
        peer.read_close()
        wait_for(done)
    assert threads == ["WebSocketManager"] * 3


def test_opened_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(WebSocket):
        def opened(self) -> None:
            raise LookupError("no such room")

    app = WebSocketWSGIApplication(handler_cls=Fails)
    with serving(app) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake()
        assert peer.read_close().close_code == 1011
    assert "no such room" in caplog.text


# -- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upgrade": None}, 426),
        ({"Sec-WebSocket-Version": "7"}, 426),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
def test_refusals(headers: dict[str, str | None], status: int) -> None:
    with serving() as server, RawClient.connect(server.server_port) as peer:
        peer.send(peer.request("/", headers))
        head = peer.read_head()
        assert head.status == status
        if status == 426:
            assert head.headers["upgrade"] == "websocket"
        assert peer.read_to_eof()


def test_wrong_method() -> None:
    with serving() as server, RawClient.connect(server.server_port) as peer:
        peer.send(peer.request(method="POST"))
        head = peer.read_head()
        assert head.status == 405
        assert head.headers["allow"] == "GET"


def test_a_request_line_without_end() -> None:
    with serving() as server, RawClient.connect(server.server_port) as peer:
        peer.send(b"GET /" + b"x" * 65532)
        assert peer.read_head().status == 414


def test_a_handler_that_cannot_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*args: Any) -> WebSocket:
        raise LookupError("no such room")

    with (
        serving(WebSocketWSGIApplication(handler_cls=broken)) as server,
        RawClient.connect(server.server_port) as peer,
    ):
        peer.handshake(expect=500)
        peer.read_to_eof()
    assert "no such room" in capsys.readouterr().err


# -- middleware ----------------------------------------------------------------------------


def test_a_generator_may_stand_between() -> None:
    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        yield from ECHO(environ, start_response)

    with serving(middleware) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake()
        exchange(peer)


def test_a_response_that_fails_behind_the_101(capsys: pytest.CaptureFixture[str]) -> None:
    hooks: list[str] = []

    class Handler(WebSocket):
        def opened(self) -> None:
            hooks.append("opened")

        def closed(self, code: int, reason: str | None = None) -> None:
            hooks.append("closed")

    app = WebSocketWSGIApplication(handler_cls=Handler)

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        yield from app(environ, start_response)
        yield b""
        raise LookupError("middleware failed")

    with serving(middleware) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake()
        assert peer.read_close().close_code == 1011
        peer.expect_eof()
    assert "middleware failed" in capsys.readouterr().err
    assert hooks == []


def test_a_response_that_fails_before_the_101(capsys: pytest.CaptureFixture[str]) -> None:
    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        ECHO(environ, start_response)
        raise LookupError("middleware failed")

    with serving(middleware) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake(expect=500)
        assert peer.read_to_eof().endswith(b"administrator.")
    assert "middleware failed" in capsys.readouterr().err


def test_middleware_that_answers_something_else() -> None:
    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        ECHO(environ, lambda *args: None)
        return plain(environ, start_response)

    with serving(middleware) as server, RawClient.connect(server.server_port) as peer:
        peer.handshake(expect=200)
        assert peer.read_to_eof() == b"a page\n"


# -- names of 0.6 --------------------------------------------------------------------------


def test_the_handler_class_and_its_http_version_can_be_chosen() -> None:
    class Handler(WebSocketWSGIHandler):
        http_version = "1.0"

    class RequestHandler(Quiet):
        WebSocketWSGIHandler = Handler

    with serving(plain, handler_class=RequestHandler) as server:
        assert get(server)[0].start_line == "HTTP/1.0 200 OK"


def test_a_server_may_keep_its_websockets_elsewhere() -> None:
    linked: list[WebSocket] = []

    class Server(WSGIServer):
        def link_websocket_to_server(self, ws: WebSocket) -> None:
            linked.append(ws)
            super().link_websocket_to_server(ws)

    with (
        serving(server_class=Server) as server,
        RawClient.connect(server.server_port) as peer,
    ):
        peer.handshake()
        exchange(peer)
        assert server.manager is not None
        assert list(server.manager) == linked


def test_the_manager_starts_by_itself() -> None:
    server = make_server("127.0.0.1", 0, ECHO, WSGIServer, Quiet)
    thread = threading.Thread(target=server.handle_request, name="wsgiref")
    thread.start()
    with RawClient.connect(server.server_port) as peer:
        peer.handshake()
        exchange(peer)
        thread.join(TIMEOUT)
    server.server_close()


def test_importing_it_changes_nothing() -> None:
    program = (
        "import wsgiref.handlers, wsgiref.util, wsgiref.simple_server as simple\n"
        "modules = wsgiref.handlers, wsgiref.util, simple\n"
        "before = [dict(vars(m)) for m in modules]\n"
        "import ws4py.server.wsgirefserver\n"
        "assert before == [dict(vars(m)) for m in modules]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_other_applications_still_may_not_send_hop_by_hop_headers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wrong(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Transfer-Encoding", "chunked")])
        return [b"0\r\n\r\n"]

    with serving(wrong) as server:
        assert get(server)[0].status == 500
    assert "Hop-by-hop" in capsys.readouterr().err


# -- slow clients --------------------------------------------------------------------------


def test_a_silent_client_delays_the_others_for_its_timeout_only() -> None:
    class Impatient(Quiet):
        timeout = 0.3

    with (
        serving(handler_class=Impatient) as server,
        RawClient.connect(server.server_port) as silent,
        RawClient.connect(server.server_port) as peer,
    ):
        peer.handshake()
        silent.expect_eof()
        exchange(peer)


def test_a_stalled_tls_handshake_is_part_of_the_request(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    class Impatient(Quiet):
        timeout = 0.3

    with (
        serving(tls=server_tls, handler_class=Impatient) as server,
        RawClient.connect(server.server_port) as silent,
        RawClient.connect(server.server_port, tls=client_tls) as peer,
    ):
        peer.handshake()
        silent.read_to_eof()
        exchange(peer)


def test_with_threads_nobody_waits() -> None:
    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    with (
        serving(server_class=Server) as server,
        RawClient.connect(server.server_port) as silent,
        RawClient.connect(server.server_port) as peer,
    ):
        peer.handshake()
        exchange(peer)
        silent.close()


def test_a_peer_that_does_not_read_delays_nobody() -> None:
    class Floods(WebSocket):
        config = Config(high_water=100_000)

        def opened(self) -> None:
            if self.environ is not None and self.environ["PATH_INFO"] == "/flood":
                for _ in range(100):
                    self.send(b"x" * 100_000, binary=True)

        def received_message(self, message: Any) -> None:
            self.send(message.data)

    app = WebSocketWSGIApplication(handler_cls=Floods)
    with (
        serving(app) as server,
        RawClient.connect(server.server_port, receive_buffer=4096) as deaf,
        RawClient.connect(server.server_port) as peer,
    ):
        deaf.handshake("/flood")
        peer.handshake()
        exchange(peer)


# -- the end -------------------------------------------------------------------------------


def test_server_close_says_1001_and_waits() -> None:
    closed: list[int] = []

    class Handler(WebSocket):
        def closed(self, code: int, reason: str | None = None) -> None:
            closed.append(code)

    app = WebSocketWSGIApplication(handler_cls=Handler, config=QUICK)
    with RawClient(socket.socket()) as peer:
        with serving(app) as server:
            peer.sock.connect(("127.0.0.1", server.server_port))
            peer.handshake()
            answering = threading.Thread(
                target=lambda: (peer.read_close(), peer.close_frame(1001)), name="peer"
            )
            answering.start()
        assert closed == [1001]
        answering.join(TIMEOUT)
        peer.expect_eof()


def test_server_close_cuts_whoever_does_not_answer() -> None:
    app = WebSocketWSGIApplication(config=QUICK.replace(close_timeout=0.2))
    with RawClient(socket.socket()) as peer:
        with serving(app) as server:
            peer.sock.connect(("127.0.0.1", server.server_port))
            peer.handshake()
        assert peer.read_close().close_code == 1001
        peer.expect_eof()


def test_server_close_twice() -> None:
    with serving() as server:
        pass
    server.server_close()


def test_a_handshake_that_outlasts_the_server_is_closed_with_1001() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        asked.set()
        go_on.wait(TIMEOUT)
        return ECHO(environ, start_response)

    class Server(ThreadingMixIn, WSGIServer):
        def server_close(self) -> None:
            WSGIServer.server_close(self)
            go_on.set()
            super().server_close()

    with RawClient(socket.socket()) as peer:
        with serving(slow, server_class=Server) as server:
            peer.sock.connect(("127.0.0.1", server.server_port))
            peer.send(peer.request())
            wait_for(asked)
        assert peer.read_head().status == 101
        assert peer.read_close().close_code == 1001
        peer.expect_eof()


def test_two_requests_at_once_start_one_manager(monkeypatch):
    made = []
    both, meeting = threading.Barrier(2), threading.Barrier(2)

    class Manager(WebSocketManager):
        def __init__(self):
            super().__init__()
            made.append(self)
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(0.2)  # for the other, if it is let in

    monkeypatch.setattr(wsgirefserver, "WebSocketManager", Manager)
    server = make_server("127.0.0.1", 0, ECHO, server_class=WSGIServer)

    def first_websocket():
        both.wait(5)
        server.initialize_websockets_manager()

    threads = [threading.Thread(target=first_websocket) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    server.server_close()
    assert len(made) == 1

"""The server with a thread for each connection, and how servers on a reactor begin and end."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import queue
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rawpeer import PONG, TEXT, Eof, RawClient, make_frame
from waiting import TIMEOUT, wait_for

from ws4py.protocol.config import Config
from ws4py.protocol.handshake import Request, Response
from ws4py.pulled import PulledHandler
from ws4py.server import blockingopening, managedserver, opening, threadedserver
from ws4py.server.threadedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket, WebSocket

QUICK = Config(open_timeout=5.0, close_timeout=5.0)

#: What both servers share is tested on both.
both = pytest.mark.parametrize(
    "kind", [threadedserver, managedserver], ids=["threadedserver", "managedserver"]
)


class Recorder(EchoWebSocket):
    """Echoes and notes which hooks ran, with their arguments, on which thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[tuple[str, Any]] = []
        self.threads: set[threading.Thread] = set()

    def note(self, hook: str, detail: Any = None) -> None:
        self.seen.append((hook, detail))
        self.threads.add(threading.current_thread())

    def opened(self) -> None:
        self.note("opened")

    def received_message(self, message: Any) -> None:
        self.note("message", message.data)
        super().received_message(message)

    def closed(self, code: int, reason: str | None = None) -> None:
        self.note("closed", code)


class Made:
    """A handler that keeps what it has made."""

    def __init__(self, cls: Callable[..., Any] = Recorder) -> None:
        self.cls = cls
        self.all: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        ws = self.cls(*args, **kwargs)
        self.all.append(ws)
        return ws


def in_background(function: Callable[..., Any], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=args, name="test-background")
    thread.start()
    return thread


def finished(thread: threading.Thread, timeout: float = TIMEOUT) -> bool:
    thread.join(timeout)
    return not thread.is_alive()


# -- serving -------------------------------------------------------------------------------


def test_a_foreign_client_gets_its_echo() -> None:
    client = pytest.importorskip("websockets.sync.client")
    with (
        WebSocketServer(EchoWebSocket, config=QUICK) as server,
        client.connect(f"ws://127.0.0.1:{server.port}/") as ws,
    ):
        assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
        for message in ("text", b"bytes", "x" * 300_000, ""):
            ws.send(message)
            assert ws.recv(timeout=TIMEOUT) == message


def test_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    client = pytest.importorskip("websockets.sync.client")
    with (
        WebSocketServer(EchoWebSocket, ssl=server_tls, config=QUICK) as server,
        client.connect(f"wss://localhost:{server.port}/", ssl=client_tls) as ws,
    ):
        ws.send("x" * 1_000_000)
        assert len(ws.recv(timeout=TIMEOUT)) == 1_000_000
        (served,) = server
        assert served.environ["wsgi.url_scheme"] == "https"


def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        WebSocketServer(EchoWebSocket, unix_path=path, config=QUICK) as server,
        RawClient.connect(path) as peer,
    ):
        assert server.port is None
        peer.handshake()
        peer.text("hello")
        assert peer.read_frame().payload == b"hello"
    assert not os.path.exists(path)


def test_all_hooks_run_on_the_thread_of_the_connection() -> None:
    made = Made()
    with WebSocketServer(made, config=QUICK) as server:
        for _ in range(2):
            with RawClient.connect(server.port) as peer:
                peer.handshake()
                peer.text("hello")
                peer.read_frame()
                peer.close_frame(1000)
                peer.read_close()
    one, other = made.all
    assert one.seen == [("opened", None), ("message", b"hello"), ("closed", 1000)]
    assert len(one.threads) == 1
    assert len(other.threads) == 1
    assert one.threads != other.threads


def test_a_hook_that_waits_delays_its_own_connection_only() -> None:
    go_on = threading.Event()

    class Waits(WebSocket):
        def received_message(self, message: Any) -> None:
            if message.data == b"wait":
                go_on.wait(TIMEOUT)
            self.send(message.data)

    with (
        WebSocketServer(Waits, config=QUICK) as server,
        RawClient.connect(server.port) as slow,
        RawClient.connect(server.port) as other,
    ):
        for peer in (slow, other):
            peer.handshake()
        slow.text("wait")
        other.text("hello")
        assert other.read_frame().payload == b"hello"
        go_on.set()
        assert slow.read_frame().payload == b"wait"


def test_the_answer_does_not_wait_for_opened() -> None:
    go_on = threading.Event()

    class SlowStart(WebSocket):
        def opened(self) -> None:
            go_on.wait(TIMEOUT)
            self.send("ready")

    with (
        WebSocketServer(SlowStart, config=QUICK) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.handshake()
        go_on.set()
        assert peer.read_frame().payload == b"ready"


def test_bytes_right_behind_the_request_are_delivered() -> None:
    with (
        WebSocketServer(EchoWebSocket, config=QUICK) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.handshake(extra=make_frame(TEXT, b"early", key=b"keys"))
        assert peer.read_frame().payload == b"early"


def test_the_server_knows_its_websockets() -> None:
    with WebSocketServer(EchoWebSocket, config=QUICK) as server:
        assert server
        assert len(server) == 0
        with RawClient.connect(server.port) as peer:
            peer.handshake("/room?x=1")
            wait_for(lambda: len(server) == 1)
            (ws,) = server
            assert ws in server
            assert ws.environ["PATH_INFO"] == "/room"
            assert ws.environ["QUERY_STRING"] == "x=1"
        wait_for(lambda: len(server) == 0)


def test_broadcast_does_not_wait_for_a_peer_that_does_not_read() -> None:
    made = Made()
    config = QUICK.replace(high_water=100_000)
    with (
        WebSocketServer(made, config=config) as server,
        RawClient.connect(server.port, receive_buffer=4096) as deaf,
        RawClient.connect(server.port) as peer,
    ):
        for client in (deaf, peer):
            client.handshake()
        wait_for(lambda: len(server) == 2)
        (victim,) = [ws for ws in made.all if ws.peer_address == deaf.sock.getsockname()]
        while len(server) == 2 and victim.close_info is None:
            server.broadcast(b"x" * 50_000, binary=True)
            assert len(peer.read_frame().payload) == 50_000
            if victim.stream.state.value != "open":
                break
        assert victim.stream.began_by == "us"
        server.broadcast("still here")
        assert peer.read_frame().payload == b"still here"


# -- what is refused -----------------------------------------------------------------------


def refused(server: Any, request: bytes) -> Any:
    with RawClient.connect(server.port) as peer:
        peer.send(request)
        head = peer.read_head()
        peer.read_to_eof()
        return head


def request(headers: dict[str, str | None] | None = None, **how: Any) -> bytes:
    with socket.socket() as sock:
        return RawClient(sock).request("/", headers, **how)


@both
def test_refusals(kind: Any) -> None:
    with kind.WebSocketServer(EchoWebSocket, config=QUICK) as server:
        assert refused(server, b"not http at all\r\n\r\n").status == 400
        assert refused(server, request({"Sec-WebSocket-Key": "short"})).status == 400
        assert refused(server, request({"Origin": "http://evil.example"})).status == 403
        not_allowed = refused(server, request(method="POST"))
        assert not_allowed.status == 405
        assert not_allowed.headers["allow"] == "GET"
        plain = refused(server, request({"Upgrade": None}))
        assert plain.status == 426
        assert plain.headers["upgrade"] == "websocket"
        old = refused(server, request({"Sec-WebSocket-Version": "7"}))
        assert old.status == 426
        assert old.headers["sec-websocket-version"] == "13, 8"
        with RawClient.connect(server.port) as peer:
            peer.handshake()


@both
def test_process_request_answers_ordinary_http(kind: Any) -> None:
    def page(request: Request) -> Response | None:
        return Response.text(200, "fine\n") if request.path == "/health" else None

    with kind.WebSocketServer(EchoWebSocket, process_request=page, config=QUICK) as server:
        with RawClient.connect(server.port) as peer:
            peer.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.read_head().status == 200
            assert peer.read_to_eof() == b"fine\n"
        with RawClient.connect(server.port) as peer:
            peer.handshake()


@both
def test_a_handler_that_cannot_be_made_is_answered_with_500(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> WebSocket:
        raise LookupError("no such room")

    with kind.WebSocketServer(broken, config=QUICK) as server:
        assert refused(server, request()).status == 500
        assert refused(server, request()).status == 500
    assert "no such room" in caplog.text


@both
def test_whoever_does_not_hang_up_after_a_refusal_is_hung_up_on(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (opening, blockingopening):
        monkeypatch.setattr(module, "FAREWELL", 0.1)
    with (
        kind.WebSocketServer(EchoWebSocket, config=QUICK) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.send(request({"Upgrade": None}))
        assert peer.read_head().status == 426
        peer.read_to_eof()
        # What is sent now meets a closed socket.
        with contextlib.suppress(ConnectionError):
            while True:
                peer.send(b"still here" * 1000)


# -- stalled handshakes --------------------------------------------------------------------


@both
def test_a_silent_client_costs_its_own_deadline_only(kind: Any) -> None:
    config = QUICK.replace(open_timeout=0.3)
    with (
        kind.WebSocketServer(EchoWebSocket, config=config) as server,
        RawClient.connect(server.port) as silent,
        RawClient.connect(server.port) as dripping,
    ):
        dripping.send(b"GET / HT")
        with RawClient.connect(server.port) as peer:
            peer.handshake()
        assert dripping.read_head().status == 408
        assert silent.read_head().status == 408


@both
def test_a_stalled_tls_handshake_costs_its_own_deadline_only(
    kind: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    config = QUICK.replace(open_timeout=0.5)
    with (
        kind.WebSocketServer(EchoWebSocket, ssl=server_tls, config=config) as server,
        RawClient.connect(server.port) as silent,
    ):
        silent.send(b"\x16\x03\x01")
        with RawClient.connect(server.port, tls=client_tls) as peer:
            peer.handshake()
        silent.read_to_eof()


@both
def test_plain_http_on_a_tls_port_harms_nobody(
    kind: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with kind.WebSocketServer(EchoWebSocket, ssl=server_tls, config=QUICK) as server:
        with RawClient.connect(server.port) as lost:
            lost.send(request())
            lost.read_to_eof()
        with RawClient.connect(server.port, tls=client_tls) as peer:
            peer.handshake()


# -- limits --------------------------------------------------------------------------------


def test_more_than_max_connections_have_to_wait() -> None:
    with (
        WebSocketServer(EchoWebSocket, max_connections=1, config=QUICK) as server,
        RawClient.connect(server.port) as first,
        RawClient.connect(server.port) as second,
    ):
        first.handshake()
        second.send(second.request())
        assert second.silent_for(0.1)
        first.close_frame()
        first.read_close()
        assert second.read_head().status == 101


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@both
def test_without_descriptors_it_rests_and_recovers(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        kind.WebSocketServer(EchoWebSocket, config=QUICK) as server,
        socket.socket() as sock,
    ):
        with no_descriptors_left():
            sock.connect(("127.0.0.1", server.port))
            wait_for(lambda: "cannot accept connections" in caplog.text)
        peer = RawClient(sock)
        peer.handshake()
    assert caplog.text.count("cannot accept connections") < 5


# -- the end -------------------------------------------------------------------------------


@both
def test_close_says_1001_and_waits_for_the_answer(kind: Any) -> None:
    made = Made()
    server = kind.WebSocketServer(made, config=QUICK)
    server.start()
    with RawClient.connect(server.port) as peer:
        peer.handshake()
        closing = in_background(server.close)
        frame = peer.read_close()
        assert frame.close_code == 1001
        assert frame.close_reason == "Server is shutting down"
        with pytest.raises(ConnectionRefusedError):
            RawClient.connect(server.port)
        assert closing.is_alive()
        peer.close_frame(1001)
        peer.expect_eof()
        assert finished(closing)
    assert made.all[0].seen == [("opened", None), ("closed", 1001)]


@both
def test_close_cuts_whoever_does_not_answer(kind: Any) -> None:
    made = Made()
    server = kind.WebSocketServer(made, config=QUICK.replace(close_timeout=0.2))
    server.start()
    with RawClient.connect(server.port) as peer:
        peer.handshake()
        server.close()
        assert made.all[0].seen == [("opened", None), ("closed", 1006)]
        assert peer.read_close().close_code == 1001
        peer.expect_eof()


@both
def test_the_second_close_cuts_at_once(kind: Any) -> None:
    made = Made()
    server = kind.WebSocketServer(made, config=QUICK.replace(close_timeout=60.0))
    server.start()
    with RawClient.connect(server.port) as peer:
        peer.handshake()
        closing = in_background(server.close)
        peer.read_close()
        server.close()
        assert finished(closing)
    assert made.all[0].seen[-1] == ("closed", 1006)
    server.close()


@both
def test_close_ends_an_idle_server_and_openings_at_once(kind: Any) -> None:
    server = kind.WebSocketServer(EchoWebSocket, config=QUICK.replace(open_timeout=60.0))
    server.start()
    with RawClient.connect(server.port) as opening:
        opening.send(b"GET / HTTP/1.1\r\n")
        with RawClient.connect(server.port) as peer:
            peer.handshake()  # so the one before has been accepted
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 5
        opening.read_to_eof()


@both
def test_close_from_a_hook(kind: Any) -> None:
    class Closes(Recorder):
        def received_message(self, message: Any) -> None:
            server.close()
            self.note("back")

    made = Made(Closes)
    server = kind.WebSocketServer(made, config=QUICK)
    serving = in_background(server.serve_forever)
    with RawClient.connect(server.port) as peer:
        peer.handshake()
        peer.text("the end")
        assert peer.read_close().close_code == 1001
        peer.close_frame(1001)
        assert finished(serving)
    assert [hook for hook, _ in made.all[0].seen] == ["opened", "back", "closed"]


@both
def test_close_waits_for_serve_forever_on_another_thread(kind: Any) -> None:
    server = kind.WebSocketServer(EchoWebSocket, config=QUICK)
    serving = in_background(server.serve_forever)
    with RawClient.connect(server.port) as peer:
        peer.handshake()
    server.close()
    assert finished(serving, 1)


@both
def test_close_before_anything(kind: Any) -> None:
    server = kind.WebSocketServer(EchoWebSocket)
    server.close()
    server.close()
    with pytest.raises(RuntimeError, match="closed"):
        server.start()


@both
def test_it_runs_once(kind: Any) -> None:
    with (
        kind.WebSocketServer(EchoWebSocket) as server,
        pytest.raises(RuntimeError, match="running"),
    ):
        server.start()


def signalled(server: Any, number: int, frames: list[Any]) -> threading.Thread:
    """A client that interrupts the main thread, and answers the close frame."""

    def client() -> None:
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            peer.text("serving")
            peer.read_frame()
            assert threading.main_thread().ident is not None
            signal.pthread_kill(threading.main_thread().ident, number)
            frames.append(peer.read_close())
            peer.close_frame(1001)
            peer.expect_eof()

    return in_background(client)


@both
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs pthread_kill")
def test_close_from_a_signal_handler(kind: Any) -> None:
    server = kind.WebSocketServer(EchoWebSocket, config=QUICK)
    frames: list[Any] = []
    before = signal.signal(signal.SIGUSR1, lambda *args: server.close())
    try:
        client = signalled(server, signal.SIGUSR1, frames)
        server.serve_forever()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert finished(client)
    assert frames[0].close_code == 1001


@both
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs pthread_kill")
def test_ctrl_c_is_an_orderly_end(kind: Any) -> None:
    server = kind.WebSocketServer(EchoWebSocket, config=QUICK)
    frames: list[Any] = []
    client = signalled(server, signal.SIGINT, frames)
    with pytest.raises(KeyboardInterrupt):
        server.serve_forever()
    assert finished(client)
    assert frames[0].close_code == 1001
    server.close()


def test_a_connection_is_listed_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """``broadcast()`` in ``opened()``, or by whoever was told by it, leaves nobody out."""
    listed = queue.Queue[bool]()
    told = threading.Event()

    class Handler(WebSocket):
        def opened(self) -> None:
            listed.put(self in list(server))
            told.set()

    start = threadedserver._Connection.start

    def start_slowly(self: Any) -> None:
        start(self)
        told.wait(TIMEOUT)  # the new thread is quicker than the one that has started it

    monkeypatch.setattr(threadedserver._Connection, "start", start_slowly)
    with WebSocketServer(Handler) as server, RawClient.connect(server.port) as peer:
        peer.handshake()
        assert listed.get(timeout=TIMEOUT)


def test_a_hook_that_never_returns_does_not_keep_close_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = threading.Event()

    class Stuck(WebSocket):
        def received_message(self, message: Any) -> None:
            self.send("stuck")
            go_on.wait(TIMEOUT)

    server = WebSocketServer(Stuck, config=QUICK.replace(close_timeout=0.1))
    server.start()
    with caplog.at_level(logging.WARNING), RawClient.connect(server.port) as peer:
        peer.handshake()
        peer.text("hello")
        peer.read_frame()
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 5
        go_on.set()
    assert "has not returned" in caplog.text


def test_a_lost_connection_ends_its_thread() -> None:
    made = Made()
    with WebSocketServer(made, config=QUICK) as server:
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            peer.ping()
            assert peer.read_frame().opcode == PONG
            peer.reset()
        wait_for(lambda: made.all[0].terminated)
        assert made.all[0].seen[-1] == ("closed", 1006)
        wait_for(lambda: len(server) == 0)


def test_a_client_that_says_nothing_and_leaves_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with WebSocketServer(EchoWebSocket, config=QUICK) as server:
        RawClient.connect(server.port).close()
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            with contextlib.suppress(Eof):
                peer.close_frame(1000)
                peer.read_close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# -- handlers that take messages -----------------------------------------------------------


def test_a_function_may_handle_a_connection():
    def handler(ws):
        while True:
            message = ws.next_message()
            if str(message) == "oops":
                raise KeyError("oops")
            ws.send(message.data, message.is_binary)

    server = WebSocketServer(functools.partial(PulledHandler, handler), config=QUICK)
    with server:
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            peer.text("hi")
            assert peer.read_frame().payload == b"hi"
            peer.ping(b"p")  # while the handler is in next_message()
            assert peer.read_frame().opcode == PONG
            peer.close_frame(1000)
            assert peer.read_close().close_code == 1000
            peer.expect_eof()
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            peer.text("oops")
            assert peer.read_close().close_code == 1011
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            begun = time.monotonic()
            closing = threading.Thread(target=server.close, name="closer")
            closing.start()
            assert peer.read_close().close_code == 1001
            peer.close_frame(1001)
            peer.expect_eof()
            closing.join(TIMEOUT)
            assert time.monotonic() - begun < TIMEOUT


@both
def test_a_close_without_a_code_leaves_the_connections(kind):
    server = kind.serve(EchoWebSocket, config=QUICK)
    server.start()
    with RawClient.connect(server.port) as peer:
        peer.handshake()
        closing = threading.Thread(target=server.close, args=(None,), name="closer")
        closing.start()
        wait_for(lambda: server.listeners[0].fileno() < 0)
        peer.text("still there")
        assert peer.read_frame().payload == b"still there"
        peer.close_frame(1000)
        assert peer.read_close().close_code == 1000
        closing.join(TIMEOUT)
        assert not closing.is_alive()

"""What is peculiar to the managed server: one thread for everything.

What all servers have in common is in ``test/conformance``.
"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from leaks import uncollected
from rawpeer import TEXT, RawClient, make_frame
from running import ROOT
from waiting import wait_for

from ws4py.manager import WebSocketManager
from ws4py.protocol.config import Config
from ws4py.protocol.handshake import Request, Response
from ws4py.server.managedserver import WebSocketServer, serve
from ws4py.server.opening import Opening
from ws4py.syscalls import accept
from ws4py.transport import BlockingTransport
from ws4py.websocket import EchoWebSocket, WebSocket


def echo(port: int | str, text: str = "hello") -> str:
    with RawClient.connect(port) as peer:
        peer.handshake()
        peer.text(text)
        return peer.read_frame().payload.decode()


def test_all_hooks_run_on_the_servers_thread() -> None:
    idents: set[int] = set()

    class Handler(WebSocket):
        def opened(self) -> None:
            idents.add(threading.get_ident())

        received_message = closed = lambda self, *args: idents.add(threading.get_ident())

    with WebSocketServer(Handler) as server:
        with RawClient.connect(server.port) as peer:
            peer.handshake()
            peer.text("x")
            peer.close_frame()
            peer.read_close()
        wait_for(lambda: not len(server.manager))
        assert len(idents) == 1
        assert threading.get_ident() not in idents


def test_hundreds_of_stalled_handshakes_cost_no_threads() -> None:
    with WebSocketServer(EchoWebSocket) as server:
        before = threading.active_count()
        stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        for sock in stalled:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert echo(server.port) == "hello"
        assert threading.active_count() == before
        for sock in stalled:
            sock.close()
        wait_for(lambda: not server._openings)


def test_a_stalled_handshake_ends_at_its_own_deadline() -> None:
    config = Config(open_timeout=0.2)
    with (
        WebSocketServer(EchoWebSocket, config=config) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\n")
        assert b"408" in peer.read_to_eof()


def test_what_is_accepted_does_not_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        assert accept(listener, listener.family) is None
        with socket.create_connection(listener.getsockname()) as client:
            sock, address = wait_for(lambda: accept(listener, listener.family))
            with sock:
                assert address == client.getsockname()
                assert sock.gettimeout() == 0
                assert not os.get_blocking(sock.fileno())
                assert not os.get_inheritable(sock.fileno())


def test_what_is_written_does_not_wait_for_more() -> None:
    with (
        WebSocketServer(EchoWebSocket) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.handshake()
        wait_for(lambda: len(server) == 1)
        (ws,) = server
        assert ws.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Looks(WebSocket):
    """Looks at the environ where it is made."""

    def __init__(self, sock: Any, *args: Any, environ: Any = None, **options: Any) -> None:
        super().__init__(sock, *args, environ=environ, **options)
        assert type(environ) is dict
        environ["seen"] = environ["PATH_INFO"]


class Own(WebSocket):
    """Keeps it in a way of its own."""

    environ = None


def by_function(sock: Any, protocols: Any, extensions: Any, environ: Any) -> WebSocket:
    environ["seen"] = environ["PATH_INFO"]
    return WebSocket(sock, protocols, extensions, environ)


@pytest.mark.parametrize("handler", [WebSocket, EchoWebSocket, Looks, Own, by_function])
def test_the_environ_is_a_dict_and_always_the_same(handler: Any) -> None:
    with (
        WebSocketServer(handler) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.handshake("/room?x=1")
        wait_for(lambda: len(server) == 1)
        (ws,) = server
        environ = ws.environ
        assert type(environ) is dict
        assert environ["PATH_INFO"] == environ.get("seen", "/room")
        assert environ["HTTP_UPGRADE"] == "websocket"
        environ["mine"] = 1
        assert ws.environ is environ
        peer.close_frame()
        wait_for(lambda: not len(server))
        assert ws.environ is None


def test_running_out_of_descriptors_pauses_accepting_and_recovers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with WebSocketServer(EchoWebSocket) as server, socket.socket() as sock:
        next_one = os.dup(sock.fileno())
        os.close(next_one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
        try:
            sock.connect(("127.0.0.1", server.port or 0))
            wait_for(lambda: "Too many open files" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        peer = RawClient(sock)
        peer.handshake()
        peer.text("hello")
        assert peer.read_frame().payload == b"hello"


def test_several_hosts_share_one_port() -> None:
    with WebSocketServer(EchoWebSocket, ["127.0.0.1", "127.0.0.2"]) as server:
        assert [address[1] for address in server.addresses] == [server.port] * 2
        assert echo(server.port) == "hello"
        with RawClient.connect(("127.0.0.2", server.port)) as peer:
            peer.handshake()


def test_sockets_made_elsewhere_are_used() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with WebSocketServer(EchoWebSocket, sockets=[listener]) as server:
        assert server.port == listener.getsockname()[1]
        assert echo(server.port) == "hello"


def test_a_dead_servers_unix_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    with WebSocketServer(EchoWebSocket, unix_path=path):
        assert echo(path) == "hello"
        with pytest.raises(OSError, match="another program listens there"):
            WebSocketServer(EchoWebSocket, unix_path=path)
        assert echo(path) == "hello"
    assert not Path(path).exists()


def test_a_taken_port_is_said_so() -> None:
    with (
        WebSocketServer(EchoWebSocket) as server,
        pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port}.*another port"),
    ):
        WebSocketServer(EchoWebSocket, port=server.port)


def test_a_closed_server_cannot_be_started_again() -> None:
    server = serve(EchoWebSocket)
    server.close()
    with pytest.raises(RuntimeError, match="make a new one"):
        server.start()


def test_a_failing_process_request_is_answered_with_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(request: Request) -> Response | None:
        raise RuntimeError("no answer today")

    with (
        WebSocketServer(EchoWebSocket, process_request=broken) as server,
        RawClient.connect(server.port) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peer.read_to_eof().startswith(b"HTTP/1.1 500 ")
    assert "no answer today" in caplog.text


def test_a_connection_that_cannot_be_served_is_closed_and_the_next_one_is_served() -> None:
    class Failing(WebSocketManager):
        failed = False

        def adopt(self, *args: Any) -> None:
            if not self.failed:
                self.failed = True
                raise RuntimeError("no, not this one")
            super().adopt(*args)

    server = WebSocketServer(EchoWebSocket)
    server.manager = Failing()
    with server:
        with RawClient.connect(server.port) as peer:
            peer.send(peer.request())
            assert peer.sock.recv(65536) == b""
        assert echo(server.port) == "hello"


def test_an_opening_handshake_leaves_nothing_to_the_garbage_collector() -> None:
    with uncollected():
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            with serve(EchoWebSocket) as server:
                for _ in range(100):  # void alarms are swept when there are enough of them
                    assert echo(server.port) == "hello"
                wait_for(lambda: len(server) == 0)
            gc.collect()
            left = [obj for obj in gc.garbage if isinstance(obj, Opening)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert not left


def test_a_large_page_reaches_a_reader_that_takes_its_time() -> None:
    page = "x" * 5_000_000

    def answer(request: Request) -> Response:
        return Response.text(200, page)

    with (
        WebSocketServer(EchoWebSocket, process_request=answer) as server,
        RawClient.connect(server.port, receive_buffer=4096) as peer,
    ):
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert echo_refused(server.port)
        assert peer.read_to_eof().endswith(b"x" * 1000)


def echo_refused(port: int) -> bool:
    """Another client is answered while the first still reads."""
    with RawClient.connect(port) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return b"200" in peer.read_to_eof()


def test_what_opened_sends_follows_the_101_in_one_write() -> None:
    class Greeter(WebSocket):
        def opened(self) -> None:
            self.send("hello")
            self.send("world")

    with WebSocketServer(Greeter) as server, RawClient.connect(server.port) as peer:
        peer.handshake()
        assert [peer.read_frame().payload for _ in range(2)] == [b"hello", b"world"]


def test_one_write_answers_one_segment() -> None:
    with WebSocketServer(EchoWebSocket) as server, RawClient.connect(server.port) as peer:
        peer.handshake()
        peer.send(make_frame(TEXT, b"0123456789abcdef", key=b"key!") * 16)
        # One write arrives as one piece; sixteen would hardly wait for each other.
        assert len(peer.sock.recv(65536)) == 16 * 18


def test_flush_writes_before_the_hook_returns() -> None:
    go_on = threading.Event()

    class Handler(WebSocket):
        def received_message(self, message: Any) -> None:
            self.send("now")
            self.flush()
            assert go_on.wait(10)

    with WebSocketServer(Handler) as server, RawClient.connect(server.port) as peer:
        peer.handshake()
        peer.text("?")
        assert peer.read_frame().payload == b"now"
        go_on.set()


def test_a_signal_ends_an_idle_server_at_once() -> None:
    script = """
import signal, os, threading, time
from ws4py.server.managedserver import serve
from ws4py.websocket import EchoWebSocket
server = serve(EchoWebSocket)
signal.signal(signal.SIGTERM, lambda *_: server.close())
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
started = time.monotonic()
server.serve_forever()
print(time.monotonic() - started < 3)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert done.stdout == "True\n", done.stderr


def test_a_manager_can_be_started_again() -> None:
    manager = WebSocketManager()
    for _ in range(2):
        manager.start()
        a, b = socket.socketpair()
        with RawClient(b) as peer:
            manager.add(EchoWebSocket(a))
            peer.text("hello")
            assert peer.read_frame().payload == b"hello"
            manager.stop()
            manager.join(10)
        assert not manager.is_alive()
        assert len(manager) == 0


FORGOTTEN = {
    "send": lambda ws: ws.send(b"data"),
    "data_received": lambda ws: ws.data_received(b"data"),
    "transport": lambda ws: setattr(ws, "transport", BlockingTransport(ws.sock)),
}


@pytest.mark.parametrize("verb", FORGOTTEN)
def test_an_init_that_does_not_call_ours_is_told_so_and_crashes_nothing(verb):
    """Compiled, this was a segmentation fault."""

    class Forgetful(WebSocket):
        def __init__(self, sock):
            self.sock = sock

    left, right = socket.socketpair()
    with left, right, pytest.raises((RuntimeError, AttributeError), match="stream"):
        FORGOTTEN[verb](Forgetful(left))

"""What is peculiar to Tornado: the handler beside others, and who runs the loop."""

from __future__ import annotations

import asyncio
import threading
import weakref

import pytest
from backends import websockets_server
from conversation import ask, read_close_code, read_text, say_goodbye
from hooks import echo, recorded
from leaks import uncollected
from rawpeer import RawClient
from waiting import TIMEOUT, wait_for

tornado = pytest.importorskip("tornado")

from tornado.httpserver import HTTPServer  # noqa: E402
from tornado.ioloop import IOLoop  # noqa: E402
from tornado.web import Application, HTTPError, RequestHandler  # noqa: E402

from ws4py.cli.loops import LoopThread  # noqa: E402
from ws4py.client import tornadoclient  # noqa: E402
from ws4py.client.tornadoclient import TornadoWebSocketClient, WebSocketClient  # noqa: E402
from ws4py.server import listen_tcp, tornadoserver  # noqa: E402
from ws4py.server.tornadoserver import WebSocketHandler  # noqa: E402
from ws4py.websocket import EchoWebSocket  # noqa: E402


class Page(RequestHandler):
    def get(self) -> None:
        self.write("a page")


class Guarded(WebSocketHandler):
    def prepare(self) -> None:
        if self.get_query_argument("token", "") != "secret":
            raise HTTPError(401)


@pytest.fixture
def runner():
    thread = LoopThread(asyncio.new_event_loop)
    yield thread
    thread.stop()


@pytest.fixture
def serve(runner):
    """Serve these routes; gives the port."""
    servers = []

    async def start(routes, **options):
        server = HTTPServer(Application(routes, log_function=lambda handler: None), **options)
        sockets = listen_tcp("127.0.0.1", 0, 16, False)
        server.add_sockets(sockets)
        servers.append(server)
        return sockets[0].getsockname()[1]

    async def stop():
        for server in servers:
            server.stop()
        await tornadoserver.close_all()
        for server in servers:
            await server.close_all_connections()

    yield lambda routes, **options: runner.call(start(routes, **options))
    runner.call(stop())


def get(port: int, target: str) -> bytes:
    with RawClient.connect(port) as peer:
        peer.send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return peer.read_to_eof()


class TestServer:
    def test_it_lives_beside_other_handlers(self, serve):
        port = serve([("/page", Page), ("/ws", WebSocketHandler, {"handler_cls": EchoWebSocket})])
        assert get(port, "/page").endswith(b"a page")
        with RawClient.connect(port) as peer:
            peer.handshake("/ws")
            assert ask(peer) == "ping?"

    def test_prepare_may_refuse(self, serve):
        port = serve([("/ws", Guarded, {"handler_cls": EchoWebSocket})])
        with RawClient.connect(port) as peer:
            peer.handshake("/ws", expect=401)
        with RawClient.connect(port) as peer:
            peer.handshake("/ws?token=secret")
            assert ask(peer) == "ping?"

    def test_a_request_may_have_come_before_on_the_same_connection(self, serve):
        port = serve([("/page", Page), ("/ws", WebSocketHandler, {"handler_cls": EchoWebSocket})])
        with RawClient.connect(port) as peer:
            peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.read_head().status == 200
            assert peer.read(6) == b"a page"
            peer.handshake("/ws")
            assert ask(peer) == "ping?"

    def test_the_handler_of_the_request_is_not_left_to_the_garbage_collector(self, serve):
        made = []

        class Noted(WebSocketHandler):
            def prepare(self) -> None:
                made.append(weakref.ref(self))

        port = serve([("/ws", Noted, {"handler_cls": EchoWebSocket})])
        with uncollected():
            with RawClient.connect(port) as peer:
                peer.handshake("/ws")
                assert ask(peer) == "ping?"
                say_goodbye(peer)
            wait_for(lambda: made[0]() is None)

    def test_one_that_has_gone_already_is_no_error(self, serve, caplog, monkeypatch):
        """Reset behind its request: the socket has no peer any more."""
        handler = echo()
        port = serve([("/ws", WebSocketHandler, {"handler_cls": handler})])
        prepared = threading.Event()

        def wait_for_reset(self):
            prepared.wait(TIMEOUT)

        monkeypatch.setattr(WebSocketHandler, "prepare", wait_for_reset)
        with RawClient.connect(port) as peer:
            peer.send(peer.request("/ws"))
            peer.reset()
        prepared.set()
        with RawClient.connect(port) as peer:
            peer.handshake("/ws")
            assert ask(peer) == "ping?"
        assert "Traceback" not in caplog.text

    def test_no_more_is_taken_from_its_stream_than_a_chunk(self, serve, monkeypatch):
        taken = []
        take_over = tornadoserver.take_over

        def take_slowly(stream):
            # As fast a peer as can be: there is always more to read.
            stream.read_from_fd = lambda buffer: len(buffer)
            taken.append(len(take_over(stream)))
            return b""

        monkeypatch.setattr(tornadoserver, "take_over", take_slowly)
        port = serve([("/ws", WebSocketHandler, {"handler_cls": EchoWebSocket})])
        with RawClient.connect(port) as peer:
            peer.handshake("/ws")
            assert ask(peer) == "ping?"
        assert taken
        assert taken[0] <= 1 << 17

    def test_a_coroutine_function_may_be_the_handler(self, serve):
        async def handler(ws):
            async for message in ws:
                await ws.send(f"{ws.environ['PATH_INFO']} {message}")
                if message == "enough":
                    return

        port = serve([("/ws", WebSocketHandler, {"handler_cls": handler})])
        with RawClient.connect(port) as peer:
            peer.handshake("/ws")
            assert ask(peer, "hello") == "/ws hello"
            assert ask(peer, "enough") == "/ws enough"
            assert read_close_code(peer) == 1000
            peer.close_frame(1000)
            peer.expect_eof()

    def test_hooks_may_be_coroutine_functions(self, serve):
        class Slow(EchoWebSocket):
            async def received_message(self, message):
                await asyncio.sleep(0)
                self.send(f"slowly {message}")

        port = serve([("/ws", WebSocketHandler, {"handler_cls": Slow})])
        with RawClient.connect(port) as peer:
            peer.handshake("/ws")
            assert ask(peer, "hello") == "slowly hello"

    def test_what_it_serves_can_be_broadcast_to_and_counted(self, serve, runner):
        handler = echo()
        port = serve([("/ws", WebSocketHandler, {"handler_cls": handler})])

        async def ours():
            return tornadoserver.websockets()

        websockets = runner.call(ours())
        with RawClient.connect(port) as one, RawClient.connect(port) as other:
            for peer in (one, other):
                peer.handshake("/ws")
                handler.next()
            assert len(websockets) == 2
            websockets.broadcast("to all")
            assert [read_text(peer) for peer in (one, other)] == ["to all"] * 2


class Asker(WebSocketClient):
    """Sends one message and leaves with the answer."""

    def __init__(self, *args, **kwargs):
        self.heard = []
        self.ended = []
        super().__init__(*args, **kwargs)

    def opened(self):
        self.send("hello")

    def received_message(self, message):
        self.heard.append(str(message))
        self.close(1000, "thanks")

    def closed(self, code, reason=None):
        self.ended.append(code)


@pytest.fixture
def echo_url():
    def handler(ws):
        for message in ws:
            ws.send(message)

    with websockets_server(handler) as url:
        yield url


@pytest.fixture
def io_loop():
    loop = IOLoop(make_current=False)
    yield loop
    loop.close()


class TestClient:
    def test_it_has_both_names_and_the_arguments_of_0_6(self, io_loop):
        assert tornadoclient.WebSocketClient is TornadoWebSocketClient
        ws = TornadoWebSocketClient("ws://localhost/", ["chat"], None, io_loop, None, [("X", "y")])
        assert (ws.io_loop, ws.extra_headers, ws.protocols) == (io_loop, [("X", "y")], ["chat"])

    def test_the_programs_own_loop_runs_it(self, echo_url, io_loop):
        class Stopping(Asker):
            def closed(self, code, reason=None):
                super().closed(code, reason)
                self.io_loop.stop()

        ws = Stopping(echo_url, io_loop=io_loop)
        ws.connect()
        io_loop.call_later(TIMEOUT, io_loop.stop)
        io_loop.start()
        assert (ws.heard, ws.ended) == (["hello"], [1000])

    def test_run_forever_runs_the_loop(self, echo_url, io_loop):
        ws = Asker(echo_url, io_loop=io_loop)
        ws.connect()
        ws.run_forever()
        assert (ws.heard, ws.ended, ws.terminated) == (["hello"], [1000], True)

    def test_run_forever_waits_on_another_thread(self, echo_url, io_loop):
        thread = threading.Thread(target=io_loop.start)
        thread.start()
        try:
            ws = Asker(echo_url, io_loop=io_loop)
            ws.connect()
            ws.run_forever()
            assert ws.ended == [1000]
        finally:
            io_loop.add_callback(io_loop.stop)
            thread.join(TIMEOUT)

    def test_a_coroutine_may_wait_for_it(self, echo_url):
        async def main():
            ws = Asker(echo_url)
            await ws.connect()
            await ws.wait_closed()
            return ws

        ws = asyncio.run(main())
        assert (ws.heard, ws.ended) == (["hello"], [1000])

    def test_run_forever_raises_what_connecting_raises(self, io_loop):
        ws = recorded(Asker)("ws://127.0.0.1:1/", io_loop=io_loop)
        ws.connect()
        with pytest.raises(OSError, match="could not connect"):
            ws.run_forever()

    def test_whoever_cannot_be_told_otherwise_is_told_by_closed(self, io_loop):
        told = []

        class Failing(WebSocketClient):
            def closed(self, code, reason=None):
                told.append((code, reason))
                self.io_loop.stop()

        ws = Failing("ws://127.0.0.1:1/", io_loop=io_loop)
        ws.connect()
        io_loop.call_later(TIMEOUT, io_loop.stop)
        io_loop.start()
        assert told[0][0] == 1006
        assert "could not connect to ws://127.0.0.1:1/" in told[0][1]

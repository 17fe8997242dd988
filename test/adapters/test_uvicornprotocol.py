"""The protocol class for uvicorn, under applications that know nothing of ws4py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading

import pytest
from broken import BROKEN
from conversation import Background, ask, read_close_code, read_message, read_text, say_goodbye
from hooks import recorded
from rawpeer import BINARY, PING, TEXT, RawClient, make_frame
from waiting import TIMEOUT, wait_for

uvicorn = pytest.importorskip("uvicorn")

from ws4py.cli.asgi import PROTOCOL, _Server  # noqa: E402
from ws4py.protocol.config import DEFAULT, Compression  # noqa: E402
from ws4py.server.asgi import WebSocketASGIApplication  # noqa: E402
from ws4py.server.uvicornprotocol import ClientDisconnected  # noqa: E402
from ws4py.websocket import EchoWebSocket, WebSocket  # noqa: E402

KEY = b"\x01\x02\x03\x04"
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate"}


@pytest.fixture(params=["asyncio-h11", "uvloop-httptools"])
def way(request):
    """Event loop and HTTP parser."""
    loop, http = request.param.split("-")
    pytest.importorskip({"asyncio": "asyncio"}.get(loop, loop))
    pytest.importorskip(http)
    return {"loop": loop, "http": http}


class Host:
    """A running uvicorn, and the sentences of its log."""

    def __init__(self, application, **settings):
        settings = {"ws": PROTOCOL, "log_config": None, "lifespan": "off", **settings}
        self.server = _Server(uvicorn.Config(application, port=0, **settings))
        self.thread = threading.Thread(target=self.server.run, name="uvicorn")
        self.thread.start()
        self.server.ready.wait(TIMEOUT)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def connect(self, **how):
        return RawClient.connect(self.port, **how)

    @contextlib.contextmanager
    def peer(self, *args, **kwargs):
        with self.connect() as peer:
            peer.head = peer.handshake(*args, **kwargs)
            yield peer

    def stop(self):
        self.server.should_exit = True
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive()


@pytest.fixture
def host():
    running = []

    def host(application, **settings):
        running.append(Host(application, **settings))
        return running[-1]

    yield host
    for each in running:
        each.stop()


def application(*events, ends=None, echo=False):
    """An application that says these things after the connect, and perhaps echoes."""

    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        for event in events:
            await send({**event, "type": f"websocket.{event['type']}"})
        while echo and (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
        if ends is not None:
            raise ends

    return app


ACCEPT = {"type": "accept"}
ECHO = application(ACCEPT, echo=True)


@pytest.fixture(scope="module")
def broken_host():
    running = Host(ECHO, loop="asyncio")
    yield running
    running.stop()


class TestFrames:
    def test_messages_are_echoed(self, host, way):
        with host(ECHO, **way).peer() as peer:
            for text in ("", "żółw", "x" * 300_000):
                peer.text(text)
                assert read_message(peer) == (TEXT, text.encode())
            data = os.urandom(1 << 20)
            peer.binary(data)
            assert read_message(peer) == (BINARY, data)
            peer.ping(b"?")
            assert peer.read_frame().payload == b"?"
            say_goodbye(peer, 4000, "bye")

    @pytest.mark.parametrize("name", BROKEN)
    def test_a_broken_rule_is_answered_with_its_code(self, broken_host, name):
        make, code = BROKEN[name]
        with broken_host.peer() as peer:
            peer.send(
                make(lambda opcode, payload=b"", **how: make_frame(opcode, payload, key=KEY, **how))
            )
            assert read_close_code(peer) == code
            peer.read_to_eof()

    def test_the_settings_of_uvicorn_are_kept(self, host):
        limited = host(ECHO, ws_max_size=1000, ws_per_message_deflate=False)
        with limited.peer("/", DEFLATE) as peer:
            assert "sec-websocket-extensions" not in peer.head.headers
            peer.binary(bytes(1001))
            assert read_close_code(peer) == 1009
        with host(ECHO).peer("/", DEFLATE) as peer:
            assert "permessage-deflate" in peer.head.headers["sec-websocket-extensions"]

    def test_keepalive(self, host):
        with host(ECHO, ws_ping_interval=0.1, ws_ping_timeout=0.1).peer() as peer:
            frame = peer.read_frame()
            assert frame.opcode == PING
            peer.pong(frame.payload)
            assert peer.read_frame().opcode == PING
            peer.read_to_eof(3)

    def test_early_frames_before_the_answer_are_kept(self, host):
        go = asyncio.Event()
        loops = []

        async def slow(scope, receive, send):
            loops.append(asyncio.get_running_loop())
            await go.wait()
            await ECHO(scope, receive, send)

        with host(slow).connect() as peer:
            peer.send(peer.request())
            wait_for(lambda: loops)
            peer.text("early")
            loops[0].call_soon_threadsafe(go.set)
            assert peer.read_head().status == 101
            assert read_text(peer) == "early"


class TestPressure:
    def test_an_application_that_does_not_listen_stops_the_peer(self, host):
        go = threading.Event()

        async def deaf(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            await asyncio.to_thread(go.wait, TIMEOUT)
            for _ in range(200):
                event = await receive()
                await send({"type": "websocket.send", "text": str(len(event["bytes"]))})

        running = host(deaf)
        with running.peer() as peer:
            flooding = Background(lambda: [peer.binary(bytes(100_000)) for _ in range(200)])
            connection = next(iter(running.server.server_state.connections))
            wait_for(lambda: connection.ws is not None and connection.ws.stream.held)
            assert flooding.running
            assert connection.ws._received_size < 2_000_000
            assert len(connection._stream._more) < 2_000_000
            go.set()
            for _ in range(200):
                assert read_text(peer) == "100000"
            flooding.result()

    def test_a_peer_that_does_not_read_stops_the_application(self, host):
        sent = []

        async def talker(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            for number in range(300):
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
                sent.append(number)

        running = host(talker)
        with running.connect(receive_buffer=16384) as peer:
            peer.handshake()
            connection = next(iter(running.server.server_state.connections))
            wait_for(lambda: connection.ws is not None and connection.ws._senders)
            assert len(sent) < 300
            for _ in range(300):
                assert len(read_message(peer)[1]) == 100_000
            assert read_close_code(peer) == 1000


class TestOpening:
    def test_scope(self, host, way):
        scopes = queue.Queue()

        async def app(scope, receive, send):
            scopes.put(scope)
            await application(
                {"type": "accept", "subprotocol": "b", "headers": [(b"x-who", b"us")]}
            )(scope, receive, send)

        running = host(app, root_path="/api", headers=[("x-default", "1")], **way)
        headers = {"Sec-WebSocket-Protocol": "a, b", "X-Colour": "green"}
        with running.peer("/r%C3%B6om?who=me", headers) as peer:
            assert peer.head.headers["sec-websocket-protocol"] == "b"
            assert peer.head.headers["x-who"] == "us"
            assert peer.head.headers["x-default"] == "1"
            assert peer.head.headers["server"] == "uvicorn"
            assert read_close_code(peer) == 1000
        scope = scopes.get(timeout=5)
        assert (scope["type"], scope["scheme"], scope["http_version"]) == (
            "websocket",
            "ws",
            "1.1",
        )
        assert (scope["path"], scope["root_path"]) == ("/api/röom", "/api")
        assert (scope["raw_path"], scope["query_string"]) == (b"/api/r%C3%B6om", b"who=me")
        assert scope["subprotocols"] == ["a", "b"]
        assert (b"x-colour", b"green") in scope["headers"]
        assert scope["server"] == ("127.0.0.1", running.port)
        assert scope["client"][0] == "127.0.0.1"

    def test_a_request_that_is_no_handshake_does_not_reach_the_application(self, host):
        reached = []

        async def app(scope, receive, send):
            reached.append(scope)

        with host(app).connect() as peer:
            peer.send(peer.request("/", {"Sec-WebSocket-Key": "short"}))
            assert peer.read_head().status == 400
            peer.read_to_eof()
        assert reached == []

    @pytest.mark.parametrize(
        ("events", "ends", "status"),
        [
            ([{"type": "close"}], None, 403),
            ([], None, 500),
            ([], KeyError("a bug"), 500),
            (
                [
                    {"type": "http.response.start", "status": 401, "headers": [(b"x-why", b"u")]},
                    {"type": "http.response.body", "body": b"go ", "more_body": True},
                    {"type": "http.response.body", "body": b"away"},
                ],
                None,
                401,
            ),
        ],
        ids=["close", "nothing", "bug", "page"],
    )
    def test_a_refusal(self, host, way, events, ends, status):
        with host(application(*events, ends=ends), **way).connect() as peer:
            head = peer.handshake(expect=status)
            body = peer.read_to_eof()
            if status == 401:
                assert (head.headers["x-why"], body) == ("u", b"go away")

    def test_whoever_leaves_before_the_answer(self, host):
        heard = queue.Queue()
        asked = threading.Event()

        async def app(scope, receive, send):
            assert (await receive())["type"] == "websocket.connect"
            asked.set()
            heard.put(await receive())
            try:
                await send({"type": "websocket.accept"})
            except OSError as exc:
                heard.put(exc)

        with host(app).connect() as peer:
            peer.send(peer.request())
            assert asked.wait(TIMEOUT)
        assert heard.get(timeout=5)["code"] == 1006
        assert isinstance(heard.get(timeout=5), ClientDisconnected)

    def test_whoever_floods_before_the_answer(self, host, caplog):
        """It is refused, and the application learns that in the words of ASGI."""
        heard = queue.Queue()
        asked = threading.Event()

        async def app(scope, receive, send):
            await receive()
            asked.set()
            heard.put((await receive())["type"])
            try:
                await send({"type": "websocket.accept"})
            except OSError as exc:
                heard.put(exc)

        with host(app).connect() as peer:
            peer.send(peer.request())
            assert asked.wait(TIMEOUT)
            with contextlib.suppress(OSError):
                peer.send(bytes(3 << 20))
            assert heard.get(timeout=5) == "websocket.disconnect"
            assert isinstance(heard.get(timeout=5), ClientDisconnected)
        assert "Exception" not in caplog.text


class TestTheEnd:
    def test_the_peers_code_reaches_the_application(self, host, way):
        heard = queue.Queue()

        async def app(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            heard.put(await receive())
            with pytest.raises(OSError):
                await send({"type": "websocket.send", "text": "late"})
            heard.put("refused")

        running = host(app, **way)
        for end, told in (
            (lambda peer: say_goodbye(peer, 4001, "bye"), (4001, "bye")),
            (lambda peer: peer.close_frame(None), (1005, "")),
            (lambda peer: peer.reset(), (1006, None)),
            (lambda peer: peer.shutdown(), (1006, None)),
        ):
            with running.peer() as peer:
                end(peer)
                event = heard.get(timeout=5)
                assert event["type"] == "websocket.disconnect"
                assert event["code"] == told[0]
                assert told[1] in (None, event["reason"])
                assert heard.get(timeout=5) == "refused"

    def test_the_application_closes_and_hears_the_answer(self, host):
        heard = queue.Queue()

        async def app(scope, receive, send):
            await application(ACCEPT, {"type": "close", "code": 3001, "reason": "go"})(
                scope, receive, send
            )
            heard.put(await receive())
            with pytest.raises(RuntimeError, match=r"websocket\.send"):
                await send({"type": "websocket.send", "text": "late"})

        with host(app).peer() as peer:
            frame = peer.read_close()
            assert (frame.close_code, frame.close_reason) == (3001, "go")
            peer.close_frame(3001, "gone")
            peer.expect_eof()
        event = heard.get(timeout=5)
        assert (event["code"], event["reason"]) == (3001, "gone")

    @pytest.mark.parametrize(("ends", "code"), [(None, 1000), (KeyError("a bug"), 1011)])
    def test_an_application_that_ends(self, host, way, ends, code):
        with host(application(ACCEPT, ends=ends), **way).peer() as peer:
            assert read_close_code(peer) == code
            peer.close_frame(code)
            peer.expect_eof()

    def test_uvicorn_goes_away(self, host, way):
        running = host(ECHO, **way)
        with running.peer() as peer:
            assert ask(peer) == "ping?"
            stopping = Background(running.stop)
            assert read_close_code(peer) == 1012
            peer.close_frame(1012)
            peer.expect_eof()
            stopping.result()

    def test_uvicorn_goes_away_before_the_answer(self, host):
        async def app(scope, receive, send):
            await receive()
            assert (await receive())["type"] == "websocket.disconnect"

        running = host(app)
        with running.connect() as peer:
            peer.send(peer.request())
            wait_for(lambda: running.server.server_state.tasks)
            stopping = Background(running.stop)
            assert peer.read_head().status == 503
            stopping.result()


class TestOurApplication:
    """It needs no ASGI in between."""

    def test_it_takes_the_connection_over(self, host, way):
        handler = recorded(EchoWebSocket)
        config = DEFAULT.replace(compression=Compression(threshold=0), max_message_size=100)
        ours = WebSocketASGIApplication(handler, protocols=["chat"], config=config)
        heard = queue.Queue()

        async def outer(scope, receive, send):
            """What lies in between, such as a middleware."""

            async def sending(event):
                heard.put(event["type"])
                await send({**event, "headers": [*event["headers"], (b"x-outer", b"1")]})

            await ours(scope, receive, sending)
            heard.put(await receive())

        running = host(outer, ws_per_message_deflate=False, ws_max_size=10, **way)
        headers = {**DEFLATE, "Sec-WebSocket-Protocol": "chat"}
        with running.peer("/", headers) as peer:
            assert "permessage-deflate" in peer.head.headers["sec-websocket-extensions"]
            assert peer.head.headers["sec-websocket-protocol"] == "chat"
            assert peer.head.headers["x-outer"] == "1"
            ws = handler.next()
            assert ws.peer_address == peer.sock.getsockname()
            assert ws.sock.fileno() >= 0
            assert list(ours) == [ws]
            ws.ping("how far?")
            peer.pong(peer.read_frame().payload)
            ws.log.wait("ponged")
            assert ws.latency is not None
            peer.binary(bytes(101))
            assert read_close_code(peer) == 1009
        assert ws.log.wait("closed")[0] == 1006
        assert heard.get(timeout=5) == "websocket.accept"
        assert heard.get(timeout=5)["code"] == 1006
        wait_for(lambda: len(ours) == 0)

    def test_a_coroutine_is_waited_for(self, host, way):
        ended = threading.Event()

        async def handler(ws):
            async for message in ws:
                await ws.send(message.upper())
            await asyncio.sleep(0.01)
            ended.set()

        ours = WebSocketASGIApplication(handler)
        returned = threading.Event()

        async def outer(scope, receive, send):
            await ours(scope, receive, send)
            assert ended.is_set()
            returned.set()

        with host(outer, **way).peer() as peer:
            assert ask(peer, "hello") == "HELLO"
            say_goodbye(peer)
        assert returned.wait(TIMEOUT)

    def test_a_peer_that_answers_pings_lives_while_a_hook_takes_its_time(self, host, way):
        """Its pong is delivered later, but was heard."""

        class Handler(WebSocket):
            async def received_message(self, message):
                await asyncio.sleep(1)
                self.send("done")

        config = DEFAULT.replace(ping_interval=0.2, ping_timeout=0.2)
        with host(WebSocketASGIApplication(Handler, config=config), **way).peer() as peer:
            peer.text("go")
            while (frame := peer.read_frame()).opcode == PING:
                peer.pong(frame.payload)
            assert (frame.opcode, frame.payload) == (TEXT, b"done")

    def test_another_thread_may_close_while_the_handler_does_not_listen(self, host):
        handlers, threads = queue.Queue(), []

        async def handler(ws):
            handlers.put(ws)
            await ws.wait_closed()

        config = DEFAULT.replace(receive_queue=1)
        ours = WebSocketASGIApplication(handler, config=config)
        with host(ours, loop="asyncio").peer() as peer:
            ws = handlers.get(timeout=5)
            loops_own = ws.transport.stream_transport
            resume = loops_own.resume_reading

            def resume_reading():
                threads.append(threading.get_ident())
                resume()

            loops_own.resume_reading = resume_reading
            peer.text("one")
            wait_for(lambda: ws.stream.held)
            peer.text("two")
            wait_for(lambda: not loops_own.is_reading())
            ws.close(4000)
            assert read_close_code(peer) == 4000
            peer.close_frame(4000)
            peer.expect_eof()
        assert threads
        assert threading.get_ident() not in threads

    @pytest.mark.parametrize("coroutines", [False, True])
    def test_it_is_cut_when_uvicorn_loses_its_patience(self, host, way, coroutines):
        ended = queue.Queue()

        class Handler(WebSocket):
            def closed(self, code, reason=None):
                ended.put(code)

        class Slow(Handler):
            async def opened(self):
                await asyncio.sleep(0)

        ours = WebSocketASGIApplication(Slow if coroutines else Handler)
        running = host(ours, timeout_graceful_shutdown=1, **way)
        with running.peer() as peer:
            wait_for(lambda: len(ours) == 1)
            running.stop()
            assert read_close_code(peer) == 1012
            peer.expect_eof()
        assert ended.get(timeout=5) == 1006

    def test_whoever_leaves_before_the_answer(self, host):
        handler = recorded(WebSocket)
        go, asked = threading.Event(), threading.Event()
        ours = WebSocketASGIApplication(handler)

        async def outer(scope, receive, send):
            async def sending(event):
                asked.set()
                await asyncio.to_thread(go.wait, TIMEOUT)
                await send(event)

            await ours(scope, receive, sending)

        running = host(outer)
        with running.connect() as peer:
            peer.send(peer.request())
            assert asked.wait(TIMEOUT)
        wait_for(lambda: not running.server.server_state.connections)
        go.set()
        wait_for(lambda: not running.server.server_state.tasks)
        assert handler.made.get(timeout=5).log.names == []
        assert len(ours) == 0


class TestFrameworks:
    def test_starlette(self, host, way):
        pytest.importorskip("starlette")
        from starlette.applications import Starlette
        from starlette.routing import Mount, WebSocketRoute
        from starlette.websockets import WebSocketDisconnect

        ended = queue.Queue()

        async def endpoint(websocket):
            await websocket.accept()
            try:
                while True:
                    await websocket.send_text(f"you said {await websocket.receive_text()}")
            except WebSocketDisconnect as exc:
                ended.put((exc.code, exc.reason))

        app = Starlette(
            routes=[
                WebSocketRoute("/ws", endpoint),
                Mount("/echo", WebSocketASGIApplication(EchoWebSocket)),
            ]
        )
        running = host(app, **way)
        with running.peer("/ws") as peer:
            assert ask(peer, "hello") == "you said hello"
            say_goodbye(peer, 4000, "bye")
        assert ended.get(timeout=5) == (4000, "bye")
        with running.peer("/echo/") as peer:
            assert ask(peer, "mounted") == "mounted"
        with running.connect() as peer:
            peer.handshake("/nothing", expect=403)

    def test_fastapi(self, host, way):
        fastapi = pytest.importorskip("fastapi")
        app = fastapi.FastAPI()

        # Annotations that are no names of this module: FastAPI looks there.
        async def endpoint(websocket, room: int):
            await websocket.accept()
            await websocket.send_json({"room": room, **await websocket.receive_json()})
            await websocket.close(3000)

        endpoint.__annotations__ = {"websocket": fastapi.WebSocket, "room": int}
        app.websocket("/rooms/{room}")(endpoint)
        with host(app, **way).peer("/rooms/7") as peer:
            peer.text('{"who": "me"}')
            assert read_text(peer).replace(" ", "") == '{"room":7,"who":"me"}'
            assert read_close_code(peer) == 3000

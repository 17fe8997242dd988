"""The document of ``websockets``, row by row, on the drop-in; and what programs of today do."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import random
import re
import socket
import threading
import types

import pytest
from backends import websockets_server
from loops import make_run, over_loops
from programs import need_package
from rawpeer import CLOSE, TEXT, RawClient, RawServer
from running import ROOT, Program, environment
from waiting import TIMEOUT, wait_for

import ws4py.dropin.websockets as websockets
from ws4py.dropin.websockets import v2
from ws4py.dropin.websockets.asyncio.client import connect, unix_connect
from ws4py.dropin.websockets.asyncio.server import ServerConnection, serve, unix_serve
from ws4py.dropin.websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    ProtocolError,
)
from ws4py.dropin.websockets.frames import Close, CloseCode
from ws4py.dropin.websockets.protocol import State

run = make_run("asyncio")


def port_of(server):
    return server.sockets[0].getsockname()[1]


def url_of(server, path="/"):
    return f"ws://localhost:{port_of(server)}{path}"


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


# -- the document's scripts ----------------------------------------------------------------

SERVER = """\
import asyncio
import ws4py.dropin.websockets.v2 as websockets

async def hello(websocket, path):
    name = await websocket.recv()
    print("< {}".format(name))
    greeting = "Hello {}!".format(name)
    await websocket.send(greeting)
    print("> {}".format(greeting))

start_server = websockets.serve(hello, 'localhost', 8765)

loop = asyncio.new_event_loop()
loop.run_until_complete(start_server)
loop.run_forever()
"""

CLIENT = """\
import asyncio
import ws4py.dropin.websockets.v2 as websockets

async def hello():
    websocket = await websockets.connect('ws://localhost:8765/')
    name = input("What's your name? ")
    await websocket.send(name)
    print("> {}".format(name))
    greeting = await websocket.recv()
    print("< {}".format(greeting))
    await websocket.close()

asyncio.new_event_loop().run_until_complete(hello())
"""

#: The patterns, in the document's words: only the coroutines are spelled as they are today.
CONSUMER = """\
async def handler(websocket, path):
    while True:
        message = await websocket.recv()
        if message is None:
            break
        await consumer(message)
"""
PRODUCER = """\
async def handler(websocket, path):
    while True:
        message = await producer()
        if not websocket.open:
            break
        await websocket.send(message)
"""
BOTH = """\
async def handler(websocket, path):
    while True:
        listener_task = asyncio.ensure_future(websocket.recv())
        producer_task = asyncio.ensure_future(producer())
        done, pending = await asyncio.wait(
            [listener_task, producer_task],
            return_when=asyncio.FIRST_COMPLETED)

        if listener_task in done:
            message = listener_task.result()
            if message is None:
                break
            await consumer(message)
        else:
            listener_task.cancel()

        if producer_task in done:
            message = producer_task.result()
            if not websocket.open:
                break
            await websocket.send(message)
        else:
            producer_task.cancel()
"""
REGISTRATION = """\
connected = set()

async def handler(websocket, path):
    global connected
    # Register.
    connected.add(websocket)
    try:
        # Implement logic here.
        await asyncio.wait(
            [ws.send("Hello!") for ws in connected])
        await asyncio.sleep(10)
    finally:
        # Unregister.
        connected.remove(websocket)
"""


def test_S31_the_patterns_are_the_documents():
    document = ROOT.parent / "shared" / "seeds" / "001_09b0568793611b22.txt"
    if not document.is_file():
        pytest.skip(f"needs the document, which is not at {document}")
    text = document.read_text("utf-8")
    text = text.replace("@asyncio.coroutine\n    def", "async def").replace("yield from", "await")
    for block in (CONSUMER, PRODUCER, BOTH, REGISTRATION):
        lines = [f"    {line}".rstrip() for line in block.splitlines()]
        assert "\n".join(lines) in text


def pattern(block, **names):
    """The handler of one of the document's blocks."""
    module = types.ModuleType("pattern")
    module.__dict__.update(asyncio=asyncio, **names)
    exec(block, module.__dict__)
    return module


@pytest.fixture
def program(tmp_path):
    started = []

    def start(code, **replaced):
        script = tmp_path / f"script{len(started)}.py"
        for old, new in replaced.items():
            code = code.replace(old, new)
        script.write_text(code)
        started.append(Program([sys_executable(), str(script)], tmp_path, environment(tmp_path)))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()


def sys_executable():
    import sys

    return sys.executable


def test_S01_S02_S03_S09_S32_the_greeting(program):
    port = str(free_port())
    server = program(SERVER, **{"8765": port})
    url = f"ws://localhost:{port}/"

    def listening():
        assert server.process.poll() is None, server.output
        with contextlib.suppress(OSError):
            socket.create_connection(("localhost", int(port))).close()
            return True

    wait_for(listening)
    client = program(CLIENT.replace('input("What\'s your name? ")', '"Ada"'), **{"8765": port})
    assert client.wait() == 0, client.output
    assert client.output.split("\n")[:2] == ["> Ada", "< Hello Ada!"], url
    server.wait_for_output("> Hello Ada!")
    assert server.output.startswith("< Ada\n> Hello Ada!\n")
    assert len(SERVER.splitlines()) < 20


def test_S04_S06_S10_S11_S12_handlers_messages_and_paths():
    seen = []

    async def handler(websocket, path):
        seen.append((path, websocket.path, websocket.request.path))
        while True:
            await websocket.send(await websocket.recv())

    async def main():
        async with serve(handler, "localhost", 0) as server:
            for _ in range(2):
                ws = await connect(url_of(server, "/chat?room=1"))
                await ws.send("text")
                assert await ws.recv() == "text"
                await ws.send(b"\x00\xff")
                assert await ws.recv() == b"\x00\xff"
                await ws.send(bytearray(b"ab"), text=True)
                assert await ws.recv() == "ab"
                await ws.send("ab", text=False)
                assert await ws.recv(decode=True) == "ab"
                await ws.send("ab")
                assert await ws.recv(decode=False) == b"ab"
                await ws.close()
                assert ws.close_code == 1000

    run(main())
    assert seen == [("/chat?room=1",) * 3] * 2


@pytest.mark.parametrize("arguments", [1, 2])
def test_S05_handler_with_two_arguments(arguments):
    async def one(websocket):
        await websocket.send("one")

    async def two(websocket, path):
        await websocket.send(f"two {path}")

    class Methods:
        async def one(self, websocket, *, optional=None):
            await one(websocket)

        async def two(self, websocket, path):
            await two(websocket, path)

    async def main():
        expected = "one" if arguments == 1 else "two /x"
        for handler in (one, Methods().one) if arguments == 1 else (two, Methods().two):
            async with serve(handler, "localhost", 0) as server:
                ws = await connect(url_of(server, "/x"))
                assert await ws.recv() == expected
                await ws.close()

    run(main())


def test_S07_the_connection_closes_when_the_handler_returns():
    async def handler(websocket):
        pass

    async def main():
        async with serve(handler, "localhost", 0) as server, connect(url_of(server)) as ws:
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
        assert str(caught.value) == "received 1000 (OK); then sent 1000 (OK)"

    run(main())


def test_S08_an_exception_in_the_handler_closes_with_1011(caplog):
    async def handler(websocket):
        raise KeyError("oops")

    async def main():
        async with serve(handler, "localhost", 0) as server, connect(url_of(server)) as ws:
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
        assert caught.value.rcvd == Close(1011, "")

    with caplog.at_level(logging.ERROR, "websockets.server"):
        run(main())
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"]
    assert caplog.records[0].exc_info


def test_S13_the_time_is_pushed_to_a_browser():
    """The page's WebSocket is a raw peer here, with the headers that a browser sends."""

    async def handler(websocket, path):
        while True:
            now = datetime.datetime.now(datetime.timezone.utc).isoformat() + "Z"
            if not websocket.open:
                break
            await websocket.send(now)
            await asyncio.sleep(random.random() * 0.01)

    async def main():
        async with v2.serve(handler, "127.0.0.1", 0) as server:
            await asyncio.to_thread(browse, port_of(server))

    def browse(port):
        with RawClient.connect(port) as page:
            page.handshake("/", {"Origin": "http://elsewhere.example"})
            for _ in range(3):
                frame = page.read_frame()
                assert frame.opcode == TEXT
                assert datetime.datetime.fromisoformat(frame.payload.decode()[:-1])

    run(main())


def test_S14_S18_open_says_whether_it_is():
    sent = []
    over = asyncio.Event()

    async def producer():
        await asyncio.sleep(0.001)
        return "more"

    async def main():
        handler = pattern(PRODUCER, producer=producer).handler

        async def counted(websocket, path):
            assert websocket.open
            assert not websocket.closed
            assert websocket.state is State.OPEN
            assert websocket.state_name == "OPEN"
            await handler(websocket, path)
            sent.append(websocket.open)
            over.set()

        async with v2.serve(counted, "localhost", 0) as server:
            ws = await v2.connect(url_of(server))
            assert await ws.recv() == "more"
            await ws.close()
            assert not ws.open
            assert ws.closed
            await asyncio.wait_for(over.wait(), TIMEOUT)

    run(main())
    assert sent == [False]


def test_of_old_what_is_sent_goes_before_what_comes_next_though_nobody_awaits_it():
    async def handler(websocket, path):
        websocket.send("last")
        await websocket.close()
        with pytest.raises(v2.ConnectionClosed):
            await websocket.send("too late")

    async def main():
        async with v2.serve(handler, "localhost", 0) as server, v2.connect(url_of(server)) as ws:
            assert await ws.recv() == "last"
            assert await ws.recv() is None

    run(main())


def test_S15_a_loop_over_the_messages():
    got = []

    async def handler(websocket):
        async for message in websocket:
            got.append(message)  # noqa: PERF401

    async def main():
        async with serve(handler, "localhost", 0) as server, connect(url_of(server)) as ws:
            for i in range(100):
                await ws.send(str(i))

    run(main())
    assert got == [str(i) for i in range(100)]


def consume(end):
    """What the document's consumer has met when the client's end came about by ``end(ws)``."""
    met = []

    async def consumer(message):
        met.append(message)

    async def main():
        over = asyncio.Event()
        handler = pattern(CONSUMER, consumer=consumer).handler

        async def wrapped(websocket, path):
            await handler(websocket, path)
            met.append(None)
            over.set()

        async with v2.serve(wrapped, "localhost", 0) as server:
            ws = await v2.connect(url_of(server))
            await ws.send("a")
            await ws.send("b")
            await asyncio.wait_for(ws.ping(), TIMEOUT)
            await end(ws)
            await asyncio.wait_for(over.wait(), TIMEOUT)
            await ws.wait_closed()

    run(main())
    return met


def test_S16_recv_gives_none_at_the_end():
    async def close(ws):
        await ws.close()
        assert await ws.recv() is None

    assert consume(close) == ["a", "b", None]


def test_S17_none_whatever_the_end_was():
    async def vanish(ws):
        ws.transport.abort()

    async def fail(ws):
        await ws.close(4000, "for a reason")

    assert consume(vanish) == ["a", "b", None]
    assert consume(fail) == ["a", "b", None]


def test_S16_S17_the_flag_of_3_0():
    async def handler(websocket):
        assert await websocket.recv() is None
        await websocket.close()

    async def main():
        async with serve(handler, "localhost", 0, legacy_recv=True) as server:
            ws = await connect(url_of(server), legacy_recv=True)
            await ws.close()
            assert await ws.recv() is None
            assert [message async for message in ws] == []

    run(main())


def test_S19_send_raises_on_a_closed_connection():
    async def main():
        async with serve(echo, "localhost", 0) as server:
            ws = await connect(url_of(server))
            await ws.close(1000, "enough")
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.send("late")
            error = caught.value
            assert error.sent == Close(1000, "enough")
            assert error.rcvd.code == 1000
            assert error.rcvd_then_sent is False
            assert error.close_info.began_by == "us"
            # Nothing is raised before it is awaited, as in gather(*(ws.send(m) for ws in all)).
            failed = await asyncio.gather(ws.send("late"), return_exceptions=True)
            assert isinstance(failed[0], ConnectionClosed)

    run(main())


def test_S20_S22_S23_consuming_and_producing():
    got, queue = [], asyncio.Queue()

    async def consumer(message):
        got.append(message)

    async def main():
        handler = pattern(BOTH, consumer=consumer, producer=queue.get).handler
        async with v2.serve(handler, "localhost", 0) as server:
            ws = await v2.connect(url_of(server))
            for i in range(20):
                await ws.send(f"to {i}")
                queue.put_nowait(f"from {i}")
                assert await ws.recv() == f"from {i}"
            await ws.close()
            queue.put_nowait("nobody is there any more")

    run(main())
    assert got == [f"to {i}" for i in range(20)]


def test_S23_two_tasks_do_the_same():
    got = []

    async def consume(websocket):
        async for message in websocket:
            got.append(message)  # noqa: PERF401

    async def produce(websocket):
        for i in range(20):
            await websocket.send(f"from {i}")

    async def handler(websocket):
        await asyncio.gather(consume(websocket), produce(websocket))

    async def main():
        async with serve(handler, "localhost", 0) as server, connect(url_of(server)) as ws:
            for i in range(20):
                await ws.send(f"to {i}")
                assert await ws.recv() == f"from {i}"

    run(main())
    assert got == [f"to {i}" for i in range(20)]


def test_S21_to_cancel_recv_loses_nothing():
    async def main():
        async with serve(echo, "localhost", 0) as server, connect(url_of(server)) as ws:
            got = []
            for i in range(50):
                waiting = asyncio.ensure_future(ws.recv())
                await ws.send([str(i)[:1], str(i)[1:]] if i % 2 else str(i))
                for _ in range(i % 4):
                    await asyncio.sleep(0)
                if waiting.done():
                    got.append(waiting.result())
                waiting.cancel()
            await ws.send("last")
            while got[-1:] != ["last"]:
                got.append(await ws.recv())
            assert got == [*(str(i) for i in range(50)), "last"]

    run(main())


def test_S24_S25_S27_S31_registration():
    module = pattern(REGISTRATION.replace("sleep(10)", "sleep(0.01)"))
    sizes = []

    async def handler(websocket, path):
        await module.handler(websocket, path)
        sizes.append(len(module.connected))

    async def main():
        async with v2.serve(handler, "localhost", 0) as server:
            clients = [await v2.connect(url_of(server)) for _ in range(3)]
            for ws in clients:
                assert await ws.recv() == "Hello!"
            clients[0].transport.abort()
            for ws in clients:
                await ws.close()
        assert module.connected == set()

    run(main())
    assert len(sizes) == 3


def test_S24_S25_broadcast():
    async def main():
        async with serve(echo, "localhost", 0) as server:
            clients = [await connect(url_of(server)) for _ in range(3)]
            for ws in clients:
                await ws.send("in")
                await ws.recv()
            assert len(server.connections) == 3
            websockets.broadcast(server.connections, "to all")
            websockets.broadcast(server.connections, b"bytes")
            for ws in clients:
                assert [await ws.recv(), await ws.recv()] == ["to all", b"bytes"]
                await ws.close()
            with pytest.raises(TypeError):
                websockets.broadcast(clients, ["a"])
            websockets.broadcast(clients, "to nobody", raise_exceptions=True)

    run(main())


def test_S26_pings_are_answered_while_the_handler_sleeps():
    async def handler(websocket):
        await asyncio.sleep(TIMEOUT)

    async def main():
        async with serve(handler, "localhost", 0, close_timeout=0.1) as server:
            ws = await connect(url_of(server))
            for _ in range(3):
                assert await asyncio.wait_for(await ws.ping(), TIMEOUT) > 0
            assert ws.latency > 0
            await ws.close()

    run(main())


def test_S27_finally_runs_when_the_connection_drops():
    over = asyncio.Event()

    async def handler(websocket):
        try:
            with pytest.raises(ConnectionClosedError) as caught:
                await websocket.recv()
            assert str(caught.value) == "no close frame received or sent"
        finally:
            over.set()

    async def main():
        async with serve(handler, "localhost", 0) as server:
            ws = await connect(url_of(server))
            ws.transport.abort()
            await asyncio.wait_for(over.wait(), TIMEOUT)

    run(main())


def test_S28_more_processes_share_a_port():
    async def main():
        async with serve(echo, "127.0.0.1", 0, reuse_port=True) as server:
            other = await serve(echo, "127.0.0.1", port_of(server), reuse_port=True)
            assert port_of(other) == port_of(server)
            other.close()
            await other.wait_closed()

    if hasattr(socket, "SO_REUSEPORT"):
        run(main())


def test_S29_handshakes_and_pings_are_automatic():
    async def main():
        async with serve(echo, "127.0.0.1", 0, ping_interval=0.05) as server:
            await asyncio.to_thread(talk, port_of(server))

    def talk(port):
        with RawClient.connect(port) as peer:
            peer.handshake("/")
            ping = peer.read_frame()
            assert ping.opcode == 9
            peer.close_frame(1000)
            while (frame := peer.read_frame()).opcode != CLOSE:
                pass
            assert frame.payload[:2] == b"\x03\xe8"

    run(main())


def test_S30_the_documented_class():
    assert issubclass(v2.WebSocketServerProtocol, v2.WebSocketCommonProtocol)
    assert issubclass(v2.WebSocketClientProtocol, v2.WebSocketCommonProtocol)
    assert issubclass(websockets.WebSocketServerProtocol, websockets.WebSocketCommonProtocol)
    for name in ("recv", "send", "ping", "pong", "close"):
        assert callable(getattr(v2.WebSocketCommonProtocol, name))


def test_S03_made_outside_of_a_loop(run_plain):
    made = serve(echo, "localhost", 0)
    assert made.sockets == ()

    async def talk():
        async with connect(url_of(made)) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
            assert ws.host == "localhost"
            assert ws.port == port_of(made)
            assert not ws.secure

    run_plain(made)
    run_plain(talk())
    made.close()
    run_plain(made.wait_closed())


@pytest.fixture
def run_plain():
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


# -- today ---------------------------------------------------------------------------------


@over_loops
def test_the_facts_of_a_connection(run):
    async def handler(websocket):
        assert isinstance(websocket, ServerConnection)
        assert websocket.remote_address[0] in ("127.0.0.1", "::1")
        assert websocket.request.headers["X-Token"] == "t"
        assert websocket.subprotocol == "chat"
        await websocket.send(str(websocket.id))
        await websocket.wait_closed()
        assert websocket.close_code == 4000
        assert websocket.close_reason == "done"

    async def main():
        async with serve(
            handler, "localhost", 0, subprotocols=["chat"], server_header="me"
        ) as server:
            ws = await connect(
                url_of(server),
                subprotocols=["chat", "other"],
                additional_headers={"X-Token": "t"},
                user_agent_header="you",
                origin="http://localhost",
            )
            assert len(await ws.recv()) == 36
            assert ws.response.headers["Server"] == "me"
            assert ws.response.status_code == 101
            assert ws.request.headers["User-Agent"] == "you"
            assert ws.request.headers.get_all("Origin") == ["http://localhost"]
            assert ws.local_address == ws.transport.get_extra_info("sockname")
            assert ws.close_code is None
            assert ws.close_reason is None
            assert ws.logger.extra["websocket"] is ws
            await ws.close(4000, "done")
            assert ws.state is State.CLOSED

    run(main())


def test_the_hooks_of_a_server():
    def process_request(connection, request):
        connection.seen = request.headers.get("X-Who")
        if request.path == "/healthz":
            return connection.respond(200, "OK\n")
        return None

    async def process_response(connection, request, response):
        response.headers["X-Seen"] = str(connection.seen)

    async def handler(websocket):
        await websocket.send(websocket.seen)

    async def main():
        async with serve(
            handler,
            "localhost",
            0,
            process_request=process_request,
            process_response=process_response,
        ) as server:
            async with connect(url_of(server), additional_headers=[("X-Who", "me")]) as ws:
                assert await ws.recv() == "me"
                assert ws.response.headers["X-Seen"] == "me"
            with pytest.raises(InvalidStatus) as caught:
                await connect(url_of(server, "/healthz"))
            assert caught.value.response.status_code == 200
            assert caught.value.response.body == b"OK\n"
            assert str(caught.value) == "server rejected WebSocket connection: HTTP 200"

    run(main())


def test_what_keeps_a_connection_from_coming_about():
    def broken(connection, request, response):
        del response.headers["Sec-WebSocket-Accept"]

    async def main():
        with pytest.raises(InvalidURI):
            connect("http://localhost/")
        with pytest.raises(OSError):
            await connect(f"ws://127.0.0.1:{free_port()}/")
        async with serve(echo, "localhost", 0, origins=["http://here"], subprotocols=["a"]) as s:
            with pytest.raises(InvalidStatus, match="HTTP 403"):
                await connect(url_of(s))
            with pytest.raises(InvalidStatus, match="HTTP 400"):
                await connect(url_of(s), origin="http://here", subprotocols=["b"])
        async with serve(echo, "localhost", 0, process_response=broken) as server:
            with pytest.raises(InvalidHandshake, match="missing Sec-WebSocket-Accept header"):
                await connect(url_of(server), close_timeout=0.1)

    run(main())


def test_a_server_that_says_nothing():
    with RawServer() as raw:

        async def main():
            gone = asyncio.ensure_future(asyncio.to_thread(hang_up))
            with pytest.raises(InvalidMessage) as caught:
                await connect(raw.url)
            assert isinstance(caught.value.__cause__, EOFError)
            await gone

        def hang_up():
            peer = raw.accept()
            peer.read_request()
            peer.close()

        run(main())
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def late():
            with pytest.raises(TimeoutError, match="timed out during opening handshake"):
                await connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/", open_timeout=0.1)

        run(late())


def test_select_subprotocol_decides():
    def select(connection, offered):
        if "c" not in offered:
            raise NegotiationError("c or nothing")
        return "c"

    async def main():
        async with serve(echo, "localhost", 0, select_subprotocol=select) as server:
            async with connect(url_of(server), subprotocols=["b", "c"]) as ws:
                assert ws.subprotocol == "c"
            with pytest.raises(InvalidStatus, match="HTTP 400"):
                await connect(url_of(server), subprotocols=["b"])

    run(main())


def test_basic_authentication():
    async def handler(websocket):
        await websocket.send(websocket.username)

    async def main():
        guard = websockets.basic_auth("here", credentials=[("ada", "pw"), ("bob", "wp")])
        async with serve(handler, "localhost", 0, process_request=guard) as server:
            url = url_of(server)
            async with connect(url.replace("://", "://bob:wp@")) as ws:
                assert await ws.recv() == "bob"
            for wrong in (url, url.replace("://", "://bob:pw@"), url.replace("://", "://eve:@")):
                with pytest.raises(InvalidStatus) as caught:
                    await connect(wrong)
                assert caught.value.response.status_code == 401
                assert 'realm="here"' in caught.value.response.headers["WWW-Authenticate"]

    run(main())


def test_connections_of_ones_own():
    class Mine(ServerConnection):
        async def recv(self, decode=None):
            return f"mine: {await super().recv(decode)}"

    async def handler(websocket):
        await websocket.send(await websocket.recv())

    async def main():
        async with serve(handler, "localhost", 0, create_connection=Mine) as server:
            ws = await connect(url_of(server))
            await ws.send("x")
            assert await ws.recv() == "mine: x"
            await ws.close()

    run(main())


def test_messages_in_fragments():
    async def slow():
        yield "as "
        await asyncio.sleep(0)
        yield "they come"

    async def main():
        async with serve(echo, "localhost", 0) as server, connect(url_of(server)) as ws:
            await ws.send(["a", "b"])
            assert await ws.recv() == "ab"
            await ws.send(slow())
            assert [piece async for piece in ws.recv_streaming()] == ["as they come"]
            await ws.send([])
            await ws.send((b"x", b"y"))
            assert await ws.recv() == b"xy"
            for wrong in ({"a": 1}, 5, [5]):
                with pytest.raises(TypeError):
                    await ws.send(wrong)
            with pytest.raises(TypeError, match="uniform"):
                await ws.send(["a", b"b"])
            await ws.wait_closed()
            assert ws.protocol.close_sent.code == 1011

    run(main())


def test_one_receiver_at_a_time_and_pings():
    async def main():
        async with serve(echo, "localhost", 0) as server, connect(url_of(server)) as ws:
            first = asyncio.ensure_future(ws.recv())
            await asyncio.sleep(0)
            with pytest.raises(ConcurrencyError, match="cannot call recv while another"):
                await ws.recv()
            first.cancel()
            await ws.pong("unasked")
            waiter = await ws.ping("data")
            with pytest.raises(ConcurrencyError):
                await ws.ping("data")
            assert await asyncio.wait_for(waiter, TIMEOUT) > 0
            with pytest.raises(ProtocolError):
                await ws.close(1005)
            ws.transport.abort()
            await ws.wait_closed()
            with pytest.raises(ConnectionClosedError):
                await ws.ping()

    run(main())


def test_the_close_of_a_server():
    async def main():
        async with serve(echo, "localhost", 0) as server:
            ws = await connect(url_of(server))
            assert server.is_serving()
            server.close()
            server.close()
            assert not server.is_serving()
            assert server.sockets == ()
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd.code == CloseCode.GOING_AWAY
            await server.wait_closed()
        async with serve(echo, "localhost", 0) as server:
            ws = await connect(url_of(server))
            port = port_of(server)
            server.close(close_connections=False)
            await ws.send("still there")
            assert await ws.recv() == "still there"
            with pytest.raises(OSError):
                await connect(f"ws://localhost:{port}/")
            await ws.close()
            await asyncio.wait_for(server.wait_closed(), TIMEOUT)

    run(main())


def test_serve_forever_ends_when_it_is_cancelled():
    async def main():
        server = await serve(echo, "localhost", 0, start_serving=False)
        assert not server.is_serving()
        task = asyncio.ensure_future(server.serve_forever())
        async with connect(f"ws://localhost:{port_of(server)}/") as ws:
            task.cancel()
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


def test_a_loop_that_reconnects():
    attempts = []

    def process_request(connection, request):
        attempts.append(request.path)
        if len(attempts) == 2:
            return connection.respond(503, "later\n")
        if len(attempts) == 4:
            return connection.respond(404, "gone\n")
        return None

    async def main():
        met = 0
        async with serve(echo, "localhost", 0, process_request=process_request) as server:
            with pytest.raises(InvalidStatus, match="HTTP 404"):  # noqa: PT012
                async for ws in connect(url_of(server), reconnect_delays=lambda: iter([0.001] * 9)):
                    await ws.send("hi")
                    assert await ws.recv() == "hi"
                    met += 1
                    if met == 1:
                        continue
                    ws.transport.abort()
                    with pytest.raises(ConnectionClosed):
                        await ws.recv()
        assert met == 2

    run(main())
    assert len(attempts) == 4


def test_over_a_unix_socket(tmp_path):
    path = tmp_path / "s"

    async def main():
        async with unix_serve(echo, path), unix_connect(path) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
            assert ws.request.headers["Host"] == "localhost"

    run(main())
    assert not path.exists()


def test_to_another_host_and_port():
    async def main():
        async with serve(echo, "localhost", 0) as server:
            there = {"host": "localhost", "port": port_of(server)}
            async with connect("ws://name.invalid/", **there) as ws:
                assert ws.request.headers["Host"] == "name.invalid"
                await ws.send("hi")
                assert await ws.recv() == "hi"

    run(main())


def test_arguments_of_old():
    async def handler(websocket, path):
        await websocket.send(websocket.request_headers["X-Old"])

    async def main():
        server = await serve(
            handler, "localhost", 0, timeout=1, extra_headers={"X-A": "a"}, read_limit=5, loop=None
        )
        ws = await connect(url_of(server), extra_headers=[("X-Old", "yes")], timeout=1, loop=None)
        assert await ws.recv() == "yes"
        assert ws.response_headers["X-A"] == "a"
        await ws.close()
        server.close()
        await server.wait_closed()
        with pytest.raises(TypeError, match="nonsense"):
            connect("ws://localhost/", nonsense=1)
        with pytest.raises(ValueError, match="unsupported compression"):
            serve(handler, compression="lzw")
        with pytest.raises(TypeError, match="must be a list"):
            connect("ws://localhost/", subprotocols="chat")

    run(main())


def test_limits_and_compression():
    from ws4py.dropin.websockets.extensions.permessage_deflate import (
        ClientPerMessageDeflateFactory as Factory,
    )

    async def main():
        async with serve(echo, "localhost", 0, max_size=1000) as server:
            async with connect(url_of(server), extensions=[Factory(11, 11)], max_queue=2) as ws:
                assert [type(each).__name__ for each in ws.protocol.extensions] == [
                    "PerMessageDeflate"
                ]
            async with connect(url_of(server), compression=None) as ws:
                assert ws.protocol.extensions == []
                await ws.send("x" * 1001)
                with pytest.raises(ConnectionClosedError) as caught:
                    await ws.recv()
                assert caught.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG

    run(main())


# -- with threads --------------------------------------------------------------------------


@contextlib.contextmanager
def served(handler, **options):
    from ws4py.dropin.websockets.sync.server import serve as sync_serve

    with sync_serve(handler, "localhost", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, name="sync-server")
        thread.start()
        try:
            yield server, f"ws://localhost:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(TIMEOUT)


def sync_echo(websocket):
    for message in websocket:
        websocket.send(message)


def test_threads_talk():
    from ws4py.dropin.websockets.sync.client import connect as sync_connect

    with served(sync_echo) as (server, url):
        with sync_connect(url, additional_headers={"X-A": "b"}) as ws:
            ws.send("text")
            assert ws.recv(timeout=TIMEOUT) == "text"
            ws.send([b"a", b"b"])
            assert list(ws.recv_streaming()) == [b"ab"]
            with pytest.raises(TimeoutError):
                ws.recv(timeout=0.01)
            assert ws.ping().wait(TIMEOUT)
            assert ws.latency > 0
            assert len(server.connections) == 1
            ws.send("ab", text=False)
            assert ws.recv(decode=True) == "ab"
            assert ws.request.headers["X-A"] == "b"
            assert ws.response.status_code == 101
        assert ws.close_code == 1000
        assert ws.wait_closed(TIMEOUT)
        with pytest.raises(ConnectionClosedOK):
            ws.send("late")


def test_threads_and_the_end_of_a_handler(caplog):
    from ws4py.dropin.websockets.sync.client import connect as sync_connect

    def handler(websocket):
        if websocket.request.path == "/crash":
            raise KeyError("oops")

    with served(handler) as (_, url):
        with sync_connect(url) as ws, pytest.raises(ConnectionClosedOK):
            ws.recv()
        with sync_connect(url + "/crash") as ws, pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.rcvd == Close(1011, "")
    assert "connection handler failed" in caplog.text


def test_threads_and_the_end_of_a_server():
    from ws4py.dropin.websockets.sync.client import connect as sync_connect

    with served(sync_echo) as (server, url):
        ws = sync_connect(url)
        server.shutdown()
        with pytest.raises(ConnectionClosedOK) as caught:
            ws.recv()
        assert caught.value.rcvd.code == CloseCode.GOING_AWAY
        ws.close()


def test_threads_and_hooks():
    from ws4py.dropin.websockets.sync.client import connect as sync_connect

    def process_request(connection, request):
        if request.path == "/no":
            return connection.respond(403, "no\n")
        return None

    with served(sync_echo, process_request=process_request, subprotocols=["a"]) as (_, url):
        with sync_connect(url, subprotocols=["a"]) as ws:
            assert ws.subprotocol == "a"
        with pytest.raises(InvalidStatus, match="HTTP 403"):
            sync_connect(url + "/no", subprotocols=["a"])


def test_threads_that_reconnect():
    from ws4py.dropin.websockets.sync.client import reconnect

    with served(sync_echo) as (_, url):
        for met, ws in enumerate(reconnect(url, reconnect_delays=lambda: iter([0.001] * 9))):
            ws.send("hi")
            assert ws.recv(timeout=TIMEOUT) == "hi"
            if met == 2:
                break


# -- with the library itself ---------------------------------------------------------------


def test_it_talks_to_the_library():
    need_package("websockets")
    with websockets_server(lambda ws: [ws.send(message) for message in ws]) as url:

        async def main():
            async with connect(url) as ws:
                await ws.send("x" * 5000)
                assert await ws.recv() == "x" * 5000

        run(main())


def test_all_that_the_library_exports_is_here():
    theirs = need_package("websockets")
    if theirs.__version__ != websockets.__version__:
        pytest.skip(f"what is followed is {websockets.__version__}, not {theirs.__version__}")
    sans_io = {"ClientProtocol", "ServerProtocol", "Protocol", "Frame"}
    assert set(theirs.__all__) - set(websockets.__all__) <= sans_io
    for module in ("exceptions", "frames", "typing", "datastructures", "http11"):
        there = __import__(f"websockets.{module}", fromlist=["*"])
        here = __import__(f"ws4py.dropin.websockets.{module}", fromlist=["*"])
        assert set(there.__all__) - set(dir(here)) <= {"Frame"}, module


def test_the_version_followed_is_a_number():
    assert re.fullmatch(r"\d+\.\d+", websockets.__version__)

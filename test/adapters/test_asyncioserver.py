"""What is peculiar to asyncio: loops, tasks, coroutine hooks, the server's life, the clients."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading

import pytest
from backends import QUICK
from hooks import Recorded
from loops import LOOPS, over_loops, soon
from rawpeer import TEXT, RawClient, RawServer, make_frame
from running import Program, environment
from waiting import TIMEOUT

from ws4py.asyncioreactor import AsyncioReactor, reactor_of
from ws4py.client.asyncioclient import ClientConnection, WebSocketClient, connect
from ws4py.exc import ConnectionClosed, ConnectionTimeout, HandshakeError
from ws4py.loopmanager import LoopManager
from ws4py.protocol.handshake import Response
from ws4py.reactor import Channel
from ws4py.server import threadedserver
from ws4py.server.asyncioserver import serve
from ws4py.websocket import EchoWebSocket, WebSocket


async def echo(ws):
    async for message in ws:
        await ws.send(message)


def url(server) -> str:
    return f"ws://127.0.0.1:{server.port}/"


# -- the server ----------------------------------------------------------------------------


@over_loops
def test_every_answer_may_be_changed_by_a_coroutine(run):
    async def process_request(request):
        await asyncio.sleep(0)
        if request.path == "/page":
            return Response.text(200, "a page\n")
        return None

    async def process_response(request, response):
        await asyncio.sleep(0)
        if request.path == "/bug":
            raise KeyError("a bug")
        response.headers.add("X-Path", request.path)

    async def main():
        hooks = {"process_request": process_request, "process_response": process_response}
        async with serve(echo, config=QUICK, **hooks) as server:
            for path, status in (("page", 200), ("bug", 500)):
                with pytest.raises(HandshakeError) as caught:
                    await connect(url(server) + path)
                assert caught.value.status == status
                assert (("X-Path", "/page") in caught.value.headers) == (path == "page")
            async with connect(url(server)) as ws:
                await ws.send("hi")
                assert await ws.recv() == "hi"

    run(main())


@over_loops
def test_a_close_without_a_code_leaves_the_connections(run):
    async def main():
        server = await serve(echo, config=QUICK)
        ws = await connect(url(server))
        closing = server.close(None)
        await ws.send("still there")
        assert await ws.recv() == "still there"
        with pytest.raises(OSError):
            await connect(url(server))
        assert len(server.connections) == 1
        await ws.close()
        await closing

    run(main())


@over_loops
def test_whoever_is_looked_at_while_the_server_goes_is_told(run):
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def process_request(request):
        asked.set()
        await go_on.wait()

    async def main():
        server = await serve(echo, config=QUICK, process_request=process_request)
        opening = asyncio.ensure_future(asyncio.wait_for(connect(url(server)).__aenter__(), 10))
        await asked.wait()
        closing = server.close()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(HandshakeError) as caught:
            await opening
        assert caught.value.status == 503
        await closing

    run(main())


@over_loops
def test_a_hundred_connections(run):
    async def visit(server, n):
        async with connect(url(server), config=QUICK) as ws:
            for k in range(5):
                await ws.send(f"{n} {k}")
                assert await ws.recv() == f"{n} {k}"

    async def main():
        async with serve(echo, config=QUICK) as server:
            await asyncio.gather(*[visit(server, n) for n in range(100)])
            await soon(lambda: not server.connections)

    run(main())


@over_loops
def test_broadcast_and_connections(run):
    async def main():
        async with serve(echo, config=QUICK) as server:
            clients = [await connect(url(server)) for _ in range(3)]
            await soon(lambda: len(server.connections) == len(server) == 3)
            server.broadcast("text")
            threading.Thread(target=server.broadcast, args=(b"\xff",)).start()
            for ws in clients:
                assert await ws.recv() == "text"
                assert await ws.recv() == b"\xff"
                await ws.close()

    run(main())


@over_loops
def test_closing_says_1001_and_waits_for_the_handlers(run):
    ended = []

    async def handler(ws):
        async for _ in ws:
            pass
        await asyncio.sleep(0.05)
        ended.append(ws.close_info.code)

    async def main():
        server = await serve(handler, config=QUICK)
        clients = [await connect(url(server)) for _ in range(3)]
        await server.close()
        assert len(ended) == 3
        for ws in clients:
            await ws.wait_closed()
            assert ws.close_info.received == (1001, "Server is shutting down")
        with pytest.raises(OSError, match="is it running"):
            await connect(url(server))
        await server.close()

    run(main())


@over_loops
def test_a_handler_that_stays_is_cancelled(run):
    cancelled = []

    async def handler(ws):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(ws)
            raise

    async def main():
        server = await serve(handler, config=QUICK.replace(close_timeout=0.1))
        ws = await connect(url(server))
        await server.close()
        await ws.wait_closed()

    run(main())
    assert len(cancelled) == 1


@over_loops
def test_a_server_that_never_served_can_be_closed(run):
    async def main():
        server = serve(echo)
        await server.close()
        with pytest.raises(RuntimeError, match="was closed"):
            await server.start()

    run(main())


@over_loops
def test_serve_forever_ends_with_close_and_with_cancel(run):
    async def main():
        server = serve(echo, config=QUICK)
        serving = asyncio.ensure_future(server.serve_forever())
        ws = await connect(url(server))
        server.close()
        await serving
        await ws.wait_closed()
        server = serve(echo, config=QUICK)
        serving = asyncio.ensure_future(server.serve_forever())
        ws = await connect(url(server))
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await ws.wait_closed()
        assert ws.close_info.received[0] == 1001

    run(main())


PROGRAM = """
import asyncio, sys
from ws4py.server.asyncioserver import serve

async def echo(ws):
    async for message in ws:
        await ws.send(message)

async def main():
    server = serve(echo)
    print("port", server.port, flush=True)
    await server.serve_forever()

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
print("good bye", flush=True)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is Unix")
def test_sigterm_closes_everybody_and_exits_with_0(loop, tmp_path):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    (tmp_path / "server.py").write_text(PROGRAM)
    env = environment(tmp_path / "bin")
    program = Program([sys.executable, "server.py", loop], tmp_path, env)
    port = int(program.wait_for_output(r"port (\d+)")[1])
    with RawClient.connect(port) as peer:
        peer.handshake()
        os.kill(program.process.pid, signal.SIGTERM)
        assert peer.read_close(2).close_code == 1001
        peer.close_frame(1001)
        peer.expect_eof()
    assert program.wait() == 0
    assert "good bye" in program.output


@over_loops
def test_process_request_may_be_a_coroutine_function(run):
    async def process_request(request):
        await asyncio.sleep(0.01)
        if request.path == "/broken":
            raise KeyError("broken")
        return Response.text(418, "teapot") if request.path == "/teapot" else None

    async def main():
        async with serve(echo, process_request=process_request, config=QUICK) as server:
            async with connect(url(server)) as ws:
                await ws.send("through")
                assert await ws.recv() == "through"
            for path, status in (("teapot", 418), ("broken", 500)):
                with pytest.raises(HandshakeError) as caught:
                    await connect(url(server) + path)
                assert caught.value.status == status

    run(main())


# -- hooks that are coroutine functions ----------------------------------------------------


@over_loops
def test_coroutine_hooks_run_one_after_another(run):
    calls = []

    class Slow(WebSocket):
        async def opened(self):
            await asyncio.sleep(0.02)
            calls.append("opened")
            self.send("ready")

        async def received_message(self, message):
            calls.append(f"begin {message}")
            await asyncio.sleep(0.005)
            calls.append(f"end {message}")
            self.send(message)

        def ponged(self, pong):
            calls.append("ponged")

        async def closed(self, code, reason=None):
            await asyncio.sleep(0.02)
            calls.append(f"closed {code} {self.environ['PATH_INFO']}")

    async def main():
        async with serve(Slow, config=QUICK) as server:
            async with connect(url(server)) as ws:
                for n in range(3):
                    await ws.send(str(n))
                assert [await ws.recv() for _ in range(4)] == ["ready", "0", "1", "2"]
            (slow,) = server.connections or [None]
        assert slow is None or slow.terminated

    run(main())
    assert calls == [
        "opened",
        *[f"{what} {n}" for n in range(3) for what in ("begin", "end")],
        "closed 1000 /",
    ]


@over_loops
def test_while_a_coroutine_hook_runs_its_connection_is_not_read(run):
    gate = asyncio.Event()
    got = []

    class Slow(WebSocket):
        async def received_message(self, message):
            await gate.wait()
            got.append(len(message))

    async def main():
        plain = QUICK.replace(compression=None, high_water=65536)
        async with serve(Slow, config=plain) as server:
            ws = await connect(url(server), config=plain)

            async def flood():
                for _ in range(200):
                    await ws.send(bytes(100_000))

            flooding = asyncio.ensure_future(flood())
            await asyncio.sleep(0.3)
            assert not flooding.done()
            gate.set()
            await flooding
            await soon(lambda: len(got) == 200)
            await ws.close()

    run(main())


@over_loops
def test_a_coroutine_hook_that_raises_gives_1011(run, caplog):
    class Broken(WebSocket):
        async def received_message(self, message):
            await asyncio.sleep(0)
            raise KeyError("in a hook")

    async def main():
        async with serve(Broken, config=QUICK) as server:
            ws = await connect(url(server))
            await ws.send("go")
            await ws.wait_closed()
            assert ws.close_info.received[0] == 1011

    with caplog.at_level(logging.ERROR):
        run(main())
    assert "in a hook" in caplog.text


@over_loops
def test_plain_hooks_cost_no_task(run):
    async def main():
        before = asyncio.all_tasks()
        async with serve(EchoWebSocket, config=QUICK) as server, connect(url(server)) as ws:
            await ws.send("x")
            await ws.recv()
            assert asyncio.all_tasks() == before

    run(main())


@over_loops
def test_a_hook_that_does_not_return_is_cancelled_in_the_end(run, caplog):
    class Stuck(WebSocket):
        async def opened(self):
            await asyncio.sleep(60)

    async def main():
        server = await serve(Stuck, config=QUICK.replace(close_timeout=0.1))
        ws = await connect(url(server))
        await server.close()
        await ws.wait_closed()

    run(main())
    assert "was cancelled" in caplog.text


# -- the loop as a reactor -----------------------------------------------------------------


@over_loops
def test_there_is_one_reactor_for_each_loop(run):
    async def main():
        loop = asyncio.get_running_loop()
        assert reactor_of(loop) is reactor_of(loop)
        assert reactor_of(loop).in_thread()
        with pytest.raises(RuntimeError, match="run by that loop"):
            reactor_of(loop).run()

    run(main())


def test_a_loop_that_cannot_watch_sockets_says_what_to_do():
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, *args):
            raise NotImplementedError

    loop = Proactor()
    left, right = socket.socketpair()
    try:
        with pytest.raises(RuntimeError, match="SelectorEventLoop"):
            AsyncioReactor(loop).register(left.fileno(), Channel())
    finally:
        left.close()
        right.close()
        loop.close()


@over_loops
def test_alarms_ring_in_their_order_and_can_be_cancelled(run):
    rung = []

    class Bell(Channel):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def ring(self):
            rung.append(self.name)

    async def main():
        reactor = reactor_of(asyncio.get_running_loop())
        now = reactor.clock()
        bells = {name: Bell(name) for name in "abcd"}
        for name, delay in (("c", 0.06), ("a", 0.02), ("b", 0.04), ("d", 0.03)):
            reactor.set_alarm(bells[name], now + delay)
        reactor.cancel_alarm(bells["d"])
        thread = threading.Thread(target=reactor.set_alarm, args=(Bell("t"), now + 0.01))
        thread.start()
        await soon(lambda: "c" in rung)
        thread.join()

    run(main())
    assert rung == ["t", "a", "b", "c"]


@over_loops
def test_errors_in_calls_and_channels_are_logged(run, caplog):
    async def main():
        reactor = reactor_of(asyncio.get_running_loop())
        left, right = socket.socketpair()

        class Broken(Channel):
            def readable(self):
                raise KeyError("in a channel")

        reactor.register(left.fileno(), Broken())
        right.send(b"x")
        reactor.call_soon(lambda: 1 / 0)
        await soon(lambda: "in a channel" in caplog.text)
        left.close()
        right.close()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert "division by zero" in caplog.text


@pytest.mark.parametrize("kind", LOOPS)
def test_after_ctrl_c_in_a_hook_the_loop_may_be_run_again(kind):
    class Interrupted(WebSocket):
        def received_message(self, message):
            raise KeyboardInterrupt

    async def begin():
        LoopManager().add(ws)

    loop = LOOPS[kind]()
    left, right = socket.socketpair()
    right.setblocking(False)
    try:
        ws = Interrupted(left)
        loop.run_until_complete(begin())
        right.send(make_frame(TEXT, b"stop", key=b"1234"))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        loop.call_soon(ws.send, "later")  # in no hook and in no task: nobody's end writes it
        received = asyncio.wait_for(loop.sock_recv(right, 100), TIMEOUT)
        assert loop.run_until_complete(received) == make_frame(TEXT, b"later")
        ws.terminate()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        right.close()
        loop.close()


@pytest.mark.skipif(os.name == "nt", reason="SIGUSR1 is Unix")
def test_close_in_a_signal_handler_wakes_the_loop():
    async def main():
        async with serve(echo, config=QUICK) as server:
            ws = WebSocketClient(url(server), config=QUICK)
            await ws.connect()
            before = signal.signal(signal.SIGUSR1, lambda *_: ws.close(4000, "signal"))
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            try:
                await asyncio.wait_for(ws.wait_closed(), 5)
            finally:
                signal.signal(signal.SIGUSR1, before)
            assert ws.close_info.sent == (4000, "signal")

    asyncio.run(main())


@over_loops
def test_a_manager_on_a_loop_serves_what_is_added(run):
    class Pair(Recorded, EchoWebSocket):
        pass

    async def main():
        left, right = socket.socketpair()
        manager = LoopManager()
        ws = Pair(left)
        manager.add(ws)
        manager.add(ws)
        assert len(manager) == 1
        with right:
            right.sendall(b"\x81\x82\0\0\0\0hi")
            right.settimeout(5)
            got = await asyncio.get_running_loop().run_in_executor(None, right.recv, 100)
            assert got == b"\x81\x02hi"
            with pytest.raises(RuntimeError):
                manager.start()
            await manager.end(1)
        assert ws.log.names == ["opened", "received_message", "closed"]

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks():
    async def greet(ws):
        await ws.send("hello")
        async for message in ws:
            await ws.send(message)

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with serve(greet, config=QUICK) as server, connect(url(server)) as ws:
            assert await ws.recv() == "hello"
            await ws.send("x")
            assert await ws.recv() == "x"

    asyncio.run(main())


# -- the clients ---------------------------------------------------------------------------


class Asker(Recorded, WebSocketClient):
    def opened(self):
        super().opened()
        self.send("question")

    def received_message(self, message):
        super().received_message(message)
        self.close(1000, "enough")


def test_a_plain_program_needs_run_forever_only():
    with threadedserver.WebSocketServer(EchoWebSocket) as server:
        ws = Asker(url(server), config=QUICK)
        ws.connect()
        ws.run_forever()
        assert ws.log.names == ["opened", "received_message", "closed"]
        assert ws.terminated
        ws.run_forever()  # nothing to do any more


def test_run_forever_raises_what_connecting_raises():
    ws = Asker("ws://127.0.0.1:1/", config=QUICK)
    ws.connect()
    with pytest.raises(OSError, match="is it running"):
        ws.run_forever()


@over_loops
def test_connect_starts_at_once_where_a_loop_runs(run):
    async def main():
        async with serve(echo, config=QUICK) as server:
            ws = Asker(url(server), config=QUICK)
            ws.connect()
            with pytest.raises(RuntimeError, match="wait_closed"):
                ws.run_forever()
            await ws.wait_closed()
            assert ws.terminated
            assert ws.log.names == ["opened", "received_message", "closed"]

    run(main())


@over_loops
def test_another_thread_may_wait_for_the_end(run):
    async def main():
        async with serve(echo, config=QUICK) as server:
            ws = WebSocketClient(url(server), config=QUICK)
            await ws.connect()
            waiting = asyncio.get_running_loop().run_in_executor(None, ws.run_forever)
            await asyncio.sleep(0.05)
            ws.close()
            await waiting
            assert ws.terminated

    run(main())


@over_loops
def test_the_next_connection_may_begin_in_closed(run):
    class Again(WebSocketClient):
        count = 0

        def opened(self):
            type(self).count += 1
            self.close()

        def closed(self, code, reason=None):
            if self.count < 3:
                self.__init__(self.url, config=QUICK)
                self.connect()

    async def main():
        async with serve(echo, config=QUICK) as server:
            ws = Again(url(server), config=QUICK)
            ws.connect()
            await ws.wait_closed()
            assert Again.count == 3

    run(main())


@over_loops
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_connect_that_is_given_up_leaves_nothing(run, how):
    async def main():
        with RawServer() as silent:
            config = QUICK.replace(open_timeout=0.1 if how == "timeout" else 5)
            connecting = asyncio.ensure_future(connect(silent.url, config=config)._connect())
            peer = await asyncio.get_running_loop().run_in_executor(None, silent.accept)
            if how == "cancel":
                connecting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await connecting
            else:
                with pytest.raises(ConnectionTimeout):
                    await connecting
            peer.close()

    run(main())


@over_loops
def test_errors_of_connecting_say_what_to_do(run):
    async def main():
        with pytest.raises(OSError, match="could not find the host"):
            await connect("ws://no.such.host.invalid/")
        with pytest.raises(OSError, match="no such socket"):
            await connect("ws+unix:///no/such/socket")
        async with serve(echo, config=QUICK) as server:
            with pytest.raises(OSError, match="did you mean ws://"):
                await connect(f"wss://127.0.0.1:{server.port}/")
            with pytest.raises(HandshakeError):
                await connect(url(server), headers=[("Origin", "http://evil.example")])

    run(main())


@over_loops
def test_verbs_before_connecting(run):
    async def main():
        ws = ClientConnection("ws://127.0.0.1:1/")
        with pytest.raises(RuntimeError, match="not connected"):
            await ws.send("x")
        with pytest.raises((RuntimeError, ConnectionClosed)):
            await ws.ping()

    run(main())

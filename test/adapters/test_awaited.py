"""The awaited face: what ``await`` and iteration promise, with real sockets on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from types import SimpleNamespace

import pytest
from backends import QUICK
from loops import over_loops, soon
from rawpeer import BINARY, CONT, PING, TEXT, RawClient, make_frame

from ws4py.awaited import Awaited, HandledWebSocket
from ws4py.client.asyncioclient import connect
from ws4py.exc import ConnectionClosed
from ws4py.messaging import BinaryMessage, TextMessage
from ws4py.server.asyncioserver import serve
from ws4py.server.tulipserver import WebSocketProtocol
from ws4py.websocket import WebSocket

pytestmark = over_loops
#: Zeros would be next to nothing when compressed, and nobody would have to wait.
PLAIN = QUICK.replace(compression=None)
KEY = b"\x01\x02\x03\x04"


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def idle(ws):
    await ws.wait_closed()


def talk(handler, talker, **options):
    """A handler on a server, and what a client does with a connection to it."""
    options.setdefault("config", PLAIN)

    async def main():
        config = options["config"]
        async with (
            serve(handler, **options) as server,
            connect(f"ws://127.0.0.1:{server.port}/", config=config) as ws,
        ):
            return await talker(ws)

    return main()


async def in_thread(function, *args):
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


async def raw_peer(server, **how) -> RawClient:
    def open_peer():
        peer = RawClient.connect(server.port, **how)
        peer.handshake()
        return peer

    return await in_thread(open_peer)


# -- receiving -----------------------------------------------------------------------------


def test_text_is_str_and_binary_is_bytes(run):
    async def talker(ws):
        for message in ("", "żółw", b"", b"\xff", "x" * 100_000, bytes(200_000)):
            await ws.send(message)
            assert await ws.recv() == message
        await ws.send(b"text after all", binary=False)
        assert await ws.recv() == "text after all"

    run(talk(echo, talker))


def test_messages_as_what_they_are(run):
    async def talker(ws):
        assert ws.message_at_hand() is None
        await ws.send("text")
        await ws.send(b"bytes")
        first = await ws.next_message()
        assert (type(first), str(first)) == (TextMessage, "text")
        await soon(lambda: ws.stats.messages_in == 2)
        second = ws.message_at_hand()
        assert (type(second), second.data) == (BinaryMessage, b"bytes")
        await ws.close()
        with pytest.raises(ConnectionClosed):
            await ws.next_message()
        assert ws.has_room  # nobody has to wait any more

    run(talk(echo, talker))


def test_a_recv_that_times_out_or_is_cancelled_loses_nothing(run):
    async def talker(ws):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.recv(), 0.02)
        for n in range(50):
            receiving = asyncio.ensure_future(ws.recv())
            await ws.send(str(n))
            for _ in range(n % 7):
                await asyncio.sleep(0)
            receiving.cancel()
            try:
                got = await receiving
            except asyncio.CancelledError:
                got = await ws.recv()
            assert got == str(n)

    run(talk(echo, talker))


def test_one_recv_at_a_time(run):
    async def talker(ws):
        first = asyncio.ensure_future(ws.recv())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one at a time"):
            await ws.recv()
        await ws.send("for the first")
        assert await first == "for the first"

    run(talk(echo, talker))


def test_what_came_before_the_end_is_received_and_then_the_report(run):
    async def handler(ws):
        for n in range(10):
            await ws.send(str(n))
        await ws.close(4000, "enough")

    async def talker(ws):
        await ws.wait_closed()
        assert [await ws.recv() for _ in range(10)] == [str(n) for n in range(10)]
        with pytest.raises(ConnectionClosed) as caught:
            await ws.recv()
        assert caught.value.close_info.received == (4000, "enough")

    run(talk(handler, talker))


def test_iteration_ends_quietly_after_a_normal_close_only(run):
    async def handler(ws):
        code = int(await ws.recv())
        await ws.close(code)

    async def talker(ws):
        await ws.send("1000")
        assert [message async for message in ws] == []

    run(talk(handler, talker))

    async def other(ws):
        await ws.send("4000")
        with pytest.raises(ConnectionClosed):
            async for _ in ws:
                pass

    run(talk(handler, other))


def test_a_lost_connection_ends_iteration_with_an_error(run):
    ended = []

    async def handler(ws):
        try:
            async for _ in ws:
                pass
        except ConnectionClosed as exc:
            ended.append(exc.close_info.code)
            raise

    async def main():
        async with serve(handler, config=PLAIN) as server:
            peer = await raw_peer(server)
            peer.reset()
            await soon(lambda: ended)

    run(main())
    assert ended == [1006]


def test_a_full_queue_holds_the_sender_and_loses_nothing(run):
    config = PLAIN.replace(receive_queue=4, high_water=65536)
    sent = []

    async def handler(ws):
        for n in range(300):
            await ws.send(n.to_bytes(2, "big") + bytes(60_000))
            sent.append(n)

    async def talker(ws):
        await soon(lambda: ws.stream.held)
        before = -1
        while before != len(sent):  # until it stands still
            before = len(sent)
            await asyncio.sleep(0.2)
        assert before < 300
        assert len(ws._received) == 4
        got = [await ws.recv() for _ in range(300)]
        assert [int.from_bytes(m[:2], "big") for m in got] == list(range(300))
        with pytest.raises(ConnectionClosed):
            await ws.recv()

    run(talk(handler, talker, config=config))


@contextlib.asynccontextmanager
async def serve_by_protocol(handler, config):
    """The same over asyncio's own transport, for its port."""

    class Handling(HandledWebSocket):
        def __init__(self, *args, **options):
            super().__init__(handler, *args, **options)

    server = await asyncio.get_running_loop().create_server(
        lambda: WebSocketProtocol(Handling, config=config), "127.0.0.1", 0
    )
    async with server:
        yield SimpleNamespace(port=server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("serving", [serve, serve_by_protocol])
def test_no_more_is_read_than_is_taken(run, serving):
    """A handler that keeps up with half of what comes: what it has not taken must not grow."""
    size, most = 100, 1 << 20

    async def slow(ws):
        for count in range(1, 20_001):
            await ws.recv()
            if count % 128 == 0:
                await asyncio.sleep(0)
                waiting.append(ws.stats.bytes_in - count * (size + 6))
        ws.terminate()  # the peer does not read, and would have to be waited for

    async def main():
        async with serving(slow, config=PLAIN) as server:
            peer = await raw_peer(server)

            def flood():
                batch = make_frame(BINARY, bytes(size), key=KEY) * 1000
                with peer, contextlib.suppress(OSError):
                    while True:
                        peer.send(batch)

            await in_thread(flood)

    waiting: list[int] = []
    run(main())
    assert max(waiting) < most


def test_a_full_queue_does_not_keep_close_from_its_end(run):
    config = PLAIN.replace(receive_queue=2)

    async def handler(ws):
        for n in range(100):
            await ws.send(str(n))
        await ws.wait_closed()

    async def talker(ws):
        await soon(lambda: ws.stream.held)
        await asyncio.wait_for(ws.close(4001), 1)
        assert ws.close_info.clean
        assert await ws.recv() == "0"

    run(talk(handler, talker, config=config))


def test_a_peer_that_speaks_while_the_queue_is_full_is_not_given_up(run):
    config = PLAIN.replace(receive_queue=1, ping_interval=0.1, ping_timeout=0.1)
    flooding = PLAIN.replace(ping_interval=None)

    async def handler(ws):
        for n in range(20):
            await ws.send(str(n))
        await ws.wait_closed()

    async def main():
        async with (
            serve(handler, config=flooding) as server,
            connect(f"ws://127.0.0.1:{server.port}/", config=config) as ws,
        ):
            await asyncio.sleep(0.6)
            assert [await ws.recv() for _ in range(20)] == [str(n) for n in range(20)]

    run(main())


# -- sending -------------------------------------------------------------------------------


def test_iterators_of_both_kinds_are_fragments(run):
    async def pieces(*items):
        for item in items:
            await asyncio.sleep(0)
            yield item

    async def talker(ws):
        await ws.send(iter(["a", "b", "c"]))
        assert await ws.recv() == "abc"
        await ws.send(pieces(b"x", b"", b"y"))
        assert await ws.recv() == b"xy"
        await ws.send(pieces())
        assert await ws.recv() == ""
        with pytest.raises(ValueError, match="cannot send"):
            await ws.send(5)

    run(talk(echo, talker))


def test_what_is_slow_in_coming_is_sent_as_it_comes(run):
    async def main():
        gate = asyncio.Event()

        async def pieces():
            yield "first"
            await gate.wait()
            yield "second"

        async def handler(ws):
            await ws.send(pieces())

        async with serve(handler, config=PLAIN) as server:
            peer = await raw_peer(server)
            with peer:
                frame = await in_thread(peer.read_frame)
                assert (frame.opcode, frame.payload, frame.fin) == (TEXT, b"first", False)
                gate.set()
                frames = [await in_thread(peer.read_frame) for _ in range(2)]
                assert [(f.opcode, f.payload, f.fin) for f in frames] == [
                    (CONT, b"second", False),
                    (CONT, b"", True),
                ]

    run(main())


def test_a_source_that_fails_halfway_ends_the_connection(run):
    async def broken():
        yield "half"
        yield "of it"
        raise KeyError("source")

    async def talker(ws):
        with pytest.raises(KeyError):
            await ws.send(broken())
        await ws.wait_closed()
        assert ws.close_info.sent[0] == 1011

    run(talk(echo, talker))


def test_a_send_waits_until_the_peer_has_read(run):
    config = PLAIN.replace(high_water=65536)
    sent = []

    async def handler(ws):
        for n in range(200):
            await ws.send(bytes(60_000))
            assert ws.buffered_amount < 200_000
            sent.append(n)

    async def main():
        async with serve(handler, config=config) as server:
            peer = await raw_peer(server, receive_buffer=16384)
            await soon(lambda: sent)
            await asyncio.sleep(0.2)
            assert len(sent) < 200

            def read():
                return [peer.read_frame().opcode for _ in range(200)]

            assert await in_thread(read) == [BINARY] * 200
            await in_thread(peer.read_close)
            peer.close()

    run(main())


def test_senders_that_wait_are_woken_by_the_end(run):
    config = PLAIN.replace(high_water=65536)
    ended = []

    async def handler(ws):
        async def flood():
            try:
                while True:
                    await ws.send(bytes(60_000))
            except ConnectionClosed as exc:
                ended.append(exc)

        await asyncio.gather(*[flood() for _ in range(3)])

    async def main():
        async with serve(handler, config=config) as server:
            peer = await raw_peer(server, receive_buffer=16384)
            (ws,) = server.connections
            await soon(lambda: len(ws._senders) == 3)
            peer.reset()
            await soon(lambda: len(ended) == 3)

    run(main())


def test_a_send_after_the_end_has_the_report(run):
    async def handler(ws):
        await ws.close(4000, "bye")

    async def talker(ws):
        await ws.wait_closed()
        for verb in (ws.send, ws.ping):
            with pytest.raises(ConnectionClosed) as caught:
                await verb("late")
            assert caught.value.close_info.received == (4000, "bye")

    run(talk(handler, talker))


def test_verbs_act_without_being_awaited_and_make_good_tasks(run, recwarn):
    async def talker(ws):
        ws.send("not awaited")
        assert await ws.recv() == "not awaited"
        await asyncio.gather(*[ws.send(str(n)) for n in range(3)])
        assert [await ws.recv() for _ in range(3)] == ["0", "1", "2"]
        await asyncio.get_running_loop().create_task(ws.send("task"))
        assert await asyncio.wait_for(ws.recv(), 5) == "task"
        ws.ping()
        ws.close()
        await asyncio.get_running_loop().create_task(ws.close())

    run(talk(echo, talker))
    assert not [w for w in recwarn if "never awaited" in str(w.message)]


def test_answers_to_one_burst_leave_in_one_write(run):
    async def main():
        async with serve(echo, config=PLAIN) as server:
            peer = await raw_peer(server)
            (ws,) = server.connections
            before = ws.stats.bytes_out

            def ask():
                peer.send(b"".join(make_frame(TEXT, b"%d" % n, key=KEY) for n in range(9)))
                while len(peer.sock.recv(4096, 2)) < 1:  # MSG_PEEK: wait for the first of it
                    pass
                return peer.sock.recv(4096)

            assert len(await in_thread(ask)) == 9 * 3
            assert ws.stats.bytes_out - before == 9 * 3
            peer.close()

    run(main())


# -- pings and the end ---------------------------------------------------------------------


def test_a_ping_gives_the_latency(run):
    async def talker(ws):
        assert 0 < await ws.ping() < 5
        first, second = ws.ping("a"), ws.ping("b")
        assert await second > 0
        assert first.done()
        assert ws.latency > 0

    run(talk(echo, talker))


def test_a_ping_fails_when_the_end_comes_first(run):
    async def main():
        async with serve(idle, config=PLAIN) as server:
            peer = await raw_peer(server)
            (ws,) = server.connections
            latency = ws.ping()
            assert (await in_thread(peer.read_frame)).opcode == PING
            peer.reset()
            with pytest.raises(ConnectionClosed):
                await latency

    run(main())


def test_the_end_of_a_handler_is_that_of_its_connection(run, caplog):
    async def returns(ws):
        await ws.send("hello")

    async def talker(ws):
        assert await ws.recv() == "hello"
        await ws.wait_closed()
        return ws.close_info.received

    assert run(talk(returns, talker)) == (1000, "")

    async def raises(ws):
        await ws.send("hello")
        raise KeyError("in the handler")

    with caplog.at_level(logging.ERROR):
        assert run(talk(raises, talker))[0] == 1011
    assert "in the handler" in caplog.text
    assert "raises" in caplog.text


def test_a_handler_that_only_sends_can_wait_for_the_end(run):
    ended = []

    async def handler(ws):
        await ws.send("tick")
        await ws.closed_event.wait()
        ended.append(ws.close_info.code)

    async def talker(ws):
        assert await ws.recv() == "tick"
        await ws.close(4002)
        await soon(lambda: ended)

    run(talk(handler, talker))
    assert ended == [4002]


def test_close_may_come_from_another_thread(run):
    async def talker(ws):
        thread = threading.Thread(target=ws.close, args=(4003, "thread"))
        thread.start()
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        thread.join()
        assert ws.close_info.sent == (4003, "thread")

    run(talk(echo, talker))


def test_a_class_may_have_both_faces(run):
    class Chatty(Awaited, WebSocket):
        def opened(self):
            self.send("hello")

    async def talker(ws):
        assert await ws.recv() == "hello"

    run(talk(Chatty, talker))


def test_senders_that_give_up_leave_nothing(run):
    async def main():
        config = PLAIN.replace(high_water=65536)
        async with serve(idle, config=config) as server:
            peer = await raw_peer(server, receive_buffer=16384)
            (ws,) = server.connections
            while ws.stream.owed() <= 65536:
                ws.push(bytes(65536))
            for _ in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(ws.send("more"), 0.001)
            assert ws._senders == []
            peer.close()

    run(main())


def test_a_ping_waits_for_room_as_a_message_does(run):
    async def main():
        config = PLAIN.replace(high_water=65536)
        async with serve(idle, config=config) as server:
            peer = await raw_peer(server, receive_buffer=16384)
            (ws,) = server.connections
            while ws.stream.owed() <= 65536:
                ws.push(bytes(65536))
            ping = asyncio.ensure_future(ws.ping(b"at last"))
            await asyncio.sleep(0)
            assert not ping.done()
            assert not ws.stream.close_info

            def read_on():
                while (frame := peer.read_frame()).opcode != PING:
                    pass
                peer.pong(frame.payload)
                return frame.payload

            assert await in_thread(read_on) == b"at last"
            assert await asyncio.wait_for(ping, 10) > 0
            peer.close()

    run(main())

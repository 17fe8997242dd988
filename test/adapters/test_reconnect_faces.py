"""Connecting again: the faces without hooks, what is kept while offline, and old programs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import threading
import time

import pytest
from backends import QUICK
from conversation import Background, read_text
from hooks import Recorded
from rawpeer import RawServer
from waiting import wait_for

from ws4py.client import WebSocketBaseClient, asyncioclient, syncclient
from ws4py.client.offline import KeepingStream, Queue
from ws4py.client.reconnect import Reconnect
from ws4py.client.threadedclient import WebSocketClient
from ws4py.exc import ConnectionClosed, HandshakeError
from ws4py.manager import WebSocketManager

AT_ONCE = Reconnect(delays=lambda: itertools.repeat(0.0))
IN_AN_HOUR = Reconnect(delays=lambda: itertools.repeat(3600.0))


@pytest.fixture
def raw():
    with RawServer() as server:
        yield server


def accept(raw):
    peer = raw.accept()
    peer.handshake()
    return peer


def refuse(raw, status=503):
    peer = raw.accept()
    peer.read_head()
    peer.send(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    peer.close()


def goodbye(peer):
    peer.read_close()
    peer.close_frame(1000)
    peer.close()


# -- the blocking face -----------------------------------------------------------------------


class TestBlocking:
    def test_one_connection_after_the_other(self, raw):
        def serve():
            for n in range(3):
                peer = accept(raw)
                peer.text(f"number {n}")
                peer.close()
            refuse(raw, 404)

        serving = Background(serve)
        seen, got = [], []

        def use():
            for ws in syncclient.connect(raw.url, reconnect=AT_ONCE, config=QUICK):
                seen.append(ws)
                got.append(ws.recv())
                with pytest.raises(ConnectionClosed):
                    ws.recv()

        with pytest.raises(HandshakeError):  # what cannot be cured ends the loop
            use()
        serving.result()
        assert got == ["number 0", "number 1", "number 2"]
        assert len(set(seen)) == 3
        assert all(ws.terminated for ws in seen)

    def test_break_closes_the_connection(self, raw):
        serving = Background(lambda: goodbye(accept(raw)))
        seen = None
        for ws in syncclient.connect(raw.url, reconnect=True, config=QUICK):
            seen = ws
            break
        assert seen.terminated
        serving.result()

    def test_continue_closes_it_too(self, raw):
        serving = Background(lambda: [goodbye(accept(raw)) for _ in range(3)])
        for n, ws in enumerate(syncclient.connect(raw.url, reconnect=AT_ONCE, config=QUICK)):
            assert ws.close_info is None
            if n == 2:
                break
        serving.result()

    def test_an_error_in_the_body_passes_and_closes(self, raw):
        def use():
            for _ in syncclient.connect(raw.url, reconnect=True, config=QUICK):
                raise KeyError

        serving = Background(lambda: goodbye(accept(raw)))
        with pytest.raises(KeyError):
            use()
        serving.result()

    @pytest.mark.parametrize("where", ["wait", "attempt", "connection"])
    def test_close_ends_the_loop_from_another_thread(self, raw, where):
        policy = IN_AN_HOUR if where == "wait" else AT_ONCE
        connections = syncclient.connect(raw.url, reconnect=policy, config=QUICK)
        there = threading.Event()

        def use():
            for ws in connections:
                there.set()
                with contextlib.suppress(ConnectionClosed):
                    ws.recv()

        using = Background(use)
        peer = accept(raw)
        wait_for(there)
        if where == "connection":
            ending = Background(goodbye, peer)
            connections.close()
            ending.result()
        else:
            peer.close()
            if where == "attempt":
                raw.accept().read_head()
            connections.close()
        using.result()

    def test_without_reconnect_it_is_a_connection(self, raw):
        serving = Background(lambda: goodbye(accept(raw)))
        with syncclient.connect(raw.url, reconnect=False, config=QUICK) as ws:
            assert isinstance(ws, syncclient.Connection)
        serving.result()

    def test_a_signal_handler_may_end_it(self, raw):
        """In the middle of the wait, on the very thread that waits."""
        connections = syncclient.connect(raw.url, reconnect=IN_AN_HOUR, config=QUICK)
        before = signal.signal(signal.SIGUSR1, lambda *_: connections.close())
        try:
            serving = Background(lambda: (refuse(raw), time.sleep(0.05)))
            killer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
            killer.start()
            assert list(connections) == []
            killer.join()
            serving.result()
        finally:
            signal.signal(signal.SIGUSR1, before)


# -- the awaited face ------------------------------------------------------------------------


class TestAwaited:
    def test_one_connection_after_the_other(self, raw):
        def serve():
            refuse(raw)
            for _ in range(3):
                peer = accept(raw)
                assert read_text(peer) == "hello"
                peer.close()
            refuse(raw, 404)

        seen = []

        async def use():
            async for ws in asyncioclient.connect(raw.url, reconnect=AT_ONCE, config=QUICK):
                seen.append(ws)
                await ws.send("hello")
                with contextlib.suppress(ConnectionClosed):
                    await ws.recv()

        async def main():
            with pytest.raises(HandshakeError):
                await use()
            assert len(set(seen)) == 3
            assert len(asyncio.all_tasks()) == 1

        serving = Background(serve)
        asyncio.run(main())
        serving.result()

    def test_a_function_may_be_a_coroutine_function(self, raw):
        calls = []

        def giving(name, value):
            async def give():
                await asyncio.sleep(0)
                calls.append(name)
                return value

            return give

        async def main():
            connecting = asyncioclient.connect(
                giving("url", raw.url),
                headers=giving("headers", {"X-Mine": "1"}),
                auth=giving("auth", ("me", "secret")),
                reconnect=AT_ONCE,
                config=QUICK,
            )
            async for _ in connecting:
                if len(calls) == 6:
                    break

        serving = Background(lambda: [goodbye(accept(raw)) for _ in range(2)])
        asyncio.run(main())
        serving.result()
        assert calls == ["url", "headers", "auth"] * 2

    def test_a_coroutine_function_is_nothing_for_threads(self, raw):
        async def url():
            return raw.url

        with pytest.raises(TypeError, match="asyncio"):
            syncclient.connect(url)

    @pytest.mark.parametrize("where", ["wait", "attempt", "connection"])
    def test_to_cancel_ends_it_and_leaves_nothing(self, raw, where):
        policy = IN_AN_HOUR if where == "wait" else AT_ONCE

        async def main():
            there = asyncio.Event()

            async def use():
                async for ws in asyncioclient.connect(raw.url, reconnect=policy, config=QUICK):
                    there.set()
                    with contextlib.suppress(ConnectionClosed):
                        await ws.recv()

            task = asyncio.ensure_future(use())
            in_thread = asyncio.get_running_loop().run_in_executor
            peer = await in_thread(None, accept, raw)
            await there.wait()
            if where != "connection":
                peer.close()
                await asyncio.sleep(0.05)
            if where == "attempt":
                silent = await in_thread(None, raw.accept)
                await in_thread(None, silent.read_head)
            task.cancel()
            if where == "connection":
                await in_thread(None, goodbye, peer)
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.05)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(main())

    def test_await_tries_until_it_is_connected(self, raw):
        async def main():
            async with asyncioclient.connect(raw.url, reconnect=AT_ONCE, config=QUICK) as ws:
                await ws.send("there")

        def serve():
            refuse(raw)
            peer = accept(raw)
            assert read_text(peer) == "there"
            goodbye(peer)

        serving = Background(serve)
        asyncio.run(main())
        serving.result()


# -- hooks on a loop -------------------------------------------------------------------------


def test_hooks_may_be_coroutine_functions(raw):
    done = []

    class Client(asyncioclient.WebSocketClient):
        async def opened(self):
            await asyncio.sleep(0.02)
            done.append("opened")
            self.send("subscribe")

        async def reconnecting(self, attempt, delay, why):
            await asyncio.sleep(0)
            done.append("reconnecting")
            self.send("kept")

        async def reconnected(self, attempt):
            await asyncio.sleep(0.02)
            done.append("reconnected")
            self.send("again")

        async def closed(self, code, reason=None):
            await asyncio.sleep(0)
            done.append("closed")

        async def gave_up(self, error):
            await asyncio.sleep(0)
            done.append("gave_up")

    def serve():
        peer = accept(raw)
        assert read_text(peer) == "subscribe"
        peer.close()
        peer = accept(raw)
        assert [read_text(peer) for _ in range(3)] == ["subscribe", "again", "kept"]
        peer.close()
        refuse(raw, 403)

    async def main():
        policy = Reconnect(delays=lambda: itertools.repeat(0.0), queue=5)
        ws = Client(raw.url, reconnect=policy, config=QUICK)
        await ws.connect()
        await ws.wait_closed()
        assert ws.terminated
        assert len(asyncio.all_tasks()) == 1

    serving = Background(serve)
    asyncio.run(main())
    serving.result()
    assert done == [
        *("opened", "closed", "reconnecting"),
        *("opened", "reconnected", "closed", "reconnecting"),
        "gave_up",
    ]


def test_a_connect_that_is_cancelled_leaves_nothing(raw):
    async def main():
        ws = asyncioclient.WebSocketClient(raw.url, reconnect=IN_AN_HOUR, config=QUICK)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.connect(), 0.2)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        assert not ws._persists

    refusing = Background(refuse, raw)
    asyncio.run(main())
    refusing.result()


def test_ctrl_c_in_run_forever_ends_all(raw):
    class Client(asyncioclient.WebSocketClient):
        ended = None

        def opened(self):
            os.kill(os.getpid(), signal.SIGINT)

        def closed(self, code, reason=None):
            type(self).ended = code

    serving = Background(lambda: accept(raw).read_to_eof())
    ws = Client(raw.url, reconnect=AT_ONCE, config=QUICK)
    ws.connect()
    with pytest.raises(KeyboardInterrupt):
        ws.run_forever()
    serving.result()
    assert Client.ended == 1006


# -- threads and managers --------------------------------------------------------------------


class Client(Recorded, WebSocketClient):
    """On a thread of its own."""


def test_run_forever_returns_when_it_is_all_over(raw):
    ws = Client(raw.url, reconnect=AT_ONCE, config=QUICK)
    serving = Background(lambda: accept(raw).close())
    ws.connect()
    waiting = Background(ws.run_forever)
    serving.result()
    peer = accept(raw)
    ws.log.wait("opened", 2)
    ending = Background(goodbye, peer)
    ws.close()
    waiting.result()
    ending.result()
    assert ws.terminated


def test_a_manager_that_stops_gets_nobody_back(raw):
    manager = WebSocketManager()
    manager.start()

    class Managed(Recorded, WebSocketBaseClient):
        def handshake_ok(self):
            manager.add(self)

    ws = Managed(raw.url, reconnect=AT_ONCE, config=QUICK)
    serving = Background(accept, raw)
    ws.connect()
    peer = serving.result()
    manager.stop()
    manager.join()
    assert ws.log.names.count("closed") == 1
    wait_for(lambda: not ws._persists)
    peer.close()


def test_an_error_in_handshake_ok_ends_it(raw, caplog):
    manager = WebSocketManager()
    manager.start()

    class Managed(Recorded, WebSocketBaseClient):
        calls = 0

        def handshake_ok(self):
            type(self).calls += 1
            if self.calls == 2:
                raise RuntimeError("no room")
            manager.add(self)

        def gave_up(self, error):
            self.log.add("gave_up", error)

    ws = Managed(raw.url, reconnect=AT_ONCE, config=QUICK)
    serving = Background(lambda: (accept(raw).close(), accept(raw).read_to_eof()))
    ws.connect()
    assert str(ws.log.wait("gave_up")[0]) == "no room"
    serving.result()
    manager.stop()
    manager.join()


def test_the_next_connection_may_begin_in_closed(raw):
    """As programs for 0.6 connect again: ``__init__`` and ``connect()``, on threads."""

    class Again(Recorded, WebSocketClient):
        count = 0

        def opened(self):
            super().opened()
            type(self).count += 1

        def closed(self, code, reason=None):
            super().closed(code, reason)
            if self.count < 3:
                self.__init__(self.url, config=QUICK)
                self.connect()
                self.connected_again = True

    ws = Again(raw.url, config=QUICK)
    serving = Background(lambda: [accept(raw).close() for _ in range(2)] and accept(raw))
    ws.connect()
    peer = serving.result()
    wait_for(lambda: Again.count == 3)
    assert ws.terminated is False
    ws.send("alive")
    assert read_text(peer) == "alive"
    peer.text("and well")
    ws.log.wait("received_message")
    ending = Background(goodbye, peer)
    ws.close()
    ws.run_forever()
    ending.result()
    assert ws.terminated


def test_the_next_connection_may_begin_in_a_coroutine_closed(raw):
    texts = []

    class Again(asyncioclient.WebSocketClient):
        count = 0

        async def opened(self):
            type(self).count += 1
            self.send("hello")

        async def received_message(self, message):
            texts.append(str(message))
            self.close()

        async def closed(self, code, reason=None):
            if self.count < 2:
                self.__init__(self.url, config=QUICK)
                await self.connect()

    def serve():
        peer = accept(raw)
        peer.close()
        peer = accept(raw)
        assert read_text(peer) == "hello"
        peer.text("welcome")
        goodbye(peer)

    async def main():
        ws = Again(raw.url, config=QUICK)
        await ws.connect()
        await ws.wait_closed()
        assert texts == ["welcome"]

    serving = Background(serve)
    asyncio.run(main())
    serving.result()


def test_a_second_connect_is_refused_while_it_comes_back(raw):
    ws = Client(raw.url, reconnect=IN_AN_HOUR, config=QUICK)
    serving = Background(lambda: accept(raw).close())
    ws.connect()
    serving.result()
    ws.log.wait("closed")
    with pytest.raises(RuntimeError, match="already"):
        ws.connect()
    ws.close()
    ws.run_forever()


# -- what is kept ----------------------------------------------------------------------------


def offline(**options) -> KeepingStream:
    return KeepingStream(Queue(Reconnect(**options)), was_open=False)


def kept(stream):
    return [payload for payload, _, _ in stream._queue_of_messages._kept]


def test_what_is_kept_is_bounded_by_number_and_by_bytes():
    stream = offline(queue=3, queue_size=10)
    for payload in (b"1234", b"5678"):
        stream.send_message(payload)
    with pytest.raises(ConnectionClosed, match="2 messages"):
        stream.send_message(b"too much")
    stream.send_message(b"90")
    with pytest.raises(ConnectionClosed, match="3 messages"):
        stream.send_message(b"")
    assert kept(stream) == [b"1234", b"5678", b"90"]


@pytest.mark.parametrize(
    ("policy", "left"),
    [("drop_oldest", [b"3", b"4", b"5"]), ("drop_newest", [b"1", b"2", b"3"])],
)
def test_who_gives_way_when_it_is_full(policy, left):
    stream = offline(queue=3, when_full=policy)
    for payload in (b"1", b"2", b"3", b"4", b"5"):
        stream.send_message(payload)
    assert kept(stream) == left


def test_a_message_larger_than_all_that_is_kept_is_refused():
    stream = offline(queue=3, queue_size=4, when_full="drop_oldest")
    with pytest.raises(ConnectionClosed):
        stream.send_message(b"12345")
    message = stream.fragmented()
    message.send(b"123")
    with pytest.raises(ConnectionClosed):
        message.send(b"45", True)


def test_when_it_is_all_over_nothing_is_kept():
    stream = offline(queue=3)
    stream.send_message(b"1")
    assert stream._queue_of_messages.end() == 1
    with pytest.raises(ConnectionClosed):
        stream.send_message(b"2")


def test_threads_that_send_meanwhile_lose_nothing_and_keep_their_order(raw):
    """Through several losses, while the queue is handed over again and again."""
    policy = Reconnect(delays=lambda: itertools.repeat(0.01), queue=10_000)
    ws = Client(raw.url, reconnect=policy, config=QUICK)
    received: list[str] = []
    rounds = 4

    def serve():
        for n in range(rounds):
            peer = accept(raw)
            while True:
                text = read_text(peer)
                received.append(text)
                if n < rounds - 1 and len(received) > 50 * (n + 1):
                    break
                if text == "end":
                    goodbye(peer)
                    return
            peer.close()

    serving = Background(serve)
    ws.connect()

    def send(name):
        for n in range(200):
            ws.send(f"{name} {n}")
            time.sleep(0.001)

    senders = [Background(send, name) for name in "abc"]
    for sender in senders:
        sender.result(30)
    wait_for(lambda: ws.log.names.count("opened") == rounds)
    ws.send("end")
    ending = Background(ws.close)
    serving.result(30)
    ending.result()
    ws.run_forever()
    for name in "abc":
        numbers = [int(text.split()[1]) for text in received if text.startswith(name)]
        assert len(set(numbers)) == len(numbers)
        assert numbers[-1] == 199  # what was lost was on its way when a connection broke

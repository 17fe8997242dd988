"""The ASGI application, held against the ASGI specification by a server made of two queues."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hooks import echo, recorded
from waiting import wait_for

from ws4py.protocol.config import DEFAULT
from ws4py.server.asgi import WebSocketASGIApplication
from ws4py.websocket import EchoWebSocket, WebSocket

QUICK = DEFAULT.replace(close_timeout=0.2)


def scope(**changes: Any) -> dict[str, Any]:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 5555),
        "root_path": "",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        **changes,
    }


class Call:
    """One call of the application, as a server makes it."""

    def __init__(self, application: Any, **changes: Any) -> None:
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.outbox: asyncio.Queue[Any] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.task = asyncio.create_task(
            application(scope(**changes), self.inbox.get, self._send)  # type: ignore[arg-type]
        )

    async def _send(self, event: Any) -> None:
        await self.gate.wait()
        self.outbox.put_nowait(event)

    def tell(self, kind: str, **event: Any) -> None:
        self.inbox.put_nowait({"type": f"websocket.{kind}", **event})

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.outbox.get(), 5)

    async def accepted(self) -> Any:
        self.tell("connect")
        event = await self.hear()
        assert event["type"] == "websocket.accept", event
        return event

    async def end(self) -> None:
        await asyncio.wait_for(self.task, 5)


def run(test):
    """Run a coroutine function as a test."""

    def wrapper(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    wrapper.__name__ = test.__name__
    return wrapper


@run
async def test_messages_go_both_ways_as_what_they_are():
    handler = echo()
    call = Call(WebSocketASGIApplication(handler))
    await call.accepted()
    call.tell("receive", text="żółw")
    assert await call.hear() == {"type": "websocket.send", "text": "żółw"}
    call.tell("receive", bytes=b"\xff", text=None)
    assert await call.hear() == {"type": "websocket.send", "bytes": b"\xff"}
    call.tell("receive", bytes=None, text="")
    assert await call.hear() == {"type": "websocket.send", "text": ""}
    call.tell("disconnect", code=3000, reason="bye")
    await call.end()
    assert call.outbox.empty()
    ws = handler.next()
    assert ws.log.wait("closed") == (3000, "bye")
    assert ws.terminated


@run
async def test_a_fragmented_message_leaves_in_one_piece_and_pings_go_nowhere():
    def opened(ws):
        ws.ping("hello?")
        ws.send(piece for piece in ("one ", "two ", "three"))

    call = Call(WebSocketASGIApplication(recorded(WebSocket, opened=opened)))
    await call.accepted()
    assert await call.hear() == {"type": "websocket.send", "text": "one two three"}
    call.tell("disconnect", code=1000)
    await call.end()


@run
async def test_our_close_waits_for_the_servers_word_or_the_timeout():
    handler = recorded(WebSocket, opened=lambda ws: ws.close(4000, "go"))
    application = WebSocketASGIApplication(handler, config=QUICK)
    for answer in (True, False):
        call = Call(application)
        await call.accepted()
        assert await call.hear() == {"type": "websocket.close", "code": 4000, "reason": "go"}
        if answer:
            call.tell("disconnect", code=4000, reason="")
        await call.end()
        code, _ = handler.made.get(timeout=5).log.wait("closed")
        assert code == (4000 if answer else 1006)


@run
async def test_without_a_code_the_server_takes_its_own():
    call = Call(WebSocketASGIApplication(recorded(WebSocket, opened=lambda ws: ws.close(None))))
    await call.accepted()
    assert await call.hear() == {"type": "websocket.close", "reason": ""}
    call.tell("disconnect", code=1000)
    await call.end()


@pytest.mark.parametrize(("told", "code"), [(None, 1005), (1005, 1005), (1006, 1006), (99, 1006)])
def test_how_it_ended_is_what_the_server_says(told, code):
    @run
    async def test():
        handler = recorded(WebSocket)
        call = Call(WebSocketASGIApplication(handler))
        await call.accepted()
        call.tell("disconnect", **({} if told is None else {"code": told}))
        await call.end()
        assert handler.next().log.wait("closed")[0] == code

    test()


@run
async def test_a_hook_that_raises_closes_with_1011():
    def received_message(ws, message):
        raise KeyError("a bug")

    call = Call(WebSocketASGIApplication(recorded(WebSocket, received_message=received_message)))
    await call.accepted()
    call.tell("receive", text="now")
    assert (await call.hear())["code"] == 1011
    call.tell("disconnect", code=1011)
    await call.end()


@run
async def test_the_next_message_is_asked_for_when_the_answer_is_taken():
    call = Call(WebSocketASGIApplication(EchoWebSocket))
    await call.accepted()
    call.gate.clear()
    for number in range(3):
        call.tell("receive", text=str(number))
    while call.inbox.qsize() > 2:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert call.inbox.qsize() == 2
    call.gate.set()
    assert [(await call.hear())["text"] for _ in range(3)] == ["0", "1", "2"]
    call.tell("disconnect", code=1000)
    await call.end()


@run
async def test_a_server_that_cannot_send_any_more():
    handler = recorded(WebSocket)
    call = Call(WebSocketASGIApplication(handler))
    await call.accepted()

    async def broken(event):
        raise OSError("gone")

    ws = await asyncio.to_thread(handler.next)
    ws.transport._send = broken
    ws.send("anybody there?")
    await asyncio.sleep(0)
    call.tell("receive", text="said before")
    call.tell("disconnect", code=1006)
    await call.end()
    assert ws.log.texts == ["said before"]
    assert ws.log.wait("closed") == (1006, "gone")


@run
async def test_threads_send_and_wait_for_a_slow_peer():
    config = DEFAULT.replace(high_water=1000, overflow="block")
    handler = recorded(WebSocket)
    call = Call(WebSocketASGIApplication(handler, config=config))
    await call.accepted()
    ws = await asyncio.to_thread(handler.next)
    call.gate.clear()

    def talk():
        for number in range(10):
            ws.send(f"{number} " + "x" * 1000)

    talker = threading.Thread(target=talk)
    talker.start()
    await asyncio.to_thread(wait_for, lambda: ws.buffered_amount > 1000)
    assert ws.buffered_amount < 4000
    call.gate.set()
    assert [(await call.hear())["text"][0] for _ in range(10)] == list("0123456789")
    await asyncio.to_thread(talker.join)
    call.tell("disconnect", code=1000)
    await call.end()


@run
async def test_a_coroutine_function_may_be_the_handler():
    async def handler(ws):
        async for message in ws:
            await ws.send(f"{ws.environ['asgi.scope']['path']} {message}")

    call = Call(WebSocketASGIApplication(handler), path="/room")
    await call.accepted()
    call.tell("receive", text="hello")
    assert (await call.hear())["text"] == "/room hello"
    call.tell("disconnect", code=1000)
    await call.end()


@run
async def test_a_handler_that_does_not_listen_is_told_no_more():
    config = DEFAULT.replace(receive_queue=2)
    wanted = asyncio.Event()
    heard = []

    async def handler(ws):
        await wanted.wait()
        heard.extend([await ws.recv() for _ in range(6)])

    call = Call(WebSocketASGIApplication(handler, config=config))
    await call.accepted()
    for number in range(6):
        call.tell("receive", text=str(number))
    for _ in range(50):
        await asyncio.sleep(0)
    assert call.inbox.qsize() == 4
    wanted.set()
    assert (await call.hear())["code"] == 1000
    assert heard == list("012345")
    call.tell("disconnect", code=1000)
    await call.end()


def test_another_thread_may_close_while_the_handler_does_not_listen():
    async def main():
        handlers = []

        async def handler(ws):
            handlers.append(ws)
            await ws.wait_closed()

        call = Call(WebSocketASGIApplication(handler, config=DEFAULT.replace(receive_queue=1)))
        await call.accepted()
        for number in range(6):
            call.tell("receive", text=str(number))
        for _ in range(50):
            await asyncio.sleep(0)
        assert handlers[0].stream.held
        await asyncio.to_thread(handlers[0].close, 4000)
        assert (await call.hear())["code"] == 4000
        call.tell("disconnect", code=4000)
        await call.end()

    # Which objects to calls from a wrong thread.
    asyncio.run(main(), debug=True)


@run
async def test_a_sender_waits_for_a_slow_peer():
    config = DEFAULT.replace(high_water=1000)
    sent = []

    async def handler(ws):
        for number in range(5):
            await ws.send(f"{number} " + "x" * 2000)
            sent.append(number)

    call = Call(WebSocketASGIApplication(handler, config=config))
    await call.accepted()
    call.gate.clear()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(sent) <= 2
    call.gate.set()
    for number in range(5):
        assert (await call.hear())["text"].startswith(f"{number} ")
    assert (await call.hear())["code"] == 1000
    call.tell("disconnect", code=1000)
    await call.end()


@run
async def test_coroutine_hooks_are_waited_for():
    done = []

    class Handler(WebSocket):
        async def received_message(self, message):
            await asyncio.sleep(0)
            self.send(f"slowly {message}")

        async def closed(self, code, reason=None):
            await asyncio.sleep(0)
            done.append(code)

    call = Call(WebSocketASGIApplication(Handler))
    await call.accepted()
    call.tell("receive", text="hello")
    assert (await call.hear())["text"] == "slowly hello"
    call.tell("disconnect", code=1000)
    await call.end()
    assert done == [1000]


@run
async def test_a_task_that_is_cancelled_still_tells_the_hooks():
    handler = recorded(WebSocket)
    call = Call(WebSocketASGIApplication(handler))
    await call.accepted()
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.end()
    assert handler.next().log.wait("closed")[0] == 1006


class TestOpening:
    def test_mounted_below_a_path(self):
        seen = {}

        @run
        async def test():
            handler = recorded(WebSocket, opened=lambda ws: seen.update(ws.environ))
            call = Call(
                WebSocketASGIApplication(handler),
                root_path="/api",
                path="/api/room",
                raw_path=b"/api/room",
                query_string=b"who=me",
                headers=[(b"host", b"localhost"), (b"x-colour", b"green")],
            )
            await call.accepted()
            call.tell("disconnect", code=1000)
            await call.end()

        test()
        assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/api", "/room")
        assert (seen["QUERY_STRING"], seen["HTTP_X_COLOUR"]) == ("who=me", "green")

    def test_subprotocols_from_the_header_or_the_scope(self):
        @run
        async def test():
            application = WebSocketASGIApplication(
                WebSocket, protocols=["chat"], extra_headers=[("X-Who", "us")]
            )
            for changes in (
                {"subprotocols": ["mqtt", "chat"]},
                {"headers": [(b"host", b"x"), (b"sec-websocket-protocol", b"mqtt, chat")]},
            ):
                call = Call(application, **changes)
                event = await call.accepted()
                assert event["subprotocol"] == "chat"
                assert event["headers"] == [(b"x-who", b"us")]
                call.tell("disconnect", code=1000)
                await call.end()

        test()

    @pytest.mark.parametrize("denial", [True, False])
    def test_a_foreign_origin_is_refused(self, denial):
        @run
        async def test():
            call = Call(
                WebSocketASGIApplication(WebSocket),
                headers=[(b"host", b"localhost"), (b"origin", b"http://evil.example")],
                extensions={"websocket.http.response": {}} if denial else {},
            )
            call.tell("connect")
            if denial:
                start, body = await call.hear(), await call.hear()
                assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
                assert b"evil.example" in body["body"]
            else:
                assert await call.hear() == {"type": "websocket.close"}
            await call.end()

        test()

    def test_whoever_leaves_before_the_answer(self):
        @run
        async def test():
            handler = recorded(WebSocket)
            call = Call(WebSocketASGIApplication(handler))
            call.tell("disconnect", code=1006)
            await call.end()
            assert handler.made.empty()

        test()

    def test_http_2_has_no_key(self):
        @run
        async def test():
            call = Call(
                WebSocketASGIApplication(WebSocket),
                http_version="2",
                headers=[(b":authority", b"localhost"), (b"sec-websocket-version", b"13")],
            )
            await call.accepted()
            call.tell("disconnect", code=1000)
            await call.end()

        test()


class TestTheRest:
    def test_ordinary_requests_are_told_to_upgrade(self):
        @run
        async def test():
            call = Call(WebSocketASGIApplication(WebSocket), type="http", method="GET")
            start, body = await call.hear(), await call.hear()
            assert (start["type"], start["status"]) == ("http.response.start", 426)
            assert (b"upgrade", b"websocket") in start["headers"]
            assert b"WebSocket" in body["body"]
            await call.end()

        test()

    def test_the_life_of_the_server(self):
        @run
        async def test():
            handler = recorded(WebSocket)
            application = WebSocketASGIApplication(handler)
            life = Call(application, type="lifespan")
            life.inbox.put_nowait({"type": "lifespan.startup"})
            assert await life.hear() == {"type": "lifespan.startup.complete"}
            call = Call(application)
            await call.accepted()
            assert len(application) == 1
            life.inbox.put_nowait({"type": "lifespan.shutdown"})
            assert (await call.hear())["code"] == 1001
            call.tell("disconnect", code=1001)
            assert await life.hear() == {"type": "lifespan.shutdown.complete"}
            await call.end()
            await life.end()
            assert len(application) == 0

        test()

    def test_what_is_neither_is_refused(self):
        @run
        async def test():
            with pytest.raises(ValueError, match="cannot serve"):
                await Call(WebSocketASGIApplication(WebSocket), type="telegram").end()

        test()

    def test_broadcast_reaches_everybody_from_any_thread(self):
        @run
        async def test():
            application = WebSocketASGIApplication(WebSocket)
            calls = [Call(application) for _ in range(3)]
            for call in calls:
                await call.accepted()
            await asyncio.to_thread(application.broadcast, "to all")
            for call in calls:
                assert (await call.hear())["text"] == "to all"
                call.tell("disconnect", code=1000)
                await call.end()

        test()

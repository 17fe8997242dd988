"""The clients without hooks, blocking and awaited, and servers that are broken or mean.

What every client has in common is under conformance; here is what ``connect()`` and ``recv()`` say.
"""

from __future__ import annotations

import asyncio

import pytest
from backends import QUICK
from conversation import Background, read_close_code
from hostile import HOSTILE, HostileServer
from rawpeer import CONT, TEXT, RawServer, make_frame

from ws4py.client import asyncioclient, syncclient
from ws4py.exc import ConnectionClosed

CONFIG = QUICK.replace(max_message_size=100_000, open_timeout=10.0, max_redirects=5)


def read_blocking(url, background=False):
    """All messages, and the error that came behind them."""
    received = []
    with syncclient.connect(url, config=CONFIG, background=background) as ws:
        try:
            while True:
                received.append(ws.recv(timeout=10))
        except ConnectionClosed as exc:
            return received, exc


def read_awaited(url):
    """The same, on a loop."""

    async def read():
        received = []
        async with asyncioclient.connect(url, config=CONFIG) as ws:
            try:
                while True:
                    received.append(await asyncio.wait_for(ws.recv(), 10))
            except ConnectionClosed as exc:
                return received, exc

    return asyncio.run(read())


READERS = {
    "blocking": read_blocking,
    "background": lambda url: read_blocking(url, background=True),
    "awaited": read_awaited,
}


@pytest.fixture(params=READERS)
def read(request):
    return READERS[request.param]


@pytest.mark.parametrize(
    "name", ["a page of HTML", "redirects without end", "a head without end", "a wrong accept key"]
)
def test_what_connect_says(read, name):
    case = HOSTILE[name]
    with HostileServer(case.script) as server, pytest.raises(case.error) as caught:
        read(server.url)
    assert case.text in str(caught.value)


@pytest.mark.parametrize(
    ("early", "code"),
    [
        (make_frame(TEXT, b"?", key=b"abcd"), 1002),
        (make_frame(TEXT, b"\xff"), 1007),
        (make_frame(TEXT, bytes(60_000), fin=False) + make_frame(CONT, bytes(60_000)), 1009),
    ],
)
def test_what_recv_says(read, early, code):
    def accept(server):
        peer = server.accept()
        peer.handshake(extra=make_frame(TEXT, b"good") + early)
        assert read_close_code(peer) == code
        peer.close()

    with RawServer() as server:
        accepting = Background(accept, server)
        received, error = read(server.url)
        accepting.result()
    assert received == ["good"]
    assert error.close_info.code == 1006
    assert error.close_info.sent[0] == code


def test_the_end_without_a_word(read):
    def accept(server):
        peer = server.accept()
        peer.handshake(extra=make_frame(TEXT, b"good") + make_frame(TEXT, b"half")[:3])
        peer.close()

    with RawServer() as server:
        accepting = Background(accept, server)
        received, error = read(server.url)
        accepting.result()
    assert received == ["good"]
    assert error.close_info.code == 1006


def test_a_cancelled_connect_cancels_the_function_it_waits_for():
    ends = []

    async def headers():
        try:
            await asyncio.sleep(10)
        finally:
            ends.append("headers")

    async def main():
        connecting = asyncio.ensure_future(
            asyncioclient.connect("ws://127.0.0.1:1/", headers=headers)._connect()
        )
        await asyncio.wait({connecting}, timeout=0.05)
        connecting.cancel()
        await asyncio.wait({connecting})
        assert connecting.cancelled()
        await asyncio.sleep(0)
        assert ends == ["headers"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_cancelled_connect_leaves_nothing_of_a_redirect():
    with HostileServer(HOSTILE["silent after a redirect"].script) as server:

        async def main():
            connecting = asyncio.ensure_future(
                asyncioclient.connect(server.url, config=CONFIG)._connect()
            )
            while len(server.accepted) < 2:
                await asyncio.sleep(0.001)
            connecting.cancel()
            await asyncio.wait({connecting})
            assert connecting.cancelled()

        asyncio.run(main())

"""The ``websockets`` package: both kinds of its clients and servers against ours."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading

import pytest
from backends import websockets_server
from interop import FRAGMENTS, MESSAGES, SERVERS, be_dismissed_by, every_way, our_server, talk_to
from programs import need_package
from waiting import TIMEOUT

pytestmark = pytest.mark.interop

every_server = pytest.mark.parametrize("kind", SERVERS)


def options(way, tls):
    """Of a peer on that way."""
    return {
        "ssl": tls if way.secure else None,
        "compression": "deflate" if way.deflate else None,
        "max_size": None,
    }


# -- its clients ---------------------------------------------------------------------------


@every_way
@every_server
def test_the_sync_client_gets_everything_back(kind, way, server_tls, client_tls):
    client = need_package("websockets.sync.client")
    with our_server(kind, way, server_tls) as (url, handler):
        with client.connect(url, **options(way, client_tls)) as peer:
            assert way.agreed(peer.response.headers.get("Sec-WebSocket-Extensions"))
            for message in MESSAGES:
                peer.send(message)
                assert peer.recv(timeout=TIMEOUT) == message
            peer.send(FRAGMENTS)
            assert peer.recv(timeout=TIMEOUT) == "".join(FRAGMENTS)
            assert peer.ping("are you there?").wait(TIMEOUT)
            peer.close(3000, "Tschüß")
        assert handler.next().log.wait("closed") == (3000, "Tschüß")


@every_way
@every_server
def test_the_asyncio_client_gets_everything_back(kind, way, server_tls, client_tls):
    client = need_package("websockets.asyncio.client")

    async def talk(url):
        async with client.connect(url, **options(way, client_tls)) as peer:
            assert way.agreed(peer.response.headers.get("Sec-WebSocket-Extensions"))
            for message in MESSAGES:
                await peer.send(message)
                assert await asyncio.wait_for(peer.recv(), TIMEOUT) == message
            await peer.send(FRAGMENTS)
            assert await asyncio.wait_for(peer.recv(), TIMEOUT) == "".join(FRAGMENTS)
            await asyncio.wait_for(await peer.ping("are you there?"), TIMEOUT)
            await peer.close(3000, "Tschüß")

    with our_server(kind, way, server_tls) as (url, handler):
        asyncio.run(talk(url))
        assert handler.next().log.wait("closed") == (3000, "Tschüß")


@every_way
@every_server
def test_the_sync_client_hears_why_it_is_dismissed(kind, way, server_tls, client_tls):
    client = need_package("websockets.sync.client")
    closed = need_package("websockets.exceptions").ConnectionClosed
    with our_server(kind, way, server_tls) as (url, handler):
        with client.connect(url, **options(way, client_tls)) as peer:
            peer.send("close 4001 genug für heute")
            with pytest.raises(closed) as end:
                peer.recv(timeout=TIMEOUT)
        assert (end.value.rcvd.code, end.value.rcvd.reason) == (4001, "genug für heute")
        assert handler.next().log.wait("closed") == (4001, "genug für heute")


# -- its servers ---------------------------------------------------------------------------


@contextlib.contextmanager
def sync_server(way, tls):
    """Its threaded echo server: the URL, and a queue of how connections ended."""
    ends = queue.Queue()

    def echo(connection):
        with contextlib.suppress(need_package("websockets.exceptions").ConnectionClosed):
            for message in connection:
                if isinstance(message, str) and message.startswith("close "):
                    _, code, reason = message.split(" ", 2)
                    connection.close(int(code), reason)
                else:
                    connection.send(message)
        ends.put((connection.protocol.close_code, connection.protocol.close_reason))

    with websockets_server(echo, **options(way, tls)) as url:
        yield url, ends


@contextlib.contextmanager
def asyncio_server(way, tls):
    """The same on asyncio."""
    serve = need_package("websockets.asyncio.server").serve
    ends, started = queue.Queue(), queue.Queue()

    async def echo(connection):
        with contextlib.suppress(need_package("websockets.exceptions").ConnectionClosed):
            async for message in connection:
                if isinstance(message, str) and message.startswith("close "):
                    _, code, reason = message.split(" ", 2)
                    await connection.close(int(code), reason)
                else:
                    await connection.send(message)
        ends.put((connection.protocol.close_code, connection.protocol.close_reason))

    async def main():
        stop = asyncio.Event()
        async with serve(echo, "127.0.0.1", 0, **options(way, tls)) as server:
            port = server.sockets[0].getsockname()[1]
            started.put((port, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="asyncio-server")
    thread.start()
    port, loop, stop = started.get(timeout=TIMEOUT)
    try:
        yield f"{way.scheme}://127.0.0.1:{port}/", ends
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT)


its_servers = pytest.mark.parametrize(
    "foreign_server", [sync_server, asyncio_server], ids=["sync", "asyncio"]
)


@every_way
@its_servers
def test_our_client_gets_everything_back(foreign_server, way, server_tls, client_tls):
    need_package("websockets")
    with foreign_server(way, server_tls) as (url, ends):
        talk_to(url, way, client_tls)
        assert ends.get(timeout=TIMEOUT) == (3000, "Tschüß")


@every_way
@its_servers
def test_our_client_hears_why_it_is_dismissed(foreign_server, way, server_tls, client_tls):
    need_package("websockets")
    with foreign_server(way, server_tls) as (url, ends):
        be_dismissed_by(url, way, client_tls)
        assert ends.get(timeout=TIMEOUT) == (4001, "genug für heute")

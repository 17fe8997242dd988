"""aiohttp's WebSocket client as its document of long ago has it, and as it is today.

What holds for the real aiohttp as well is also asked of it, where it is installed (``dialect``), so
that nobody has to take our word for what its habits are.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.cookiejar
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest
from loops import make_run, over_loops
from programs import need_package
from rawpeer import BINARY, CLOSE, PING, PONG, TEXT
from running import ROOT, Program, environment
from waiting import wait_for

import ws4py.dropin.aiohttp as dropin
from ws4py.protocol.http import Response
from ws4py.server.asyncioserver import serve

#: The newest aiohttp wants logins to be headers; the document, and most programs, do not.
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is:DeprecationWarning"),
]

run = make_run("asyncio")


@pytest.fixture(params=["drop-in", "aiohttp"])
def dialect(request):
    """The module under test: ours, then the real one."""
    if request.param == "drop-in":
        return dropin
    need_package("aiohttp")
    import aiohttp

    return aiohttp


aiohttp = dropin


def talk(raw_server, script, client, module=dropin, **options):
    """What ``client(ws)`` gives, and what ``script(peer)`` on the other side does."""

    def play():
        peer = raw_server.accept()
        peer.handshake()
        try:
            return script(peer)
        finally:
            peer.close()

    async def main():
        loop = asyncio.get_running_loop()
        playing = loop.run_in_executor(None, play)
        async with (
            module.ClientSession() as session,
            session.ws_connect(raw_server.url, **options) as ws,
        ):
            result = await client(ws)
        return result, await playing

    return run(main())


async def echo(ws):
    async for message in ws:
        await ws.send(message)


def with_echo(client, handler=echo, **options):
    """What ``client(url)`` gives, while a server of ours runs on the same loop."""

    async def main():
        async with serve(handler, **options) as server:
            return await client(f"http://127.0.0.1:{server.port}/")

    return run(main())


# -- the document --------------------------------------------------------------------------

FIRST = """\
session = aiohttp.ClientSession()
async with session.ws_connect('http://example.org/websocket') as ws:

    async for msg in ws:
        if msg.tp == aiohttp.MsgType.text:
            if msg.data == 'close cmd':
                await ws.close()
                break
            else:
                ws.send_str(msg.data + '/answer')
        elif msg.tp == aiohttp.MsgType.closed:
            break
        elif msg.tp == aiohttp.MsgType.error:
            break
"""
SECOND = """\
async with aiohttp.ws_connect('http://example.org/websocket') as ws:
    ...
"""
PROGRAM = """\
import asyncio
import ws4py.dropin.aiohttp as aiohttp

async def main():
{body}
    print("to its end")

asyncio.run(main())
"""


def test_these_are_the_documents_blocks():
    document = ROOT.parent / "shared" / "seeds" / "003_a13e380cf49e621a.txt"
    if not document.is_file():
        pytest.skip(f"needs the document, which is not at {document}")
    text = document.read_text("utf-8")
    for block in (FIRST, SECOND):
        lines = textwrap.indent(block, "   ").splitlines()
        assert "\n".join(line.rstrip() for line in lines) in text


def started(block, url, folder):
    path = folder / "program.py"
    body = textwrap.indent(block.replace("http://example.org/websocket", url), "    ")
    path.write_text(PROGRAM.format(body=body), "utf-8")
    return Program([sys.executable, str(path)], folder, environment(folder / "bin"))


def test_A01_A05_A06_A07_A09_A10_the_document_runs_to_its_end(raw_server, tmp_path):
    program = started(FIRST, raw_server.url.replace("ws:", "http:"), tmp_path)
    try:
        with raw_server.accept() as peer:
            peer.handshake()
            for text in ("one", "two"):
                peer.text(text)
                assert peer.read_frame().payload == f"{text}/answer".encode()
            peer.text("close cmd")
            assert peer.read_close().close_code == 1000
            peer.close_frame(1000)
            peer.close()
        assert program.wait() == 0, program.output
    finally:
        program.kill()
    assert program.output == "to its end\n"


@pytest.mark.parametrize("end", ["close frame", "reset", "nonsense"])
def test_A05_A38_the_documents_loop_ends_however_the_server_ends(end, raw_server, tmp_path):
    program = started(FIRST, raw_server.url.replace("ws:", "http:"), tmp_path)
    try:
        with raw_server.accept() as peer:
            peer.handshake()
            if end == "close frame":
                peer.close_frame(1001, "away")
                peer.read_close()
            elif end == "nonsense":
                peer.send_frame(TEXT, b"\xff")
                peer.read_close()
            else:
                peer.reset()
        assert program.wait() == 0, program.output
    finally:
        program.kill()
    assert program.output == "to its end\n"


def test_A11_the_documents_second_block_runs_to_its_end(raw_server, tmp_path):
    program = started(SECOND, raw_server.url.replace("ws:", "http:"), tmp_path)
    try:
        with raw_server.accept() as peer:
            peer.handshake()
            assert peer.read_close().close_code == 1000
            peer.close_frame(1000)
            peer.close()
        assert program.wait() == 0, program.output
    finally:
        program.kill()
    assert program.output == "to its end\n"


# -- connecting ----------------------------------------------------------------------------


@over_loops
def test_A02_as_a_context_manager_it_closes(run):
    async def main():
        ended = asyncio.Event()

        async def handler(ws):
            await ws.send("hello")
            await ws.wait_closed()
            ended.set()

        async with serve(handler) as server, aiohttp.ClientSession() as session:
            async with session.ws_connect(f"ws://127.0.0.1:{server.port}") as ws:
                assert isinstance(ws, aiohttp.ClientWebSocketResponse)
                assert (await ws.receive()).data == "hello"
            await asyncio.wait_for(ended.wait(), 10)
        assert (ws.closed, ws.close_code) == (True, 1000)

    run(main())


def test_A01_awaited_and_in_a_task(dialect):
    async def client(url):
        async with dialect.ClientSession() as session:
            ws = await session.ws_connect(url)
            other = await asyncio.wait_for(session.ws_connect(url), 10)
            third = await asyncio.ensure_future(session.ws_connect(url))
            for each in (ws, other, third):
                await each.send_str("x")
                assert await each.receive_str() == "x"
                assert await each.close() is True

    with_echo(client)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_A03_http_stands_for_ws(dialect, scheme):
    async def client(url):
        async with (
            dialect.ClientSession() as session,
            session.ws_connect(url.replace("http", scheme)) as ws,
        ):
            assert not ws.closed

    with_echo(client)


@pytest.mark.parametrize("scheme", ["wss", "https"])
def test_A03_https_stands_for_wss(dialect, scheme, server_tls, client_tls):
    async def client(url):
        where = url.replace("http", scheme).replace("127.0.0.1", "localhost")
        async with dialect.ClientSession() as session:
            with pytest.raises(dialect.ClientConnectorCertificateError):
                await session.ws_connect(where)
            async with session.ws_connect(where, ssl=client_tls) as ws:
                await ws.send_str("hidden")
                assert await ws.receive_str() == "hidden"
                assert ws.get_extra_info("ssl_object") is not None
                assert ws.get_extra_info("cipher")
                assert ws.get_extra_info("peercert")["subjectAltName"]

    with_echo(client, ssl=server_tls)


def test_A04_a_session_without_a_with_needs_no_close():
    async def client(url):
        session = aiohttp.ClientSession()
        ws = await session.ws_connect(url)
        await ws.close()
        del session

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_echo(client)


def test_A04_a_session_that_is_closed_cuts_what_is_open(dialect):
    async def client(url):
        session = dialect.ClientSession()
        ws = await session.ws_connect(url)
        await session.close()
        assert session.closed
        assert (await ws.receive()).type == dialect.WSMsgType.CLOSED
        assert ws.closed
        with pytest.raises(RuntimeError, match="Session is closed"):
            await session.ws_connect(url)

    with_echo(client)


def test_A11_ws_connect_of_the_module():
    async def client(url):
        async with aiohttp.ws_connect(url, protocols=["chat"]) as ws:
            ws.send_str("x")
            assert (await ws.receive()).data == "x"
        ws = await aiohttp.ws_connect(url)
        assert await ws.close()

    with_echo(client, protocols=["chat"])


def test_A13_nobody_makes_one_by_hand():
    with pytest.raises(TypeError):
        aiohttp.ClientWebSocketResponse()


def test_A14_the_url_may_be_a_yarl_and_have_parameters(dialect):
    need_package("yarl")
    import yarl

    seen = []

    async def handler(ws):
        seen.append(ws.environ["PATH_INFO"] + "?" + ws.environ["QUERY_STRING"])

    async def client(url):
        async with dialect.ClientSession(base_url=url) as session:
            await (await session.ws_connect(yarl.URL(url) / "a")).close()
            await (await session.ws_connect("/b?x=1", params={"y": "2 3"})).close()
            await (await session.ws_connect("/c", params=[("z", "1"), ("z", "2")])).close()

    with_echo(client, handler)
    assert [each.replace("%20", "+") for each in seen] == ["/a?", "/b?x=1&y=2+3", "/c?z=1&z=2"]


def test_A14_a_url_that_is_none(dialect):
    async def main():
        async with dialect.ClientSession() as session:
            for url in ("nonsense", "http://:80/"):
                with pytest.raises(dialect.InvalidURL) as caught:
                    await session.ws_connect(url)
                assert isinstance(caught.value, dialect.ClientError)
                assert isinstance(caught.value, ValueError)

    run(main())


def test_A15_A27_a_subprotocol_is_chosen(dialect):
    async def client(url):
        async with (
            dialect.ClientSession() as session,
            session.ws_connect(url, protocols=("superchat", "chat")) as ws,
        ):
            assert ws.protocol == "chat"

    with_echo(client, protocols=["chat"])


def test_A27_there_may_be_no_subprotocol(dialect):
    async def client(url):
        async with dialect.ClientSession() as session, session.ws_connect(url) as ws:
            assert ws.protocol is None
            assert ws.get_extra_info("peername")[0] == "127.0.0.1"
            assert ws.get_extra_info("no such thing", 3) == 3

    with_echo(client)


@pytest.mark.parametrize("how", ["float", "value"])
def test_A16_the_timeout_of_closing(dialect, raw_server, how):
    timeout = 0.2 if how == "float" else dialect.ClientWSTimeout(ws_close=0.2)

    async def client(ws):
        assert await ws.close() is True
        assert isinstance(ws.exception(), asyncio.TimeoutError)
        assert ws.close_code == 1006

    def script(peer):
        assert peer.read_close().close_code == 1000
        peer.expect_eof()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        talk(raw_server, script, client, dialect, timeout=timeout)


@pytest.mark.parametrize("how", ["argument", "receive_timeout", "ws_receive"])
def test_A16_the_timeout_of_receiving(dialect, raw_server, how):
    options, limit = {}, None
    if how == "argument":
        limit = 0.1
    elif how == "ws_receive":
        options["timeout"] = dialect.ClientWSTimeout(ws_receive=0.1)
    else:
        options["receive_timeout"] = 0.1

    async def client(ws):
        with pytest.raises(asyncio.TimeoutError):
            await ws.receive(limit)
        assert not ws.closed
        await ws.send_str("now")
        assert (await ws.receive(10)).data == "late"

    def script(peer):
        assert peer.read_frame().payload == b"now"
        peer.text("late")
        peer.read_close()
        peer.close_frame()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        talk(raw_server, script, client, dialect, **options)


def test_A17_a_connector_of_the_call_and_of_the_session(server_tls, tls_files):
    context = ssl.create_default_context(cafile=str(tls_files.ca))

    async def client(url):
        where = url.replace("http", "wss").replace("127.0.0.1", "localhost")
        for connector in (
            aiohttp.TCPConnector(ssl=context, limit=3),
            aiohttp.TCPConnector(verify_ssl=False),
            aiohttp.TCPConnector(ssl_context=context),
        ):
            async with aiohttp.ws_connect(where, connector=connector) as ws:
                assert not ws.closed
            async with aiohttp.ClientSession(connector=connector) as session:
                assert session.connector is connector
                async with session.ws_connect(where) as ws:
                    assert not ws.closed
            assert connector.closed
            with pytest.raises(RuntimeError, match="Connector is closed"):
                await aiohttp.ws_connect(where, connector=connector)
        with pytest.raises(TypeError, match="TCPConnector"):
            await aiohttp.ws_connect(where, connector=object())

    with_echo(client, ssl=server_tls)


def test_A17_a_connector_over_a_unix_socket(dialect, tmp_path):
    path = str(tmp_path / "socket")
    hosts = []

    async def handler(ws):
        hosts.append(ws.environ["HTTP_HOST"] + ws.environ["PATH_INFO"])

    async def main():
        async with serve(handler, unix_path=path):
            connector = dialect.UnixConnector(path)
            async with (
                dialect.ClientSession(connector=connector) as session,
                session.ws_connect("http://example.org/chat") as ws,
            ):
                assert (await ws.receive()).type == dialect.WSMsgType.CLOSE

    run(main())
    assert hosts == ["example.org/chat"]


def test_A17_a_certificate_known_by_its_fingerprint(dialect, server_tls, tls_files):
    pem = tls_files.cert.read_text().partition("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(pem[0] + pem[1])
    right = hashlib.sha256(der).digest()

    async def client(url):
        where = url.replace("http", "https")
        async with dialect.ClientSession() as session:
            async with session.ws_connect(where, ssl=dialect.Fingerprint(right)) as ws:
                assert not ws.closed
            with pytest.raises(dialect.ServerFingerprintMismatch) as caught:
                await session.ws_connect(where, ssl=dialect.Fingerprint(bytes(32)))
            assert caught.value.got == right
            with pytest.raises(ValueError, match="exclusive"):
                await session.ws_connect(where, verify_ssl=False, fingerprint=right)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with_echo(client, ssl=server_tls)


def opening_of(raw_server, connect, module=dropin):
    """The opening handshake that this makes."""

    def play():
        with raw_server.accept() as peer:
            head = peer.read_head()
            peer.send(b"HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 0\r\n\r\n")
            peer.read_to_eof()
            return head

    async def main():
        playing = asyncio.get_running_loop().run_in_executor(None, play)
        with pytest.raises(module.WSServerHandshakeError):
            await connect()
        return await playing

    return run(main())


def test_A18_a_login(dialect, raw_server):
    login = dialect.BasicAuth("user", "word")
    assert dialect.BasicAuth.decode(login.encode()) == login
    with pytest.raises(ValueError):
        dialect.BasicAuth("us:er", "word")

    async def of_the_call():
        async with dialect.ClientSession() as session:
            await session.ws_connect(raw_server.url, auth=login)

    async def of_the_session():
        async with dialect.ClientSession(auth=login) as session:
            await session.ws_connect(raw_server.url)

    async def of_the_url():
        async with dialect.ClientSession() as session:
            await session.ws_connect(raw_server.url.replace("//", "//user:word@"))

    for connect in (of_the_call, of_the_session, of_the_url):
        head = opening_of(raw_server, connect, dialect)
        assert head.headers["authorization"] == "Basic dXNlcjp3b3Jk"


def test_A19_a_class_of_ones_own():
    class Mine(aiohttp.ClientWebSocketResponse):
        async def receive_upper(self):
            return (await self.receive_str()).upper()

    async def client(url):
        async with aiohttp.ws_connect(url, ws_response_class=Mine) as ws:
            await ws.send_str("x")
            assert await ws.receive_upper() == "X"
        async with (
            aiohttp.ClientSession(ws_response_class=Mine) as session,
            session.ws_connect(url) as ws,
        ):
            assert isinstance(ws, Mine)

    with_echo(client)


def test_A20_A35_the_peers_close_frame_is_answered(dialect, raw_server):
    async def client(ws):
        message = await ws.receive()
        assert (message.type, message.data, message.extra) == (8, 1001, "away")
        assert (ws.closed, ws.close_code) == (True, 1001)
        for _ in range(3):
            assert (await ws.receive()).type == dialect.WSMsgType.CLOSED
        assert ws.exception() is None
        assert await ws.close() is False

    def script(peer):
        peer.close_frame(1001, "away")
        peer.read_close()

    talk(raw_server, script, client, dialect)


def test_A21_the_caller_may_do_the_closing(dialect, raw_server):
    async def client(ws):
        message = await ws.receive()
        assert (message.type, message.data) == (dialect.WSMsgType.CLOSE, 1000)
        assert not ws.closed
        await ws.send_str("one more thing")
        await ws.close(code=3000)
        assert ws.closed

    def script(peer):
        peer.close_frame(1000)
        assert peer.read_frame().payload == b"one more thing"
        assert peer.read_close().close_code == 3000

    talk(raw_server, script, client, dialect, autoclose=False)


def test_A22_pings_are_answered(dialect, raw_server):
    async def client(ws):
        assert (await ws.receive()).data == "behind the ping"

    def script(peer):
        peer.ping(b"there?")
        peer.text("behind the ping")
        pong = peer.read_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"there?")
        peer.read_close()
        peer.close_frame()

    talk(raw_server, script, client, dialect)


def test_A22_A36_the_caller_may_answer_pings(dialect, raw_server):
    async def client(ws):
        ping, pong = await ws.receive(), await ws.receive()
        assert (ping.type, ping.data) == (dialect.WSMsgType.PING, b"there?")
        assert (pong.type, pong.data) == (dialect.WSMsgType.PONG, b"unasked for")
        await ws.pong(b"by hand")

    def script(peer):
        peer.ping(b"there?")
        peer.pong(b"unasked for")
        pong = peer.read_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"by hand")
        peer.read_close()
        peer.close_frame()

    talk(raw_server, script, client, dialect, autoping=False)


def test_A23_a_loop_may_be_given():
    async def client(url):
        loop = asyncio.get_running_loop()
        async with (
            aiohttp.ClientSession(loop=loop) as session,
            session.ws_connect(url, loop=loop) as ws,
        ):
            assert not ws.closed
        async with aiohttp.ws_connect(url, loop=loop) as ws:
            assert not ws.closed

    with_echo(client)


def test_A24_the_origin_and_headers(dialect, raw_server):
    async def plain():
        async with dialect.ClientSession() as session:
            await session.ws_connect(raw_server.url)

    async def given():
        headers = {"X-One": "session", "X-Two": "session"}
        async with dialect.ClientSession(headers=headers) as session:
            await session.ws_connect(
                raw_server.url, origin="https://example.org", headers={"X-Two": "call"}
            )

    head = opening_of(raw_server, plain, dialect)
    assert "origin" not in head.headers
    assert "sec-websocket-extensions" not in head.headers
    head = opening_of(raw_server, given, dialect)
    assert head.headers["origin"] == "https://example.org"
    assert (head.headers["x-one"], head.headers["x-two"]) == ("session", "call")


def test_A25_a_server_that_refuses(dialect, raw_server):
    def play():
        with raw_server.accept() as peer:
            peer.read_head()
            peer.send(b"HTTP/1.1 404 Not Found\r\nX-Why: gone\r\nContent-Length: 0\r\n\r\n")
            peer.read_to_eof()

    async def main():
        playing = asyncio.get_running_loop().run_in_executor(None, play)
        async with dialect.ClientSession() as session:
            with pytest.raises(dialect.WSServerHandshakeError) as caught:
                await session.ws_connect(raw_server.url)
        error = caught.value
        assert (error.status, error.headers["x-why"]) == (404, "gone")
        assert error.message
        assert str(error.request_info.real_url).rstrip("/") == raw_server.url.rstrip("/")
        assert error.history == ()
        await playing

    run(main())


def test_A25_its_older_name():
    assert aiohttp.errors.WSServerHandshakeError is aiohttp.WSServerHandshakeError
    assert issubclass(aiohttp.errors.WSServerHandshakeError, aiohttp.errors.ClientError)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:1/", "ClientConnectorError"),
        ("http://does-not-exist.invalid/", "ClientConnectorDNSError"),
    ],
)
def test_A25_a_server_that_is_not_there(dialect, url, name):
    async def main():
        async with dialect.ClientSession() as session:
            with pytest.raises(getattr(dialect, name)) as caught:
                await session.ws_connect(url)
        assert isinstance(caught.value, dialect.ClientConnectorError)
        assert isinstance(caught.value, OSError)
        assert caught.value.host in url
        assert isinstance(caught.value.os_error, OSError)
        assert str(caught.value)

    run(main())


def test_A25_a_server_that_says_nothing(dialect, raw_server):
    async def main():
        timeout = dialect.ClientTimeout(total=0.2)
        async with dialect.ClientSession(timeout=timeout) as session:
            with pytest.raises(asyncio.TimeoutError):
                await session.ws_connect(raw_server.url)

    run(main())


# -- sending -------------------------------------------------------------------------------


def test_A10_what_nobody_awaits_is_sent(raw_server):
    async def client(ws):
        ws.send_str("one")
        ws.send_bytes(b"two")
        ws.send_json({"three": 3})
        ws.ping(b"four")
        ws.pong(b"five")
        ws.close(code=4000, message=b"six")
        await ws.close()

    def script(peer):
        frames = [peer.read_frame() for _ in range(6)]
        assert [(frame.opcode, frame.payload) for frame in frames[:5]] == [
            (TEXT, b"one"),
            (BINARY, b"two"),
            (TEXT, b'{"three": 3}'),
            (PING, b"four"),
            (PONG, b"five"),
        ]
        assert (frames[5].close_code, frames[5].close_reason) == (4000, "six")
        peer.close_frame(4000)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        talk(raw_server, script, client)


def test_A10_it_is_sent_before_the_next_line_runs(raw_server):
    async def client(ws):
        ws.send_str("now")
        time.sleep(0.5)  # the loop has no turn meanwhile
        return time.monotonic()

    def script(peer):
        assert peer.read_frame().payload == b"now"
        arrived = time.monotonic()
        peer.read_close()
        peer.close_frame()
        return arrived

    went_on, arrived = talk(raw_server, script, client)
    assert arrived < went_on


def with_a_peer_that_does_not_read(raw_server, client):
    """``client(ws, read_on)``, where ``read_on()`` lets the peer read."""
    reading = threading.Event()

    def script(peer):
        wait_for(reading)
        peer.read_to_eof()

    async def with_events(ws):
        try:
            return await client(ws, reading.set)
        finally:
            reading.set()
            ws.get_extra_info("socket").shutdown(socket.SHUT_WR)

    return talk(raw_server, script, with_events)[0]


def test_A10_what_is_awaited_waits_for_a_peer_that_does_not_read(raw_server):
    async def client(ws, read_on):
        for _ in range(1000):
            sending = asyncio.ensure_future(ws.send_bytes(bytes(65536)))
            done, _ = await asyncio.wait({sending}, timeout=0.3)
            if not done:
                break
        else:
            pytest.fail("nothing ever waited")
        read_on()
        await asyncio.wait_for(sending, 10)

    with_a_peer_that_does_not_read(raw_server, client)


def test_A10_what_nobody_awaits_has_a_bound(raw_server, caplog):
    async def client(ws, read_on):
        def flood():
            for _ in range(1000):
                ws.send_bytes(bytes(65536))

        with pytest.raises(aiohttp.ClientConnectionResetError):
            flood()
        assert "lost a message" in caplog.text

    with_a_peer_that_does_not_read(raw_server, client)


def test_A12_one_task_receives_and_many_send(dialect):
    async def client(url):
        async with dialect.ClientSession() as session, session.ws_connect(url) as ws:
            first = asyncio.ensure_future(ws.receive())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="Concurrent call to receive"):
                await ws.receive()
            await asyncio.gather(*(ws.send_str(str(n)) for n in range(20)))
            got = [(await first).data, *[(await ws.receive()).data for _ in range(19)]]
            assert sorted(got, key=int) == [str(n) for n in range(20)]

    with_echo(client)


def test_A29_a_ping_of_text_or_bytes(raw_server):
    async def client(ws):
        ws.ping("żółw")
        ws.ping(b"\xff")
        ws.ping()

    def script(peer):
        payloads = [peer.read_frame().payload for _ in range(3)]
        peer.read_close()
        peer.close_frame()
        return payloads

    assert talk(raw_server, script, client)[1] == ["żółw".encode(), b"\xff", b""]


def test_A30_A31_what_cannot_be_sent(dialect):
    async def client(url):
        async with dialect.ClientSession() as session, session.ws_connect(url) as ws:
            for wrong in (b"bytes", 1, None):
                with pytest.raises(TypeError):
                    await ws.send_str(wrong)
            for wrong in ("str", 1, None):
                with pytest.raises(TypeError):
                    await ws.send_bytes(wrong)
            for right in (b"1", bytearray(b"2"), memoryview(b"3")):
                await ws.send_bytes(right)
                assert await ws.receive_bytes() == bytes(right)

    with_echo(client)


def test_A30_frames_by_their_kind(dialect, raw_server):
    kinds = dialect.WSMsgType

    async def client(ws):
        await ws.send_frame(b"text", kinds.TEXT)
        await ws.send_frame(b"\xff", kinds.BINARY)
        await ws.send_frame(b"?", kinds.PING)
        await ws.send_frame(b"!", kinds.PONG)

    def script(peer):
        frames = [peer.read_frame() for _ in range(4)]
        peer.read_close()
        peer.close_frame()
        return [(frame.opcode, frame.payload) for frame in frames]

    sent = talk(raw_server, script, client, dialect)[1]
    assert sent == [(TEXT, b"text"), (BINARY, b"\xff"), (PING, b"?"), (PONG, b"!")]


def test_A30_a_close_frame_by_hand(raw_server):
    async def client(ws):
        await ws.send_frame(b"\x0b\xb8so long", aiohttp.WSMsgType.CLOSE)
        assert ws.closed
        with pytest.raises(ValueError):
            ws.send_frame(b"", aiohttp.WSMsgType.CONTINUATION)

    def script(peer):
        close = peer.read_close()
        peer.close_frame(3000)
        return close.close_code, close.close_reason

    assert talk(raw_server, script, client)[1] == (3000, "so long")


@pytest.mark.parametrize("message", ["away", b"away"])
def test_A32_A33_close_waits_for_the_peers_answer(raw_server, message):
    async def client(ws):
        closing = ws.close(code=4001, message=message)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(closing, 0.1)
        answer.set()
        assert await ws.close() is False
        assert ws.close_code == 4002

    def script(peer):
        close = peer.read_close()
        assert (close.close_code, close.close_reason) == (4001, "away")
        assert answer.wait(10)
        peer.close_frame(4002)

    answer = threading.Event()
    talk(raw_server, script, client)


def test_A32_the_end_of_sending(dialect):
    async def client(url):
        async with dialect.ClientSession() as session, session.ws_connect(url) as ws:
            assert (await ws.close(), await ws.close()) == (True, False)
            with pytest.raises(dialect.ClientConnectionResetError):
                await ws.send_str("too late")
            with pytest.raises(ConnectionResetError):
                await ws.ping()

    with_echo(client)


# -- receiving -----------------------------------------------------------------------------


def test_A05_A08_A34_messages_in_their_order(dialect, raw_server):
    kinds = dialect.WSMsgType

    async def client(ws):
        assert (await ws.receive()) == (kinds.TEXT, "żółw", "")
        assert (await ws.receive()) == (kinds.BINARY, b"\xff", "")
        assert await ws.receive_str() == "text"
        assert await ws.receive_bytes() == b"bytes"
        assert await ws.receive_json() == {"a": [1]}
        assert (await ws.receive()).json() == [2]
        return [message.data async for message in ws]

    def script(peer):
        peer.text("żółw")
        peer.binary(b"\xff")
        peer.text("text")
        peer.binary(b"bytes")
        peer.text('{"a": [1]}')
        peer.text("[2]")
        peer.text("last")
        peer.close_frame(1000)
        peer.read_close()

    assert talk(raw_server, script, client, dialect)[0] == ["last"]


def test_A06_A07_old_names_of_old_things():
    message = aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, "x", "")
    assert message.tp is message.type is aiohttp.MsgType.text
    for name in ("text", "binary", "ping", "pong", "close", "closing", "closed", "error"):
        assert getattr(aiohttp.MsgType, name) is getattr(aiohttp.WSMsgType, name.upper())
    assert aiohttp.WSCloseCode.GOING_AWAY == 1001


def test_A08_another_kind_than_was_asked_for(dialect, raw_server):
    async def client(ws):
        for receive in (ws.receive_str, ws.receive_bytes, ws.receive_json):
            with pytest.raises(TypeError, match="Received message"):
                await receive()

    def script(peer):
        peer.binary(b"x")
        peer.text("x")
        peer.close_frame()
        peer.read_close()

    talk(raw_server, script, client, dialect)


def test_A09_A26_closing_while_another_task_receives(dialect, raw_server):
    async def client(ws):
        receiving = asyncio.ensure_future(ws.receive())
        await asyncio.sleep(0.05)
        assert not ws.closed
        assert await ws.close() is True
        assert ws.closed
        assert (await receiving).type == dialect.WSMsgType.CLOSING
        assert (await ws.receive()).type == dialect.WSMsgType.CLOSED

    def script(peer):
        peer.read_close()
        peer.close_frame()

    talk(raw_server, script, client, dialect)


def test_A28_A38_a_reset_is_no_exception_out_of_the_loop(dialect, raw_server):
    async def client(ws):
        assert [message async for message in ws] == []
        assert ws.closed
        assert ws.close_code == 1006
        assert isinstance(ws.exception(), ConnectionError)
        assert (await ws.receive()).type == dialect.WSMsgType.CLOSED

    talk(raw_server, lambda peer: peer.reset(), client, dialect)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ((TEXT, b"\xff"), 1007),
        ((TEXT, b"x" * 100), 1009),
        ((0xB, b""), 1002),
    ],
)
def test_A36_A38_a_broken_rule_is_a_message_of_the_kind_error(dialect, raw_server, frame, code):
    async def client(ws):
        message = await ws.receive()
        assert message.type == dialect.WSMsgType.ERROR
        assert isinstance(message.data, dialect.WebSocketError)
        assert (message.data.code, ws.close_code, ws.closed) == (code, code, True)
        assert (await ws.receive()).type == dialect.WSMsgType.CLOSED

    def script(peer):
        peer.send_frame(*frame)
        assert peer.read_close().close_code == code

    talk(raw_server, script, client, dialect, max_msg_size=50)


def test_A38_a_peer_that_does_not_answer_a_heartbeat(dialect, raw_server):
    async def client(ws):
        message = await ws.receive()
        assert message.type == dialect.WSMsgType.ERROR
        assert isinstance(message.data, dialect.ServerTimeoutError)
        assert isinstance(ws.exception(), asyncio.TimeoutError)
        assert ws.close_code == 1006

    def script(peer):
        assert peer.read_frame().opcode == PING
        peer.read_to_eof()

    talk(raw_server, script, client, dialect, heartbeat=0.2)


def test_A35_a_close_frame_without_a_code(dialect, raw_server):
    async def client(ws):
        message = await ws.receive()
        assert (message.type, message.data, message.extra) == (dialect.WSMsgType.CLOSE, 0, "")

    def script(peer):
        peer.close_frame(None)
        assert peer.read_frame().opcode == CLOSE

    talk(raw_server, script, client, dialect)


def test_A08_text_that_is_left_as_it_is(raw_server):
    async def client(ws):
        assert await ws.receive_str() == b"as it is"

    def script(peer):
        peer.text("as it is")
        peer.read_close()
        peer.close_frame()

    talk(raw_server, script, client, decode_text=False)


@pytest.mark.parametrize("bits", [0, 9, 12, 15])
def test_A14_compression_is_asked_for(dialect, bits):
    async def client(url):
        async with dialect.ClientSession() as session, session.ws_connect(url, compress=bits) as ws:
            assert bool(ws.compress) == bool(bits)
            assert ws.client_notakeover is False
            await ws.send_str("x" * 5000)
            assert await ws.receive_str() == "x" * 5000
            await ws.send_str("y" * 5000, compress=bits or None)
            assert await ws.receive_str() == "y" * 5000

    with_echo(client)


def test_A14_only_get_opens_a_websocket():
    async def main():
        with pytest.raises(ValueError, match="POST"):
            await aiohttp.ws_connect("http://127.0.0.1:1/", method="POST")

    run(main())


# -- the rest of aiohttp -------------------------------------------------------------------


def test_ordinary_requests_are_those_of_the_real_one():
    need_package("aiohttp")

    def page(request):
        if request.path != "/p":
            return None
        return Response.text(200, "a page", [("Set-Cookie", "who=me; Path=/")])

    async def handler(ws):
        await ws.send(ws.environ.get("HTTP_COOKIE", "none"))

    async def client(url):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"X-A": "b"}) as session:
            async with session.get(url + "p") as response:
                assert await response.text() == "a page"
            assert jar.filter_cookies(url)["who"].value == "me"
            async with session.ws_connect(url) as ws:
                assert await ws.receive_str() == "who=me"
            with pytest.raises(aiohttp.ClientError):
                await session.get("http://127.0.0.1:1/")

    with_echo(client, handler, process_request=page)
    assert aiohttp.FormData is sys.modules["aiohttp"].FormData
    assert aiohttp.web.Application


WITHOUT = """\
import sys, asyncio
sys.modules["aiohttp"] = None
import ws4py.dropin.aiohttp as aiohttp

assert aiohttp.ClientError.__module__ == "ws4py.dropin.aiohttp.errors"
assert aiohttp.BasicAuth("a", "b").encode() == "Basic YTpi"
try:
    aiohttp.web
except AttributeError as exc:
    assert "pip install aiohttp" in str(exc)

async def main():
    async with aiohttp.ClientSession() as session:
        try:
            await session.get("http://127.0.0.1:1/")
        except ImportError as exc:
            assert "pip install aiohttp" in str(exc)
        for url, kind in (("http://127.0.0.1:1/", aiohttp.ClientConnectorError),
                          ("http://no-such.invalid", aiohttp.ClientConnectorDNSError),
                          ("foo", aiohttp.InvalidURL)):
            try:
                await session.ws_connect(url)
            except aiohttp.ClientError as exc:
                assert type(exc) is kind, exc
                print(str(exc))

asyncio.run(main())
"""


def test_it_stands_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env=environment(tmp_path / "bin"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Cannot connect to host 127.0.0.1:1" in done.stdout


@pytest.mark.parametrize("kind", ["session", "cookiejar", "own"])
def test_A14_cookies_are_sent_and_kept(kind):
    async def handler(ws):
        await ws.send(ws.environ.get("HTTP_COOKIE", "none"))

    async def client(url):
        given = {}
        if kind == "session":
            given = {"cookies": {"who": "me"}, "cookie_jar": aiohttp.CookieJar(unsafe=True)}
        elif kind == "own":
            given = {"cookie_jar": aiohttp.CookieJar(unsafe=True)}
        else:
            given = {"cookie_jar": http.cookiejar.CookieJar()}
        async with aiohttp.ClientSession(**given) as session:
            async with session.ws_connect(url) as ws:
                assert await ws.receive_str() == ("who=me" if kind == "session" else "none")
            async with session.ws_connect(url) as ws:
                assert "set=1" in await ws.receive_str()
            assert len(session.cookie_jar) == (2 if kind == "session" else 1)

    with_echo(client, handler, extra_headers=[("Set-Cookie", "set=1; Path=/")])


@pytest.mark.parametrize("where", ["call", "session", "environment"])
def test_A14_a_proxy_and_its_login(where, raw_server, monkeypatch):
    proxy = raw_server.url.replace("ws:", "http:")
    login = aiohttp.BasicAuth("user", "wo:rd")

    def play():
        with raw_server.accept() as peer:
            head = peer.read_head()
            peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            peer.read_to_eof()
            return head

    async def main():
        playing = asyncio.get_running_loop().run_in_executor(None, play)
        of_call, of_session = {}, {}
        if where == "call":
            of_call = {"proxy": proxy, "proxy_auth": login}
        elif where == "session":
            of_session = {"proxy": proxy, "proxy_auth": login}
        else:
            monkeypatch.setenv("http_proxy", proxy)
            of_session = {"trust_env": True}
        async with aiohttp.ClientSession(**of_session) as session:
            with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
                await session.ws_connect("ws://example.org/", **of_call)
        assert caught.value.status == 403
        return await playing

    head = run(main())
    assert head.start_line.startswith("CONNECT example.org:80")
    expected = None if where == "environment" else "Basic dXNlcjp3bzpyZA=="
    assert head.headers.get("proxy-authorization") == expected


def test_cookies_of_ones_own():
    jar = aiohttp.CookieJar()
    jar.update_cookies({"everywhere": "1"})
    jar.update_cookies_from_headers(["here=2; Path=/; Secure"], "https://example.org/login")
    assert {c.key for c in jar} == {"everywhere", "here"}
    assert set(jar.filter_cookies("https://example.org/x")) == {"everywhere", "here"}
    assert set(jar.filter_cookies("http://example.org/x")) == {"everywhere"}
    assert set(jar.filter_cookies("wss://other.example/")) == {"everywhere"}
    jar.update_cookies_from_headers(["never=3"], "http://127.0.0.1/")
    assert len(jar) == 2
    jar.clear_domain("example.org")
    assert len(jar) == 1
    jar.clear(lambda morsel: morsel.key == "everywhere")
    assert len(jar) == 0
    nothing = aiohttp.DummyCookieJar()
    nothing.update_cookies({"a": "b"})
    assert len(nothing) == 0

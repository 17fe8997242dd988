"""The client of ws4py's own documentation, as it was written for Python 2, runs to its end.

Only what Python 3 does not read was changed: ``print`` is a function, tabs are spaces. Then what
the document says of it, row by row (``test/support/founding.py``), on each way of running.
"""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
import threading

import pytest
from backends import CLIENTS, QUICK, websockets_server
from conversation import Background
from hooks import Recorded, recorded
from programs import need_package
from rawpeer import CONT, TEXT
from running import ROOT, Program, environment
from waiting import wait_for

from ws4py.client import WebSocketBaseClient
from ws4py.server.managedserver import WebSocketServer
from ws4py.server.threadedserver import WebSocketServer as ThreadedServer
from ws4py.websocket import EchoWebSocket, WebSocket

SCRIPT = """\
from ws4py.client.threadedclient import WebSocketClient

class DummyClient(WebSocketClient):
    def opened(self):
        def data_provider():
            for i in range(1, 200, 25):
                yield "#" * i

        self.send(data_provider())

        for i in range(0, 200, 25):
            print(i)
            self.send("*" * i)

    def closed(self, code, reason=None):
        print("Closed down", code, reason)

    def received_message(self, m):
        print("=> %d %s" % (len(m), str(m)))
        if len(str(m)) == 175:
            self.close(reason='Bye bye')

if __name__ == '__main__':
    try:
        ws = DummyClient('ws://localhost:9000/', protocols=['http-only', 'chat'])
        ws.connect()
    except KeyboardInterrupt:
        ws.close()
"""

LENGTHS = range(0, 200, 25)
OUTPUT = [
    *(str(i) for i in LENGTHS),
    "=> 708 " + "#" * 708,
    *(f"=> {i} " + "*" * i for i in LENGTHS),
    "Closed down 1000 Bye bye",
]


def test_it_is_the_documents_script():
    document = ROOT.parent / "shared" / "seeds" / "000_00ae41f63ea3dbb8.txt"
    if not document.is_file():
        pytest.skip(f"needs the document, which is not at {document}")
    block = document.read_text("utf-8").split(":linenos:")[1].split("\nThis example")[0]
    code = textwrap.dedent(block.expandtabs(8)).strip() + "\n"
    code = re.sub(r"\bprint (.+)", r"print(\1)", code)
    assert [line.rstrip() for line in code.splitlines()] == SCRIPT.splitlines()


@contextlib.contextmanager
def ours(kind, **options):
    with kind(EchoWebSocket, "127.0.0.1", 0, **options) as server:
        yield f"ws://localhost:{server.port}"


def echo(connection):
    for message in connection:
        connection.send(message)


SERVERS = {
    "managed": lambda: ours(WebSocketServer),
    "managed, with a subprotocol": lambda: ours(WebSocketServer, protocols=["chat"]),
    "threaded": lambda: ours(ThreadedServer),
    "websockets": lambda: websockets_server(echo),
    "websockets, with a subprotocol": lambda: websockets_server(echo, subprotocols=["chat"]),
}


IMPORT = SCRIPT.splitlines()[0]
CONNECT = "        ws.connect()\n"
MANAGER = """\
from ws4py.client import WebSocketBaseClient
from ws4py.manager import WebSocketManager

manager = WebSocketManager()

class WebSocketClient(WebSocketBaseClient):
    def handshake_ok(self):
        manager.add(self)"""

#: Ways to run the client: what stands instead of its import line, and behind ``connect()``.
WAYS = {
    "threads": (IMPORT, ""),
    "gevent": (IMPORT.replace("threaded", "gevent"), "        ws.run_forever()\n"),
    "gevent, patched": (
        "from gevent import monkey; monkey.patch_all()\n" + IMPORT,
        "        ws.run_forever()\n",
    ),
    "Tornado": (IMPORT.replace("threaded", "tornado"), "        ws.run_forever()\n"),
    "asyncio": (IMPORT.replace("threaded", "asyncio"), "        ws.run_forever()\n"),
    "manager": (
        MANAGER,
        "        manager.start()\n        manager.wait_closed()\n        manager.stop()\n",
    ),
}


@contextlib.contextmanager
def script(url, folder, way="threads"):
    """The script, running as a program of its own."""
    path = folder / "client.py"
    head, tail = WAYS[way]
    text = SCRIPT.replace("ws://localhost:9000", url)
    path.write_text(text.replace(IMPORT, head).replace(CONNECT, CONNECT + tail), "utf-8")
    env = environment(folder / "bin")
    # Tornado's IOLoop.current() makes a loop where there is none, and Python warns of that.
    env["PYTHONWARNINGS"] += ",ignore:There is no current event loop"
    program = Program([sys.executable, str(path)], folder, env)
    try:
        yield program
    finally:
        program.kill()


@pytest.mark.parametrize("server", SERVERS)
def test_W02_W03_W18_W20_W24_W31_W32_it_runs_to_its_end(server, tmp_path):
    if server.startswith("websockets"):
        need_package("websockets")
    with SERVERS[server]() as url, script(url, tmp_path) as program:
        assert program.wait() == 0, program.output
    assert [line.strip() for line in program.output.splitlines()] == [s.strip() for s in OUTPUT]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "threads"])
def test_W01_W26_W28_W30_it_runs_elsewhere_with_only_its_import_changed(way, tmp_path):
    if way not in ("asyncio", "manager"):
        need_package(way.partition(",")[0].lower())
    with SERVERS["managed"]() as url, script(url, tmp_path, way) as program:
        assert program.wait() == 0, program.output
    assert [line.strip() for line in program.output.splitlines()] == [s.strip() for s in OUTPUT]


def test_W05_W06_W07_W16_its_generator_makes_one_message_in_fragments(raw_server, tmp_path):
    with script(raw_server.url.rstrip("/"), tmp_path) as program:
        peer = raw_server.accept()
        assert peer.handshake().headers["sec-websocket-protocol"] == "http-only, chat"
        frames = [peer.read_frame() for _ in range(16)]
        assert [frame.opcode for frame in frames] == [TEXT] + [CONT] * 7 + [TEXT] * 8
        assert [frame.fin for frame in frames] == [False] * 7 + [True] * 9
        assert [len(frame.payload) for frame in frames] == [*range(1, 200, 25), *LENGTHS]
        peer.text("*" * 175)
        close = peer.read_close()
        assert (close.close_code, close.close_reason) == (1000, "Bye bye")
        peer.close_frame(1000, "Bye bye")
        peer.close()
        assert program.wait() == 0, program.output
    assert program.output.endswith("Closed down 1000 Bye bye\n")


# -- row by row ----------------------------------------------------------------------------

#: The ways of running that the document speaks of, and asyncio.
NAMES = ("threaded", "tornado", "gevent", "manager-epoll", "asyncio")


@pytest.fixture(params=[each for each in CLIENTS if each.name in NAMES], ids=lambda each: each.name)
def connect(request):
    """Connect hooks to a URL, on one way of running; ended when the test is."""
    with contextlib.ExitStack() as stack:

        def connect(url, hooks=Recorded, **options):
            client = request.param.connect(hooks, url, **options)
            stack.callback(client.stop)
            return client

        yield connect


@pytest.fixture
def meet(connect, raw_server):
    """A client and its raw peer after the handshake."""

    def accept():
        peer = raw_server.accept()
        peer.handshake()
        return peer

    def meet(hooks=Recorded):
        accepting = Background(accept)
        client = connect(raw_server.url, hooks)
        return client, accepting.result()

    return meet


@pytest.fixture
def echo_url():
    with ours(WebSocketServer, protocols=["chat"], config=QUICK) as url:
        yield url


def hooks(**members):
    return type("Hooks", (Recorded,), members)


def documents_hooks():
    """Those of the script, recorded instead of printed."""

    def opened(self):
        def data_provider():
            for i in range(1, 200, 25):
                yield "#" * i

        Recorded.opened(self)
        self.send(data_provider())
        for i in range(0, 200, 25):
            self.send("*" * i)

    def received_message(self, m):
        Recorded.received_message(self, m)
        if len(str(m)) == 175:
            self.close(reason="Bye bye")

    return hooks(opened=opened, received_message=received_message)


def test_W01_W04_W08_W10_W15_the_hooks_and_their_order(connect, echo_url):
    client = connect(echo_url, documents_hooks(), protocols=["http-only", "chat"])
    assert client.wait_closed() == (1000, "Bye bye")
    assert client.log.names == ["opened", *["received_message"] * 9, "closed"]
    assert client.log.texts == ["#" * 708, *("*" * i for i in LENGTHS)]
    assert client.log.texts[1] == ""


@pytest.mark.parametrize("size", [900 * 1024, 8 * 1024 * 1024])
def test_W09_a_burst_from_opened(connect, echo_url, size, request):
    # The smaller one is more than the buffers of a socket hold. The larger is also more than a
    # loop may hold for a peer, but a thread may wait until the peer has read.
    if size > QUICK.high_water and "threaded" not in request.node.callspec.id:
        pytest.skip("a loop does not wait: Config.high_water bounds what it holds")

    def opened(self):
        Recorded.opened(self)
        for _ in range(size // 4096):
            self.send("*" * 4096)

    client = connect(echo_url, hooks(opened=opened))
    client.log.wait("received_message", size // 4096)
    client.ws.close()
    assert client.wait_closed() == (1000, "")


def test_W11_W12_what_a_message_can_do(connect, echo_url):
    client = connect(echo_url)
    client.ws.send("żółw")
    client.ws.send("żółw".encode(), binary=True)
    (text,), (binary,) = (client.log.wait("received_message", n) for n in (1, 2))
    assert (len(text), str(text), "=> %d %s" % (len(text), text)) == (4, "żółw", "=> 4 żółw")  # noqa: UP031
    assert (len(binary), binary.data) == (7, "żółw".encode())


def test_W13_W24_close_from_received_message(meet):
    client, peer = meet(hooks(received_message=lambda self, m: self.close(reason="enough")))
    peer.text("x")
    close = peer.read_close()
    assert (close.close_code, close.close_reason) == (1000, "enough")
    peer.close_frame(1000, "enough")
    peer.close()
    assert client.wait_closed() == (1000, "enough")


@pytest.mark.parametrize("reason", ["", "Bye bye", "żółw"])
def test_W14_W24_closed_gets_what_the_server_said(connect, reason):
    Server = recorded(WebSocket, opened=lambda self: self.close(4000, reason))
    with WebSocketServer(Server, "127.0.0.1", 0, config=QUICK) as server:
        client = connect(f"ws://localhost:{server.port}/")
        assert client.wait_closed() == (4000, reason)
        assert type(client.log.wait("closed")[1]) is str


def test_W16_W17_the_subprotocol(connect, echo_url):
    client = connect(echo_url, protocols=["http-only", "chat"])
    assert client.ws.protocols == [b"chat"]
    assert client.ws.subprotocol == "chat"


def test_W18_W19_connect_returns_when_the_handshake_is_done(connect, echo_url):
    client = connect(echo_url + "/")
    client.ws.send("at once")
    client.log.wait("received_message")
    assert client.log.texts == ["at once"]


def test_W21_close_is_harmless_at_any_time(echo_url):
    ws = WebSocketBaseClient(echo_url)
    ws.close()  # before it is connected
    ws.connect()
    running = threading.Thread(target=ws.run)
    running.start()
    others = [threading.Thread(target=ws.close) for _ in range(4)]
    for thread in others:
        thread.start()
    for thread in (*others, running):
        thread.join(10)
    assert ws.terminated
    ws.close()  # and after it


def test_W21_close_from_another_thread(connect, echo_url):
    client = connect(echo_url)
    thread = threading.Thread(target=client.ws.close, args=(1000, "from elsewhere"))
    thread.start()
    thread.join(10)
    assert client.wait_closed() == (1000, "from elsewhere")
    client.ws.close()


def test_W22_the_program_goes_on_meanwhile(connect, echo_url):
    client = connect(echo_url)
    for n in range(3):  # while something else serves the socket
        client.ws.send(str(n))
        wait_for(lambda n=n: len(client.log.texts) == n + 1)


def test_W23_messages_under_way_after_our_close(meet):
    client, peer = meet()
    client.ws.close(reason="enough")
    peer.read_close()
    for n in range(10):
        peer.text(str(n))
    peer.close_frame(1000, "enough")
    peer.close()
    assert client.wait_closed() == (1000, "enough")
    assert client.log.names[-1] == "closed"
    assert client.log.texts == [str(n) for n in range(10)]


def test_W25_the_hooks_are_those_of_the_class_that_all_share(connect, echo_url):
    client = connect(echo_url)
    assert isinstance(client.ws, WebSocket)
    for hook in ("opened", "received_message", "closed"):
        assert hook in vars(WebSocket) or hook in vars(WebSocket.__mro__[1])


def test_W27_the_name_for_tornado():
    need_package("tornado")
    from ws4py.client import tornadoclient

    assert issubclass(tornadoclient.WebSocketClient, WebSocket)
    assert issubclass(tornadoclient.TornadoWebSocketClient, WebSocket)


def test_W29_the_name_for_gevent():
    need_package("gevent")
    from ws4py.client import geventclient

    assert issubclass(geventclient.WebSocketClient, WebSocket)


def test_W30_the_queue_of_the_gevent_client(echo_url):
    need_package("gevent")
    import gevent

    from ws4py.client.geventclient import WebSocketClient

    def talk():
        ws = WebSocketClient(echo_url)
        ws.connect()
        ws.send("hello")
        with gevent.Timeout(10):
            assert str(ws.receive()) == "hello"
            ws.close()
            assert ws.receive() is None
        gevent.get_hub().destroy(destroy_loop=True)

    Background(talk).result()  # the hub of a thread of its own


def test_W33_this_python_is_one_of_those():
    assert (3, 10) <= sys.version_info[:2] <= (3, 14)

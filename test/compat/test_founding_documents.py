"""The client of ws4py's own documentation, as it was written for Python 2, runs to its end.

Only what Python 3 does not read was changed: ``print`` is a function, tabs are spaces.
"""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap

import pytest
from backends import websockets_server
from programs import need_package
from rawpeer import CONT, TEXT
from running import ROOT, Program, environment

from ws4py.server.managedserver import WebSocketServer
from ws4py.server.threadedserver import WebSocketServer as ThreadedServer
from ws4py.websocket import EchoWebSocket

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
    program = Program([sys.executable, str(path)], folder, environment(folder / "bin"))
    try:
        yield program
    finally:
        program.kill()


@pytest.mark.parametrize("server", SERVERS)
def test_it_runs_to_its_end(server, tmp_path):
    if server.startswith("websockets"):
        need_package("websockets")
    with SERVERS[server]() as url, script(url, tmp_path) as program:
        assert program.wait() == 0, program.output
    assert [line.strip() for line in program.output.splitlines()] == [s.strip() for s in OUTPUT]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "threads"])
def test_it_runs_elsewhere_with_only_its_import_changed(way, tmp_path):
    if way.startswith("gevent"):
        need_package("gevent")
    with SERVERS["managed"]() as url, script(url, tmp_path, way) as program:
        assert program.wait() == 0, program.output
    assert [line.strip() for line in program.output.splitlines()] == [s.strip() for s in OUTPUT]


def test_its_generator_makes_one_message_in_fragments(raw_server, tmp_path):
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

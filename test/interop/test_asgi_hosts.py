"""The ASGI application under every server that speaks ASGI: started as a user would.

``pip install "ws4py[hosts]"`` has them; what is not installed is skipped.
"""

from __future__ import annotations

import importlib.util
import socket
import sys

import pytest
from rawpeer import RawClient
from running import Program, environment
from waiting import wait_for

sync = pytest.importorskip("websockets.sync.client")

pytestmark = [pytest.mark.interop, pytest.mark.slow]

APPLICATION = """
from ws4py.server.asgi import WebSocketASGIApplication
from ws4py.websocket import EchoWebSocket

class Handler(EchoWebSocket):
    def received_message(self, message):
        if str(message) == "close":
            self.close(4000, "as you wish")
        else:
            super().received_message(message)

    def closed(self, code, reason=None):
        print("closed", code, repr(reason), flush=True)

application = WebSocketASGIApplication(Handler, protocols=["chat"])
"""

SERVERS = {
    "uvicorn": ["-m", "uvicorn", "room:application", "--port", "{port}"],
    "hypercorn": ["-m", "hypercorn", "room:application", "--bind", "127.0.0.1:{port}"],
    "granian": ["-m", "granian", "--interface", "asgi", "room:application", "--port", "{port}"],
    "daphne": ["-m", "daphne", "room:application", "--port", "{port}"],
    "gunicorn": ["-m", "gunicorn", "-k", "asgi", "room:application", "-b", "127.0.0.1:{port}"],
}


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(params=SERVERS)
def served(request, tmp_path):
    """A port, and the program that serves it."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f'needs the package {request.param}: pip install "ws4py[hosts]"')
    (tmp_path / "room.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    command = [sys.executable, *(part.format(port=port) for part in SERVERS[request.param])]
    program = Program(command, tmp_path, environment(tmp_path / "bin"))
    try:
        wait_for(lambda: listens(port) or program.process.poll() is not None, 30)
        assert program.process.poll() is None, program.output
        yield port, program
    finally:
        program.kill()


def test_a_foreign_client_is_served(served):
    port, program = served
    url = f"ws://127.0.0.1:{port}/"
    with sync.connect(url, subprotocols=["chat"], open_timeout=10, close_timeout=5) as ws:
        assert ws.subprotocol == "chat"
        for message in ("", "żółw", b"\xff\xfe", "x" * 100_000, bytes(300_000)):
            if not message and "daphne" in program.args:
                continue  # it sends no empty messages
            ws.send(message)
            assert ws.recv(timeout=10) == message
        ws.close(3001, "bye")
    program.wait_for_output(r"closed (3001|1006) ")  # hypercorn keeps the code to itself
    with sync.connect(url, open_timeout=10, close_timeout=5) as ws:
        ws.send("close")
        with pytest.raises(Exception, match="4000"):
            ws.recv(timeout=10)
    program.wait_for_output(r"closed (4000|1006|1005|1000) ")
    with RawClient.connect(port) as peer:
        peer.handshake("/", {"Origin": "http://evil.example"}, expect=403)
    with RawClient.connect(port) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert peer.read_head().status == 426
    assert "Traceback" not in program.output, program.output

"""The blocking client: a question, an answer, no hooks.

    python example/blocking_client.py [URL]
    python example/blocking_client.py --selftest

Start ``echo_server.py`` first.
"""

from __future__ import annotations

import sys

from ws4py.client.syncclient import connect
from ws4py.exc import HandshakeError
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket


def main(url: str) -> list[str | bytes]:
    answers = []
    with connect(url) as ws:
        for question in ("text", b"binary", "żółw"):
            ws.send(question)
            answers.append(ws.recv(timeout=5))
            print("=>", answers[-1])
        print(f"a ping takes {ws.ping().wait(timeout=5) * 1000:.2f} ms")
    return answers


def selftest() -> None:
    with WebSocketServer(EchoWebSocket) as server:  # on any free port
        assert main(f"ws://127.0.0.1:{server.port}/") == ["text", b"binary", "żółw"]


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        try:
            main(sys.argv[1] if sys.argv[1:] else "ws://127.0.0.1:9000/")
        except (OSError, HandshakeError) as exc:
            sys.exit(f"error: {exc}")

"""The long-lived example of websocket-client's document, many times over::

    python test/foreign/close_from_thread.py [TIMES] [websocket]

A worker thread sends three messages and closes; ``run_forever()`` has to end and ``on_close`` to be
called once with the true status. With ``websocket`` the library itself is put to the test, if it
is installed. Not collected by pytest, which runs the same fifty times.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from ws4py.server.threadedserver import WebSocketServer  # noqa: E402
from ws4py.websocket import EchoWebSocket  # noqa: E402

TIMEOUT = 20.0


def once(websocket: Any, url: str) -> str:
    """What came of one run."""
    closed: list[Any] = []

    def on_open(ws: Any) -> None:
        def work() -> None:
            for i in range(3):
                ws.send(f"Hello {i}")
            ws.close()

        threading.Thread(target=work, daemon=True).start()

    app = websocket.WebSocketApp(url, on_open=on_open, on_close=lambda ws, *how: closed.append(how))
    runner = threading.Thread(target=app.run_forever, daemon=True)
    runner.start()
    runner.join(TIMEOUT)
    if runner.is_alive():
        return "hangs"
    return f"on_close called with {closed}"


def main(times: int, module: str) -> int:
    websocket = importlib.import_module(module)
    with WebSocketServer(EchoWebSocket, "127.0.0.1", 0) as server:
        began = time.monotonic()
        results = Counter(once(websocket, f"ws://127.0.0.1:{server.port}/") for _ in range(times))
    for result, count in results.most_common():
        print(f"{count:6} × {result}")
    print(f"{time.monotonic() - began:.1f} s")
    return 0 if set(results) == {"on_close called with [(1000, None)]"} else 1


if __name__ == "__main__":
    sys.exit(
        main(
            int(sys.argv[1]) if sys.argv[1:] else 1000,
            sys.argv[2] if sys.argv[2:] else "ws4py.dropin.websocket_client",
        )
    )

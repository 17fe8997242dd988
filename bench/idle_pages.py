"""Thousands of idle websockets beside pages: how long do the pages of the same server take?

    python bench/idle_pages.py [--connections 5000] [cherrypy] [gunicorn] [gevent]

CherryPy with 10 threads, one gunicorn worker with 4, and gevent's WSGI server. Times pages before
there is any websocket and with all of them open, has some echo, and ends the server by SIGTERM,
until all have had their 1001. Opens the connections with plain sockets. Needs Linux (/proc).
"""

from __future__ import annotations

import argparse
import base64
import importlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ECHO = b"\x81\x82\0\0\0\0hi"
GUNICORN = ["-m", "gunicorn", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:0"]

COMMANDS = {
    "cherrypy": [__file__, "--serve", "cherrypy"],
    "gevent": [__file__, "--serve", "gevent"],
    "gunicorn": [*GUNICORN, "--backlog", "4096", "--chdir", str(HERE), "idle_pages:application"],
}


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """For gunicorn."""
    if environ["PATH_INFO"] == "/ws":
        return websockets(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"a page\n"]


if __name__ == "idle_pages":
    from ws4py.server.wsgiutils import WebSocketWSGIApplication
    from ws4py.websocket import EchoWebSocket

    websockets = WebSocketWSGIApplication(handler_cls=EchoWebSocket)


def serve_cherrypy() -> None:
    """The other server."""
    import cherrypy

    from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
    from ws4py.websocket import EchoWebSocket

    cherrypy.tools.websocket = WebSocketTool()
    WebSocketPlugin(cherrypy.engine).subscribe()

    class Root:
        @cherrypy.expose
        def index(self) -> str:
            return "a page\n"

        @cherrypy.expose
        @cherrypy.tools.websocket(handler_cls=EchoWebSocket)
        def ws(self) -> None:
            pass

    cherrypy.config.update(
        {
            "server.socket_port": 0,
            "server.thread_pool": 10,
            "server.socket_queue_size": 4096,
            "engine.autoreload.on": False,
            "checker.on": False,
            "log.screen": False,
        }
    )
    cherrypy.engine.subscribe("start", say_port, priority=90)
    cherrypy.quickstart(Root(), "/", {"/": {}})


def serve_gevent() -> None:
    """The third."""
    import gevent

    from ws4py.server.geventserver import WSGIServer

    pages = importlib.import_module("idle_pages")  # this file, with its application
    server = WSGIServer(("127.0.0.1", 0), pages.application, log=None)
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.start()
    print(f"Listening at: http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
    gevent.wait(timeout=10)  # stop() has told everybody, and waits for the answers


def say_port() -> None:
    """In gunicorn's words."""
    import cherrypy

    print(f"Listening at: http://127.0.0.1:{cherrypy.server.bound_addr[1]}", flush=True)


def open_websocket(port: int) -> socket.socket:
    """A plain socket behind its 101."""
    sock = socket.create_connection(("127.0.0.1", port), 30)
    sock.sendall(REQUEST.format(key=base64.b64encode(os.urandom(16)).decode()).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1000) or b"\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return sock


def read_frame(sock: socket.socket) -> bytes:
    """The next short frame that is no ping; pings are answered."""
    while True:
        frame = sock.recv(2, socket.MSG_WAITALL)
        assert len(frame) == 2, "it has hung up"
        frame += sock.recv(frame[1], socket.MSG_WAITALL)
        if frame[0] != 0x89:
            return frame
        sock.sendall(bytes([0x8A, 0x80 | frame[1], 0, 0, 0, 0]) + frame[2:])


def time_pages(port: int, count: int = 200) -> tuple[float, float]:
    """Milliseconds that a page takes: the median and the slowest."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), 30) as sock:
            sock.sendall(PAGE)
            answer = b""
            while data := sock.recv(1000):
                answer += data
        assert answer.endswith(b"a page\n"), answer
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times), max(times)


def measure(name: str, count: int) -> None:
    """One server."""
    server = subprocess.Popen(
        [sys.executable, "-u", *COMMANDS[name]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )
    assert server.stdout is not None
    port = 0
    while not port:
        found = re.search(r"Listening at: http://127.0.0.1:(\d+)", server.stdout.readline())
        port = int(found[1]) if found else 0
    time_pages(port, 20)
    before = time_pages(port)
    begun = time.perf_counter()
    peers = [open_websocket(port) for _ in range(count)]
    opening = time.perf_counter() - begun
    beside = time_pages(port)
    for peer in peers[:: max(1, count // 100)]:
        peer.sendall(ECHO)
        assert read_frame(peer) == b"\x81\x02hi"
    begun = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    for peer in peers:
        farewell = read_frame(peer)
        assert farewell[2:4] == b"\x03\xe9", farewell
    told = time.perf_counter() - begun
    for peer in peers:
        peer.close()
    code = server.wait(30)
    server.stdout.close()
    print(
        f"{name}: {count} websockets opened in {opening:.1f} s; a page took {before[0]:.1f} ms"
        f" (slowest {before[1]:.1f}) before, {beside[0]:.1f} ms (slowest {beside[1]:.1f}) beside"
        f" them; all had 1001 within {told:.2f} s of SIGTERM; exit code {code}"
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description="Pages beside idle websockets")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(COMMANDS)}")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        {"cherrypy": serve_cherrypy, "gevent": serve_gevent}[options.serve]()
        return
    for name in options.names or COMMANDS:
        measure(name, options.connections)


if __name__ == "__main__":
    main()

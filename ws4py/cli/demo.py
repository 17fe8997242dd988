"""``ws4py demo``: a server, and a page that shows what it does."""

from __future__ import annotations

import argparse
import errno
import http.client
import platform
import queue
import time
from typing import Any

import ws4py
from ws4py.cli import backends
from ws4py.cli.common import Failure, StopSignals, say
from ws4py.cli.serve import authority, port
from ws4py.cli.site import SUBPROTOCOL, Site
from ws4py.client.threadedclient import WebSocketClient
from ws4py.exc import WebSocketException
from ws4py.messaging import Message, PongControlMessage
from ws4py.server.managedserver import WebSocketServer

__all__ = ["add_parsers"]

#: How many ports to try from the one that was asked for.
PORTS = 100
#: Seconds that a step of the check may take.
PATIENCE = 10.0


def add_parsers(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="an echo, a chat and live figures, on a page",
        description="Serve a page with an echo, a chat and a live table of the connections.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=port, default=9000, help="default: %(default)s, or the next that is free"
    )
    parser.add_argument(
        "--check", action="store_true", help="make one round trip, print figures, and end"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal, or check that serving works."""
    name, poller = next(iter(backends.pollers().items()))
    site = Site(
        f"ws4py {ws4py.__version__} · managed server, {name} · {ws4py.IMPLEMENTATION} Python · "
        f"{platform.python_implementation()} {platform.python_version()}"
    )
    server = listen(site, options.host, options.port, poller)
    host = authority(options.host, server.port or 0)
    with StopSignals() as signals, server:
        site.start()
        try:
            if options.check:
                print(check(options.host, server.port or 0), flush=True)
            else:
                print(f"ws4py demo: open http://{host}/ in two tabs; Ctrl-C stops it", flush=True)
                say(f"or join the chat: ws4py connect ws://{host}/chat")
                signals.wait()
                say("closing the connections; a second signal cuts them")
        finally:
            site.stop()
    return 0


def listen(site: Site, host: str, port: int, poller: Any) -> WebSocketServer:
    """The server, on the first free port from ``port``."""
    for offset in range(PORTS):
        try:
            server = WebSocketServer(
                site.handler,
                host,
                port + offset,
                protocols=[SUBPROTOCOL],
                process_request=site.process_request,
                poller=poller(),
            )
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE or port + offset >= 65535:
                raise Failure(exc.strerror or exc) from exc
            continue
        if offset:
            say(f"port {port} is taken, using {server.port}")
        return server
    raise Failure(f"no free port from {port} to {port + PORTS - 1}: choose another with --port")


# -- the check -----------------------------------------------------------------------------


class Probe(WebSocketClient):
    """A client that asks one thing at a time."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.answers: queue.Queue[Any] = queue.Queue()

    def received_message(self, message: Message) -> None:
        """An echo."""
        self.answers.put(message.data)

    def ponged(self, pong: PongControlMessage) -> None:
        """An answer to a ping."""
        self.answers.put(pong.data)

    def round_trip(self, payload: bytes, binary: bool) -> str:
        """Send, wait, compare; the figures of it. Raises ``Failure``."""
        began = time.perf_counter()
        self.send(payload, binary)
        answer = self.answer()
        seconds = time.perf_counter() - began
        if answer != payload:
            raise Failure(f"check failed: sent {len(payload)} B, got {len(answer)} B that differ")
        return f"{len(payload):,} B in {millis(seconds)}"

    def ping_time(self) -> str:
        """How long a ping takes."""
        self.ping("check")
        self.answer()
        return millis(self.latency or 0.0)

    def answer(self) -> bytes:
        """What comes next."""
        try:
            data: bytes = self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failure(f"check failed: no answer within {PATIENCE:g} s") from None
        return data


def check(host: str, port: int) -> str:
    """One round trip of everything, over real sockets; the figures. Raises ``Failure``."""
    where = authority(host, port)
    page = fetch(host, port)
    probe = Probe(f"ws://{where}/echo")
    try:
        probe.connect()
        try:
            text = probe.round_trip(b"A WebSocket there and back. ".ljust(125, b"~"), False)
            binary = probe.round_trip(bytes(range(256)) * 256, True)
            ping = probe.ping_time()
        finally:
            probe.close()
            probe.run_forever()
    except (OSError, WebSocketException) as exc:
        raise Failure(f"check failed: {exc}") from exc
    info = probe.close_info
    if info is None or not info.clean:
        raise Failure("check failed: the connection did not close cleanly")
    return f"echo {text} · binary {binary} · ping {ping} · page {page:,} B · closed {info.code}"


def fetch(host: str, port: int) -> int:
    """Get the page; its size in bytes."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as exc:
        raise Failure(f"check failed: cannot get the page: {exc}") from exc
    finally:
        connection.close()
    if response.status != 200:
        raise Failure(f"check failed: the page was answered with {response.status}")
    return len(body)


def millis(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds * 1000:.2f} ms"

"""Thousands of idle connections on one managed server: memory, broadcast, shutdown.

    python bench/idle.py [--connections 10000] [--compression]

Opens the connections with plain sockets (from several loopback addresses), so that only the
server is ours; measures resident memory per connection, the time of a broadcast until all have
it, and of a shutdown by SIGTERM until all have had their 1001. Meanwhile three peers misbehave,
and the echo of a good one is timed. Needs Linux (/proc).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

REQUEST = (
    "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
)
#: Each source address has ports for this many connections, and to spare.
PER_ADDRESS = 5000


def serve(compression: bool) -> None:
    """The server: "all …" goes to everybody, anything else back to its sender."""
    from ws4py.messaging import Message
    from ws4py.protocol.config import Config
    from ws4py.server.managedserver import WebSocketServer
    from ws4py.websocket import WebSocket

    class Handler(WebSocket):
        def received_message(self, message: Message) -> None:
            if message.data.startswith(b"all"):
                server.manager.broadcast(message)
            else:
                self.send(message)

    config = Config(ping_interval=None)
    if not compression:
        config = config.replace(compression=None)
    server = WebSocketServer(Handler, "127.0.0.1", 0, config=config, backlog=4096)
    signal.signal(signal.SIGTERM, lambda *_: server.close())
    print(server.port, flush=True)
    server.serve_forever()


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connect(port: int, index: int, deflate: bool) -> socket.socket:
    """One open WebSocket connection, from a source address of its own."""
    sock = socket.socket()
    sock.bind((f"127.0.0.{2 + index // PER_ADDRESS}", 0))
    sock.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    extra = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    sock.sendall(REQUEST.format(host=f"127.0.0.1:{port}", key=key, extra=extra).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            raise SystemExit(f"refused after {index} connections: {head!r}")
        head += data
    assert head.startswith(b"HTTP/1.1 101"), head
    return sock


def frame(opcode: int, payload: bytes) -> bytes:
    """A short masked frame (with a key of zeros)."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """``size`` bytes, or an error after the socket's timeout."""
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, "the server hung up"
        data += more
    return data


def echo_times(sock: socket.socket, count: int) -> list[float]:
    """Seconds of ``count`` echoes of 16 bytes."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        sock.sendall(frame(1, b"0123456789abcdef"))
        read_exactly(sock, 18)
        times.append(time.perf_counter() - started)
    return times


def misbehave(port: int, index: int) -> list[socket.socket]:
    """A peer that sends and never reads, half a handshake, and half a frame."""
    deaf = connect(port, index, False)
    deaf.setblocking(False)
    try:
        while True:
            deaf.send(frame(2, b"x" * 125) * 512)
    except BlockingIOError:
        pass
    half = socket.create_connection(("127.0.0.1", port))
    half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgr")
    torn = connect(port, index, False)
    torn.sendall(b"\x81\xfe\xff")
    return [deaf, half, torn]


def main() -> None:
    """Measure and print, last line as JSON."""
    parser = argparse.ArgumentParser(description="idle connections")
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--compression", action="store_true", help="negotiate permessage-deflate")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.compression)
        return
    command = [sys.executable, __file__, "--serve"]
    if options.compression:
        command.append("--compression")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    warm = [connect(port, i, options.compression) for i in range(100)]
    before = resident(server.pid)
    started = time.perf_counter()
    count = options.connections
    socks = [connect(port, i, options.compression) for i in range(count)]
    opening = time.perf_counter() - started
    memory = (resident(server.pid) - before) / count
    bad = misbehave(port, count)
    for sock in socks:
        sock.settimeout(30)
    echoes = echo_times(socks[0], 1000)
    started = time.perf_counter()
    socks[0].sendall(frame(1, b"all of you"))
    for sock in socks:
        assert read_exactly(sock, 12)[2:] == b"all of you"
    broadcast = time.perf_counter() - started
    started = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    for sock in socks:
        head = read_exactly(sock, 4)
        assert (head[0], head[2:4]) == (0x88, (1001).to_bytes(2, "big")), head
        sock.sendall(frame(8, head[2:4]))
    goodbye = time.perf_counter() - started
    code = server.wait(30)
    result = {
        "python": sys.version.split()[0],
        "connections": count,
        "compression": options.compression,
        "resident_per_connection": round(memory),
        "open_s": round(opening, 2),
        "echo_p50_ms": round(statistics.median(echoes) * 1e3, 3),
        "echo_max_ms": round(max(echoes) * 1e3, 3),
        "broadcast_s": round(broadcast, 3),
        "all_1001_s": round(goodbye, 2),
        "exit_code": code,
    }
    for sock in [*warm, *socks, *bad]:
        sock.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main()

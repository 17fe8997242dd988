"""Coroutines at both ends: a server that echoes, and a client that talks to it.

python example/asyncio_echo.py serve [PORT]
python example/asyncio_echo.py [URL]
python example/asyncio_echo.py --selftest
"""

from __future__ import annotations

import asyncio
import sys

from ws4py.client.asyncioclient import connect
from ws4py.exc import HandshakeError
from ws4py.server.asyncioserver import serve

MESSAGES: list[str | bytes] = ["one", "two", b"\x00\x01\x02"]


async def echo(ws) -> None:
    """One connection, from its opening to its end."""
    async for message in ws:  # str for text, bytes for binary
        await ws.send(message)  # waits while the peer does not read


async def talk(url: str) -> list[str | bytes]:
    async with connect(url) as ws:
        print(f"a ping takes {await ws.ping() * 1000:.2f} ms")
        answers = []
        for message in MESSAGES:
            await ws.send(message)
            answers.append(await asyncio.wait_for(ws.recv(), 5))
            print("=>", answers[-1])
        return answers


async def run_server(port: int) -> None:
    server = serve(echo, "127.0.0.1", port)
    print(f"serving on ws://127.0.0.1:{server.port}/")
    await server.serve_forever()  # until Ctrl-C or SIGTERM; then everybody is told with 1001


async def selftest() -> None:
    async with serve(echo) as server:  # on any free port
        assert await talk(f"ws://127.0.0.1:{server.port}/") == MESSAGES


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--selftest"]:
            asyncio.run(selftest())
        elif sys.argv[1:2] == ["serve"]:
            asyncio.run(run_server(int(sys.argv[2]) if sys.argv[2:] else 9000))
        else:
            asyncio.run(talk(sys.argv[1] if sys.argv[1:] else "ws://127.0.0.1:9000/"))
    except (OSError, HandshakeError) as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        print("good bye")

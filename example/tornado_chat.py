"""A chat in a Tornado application: a page and a websocket on one port.

python example/tornado_chat.py [PORT]
python example/tornado_chat.py --selftest
"""

from __future__ import annotations

import asyncio
import signal
import sys

try:
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application, RequestHandler
except ImportError:
    print('this example needs Tornado: pip install "ws4py[tornado]"')
    sys.exit(77)

from ws4py.client.tornadoclient import WebSocketClient
from ws4py.messaging import Message
from ws4py.server import tornadoserver
from ws4py.server.tornadoserver import WebSocketHandler
from ws4py.websocket import WebSocket

PAGE = """<!doctype html><title>chat</title><input autofocus><pre></pre><script>
const ws = new WebSocket(`ws://${location.host}/ws`)
const input = document.querySelector("input"), lines = document.querySelector("pre")
ws.onmessage = event => lines.append(event.data + "\\n")
input.onchange = () => { ws.send(input.value); input.value = "" }
</script>"""


class Page(RequestHandler):
    def get(self) -> None:
        self.write(PAGE)


class Guest(WebSocket):
    """One who is in the room."""

    def received_message(self, message: Message) -> None:
        tornadoserver.websockets().broadcast(message)


async def serve(port: int) -> tuple[HTTPServer, int]:
    routes = [(r"/", Page), (r"/ws", WebSocketHandler, {"handler_cls": Guest})]
    server = HTTPServer(Application(routes))
    sockets = bind_sockets(port, "127.0.0.1")
    server.add_sockets(sockets)
    return server, sockets[0].getsockname()[1]


async def main(port: int) -> None:
    server, port = await serve(port)
    print(f"http://127.0.0.1:{port}/ until Ctrl-C")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    server.stop()
    await tornadoserver.close_all()  # everybody is told


async def selftest() -> None:
    server, port = await serve(0)
    heard = []

    class Visitor(WebSocketClient):
        def received_message(self, message: Message) -> None:
            heard.append(str(message))
            self.close()

    visitors = [Visitor(f"ws://127.0.0.1:{port}/ws") for _ in range(3)]
    for visitor in visitors:
        await visitor.connect()
    visitors[0].send("Grüße an alle")
    for visitor in visitors:
        await visitor.wait_closed()
    assert heard == ["Grüße an alle"] * 3, heard
    server.stop()
    await tornadoserver.close_all()


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        asyncio.run(selftest())
    else:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 9000))

"""A chat room: what one says, all hear. The page comes from the same port.

    python example/chat.py [PORT]
    python example/chat.py --selftest

Open the printed address in two tabs of a browser; behind it, ``?name=Ada`` says who you are.
"""

from __future__ import annotations

import queue
import sys
from urllib.parse import parse_qs

from ws4py.client.threadedclient import WebSocketClient
from ws4py.messaging import Message
from ws4py.protocol.handshake import Request, Response
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import WebSocket

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus autocomplete="off" aria-label="What you say"> <button>Say</button></form>
<ol id="room"></ol>
<script>
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const ws = new WebSocket(`${scheme}://${location.host}/${location.search}`);
  const show = (text) => {
    const line = document.createElement("li");
    line.textContent = text;
    document.getElementById("room").append(line);
  };
  ws.onmessage = (event) => show(event.data);
  ws.onclose = (event) => show(`Closed: ${event.code} ${event.reason}`);
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    const input = document.querySelector("input");
    ws.send(input.value);
    input.value = "";
  };
</script>
"""


class Visitor(WebSocket):
    """One browser tab. ``server`` is set below, when there is one."""

    server: WebSocketServer

    def opened(self) -> None:
        query = parse_qs(self.environ["QUERY_STRING"])  # of the opening request
        self.name = query.get("name", [f"Guest {self.peer_address[1]}"])[0][:40]
        self.server.broadcast(f"{self.name} is here")

    def received_message(self, message: Message) -> None:
        if message.is_text:
            # Somebody who does not read delays nobody else: see Config.high_water.
            self.server.broadcast(f"{self.name}: {message}")

    def closed(self, code: int, reason: str | None = None) -> None:
        self.server.broadcast(f"{self.name} has left")


def page(request: Request) -> Response | None:
    """Answers ordinary HTTP; ``None`` lets the opening handshake go on."""
    if "upgrade" in request.headers:
        return None
    if request.path != "/":
        return Response.text(404, "There is only one page.\n")
    return Response.html(200, PAGE)


def make_server(port: int = 0) -> WebSocketServer:
    Visitor.server = WebSocketServer(Visitor, "127.0.0.1", port, process_request=page)
    return Visitor.server


def main(port: int) -> None:
    server = make_server(port)
    print(f"Chat at http://127.0.0.1:{server.port}/ until Ctrl-C")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # everybody has been told


def selftest() -> None:
    class Guest(WebSocketClient):
        def __init__(self, url: str) -> None:
            super().__init__(url)
            self.heard: queue.Queue[str] = queue.Queue()

        def received_message(self, message: Message) -> None:
            self.heard.put(str(message))

    with make_server() as server:
        ada = Guest(f"ws://127.0.0.1:{server.port}/?name=Ada")
        ada.connect()
        assert ada.heard.get(timeout=10) == "Ada is here"
        bob = Guest(f"ws://127.0.0.1:{server.port}/?name=Bob")
        bob.connect()
        assert bob.heard.get(timeout=10) == ada.heard.get(timeout=10) == "Bob is here"
        ada.send("Grüße")
        assert bob.heard.get(timeout=10) == ada.heard.get(timeout=10) == "Ada: Grüße"
        bob.close()
        assert ada.heard.get(timeout=10) == "Bob has left"
    ada.run_forever()  # the server has gone, so it ends


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 9000)

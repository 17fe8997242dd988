"""A chat room on CherryPy: what one says, all hear.

    python example/cherrypy_chat.py [PORT]
    python example/cherrypy_chat.py --selftest

Open the printed address in two tabs of a browser; behind it, ``?name=Ada`` says who you are.
"""

from __future__ import annotations

import sys
import threading

from ws4py.client.threadedclient import WebSocketClient
from ws4py.messaging import Message
from ws4py.websocket import WebSocket

try:
    import cherrypy

    from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
except ImportError:
    print('this example needs CherryPy: pip install "ws4py[cherrypy]"')
    sys.exit(77)

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus autocomplete="off" aria-label="What you say"> <button>Say</button></form>
<ol id="room"></ol>
<script>
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const ws = new WebSocket(`${scheme}://${location.host}/ws${location.search}`);
  ws.onmessage = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("room").append(line);
  };
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    const input = document.querySelector("input");
    ws.send(input.value);
    input.value = "";
  };
</script>
"""


cherrypy.tools.websocket = WebSocketTool()


class Visitor(WebSocket):
    """One browser tab. Its hooks run on the plugin's thread."""

    name = "Guest"

    def received_message(self, message: Message) -> None:
        if message.is_text:
            cherrypy.engine.publish("websocket-broadcast", f"{self.name}: {message}")


class Root:
    @cherrypy.expose
    def index(self, name: str = "") -> str:
        return PAGE

    @cherrypy.expose
    @cherrypy.tools.websocket(handler_cls=Visitor)
    def ws(self, name: str = "Guest") -> None:
        """Runs before the handshake is answered; an error here would be the answer."""
        cherrypy.request.ws_handler.name = name[:40]


def selftest() -> None:
    heard: list[str] = []
    done = threading.Event()

    class Client(WebSocketClient):
        def opened(self) -> None:
            self.send("hello")

        def received_message(self, message: Message) -> None:
            heard.append(str(message))
            self.close()

        def closed(self, code: int, reason: str | None = None) -> None:
            done.set()

    host, port = cherrypy.server.bound_addr
    client = Client(f"ws://{host}:{port}/ws?name=Ada")
    client.connect()
    client.run_forever()
    assert done.is_set()
    assert heard == ["Ada: hello"], heard


def main(arguments: list[str]) -> None:
    test = "--selftest" in arguments
    port = 0 if test else int(arguments[0]) if arguments else 9000
    cherrypy.config.update({"server.socket_port": port, "log.screen": not test})
    cherrypy.config.update({"engine.autoreload.on": False, "checker.on": False})
    WebSocketPlugin(cherrypy.engine).subscribe()
    cherrypy.tree.mount(Root(), "/")
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    if test:
        try:
            selftest()
        finally:
            cherrypy.engine.exit()
    else:
        cherrypy.engine.block()


if __name__ == "__main__":
    main(sys.argv[1:])

"""Flask pages and websockets on one port, under any WSGI server that ws4py knows.

python example/wsgi_flask.py [PORT]                                      development
gunicorn -k gthread --threads 4 --chdir example wsgi_flask:app           production
python example/wsgi_flask.py --selftest
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading

from ws4py.client.threadedclient import WebSocketClient
from ws4py.messaging import Message
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import WebSocket

try:
    from flask import Flask
    from werkzeug.serving import BaseWSGIServer, make_server
except ImportError:
    print("this example needs Flask: pip install flask")
    sys.exit(77)

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>Shout</title>
<input autofocus aria-label="What to shout"> <output></output>
<script>
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const ws = new WebSocket(`${scheme}://${location.host}/shout`);
  ws.onmessage = (event) => document.querySelector("output").value = event.data;
  document.querySelector("input").oninput = (event) => ws.send(event.target.value);
</script>
"""


class Shout(WebSocket):
    """Says it again, louder."""

    def received_message(self, message: Message) -> None:
        self.send(str(message).upper())


app = Flask(__name__)
shout = WebSocketWSGIApplication(handler_cls=Shout)


@app.route("/")
def index() -> str:
    return PAGE


# A view may return a WSGI application. ``websocket=True`` is for Flask's routing.
@app.route("/shout", websocket=True)
def shout_view() -> WebSocketWSGIApplication:
    return shout


def selftest(server: BaseWSGIServer) -> None:
    answers: list[str] = []

    class Client(WebSocketClient):
        def opened(self) -> None:
            self.send("hello")

        def received_message(self, message: Message) -> None:
            answers.append(str(message))
            self.close()

    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    client = Client(f"ws://127.0.0.1:{server.server_port}/shout")
    client.connect()
    client.run_forever()
    server.shutdown()
    thread.join()
    assert answers == ["HELLO"], answers


def main(arguments: list[str]) -> None:
    test = "--selftest" in arguments
    port = 0 if test else int(arguments[0]) if arguments else 5000
    server = make_server("127.0.0.1", port, app, threaded=True)
    with contextlib.closing(server.socket):
        if test:
            selftest(server)
            return
        # The end of a program closes its websockets with 1001; SIGTERM alone is no such end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print(f"open http://127.0.0.1:{server.server_port}/")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A chat on gevent: pages and websockets on one port, a greenlet for each guest.

    python example/gevent_chat.py [PORT]
    python example/gevent_chat.py --selftest

Needs gevent. Open http://127.0.0.1:9000/ in two windows.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

try:
    import gevent

    from ws4py.client.geventclient import WebSocketClient
    from ws4py.server.geventserver import WebSocketWSGIApplication, WSGIServer
except ImportError as exc:
    print(exc)
    sys.exit(77)

from ws4py.messaging import Message
from ws4py.websocket import WebSocket

PAGE = b"""<!doctype html><title>chat</title><input id=i autofocus><ul id=l></ul><script>
const ws = new WebSocket(location.href.replace(/^http/, "ws") + "chat");
ws.onmessage = e => l.prepend(Object.assign(document.createElement("li"), {textContent: e.data}));
i.onchange = () => { ws.send(i.value); i.value = "" };
</script>"""

guests: set[WebSocket] = set()


class Guest(WebSocket):
    def opened(self) -> None:
        guests.add(self)

    def received_message(self, message: Message) -> None:
        for guest in list(guests):
            guest.send(f"{self.peer_address[1]}: {message}")

    def closed(self, code: int, reason: str | None = None) -> None:
        guests.discard(self)


chat = WebSocketWSGIApplication(handler_cls=Guest)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/chat":
        return chat(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE]


def main(port: int) -> None:
    server = WSGIServer(("127.0.0.1", port), application)
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, server.stop)
    print(f"open http://127.0.0.1:{port}/")
    server.serve_forever()


def selftest() -> None:
    server = WSGIServer(("127.0.0.1", 0), application, log=None)
    server.start()
    url = f"ws://127.0.0.1:{server.server_port}/chat"
    ann, bob = WebSocketClient(url), WebSocketClient(url)
    for client in (ann, bob):
        client.connect()
    with gevent.Timeout(10):
        while len(guests) < 2:
            gevent.sleep(0.01)
        ann.send("hello")
        for client in (ann, bob):
            assert str(client.receive()).endswith(": hello")
        server.stop()  # everybody is told
        assert (ann.receive(), bob.receive()) == (None, None)
    assert ann.close_info is not None
    assert ann.close_info.code == 1001


if __name__ == "__main__":
    if sys.argv[1:] == ["--selftest"]:
        selftest()
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 9000)

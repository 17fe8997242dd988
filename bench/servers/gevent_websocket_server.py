"""gevent-websocket, behind gevent's WSGI server."""

from gevent import monkey

monkey.patch_all()

from _args import ECHO, PORT, SINK  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402
from geventwebsocket.handler import WebSocketHandler  # noqa: E402

clients = set()


def app(environ, start_response):
    ws = environ["wsgi.websocket"]
    clients.add(ws)
    count = 0
    while (message := ws.receive()) is not None:
        if ECHO:
            ws.send(message, binary=not isinstance(message, str))
        elif not SINK:
            for client in list(clients):
                client.send(message, binary=not isinstance(message, str))
        elif isinstance(message, str):
            ws.send(str(count))
            count = 0
        else:
            count += 1
    clients.discard(ws)
    return []


WSGIServer(
    ("127.0.0.1", PORT), app, handler_class=WebSocketHandler, log=None, backlog=4096
).serve_forever()

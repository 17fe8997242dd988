"""A WSGI server with pages and websockets, as a program: ``wsgi_host.py NAME [CERT KEY]``.

Prints ``serving on PORT``; SIGTERM ends it as the end of a program does. gunicorn has a program
of its own, and imports ``application`` from here.
"""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
from typing import Any

if "gevent-patched" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import EchoWebSocket


class Echo(EchoWebSocket):
    """Echoes; says on which thread."""

    def received_message(self, message: Any) -> None:
        if str(message.data, "latin-1") == "thread?":
            self.send(threading.current_thread().name)
        else:
            super().received_message(message)


websockets = WebSocketWSGIApplication(handler_cls=Echo, mode=os.environ.get("MODE", "auto"))


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Websockets below ``/ws``, a page elsewhere."""
    if environ["PATH_INFO"].startswith("/ws"):
        return websockets(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"a page\n"]


def say(port: int) -> None:
    print(f"serving on {port}", flush=True)


def wsgiref(tls: ssl.SSLContext | None) -> None:
    from wsgiref.simple_server import make_server

    server = make_server("127.0.0.1", 0, application)
    say(server.server_port)
    server.serve_forever(0.05)


def werkzeug(tls: ssl.SSLContext | None) -> None:
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=tls)
    say(server.server_port)
    server.serve_forever(0.05)


def flask(tls: ssl.SSLContext | None) -> None:
    """The application called from a view, as a part of somebody else's."""
    from flask import Flask
    from werkzeug.serving import make_server

    app = Flask("test")
    app.add_url_rule("/", view_func=lambda: "a page\n")

    @app.route("/ws", websocket=True)
    def ws() -> Any:
        return websockets

    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=tls)
    say(server.server_port)
    server.serve_forever(0.05)


def cheroot(tls: ssl.SSLContext | None, *, ours: bool = False) -> None:
    from cheroot import wsgi

    server = wsgi.Server(("127.0.0.1", 0), application, numthreads=4)
    if ours:
        from ws4py.server.cherootconnection import install

        install(server)
    if tls is not None:
        from cheroot.ssl.builtin import BuiltinSSLAdapter

        server.ssl_adapter = BuiltinSSLAdapter(*sys.argv[-2:])
    server.prepare()
    say(server.bind_addr[1])
    try:
        server.serve()
    finally:
        server.stop()


def cheroot_connection(tls: ssl.SSLContext | None) -> None:
    cheroot(tls, ours=True)


def pywsgi(tls: ssl.SSLContext | None) -> None:
    import gevent
    from gevent.event import Event
    from gevent.pywsgi import WSGIServer

    options = {}
    if tls is not None:
        from gevent.ssl import SSLContext  # the standard library's would block all greenlets

        options["ssl_context"] = SSLContext(ssl.PROTOCOL_TLS_SERVER)
        options["ssl_context"].load_cert_chain(*sys.argv[-2:])
    server = WSGIServer(("127.0.0.1", 0), application, log=None, **options)
    gevent.signal_handler(signal.SIGTERM, lambda: gevent.spawn(end))
    server.start()
    say(server.server_port)
    done = Event()

    def end() -> None:
        websockets.shut_down()
        done.set()

    done.wait()
    server.stop()


def waitress(tls: ssl.SSLContext | None) -> None:
    from waitress.server import create_server

    server = create_server(application, host="127.0.0.1", port=0)
    say(server.effective_port)
    server.run()


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    name, *files = [argument for argument in sys.argv[1:] if argument != "gevent-patched"]
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    globals()[name](context)


if __name__ == "__main__":
    main()

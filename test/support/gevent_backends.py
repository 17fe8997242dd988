"""The gevent backends, without monkey patching: their hubs have threads of their own here.

Skipped, with the reason, where gevent is not installed.
"""

from __future__ import annotations

from typing import Any

import pytest

NO_GEVENT = "gevent is not installed"


def gevent_server(make: Any, handler: Any, **options: Any) -> Any:
    """gevent's WSGI server; ``make`` is ``Served``."""
    pytest.importorskip("gevent", reason=NO_GEVENT)
    from ws4py.cli.gevent import HubThread
    from ws4py.server import BaseServer, geventserver

    context, unix_path = options.pop("ssl", None), options.pop("unix_path", None)
    tls = {} if context is None else {"ssl_context": context}
    listening = BaseServer(handler, "127.0.0.1", 0, unix_path=unix_path)
    application = geventserver.WebSocketWSGIApplication(handler_cls=handler, **options)
    hub = HubThread()

    def start() -> Any:
        server = geventserver.WSGIServer(listening.listeners[0], application, log=None, **tls)
        server.start()
        return server

    def stop() -> None:
        if hub.thread.is_alive():
            hub.call(server.stop)
            hub.stop()
        listening.close_listeners()

    server = hub.call(start)
    return make(listening.port or unix_path, stop, server.broadcast)


def gevent_client(make: Any, hooks: type, url: str, **options: Any) -> Any:
    """gevent's client; ``make`` is ``Connected``."""
    pytest.importorskip("gevent", reason=NO_GEVENT)
    from ws4py.cli.gevent import Client

    # Nobody receives here: the queue of the client's own would fill up, and stop it.
    unheard = {"received_message": lambda ws, message: None}
    base = type("Client", (Client,), unheard)
    ws = type(hooks.__name__, (hooks, base), {})(url, **options)
    ws.connect()

    def stop() -> None:
        ws.close_connection()
        ws.run_forever()

    def join(timeout: float) -> None:
        ws.run_forever()

    return make(ws, join, stop)


#: What the servers that are given their requests by WSGI have in common with wsgiref's.
GEVENT_SERVER_CANNOT = {
    "process_request": "the WSGI application around ours answers ordinary requests",
    "extra_headers": "the WSGI application around ours adds headers",
    "open_timeout": "pywsgi reads the head; its timeout is one for each pause",
    "strict heads": "pywsgi reads the head, and is lenient",
}

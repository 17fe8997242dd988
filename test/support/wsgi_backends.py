"""Our WSGI application under other people's servers, and CherryPy, for the conformance tests.

Each server is made as its documentation says, but in this process, so that hooks can be watched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from waiting import TIMEOUT

from ws4py.manager import WebSocketManager
from ws4py.server.wsgiutils import WebSocketWSGIApplication

#: Of every WSGI server.
WSGI_CANNOT = {
    "unix_path": "these tests start it on TCP",
    "process_request": "the WSGI application around ours answers ordinary requests",
    "open_timeout": "the server reads the head, and has a timeout of its own",
    "strict heads": "the server reads the head, by its own rules",
    "cutting handshakes": "the server ends requests in its own time",
    "bodies": "the server reads the body before it lets anybody answer",
    "stalled heads": "each of them keeps a thread of the server until its timeout",
}
CHEROOT_CANNOT = {
    **WSGI_CANNOT,
    "stalled TLS": "it does the TLS handshake where it accepts",
}
CHERRYPY_CANNOT = {
    **CHEROOT_CANNOT,
    "process_request": "CherryPy has pages for that",
    "extra_headers": "CherryPy has tools for that",
}
GUNICORN_CANNOT = {**WSGI_CANNOT, "ssl": "it wants files, and its TLS stays in its few threads"}


class Application:
    """Ours with a manager of its own, and what stops it."""

    def __init__(self, handler: Any, options: dict[str, Any]) -> None:
        self.tls = options.pop("ssl", None)
        self.manager = WebSocketManager()
        self.manager.start()
        self.app = WebSocketWSGIApplication(
            handler_cls=handler,
            protocols=options.pop("protocols", None),
            manager=self.manager,
            **options,
        )

    def served(self, port: int, stop_server: Callable[[], Any], *, staying: bool = False) -> Any:
        from backends import Served

        def stop() -> None:
            stopping = threading.Thread(target=self._close, name="closing")
            stopping.start()
            stop_server()
            stopping.join(TIMEOUT)
            self.manager.stop()
            self.manager.join(TIMEOUT)

        return Served(port, stop, None if staying else self.manager.broadcast)

    def _close(self) -> None:
        self.app.shut_down()
        self.manager.shut_down(1001, "Server is shutting down")


def cheroot_server(handler: Any, **options: Any) -> Any:
    pytest.importorskip("cheroot")
    from ws4py.server.cherootconnection import install

    ours = Application(handler, options)
    server, stop = start_cheroot(ours.app, ours.tls, install)
    return ours.served(server.bind_addr[1], stop)


def start_cheroot(app: Any, tls: Any, install: Callable[[Any], Any]) -> Any:
    from cheroot import wsgi

    from ws4py.server.cherootconnection import ContextAdapter

    server = wsgi.Server(("127.0.0.1", 0), app, numthreads=4, request_queue_size=128)
    install(server)
    server.timeout = 5
    server.expiration_interval = 0.05
    server.error_log = lambda *args, **kwargs: None
    if tls is not None:
        server.ssl_adapter = ContextAdapter(tls)
    server.prepare()
    thread = threading.Thread(target=server.serve, name="cheroot")
    thread.start()

    def stop() -> None:
        server.stop()
        thread.join(TIMEOUT)

    return server, stop


def cherrypy_server(handler: Any, **options: Any) -> Any:
    """CherryPy's dispatching on cheroot; the bus, which is global, only passes messages."""
    pytest.importorskip("cherrypy")
    import cherrypy
    from backends import Served

    from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool

    class Root:
        @cherrypy.expose  # type: ignore[untyped-decorator]
        def default(self, *path: str, **query: str) -> str:
            return "is not sent"

    cherrypy.config.update({"environment": "test_suite"})
    cherrypy.tools.websocket = WebSocketTool()
    tls = options.pop("ssl", None)
    options["handler_cls"] = handler
    config = {f"tools.websocket.{name}": value for name, value in options.items()}
    app = cherrypy.Application(Root(), "", {"/": {"tools.websocket.on": True, **config}})
    plugin = WebSocketPlugin(cherrypy.engine)
    plugin.start()
    server, stop_server = start_cheroot(app, tls, lambda server: None)

    def stop() -> None:
        stopping = threading.Thread(target=plugin.stop, name="closing")
        stopping.start()
        stop_server()
        stopping.join(TIMEOUT)

    return Served(server.bind_addr[1], stop, plugin.manager.broadcast)


def werkzeug_server(handler: Any, **options: Any) -> Any:
    serving = pytest.importorskip("werkzeug.serving")

    class Quiet(serving.WSGIRequestHandler):  # type: ignore[misc,name-defined]
        timeout = 5

        def log(self, *args: Any) -> None:
            pass

    ours = Application(handler, options)
    server = serving.make_server(
        "127.0.0.1", 0, ours.app, threaded=True, request_handler=Quiet, ssl_context=ours.tls
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="werkzeug")
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()

    return ours.served(server.server_port, stop, staying=True)


def gunicorn_server(handler: Any, **options: Any) -> Any:
    """One of gunicorn's workers with threads, without the arbiter that would fork it."""
    if os.name != "posix":
        pytest.skip("gunicorn needs Unix")
    pytest.importorskip("gunicorn")
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger
    from gunicorn.sock import create_sockets
    from gunicorn.workers.gthread import ThreadWorker

    ours = Application(handler, options)

    class Gunicorn(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            self.cfg.set("bind", "127.0.0.1:0")
            self.cfg.set("threads", 4)
            self.cfg.set("keepalive", 1)
            self.cfg.set("graceful_timeout", 5)

        def load(self) -> Any:
            return ours.app

    class Worker(ThreadWorker):  # type: ignore[misc]
        def init_signals(self) -> None:
            pass

    application = Gunicorn()
    log = Logger(application.cfg)
    sockets = create_sockets(application.cfg, log)
    worker = Worker(1, os.getppid(), sockets, application, 5, application.cfg, log)
    thread = threading.Thread(target=worker.init_process, name="gunicorn")
    thread.start()

    def stop() -> None:
        worker.handle_exit(None, None)
        thread.join(TIMEOUT)
        worker.tmp.close()
        while worker.PIPE:
            os.close(worker.PIPE[0])
            worker.PIPE = worker.PIPE[1:]

    return ours.served(sockets[0].getsockname()[1], stop)

"""CherryPy as a program, as its users start it: ``cherrypy_host.py [CERT KEY [MODULE]]``.

A page at ``/``, an echo at ``/ws``; prints ``serving on PORT``. SIGTERM is CherryPy's own affair.
"""

from __future__ import annotations

import sys

import cherrypy

from ws4py.manager import SelectPoller
from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
from ws4py.websocket import EchoWebSocket

cherrypy.config.update(
    {
        "server.socket_port": 0,
        "server.thread_pool": 10,
        "server.socket_queue_size": 1024,
        "engine.autoreload.on": False,
        "checker.on": False,
        "log.screen": False,
    }
)
if len(sys.argv) > 2:
    cherrypy.config.update(
        {"server.ssl_certificate": sys.argv[1], "server.ssl_private_key": sys.argv[2]}
    )
if len(sys.argv) > 3:
    cherrypy.server.ssl_module = sys.argv[3]
cherrypy.tools.websocket = WebSocketTool()
WebSocketPlugin(cherrypy.engine, poller=SelectPoller).subscribe()


class Root:
    @cherrypy.expose
    def index(self) -> str:
        return "a page\n"

    @cherrypy.expose
    @cherrypy.tools.websocket(handler_cls=EchoWebSocket)
    def ws(self) -> None:
        pass


def started() -> None:
    print(f"serving on {cherrypy.server.bound_addr[1]}", flush=True)


cherrypy.engine.subscribe("start", started, priority=90)
cherrypy.quickstart(Root(), "/", {"/": {}})

"""CherryPy, started and stopped like the other backends: the whole site is one websocket."""

from __future__ import annotations

import logging
from typing import Any

import cherrypy

from ws4py.cli import cheroot
from ws4py.protocol.config import Config
from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
from ws4py.websocket import WebSocket

__all__ = ["Server"]


class Root:
    """Every page."""

    @cherrypy.expose  # type: ignore[untyped-decorator,unused-ignore]
    def default(self, *path: str, **query: str) -> None:
        """A websocket, by the tool."""


class Server(cheroot.Server):
    """CherryPy's dispatching and engine; its server is made here, for the TLS context's sake."""

    def make_application(self, handler: type[WebSocket], config: Config) -> Any:
        """One application with the tool switched on."""
        cherrypy.config.update({"environment": "embedded", "log.screen": False})
        cherrypy.tools.websocket = WebSocketTool()
        cherrypy.server.unsubscribe()
        cherrypy.engine.autoreload.unsubscribe()
        WebSocketPlugin(cherrypy.engine).subscribe()
        tool = {"on": True, "handler_cls": handler, "config": config}
        options = {f"tools.websocket.{name}": value for name, value in tool.items()}
        application = cherrypy.Application(Root(), "", {"/": options})
        for logs in (cherrypy.log, application.log):
            for log in (logs.error_log, logs.access_log):
                log.setLevel(logging.WARNING)  # that all goes well the command says by itself
        return application

    def start(self) -> None:
        """Start the engine, then serve."""
        cherrypy.engine.start()
        super().start()

    def shut_down(self) -> None:
        """Stop the engine, and with it the plugin."""
        cherrypy.engine.stop()

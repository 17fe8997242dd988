"""ws4py under CherryPy; the same script for 0.6 and 1.0."""

import cherrypy
import ws4py_common
from _args import PORT

from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool

cherrypy.config.update(
    {
        "server.socket_host": "127.0.0.1",
        "server.socket_port": PORT,
        "server.socket_queue_size": 4096,
        "server.thread_pool": 10,
        "log.screen": False,
        "engine.autoreload.on": False,
    }
)
plugin = WebSocketPlugin(cherrypy.engine)
plugin.subscribe()
ws4py_common.manager = plugin.manager
cherrypy.tools.websocket = WebSocketTool()


class Root:
    @cherrypy.expose
    def index(self):
        pass


tool = {"tools.websocket.on": True, "tools.websocket.handler_cls": ws4py_common.Handler}
cherrypy.quickstart(Root(), "/", {"/": tool})

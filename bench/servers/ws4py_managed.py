"""ws4py 1.0, the managed server, with all its defaults."""

import ws4py_common
from _args import PORT

from ws4py.server.managedserver import WebSocketServer

server = WebSocketServer(ws4py_common.Handler, "127.0.0.1", PORT)
ws4py_common.manager = server.manager
server.serve_forever()

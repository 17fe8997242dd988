"""ws4py behind wsgiref; the same script for 0.6 and 1.0."""

from wsgiref.simple_server import make_server

import ws4py_common
from _args import PORT

from ws4py.server.wsgirefserver import WebSocketWSGIRequestHandler, WSGIServer
from ws4py.server.wsgiutils import WebSocketWSGIApplication


class Quiet(WebSocketWSGIRequestHandler):
    def log_message(self, *a):
        pass


WSGIServer.request_queue_size = 4096
server = make_server(
    "127.0.0.1",
    PORT,
    server_class=WSGIServer,
    handler_class=Quiet,
    app=WebSocketWSGIApplication(handler_cls=ws4py_common.Handler),
)
server.initialize_websockets_manager()
ws4py_common.manager = server.manager
server.serve_forever()

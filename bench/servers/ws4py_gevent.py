"""ws4py on gevent; the same script for 0.6 and 1.0."""

from gevent import monkey

monkey.patch_all()

import ws4py_common  # noqa: E402
from _args import PORT  # noqa: E402

from ws4py.server.geventserver import WSGIServer  # noqa: E402
from ws4py.server.wsgiutils import WebSocketWSGIApplication  # noqa: E402

WSGIServer.backlog = 4096
WSGIServer(
    ("127.0.0.1", PORT), WebSocketWSGIApplication(handler_cls=ws4py_common.Handler), log=None
).serve_forever()

"""ws4py 1.0 as an ASGI application under uvicorn: PORT MODE LOOP PROTOCOL."""

import sys

import uvicorn
import ws4py_common
from _args import LOOP, PORT

from ws4py.server.asgi import WebSocketASGIApplication

application = WebSocketASGIApplication(ws4py_common.Handler)
ws4py_common.manager = application
uvicorn.run(
    application,
    host="127.0.0.1",
    port=PORT,
    loop=LOOP,
    ws=sys.argv[4],
    log_level="critical",
    backlog=4096,
)

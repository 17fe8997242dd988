"""ws4py 1.0 as a handler of a Tornado application."""

import asyncio

import ws4py_common
from _args import PORT, run
from tornado.web import Application

from ws4py.server import tornadoserver


async def main() -> None:
    options = {"handler_cls": ws4py_common.Handler}
    application = Application(
        [("/", tornadoserver.WebSocketHandler, options)], log_function=lambda handler: None
    )
    application.listen(PORT, "127.0.0.1", backlog=4096)
    ws4py_common.manager = tornadoserver.websockets()
    await asyncio.Event().wait()


run(main)

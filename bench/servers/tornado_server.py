"""Tornado's own WebSocketHandler."""

import asyncio

from _args import ECHO, PORT, SINK, run
from tornado.web import Application
from tornado.websocket import WebSocketHandler

clients = set()


class Handler(WebSocketHandler):
    count = 0

    def check_origin(self, origin):
        return True

    def open(self):
        clients.add(self)
        self.set_nodelay(True)

    def on_close(self):
        clients.discard(self)

    def on_message(self, message):
        binary = isinstance(message, bytes)
        if ECHO:
            self.write_message(message, binary)
        elif not SINK:
            for client in clients:
                client.write_message(message, binary)
        elif binary:
            self.count += 1
        else:
            self.write_message(str(self.count))
            self.count = 0


async def main():
    application = Application(
        [("/", Handler)], websocket_max_message_size=1 << 30, log_function=lambda handler: None
    )
    application.listen(PORT, "127.0.0.1", backlog=4096)
    await asyncio.Event().wait()


run(main)

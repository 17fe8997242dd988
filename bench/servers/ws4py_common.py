"""The WebSocket class under test, through ws4py's public API only, so that the
same scripts drive ws4py 0.6.0 and any compatible successor (the venv decides)."""

from _args import BCAST, ECHO, SINK

from ws4py.websocket import WebSocket

clients = set()
manager = None  # set by the script when the server has a manager with broadcast()


class Handler(WebSocket):
    if ECHO:

        def received_message(self, message):
            self.send(message.data, message.is_binary)
    elif SINK:
        count = 0

        def received_message(self, message):
            if message.is_binary:
                self.count += 1
            else:
                self.send(str(self.count))
                self.count = 0
    elif BCAST:

        def opened(self):
            clients.add(self)

        def closed(self, code, reason=None):
            clients.discard(self)

        def received_message(self, message):
            if manager is not None:
                manager.broadcast(message.data, message.is_binary)
            else:
                for c in list(clients):
                    c.send(message.data, message.is_binary)

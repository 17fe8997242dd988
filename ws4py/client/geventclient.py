"""The client for gevent: hooks run in a greenlet of its own, or ``receive()`` gives the messages.

Works with and without monkey patching. This module must never know frames.
"""

from __future__ import annotations

from typing import Any

from ws4py._extras import missing
from ws4py.client import WebSocketBaseClient
from ws4py.client.dial import Network
from ws4py.greenlets import adopt, call_in, wait, wrap_tls
from ws4py.messaging import Message

try:
    import gevent
    import gevent.event
    import gevent.queue
    import gevent.socket
except ImportError as exc:
    raise missing(__name__, "gevent", exc) from exc

__all__ = ["WebSocketBaseClient", "WebSocketClient"]


def look_up(host: str, port: int, timeout: float | None) -> list[Any]:
    """All addresses of a name, by gevent's resolver."""
    with gevent.Timeout(timeout, TimeoutError):
        found: list[Any] = gevent.socket.getaddrinfo(host, port, 0, gevent.socket.SOCK_STREAM)
        return found


class WebSocketClient(WebSocketBaseClient):
    """Arguments and hooks as ``WebSocketBaseClient``; every hook runs in the client's greenlet.

    Unless ``received_message`` is overridden, ``receive()`` gives the messages. When more than
    ``Config.high_water`` bytes wait there, nothing is read until some are taken. Hooks may wait
    (``gevent.sleep()``): only this connection stands still meanwhile. To be made and connected in
    the thread that runs the hub; ``send``, ``ping`` and ``close`` work from any thread.
    """

    _network = Network(gevent.socket.socket, wrap_tls, adopt, look_up, wait)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._hub = gevent.get_hub()
        self._th = gevent.Greenlet(self.run)
        #: What ``receive()`` gives; ``None`` behind the last one.
        self.messages: Any = gevent.queue.Queue()
        self._waiting = 0  # bytes in there
        self._closes = False
        self._room = gevent.event.Event()
        self._room.set()
        super().__init__(*args, **kwargs)

    def handshake_ok(self) -> None:
        """Start the greenlet; it begins before ``connect()`` returns."""
        self._th.start()
        gevent.sleep(0)

    def received_message(self, message: Message) -> None:
        """Keep it for ``receive()``; waits while too much is there, unless it is the end."""
        self.messages.put(message)
        self._waiting += len(message.data)
        if self._waiting > self.stream.high_water and not self._closes:
            self._room.clear()
            self._room.wait()

    def receive(self, block: bool = True) -> Message | None:
        """The next message; ``None`` once the connection is closed and all are taken.

        Waits for it, or raises ``gevent.queue.Empty`` unless ``block``.
        """
        message: Message | None = self.messages.get(block)
        if message is None:
            self.messages.put(None)  # for the next one who asks
            return None
        self._waiting -= len(message.data)
        if self._waiting <= self.stream.high_water // 2:
            self._room.set()
        return message

    def close(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        """Begin to close; see ``WebSocket.close``. What still comes goes to ``receive()``."""
        super().close(code, reason)
        self._closes = True
        call_in(self._hub, self._room.set)

    def terminate(self) -> None:
        """End it now; see ``WebSocket.terminate``. Whoever waits in ``receive()`` is told."""
        super().terminate()
        if not self._persists:
            call_in(self._hub, self.messages.put, None)

    def _leave(self, error: Exception | None = None) -> Any:
        call_in(self._hub, self.messages.put, None)
        return super()._leave(error)

    def run_forever(self) -> None:
        """Wait until ``closed()`` has returned; not from the client's own greenlet."""
        if self._th.started and self._th is not gevent.getcurrent():
            self._th.join()

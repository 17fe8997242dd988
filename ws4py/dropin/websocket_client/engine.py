"""The client below the dialect: everything that comes, in its order, for whoever asks for it.

This module must never know the names of the library.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from typing import Any

from ws4py.client.pull import PullClient
from ws4py.messaging import BinaryMessage, CloseControlMessage, Message, TextMessage
from ws4py.protocol.config import Config
from ws4py.protocol.connection import OutgoingMessage
from ws4py.websocket import WebSocket

__all__ = ["Engine"]

#: Pings and pongs that nobody asked for; the oldest are forgotten.
MAX_CONTROLS = 1024
CONTENT = (TextMessage, BinaryMessage, CloseControlMessage)


class Engine(PullClient):
    """A blocking client that also gives pings, pongs and the close frame. Any thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._controls: deque[Message] = deque(maxlen=MAX_CONTROLS)
        self._behind: Message | None = None  # data that came behind those
        self._reading = threading.RLock()
        self._outgoing: OutgoingMessage | None = None

    @classmethod
    def on_socket(cls, sock: Any, config: Config) -> Engine:
        """On a socket whose opening handshake is done, or anything with ``recv`` and ``send``."""
        engine = cls("ws://localhost/", config=config)
        engine.sock = sock if isinstance(sock, socket.socket) else Borrowed(sock)
        engine.transport = engine._new_transport()
        engine.setup(config)
        engine.handshake_ok()
        return engine

    def _deliver_control(self, message: Message) -> None:
        super()._deliver_control(message)
        self._controls.append(message)

    def _has_controls(self) -> bool:
        return bool(self._controls)

    def next_event(self, timeout: float | None = None) -> Message:
        """The next message of any kind; raises what ``next_message`` does."""
        with self._reading:
            if not self._controls and self._behind is None:
                end = None if timeout is None else time.monotonic() + timeout
                message = self._inbox.get() if self._inbox else None
                if message is None:
                    message = self._drive(self._has_controls, end)
                if not self._controls and message is not None:
                    return message
                self._behind = message
            if self._controls:
                return self._controls.popleft()
            message, self._behind = self._behind, None
            if message is None:
                raise self.closed_error()
            return message

    def next_content(self, timeout: float | None = None) -> Message:
        """The next data message, or the close frame."""
        while True:
            message = self.next_event(timeout)
            if type(message) in CONTENT:
                return message

    def send_part(self, data: bytes, opcode: int, fin: bool) -> None:
        """One fragment of a message: the first says which kind, the last is ``fin``."""
        with self.transport.lock:
            if opcode:
                self._outgoing = OutgoingMessage(self.stream, opcode, None)
            if self._outgoing is None:
                raise ValueError("there is no message to continue")
            self._outgoing.send(data, fin)
            if fin:
                self._outgoing = None
            self.transport.flush(self)
        if self.stream.unsent:
            self.transport.wait_sent(self)

    def begin_to_close(self, code: int, reason: str | bytes) -> None:
        """Send the close frame, and wait for nothing."""
        WebSocket.close(self, code, reason)

    def close_within(self, timeout: float | None) -> None:
        """What the server gets to close, in seconds; ``None``: any time. Before the close frame."""
        if self._transport is not None and not self._ended:
            with self.transport.lock:
                config: Config = self.stream.config
                self.stream.keep_alive(config.replace(close_timeout=timeout or None))

    def wait_closed(self) -> None:
        """Until it is over; data that still comes is dropped.

        From a signal handler that interrupts this thread's own receiving, which does the rest, it
        returns at once.
        """
        if self._driver == threading.get_ident():
            return
        while not self._ended and self._transport is not None:
            self._drive(bool, None)
        self._inbox.finish()
        if not self._reading.acquire(blocking=False):
            return  # whoever receives gets what there is
        self._controls.clear()
        self._behind = None
        while self._inbox:
            self._inbox.get()
        self._reading.release()


class Borrowed:
    """What is no socket but serves as one, as ``WebSocket`` uses them."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.close = given.close

    def recv(self, size: int) -> bytes:
        """Nothing is the end."""
        return self.given.recv(size) or b""

    def sendall(self, data: bytes) -> None:
        """All of it."""
        while data:
            data = data[self.given.send(data) :]

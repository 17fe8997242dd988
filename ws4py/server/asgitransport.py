"""A websocket over the events of an ASGI server, which reads and writes the frames itself.

It must never know the opening handshake, nor what an event is worth.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ws4py.lock import new_lock
from ws4py.messaging import CloseControlMessage
from ws4py.protocol.connection import CLOSED
from ws4py.protocol.relay import Relay
from ws4py.server.asgimessages import Event, Receive, Send
from ws4py.transport import Transport
from ws4py.websocket import WebSocket

__all__ = ["ASGITransport"]

logger = logging.getLogger("ws4py.server")

#: Messages of one connection after which the others have their turn.
TURN = 32


class ASGITransport(Transport):
    """Serves one accepted websocket within ``serve()``. Hooks run on the loop's thread.

    What hooks send leaves when they return, and the next message is asked for only when the
    server has taken that: a peer that does not read is not read from. Other threads may send.
    """

    def __init__(self, ws: WebSocket, receive: Receive, send: Send, is_secure: bool) -> None:
        super().__init__(new_lock(), is_secure)
        self.ws = ws
        self.loop = asyncio.get_running_loop()
        self._relay = Relay(ws.stream)
        self._receive = receive
        self._send = send
        self._thread = threading.get_ident()
        self._outbox: deque[bytes] = deque()
        self._room = threading.Condition()
        self._in_turn = False
        self._hung_up = False
        self._over = False
        self._end = asyncio.Event()
        self._wanted = asyncio.Event()
        self._writer: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Until the connection is over and ``closed()`` has returned."""
        reader = asyncio.ensure_future(self._read())
        reader.add_done_callback(lambda _: self._end.set())
        try:
            await self._end.wait()
        finally:
            self._over = True
            tasks = [task for task in (reader, self._writer) if task is not None]
            for task in tasks:
                task.cancel()
            if self._timer is not None:
                self._timer.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self._wake_senders()
            self._tell_room()
            self.ws.terminate()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    # In

    async def _read(self) -> None:
        self._turn(self.ws.connection_made)
        for count in itertools.count(1):
            if count % TURN == 0:
                await asyncio.sleep(0)  # a server that has them all need not wait for anything
            await self._written()
            if self.ws.stream.held:
                self._wanted.clear()
                await self._wanted.wait()
            event = await self._receive()
            if event["type"] == "websocket.receive":
                text = event.get("text")
                payload = event["bytes"] if text is None else text
                self._turn(self.ws.data_received, self._relay.frame(payload))
            elif event["type"] == "websocket.disconnect":
                self._disconnected(event)
                await self._written()
                return

    def proceed(self) -> None:
        """Whoever held the messages wants them again. Any thread."""
        if not self.may_block():
            self._wanted.set()
        else:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._wanted.set)

    def _turn(self, function: Callable[..., object], *args: object) -> None:
        self._in_turn = True
        try:
            function(*args)
        finally:
            self._look()
            self._in_turn = False

    def _disconnected(self, event: Event) -> None:
        self._hung_up = True
        frame = self._relay.close_frame(event.get("code"), event.get("reason") or "")
        if frame:
            self._turn(self.ws.data_received, frame)
        self._turn(self.ws.eof_received)

    # Out

    def may_block(self) -> bool:
        """Any thread but the loop's."""
        return threading.get_ident() != self._thread

    def flush(self, ws: Any, now: bool = False) -> None:
        """Put what is owed into line for the server. Lock held."""
        while data := ws.stream.data_to_send():
            self._outbox.append(data)
            ws.stream.unsent += len(data)
        if self.may_block():
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there
                self.loop.call_soon_threadsafe(self._look)
        elif not self._in_turn:
            self._look()

    def _look(self) -> None:
        """Something has changed: what is to be done? On the loop's thread."""
        if self._over:
            return
        if self._outbox and self._writer is None and not self._in_turn:
            self._writer = self.loop.create_task(self._write())
        stream = self.ws.stream
        if stream.want_abort or (stream.state is CLOSED and not self._outbox):
            self._end.set()
        elif stream.deadline is not None and self._timer is None:
            left = max(0.0, stream.deadline - stream.clock())
            self._timer = self.loop.call_later(left, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.ws.deadline_reached()

    async def _written(self) -> None:
        """Wait until the server has taken everything. For the reading task."""
        if self._writer is not None:
            await asyncio.wait((self._writer,))
        elif self._outbox:
            self._writer = asyncio.current_task()
            await self._write()

    async def _write(self) -> None:
        try:
            while self._outbox:
                data = self._outbox[0]
                for message in self._relay.messages(data):
                    await self._write_one(message)
                with self.lock:
                    self._outbox.popleft()
                    self.ws.stream.unsent -= len(data)
                self._wake_senders()
                if self.ws.stream.owed() <= self.ws.stream.high_water // 2:
                    self._tell_room()
        finally:
            self._writer = None
            self._look()

    async def _write_one(self, message: str | bytes | CloseControlMessage) -> None:
        if self._hung_up:
            return
        event: Event = {"type": "websocket.send"}
        if isinstance(message, str):
            event["text"] = message
        elif isinstance(message, bytes):
            event["bytes"] = message
        else:
            event = {"type": "websocket.close", "reason": message.reason}
            if message.code is not None:  # ASGI has no empty one: the server takes its default
                event["code"] = message.code
        try:
            await self._send(event)
        except Exception as exc:
            # The peer has gone; what it said before that is still to be received.
            logger.debug("%r cannot be written to: %s", self.ws, exc)
            self._hung_up = True
            self.ws.stream.error = self.ws.stream.error or exc

    def wait_sent(self, ws: Any) -> None:
        """Wait until what is left is below the high-water mark."""
        limit = ws.stream.high_water
        with self._room:
            self._room.wait_for(lambda: self._over or ws.stream.unsent <= limit)

    def _tell_room(self) -> None:
        tell, self.on_room = self.on_room, None
        if tell is not None:
            tell()

    def _wake_senders(self) -> None:
        with self._room:
            self._room.notify_all()

    def close(self) -> None:
        """Let go of the server's connection, which ends it. Any thread."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._end.set)

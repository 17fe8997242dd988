"""A peer whose frames somebody else speaks: messages to frames, frames to messages.

Some servers (those of ASGI) do the framing themselves and hand over messages. A connection is
none the wiser: it is given the frames that such messages would have come in, and what it writes
is turned back into messages. So states, limits and the closing handshake stay where they are.
This module must never know who that somebody is, nor sockets or time.
"""

from __future__ import annotations

from collections.abc import Iterator

from ws4py.messaging import CloseControlMessage
from ws4py.protocol.connection import NO_STATUS, Connection, is_valid_close_code, parse_close
from ws4py.protocol.wire import (
    NO_LIMIT,
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_TEXT,
    Decoder,
    encode_frame,
)

__all__ = ["Relay"]


class Relay:
    """Stands between one connection (a server's) and whoever speaks its frames.

    Pings and pongs of the connection go nowhere: that somebody sends his own.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        connection.expect_masking = False
        # No pong will ever come, also for a ``Heartbeat``.
        connection.keep_alive(connection.config.replace(ping_interval=None, ping_timeout=None))
        # The connection's own output: its limits are for what comes from outside.
        self._decoder = Decoder(False, max_fragments=NO_LIMIT >> 1)

    def frame(self, payload: str | bytes) -> bytes:
        """What to feed to the connection for a received message."""
        if isinstance(payload, str):
            return encode_frame(OPCODE_TEXT, payload.encode("utf-8", "surrogatepass"))
        return encode_frame(OPCODE_BINARY, payload)

    def close_frame(self, code: int | None, reason: str) -> bytes:
        """The same for the end; ``b""`` when ``code`` says that no close frame came."""
        code = code or NO_STATUS
        if code != NO_STATUS and not is_valid_close_code(code):
            return b""
        message = CloseControlMessage(None if code == NO_STATUS else code, reason)
        return encode_frame(OPCODE_CLOSE, message.data)

    def messages(self, data: bytes) -> Iterator[str | bytes | CloseControlMessage]:
        """What the connection's output says: text, binary, the close. Fragments are joined."""
        decoder = self._decoder
        decoder.receive(data)
        while decoder.next_message():
            opcode = decoder.opcode
            if opcode == OPCODE_TEXT:
                yield decoder.payload.decode() if decoder.text is None else decoder.text
            elif opcode == OPCODE_BINARY:
                yield decoder.payload
            elif opcode == OPCODE_CLOSE:
                code, reason = parse_close(decoder.payload)
                yield CloseControlMessage(None if code == NO_STATUS else code, reason)

"""What a connection of ``websockets`` knows of its protocol: states, codes, what was agreed.

A view of our engine's end and of the opening handshake before it; nothing is decided here.
"""

from __future__ import annotations

import enum
import logging
import uuid
from typing import Any

from ws4py.dropin.websockets.exceptions import ConnectionClosed
from ws4py.dropin.websockets.frames import Close, CloseCode
from ws4py.dropin.websockets.http11 import Request, Response
from ws4py.dropin.websockets.translation import closed_error
from ws4py.protocol import connection as engine

__all__ = ["Protocol", "Side", "State"]


class Side(enum.IntEnum):
    """Which end it is."""

    SERVER, CLIENT = range(2)


class State(enum.IntEnum):
    """Where a connection stands."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


SERVER, CLIENT = Side.SERVER, Side.CLIENT
CONNECTING, OPEN, CLOSING, CLOSED = State.CONNECTING, State.OPEN, State.CLOSING, State.CLOSED

_STATES = {engine.OPEN: OPEN, engine.CLOSING: CLOSING, engine.CLOSED: CLOSED}


class Protocol:
    """The facts of one connection; ``ws`` is our end, once the opening handshake is done."""

    def __init__(
        self, side: Side = SERVER, *, uri: Any = None, logger: Any = None, peer: Any = None
    ) -> None:
        self.side = side
        self.uri = uri
        self.logger = logger or logging.getLogger(f"websockets.{side.name.lower()}")
        self.peer = peer
        self.ws: Any = None
        self.request: Request | None = None
        self.response: Response | None = None
        #: What holds the socket until it is open, on servers.
        self.opening: Any = None
        self.handshake_exc: BaseException | None = None
        self._id: uuid.UUID | None = None

    @property
    def id(self) -> uuid.UUID:
        """A name for the connection, the same from now on."""
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @property
    def state(self) -> State:
        """Where it stands."""
        return CONNECTING if self.ws is None else _STATES[self.ws.stream.state]

    @property
    def close_info(self) -> engine.CloseInfo | None:
        """Our close report, once it is closed."""
        return None if self.ws is None else self.ws.close_info

    @property
    def close_rcvd(self) -> Close | None:
        """The close frame that came."""
        info = self.close_info
        return Close(*info.received) if info is not None and info.received else None

    @property
    def close_sent(self) -> Close | None:
        """The close frame that was sent."""
        info = self.close_info
        return Close(*info.sent) if info is not None and info.sent else None

    @property
    def close_code(self) -> int | None:
        """Of the received close frame, 1006 without one; ``None`` until it is closed."""
        if self.close_info is None:
            return None
        received = self.close_rcvd
        return CloseCode.ABNORMAL_CLOSURE if received is None else received.code

    @property
    def close_reason(self) -> str | None:
        """Of the received close frame; ``None`` until it is closed."""
        if self.close_info is None:
            return None
        received = self.close_rcvd
        return "" if received is None else received.reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What is raised from now on."""
        return closed_error(self.close_info)

    @property
    def subprotocol(self) -> Any:
        """What was agreed upon."""
        return None if self.ws is None else self.ws.subprotocol

    @property
    def extensions(self) -> list[Any]:
        """Those in use."""
        deflate = None if self.ws is None else self.ws.stream.deflate
        return [] if deflate is None else [deflate]

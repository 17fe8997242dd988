"""What all connections have, of either side and of either way of running: facts and old names."""

from __future__ import annotations

import logging
from typing import Any

from ws4py.dropin.websockets.exceptions import ConnectionClosed
from ws4py.dropin.websockets.protocol import CLOSED, OPEN, Protocol, State

__all__ = ["Habits"]


class Habits:
    """A connection's facts under their names of today and of old."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._ws: Any = None

    def attach(self, ws: Any) -> None:
        """The opening handshake is done; ``ws`` is our end."""
        self._ws = self.protocol.ws = ws

    # Today's

    @property
    def id(self) -> Any:
        """A name for the connection."""
        return self.protocol.id

    @property
    def logger(self) -> Any:
        """Adds the connection to each record as ``websocket``."""
        return logging.LoggerAdapter(self.protocol.logger, {"websocket": self})

    @property
    def request(self) -> Any:
        """The request of the opening handshake."""
        return self.protocol.request

    @property
    def response(self) -> Any:
        """The answer to it."""
        return self.protocol.response

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self.protocol.state

    @property
    def subprotocol(self) -> Any:
        """What was agreed upon."""
        return self.protocol.subprotocol

    @property
    def latency(self) -> float:
        """Seconds that the last ping took; 0 before the first."""
        return 0.0 if self._ws is None else self._ws.latency or 0.0

    @property
    def local_address(self) -> Any:
        """Of our end."""
        return None if self._ws is None else self._ws.local_address

    @property
    def remote_address(self) -> Any:
        """Of the peer."""
        return self.protocol.peer if self._ws is None else self._ws.peer_address

    @property
    def close_code(self) -> int | None:
        """The peer's, 1006 if none came; ``None`` until it is closed."""
        return self.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """The peer's; ``None`` until it is closed."""
        return self.protocol.close_reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What is raised from now on."""
        return self.protocol.close_exc

    # Older ones

    @property
    def open(self) -> bool:
        """As of old: whether it is open."""
        return self.protocol.state is OPEN

    @property
    def closed(self) -> bool:
        """As of old: whether it is closed."""
        return self.protocol.state is CLOSED

    @property
    def state_name(self) -> str:
        """As of old."""
        return self.protocol.state.name

    @property
    def path(self) -> str:
        """As of old: the path and query that were asked for."""
        return self.protocol.request.path if self.protocol.request is not None else ""

    @property
    def request_headers(self) -> Any:
        """As of old."""
        return None if self.protocol.request is None else self.protocol.request.headers

    @property
    def response_headers(self) -> Any:
        """As of old."""
        return None if self.protocol.response is None else self.protocol.response.headers

    @property
    def host(self) -> Any:
        """As of old: of the server."""
        return self._server_address()[0]

    @property
    def port(self) -> Any:
        """As of old: of the server."""
        return self._server_address()[1]

    def _server_address(self) -> tuple[Any, Any]:
        uri = self.protocol.uri
        if uri is not None:
            return uri.host, uri.port
        address = self.local_address
        return address if isinstance(address, tuple) else (address, None)

    @property
    def secure(self) -> bool:
        """As of old: whether it runs over TLS."""
        return self._ws is not None and bool(self._ws.transport.is_secure)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.remote_address} {self.protocol.state.name}>"

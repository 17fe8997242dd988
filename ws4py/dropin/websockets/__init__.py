"""``websockets``: the interface of today and of old, on our engine.

    import ws4py.dropin.websockets as websockets

``asyncio.client``, ``asyncio.server``, ``sync.client``, ``sync.server`` and the modules of
exceptions and vocabulary are where programs expect them. Programs of the time of 2.x import
``ws4py.dropin.websockets.v2`` instead. What differs: docs/coming-from-websockets.md.
"""

from __future__ import annotations

from ws4py.dropin.websockets import exceptions as exceptions
from ws4py.dropin.websockets import frames as frames
from ws4py.dropin.websockets import http11 as http11
from ws4py.dropin.websockets import protocol as protocol
from ws4py.dropin.websockets.asyncio.client import ClientConnection, connect, unix_connect
from ws4py.dropin.websockets.asyncio.router import Router, route, unix_route
from ws4py.dropin.websockets.asyncio.server import (
    Server,
    ServerConnection,
    basic_auth,
    broadcast,
    serve,
    unix_serve,
)
from ws4py.dropin.websockets.datastructures import Headers, HeadersLike, MultipleValuesError
from ws4py.dropin.websockets.exceptions import *  # noqa: F403
from ws4py.dropin.websockets.frames import Close, CloseCode, Opcode
from ws4py.dropin.websockets.http11 import Request, Response
from ws4py.dropin.websockets.protocol import Side, State
from ws4py.dropin.websockets.typing import (
    Data,
    ExtensionName,
    ExtensionParameter,
    LoggerLike,
    Origin,
    StatusLike,
    Subprotocol,
)
from ws4py.dropin.websockets.uri import parse_uri
from ws4py.dropin.websockets.version import version as __version__

#: The names of older releases.
WebSocketClientProtocol = ClientConnection
WebSocketServerProtocol = ServerConnection
WebSocketServer = Server
WebSocketCommonProtocol = ClientConnection.__base__

__all__ = [
    "ClientConnection",
    "Close",
    "CloseCode",
    "Data",
    "ExtensionName",
    "ExtensionParameter",
    "Headers",
    "HeadersLike",
    "LoggerLike",
    "MultipleValuesError",
    "Opcode",
    "Origin",
    "Request",
    "Response",
    "Router",
    "Server",
    "ServerConnection",
    "Side",
    "State",
    "StatusLike",
    "Subprotocol",
    "WebSocketClientProtocol",
    "WebSocketCommonProtocol",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "__version__",
    "basic_auth",
    "broadcast",
    "connect",
    "parse_uri",
    "route",
    "serve",
    "unix_connect",
    "unix_route",
    "unix_serve",
]
__all__ += exceptions.__all__

"""What the servers share: arguments of ``serve`` into ours, and how connections come about."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from ws4py.dropin.websockets.client import LIMITS, OF_A_CONNECTION
from ws4py.dropin.websockets.http11 import SERVER as SERVER_HEADER
from ws4py.dropin.websockets.http11 import Response
from ws4py.dropin.websockets.protocol import SERVER, Protocol
from ws4py.dropin.websockets.translation import (
    check_subprotocols,
    header_pairs,
    make_config,
    renamed,
    takes_path,
)

__all__ = ["BaseServer", "Responding"]

LISTENING = ("ssl", "sock", "backlog", "reuse_port", "unix", "path", "start_serving")
HOOKS = ("process_request", "process_response", "select_subprotocol")
OTHERS = (
    "origins",
    "subprotocols",
    "additional_headers",
    "server_header",
    "create_connection",
    "logger",
    "legacy_recv",
    "config",
)


class Responding:
    """Mixin for connections of servers."""

    server: Any
    username: str
    handler: Any
    handler_kwargs: Any

    def respond(self, status: Any, text: str) -> Response:
        """A page of plain text, for hooks to return."""
        return Response.text(status, text)


class BaseServer:
    """What ``serve`` was asked for, and what the hooks' side of our server needs of it."""

    #: The kind of connection that is made unless the program has its own.
    connection_class: Any
    #: The keyword arguments that a factory gets.
    connection_limits: tuple[str, ...] = OF_A_CONNECTION

    def __init__(
        self, handler: Callable[..., Any], host: Any, port: int | None, options: dict[str, Any]
    ) -> None:
        options = renamed(options, LIMITS + LISTENING + HOOKS + OTHERS)
        self.options = options
        self._handler = handler
        self._takes_path = takes_path(handler)
        self.process_request = options.get("process_request")
        self.process_response = options.get("process_response")
        self.select_subprotocol = options.get("select_subprotocol")
        self.legacy_recv = bool(options.get("legacy_recv"))
        self.logger = options.get("logger") or logging.getLogger("websockets.server")
        limits = {name: options[name] for name in LIMITS if name in options}
        self._limits = {name: limits[name] for name in self.connection_limits if name in limits}
        self._engine_options: dict[str, Any] = {
            "config": options.get("config") or make_config(**limits),
            "protocols": check_subprotocols(options.get("subprotocols")),
            "origins": options.get("origins"),
            "ssl": options.get("ssl"),
        }
        self._listen_on(host, port or 0)

    def _listen_on(self, host: Any, port: int) -> None:
        options, engine = self.options, self._engine_options
        for name in ("backlog", "reuse_port"):
            if name in options:
                engine[name] = options[name]
        sock, path = options.get("sock"), options.get("path")
        if options.get("unix"):
            if path is not None and sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            if path is None and sock is None:
                raise ValueError("path was not specified, and no sock specified")
        if sock is not None:
            engine["sockets"] = [sock]
        elif path is not None:
            engine["unix_path"] = os.fsdecode(path)
        else:
            engine["host"], engine["port"] = host or None, port

    def new_connection(self, peer: Any) -> Any:
        """A connection whose opening handshake begins."""
        protocol = Protocol(SERVER, logger=self.logger, peer=peer)
        factory = self.options.get("create_connection") or self.connection_class
        connection = self.create(factory, protocol)
        connection.server = self
        return connection

    def create(self, factory: Any, protocol: Protocol) -> Any:
        """Call a factory as theirs are called."""
        connection = factory(protocol, self, **self._limits)
        connection.legacy_recv = self.legacy_recv
        return connection

    def response_headers(self, connection: Any, response: Response) -> Iterable[tuple[str, str]]:
        """What is added to every answer, and to a 101."""
        server = self.options.get("server_header", SERVER_HEADER)
        if server is not None and "Server" not in response.headers:
            yield "Server", server
        extra = self.options.get("additional_headers")
        if extra is not None and response.status_code == 101:
            if callable(extra):
                extra = extra(connection.path, connection.request_headers)
            yield from header_pairs(extra)

    def _call(self, connection: Any) -> Any:
        """Call the handler, with the path if it is one of those that want it."""
        if self._takes_path:
            return self._handler(connection, connection.path)
        return self._handler(connection)

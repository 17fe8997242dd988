"""What the clients share: arguments of ``connect`` into ours, and what to do after a failure."""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ws4py.client import WebSocketBaseClient
from ws4py.dropin.websockets.datastructures import Headers
from ws4py.dropin.websockets.exceptions import InvalidMessage, InvalidProxy, InvalidStatus
from ws4py.dropin.websockets.http11 import USER_AGENT, Request, Response
from ws4py.dropin.websockets.protocol import CLIENT, Protocol
from ws4py.dropin.websockets.translation import (
    check_subprotocols,
    header_pairs,
    make_config,
    renamed,
    tls_options,
)
from ws4py.dropin.websockets.uri import parse_uri, taken_apart
from ws4py.protocol.config import Config
from ws4py.protocol.uri import parse_proxy
from ws4py.protocol.uri import parse_uri as parse

__all__ = ["backoff", "process_exception"]

#: Everything that ``connect`` takes of what concerns one connection.
LIMITS = (
    "open_timeout",
    "ping_interval",
    "ping_timeout",
    "close_timeout",
    "max_size",
    "max_queue",
    "write_limit",
    "compression",
    "extensions",
)
NETWORK = (
    "host",
    "port",
    "sock",
    "ssl",
    "server_hostname",
    "local_addr",
    "unix",
    "path",
    "proxy_ssl",
    "proxy_server_hostname",
)
OTHERS = (
    "origin",
    "subprotocols",
    "additional_headers",
    "user_agent_header",
    "proxy",
    "create_connection",
    "logger",
    "legacy_recv",
    "config",
)
#: What a factory of connections is given, as theirs are.
OF_A_CONNECTION = ("ping_interval", "ping_timeout", "close_timeout", "max_queue", "write_limit")


class Wanted:
    """What ``connect`` was asked for. Raises ``InvalidURI``, ``TypeError`` and ``ValueError``."""

    def __init__(self, uri: str, options: dict[str, Any]) -> None:
        options = renamed(options, LIMITS + NETWORK + OTHERS)
        self.uri = uri
        self.ws_uri = parse_uri(uri)
        self.options = options
        self.limits = {name: options[name] for name in LIMITS if name in options}
        self.config: Config = options.get("config") or make_config(**self.limits)
        self.subprotocols: Sequence[str] = check_subprotocols(options.get("subprotocols"))
        secure = self.ws_uri.secure
        if options.get("unix") and (options.get("path") is None) == (options.get("sock") is None):
            both = options.get("path") is not None
            raise ValueError(
                "path and sock can not be specified at the same time"
                if both
                else "no path and sock were specified"
            )
        if secure and options.get("ssl", True) is None:
            raise ValueError("ssl=None is incompatible with a wss:// URI")
        self.tls = tls_options(options.get("ssl", secure), options.get("server_hostname"), secure)

    def of_a_connection(self) -> dict[str, Any]:
        """For a factory of connections."""
        return {name: self.limits[name] for name in OF_A_CONNECTION if name in self.limits}

    def _headers(self) -> list[tuple[str, str]]:
        options = self.options
        headers = header_pairs(options.get("additional_headers"))
        names = {name.lower() for name, _ in headers}
        agent = options.get("user_agent_header", USER_AGENT)
        if agent is not None and "user-agent" not in names:
            headers.append(("User-Agent", agent))
        if options.get("origin") is not None:
            headers.append(("Origin", options["origin"]))
        if ("host" in options or "port" in options) and "host" not in names:
            # They say where to connect to; the server shall see the URI's.
            headers.append(("Host", parse(self.uri).host_header))
        return headers

    def _check_proxy(self) -> None:
        """Raises ``InvalidProxy``, and ``ValueError`` for TLS that does not go with it."""
        proxy = self.options.get("proxy")
        if not isinstance(proxy, str):
            return
        try:
            secure = parse_proxy(proxy).scheme == "https"
        except ValueError as exc:
            raise InvalidProxy(proxy, str(exc)) from exc
        tls = self.options.get("proxy_ssl")
        if secure and "proxy_ssl" in self.options and tls is None:
            raise ValueError("proxy_ssl=None is incompatible with an https:// proxy")
        if not secure and tls is not None:
            raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")

    def client(self, kind: type[WebSocketBaseClient], **more: Any) -> Any:
        """Our client, not connected yet."""
        options = self.options
        headers = self._headers()
        self._check_proxy()
        proxy_tls = {"ssl_context": options.get("proxy_ssl")} if options.get("proxy_ssl") else {}
        if "proxy_server_hostname" in options:
            proxy_tls["server_hostname"] = options["proxy_server_hostname"]
        tls = dict(self.tls)
        if "host" in options and self.ws_uri.secure:
            tls.setdefault("server_hostname", self.ws_uri.host)
        by_itself = options.get("unix") or options.get("sock") is not None
        ws = kind(
            self.uri,
            self.subprotocols,
            ssl_options=tls,
            headers=headers,
            exclude_headers=[] if any(n.lower() == "origin" for n, _ in headers) else ["origin"],
            config=self.config,
            proxy=None if by_itself else options.get("proxy", True),
            proxy_ssl_options=proxy_tls,
            sock=options.get("sock"),
            local_addr=options.get("local_addr"),
            **more,
        )
        if options.get("unix") and options["path"] is not None:
            ws.unix_socket_path = os.fsdecode(options["path"])
        ws.host = options.get("host", ws.host)
        ws.port = options.get("port", ws.port)
        return ws

    def protocol(self, ws: Any) -> Protocol:
        """The facts of a connection that has come about."""
        handshake = ws.opening
        there = taken_apart(handshake.uri)  # where redirects have led to
        protocol = Protocol(CLIENT, uri=there, logger=self.options.get("logger"))
        headers = Headers(handshake.request_headers)
        protocol.request = Request(handshake.uri.resource, headers)
        protocol.response = Response.of(handshake.response)
        return protocol


class Remembering:
    """Mixin that goes before our clients: the opening handshake stays to be looked at."""

    opening: Any = None

    def _established(self, opened: Any) -> None:
        self.opening = opened[1]
        super()._established(opened)  # type: ignore[misc]


def process_exception(exc: Exception) -> Exception | None:
    """Whether to try again (``None``) after this failure, or to raise what is returned.

    Again: after errors of the network, silence, and 500, 502, 503 and 504.
    """
    if isinstance(exc, OSError | TimeoutError):
        return None
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status_code in (500, 502, 503, 504):
        return None
    return exc


def backoff(
    initial_delay: float = 5.0,
    min_delay: float = 3.1,
    max_delay: float = 60.0,
    factor: float = 1.618,
) -> Generator[float, None, None]:
    """Seconds to wait before each attempt: at first a random time, then longer and longer."""
    yield random.random() * initial_delay
    delay = min_delay
    while True:
        yield min(delay, max_delay)
        delay = min(delay * factor, max_delay)


class Retries:
    """What lies between two attempts, for ``for`` and ``async for``."""

    def __init__(
        self,
        process_exception: Callable[[Exception], Exception | None],
        delays: Callable[[], Generator[float, None, None]],
        logger: Any,
    ) -> None:
        self._process_exception = process_exception
        self._new_delays = delays
        self._delays: Generator[float, None, None] | None = None
        self._logger = logger

    def succeeded(self) -> None:
        """There was a connection: the delays begin anew."""
        self._delays = None

    def delay_after(self, exc: Exception) -> float:
        """Seconds to wait; raises what ``process_exception`` takes for fatal."""
        fatal = self._process_exception(exc)
        if fatal is exc:
            raise exc
        if fatal is not None:
            raise fatal from exc
        self._delays = self._delays or self._new_delays()
        delay = next(self._delays)
        short = traceback.format_exception_only(type(exc), exc)[0].strip()
        self._logger.info("connect failed; reconnecting in %.1f seconds: %s", delay, short)
        return delay

"""Arguments of ``websockets`` programs into ours, our errors into theirs."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ws4py import exc as ours
from ws4py.dropin.websockets.datastructures import Headers
from ws4py.dropin.websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidUpgrade,
    NegotiationError,
    ProxyError,
    SecurityError,
)
from ws4py.dropin.websockets.extensions.permessage_deflate import PerMessageDeflateFactory
from ws4py.dropin.websockets.frames import OK_CLOSE_CODES, Close
from ws4py.dropin.websockets.http11 import Response
from ws4py.protocol import http as engine
from ws4py.protocol.config import DEFAULT, Compression, Config
from ws4py.protocol.connection import CloseInfo
from ws4py.protocol.headers import Headers as EngineHeaders

__all__ = ["as_bytes", "closed_error", "make_config", "opening_error", "renamed", "takes_path"]

#: Names of arguments in older releases, and what they are today.
OLD_NAMES = {
    "extra_headers": "additional_headers",
    "timeout": "close_timeout",
    "klass": "create_connection",
    "create_protocol": "create_connection",
}
#: Arguments that have nothing to say here: of older releases, or of asyncio's own connecting.
IGNORED = (
    "loop",
    "read_limit",
    "ssl_handshake_timeout",
    "ssl_shutdown_timeout",
    "happy_eyeballs_delay",
    "interleave",
    "all_errors",
    "family",
    "flags",
    "proto",
    "reuse_address",
    "keep_alive",
)


def renamed(options: dict[str, Any], allowed: Iterable[str]) -> dict[str, Any]:
    """Options with today's names. Raises ``TypeError`` for what is no option at all."""
    found = {}
    for name, value in options.items():
        if name in IGNORED:
            continue
        name = OLD_NAMES.get(name, name)
        if name not in allowed:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        found[name] = value
    return found


def make_config(
    *,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: Any = 2**20,
    max_queue: Any = 16,
    write_limit: Any = None,
    compression: str | None = "deflate",
    extensions: Sequence[Any] | None = None,
) -> Config:
    """The policy that these arguments ask for."""
    high = max_queue[0] if isinstance(max_queue, tuple) else max_queue
    water = write_limit[0] if isinstance(write_limit, tuple) else write_limit
    return Config(
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_message_size=max_size[0] if isinstance(max_size, tuple) else max_size,
        receive_queue=sys.maxsize if high is None else max(1, high),
        receive_queue_size=sys.maxsize if high is None else DEFAULT.receive_queue_size,
        high_water=water or DEFAULT.high_water,
        compression=_compression(compression, extensions or ()),
    )


def _compression(compression: str | None, extensions: Sequence[Any]) -> Compression | None:
    if compression not in ("deflate", None):
        raise ValueError(f"unsupported compression: {compression}")
    for extension in extensions:
        if not isinstance(extension, PerMessageDeflateFactory):
            raise TypeError(f"the only extension here is permessage-deflate, not {extension!r}")
        return extension.compression
    return DEFAULT.compression if compression else None


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """Header fields in any of the forms in which they may be given."""
    return [] if headers is None else list(Headers(headers).raw_items())


def check_subprotocols(subprotocols: Any) -> Sequence[str]:
    """A list of names. Raises ``TypeError`` for a single one."""
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list, not a str")
    return list(subprotocols or ())


def as_bytes(data: Any) -> bytes:
    """The payload of a ping or pong."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise TypeError("data must be str or bytes-like")


def ping_payload(data: Any) -> bytes:
    """The same; random bytes for ``None``."""
    return os.urandom(4) if data is None else as_bytes(data)


def takes_path(handler: Callable[..., Any]) -> bool:
    """Whether a handler wants the path as a second argument, as handlers once did."""
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return False
    wanted = [
        each
        for each in parameters
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return len(wanted) == 2


def takes_path_first(hook: Callable[..., Any]) -> bool:
    """Whether a ``process_request`` is one of ``(path, headers)``, as they once were."""
    try:
        return next(iter(inspect.signature(hook).parameters), None) == "path"
    except (TypeError, ValueError):
        return False


def engine_response(response: Any) -> engine.Response:
    """What a hook answers: a ``Response``, or status, headers and body as of old."""
    if isinstance(response, Response):
        return response.apply()
    status, headers, body = response
    return engine.Response(int(status), EngineHeaders(header_pairs(headers)), bytes(body))


# -- errors --------------------------------------------------------------------------------


def closed_error(info: CloseInfo | None) -> ConnectionClosed:
    """The exception for this close report; without one the end is still on its way."""
    if info is None:
        return ConnectionClosedError(None, None)
    received = Close(*info.received) if info.received else None
    sent = Close(*info.sent) if info.sent else None
    both = received is not None and sent is not None
    first = info.began_by == "peer" if both else None
    ok = both and all(frame.code in OK_CLOSE_CODES for frame in (received, sent) if frame)
    error = (ConnectionClosedOK if ok else ConnectionClosedError)(received, sent, first)
    error.close_info = info
    error.__cause__ = info.error  # and that is all there is to know about how it came
    return error


def opening_error(exc: BaseException, late: str) -> BaseException:
    """The exception for one of ours that ended an opening; others stay what they are.

    ``late``: what is said where it took too long.
    """
    found: BaseException
    if isinstance(exc, ours.ProxyError):
        refused = exc.status is not None
        found = InvalidProxyStatus(_response(exc)) if refused else ProxyError(str(exc))
    elif isinstance(exc, ours.ConnectionTimeout):
        found = TimeoutError(late)
    elif not isinstance(exc, ours.HandshakeError):
        return exc
    elif exc.status is None:
        found = InvalidMessage("did not receive a valid HTTP response")
    elif 300 <= exc.status < 400 and isinstance(exc.__cause__, ours.HandshakeError):
        found = SecurityError(str(exc))  # a redirect that must not be followed
    elif exc.status != 101:
        found = InvalidStatus(_response(exc))
    else:
        found = _broken(exc)
    found.__cause__ = exc.__cause__ if isinstance(exc.__cause__, EOFError) else exc
    return found


def _response(exc: ours.HandshakeError) -> Response:
    return Response.of(engine.Response(exc.status or 0, EngineHeaders(exc.headers), exc.body))


def _broken(exc: ours.HandshakeError) -> InvalidHandshake:
    """A 101 with something wrong in it."""
    name = exc.header
    if name is None:
        return InvalidMessage(str(exc))
    if name in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"):
        return NegotiationError(str(exc))
    values = EngineHeaders(exc.headers).get_all(name)
    kind = InvalidUpgrade if name in ("Upgrade", "Connection") else InvalidHeader
    return kind(name, ", ".join(values) if values else None)


def tls_options(ssl: Any, server_hostname: str | None, secure: bool) -> Mapping[str, Any]:
    """Our ``ssl_options``. Raises ``ValueError`` where they do not go with the URI."""
    if not secure:
        if ssl:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        return {}
    options = {} if ssl is True else {"ssl_context": ssl}
    return options if server_hostname is None else {**options, "server_hostname": server_hostname}

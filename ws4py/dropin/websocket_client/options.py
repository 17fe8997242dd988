"""The options of websocket-client, said as arguments of our clients.

This module must never connect anything.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

from ws4py.client.proxy import is_excepted
from ws4py.client.tls import make_ssl_context
from ws4py.protocol.config import Config
from ws4py.protocol.uri import Uri, parse_uri

__all__ = ["CONFIG", "client_arguments", "getdefaulttimeout", "setdefaulttimeout"]

#: The habits of the library, where ours are others: no limits, no keepalive, no compression, and
#: three seconds to close. ``config=`` takes another.
CONFIG = Config(
    max_message_size=None, compression=None, ping_interval=None, close_timeout=3, max_redirects=3
)

#: Its ``sslopt``, and ours.
_SSL_NAMES = {"context": "ssl_context", "ca_cert_path": "ca_path", "ca_cert": "ca_data"}
#: What has no meaning here: our handshake is a step by itself.
_SSL_IGNORED = ("do_handshake_on_connect",)

#: Options that every TCP socket gets: keepalive notices a peer that vanished, after a minute.
DEFAULT_SOCKET_OPTION = [
    (getattr(socket, level), getattr(socket, name), value)
    for level, name, value in (
        ("IPPROTO_TCP", "TCP_NODELAY", 1),
        ("SOL_SOCKET", "SO_KEEPALIVE", 1),
        ("IPPROTO_TCP", "TCP_KEEPIDLE", 30),
        ("IPPROTO_TCP", "TCP_KEEPINTVL", 10),
        ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
    )
    if hasattr(socket, name)
]

_default_timeout: float | None = None


def setdefaulttimeout(timeout: float | None) -> None:
    """Seconds that connecting and receiving may take, where nobody says otherwise."""
    global _default_timeout
    _default_timeout = timeout


def getdefaulttimeout() -> float | None:
    """See ``setdefaulttimeout``."""
    return _default_timeout


class _SharedCookies(DefaultCookiePolicy):
    """The library keeps cookies that name a domain, for all connections of the process."""

    def set_ok(self, cookie: Any, request: Any) -> bool:
        return bool(cookie.domain_specified) and super().set_ok(cookie, request)


_cookies = CookieJar(_SharedCookies())

#: Options of ``connect()`` that are looked at here.
KNOWN = frozenset(
    (
        "config",
        "connection",
        "cookie",
        "header",
        "host",
        "http_no_proxy",
        "http_proxy_auth",
        "http_proxy_host",
        "http_proxy_port",
        "http_proxy_timeout",
        "origin",
        "proxy_type",
        "redirect_limit",
        "socket",
        "subprotocols",
        "suppress_host",
        "suppress_origin",
        "timeout",
    )
)


def client_arguments(
    url: str, options: Mapping[str, Any], timeout: float | None, sslopt: Any, sockopt: Any
) -> dict[str, Any]:
    """Keyword arguments for a client. Raises ``TypeError`` for an option that nobody knows."""
    unknown = set(options) - KNOWN
    if unknown:
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    uri = parse_uri(url)
    header = options.get("header")
    sockopt = [tuple(option) for option in sockopt or ()]
    if uri.unix_path is None:
        sockopt = [*DEFAULT_SOCKET_OPTION, *sockopt]
    excluded = [name for name in ("host", "origin") if options.get(f"suppress_{name}")]
    return {
        "protocols": options.get("subprotocols"),
        "headers": _headers(options, header() if callable(header) else header),
        "exclude_headers": excluded,
        "origin": options.get("origin"),
        "cookies": _cookies,
        "config": _config(options, timeout),
        "proxy": _proxy(uri, options),
        "sock": options.get("socket"),
        "socket_options": sockopt,
        "ssl_options": _ssl_options(sslopt or {}),
    }


def _config(options: Mapping[str, Any], timeout: float | None) -> Config:
    config: Config = options.get("config") or CONFIG
    changes: dict[str, Any] = {"open_timeout": timeout or None}
    if options.get("http_proxy_timeout") and options.get("http_proxy_host"):
        changes["connect_timeout"] = options["http_proxy_timeout"]
    if options.get("redirect_limit") is not None:
        changes["max_redirects"] = options["redirect_limit"]
    return config.replace(**changes)


def _headers(options: Mapping[str, Any], header: Any) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if isinstance(header, Mapping):
        pairs += [(name, str(value)) for name, value in header.items() if value is not None]
    else:
        pairs += [_pair(line) for line in header or ()]
    if options.get("connection"):
        pairs.append(_pair(options["connection"]))
    if options.get("host"):
        pairs.append(("Host", options["host"]))
    if options.get("cookie"):
        pairs.append(("Cookie", options["cookie"]))
    return pairs


def _pair(line: Any) -> tuple[str, str]:
    if isinstance(line, tuple):
        return line[0], line[1]
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"a header has to look like 'Name: value', not {line!r}")
    return name.strip(), value.strip()


def _proxy(uri: Uri, options: Mapping[str, Any]) -> str | bool | None:
    exceptions = options.get("http_no_proxy")
    if isinstance(exceptions, str):
        exceptions = [exceptions]
    if exceptions and is_excepted(uri, ",".join(exceptions)):
        return None
    host = options.get("http_proxy_host")
    if not host:
        return True  # what the environment says
    port = options.get("http_proxy_port")
    auth: Iterable[str] | None = options.get("http_proxy_auth")
    login = ":".join(quote(part, safe="") for part in auth if part) + "@" if auth else ""
    return f"{options.get('proxy_type') or 'http'}://{login}{host}" + (f":{port}" if port else "")


def _ssl_options(sslopt: Mapping[str, Any]) -> dict[str, Any]:
    given = {_SSL_NAMES.get(name, name): value for name, value in sslopt.items()}
    for name in _SSL_IGNORED:
        given.pop(name, None)
    chain, curve = given.pop("cert_chain", None), given.pop("ecdh_curve", None)
    if chain is not None:
        given.update(zip(("certfile", "keyfile", "password"), chain, strict=False))
    bundle = os.environ.get("WEBSOCKET_CLIENT_CA_BUNDLE")
    if bundle and not {"ca_certs", "ca_path", "ca_data", "ssl_context"} & given.keys():
        given["ca_path" if os.path.isdir(bundle) else "ca_certs"] = bundle
    if given.get("cert_reqs") == ssl.CERT_NONE:
        given.pop("check_hostname", None)
    if curve is not None:
        context = make_ssl_context(given)
        context.set_ecdh_curve(curve)
        names = ("server_hostname", "suppress_ragged_eofs")
        given = {name: given[name] for name in names if name in given} | {"ssl_context": context}
    return given


def mask_source(get_mask_key: Callable[[int], Any] | None) -> Callable[[], bytes] | None:
    """The program's own source of masks, as the engine asks for them."""
    if get_mask_key is None:
        return None
    from ws4py.dropin.websocket_client.abnf import as_key

    return lambda: as_key(get_mask_key(4))

"""Dialling: from a URL to a connected socket, TLS included, under one deadline.

For clients that may block. It must never know HTTP, the opening handshake or frames.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ws4py.exc import ConnectionTimeout
from ws4py.protocol.uri import Uri

__all__ = ["Deadline", "Network", "dial", "make_ssl_context"]

#: What may stand in ``ssl_options`` besides what goes to the context.
_WRAP_OPTIONS = ("server_hostname", "suppress_ragged_eofs")
_CONTEXT_OPTIONS = (
    "ca_certs",
    "ca_path",
    "ca_data",
    "cert_reqs",
    "certfile",
    "check_hostname",
    "ciphers",
    "keyfile",
    "password",
    "ssl_context",
    "ssl_version",
)


class Deadline:
    """One moment by which several steps have to be through. ``None``: no hurry."""

    def __init__(
        self, seconds: float | None, address: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self.address = address
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    def left(self, step: str) -> float | None:
        """Seconds left for ``step``; raises ``ConnectionTimeout`` when there are none."""
        if self._end is None:
            return None
        left = self._end - self._clock()
        if left <= 0:
            raise self.missed(step)
        return left

    def missed(self, step: str) -> ConnectionTimeout:
        """The error that says which step took too long."""
        return ConnectionTimeout(
            f"could not connect to {self.address} within {self.seconds:g} s: {step} took too long. "
            "Is the host up and the port not filtered? Config.open_timeout sets the time."
        )


def look_up(host: str, port: int, timeout: float | None) -> list[Any]:
    """All addresses of a name. The system's look-up knows no timeout, so a thread waits for it."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except OSError as exc:
            failed.append(exc)

    if timeout is None or _is_literal(host):
        ask()
    else:
        thread = threading.Thread(target=ask, name="ws4py-lookup", daemon=True)
        thread.start()
        thread.join(timeout)
        if thread.is_alive():
            raise TimeoutError
    if failed:
        raise failed[0]
    return found


@dataclass(frozen=True)
class Network:
    """The calls that wait, or make what waits: those of threads, unless told otherwise."""

    #: ``(family, kind, protocol)`` → a socket.
    socket: Callable[..., Any] = lambda *args: socket.socket(*args)
    #: ``(host, port, timeout)`` → what ``getaddrinfo()`` gives. ``OSError``; ``TimeoutError``.
    look_up: Callable[[str, int, float | None], list[Any]] = look_up
    #: ``(context, sock, **options)`` → the socket with TLS around it, its handshake done.
    wrap_tls: Callable[..., Any] = lambda context, sock, **how: context.wrap_socket(sock, **how)


def dial(
    uri: Uri,
    deadline: Deadline,
    ssl_options: Mapping[str, Any] | None = None,
    network: Network = Network(),
) -> Any:
    """A connected socket to where ``uri`` points, TLS established if it is secure.

    Raises ``OSError`` (also ``ssl.SSLError``) with the address in its text, or
    ``ConnectionTimeout``.
    """
    connect = _dial_unix if uri.unix_path is not None else _dial_tcp
    sock = connect(uri, deadline, network)
    if not uri.secure:
        return sock
    try:
        return _start_tls(sock, uri, deadline, dict(ssl_options or {}), network)
    except BaseException:
        sock.close()
        raise


def _dial_unix(uri: Uri, deadline: Deadline, network: Network) -> Any:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(f"no Unix sockets on this platform: cannot connect to {uri.unix_path}")
    assert uri.unix_path is not None
    sock = network.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect(sock, uri.unix_path, deadline.left("connecting"), deadline)
    except OSError as exc:
        sock.close()
        raise _explained(exc, str(uri.unix_path)) from exc
    return sock


def _dial_tcp(uri: Uri, deadline: Deadline, network: Network) -> Any:
    """Every address of the name in turn; each may take its share of the time that is left."""
    assert uri.port is not None
    addresses = resolve(uri.host, uri.port, deadline, network)
    failure: OSError | None = None
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        left = deadline.left("connecting")
        share = None if left is None else left / (len(addresses) - index)
        try:
            sock = network.socket(family, kind, protocol)
        except OSError as exc:  # a family that this machine does not have
            failure = exc
            continue
        try:
            _connect(sock, address, share, deadline)
        except OSError as exc:
            sock.close()
            failure = exc
            continue
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    if isinstance(failure, ConnectionTimeout):
        raise failure
    assert failure is not None
    raise _explained(failure, deadline.address) from failure


def _connect(sock: Any, address: Any, timeout: float | None, deadline: Deadline) -> None:
    sock.settimeout(timeout)
    try:
        sock.connect(address)
    except TimeoutError:
        raise deadline.missed("the TCP connection") from None


def resolve(host: str, port: int, deadline: Deadline, network: Network) -> list[Any]:
    """All addresses of a name, or an error that says what was looked for."""
    cause: OSError | None = None
    try:
        found = network.look_up(host, port, deadline.left("the name look-up"))
        if found:
            return found
    except TimeoutError:
        raise deadline.missed("the name look-up") from None
    except OSError as exc:
        cause = exc
    cause = cause or OSError(f"no address for {host}")
    raise type(cause)(
        cause.errno,
        f"could not find the host {host!r} of {deadline.address} ({cause.strerror or cause}): "
        "is the name spelled right, and is the network up?",
    ) from cause


def _is_literal(host: str) -> bool:
    """Whether the name is an address already, so that nobody has to be asked."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def _explained(exc: OSError, address: str) -> OSError:
    """The same error, saying where and what to do."""
    advice = "is the server running, and on this port?"
    if isinstance(exc, FileNotFoundError):
        advice = "there is no such socket: is the server running?"
    elif isinstance(exc, PermissionError):
        advice = "may this user use it?"
    elif not isinstance(exc, ConnectionError):
        advice = "is the host up and reachable?"
    return type(exc)(exc.errno, f"could not connect to {address} ({exc.strerror}): {advice}")


# -- TLS -----------------------------------------------------------------------------------


def make_ssl_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """A client's TLS context: verified against the system's authorities unless told otherwise.

    ``options``: ``ssl_context`` (used as it is, the rest applied on top), ``cert_reqs``,
    ``check_hostname``, ``ca_certs`` / ``ca_path`` / ``ca_data`` (instead of the system's),
    ``certfile`` / ``keyfile`` / ``password`` (a client certificate), ``ciphers``,
    ``ssl_version`` (a ``PROTOCOL_*`` constant). Raises ``TypeError`` for any other.
    """
    unknown = set(options) - set(_CONTEXT_OPTIONS) - set(_WRAP_OPTIONS)
    if unknown:
        raise TypeError(
            f"unknown ssl_options: {', '.join(sorted(unknown))}; known are "
            f"{', '.join(_CONTEXT_OPTIONS + _WRAP_OPTIONS)}"
        )
    given = {name: value for name, value in options.items() if value is not None}
    context: ssl.SSLContext | None = given.get("ssl_context")
    authorities: dict[str, Any] = {
        "cafile": given.get("ca_certs"),
        "capath": given.get("ca_path"),
        "cadata": given.get("ca_data"),
    }
    if context is None:
        context = ssl.create_default_context(**authorities)
    elif any(authorities.values()):
        context.load_verify_locations(**authorities)
    if "check_hostname" in given:
        context.check_hostname = given["check_hostname"]
    if "cert_reqs" in given:
        if given["cert_reqs"] == ssl.CERT_NONE:
            context.check_hostname = False
        context.verify_mode = given["cert_reqs"]
    if "certfile" in given:
        context.load_cert_chain(given["certfile"], given.get("keyfile"), given.get("password"))
    if "ciphers" in given:
        context.set_ciphers(given["ciphers"])
    _pin_version(context, given.get("ssl_version"))
    return context


def _pin_version(context: ssl.SSLContext, protocol: Any) -> None:
    """The ``PROTOCOL_TLSv1_x`` constants name one version; the others leave it to negotiate."""
    name = getattr(protocol, "name", "")
    if name.startswith("PROTOCOL_TLSv1"):
        version = ssl.TLSVersion[name.removeprefix("PROTOCOL_")]
        context.minimum_version = context.maximum_version = version


def _start_tls(
    sock: Any, uri: Uri, deadline: Deadline, options: dict[str, Any], network: Network
) -> Any:
    context = make_ssl_context(options)
    extra = {name: options[name] for name in _WRAP_OPTIONS if name in options}
    extra.setdefault("server_hostname", uri.host)
    sock.settimeout(deadline.left("the TLS handshake"))
    try:
        return network.wrap_tls(context, sock, **extra)
    except TimeoutError:
        raise deadline.missed("the TLS handshake") from None
    except ssl.SSLError as exc:
        if exc.reason not in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
            raise
        plain = str(uri).replace("wss", "ws", 1)
        raise ssl.SSLError(
            exc.errno, f"{deadline.address} does not answer with TLS: did you mean {plain}?"
        ) from exc

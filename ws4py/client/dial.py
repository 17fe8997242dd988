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

__all__ = [
    "Deadline",
    "Network",
    "dial",
    "explained",
    "is_literal",
    "make_ssl_context",
    "new_unix_socket",
    "no_address",
    "tls_error",
    "wrap_tls",
]

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

    if timeout is None or is_literal(host):
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
    #: ``(host, port, timeout)`` → as ``getaddrinfo()``. ``OSError``, or ``TimeoutError`` in the end.
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


def new_unix_socket(path: str, make: Callable[..., Any] = socket.socket) -> Any:
    """A socket for a path; raises ``OSError`` where there are none."""
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(f"no Unix sockets on this platform: cannot connect to {path}")
    return make(socket.AF_UNIX, socket.SOCK_STREAM)


def _dial_unix(uri: Uri, deadline: Deadline, network: Network) -> Any:
    assert uri.unix_path is not None
    sock = new_unix_socket(uri.unix_path, network.socket)
    try:
        _connect(sock, uri.unix_path, deadline.left("connecting"), deadline)
    except OSError as exc:
        sock.close()
        raise explained(exc, uri.unix_path) from exc
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
    raise explained(failure, deadline.address) from failure


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
    raise no_address(cause, host, deadline) from cause


def no_address(cause: OSError, host: str, deadline: Deadline) -> OSError:
    """The error of a name look-up, saying what to do."""
    return type(cause)(
        cause.errno,
        f"could not find the host {host!r} of {deadline.address} ({cause.strerror or cause}): "
        "is the name spelled right, and is the network up?",
    )


def is_literal(host: str) -> bool:
    """Whether the name is an address already, so that nobody has to be asked."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def explained(exc: OSError, address: str) -> OSError:
    """The same error of connecting, saying where and what to do."""
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
    context, extra = _tls(uri, options)
    sock.settimeout(deadline.left("the TLS handshake"))
    try:
        return network.wrap_tls(context, sock, **extra)
    except TimeoutError:
        raise deadline.missed("the TLS handshake") from None
    except ssl.SSLError as exc:
        error = tls_error(exc, uri, deadline)
        if error is exc:
            raise
        raise error from exc


def _tls(uri: Uri, options: Mapping[str, Any]) -> tuple[ssl.SSLContext, dict[str, Any]]:
    """The context, and how to wrap a socket with it."""
    extra = {name: options[name] for name in _WRAP_OPTIONS if name in options}
    extra.setdefault("server_hostname", uri.host)
    return make_ssl_context(options), extra


def wrap_tls(sock: socket.socket, uri: Uri, options: Mapping[str, Any]) -> ssl.SSLSocket:
    """TLS around a connected socket, its handshake still to be done."""
    context, extra = _tls(uri, options)
    return context.wrap_socket(sock, do_handshake_on_connect=False, **extra)


def tls_error(exc: ssl.SSLError, uri: Uri, deadline: Deadline) -> ssl.SSLError:
    """The error of a TLS handshake, saying what to do if the server does not speak TLS."""
    if exc.reason not in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return exc
    plain = str(uri).replace("wss", "ws", 1)
    return ssl.SSLError(
        exc.errno, f"{deadline.address} does not answer with TLS: did you mean {plain}?"
    )

"""One attempt to open a connection: from a URL to a socket after all its handshakes.

The order of things, and which error comes of what, for every client: a generator that never
waits (see ``client.route``). Around it there may be others: to follow a redirect, to try again.
This module must never know frames, nor who waits.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from ws4py.client.proxy import new_negotiation, proxy_for
from ws4py.client.route import (
    CONNECT,
    IN_PROGRESS,
    LOOK_UP,
    OPENING,
    PROXY,
    TLS,
    Deadline,
    Exchange,
    Limit,
    Race,
    Sockets,
    Steps,
    Wait,
    Way,
    broken,
    exchange,
    interleaved,
    look_up,
    not_connected,
    wait_ready,
)
from ws4py.client.tls import make_ssl_context, server_name, tls_error
from ws4py.exc import ConnectionTimeout, ProxyError
from ws4py.protocol.handshake import ClientHandshake
from ws4py.protocol.uri import Proxy, Uri
from ws4py.reactor import READ, WRITE
from ws4py.runtime import is_secure
from ws4py.tlsintls import TlsInTls

__all__ = ["attempt"]

#: A Unix socket whose queue is full says so and cannot be watched; it is asked again.
AGAIN = 0.02


def attempt(
    uri: Uri,
    handshake: ClientHandshake,
    way: Way,
    deadline: Deadline,
    sockets: Sockets,
) -> Steps[Any]:
    """Connect to where ``uri`` points and shake hands; ends in the socket, which does not block.

    Raises ``OSError`` (``ssl.SSLError`` included), ``ConnectionTimeout`` or what
    ``handshake.error`` says (``HandshakeError`` with the answer), and leaves nothing open then.
    """
    return _Attempt(uri, way, deadline, sockets).run(handshake)


class _Attempt:
    def __init__(self, uri: Uri, way: Way, deadline: Deadline, sockets: Sockets) -> None:
        self.uri = uri
        self.whom = str(uri)
        self.way = way
        self.deadline = deadline
        self.sockets = sockets
        self.sock: Any = way.sock

    def run(self, handshake: ClientHandshake) -> Steps[Any]:
        try:
            # First of all, because they may be wrong.
            server = self._server_tls() if self.uri.secure else None
            proxy = None if self.sock is not None else proxy_for(self.uri, self.way.proxy)
            if self.sock is not None:
                self.sock = self.sockets.adopt(self.sock)
                self.sock.settimeout(0)
            elif proxy is not None:
                yield from self._go_through(proxy)
            elif self.uri.unix_path is not None:
                yield from self._connect_unix(self.uri.unix_path)
            else:
                yield from self._connect(self.uri.host, self.uri.port, self.whom)
            if server is not None and (proxy is not None or not is_secure(self.sock)):
                yield from self._start_tls(server)
            yield from self._shake_hands(handshake, server)
        except BaseException:
            if self.sock is not None:
                self.sock.close()
            raise
        return self.sock

    # Connecting

    def _connect_unix(self, path: str) -> Steps[None]:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(f"no Unix sockets on this platform: cannot connect to {path}")
        limit = self.deadline.limit(CONNECT, self.whom)
        self.sock = self.new_socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while code := self.sock.connect_ex(path):
            if code not in IN_PROGRESS:
                raise not_connected(code, path, [])
            left = limit.left()
            yield Wait({}, AGAIN if left is None else min(AGAIN, left))

    def _connect(self, host: str, port: int | None, whom: str) -> Steps[None]:
        """To whichever address of the host answers first."""
        addresses = yield from look_up(host, port, self.deadline.limit(LOOK_UP, whom))
        race = Race(interleaved(addresses), self.new_socket, self.deadline.limit(CONNECT, whom))
        self.sock = yield from race.run()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def new_socket(self, *kind: int) -> Any:
        """One that does not block, as the user wants it."""
        sock = self.sockets.socket(*kind)
        try:
            sock.settimeout(0)
            for option in self.way.socket_options:
                sock.setsockopt(*option)
            if self.way.local_addr is not None and kind[0] != getattr(socket, "AF_UNIX", None):
                sock.bind(self.way.local_addr)
        except BaseException:
            sock.close()
            raise
        return sock

    def _go_through(self, proxy: Proxy) -> Steps[None]:
        """To the proxy, and have it connect to the server."""
        uri, whom = self.uri, f"the proxy {proxy} of {self.uri}"
        tls = None
        if proxy.scheme == "https":
            plain = str(proxy).replace("https", "http", 1)
            tls = _Tls(self.way.proxy_ssl_options, proxy.host, whom, plain, "proxy_ssl_options")
        target, port = uri.host, uri.port or 0
        if proxy.scheme in ("socks4", "socks5"):
            # The others find the host by themselves; these are told its address.
            target = yield from self._address_for(proxy)
        negotiation = new_negotiation(proxy, target, port, self.deadline.config)
        yield from self._connect(proxy.host, proxy.port, whom)
        if tls is not None:
            yield from self._start_tls(tls)
        yield from self._talk(negotiation, self.deadline.limit(PROXY, whom), tls)
        if negotiation.error is not None:
            raise negotiation.error

    def _address_for(self, proxy: Proxy) -> Steps[str]:
        limit = self.deadline.limit(LOOK_UP, self.whom)
        found = yield from look_up(self.uri.host, self.uri.port, limit)
        if proxy.scheme == "socks4":
            found = [each for each in found if each[0] == socket.AF_INET]
        if not found:
            raise ProxyError(
                f"the proxy {proxy} cannot connect to {self.whom}: SOCKS 4 knows no IPv6, and "
                "the host has no other address. Does the proxy know SOCKS 5?"
            )
        return str(found[0][4][0])

    # Handshakes

    def _server_tls(self) -> _Tls:
        plain = self.whom.replace("wss", "ws", 1)
        return _Tls(self.way.ssl_options, self.uri.host, self.whom, plain)

    def _start_tls(self, tls: _Tls) -> Steps[None]:
        limit = self.deadline.limit(TLS, tls.whom)
        self.sock = tls.wrap(self.sock, self.sockets)
        while True:
            try:
                self.sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                events = READ
            except ssl.SSLWantWriteError:
                events = WRITE
            except OSError as exc:
                raise tls.explained(exc) from exc
            yield from wait_ready(self.sock, events, limit)

    def _shake_hands(self, handshake: ClientHandshake, tls: _Tls | None) -> Steps[None]:
        limit = self.deadline.limit(OPENING, self.whom)
        yield from self._talk(handshake, limit, tls)
        if isinstance(handshake.error, ConnectionTimeout):
            raise limit.missed()
        if handshake.error is not None:
            raise handshake.error

    def _talk(self, machine: Exchange, limit: Limit, tls: _Tls | None) -> Steps[None]:
        try:
            yield from exchange(self.sock, machine, limit)
        except ssl.SSLError as exc:
            if tls is None:
                raise
            raise tls.explained(exc) from exc  # TLS 1.3 may refuse us as late as this
        except ConnectionTimeout:
            raise
        except OSError as exc:
            raise broken(exc, limit.whom) from exc


class _Tls:
    """TLS as the user wants it, with a server or a proxy."""

    def __init__(
        self,
        options: Mapping[str, Any],
        host: str,
        whom: str,
        plain: str,
        setting: str = "ssl_options",
    ) -> None:
        self.whom = whom
        self.setting = setting
        self.plain = plain  # the URL that is probably meant where nobody speaks TLS
        self._name = server_name(options, host)
        self._context = make_ssl_context(options)
        self._ragged = options.get("suppress_ragged_eofs", True)

    def explained(self, exc: OSError) -> OSError:
        """The same error, saying what to do."""
        return tls_error(exc, self.whom, self.plain, self.setting)

    def wrap(self, sock: Any, sockets: Sockets) -> Any:
        """TLS around it, the handshake to be done."""
        if is_secure(sock):
            return TlsInTls(sock, self._context, self._name)
        return sockets.wrap_tls(
            self._context,
            sock,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=self._ragged,
            server_hostname=self._name,
        )

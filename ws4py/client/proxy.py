"""Proxies: which one leads to a server, and what has to be said to it.

``Tunnel`` (HTTP CONNECT) and ``Socks`` (through the package python-socks) say it without I/O:
send ``request`` (another one may take its place), feed ``receive_data`` or ``receive_eof`` until
``done``; then there is an ``error`` or the way is open. This module must never wait.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from ws4py._extras import missing
from ws4py.exc import HandshakeError, ProxyError
from ws4py.protocol.config import Config
from ws4py.protocol.headers import HeadReader, excerpt, format_head, parse_response_head
from ws4py.protocol.uri import Proxy, Uri, parse_proxy

__all__ = ["Socks", "Tunnel", "new_negotiation", "proxy_for"]

#: Environment variables, in the order in which they are looked at, as curl does.
_VARIABLES = {
    "ws": ("ws_proxy", "http_proxy", "all_proxy"),
    "wss": ("wss_proxy", "https_proxy", "all_proxy"),
}
_TLS_RECORDS = (0x15, 0x16)  # alert, handshake


# -- which proxy ---------------------------------------------------------------------------


def proxy_for(
    uri: Uri, choice: str | bool | None, environ: Mapping[str, str] = os.environ
) -> Proxy | None:
    """The proxy that leads to ``uri``: that of this URL, or with ``True`` of the environment.

    Raises ``ValueError`` for what is no URL of a proxy.
    """
    if not choice or uri.unix_path is not None:
        return None
    if choice is not True:
        return parse_proxy(choice)
    for name in _VARIABLES[uri.scheme]:
        url = _variable(name, environ)
        if url:
            if _is_here(uri.host) or is_excepted(uri, _variable("no_proxy", environ)):
                return None
            try:
                return parse_proxy(url)
            except ValueError as exc:
                raise ValueError(f"environment variable {name}: {exc}") from None
    return None


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        # A CGI program: HTTP_PROXY may be a header that somebody sent (CVE-2016-5385).
        return environ.get(name, "")
    return environ.get(name) or environ.get(name.upper()) or ""


def _is_here(host: str) -> bool:
    """A server on this machine, which is not what anybody means by such a variable."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return bool(address.is_loopback)


def is_excepted(uri: Uri, exceptions: str) -> bool:
    """Whether ``no_proxy`` names the host: by itself, its domain, an address or a network.

    Entries are separated by commas or blanks and may have a port; ``*`` names all hosts.
    """
    host = uri.host.rstrip(".")
    address = _address(host)
    for entry in re.split(r"[,\s]+", exceptions.lower()):
        name, port = _name_and_port(entry)
        if not name or (port and port != str(uri.port)):
            continue
        if name == "*" or name == host:
            return True
        if address is not None:
            if _contains(name, address):
                return True
        elif host.endswith("." + name.removeprefix("*").lstrip(".")):
            return True
    return False


def _name_and_port(entry: str) -> tuple[str, str]:
    """``[::1]:80`` and ``host:80`` taken apart, ``::1`` and ``fd00::/8`` left whole."""
    match = re.fullmatch(r"\[([^\]]*)\](?::([0-9]+))?|([^:]*):([0-9]+)", entry)
    if match is None:
        return entry, ""
    return match[1] or match[3] or "", match[2] or match[4] or ""


def _address(host: str) -> Any:
    """An address; ``None`` for a name."""
    from ipaddress import ip_address  # slow to import, and needed where there is a proxy

    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _contains(network: str, address: Any) -> bool:
    from ipaddress import ip_network

    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False


# -- what to say to it ---------------------------------------------------------------------


def new_negotiation(proxy: Proxy, target: str, port: int, config: Config) -> Tunnel | Socks:
    """What has to be said to this proxy to be led to ``target``, a name or an address."""
    kind = Socks if proxy.scheme.startswith("socks") else Tunnel
    return kind(proxy, target, port, config)


class _Negotiation:
    def __init__(self, proxy: Proxy, target: str, port: int) -> None:
        self.proxy = proxy
        self.target = f"[{target}]:{port}" if ":" in target else f"{target}:{port}"
        self.request = b""
        self.done = False
        self.error: ProxyError | None = None
        #: The time is kept by who drives it.
        self.deadline: float | None = None

    def tick(self) -> None:
        """Nothing is known before all is."""

    def receive_eof(self) -> None:
        """The proxy hung up."""
        self.fail(
            f"the proxy {self.proxy} closed the connection without an answer: {self._advice()}"
        )

    def _advice(self) -> str:
        raise NotImplementedError

    def fail(
        self,
        text: str,
        status: int | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """It is over, without success."""
        self.done = True
        self.error = ProxyError(text, status, headers, body)

    def refused(self, why: str, hint: str, **answer: Any) -> None:
        """The proxy said no."""
        text = f"the proxy {self.proxy} did not connect to {self.target} ({why})"
        self.fail(text + (f": {hint}" if hint else ""), **answer)

    def succeed(self, rest: bytes) -> None:
        """The way is open. A server speaks when spoken to, so nothing may have come yet."""
        self.done = True
        if rest:
            shown = excerpt(rest[:80].decode("latin-1"))
            self.fail(f"the proxy {self.proxy} said more than that the way is open: {shown}")


#: What to do about a status of a proxy.
_HINTS = {
    400: "does it do CONNECT?",
    403: "does it allow connections to this host and port?",
    404: "is it a proxy, and not a web server?",
    401: "are user name and password in its URL right?",
    405: "does it do CONNECT, and to this port?",
    500: "is a server running there, on this port?",
    501: "does it do CONNECT?",
    502: "is a server running there, on this port?",
    503: "is a server running there, on this port?",
    504: "is the server up and reachable from there?",
}


class Tunnel(_Negotiation):
    """HTTP CONNECT (RFC 9110 section 9.3.6)."""

    def __init__(self, proxy: Proxy, target: str, port: int, config: Config) -> None:
        super().__init__(proxy, target, port)
        headers = [("Host", self.target)]
        if proxy.userinfo is not None:
            login = b64encode(":".join(proxy.userinfo).encode("utf-8")).decode("ascii")
            headers.append(("Proxy-Authorization", f"Basic {login}"))
        self.request = format_head(f"CONNECT {self.target} HTTP/1.1", headers)
        self._config = config
        self._start = b""
        self._reader = HeadReader(config.max_head_size, config.max_headers)

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the proxy."""
        if len(self._start) < len(b"HTTP/1."):
            self._start += data[:80]
            if not self._start.startswith(b"HTTP/1."[: len(self._start)]):
                self._not_http()
                return
        try:
            self._reader.receive_data(data)
            if self._reader.complete:
                self._answered(self._reader)
        except HandshakeError as exc:
            self.fail(f"the answer of the proxy {self.proxy} is malformed: {exc}")

    def _answered(self, reader: HeadReader) -> None:
        _, status, reason, headers = parse_response_head(reader.head)
        if 200 <= status < 300:
            self.succeed(reader.rest)
        elif status < 200:  # before the final answer there may be others
            self._reader = HeadReader(self._config.max_head_size, self._config.max_headers)
            self._start = b""
            if reader.rest:
                self.receive_data(reader.rest)
        else:
            why = f"{status} {excerpt(reason)[1:-1]}".rstrip()
            hint = _HINTS.get(status, "")
            if status == 407:
                hint = self._login_hint(headers.get_all("proxy-authenticate"))
            self.refused(why, hint, status=status, headers=headers.items(), body=reader.rest)

    def _login_hint(self, challenges: list[str]) -> str:
        schemes = {challenge.partition(" ")[0].lower() for challenge in challenges}
        if schemes and "basic" not in schemes:
            return f"it wants {excerpt(', '.join(challenges))}, and only Basic is known here"
        if self.proxy.userinfo is None:
            return f"it wants a user name and password: {self._url_with_login()}"
        return "are user name and password in its URL right?"

    def _url_with_login(self) -> str:
        return str(self.proxy).replace("://", "://user:password@")

    def _not_http(self) -> None:
        start = self._start
        if start[0] in _TLS_RECORDS and self.proxy.scheme == "http":
            other = str(self.proxy).replace("http", "https", 1)
            self.fail(f"the proxy {self.proxy} answered with TLS: did you mean {other}?")
        else:
            shown = excerpt(start.decode("latin-1"))
            self.fail(f"the proxy {self.proxy} answered with {shown}: {self._advice()}")

    def _advice(self) -> str:
        return "is it an HTTP proxy? The URL of a SOCKS proxy begins with socks5://"


class Socks(_Negotiation):
    """SOCKS 4, 4a and 5, as python-socks speaks it.

    That package wants a socket that waits. It gets one that has heard what has come so far; when
    it wants to hear more, it is asked again with more. It says the same each time, and that
    little, so nothing is lost by it.
    """

    def __init__(self, proxy: Proxy, target: str, port: int, config: Config) -> None:
        super().__init__(proxy, target, port)
        try:
            import python_socks as package
            from python_socks.sync import Proxy as Speaker
        except ImportError as exc:
            raise missing(f"the proxy {proxy}", "proxy", exc) from exc
        if package.__version__.startswith(("0.", "1.", "2.")):
            raise ImportError(
                f"the proxy {proxy} needs python-socks 3.0 or newer, not {package.__version__}: "
                'pip install -U "ws4py[proxy]"'
            )
        self._package = package
        self._speaker: Any = Speaker
        self._port = port
        self._host = target
        self._heard = b""
        self._said = b""
        self._go_on()

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the proxy."""
        self._heard += data
        self._go_on()

    def _go_on(self) -> None:
        proxy, kinds = self.proxy, self._package.ProxyType
        script = _Script(self._heard)
        kind = kinds.SOCKS4 if proxy.scheme.startswith("socks4") else kinds.SOCKS5
        user, password = proxy.userinfo or (None, None)
        speaker = self._speaker(
            kind, proxy.host, proxy.port, user, password, rdns=True, forward=script
        )
        try:
            speaker.connect(self._host, self._port)
        except _More:
            self.request, self._said = script.said[len(self._said) :], script.said
        except self._package.ProxyError as exc:
            why = str(exc)
            self.refused(why, self._hint(why))
        except (UnicodeError, ValueError) as exc:
            self.fail(f"the proxy {proxy} cannot be spoken to in SOCKS: {exc}")
        else:
            self.succeed(script.unheard)

    def _hint(self, why: str) -> str:
        for pattern, hint in _SOCKS_HINTS.items():
            if re.search(pattern, why, re.IGNORECASE):
                return hint
        return ""

    def _advice(self) -> str:
        return "is it a SOCKS proxy of this version? The URL of an HTTP proxy begins with http://"


_SOCKS_HINTS = {
    "version": "is it a SOCKS proxy of this version? The URL of an HTTP proxy begins with http://",
    "refused": "is a server running there, on this port?",
    "unreachable|TTL": "is the server up and reachable from there?",
    "password": "are user name and password in its URL right?",
    "authentication": "does it want a user name and password, in its URL, or other ones?",
    "ruleset|rejected": "does it allow connections to this host and port?",
    "general": "does it find the host, and is the server running?",
}


class _More(Exception):
    """What was heard so far is not all."""


class _Script:
    """A socket that has heard what it has heard, and writes down what is said."""

    def __init__(self, heard: bytes) -> None:
        self.unheard = heard
        self.said = b""

    def connect(self, **where: Any) -> _Script:
        """As a proxy in front of the proxy."""
        return self

    def sendall(self, data: bytes) -> None:
        self.said += data

    def recv(self, size: int) -> bytes:
        if not self.unheard:
            raise _More
        data, self.unheard = self.unheard[:size], self.unheard[size:]
        return data

    def close(self) -> None:
        """It stays as it is."""

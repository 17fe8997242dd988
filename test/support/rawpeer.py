"""A WebSocket peer that obeys nothing: bytes over a socket, as the test wants them.

It knows RFC 6455 just enough to make and read frames and to get through the opening handshake. It
imports nothing of ws4py, so that no fault of ours can cancel itself out, and it never answers on
its own: no pong, no close. Every read has a deadline::

    with RawClient.connect(server.port) as peer:
        peer.handshake("/chat")
        peer.send_frame(TEXT, b"hel", fin=False)
        peer.send(b"\\x80\\x80....")           # any bytes at all
        assert peer.read_frame().payload == b"hello"
        peer.expect_eof()

    with RawServer() as server:
        ... start our client against server.url ...
        peer = server.accept()
        peer.handshake()
        peer.close_frame(1000, "bye")
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TIMEOUT = 10.0
#: Frames larger than this are not what a test is about; a wrong length must not eat the memory.
LARGEST = 64 * 1024 * 1024


class Eof(Exception):
    """The other end closed the connection; ``rest`` is what had come before."""

    def __init__(self, rest: bytes = b"") -> None:
        super().__init__(f"end of connection, {len(rest)} bytes before it: {rest[:80]!r}")
        self.rest = rest


@dataclass
class RawFrame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0  # 4 = RSV1 (compressed), 2 = RSV2, 1 = RSV3
    masked: bool = False

    @property
    def close_code(self) -> int | None:
        """The code of a close frame; ``None`` when it is empty."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def close_reason(self) -> str:
        return self.payload[2:].decode("utf-8")


@dataclass
class RawHead:
    """A request or response head. Header names are lower case; repeated ones are joined by ', '."""

    start_line: str
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""

    @property
    def status(self) -> int:
        return int(self.start_line.split()[1])

    @property
    def target(self) -> str:
        return self.start_line.split()[1]


def xor(data: bytes, key: bytes) -> bytes:
    pad = (key * (len(data) // 4 + 1))[: len(data)]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")
    return mixed.to_bytes(len(data), "big")


def make_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    length: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """The bytes of one frame, legal or not.

    ``key`` masks it; ``length`` lies about the length; ``length_bytes`` (0, 2 or 8) forces the
    form of the length, so that it need not be the shortest.
    """
    size = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    mask_bit = 0x80 if key is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length_bytes == 0:
        head += bytes([mask_bit | size])
    elif length_bytes == 2:
        head += struct.pack("!BH", mask_bit | 126, size)
    else:
        head += struct.pack("!BQ", mask_bit | 127, size)
    return head + (payload if key is None else key + xor(payload, key))


def close_payload(code: int | None, reason: str | bytes = b"") -> bytes:
    if code is None:
        return b""
    return struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason)


class RawPeer:
    """One end of a connection. ``masks``: frames that it makes are masked (a client's are)."""

    masks = False

    def __init__(self, sock: socket.socket, timeout: float = TIMEOUT) -> None:
        self.sock = sock
        self.timeout = timeout
        self.buffer = b""
        # One thread may write while another reads, but TLS takes one at a time.
        self._lock = threading.Lock()

    def _attempt(self, call: Callable[[], Any], deadline: float, writing: bool) -> Any:
        """What ``call`` returns once the socket need not be waited for, or ``TimeoutError``."""
        while True:
            with self._lock:
                self.sock.setblocking(False)
                try:
                    return call()
                except ssl.SSLWantReadError:
                    wants_write = False
                except ssl.SSLWantWriteError:
                    wants_write = True
                except BlockingIOError:
                    wants_write = writing
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            poll = select.poll()
            poll.register(self.sock, select.POLLOUT if wants_write else select.POLLIN)
            poll.poll(left * 1000)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- out

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(self.timeout)
            self.sock.sendall(data)
            return
        view = memoryview(data)
        deadline = self._deadline(None)
        while view:
            view = view[self._attempt(lambda: self.sock.send(view), deadline, writing=True) :]  # noqa: B023

    def send_frame(self, opcode: int, payload: bytes = b"", **how: object) -> None:
        """Send one frame; ``how`` is that of ``make_frame``. ``key=None`` leaves the mask out."""
        if self.masks:
            how.setdefault("key", os.urandom(4))
        self.send(make_frame(opcode, payload, **how))  # type: ignore[arg-type]

    def text(self, text: str | bytes, **how: object) -> None:
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else text, **how)

    def binary(self, data: bytes, **how: object) -> None:
        self.send_frame(BINARY, data, **how)

    def ping(self, data: bytes = b"") -> None:
        self.send_frame(PING, data)

    def pong(self, data: bytes = b"") -> None:
        self.send_frame(PONG, data)

    def close_frame(self, code: int | None = 1000, reason: str | bytes = b"") -> None:
        self.send_frame(CLOSE, close_payload(code, reason))

    def shutdown(self) -> None:
        """Half-close: say that nothing more will come."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- in

    def _more(self, deadline: float) -> None:
        try:
            left = deadline - time.monotonic()
            if left <= 0:  # also the end of a peer that never stops talking
                raise TimeoutError
            if isinstance(self.sock, ssl.SSLSocket):
                data = self._attempt(lambda: self.sock.recv(65536), deadline, writing=False)
            else:
                self.sock.settimeout(left)
                data = self.sock.recv(65536)
        except TimeoutError:
            raise TimeoutError(f"nothing complete came; so far {self.buffer[:80]!r}") from None
        except (ConnectionError, ssl.SSLError) as exc:
            raise Eof(self.buffer) from exc
        if not data:
            raise Eof(self.buffer)
        self.buffer += data

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def read(self, size: int, timeout: float | None = None) -> bytes:
        """Exactly ``size`` bytes. Raises ``Eof``, or ``TimeoutError`` after ``timeout`` seconds."""
        deadline = self._deadline(timeout)
        while len(self.buffer) < size:
            self._more(deadline)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_until(self, mark: bytes, timeout: float | None = None) -> bytes:
        """The bytes up to and with ``mark``."""
        deadline = self._deadline(timeout)
        while mark not in self.buffer:
            self._more(deadline)
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def read_frame(self, timeout: float | None = None) -> RawFrame:
        """The next frame of any kind, unmasked."""
        deadline = self._deadline(timeout)

        def read(size: int) -> bytes:
            return self.read(size, max(0.0, deadline - time.monotonic()))

        first, second = read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", read(8))
        if size > LARGEST:
            raise AssertionError(f"a frame of {size} bytes was announced")
        key = read(4) if second & 0x80 else None
        payload = read(size)
        return RawFrame(
            opcode=first & 0x0F,
            payload=payload if key is None else xor(payload, key),
            fin=bool(first & 0x80),
            rsv=first >> 4 & 7,
            masked=key is not None,
        )

    def read_close(self, timeout: float | None = None) -> RawFrame:
        """The next frame, which has to be a close frame."""
        frame = self.read_frame(timeout)
        assert frame.opcode == CLOSE, f"expected a close frame, got {frame}"
        return frame

    def expect_eof(self, timeout: float | None = None) -> None:
        """The other end closes now, without another byte."""
        rest = self.read_to_eof(timeout)
        assert not rest, f"expected the end of the connection, got {rest[:80]!r}"

    def read_to_eof(self, timeout: float | None = None) -> bytes:
        """All bytes up to the end of the connection."""
        deadline = self._deadline(timeout)
        try:
            while True:
                self._more(deadline)
        except Eof as end:
            self.buffer = b""
            return end.rest

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing at all comes for ``seconds``."""
        if self.buffer:
            return False
        try:
            self._more(time.monotonic() + seconds)
        except TimeoutError:
            return True
        return False

    def read_head(self, timeout: float | None = None) -> RawHead:
        raw = self.read_until(b"\r\n\r\n", timeout)
        start_line, *lines = raw[:-4].decode("latin-1").split("\r\n")
        head = RawHead(start_line, raw=raw)
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            head.headers[name] = f"{head.headers[name]}, {value}" if name in head.headers else value
        return head


class RawClient(RawPeer):
    masks = True

    @classmethod
    def connect(
        cls,
        address: int | str | tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str = "localhost",
        timeout: float = TIMEOUT,
        receive_buffer: int | None = None,
    ) -> RawClient:
        """Connect to ``address``: a port on 127.0.0.1, a (host, port), or a unix socket's path.

        ``receive_buffer`` in bytes makes the kernel take little, for peers that do not read.
        """
        if isinstance(address, int):
            address = ("127.0.0.1", address)
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if isinstance(address, tuple) and ":" in address[0]:
            family = socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect(address)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_hostname=server_hostname)
        except BaseException:
            sock.close()
            raise
        return cls(sock, timeout)

    def __enter__(self) -> RawClient:
        return self

    def request(
        self,
        target: str = "/",
        headers: dict[str, str | None] | None = None,
        *,
        method: str = "GET",
        key: str = "dGhlIHNhbXBsZSBub25jZQ==",
    ) -> bytes:
        """The bytes of an opening request. ``headers`` adds, replaces, or (``None``) removes."""
        fields: dict[str, str | None] = {
            "Host": "localhost",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        fields.update(headers or {})
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def handshake(
        self,
        target: str = "/",
        headers: dict[str, str | None] | None = None,
        *,
        extra: bytes = b"",
        expect: int = 101,
    ) -> RawHead:
        """Send the opening request (with ``extra`` bytes in the same write) and read the answer.

        For a 101, the accept value is checked. Bytes behind the head stay for the next read.
        """
        key = base64.b64encode(os.urandom(16))
        self.send(self.request(target, headers, key=key.decode()) + extra)
        head = self.read_head()
        assert head.status == expect, head.raw
        if expect == 101:
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
            assert head.headers["sec-websocket-accept"] == accept, head.raw
        return head


class RawServerConnection(RawPeer):
    #: The request, once ``read_request()`` or ``handshake()`` has read it.
    head: RawHead | None = None

    def read_request(self) -> RawHead:
        self.head = self.read_head()
        return self.head

    def response(self, headers: dict[str, str | None] | None = None) -> bytes:
        """The bytes of a 101 to ``head``. ``headers`` adds, replaces, or (``None``) removes."""
        assert self.head is not None, "read the request first"
        key = self.head.headers["sec-websocket-key"].encode()
        fields: dict[str, str | None] = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": base64.b64encode(hashlib.sha1(key + GUID).digest()).decode(),
        }
        fields.update(headers or {})
        lines = ["HTTP/1.1 101 Switching Protocols"]
        lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def handshake(
        self, headers: dict[str, str | None] | None = None, *, extra: bytes = b""
    ) -> RawHead:
        """Read the request and answer 101, with ``extra`` bytes in the same write."""
        head = self.read_request()
        self.send(self.response(headers) + extra)
        return head

    def __enter__(self) -> RawServerConnection:
        return self


class RawServer:
    """A listener on a port of the kernel's choice (or on a unix socket ``path``).

    ``close()`` also closes every accepted connection.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        path: str | None = None,
        host: str = "127.0.0.1",
        timeout: float = TIMEOUT,
    ) -> None:
        self.tls = tls
        self.timeout = timeout
        self.accepted: list[RawServerConnection] = []
        if path is not None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(path)
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.bind((host, 0))
        self.sock.listen(128)
        self.path = path
        self.host = host

    @property
    def port(self) -> int:
        port: int = self.sock.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """``ws://127.0.0.1:PORT/`` or ``wss://localhost:PORT/`` or ``ws+unix://PATH``."""
        if self.path is not None:
            return f"ws{'s' if self.tls else ''}+unix://{self.path}"
        host = "localhost" if self.tls else f"[{self.host}]" if ":" in self.host else self.host
        return f"ws{'s' if self.tls else ''}://{host}:{self.port}/"

    def accept(self, timeout: float | None = None) -> RawServerConnection:
        """The next connection, TLS done. Raises ``TimeoutError``."""
        self.sock.settimeout(self.timeout if timeout is None else timeout)
        sock, _ = self.sock.accept()
        sock.settimeout(self.timeout)
        if self.tls is not None:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except BaseException:
                sock.close()
                raise
        connection = RawServerConnection(sock, self.timeout)
        self.accepted.append(connection)
        return connection

    def close(self) -> None:
        self.sock.close()
        for connection in self.accepted:
            connection.close()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

"""What tests say to a raw peer over and over: whole messages, closing handshakes, torn TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from rawpeer import CLOSE, CONT, PING, PONG, TIMEOUT, Eof, RawPeer


def read_message(peer: RawPeer, timeout: float | None = None) -> tuple[int, bytes]:
    """Opcode and payload of the next data message; a frame out of place fails the test."""
    opcode, pieces = None, []
    while True:
        frame = peer.read_frame(timeout)
        if frame.opcode in (PING, PONG):
            continue
        assert frame.opcode != CLOSE, f"closed with {frame.close_code} {frame.close_reason}"
        assert (frame.opcode == CONT) == (opcode is not None), f"{frame} is out of place"
        opcode = frame.opcode if opcode is None else opcode
        pieces.append(frame.payload)
        if frame.fin:
            return opcode, b"".join(pieces)


def read_text(peer: RawPeer, timeout: float | None = None) -> str:
    """The next data message, decoded."""
    return read_message(peer, timeout)[1].decode()


def ask(peer: RawPeer, text: str = "ping?", timeout: float | None = None) -> str:
    """Send a text and read the answer."""
    peer.text(text)
    return read_text(peer, timeout)


def read_close_code(peer: RawPeer, timeout: float | None = None) -> int | None:
    """The code of the next close frame; whatever else comes before is skipped."""
    while True:
        frame = peer.read_frame(timeout)
        if frame.opcode == CLOSE:
            return frame.close_code


def say_goodbye(peer: RawPeer, code: int = 1000, reason: str = "") -> None:
    """A client's clean end: close frame, its echo, end of the connection."""
    peer.close_frame(code, reason)
    assert peer.read_close().close_code == code
    peer.expect_eof()


class Background:
    """A call on a thread of its own; ``result()`` gives what it returned, or raises."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._value: Any = None
        self._error: BaseException | None = None

        def call() -> None:
            try:
                self._value = function(*args, **kwargs)
            except BaseException as exc:  # handed over in result()
                self._error = exc

        self.thread = threading.Thread(target=call, name="test-background", daemon=True)
        self.thread.start()

    @property
    def running(self) -> bool:
        return self.thread.is_alive()

    def result(self, timeout: float = TIMEOUT) -> Any:
        self.thread.join(timeout)
        assert not self.thread.is_alive(), f"still running after {timeout} s"
        if self._error is not None:
            raise self._error
        return self._value


class TlsByHand:
    """A TLS end whose records the test holds in its hands, to send half of one."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server: bool = False) -> None:
        self.sock = sock
        sock.settimeout(TIMEOUT)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server, None if server else "localhost"
        )
        self._until_done(self._tls.do_handshake)

    def _until_done(self, call: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                result = None
            if self._outgoing.pending:
                self.sock.sendall(self._outgoing.read())
            if result is not None or (call == self._tls.do_handshake and self._tls.version()):
                return result
            data = self.sock.recv(65536)
            if not data:
                raise Eof
            self._incoming.write(data)

    def record(self, data: bytes) -> bytes:
        """The data as TLS record, to be sent through ``sock``."""
        self._tls.write(data)
        return self._outgoing.read()

    # What makes it a socket for RawPeer.

    def sendall(self, data: bytes) -> None:
        self.sock.sendall(self.record(data))

    def recv(self, size: int) -> bytes:
        data: bytes = self._until_done(self._tls.read, size)
        return data

    def settimeout(self, timeout: float | None) -> None:
        self.sock.settimeout(timeout)

    def close(self) -> None:
        self.sock.close()

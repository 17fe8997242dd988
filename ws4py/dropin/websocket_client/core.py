"""``WebSocket`` and ``create_connection`` of websocket-client, over our blocking client.

Names, signatures and habits; what is said on the wire, and when, is the engine's. This module
must never know protocol, deadlines or sockets beyond handing them out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ws4py.client.dial import Network
from ws4py.client.persistent import Stoppable, Stopped
from ws4py.client.route import Steps
from ws4py.dropin.websocket_client.abnf import (
    ABNF,
    STATUS_NORMAL,
    STATUS_STATUS_NOT_AVAILABLE,
    text_of,
)
from ws4py.dropin.websocket_client.engine import Borrowed, Engine
from ws4py.dropin.websocket_client.exceptions import (
    OURS,
    WebSocketConnectionClosedException,
    WebSocketException,
    lowered,
    translated,
    translation,
)
from ws4py.dropin.websocket_client.options import (
    CONFIG,
    client_arguments,
    getdefaulttimeout,
    mask_source,
)
from ws4py.dropin.websocket_client.trace import isEnabledForTrace, trace, trace_handshake
from ws4py.exc import HandshakeError
from ws4py.messaging import CloseControlMessage, Message, PongControlMessage
from ws4py.protocol.config import Config
from ws4py.protocol.connection import OPEN
from ws4py.protocol.wire import frame_size
from ws4py.runtime import is_secure

__all__ = ["WebSocket", "create_connection"]

DATA = (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY)
_NOT_CONNECTED = "socket is already closed."


class SockOpt:
    """How a ``WebSocket`` connects: ``timeout``, ``sockopt`` and ``sslopt``."""

    def __init__(self, sockopt: Any, sslopt: Any) -> None:
        self.sockopt = sockopt or []
        self.sslopt = sslopt or {}
        self.timeout: float | None = None


class WebSocket:
    """A blocking connection. Made without arguments and connected with ``connect()``.

    ``get_mask_key``: for tests, which see what was sent. ``sockopt``: arguments of
    ``setsockopt()``. ``sslopt``: see docs/coming-from-websocket-client.md. ``fire_cont_frame``:
    give fragments one by one. ``skip_utf8_validation``: do not look at text. The rest is
    accepted: any thread may use it. ``settimeout()`` bounds connecting and each wait for data.
    """

    def __init__(
        self,
        get_mask_key: Callable[[int], Any] | None = None,
        sockopt: Any = None,
        sslopt: Any = None,
        fire_cont_frame: bool = False,
        enable_multithread: bool = True,
        skip_utf8_validation: bool = False,
        dispatcher: Any = None,
        **_: Any,
    ) -> None:
        self.sock_opt = SockOpt(sockopt, sslopt)
        self.get_mask_key = get_mask_key
        self.fire_cont_frame = fire_cont_frame
        self.skip_utf8_validation = skip_utf8_validation
        self._engine: Engine | None = None
        self._claims_to_be = False
        self._stoppable = Stoppable(Network())
        self.close_frame: ABNF | None = None

    # -- connecting --------------------------------------------------------------------------

    def connect(self, url: str, **options: Any) -> None:
        """Connect. ``options``: see docs/coming-from-websocket-client.md.

        Raises ``WebSocketTimeoutException``, ``WebSocketBadStatusException``,
        ``WebSocketProxyException``, ``WebSocketAddressException``, or what the socket raises
        (``ConnectionRefusedError``, ``ssl.SSLError``).
        """
        self._stoppable = Stoppable(Engine._network)
        try:
            self._stoppable.drive(self.opening(url, **options))
        except Stopped:
            raise WebSocketConnectionClosedException("closed while it was connecting") from None

    def opening(self, url: str, **options: Any) -> Steps[WebSocket]:
        """The steps of ``connect()``, for whoever carries them out."""
        timeout = options.get("timeout", self.sock_opt.timeout)
        self.sock_opt.timeout = timeout
        how = client_arguments(url, options, timeout, self.sock_opt.sslopt, self.sock_opt.sockopt)
        how["config"] = self._habits(how["config"])
        engine = Engine(url, **how)
        request = engine.handshake_request if isEnabledForTrace() else b""
        try:
            with translated():
                engine._established((yield from engine._opening()))
        except Exception as exc:
            refusal = exc.__cause__
            if isinstance(refusal, HandshakeError):
                trace_handshake(request, refusal.status, refusal.headers)
            raise
        answer = engine.handshake_response
        assert answer is not None
        trace_handshake(request, answer.status, answer.headers.items())
        engine.stream.key_source = mask_source(self.get_mask_key)
        engine.handshake_ok()
        self.close_frame = None
        self._engine = engine
        return self

    def _habits(self, config: Config) -> Config:
        return config.replace(
            deliver_fragments=self.fire_cont_frame, check_text=not self.skip_utf8_validation
        )

    def set_mask_key(self, func: Callable[[int], Any] | None) -> None:
        """Another source of masks, for tests."""
        self.get_mask_key = func
        if self._engine is not None:
            self._engine.stream.key_source = mask_source(func)

    # -- facts ---------------------------------------------------------------------------------

    @property
    def sock(self) -> Any:
        """The socket; ``None`` when there is none. One that is assigned is connected already."""
        sock = None if self._engine is None else self._engine.sock
        return sock.given if isinstance(sock, Borrowed) else sock

    @sock.setter
    def sock(self, sock: Any) -> None:
        self._engine = None
        if sock is not None:
            self._engine = Engine.on_socket(sock, self._habits(CONFIG))
            self.set_mask_key(self.get_mask_key)

    @property
    def connected(self) -> bool:
        """Whether messages can be sent."""
        engine = self._engine
        if engine is None:
            return self._claims_to_be
        return engine.sock is not None and engine.stream.state is OPEN

    @connected.setter
    def connected(self, flag: bool) -> None:
        self._claims_to_be = flag  # of interest only to who replaces methods

    def gettimeout(self) -> float | None:
        """Seconds that connecting and a wait for data may take."""
        return self.sock_opt.timeout

    def settimeout(self, timeout: float | None) -> None:
        """See ``gettimeout``. ``None``: for ever; 0: do not wait."""
        self.sock_opt.timeout = timeout
        if self._engine is not None and isinstance(self._engine.sock, Borrowed):
            self.sock.settimeout(timeout)

    timeout = property(gettimeout, settimeout)

    def getstatus(self) -> int | None:
        """The HTTP status of the opening handshake."""
        answer = None if self._engine is None else self._engine.handshake_response
        return None if answer is None else answer.status

    status = property(getstatus)

    def getheaders(self) -> dict[str, str] | None:
        """The headers of the server's answer, their names in lower case."""
        answer = None if self._engine is None else self._engine.handshake_response
        return None if answer is None else lowered(answer.headers.items())

    headers = property(getheaders)

    def getsubprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        if self._engine is None or self._engine.handshake_response is None:
            return None
        return self._engine.subprotocol

    subprotocol = property(getsubprotocol)

    def is_ssl(self) -> bool:
        """Whether TLS is spoken."""
        return self.sock is not None and is_secure(self.sock)

    def fileno(self) -> int:
        """The socket's descriptor. More may have been read from it than was received."""
        if self.sock is None:
            raise WebSocketException(_NOT_CONNECTED)
        return int(self.sock.fileno())

    def _connected_engine(self) -> Engine:
        if self._engine is None:
            raise WebSocketConnectionClosedException(_NOT_CONNECTED)
        return self._engine

    # -- sending -------------------------------------------------------------------------------

    def send(self, payload: str | bytes, opcode: int = ABNF.OPCODE_TEXT) -> int:
        """Send a message; the length of its frame."""
        if not self._plain or opcode not in DATA or isEnabledForTrace():
            return self.send_frame(ABNF.create_frame(payload, opcode))
        try:
            self._connected_engine().send(payload, opcode == ABNF.OPCODE_BINARY)
        except OURS as exc:
            raise translation(exc) from exc
        if isinstance(payload, str) and not payload.isascii():
            payload = payload.encode()
        return frame_size(len(payload), True)

    def send_text(self, text_data: str) -> int:
        """Send text."""
        return self.send(text_data, ABNF.OPCODE_TEXT)

    def send_bytes(self, data: bytes | bytearray) -> int:
        """Send binary data."""
        return self.send(data, ABNF.OPCODE_BINARY)  # type: ignore[arg-type]

    def send_binary(self, payload: bytes) -> int:
        """Send binary data."""
        return self.send(payload, ABNF.OPCODE_BINARY)

    def ping(self, payload: str | bytes = "") -> None:
        """Send a ping."""
        self.send(_encoded(payload), ABNF.OPCODE_PING)

    def pong(self, payload: str | bytes = "") -> None:
        """Send a pong; pings are answered anyway, while somebody receives."""
        self.send(_encoded(payload), ABNF.OPCODE_PONG)

    def send_close(self, status: int = STATUS_NORMAL, reason: str | bytes = b"") -> None:
        """Send a close frame, and no more; messages can still be received."""
        if not 0 <= status < 1 << 16:
            raise ValueError("code is invalid range")
        self.send(status.to_bytes(2, "big") + _encoded(reason), ABNF.OPCODE_CLOSE)

    def send_frame(self, frame: ABNF) -> int:
        """Send a frame: whole messages, fragments and control frames; its length."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            frame.validate()
        engine, opcode, data = self._connected_engine(), frame.opcode, frame.payload
        if isEnabledForTrace():
            trace(f"++Sent decoded: {frame}")
        with translated():
            if frame.fin and opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
                engine.send(data, opcode == ABNF.OPCODE_BINARY)
            elif opcode == ABNF.OPCODE_PING:
                engine.ping(data)
            elif opcode == ABNF.OPCODE_PONG:
                engine.send(PongControlMessage(data))
            elif opcode == ABNF.OPCODE_CLOSE:
                engine.begin_to_close(int.from_bytes(data[:2], "big"), data[2:])
            else:
                engine.send_part(data, opcode, bool(frame.fin))
        return frame_size(len(data), True)

    # -- receiving -----------------------------------------------------------------------------

    def recv(self) -> str | bytes:
        """The next message; ``""`` for the server's close frame.

        Raises ``WebSocketTimeoutException`` and, when the connection is over,
        ``WebSocketConnectionClosedException``.
        """
        if self._plain:
            message = self._next(False)
            if message.is_text:
                try:
                    return str(message)
                except UnicodeDecodeError:
                    return text_of(message.data)
            return message.data if message.is_binary else ""
        opcode, data = self.recv_data()
        if opcode == ABNF.OPCODE_TEXT:
            return text_of(data)
        return data if opcode == ABNF.OPCODE_BINARY else ""

    def recv_data(self, control_frame: bool = False) -> tuple[int, Any]:
        """Opcode and data of the next message; pings and pongs too with ``control_frame``."""
        opcode, frame = self.recv_data_frame(control_frame)
        return opcode, frame.data

    def recv_data_frame(self, control_frame: bool = False) -> tuple[int, ABNF]:
        """Opcode and frame of the next message; see ``recv_data``."""
        while True:
            frame = self.recv_frame()
            if control_frame or frame.opcode not in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG):
                return frame.opcode, frame

    def recv_frame(self) -> ABNF:
        """The next frame of any kind. A fragmented message is one, unless ``fire_cont_frame``."""
        return ABNF.received(self._next(True))

    def _next(self, controls: bool) -> Message:
        engine, timeout = self._connected_engine(), self.sock_opt.timeout
        try:
            message = engine.next_event(timeout) if controls else engine.next_content(timeout)
        except OURS as exc:
            raise translation(exc) from exc
        if isinstance(message, CloseControlMessage):
            self.close_frame = ABNF.received(message)
        if isEnabledForTrace():
            trace(f"++Rcv decoded: {ABNF.received(message)}")
        return message

    #: Whether what ``send()`` and ``recv()`` go through was left as it is: there is a shorter way.
    _plain = True

    def __init_subclass__(cls) -> None:
        parts = ("recv_data", "recv_data_frame", "recv_frame", "send_frame")
        cls._plain = all(getattr(cls, name) is getattr(WebSocket, name) for name in parts)

    def __iter__(self) -> Iterator[str | bytes]:
        """Messages, until an exception says that it is over."""
        while True:
            yield self.recv()

    def __next__(self) -> str | bytes:
        return self.recv()

    def next(self) -> str | bytes:
        """The next message."""
        return self.__next__()

    # -- the end -------------------------------------------------------------------------------

    def close(
        self,
        status: int = STATUS_NORMAL,
        reason: str | bytes = b"",
        timeout: float | None = CONFIG.close_timeout,
    ) -> None:
        """Close, and wait for the server's close frame, ``timeout`` seconds at most. Any thread.

        ``None``: for ever. Messages that still come are dropped. Raises ``ValueError`` for a code
        that may not be sent.
        """
        self._stoppable.stop()
        self.begin_to_close(status, reason, timeout)
        engine = self._engine
        if engine is None:
            return
        if timeout is not None and timeout <= 0:
            engine.close_connection()
        engine.wait_closed()
        info = engine.close_info
        if self.close_frame is None and info is not None and info.received is not None:
            code, text = info.received
            self.close_frame = ABNF.received(CloseControlMessage(_sendable(code), text))

    def begin_to_close(self, status: int, reason: Any, timeout: float | None) -> None:
        """``close()`` without the wait."""
        if self._engine is not None:
            self._engine.close_within(timeout)
        if self.connected:
            with contextlib.suppress(WebSocketConnectionClosedException):
                self.send_close(status, reason)

    def abort(self) -> None:
        """End the connection at once and wake whoever waits for data. Any thread."""
        self._stoppable.stop()
        if self._engine is not None:
            self._engine.close_connection()

    def shutdown(self) -> None:
        """Close the socket without a closing handshake. Any thread."""
        self.abort()
        if self._engine is not None:
            self._engine.terminate()

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _sendable(code: int) -> int | None:
    """1005 stands for a close frame without a code."""
    return None if code == STATUS_STATUS_NOT_AVAILABLE else code


def _encoded(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def create_connection(
    url: str, timeout: float | None = None, class_: type[Any] = WebSocket, **options: Any
) -> Any:
    """Connect to ``url``; the connection, a ``class_``.

    ``timeout``: see ``WebSocket.settimeout``. ``options``: those of ``WebSocket`` and of its
    ``connect()``.
    """
    connection = class_(
        sockopt=options.pop("sockopt", []),
        sslopt=options.pop("sslopt", {}),
        fire_cont_frame=options.pop("fire_cont_frame", False),
        enable_multithread=options.pop("enable_multithread", True),
        skip_utf8_validation=options.pop("skip_utf8_validation", False),
        get_mask_key=options.pop("get_mask_key", None),
        dispatcher=options.pop("dispatcher", None),
    )
    connection.settimeout(timeout if timeout is not None else getdefaulttimeout())
    connection.connect(url, **options)
    return connection

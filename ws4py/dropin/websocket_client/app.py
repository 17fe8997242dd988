"""``WebSocketApp`` of websocket-client: callbacks, called on the thread that is in ``run_forever``.

Connecting again is ``ws4py.client.reconnect``'s, pings and their deadline are the connection's.
This module must never know protocol, nor wait for anything by itself.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from ws4py.client.persistent import Stoppable, Stopped
from ws4py.client.reconnect import Attempts, Reconnect, Why, keep_trying
from ws4py.client.route import Steps
from ws4py.dropin.websocket_client.abnf import (
    ABNF,
    STATUS_NORMAL,
    STATUS_STATUS_NOT_AVAILABLE,
    text_of,
)
from ws4py.dropin.websocket_client.callbacks import call
from ws4py.dropin.websocket_client.core import WebSocket
from ws4py.dropin.websocket_client.engine import Engine
from ws4py.dropin.websocket_client.exceptions import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
    closed_error,
)
from ws4py.dropin.websocket_client.options import CONFIG, getdefaulttimeout
from ws4py.dropin.websocket_client.trace import logger
from ws4py.protocol.connection import CloseInfo, is_valid_close_code

__all__ = ["WebSocketApp", "set_reconnect"]

_reconnect = 0.0


def set_reconnect(reconnectInterval: float) -> None:
    """Seconds after which every ``run_forever()`` connects again, unless it is told otherwise."""
    global _reconnect
    _reconnect = reconnectInterval


class WebSocketApp:
    """A connection with callbacks, given here or assigned later.

    ``on_open(ws)``, ``on_reconnect(ws)``, ``on_message(ws, data)``, ``on_error(ws, exception)``,
    ``on_close(ws, code, reason)``, ``on_ping(ws, data)``, ``on_pong(ws, data)``,
    ``on_cont_message(ws, data, fin)``, ``on_data(ws, data, opcode, fin)``: each may take fewer
    arguments, and gets as many as it takes (see ``callbacks``). ``header``: a list, a mapping or a
    function that gives either, called at each attempt. ``socket``: one that is connected already.
    """

    def __init__(
        self,
        url: str,
        header: Any = None,
        on_open: Callable[..., Any] | None = None,
        on_reconnect: Callable[..., Any] | None = None,
        on_message: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        on_close: Callable[..., Any] | None = None,
        on_ping: Callable[..., Any] | None = None,
        on_pong: Callable[..., Any] | None = None,
        on_cont_message: Callable[..., Any] | None = None,
        keep_running: bool = True,
        get_mask_key: Callable[[int], Any] | None = None,
        cookie: str | None = None,
        subprotocols: list[str] | None = None,
        on_data: Callable[..., Any] | None = None,
        socket: Any = None,
    ) -> None:
        self.url = url
        self.header = header if header is not None else []
        self.cookie = cookie
        self.on_open = on_open
        self.on_reconnect = on_reconnect
        self.on_message = on_message
        self.on_data = on_data
        self.on_error = on_error
        self.on_close = on_close
        self.on_ping = on_ping
        self.on_pong = on_pong
        self.on_cont_message = on_cont_message
        self.get_mask_key = get_mask_key
        self.subprotocols = subprotocols
        self.prepared_socket = socket
        #: The connection, while there is one.
        self.sock: WebSocket | None = None
        self.has_errored = False
        self.last_pong_tm = 0.0
        self._stoppable = Stoppable(Engine._network)
        self._stoppable.stopped = not keep_running
        self._closing: dict[str, Any] = {}

    # -- verbs ---------------------------------------------------------------------------------

    @property
    def keep_running(self) -> bool:
        """Whether it goes on; set to ``False``, by any thread, it is closed."""
        return not self._stoppable.stopped

    @keep_running.setter
    def keep_running(self, flag: bool) -> None:
        if not flag:
            self.close()

    @property
    def last_ping_tm(self) -> float:
        """When the last ping was sent, as ``time.time()`` has it; 0: none."""
        engine = None if self.sock is None else self.sock._engine
        if engine is None or engine.stream.last_ping is None:
            return 0.0
        return time.time() - (engine.stream.clock() - engine.stream.last_ping)

    def send(self, data: str | bytes, opcode: int = ABNF.OPCODE_TEXT) -> None:
        """Send a message. Any thread. Raises ``WebSocketConnectionClosedException``."""
        sock = self.sock
        if sock is None or sock.send(data, opcode) == 0:
            raise WebSocketConnectionClosedException("Connection is already closed.")

    def send_text(self, text_data: str) -> None:
        """Send text."""
        self.send(text_data, ABNF.OPCODE_TEXT)

    def send_bytes(self, data: bytes | bytearray) -> None:
        """Send binary data."""
        self.send(data, ABNF.OPCODE_BINARY)  # type: ignore[arg-type]

    def close(self, **kwargs: Any) -> None:
        """Have ``run_forever()`` end, connecting or connected. Any thread; returns at once.

        ``status``, ``reason`` and ``timeout`` as for ``WebSocket.close``. Messages that come after
        it are dropped; ``on_close`` gets what the server answers. Raises ``ValueError`` for a
        status that may not be sent, and does nothing then.
        """
        status = kwargs.get("status")
        if status and not is_valid_close_code(status):
            raise ValueError(f"status {status} may not be sent")
        self._closing = self._closing or kwargs
        self._stoppable.stop()
        sock = self.sock
        if sock is not None:
            self._begin_to_close(sock)

    def _begin_to_close(self, sock: WebSocket) -> None:
        how = self._closing
        sock.begin_to_close(
            how.get("status", STATUS_NORMAL),
            how.get("reason", b""),
            how.get("timeout", CONFIG.close_timeout),
        )

    # -- running -------------------------------------------------------------------------------

    def run_forever(
        self,
        sockopt: Any = None,
        sslopt: Any = None,
        ping_interval: float | None = 0,
        ping_timeout: float | None = None,
        ping_payload: str | bytes = "",
        http_proxy_host: str | None = None,
        http_proxy_port: int | str | None = None,
        http_no_proxy: list[str] | None = None,
        http_proxy_auth: tuple[str, str] | None = None,
        http_proxy_timeout: float | None = None,
        skip_utf8_validation: bool = False,
        host: str | None = None,
        origin: str | None = None,
        dispatcher: Any = None,
        suppress_origin: bool = False,
        suppress_host: bool = False,
        proxy_type: str | None = None,
        reconnect: float | None = None,
        **options: Any,
    ) -> bool:
        """Connect and call the callbacks until the end; ``True`` if that was an error.

        ``ping_interval``: seconds between pings, 0: none; ``ping_timeout``: what each gives the
        server to show life. ``reconnect``: seconds after which a lost connection, or an attempt
        that failed, is followed by another; 0: none. ``dispatcher``: a loop of the program's, with
        ``read(sock, callback)`` and ``timeout(seconds, callback)``; then this returns at once.
        """
        if ping_timeout is not None and ping_timeout <= 0:
            raise WebSocketException("Ensure ping_timeout > 0")
        if ping_interval is not None and ping_interval < 0:
            raise WebSocketException("Ensure ping_interval >= 0")
        if ping_timeout and ping_interval and ping_interval <= ping_timeout:
            raise WebSocketException("Ensure ping_interval > ping_timeout")
        if self.sock:
            raise WebSocketException("socket is already opened")
        config = (options.pop("config", None) or CONFIG).replace(
            ping_interval=ping_interval or None,
            ping_timeout=ping_timeout,
            ping_payload=ping_payload.encode() if isinstance(ping_payload, str) else ping_payload,
            ping_always=True,
        )
        connecting = {
            "config": config,
            "http_proxy_host": http_proxy_host,
            "http_proxy_port": http_proxy_port,
            "http_no_proxy": http_no_proxy,
            "http_proxy_auth": http_proxy_auth,
            "http_proxy_timeout": http_proxy_timeout,
            "host": host,
            "origin": origin,
            "suppress_origin": suppress_origin,
            "suppress_host": suppress_host,
            "proxy_type": proxy_type,
            **options,
        }
        making = {
            "sockopt": sockopt,
            "sslopt": sslopt,
            "skip_utf8_validation": skip_utf8_validation,
        }
        seconds = _reconnect if reconnect is None else reconnect
        run = _Run(self, making, connecting, seconds)
        return run.under(dispatcher) if dispatcher else run.here()

    # -- callbacks -----------------------------------------------------------------------------

    def _callback(self, callback: Callable[..., Any] | None, *args: Any) -> None:
        """Call it, if there is one; what it raises goes to ``on_error``."""
        if callback is None:
            return
        try:
            call(callback, self, *args)
        except Exception as exc:
            logger.error("error from callback %r: %s", callback, exc, exc_info=True)
            if callback is not self.on_error:
                self._callback(self.on_error, exc)


class _Run:
    """One ``run_forever()``: connections, one after the other, and what they call back."""

    def __init__(
        self,
        app: WebSocketApp,
        making: dict[str, Any],
        connecting: dict[str, Any],
        reconnect: float,
    ) -> None:
        self.app = app
        self.making = making
        self.connecting = connecting
        self.reconnect = reconnect
        self.dispatcher: Any = None
        self.attempts = Attempts(
            Reconnect(
                delays=lambda: itertools.repeat(reconnect),
                give_up=lambda why: not reconnect or self.dispatcher is not None,
            )
        )
        self.ending: tuple[int | None, str | None] = None, None
        app.has_errored = False
        app._closing = {}
        self.stoppable = app._stoppable = Stoppable(Engine._network)

    def here(self) -> bool:
        """On the calling thread, until it is over."""
        app = self.app
        try:
            self._connections()
        except KeyboardInterrupt as exc:
            app._callback(app.on_error, exc)
        finally:
            self._tear_down()
        return app.has_errored

    def _connections(self) -> None:
        why: Why | None = None
        while not self.stoppable.stopped:
            if not self._connect(why):
                return
            while self._receive(None):
                pass
            why = self._ended()
            if why is None or not self.reconnect:
                return

    # Under a loop of the program's

    def under(self, dispatcher: Any) -> bool:
        """Connect, and leave the rest to a loop of the program's."""
        self.dispatcher = dispatcher
        self._go_on()
        return self.app.has_errored

    def _go_on(self, *_: Any) -> bool:
        if not self.stoppable.stopped and self._connect(None):
            assert self.app.sock is not None
            self.dispatcher.read(self.app.sock.sock, self._readable)
            self.dispatcher.timeout(0, self._catch_up)  # what came with the opening handshake
        else:
            self._come_back()
        return False

    def _readable(self, *_: Any) -> bool:
        """Its callback: all that is there; whether to watch any longer."""
        try:
            while self._receive(0):
                pass
        except WebSocketTimeoutException:
            return True
        if self.app.sock is not None:
            self._ended()
            self._come_back()
        return False

    def _catch_up(self, *_: Any) -> bool:
        self._readable()
        return False

    def _come_back(self) -> None:
        """After a while, or never."""
        if self.reconnect and not self.stoppable.stopped:
            self.dispatcher.timeout(self.reconnect, self._go_on)
        else:
            self._tear_down()

    # One connection

    def _opening(self) -> Steps[WebSocket]:
        app = self.app
        sock = WebSocket(
            app.get_mask_key, fire_cont_frame=app.on_cont_message is not None, **self.making
        )
        sock.settimeout(getdefaulttimeout())
        options = dict(
            self.connecting,
            header=app.header,
            cookie=app.cookie,
            subprotocols=app.subprotocols,
            socket=app.prepared_socket,
        )
        return (yield from sock.opening(app.url, **options))

    def _tell(self, attempt: int, delay: float, why: Why) -> Steps[Any]:
        """Another attempt follows, since this happened."""
        if isinstance(why, Exception):
            self._failed(why)
        return
        yield

    def _connect(self, why: Why | None) -> bool:
        app = self.app
        steps = keep_trying(self.attempts, self._opening, self._tell, why)
        try:
            app.sock = self.stoppable.drive(steps)
        except Stopped:
            return False
        except Exception as exc:
            self._failed(exc)
            return False
        if self.stoppable.stopped:
            app._begin_to_close(app.sock)
        elif self.attempts.connections > 1 and app.on_reconnect is not None:
            app._callback(app.on_reconnect)
        else:
            app._callback(app.on_open)
        return True

    def _failed(self, error: Exception) -> None:
        self.app.has_errored = True
        logger.error("%s", error)
        self.app._callback(self.app.on_error, error)

    def _receive(self, timeout: float | None) -> bool:
        """One message, and its callbacks; whether there may be more."""
        sock = self.app.sock
        if sock is None:
            return False
        sock.settimeout(timeout)
        try:
            opcode, frame = sock.recv_data_frame(True)
        except WebSocketTimeoutException:
            if sock.connected:
                raise
            return False
        except (WebSocketException, OSError):
            return False  # the close report says it better
        if not self.stoppable.stopped:
            self._deliver(opcode, frame)
        return True

    def _deliver(self, opcode: int, frame: ABNF) -> None:
        app, data = self.app, frame.data
        if opcode == ABNF.OPCODE_PING:
            app._callback(app.on_ping, data)
        elif opcode == ABNF.OPCODE_PONG:
            app.last_pong_tm = time.time()
            app._callback(app.on_pong, data)
        elif opcode == ABNF.OPCODE_CLOSE:
            return
        elif app.on_cont_message is not None and (opcode == ABNF.OPCODE_CONT or not frame.fin):
            app._callback(app.on_data, data, opcode, frame.fin)
            app._callback(app.on_cont_message, data, frame.fin)
        else:
            self._deliver_message(opcode, data)

    def _deliver_message(self, opcode: int, data: Any) -> None:
        app = self.app
        if opcode == ABNF.OPCODE_TEXT and not self.making["skip_utf8_validation"]:
            data = text_of(data)
        app._callback(app.on_data, data, opcode, True)
        app._callback(app.on_message, data)

    def _ended(self) -> CloseInfo | None:
        """The connection is over: its close report, and ``on_error`` unless it ended well."""
        app, sock = self.app, self.app.sock
        if sock is None or sock._engine is None:
            return None
        engine = sock._engine
        engine.wait_closed()
        info = engine.close_info
        app.sock = None
        if info is None:
            return None
        code, reason = info.received or (None, None)
        self.ending = (None if code == STATUS_STATUS_NOT_AVAILABLE else code), reason or None
        if not info.normal and not self.stoppable.stopped:
            self._failed(closed_error(engine.closed_error()))
        return info

    def _tear_down(self) -> None:
        """It is over: the last callback."""
        app = self.app
        self.stoppable.stop()
        if app.sock is not None:  # KeyboardInterrupt, SystemExit
            app._begin_to_close(app.sock)
            self._ended()
        app._callback(app.on_close, *self.ending)

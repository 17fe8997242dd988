"""Clients that connect again by themselves: one object, one pair of hooks for each connection.

What drives the connection drives the next one, too: ``run()`` on threads and greenlets goes on
until it is all over; where a manager serves it, a thread connects again and hands it back. Clients
on a loop have a task for it (see ``client.opening``). This module must never know frames.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from base64 import b64encode
from typing import Any

from ws4py.client.dial import Network, drive
from ws4py.client.offline import OfflineStream, OfflineTransport
from ws4py.client.reconnect import (
    Attempts,
    Reconnect,
    Reconnecting,
    Why,
    keep_trying,
    policy_of,
)
from ws4py.client.route import Await, Step, Steps, T, Wait
from ws4py.exc import ConnectionClosed
from ws4py.reactor import READ
from ws4py.streaming import Stream
from ws4py.websocket import WebSocket

__all__ = ["PersistentClient", "Stoppable", "Stopped"]

logger = logging.getLogger("ws4py")


class Stopped(BaseException):
    """Somebody wants no connection any more: no failure of an attempt."""


class Stoppable:
    """Drives openings, as ``client.dial`` does, until another thread says ``stop()``."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.stopped = False
        # Recursive, for signal handlers; held for moments only.
        self._lock = threading.RLock()
        self._reader: socket.socket | None = None
        self._writer: socket.socket | None = None

    def stop(self) -> None:
        """End the drive in progress, and every later one. Any thread, or a signal handler."""
        with self._lock:
            self.stopped = True
            if self._writer is not None:
                with contextlib.suppress(OSError):
                    self._writer.send(b"\0")

    def drive(self, steps: Steps[T]) -> T:
        """Carry out all steps; what they end in. Raises what they raise, or ``Stopped``."""
        with self._lock:
            self._reader, self._writer = socket.socketpair()
        try:
            return drive(steps, self)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._reader.close()
                self._writer.close()
                self._reader = self._writer = None

    def carry_out(self, step: Step) -> Any:
        """Do what the step asks for."""
        if self.stopped:
            raise Stopped
        if isinstance(step, Wait):
            ready = self.network.wait({**step.sockets, self._reader: READ}, step.timeout)
            result: Any = [sock for sock in ready if sock is not self._reader]
        else:
            result = self.network.carry_out(step)
        if self.stopped:
            raise Stopped
        return result


class PersistentClient(WebSocket):
    """What all clients have of it; without ``reconnect`` nothing of it shows."""

    _network: Network
    #: The policy; ``None``: one connection and no more.
    reconnect: Reconnect | None = None
    _attempts: Attempts | None = None
    _stoppable: Stoppable
    _offline: OfflineStream | None = None
    #: The subprotocols and extensions that were asked for, once others are agreed on.
    _offered: tuple[Any, Any] | None = None
    _persists = False  # from connect() on until it is all over
    _runs = False  # inside of run(), which goes on by itself

    def _prepare_reconnecting(self, reconnect: Reconnecting) -> None:
        """The first thing of ``__init__``, which programs call again to connect anew."""
        self.reconnect = policy_of(reconnect)
        self._persists = self._runs = False
        self._attempts = self._offline = self._offered = None
        self._stoppable = Stoppable(self._network)

    # -- hooks -----------------------------------------------------------------------------

    def reconnecting(self, attempt: int, delay: float, why: Why) -> None:
        """There is no connection; attempt number ``attempt`` begins in ``delay`` seconds.

        ``why``: the error of the last attempt, or the close report of the connection that ended
        (its ``closed()`` has returned). ``close()`` ends it all. By default logged.
        """
        logger.info("%r: attempt %d in %.1f s (%s)", self, attempt, delay, _reason(why))

    def reconnected(self, attempt: int) -> None:
        """Connected again, with this attempt. After ``opened()``, on the same thread."""

    def gave_up(self, error: Exception) -> None:
        """The last hook, when it is not tried any more for this error. By default logged."""
        logger.warning("%r connects no more: %s", self, error)

    def _hook(self, name: str, *args: Any) -> Any:
        """Call a hook that is no matter of one connection; what it gave, if it did not fail."""
        try:
            return getattr(self, name)(*args)
        except Exception:
            logger.exception("error in %s.%s() of %r", type(self).__name__, name, self)
            return None

    def _tell(self, attempt: int, delay: float, why: Why) -> Steps[None]:
        """Before the wait and the next attempt, which asks as the first one did."""
        self.key = new_key()
        if self._offered is not None:
            self.protocols, self.extensions = self._offered
        result = self._hook("reconnecting", attempt, delay, why)
        if result is not None and hasattr(result, "__await__"):
            try:
                yield Await(result, None)
            except Exception:
                logger.exception("error in %s.reconnecting()", type(self).__name__)

    # -- verbs -----------------------------------------------------------------------------

    def close(self, code: int | None = 1000, reason: str | bytes | None = "") -> None:
        """Begin to close; see ``WebSocket.close``. It is not connected again, from now on."""
        if self._persists:
            self._stop()
        super().close(code, reason)

    def _stop(self) -> None:
        """End the wait or the attempt in progress, and make no other. Any thread."""
        self._stoppable.stop()

    def run(self) -> None:
        """Drive the connection on the calling thread until it is over, and all that follow."""
        if not self._persists:
            super().run()
            return
        attempts = self._attempts
        self._runs = True
        try:
            super().run()
            while self._attempts is attempts and self._come_back(self.close_info):
                super().run()
        finally:
            if self._attempts is attempts:  # else closed() has called __init__ and connect()
                self._runs = False
                self._leave()

    # -- connecting ------------------------------------------------------------------------

    key: bytes

    def _opening(self) -> Steps[Any]:
        raise NotImplementedError

    def _established(self, opened: Any) -> None:
        raise NotImplementedError

    def _begin_attempts(self) -> None:
        """``connect()`` was called."""
        assert self.reconnect is not None
        self._stoppable = Stoppable(self._network)
        self._attempts = Attempts(self.reconnect)
        self._persists = True
        if self.reconnect.queue:
            self._go_offline()

    def _openings(self, why: Why | None = None) -> Steps[Any]:
        """Attempts until one succeeds."""
        assert self._attempts is not None
        return keep_trying(self._attempts, self._opening, self._tell, why)

    def _connect_for_good(self) -> None:
        """The first connection of many, on the calling thread. Raises when it is given up."""
        self._begin_attempts()
        try:
            self._established(self._stoppable.drive(self._openings()))
        except Stopped:
            self._leave()
            raise self._stopped_error() from None
        except BaseException:
            self._leave()
            raise
        self._heed_stop()

    def _come_back(self, why: Why | None) -> bool:
        """Connect again on the calling thread; ``False``: it is all over."""
        if not self._persists:
            return False
        if self._stoppable.stopped:
            self._leave()
            return False
        try:
            self._established(self._stoppable.drive(self._openings(why)))
        except Stopped:
            self._leave()
            return False
        except Exception as exc:
            self._leave(exc)
            return False
        self._heed_stop()
        return True

    def _heed_stop(self) -> None:
        """``close()`` may have come when there was a connection already, but not here."""
        if self._stoppable.stopped:
            WebSocket.close(self)

    def _stopped_error(self) -> ConnectionClosed:
        return ConnectionClosed(f"{self!r} was closed while it was connecting", self.close_info)

    # -- from one connection to the next -----------------------------------------------------

    def _finish_end(self) -> None:
        super()._finish_end()
        if self._persists and not self._stoppable.stopped:
            self.client_terminated = self.server_terminated = False
            if self.reconnect is not None and self.reconnect.queue:
                self._go_offline()

    def _go_offline(self) -> None:
        """Keep what is sent from now on."""
        assert self.reconnect is not None
        self._offline = OfflineStream(self.reconnect, self.stream)
        self._ended = True  # of the last connection, until there is another
        self._transport = OfflineTransport()
        self.stream = self._offline

    def _renew(self) -> None:
        """As a new websocket, whose transport is there already (so nobody sends past its lock)."""
        assert self._attempts is not None
        if self._attempts.connections == 1 and self._offline is None:
            return  # it is one
        self.stream = Stream(always_mask=True, expect_masking=False)
        self.__dict__.pop("_blocking", None)
        self._local_address = self._peer_address = None
        self._opened = self._ended = False
        self.client_terminated = self.server_terminated = False

    def _after_opened(self) -> None:
        if self._attempts is None or not self._persists:
            return
        if self._attempts.connections > 1:
            self._call("reconnected", self._attempts.count)
        if self._offline is not None:
            self._call("_send_kept")

    def _send_kept(self) -> None:
        """Behind ``opened()`` and ``reconnected()``, which may have to introduce us again."""
        offline, self._offline = self._offline, None
        if offline is not None:
            offline.hand_over(self)

    def _leave(self, error: Exception | None = None) -> Any:
        """It is all over; ``error``: it was given up. What ``gave_up()`` gave."""
        if not self._persists:
            return None
        self._persists = False
        if self._offline is not None:
            lost = self._offline.end()
            if lost:
                logger.warning("%r: %d messages were never sent", self, lost)
        self.client_terminated = self.server_terminated = True
        return None if error is None else self._hook("gave_up", error)

    # -- under a manager ---------------------------------------------------------------------

    def _released(self) -> None:
        """Whoever drove it has let go of it: if it does not run by itself, have it come back."""
        if not self._persists or self._runs:
            return
        if self._stoppable.stopped:
            self._leave()
            return
        # A daemon: a program that has nothing else to do need not wait for a server.
        thread = threading.Thread(target=self._return, name="ws4py-reconnect", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:  # the interpreter ends
            self._leave(exc)

    def _return(self) -> None:
        if not self._come_back(self.close_info):
            return
        try:
            self.handshake_ok()
        except Exception as exc:
            logger.exception("error in %s.handshake_ok() of %r", type(self).__name__, self)
            self._stop()
            self.terminate()
            self._leave(exc)

    def _dismissed(self) -> None:
        """Whoever drives it ends, and would not take it back."""
        if self._persists:
            self._stop()

    def handshake_ok(self) -> None:
        """The connection is open."""
        raise NotImplementedError


def new_key() -> bytes:
    """``Sec-WebSocket-Key``, for one request only (RFC 6455 section 4.1)."""
    return b64encode(os.urandom(16))


def _reason(why: Why) -> str:
    if isinstance(why, Exception):
        return str(why) or repr(why)
    return f"closed with {why.code} {why.reason}".rstrip()

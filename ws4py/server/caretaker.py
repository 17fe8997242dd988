"""Whoever serves websockets where the server belongs to somebody else: gunicorn, Werkzeug, cheroot.

Such a server knows nothing of websockets, so nobody would tell their peers that the process ends.
A caretaker does: there is one for the process, and its manager starts with the first websocket
(so, after a server has forked its workers). This module must never know how a socket was come by.
"""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import threading
import time
import weakref

from ws4py.manager import WebSocketManager
from ws4py.server import LAST_WORDS, SHUTTING_DOWN
from ws4py.websocket import WebSocket

__all__ = ["Caretaker", "process_caretaker"]

logger = logging.getLogger("ws4py.server")


class Caretaker:
    """Serves websockets by a manager or on the calling thread, and closes them in the end.

    ``manager``: one that runs, and whose owner starts and stops it; else there will be one of the
    caretaker's own.
    """

    def __init__(self, manager: WebSocketManager | None = None) -> None:
        self._own = manager is None
        self._manager = manager
        self._staying: dict[WebSocket, int] = {}  # and the thread that each is on
        self._changed = threading.Condition()
        self._stopped = False
        _caretakers.add(self)

    @property
    def manager(self) -> WebSocketManager:
        """Serves what is handed over."""
        with self._changed:
            if self._manager is None:
                manager = WebSocketManager()
                manager.name = "ws4py-shared-manager"
                manager.daemon = True  # the end of the program stops it, see shut_down_all()
                manager.start()
                self._manager = manager
            return self._manager

    def hand_over(self, ws: WebSocket) -> None:
        """Have the manager serve it. Returns at once."""
        self.manager.entrust(ws)

    def stay(self, ws: WebSocket) -> None:
        """Serve it on the calling thread (or greenlet), and return when it is over."""
        with self._changed:
            self._staying[ws] = threading.get_ident()
        try:
            if self._stopped:
                ws.close(*SHUTTING_DOWN)
            ws.run()
        finally:
            with self._changed:
                del self._staying[ws]
                self._changed.notify_all()

    def shut_down(self) -> None:
        """Close them all with 1001 and wait for that, as long as their close timeouts allow."""
        with self._changed:
            self._stopped = True
            staying = list(self._staying)
        for ws in staying:
            try:
                ws.close(*SHUTTING_DOWN)
            except Exception:
                logger.exception("error in close() of %r", ws)
        if self._manager is not None:
            if self._own:
                self._manager.shut_down(*SHUTTING_DOWN, LAST_WORDS)
            else:
                self._manager.close_all(*SHUTTING_DOWN)
        patience = max((ws.stream.config.close_timeout or 0 for ws in staying), default=0)
        end = time.monotonic() + patience + LAST_WORDS
        me = threading.get_ident()
        with self._changed:
            # Greenlets of this very thread cannot go on while it waits.
            self._changed.wait_for(
                lambda: all(thread == me for thread in self._staying.values()),
                max(0.0, end - time.monotonic()),
            )

    def forget(self) -> None:
        """In a forked child: everything stayed with the parent."""
        self._staying = {}
        self._changed = threading.Condition()
        if self._own:
            self._manager = None


_caretakers: weakref.WeakSet[Caretaker] = weakref.WeakSet()
_process: Caretaker | None = None


def process_caretaker() -> Caretaker:
    """The one for the whole process."""
    global _process
    if _process is None:
        _process = Caretaker()
    return _process


def shut_down_all() -> None:
    """The process ends: close what is open, politely."""
    for caretaker in list(_caretakers):
        caretaker.shut_down()


def shut_down_soon() -> None:
    """The same without waiting; from a signal handler, too."""
    # Not Thread.start(), which waits until it runs: a handler of gevent's must not.
    _thread.start_new_thread(shut_down_all, ())


def _forget_all() -> None:
    for caretaker in list(_caretakers):
        caretaker.forget()


# Daemon threads still run at that time, and the server's own threads have ended.
atexit.register(shut_down_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)

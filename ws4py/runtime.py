"""What a connection with a thread of its own takes from the threads that there are.

``Runtime`` says it for Python's threads, also where ``threading`` was patched and they are
greenlets. Whoever has another kind, with sockets of its own, says so with ``register()``; then
every connection over such a socket runs on it. This module must never know what is sent.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ws4py.lock import new_lock
from ws4py.reactor import READ, WRITE, Channel, alarm
from ws4py.syscalls import READ_SIZE, patched
from ws4py.tlsintls import TlsInTls

__all__ = ["Alarm", "Runtime", "close_socket", "is_secure", "register", "runtime_of", "wait_ready"]

#: Linux and BSD: this one call does not wait although the socket is a waiting one.
DONTWAIT: int = getattr(socket, "MSG_DONTWAIT", 0)
#: Linux: what is given belongs to what follows.
MORE: int = getattr(socket, "MSG_MORE", 0)


class Alarm(Protocol):
    """What calls ``ring()`` and ``writable()`` of a channel: the part of a reactor that is needed.

    They are called where nothing may wait. All methods: any thread.
    """

    def in_thread(self) -> bool: ...

    def set_alarm(self, channel: Channel, when: float) -> None: ...

    def cancel_alarm(self, channel: Channel) -> None: ...

    def register(self, fd: int, channel: Channel, events: int) -> None: ...

    def unregister(self, fd: int) -> None: ...


class Runtime:
    """Python's threads. Subclasses say what is different elsewhere, for one connection each."""

    __slots__ = ()

    #: What ``read()`` takes at most.
    read_size = READ_SIZE

    @property
    def sockets_wait(self) -> bool:
        """Whether a call on a socket can be left to wait, while another thread sends on it.

        Not where greenlets pass for threads: there one call cannot be told not to wait.
        """
        return not patched()

    def is_socket(self, sock: Any) -> bool:
        """Whether there is a descriptor to wait for, and not just something that looks alike."""
        return isinstance(sock, (socket.socket, TlsInTls))

    def new_lock(self) -> Any:
        """A recursive lock."""
        return new_lock()

    def identity(self) -> object:
        """The calling thread."""
        return threading.get_ident()

    def alarm(self) -> Alarm:
        """What keeps the deadlines."""
        return alarm()

    def wait_ready(self, sock: Any, events: int, timeout: float | None) -> bool:
        """Wait until the socket can be read or written; ``False`` when ``timeout`` s passed."""
        return wait_ready(sock, events, timeout)

    def read(self, sock: Any, fd: int) -> bytes | None:
        """What has arrived; ``None`` when nothing has. Where sockets do not wait."""
        try:
            data: bytes = sock.recv(self.read_size)
        except (BlockingIOError, InterruptedError):
            return None
        return data

    def give_way(self, sock: Any) -> None:
        """Let others have a turn. Threads are interrupted for that; greenlets are not.

        A socket that can be written to is ready at once, but only after all others were looked
        at; to sleep for no time at all would not look at them.
        """
        if patched():
            self.wait_ready(sock, READ | WRITE, 0.001)

    def close_socket(self, sock: Any) -> None:
        """Close it; nobody waits for it any more."""
        close_socket(sock)


_threads = Runtime()
_others: list[tuple[type, Callable[[Any], Runtime]]] = []
_tls_sockets: list[type] = []


def register(sockets: type, tls_sockets: type, runtime: Callable[[Any], Runtime]) -> None:
    """From now on ``runtime(sock)`` is asked for each connection over a socket of these classes."""
    _others.append((sockets, runtime))
    _tls_sockets.append(tls_sockets)


def runtime_of(sock: Any) -> Runtime:
    """The runtime of a connection over this socket."""
    if isinstance(sock, TlsInTls):
        sock = sock.carrier
    for sockets, runtime in _others:
        if isinstance(sock, sockets):
            return runtime(sock)
    return _threads


def is_secure(sock: Any) -> bool:
    """Whether the socket speaks TLS."""
    return isinstance(sock, (ssl.SSLSocket, TlsInTls, *_tls_sockets))


def wait_ready(sock: Any, events: int, timeout: float | None) -> bool:
    """Wait until the socket can be read or written; ``False`` when ``timeout`` seconds passed."""
    fd = sock.fileno()
    if fd < 0:
        raise OSError(errno.EBADF, "the socket is closed")
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fd, events)
        return bool(poll.poll(None if timeout is None else timeout * 1000))
    return any(
        select.select((fd,) if events & READ else (), (fd,) if events & WRITE else (), (), timeout)
    )


def close_socket(sock: Any) -> None:
    """Close, whatever state the socket is in; a stand-in for one may lack either method."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):
        pass
    try:
        sock.close()
    except (OSError, AttributeError):
        pass

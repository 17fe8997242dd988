"""What every message asks of the system, with as little around it as can be.

The calls that it costs, for sockets that do not wait, what time it is, and which thread this is.
Compiled, on Unix, these are the calls themselves; else they go through Python's modules. This
module must never know what the bytes mean.
"""

from __future__ import annotations

import socket
import threading
from types import BuiltinFunctionType
from typing import Any

__all__ = [
    "DIRECT_EPOLL",
    "DIRECT_WRITE",
    "DONTWAIT",
    "READ_SIZE",
    "WAIT_SIZE",
    "ReadBuffer",
    "ReadyList",
    "accept",
    "fill_rest",
    "new_buffer",
    "patched",
    "read_some",
    "this_thread",
    "wait_some",
    "write_pieces",
    "write_some",
]

#: Whether this module runs compiled, so that the functions of ``syscalls.pxd`` are there.
COMPILED = not __file__.endswith((".py", ".pyc"))

#: Whether a ``ReadyList`` works here.
DIRECT_EPOLL = bool(COMPILED and direct_epoll)  # type: ignore[name-defined] # noqa: F821

#: Whether ``write_pieces()`` works here.
DIRECT_WRITE = bool(COMPILED and direct)  # type: ignore[name-defined] # noqa: F821

#: Linux and BSD: this one call does not wait although the socket is a waiting one.
DONTWAIT: int = getattr(socket, "MSG_DONTWAIT", 0)

#: The flag is how a socket object is told that its descriptor does not wait.
NONBLOCKING_STREAM: int = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)

#: One read takes at most this much: enough for bulk, little enough to be fair to the others.
READ_SIZE = 262144 if COMPILED else 65536


#: What ``wait_some()`` takes at most: a conversation, not a flood.
WAIT_SIZE = 32768


def new_buffer() -> bytearray:
    """What one thread receives into, to be used again and again."""
    return bytearray(READ_SIZE if COMPILED else 0)


class ReadBuffer:
    """What one thread receives into, again and again.

    ``data`` belongs to the buffer: compiled, the next ``fill()`` overwrites it.
    """

    __slots__ = ("data",)

    def __init__(self) -> None:
        # One byte more than is ever filled: a slice of all of it would be no copy, but itself.
        self.data = bytes(READ_SIZE + 1) if COMPILED else b""

    def fill(self, sock: Any, fd: int, most: int = READ_SIZE) -> int:
        """How many bytes have arrived; 0 at the end, -1 when nothing has. Raises ``OSError``."""
        if COMPILED and direct:  # type: ignore[name-defined] # noqa: F821
            return fill_buffer(fd, self.data, most)  # type: ignore[name-defined,no-any-return] # noqa: F821
        try:
            self.data = sock.recv(most)
        except (BlockingIOError, InterruptedError):
            return -1
        return len(self.data)


def fill_rest(sock: Any, fd: int, data: bytes, filled: int) -> int:
    """Receive into what of ``data`` is not filled yet; returns as ``ReadBuffer.fill()`` does.

    Compiled only: nobody but the caller may hold ``data``.
    """
    if direct:  # type: ignore[name-defined] # noqa: F821
        return fill_behind(fd, data, filled)  # type: ignore[name-defined,no-any-return] # noqa: F821
    try:
        received: bytes = sock.recv(len(data) - filled)
    except (BlockingIOError, InterruptedError):
        return -1
    put(received, data, filled)  # type: ignore[name-defined] # noqa: F821
    return len(received)


def accept(listener: Any, family: int) -> tuple[Any, Any] | None:
    """The next connection, a socket that does not wait, and its address; ``None`` without one.

    Raises ``OSError``. For a listening stream socket of this family that does not wait.
    """
    if not (COMPILED and direct_accept) or patched():  # type: ignore[name-defined] # noqa: F821
        try:
            sock, address = listener.accept()
        except (BlockingIOError, InterruptedError):
            return None
        sock.setblocking(False)
        return sock, address
    fd = call_accept(listener.fileno())  # type: ignore[name-defined] # noqa: F821
    if fd < 0:
        return None
    try:
        sock = socket.socket(family, NONBLOCKING_STREAM, listener.proto, fd)
    except BaseException:
        socket.close(fd)
        raise
    try:
        return sock, sock.getpeername()
    except BaseException:
        sock.close()
        raise


def read_some(sock: Any, fd: int, buffer: bytearray) -> bytes | None:
    """What has arrived; ``None`` when nothing has, ``b""`` at the end. Raises ``OSError``."""
    if COMPILED and direct:  # type: ignore[name-defined] # noqa: F821
        return call_recv(fd, buffer)  # type: ignore[name-defined,no-any-return] # noqa: F821
    try:
        data: bytes = sock.recv(READ_SIZE)
    except (BlockingIOError, InterruptedError):
        return None
    return data


def wait_some(sock: Any, fd: int) -> bytes | None:
    """What has arrived, as soon as something has; ``b""`` at the end. For a socket that waits.

    ``None`` when a signal came instead. Raises ``OSError``.
    """
    if COMPILED and direct:  # type: ignore[name-defined] # noqa: F821
        return call_recv_waiting(fd)  # type: ignore[name-defined,no-any-return] # noqa: F821
    data: bytes = sock.recv(WAIT_SIZE)
    return data


def write_some(sock: Any, fd: int, data: bytes | memoryview) -> int:
    """How much of ``data`` the system has taken; 0 when it has no room. Raises ``OSError``.

    Does not wait, and where there is ``DONTWAIT`` not even for a socket that does.
    """
    if COMPILED and direct and type(data) is bytes:  # type: ignore[name-defined] # noqa: F821
        return call_send(fd, data)  # type: ignore[name-defined,no-any-return] # noqa: F821
    try:
        sent: int = sock.send(data, DONTWAIT)
    except (BlockingIOError, InterruptedError):
        return 0
    return sent


def write_pieces(fd: int, pieces: list[bytes]) -> int:
    """The same for several pieces, one behind the other: 64 at most. Where ``DIRECT_WRITE``."""
    return call_sendmsg(fd, pieces)  # type: ignore[name-defined,no-any-return] # noqa: F821


class ReadyList:
    """What epoll has found: numbers, without a Python object for each. Where ``DIRECT_EPOLL``.

    One thread's, to be used again and again.
    """

    #: What one look finds at most; the rest is found by the next one.
    SIZE = 512

    def wait(self, epoll: int, timeout: float) -> int:
        """How many descriptors are ready, once one is or ``timeout`` seconds (-1: any) passed."""
        return call_epoll_wait(self, epoll, timeout)  # type: ignore[name-defined,no-any-return] # noqa: F821

    def descriptor(self, index: int) -> int:
        """The descriptor in that place of the list."""
        return ready_descriptor(self, index)  # type: ignore[name-defined,no-any-return] # noqa: F821

    def events(self, index: int) -> int:
        """What it is ready for."""
        return ready_events(self, index)  # type: ignore[name-defined,no-any-return] # noqa: F821


#: What ``patched()`` found when it was last asked.
PATCHED = False


def patched() -> bool:
    """Whether the standard library's threads are greenlets: gevent, say, has patched it.

    To be asked whenever something is made that counts on ``this_thread()``.
    """
    global PATCHED
    PATCHED = not isinstance(threading.get_ident, BuiltinFunctionType)
    return PATCHED


def this_thread() -> int:
    """The identity of the calling thread, as ``threading.get_ident()`` gives it."""
    if COMPILED and not PATCHED:
        return PyThread_get_thread_ident()  # type: ignore[name-defined,no-any-return] # noqa: F821
    return threading.get_ident()

"""Clients on an asyncio loop: from a URL to an open connection, without blocking anybody.

What ``client.dial`` does for threads, under the same deadline and with the same errors, and the
client that is driven by the loop. It must never know HTTP, frames, or whose loop it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Mapping
from typing import Any

from ws4py.asynchooks import hook_task
from ws4py.asyncioreactor import AsyncioReactor, reactor_of
from ws4py.awaited import Later
from ws4py.client import WebSocketBaseClient
from ws4py.client.dial import (
    Deadline,
    Network,
    explained,
    is_literal,
    new_unix_socket,
    no_address,
    resolve,
    tls_error,
    wrap_tls,
)
from ws4py.exc import ConnectionTimeout
from ws4py.protocol.config import DEFAULT
from ws4py.protocol.handshake import ClientHandshake
from ws4py.protocol.uri import Uri
from ws4py.reactor import READ, WRITE, Channel
from ws4py.transport import PolledTransport, Transport, feed_handshake

__all__ = ["LoopClient", "Opener"]

IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class Opener(Channel):
    """One connection on its way. ``sock`` is closed by whoever catches an error."""

    def __init__(self, reactor: AsyncioReactor, uri: Uri, deadline: Deadline) -> None:
        super().__init__()
        self.reactor = reactor
        self.uri = uri
        self.deadline = deadline
        self.sock: Any = None
        self._ready: asyncio.Future[bool] | None = None

    async def open(self, handshake: ClientHandshake, ssl_options: Mapping[str, Any]) -> Any:
        """The connected socket after all handshakes. Raises as ``WebSocketBaseClient.connect``."""
        try:
            if self.uri.unix_path is not None:
                await self._dial_unix(self.uri.unix_path)
            else:
                await self._dial_tcp()
            if self.uri.secure:
                await self._start_tls(ssl_options)
            await self._shake_hands(handshake)
            if handshake.error is not None:
                raise handshake.error
        except BaseException:
            if self.sock is not None:
                self.sock.close()
            raise
        return self.sock

    # Waiting

    def readable(self) -> None:
        """What is waited for has come."""
        self._tell(True)

    writable = readable

    def ring(self) -> None:
        """Time is up."""
        self._tell(False)

    def _tell(self, ready: bool) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(ready)

    async def _wait(self, events: int, timeout: float | None) -> bool:
        """Until the socket is ready; ``False`` when ``timeout`` seconds have passed."""
        fd = self.sock.fileno()
        self._ready = self.reactor.loop.create_future()
        self.reactor.register(fd, self, events)
        try:
            if timeout is not None:
                self.reactor.set_alarm(self, self.reactor.clock() + timeout)
            return await self._ready
        finally:
            self.reactor.cancel_alarm(self)
            self.reactor.unregister(fd)

    # The steps

    async def _dial_unix(self, path: str) -> None:
        self.sock = new_unix_socket(path)
        try:
            await self._connect(path, self.deadline.left("connecting"))
        except OSError as exc:
            raise explained(exc, path) from exc

    async def _dial_tcp(self) -> None:
        """Every address of the name in turn; each may take its share of the time that is left."""
        addresses = await self._look_up()
        failure: OSError | None = None
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            left = self.deadline.left("connecting")
            share = None if left is None else left / (len(addresses) - index)
            try:
                self.sock = socket.socket(family, kind, protocol)
                await self._connect(address, share)
            except OSError as exc:
                if self.sock is not None:
                    self.sock.close()
                failure = exc
                continue
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return
        if isinstance(failure, ConnectionTimeout):
            raise failure
        assert failure is not None
        raise explained(failure, self.deadline.address) from failure

    async def _look_up(self) -> list[Any]:
        host, port, deadline = self.uri.host, self.uri.port, self.deadline
        assert port is not None
        if is_literal(host):
            return resolve(host, port, deadline, Network())
        asking = asyncio.ensure_future(
            self.reactor.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        try:
            await asyncio.wait({asking}, timeout=deadline.left("the name look-up"))
            if not asking.done():
                raise deadline.missed("the name look-up")
            found = asking.result()
        except ConnectionTimeout:
            raise
        except OSError as exc:
            raise no_address(exc, host, deadline) from exc
        finally:
            asking.cancel()
        return list(found)

    async def _connect(self, address: Any, timeout: float | None) -> None:
        self.sock.setblocking(False)
        code = self.sock.connect_ex(address)
        if code in IN_PROGRESS and self.uri.unix_path is None:
            if not await self._wait(WRITE, timeout):
                raise self.deadline.missed("the TCP connection")
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    async def _start_tls(self, options: Mapping[str, Any]) -> None:
        self.sock = wrap_tls(self.sock, self.uri, options)
        while True:
            try:
                self.sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                events = READ
            except ssl.SSLWantWriteError:
                events = WRITE
            except ssl.SSLError as exc:
                raise tls_error(exc, self.uri, self.deadline) from exc
            if not await self._wait(events, self.deadline.left("the TLS handshake")):
                raise self.deadline.missed("the TLS handshake")

    async def _shake_hands(self, handshake: ClientHandshake) -> None:
        """Write the request, read the answer."""
        request = memoryview(handshake.request)
        while request:
            try:
                request = request[self.sock.send(request) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not await self._wait(WRITE, self.deadline.left("the opening handshake")):
                    raise self.deadline.missed("the opening handshake") from None
        while not handshake.done:
            try:
                feed_handshake(self.sock, handshake)
            except (BlockingIOError, ssl.SSLWantReadError):
                await self._wait_for_answer(handshake)

    async def _wait_for_answer(self, handshake: ClientHandshake) -> None:
        end = handshake.deadline
        left = None if end is None else max(0.0, end - self.reactor.clock())
        if not await self._wait(READ, left):
            handshake.tick()


class LoopClient(WebSocketBaseClient):
    """A client that an asyncio loop drives. Arguments as ``WebSocketBaseClient``.

    All hooks run on the loop's thread, and may be coroutine functions. ``send``, ``ping`` and
    ``close`` work from any thread.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The loop that drives it, from ``connect()`` on.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._wanted = False  # connect() was called where no loop ran
        # Set unless there is or will be a connection. Each has its own: in closed() the next may
        # begin, with a call of __init__ before connect().
        self._over = asyncio.Event()
        self._over.set()
        self._hook_task: asyncio.Task[None] | None = None

    def connect(self) -> Awaitable[None]:  # type: ignore[override]
        """Connect, as soon as the loop comes to it; awaiting it waits until ``opened()``.

        Raises then what ``WebSocketBaseClient.connect`` raises. Where no loop runs yet it is
        begun by awaiting it, or by ``run_forever()``.
        """
        self._over = asyncio.Event()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._wanted = True
            return Later(self._open)
        return loop.create_task(self._open())

    async def _open(self) -> None:
        if self.sock is not None:
            raise RuntimeError(f"{self!r} is connected already")
        self._wanted = False
        self.loop = asyncio.get_running_loop()
        if self._over.is_set():
            self._over = asyncio.Event()
        config = self.config or DEFAULT
        deadline = Deadline(config.open_timeout, self.url)
        handshake = self._new_handshake()
        opener = Opener(reactor_of(self.loop), self.uri, deadline)
        try:
            self.sock = await opener.open(handshake, self.ssl_options)
        except BaseException:
            self._over.set()
            raise
        self._established(handshake, config)
        transport = self.transport
        assert isinstance(transport, PolledTransport)
        self._hook_task = hook_task(self, opener.reactor)
        transport.start(self)
        self.handshake_ok()

    def _new_transport(self) -> Transport:
        assert self.loop is not None
        transport = PolledTransport(self.sock, reactor_of(self.loop))
        over = self._over
        transport.on_end = lambda ws: over.set()
        return transport

    async def wait_closed(self) -> None:
        """Wait until the connection is over and ``closed()`` has returned."""
        while not self._over.is_set():
            await self._over.wait()
            if self._hook_task is not None:
                await asyncio.wait({self._hook_task})

    def run_forever(self) -> None:
        """Connect if that is still to be done, and wait until ``closed()`` has returned.

        Runs a loop if none runs, else is for other threads than the loop's. Ctrl-C is let
        through. Raises what connecting raises.
        """
        loop = self.loop
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("a loop runs already: await ws.wait_closed() instead")
        if self._wanted:
            asyncio.run(self._run())
        elif loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(self.wait_closed(), loop).result()
        elif loop is not None and not loop.is_closed():
            loop.run_until_complete(self.wait_closed())

    async def _run(self) -> None:
        await self._open()
        try:
            await self.wait_closed()
        finally:
            if not self._over.is_set():
                self.close_connection()
                await asyncio.sleep(0)  # the hooks of the end follow as a call to the loop

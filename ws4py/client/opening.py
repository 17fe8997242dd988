"""Clients on an asyncio loop: openings without blocking anybody, and what drives them then.

Carries out the steps of ``client.route`` on the loop. It must never know what the steps are for,
nor frames, nor whose loop it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from ws4py.asynchooks import hook_task
from ws4py.asyncioreactor import AsyncioReactor, reactor_of
from ws4py.awaited import Later
from ws4py.client import WebSocketBaseClient
from ws4py.client.persistent import Stopped
from ws4py.client.reconnect import Why
from ws4py.client.route import Await, LookUp, Steps, T
from ws4py.reactor import Channel
from ws4py.transport import PolledTransport, Transport

__all__ = ["LoopClient", "drive"]


async def drive(steps: Steps[T], reactor: AsyncioReactor) -> T:
    """Carry out all steps on the reactor's loop; what they end in. Raises what they raise."""
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, LookUp):
                    result: Any = await look_up(step)
                elif isinstance(step, Await):
                    result = await patiently(step.awaitable, step.timeout)
                else:
                    result = await wait(step.sockets, step.timeout, reactor)
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


async def look_up(step: LookUp) -> list[Any]:
    """All addresses of a name, by the loop's resolver."""
    asking = asyncio.get_running_loop().getaddrinfo(step.host, step.port, type=socket.SOCK_STREAM)
    return list(await patiently(asking, step.timeout))


async def patiently(awaitable: Awaitable[T], timeout: float | None) -> T:
    """What it gives. Raises ``TimeoutError`` after ``timeout`` seconds, and cancels it."""
    task = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


class _Watch(Channel):
    """Says which socket is ready; without a socket, that time is up."""

    def __init__(self, told: asyncio.Future[list[Any]], sock: Any = None) -> None:
        super().__init__()
        self._told = told
        self._ready = [] if sock is None else [sock]

    def readable(self) -> None:
        """What is waited for has come."""
        if not self._told.done():
            self._told.set_result(self._ready)

    writable = ring = readable


async def wait(
    sockets: Mapping[Any, int], timeout: float | None, reactor: AsyncioReactor
) -> Iterable[Any]:
    """One of the sockets that are ready, once one is; none after ``timeout`` seconds."""
    told: asyncio.Future[list[Any]] = reactor.loop.create_future()
    alarm = _Watch(told)
    watched = []
    try:
        for sock, events in sockets.items():
            fd = sock.fileno()
            reactor.register(fd, _Watch(told, sock), events)
            watched.append(fd)
        if timeout is not None:
            reactor.set_alarm(alarm, reactor.clock() + timeout)
        return await told
    finally:
        reactor.cancel_alarm(alarm)
        for fd in watched:
            reactor.unregister(fd)


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
        # With ``reconnect``: the task that is there from connect() to the end of all, and the
        # one in which it makes its attempts.
        self._keeper: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[Any] | None = None

    def connect(self) -> Awaitable[None]:  # type: ignore[override]
        """Connect, as soon as the loop comes to it; awaiting it waits until ``opened()``.

        Raises then what ``WebSocketBaseClient.connect`` raises. Where no loop runs yet it is
        begun by awaiting it, or by ``run_forever()``.
        """
        self._over = asyncio.Event()
        if self.reconnect is not None:
            self._begin_attempts()  # now, so that close() may come before the loop comes to it
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._wanted = True
            return Later(self._open)
        return loop.create_task(self._open())

    async def _open(self) -> None:
        if self.sock is not None or (self._keeper is not None and not self._keeper.done()):
            raise RuntimeError(f"{self!r} is connected already")
        self._wanted = False
        self.loop = asyncio.get_running_loop()
        if self._over.is_set():
            self._over = asyncio.Event()
        try:
            if self.reconnect is None:
                opened = await drive(self._opening(), reactor_of(self.loop))
                self._start(opened, self._over)
            else:
                await self._open_first()
        except BaseException:
            self._over.set()
            raise

    def _start(self, opened: Any, over: asyncio.Event) -> None:
        """Serve this connection; ``over`` tells its end."""
        assert self.loop is not None
        self._established(opened)
        transport = self.transport
        assert isinstance(transport, PolledTransport)
        transport.on_end = lambda ws: over.set()
        self._hook_task = hook_task(self, reactor_of(self.loop))
        transport.start(self)
        self.handshake_ok()

    def _new_transport(self) -> Transport:
        assert self.loop is not None
        return PolledTransport(self.sock, reactor_of(self.loop))

    # -- one connection after the other ------------------------------------------------------

    async def _open_first(self) -> None:
        """Begin to keep it connected, and wait for the first connection."""
        assert self.loop is not None
        if not self._persists:
            self._begin_attempts()
        first: asyncio.Future[None] = self.loop.create_future()
        self._keeper = self.loop.create_task(self._keep(first))
        try:
            await first
        except asyncio.CancelledError:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            raise

    async def _keep(self, first: asyncio.Future[None]) -> None:
        """From the first attempt to the end of all."""
        attempts, all_over = self._attempts, self._over
        try:
            error = await self._connect_and_serve(first)
            if self._attempts is attempts:  # else closed() has called __init__
                told = self._leave(error if first.done() else None)
                if inspect.isawaitable(told):
                    await told
            if not first.done():
                first.set_exception(error or self._stopped_error())
        except BaseException:  # the loop ends, or Ctrl-C came in a hook
            self._dismissed()
            self.close_connection()
            self._leave()
            raise
        finally:
            all_over.set()

    async def _connect_and_serve(self, first: asyncio.Future[None]) -> Exception | None:
        """One connection after the other; the error for which it is given up."""
        attempts, why = self._attempts, None
        while not self._stoppable.stopped:
            over = asyncio.Event()
            try:
                opened = await self._try(why)
            except Stopped:
                break
            except Exception as exc:
                return exc
            if self._stoppable.stopped:
                opened[0].close()  # as if the attempt had taken a moment longer
                break
            self._start(opened, over)
            if not first.done():
                first.set_result(None)
            await over.wait()
            if self._hook_task is not None:
                await asyncio.wait({self._hook_task})
            if self._attempts is not attempts:
                break
            why = self.close_info
        return None

    async def _try(self, why: Why | None) -> Any:
        """Attempts until one succeeds. Raises the error for which it is given up."""
        assert self.loop is not None
        steps = self._openings(why)
        self._trying = self.loop.create_task(drive(steps, reactor_of(self.loop)))
        try:
            return await self._trying
        except asyncio.CancelledError:
            if self._stoppable.stopped:
                raise Stopped from None
            raise
        finally:
            self._trying = None

    def _stop(self) -> None:
        super()._stop()
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: nothing is tried there
                self.loop.call_soon_threadsafe(self._stop_trying)

    def _stop_trying(self) -> None:
        if self._trying is not None:
            self._trying.cancel()

    # -- waiting for the end -----------------------------------------------------------------

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
                self._dismissed()
                self.close_connection()
                await asyncio.sleep(0)  # the hooks of the end follow as a call to the loop

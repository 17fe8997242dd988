"""A proxy of our own, for what no installed one does at will: HTTP CONNECT, over TLS too."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Any

from ws4py.cli.loops import LoopThread


class ConnectProxy:
    """Runs from ``with``; ``heads`` is what it was asked, ``answer`` what it says instead.

    ``login``: ``user:password`` in base64, without which it says 407.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        login: str | None = None,
        answer: bytes | None = None,
    ) -> None:
        self.heads: list[str] = []
        self.scheme = "http" if tls is None else "https"
        self.port = 0
        self._tls = tls
        self._login = login
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def __enter__(self) -> ConnectProxy:
        self._thread = LoopThread(asyncio.new_event_loop)
        self._server = self._thread.call(self._start())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.call(self._stop())
        self._thread.stop()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # transports close a turn later

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                answer = self._answer
                if self._login and f"Proxy-Authorization: Basic {self._login}\r\n" not in head:
                    answer = (
                        b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                        b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
                    )
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                    return
                host, _, port = head.split()[1].rpartition(":")
                if host.endswith(".test"):  # what no resolver knows: remote DNS
                    host = "127.0.0.1"
                await self._tunnel(reader, writer, host.strip("[]"), int(port))
            finally:
                writer.transport.abort()

    async def _tunnel(self, reader: Any, writer: Any, host: str, port: int) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pumps = [
            asyncio.ensure_future(pump(reader, inner_writer)),
            asyncio.ensure_future(pump(inner_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps)
        finally:
            for each in pumps:
                each.cancel()
            inner_writer.transport.abort()


async def pump(reader: Any, writer: Any) -> None:
    """All that comes, until the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()

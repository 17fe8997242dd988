"""The drop-ins as the conformance tests see them: connections with the hooks and verbs of ours.

A facade calls the hooks from a loop that receives, as a program for that library would, and says
the verbs in the library's words. Its errors are unwrapped to those of ours that caused them. What
the library tells of the end is given to ``closed()``; where it tells nothing (no code, no reason),
and for facts that it does not have, the close report and the connection below are looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from waiting import TIMEOUT, wait_for

from ws4py.cli.loops import LoopThread
from ws4py.client.tls import make_ssl_context
from ws4py.dropin import aiohttp, websocket_client
from ws4py.dropin import websockets as websockets_dropin
from ws4py.dropin.websockets.asyncio.client import connect as awaited_connect
from ws4py.dropin.websockets.sync.client import connect as blocking_connect
from ws4py.exc import ConnectionClosed, WebSocketException
from ws4py.messaging import BinaryMessage, Message, TextMessage
from ws4py.protocol.connection import CloseInfo
from ws4py.protocol.uri import parse_uri

#: What no drop-in has, since the library that it stands for has not.
NONE_CAN = {
    "ways of 0.6": "terminate(), flags and calling __init__() again are of ws4py",
    "unhandled_error": "errors come with the end",
    "functions as options": "not that way",
    "texts of errors": "they are the library's own",
    "patience of its own": "it is the connection's below, which is tested by itself",
    "auth": "the library has another way",
    "exclude_headers": "there is no such option",
    "tls in other words": "TLS is said with a context",
}

_HEADLESS = {"an Origin": "it is sent where it is asked for"}
_PULLED = {
    **NONE_CAN,
    "hooks that raise": "there are no hooks",
    "ponged": "pongs are awaited where the ping was sent, or not shown",
    "heartbeat_freq": "it has another name",
    "socket_options": "there is no such option",
    "answers in step": "it reads ahead of the program",
}

AIOHTTP_CANNOT = {
    **_PULLED,
    **_HEADLESS,
    "messages after close": "receive() gives CLOSED from then on",
    "sock": "there is no such option",
    "generators": "there are only whole messages",
}
WEBSOCKETS_CANNOT = {
    **_PULLED,
    **_HEADLESS,
    "cookies": "there is no such option",
    "mixed pieces": "the pieces of a message are all text or all bytes",
    "compress": "there is no such option",
    "http in a URL": "the scheme has to be ws or wss",
    "tls after a redirect": "ssl= needs a wss:// URI",
}
WEBSOCKET_CLIENT_CANNOT = {
    **NONE_CAN,
    "hooks that raise": "it goes to on_error, and on",
    "messages after close": "nothing is called back after close()",
    "generators": "there are only whole messages",
    "compress": "there is no such option",
    "cookies": "what servers set is kept for the process",
    "local_addr": "there is no such option",
    "https proxy": "the library speaks no TLS with proxies",
}


def ours(error: BaseException) -> BaseException:
    """The error of ours, or of Python's, that a library's one was made of."""
    chain = [error]
    for each in chain:
        chain += [e for e in (each.__cause__, each.__context__) if e and e not in chain]
    theirs = ("ws4py.dropin", "aiohttp")
    below = [each for each in chain if not type(each).__module__.startswith(theirs)]
    return next(
        (each for each in below if isinstance(each, WebSocketException)), (below or chain)[0]
    )


class Facade:
    """A connection of a library; a subclass for each way of running says how."""

    #: What the library raises where the connection is over.
    closed_errors: tuple[type[BaseException], ...] = ()
    cannot: Mapping[str, str]
    #: Our end below.
    engine: Any = None

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        for name in ("headers", "auth"):
            if callable(options.get(name)):
                self.need("functions as options")
        self.need(*options)
        self.options = options
        self.config = options["config"]
        self.terminated = False

    def need(self, *abilities: str) -> None:
        """Skip the test unless the library can."""
        for ability in abilities:
            if ability in self.cannot:
                pytest.skip(f"the library has no {ability}: {self.cannot[ability]}")

    def __getattr__(self, name: str) -> Any:
        """Facts that the library does not have."""
        if name.startswith("_") or self.engine is None:
            raise AttributeError(name)
        return getattr(self.engine, name)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise those of ours in place of the library's."""
        try:
            yield
            return
        except self.closed_errors as exc:
            found: BaseException = ConnectionClosed(str(exc))
        except Exception as exc:
            found = ours(exc)
        raise found

    # Hooks

    def opened(self) -> None:
        pass

    def received_message(self, message: Message) -> None:
        pass

    def closed(self, code: int, reason: str | None = None) -> None:
        pass

    def end(self, code: int | None, reason: str | None) -> None:
        """The last hook; ``None`` for what the library does not tell."""
        info: CloseInfo = self.engine.close_info
        self.closed(info.code if code is None else code, reason or info.reason)
        self.terminated = True

    # TLS

    @property
    def secure(self) -> bool:
        return parse_uri(self.url).secure

    def tls(self, name: str = "ssl_options") -> tuple[Any, str | None]:
        """A context and the host's name, from options of ours."""
        given = self.options.get(name)
        if not isinstance(given, dict):
            return given, None
        given = dict(given)
        server_hostname = given.pop("server_hostname", None)
        return given.get("ssl_context") or make_ssl_context(given), server_hostname


def message_of(data: str | bytes) -> Message:
    """As our hooks get it."""
    return TextMessage(data) if isinstance(data, str) else BinaryMessage(data)


# -- libraries of coroutines -----------------------------------------------------------------


class OnLoop(Facade):
    """On a loop of its own; hooks run on another thread, so that they can wait for verbs."""

    async def open(self) -> None:
        raise NotImplementedError

    async def messages(self) -> Any:
        """Call ``received_message`` for all; code and reason of the end."""
        raise NotImplementedError

    async def send_message(self, data: Any, binary: bool, compress: bool | None) -> None:
        raise NotImplementedError

    def connect(self) -> None:
        self._thread = LoopThread(asyncio.new_event_loop)
        self._hooks = ThreadPoolExecutor(1, "test-hooks")
        try:
            self.call(self.open())
        except BaseException:
            self.release()
            raise
        self._running = asyncio.run_coroutine_threadsafe(self._run(), self._thread.loop)

    def call(self, coroutine: Any) -> Any:
        return self._thread.call(self._translating(coroutine))

    async def _translating(self, coroutine: Any) -> Any:
        with self.errors():
            return await coroutine

    async def hook(self, hook: Any, *args: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._hooks, hook, *args)

    async def _run(self) -> None:
        await self.hook(self.opened)
        end = await self.messages()
        await self.hook(self.end, *end)

    def send(self, data: Any, binary: bool = False, compress: bool | None = None) -> None:
        self.call(self.send_message(data, binary, compress))

    async def _begin(self, closing: Any) -> None:
        """The first step of this; the rest by itself."""
        task = asyncio.ensure_future(closing)
        await asyncio.wait([task], timeout=0)
        await asyncio.sleep(0)
        if task.done():
            await task

    async def _cut(self) -> None:
        self.engine.close_connection()

    def close_connection(self) -> None:
        self.call(self._cut())

    def join(self, timeout: float) -> None:
        self._running.result(timeout)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.close_connection()
            try:
                self.join(TIMEOUT)
            finally:
                self.release()

    def release(self) -> None:
        self._hooks.shutdown()
        self._thread.stop()


class Websockets(OnLoop):
    """``websockets``, for coroutines."""

    closed_errors = (websockets_dropin.exceptions.ConnectionClosed,)
    cannot = WEBSOCKETS_CANNOT | {"generators that wait": "the loop runs them"}

    def arguments(self) -> dict[str, Any]:
        """Of ``connect``."""
        given, options = self.options, {"config": self.config, "max_queue": None}
        names = {"protocols": "subprotocols", "headers": "additional_headers"}
        for name in ("protocols", "headers", "origin", "proxy", "sock"):
            if given.get(name) is not None:
                options[names.get(name, name)] = given[name]
        if "local_addr" in given:
            options["local_addr"] = (given["local_addr"], 0)
        if "ssl_options" in given and not self.secure:
            self.need("tls after a redirect")
        elif "ssl_options" in given:
            options["ssl"], options["server_hostname"] = self.tls()
        if urlsplit(given.get("proxy") or "").scheme == "https":
            options["proxy_ssl"], _ = self.tls("proxy_ssl_options")
        if self.url.startswith("http"):
            self.need("http in a URL")
        return options

    def attach(self, connection: Any) -> None:
        self.connection = connection
        self.engine = connection._ws

    async def open(self) -> None:
        self.attach(await awaited_connect(self.url, **self.arguments()))

    async def messages(self) -> Any:
        with contextlib.suppress(websockets_dropin.exceptions.ConnectionClosed):
            async for data in self.connection:
                await self.hook(self.received_message, message_of(data))
        await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason

    async def send_message(self, data: Any, binary: bool, compress: bool | None) -> None:
        if compress is not None:
            self.need("compress")
        text = not binary if isinstance(data, (bytes, bytearray)) else None
        await self.connection.send(data, text=text)

    def ping(self, data: Any) -> None:
        self.call(self.connection.ping(data))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        self.call(self._begin(self.connection.close(code, reason)))

    async def _cut(self) -> None:
        self.connection.transport.abort()

    @property
    def subprotocol(self) -> str | None:
        return self.connection.subprotocol


class Aiohttp(OnLoop):
    """``aiohttp``."""

    closed_errors = (aiohttp.ClientConnectionResetError,)
    cannot = AIOHTTP_CANNOT

    def arguments(self) -> dict[str, Any]:
        """Of ``ws_connect``."""
        given, uri = self.options, parse_uri(self.url)
        options: dict[str, Any] = {"config": self.config}
        for name in ("protocols", "headers", "origin", "proxy"):
            if given.get(name) is not None:
                options[name] = given[name]
        if "ssl_options" in given:
            options["ssl"], options["server_hostname"] = self.tls()
        elif "proxy_ssl_options" in given:
            options["ssl"], _ = self.tls("proxy_ssl_options")  # one for both
        if "local_addr" in given:
            options["connector"] = aiohttp.TCPConnector(local_addr=(given["local_addr"], 0))
        if uri.unix_path is not None:
            options["connector"] = aiohttp.UnixConnector(uri.unix_path)
        return options

    async def open(self) -> None:
        url = parse_uri(self.url)
        cookies = self.options.get("cookies")
        session = aiohttp.ClientSession(trust_env=True, **cookies_of(cookies))
        scheme = "wss" if url.secure else "ws"
        target = self.url if url.unix_path is None else f"{scheme}://localhost{url.resource}"
        self.session = session
        self.connection = await session.ws_connect(target, **self.arguments())
        self.engine = self.connection._ws

    async def messages(self) -> Any:
        end: Any = (None, None)
        while True:
            message = await self.connection.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                await self.hook(self.received_message, message_of(message.data))
                continue
            if message.type == aiohttp.WSMsgType.CLOSE:
                end = message.data or None, message.extra
            break
        await self.connection.close()
        return end

    async def send_message(self, data: Any, binary: bool, compress: bool | None) -> None:
        connection = self.connection
        if hasattr(data, "__next__"):
            self.need("generators")
        if binary:
            await connection.send_bytes(data, compress)
        elif isinstance(data, bytes):
            await connection.send_frame(data, aiohttp.WSMsgType.TEXT, compress)
        else:
            await connection.send_str(data, compress)

    async def _ping(self, data: Any) -> None:
        await self.connection.ping(data)

    def ping(self, data: Any) -> None:
        self.call(self._ping(data))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        async def closing() -> None:
            await self.connection.close(code=code, message=reason)

        self.call(self._begin(closing()))

    async def _cut(self) -> None:
        await self._begin(self.session.close())

    @property
    def subprotocol(self) -> str | None:
        return self.connection.protocol


def cookies_of(cookies: Any) -> dict[str, Any]:
    """Arguments of a session."""
    if cookies is None:
        return {}
    if isinstance(cookies, str):
        return {"cookies": dict(pair.split("=") for pair in cookies.split("; "))}
    return {"cookies" if isinstance(cookies, dict) else "cookie_jar": cookies}


# -- libraries of threads --------------------------------------------------------------------


class OnThread(Facade):
    """On a thread that receives, and calls the hooks."""

    _thread: threading.Thread

    def start(self, run: Any) -> None:
        self._thread = threading.Thread(target=run, name="test-receiver", daemon=True)
        self._thread.start()

    def close_connection(self) -> None:
        self.engine.close_connection()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"{self._thread.name} still runs after {timeout} s"

    def stop(self) -> None:
        self.close_connection()
        self.join(TIMEOUT)


class BlockingWebsockets(OnThread):
    """``websockets.sync``. ``close()`` waits for the end there, so it has threads of its own."""

    closed_errors = Websockets.closed_errors
    cannot = WEBSOCKETS_CANNOT | {"an opening of its own": "it is that of the one for coroutines"}
    arguments = Websockets.arguments
    attach = Websockets.attach
    subprotocol = Websockets.subprotocol

    def connect(self) -> None:
        self._closing: list[threading.Thread] = []
        with self.errors():
            self.attach(blocking_connect(self.url, **self.arguments()))
        self.start(self._run)

    def _run(self) -> None:
        self.opened()
        with contextlib.suppress(*self.closed_errors):
            for data in self.connection:
                self.received_message(message_of(data))
        self.connection.wait_closed()
        self.end(self.connection.close_code, self.connection.close_reason)

    def send(self, data: Any, binary: bool = False, compress: bool | None = None) -> None:
        if compress is not None:
            self.need("compress")
        text = not binary if isinstance(data, (bytes, bytearray)) else None
        with self.errors():
            self.connection.send(data, text=text)

    def ping(self, data: Any) -> None:
        with self.errors():
            self.connection.ping(data)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        done: Future[None] = Future()

        def close() -> None:
            try:
                done.set_result(self.connection.close(code, reason))
            except Exception as exc:
                done.set_exception(exc)

        closing = threading.Thread(target=close, name="test-closing")
        self._closing.append(closing)
        closing.start()
        wait_for(lambda: done.done() or not self.connection.open)
        if done.done():
            with self.errors():
                done.result()

    def join(self, timeout: float) -> None:
        super().join(timeout)
        for closing in self._closing:
            if closing is not threading.current_thread():
                closing.join(timeout)


class WebsocketClient(OnThread):
    """``WebSocketApp`` of ``websocket-client``."""

    closed_errors = (websocket_client.WebSocketConnectionClosedException,)
    cannot = WEBSOCKET_CLIENT_CANNOT

    def arguments(self) -> dict[str, Any]:
        """Of ``run_forever``."""
        given, config = self.options, self.config
        interval = given.get("heartbeat_freq", config.ping_interval)
        patience = config.ping_timeout
        if interval and patience:
            patience = min(patience, interval * 0.9)  # the library wants it to be less
        context, server_hostname = self.tls()
        options: dict[str, Any] = {
            "config": config,
            "timeout": config.open_timeout,
            "ping_interval": interval,
            "ping_timeout": patience if interval else None,
            "sslopt": {
                name: value
                for name, value in (("context", context), ("server_hostname", server_hostname))
                if value is not None
            },
            "origin": given.get("origin"),
            "sockopt": given.get("socket_options"),
        }
        if given.get("proxy"):
            proxy = urlsplit(given["proxy"])
            if proxy.scheme == "https":
                self.need("https proxy")
            options |= {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port}
            if proxy.username:
                options["http_proxy_auth"] = unquote(proxy.username), unquote(proxy.password or "")
        return options

    def connect(self) -> None:
        self._ready: Future[None] = Future()
        self.app = websocket_client.WebSocketApp(
            self.url,
            header=self.options.get("headers"),
            subprotocols=self.options.get("protocols"),
            socket=self.options.get("sock"),
            on_open=self._opened,
            on_data=self._received,
            on_error=self._failed,
            on_pong=lambda _, data: self.ponged(BinaryMessage(data)),
            on_close=self._closed,
        )
        self.start(functools.partial(self.app.run_forever, **self.arguments()))
        try:
            with self.errors():
                self._ready.result(TIMEOUT)
        except BaseException:
            self.app.close()
            self.join(TIMEOUT)
            raise

    def _opened(self, app: Any) -> None:
        self.connection = app.sock
        self.engine = app.sock._engine
        self._ready.set_result(None)
        self.opened()

    def _failed(self, app: Any, error: Exception) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    def _received(self, app: Any, data: Any, opcode: int, fin: bool) -> None:
        self.received_message(message_of(data))

    def _closed(self, app: Any, code: int | None, reason: str | None) -> None:
        if self.engine is not None:
            self.end(code, reason)

    def send(self, data: Any, binary: bool = False, compress: bool | None = None) -> None:
        if hasattr(data, "__next__"):
            self.need("generators")
        if compress is not None:
            self.need("compress")
        kinds = websocket_client.ABNF
        with self.errors():
            self.app.send(data, kinds.OPCODE_BINARY if binary else kinds.OPCODE_TEXT)

    def ping(self, data: Any) -> None:
        with self.errors():
            self.app.send(data, websocket_client.ABNF.OPCODE_PING)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        with self.errors():
            self.app.close(status=code, reason=reason, timeout=self.config.close_timeout)

    def close_connection(self) -> None:
        self.connection.abort()

    @property
    def subprotocol(self) -> str | None:
        return self.connection.getsubprotocol()


def dropin_client(make: Any, facade: type[Any], hooks: type, url: str, **options: Any) -> Any:
    """A connection of this library; ``make`` is ``Connected``."""
    ws = type(hooks.__name__, (hooks, facade), {})(url, **options)
    ws.connect()
    return make(ws, ws.join, ws.stop)

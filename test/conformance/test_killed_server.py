"""A server that is killed again and again, under clients of every kind at once.

20 times in the ordinary run; ``WS4PY_KILLS=200`` says how often. After each time every client has
to be back, subscribed again, with as many threads, tasks, greenlets and descriptors as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import pytest
from backends import CLIENTS
from hooks import Recorded
from running import environment
from waiting import wait_for

from ws4py.client import asyncioclient, syncclient
from ws4py.client.reconnect import Reconnect
from ws4py.exc import ConnectionClosed

KILLS = int(os.environ.get("WS4PY_KILLS", "20"))
LONGEST = 0.1
POLICY = Reconnect(first=0.01, longest=LONGEST)

#: For each line of input: kill the server, and start another at the same address.
SUPERVISOR = """
    import os, signal, sys
    from ws4py.server.managedserver import serve
    from ws4py.websocket import EchoWebSocket

    child = 0
    for line in sys.stdin:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            try:
                server = serve(EchoWebSocket, "127.0.0.1", int(sys.argv[1]))
                print("up", flush=True)
                server.serve_forever()
            finally:
                os._exit(1)
    os.kill(child, signal.SIGKILL)
"""


class Fragile:
    """The server."""

    def __init__(self, folder) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            self.port = held.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(self.port)],
            env=environment(folder / "bin"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.restart()

    def restart(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "up\n"

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=10)


class Account:
    """What one client has done."""

    def __init__(self, server: Fragile) -> None:
        self.server = server
        self.urls = self.headers = self.subscribed = 0
        self.delays: list[float] = []
        self.depths: set[int] = set()

    def url(self) -> str:
        self.urls += 1
        return self.server.url

    def some_headers(self) -> dict[str, str]:
        self.headers += 1
        return {"X-Attempt": str(self.headers)}

    def options(self) -> dict:
        return {"headers": self.some_headers}

    def note_depth(self) -> None:
        depth, frame = 0, sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        self.depths.add(depth)


class Subscriber(Recorded):
    """Subscribes whenever it is connected; the server's answer says that it is."""

    account: Account

    def opened(self):
        super().opened()
        self.account.note_depth()
        self.send("subscribe")

    def received_message(self, message):
        self.account.subscribed += 1

    def reconnecting(self, attempt, delay, why):
        self.account.delays.append(delay)


def hooks_client(backend, server, stack) -> Account:
    account = Account(server)
    hooks = type("Hooks", (Subscriber,), {"account": account})
    client = backend.connect(hooks, account.url, reconnect=POLICY, **account.options())
    stack.callback(client.stop)
    stack.callback(lambda: wait_for(lambda: not client.ws._persists))
    stack.callback(client.ws.close)
    account.loop = getattr(client.ws, "loop", None)
    return account


def blocking_client(server, stack) -> Account:
    account = Account(server)
    connections = syncclient.connect(account.url, reconnect=POLICY, **account.options())

    def use():
        for ws in connections:
            account.note_depth()
            with contextlib.suppress(ConnectionClosed):
                ws.send("subscribe")
                for _ in ws:
                    account.subscribed += 1

    thread = threading.Thread(target=use, name="test-blocking")
    thread.start()
    stack.callback(thread.join, 10)
    stack.callback(connections.close)
    return account


def awaited_client(server, stack) -> Account:
    account = Account(server)
    begun = threading.Event()

    async def use():
        account.loop, account.task = asyncio.get_running_loop(), asyncio.current_task()
        begun.set()
        async for ws in asyncioclient.connect(account.url, reconnect=POLICY, **account.options()):
            account.note_depth()
            with contextlib.suppress(ConnectionClosed):
                await ws.send("subscribe")
                async for _ in ws:
                    account.subscribed += 1

    def run():
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(use())

    thread = threading.Thread(target=run, name="test-awaited")
    thread.start()
    wait_for(begun)
    stack.callback(thread.join, 10)
    stack.callback(lambda: account.loop.call_soon_threadsafe(account.task.cancel))
    return account


def everything(accounts) -> dict[str, int]:
    """How much there is of what could pile up."""
    wait_for(lambda: not any(t.name == "ws4py-reconnect" for t in threading.enumerate()))
    gc.collect()
    loops = [loop for account in accounts if (loop := getattr(account, "loop", None))]
    return {
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "tasks": sum(len(asyncio.all_tasks(loop)) for loop in loops),
        "greenlets": living_greenlets(),
    }


def living_greenlets() -> int:
    """gevent's; the greenlet that every thread is comes into being when somebody looks."""
    gevent = sys.modules.get("gevent")
    if gevent is None:
        return 0
    return sum(isinstance(each, gevent.Greenlet) and not each.dead for each in gc.get_objects())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the supervisor of the server forks")
@pytest.mark.timeout(60 + 3 * KILLS)
def test_everybody_comes_back_each_time(tmp_path):
    with contextlib.ExitStack() as stack:
        server = Fragile(tmp_path)
        stack.callback(server.close)
        accounts = [
            hooks_client(backend, server, stack)
            for backend in CLIENTS
            if "reconnect" not in backend.cannot
        ]
        accounts += [blocking_client(server, stack), awaited_client(server, stack)]
        before = None
        for kill in range(1, KILLS + 2):
            wait_for(lambda kill=kill: all(each.subscribed >= kill for each in accounts), 30)
            if kill == 4:  # whatever is made once and kept has been made
                before = everything(accounts)
            if kill <= KILLS:
                server.restart()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: everything(accounts) == before, 5)
        assert everything(accounts) == before
        for each in accounts:
            assert each.subscribed == KILLS + 1
            assert each.urls == each.headers
            assert each.urls >= KILLS + 1
            assert len(each.depths) <= 2  # the first one is called by connect(), on some
            assert all(0 <= delay <= LONGEST for delay in each.delays)
            if each.delays:  # one wait before each attempt but the first
                assert each.urls == len(each.delays) + 1

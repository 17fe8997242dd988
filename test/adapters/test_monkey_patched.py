"""Processes that gevent has patched: every class that stands on threads works there, on greenlets.

The conformance tests of these classes run in a pytest process of its own that is patched before
anything is imported; gevent's own classes talk to each other in a script.
"""

from __future__ import annotations

import os
import sys

import pytest
from programs import need_package
from running import ROOT, Program, environment

PATCHED_PYTEST = """
from gevent import monkey
monkey.patch_all()
import sys, pytest

class Plugin:
    def pytest_runtest_logstart(self):
        assert monkey.is_module_patched("threading")

sys.exit(pytest.main(sys.argv[1:], plugins=[Plugin()]))
"""

#: A choice of behaviours that wait in every way there is: for a peer to read, to answer, to end.
#: (Not those where threads send without end: greenlets that never wait are nobody's business.)
CHOICE = (
    "are_echoed or server_echoes or order_of_what or given_up or from_another_thread or "
    "does_not_answer or resets or eight_threads or more_than_fits or makes_a_sender or "
    "thread_that_sends or early_bytes or hundred or ten_connections or shutting_down_closes or "
    "not_get_into or source_of"
)


@pytest.mark.parametrize(
    ("module", "backends"),
    [
        ("test_clients.py", "threaded or manager-select or sync"),
        ("test_servers.py", "threaded or managed-poll"),
    ],
)
@pytest.mark.slow
def test_the_classes_for_threads_pass_their_tests(tmp_path, module, backends):
    need_package("gevent")
    program = Program(
        [
            sys.executable,
            "-c",
            PATCHED_PYTEST,
            "-q",
            "-x",
            "-n0",  # in this process, which is patched; workers would not be
            "-p",
            "no:cacheprovider",
            "--timeout=20",
            os.path.join("test", "conformance", module),
            "-k",
            f"({backends}) and ({CHOICE}) and not epoll and not asyncio",
        ],
        ROOT,
        environment(tmp_path / "bin"),
    )
    assert program.wait(100) == 0, program.output
    assert " passed" in program.output


GEVENT_ITSELF = """
import sys
if sys.argv[1:] == ["patched"]:
    from gevent import monkey
    monkey.patch_all()
import gevent, gevent.queue, threading
from ws4py.client.geventclient import WebSocketClient
from ws4py.server.geventserver import WebSocketWSGIApplication, WSGIServer
from ws4py.protocol.config import Config
from ws4py.websocket import EchoWebSocket

class Slow(EchoWebSocket):
    def received_message(self, message):
        gevent.sleep(0.01)  # a hook may wait
        super().received_message(message)

application = WebSocketWSGIApplication(handler_cls=Slow, config=Config(close_timeout=2))
server = WSGIServer(("127.0.0.1", 0), application, log=None)
server.start()

turns = 0
def others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.001)
gevent.spawn(others)

def talk(n):
    url = f"ws://localhost:{server.server_port}/"
    client = WebSocketClient(url, config=Config(high_water=2000))
    client.connect()
    try:
        client.receive(block=False)
        raise AssertionError("nothing was sent")
    except gevent.queue.Empty:
        pass
    for i in range(20):
        client.send(f"{n} {i} " + "x" * 500)
    got = [str(client.receive()).split(" ")[:2] for i in range(20)]
    assert got == [[str(n), str(i)] for i in range(20)], got
    if n % 2:
        client.close()
        client.run_forever()
    assert client.receive() is None
    assert client.receive(block=False) is None
    return client.close_info.code

talkers = [gevent.spawn(talk, n) for n in range(20)]
gevent.joinall([talker for n, talker in enumerate(talkers) if n % 2], timeout=10, raise_error=True)
assert len(server.pool) == 10, len(server.pool)
server.stop()
gevent.joinall(talkers, timeout=10, raise_error=True)
assert [talker.value for talker in talkers] == [1001, 1000] * 10, [t.value for t in talkers]
assert turns > 50, turns
assert not server.websockets.websockets
print("passed")
"""


@pytest.mark.parametrize("how", ["patched", "as it is"])
def test_client_and_server_in_one_process(tmp_path, how):
    need_package("gevent")
    program = Program(
        [sys.executable, "-c", GEVENT_ITSELF, how], ROOT, environment(tmp_path / "bin")
    )
    assert program.wait(40) == 0, program.output
    assert program.output.strip().endswith("passed")

"""Who serves websockets under a server of somebody else's, and what is left of it in a fork."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from conversation import ask, read_close_code
from hooks import echo
from rawpeer import RawClient

from ws4py.manager import WebSocketManager
from ws4py.protocol.config import Config
from ws4py.server.caretaker import Caretaker
from ws4py.server.wsgiutils import WebSocketWSGIApplication

QUICK = Config(close_timeout=2.0)


@pytest.fixture
def manager() -> Iterator[WebSocketManager]:
    manager = WebSocketManager()
    manager.start()
    yield manager
    manager.stop()
    manager.join(5)


def pair(handler):
    ours, theirs = socket.socketpair()
    ws = handler(ours)
    ws.setup(QUICK)
    return ws, RawClient(theirs)


def test_what_is_handed_over_lives_on_the_thread_of_the_manager(manager):
    handler = echo()
    ws, peer = pair(handler)
    with peer:
        Caretaker(manager).hand_over(ws)
        assert ask(peer) == "ping?"
        assert ws.log.threads() == {manager._thread.ident}


def test_a_close_that_raises_keeps_nobody_from_being_told(manager, caplog):
    def fail(ws, code=1000, reason=""):
        raise KeyError("a bug")

    caretaker = Caretaker(manager)
    for driven in ("handed over", "staying"):
        broken, silent = pair(echo(close=fail))
        other, peer = pair(echo())
        with silent, peer:
            for ws in (broken, other):
                if driven == "handed over":
                    caretaker.hand_over(ws)
                else:
                    threading.Thread(target=caretaker.stay, args=(ws,)).start()
            assert ask(peer) == ask(silent) == "ping?"
            stopping = threading.Thread(target=caretaker.shut_down)
            stopping.start()
            assert read_close_code(peer) == 1001
            peer.close_frame(1001)
            broken.close_connection()
            stopping.join(5)
            assert not stopping.is_alive()
            other.log.wait("closed")
            broken.log.wait("closed")
        caretaker._stopped = False
    assert caplog.text.count("error in close()") == 2


def test_shutting_down_tells_those_that_stay_and_those_that_were_handed_over(manager):
    handler = echo()
    caretaker = Caretaker(manager)
    one, peer = pair(handler)
    other, staying = pair(handler)
    with peer, staying:
        caretaker.hand_over(one)
        driver = threading.Thread(target=caretaker.stay, args=(other,))
        driver.start()
        assert ask(peer) == ask(staying) == "ping?"
        stopping = threading.Thread(target=caretaker.shut_down)
        stopping.start()
        for each in (peer, staying):
            assert read_close_code(each) == 1001
            each.close_frame(1001)
        stopping.join(5)
        driver.join(5)
        assert not driver.is_alive()
        assert one.log.wait("closed") == other.log.wait("closed") == (1001, "")


def test_who_comes_when_it_is_over_is_told(manager):
    handler = echo()
    caretaker = Caretaker(manager)
    caretaker.shut_down()
    late, peer = pair(handler)
    with peer:
        threading.Thread(target=caretaker.stay, args=(late,)).start()
        assert read_close_code(peer) == 1001
        peer.close_frame(1001)
        late.log.wait("closed")


def test_a_manager_that_was_shut_down_sends_away_who_is_late(manager):
    handler = echo()
    manager.shut_down(1001, "gone")
    assert not manager.is_alive()
    late, peer = pair(handler)
    with peer:
        manager.entrust(late)
        assert read_close_code(peer) == 1001
        peer.expect_eof()
    assert late.log.names == []
    manager.start()
    again, peer = pair(handler)
    with peer:
        manager.entrust(again)
        assert ask(peer) == "ping?"


@pytest.mark.parametrize("mode", ["", "detach", None])
def test_there_are_three_modes(mode):
    with pytest.raises(ValueError, match="handover"):
        WebSocketWSGIApplication(mode=mode)


FORKING = """
import os, socket, sys, warnings
warnings.simplefilter("ignore")
from ws4py.server.caretaker import process_caretaker
from ws4py.protocol.config import Config
from ws4py.websocket import EchoWebSocket
EchoWebSocket.config = Config(close_timeout=0.3)

def check():
    ours, theirs = socket.socketpair()
    process_caretaker().hand_over(EchoWebSocket(ours))
    theirs.sendall(b"\\x81\\x82\\0\\0\\0\\0hi")
    theirs.settimeout(5)
    assert theirs.recv(100) == b"\\x81\\x02hi"
    return theirs

kept = check()
child = os.fork()
if not child:
    mine = check()
    sys.exit(3)                      # as a worker ends
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 3, status
check()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_fork_has_a_manager_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=40, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")

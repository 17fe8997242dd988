"""The helpers themselves: a helper that cannot fail proves nothing."""

from __future__ import annotations

import os
import socket
import ssl
import threading

import pytest
from fakeclock import FakeClock
from leaks import Snapshot, leaked
from rawpeer import BINARY, TEXT, Eof, RawClient, RawServer, make_frame
from waiting import wait_for


def pair(server: RawServer, client_context: ssl.SSLContext | None = None):
    """A raw client and a raw server after their handshake."""
    made = []
    thread = threading.Thread(target=lambda: made.append(server.accept()))
    thread.start()
    client = RawClient.connect(server.port, tls=client_context)
    thread.join()
    client.send(client.request("/a?b"))
    assert made[0].handshake().target == "/a?b"
    assert client.read_head().status == 101
    return client, made[0]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_raw_peers_understand_each_other(raw_server, size):
    client, server = pair(raw_server)
    payload = os.urandom(size)
    with client:
        client.binary(payload)
        frame = server.read_frame()
        assert (frame.opcode, frame.payload, frame.masked) == (BINARY, payload, True)
        server.binary(payload)
        frame = client.read_frame()
        assert (frame.opcode, frame.payload, frame.masked) == (BINARY, payload, False)
        server.close_frame(1001, "away")
        assert client.read_close().close_code == 1001
        server.close()
        client.expect_eof()


def test_raw_peers_speak_tls(raw_tls_server, client_tls):
    client, server = pair(raw_tls_server, client_tls)
    with client:
        client.text("hé")
        assert server.read_frame().payload.decode() == "hé"


def test_raw_frames_are_those_of_the_rfc():
    # RFC 6455 section 5.7
    assert make_frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    key = bytes.fromhex("37fa213d")
    assert make_frame(TEXT, b"Hello", key=key) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert make_frame(TEXT, b"Hel", fin=False) == bytes.fromhex("010348656c")
    assert make_frame(BINARY, b"", length=256) == bytes.fromhex("827e0100")
    assert make_frame(TEXT, b"", key=b"\0\0\0\0") == bytes.fromhex("818000000000")


def test_raw_reads_have_a_deadline(raw_server):
    client, server = pair(raw_server)
    with client:
        server.send(b"\x81")
        with pytest.raises(TimeoutError, match="x81"):
            client.read_frame(timeout=0.01)
        assert not client.silent_for(0.01)
        server.close()
        with pytest.raises(Eof):
            client.read_frame()


def test_leaks_are_seen():
    before = Snapshot.take()
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="forgotten")
    thread.start()
    one, other = socket.socketpair()
    left = leaked(before, grace=0.01)
    go_on.set()
    thread.join()
    one.close()
    other.close()
    assert left[0] == "thread forgotten"
    if os.path.isdir("/proc/self/fd"):
        assert len(left) == 3
    assert leaked(before) == []


def test_waiting_ends():
    event = threading.Event()
    with pytest.raises(AssertionError):
        wait_for(event, timeout=0.01)
    with pytest.raises(AssertionError):
        wait_for(lambda: 0, timeout=0.01)
    event.set()
    assert wait_for(event)
    assert wait_for(lambda: "yes") == "yes"


def test_the_fake_clock_moves_only_when_told():
    clock = FakeClock(5.0)
    assert clock() == clock() == 5.0
    assert clock.advance(1.5) == clock() == 6.5
    assert clock.advance_to(8.0) == 8.0
    with pytest.raises(AssertionError):
        clock.advance_to(None)

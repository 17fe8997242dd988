"""Broadcasts: what each kind of websocket makes of one message to all."""

from __future__ import annotations

import logging
import socket

import pytest
from rawpeer import BINARY, TEXT, make_frame

from ws4py.broadcasting import broadcast
from ws4py.messaging import BinaryMessage
from ws4py.protocol.config import Config
from ws4py.websocket import WebSocket


@pytest.fixture
def connected():
    """Connects a websocket of that class; gives it and its peer's socket."""
    sockets = []

    def connect(kind=WebSocket):
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        sockets.extend((ours, theirs))
        return kind(ours), theirs

    yield connect
    for sock in sockets:
        sock.close()


def test_everybody_gets_it(connected):
    pairs = [connected() for _ in range(3)]
    broadcast([ws for ws, _ in pairs], "to all")
    for _, peer in pairs:
        assert peer.recv(99) == make_frame(TEXT, b"to all")


@pytest.mark.parametrize(
    ("message", "binary", "frame"),
    [
        (b"bytes", None, make_frame(TEXT, b"bytes")),  # as send() takes them
        (b"\xff", True, make_frame(BINARY, b"\xff")),
        (BinaryMessage(b"\xfe"), None, make_frame(BINARY, b"\xfe")),
        (bytearray(b"x"), False, make_frame(TEXT, b"x")),
    ],
)
def test_payloads(connected, message, binary, frame):
    ws, peer = connected()
    broadcast([ws], message, binary)
    assert peer.recv(99) == frame


def test_a_send_of_the_users_own_is_called(connected):
    class Shouting(WebSocket):
        def send(self, payload, binary=False, compress=None):
            super().send(payload.upper(), binary, compress)

    class Heir(Shouting):
        pass

    ws, peer = connected(Heir)
    broadcast([ws], "quiet")
    assert peer.recv(99) == make_frame(TEXT, b"QUIET")


def test_one_that_fails_stops_nobody(connected, caplog):
    caplog.set_level(logging.DEBUG, "ws4py")
    closing, _ = connected()
    closing.close()
    ws, peer = connected()
    broadcast([closing, ws], "still")
    assert peer.recv(99) == make_frame(TEXT, b"still")
    assert "no broadcast to" in caplog.text


@pytest.mark.parametrize("overflow", [None, "block", "close", "drop"])
def test_one_that_does_not_read_is_not_waited_for(connected, overflow):
    class Small(WebSocket):
        config = Config(high_water=1000, overflow=overflow)

    slow, _ = connected(Small)
    ws, peer = connected()
    sizes = set()
    for number in range(200):
        broadcast([slow, ws], bytes(65536), binary=True)
        left = 65536 + 10
        while left:
            left -= len(peer.recv(left))
        if number > 100:
            sizes.add(slow.buffered_amount)
    assert len(sizes) == 1  # nothing more is piled up for it
    assert (slow.stream.began_by == "us") == (overflow != "drop")

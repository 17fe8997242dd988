"""What is peculiar to gevent: a client whose queue is full, and pages while the server ends."""

from __future__ import annotations

import threading

import pytest
from conversation import Background
from hooks import recorded
from rawpeer import RawClient, RawServer
from waiting import TIMEOUT, wait_for

pytest.importorskip("gevent")

import gevent

from ws4py.cli.gevent import Client, HubThread
from ws4py.protocol.config import Config
from ws4py.server.geventserver import WSGIServer


@pytest.mark.parametrize("end", ["close_connection", "close"])
def test_a_client_that_nobody_receives_from_can_be_ended(raw_server: RawServer, end: str) -> None:
    ws = recorded(Client)(raw_server.url, config=Config(high_water=1000, close_timeout=5.0))
    connecting = Background(ws.connect)
    peer = raw_server.accept()
    peer.handshake()
    connecting.result()
    for _ in range(5):
        peer.text("x" * 600)
    wait_for(lambda: len(ws.log.args("received_message")) >= 2)  # and it waits in the second
    getattr(ws, end)()
    if end == "close":
        peer.read_close()
        peer.close_frame(1000)
        peer.close()
    assert ws.log.wait("closed")[0] == (1006 if end == "close_connection" else 1000)
    ws.run_forever()


def test_a_page_that_is_being_made_is_finished_while_the_server_ends() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def application(environ, start_response):
        asked.set()
        while not go_on.is_set():
            gevent.sleep(0.01)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"all of it"]

    hub = HubThread()

    def start():
        server = WSGIServer(("127.0.0.1", 0), application, log=None)
        server.start()
        return server

    server = hub.call(start)
    try:
        with (
            RawClient.connect(server.server_port) as idle,
            RawClient.connect(server.server_port) as peer,
        ):
            peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert asked.wait(TIMEOUT)
            stopping = Background(hub.call, server.stop)
            idle.expect_eof()
            go_on.set()
            assert peer.read_head().status == 200
            assert peer.read_to_eof() == b"all of it"
            stopping.result()
    finally:
        hub.stop()

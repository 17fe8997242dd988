"""What is peculiar to gevent: a client whose queue is full, and pages while the server ends."""

from __future__ import annotations

import json
import threading
import time

import pytest
from conversation import Background
from hooks import recorded
from rawpeer import RawClient, RawServer
from waiting import TIMEOUT, wait_for

pytest.importorskip("gevent")

import gevent

from ws4py.cli.gevent import Client, HubThread
from ws4py.protocol.config import Config
from ws4py.server.geventserver import WebSocketWSGIApplication, WSGIServer
from ws4py.websocket import EchoWebSocket


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


def show_headers(environ, start_response):
    """The headers as a page; websockets at /ws."""
    if environ["PATH_INFO"] == "/ws":
        return WebSocketWSGIApplication(handler_cls=EchoWebSocket)(environ, start_response)
    shown = {key: value for key, value in environ.items() if key[:5] in ("HTTP_", "CONTE")}
    page = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Length", str(len(page)))])
    return [page]


@pytest.fixture
def port():
    hub = HubThread()

    def start():
        server = WSGIServer(("127.0.0.1", 0), show_headers, log=None)
        server.start()
        return server

    server = hub.call(start)
    try:
        yield server.server_port
    finally:
        hub.call(server.stop)
        hub.stop()


ODD = [
    "Cookie: a=1\r\nCookie: b=2\r\nX-Two: 1\r\nX-Two: 2\r\n",
    "X_Spoofed: 1\r\nX-Latin: \xe9\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n",
    "X-Empty:\r\nX-Spaces:  \t a b \t \r\n",
    "X-Folded: a\r\n b\r\n",
    "X-Bare: a\nX-Feed: b\r\n",
    "X-Before : a\r\n",
    "X-Many: a\r\n" * 96,
    "X-Many: a\r\n" * 97,
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
]


@pytest.mark.parametrize("odd", ODD)
def test_the_head_of_an_upgrade_means_what_pywsgi_takes_it_for(port: int, odd: str) -> None:
    head = f"Host: h\r\n{odd}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode("latin-1")
    body = b"0\r\n\r\n" if odd.startswith("Transfer") else b""
    answers = []
    for pause in (False, True):
        with RawClient.connect(port) as peer:
            peer.send(b"GET /page HTTP/1.1\r\n" + head[: -1 if pause else None])
            if pause:  # pywsgi's parser reads what does not come as a whole
                time.sleep(0.1)
                peer.send(head[-1:])
            peer.send(body)
            answer = peer.read_head()
            length = int(answer.headers["content-length"])
            answers.append((answer.status, peer.read(length)))
    assert answers[0] == answers[1]


def test_a_request_to_upgrade_behind_a_page_may_come_in_pieces_and_with_frames(port: int) -> None:
    with RawClient.connect(port) as peer:
        whole = peer.request("/page")
        peer.send(whole)
        peer.read(int(peer.read_head().headers["content-length"]))
        whole = peer.request("/ws")
        peer.send(whole[:-1])
        time.sleep(0.1)
        frame = b"\x81\x82\0\0\0\0hi"
        peer.send(whole[-1:] + frame)
        assert peer.read_head().status == 101
        assert peer.read_frame().payload == b"hi"

"""What is peculiar to gevent: a client whose queue is full, and pages while the server ends."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest
from conversation import Background
from hooks import recorded
from rawpeer import TEXT, RawClient, RawServer, make_frame
from waiting import TIMEOUT, wait_for

pytest.importorskip("gevent")

import gevent
from gevent import pywsgi

from ws4py.cli.gevent import Client, HubThread
from ws4py.protocol.config import Config
from ws4py.server.geventserver import (
    WebSocketWSGIApplication,
    WebSocketWSGIHandler,
    WSGIServer,
)
from ws4py.websocket import EchoWebSocket


@contextlib.contextmanager
def serving(application, kind=WSGIServer, **options):
    """A server, with the thread of its hub."""
    hub = HubThread()

    def start():
        server = kind(("127.0.0.1", 0), application, log=None, **options)
        server.start()
        return server

    try:
        server = hub.call(start)
        yield server, hub
        hub.call(server.stop)
    finally:
        hub.stop()


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

    with (
        serving(application) as (server, hub),
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


def show_headers(environ, start_response):
    """The headers as a page; websockets at /ws."""
    if environ["PATH_INFO"] == "/ws":
        return WebSocketWSGIApplication(handler_cls=EchoWebSocket)(environ, start_response)
    shown = {key: value for key, value in environ.items() if key[:5] in ("HTTP_", "CONTE")}
    page = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Length", str(len(page)))])
    return [page]


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
def test_the_head_of_an_upgrade_means_what_pywsgi_takes_it_for(odd: str) -> None:
    head = f"Host: h\r\n{odd}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode("latin-1")
    body = b"0\r\n\r\n" if odd.startswith("Transfer") else b""
    answers = []
    for kind in (WSGIServer, pywsgi.WSGIServer):
        with (
            serving(show_headers, kind) as (server, _),
            RawClient.connect(server.server_port) as peer,
        ):
            peer.send(b"GET /page HTTP/1.1\r\n" + head + body)
            answer = peer.read_head()
            length = int(answer.headers["content-length"])
            answers.append((answer.status, peer.read(length)))
    assert answers[0] == answers[1]


def test_a_request_to_upgrade_behind_a_page_may_come_in_pieces_and_with_frames() -> None:
    begun = threading.Semaphore(0)

    class Watched(WebSocketWSGIHandler):
        def MessageClass(self, *args):
            begun.release()  # so much as has come is in the handler's buffer now
            return super().MessageClass(*args)

    with (
        serving(show_headers, handler_class=Watched) as (server, _),
        RawClient.connect(server.server_port) as peer,
    ):
        peer.send(peer.request("/page"))
        assert begun.acquire(timeout=TIMEOUT)
        peer.read(int(peer.read_head().headers["content-length"]))
        whole = peer.request("/ws")
        peer.send(whole[:-1])
        assert begun.acquire(timeout=TIMEOUT)
        peer.send(whole[-1:] + make_frame(TEXT, b"hi", key=bytes(4)))
        assert peer.read_head().status == 101
        assert peer.read_frame().payload == b"hi"

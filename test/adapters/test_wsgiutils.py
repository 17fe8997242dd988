"""The WSGI application by itself: what it answers, and what it leaves in the environ."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ws4py.protocol.config import Config
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import EchoWebSocket, WebSocket


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """A connected socket, as a server would give it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def make_environ(sock: socket.socket | None = None, **changes: Any) -> dict[str, Any]:
    """The environ of an opening handshake; ``None`` leaves a key out."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/chat",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
        "HTTP_CONNECTION": "keep-alive, Upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "ws4py.socket": sock,
        **changes,
    }
    return {key: value for key, value in environ.items() if value is not None}


class Answer:
    """What an application said."""

    def __init__(self, app: Any, environ: dict[str, Any]) -> None:
        self.body = b"".join(app(environ, self._start_response))
        self.ws: Any = environ.get("ws4py.websocket")

    def _start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}


def test_a_handshake_leaves_a_websocket(sock: socket.socket) -> None:
    environ = make_environ(sock)
    answer = Answer(WebSocketWSGIApplication(handler_cls=EchoWebSocket), environ)
    assert answer.status == "101 Switching Protocols"
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answer.headers["upgrade"] == "websocket"
    assert answer.body == b""
    assert type(answer.ws) is EchoWebSocket
    assert answer.ws.sock is sock
    assert answer.ws.environ["PATH_INFO"] == "/chat"
    assert answer.ws.environ is not environ


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"HTTP_UPGRADE": None}, "426 Upgrade Required"),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "7"}, "426 Upgrade Required"),
        ({"HTTP_SEC_WEBSOCKET_VERSION": None}, "426 Upgrade Required"),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, "426 Upgrade Required"),
        ({"HTTP_SEC_WEBSOCKET_KEY": None}, "400 Bad Request"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "not base64!"}, "400 Bad Request"),
        ({"HTTP_CONNECTION": None}, "400 Bad Request"),
        ({"HTTP_HOST": None}, "400 Bad Request"),
        ({"HTTP_SEC_WEBSOCKET_EXTENSIONS": ";;"}, "400 Bad Request"),
        ({"HTTP_ORIGIN": "http://evil.example"}, "403 Forbidden"),
        ({"REQUEST_METHOD": "POST"}, "405 Method Not Allowed"),
    ],
)
def test_what_is_no_handshake_is_answered(
    sock: socket.socket, changes: dict[str, Any], status: str
) -> None:
    answer = Answer(WebSocketWSGIApplication(), make_environ(sock, **changes))
    assert answer.status == status
    assert answer.ws is None
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.body


def test_without_a_socket_it_says_what_to_do() -> None:
    answer = Answer(WebSocketWSGIApplication(), make_environ(None))
    assert answer.status == "501 Not Implemented"
    assert b"gunicorn" in answer.body


def test_the_first_common_protocol_is_spoken(sock: socket.socket) -> None:
    app = WebSocketWSGIApplication(protocols=["v1", "v2"])
    answer = Answer(app, make_environ(sock, HTTP_SEC_WEBSOCKET_PROTOCOL="other, v2, v1"))
    assert answer.headers["sec-websocket-protocol"] == "v2"
    assert answer.ws.protocols == ["v2"]
    assert answer.ws.subprotocol == "v2"


def test_no_common_protocol_is_no_reason_to_refuse(sock: socket.socket) -> None:
    app = WebSocketWSGIApplication(protocols=["v1"])
    answer = Answer(app, make_environ(sock, HTTP_SEC_WEBSOCKET_PROTOCOL="other"))
    assert "sec-websocket-protocol" not in answer.headers
    assert answer.ws.protocols == []


def test_select_subprotocol(sock: socket.socket) -> None:
    app = WebSocketWSGIApplication(select_subprotocol=lambda request, offered: offered[-1])
    answer = Answer(app, make_environ(sock, HTTP_SEC_WEBSOCKET_PROTOCOL="a, b"))
    assert answer.ws.subprotocol == "b"


def test_origins(sock: socket.socket) -> None:
    app = WebSocketWSGIApplication(origins=["http://friend.example"])
    assert Answer(app, make_environ(sock, HTTP_ORIGIN="http://friend.example")).ws is not None
    assert Answer(app, make_environ(sock, HTTP_ORIGIN="http://localhost")).ws is None


def test_compression_is_negotiated(sock: socket.socket) -> None:
    environ = make_environ(sock, HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate")
    answer = Answer(WebSocketWSGIApplication(), environ)
    assert answer.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    assert answer.ws.extensions == [answer.headers["sec-websocket-extensions"]]
    assert answer.ws.stream.deflate is not None


def test_the_config_reaches_the_websocket(sock: socket.socket) -> None:
    config = Config(compression=None, max_message_size=10)
    environ = make_environ(sock, HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate")
    answer = Answer(WebSocketWSGIApplication(config=config), environ)
    assert "sec-websocket-extensions" not in answer.headers
    assert answer.ws.stream.config is config


def test_a_handler_with_a_config_of_its_own(sock: socket.socket) -> None:
    class Small(WebSocket):
        config = Config(max_message_size=10)

    answer = Answer(WebSocketWSGIApplication(handler_cls=Small), make_environ(sock))
    assert answer.ws.stream.config is Small.config


def test_make_websocket_can_be_overridden(sock: socket.socket) -> None:
    class Application(WebSocketWSGIApplication):
        def make_websocket(
            self, sock: Any, protocols: Any, extensions: Any, environ: dict[str, Any]
        ) -> WebSocket:
            environ["seen"] = (protocols, extensions)
            return EchoWebSocket(sock, protocols, extensions, environ, heartbeat_freq=7.0)

    environ = make_environ(sock)
    answer = Answer(Application(), environ)
    assert environ["seen"] == ([], [])
    assert answer.ws.stream.config.ping_interval == 7.0


def test_the_handler_is_given_four_arguments_by_position(sock: socket.socket) -> None:
    given: list[Any] = []

    def make(*args: Any) -> WebSocket:
        given.extend(args)
        return WebSocket(*args)

    Answer(WebSocketWSGIApplication(handler_cls=make), make_environ(sock))
    assert given[:3] == [sock, [], []]
    assert given[3]["PATH_INFO"] == "/chat"

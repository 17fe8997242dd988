"""The document of websocket-client, row by row (C), and what programs of today do besides."""

from __future__ import annotations

import io
import json
import logging
import re
import select
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from dropins import obedient_server
from proxyserver import ConnectProxy
from rawpeer import RawServer
from running import ROOT, Program, environment

import ws4py.dropin.websocket_client as websocket
from ws4py.exc import ConnectionClosed

TIMEOUT = 10


@pytest.fixture
def url():
    with obedient_server() as url:
        yield url


@pytest.fixture
def ws(url):
    connection = websocket.create_connection(url, timeout=TIMEOUT)
    yield connection
    connection.close()


def run(app, **options):
    """``run_forever()`` on a thread that has to end; what it gave."""
    results = []
    thread = threading.Thread(target=lambda: results.append(app.run_forever(**options)))
    thread.start()
    thread.join(3 * TIMEOUT)
    assert not thread.is_alive(), "run_forever() did not end"
    return results[0]


class Log:
    """An app whose callbacks write down what they get."""

    def __init__(self, url, on_open=None, on_message=None, **options):
        self.events = []
        self.app = websocket.WebSocketApp(
            url,
            on_open=on_open or (lambda ws: self.events.append(("open",))),
            on_message=on_message or (lambda ws, data: self.events.append(("message", data))),
            on_error=lambda ws, error: self.events.append(("error", error)),
            on_close=lambda ws, code, reason: self.events.append(("close", code, reason)),
            **options,
        )

    def of(self, kind):
        return [event[1:] for event in self.events if event[0] == kind]


def raw(talk, tls=None):
    """A raw server, whose end of the first connection ``talk`` has on a thread of its own."""
    server = RawServer(tls=tls)
    failed = []

    def serve():
        try:
            with server.accept() as peer:
                talk(peer)
        except Exception as exc:
            failed.append(exc)

    thread = threading.Thread(target=serve)
    thread.start()

    def end():
        thread.join(TIMEOUT)
        server.close()
        assert not thread.is_alive()
        assert failed == []

    return server.url, end


# -- the document itself -------------------------------------------------------------------

HOST = "ws://echo.websocket.org/"


def document():
    path = ROOT.parent / "shared" / "seeds" / "002_a4cb5d167f34b663.txt"
    if not path.is_file():
        pytest.skip(f"needs the document, which is not at {path}")
    return path.read_text("utf-8")


PROXY = """\
import websocket
ws = websocket.WebSocket()
ws.connect("ws://example.com/websocket", http_proxy_host="proxy_host_name", http_proxy_port=3128)
:
"""

LONG_LIVED = """\
import websocket
try:
    import thread
except ImportError:
    import _thread as thread
import time

def on_message(ws, message):
    print(message)

def on_error(ws, error):
    print(error)

def on_close(ws):
    print("### closed ###")

def on_open(ws):
    def run(*args):
        for i in range(3):
            time.sleep(1)
            ws.send("Hello %d" % i)
        time.sleep(1)
        ws.close()
        print("thread terminating...")
    thread.start_new_thread(run, ())


if __name__ == "__main__":
    websocket.enableTrace(True)
    ws = websocket.WebSocketApp("ws://echo.websocket.org/",
                              on_message = on_message,
                              on_error = on_error,
                              on_close = on_close)
    ws.on_open = on_open
    ws.run_forever()
"""

ONE_OFF = """\
from websocket import create_connection
ws = create_connection("ws://echo.websocket.org/")
print("Sending 'Hello, World'...")
ws.send("Hell
"""

IMPORTS = {
    "import websocket\n": "import ws4py.dropin.websocket_client as websocket\n",
    "from websocket import": "from ws4py.dropin.websocket_client import",
}


def today(code, url):
    for old, new in IMPORTS.items():
        code = code.replace(old, new)
    return code.replace(HOST, url)


def execute(code, folder):
    path = folder / "script.py"
    path.write_text(code, "utf-8")
    return Program([sys.executable, str(path)], folder, environment(folder / "bin"))


def test_they_are_the_documents_blocks():
    blocks = re.findall(r"``` sourceCode python\n(.*?)(?:```|\Z)", document(), flags=re.DOTALL)
    assert [block.strip() for block in blocks] == [
        code.strip() for code in (PROXY, LONG_LIVED, ONE_OFF)
    ]


def test_C09_C10_C12_C13_C14_C15_C16_C19_C20_C22_C23_the_long_lived_example(url, tmp_path):
    program = execute(today(LONG_LIVED, url), tmp_path)
    try:
        assert program.wait() == 0, program.output
    finally:
        program.kill()
    lines = program.output.splitlines()
    assert [line for line in lines if line.startswith("Hello")] == [f"Hello {i}" for i in range(3)]
    assert "### closed ###" in lines
    assert lines.count("### closed ###") == 1
    assert "--- request header ---" in lines
    assert "++Sent decoded: fin=1 opcode=1 data=b'Hello 0'" in lines
    assert "Traceback" not in program.output


def test_C21_C24_the_short_lived_example(url, tmp_path):
    code = ONE_OFF.rstrip() + 'o, World")\nprint("Received \'%s\'" % ws.recv())\nws.close()\n'
    program = execute(today(code, url), tmp_path)
    try:
        assert program.wait() == 0, program.output
    finally:
        program.kill()
    assert program.output.splitlines() == ["Sending 'Hello, World'...", "Received 'Hello, World'"]


def test_C06_C08_the_proxy_example(url, tmp_path):
    port = url.rstrip("/").rpartition(":")[2]
    with ConnectProxy() as proxy:
        code = today(PROXY, url).replace(
            "\n:\n", "\nws.send('through')\nprint(ws.recv())\nws.close()\n"
        )
        code = code.replace("ws://example.com/websocket", f"ws://example.test:{port}/websocket")
        code = code.replace("proxy_host_name", "localhost").replace("3128", str(proxy.port))
        program = execute(code, tmp_path)
        try:
            assert program.wait() == 0, program.output
        finally:
            program.kill()
        assert program.output == "through\n"
        assert proxy.heads[0].startswith(f"CONNECT example.test:{port} ")


# -- rows --------------------------------------------------------------------------------------


def test_C01_every_call_waits_for_its_result(ws):
    assert ws.send("text") == 2 + 4 + 4
    assert ws.recv() == "text"
    assert ws.send_binary(b"\x00" * 200) == 4 + 4 + 200
    assert ws.recv() == b"\x00" * 200
    assert ws.send_text("ü") == 2 + 4 + 2
    assert ws.next() == "ü"
    assert ws.send_bytes(bytearray(b"b")) == 2 + 4 + 1
    assert next(iter(ws)) == b"b"


def test_C02_it_speaks_version_13(ws):
    ws.send("environ")
    assert json.loads(ws.recv())["HTTP_SEC_WEBSOCKET_VERSION"] == "13"


def test_C04_C05_it_needs_no_other_package(url):
    code = f"""
        import sys
        import ws4py.dropin.websocket_client as websocket
        ws = websocket.create_connection({url!r}, timeout=10)
        ws.send("x" * 1_000_000)
        assert ws.recv() == "x" * 1_000_000
        ws.close()
        foreign = {{"six", "backports", "wsaccel", "numpy", "websocket"}} & set(sys.modules)
        assert not foreign, foreign
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_C06_a_proxy_with_a_login_and_hosts_that_need_none(url):
    with ConnectProxy(login="dXNlcjpwQHNz") as proxy:
        how = {"http_proxy_host": "localhost", "http_proxy_port": proxy.port}
        ws = websocket.WebSocket()
        ws.connect(url, http_proxy_auth=("user", "p@ss"), **how)
        ws.close()
        assert len(proxy.heads) == 1
        ws.connect(url, http_no_proxy=["localhost"], **how)
        ws.close()
        assert len(proxy.heads) == 1


def test_C07_a_proxy_that_refuses_is_named(url):
    answer = b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"
    refused = pytest.raises(websocket.WebSocketProxyException, match="405")
    with ConnectProxy(answer=answer) as proxy, refused:
        websocket.create_connection(
            url, http_proxy_host="localhost", http_proxy_port=proxy.port, timeout=TIMEOUT
        )


def test_C08_made_first_and_connected_later_and_again(url):
    ws = websocket.WebSocket()
    assert (ws.connected, ws.sock, ws.status, ws.headers, ws.subprotocol) == (False,) + (None,) * 4
    with pytest.raises(websocket.WebSocketException):
        ws.fileno()
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        ws.recv()
    ws.close()
    for _ in range(2):
        ws.connect(url, timeout=TIMEOUT)
        assert ws.connected
        assert ws.getstatus() == 101
        assert ws.getheaders()["upgrade"] == "websocket"
        assert ws.fileno() == ws.sock.fileno()
        assert not ws.is_ssl()
        ws.close()
        assert not ws.connected


def test_C09_C10_callbacks_get_the_app_first(url):
    seen = []

    def on_message(ws, message):
        seen.append((ws, message))
        ws.close()

    log = Log(url, on_open=lambda ws: ws.send("hello"), on_message=on_message)
    assert run(log.app) is False
    assert seen == [(log.app, "hello")]
    assert log.events == [("close", 1000, None)]


def test_C11_on_error_gets_the_exception(unused_port):
    log = Log(f"ws://localhost:{unused_port}/")
    assert run(log.app) is True
    assert [type(error) for (error,) in log.of("error")] == [ConnectionRefusedError]
    assert log.of("close") == [(None, None)]


def test_C11_on_error_gets_what_other_callbacks_raise(url):
    def on_open(ws):
        ws.send("go on")
        raise KeyError("mine")

    def on_message(ws, message):
        ws.close()

    log = Log(url, on_open=on_open, on_message=on_message)
    assert run(log.app) is False
    assert [type(error) for (error,) in log.of("error")] == [KeyError]
    assert log.of("close") == [(1000, None)]


@pytest.fixture
def unused_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.parametrize("count", range(4))
def test_C12_on_close_with_any_number_of_arguments(url, count):
    seen = []
    callbacks = (
        lambda: seen.append(()),
        lambda ws: seen.append((ws,)),
        lambda ws, code: seen.append((ws, code)),
        lambda ws, code, reason: seen.append((ws, code, reason)),
    )
    app = websocket.WebSocketApp(url, on_open=lambda ws: ws.send("close 4001 enough"))
    app.on_close = callbacks[count]
    run(app)
    assert seen == [(app, 4001, "enough")[:count]]


def test_C12_methods_and_short_callbacks_get_what_they_ask_for(url):
    seen = []

    class Program:
        def on_open(self):
            app.send("hello")

        def on_message(self, message):
            seen.append(message)
            app.send("close 1000 done")

        def on_close(self, code, reason):
            seen.append((code, reason))

    program = Program()
    app = websocket.WebSocketApp(
        url, on_open=program.on_open, on_message=program.on_message, on_close=program.on_close
    )
    app.on_data = lambda *args: seen.append(args[1:])
    run(app)
    assert seen == [("hello", 1, True), "hello", (1000, "done")]


def test_C13_on_open_may_be_assigned_later(url):
    log = Log(url)
    log.app.on_open = lambda ws: ws.close(status=4002, reason="bye")
    assert run(log.app) is False
    assert log.events == [("close", 4002, "bye")]


@pytest.mark.parametrize(
    ("word", "result", "close", "error"),
    [
        ("close 1000 well", False, (1000, "well"), None),
        ("close", False, (None, None), None),
        ("close 1011 oops", True, (1011, "oops"), websocket.WebSocketConnectionClosedException),
        ("vanish", True, (None, None), websocket.WebSocketConnectionClosedException),
    ],
)
def test_C14_C18_run_forever_ends_with_the_true_status(url, word, result, close, error):
    log = Log(url, on_open=lambda ws: ws.send(word))
    assert run(log.app) is result
    assert log.of("close") == [close]
    assert [type(each) for (each,) in log.of("error")] == ([error] if error else [])


def test_C14_keyboard_interrupt_ends_it_in_order(url):
    def interrupt(ws):
        raise KeyboardInterrupt

    log = Log(url, on_open=interrupt)
    assert log.app.run_forever() is False
    assert [type(each) for (each,) in log.of("error")] == [KeyboardInterrupt]
    assert log.of("close") == [(1000, None)]


def test_C15_C31_tracing_shows_handshake_and_messages(url):
    stream = io.StringIO()
    websocket.enableTrace(True, handler=logging.StreamHandler(stream), level="DEBUG")
    try:
        assert websocket.isEnabledForTrace()
        ws = websocket.create_connection(url, timeout=TIMEOUT)
        ws.send("hello")
        ws.recv()
        ws.close()
    finally:
        websocket.enableTrace(False)
    assert not websocket.isEnabledForTrace()
    text = stream.getvalue()
    for part in (
        "--- request header ---\nGET / HTTP/1.1",
        "--- response header ---\nHTTP/1.1 101",
        "++Sent decoded: fin=1 opcode=1 data=b'hello'",
        "++Rcv decoded: fin=True opcode=1 data=b'hello'",
    ):
        assert part in text.replace("\r\n", "\n"), text


@pytest.mark.parametrize("times", [50])
def test_C17_C18_close_from_thread_ends_run_forever(url, times):
    for _ in range(times):
        workers = []

        def on_open(ws, workers=workers):
            def work():
                for i in range(3):
                    ws.send(f"Hello {i}")
                ws.close()

            workers.append(threading.Thread(target=work))
            workers[0].start()

        log = Log(url, on_open=on_open)
        assert run(log.app) is False
        workers[0].join(TIMEOUT)
        assert log.of("close") == [(1000, None)]
        assert log.of("error") == []


def test_C17_close_ends_a_run_that_is_connecting_or_waiting(unused_port):
    def accept_and_say_nothing(peer):
        peer.read_request()
        log.app.close()
        peer.expect_eof()

    address, end = raw(accept_and_say_nothing)
    log = Log(address)
    assert run(log.app) is False
    end()
    assert log.events == [("close", None, None)]

    log = Log(f"ws://localhost:{unused_port}/")
    log.app.on_error = lambda ws, error: ws.close()
    run(log.app, reconnect=600)
    assert log.events == [("close", None, None)]


def test_C17_close_ends_it_although_the_server_is_silent():
    def never_answer(peer):
        peer.handshake()
        assert peer.read_close().close_code == 1000
        peer.read_to_eof()

    address, end = raw(never_answer)
    log = Log(address, on_open=lambda ws: ws.close(timeout=0.2))
    assert run(log.app) is False
    end()
    assert log.events == [("close", None, None)]


def test_C17_keep_running_ends_it_too(url):
    log = Log(url, on_open=lambda ws: setattr(ws, "keep_running", False))
    assert run(log.app) is False
    assert log.app.keep_running is False
    assert log.of("close") == [(1000, None)]


def test_C20_messages_come_while_another_thread_sends_now_and_then(url):
    pause = threading.Event()

    def on_open(ws):
        def work():
            for i in range(5):
                pause.wait(0.01)
                ws.send(str(i))
            ws.send("close 1000")

        worker.append(threading.Thread(target=work))
        worker[0].start()

    worker = []
    log = Log(url, on_open=on_open)
    assert run(log.app) is False
    worker[0].join()
    assert log.of("message") == [(str(i),) for i in range(5)]


def test_C25_socket_options(url):
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    ws = websocket.create_connection(url, sockopt=(option,))
    assert ws.sock.getsockopt(*option[:2]) == 1
    assert ws.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    ws.close()


def test_C26_a_class_with_its_own_recv_frame(url):
    frames = []

    class MyWebSocket(websocket.WebSocket):
        def recv_frame(self):
            frame = super().recv_frame()
            frames.append(frame)
            return frame

    ws = websocket.create_connection(url, class_=MyWebSocket)
    ws.send("hello")
    assert ws.recv() == "hello"
    assert [(frame.fin, frame.opcode, frame.data) for frame in frames] == [(1, 1, b"hello")]
    ws.close()


@pytest.mark.parametrize(
    "sslopt",
    [
        {"cert_reqs": ssl.CERT_NONE},
        {"cert_reqs": ssl.CERT_NONE, "check_hostname": False},
        {"ca_certs": "CA"},
        {"ca_certs": "CA", "check_hostname": False},
        {"context": "CONTEXT"},
    ],
    ids=str,
)
def test_C27_C28_C29_tls_options_everywhere(server_tls, client_tls, tls_files, sslopt):
    names = []
    server_tls.sni_callback = lambda sock, name, context: names.append(name)
    replaced = {"CA": str(tls_files.ca), "CONTEXT": client_tls}
    sslopt = {name: replaced.get(value, value) for name, value in sslopt.items()}
    with obedient_server(ssl=server_tls) as url:
        ws = websocket.create_connection(url, sslopt=sslopt, timeout=TIMEOUT)
        ws.send("secret")
        assert ws.recv() == "secret"
        assert ws.is_ssl()
        ws.close()
        ws = websocket.WebSocket(sslopt=sslopt)
        ws.connect(url)
        ws.close()
        log = Log(url, on_open=lambda ws: ws.close())
        assert run(log.app, sslopt=sslopt) is False
        assert log.events == [("close", 1000, None)]
        if "check_hostname" in sslopt:
            other = url.replace("localhost", "127.0.0.1")
            websocket.create_connection(other, sslopt=sslopt, timeout=TIMEOUT).close()
    assert set(names) <= {"localhost", None}
    assert names.count("localhost") == 3


def test_C27_certificates_are_verified_unless_told_otherwise(server_tls):
    with obedient_server(ssl=server_tls) as url, pytest.raises(ssl.SSLError):
        websocket.create_connection(url, timeout=TIMEOUT)


def test_C30_subprotocols():
    with obedient_server(protocols=["base64"]) as url:
        ws = websocket.create_connection(url, subprotocols=["binary", "base64"])
        assert ws.getsubprotocol() == ws.subprotocol == "base64"
        ws.close()


def test_C31_the_command_line_tool(url, tmp_path):
    env = environment(tmp_path / "bin")
    done = subprocess.run(
        ["ws4py", "connect", url],
        input="hello\n",
        capture_output=True,
        text=True,
        env=env,
        timeout=30,
    )
    assert done.stdout.splitlines() == ["hello"]


# -- what else programs do -----------------------------------------------------------------


def test_headers_in_every_form(url):
    expected = {"HTTP_X_ONE": "1", "HTTP_X_TWO": "a: b"}
    for header in (
        ["X-One: 1", "X-Two: a: b"],
        {"X-One": "1", "X-Two": "a: b", "X-None": None},
        lambda: {"X-One": "1", "X-Two": "a: b"},
    ):
        ws = websocket.create_connection(url, header=header, timeout=TIMEOUT)
        ws.send("environ")
        assert expected.items() <= json.loads(ws.recv()).items()
        ws.close()


def test_cookie_origin_host(url):
    ws = websocket.create_connection(
        url, cookie="a=1; b=2", origin="http://virtual", host="virtual", timeout=TIMEOUT
    )
    ws.send("environ")
    environ = json.loads(ws.recv())
    ws.close()
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_ORIGIN"] == "http://virtual"
    assert environ["HTTP_HOST"] == "virtual"


def test_suppressed_headers():
    def talk(peer):
        head = peer.read_request()
        assert "host" not in head.headers
        assert "origin" not in head.headers
        peer.send(b"HTTP/1.1 403 Forbidden\r\nX-Why: you\r\nContent-Length: 2\r\n\r\nno")
        peer.shutdown()

    address, end = raw(talk)
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        websocket.create_connection(
            address, suppress_host=True, suppress_origin=True, timeout=TIMEOUT
        )
    end()
    error = caught.value
    assert (error.status_code, error.status_message) == (403, "Forbidden")
    assert (error.resp_headers["x-why"], error.resp_body) == ("you", b"no")


def test_redirects_are_followed_up_to_a_limit(url):
    def talk(peer):
        peer.read_request()
        peer.send(f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode())
        peer.shutdown()

    address, end = raw(talk)
    ws = websocket.create_connection(address, timeout=TIMEOUT)
    end()
    ws.send("there")
    assert ws.recv() == "there"
    ws.close()
    address, end = raw(talk)
    with pytest.raises(websocket.WebSocketBadStatusException, match="302"):
        websocket.create_connection(address, timeout=TIMEOUT, redirect_limit=0)
    end()


def test_a_socket_of_ones_own(url):
    port = int(url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        ws = websocket.create_connection(url, socket=sock)
        assert ws.sock is sock
        ws.send("hello")
        assert ws.recv() == "hello"
        ws.close()


def test_timeouts(ws):
    ws.settimeout(0.01)
    assert ws.gettimeout() == ws.timeout == 0.01
    with pytest.raises(websocket.WebSocketTimeoutException):
        ws.recv()
    with pytest.raises(TimeoutError):
        ws.recv()
    ws.timeout = TIMEOUT
    ws.send("still there")
    assert ws.recv() == "still there"


def test_without_any_time_what_is_there_is_received(ws):
    ws.send("hello")
    select.select([ws], [], [], TIMEOUT)
    ws.settimeout(0)
    assert ws.recv() == "hello"
    with pytest.raises(websocket.WebSocketTimeoutException):
        ws.recv()


def test_the_default_timeout(url):
    assert websocket.getdefaulttimeout() is None
    websocket.setdefaulttimeout(7)
    try:
        ws = websocket.create_connection(url)
        assert ws.gettimeout() == 7
        ws.close()
    finally:
        websocket.setdefaulttimeout(None)


def test_a_server_that_does_not_answer_in_time():
    address, end = raw(lambda peer: peer.read_to_eof())
    with pytest.raises(websocket.WebSocketTimeoutException):
        websocket.create_connection(address, timeout=0.1)
    end()


def test_a_host_that_does_not_exist():
    with pytest.raises(websocket.WebSocketAddressException):
        websocket.create_connection("ws://nobody.invalid/", timeout=TIMEOUT)


def test_an_option_that_nobody_knows(url):
    with pytest.raises(TypeError, match="colour"):
        websocket.create_connection(url, colour="blue")


def test_the_servers_close_frame_is_received(ws):
    ws.send("close 4000 bye")
    assert ws.recv() == ""
    assert not ws.connected
    assert (ws.close_frame.opcode, ws.close_frame.data) == (8, b"\x0f\xa0bye")
    with pytest.raises(websocket.WebSocketConnectionClosedException) as caught:
        ws.recv()
    assert (caught.value.status_code, caught.value.reason) == (4000, "bye")
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        ws.send("too late")


def test_a_connection_that_breaks(ws):
    ws.send("vanish")
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        ws.recv()
    assert not ws.connected


def test_control_frames_for_those_who_want_them(ws):
    ws.ping("are you there?")
    assert ws.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"are you there?")
    ws.send("ping me")
    opcode, frame = ws.recv_data_frame(True)
    assert (opcode, frame.data) == (websocket.ABNF.OPCODE_PING, b"me")
    ws.pong("unasked")
    ws.send("ping unseen")
    ws.send("data")
    assert ws.recv_data() == (websocket.ABNF.OPCODE_TEXT, b"data")


def test_fragments_are_one_message_or_each_its_own(url):
    ws = websocket.create_connection(url, timeout=TIMEOUT)
    ws.send("fragments a b c")
    assert ws.recv() == "abc"
    ws.close()
    ws = websocket.create_connection(url, timeout=TIMEOUT, fire_cont_frame=True)
    ws.send("fragments a b c")
    frames = [ws.recv_data_frame()[1] for _ in range(3)]
    assert [(f.opcode, f.data, f.fin) for f in frames] == [
        (1, b"a", False),
        (0, b"b", False),
        (0, b"c", True),
    ]
    ws.send("whole")
    assert ws.recv() == "whole"
    ws.close()


def test_fragments_sent_by_hand(ws):
    frame = websocket.ABNF.create_frame
    assert ws.send_frame(frame("Hal", websocket.ABNF.OPCODE_TEXT, 0)) == 9
    ws.ping("in between")
    ws.send_frame(frame(b"lo", websocket.ABNF.OPCODE_CONT, 1))
    assert ws.recv() == "Hallo"
    with pytest.raises(ValueError, match="no message to continue"):
        ws.send_frame(frame(b"x", websocket.ABNF.OPCODE_CONT, 1))


def test_text_that_is_none():
    def talk(peer):
        peer.handshake()
        peer.text(b"\xff")
        peer.text("after")
        peer.read_to_eof()

    address, end = raw(talk)
    ws = websocket.create_connection(address, skip_utf8_validation=True, timeout=TIMEOUT)
    assert ws.recv_data() == (1, b"\xff")
    assert ws.recv() == "after"
    ws.shutdown()
    end()
    address, end = raw(talk)
    ws = websocket.create_connection(address, timeout=TIMEOUT)
    with pytest.raises(websocket.WebSocketPayloadException):
        ws.recv()
    ws.close()
    end()


def test_masks_of_ones_own():
    def talk(peer):
        peer.handshake()
        assert peer.read(11) == b"\x81\x85abcd)\x07\x0f\x08\x0e"
        peer.close_frame(1000)
        peer.read_close()

    address, end = raw(talk)
    ws = websocket.create_connection(address, get_mask_key=lambda n: "abcd", timeout=TIMEOUT)
    ws.send("Hello")
    assert ws.recv() == ""
    ws.close()
    end()


def test_abort_and_shutdown_wake_a_reader(url):
    for end in ("abort", "shutdown", "close"):
        ws = websocket.create_connection(url)
        caught = []

        def read(ws=ws, caught=caught):
            try:
                while True:
                    ws.recv()
            except websocket.WebSocketConnectionClosedException as exc:
                caught.append(exc)

        thread = threading.Thread(target=read)
        thread.start()
        ws.ping()
        getattr(ws, end)()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        assert len(caught) == 1
        ws.shutdown()


def test_a_context_manager(url):
    with websocket.create_connection(url, timeout=TIMEOUT) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
    assert not ws.connected


def test_send_close_and_go_on_receiving(ws):
    ws.send("before")
    ws.send_close(4003, "soon")
    assert ws.recv() == "before"
    assert ws.recv() == ""
    with pytest.raises(ValueError, match="range"):
        ws.send_close(-1)


def test_pings_at_fixed_times_with_their_payload():
    def talk(peer):
        peer.handshake()
        for _ in range(2):
            peer.text("busy")
            frame = peer.read_frame()
            assert (frame.opcode, frame.payload) == (9, b"knock")
            peer.pong(b"knock")
        peer.close_frame(1000)
        peer.read_close()

    address, end = raw(talk)
    log = Log(address, on_pong=lambda ws, data: log.events.append(("pong", data)))
    assert run(log.app, ping_interval=0.1, ping_payload="knock") is False
    end()
    assert log.of("pong") == [(b"knock",)] * 2
    assert log.app.last_pong_tm > 0


def test_a_server_that_answers_no_ping():
    def talk(peer):
        peer.handshake()
        peer.read_to_eof()

    address, end = raw(talk)
    log = Log(address)
    assert run(log.app, ping_interval=0.2, ping_timeout=0.1) is True
    end()
    ((error,),) = log.of("error")
    assert isinstance(error, websocket.WebSocketTimeoutException)
    assert str(error).startswith("ping/pong timed out")
    assert log.of("close") == [(None, None)]


def test_when_the_last_ping_was(url):
    log = Log(url, on_pong=lambda ws, data: (seen.append(ws.last_ping_tm), ws.close()))
    seen = []
    assert log.app.last_ping_tm == 0
    run(log.app, ping_interval=0.05)
    assert abs(seen[0] - time.time()) < TIMEOUT


def test_pings_of_the_server_and_fragments_have_callbacks(url):
    def on_ping(ws, data):
        log.events.append(("ping", data))
        ws.send("fragments a b")

    def on_cont_message(ws, data, fin):
        log.events.append(("cont", data, fin))
        if fin:
            ws.close()

    log = Log(
        url,
        on_open=lambda ws: ws.send("ping me"),
        on_ping=on_ping,
        on_cont_message=on_cont_message,
    )
    run(log.app)
    assert log.of("ping") == [(b"me",)]
    assert log.of("cont") == [(b"a", False), (b"b", True)]


def test_reconnecting(url):
    opened = []

    def on_open(ws):
        opened.append("open")
        ws.send("vanish")

    def on_reconnect(ws):
        opened.append("again")
        ws.send("vanish" if len(opened) < 3 else "close 1000")
        if len(opened) == 3:
            ws.keep_running = False

    log = Log(url, on_open=on_open, on_reconnect=on_reconnect)
    run(log.app, reconnect=0.01)
    assert opened == ["open", "again", "again"]
    assert len(log.of("error")) == 2
    assert log.of("close") == [(1000, None)]


def test_reconnecting_for_every_run(url):
    websocket.set_reconnect(0.01)
    try:
        log = Log(url, on_open=lambda ws: ws.send("vanish"))
        log.app.on_reconnect = lambda ws: ws.close()
        run(log.app)
    finally:
        websocket.set_reconnect(0)
    assert log.of("close") == [(1000, None)]


class Dispatcher:
    """A loop of the program's, as little of one as will do."""

    def __init__(self):
        self.readers = {}
        self.timers = []

    def read(self, sock, callback):
        self.readers[sock] = callback

    def timeout(self, seconds, callback, *args):
        self.timers.append((time.monotonic() + seconds, callback, args))

    def dispatch(self):
        end = time.monotonic() + TIMEOUT
        while (self.readers or self.timers) and time.monotonic() < end:
            due = [timer for timer in self.timers if timer[0] <= time.monotonic()]
            self.timers = [timer for timer in self.timers if timer not in due]
            for _, callback, args in due:
                callback(*args)
            self.readers = {s: c for s, c in self.readers.items() if s.fileno() >= 0}
            if self.readers:
                for sock in select.select(list(self.readers), [], [], 0.01)[0]:
                    if not self.readers[sock]():
                        del self.readers[sock]
        assert not self.readers


def test_a_loop_of_the_programs(url):
    dispatcher = Dispatcher()
    log = Log(url, on_open=lambda ws: ws.send("one"))
    log.app.on_message = lambda ws, data: (
        log.events.append(("message", data)),
        ws.send("two" if data == "one" else "vanish"),
    )
    log.app.on_reconnect = lambda ws: ws.close()
    assert log.app.run_forever(dispatcher=dispatcher, reconnect=0.01) is False
    dispatcher.dispatch()
    assert log.of("message") == [("one",), ("two",)]
    assert log.of("close") == [(1000, None)]


def test_ping_times_that_make_no_sense():
    app = websocket.WebSocketApp("ws://localhost/")
    for times in (
        {"ping_timeout": 0},
        {"ping_interval": -1},
        {"ping_interval": 1, "ping_timeout": 1},
    ):
        with pytest.raises(websocket.WebSocketException):
            app.run_forever(**times)
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        app.send("too early")


def test_our_own_error_is_the_cause(ws):
    ws.send("vanish")
    with pytest.raises(websocket.WebSocketConnectionClosedException) as caught:
        ws.recv()
    assert isinstance(caught.value.__cause__, ConnectionClosed)
    assert caught.value.__cause__.close_info.code == 1006


def test_every_public_name_of_the_library_is_there():
    library = pytest.importorskip("websocket")
    modules = ("ABNF", "WebSocket", "create_connection", "enableTrace", "setdefaulttimeout")
    names = [name for name in dir(library) if name.startswith(("STATUS_", "WebSocket"))]
    for name in [*modules, *names]:
        assert hasattr(websocket, name), name
    for name in dir(library.ABNF):
        if not name.startswith("_"):
            assert hasattr(websocket.ABNF, name), name
    for name in dir(library.WebSocket):
        if not name.startswith("_"):
            assert hasattr(websocket.WebSocket, name), name

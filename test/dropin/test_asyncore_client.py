"""The document of python-websocket, row by row (P): with asyncore, where it is, and without."""

from __future__ import annotations

import sys
import textwrap
import threading
import warnings
from http.cookiejar import CookieJar

import pytest
from dropins import obedient_server
from proxyserver import ConnectProxy
from rawpeer import RawServer
from running import ROOT, Program, environment

import ws4py.dropin.asyncore_client as drop_in
from ws4py.dropin.asyncore_client import WebSocket
from ws4py.exc import ConnectionClosed, HandshakeError
from ws4py.foreign import READ

TIMEOUT = 10


@pytest.fixture(params=["asyncore", "our own loop"])
def loop(request, monkeypatch):
    """``loop()`` of either kind, which has to end."""
    if request.param == "asyncore":
        module = drop_in.find_asyncore()
        if module is None:
            pytest.skip("needs asyncore: Python up to 3.11, or the package pyasyncore")
        run = module.loop
    else:
        monkeypatch.setitem(sys.modules, "asyncore", None)
        run = drop_in.loop
    yield run
    assert drop_in._current is None, "the loop ended, and something was left"


@pytest.fixture
def url():
    with obedient_server() as url:
        yield url


class Log:
    """A websocket that closes when it has got enough messages, and what it told."""

    def __init__(self, url, say=(), enough=1, **options):
        self.events = []
        self.enough = enough
        self.say = say
        self.socket = WebSocket(
            url,
            onopen=self.onopen,
            onmessage=self.onmessage,
            onclose=lambda: self.events.append("close"),
            **options,
        )

    def onopen(self):
        self.events.append("open")
        for text in self.say:
            self.socket.send(text)

    def onmessage(self, data):
        self.events.append(data)
        self.enough -= 1
        if self.enough == 0:
            self.socket.close()


# -- the document itself -------------------------------------------------------------------

SCRIPT = """\
def my_msg_handler(msg):
  print('Got "%s"!' % msg)

socket = WebSocket('ws://example.com/demo', onmessage=my_msg_handler)
socket.onopen = lambda: socket.send('Hello world!')

try:
  asyncore.loop()
except KeyboardInterrupt:
  socket.close()
"""

IMPORTS = {
    "ours": "import ws4py.dropin.asyncore_client as asyncore\n",
    "asyncore": "import asyncore\n",
}


def test_it_is_the_documents_script():
    path = ROOT.parent / "shared" / "seeds" / "004_cb0f06ed575d9253.txt"
    if not path.is_file():
        pytest.skip(f"needs the document, which is not at {path}")
    block = path.read_text("utf-8").split("## Usage\n")[1].split("## API")[0]
    code = textwrap.dedent(block).strip() + "\n"
    code = code.replace("print 'Got \"%s\"!' % msg", "print('Got \"%s\"!' % msg)")
    assert [line.rstrip() for line in code.splitlines()] == SCRIPT.splitlines()


@pytest.mark.parametrize("kind", IMPORTS)
def test_P01_P07_P11_P14_P15_P20_the_script_runs_until_ctrl_c(kind, url, tmp_path):
    if kind == "asyncore" and drop_in.find_asyncore() is None:
        pytest.skip("needs asyncore: Python up to 3.11, or the package pyasyncore")
    code = IMPORTS[kind] + "from ws4py.dropin.asyncore_client import WebSocket\n" + SCRIPT
    path = tmp_path / "script.py"
    path.write_text(code.replace("ws://example.com/demo", url), "utf-8")
    env = dict(environment(tmp_path / "bin"), PYTHONWARNINGS="ignore")
    program = Program([sys.executable, str(path)], tmp_path, env)
    try:
        program.wait_for_output('Got "Hello world!"!')
        assert program.interrupt() == 0, program.output
    finally:
        program.kill()
    assert program.output.splitlines() == ['Got "Hello world!"!']


# -- rows --------------------------------------------------------------------------------------


def test_P01_P14_one_thread_drives_all_and_the_loop_ends_with_the_last(url, loop):
    threads = set()
    logs = [Log(url, [str(i), "more"], enough=2) for i in range(5)]
    logs[0].socket.onclose = lambda: threads.add(threading.current_thread())
    loop()
    assert [log.events for log in logs[1:]] == [
        ["open", str(i), "more", "close"] for i in range(1, 5)
    ]
    assert threads == {threading.current_thread()}


def test_P02_P04_all_arguments_by_position(loop):
    events = []
    with obedient_server(protocols=["chat"]) as url:
        socket = WebSocket(
            url,
            "chat",
            CookieJar(),
            lambda: socket.send("hello"),
            lambda data: (events.append((data, socket.protocol)), socket.close()),
            events.append,
            lambda: events.append("close"),
        )
        loop()
    assert events == [("hello", "chat"), "close"]


def test_P03_nothing_happens_until_the_loop_runs(loop):
    with RawServer() as server:
        log = Log(server.url)
        assert log.events == []
        assert log.socket.fileno() == -1
        log.socket.close()
        loop()
        assert log.events == []


def test_P05_P06_cookies_are_sent_and_kept(loop):
    jar = CookieJar()
    requests = []

    def serve():
        for index in range(2):
            with server.accept() as peer:
                requests.append(peer.read_request().headers.get("cookie"))
                peer.head = None
                peer.send(
                    b"HTTP/1.1 403 No\r\nSet-Cookie: session=%d; Path=/\r\n"
                    b"Content-Length: 0\r\n\r\n" % index
                )
                peer.shutdown()

    with RawServer() as server:
        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(2):
            WebSocket(server.url, cookie_jar=jar, onerror=lambda error: None)
            loop()
        thread.join(TIMEOUT)
    assert requests == [None, "session=0"]
    assert [cookie.value for cookie in jar] == ["1"]


def test_P07_P08_P12_P16_callbacks_take_no_socket(url, loop):
    got = []
    socket = WebSocket(url)
    socket.onopen = lambda: (socket.send("text"), socket.send(b"bytes"))
    socket.onmessage = lambda data: (got.append(data), len(got) == 2 and socket.close())
    loop()
    assert got == ["text", b"bytes"]


def test_P09_an_error_goes_to_onerror(unused_port, loop):
    errors = []
    WebSocket(f"ws://localhost:{unused_port}/", onerror=errors.append)
    loop()
    assert [type(error) for error in errors] == [ConnectionRefusedError]


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_P09_an_error_without_onerror_is_raised_out_of_the_loop(url, unused_port, loop):
    WebSocket(f"ws://localhost:{unused_port}/")
    with pytest.raises(ConnectionRefusedError):
        loop()
    log = Log(url, ["vanish"])
    with pytest.raises((ConnectionClosed, OSError)):
        loop()
    assert log.events == ["open"]


def test_P09_what_a_callback_raises_is_an_error_too(url, loop):
    log = Log(url, ["hello", "again"], enough=2)
    enough = log.socket.onmessage

    def onmessage(data):
        enough(data)
        if data == "hello":
            raise KeyError(data)

    log.socket.onmessage = onmessage
    with pytest.raises(KeyError):
        loop()
    loop()  # the connection is still there
    assert log.events == ["open", "hello", "again", "close"]


def test_P09_a_refusal_is_an_error(loop):
    with obedient_server(origins=["https://elsewhere"]) as url:
        errors = []
        WebSocket(url, onerror=errors.append)
        loop()
    assert isinstance(errors[0], HandshakeError)
    assert errors[0].status == 403


def test_P10_onclose_only_after_a_closing_handshake(url, loop):
    errors = []
    log = Log(url, ["close 1000 bye"], onerror=errors.append)
    loop()
    assert (log.events, errors) == (["open", "close"], [])
    log = Log(url, ["vanish"], onerror=errors.append)
    loop()
    assert (log.events, len(errors)) == (["open"], 1)


def test_P11_callbacks_as_attributes_later(url, loop):
    events = []
    socket = WebSocket(url, onopen=lambda: events.append("never"))
    socket.onopen = lambda: (events.append("open"), socket.close())
    socket.onclose = lambda: events.append("close")
    loop()
    assert events == ["open", "close"]


def test_P13_close_while_it_connects_calls_nothing(loop):
    with RawServer() as server:
        log = Log(server.url, onerror=lambda error: log.events.append(error))
        drop_in.loop(0, count=2)
        log.socket.close()
        loop()
        assert log.events == []


def test_P15_ctrl_c_in_a_callback_and_the_close_frame_still_leaves(loop):
    def serve():
        with server.accept() as peer:
            peer.handshake()
            peer.text("now")
            codes.append(peer.read_close().close_code)

    codes = []
    with RawServer() as server:
        thread = threading.Thread(target=serve)
        thread.start()
        log = Log(server.url)

        def interrupted(data):
            raise KeyboardInterrupt

        log.socket.onmessage = interrupted
        with pytest.raises(KeyboardInterrupt):
            loop()
        log.socket.close()
        thread.join(TIMEOUT)
        assert codes == [1000]
        log.socket.onerror = lambda error: None  # the server did not answer it
        loop()


def test_P17_messages_come_whole(url, loop):
    log = Log(url, ["fragments " + "a " * 1000, "x" * 1_000_000], enough=2)
    loop()
    assert log.events == ["open", "a" * 1000, "x" * 1_000_000, "close"]


def test_P18_through_a_proxy(url, loop):
    with ConnectProxy() as proxy:
        log = Log(url, ["hello"], proxy=proxy.url)
        loop()
        assert log.events == ["open", "hello", "close"]
        assert len(proxy.heads) == 1


def test_P18_over_tls(server_tls, client_tls, loop):
    with obedient_server(ssl=server_tls) as url:
        log = Log(url, ["x" * 100_000], ssl_options=client_tls)
        loop()
    assert log.events == ["open", "x" * 100_000, "close"]


def test_P19_inside_of_a_loop_of_the_programs(url, loop):
    log = Log(url, ["hello"])
    turns = 0
    while drop_in._current is not None:
        drop_in.loop(0.05, count=1)  # what a program with windows does when it is idle
        turns += 1
        assert turns < 1000
    assert log.events == ["open", "hello", "close"]


def test_P19_another_thread_sends(url, loop):
    log = Log(url, ["hello"], enough=2)
    thread = threading.Thread(target=lambda: log.socket.send("from afar"))
    onmessage = log.socket.onmessage
    log.socket.onmessage = lambda data: (onmessage(data), thread.ident or thread.start())
    loop()
    thread.join()
    assert log.events == ["open", "hello", "from afar", "close"]


def test_a_server_that_does_not_answer_in_time(loop):
    from ws4py.exc import ConnectionTimeout
    from ws4py.protocol.config import Config

    with RawServer() as server:
        WebSocket(server.url, config=Config(open_timeout=0.1))
        with pytest.raises(ConnectionTimeout):
            loop()


def test_among_other_things_that_asyncore_drives(url):
    asyncore = drop_in.find_asyncore()
    if asyncore is None:
        pytest.skip("needs asyncore: Python up to 3.11, or the package pyasyncore")
    import socket

    got = []

    class Other(asyncore.dispatcher):
        def writable(self):
            return False

        def handle_read(self):
            got.append(self.recv(10))
            self.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = socket.socketpair()
        Other(theirs)
        log = Log(url, ["hello"])
        log.socket.onclose = lambda: mine.send(b"bye")
        drop_in.loop()
        mine.close()
    assert log.events == ["open", "hello"]
    assert got == [b"bye"]


def test_a_watched_descriptor_says_what_for():
    seen = []
    watched = drop_in._Watched(7, READ, lambda *what: seen.append(what))
    assert (watched.readable(), watched.writable(), watched.accepting) == (True, False, False)
    watched.handle_read_event()
    watched.handle_expt_event()
    watched.close()
    assert [fd for fd, _ in seen] == [7, 7]

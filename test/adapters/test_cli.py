"""The ``ws4py`` command, as a person or a script meets it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from backends import websockets_server
from programs import need_package
from proxyserver import ConnectProxy
from rawpeer import RawClient
from running import Program, environment
from waiting import wait_for

import ws4py
from ws4py.cli import backends, main
from ws4py.cli.connect import harmless, hex_line
from ws4py.cli.site import SUBPROTOCOL, Site
from ws4py.client.threadedclient import WebSocketClient
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket, WebSocket

TIMEOUT = 30
SERVERS = backends.names("server")
HANDLER = """
from ws4py.websocket import WebSocket

class Shout(WebSocket):
    def received_message(self, message):
        self.send(str(message).upper())

class Other:
    pass
"""


@pytest.fixture
def env(tmp_path) -> dict[str, str]:
    return environment(tmp_path / "shims")


@pytest.fixture
def run(tmp_path, env):
    """Run the command to its end: ``run("doctor", input="…")``."""

    def runner(*args: str, input: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ws4py", *args],
            cwd=tmp_path,
            env=env,
            input=input,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
        )

    return runner


@pytest.fixture
def start(tmp_path, env):
    """Start the command and wait for what it prints: ``start("echo", until="serving")``."""
    programs = []

    def starter(*args: str, until: str) -> tuple[Program, re.Match[str]]:
        program = Program(["ws4py", *args], tmp_path, env)
        programs.append(program)
        return program, program.wait_for_output(until)

    yield starter
    for program in programs:
        program.kill()


class Talker(WebSocketClient):
    """A client whose messages and end can be waited for."""

    def __init__(self, *args, **kwargs):
        self.messages: queue.Queue[str] = queue.Queue()
        self.ended: queue.Queue[tuple[int, str]] = queue.Queue()
        super().__init__(*args, **kwargs)

    def received_message(self, message):
        self.messages.put(str(message))

    def closed(self, code, reason=None):
        self.ended.put((code, reason))

    def next(self) -> str:
        return self.messages.get(timeout=10)

    def next_json(self, **wanted):
        """The next entry in which everything that is ``wanted`` is so."""
        while True:
            entry = json.loads(self.next())
            if all(entry.get(name) == value for name, value in wanted.items()):
                return entry


@contextlib.contextmanager
def talk(url: str, *args, **kwargs) -> Iterator[Talker]:
    client = Talker(url, *args, **kwargs)
    client.connect()
    try:
        yield client
    finally:
        client.close()
        client.run_forever()


@pytest.fixture
def echo_server() -> Iterator[WebSocketServer]:
    with WebSocketServer(EchoWebSocket) as server:
        yield server


@contextlib.contextmanager
def serving(handler, **options) -> Iterator[str]:
    """The URL of a server that runs ``handler``."""
    with WebSocketServer(handler, **options) as server:
        yield f"ws://127.0.0.1:{server.port}/"


# -- the command itself --------------------------------------------------------------------


def test_without_a_subcommand_it_shows_help_and_exits_with_2(capsys):
    assert main([]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("demo", "serve", "echo", "connect", "doctor"))


@pytest.mark.parametrize("args", [["nonsense"], ["echo", "--port", "-1"], ["echo", "--port", "x"]])
def test_wrong_usage_exits_with_2(args, capsys):
    with pytest.raises(SystemExit) as exit:
        main(args)
    assert exit.value.code == 2


def test_python_m_is_the_same_command(tmp_path, env):
    done = subprocess.run(
        [sys.executable, "-m", "ws4py", "--version"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stdout) == (0, f"ws4py {ws4py.__version__}\n")


# -- doctor --------------------------------------------------------------------------------


def test_doctor_says_what_there_is(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for part in (ws4py.__version__, ws4py.IMPLEMENTATION, "Python", "managed", "OpenSSL", "select"):
        assert part in text


def test_doctor_speaks_json(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ws4py"]["version"] == ws4py.__version__
    assert "select" in found["pollers"]
    assert {b["name"] for b in found["backends"] if b["side"] == "server"} == set(SERVERS)
    assert found["tls"]["certificates"] >= 0


@pytest.fixture
def not_installed(monkeypatch):
    lacking = backends.Backend(
        "lacking", "server", "nowhere:Server", "for this test", needs="no-such-one", extra="lack"
    )
    monkeypatch.setattr(backends, "BACKENDS", (*backends.BACKENDS, lacking))


@pytest.mark.usefixtures("not_installed")
def test_a_backend_that_is_not_installed_names_its_extra(capsys):
    assert main(["echo", "--backend", "lacking"]) == 2
    assert 'pip install "ws4py[lack]"' in capsys.readouterr().err
    assert main(["doctor"]) == 0
    assert 'missing: pip install "ws4py[lack]"' in capsys.readouterr().out


# -- serve, echo ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["serve", "no_colon"], 2, "MODULE:CLASS"),
        (["serve", "no_such_module:Shout"], 1, "no module 'no_such_module'"),
        (["serve", "handlers:Whisper"], 1, "is not there; it has Shout"),
        (["serve", "handlers:Other"], 1, "is no subclass of WebSocket; it has Shout"),
        (["echo", "--backend", "threaded", "--poller", "select"], 2, "managed backend"),
        (["echo", "--key", "key.pem"], 2, "--key needs --cert"),
        (["echo", "--cert", "missing.pem"], 1, "cannot use missing.pem for TLS"),
    ],
)
def test_what_cannot_be_served_gives_one_helpful_line(
    args, status, said, tmp_path, monkeypatch, capsys
):
    (tmp_path / "handlers.py").write_text(HANDLER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(args) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("ws4py: ")
    assert error.count("\n") == 1
    sys.modules.pop("handlers", None)


@pytest.mark.parametrize("backend", SERVERS)
def test_serve_runs_a_class_of_the_current_directory_on_any_backend(backend, start, run, tmp_path):
    (tmp_path / "handlers.py").write_text(HANDLER)
    program, found = start(
        "serve", "handlers:Shout", "--backend", backend, "--port", "0", until=r"(ws://\S+) \((.*)\)"
    )
    assert backend in found[2]
    done = run("connect", found[1], input="hello\n")
    assert (done.returncode, done.stdout) == (0, "HELLO\n"), done.stderr
    with talk(found[1]) as client:
        client.send("still there")
        assert client.next() == "STILL THERE"
        begun = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        assert client.ended.get(timeout=10)[0] == 1001
        assert time.monotonic() - begun < 2  # as promised; it is hundredths
    assert program.wait() == 0
    assert "GET /" not in program.output  # nothing about each connection


@pytest.mark.parametrize("poller", backends.pollers())
def test_echo_with_each_poller_ends_politely_on_ctrl_c(poller, start):
    program, found = start("echo", "--poller", poller, "--port", "0", until=r"(ws://\S+) \((.*)\)")
    assert found[2] == f"managed, {poller}"
    with talk(found[1]) as client:
        client.send("x")
        assert client.next() == "x"
        program.process.send_signal(signal.SIGINT)
        assert client.ended.get(timeout=10)[0] == 1001
    assert program.wait() == 0


def test_a_second_signal_cuts(start):
    program, found = start("echo", "--port", "0", until=r":(\d+)/")
    with RawClient.connect(int(found[1])) as silent:
        silent.handshake()
        program.process.send_signal(signal.SIGTERM)
        program.wait_for_output("a second signal cuts")
        program.process.send_signal(signal.SIGTERM)
        assert program.wait(timeout=5) == -signal.SIGTERM


def test_compression_can_be_refused(start):
    _, found = start("echo", "--port", "0", "--no-compression", until=r"(ws://\S+)")
    with talk(found[1]) as client:
        assert client.extensions == []


def test_a_taken_port_is_said(echo_server, capsys):
    assert main(["echo", "--port", str(echo_server.port)]) == 1
    assert f"cannot listen on 127.0.0.1:{echo_server.port}" in capsys.readouterr().err


def test_tls_all_the_way(start, run, tls_files):
    _, found = start(
        "echo", "--port", "0", "--cert", str(tls_files.cert), "--key", str(tls_files.key),
        until=r"(wss://\S+)",
    )  # fmt: skip
    trusted = run("connect", "--ca", str(tls_files.ca), found[1], input="secret\n")
    assert (trusted.returncode, trusted.stdout) == (0, "secret\n"), trusted.stderr
    unverified = run("connect", "--insecure", found[1], input="secret\n")
    assert (unverified.returncode, unverified.stdout) == (0, "secret\n"), unverified.stderr
    unknown = run("connect", found[1], input="secret\n")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "certificate" in unknown.stderr


# -- connect -------------------------------------------------------------------------------


def test_connect_goes_through_a_proxy(run):
    with ConnectProxy() as proxy, websockets_server(echo_all) as url:
        done = run("connect", "--proxy", proxy.url, url, input="there and back\n")
        assert (done.returncode, done.stdout) == (0, "there and back\n"), done.stderr
        assert len(proxy.heads) == 1
        done = run("connect", "--proxy", "none", url, input="directly\n")
        assert (done.returncode, done.stdout, len(proxy.heads)) == (0, "directly\n", 1)
    done = run("connect", "--proxy", "ftp://x", "ws://localhost/")
    assert (done.returncode, "no URL of a proxy" in done.stderr) == (2, True)


def echo_all(ws):
    for message in ws:
        ws.send(message)


def test_a_pipe_gets_all_answers(echo_server, run):
    lines = "one\n\ntwo\r\nGrüße ✓\n" + "x" * 200_000 + "\nno newline at the end"
    done = run("connect", f"ws://127.0.0.1:{echo_server.port}/", input=lines)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == lines.splitlines()
    assert done.stderr == ""


def test_a_pipe_gets_the_answers_of_a_server_that_answers_late(run):
    """One that has its close frame handled elsewhere than its messages: websockets."""
    need_package("websockets")

    def handler(connection):
        for message in connection:
            connection.send(message)

    with websockets_server(handler) as url:
        done = run("connect", f"{url}/", input="a\nb\n")
    assert (done.returncode, done.stdout) == (0, "a\nb\n"), done.stderr


def test_no_input_at_all_is_a_clean_end(echo_server, run):
    done = run("connect", f"ws://127.0.0.1:{echo_server.port}/")
    assert (done.returncode, done.stdout) == (0, "")


def test_headers_and_subprotocols_are_sent(run):
    class Tell(WebSocket):
        def opened(self):
            self.send(f"{self.environ['HTTP_X_COLOUR']} {self.subprotocol}")

    with serving(Tell, protocols=["b"]) as url:
        done = run(
            "connect", "-H", "X-Colour: teal", "--subprotocol", "a", "--subprotocol", "b", url
        )
    assert done.stdout == "teal b\n", done.stderr


def test_binary_messages_are_shown_as_a_short_line(run):
    class Send(WebSocket):
        def opened(self):
            self.send(b"\x00hello", binary=True)

    with serving(Send) as url:
        assert run("connect", url).stdout == "binary, 6 B: 00 68 65 6c 6c 6f\n"
    assert len(hex_line(bytes(100_000))) < 130


def test_status_1_when_nobody_listens(run):
    with WebSocketServer(EchoWebSocket) as server:
        port = server.port
    done = run("connect", f"ws://127.0.0.1:{port}/")
    assert done.returncode == 1
    assert re.fullmatch(rf"ws4py: .*127\.0\.0\.1:{port}.*refused.*\n", done.stderr)


@pytest.mark.parametrize(
    "args",
    [
        ["ftp://127.0.0.1/"],
        ["no url"],
        ["-H", "no colon", "ws://127.0.0.1/"],
        ["--timeout", "0", "ws://127.0.0.1/"],
        ["--ca", "missing.pem", "wss://127.0.0.1/"],
        [],
    ],
)
def test_status_2_for_wrong_usage(args, run):
    done = run("connect", *args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_status_3_when_the_handshake_is_refused(run):
    with serving(Site.handler, process_request=Site("test").process_request) as url:
        done = run("connect", f"{url}nowhere")
    assert done.returncode == 3
    assert "404" in done.stderr
    assert "The page is at /" in done.stderr


def test_status_4_when_the_connection_breaks(run):
    class Cut(WebSocket):
        def received_message(self, message):
            self.close_connection()

    with serving(Cut) as url:
        done = run("connect", url, input="please cut\n")
    assert done.returncode == 4
    assert re.fullmatch(r"ws4py: the connection to ws://\S+ broke: .+\n", done.stderr)


@pytest.fixture
def piped(tmp_path, env):
    """Start the command with pipes that stay open: ``piped("connect", url)``."""
    programs = []

    def starter(*args: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        programs.append(
            subprocess.Popen(
                ["ws4py", *args],
                cwd=tmp_path,
                env=env,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
            )
        )
        return programs[-1]

    yield starter
    for program in programs:
        program.kill()
        program.wait()
        for stream in (program.stdin, program.stdout, program.stderr):
            stream.close()


def test_when_the_server_closes_first_nobody_waits_for_the_keyboard(piped):
    class Bye(WebSocket):
        def opened(self):
            self.send("hello")
            self.close(1000, "that was all")

    with serving(Bye) as url:
        program = piped("connect", url)
        assert program.wait(TIMEOUT) == 0
    assert program.stdout.read() == "hello\n"
    assert program.stderr.read() == "closed by the server: 1000 that was all\n"


def test_a_reader_that_has_enough_ends_it(piped):
    class Chatter(WebSocket):
        def opened(self):
            for number in range(20_000):
                self.send(f"line {number}")

    with serving(Chatter) as url:
        program = piped("connect", url)
        assert program.stdout.readline() == "line 0\n"
        program.stdout.close()
        assert program.wait(TIMEOUT) == 0
    assert program.stderr.read() == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_person_gets_a_prompt_and_no_escape_sequences(echo_server, tmp_path, env):
    import pty

    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        ["ws4py", "connect", f"ws://127.0.0.1:{echo_server.port}/"],
        cwd=tmp_path,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""

    def until(pattern: bytes) -> None:
        nonlocal shown
        while pattern not in shown:
            shown += os.read(ours, 4096)

    try:
        until(b"> ")
        os.write(ours, b"red\x1b]0;title\n")
        until(b"< red\\x1b]0;title")
        program.send_signal(signal.SIGINT)
        until(b"closed: 1000")
        assert program.wait(TIMEOUT) == 0
    finally:
        program.kill()
        program.wait()
        os.close(ours)


def test_only_what_can_be_printed_reaches_a_terminal():
    assert harmless("a\tb\nc\x1b[31m\x07é") == "a\tb\nc\\x1b[31m\\x07é"


# -- demo ----------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[tuple[Site, WebSocketServer]]:
    site = Site("about this server")
    with WebSocketServer(
        site.handler, protocols=[SUBPROTOCOL], process_request=site.process_request
    ) as server:
        site.start()
        try:
            yield site, server
        finally:
            site.stop()


def get(server: WebSocketServer, path: str) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def test_demo_check_makes_a_round_trip_and_prints_figures(run):
    done = run("demo", "--check", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"echo 125 B in [\d.]+ ms · binary 65,536 B in [\d.]+ ms · ping [\d.]+ ms · "
        r"page [\d,]+ B · closed 1000\n",
        done.stdout,
    )


def test_demo_check_fails_loudly(monkeypatch, capsys):
    monkeypatch.setattr(
        "ws4py.cli.site.Echo.received_message", lambda self, message: self.send("no")
    )
    assert main(["demo", "--check", "--port", "0"]) == 1
    assert "check failed: sent 125 B, got 2 B that differ" in capsys.readouterr().err


def test_demo_takes_the_next_free_port_and_ends_politely(echo_server, start):
    taken = str(echo_server.port)
    program, found = start("demo", "--port", taken, until=r"http://127\.0\.0\.1:(\d+)/")
    assert found[1] != taken
    assert f"port {taken} is taken, using {found[1]}" in program.output
    with talk(f"ws://127.0.0.1:{found[1]}/chat?name=Ada") as client:
        assert client.next() == "* Ada joined"
        program.process.send_signal(signal.SIGINT)
        assert client.ended.get(timeout=10)[0] == 1001
    assert program.wait() == 0


def test_the_page_needs_nothing_from_elsewhere(site):
    status, headers, page = get(site[1], "/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert set(re.findall(r"https?://[\w.]+", page)) == {"http://www.w3.org"}  # the name of SVG
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", page)


@pytest.mark.parametrize(("path", "status"), [("/favicon.ico", 404), ("/echo", 426)])
def test_other_paths_are_answered_honestly(site, path, status):
    assert get(site[1], path)[0] == status


def test_chat_reaches_pages_and_terminals(site):
    url = f"ws://127.0.0.1:{site[1].port}/chat"
    with talk(f"{url}?name=Ada", [SUBPROTOCOL]) as ada, talk(url) as terminal:
        me = ada.next_json(kind="welcome")["id"]
        assert ada.next_json(text="Ada joined")["people"] == 1
        assert terminal.next() == "* guest 2 joined"
        assert ada.next_json(text="guest 2 joined")["people"] == 2
        ada.send("<b>hello</b>\x1b[31m\nthere")
        said = ada.next_json(kind="said")
        assert (said["id"], said["name"], said["text"]) == (me, "Ada", "<b>hello</b>[31m there")
        assert terminal.next() == "Ada: <b>hello</b>[31m there"
        terminal.send("/name Grace")
        assert ada.next_json(text="guest 2 is now Grace")
        with talk(url, [SUBPROTOCOL]) as late:
            assert [entry["text"] for entry in late.next_json(kind="welcome")["history"]] == [
                said["text"]
            ]
        terminal.close()
        assert ada.next_json(text="Grace left")["people"] == 1


def test_figures_are_published_to_whoever_watches(site):
    base = f"ws://127.0.0.1:{site[1].port}"
    with talk(f"{base}/stats?tab=mine", [SUBPROTOCOL]) as watcher, talk(f"{base}/echo") as talker:
        talker.send("12345")
        assert talker.next() == "12345"

        def figures():
            found = json.loads(watcher.next())
            rows = {row["path"]: row for row in found["connections"]}
            done = len(rows) == 2 and rows["/echo"]["messages_out"] and rows["/echo"]["latency"]
            return done and (found, rows)

        found, rows = wait_for(figures)
    assert found["server"] == "about this server"
    assert found["totals"]["open"] == found["totals"]["opened"] == 2
    assert len(found["rates"]) == 60
    assert rows["/echo"]["messages_in"] == 1
    assert rows["/echo"]["bytes_in"] >= 11  # header, mask, five characters
    assert rows["/stats"]["tab"] == "mine"
    assert rows["/stats"]["subprotocol"] == SUBPROTOCOL
    assert rows["/stats"]["compression"] == "deflate"
    host, port = talker.local_address
    assert rows["/echo"]["peer"] == f"{host}:{port}"


def test_the_chart_counts_messages_per_second_without_its_own(clock):
    site = Site("test", clock)

    class Count:
        messages_in = messages_out = bytes_in = bytes_out = 0

    class Seen(Site.ENDPOINTS["/echo"]):
        stats = Count

    class Own(Site.ENDPOINTS["/stats"]):
        stats = Count

    everybody = [Seen(None), Own(None)]
    Count.messages_in = Count.messages_out = 10
    clock.advance(2)
    assert site._sample(everybody)
    assert site.snapshot([])["rates"][-1] == 10.0
    clock.advance(0.5)
    assert not site._sample(everybody)


def test_a_crowd_is_counted_but_not_listed(clock):
    site = Site("test", clock)
    crowd = []
    for _ in range(150):
        visitor = Site.ENDPOINTS["/echo"](None)
        visitor.site, visitor._peer_address = site, ("10.0.0.1", 1)
        site.arrived(visitor)
        crowd.append(visitor)
    found = site.snapshot(site.visitors())
    assert found["totals"]["open"] == 150
    assert len(found["connections"]) == 100
    assert found["more"] == 50
    assert found["connections"][0]["id"] == 150  # newest first

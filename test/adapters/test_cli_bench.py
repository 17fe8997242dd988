"""``ws4py bench``: what it measures, and how it says that there is nothing to measure."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from running import environment

from ws4py.cli import main
from ws4py.cli.bench import Histogram
from ws4py.server.managedserver import WebSocketServer
from ws4py.websocket import EchoWebSocket, WebSocket


@contextlib.contextmanager
def serving(handler, **options) -> Iterator[str]:
    """The URL of a server that runs ``handler``."""
    with WebSocketServer(handler, **options) as server:
        yield f"ws://127.0.0.1:{server.port}/"


@pytest.fixture
def measure(capsys):
    """Run it in this process: exit status, figures (if any), and what it says on stderr."""

    def runner(*args: str):
        status = main(["bench", "--json", *args])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else None, printed.err

    return runner


def test_it_sends_as_many_messages_as_asked_over_as_many_connections(measure):
    seen = []

    class Counting(EchoWebSocket):
        def opened(self):
            seen.append(self.environ["HTTP_X_COLOUR"])

        def received_message(self, message):
            seen.append(len(message.data))
            super().received_message(message)

    with serving(Counting) as url:
        status, found, said = measure(
            "--connections", "7", "--messages", "50", "--size", "33", "-H", "X-Colour: teal", url
        )
    assert (status, said) == (0, "")
    assert seen.count("teal") == 7
    assert seen.count(33) == found["messages"] == 50
    assert (found["connections"], found["size"], found["depth"]) == (7, 33, 1)
    times = found["latency_ms"]
    assert 0 < times["p50"] <= times["p95"] <= times["p99"] <= times["max"]
    assert found["messages_per_second"] > 0


def test_it_ends_after_some_seconds_and_says_so_for_people(capsys):
    with serving(EchoWebSocket) as url:
        assert main(["bench", "--seconds", "0.2", "--size", "1000", url]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(
        r"10 connections × 1,000 B × 1 under way, compression negotiated: "
        r"[\d,]+ messages in 0\.\d\d s\n"
        r"[\d,]+ messages/s · [\d.,]+ MB/s each way · "
        r"p50 [\d.]+ ms · p95 [\d.]+ ms · p99 [\d.]+ ms · max [\d.]+ ms\n",
        printed.out,
    )
    assert printed.err == ""  # progress is for terminals


def test_so_many_messages_are_under_way_on_each_connection(measure):
    class InThrees(WebSocket):
        """Answers when three have come, and not before."""

        def opened(self):
            self.waiting = []

        def received_message(self, message):
            self.waiting.append(message.data)
            if len(self.waiting) == 3:
                for data in self.waiting:
                    self.send(data)
                self.waiting.clear()

    with serving(InThrees) as url:
        status, found, _ = measure("--connections", "2", "--depth", "3", "--messages", "12", url)
    assert (status, found["messages"]) == (0, 12)


@pytest.mark.parametrize("compression", [[], ["--no-compression"]])
def test_more_may_be_under_way_than_a_connection_buffers_by_default(compression, measure):
    with serving(EchoWebSocket) as url:
        status, found, said = measure(
            "--connections", "2", "--size", "700000", "--depth", "4", "--messages", "16",
            *compression, url,
        )  # fmt: skip
    assert (status, found["messages"], said) == (0, 16, "")
    assert found["compressed"] is not bool(compression)


class Shout(WebSocket):
    def received_message(self, message):
        self.send(str(message).upper() + "!")


class Greeter(EchoWebSocket):
    def opened(self):
        self.send("welcome")


class Silent(WebSocket):
    pass


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (Shout, "128 B were sent and 129 B came back that differ"),
        (Greeter, "7 B came without having been asked for"),
        (Silent, "nothing came back for 0.3 s"),
    ],
)
def test_a_server_that_is_no_echo_is_recognised(handler, why, measure):
    with serving(handler) as url:
        # One connection: a greeting must not come while others are being opened.
        status, found, said = measure("--timeout", "0.3", "--connections", "1", url)
    assert (status, found) == (1, None)
    assert said.startswith(f"ws4py: {url} is not an echo: ")
    assert "ws4py echo" in said
    if handler is not Greeter:  # whose greeting may come before or after the first message
        assert why in said


def test_status_1_when_nobody_listens(measure):
    with serving(EchoWebSocket) as url:
        pass
    status, found, said = measure(url)
    assert (status, found) == (1, None)
    assert "refused" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["--connections", "0", "ws://127.0.0.1/"],
        ["--size", "-1", "ws://127.0.0.1/"],
        ["--depth", "x", "ws://127.0.0.1/"],
        ["--seconds", "0", "ws://127.0.0.1/"],
        ["--seconds", "1", "--messages", "1", "ws://127.0.0.1/"],
        [],
    ],
)
def test_status_2_for_wrong_usage(args, measure):
    with pytest.raises(SystemExit) as exit:
        measure(*args)
    assert exit.value.code == 2


def test_status_2_for_something_that_is_no_url(measure):
    assert measure("ftp://127.0.0.1/")[0] == 2


def test_status_3_when_the_handshake_is_refused(measure):
    with serving(EchoWebSocket, origins=["https://example.org"]) as url:
        status, _, said = measure(url)
    assert status == 3
    assert "403" in said


def test_status_4_and_figures_when_a_connection_ends_meanwhile(measure):
    class Tired(EchoWebSocket):
        count = 0

        def received_message(self, message):
            self.count += 1
            if self.count == 5:
                self.close(4000, "enough")
            else:
                super().received_message(message)

    with serving(Tired) as url:
        status, found, said = measure("--connections", "1", url)
    assert (status, found["messages"]) == (4, 4)
    assert "4000 enough" in said


def test_ctrl_c_ends_it_early_with_figures(tmp_path):
    busy = threading.Event()

    class Telling(EchoWebSocket):
        count = 0

        def received_message(self, message):
            super().received_message(message)
            self.count += 1
            if self.count == 2:  # and so the first answer has been counted
                busy.set()

    with serving(Telling) as url:
        program = subprocess.Popen(
            [sys.executable, "-m", "ws4py", "bench", "--seconds", "60", "--json", url],
            env=environment(tmp_path / "shims"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert busy.wait(30)
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=30)
        finally:
            program.kill()
            program.communicate()
    assert (program.returncode, err) == (0, "")
    assert json.loads(out)["seconds"] < 30


def test_percentiles_are_within_two_percent_and_the_largest_is_exact():
    histogram = Histogram()
    for microseconds in range(1, 10_001):
        histogram.add(microseconds * 1e-6)
    found = histogram.summary()
    assert found["p50"] == pytest.approx(5000e-6, rel=0.02)
    assert found["p95"] == pytest.approx(9500e-6, rel=0.02)
    assert found["p99"] == pytest.approx(9900e-6, rel=0.02)
    assert found["max"] == 10_000e-6


def test_times_without_measure_are_counted_at_the_edges():
    histogram = Histogram()
    assert histogram.summary() == dict.fromkeys(("p50", "p95", "p99", "max"), 0.0)
    buckets = len(histogram._counts)
    for value in (0.0, 1e-12, 1e12):
        histogram.add(value)
    assert (histogram.total, histogram.largest) == (3, 1e12)
    assert len(histogram._counts) == buckets

"""Chromium, headless, against the managed server: page and WebSockets come from one port.

The page says everything there is to say over two connections and sends what it has seen over a
third one, so nothing has to be read out of the browser.
"""

from __future__ import annotations

import json
import os
import queue

import pytest
from hooks import recorded
from interop import EchoUntilTold, every_way, our_server
from programs import need_program
from running import Program

from ws4py.protocol.handshake import Response

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

#: A browser that has just been installed may take its time; seconds.
PATIENCE = 90.0

FLAGS = (
    "--headless",
    "--no-sandbox",  # which a container has no rights for
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--ignore-certificate-errors",  # the authority is known to this test run only
    "--remote-debugging-port=0",  # keeps it running until it is killed
)

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>ws4py</title>
<script>
const base = `${location.protocol.replace("http", "ws")}//${location.host}`;

function open(path, protocols) {
  const ws = new WebSocket(base + path, protocols || []);
  ws.binaryType = "arraybuffer";
  ws.closed = new Promise((done) => {
    ws.onclose = (event) => done([event.code, event.reason, event.wasClean]);
  });
  return new Promise((done) => { ws.onopen = ws.onerror = () => done(ws); });
}

function answer(ws, message) {
  return new Promise((done) => {
    ws.onmessage = (event) => done(event.data);
    ws.send(message);
  });
}

async function main() {
  const seen = {};
  let ws = await open("/echo", ["chat", "superchat"]);
  seen.extensions = ws.extensions;
  seen.protocol = ws.protocol;
  seen.empty = await answer(ws, "");
  seen.accents = await answer(ws, "Grüße, 世界 🎉");
  const long = "Grüße, 世界 🎉 ".repeat(5000);
  seen.long = (await answer(ws, long)) === long;
  const bytes = crypto.getRandomValues(new Uint8Array(65536));
  const echoed = new Uint8Array(await answer(ws, bytes));
  seen.binary = echoed.length === bytes.length && echoed.every((byte, i) => byte === bytes[i]);
  ws.close(3000, "Tschüß");
  seen.closed = await ws.closed;
  ws = await open("/echo");
  ws.send("close 4001 genug für heute");
  seen.dismissed = await ws.closed;
  ws = await open("/report");
  ws.send(JSON.stringify(seen));
}

main();
</script>
"""


class EchoOrReport(EchoUntilTold):
    """Echoes, but takes the page's report in silence."""

    def received_message(self, message):
        if self.environ["PATH_INFO"] == "/echo":
            super().received_message(message)


def page(request):
    """Ordinary HTTP on the same port."""
    if "upgrade" in request.headers:
        return None
    if request.path == "/":
        return Response.html(200, PAGE)
    return Response.text(404, "There is only one page.\n")


@pytest.fixture
def browse(tmp_path):
    """Opens a URL; everything that was started is killed at the end."""
    chromium = need_program("chromium", "chromium-browser", "google-chrome")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    running = []

    def start(url):
        env = {**os.environ, "HOME": str(tmp_path)}
        running.append(Program([chromium, *FLAGS, profile, url], tmp_path, env))
        return running[-1]

    yield start
    for browser in running:
        browser.kill()


def connection_from(browser, handler):
    """The page's next connection."""
    try:
        return handler.next(PATIENCE)
    except queue.Empty:
        raise AssertionError(
            f"the page did not connect; Chromium said:\n{browser.output}"
        ) from None


@every_way
def test_a_page_gets_everything_back(way, server_tls, browse):
    handler = recorded(EchoOrReport)
    options = {"handler": handler, "process_request": page, "protocols": ["superchat"]}
    with our_server("managed", way, server_tls, **options) as (url, _):
        browser = browse(url.replace("ws", "http", 1))
        echo = connection_from(browser, handler)
        assert echo.log.wait("closed", timeout=PATIENCE) == (3000, "Tschüß")
        assert connection_from(browser, handler).log.wait("closed") == (4001, "genug für heute")
        (report,) = connection_from(browser, handler).log.wait("received_message")
    seen = json.loads(str(report))
    assert way.agreed(seen.pop("extensions"))
    assert seen == {
        "protocol": "superchat",
        "empty": "",
        "accents": "Grüße, 世界 🎉",
        "long": True,
        "binary": True,
        "closed": [3000, "Tschüß", True],
        "dismissed": [4001, "genug für heute", True],
    }

"""npm's ``ws``: its client against our servers, our client against its server.

It is found through ``NODE_PATH`` or in ``npm root -g``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess

import pytest
from interop import FRAGMENTS, SERVERS, be_dismissed_by, every_way, our_server, talk_to
from programs import missing, need_program
from running import Program

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

# Both scripts are told what to do by one JSON text.
CLIENT = """
const { readFileSync } = require("fs");
const { randomBytes } = require("crypto");
const WebSocket = require("ws");
const how = JSON.parse(process.argv[2]);

function open() {
  const ws = new WebSocket(how.url, {
    perMessageDeflate: how.deflate, ca: readFileSync(how.ca), maxPayload: 4 << 20,
  });
  ws.on("error", (error) => { console.error(String(error)); process.exit(1); });
  ws.closed = new Promise((done) => ws.on("close", (code, reason) => done([code, `${reason}`])));
  return new Promise((done) => ws.on("open", () => done(ws)));
}

const next = (ws, event) => new Promise((done) => ws.once(event, (...args) => done(args)));

async function echo(ws, message) {
  const answer = next(ws, "message");
  ws.send(message);
  const [data, binary] = await answer;
  return binary === (typeof message !== "string") && Buffer.from(message).equals(data);
}

async function main() {
  const seen = { same: [] };
  let ws = await open();
  seen.extensions = ws.extensions;
  for (const message of [
    "", "Grüße, 世界 🎉", "Grüße, 世界 🎉 ".repeat(1 << 15),
    Buffer.alloc(0), randomBytes(256), randomBytes(1 << 20),
  ]) {
    seen.same.push(await echo(ws, message));
  }
  const whole = next(ws, "message");
  how.fragments.forEach((text, i) => ws.send(text, { fin: i === how.fragments.length - 1 }));
  seen.whole = `${(await whole)[0]}`;
  const pong = next(ws, "pong");
  ws.ping("are you there?");
  seen.pong = `${(await pong)[0]}`;
  ws.close(3000, "Tschüß");
  seen.closed = await ws.closed;
  ws = await open();
  ws.send("close 4001 genug für heute");
  seen.dismissed = await ws.closed;
  console.log(JSON.stringify(seen));
}

main();
"""

SERVER = """
const { readFileSync } = require("fs");
const { WebSocketServer } = require("ws");
const how = JSON.parse(process.argv[2]);
const server = how.secure
  ? require("https").createServer({ cert: readFileSync(how.cert), key: readFileSync(how.key) })
  : require("http").createServer();
const wss = new WebSocketServer({ server, perMessageDeflate: how.deflate, maxPayload: 4 << 20 });
wss.on("connection", (ws) => {
  ws.on("message", (data, binary) => {
    const told = binary ? null : /^close (\\d+) (.*)$/.exec(data);
    if (told) ws.close(Number(told[1]), told[2]);
    else ws.send(data, { binary });
  });
  ws.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
});
server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
"""


@functools.cache
def environment():
    """The environment in which node finds ``ws``, or ``None``."""
    roots = [os.environ.get("NODE_PATH")]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, timeout=60)
        roots.append(found.stdout.strip())
    env = {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, roots))}
    look = subprocess.run(
        ["node", "-e", "require('ws')"], env=env, capture_output=True, timeout=60, check=False
    )
    return None if look.returncode else env


@pytest.fixture
def node(tmp_path):
    """Starts a script with what it is told; kills it at the end."""
    program = need_program("node")
    env = environment()
    if env is None:
        missing("needs npm's ws (npm install ws; then NODE_PATH=.../node_modules)")
    running = []

    def start(script, told):
        path = tmp_path / "script.js"
        path.write_text(script, "utf-8")
        running.append(Program([program, str(path), json.dumps(told)], tmp_path, env))
        return running[-1]

    yield start
    for started in running:
        started.kill()


@every_way
@pytest.mark.parametrize("kind", SERVERS)
def test_its_client_gets_everything_back(kind, way, server_tls, tls_files, node):
    with our_server(kind, way, server_tls) as (url, handler):
        told = {"url": url, "deflate": way.deflate, "ca": str(tls_files.ca)}
        client = node(CLIENT, {**told, "fragments": FRAGMENTS})
        assert client.wait() == 0, client.output
        seen = json.loads(client.output)
        assert way.agreed(seen["extensions"])
        assert seen["same"] == [True] * 6
        assert seen["whole"] == "".join(FRAGMENTS)
        assert seen["pong"] == "are you there?"
        assert seen["closed"] == [3000, "Tschüß"]
        assert seen["dismissed"] == [4001, "genug für heute"]
        for end in ((3000, "Tschüß"), (4001, "genug für heute")):
            assert handler.next().log.wait("closed") == end


@every_way
def test_our_client_gets_everything_back(way, client_tls, tls_files, node):
    told = {"secure": way.secure, "deflate": way.deflate}
    server = node(SERVER, {**told, "cert": str(tls_files.cert), "key": str(tls_files.key)})
    port = server.wait_for_output(r"port (\d+)")[1]
    url = f"{way.scheme}://127.0.0.1:{port}/"
    talk_to(url, way, client_tls)
    server.wait_for_output("closed 3000 Tschüß")
    be_dismissed_by(url, way, client_tls)
    server.wait_for_output("closed 4001 genug für heute")

"""The documents on which this project was founded, row by row: what each has that must work.

A test shows a row by carrying its id in its name: ``test_C17_…``, or several ids. What no test can
show has a reason in docs/dropin.md. ``test/rows.py`` makes docs/founding-documents.md of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from running import ROOT

REASONS = ROOT / "docs" / "dropin.md"
TABLE = ROOT / "docs" / "founding-documents.md"


@dataclass(frozen=True)
class Document:
    """One of them."""

    #: The library that it describes.
    library: str
    #: What a program imports instead, and the page about it.
    place: str
    page: str


DOCUMENTS = {
    "W": Document("ws4py", "`ws4py` itself", "index.md"),
    "S": Document("websockets", "`ws4py.dropin.websockets`", "coming-from-websockets.md"),
    "C": Document(
        "websocket-client", "`ws4py.dropin.websocket_client`", "coming-from-websocket-client.md"
    ),
    "A": Document("aiohttp", "`ws4py.dropin.aiohttp`", "coming-from-aiohttp.md"),
    "P": Document("python-websocket", "`ws4py.dropin.asyncore_client`", "coming-from-asyncore.md"),
}

ROWS = {
    # The client of ws4py
    "W01": "Several clients, one behaviour and one API",
    "W02": "`ws4py.client.threadedclient.WebSocketClient` is where it was",
    "W03": "Used by subclassing it and overriding hooks",
    "W04": "`opened()` is called once, after the handshake",
    "W05": "A generator given to `send()` goes out as one message in fragments",
    "W06": "The generator may be a function inside of `opened()`",
    "W07": "Many `send()` in a row behind it, in their order",
    "W08": "An empty text is a message, and comes back as one",
    "W09": "What `opened()` sends does not lock up before anything is read, however much it is",
    "W10": "`received_message(m)` is called for each message",
    "W11": "`len(m)`: characters of text, bytes of what is binary",
    "W12": "`str(m)`, and `%s` and `%d` with it",
    "W13": "`close(reason=…)` inside of `received_message()`, with 1000",
    "W14": "`closed(code, reason)` gets what the server said, as text",
    "W15": "`closed()` is called once, behind all messages",
    "W16": "Subprotocols are offered as a list",
    "W17": "The chosen one can be read afterwards",
    "W18": "A URL like `ws://host:port/`",
    "W19": "`connect()` returns when the handshake is done",
    "W20": "The script runs until the server closes, although its last line is `connect()`",
    "W21": "`close()` on Ctrl-C does no harm: before, while and after, from any thread",
    "W22": "A thread serves the socket while the program does something else",
    "W23": "Messages still under way after our `close()` disturb nothing",
    "W24": "The closing handshake is completed by either side",
    "W25": "The hooks are those of `ws4py.websocket.WebSocket`",
    "W26": "The manager as another way to run clients",
    "W27": "`ws4py.client.tornadoclient.WebSocketClient` is there",
    "W28": "The same class runs on Tornado",
    "W29": "`ws4py.client.geventclient.WebSocketClient` is there",
    "W30": "The same class runs on gevent, patched or not",
    "W31": "`print x` is `print(x)` today",
    "W32": "Tabs among spaces are no Python today",
    "W33": "On Python 3.10 to 3.14",
    # websockets: getting started
    "S01": "`serve(handler, host, port)` starts a server",
    "S02": "`connect(uri)`, awaited, gives a connection",
    "S03": "`serve()` before the loop runs, then `run_until_complete()` and `run_forever()`",
    "S04": "The handler is a coroutine function, run once for each connection",
    "S05": "A handler of two arguments gets the path",
    "S06": "That path has the query, too",
    "S07": "When the handler returns, the connection is closed with 1000",
    "S08": "When it raises, with 1011",
    "S09": "The greeting: a name comes, a greeting goes",
    "S10": "`recv()` gives `str` for text and `bytes` for what is binary",
    "S11": "`send()` the other way round, waiting for a slow peer",
    "S12": "`close()` from the client",
    "S13": "The time, pushed to a page in a browser now and then",
    "S14": "`.open` says whether it is",
    "S15": "A loop for many messages",
    "S16": "Consumer: `recv()` gives `None` at the end, where that is wanted",
    "S17": "… whatever the end was",
    "S18": "Producer: leaves its loop when `.open` is false",
    "S19": "`send()` after the end raises",
    "S20": "Both: `recv()` and a producer as tasks, whichever is first",
    "S21": "To cancel a `recv()` loses no message",
    "S22": "The task of a `recv()` has the message as its result, or is cancelled",
    "S23": "A way to do both that is less convoluted",
    "S24": "Registration: connections in a set",
    "S25": "One message to all of them",
    "S26": "A handler that sleeps is no dead connection",
    "S27": "`finally` runs when the connection drops",
    "S28": "One process; more need a broker",
    "S29": "Handshakes and pings take care of themselves",
    "S30": "`websockets.protocol.WebSocketCommonProtocol` as the documented class",
    "S31": "`yield from` is `await` today",
    "S32": "A server in under ten lines",
    # websocket-client: README
    "C01": "A synchronous client",
    "C02": "Version 13 of the protocol, and no other",
    "C03": "The licence",
    "C04": "The Pythons, and what else has to be installed",
    "C05": "Sending is fast without another package",
    "C06": "Through an HTTP proxy: `http_proxy_host`, `http_proxy_port`",
    "C07": "A proxy that refuses says so",
    "C08": "`WebSocket()` first, `connect()` later",
    "C09": "`WebSocketApp` with callbacks",
    "C10": "Callbacks get the app first: `on_message(ws, message)`",
    "C11": "`on_error(ws, error)` gets the exception",
    "C12": "`on_close(ws)` with one argument",
    "C13": "`on_open` may be assigned afterwards",
    "C14": "`run_forever()` blocks until the end",
    "C15": "`enableTrace(True)` shows what passes",
    "C16": "`send()` from another thread meanwhile",
    "C17": "`close()` from another thread ends `run_forever()`",
    "C18": "`on_close` gets the true status",
    "C19": "`_thread.start_new_thread` still does",
    "C20": "A worker that sleeps disturbs nobody",
    "C21": "One-off: `create_connection()`, `send()`",
    "C22": "An echo server to try it with",
    "C23": "As a script",
    "C24": "One-off: `recv()`, `close()`",
    "C25": "`sockopt`",
    "C26": "`class_` with a `recv_frame` of its own",
    "C27": "`sslopt={'cert_reqs': …}`",
    "C28": "`sslopt={'check_hostname': False}`",
    "C29": "SNI by itself",
    "C30": "`subprotocols`",
    "C31": "`wsdump`",
    # aiohttp: the WebSocket client
    "A01": "`ClientSession.ws_connect(url)`",
    "A02": "… as a context manager",
    "A03": "`http://` stands for `ws://`",
    "A04": "A session that nobody closes",
    "A05": "`async for msg in ws`",
    "A06": "`msg.tp`",
    "A07": "`MsgType.text`, `.closed`, `.error`",
    "A08": "`msg.data`: text or bytes",
    "A09": "`await ws.close()` and `break`",
    "A10": "`ws.send_str()` without `await`",
    "A11": "`ws_connect()` of the module",
    "A12": "One task reads, several write",
    "A13": "`ClientWebSocketResponse` is not made by hand",
    "A14": "`url`, and what else belongs to it",
    "A15": "`protocols`",
    "A16": "`timeout`",
    "A17": "`connector`",
    "A18": "`auth`",
    "A19": "`ws_response_class`",
    "A20": "`autoclose`",
    "A21": "`autoclose=False`: the caller closes",
    "A22": "`autoping`",
    "A23": "`loop`",
    "A24": "`origin`",
    "A25": "`WSServerHandshakeError`, also in `aiohttp.errors`",
    "A26": "`closed`",
    "A27": "`protocol`, which may be `None`",
    "A28": "`exception()`",
    "A29": "`ping()` of text or bytes",
    "A30": "`send_str()` refuses what is no `str`",
    "A31": "`send_bytes()` takes what is made of bytes",
    "A32": "`close()` waits for the peer; `wait_for()` may bound it",
    "A33": "`message` may be text or bytes",
    "A34": "`receive()` gives the next message",
    "A35": "… and deals with pings and close frames by itself",
    "A36": "The kinds of messages that a caller sees",
    "A37": "Notes about versions",
    "A38": "A failed read is a message, not an exception",
    # python-websocket: README
    "P01": "A client by events on one thread",
    "P02": "`WebSocket(url, protocol, cookie_jar, onopen, onmessage, onerror, onclose)`",
    "P03": "Nothing happens before the loop runs",
    "P04": "`protocol`: one, as text",
    "P05": "`cookie_jar`: its cookies are sent",
    "P06": "Cookies as a login",
    "P07": "`onopen()` without arguments",
    "P08": "`onmessage(data)`",
    "P09": "`onerror(exception)`; without it the loop raises",
    "P10": "`onclose()` after a normal end only",
    "P11": "Callbacks as arguments or as attributes",
    "P12": "`send(data)`",
    "P13": "`close()`",
    "P14": "`asyncore.loop()` drives all sockets, and returns with the last",
    "P15": "Ctrl-C out of the loop, then `close()`",
    "P16": "Sending from `onopen`",
    "P17": "The library takes messages apart",
    "P18": "Through firewalls and proxies",
    "P19": "Inside of a foreign main loop",
    "P20": "`print` and `cookielib` of Python 2",
}

_ID = re.compile(r"(?<![A-Za-z0-9])([WSCAP]\d\d)(?![A-Za-z0-9])")
_REASON = re.compile(r"^\| *([WSCAP]\d\d) *\|(.*)\| *$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Test:
    """A test that shows one row or several."""

    __test__ = False  # none for pytest

    file: str
    name: str
    of_class: str = ""

    @property
    def node(self) -> str:
        """As pytest names it."""
        return "::".join(filter(None, (self.file, self.of_class, self.name)))

    @property
    def rows(self) -> list[str]:
        """The ids in its name."""
        return _ID.findall(self.name.replace("_", " "))


def tests() -> list[Test]:
    """All tests whose names have the id of a row."""
    root = ROOT / "test"
    found = []
    for path in sorted(root.rglob("test_*.py")):
        file = path.relative_to(root.parent).as_posix()
        for function, of_class in _functions(ast.parse(path.read_text("utf-8")).body):
            test = Test(file, function, of_class)
            if function.startswith("test_") and test.rows:
                found.append(test)
    return found


def _functions(body: Iterable[ast.stmt], of_class: str = "") -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, of_class
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, node.name)


def tests_by_row(found: Iterable[Test]) -> dict[str, list[Test]]:
    """The tests of each row that has any; also of rows that do not exist."""
    by_row: dict[str, list[Test]] = {}
    for test in found:
        for row in test.rows:
            by_row.setdefault(row, []).append(test)
    return by_row


def reasons(text: str | None = None) -> dict[str, str]:
    """Why no test can show a row, for each row of which that is written down."""
    if text is None:
        text = REASONS.read_text("utf-8")
    return {row: reason.strip() for row, reason in _REASON.findall(text)}


# -- the page ------------------------------------------------------------------------------

HEAD = """\
# The founding documents

ws4py was founded on five documents: those of ws4py itself and of four other libraries. Whatever
they say has to work. This page lists it row by row, with the tests that show it and how they ended
when the page was made. `python test/rows.py --write` runs them and makes it anew.

[Drop-ins](dropin.md) says how a program of another library runs on ws4py, and why some rows have
no test.
"""


def page(states: dict[Test, str]) -> str:
    """docs/founding-documents.md, for tests that ended like this."""
    by_row = tests_by_row(states)
    why = reasons()
    lines = [HEAD]
    for letter, document in DOCUMENTS.items():
        rows = [row for row in ROWS if row.startswith(letter)]
        lines += [
            f"## {letter}: {document.library}",
            "",
            f"{document.place}: [{document.page}]({document.page}).",
            "",
            "| row | what has to work | shown by | state |",
            "|---|---|---|---|",
        ]
        for row in rows:
            shown = by_row.get(row, [])
            by = ", ".join(f"`{test.name}`" for test in shown[:3])
            if len(shown) > 3:
                by += f" and {len(shown) - 3} more"
            state = state_of([states[test] for test in shown])
            if not shown:
                by = why.get(row, "")
                state = "[no test](dropin.md#what-cannot-apply)" if by else "pending"
            lines.append(f"| {row} | {ROWS[row]} | {by} | {state} |")
        lines.append("")
    return "\n".join(lines)


def state_of(states: list[str]) -> str:
    """Of a row, whose tests ended so."""
    for worst in ("failed", "error"):
        if worst in states:
            return "**failed**"
    return "passed" if "passed" in states else "skipped"


def rows_of(text: str) -> dict[str, tuple[str, str]]:
    """What a page says of each row: shown by what, and the state."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 4 and cells[0] in ROWS:
            found[cells[0]] = (cells[2], cells[3])
    return found

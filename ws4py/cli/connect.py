"""``ws4py connect``: lines from stdin become messages, messages become lines on stdout."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ws4py.cli import backends
from ws4py.cli.common import (
    ABNORMAL,
    USAGE,
    Failure,
    StopSignals,
    add_client_options,
    client_arguments,
    no_connection,
    say,
)
from ws4py.client import WebSocketBaseClient
from ws4py.exc import HandshakeError, WebSocketException
from ws4py.messaging import Message, PongControlMessage

__all__ = ["add_parsers"]

#: A server may answer a line after it has read our close frame, and then its answer is lost. So
#: after the end of input we stay until nothing has come for this many seconds.
QUIET = 0.25

EPILOG = """exit status: 0 closed cleanly, 1 could not connect, 2 wrong usage, 3 the server refused
the opening handshake, 4 the connection ended without a clean close"""


def add_parsers(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "connect",
        help="talk to a server, by hand or in a pipe",
        description="Send each line of standard input as a message, print each message as a line.",
        epilog=EPILOG,
    )
    add_client_options(parser)
    clients = backends.names("client")
    parser.add_argument("--backend", choices=clients, default=clients[0], help="how to run it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Connect, pump both ways until the connection is over, and say how that went."""
    base = backends.load(backends.find(options.backend, "client"))
    screen = Screen()
    try:
        client = make_client(base, options, screen)
    except ValueError as exc:
        raise Failure(exc, USAGE) from exc
    open_connection(client)
    screen.note(f"connected to {options.url}; Ctrl-D or Ctrl-C closes")
    with StopSignals() as signals:
        end = threading.Thread(target=wait_for_end, args=(client, signals))
        end.start()
        # A daemon, because nothing wakes a thread that waits for the keyboard.
        threading.Thread(target=client.feed, args=(read_lines(),), daemon=True).start()
        signals.wait()
        client.close()
        end.join()
    return report(client, screen)


def make_client(base: Any, options: argparse.Namespace, screen: Screen) -> Terminal:
    """A client of class ``base`` that is wired to the terminal."""
    client: Terminal = type("TerminalClient", (Terminal, base), {})(
        options.url, **client_arguments(options)
    )
    client.screen = screen
    client.patience = options.timeout
    return client


def open_connection(client: Terminal) -> None:
    """``connect()``, with its errors turned into exit statuses."""
    try:
        client.connect()
    except (HandshakeError, OSError, ValueError, ImportError) as exc:
        raise no_connection(exc) from exc


def wait_for_end(client: Any, signals: StopSignals) -> None:
    """Wake the main thread when the connection is over."""
    client.run_forever()
    signals.stop()


def report(client: Terminal, screen: Screen) -> int:
    """The exit status, and a line about the end where it is no surprise to nobody."""
    info = client.close_info
    assert info is not None
    ending = f"{info.code} {info.reason}".rstrip()
    if not info.clean or info.error is not None:
        raise Failure(f"the connection to {client.url} broke: {ending}", ABNORMAL)
    if info.began_by == "peer":
        say(f"closed by the server: {ending}")
    else:
        screen.note(f"closed: {ending}")
    return 0


def read_lines() -> Iterator[str]:
    """The lines of stdin.

    Reads the descriptor, not ``sys.stdin``: a thread that waits inside ``sys.stdin`` holds a
    lock which the interpreter wants when it exits.
    """
    if sys.stdin is None:  # closed by whoever started us
        return
    fd, encoding = sys.stdin.fileno(), sys.stdin.encoding
    rest = b""
    while data := os.read(fd, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(encoding, "replace")
    if rest:
        yield rest.decode(encoding, "replace")


class Terminal(WebSocketBaseClient):
    """The client, whatever it runs on: messages go to a screen, lines come from somewhere."""

    screen: Screen
    #: Seconds that the last answers may take.
    patience: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ponged = threading.Event()
        self._heard = threading.Event()

    def received_message(self, message: Message) -> None:
        """Print it; when nobody reads any longer (``| head``), close."""
        self._heard.set()
        if not self.screen.show(message):
            self.close()

    def ponged(self, pong: PongControlMessage) -> None:
        """The peer has read all that was sent before our ping."""
        self._ponged.set()

    def feed(self, lines: Iterator[str]) -> None:
        """Send each line; at the end of input wait for the answers and close."""
        try:
            self.screen.prompt()
            for line in lines:
                self.send(line)
                self.screen.prompt()
            self.last_answers()
        except (OSError, WebSocketException):
            pass  # no more input, or no more connection: both are the end of this
        self.close()

    def last_answers(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Stay until the peer has read everything and then nothing has come for a while."""
        end = clock() + self.patience
        self.ping()
        self._ponged.wait(self.patience)
        while clock() < end and self._heard.wait(QUIET):
            self._heard.clear()


class Screen:
    """stdout, and a prompt if a person sits in front of it."""

    def __init__(self) -> None:
        self.is_tty = sys.stdout.isatty()
        self.interactive = self.is_tty and sys.stdin is not None and sys.stdin.isatty()

    def show(self, message: Message) -> bool:
        """Print a message; ``False`` when there is no reader any longer."""
        text = hex_line(message.data) if message.is_binary else str(message)
        if self.is_tty:
            text = harmless(text)
        if self.interactive:
            text = f"\r\x1b[K< {text}\n> "
        try:
            print(text, end="" if self.interactive else "\n", flush=True)
        except BrokenPipeError:
            # The interpreter flushes stdout once more when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return False
        return True

    def prompt(self) -> None:
        """Ask for a line."""
        if self.interactive:
            print("> ", end="", flush=True)

    def note(self, text: str) -> None:
        """Something that only a person wants to know."""
        if self.interactive:
            print(f"\r\x1b[K{text}", file=sys.stderr, flush=True)


def hex_line(data: bytes) -> str:
    """Binary data as one short line."""
    dots = " …" if len(data) > 32 else ""
    return f"binary, {len(data)} B: {data[:32].hex(' ')}{dots}"


def harmless(text: str) -> str:
    """Text without control characters: a server shall not steer the terminal of its client."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)

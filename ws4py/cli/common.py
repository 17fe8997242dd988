"""What the subcommands share: how they fail, how they are asked to stop, how clients are set up."""

from __future__ import annotations

import argparse
import signal
import socket
import ssl
import sys
from types import TracebackType
from typing import Any

from ws4py.exc import HandshakeError
from ws4py.protocol.config import DEFAULT

__all__ = [
    "ABNORMAL",
    "FAILED",
    "HANDSHAKE",
    "INTERRUPTED",
    "USAGE",
    "Failure",
    "StopSignals",
    "add_client_options",
    "client_arguments",
    "no_connection",
    "say",
    "seconds",
]

#: Exit statuses. 2 is what argparse uses, 130 what a shell makes of SIGINT.
FAILED = 1
USAGE = 2
HANDSHAKE = 3
ABNORMAL = 4
INTERRUPTED = 130


class Failure(Exception):
    """Ends the command with one line on stderr and the exit status ``status``."""

    def __init__(self, text: object, status: int = FAILED) -> None:
        super().__init__(" ".join(str(text).split()))
        self.status = status


def say(text: str) -> None:
    """A line about what is going on: on stderr, so that stdout carries nothing but results."""
    print(text, file=sys.stderr, flush=True)


class StopSignals:
    """Ctrl-C and SIGTERM as something to wait for. For the main thread.

    Inside the ``with`` block the first signal ends ``wait()``; a second one kills the process, so
    that nobody has to wait for good manners. No exception is raised in the middle of other code.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> StopSignals:
        # A byte through a socket wakes the main thread on every platform, Windows included.
        self._waiting, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._before = {number: signal.signal(number, self._first) for number in self.NUMBERS}
        self._fd_before = signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        return self

    def _first(self, number: int, frame: object) -> None:
        for each in self.NUMBERS:
            signal.signal(each, signal.SIG_DFL)

    def wait(self, timeout: float | None = None) -> bool:
        """Until the first signal or ``stop()``; ``False`` after ``timeout`` seconds without."""
        self._waiting.settimeout(timeout)
        try:
            self._waiting.recv(1)
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """End ``wait()`` without a signal. Any thread."""
        self._waking.send(b"\0")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._waiting.close()
        self._waking.close()


# -- clients -------------------------------------------------------------------------------


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Declare the URL, and what there is to say about connecting to it."""
    parser.add_argument("url", metavar="URL", help="ws://, wss://, ws+unix:// or wss+unix://")
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        type=header,
        help="send this header; may be repeated",
    )
    parser.add_argument(
        "--subprotocol",
        metavar="NAME",
        action="append",
        default=[],
        help="offer this subprotocol; may be repeated, best first",
    )
    parser.add_argument(
        "--ca", metavar="FILE", type=readable, help="trust the authorities in this PEM file"
    )
    parser.add_argument("--insecure", action="store_true", help="do not verify the certificate")
    parser.add_argument("--no-compression", action="store_true", help="do not offer compression")
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="go through this proxy, or with 'none' through none (default: of the environment)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=DEFAULT.open_timeout,
        help="for connecting, and for the last answers and closing (default: %(default)g)",
    )


def header(text: str) -> tuple[str, str]:
    """A header as curl wants it."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"not of the form 'Name: value': {text!r}")
    return name.strip(), value.strip()


def readable(path: str) -> str:
    """A file that can be read; TLS itself does not say which one it misses."""
    try:
        with open(path, "rb"):
            return path
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {exc.strerror}") from exc


def seconds(text: str) -> float:
    """A time that makes sense as a timeout."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a positive number of seconds: {text!r}")
    return value


def client_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """What ``add_client_options`` has read, as arguments for ``WebSocketBaseClient``."""
    config = DEFAULT.replace(open_timeout=options.timeout, close_timeout=options.timeout)
    if options.no_compression:
        config = config.replace(compression=None)
    ssl_options: dict[str, Any] = {}
    if options.ca:
        ssl_options["ca_certs"] = options.ca
    if options.insecure:
        ssl_options["cert_reqs"] = ssl.CERT_NONE
    return {
        "protocols": options.subprotocol,
        "ssl_options": ssl_options,
        "headers": options.header,
        "config": config,
        "proxy": {None: True, "none": None}.get(options.proxy, options.proxy),
    }


def no_connection(exc: Exception) -> Failure:
    """How the command ends when ``connect()`` has raised ``exc``."""
    if isinstance(exc, HandshakeError):
        return Failure(exc, HANDSHAKE)
    if isinstance(exc, OSError):  # before ValueError: a certificate that is not trusted is both
        return Failure(exc.strerror or exc, FAILED)
    return Failure(exc, USAGE if isinstance(exc, ValueError) else FAILED)

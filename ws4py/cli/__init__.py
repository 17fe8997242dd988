"""The ``ws4py`` command: reads the arguments and hands over to the module of the subcommand.

Modules here translate between a terminal and the package. They must never know close codes,
opcodes, limits or timers of the protocol.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from ws4py._version import __version__
from ws4py.cli.common import INTERRUPTED, USAGE, Failure

__all__ = ["main"]

#: Subcommands, in the order of ``--help``: each module has ``add_parsers(subparsers)``.
COMMANDS = ("demo", "serve", "connect", "bench", "doctor")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="ws4py",
        description="WebSocket servers and clients, from the command line.",
        epilog="Try `ws4py demo`, and `ws4py COMMAND --help` for the options of one command.",
    )
    parser.add_argument("--version", action="version", version=f"ws4py {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"ws4py.cli.{name}").add_parsers(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; ``argv`` defaults to ``sys.argv[1:]``.

    An error becomes one line on stderr. Raises ``SystemExit`` for ``--help`` and bad usage, as
    argparse does.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    if not hasattr(options, "run"):
        parser.print_help(sys.stderr)
        return USAGE
    # What goes wrong inside a handler is logged, and somebody has to see it.
    logging.basicConfig(format="%(name)s: %(message)s")
    try:
        status: int = options.run(options)
    except Failure as exc:
        print(f"ws4py: {exc}", file=sys.stderr)
        return exc.status
    except KeyboardInterrupt:
        return INTERRUPTED
    return status

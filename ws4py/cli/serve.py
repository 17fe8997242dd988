"""``ws4py serve`` and ``ws4py echo``: a ``WebSocket`` class on any backend."""

from __future__ import annotations

import argparse
import importlib
import os
import ssl
import sys
from typing import Any

from ws4py.cli import backends
from ws4py.cli.common import USAGE, Failure, StopSignals, say
from ws4py.protocol.config import DEFAULT
from ws4py.websocket import EchoWebSocket, WebSocket

__all__ = ["add_parsers", "authority", "find_handler"]


def add_parsers(subparsers: Any) -> None:
    """Declare both subcommands."""
    parser = subparsers.add_parser(
        "serve",
        help="serve a WebSocket class of yours",
        description="Serve a subclass of ws4py.websocket.WebSocket until Ctrl-C or SIGTERM.",
    )
    parser.add_argument(
        "target", metavar="MODULE:CLASS", help="where it is; the current directory is searched too"
    )
    add_options(parser)
    parser.set_defaults(run=run_serve)
    parser = subparsers.add_parser(
        "echo",
        help="serve an echo",
        description="Send every message back as it came, until Ctrl-C or SIGTERM.",
    )
    add_options(parser)
    parser.set_defaults(run=run_echo)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What both have in common."""
    servers = backends.names("server")
    parser.add_argument(
        "--backend",
        choices=servers,
        default=servers[0],
        help="what drives the connections (default: %(default)s)",
    )
    parser.add_argument(
        "--poller",
        choices=[name for name, _, _ in backends.POLLERS],
        help="how the managed backend waits (default: the best of this platform)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=port, default=9000, help="default: %(default)s; 0 takes any free one"
    )
    parser.add_argument("--cert", metavar="FILE", help="serve wss:// with this PEM certificate")
    parser.add_argument("--key", metavar="FILE", help="its private key, if not in the same file")
    parser.add_argument("--no-compression", action="store_true", help="do not accept compression")


def port(text: str) -> int:
    """A TCP port."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


def run_serve(options: argparse.Namespace) -> int:
    """Find the class and serve it."""
    # `python -m` has the current directory on the path already, a console script has not.
    sys.path.insert(0, os.getcwd())
    return serve(find_handler(options.target), options.target, options)


def run_echo(options: argparse.Namespace) -> int:
    """Serve the echo."""
    return serve(EchoWebSocket, "echo", options)


def find_handler(target: str) -> type[WebSocket]:
    """The class that ``MODULE:CLASS`` names. Raises ``Failure``.

    An error inside the module comes through with its traceback: it is the user's to see.
    """
    name, colon, attribute = target.partition(":")
    if not (name and colon and attribute):
        raise Failure(f"{target!r} is not of the form MODULE:CLASS, like chat:Room", USAGE)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise
        raise Failure(
            f"there is no module {exc.name!r} in {os.getcwd()} or among the installed packages"
        ) from exc
    found = getattr(module, attribute, None)
    if isinstance(found, type) and issubclass(found, WebSocket):
        return found
    others = sorted(
        each.__name__
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, WebSocket) and each.__module__ == name
    )
    hint = f"; it has {', '.join(others)}" if others else ""
    what = "is no subclass of WebSocket" if found is not None else "is not there"
    raise Failure(f"{attribute} in {module.__file__} {what}{hint}")


def serve(handler: type[WebSocket], what: str, options: argparse.Namespace) -> int:
    """Serve until a signal; then close every connection politely."""
    server, how = make_server(handler, options)
    scheme = "wss" if options.cert else "ws"
    with StopSignals() as signals:
        server.start()
        say(f"serving {what} on {scheme}://{authority(options.host, server.port)}/ ({how})")
        signals.wait()
        say("closing the connections; a second signal cuts them")
        server.close()
    return 0


def make_server(handler: type[WebSocket], options: argparse.Namespace) -> tuple[Any, str]:
    """A listening server, and in a few words how it works."""
    backend = backends.find(options.backend, "server")
    how, arguments = backend.name, {}
    if backend.polls:
        available = backends.pollers()
        name = options.poller or next(iter(available))
        if name not in available:
            raise Failure(f"no {name} on this platform; it has {', '.join(available)}", USAGE)
        how, arguments = f"{how}, {name}", {"poller": available[name]()}
    elif options.poller:
        raise Failure(f"--poller is for the managed backend, not for {backend.name}", USAGE)
    config = DEFAULT.replace(compression=None) if options.no_compression else DEFAULT
    tls = make_tls(options.cert, options.key)
    target = backends.load(backend)
    try:
        server = target(handler, options.host, options.port, ssl=tls, config=config, **arguments)
    except OSError as exc:
        raise Failure(exc.strerror or exc) from exc
    return server, how


def make_tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """The TLS context of a server. Raises ``Failure`` for files that do not serve."""
    if cert is None:
        if key is not None:
            raise Failure("--key needs --cert", USAGE)
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as exc:
        files = f"{cert} and {key}" if key else cert
        advice = "are both PEM files, and do they belong together?"
        raise Failure(f"cannot use {files} for TLS ({exc.strerror or exc}): {advice}") from exc
    return context


def authority(host: str, port: int) -> str:
    """Host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""Tornado for the conformance tests: its loop is asyncio's, on a thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

TORNADO_CANNOT = {
    "process_request": "the other handlers of the application answer ordinary requests",
    "open_timeout": "Tornado reads the head; its timeout closes without a word",
    "strict heads": "Tornado reads the head",
    "bodies": "Tornado reads the body before it asks the handler",
}


def tornado_server(handler: Any, **options: Any) -> Any:
    """An application of one route."""
    pytest.importorskip("tornado")
    from backends import Served

    from ws4py.cli.tornado import Server
    from ws4py.server import listen_unix

    path = options.pop("unix_path", None)
    server = Server(handler, sockets=[listen_unix(path, 128)] if path else None, **options)
    server.start()
    return Served(path or server.port, server.close, server.manager.broadcast)


def tornado_client(hooks: type, url: str, **options: Any) -> Any:
    """Connected on a loop that runs already."""
    pytest.importorskip("tornado")
    from asyncio_backends import client

    from ws4py.client.tornadoclient import TornadoWebSocketClient

    return client(asyncio.new_event_loop, TornadoWebSocketClient)(hooks, url, **options)

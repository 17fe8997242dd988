"""ASGI for the conformance tests: the application under uvicorn, with its protocols and ours."""

from __future__ import annotations

from typing import Any

import pytest

#: What is the server's business as long as it has a request before it.
UVICORN_CANNOT = {
    "process_request": "the ASGI application around ours answers ordinary requests",
    "open_timeout": "the server reads the head",
    "strict heads": "the server reads the head",
    "cutting handshakes": "the server reads the head",
    "early bytes": "uvicorn drops what comes right behind the request",
    "token lists": "uvicorn takes no list in an Upgrade header",
}
#: ... and where the frames are made by somebody else.
ASGI_CANNOT = {
    **UVICORN_CANNOT,
    "socket": "the server keeps it, and what it has not written yet",
    "pings": "ASGI knows none; the server sends and answers its own",
    "frames": "ASGI has whole messages, which applications answer when they come to it",
    "cutting": "ASGI cannot cut a connection, only close it",
    "errors": "ASGI tells how a connection ended, not why",
    "heads": "the server checks them",
    "the peer's end": "uvicorn tells the code that we sent, and 1005 for a lost connection",
}


def uvicorn_backend(ws: str, **settings: Any) -> Any:
    """The application under uvicorn with this protocol class."""

    def start(handler: Any, **options: Any) -> Any:
        pytest.importorskip("uvicorn")
        from backends import Served

        from ws4py.cli.asgi import Server
        from ws4py.server import listen_unix

        path = options.pop("unix_path", None)
        server = Server(
            handler,
            sockets=[listen_unix(path, 128)] if path else None,
            settings={"ws": ws, "loop": "asyncio", "timeout_graceful_shutdown": 2, **settings},
            **options,
        )
        server.start()
        return Served(path or server.port, server.close, server.application.broadcast)

    return start

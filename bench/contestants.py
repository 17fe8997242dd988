"""The one table of contestants: adding one is one line here and a script.

In a command ``{py}`` is the interpreter of the environment, ``{port}``, ``{mode}`` (echo, sink or
broadcast) and ``{bin}`` (where the C programs are) are filled in. Scripts are in ``servers/`` and
``clients/``. A contestant whose environment does not exist is left out, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What stands for this checkout among the requirements of an environment.
PROJECT = "ws4py from this checkout"


@dataclass(frozen=True)
class Environment:
    """A virtual environment. ``build``: ``WS4PY_BUILD`` when the project is built for it."""

    python: str
    requirements: tuple[str, ...]
    build: str = "yes"


ENVIRONMENTS = {
    "new311": Environment(
        "3.11", (PROJECT, "cherrypy", "httptools", "tornado", "uvicorn", "uvloop")
    ),
    "new313": Environment("3.13", (PROJECT, "uvloop")),
    "pure311": Environment("3.11", (PROJECT,), build="no"),
    "gevent311": Environment("3.11", (PROJECT, "gevent")),
    "old311": Environment("3.11", ("ws4py==0.6.0", "cherrypy", "gevent")),
    "peers311": Environment(
        "3.11",
        (
            "aiohttp",
            "gevent",
            "gevent-websocket",
            "picows",
            "socketify",
            "httptools",
            "tornado",
            "uvicorn",
            "uvloop",
            "websocket-client",
            "websockets",
            "wsaccel",
            "wsproto",
        ),
    ),
    "peers313": Environment("3.13", ("picows", "uvloop")),
}


@dataclass(frozen=True)
class Contestant:
    """A server or a client. ``headline``: only takes part in the rows that tell most."""

    command: str
    environment: str | None = None
    headline: bool = False
    modes: tuple[str, ...] = ("echo", "sink", "broadcast")


#: What everything is compared with.
LIMIT = "C limit"

#: What uvicorn is given, and ws4py's protocol class for it.
UVICORN = "{port} {mode} uvloop"
WS4PY = "ws4py.server.asgi:WebSocketProtocol"

SERVERS = {
    LIMIT: Contestant("{bin}/limit_server {port} {mode}"),
    "ws4py": Contestant("{py} ws4py_managed.py {port} {mode}", "new311"),
    "ws4py@3.13": Contestant("{py} ws4py_managed.py {port} {mode}", "new313"),
    "ws4py-pure": Contestant("{py} ws4py_managed.py {port} {mode}", "pure311"),
    "ws4py-asyncio": Contestant("{py} ws4py_asyncio.py {port} {mode}", "new311"),
    "ws4py-asyncio+uvloop": Contestant("{py} ws4py_asyncio.py {port} {mode} uvloop", "new311"),
    "ws4py-asyncio+uvloop@3.13": Contestant("{py} ws4py_asyncio.py {port} {mode} uvloop", "new313"),
    "ws4py-awaited+uvloop": Contestant("{py} ws4py_awaited.py {port} {mode} uvloop", "new311"),
    "ws4py-tornado": Contestant("{py} ws4py_tornado.py {port} {mode}", "new311"),
    "ws4py-cherrypy": Contestant("{py} ws4py_cherrypy.py {port} {mode}", "new311"),
    "ws4py-asgi+uvloop": Contestant(f"{{py}} ws4py_asgi.py {UVICORN} {WS4PY}", "new311"),
    "uvicorn-ws4py+uvloop": Contestant(f"{{py}} uvicorn_server.py {UVICORN} {WS4PY}", "new311"),
    "picows-low": Contestant("{py} picows_low.py {port} {mode}", "peers311"),
    "picows-low+uvloop": Contestant("{py} picows_low.py {port} {mode} uvloop", "peers311"),
    "picows-low@3.13": Contestant("{py} picows_low.py {port} {mode}", "peers313"),
    "picows-low+uvloop@3.13": Contestant("{py} picows_low.py {port} {mode} uvloop", "peers313"),
    "picows-high": Contestant("{py} picows_high.py {port} {mode}", "peers311", headline=True),
    "picows-high+uvloop": Contestant(
        "{py} picows_high.py {port} {mode} uvloop", "peers311", headline=True
    ),
    "socketify": Contestant("{py} socketify_server.py {port} {mode}", "peers311", headline=True),
    "websockets+uvloop": Contestant(
        "{py} websockets_asyncio.py {port} {mode} uvloop", "peers311", headline=True
    ),
    "websockets-sync": Contestant(
        "{py} websockets_sync.py {port} {mode}", "peers311", headline=True
    ),
    "aiohttp+uvloop": Contestant(
        "{py} aiohttp_server.py {port} {mode} uvloop", "peers311", headline=True
    ),
    "wsproto+uvloop": Contestant(
        "{py} wsproto_asyncio.py {port} {mode} uvloop", "peers311", headline=True
    ),
    "tornado": Contestant("{py} tornado_server.py {port} {mode}", "peers311", headline=True),
    "uvicorn-websockets+uvloop": Contestant(
        f"{{py}} uvicorn_server.py {UVICORN} websockets-sansio", "peers311", headline=True
    ),
    "uvicorn-wsproto+uvloop": Contestant(
        f"{{py}} uvicorn_server.py {UVICORN} wsproto", "peers311", headline=True
    ),
    "ws4py-0.6-cherrypy": Contestant("{py} ws4py_cherrypy.py {port} {mode}", "old311"),
    "ws4py-0.6-wsgiref": Contestant("{py} ws4py_wsgiref.py {port} {mode}", "old311", headline=True),
    "ws4py-gevent": Contestant("{py} ws4py_gevent.py {port} {mode}", "gevent311"),
    "ws4py-0.6-gevent": Contestant("{py} ws4py_gevent.py {port} {mode}", "old311", headline=True),
    "gevent-websocket": Contestant(
        "{py} gevent_websocket_server.py {port} {mode}", "peers311", headline=True
    ),
}

#: Run as ``COMMAND PORT WHAT SIZE AMOUNT [LOOP]``; the loop is part of the command's end here.
CLIENTS = {
    LIMIT: Contestant("{bin}/wsload"),
    "C spinning": Contestant("{bin}/wsload --spin", modes=("rt",)),
    "ws4py": Contestant("{py} ws4py_threaded.py {args}", "new311"),
    "ws4py-sync": Contestant("{py} ws4py_sync.py {args}", "new311"),
    "ws4py-gevent": Contestant("{py} ws4py_gevent.py {args}", "gevent311"),
    "ws4py@3.13": Contestant("{py} ws4py_threaded.py {args}", "new313"),
    "ws4py-pure": Contestant("{py} ws4py_threaded.py {args}", "pure311"),
    "ws4py-asyncio+uvloop": Contestant("{py} ws4py_asyncio.py {args} uvloop", "new311"),
    "ws4py-awaited+uvloop": Contestant("{py} ws4py_awaited.py {args} uvloop", "new311"),
    "picows-low": Contestant("{py} picows_low.py {args}", "peers311"),
    "picows-low+uvloop": Contestant("{py} picows_low.py {args} uvloop", "peers311"),
    "picows-low@3.13": Contestant("{py} picows_low.py {args}", "peers313", modes=("recv",)),
    "picows-low+uvloop@3.13": Contestant(
        "{py} picows_low.py {args} uvloop", "peers313", modes=("recv",)
    ),
    "picows-high+uvloop": Contestant("{py} picows_high.py {args} uvloop", "peers311"),
    "websocket-client": Contestant("{py} websocket_client.py {args}", "peers311"),
    "websockets-sync": Contestant("{py} websockets_sync.py {args}", "peers311"),
    "websockets+uvloop": Contestant("{py} websockets_asyncio.py {args} uvloop", "peers311"),
    "aiohttp+uvloop": Contestant("{py} aiohttp_client.py {args} uvloop", "peers311"),
    "ws4py-0.6": Contestant("{py} ws4py_threaded.py {args}", "old311"),
    "ws4py-0.6-gevent": Contestant("{py} ws4py_gevent.py {args}", "old311"),
}

#: Who takes part in the memory rows: opening 10,000 connections takes its time.
IDLERS = (
    LIMIT,
    "ws4py",
    "ws4py@3.13",
    "ws4py-pure",
    "ws4py-gevent",
    "picows-low+uvloop",
    "websockets+uvloop",
    "aiohttp+uvloop",
)

"""``websockets.asyncio.router``."""

from __future__ import annotations

import functools

from ws4py.dropin.websockets import routing
from ws4py.dropin.websockets.asyncio.server import serve
from ws4py.dropin.websockets.routing import Router

__all__ = ["Router", "route", "unix_route"]

route = functools.partial(routing.route, serve)
unix_route = functools.partial(routing.unix_route, serve)

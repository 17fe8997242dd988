"""``route``: one handler for each pattern of URLs, by a ``werkzeug.routing.Map``."""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

__all__ = ["Router", "route", "unix_route"]


class Router:
    """Finds the handler of a request in ``url_map``."""

    def __init__(
        self, url_map: Any, server_name: str | None = None, url_scheme: str = "ws"
    ) -> None:
        self.url_map = url_map
        self.server_name = server_name
        self.url_scheme = url_scheme
        for rule in url_map.iter_rules():
            rule.websocket = True

    def get_server_name(self, connection: Any, request: Any) -> str:
        """The name under which clients know the server."""
        return self.server_name or request.headers["Host"]

    def redirect(self, connection: Any, url: str) -> Any:
        """The answer for a rule that redirects."""
        response = connection.respond(302, f"Found at {url}")
        response.headers["Location"] = url
        return response

    def not_found(self, connection: Any) -> Any:
        """The answer where no rule matches."""
        return connection.respond(404, "Not Found")

    def route_request(self, connection: Any, request: Any) -> Any:
        """A ``process_request``: the handler is in ``connection.handler`` afterwards."""
        from werkzeug.exceptions import NotFound
        from werkzeug.routing import RequestRedirect

        adapter = self.url_map.bind(
            server_name=self.get_server_name(connection, request), url_scheme=self.url_scheme
        )
        parsed = urllib.parse.urlparse(request.path)
        try:
            found = adapter.match(path_info=parsed.path, query_args=parsed.query)
        except RequestRedirect as redirect:
            return self.redirect(connection, redirect.new_url)
        except NotFound:
            return self.not_found(connection)
        connection.handler, connection.handler_kwargs = found
        return None

    def handler(self, connection: Any) -> Any:
        """Call the handler that was found."""
        return connection.handler(connection, **connection.handler_kwargs)


def route(serve: Callable[..., Any], url_map: Any, *args: Any, **options: Any) -> Any:
    """``serve``, with handlers from ``url_map``; ``ssl=True`` where a proxy in front ends TLS."""
    try:
        import werkzeug.routing  # noqa: F401
    except ImportError:
        raise ImportError("route() needs werkzeug: pip install werkzeug") from None
    ssl = options.pop("ssl", None)
    name = options.pop("server_name", None)
    make = options.pop("create_router", None) or Router
    router = make(url_map, name, "ws" if ssl is None else "wss")
    first = options.pop("process_request", None)
    if ssl is not True and ssl is not None:
        options["ssl"] = ssl
    process = router.route_request if first is None else functools.partial(_both, first, router)
    return serve(router.handler, *args, process_request=process, **options)


def unix_route(serve: Callable[..., Any], url_map: Any, path: Any = None, **options: Any) -> Any:
    """The same on the Unix socket at ``path``."""
    return route(serve, url_map, unix=True, path=path, **options)


def _both(first: Callable[..., Any], router: Any, connection: Any, request: Any) -> Any:
    """The program's ``process_request``, then the routing."""
    result = first(connection, request)
    if not isawaitable(result):
        return router.route_request(connection, request) if result is None else result

    async def later() -> Any:
        answer = await result
        return router.route_request(connection, request) if answer is None else answer

    return later()

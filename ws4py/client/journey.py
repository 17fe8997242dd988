"""From the URL that was asked for to the server that takes the connection, request by request.

Which headers each request has, with whose secrets, what follows from an answer (a redirect, a
question who one is, cookies), and what is not followed. This module must never know sockets,
time or frames: the way to each server is that of ``client.route``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from urllib.parse import urldefrag, urljoin

from ws4py.client.auth import Auth, Pairs, login
from ws4py.client.cookies import Cookies, cookie_text, is_jar, keep_cookies
from ws4py.exc import HandshakeError
from ws4py.protocol.headers import Headers, excerpt
from ws4py.protocol.http import REASONS
from ws4py.protocol.uri import Uri, parse_uri

__all__ = ["GivenHeaders", "Journey", "header_pairs"]

#: Headers as they may be given.
SomeHeaders = Iterable[tuple[str, str]] | Mapping[str, str] | Headers
#: The same, or what gives them, called at each attempt.
GivenHeaders = SomeHeaders | Callable[[], SomeHeaders | Awaitable[SomeHeaders]]

#: RFC 9110 section 15.4. The method is GET anyway, so they are all the same.
REDIRECTS = (301, 302, 303, 307, 308)
#: What is meant for the origin that was asked for, and for nobody else.
SECRETS = ("authorization", "cookie", "host", "proxy-authorization")
#: How often in a row somebody may be asked who he is; Digest takes two, with a stale nonce three.
MAX_QUESTIONS = 5


def header_pairs(headers: SomeHeaders | None) -> Pairs:
    """Headers as pairs, however they were given."""
    if headers is None:
        return []
    if isinstance(headers, Mapping | Headers):
        return list(headers.items())
    return [(name, value) for name, value in headers]


class Journey:
    """The requests of one opening. ``uri``: where the next one goes."""

    def __init__(
        self,
        uri: Uri,
        *,
        headers: SomeHeaders | None = None,
        cookies: Cookies | None = None,
        auth: Auth | None = None,
        max_redirects: int = 10,
    ) -> None:
        self.uri = uri
        self._headers = header_pairs(headers)
        self._cookies = cookies
        self._login = login(auth)
        self._credentials = self._login.headers(uri) if self._login else []
        self._max_redirects = max_redirects
        self._redirects = 0
        self._questions = 0

    @property
    def headers(self) -> Pairs:
        """Those of the next request, besides the standard ones."""
        own = Headers(self._credentials)
        rest = [pair for pair in self._headers if pair[0] not in own or pair[0].lower() == "cookie"]
        cookies = [value for name, value in rest if name.lower() == "cookie"]
        cookies += [*own.get_all("cookie"), cookie_text(self._cookies, self.uri)]
        pairs = [pair for pair in [*own.items(), *rest] if pair[0].lower() != "cookie"]
        together = "; ".join(filter(None, cookies))
        return [*pairs, ("Cookie", together)] if together else pairs

    def accepted(self, headers: Iterable[tuple[str, str]]) -> None:
        """The server has taken the connection, with these headers."""
        keep_cookies(self._cookies, self.uri, headers)

    def refused(self, error: HandshakeError) -> None:
        """What follows from this answer: another request, or the error is raised."""
        keep_cookies(self._cookies, self.uri, error.headers)
        places = Headers(error.headers).get_all("location")
        if error.status in REDIRECTS and len(places) == 1:
            self._follow(error, places[0])
            return
        again = None
        if self._login is not None and self._questions < MAX_QUESTIONS:
            self._questions += 1
            again = self._login.refused(error)
        if again is None:
            raise error
        self._credentials = again

    def _follow(self, error: HandshakeError, place: str) -> None:
        try:
            target = self._target(place)
        except ValueError as why:
            reason = REASONS.get(error.status or 0, "")
            text = (
                f"{self.uri} answered {error.status} {reason} and redirects to "
                f"{excerpt(place, 200)}, which is not followed: {str(why)[:400]}"
            )
            raise HandshakeError(text, error.status, error.headers, error.body) from error
        self._redirects += 1
        self._questions = 0
        if not _same_origin(self.uri, target):
            self._headers = [pair for pair in self._headers if pair[0].lower() not in SECRETS]
            self._cookies = self._cookies if is_jar(self._cookies) else None
            self._login = None
        self._credentials = self._login.headers(target) if self._login else []
        self.uri = target

    def _target(self, place: str) -> Uri:
        """Where ``Location`` points; ``ValueError`` saying why one does not go there."""
        uri, limit = self.uri, self._max_redirects
        if self._redirects >= limit:
            many = f"there were {limit} redirects already: a circle? " if limit else ""
            raise ValueError(f"{many}Config.max_redirects is {limit}")
        # As http, so that a path stays relative whatever the scheme; and in UTF-8, as is usual.
        base = f"{uri.origin}{uri.resource}"
        place = place.encode("latin-1", "replace").decode("utf-8", "replace")
        url = urldefrag(urljoin(base, place)).url
        if url.partition(":")[0].lower().endswith("+unix"):
            raise ValueError("no server chooses a Unix socket on this machine")
        target = parse_uri(url)
        # Who asks is known already; a user name in there is the server's idea.
        target = replace(target, userinfo=None)
        if uri.unix_path is not None and target.origin == uri.origin:
            return replace(uri, resource=target.resource)
        if uri.secure and not target.secure:
            raise ValueError(f"it would give up TLS; connect to {target} if that is what you want")
        return replace(target, userinfo=uri.userinfo) if _same_origin(uri, target) else target


def _same_origin(uri: Uri, target: Uri) -> bool:
    """Whether ``target`` is where secrets for ``uri`` belong: there, or there with TLS added."""
    if (uri.host, uri.unix_path) != (target.host, target.unix_path):
        return False
    if (uri.secure, uri.port) == (target.secure, target.port):
        return True
    return (uri.secure, uri.port, target.secure, target.port) == (False, 80, True, 443)

"""Who a client is: Basic, bearer tokens, and whatever httpx can do (Digest and the like).

An authentication of httpx's is a generator of requests that takes answers; it does no I/O, so it
serves here as it is. This module must never know sockets, nor show a password or token in a text.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol, Union

from ws4py._extras import missing
from ws4py.exc import HandshakeError
from ws4py.protocol.uri import Uri

if TYPE_CHECKING:
    import httpx

__all__ = ["Auth", "Bearer", "Digest", "Login", "login"]

#: As headers of a request.
Pairs = list[tuple[str, str]]
#: What belongs to the answer's body on the wire, which is decoded already.
_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


class Login(Protocol):
    """Who somebody is, for as long as one opening takes."""

    def headers(self, uri: Uri) -> Pairs:
        """What a request for ``uri`` says about it."""

    def refused(self, error: HandshakeError) -> Pairs | None:
        """What to say instead after this answer; ``None`` when there is no more to say."""


class _Fixed:
    """Says the same always."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def headers(self, uri: Uri) -> Pairs:
        return [("Authorization", self._authorization)]

    def refused(self, error: HandshakeError) -> None:
        return None


class Bearer(_Fixed):
    """A token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        super().__init__(f"Bearer {token}")

    def __repr__(self) -> str:
        return "<Bearer …>"


class _Flow:
    """An authentication of httpx's."""

    def __init__(self, auth: httpx.Auth) -> None:
        self._auth = auth
        self._flow: Generator[httpx.Request, httpx.Response, None] | None = None
        self._request: Any = None

    def headers(self, uri: Uri) -> Pairs:
        httpx = _httpx()
        self._flow = self._auth.sync_auth_flow(httpx.Request("GET", f"{uri.origin}{uri.resource}"))
        self._request = next(self._flow)
        return self._pairs()

    def refused(self, error: HandshakeError) -> Pairs | None:
        if self._flow is None or error.status is None:
            return None
        answer = _httpx().Response(
            error.status,
            headers=[pair for pair in error.headers if pair[0].lower() not in _OF_THE_BODY],
            content=error.body,
            request=self._request,
        )
        try:
            self._request = self._flow.send(answer)
        except StopIteration:
            return None
        except Exception as exc:  # whatever a server can make it stumble over
            text = f"{error}; logging in failed ({type(exc).__name__}: {exc})"
            raise HandshakeError(text, error.status, error.headers, error.body) from exc
        return self._pairs()

    def _pairs(self) -> Pairs:
        """What it has added."""
        return [(n, v) for n, v in self._request.headers.multi_items() if n.lower() != "host"]


#: As it may be given: ``(user, password)``, ``Bearer``, or an ``httpx.Auth``.
Auth = Union[tuple[str, str], Bearer, "httpx.Auth"]


def login(auth: Auth | None) -> Login | None:
    """What ``auth`` says. Raises ``TypeError`` for what it may not be."""
    if auth is None or isinstance(auth, Bearer):
        return auth
    if isinstance(auth, tuple) and len(auth) == 2:
        encoded = b64encode(":".join(auth).encode("utf-8")).decode("ascii")
        return _Fixed(f"Basic {encoded}")
    if hasattr(auth, "sync_auth_flow"):
        return _Flow(auth)
    kind = type(auth).__name__  # not the value, which may be a secret
    raise TypeError(
        f"auth has to be (user, password), Bearer(token) or an httpx.Auth, not of type {kind}"
    )


def Digest(user: str, password: str) -> httpx.Auth:
    """Digest (RFC 7616), by httpx: ``ImportError`` naming the extra where that is missing.

    Keep it for reconnecting: it answers the same challenge again without being asked.
    """
    auth: httpx.Auth = _httpx().DigestAuth(user, password)
    return auth


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as exc:
        raise missing(__name__, "digest", exc) from exc
    return httpx

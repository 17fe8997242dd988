"""``basic_auth()``: HTTP Basic Authentication as a ``process_request``."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Any

from ws4py.dropin.websockets.answering import then
from ws4py.dropin.websockets.http11 import Request, Response

__all__ = ["basic_auth"]


def basic_auth(
    realm: str = "",
    credentials: Any = None,
    check_credentials: Callable[[str, str], Any] | None = None,
) -> Callable[[Any, Request], Any]:
    """For ``serve(…, process_request=basic_auth(…))``; sets ``connection.username``.

    ``credentials``: a pair of user name and password, or a list of pairs. ``check_credentials``:
    a function, perhaps of coroutines, of user name and password, instead.
    """
    if (credentials is None) == (check_credentials is None):
        raise ValueError("provide either credentials or check_credentials")
    if check_credentials is None:
        check_credentials = _checker(credentials)
    challenge = f'Basic realm="{realm}", charset="UTF-8"'

    def refuse(connection: Any, text: str) -> Response:
        response: Response = connection.respond(401, text)
        response.headers["WWW-Authenticate"] = challenge
        return response

    def process_request(connection: Any, request: Request) -> Any:
        given = request.headers.get_all("Authorization")
        login = _read(given[0]) if len(given) == 1 else None
        if login is None:
            return refuse(connection, "Missing or unsupported credentials\n")

        def conclude(valid: Any) -> Response | None:
            if not valid:
                return refuse(connection, "Invalid credentials\n")
            connection.username = login[0]
            return None

        return then(check_credentials(*login), conclude)

    return process_request


def _checker(credentials: Any) -> Callable[[str, str], bool]:
    pairs = [credentials] if _is_pair(credentials) else credentials
    if not isinstance(pairs, list | tuple) or not all(map(_is_pair, pairs)):
        raise TypeError(f"invalid credentials argument: {credentials}")
    known = dict(pairs)

    def check(username: str, password: str) -> bool:
        # Compared in any case, so that the time says nothing about who is known.
        same = hmac.compare_digest(known.get(username, "").encode(), password.encode())
        return same and username in known

    return check


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(each, str) for each in value)
    )


def _read(header: str) -> tuple[str, str] | None:
    """User name and password; ``None`` for what is not Basic, or broken."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (username, password) if colon else None

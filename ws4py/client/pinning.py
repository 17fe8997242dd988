"""A TLS context that accepts one certificate only, known by its fingerprint.

For servers whose certificate no authority has signed. The check is a part of the TLS handshake:
nothing is sent to anybody else. This module must never know URLs, sockets or who waits.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from typing import Any

__all__ = ["FingerprintMismatch", "pinned"]


class FingerprintMismatch(OSError):
    """The server has another certificate; ``got`` is its SHA-256."""

    def __init__(self, expected: bytes, got: bytes) -> None:
        super().__init__(
            f"the certificate of the server has the SHA-256 {got.hex()}, not {expected.hex()}: "
            "was it renewed, or is this another server?"
        )
        self.expected = expected
        self.got = got


def pinned(fingerprint: bytes, context: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """A context for the certificate whose SHA-256 is ``fingerprint``: for ``ssl_options``.

    ``context`` is changed to demand that, too; without one, nothing else is asked of the
    certificate. Raises ``ValueError`` for what is no SHA-256.
    """
    if len(fingerprint) != hashlib.sha256().digest_size:
        raise ValueError(f"a SHA-256 has 32 bytes, not {len(fingerprint)}")
    if context is None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def check(end: Any) -> None:
        got = hashlib.sha256(end.getpeercert(True) or b"").digest()
        if not hmac.compare_digest(got, fingerprint):
            raise FingerprintMismatch(fingerprint, got)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self)

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check(self)

    context.sslsocket_class = PinnedSocket
    context.sslobject_class = PinnedObject
    return context

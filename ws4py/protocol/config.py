"""Policy: every limit, timeout and default of a connection, with its reason beside it.

One frozen ``Config`` is shared by all connections of a server or client; what differs from
connection to connection lives elsewhere. This module must never know bytes, sockets or time.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["DEFAULT", "Compression", "Config"]

#: What happens to a message that is sent while more than ``high_water`` bytes wait already.
Overflow = Literal["block", "drop", "close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """Parameters of permessage-deflate (RFC 7692 section 7.1).

    Raises ``ValueError`` for values that the RFC or zlib do not allow.
    """

    #: 12 bits cost a quarter of the memory of 15 and lose a few percent of ratio; what the
    #: widely used servers negotiate. 8 is legal on the wire but zlib cannot produce it.
    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    #: Forgetting the window after each message saves memory and loses most of the ratio.
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    #: Messages below this many bytes go uncompressed: the deflate call costs more than they do.
    threshold: int = 1024
    #: zlib's own default level; below it the ratio falls faster than the time.
    level: int = 6
    #: zlib memory: 2**(mem_level + 9) bytes a compressor; 5 goes with 12 window bits.
    mem_level: int = 5

    def __post_init__(self) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if not 9 <= getattr(self, name) <= 15:
                raise ValueError(f"{name} must be between 9 and 15, not {getattr(self, name)!r}")
        if not -1 <= self.level <= 9:
            raise ValueError(f"level must be between -1 and 9, not {self.level!r}")
        if not 1 <= self.mem_level <= 9:
            raise ValueError(f"mem_level must be between 1 and 9, not {self.mem_level!r}")
        if self.threshold < 0:
            raise ValueError(f"threshold must not be negative, not {self.threshold!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Limits, timeouts and policies of a connection. Sizes in bytes, times in seconds.

    ``None`` switches a timeout or ``max_message_size`` off. Raises ``ValueError`` for values
    that make no sense.
    """

    #: Largest message, after inflating; over it 1009. Autobahn's largest case just fits.
    max_message_size: int | None = 16 * 1024 * 1024
    #: Fragments of one message; every fragment costs work, however little it carries.
    max_fragments: int = 4096
    #: Opening handshake: bytes and number of lines of a head. Enough for fat cookies; far less
    #: than what makes a stalled handshake expensive.
    max_head_size: int = 16 * 1024
    max_headers: int = 100
    #: Name look-up, TCP, TLS and opening handshake together.
    open_timeout: float | None = 10.0
    #: Parts of that by themselves: name look-up and TCP; each TLS handshake; each request and its
    #: answer, a proxy's too. One limit for all is what most programs want.
    connect_timeout: float | None = None
    tls_timeout: float | None = None
    handshake_timeout: float | None = None
    #: From our close frame to the end of the TCP connection.
    close_timeout: float | None = 10.0
    #: A ping after this much silence. Below the 60 s after which common proxies cut.
    ping_interval: float | None = 20.0
    #: What a ping gives the peer to show life; any byte received counts.
    ping_timeout: float | None = 20.0
    #: Redirects that a client follows, one after the other, within ``open_timeout``. What the
    #: widely used clients allow; 0 follows none.
    max_redirects: int = 10
    #: ``None`` neither offers nor accepts permessage-deflate.
    compression: Compression | None = field(default_factory=Compression)
    #: Unsent bytes of one connection above which ``overflow`` decides.
    high_water: int = 1024 * 1024
    #: Messages that wait for ``recv()``, and their bytes, at which reading pauses: enough to hide
    #: the time between two turns of a busy loop.
    receive_queue: int = 256
    receive_queue_size: int = 1024 * 1024
    #: ``block`` waits (only a thread of one's own may), ``drop`` loses the message, ``close``
    #: ends the connection with 1013. ``None``: ``block`` where the transport may, else ``close``.
    overflow: Overflow | None = None
    #: Whether pings and close frames are answered by themselves (RFC 6455 section 5.5). ``False``:
    #: whoever gets the messages does it; a close frame within ``close_timeout``.
    answer_pings: bool = True
    answer_close: bool = True

    def __post_init__(self) -> None:
        for name in (
            "open_timeout",
            "connect_timeout",
            "tls_timeout",
            "handshake_timeout",
            "close_timeout",
            "ping_interval",
            "ping_timeout",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive time or None, not {value!r}")
        for name in (
            "max_fragments",
            "max_head_size",
            "max_headers",
            "high_water",
            "receive_queue",
            "receive_queue_size",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        if self.max_redirects < 0:
            raise ValueError(f"max_redirects must not be negative, not {self.max_redirects!r}")
        if self.max_message_size is not None and self.max_message_size < 0:
            raise ValueError(f"max_message_size must not be negative, not {self.max_message_size}")
        if self.overflow not in (None, "block", "drop", "close"):
            raise ValueError(f"overflow must be block, drop, close or None, not {self.overflow!r}")

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


#: The policy of whoever does not choose one.
DEFAULT = Config()

"""permessage-deflate: compressed messages (RFC 7692).

The first half negotiates the parameters during the opening handshake, the second half applies
them to payloads. This module must never know frames, HTTP syntax, sockets or time.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence

from ws4py.exc import FrameTooLargeException, HandshakeError, ProtocolException
from ws4py.protocol.config import Compression

__all__ = ["PerMessageDeflate", "accept_offers", "accept_response", "offer"]

#: An extension as ``headers.parse_extensions`` gives it: its name and its parameters.
Extension = tuple[str, list[tuple[str, "str | None"]]]

NAME = "permessage-deflate"
SERVER_BITS = "server_max_window_bits"
CLIENT_BITS = "client_max_window_bits"
SERVER_RESET = "server_no_context_takeover"
CLIENT_RESET = "client_no_context_takeover"

#: RFC 7692 section 7.1.2: decimal, without leading zeros.
_BITS = {str(bits): bits for bits in range(8, 16)}
MAX_BITS = 15
#: zlib compresses raw data with windows of 2**9 bytes and more.
MIN_ZLIB_BITS = 9

#: What a sender leaves out at the end of a message (RFC 7692 section 7.2.1).
TAIL = b"\x00\x00\xff\xff"
#: An empty block without that tail: the payload of an empty message (section 7.2.3.6).
EMPTY = b"\x00"

#: Behind a final block, data is fed in steps of this many bytes, because zlib copies what it
#: leaves over: a message of nothing but final blocks stays linear.
STEP = 1024
#: The window is put together when it is in more pieces than this: small ones cost more than
#: the bytes in them.
MAX_PIECES = 64


# -- negotiation ---------------------------------------------------------------------------


def offer(compression: Compression) -> str:
    """A client's ``Sec-WebSocket-Extensions`` value (RFC 7692 section 5).

    The last alternative is what browsers send, so every server that compresses takes it.
    ``client_max_window_bits`` has no value: that lets the server choose, and we use no more
    than ``compression`` says anyway. A limit on the *server* has to be honoured or the offer be
    declined (section 7.1.2.1), and some servers do neither; so it stands in an alternative of
    its own, in front (as in the example of section 7.1.3), and a server that overlooks it has
    accepted the last one. ``websockets``, ``ws``, Tornado and aiohttp take the first, wsproto
    the last.
    """
    plain = f"{NAME}; {CLIENT_BITS}"
    if compression.client_no_context_takeover:
        plain += f"; {CLIENT_RESET}"
    wishes = ""
    if compression.server_no_context_takeover:
        wishes += f"; {SERVER_RESET}"
    if compression.server_max_window_bits < MAX_BITS:
        wishes += f"; {SERVER_BITS}={compression.server_max_window_bits}"
    return f"{plain}{wishes}, {plain}" if wishes else plain


def accept_offers(
    extensions: Sequence[Extension], compression: Compression
) -> tuple[str, PerMessageDeflate] | None:
    """A server's answer: the response value and what it stands for; ``None``: no compression.

    The client's first acceptable offer counts; one with unknown, repeated or illegal
    parameters, or with a window that zlib cannot keep to, is declined (RFC 7692 section 7.1).
    """
    for name, given in extensions:
        if name != NAME:
            continue
        try:
            wanted = _check(given, valueless=True)
        except ValueError:
            continue
        server_bits = min(wanted.get(SERVER_BITS, MAX_BITS), compression.server_max_window_bits)
        if server_bits < MIN_ZLIB_BITS:
            continue
        client_bits = MAX_BITS
        if CLIENT_BITS in wanted:  # else it must not be in the response (section 7.1.2.2)
            client_bits = min(wanted[CLIENT_BITS], compression.client_max_window_bits)
        agreed = PerMessageDeflate(
            client=False,
            compression=compression,
            server_max_window_bits=server_bits,
            client_max_window_bits=client_bits,
            server_no_context_takeover=SERVER_RESET in wanted
            or compression.server_no_context_takeover,
            client_no_context_takeover=CLIENT_RESET in wanted
            or compression.client_no_context_takeover,
        )
        return agreed.parameters, agreed
    return None


def accept_response(
    extensions: Sequence[Extension], compression: Compression | None
) -> PerMessageDeflate | None:
    """What the server made of ``offer(compression)``; ``None``: no compression.

    Raises ``HandshakeError`` for an extension that was not offered, for one accepted twice, and
    for parameters that no alternative of the offer allows (RFC 7692 sections 5.1 and 7.1).
    """
    if not extensions:
        return None
    for name, _ in extensions:
        if compression is None or name != NAME:
            raise HandshakeError(f"the server uses an extension that was not offered: {name}")
    if len(extensions) > 1:
        raise HandshakeError(f"the server accepted {NAME} more than once")
    assert compression is not None
    try:
        agreed = _check(extensions[0][1], valueless=False)
    except ValueError as exc:
        raise HandshakeError(
            f"the server accepted {NAME} with an illegal parameter: {exc}"
        ) from None
    return PerMessageDeflate(
        client=True,
        compression=compression,
        server_max_window_bits=agreed.get(SERVER_BITS, MAX_BITS),
        client_max_window_bits=agreed.get(CLIENT_BITS, MAX_BITS),
        server_no_context_takeover=SERVER_RESET in agreed,
        client_no_context_takeover=CLIENT_RESET in agreed or compression.client_no_context_takeover,
    )


def _check(given: Sequence[tuple[str, str | None]], *, valueless: bool) -> dict[str, int]:
    """The parameters by name, window bits as numbers (RFC 7692 section 7.1).

    ``valueless`` says whether ``client_max_window_bits`` may have no value, as in an offer; that
    leaves all sizes open. Raises ``ValueError`` for what is illegal.
    """
    checked: dict[str, int] = {}
    for name, value in given:
        if name in checked:
            raise ValueError(f"{name} twice")
        if name in (SERVER_RESET, CLIENT_RESET):
            if value is not None:
                raise ValueError(f"{name} with a value")
            checked[name] = True
        elif name in (SERVER_BITS, CLIENT_BITS):
            if value is None and valueless and name == CLIENT_BITS:
                checked[name] = MAX_BITS
            elif value in _BITS:
                checked[name] = _BITS[value]
            else:
                raise ValueError(f"{name}={value}, which has to be 8 to 15")
        else:
            raise ValueError(f"{name}, which is unknown")
    return checked


# -- compression ---------------------------------------------------------------------------


class PerMessageDeflate:
    """The extension at work on one connection, with the parameters that were agreed upon.

    ``compression`` adds what needs no agreement: threshold, level, memory, and smaller windows
    of our own. Nothing of zlib exists before the first message each way. Not thread-safe.
    """

    __slots__ = (
        "_bits",
        "_compression",
        "_compressor",
        "_decompressor",
        "_history",
        "_history_size",
        "_peer_bits",
        "_peer_resets",
        "_resets",
        "_started",
        "client_max_window_bits",
        "client_no_context_takeover",
        "server_max_window_bits",
        "server_no_context_takeover",
        "threshold",
    )

    def __init__(
        self,
        *,
        client: bool,
        compression: Compression,
        server_max_window_bits: int = MAX_BITS,
        client_max_window_bits: int = MAX_BITS,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
    ) -> None:
        self._compression = compression
        #: Messages below this many bytes are better sent as they are.
        self.threshold = compression.threshold
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        if client:
            self._bits = min(client_max_window_bits, compression.client_max_window_bits)
            self._resets = client_no_context_takeover
            self._peer_bits = max(server_max_window_bits, MIN_ZLIB_BITS)
            self._peer_resets = server_no_context_takeover
        else:
            self._bits = min(server_max_window_bits, compression.server_max_window_bits)
            self._resets = server_no_context_takeover
            self._peer_bits = max(client_max_window_bits, MIN_ZLIB_BITS)
            self._peer_resets = client_no_context_takeover
        self._compressor: zlib._Compress | None = None
        self._decompressor: zlib._Decompress | None = None
        # Whether the decompressor stands inside a message, not at the beginning of a block.
        self._started = False
        # What was inflated last, as far as the peer may refer to it: the window.
        self._history: list[bytes] = []
        self._history_size = 0

    @property
    def parameters(self) -> str:
        """What was agreed upon, as a server's ``Sec-WebSocket-Extensions`` value."""
        value = NAME
        if self.server_no_context_takeover:
            value += f"; {SERVER_RESET}"
        if self.client_no_context_takeover:
            value += f"; {CLIENT_RESET}"
        value += f"; {SERVER_BITS}={self.server_max_window_bits}"
        if self.client_max_window_bits < MAX_BITS:
            # Only ever smaller when the client has offered it, as section 7.1.2.2 demands.
            value += f"; {CLIENT_BITS}={self.client_max_window_bits}"
        return value

    # Sending

    def compress(self, data: bytes, *, fin: bool = True) -> bytes:
        """One fragment of a message; ``fin`` marks the last (RFC 7692 section 7.2.1)."""
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._new_compressor()
        out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if not fin:
            return out
        if self._resets:
            self._compressor = None
        # zlib gives nothing at all when nothing was added since it was flushed last.
        return out[: -len(TAIL)] or EMPTY

    @property
    def form(self) -> tuple[int, int, int]:
        """What ``compress_apart()`` depends on; the same for many connections."""
        return self._bits, self._compression.level, self._compression.mem_level

    def compress_apart(self, data: bytes) -> bytes:
        """A whole message that refers to nothing before it: fit for everybody of this ``form``.

        Where it is sent, ``sent_apart()`` has to be called.
        """
        compressor = self._new_compressor()
        out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return out[: -len(TAIL)] or EMPTY

    def sent_apart(self) -> None:
        """The peer has inflated something that our compressor does not know of: begin anew."""
        self._compressor = None

    def _new_compressor(self) -> zlib._Compress:
        compression = self._compression
        if self._bits >= MIN_ZLIB_BITS:
            return zlib.compressobj(
                compression.level, zlib.DEFLATED, -self._bits, compression.mem_level
            )
        # A server may limit us to 2**8 bytes. Huffman codes alone never look back.
        return zlib.compressobj(
            compression.level,
            zlib.DEFLATED,
            -MIN_ZLIB_BITS,
            compression.mem_level,
            zlib.Z_HUFFMAN_ONLY,
        )

    # Receiving

    def decompress(self, data: bytes, limit: int | None) -> bytes:
        """One piece of a message, as it came (RFC 7692 section 7.2.2).

        Raises ``FrameTooLargeException`` as soon as that makes more than ``limit`` bytes, and
        ``ProtocolException`` for what is no DEFLATE data; nothing can be received after either.
        """
        if not data:
            return b""
        decompressor = self._inflater()
        self._started = True
        out = self._inflate(decompressor, data, limit)
        if decompressor.eof:
            left = None if limit is None else limit - len(out)
            out += self._behind_final_block(decompressor.unused_data, left)
        return out

    def finish(self, limit: int | None) -> bytes:
        """The end of a message: what is left of it, within ``limit`` bytes. Raises the same."""
        out = b""
        if self._started:
            # Else nothing came, or nothing behind a final block: there is no block for the tail
            # to complete, and it would count as the beginning of one.
            out = self.decompress(TAIL, limit)
            self._started = False
        if self._peer_resets:
            self._decompressor = None
            self._history = []
            self._history_size = 0
        return out

    def _inflater(self) -> zlib._Decompress:
        if self._decompressor is None:
            self._decompressor = zlib.decompressobj(-self._peer_bits, zdict=self._window())
        return self._decompressor

    def _inflate(self, decompressor: zlib._Decompress, data: bytes, limit: int | None) -> bytes:
        # One byte over the limit tells that there is more, and costs no more than that.
        bound = 0 if limit is None else min(limit + 1, sys.maxsize)
        try:
            out = decompressor.decompress(data, bound)
        except zlib.error as exc:
            raise ProtocolException(f"compressed data is broken: {exc}") from None
        if limit is not None and len(out) > limit:
            raise FrameTooLargeException("compressed message is over the limit when inflated")
        if out:
            self._remember(out)
        return out

    def _behind_final_block(self, rest: bytes, limit: int | None) -> bytes:
        """Inflate what follows a final block: a new stream with the old window (7.2.3.4)."""
        self._decompressor = None
        self._started = False
        pieces = []
        position = 0
        while position < len(rest):
            step = rest[position : position + STEP]
            position += len(step)
            decompressor = self._inflater()
            self._started = True
            out = self._inflate(decompressor, step, limit)
            if out:
                pieces.append(out)
            if limit is not None:
                limit -= len(out)
            if decompressor.eof:
                position -= len(decompressor.unused_data)
                self._decompressor = None
                self._started = False
        return b"".join(pieces)

    # The window, which zlib does not give away

    def _remember(self, out: bytes) -> None:
        size = 1 << self._peer_bits
        if len(out) > size:
            out = out[-size:]
        self._history.append(out)
        self._history_size += len(out)
        if self._history_size > 2 * size or len(self._history) > MAX_PIECES:
            self._window()

    def _window(self) -> bytes:
        """The last bytes inflated, as many as the peer may refer to."""
        window = b"".join(self._history)[-(1 << self._peer_bits) :]
        self._history = [window]
        self._history_size = len(window)
        return window

    # Idling

    def rest(self) -> None:
        """Give zlib's memory back until it is needed again, keeping only the peer's window.

        Harmless at any time. What is sent next compresses a little less, because it cannot
        refer to what was sent before.
        """
        self._compressor = None
        if not self._started:
            self._decompressor = None
            self._window()

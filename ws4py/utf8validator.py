"""Validation of UTF-8 as it arrives: the 0.6 vocabulary over the standard library's decoder.

Nothing in this package needs it: ``protocol.wire`` asks the codecs directly. It stays for
programs that import it. This module must never know messages or frames.
"""

from __future__ import annotations

import codecs

__all__ = ["UTF8_ACCEPT", "UTF8_REJECT", "Utf8Validator"]

#: States of a validator: between two characters, and behind an octet that cannot be UTF-8.
#: Any other state is the middle of a character.
UTF8_ACCEPT = 0
UTF8_REJECT = 1

_incremental_decoder = codecs.getincrementaldecoder("utf-8")


class Utf8Validator:
    """Validates octets as UTF-8 while they come in (RFC 3629). Not thread-safe.

    ``state`` is ``UTF8_ACCEPT``, ``UTF8_REJECT`` or the number of octets of an unfinished
    character plus one; ``i`` counts the valid octets of ``validate()``; ``codepoint`` is the
    last character.
    """

    UTF8_ACCEPT = UTF8_ACCEPT
    UTF8_REJECT = UTF8_REJECT

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as if nothing had been validated."""
        self.state = UTF8_ACCEPT
        self.codepoint = 0
        self.i = 0
        self._decoder = _incremental_decoder()

    def decode(self, b: int) -> int:
        """Take one octet and return the new ``state``; on ``UTF8_ACCEPT`` see ``codepoint``."""
        if self.state != UTF8_REJECT:
            self._take(bytes((b,)))
        return self.state

    def validate(self, ba: bytes | bytearray | memoryview) -> tuple[bool, bool, int, int]:
        """Take a chunk: ``(valid, ends on a code point, index, total)``.

        The last two count the valid octets, in this chunk and since the beginning. Once invalid
        it stays so until ``reset()``.
        """
        index = 0
        if self.state != UTF8_REJECT:
            index = self._take(ba)
            self.i += index
        return self.state != UTF8_REJECT, self.state == UTF8_ACCEPT, index, self.i

    def _take(self, octets: bytes | bytearray | memoryview) -> int:
        """Decode further; how many of ``octets`` come before the first bad one."""
        try:
            text = self._decoder.decode(octets)
        except UnicodeDecodeError as exc:
            self.state = UTF8_REJECT
            # exc.object begins with what was unfinished before.
            return first_bad_octet(exc) - (len(exc.object) - len(octets))
        if text:
            self.codepoint = ord(text[-1])
        unfinished, _ = self._decoder.getstate()
        if unfinished[:1] == b"\xed" and unfinished[1:2] > b"\x9f":
            # Half of a surrogate pair. CPython reports it only with the next octet.
            self.state = UTF8_REJECT
            return len(octets) - 1
        self.state = len(unfinished) + 1 if unfinished else UTF8_ACCEPT
        return len(octets)


def first_bad_octet(error: UnicodeDecodeError) -> int:
    """Index in ``error.object`` of the first octet that cannot be part of UTF-8."""
    # Either it cannot begin a character, or the part of one that ends before it was fine.
    begins_character = 0xC2 <= error.object[error.start] <= 0xF4
    return error.end if begins_character else error.start

"""Streams: the 0.6 vocabulary over ``protocol.connection``."""

from __future__ import annotations

from ws4py.protocol.connection import Connection

__all__ = ["Stream"]


class Stream(Connection):
    """The protocol of one end of a connection, with the names that ws4py 0.6 gave it."""

    __slots__ = ()

    def __init__(self, always_mask: bool = False, expect_masking: bool = True) -> None:
        super().__init__(client=always_mask)
        self.expect_masking = expect_masking

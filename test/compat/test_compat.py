"""``ws4py.compat``: the names of 0.6 mean what they meant."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from ws4py import compat


def test_the_names_of_both_pythons():
    assert compat.py3k is True
    assert compat.unicode is str
    assert isinstance("", compat.basestring)
    assert isinstance(b"", compat.basestring)
    assert compat.range is range
    assert compat.urlsplit is urlsplit


def test_star_import_brings_them_all():
    names: dict[str, object] = {}
    exec("from ws4py.compat import *", names)
    assert {"py3k", "unicode", "basestring", "range", "ord", "urlsplit"} <= names.keys()
    assert {"get_connection", "detach_connection"} <= names.keys()


def test_ord_takes_numbers_too():
    assert [compat.ord(c) for c in ("a", b"a", bytearray(b"a"), 97)] == [97] * 4


def test_the_socket_under_a_buffered_reader():
    left, right = socket.socketpair()
    with left, right:
        reader = left.makefile("rb")
        assert compat.get_connection(reader) is left
        right.sendall(b"Hello")
        compat.detach_connection(reader)
        del reader
        assert left.recv(5) == b"Hello"

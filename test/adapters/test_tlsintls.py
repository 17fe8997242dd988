"""TLS inside of TLS, over a carrier that takes and gives in small pieces."""

from __future__ import annotations

import socket
import ssl

import pytest

from ws4py.runtime import is_secure
from ws4py.tlsintls import TlsInTls


class Carrier:
    """Stands for a TLS socket: takes ``room`` bytes, then has to be asked again."""

    def __init__(self, sock):
        self.sock = sock
        self.room = 1000

    def send(self, data):
        taken, self.room = min(self.room, len(data)), 0
        if not taken:
            raise ssl.SSLWantWriteError
        return self.sock.send(data[:taken])

    def recv(self, size):
        try:
            return self.sock.recv(min(size, 700))
        except BlockingIOError:
            raise ssl.SSLWantReadError from None

    def fileno(self):
        return self.sock.fileno()


class Pair:
    def __init__(self, client_tls, server_tls):
        ours, self.theirs = socket.socketpair()
        for sock in (ours, self.theirs):
            sock.setblocking(False)
        self.carrier = Carrier(ours)
        self.tls = TlsInTls(self.carrier, client_tls, "localhost")
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.peer = server_tls.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def until(self, ours, theirs):
        """Both ends take turns until both are done; what ours gave."""
        result, done, peer_done = None, False, False
        for _ in range(2000):
            self.carrier.room = 1000
            if not done:
                try:
                    result, done = ours(), True
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            try:
                self.incoming.write(self.theirs.recv(65536))
            except BlockingIOError:
                pass
            if not peer_done:
                try:
                    theirs()
                    peer_done = True
                except ssl.SSLWantReadError:
                    pass
            while self.outgoing.pending:
                self.theirs.send(self.outgoing.read(100))
            if done and peer_done:
                return result
        raise AssertionError("it does not end")

    def close(self):
        self.carrier.sock.close()
        self.theirs.close()


@pytest.fixture
def pair(client_tls, server_tls):
    pair = Pair(client_tls, server_tls)
    yield pair
    pair.close()


@pytest.fixture
def open_pair(pair):
    pair.until(pair.tls.do_handshake, pair.peer.do_handshake)
    return pair


def test_it_is_a_secure_socket(open_pair):
    assert is_secure(open_pair.tls)
    assert open_pair.tls.fileno() == open_pair.carrier.fileno()
    assert open_pair.tls.version() == "TLSv1.3"
    assert open_pair.tls.cipher()
    assert ("DNS", "localhost") in open_pair.tls.getpeercert()["subjectAltName"]


def test_what_the_carrier_does_not_take_is_sent_later_and_once(open_pair):
    data = bytes(range(256)) * 200
    got = []

    def read():
        while sum(map(len, got)) < len(data):
            got.append(open_pair.peer.read(65536))

    assert open_pair.until(lambda: open_pair.tls.send(data), read) == len(data)
    assert b"".join(got) == data


def test_a_record_comes_in_pieces(open_pair):
    data = bytes(5000)
    open_pair.peer.write(data)
    got = []

    def read():
        while sum(map(len, got)) < len(data):
            got.append(open_pair.tls.recv(65536))

    open_pair.until(read, lambda: None)
    assert b"".join(got) == data
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.tls.recv(1)


def test_the_end_of_the_carrier_is_an_end(open_pair):
    open_pair.theirs.close()
    assert open_pair.tls.recv(10) == b""
    assert open_pair.tls.recv(10) == b""


def test_the_end_of_the_peer_is_an_end(open_pair):
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.peer.unwrap()
    open_pair.theirs.send(open_pair.outgoing.read())
    assert open_pair.tls.recv(10) == b""


def test_our_end_is_said(open_pair):
    open_pair.carrier.room = 1000
    with pytest.raises(ssl.SSLWantReadError):
        open_pair.tls.unwrap()
    open_pair.incoming.write(open_pair.theirs.recv(65536))
    assert open_pair.peer.read(10) == b""


def test_a_certificate_that_is_not_accepted_is_told(pair, server_tls):
    pair.tls = TlsInTls(pair.carrier, ssl.create_default_context(), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        pair.until(pair.tls.do_handshake, pair.peer.do_handshake)
    pair.incoming.write(pair.theirs.recv(65536))
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        pair.peer.do_handshake()

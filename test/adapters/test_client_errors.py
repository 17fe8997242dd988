"""What a client says when there is no connection: what happened, where, why, and what to do.

Word for word, for each kind of driver: the texts are made once, the drivers only bring the facts.
Answers of a server that speaks HTTP but not WebSocket are with ``test_handshake``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import pytest
from backends import CLIENTS, QUICK
from conversation import Background
from hooks import Recorded
from proxyserver import ConnectProxy
from rawpeer import RawServer

from ws4py.exc import ConnectionTimeout, HandshakeError, ProxyError

#: Those whose ways of waiting differ.
FACES = [backend for backend in CLIENTS if backend.name in ("threaded", "asyncio", "gevent")]
HURRIED = QUICK.replace(open_timeout=0.4)


@pytest.fixture(params=FACES, ids=lambda backend: backend.name)
def face(request):
    return request.param


@pytest.fixture
def failure(face):
    """``failure(kind, url, **options)``: the text of the error of that kind, and the error."""

    def failure(kind, url, **options):
        with pytest.raises(kind) as caught:
            face.connect(Recorded, url, **options).stop()
        assert type(caught.value) is kind
        return str(caught.value), caught.value

    return failure


class Where(NamedTuple):
    port: int
    url: str


@contextlib.contextmanager
def server(act=None, tls=None):
    """A listener whose first connection is treated by ``act``, and closed in the end."""
    with RawServer(tls=tls) as raw:
        where = Where(raw.port, raw.url)

        def accept():
            with contextlib.suppress(OSError):
                peer = raw.accept()
                if act is not None:
                    act(peer)
                peer.close()

        accepting = Background(accept)
        yield where
        accepting.result()


def talkative(answer: bytes):
    """Reads a request and answers this."""

    def act(peer):
        peer.read_request()
        peer.send(answer)

    return act


def sure_end(peer):
    """Whatever comes, until the client hangs up."""
    with contextlib.suppress(OSError):
        peer.read_to_eof()


# -- connecting ----------------------------------------------------------------------------


def nobody() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_nobody_listens(failure):
    port = nobody()
    text, _ = failure(ConnectionRefusedError, f"ws://me:secret@127.0.0.1:{port}/chat")
    assert text == (
        f"[Errno 111] could not connect to ws://127.0.0.1:{port}/chat "
        f"(127.0.0.1:{port}: Connection refused): is it running, and is the port right?"
    )


def test_nobody_listens_on_any_address(failure, monkeypatch):
    port = nobody()
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in range(1, 7)
    ]
    answer_look_ups(monkeypatch, lambda *args, **how: found)
    text, _ = failure(ConnectionRefusedError, f"ws://many.test:{port}/")
    each = ", ".join(f"127.0.0.{n}:{port}: Connection refused" for n in range(1, 5))
    assert text == (
        f"[Errno 111] could not connect to ws://many.test:{port}/ "
        f"({each}, and 2 more): is it running, and is the port right?"
    )


def test_no_such_unix_socket(failure, tmp_path):
    path = tmp_path / "nothing.sock"
    text, _ = failure(FileNotFoundError, f"ws+unix://{path}")
    assert text == (
        f"[Errno 2] could not connect to {path} (No such file or directory): "
        "there is no such socket: is the server running?"
    )


def test_the_local_address_is_of_another_machine(failure, raw_server):
    text, _ = failure(OSError, raw_server.url, local_addr=("192.0.2.1", 0))
    assert text == (
        f"[Errno 99] could not connect to {raw_server.url} "
        f"(127.0.0.1:{raw_server.port}: Cannot assign requested address): "
        "is local_addr an address of this machine?"
    )


def answer_look_ups(monkeypatch, answer):
    """Names are looked up by this, whoever drives."""
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with contextlib.suppress(ImportError):
        import gevent.socket

        def by_gevent(*args, **how):
            return gevent.get_hub().threadpool.apply(answer, args, how)

        monkeypatch.setattr(gevent.socket, "getaddrinfo", by_gevent)


def test_the_name_is_not_found(failure, monkeypatch):
    def refuse(*args, **how):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer_look_ups(monkeypatch, refuse)
    text, error = failure(socket.gaierror, "ws://exmaple.test:8080/")
    assert text == (
        "[Errno -2] could not find the host 'exmaple.test' of ws://exmaple.test:8080/ "
        "(Name or service not known): is the name spelled right, and is the network up?"
    )
    assert error.errno == socket.EAI_NONAME


def test_the_name_cannot_be_one(failure):
    text, _ = failure(OSError, "ws://two..dots/")
    assert text == (
        "[Errno 22] could not find the host 'two..dots' of ws://two..dots/ "
        "(no name is like that): is the name spelled right, and is the network up?"
    )


# -- too slow, in each phase -----------------------------------------------------------------


def test_the_name_look_up_takes_too_long(failure, monkeypatch):
    over = threading.Event()

    def dawdle(*args, **how):
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    answer_look_ups(monkeypatch, dawdle)
    with RawServer() as raw:
        url = f"ws://slow.test:{raw.port}/"
        threading.Timer(0.8, over.set).start()
        text, _ = failure(ConnectionTimeout, url, config=HURRIED)
    assert text == (
        f"could not connect to {url} within 0.4 s: the name look-up took too long. "
        "Does the name server answer? Config.open_timeout sets the time."
    )
    over.set()


def test_the_tcp_connection_takes_too_long(failure):
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for _ in range(4):  # nobody accepts: with its queue full, the system does not answer
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        url = f"ws://127.0.0.1:{address[1]}/"
        text, _ = failure(ConnectionTimeout, url, config=QUICK.replace(connect_timeout=0.4))
    assert text == (
        f"could not connect to {url} within 0.4 s: the TCP connection took too long. "
        "Is the host up and the port not filtered? Config.connect_timeout sets the time."
    )


@pytest.mark.parametrize(
    ("config", "setting"),
    [(HURRIED, "open_timeout"), (QUICK.replace(tls_timeout=0.4), "tls_timeout")],
    ids=["open_timeout", "tls_timeout"],
)
def test_the_tls_handshake_takes_too_long(failure, config, setting):
    with server(sure_end) as raw:
        url = f"wss://127.0.0.1:{raw.port}/"
        # A context that is there at once: reading all authorities may take as long on its own.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        text, _ = failure(ConnectionTimeout, url, config=config, ssl_options=context)
    assert text == (
        f"could not connect to {url} within 0.4 s: the TLS handshake took too long. "
        f"Does the server speak TLS on this port? Config.{setting} sets the time."
    )


@pytest.mark.parametrize(
    ("config", "setting"),
    [(HURRIED, "open_timeout"), (QUICK.replace(handshake_timeout=0.4), "handshake_timeout")],
    ids=["open_timeout", "handshake_timeout"],
)
def test_the_opening_handshake_takes_too_long(failure, config, setting):
    with server(sure_end) as raw:
        text, _ = failure(ConnectionTimeout, raw.url, config=config)
    assert text == (
        f"could not connect to {raw.url} within 0.4 s: the opening handshake took too long. "
        f"Is this a WebSocket server, and not overloaded? Config.{setting} sets the time."
    )


def test_the_answer_of_the_proxy_takes_too_long(failure):
    with server(sure_end) as raw:
        proxy = f"http://127.0.0.1:{raw.port}"
        text, _ = failure(ConnectionTimeout, "ws://far.test/", proxy=proxy, config=HURRIED)
    assert text == (
        f"could not connect to the proxy {proxy} of ws://far.test/ within 0.4 s: the answer of "
        "the proxy took too long. Is there a proxy of this kind, and does it reach the server? "
        "Config.open_timeout sets the time."
    )


# -- TLS -----------------------------------------------------------------------------------


def test_tls_to_a_port_that_speaks_plain_http(failure):
    with server(lambda peer: (peer.read(1), peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))) as raw:
        text, error = failure(ssl.SSLError, f"wss://localhost:{raw.port}/chat")
    assert f"wss://localhost:{raw.port}/chat does not answer with TLS: did you mean" in text
    assert text.endswith(f"did you mean ws://localhost:{raw.port}/chat?")
    assert error.reason == "WRONG_VERSION_NUMBER"


def test_tls_to_a_server_that_hangs_up(face):
    with server(lambda peer: peer.read(1)) as raw, pytest.raises(OSError) as caught:
        face.connect(Recorded, f"wss://localhost:{raw.port}/")
    assert str(caught.value).endswith(
        f"wss://localhost:{raw.port}/ closed the connection within the TLS handshake: "
        f"is it TLS that it speaks, or did you mean ws://localhost:{raw.port}/?"
    )


def test_plain_to_a_port_that_speaks_tls(failure):
    with server(talkative(b"\x15\x03\x01\x00\x02\x02\x46")) as raw:
        text, _ = failure(HandshakeError, raw.url)
    assert text == f"{raw.url} answered with TLS: did you mean wss://?"


def test_plain_to_a_port_where_tls_is_expected_without_a_word(failure):
    with server(lambda peer: peer.read_request()) as raw:
        text, _ = failure(HandshakeError, raw.url)
    assert text == (
        f"{raw.url} closed the connection without an answer; if it expects TLS, use wss://"
    )


def certified(ca, *names, **how):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(*names, **how).configure_cert(context)
    return context


def trusting(ca):
    return {"ca_data": ca.cert_pem.bytes().decode()}


def refused_certificate(failure, context, **options):
    with server(tls=context) as raw:
        url = f"wss://localhost:{raw.port}/"
        text, error = failure(ssl.SSLCertVerificationError, url, **options)
    assert error.reason == "CERTIFICATE_VERIFY_FAILED"
    return text.replace(url, "URL")


def test_the_certificate_is_of_an_unknown_authority(failure, server_tls):
    assert refused_certificate(failure, server_tls) == (
        "the certificate of URL is not accepted (unable to get local issuer certificate): "
        "ssl_options ca_certs names the authorities to trust"
    )


def test_the_certificate_is_expired(failure, ca):
    then = datetime(2001, 1, 1, tzinfo=timezone.utc)
    old = certified(ca, "localhost", not_before=then, not_after=then + timedelta(days=9))
    assert refused_certificate(failure, old, ssl_options=trusting(ca)) == (
        "the certificate of URL is not accepted (certificate has expired): "
        "its owner has to renew it; or is the clock of this machine wrong?"
    )


def test_the_certificate_is_not_valid_yet(failure, ca):
    then = datetime(2101, 1, 1, tzinfo=timezone.utc)
    new = certified(ca, "localhost", not_before=then, not_after=then + timedelta(days=9))
    assert refused_certificate(failure, new, ssl_options=trusting(ca)) == (
        "the certificate of URL is not accepted (certificate is not yet valid): "
        "is the clock of this machine right?"
    )


def test_the_certificate_is_self_signed(failure, ca):
    lonely = type(ca)()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with lonely.private_key_pem.tempfile() as key, lonely.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    assert refused_certificate(failure, context) == (
        "the certificate of URL is not accepted (self-signed certificate): "
        "if it is meant to be, trust this very certificate: ssl_options ca_certs"
    )


def test_the_certificate_is_for_another_host(failure, ca):
    other = certified(ca, "elsewhere.test")
    assert refused_certificate(failure, other, ssl_options=trusting(ca)) == (
        "the certificate of URL is not accepted (Hostname mismatch, certificate is not valid for "
        "'localhost'): is the host right? ssl_options server_hostname names another to expect"
    )


def test_the_server_wants_a_certificate_of_ours(failure, ca, server_tls):
    server_tls.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server_tls)

    def refuse(peer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_tls.wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(ssl.SSLCertVerificationError, ssl.SSLError):
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                peer.sock.sendall(outgoing.read())
                incoming.write(peer.sock.recv(65536))
        peer.sock.sendall(outgoing.read())  # why not
        peer.shutdown()
        sure_end(peer)

    with server(refuse) as raw:
        url = f"wss://localhost:{raw.port}/"
        text, _ = failure(ssl.SSLError, url, ssl_options=trusting(ca))
    assert text.endswith(
        f"{url} wants a certificate of this client, or another one "
        "(TLSV13_ALERT_CERTIFICATE_REQUIRED): ssl_options certfile and keyfile give it"
    )


def test_no_common_version_of_tls(failure, ca, server_tls):
    server_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    ca.configure_trust(context)
    with server(tls=server_tls) as raw:
        url = f"wss://localhost:{raw.port}/"
        text, _ = failure(ssl.SSLError, url, ssl_options=context)
    assert text.endswith(
        f"no TLS with {url} (TLSV1_ALERT_PROTOCOL_VERSION): do both know a common version?"
    )


def test_options_that_do_not_exist(failure):
    text, _ = failure(TypeError, "wss://localhost:1/", ssl_options={"cafile": "x", "verify": 1})
    assert text == (
        "unknown ssl_options: cafile, verify; known are ca_certs, ca_path, ca_data, cert_reqs, "
        "certfile, check_hostname, ciphers, keyfile, password, ssl_context, ssl_version, "
        "server_hostname, suppress_ragged_eofs"
    )


# -- proxies -------------------------------------------------------------------------------

TARGET = "ws://far.test/"


def test_no_proxy_listens(failure):
    port = nobody()
    text, _ = failure(ConnectionRefusedError, TARGET, proxy=f"http://me:pw@127.0.0.1:{port}")
    assert text == (
        f"[Errno 111] could not connect to the proxy http://127.0.0.1:{port} of {TARGET} "
        f"(127.0.0.1:{port}: Connection refused): is it running, and is the port right?"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "403 Forbidden): does it allow connections to this host and port?",
        ),
        (
            b"HTTP/1.0 502 Bad Gateway\r\n\r\n",
            "502 Bad Gateway): is a server running there, on this port?",
        ),
        (
            b"HTTP/1.1 405 Not Allowed\r\n\r\n",
            "405 Not Allowed): does it do CONNECT, and to this port?",
        ),
        (b"HTTP/1.1 418 I'm a teapot\r\n\r\n", "418 I'm a teapot)"),
        (
            b"HTTP/1.1 407 Log in\r\n\r\n",
            "407 Log in): it wants a user name and password: http://user:password@localhost:PORT",
        ),
        (
            b"HTTP/1.1 407 Log in\r\nProxy-Authenticate: NTLM\r\n\r\n",
            "407 Log in): it wants 'NTLM', and only Basic is known here",
        ),
    ],
    ids=["403", "502", "405", "418", "407", "407-ntlm"],
)
def test_the_proxy_refuses(failure, answer, said):
    with ConnectProxy(answer=answer) as proxy:
        text, error = failure(ProxyError, TARGET, proxy=proxy.url)
        said = said.replace("PORT", str(proxy.port))
    assert text == f"the proxy {proxy.url} did not connect to far.test:80 ({said}"
    assert error.status == int(answer.split()[1])


def test_the_proxy_does_not_know_the_password(failure):
    with ConnectProxy(login="else") as proxy:
        url = proxy.url.replace("://", "://me:secret@")
        text, _ = failure(ProxyError, TARGET, proxy=url)
    assert text == (
        f"the proxy {proxy.url} did not connect to far.test:80 (407 Proxy Authentication "
        "Required): are user name and password in its URL right?"
    )


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (
            b"SSH-2.0-OpenSSH\r\n",
            "answered with 'SSH-2.0-OpenSSH\\r\\n': is it an HTTP proxy? The URL of a SOCKS proxy "
            "begins with socks5://",
        ),
        (b"\x15\x03\x01\x00\x02", "answered with TLS: did you mean https://127.0.0.1:PORT?"),
        (
            b"",
            "closed the connection without an answer: is it an HTTP proxy? The URL of a SOCKS "
            "proxy begins with socks5://",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\n<p>Welcome",
            "said more than that the way is open: '<p>Welcome'",
        ),
    ],
    ids=["ssh", "tls", "nothing", "page"],
)
def test_the_proxy_speaks_something_else(failure, answer, what):
    with server(talkative(answer)) as raw:
        text, _ = failure(ProxyError, TARGET, proxy=f"http://127.0.0.1:{raw.port}")
    assert text == f"the proxy http://127.0.0.1:{raw.port} {what.replace('PORT', str(raw.port))}"


def test_the_answer_of_the_proxy_is_malformed(failure):
    with server(talkative(b"HTTP/1.1 OK\r\n\r\n")) as raw:
        text, _ = failure(ProxyError, TARGET, proxy=f"http://127.0.0.1:{raw.port}")
    assert text == (
        f"the answer of the proxy http://127.0.0.1:{raw.port} is malformed: "
        "'HTTP/1.1 OK' is no HTTP/1.1 status line"
    )


def test_the_head_of_the_proxy_does_not_end(failure):
    def act(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nX: " + bytes(20000).replace(b"\0", b"x"))
        sure_end(peer)

    with server(act) as raw:
        text, _ = failure(ProxyError, TARGET, proxy=f"http://127.0.0.1:{raw.port}")
    assert text == (
        f"the answer of the proxy http://127.0.0.1:{raw.port} is malformed: "
        "the head is longer than 16384 bytes"
    )


def test_no_tls_with_the_proxy(failure):
    with server(lambda peer: (peer.read(1), peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))) as raw:
        proxy = f"https://127.0.0.1:{raw.port}"
        text, _ = failure(ssl.SSLError, TARGET, proxy=proxy)
    assert text.endswith(
        f"the proxy {proxy} of {TARGET} does not answer with TLS: "
        f"did you mean http://127.0.0.1:{raw.port}?"
    )


def test_the_proxys_certificate_is_of_an_unknown_authority(failure, server_tls):
    with ConnectProxy(tls=server_tls) as proxy:
        text, _ = failure(ssl.SSLCertVerificationError, TARGET, proxy=proxy.url)
    assert text.endswith(
        f"the certificate of the proxy {proxy.url} of {TARGET} is not accepted (unable to get "
        "local issuer certificate): proxy_ssl_options ca_certs names the authorities to trust"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "ftp://proxy:21",
            "the scheme 'ftp' is not known; known are http://, https://, socks4://, socks4a://, "
            "socks5://, socks5h://",
        ),
        ("http://", "the host is missing"),
        ("http://proxy:http", "the port is not a number"),
    ],
    ids=["scheme", "host", "port"],
)
def test_no_url_of_a_proxy(failure, url, why):
    text, _ = failure(ValueError, TARGET, proxy=url)
    assert text == f"{url!r} is no URL of a proxy: {why}"


def test_no_url_of_a_proxy_in_the_environment(failure, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "me:secret@:80")
    text, _ = failure(ValueError, TARGET)
    assert text == (
        "environment variable http_proxy: '…@:80' is no URL of a proxy: the host is missing"
    )

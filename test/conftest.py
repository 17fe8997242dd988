"""Fixtures for every test. Helpers that are no fixtures are in ``test/support``::

    from rawpeer import RawClient, RawServer, TEXT, make_frame
    from waiting import wait_for
    from fakeclock import FakeClock
    from programs import need_program, need_package

(``pythonpath`` in pyproject.toml puts that directory on the path.) Ports are always 0: the kernel
chooses, and the server under test says which one it got.
"""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("rawpeer", "waiting")

from fakeclock import FakeClock  # noqa: E402
from leaks import Snapshot, leaked  # noqa: E402
from rawpeer import RawServer  # noqa: E402

if TYPE_CHECKING:
    import trustme


# A shell starts what runs in its background with Ctrl-C ignored, and so would be our programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def alarm_clock() -> None:
    """The one thread that serves all blocking connections of a process, started before all tests.

    So the first test that needs it does not seem to leak its poller and its waker.
    """
    from ws4py.reactor import alarm

    alarm()


@pytest.fixture(scope="session", autouse=True)
def uvloop_pipe() -> None:
    """libuv makes a pipe for signals with the first loop of a process and keeps it."""
    try:
        import uvloop
    except ImportError:
        return
    uvloop.new_event_loop().close()


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """A test that leaves a thread, or on Linux a socket, pipe or poller behind, fails.

    Fixtures of a wider scope are set up before this one, so theirs do not count.
    """
    before = Snapshot.take()
    yield
    left = leaked(before)
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test advances it."""
    return FakeClock()


@dataclass(frozen=True)
class TlsFiles:
    """PEM files, for what wants paths: command line options, ``ssl_options``, other programs."""

    cert: Path
    key: Path
    ca: Path


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """A certificate authority that nobody trusts but ``client_tls``."""
    import trustme

    return trustme.CA()


@pytest.fixture(scope="session")
def tls_files(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Certificate for localhost, 127.0.0.1 and ::1, its key, and the authority's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    files = TlsFiles(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    issued = ca.issue_cert("localhost", "127.0.0.1", "::1")
    issued.private_key_pem.write_to_path(files.key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.cert, append=True)
    ca.cert_pem.write_to_path(files.ca)
    return files


@pytest.fixture
def server_tls(tls_files: TlsFiles) -> ssl.SSLContext:
    """TLS context of a server for localhost, 127.0.0.1 and ::1. Cheroot leaves its marks on it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls_files.cert, tls_files.key)
    # No session tickets: the threaded client of websockets reads in one thread while it writes in
    # another, and OpenSSL takes a ticket and a write at the same moment badly.
    context.num_tickets = 0
    return context


@pytest.fixture
def client_tls(tls_files: TlsFiles) -> ssl.SSLContext:
    """TLS context of a client that trusts ``ca`` and checks the host name."""
    return ssl.create_default_context(cafile=str(tls_files.ca))


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    """A listening raw peer, for tests of clients."""
    with RawServer() as server:
        yield server


@pytest.fixture
def raw_tls_server(server_tls: ssl.SSLContext) -> Iterator[RawServer]:
    """The same over TLS; ``accept()`` does the TLS handshake."""
    with RawServer(tls=server_tls) as server:
        yield server

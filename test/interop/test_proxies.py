"""Our clients through real proxies: HTTP CONNECT, SOCKS, and reverse proxies in front of a server.

Each runs once, on a port of its own, with a configuration written for it; each is met by the
clients whose ways of waiting differ.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from backends import CLIENTS, QUICK, websockets_server
from hooks import Recorded
from programs import missing, need_package
from running import Program

from ws4py.exc import ConnectionTimeout, ProxyError

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(sys.platform != "linux", reason="these are Debian's proxies"),
]

FACES = [backend for backend in CLIENTS if backend.name in ("threaded", "asyncio", "gevent")]
USER, PASSWORD = "me", "s3cret"
WAIT = 30.0


@pytest.fixture(params=FACES, ids=lambda backend: backend.name)
def face(request):
    return request.param


# -- programs ------------------------------------------------------------------------------


@dataclass
class Site:
    """What a configuration is written for."""

    folder: Path
    tls: Any
    #: The echo server behind.
    target: int
    #: By name, chosen when they are first asked for.
    ports: dict[str, int] = field(default_factory=dict)

    def port(self, name: str) -> int:
        if name not in self.ports:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                self.ports[name] = sock.getsockname()[1]
        return self.ports[name]

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


def find(program: str) -> str:
    """Where it is; Debian has some of them where only root looks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(program, path=path)
    if found is None:
        missing(f"needs the program {program}")
    assert found is not None
    return found


def tinyproxy(site: Site, login: str = "") -> list[str]:
    config = f"""
        Port {site.port("http")}
        Listen 127.0.0.1
        Timeout 60
        MaxClients 20
        PidFile "{site.folder}/tinyproxy.pid"
        LogLevel Warning
        {login}
    """
    return [find("tinyproxy"), "-d", "-c", site.write("tinyproxy.conf", config)]


def tinyproxy_with_password(site: Site) -> list[str]:
    return tinyproxy(site, f"BasicAuth {USER} {PASSWORD}")


def squid(site: Site, allow: str = "http_access allow localhost") -> list[str]:
    config = f"""
        http_port 127.0.0.1:{site.port("http")}
        {allow}
        http_access deny all
        cache deny all
        access_log none
        cache_log /dev/null
        cache_store_log none
        pid_filename none
        coredump_dir {site.folder}
        shutdown_lifetime 0 seconds
        max_filedescriptors 1024
        pinger_enable off
        visible_hostname localhost
    """
    lines = "\n".join(line.strip() for line in config.splitlines())
    return [find("squid"), "-N", "-f", site.write("squid.conf", lines)]


def squid_with_password(site: Site) -> list[str]:
    program = find("squid")
    helper = Path("/usr/lib/squid/basic_ncsa_auth")
    if not helper.exists():
        missing(f"needs {helper} beside {program}")
    hashed = subprocess.check_output(["openssl", "passwd", "-apr1", PASSWORD], text=True).strip()
    users = site.write("squid.users", f"{USER}:{hashed}\n")
    return squid(
        site,
        f"""
        auth_param basic program {helper} {users}
        auth_param basic children 1
        auth_param basic realm test
        acl known proxy_auth REQUIRED
        http_access allow known""",
    )


def microsocks(site: Site) -> list[str]:
    command = [find("microsocks"), "-i", "127.0.0.1", "-p", str(site.port("socks"))]
    return [*command, "-u", USER, "-P", PASSWORD]


def dante(site: Site) -> list[str]:
    config = f"""
logoutput: stderr
internal: 127.0.0.1 port = {site.port("socks")}
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 127.0.0.0/8 port = {site.port("forbidden")} }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 protocol: tcp }}
"""
    return [find("danted"), "-f", site.write("danted.conf", config), "-N", "1"]


def nginx(site: Site) -> list[str]:
    temporary = "\n".join(
        f"{kind}_temp_path {site.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"""
daemon off;
pid {site.folder}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ }}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{site.port("ws")};
        listen 127.0.0.1:{site.port("wss")} ssl;
        ssl_certificate {site.tls.cert};
        ssl_certificate_key {site.tls.key};
        location / {{
            proxy_pass http://127.0.0.1:{site.target};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host $host;
        }}
    }}
}}
"""
    return [find("nginx"), "-p", str(site.folder), "-c", site.write("nginx.conf", config)]


def haproxy(site: Site, mode: str = "http") -> list[str]:
    pem = site.write("haproxy.pem", site.tls.cert.read_text() + site.tls.key.read_text())
    config = f"""
defaults
    mode {mode}
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    timeout tunnel 60s
frontend front
    bind 127.0.0.1:{site.port("ws")}
    bind 127.0.0.1:{site.port("wss")} ssl crt {pem}
    default_backend back
backend back
    server echo 127.0.0.1:{site.target}
"""
    return [find("haproxy"), "-db", "-f", site.write("haproxy.conf", config)]


def tls(site: Site) -> list[str]:
    """TLS in front of something else."""
    command = haproxy(site, "tcp")
    site.ports["https"] = site.port("wss")
    return command


PROXIES: dict[str, Callable[[Site], list[str]]] = {
    each.__name__: each
    for each in (
        tinyproxy,
        tinyproxy_with_password,
        squid,
        squid_with_password,
        microsocks,
        dante,
        nginx,
        haproxy,
        tls,
    )
}


@contextlib.contextmanager
def running(command: list[str], site: Site) -> Iterator[Site]:
    """The program, once all its ports are open, until the end of the block."""
    program = Program(command, site.folder, dict(os.environ))
    try:
        deadline = time.monotonic() + WAIT
        for name, port in site.ports.items():
            if name != "forbidden":
                wait_for_port(port, program, deadline)
        yield site
    finally:
        program.kill()


def wait_for_port(port: int, program: Program, deadline: float) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            ended = program.process.poll()
            assert ended is None, f"{program.args} ended with {ended}: {program.output}"
            assert time.monotonic() < deadline, f"{program.args}: {program.output}"
            time.sleep(0.02)  # nothing tells when another program listens


@pytest.fixture(scope="module")
def echo(tls_files) -> Iterator[dict[str, int]]:
    """Echo servers: the port of each scheme."""

    def handler(ws):
        for message in ws:
            ws.send(message)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls_files.cert, tls_files.key)
    context.num_tickets = 0
    with websockets_server(handler) as plain, websockets_server(handler, ssl=context) as secure:
        yield {url.partition(":")[0]: int(url.rpartition(":")[2]) for url in (plain, secure)}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Not pytest's: a proxy may become another user, who has to get there."""
    with tempfile.TemporaryDirectory(prefix="ws4py-proxy-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield Path(name)


@contextlib.contextmanager
def proxied(name: str, tls_files: Any, target: int) -> Iterator[Site]:
    """One of ``PROXIES``."""
    with folder() as path:
        site = Site(path, tls_files, target)
        with running(PROXIES[name](site), site):
            yield site


@pytest.fixture(scope="module")
def sites(tls_files, echo) -> Iterator[Callable[[str], Site]]:
    """Proxies by name, each started when it is first asked for."""
    started: dict[str, Site] = {}
    with contextlib.ExitStack() as stack:

        def site(name: str) -> Site:
            if name not in started:
                target = echo["ws"]
                if name == "tls":  # together with what it leads to an ``https://`` proxy
                    target = site("tinyproxy").ports["http"]
                started[name] = stack.enter_context(proxied(name, tls_files, target))
            return started[name]

        yield site


@pytest.fixture(scope="module")
def site(request, sites) -> Site:
    """The proxy that the test is for: ``over("squid")``."""
    found: Site = sites(request.param)
    return found


def over(*names: str) -> Any:
    return pytest.mark.parametrize("site", names, indirect=True)


# -- what is said --------------------------------------------------------------------------


def talk(face: Any, url: str, client_tls: ssl.SSLContext, **options: Any) -> None:
    """Some messages there and back, and a clean end."""
    tls = client_tls if url.startswith("wss") else None
    client = face.connect(Recorded, url, tls=tls, **options)
    try:
        blob = os.urandom(100_000)
        client.ws.send("Grüße, 世界")
        client.ws.send(blob, binary=True)
        client.log.wait("received_message", 2)
        text, binary = (args[0] for args in client.log.args("received_message"))
        assert str(text) == "Grüße, 世界"
        assert binary.data == blob
        client.ws.close(1000, "thanks")
        assert client.wait_closed() == (1000, "thanks")
    finally:
        client.stop()


def at(site: Site, scheme: str, login: str = "") -> str:
    """The URL of a proxy."""
    return f"{scheme}://{login}127.0.0.1:{site.ports[scheme if scheme in site.ports else 'socks']}"


both = pytest.mark.parametrize("scheme", ["ws", "wss"])


class TestConnect:
    @both
    @over("tinyproxy", "squid")
    def test_without_a_password(self, face, scheme, site, echo, client_tls):
        proxy = at(site, "http")
        talk(face, f"{scheme}://localhost:{echo[scheme]}/", client_tls, proxy=proxy)

    @both
    @over("tinyproxy_with_password", "squid_with_password")
    def test_with_a_password(self, face, scheme, site, echo, client_tls):
        proxy = at(site, "http", f"{USER}:{PASSWORD}@")
        talk(face, f"{scheme}://localhost:{echo[scheme]}/", client_tls, proxy=proxy)

    @both
    @over("tls")
    def test_over_tls(self, face, scheme, site, echo, client_tls):
        talk(
            face,
            f"{scheme}://localhost:{echo[scheme]}/",
            client_tls,
            proxy=at(site, "https"),
            proxy_ssl_options=client_tls,
        )

    @pytest.mark.parametrize("login", ["", "me:wrong@"], ids=["no password", "wrong password"])
    @over("tinyproxy_with_password", "squid_with_password")
    def test_the_password_is_missing_or_wrong(self, face, login, site, echo):
        with pytest.raises(ProxyError) as caught:
            face.connect(Recorded, f"ws://localhost:{echo['ws']}/", proxy=at(site, "http", login))
        # tinyproxy 1.11 answers a wrong password with 401.
        assert caught.value.status in (407, 401)
        assert "password" in str(caught.value)
        assert caught.value.headers

    @over("tinyproxy", "squid")
    def test_nobody_listens_behind_it(self, face, site):
        with pytest.raises(
            ProxyError, match=r"is a server running there, on this port\?$"
        ) as caught:
            face.connect(Recorded, f"ws://localhost:{site.port('nobody')}/", proxy=at(site, "http"))
        assert caught.value.status in (500, 502, 503)


@pytest.fixture
def known(monkeypatch):
    """A name that is known to this process, and to no proxy."""
    before = socket.getaddrinfo
    names: dict[str, int] = {}

    def look_up(host: Any, *args: Any, **how: Any) -> Any:
        if host == "localhost":
            raise AssertionError("this was for the proxy to look up")
        if host in names:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", names[host]))]
        return before(host, *args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with contextlib.suppress(ImportError):
        import gevent.socket

        monkeypatch.setattr(gevent.socket, "getaddrinfo", look_up)
    return names


class TestSocks:
    @pytest.fixture(autouse=True)
    def package(self):
        need_package("python_socks")

    @both
    @pytest.mark.parametrize("kind", ["socks5", "socks5h"])
    @over("microsocks")
    def test_with_a_password(self, face, scheme, kind, site, echo, client_tls):
        proxy = at(site, kind, f"{USER}:{PASSWORD}@")
        talk(face, f"{scheme}://localhost:{echo[scheme]}/", client_tls, proxy=proxy)

    @pytest.mark.parametrize("kind", ["socks4", "socks5", "socks5h"])
    @over("dante")
    def test_without_a_password(self, face, kind, site, echo, client_tls):
        talk(face, f"ws://127.0.0.1:{echo['ws']}/", client_tls, proxy=at(site, kind))

    @over("dante", "microsocks")
    def test_the_proxy_finds_the_host(self, face, site, echo, client_tls, known):
        proxy = at(site, "socks5h", f"{USER}:{PASSWORD}@")
        talk(face, f"ws://localhost:{echo['ws']}/", client_tls, proxy=proxy)

    @pytest.mark.parametrize("kind", ["socks4", "socks5"])
    @over("dante")
    def test_the_host_is_found_here(self, face, kind, site, echo, client_tls, known):
        known["only.here.test"] = echo["ws"]
        talk(face, f"ws://only.here.test:{echo['ws']}/", client_tls, proxy=at(site, kind))

    @pytest.mark.parametrize("login", ["", "me:wrong@"], ids=["no password", "wrong password"])
    @over("microsocks")
    def test_the_password_is_missing_or_wrong(self, face, login, site, echo):
        proxy = at(site, "socks5h", login)
        with pytest.raises(ProxyError, match="user name and password"):
            face.connect(Recorded, f"ws://localhost:{echo['ws']}/", proxy=proxy)

    @pytest.mark.parametrize("kind", ["socks4", "socks5"])
    @over("dante")
    def test_a_port_that_is_not_allowed(self, face, kind, site):
        url = f"ws://127.0.0.1:{site.ports['forbidden']}/"
        with pytest.raises(ProxyError, match=r"does it allow connections to this host and port\?$"):
            face.connect(Recorded, url, proxy=at(site, kind))

    @over("dante", "microsocks")
    def test_nobody_listens_behind_it(self, face, site):
        url = f"ws://127.0.0.1:{site.port('nobody')}/"
        with pytest.raises(ProxyError, match=r"is a server running there, on this port\?$"):
            face.connect(Recorded, url, proxy=at(site, "socks5", f"{USER}:{PASSWORD}@"))

    @over("microsocks")
    def test_it_is_no_http_proxy(self, face, site, echo):
        proxy = f"http://127.0.0.1:{site.ports['socks']}"
        with pytest.raises(ProxyError, match=r"The URL of a SOCKS proxy begins with socks5://$"):
            face.connect(Recorded, f"ws://localhost:{echo['ws']}/", proxy=proxy)

    @over("squid")
    def test_it_is_no_socks_proxy(self, face, site, echo):
        proxy = f"socks5://127.0.0.1:{site.ports['http']}"
        config = QUICK.replace(handshake_timeout=0.2)
        with pytest.raises((ProxyError, ConnectionTimeout), match="proxy"):
            face.connect(Recorded, f"ws://127.0.0.1:{echo['ws']}/", proxy=proxy, config=config)


class TestReverseProxies:
    @both
    @over("nginx", "haproxy")
    def test_in_front_of_the_server(self, face, scheme, site, client_tls):
        talk(face, f"{scheme}://localhost:{site.ports[scheme]}/", client_tls)

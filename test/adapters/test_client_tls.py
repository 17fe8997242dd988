"""``ssl_options``: what each key makes of a connection, seen from the server."""

from __future__ import annotations

import contextlib
import ssl
import sys
from types import ModuleType

import pytest
from conversation import Background
from rawpeer import RawServer

from ws4py.client.syncclient import connect
from ws4py.client.tls import make_ssl_context
from ws4py.protocol.config import Config

CONFIG = Config(open_timeout=10.0)


class Met:
    """What a server saw of its client."""

    name: str | None = None
    certificate: object = None
    cipher: str = ""
    version: str | None = None


@pytest.fixture
def meet(server_tls):
    """``meet(ssl_options, host=…)``: connect, and what the server saw of it."""

    def meet(ssl_options, host="localhost", context=server_tls):
        met = Met()

        def note_name(sock, name, context):
            met.name = name

        context.sni_callback = note_name
        with RawServer(tls=context) as raw:

            def accept():
                with contextlib.suppress(OSError):
                    peer = raw.accept()
                    met.certificate = peer.sock.getpeercert(binary_form=True)
                    met.cipher = peer.sock.cipher()[0]
                    met.version = peer.sock.version()
                    peer.handshake()
                    peer.read_to_eof()

            accepting = Background(accept)
            try:
                connection = connect(
                    f"wss://{host}:{raw.port}/", ssl_options=ssl_options, config=CONFIG
                )
                connection.close_connection()
            finally:
                accepting.result()
        return met

    return meet


def test_a_context_alone(meet, client_tls):
    assert meet(client_tls).name == "localhost"


def test_a_context_and_more(meet, client_tls):
    met = meet({"ssl_context": client_tls, "server_hostname": "localhost"}, host="127.0.0.1")
    assert met.name == "localhost"


@pytest.mark.parametrize("how", ["ca_certs", "ca_data"])
def test_authorities(meet, tls_files, how):
    meet({how: str(tls_files.ca) if how == "ca_certs" else tls_files.ca.read_text()})


def test_a_folder_of_authorities(tmp_path):
    context = make_ssl_context({"ca_path": str(tmp_path)})
    assert context.cert_store_stats()["x509_ca"] == 0  # the system's are not trusted besides


def test_the_name_has_to_be_in_the_certificate(meet, tls_files):
    options = {"ca_certs": str(tls_files.ca)}
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        meet({**options, "server_hostname": "other.test"})
    met = meet({**options, "server_hostname": "other.test", "check_hostname": False})
    assert met.name == "other.test"


def test_an_address_is_not_sent_as_a_name(meet, tls_files):
    assert meet({"ca_certs": str(tls_files.ca)}, host="127.0.0.1").name is None


def test_nothing_is_verified_on_request(meet):
    meet({"cert_reqs": ssl.CERT_NONE}, host="127.0.0.1")


def test_check_hostname_alone_does_not_switch_verification_off(meet):
    with pytest.raises(ssl.SSLCertVerificationError):
        meet({"check_hostname": False})


def test_a_client_certificate(meet, tls_files, ca, server_tls, tmp_path):
    server_tls.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server_tls)
    mine = ca.issue_cert("me@example.test")
    mine.private_key_pem.write_to_path(tmp_path / "me.key")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "me.pem")
    met = meet(
        {
            "ca_certs": str(tls_files.ca),
            "certfile": str(tmp_path / "me.pem"),
            "keyfile": str(tmp_path / "me.key"),
            "password": None,
        }
    )
    assert met.certificate == ssl.PEM_cert_to_DER_cert(mine.cert_chain_pems[0].bytes().decode())


def test_ciphers_and_version(meet, tls_files):
    met = meet(
        {
            "ca_certs": str(tls_files.ca),
            "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ssl_version": ssl.PROTOCOL_TLSv1_2,
        }
    )
    assert (met.cipher, met.version) == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2")


def test_options_with_none_are_not_there(meet, tls_files):
    meet({"ca_certs": str(tls_files.ca), "cert_reqs": None, "certfile": None, "ciphers": None})


def test_the_keys_are_logged_where_the_environment_says(meet, tls_files, tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    meet({"ca_certs": str(tls_files.ca)})
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()


# -- where the system trusts nobody ----------------------------------------------------------


@pytest.fixture
def nobody_trusted(monkeypatch):
    """A system without authorities, such as a slim container."""
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self, *args: None)
    paths = ssl.get_default_verify_paths()._replace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)


def stand_in_for_certifi(monkeypatch, path):
    module = ModuleType("certifi")
    module.where = lambda: str(path)
    monkeypatch.setitem(sys.modules, "certifi", module)


def test_certifi_where_the_system_trusts_nobody(meet, nobody_trusted, monkeypatch, tls_files):
    stand_in_for_certifi(monkeypatch, tls_files.ca)
    meet({})


def test_not_certifi_where_authorities_are_named(meet, nobody_trusted, monkeypatch, tls_files):
    stand_in_for_certifi(monkeypatch, tls_files.ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        meet({"ca_path": str(tls_files.ca.parent)})


def test_without_certifi_nobody_is_trusted(meet, nobody_trusted, monkeypatch):
    monkeypatch.setitem(sys.modules, "certifi", None)
    with pytest.raises(ssl.SSLCertVerificationError):
        meet({})


def test_not_certifi_where_the_system_trusts_somebody(meet, monkeypatch, tls_files):
    if not make_ssl_context({}).cert_store_stats()["x509_ca"]:
        pytest.skip("this system trusts nobody")
    stand_in_for_certifi(monkeypatch, tls_files.ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        meet({})

"""TLS of clients: the context that a user's options ask for, and errors that say what to do.

Certificates are verified unless the options say otherwise. This module must never wait.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Mapping
from typing import Any

__all__ = ["as_options", "make_ssl_context", "server_name", "tls_error"]

#: What may stand in ``ssl_options`` besides what goes to the context.
_WRAP_OPTIONS = ("server_hostname", "suppress_ragged_eofs")
_CONTEXT_OPTIONS = (
    "ca_certs",
    "ca_path",
    "ca_data",
    "cert_reqs",
    "certfile",
    "check_hostname",
    "ciphers",
    "keyfile",
    "password",
    "ssl_context",
    "ssl_version",
)


def as_options(given: Mapping[str, Any] | ssl.SSLContext | None) -> dict[str, Any]:
    """``ssl_options`` as they may be given: a context alone, or a mapping."""
    if isinstance(given, ssl.SSLContext):
        return {"ssl_context": given}
    return dict(given or {})


def server_name(options: Mapping[str, Any], host: str) -> str | None:
    """The name that is sent to the server (SNI), and that its certificate has to be for."""
    name: str | None = options.get("server_hostname", host.partition("%")[0])
    return name


def make_ssl_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """A client's TLS context: verified against the system's authorities unless told otherwise.

    ``options``: ``ssl_context`` (used as it is, the rest applied on top), ``cert_reqs``,
    ``check_hostname``, ``ca_certs`` / ``ca_path`` / ``ca_data`` (instead of the system's),
    ``certfile`` / ``keyfile`` / ``password`` (a client certificate), ``ciphers``,
    ``ssl_version`` (a ``PROTOCOL_*`` constant). ``SSLKEYLOGFILE`` is honoured. Raises
    ``TypeError`` for any other.
    """
    unknown = set(options) - set(_CONTEXT_OPTIONS) - set(_WRAP_OPTIONS)
    if unknown:
        raise TypeError(
            f"unknown ssl_options: {', '.join(sorted(unknown))}; known are "
            f"{', '.join(_CONTEXT_OPTIONS + _WRAP_OPTIONS)}"
        )
    given = {name: value for name, value in options.items() if value is not None}
    context: ssl.SSLContext | None = given.get("ssl_context")
    authorities: dict[str, Any] = {
        "cafile": given.get("ca_certs"),
        "capath": given.get("ca_path"),
        "cadata": given.get("ca_data"),
    }
    if context is None:
        context = ssl.create_default_context(**authorities)
        if not any(authorities.values()):
            _trust_certifi(context)
    elif any(authorities.values()):
        context.load_verify_locations(**authorities)
    if "cert_reqs" in given:
        if given["cert_reqs"] == ssl.CERT_NONE:
            context.check_hostname = False
        context.verify_mode = given["cert_reqs"]
    if "check_hostname" in given:
        context.check_hostname = given["check_hostname"]
    if "certfile" in given:
        context.load_cert_chain(given["certfile"], given.get("keyfile"), given.get("password"))
    if "ciphers" in given:
        context.set_ciphers(given["ciphers"])
    _pin_version(context, given.get("ssl_version"))
    return context


def _trust_certifi(context: ssl.SSLContext) -> None:
    """Where the system has no authorities at all (a slim container), take those of certifi."""
    folder = ssl.get_default_verify_paths().capath  # whose files are read when they are needed
    if context.cert_store_stats()["x509_ca"] or (folder and os.listdir(folder)):
        return
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())


def _pin_version(context: ssl.SSLContext, protocol: Any) -> None:
    """The ``PROTOCOL_TLSv1_x`` constants name one version; the others leave it to negotiate."""
    name = getattr(protocol, "name", "")
    if name.startswith("PROTOCOL_TLSv1"):
        version = ssl.TLSVersion[name.removeprefix("PROTOCOL_")]
        context.minimum_version = context.maximum_version = version


#: What OpenSSL says when something else than TLS answers.
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
)


_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)


def tls_error(exc: OSError, whom: str, plain: str, setting: str = "ssl_options") -> OSError:
    """The same error of TLS with ``whom``, saying what happened and what to do.

    ``plain``: the URL that is probably meant where nobody speaks TLS. ``setting``: the argument
    that says how TLS is to be.
    """
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _certificate_error(exc, whom, setting)
    reason = getattr(exc, "reason", None) or ""
    if reason in _NOT_TLS:
        text = f"{whom} does not answer with TLS: did you mean {plain}?"
    elif exc.errno == errno.ENOTCONN or isinstance(exc, _HUNG_UP):
        text = (
            f"{whom} closed the connection within the TLS handshake: "
            f"is it TLS that it speaks, or did you mean {plain}?"
        )
    elif "CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason:
        text = (
            f"{whom} wants a certificate of this client, or another one ({reason}): "
            f"{setting} certfile and keyfile give it"
        )
    elif isinstance(exc, ssl.SSLError):
        text = f"no TLS with {whom} ({reason or exc.strerror}): do both know a common version?"
    else:
        return exc
    return _like(exc, text)


def _certificate_error(exc: ssl.SSLCertVerificationError, whom: str, setting: str) -> OSError:
    why = exc.verify_message.rstrip(".")
    advice = _CERTIFICATE_ADVICE.get(exc.verify_code, "{} ca_certs names the authorities to trust")
    advice = advice.format(setting)
    return _like(exc, f"the certificate of {whom} is not accepted ({why}): {advice}")


_WRONG_NAME = "is the host right? {} server_hostname names another to expect"
#: By the codes of OpenSSL's X509_V_ERR_….
_CERTIFICATE_ADVICE = {
    9: "is the clock of this machine right?",
    10: "its owner has to renew it; or is the clock of this machine wrong?",
    18: "if it is meant to be, trust this very certificate: {} ca_certs",
    62: _WRONG_NAME,
    64: _WRONG_NAME,
}


def _like(exc: OSError, text: str) -> OSError:
    """An error of the same kind with another text."""
    error = type(exc)(exc.errno, text)
    for attribute in ("library", "reason", "verify_code", "verify_message"):
        if hasattr(exc, attribute):
            setattr(error, attribute, getattr(exc, attribute))
    return error

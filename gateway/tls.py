"""TLS to the broker: what the files in [broker] come to, and why a handshake failed, in words.

The broker's certificate is always checked, its name too: a broker whose name is not known for sure
could be anybody's, and it sees when every bin is used.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from gateway.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config import BrokerSettings


HANDSHAKE_TIMEOUT_S: Final = 10.0


class HandshakeError(OSError):
    """The other side was reached and broke off, or said nothing, instead of shaking hands."""


class _Named(ssl.SSLContext):
    """A context that checks the certificate for a name of its own, not for the host dialled."""

    boxback_name = ""

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As the one of ssl, and shake hands: paho would leave a socket open whose hand failed."""
        if self.boxback_name:
            options["server_hostname"] = self.boxback_name
        made = super().wrap_socket(*args, **options)
        try:
            made.settimeout(HANDSHAKE_TIMEOUT_S)
            made.do_handshake()
        except ssl.SSLError:
            made.close()
            raise
        except OSError as error:  # a broker without TLS hangs up, or waits for us to say more
            made.close()
            raise HandshakeError(error.strerror or str(error)) from error
        return made


def context_of(broker: BrokerSettings) -> ssl.SSLContext | None:
    """Give the context for a broker with `tls_ca`, None for one without. Raises ConfigError."""
    if broker.tls_ca is None:
        return None
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)  # checks chain and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.boxback_name = broker.tls_name
    _readable("tls_ca", broker.tls_ca)
    try:
        context.load_verify_locations(broker.tls_ca)
    except (OSError, ValueError) as error:
        reason = f"broker.tls_ca = {str(broker.tls_ca)!r}: holds no certificate in PEM: {error}"
        raise ConfigError(reason) from error
    if broker.tls_cert is not None and broker.tls_key is not None:
        _readable("tls_cert", broker.tls_cert)
        _readable("tls_key", broker.tls_key)
        try:
            # A key with a pass phrase would have OpenSSL ask a terminal that nobody sits at.
            context.load_cert_chain(broker.tls_cert, broker.tls_key, password="")
        except (OSError, ValueError) as error:
            reason = (
                f"broker.tls_cert = {str(broker.tls_cert)!r}, broker.tls_key = "
                f"{str(broker.tls_key)!r}: must be a certificate and its own key without a pass "
                f"phrase, in PEM: {error}"
            )
            raise ConfigError(reason) from error
    return context


def _readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        reason = f"broker.{name} = {str(path)!r}: cannot be read: {error.strerror}"
        raise ConfigError(reason) from error


def told(error: BaseException | None) -> tuple[str, str]:
    """Why a connection did not come about, and what to do; ("", "") for what needs no mending."""
    if isinstance(error, ssl.SSLCertVerificationError):
        do = "check broker.tls_ca, and that the broker's certificate has the name in "
        return error.verify_message, do + "broker.host or broker.tls_name"
    if isinstance(error, ssl.SSLError | HandshakeError):
        # "unknown ca", "certificate required": the broker's alert; "wrong version": it has no TLS.
        reason = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        do = "check that broker.port speaks TLS, and broker.tls_cert if it wants a certificate"
        return f"no TLS handshake: {reason}", do
    if isinstance(error, OSError) and error.strerror:
        return error.strerror, ""
    return (str(error), "") if error is not None else ("", "")

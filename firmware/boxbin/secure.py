"""TLS for the link: the broker's chain and name are checked, and we show our own certificate.

Certificates and key lie in NVS in DER (MicroPython refuses PEM). The context is made once: each one
holds its certificates in the chip's heap.
"""

import ssl

from boxbin import identity


def context():
    """The TLS context. Raises ValueError or OSError when NVS holds what is no certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=identity.der("tls_ca"))
    certificate = identity.der("tls_cert")
    if certificate:
        made.load_cert_chain(certificate, identity.der("tls_key"))
    # Nothing less than CERT_REQUIRED verifies anything. (The stubs do not have the attribute.)
    made.verify_mode = ssl.CERT_REQUIRED  # type: ignore[attr-defined]
    return made

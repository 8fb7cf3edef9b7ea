"""The bin's link over TLS with the three brokers, each of which wants a client's certificate.

The watcher speaks TLS too, for NATS has one MQTT port: with TLS it is another server.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.country import LIMIT_S
from tests.support.field import Field, Fields, give_back, said, wait_said, watching
from tests.support.gateway import wait_for


def test_a_bin_with_certificates_delivers_over_tls(a_field: Field, tmp_path: Path) -> None:
    made = a_field.fleet.next_bin()
    own = a_field.certificates
    with (
        watching(a_field, made, "journal", "online", tls=True) as watch,
        a_field.bin(
            tmp_path,
            made,
            a_field.broker.tls_port,
            tls_ca=own.ca_der,
            tls_cert=own.client_der,
            tls_key=own.client_key_der,
        ) as bin_,
    ):
        bin_.wait_for_console("connected, session False", LIMIT_S)
        wait_for("online over TLS", lambda: watch.of("online")[-1:] == [b"1"], LIMIT_S)
        give_back(bin_, "SF1000000001")
        wait_for("the deposit", lambda: b'"deposit"' in b"".join(watch.of("journal")), LIMIT_S)


def test_a_broker_that_is_not_trusted_gets_no_password(fields: Fields, tmp_path: Path) -> None:
    """Of a CA that is not the bin's, then with a name that is not in its certificate."""
    a_field = fields.get("mosquitto")
    own = a_field.certificates
    stranger = {"tls_ca": own.stranger_der}
    other_name = {"tls_ca": own.ca_der, "tls_name": "other.boxback.example"}
    for folder, trust in (("stranger", stranger), ("name", other_name)):
        made = a_field.fleet.next_bin()
        with a_field.bin(tmp_path / folder, made, a_field.broker.tls_port, **trust) as bin_:
            wait_said(bin_, "certificate", 2)
            assert not said(bin_, "connected")
        assert made.bin not in a_field.broker.log(), "the broker has learnt who it is"


def test_a_bin_without_a_certificate_of_its_own_is_refused_and_goes_on(
    fields: Fields, tmp_path: Path
) -> None:
    a_field = fields.get("mosquitto")
    made = a_field.fleet.next_bin()
    with a_field.bin(
        tmp_path, made, a_field.broker.tls_port, tls_ca=a_field.certificates.ca_der
    ) as bin_:
        wait_said(bin_, "link: again in", 3)
        assert not said(bin_, "connected")
        give_back(bin_, "SF1000000001")


def test_a_bin_that_speaks_plainly_to_tls_is_refused_and_goes_on(
    fields: Fields, tmp_path: Path
) -> None:
    a_field = fields.get("mosquitto")
    made = a_field.fleet.next_bin()
    with a_field.bin(tmp_path, made, a_field.broker.tls_port) as bin_:
        wait_said(bin_, "link: again in", 3)
        assert not said(bin_, "connected")
        bin_.wait_for_text("show your pass", LIMIT_S)

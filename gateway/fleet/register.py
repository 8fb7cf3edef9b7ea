"""New bins: an id, a key, and what the technician writes into the bin.

FleetError      the bin cannot be added; the text says why and what to do
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway import wire
from gateway.store import audit, fleet
from gateway.store.audit import Entry
from gateway.store.database import now_ms

if TYPE_CHECKING:
    from gateway.config import BrokerSettings
    from gateway.store import Store

NAME_MAX_CHARS: Final = 80
_DRAWS_MAX: Final = 1000
_LABEL_KEY: Final = "label_key"


class FleetError(Exception):
    """The bin cannot be added; the text says why and what to do."""


class Provisioning(NamedTuple):
    """What is written into one bin (namespace `boxback` of its NVS). Shown once: it holds keys."""

    bin: str
    station: str
    name: str
    key: bytes
    label_key: bytes
    broker_host: str
    broker_port: int

    def as_json(self) -> dict[str, Any]:
        """Give the same as plain JSON values; keys in hex."""
        return {
            **self._asdict(),
            "key": self.key.hex(),
            "label_key": self.label_key.hex(),
            "mqtt_user": self.bin,
            "mqtt_password": wire.mqtt_password(self.key),
        }


def label_key(store: Store) -> bytes:
    """Give the fleet's label key (32 bytes), made when it is first asked for."""
    with store.writing() as connection:
        return fleet.secret(connection, _LABEL_KEY, secrets.token_bytes(wire.KEY_BYTES))


def add_bin(
    store: Store, broker: BrokerSettings, *, station: str, name: str, by: str = "boxback"
) -> Provisioning:
    """Issue a bin; `by` is for the log.

    Raises FleetError for a wrong station id or name, or when ids run out.
    """
    if not wire.is_station_id(station):
        reason = f"station {station!r}: must be S- and 1 to 12 of A-Z, 0-9 and -, such as S-DEMO"
        raise FleetError(reason)
    if not 1 <= len(name) <= NAME_MAX_CHARS or not name.isprintable():
        reason = f"name {name!r}: must be 1 to {NAME_MAX_CHARS} printable characters"
        raise FleetError(reason)
    key, fleet_key = secrets.token_bytes(wire.KEY_BYTES), label_key(store)
    for _ in range(_DRAWS_MAX):
        bin_id = wire.bin_id_of(secrets.randbelow(wire.BIN_NUMBER_MAX + 1))
        if bin_id is None:  # its check symbol would not be one of the 32
            continue
        with store.writing() as connection:
            at_ms = now_ms()
            added = fleet.add_bin(
                connection, bin_id=bin_id, station=station, name=name, key=key, at_ms=at_ms
            )
            if added:
                detail = f"{name} at {station}"
                audit.note(connection, [Entry(at_ms, by, "add", bin_id, None, detail)])
        if added:
            return Provisioning(bin_id, station, name, key, fleet_key, broker.host, broker.port)
    reason = f"no free bin id in {_DRAWS_MAX} draws: the fleet is full"
    raise FleetError(reason)

"""The whole way without a browser: real bin, broker of choice, real gateway and points backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import Settings
from gateway.fleet.register import Provisioning
from tests.support.gateway import (
    Embedded,
    Mosquitto,
    issue_bin,
    rows,
    running_broker,
    settings_for,
    wait_for,
)
from tests.support.points import Phone, PointsService, points_service
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin

IDLE = "Return a carton:"
BIN_SETTINGS = {"reconnect_ms": 300, "reconnect_max_ms": 1_000, "receipt_ms": 1_000}
LIMIT_S = 40.0


@dataclass
class Way:
    """All parts of the way of one deposit; the gateway is the test's to start."""

    bin: VirtualBin
    broker: Mosquitto | Embedded
    settings: Settings
    points: PointsService
    made: Provisioning

    def scan_pass(self, phone: Phone) -> None:
        """Hold the phone to the scanner."""
        self.bin.show_text(phone.show_pass())
        self.bin.wait_for_text("Hello!", LIMIT_S)

    def give_back(self, label: str, grams: float = 312) -> None:
        """From a scanned pass to thanks."""
        self.bin.show_text(label)
        self.bin.wait_for_text("Put the carton", LIMIT_S)
        self.bin.wait_for(lambda: self.bin.flap() == "open", LIMIT_S, "an open flap")
        self.bin.drop(grams)
        self.bin.wait_for_text("Thank you!", LIMIT_S)

    def wait_balance(self, phone: Phone, points: int) -> dict[str, Any]:
        """Wait until the member's page would show this balance."""
        wait_for(f"a balance of {points}", lambda: phone.me()["balance"] == points, LIMIT_S)
        return phone.me()

    def kinds(self) -> list[str]:
        """Kinds of the lines in the gateway's store, in order."""
        return [kind for (kind,) in rows(self.settings, "select kind from lines order by n")]


@contextmanager
def way(folder: Path, broker: str, **bin_settings: int) -> Iterator[Way]:
    """A bin that invites, a broker, a points backend; without a gateway yet."""
    (folder / "gateway").mkdir()
    with points_service(folder / "points") as points:
        settings = settings_for(folder / "gateway", 1883, points.url)
        made = issue_bin(settings)
        with running_broker(broker, folder / "gateway") as running:
            settings = settings_for(folder / "gateway", running.port, points.url)
            assert settings.relay.key_file is not None
            settings.relay.key_file.write_text(points.gateway_key)
            identity = Identity(made.bin, made.key, made.label_key, "127.0.0.1", running.port)
            files = {"/settings.json": json.dumps(BIN_SETTINGS | bin_settings).encode()}
            with VirtualBin(identity, folder / "bin", files=files) as bin_:
                bin_.wait_for_text(IDLE, LIMIT_S)
                yield Way(bin_, running, settings, points, made)

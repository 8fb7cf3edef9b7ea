"""One machine for a test: a real broker of each kind, real SQLite, a stub of the points backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.fleet.register import Provisioning
from tests.support.gateway import (
    BROKERS,
    Embedded,
    Mosquitto,
    PointsStub,
    SimBin,
    issue_bin,
    running_broker,
    settings_for,
)


@dataclass
class House:
    """What a test plays with; the gateway itself is started by the test."""

    folder: Path
    settings: Settings
    broker: Mosquitto | Embedded
    points: PointsStub
    made: Provisioning

    def bin(self, epoch: str = "5f3a9c01") -> SimBin:
        """The fleet's one bin; use it as a context manager."""
        return SimBin(self.broker.port, self.made.bin, self.made.key, epoch)


@pytest.fixture
def points() -> Iterator[PointsStub]:
    with PointsStub() as stub:
        yield stub


@pytest.fixture(params=sorted(BROKERS))
def house(request: pytest.FixtureRequest, tmp_path: Path, points: PointsStub) -> Iterator[House]:
    """A house around each kind of broker."""
    made = issue_bin(settings_for(tmp_path, 1883))
    with running_broker(request.param, tmp_path) as broker:
        settings = settings_for(tmp_path, broker.port, points.url)
        yield House(tmp_path, settings, broker, points, made)

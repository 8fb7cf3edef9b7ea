"""A database in a temporary folder, a member with a phone, and one running service a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from gateway.points import members
from gateway.points.config import PointsSettings
from gateway.points.credits import Answer, Rules, settle
from gateway.points.database import Database
from gateway.points.keys import resolve_keys
from gateway.points.ledger import audit
from tests.support.points import Phone, deposit_item, points_service, withdrawn_item

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.points import PointsService

NOW_MS = 1_668_153_600_123
STEP_MS = 30_000


@dataclass
class Desk:
    """The rules without HTTP, at a time that stands still unless told."""

    db: Database
    settings: PointsSettings
    rules: Rules

    def settle(
        self, *items: object, now_ms: int = NOW_MS, rules: Rules | None = None
    ) -> list[Answer]:
        """Answer items."""
        keys = resolve_keys(self.settings)
        return settle(self.db, keys, rules or self.rules, items, now_ms)

    def phone(self, name: str = "Lin", member: str | None = None) -> Phone:
        """Make a member (or take one) and enrol a phone."""
        whose = member or members.create_member(self.db, name, NOW_MS).id
        code, _ = members.create_enrolment(self.db, whose, NOW_MS, 900)
        got = members.enrol(self.db, code, None, NOW_MS, 3_600)
        return Phone("", got.member, got.name, got.handle, got.secret, {"session": got.session})

    def audit(self) -> list[str]:
        """What is wrong with the ledger."""
        with self.db.read() as connection:
            return audit(connection)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Rules on a fresh database; the ledger is checked when the test is over."""
    settings = PointsSettings(data_dir=tmp_path)
    db = Database(settings.database_path, settings.database_wait_ms)
    made = Desk(db, settings, Rules(settings.points_per_carton, settings.label_required))
    try:
        yield made
        assert made.audit() == []
    finally:
        db.close()


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointsService]:
    """One running service for the tests of a module; each makes members of its own."""
    with points_service(tmp_path_factory.mktemp("points")) as service:
        yield service


def item(phone: Phone | None, n: int = 1, **changes: object) -> dict[str, object]:
    """Make an item at the desk's time."""
    return deposit_item(phone, n, **{"at_ms": NOW_MS, **changes})  # type: ignore[arg-type]


def back(deposit: dict[str, object], n: int, **changes: object) -> dict[str, object]:
    """Make the item that takes a deposit back, at the desk's time."""
    return withdrawn_item(deposit, n, **{"at_ms": NOW_MS, **changes})  # type: ignore[arg-type]


def count(desk: Desk, table: object) -> int:
    """How many rows a table has."""
    with desk.db.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]

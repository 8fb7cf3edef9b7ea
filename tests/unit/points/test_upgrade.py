"""A database that an earlier version made is opened, kept as it was, and used on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.points.config import PointsSettings
from gateway.points.credits import Answer, Rules
from gateway.points.database import Database
from gateway.points.ledger import audit
from gateway.points.statement import history
from gateway.points.tables import SCHEMA_VERSION

from .conftest import NOW_MS, Desk, back

VERSION_1 = Path(__file__).with_name("points_v1.sql")
KEYS = {
    "pepper": "a-pepper-of-tests-only-000000",
    "gateway_key": "g" * 24,
    "operator_key": "o" * 24,
}
MEMBER = "M-K5VJ0J46"
PASS = "BB1.AWPFJRAG.55605119.4MZH9KRX6576R8MV"


def sent(n: int, label: str) -> dict[str, object]:
    """Make the item that was sent to the earlier version, or one of the same pass."""
    times = {"t": NOW_MS, "scanned_at": NOW_MS - 5_230, "clock": "ntp"}
    place = {"bin": "B-7K2QA", "station": "S-DEMO", "kind": "deposit", "g": 312}
    return {"id": f"B-7K2QA.5f3a9c01.{n}", **place, **times, "pass": PASS, "label": label * 22}


@pytest.fixture
def old(tmp_path: Path) -> PointsSettings:
    """Lay a database of version 1 into a data folder: two deposits credited, one refused."""
    settings = PointsSettings(data_dir=tmp_path, **KEYS)  # type: ignore[arg-type]
    settings.database_path.parent.mkdir()
    raw = sqlite3.connect(settings.database_path)
    raw.executescript(VERSION_1.read_text())
    raw.close()
    return settings


def version(settings: PointsSettings) -> tuple[int, int]:
    """Read the schema's version, and how many triggers guard it."""
    raw = sqlite3.connect(settings.database_path)
    (number,) = raw.execute("PRAGMA user_version").fetchone()
    (guards,) = raw.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()
    raw.close()
    return number, guards


def test_a_database_of_version_1_is_used_on(old: PointsSettings) -> None:
    assert version(old) == (1, 12)
    db = Database(old.database_path, 1_000)
    desk = Desk(db, old, Rules(10, label_required=True))
    first, second, third = sent(1, "A"), sent(2, "B"), sent(3, "A")
    stored = desk.settle(first, second, third)
    assert [(one.status, one.balance, one.code) for one in stored] == [
        ("credited", 10, ""),
        ("credited", 20, ""),
        ("refused", 20, "label_seen"),
    ]
    assert isinstance(stored[0], Answer)
    # A deposit of then is taken back now, and its label earns again, once.
    answers = desk.settle(back(first, 4), sent(5, "A"), sent(6, "A"))
    assert [(one.points, one.balance, one.code) for one in answers] == [
        (-10, 10, ""),
        (10, 20, ""),
        (0, 20, "label_seen"),
    ]
    assert desk.settle(first, second, third) == stored
    with db.read() as connection:
        rows = history(connection, MEMBER, None, 20)
        assert [row.points for row in rows] == [0, 10, -10, 0, 10, 10]
        assert audit(connection) == []
    db.close()
    assert version(old) == (SCHEMA_VERSION, 16)


def test_the_change_is_made_once_and_whole(old: PointsSettings) -> None:
    """A second start finds nothing to do; a start that is cut short leaves version 1."""
    raw = sqlite3.connect(old.database_path, isolation_level=None)
    raw.execute("CREATE TABLE labels_again (x)")  # in the way: the guard's CREATE still passes
    raw.execute("CREATE INDEX ix_withdrawals_of ON labels (deposit)")  # but this name is taken
    with pytest.raises(Exception, match="ix_withdrawals_of"):
        Database(old.database_path, 1_000)
    assert version(old) == (1, 12)
    raw.execute("DROP INDEX ix_withdrawals_of")
    raw.execute("DROP TABLE labels_again")
    raw.close()
    for _ in range(2):
        Database(old.database_path, 1_000).close()
        assert version(old) == (SCHEMA_VERSION, 16)

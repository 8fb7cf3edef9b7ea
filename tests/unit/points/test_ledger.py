"""The ledger's own fences, and an audit that finds what is broken."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.points import members
from gateway.points.ledger import Transfer, audit, balances, issue
from gateway.points.tables import ISSUED

from .conftest import NOW_MS

if TYPE_CHECKING:
    from .conftest import Desk


def move(member: str, number: int = 1, points: int = 10) -> Transfer:
    """Make a transfer that has no deposit behind it."""
    return Transfer(f"test:{number}", "test", member, points)


def test_issue_moves_points(desk: Desk) -> None:
    one, two = (members.create_member(desk.db, name, NOW_MS).id for name in "ab")
    with desk.db.write() as connection:
        issue(connection, [move(one, 1), move(two, 2, 7), move(one, 3, 5)], NOW_MS)
        assert balances(connection, {one, two}) == {one: 15, two: 7}
        assert audit(connection) == []


def test_transfer_happens_once_or_not_at_all(desk: Desk) -> None:
    member = members.create_member(desk.db, "a", NOW_MS).id
    with desk.db.write() as connection:
        issue(connection, [move(member)], NOW_MS)
    with pytest.raises(IntegrityError), desk.db.write() as connection:
        issue(connection, [move(member, 2), move(member, 1)], NOW_MS)
    with desk.db.read() as connection:
        assert balances(connection, {member}) == {member: 10}


@pytest.mark.parametrize("points", [0, -1])
def test_nothing_and_less_cannot_be_moved(desk: Desk, points: int) -> None:
    member = members.create_member(desk.db, "a", NOW_MS).id
    with pytest.raises(IntegrityError), desk.db.write() as connection:
        issue(connection, [move(member, points=points)], NOW_MS)


def test_audit_finds_what_was_broken_behind_its_back(desk: Desk) -> None:
    member = members.create_member(desk.db, "a", NOW_MS).id
    with desk.db.write() as connection:
        issue(connection, [move(member)], NOW_MS)
    raw = sqlite3.connect(desk.settings.database_path)
    raw.execute("INSERT INTO transfers VALUES ('test:9', 'test', 1)")
    raw.execute("INSERT INTO entries VALUES ('test:9', ?, 3, 0)", (ISSUED,))
    raw.execute("UPDATE accounts SET balance = 11 WHERE member = ?", (member,))
    raw.commit()
    slips = desk.audit()
    assert [slip.partition(",")[0] for slip in slips] == [
        "debits are 13",
        "transfer test:9 does not balance",
        f"account member:{member} keeps 11",
    ]
    # Mended again, since the desk audits when it closes.
    raw.execute("DROP TRIGGER entries_no_delete")
    raw.execute("DROP TRIGGER transfers_no_delete")
    raw.execute("DELETE FROM entries WHERE transfer = 'test:9'")
    raw.execute("DELETE FROM transfers WHERE id = 'test:9'")
    raw.execute("UPDATE accounts SET balance = 10 WHERE member = ?", (member,))
    raw.commit()
    raw.close()

"""Deposits taken back: in order, out of order, again and again, and never more than was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.points.ledger import Transfer, balances, issue
from gateway.points.statement import history
from gateway.points.tables import (
    ISSUED,
    deposits,
    entries,
    labels_again,
    pass_bindings,
    statement,
    transfers,
    withdrawals,
)
from tests.support.points import some_label

from .conftest import NOW_MS, back, count, item

if TYPE_CHECKING:
    from gateway.points.credits import Answer

    from .conftest import Desk

OTHER_BIN = "B-0001Z"


def told(*answers: Answer) -> list[tuple[str, int, int, str]]:
    """Give what matters of answers."""
    return [(one.status, one.points, one.balance, one.code) for one in answers]


def balance_of(desk: Desk, member: str) -> int:
    """Read a member's kept balance."""
    with desk.db.read() as connection:
        return balances(connection, {member})[member]


def test_takes_the_points_back(desk: Desk) -> None:
    phone = desk.phone()
    carton, other = item(phone, 1), item(phone, 2)
    desk.settle(carton, other)
    with desk.db.read() as connection:
        before = connection.execute(select(entries)).all()
    (answer,) = desk.settle(back(carton, 3))
    assert answer.id == "B-7K2QA.5f3a9c01.3"
    assert told(answer) == [("withdrawn", -10, 10, "")]
    assert answer.why.endswith(".")
    with desk.db.read() as connection:
        after = connection.execute(select(entries)).all()
    assert after[: len(before)] == before  # a correction is a new entry
    new = {(row.account, row.debit, row.credit) for row in after[len(before) :]}
    assert new == {(f"member:{phone.member}", 10, 0), (ISSUED, 0, 10)}


def test_a_row_of_the_history_tells_of_the_withdrawal(desk: Desk) -> None:
    phone, taken_ms = desk.phone(), NOW_MS + 9_000
    carton = item(phone, 1)
    desk.settle(carton)
    desk.settle(back(carton, 2, at_ms=taken_ms, g=308), now_ms=NOW_MS + 60_000)
    with desk.db.read() as connection:
        newest, oldest = history(connection, phone.member, None, 10)
    assert (newest.code, newest.points, newest.balance) == ("deposit.withdrawn", -10, 0)
    assert (newest.at_ms, newest.mass_g, newest.bin) == (taken_ms, 308, "B-7K2QA")
    assert (newest.station, newest.deposit) == ("S-DEMO", carton["id"])
    assert (oldest.code, oldest.at_ms, oldest.mass_g) == ("deposit.credited", NOW_MS, 312)


@pytest.mark.parametrize("clock", ["rtc", "none"])
def test_a_poor_clock_is_not_shown(desk: Desk, clock: str) -> None:
    phone = desk.phone()
    carton = item(phone, 1)
    desk.settle(carton, back(carton, 2, clock=clock, t=5))
    with desk.db.read() as connection:
        newest = history(connection, phone.member, None, 1)[0]
    assert (newest.at_ms, newest.clock_poor) == (NOW_MS, True)


# ---- once, for ever ----


def test_the_same_withdrawal_again_is_answered_the_same(desk: Desk) -> None:
    phone = desk.phone()
    carton = item(phone, 1)
    taken = back(carton, 2)
    _, first = desk.settle(carton, taken)
    desk.settle(item(phone, 3))
    said = [desk.settle({**taken, "received": NOW_MS, "new": 1})[0] for _ in range(3)]
    assert said == [first] * 3
    assert told(first) == [("withdrawn", -10, 0, "")]
    assert balance_of(desk, phone.member) == 10
    assert count(desk, withdrawals) == 1


@pytest.mark.parametrize("changes", [{"g": 1}, {"of": "B-7K2QA.5f3a9c01.2"}, {"t": 1}, {"g": "x"}])
def test_the_same_id_with_another_body_conflicts(desk: Desk, changes: dict[str, object]) -> None:
    phone = desk.phone()
    carton, second = item(phone, 1), item(phone, 2)
    taken = back(carton, 3)
    _, _, first = desk.settle(carton, second, taken)
    (other,) = desk.settle({**taken, **changes})
    assert (other.status, other.code, other.points) == ("refused", "id_conflict", 0)
    assert desk.settle(taken) == [first]
    assert balance_of(desk, phone.member) == 10


def test_one_id_cannot_be_a_deposit_and_a_withdrawal(desk: Desk) -> None:
    phone = desk.phone()
    carton, second = item(phone, 1), item(phone, 2)
    desk.settle(carton, second)
    as_back, taken = desk.settle(back(carton, 2), back(carton, 3))
    (as_deposit,) = desk.settle(item(phone, 3))
    assert (as_back.code, as_deposit.code) == ("id_conflict", "id_conflict")
    assert told(taken) == [("withdrawn", -10, 10, "")]


@pytest.mark.parametrize("together", [True, False])
def test_two_withdrawals_of_one_deposit_take_it_back_once(desk: Desk, *, together: bool) -> None:
    phone = desk.phone()
    carton = item(phone, 1)
    desk.settle(carton, item(phone, 2))
    pair = [back(carton, 3), back(carton, 4)]
    answers = desk.settle(*pair) if together else [desk.settle(one)[0] for one in pair]
    assert told(*answers) == [
        ("withdrawn", -10, 10, ""),
        ("withdrawn", 0, 10, "withdrawn_before"),
    ]
    assert count(desk, statement) == 3


def test_the_ledger_itself_takes_a_deposit_back_only_once(desk: Desk) -> None:
    """The last fence, should the rules before it ever fail."""
    phone = desk.phone()
    carton = item(phone, 1)
    desk.settle(carton, item(phone, 2), back(carton, 3))
    again = Transfer(f"withdrawn:{carton['id']}", "withdrawn", phone.member, 10, back=True)
    with pytest.raises(IntegrityError), desk.db.write() as connection:
        issue(connection, [again], NOW_MS)
    with desk.db.read() as connection:
        row = dict(connection.execute(select(withdrawals)).one()._mapping)
    with pytest.raises(IntegrityError, match="reverses"), desk.db.write() as connection:
        connection.execute(insert(withdrawals), {**row, "id": "another"})
    assert balance_of(desk, phone.member) == 10


# ---- the label ----


def test_a_carton_weighed_again_earns(desk: Desk) -> None:
    phone, label = desk.phone(), some_label()
    first = item(phone, 1, label=label)
    batch = [first, back(first, 2), item(phone, 3, label=label)]
    answers = desk.settle(*batch)
    assert told(*answers) == [
        ("credited", 10, 10, ""),
        ("withdrawn", -10, 0, ""),
        ("credited", 10, 10, ""),
    ]
    assert desk.settle(*batch) == answers
    assert count(desk, pass_bindings) == 1


def test_a_free_label_earns_once_each_time_it_is_free(desk: Desk) -> None:
    mine, other, label = desk.phone("A"), desk.phone("B"), some_label()
    for n in (1, 11, 21):
        carton = item(mine, n, label=label)
        answers = desk.settle(carton, item(other, n + 1, label=label))
        assert [one.code for one in answers] == ["", "label_seen"]
        assert desk.settle(item(other, n + 2, label=label))[0].code == "label_seen"
        assert desk.settle(back(carton, n + 3))[0].points == -10
    (last,) = desk.settle(item(other, 31, label=label))
    assert told(last) == [("credited", 10, 10, "")]
    assert balance_of(desk, mine.member) == 0
    with desk.db.read() as connection:
        turns = connection.execute(select(labels_again.c.turn).order_by(labels_again.c.turn))
        assert list(turns.scalars()) == [1, 2, 3]


def test_the_withdrawal_of_one_frees_no_label_that_another_holds(desk: Desk) -> None:
    """The first was refused for its label: taking it back must not free the second's."""
    phone, label = desk.phone(), some_label()
    held, seen = item(phone, 1, label=label), item(phone, 2, label=label)
    answers = desk.settle(held, seen, back(seen, 3), item(phone, 4, label=label))
    assert [one.code for one in answers] == ["", "label_seen", "deposit_refused", "label_seen"]
    assert balance_of(desk, phone.member) == 10


# ---- out of order, and of what earned nothing ----


@pytest.mark.parametrize("together", [True, False])
def test_a_withdrawal_before_its_deposit_is_remembered(desk: Desk, *, together: bool) -> None:
    phone, label = desk.phone(), some_label()
    carton = item(phone, 1, label=label)
    pair = [back(carton, 2), carton]
    early, late = desk.settle(*pair) if together else [desk.settle(one)[0] for one in pair]
    assert told(early) == [("withdrawn", 0, 0, "deposit_unknown")]
    assert told(late) == [("refused", 0, 0, "withdrawn")]
    assert desk.settle(*reversed(pair)) == [late, early]
    assert count(desk, pass_bindings) == count(desk, transfers) == 0
    with desk.db.read() as connection:
        (row,) = history(connection, phone.member, None, 10)
    assert (row.code, row.points, row.bin) == ("deposit.withdrawn", 0, "B-7K2QA")
    assert desk.settle(item(phone, 3, label=label))[0].status == "credited"


def test_the_second_weighing_overtakes_the_first(desk: Desk) -> None:
    phone, label = desk.phone(), some_label()
    first, second = item(phone, 1, label=label), item(phone, 3, label=label)
    answers = desk.settle(back(first, 2), second, first)
    assert [one.code for one in answers] == ["deposit_unknown", "", "withdrawn"]
    assert balance_of(desk, phone.member) == 10


def test_of_a_refused_deposit_changes_nothing(desk: Desk) -> None:
    phone = desk.phone()
    carton, nobody, odd = item(phone, 1), item(None, 2), item(phone, 3, g=-1)
    seen = item(phone, 4, label=carton["label"])
    desk.settle(carton, nobody, odd, seen)
    rows = count(desk, statement)
    answers = desk.settle(back(nobody, 5), back(odd, 6, g=1), back(seen, 7))
    assert told(*answers) == [
        ("withdrawn", 0, 0, "deposit_refused"),
        ("withdrawn", 0, 0, "deposit_refused"),
        ("withdrawn", 0, 10, "deposit_refused"),
    ]
    assert count(desk, statement) == rows
    assert balance_of(desk, phone.member) == 10


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"of": None}, "of"),
        ({"of": 1}, "of"),
        ({"of": "B-7K2QA.5f3a9c01"}, "of"),
        ({"of": "B-7K2QA.5f3a9c01.9"}, "of"),
        ({"of": "B-7K2QA.5f3a9c01.10"}, "of"),
        ({"of": "B-7K2QA.5f3a9c02.1"}, "of"),
        ({"of": f"{OTHER_BIN}.5f3a9c01.1"}, "of"),
        ({"bin": OTHER_BIN}, "bin"),
        ({"clock": "sun"}, "clock"),
        ({"g": -1}, "g"),
    ],
)
def test_what_is_no_withdrawal_takes_nothing(
    desk: Desk, changes: dict[str, object], named: str
) -> None:
    phone = desk.phone()
    carton = item(phone, 1)
    desk.settle(carton, item(phone, 1, bin_id=OTHER_BIN, label=some_label()))
    before = balance_of(desk, phone.member)
    wrong = back(carton, 9, **changes)
    (answer,) = desk.settle(wrong)
    assert (answer.status, answer.code, answer.points) == ("refused", "bad_item", 0)
    assert named in answer.why
    assert desk.settle(wrong) == [answer]
    assert balance_of(desk, phone.member) == before
    assert count(desk, withdrawals) == 0


# ---- spent, and broken behind its back ----


def spend(desk: Desk, member: str, points: int) -> None:
    """Take points as a redemption will."""
    move = Transfer(f"spent:{points}", "spent", member, points, back=True)
    with desk.db.write() as connection:
        issue(connection, [move], NOW_MS)


@pytest.mark.parametrize(("spent", "taken", "owed"), [(0, 10, 0), (7, 3, 7), (10, 0, 10)])
def test_spent_points_are_a_debt_on_record_and_no_balance_is_below_zero(
    desk: Desk, spent: int, taken: int, owed: int
) -> None:
    phone, label = desk.phone(), some_label()
    carton = item(phone, 1, label=label)
    desk.settle(carton)
    if spent:
        spend(desk, phone.member, spent)
    answers = desk.settle(back(carton, 2), back(carton, 3), item(phone, 4, label=label))
    assert told(*answers) == [
        ("withdrawn", -taken, 0, "points_spent" if owed else ""),
        ("withdrawn", 0, 0, "withdrawn_before"),
        ("credited", 10, 10, ""),
    ]
    with desk.db.read() as connection:
        assert connection.scalar(select(func.sum(withdrawals.c.owed))) == owed
        row = history(connection, phone.member, None, 10)[1]
    assert (row.code, row.points, row.balance) == ("deposit.withdrawn", -taken, 0)


def test_audit_finds_a_withdrawal_that_moved_nothing(desk: Desk) -> None:
    phone = desk.phone()
    carton = item(phone, 1)
    desk.settle(carton)
    desk.settle(back(item(phone, 2), 3))  # of one that never came
    with desk.db.write() as connection:
        row = dict(connection.execute(select(withdrawals)).one()._mapping)
        forged = {**row, "id": "x", "of": carton["id"], "reverses": carton["id"], "points": -9}
        connection.execute(insert(withdrawals), {**forged, "member": phone.member})
    assert desk.audit() == [
        "1 withdrawals took points back, 0 transfers were made for them",
        "answers of withdrawn promise 9 points, the ledger moved 0",
        "withdrawal x took back something else than its deposit gave",
    ]
    with desk.db.write() as connection:  # mended again, since the desk audits when it closes
        connection.exec_driver_sql("DROP TRIGGER withdrawals_no_delete")
        connection.execute(withdrawals.delete())
    assert count(desk, deposits) == 1

"""The rules of `POST /v1/deposits`, without HTTP: each code, the order of checks, once for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from gateway.points.credits import Rules
from gateway.points.statement import history
from gateway.points.tables import GUARDS, deposits, entries, labels, pass_bindings, statement
from tests.support.points import Phone, plain_pass, some_label

from .conftest import NOW_MS, STEP_MS, count, item

if TYPE_CHECKING:
    from .conftest import Desk

OTHER_BIN = "B-0001Z"


def test_credits_a_carton(desk: Desk) -> None:
    phone = desk.phone()
    (answer,) = desk.settle(item(phone))
    assert (answer.id, answer.status, answer.points, answer.balance, answer.code) == (
        "B-7K2QA.5f3a9c01.1",
        "credited",
        10,
        10,
        "",
    )
    with desk.db.read() as connection:
        (entry,) = history(connection, phone.member, None, 10)
    assert (entry.code, entry.points, entry.balance) == ("deposit.credited", 10, 10)
    assert (entry.bin, entry.station, entry.mass_g) == ("B-7K2QA", "S-DEMO", 312)
    assert entry.at_ms == NOW_MS


def test_points_a_carton_are_a_setting(desk: Desk) -> None:
    (answer,) = desk.settle(item(desk.phone()), rules=Rules(25, label_required=True))
    assert (answer.points, answer.balance) == (25, 25)


def test_several_cartons_of_one_visit(desk: Desk) -> None:
    phone = desk.phone()
    shown = phone.show_pass(NOW_MS)
    answers = desk.settle(*(item(phone, n, **{"pass": shown}) for n in (1, 2, 3)))
    assert [answer.balance for answer in answers] == [10, 20, 30]
    assert count(desk, pass_bindings) == 1


def test_two_phones_of_one_member_share_a_balance(desk: Desk) -> None:
    first = desk.phone()
    second = desk.phone(member=first.member)
    assert first.handle != second.handle
    answers = desk.settle(item(first, 1), item(second, 2))
    assert [answer.balance for answer in answers] == [10, 20]


# ---- refusals, one for each code ----


def refusals(phone: Phone) -> dict[str, dict[str, object]]:
    """Make an item for each code that looks at one item alone."""
    good = phone.show_pass(NOW_MS)
    tampered = good[:-1] + ("0" if good[-1] != "0" else "1")
    scanned = NOW_MS - 5_230
    return {
        "label_missing": item(phone, 1, label=""),
        "pass_forged": item(phone, 2, **{"pass": tampered}),
        "pass_unknown": item(phone, 3, **{"pass": plain_pass(phone.secret, "ZZZZZZZZ", 1)}),
        "pass_expired": item(phone, 4, **{"pass": phone.show_pass(scanned - 2 * STEP_MS)}),
        "bad_item": item(phone, 5, g="heavy"),
    }


@pytest.mark.parametrize(
    "code", ["label_missing", "pass_forged", "pass_unknown", "pass_expired", "bad_item"]
)
def test_refusal_is_stored_and_takes_nothing(desk: Desk, code: str) -> None:
    phone = desk.phone()
    refused = refusals(phone)[code]
    (first,) = desk.settle(refused)
    assert (first.status, first.points, first.balance, first.code) == ("refused", 0, 0, code)
    assert first.why.endswith(".")
    assert desk.settle(refused, now_ms=NOW_MS + 10**10) == [first]
    assert (count(desk, labels), count(desk, pass_bindings), count(desk, entries)) == (0, 0, 0)
    # The label of a refused deposit still earns.
    label = refused["label"] or some_label()
    (good,) = desk.settle(item(phone, 99, label=label))
    assert good.status == "credited"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "BB1.ABCDEFGH.1",
        "BB2.ABCDEFGH.1.0123456789ABCDEF",
        "BB1.ABCDEFGI.1.0123456789ABCDEF",
        "BB1.ABCDEFGH.01.0123456789ABCDEF",
        "BB1.ABCDEFGH.1.0123456789ABCDEF\n",
        "BB1.ABCDEFGH.١.0123456789ABCDEF",
    ],
)
def test_what_is_no_pass_is_forged(desk: Desk, text: str) -> None:
    (answer,) = desk.settle(item(desk.phone(), **{"pass": text}))
    assert answer.code == "pass_forged"


def test_lower_case_pass_is_no_pass(desk: Desk) -> None:
    phone = desk.phone()
    (answer,) = desk.settle(item(phone, **{"pass": phone.show_pass(NOW_MS).lower()}))
    assert answer.code == "pass_forged"


def test_secret_of_another_phone_forges_nothing(desk: Desk) -> None:
    mine, other = desk.phone(), desk.phone("Other")
    stolen = replace(other, secret=mine.secret)
    (answer,) = desk.settle(item(stolen))
    assert (answer.code, answer.balance) == ("pass_forged", 0)


def test_pass_replayed_at_another_bin(desk: Desk) -> None:
    phone = desk.phone()
    shown = {"pass": phone.show_pass(NOW_MS)}
    first, second, third = desk.settle(
        item(phone, 1, **shown),
        item(phone, 2, bin_id=OTHER_BIN, **shown),
        item(phone, 3, **shown),
    )
    assert [first.code, second.code, third.code] == ["", "pass_replayed", ""]
    assert second.balance == 10
    # The next step is another pass: the other bin may have it.
    later = NOW_MS + 2 * STEP_MS
    (answer,) = desk.settle(item(phone, 4, bin_id=OTHER_BIN, at_ms=later))
    assert answer.status == "credited"


def test_refused_deposit_binds_no_pass(desk: Desk) -> None:
    phone, label = desk.phone(), some_label()
    desk.settle(item(phone, 1, label=label, at_ms=NOW_MS - 20 * STEP_MS))
    shown = {"pass": phone.show_pass(NOW_MS)}
    seen, good = desk.settle(
        item(phone, 2, label=label, **shown), item(phone, 3, bin_id=OTHER_BIN, **shown)
    )
    assert (seen.code, good.code) == ("label_seen", "")


def test_label_earns_once_ever(desk: Desk) -> None:
    first, second, label = desk.phone("A"), desk.phone("B"), some_label()
    answers = desk.settle(
        item(first, 1, label=label), item(first, 2, label=label), item(second, 3, label=label)
    )
    assert [answer.code for answer in answers] == ["", "label_seen", "label_seen"]
    (later,) = desk.settle(item(second, 4, label=label))
    assert (later.code, later.balance) == ("label_seen", 0)


def test_label_is_not_stored_as_it_came(desk: Desk) -> None:
    label = some_label()
    desk.settle(item(desk.phone(), label=label))
    with desk.db.read() as connection:
        (kept,) = connection.execute(select(labels.c.label_hash)).scalars()
    assert len(kept) == 32
    files = desk.settings.database_path.parent.glob("points.db*")
    assert not any(label.encode() in path.read_bytes() for path in files)


def test_label_policy_is_a_setting(desk: Desk) -> None:
    phone, lenient = desk.phone(), Rules(10, label_required=False)
    answers = desk.settle(item(phone, 1, label=""), item(phone, 2, label=""), rules=lenient)
    assert [answer.code for answer in answers] == ["", ""]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "reuse"}, "kind"),
        ({"bin": OTHER_BIN}, "bin"),
        ({"bin": "B-7K2Q"}, "bin"),
        ({"station": "demo"}, "station"),
        ({"t": "now"}, "t"),
        ({"t": True}, "t"),
        ({"t": 2**63}, "t"),
        ({"clock": "sun"}, "clock"),
        ({"scanned_at": None}, "scanned_at"),
        ({"pass": 7}, "pass"),
        ({"pass": "B" * 200}, "pass"),
        ({"pass": "\ud800"}, "pass"),
        ({"label": "short"}, "label"),
        ({"label": "!" * 22}, "label"),
        ({"g": -1}, "g"),
        ({"g": 3.5}, "g"),
    ],
)
def test_bad_item_names_what_is_wrong(desk: Desk, changes: dict[str, object], named: str) -> None:
    wrong = item(desk.phone(), **changes)
    (answer,) = desk.settle(wrong)
    assert answer.code == "bad_item"
    assert named in answer.why
    assert desk.settle(wrong) == [answer]


@pytest.mark.parametrize("key", ["kind", "bin", "station", "t", "clock", "pass", "label", "g"])
def test_missing_key_is_a_bad_item(desk: Desk, key: str) -> None:
    short = item(desk.phone())
    del short[key]
    (answer,) = desk.settle(short)
    assert answer.code == "bad_item"
    assert key in answer.why


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        [],
        {},
        {"id": 3},
        {"id": "B-7K2QA.5f3a9c01"},
        {"id": "B-7K2QA.5f3a9c01.0"},
        {"id": "\ud800"},
    ],
)
def test_item_without_an_id_spoils_no_other(desk: Desk, raw: object) -> None:
    bad, good = desk.settle(raw, item(desk.phone()))
    assert (bad.code, good.code) == ("bad_item", "")
    assert count(desk, deposits) == 1


def test_order_of_the_checks(desk: Desk) -> None:
    """What fails everything is told the first; mended one by one, the next shows."""
    phone, label = desk.phone(), some_label()
    used = phone.show_pass(NOW_MS)
    desk.settle(item(phone, 1, label=label, **{"pass": used}))
    late = phone.show_pass(NOW_MS - 40 * STEP_MS)
    worst = {"bin_id": OTHER_BIN, "label": ""}
    codes = [
        desk.settle(made)[0].code
        for made in (
            item(phone, 2, **worst, g=-1, **{"pass": "x"}),
            item(phone, 3, **worst, **{"pass": "x"}),
            item(phone, 4, bin_id=OTHER_BIN, label=label, **{"pass": "x"}),
            item(phone, 8, bin_id=OTHER_BIN, label=label, scanned_at=0, **{"pass": late}),
            item(phone, 5, bin_id=OTHER_BIN, label=label, **{"pass": late}),
            item(phone, 6, bin_id=OTHER_BIN, label=label, **{"pass": used}),
            item(phone, 7, label=label, **{"pass": used}),
        )
    ]
    assert codes == [
        "bad_item",
        "label_missing",
        "pass_forged",
        "time_impossible",
        "pass_expired",
        "pass_replayed",
        "label_seen",
    ]


# ---- the database's own guard ----


@pytest.mark.parametrize("table", [entries, deposits, labels, pass_bindings, statement])
def test_rows_never_change(desk: Desk, table: object) -> None:
    desk.settle(item(desk.phone()))
    column = next(iter(table.c))  # type: ignore[attr-defined]
    for change in (update(table).values({column: column}), delete(table)):  # type: ignore[arg-type]
        with pytest.raises(IntegrityError, match="for ever"), desk.db.write() as connection:
            connection.execute(change)


def test_every_for_ever_table_is_guarded(desk: Desk) -> None:
    with desk.db.read() as connection:
        found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        names = set(found.scalars())
    assert len(names) == len(GUARDS) == 16

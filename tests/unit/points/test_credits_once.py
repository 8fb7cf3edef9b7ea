"""Passes in time, and answers that stay: the other half of test_credits.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.points.credits import AGE_MAX_MS, MAX_ITEMS, Rules
from gateway.points.statement import history
from gateway.points.tables import deposits, statement

from .conftest import NOW_MS, STEP_MS, count, item

if TYPE_CHECKING:
    from tests.support.points import Phone

    from .conftest import Desk


# ---- time ----


@pytest.mark.parametrize(
    ("clock", "steps", "code"),
    [
        ("ntp", 0, ""),
        ("ntp", -1, ""),
        ("ntp", 1, ""),
        ("ntp", -2, "pass_expired"),
        ("ntp", 2, "pass_expired"),
        ("rtc", -20, ""),
        ("rtc", 20, ""),
        ("rtc", -21, "pass_expired"),
        ("rtc", 21, "pass_expired"),
        ("none", -20, ""),
        ("none", 20, ""),
        ("none", -21, "pass_expired"),
        ("none", 21, "pass_expired"),
    ],
)
def test_pass_time(desk: Desk, clock: str, steps: int, code: str) -> None:
    phone = desk.phone()
    # With no clock the time of arrival counts, and t and scanned_at mean nothing.
    times = {"t": 0, "scanned_at": -5_230} if clock == "none" else {"scanned_at": NOW_MS}
    shown = phone.show_pass(NOW_MS + steps * STEP_MS)
    (answer,) = desk.settle(item(phone, clock=clock, **times, **{"pass": shown}))
    assert answer.code == code
    with desk.db.read() as connection:
        (entry,) = history(connection, phone.member, None, 10)
    assert entry.clock_poor is (clock != "ntp")


def test_old_line_is_credited_after_an_outage(desk: Desk) -> None:
    week_ms = 7 * 86_400_000
    (answer,) = desk.settle(item(desk.phone()), now_ms=NOW_MS + week_ms)
    assert answer.status == "credited"


WEEK_MS = 7 * 86_400_000


def none_item(phone: Phone, **changes: object) -> dict[str, object]:
    """Make an item of a bin without a clock, its pass made at NOW_MS."""
    times = {"clock": "none", "t": 0, "scanned_at": -5_230, "pass": phone.show_pass(NOW_MS)}
    return item(phone, **{**times, **changes})


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (NOW_MS, ""),
        (NOW_MS - 20 * STEP_MS, ""),
        (NOW_MS + 20 * STEP_MS, ""),
        (NOW_MS - 21 * STEP_MS, "pass_expired"),
        (NOW_MS + 21 * STEP_MS, "pass_expired"),
        (0, "pass_expired"),
        (None, "pass_expired"),
    ],
)
def test_line_without_a_clock_is_judged_by_its_arrival_at_the_gateway(
    desk: Desk, received: int | None, code: str
) -> None:
    """However long points were away, or the line lay in dead letters."""
    made = none_item(desk.phone(), received=received)
    (answer,) = desk.settle(made, now_ms=NOW_MS + WEEK_MS)
    assert answer.code == code


@pytest.mark.parametrize(
    ("late_ms", "code"),
    [(86_400_000, "pass_expired"), (86_400_001, ""), (10**30, ""), (-NOW_MS, ""), (-(10**30), "")],
)
def test_arrival_that_cannot_be_is_none(desk: Desk, late_ms: int, code: str) -> None:
    (answer,) = desk.settle(none_item(desk.phone(), received=NOW_MS + late_ms))
    assert answer.code == code


def test_arrival_is_no_part_of_the_deposit(desk: Desk) -> None:
    """A line of before this was said, and the same one said anew, are one deposit."""
    made = item(desk.phone())
    (first,) = desk.settle(made)
    assert desk.settle({**made, "received": NOW_MS}) == [first]
    assert desk.settle({**made, "received": NOW_MS + 1}) == [first]
    assert count(desk, deposits) == 1


@pytest.mark.parametrize("clock", ["ntp", "rtc"])
@pytest.mark.parametrize(
    ("age_ms", "code"),
    [
        (0, ""),
        (AGE_MAX_MS, ""),
        (AGE_MAX_MS + 1, "time_impossible"),
        (400 * 86_400_000, "time_impossible"),
        (2**52, "time_impossible"),
        (-1, "time_impossible"),
    ],
)
def test_age_of_a_scan_has_bounds(desk: Desk, clock: str, age_ms: int, code: str) -> None:
    """Else the holder of a bin's key could use any pass it ever saw, as of today."""
    phone = desk.phone()
    scanned_at = NOW_MS - age_ms
    shown = phone.show_pass(max(0, scanned_at))
    made = item(phone, clock=clock, scanned_at=scanned_at, **{"pass": shown})
    (answer,) = desk.settle(made)
    assert answer.code == code
    with desk.db.read() as connection:
        (entry,) = history(connection, phone.member, None, 10)
    assert entry.code == f"deposit.{code or 'credited'}"


def test_longest_visit_a_bin_can_be_set_to_is_possible() -> None:
    """From the pass: the visit, then the last carton's flap, drop and settling, twice over."""
    from boxbin.core.settings import row

    longest = sum(row(name)[2] for name in ("visit_ms", "label_ms", "flap_ms", "drop_ms"))
    assert longest + 2 * row("settle_ms")[2] <= AGE_MAX_MS


@pytest.mark.parametrize("t", [2**53, NOW_MS + 86_400_001, -1, -(2**53)])
def test_time_that_cannot_be_is_not_shown(desk: Desk, t: int) -> None:
    """The row stays for ever: a time no calendar has must not get into a member's history."""
    phone = desk.phone()
    desk.settle(item(phone, t=t, scanned_at=t))
    with desk.db.read() as connection:
        (entry,) = history(connection, phone.member, None, 10)
    assert entry.at_ms == NOW_MS


def test_second_carton_of_a_long_visit(desk: Desk) -> None:
    """Four minutes after the scan the line still names the time of the scan."""
    phone = desk.phone()
    made = item(phone, scanned_at=NOW_MS - 240_000, **{"pass": phone.show_pass(NOW_MS - 240_000)})
    (answer,) = desk.settle(made)
    assert answer.status == "credited"


# ---- once, for ever ----


def test_same_again_is_answered_the_same_for_ever(desk: Desk) -> None:
    phone = desk.phone()
    first_item = item(phone, 1)
    (first,) = desk.settle(first_item)
    desk.settle(item(phone, 2))
    (again,) = desk.settle(first_item, now_ms=NOW_MS + 10 * 365 * 86_400_000)
    assert again == first  # with the balance of then, not of now
    assert count(desk, statement) == 2


def test_stored_answer_outlives_a_change_of_the_rules(desk: Desk) -> None:
    phone = desk.phone()
    refused, paid = item(phone, 1, label=""), item(phone, 2)
    before = desk.settle(refused, paid)
    assert desk.settle(refused, paid, rules=Rules(99, label_required=False)) == before


@pytest.mark.parametrize(
    "changes", [{"g": 313}, {"label": "A" * 22}, {"station": "S-X"}, {"g": ""}]
)
def test_same_id_with_another_body_conflicts(desk: Desk, changes: dict[str, object]) -> None:
    made = item(desk.phone())
    (first,) = desk.settle(made)
    (other,) = desk.settle({**made, **changes})
    assert (other.status, other.code, other.points) == ("refused", "id_conflict", 0)
    assert desk.settle(made) == [first]


def test_key_of_a_newer_gateway_is_the_same_body(desk: Desk) -> None:
    made = item(desk.phone())
    (first,) = desk.settle(made)
    assert desk.settle({"new": 1, **dict(reversed(made.items()))}) == [first]


def test_twins_in_one_batch(desk: Desk) -> None:
    made = item(desk.phone())
    first, same, other = desk.settle(made, dict(made), {**made, "g": 1})
    assert first == same
    assert other.code == "id_conflict"
    assert count(desk, deposits) == 1


def test_full_batch_and_again(desk: Desk) -> None:
    phones = [desk.phone(str(n)) for n in range(5)]
    batch = [item(phones[n % 5], n + 1) for n in range(MAX_ITEMS)]
    first = desk.settle(*batch)
    assert {answer.status for answer in first} == {"credited"}
    assert [answer.balance for answer in first[-5:]] == [1_000] * 5
    assert desk.settle(*batch) == first


@pytest.mark.parametrize("size", [0, MAX_ITEMS + 1])
def test_batch_size_is_bounded(desk: Desk, size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        desk.settle(*[{}] * size)

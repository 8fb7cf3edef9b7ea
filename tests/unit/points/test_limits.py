"""The rate of tries, and that its memory is bounded."""

from __future__ import annotations

from gateway.points.limits import MAX_CALLERS, Rate

MINUTE_MS = 60_000


def test_each_caller_has_a_share() -> None:
    rate = Rate(3, 100)
    assert [rate.allow("a", 0) for _ in range(4)] == [True, True, True, False]
    assert rate.allow("b", 0)
    assert not rate.allow("a", MINUTE_MS // 3 - 1)
    assert rate.allow("a", MINUTE_MS // 3 + 1)


def test_all_callers_share_a_total() -> None:
    rate = Rate(3, 5)
    assert sum(rate.allow(str(n), 0) for n in range(9)) == 5
    assert sum(rate.allow(str(n), MINUTE_MS) for n in range(9)) == 5


def test_clock_that_goes_back_gives_nothing() -> None:
    rate = Rate(1, 10)
    assert rate.allow("a", MINUTE_MS)
    assert not rate.allow("a", 0)


def test_memory_is_bounded() -> None:
    rate = Rate(1, 10)
    for n in range(MAX_CALLERS + 500):
        rate.allow(str(n), 0)
    assert len(rate._callers) == MAX_CALLERS

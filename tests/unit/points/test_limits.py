"""The rate of tries, and that its memory is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from gateway.points.limits import MAX_CALLERS, Rate, caller_at
from tests.support.points import REQUEST_S, points_service

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_MS = 60_000


def test_each_caller_has_a_share() -> None:
    rate = Rate(3)
    assert [rate.allow("a", 0) for _ in range(4)] == [True, True, True, False]
    assert rate.allow("b", 0)
    assert not rate.allow("a", MINUTE_MS // 3 - 1)
    assert rate.allow("a", MINUTE_MS // 3 + 1)


def test_nobody_can_use_up_the_tries_of_others() -> None:
    rate = Rate(3)
    for n in range(2_000):
        for _ in range(4):
            rate.allow(f"198.51.{n // 256}.{n % 256}", 0)
    assert rate.allow("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_caller_is_an_address_or_a_site(host: str, caller: str) -> None:
    assert caller_at(host) == caller


def test_clock_that_goes_back_gives_nothing() -> None:
    rate = Rate(1)
    assert rate.allow("a", MINUTE_MS)
    assert not rate.allow("a", 0)


def test_memory_is_bounded() -> None:
    rate = Rate(1)
    for n in range(MAX_CALLERS + 500):
        rate.allow(str(n), 0)
    assert len(rate._callers) == MAX_CALLERS


def test_tries_are_those_of_an_ipv6_site(tmp_path: Path) -> None:
    """Whoever has a /64 has no more tries than anybody else, and takes none from others."""
    with points_service(tmp_path, enrol_tries_per_minute=3, behind_proxy=True) as few:

        def status(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            answer = httpx.post(
                f"{few.url}/v1/enrol", json={"code": "x"}, headers=headers, timeout=REQUEST_S
            )
            return answer.status_code

        assert [status(f"2001:db8::{n}") for n in range(4)] == [404, 404, 404, 429]
        assert status("2001:db8:0:1::1") == 404

"""What radio, names, brokers and clocks do to a bin, in virtual time: it says so and comes back.

The real brokers are in tests/integration/test_link_brokers.py, 72 hours in tools/load/street.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hil_tests.conftest import IDLE
from hil_tests.test_orders import HOST, Site, at_site
from hil_tests.test_visit import begin, to_open_flap
from tools.virtual.world.gateway import Gateway
from tools.virtual.world.net import DNS_IP
from tools.virtual.world.sntp import answer
from tools.virtual.world.world import World

AWAY_MS = 1_800_000


def give_back(site: Site) -> None:
    """One carton, of another label each time, with thanks."""
    begin(site.bin)
    to_open_flap(site.bin, f"SF{site.bin.unix_s():.0f}")
    site.bin.drop(300)
    site.bin.wait_for_text("Thank you!", 10)
    site.bin.press_button()
    site.bin.wait_for_text(IDLE, 30)


def wait_deposits(site: Site, count: int, limit_s: float) -> None:
    record = site.gateway.record
    site.bin.wait_for(lambda: record.kinds["deposit"] == count, limit_s, f"{count} deposits")
    assert (record.gaps, record.changed, record.bad) == ([], [], [])


def host_of(world: World) -> Any:
    return world.net._hosts[world.net.names[HOST], 1883]  # noqa: SLF001


def test_a_broker_whose_name_leads_elsewhere_later_is_found_there(tmp_path: Path) -> None:
    with at_site(tmp_path / "bin") as site:
        with site.bin.world() as world:
            moved = Gateway(world.kernel, site.bin.identity.bin, bytes(range(32)))
            world.net.listen("elsewhere.test", 1883, moved.accept)
            world.net.names[HOST] = world.net.names["elsewhere.test"]
            assert site.gateway.client is not None
            site.gateway.client.drop()
        site.bin.wait_for(lambda: moved.connects, 30, "the other address")
        give_back(site)
        site.bin.wait_for(lambda: moved.record.kinds["deposit"] == 1, 20, "the deposit there")


@pytest.mark.parametrize("mode", ["silent", "half_open"])
def test_a_broker_that_falls_silent_is_left_and_tried_again(tmp_path: Path, mode: str) -> None:
    with at_site(tmp_path / "bin") as site:
        with site.bin.world() as world:
            host_of(world).mode = mode
        give_back(site)
        words = "broker silent for" if mode == "silent" else "broker took nothing for"
        site.bin.wait_for_console(words, 120)
        site.bin.advance(120_000)
        assert site.gateway.record.kinds["deposit"] == 0
        with site.bin.world() as world:
            host_of(world).mode = "up"
        wait_deposits(site, 1, 60)
        site.bin.wait_for(lambda: site.health()["offline_s"] > 60, 10, "how long it was away")
        assert site.health()["offline_why"] in ("session", "connect")


def test_a_broker_that_is_gone_for_long_gets_everything_when_it_is_back(tmp_path: Path) -> None:
    with at_site(tmp_path / "bin") as site:
        give_back(site)
        wait_deposits(site, 1, 20)
        with site.bin.world() as world:
            host_of(world).mode = "refuse"
            host_of(world).drop_all()
        for _ in range(3):
            site.bin.advance(AWAY_MS // 3)
            give_back(site)
        with site.bin.world() as world:
            host_of(world).mode = "up"
        wait_deposits(site, 4, 60)
        assert site.bin.engine.resets == 0


def test_wi_fi_that_comes_and_goes_at_every_step(tmp_path: Path) -> None:
    """Away at another moment of joining, looking up, connecting and talking each time."""
    with at_site(tmp_path / "bin") as site:
        for step in range(40):
            site.bin.wifi(False)
            site.bin.advance(900)
            site.bin.wifi(True)
            site.bin.advance(1_500 + 137 * step)
        give_back(site)
        wait_deposits(site, 1, 120)
        assert site.bin.engine.resets == 0
        with site.bin.world() as world:
            assert len(world.net._connections) <= 1, "sockets were closed"  # noqa: SLF001


def test_a_name_server_that_is_away_blocks_nobody(tmp_path: Path) -> None:
    with at_site(tmp_path / "bin", power=False) as site:
        with site.bin.world() as world:
            world.net.dns.mode = "silent"
        site.bin.power_on()
        site.bin.wait_for_console(f"no answer of {DNS_IP}", 60)
        give_back(site)
        with site.bin.world() as world:
            world.net.dns.mode = "up"
        wait_deposits(site, 1, 60)


@pytest.mark.parametrize("away", [True, False])
def test_the_time_comes_from_the_brokers_host_when_the_time_server_is_away(
    tmp_path: Path, away: bool
) -> None:
    with at_site(tmp_path / "bin", power=False) as site:
        site.bin.engine.sntp.on = not away
        with site.bin.world() as world:
            world.net.datagrams(HOST, 123, lambda ask: answer(ask, site.bin.engine.unix_us()))
        site.bin.power_on()
        site.bin.wait_for_console("clock: ntp", 90)
        assert any("no answer from" in x for x in site.bin.console_tail()) == away


def test_each_line_says_how_good_its_clock_was(tmp_path: Path) -> None:
    """None after the power, the typed time, NTP, and the RTC's after a restart without NTP."""
    seen: list[tuple[str, str, int]] = []
    with at_site(tmp_path / "bin", power=False) as site:
        site.gateway._on_line = lambda line: seen.append((line.kind, line.clock, line.t_ms))  # noqa: SLF001
        site.bin.engine.sntp.on = False
        site.bin.power_on()
        site.bin.wait_for_text(IDLE, 20)
        give_back(site)
        site.bin.type(f"clock {int(site.bin.unix_s())}\r\n")
        site.bin.wait_for_console("clock: done", 5)
        give_back(site)
        site.bin.engine.sntp.on = True
        site.bin.wait_for_console("clock: ntp", 60)
        give_back(site)
        site.bin.engine.sntp.on = False
        site.command("restart")
        site.bin.wait_for(lambda: site.starts() == 2, 30, "a restart")
        site.bin.wait_for_text(IDLE, 20)
        give_back(site)
        wait_deposits(site, 4, 30)
        now_ms = site.bin.unix_s() * 1000
    clocks = [(kind, clock) for kind, clock, _ in seen]
    assert clocks == [
        ("boot", "none"),
        ("deposit", "none"),
        ("deposit", "rtc"),
        ("deposit", "ntp"),
        ("boot", "rtc"),
        ("deposit", "rtc"),
    ]
    assert [t for _, clock, t in seen if clock == "none"] == [0, 0]
    assert all(now_ms - 600_000 < t < now_ms for _, clock, t in seen if clock != "none")


def test_after_a_power_cut_the_clock_is_not_told_but_is_late_enough_for_certificates(
    tmp_path: Path,
) -> None:
    with at_site(tmp_path / "bin") as site:
        known_s = site.bin.unix_s()
        site.bin.power_off()
        site.bin.engine.sntp.on = False
        site.bin.advance(1_000)
        site.bin.power_on()
        site.bin.wait_for_text(IDLE, 20)
        site.bin.wait_for(lambda: site.health()["clock"] == "none", 30, "no clock in health")
        with site.bin.world() as world:
            assert world.board.rtc_us is not None
            rtc_s = (world.board.rtc_us + world.kernel.now_us) / 1e6 + 946_684_800
        assert known_s - 90 < rtc_s < known_s + 60

"""The gateway's orders at a whole bin: commands once each, settings on trial.

The gateway here is the stand-in inside the virtual world; the real one and its command line are in
tests/integration/test_operator.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hil_tests.conftest import IDLE
from hil_tests.test_visit import begin
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.gateway import Gateway

HOST = "broker.test"
KEY = bytes(range(32))
FAST = {"reconnect_ms": 2_000, "reconnect_max_ms": 5_000, "health_ms": 2_000, "trial_ms": 60_000}
FAR_MS = 4_000_000_000_000
RESTART = "--- start"


class Site:
    """A bin and the gateway that it talks to."""

    def __init__(self, bin_: VirtualBin) -> None:
        self.bin = bin_
        with bin_.world() as world:
            self.gateway = Gateway(world.kernel, bin_.identity.bin, KEY)
            world.net.listen(HOST, 1883, self.gateway.accept)
        self.next_id = 0

    def power_on(self) -> None:
        self.bin.power_on()
        self.wait_connected()
        self.bin.wait_for_text(IDLE, 20)
        self.bin.wait_for_console("clock: ntp", 20)

    def wait_connected(self, count: int = 1) -> None:
        self.bin.wait_for(lambda: self.gateway.connects >= count, 60, "a connection")

    def command(self, name: str, until: int = FAR_MS, number: int = 0, **args: int) -> int:
        """Send a command (with the next id unless told); returns its id."""
        self.next_id = number or self.next_id + 1
        body = {"id": self.next_id, "do": name, "args": args, "until": until}
        with self.bin.world():
            self.gateway.send("command", body)
        return self.next_id

    def settings(self, version: int, **changes: Any) -> None:
        with self.bin.world():
            self.gateway.send("settings", {"v": version, "s": changes}, retain=True)

    def answers(self, **wanted: Any) -> list[dict[str, Any]]:
        return [a for a in self.gateway.record.done if wanted.items() <= a.items()]

    def wait_answer(self, limit_s: float = 30, **wanted: Any) -> dict[str, Any]:
        self.bin.wait_for(lambda: self.answers(**wanted), limit_s, f"the answer {wanted}")
        return self.answers(**wanted)[-1]

    def health(self) -> dict[str, Any]:
        return self.gateway.record.health[-1]

    def starts(self) -> int:
        return sum(RESTART in line for line in self.bin.console_tail(500))


@contextmanager
def at_site(folder: Path, power: bool = True, **settings: int) -> Iterator[Site]:
    identity = Identity("B-7K2QM", KEY, bytes(32), broker_host=HOST)
    files = {"/settings.json": json.dumps(FAST | settings).encode()}
    with VirtualBin(identity, folder, virtual_time=True, power=False, files=files) as bin_:
        site = Site(bin_)
        if power:
            site.power_on()
        yield site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with at_site(tmp_path / "bin") as made:
        yield made


# -- commands ------------------------------------------------------------------------------------


def test_each_command_is_done_and_answered(site: Site) -> None:
    site.command("identify", s=5)
    assert site.wait_answer(id=1)["status"] == "done"
    site.bin.wait_for_text("B-7K2QM", 5)
    site.bin.wait_for_text(IDLE, 10)
    site.command("open", s=4)
    assert site.wait_answer(id=2)["status"] == "done"
    site.bin.wait_for(lambda: site.bin.flap() == "open", 5, "an open flap")
    site.bin.wait_for(lambda: site.bin.flap() == "shut", 10, "a shut flap")
    site.bin.wait_for_text(IDLE, 10)
    site.command("tare")
    assert site.wait_answer(id=3)["status"] == "done"
    site.command("report")
    data = site.wait_answer(id=4)["data"]
    assert data["health"]["fw"]
    assert data["boots"]["power"] == 1
    assert data["boots"]["last"] == ["power"]
    site.command("collect")
    site.wait_answer(id=5)
    site.bin.wait_for_text("Collection", 5)
    site.command("collect")
    site.wait_answer(id=6)
    site.bin.wait_for_text("Collection done", 20)
    assert site.gateway.record.kinds["collection"] == 1


def test_a_restart_is_done_once_however_often_it_is_asked_for(site: Site) -> None:
    site.command("restart")
    site.wait_answer(id=1, status="done")
    site.wait_connected(2)
    for _ in range(3):
        site.command("restart", number=1)
        site.bin.advance(5_000)
    assert site.starts() == 2
    assert site.answers(id=1, why="before"), "it is answered all the same"
    site.bin.wait_for(lambda: site.health()["done"] == 1, 10, "its id in health")
    assert site.health()["cause"] == "command"


def test_what_is_late_wrong_or_unknown_is_refused_with_the_reason(site: Site) -> None:
    now_ms = int(site.bin.unix_s() * 1000)
    site.command("open", until=now_ms - 1)
    assert site.wait_answer(id=1)["why"] == "late"
    site.command("explode")
    assert site.wait_answer(id=2)["why"] == "unknown"
    site.command("open", s=100_000)
    assert "allowed 1 to 300" in site.wait_answer(id=3)["why"]
    assert site.bin.flap() == "shut"
    with site.bin.world():
        site.gateway.publish("command", b"x" * 22 + b' {"id":4,"do":"open","args":{},"until":1}')
        site.gateway.publish("command", b"")
    site.bin.wait_for_console("command refused: WireError('mac'", 5)
    assert site.bin.flap() == "shut"


def test_a_command_waits_until_the_visit_is_over_but_not_past_its_deadline(site: Site) -> None:
    begin(site.bin)
    now_ms = int(site.bin.unix_s() * 1000)
    site.command("open", until=now_ms + 10_000)
    site.command("identify", s=3)
    site.bin.advance(5_000)
    assert not site.answers(id=1)
    assert site.wait_answer(id=1)["why"] == "late"
    assert not site.answers(id=2)
    site.bin.press_button()  # a visit in which nothing was given: it offers a carton …
    site.bin.press_button()  # … and is left
    assert site.wait_answer(60, id=2)["status"] == "done"


def test_without_the_time_a_bin_opens_for_nobody_but_can_be_found(tmp_path: Path) -> None:
    with at_site(tmp_path / "bin", power=False) as site:
        site.bin.engine.sntp.on = False
        site.bin.power_on()
        site.wait_connected()
        site.bin.wait_for_text(IDLE, 20)
        site.command("open")
        site.bin.advance(30_000)
        assert not site.answers(id=1), "the time may come yet"
        assert site.wait_answer(60, id=1)["why"] == "no clock"
        site.command("identify", until=1, s=3)
        assert site.wait_answer(id=2)["status"] == "done"
        site.bin.wait_for(lambda: "clock" in site.health()["faults"], 10, "the fault clock")
        site.bin.type(f"clock {int(site.bin.unix_s())}\r\n")
        site.bin.wait_for_console("clock: done", 5)
        site.command("open", s=3)
        assert site.wait_answer(id=3)["status"] == "done"
        site.bin.wait_for(lambda: "clock" not in site.health()["faults"], 10, "no fault clock")


def test_a_command_that_comes_just_before_the_time_waits_for_it(tmp_path: Path) -> None:
    """After a power cut the link is there first: what was asked meanwhile is not thrown away."""
    with at_site(tmp_path / "bin", power=False) as site:
        site.bin.engine.sntp.on = False
        site.bin.power_on()
        site.wait_connected()
        site.command("open", s=3)
        site.bin.advance(5_000)
        site.bin.engine.sntp.on = True
        assert site.wait_answer(40, id=1)["status"] == "done"


# -- settings ------------------------------------------------------------------------------------


def test_good_settings_come_into_force_with_the_gateways_word_and_survive_the_power(
    site: Site,
) -> None:
    site.settings(1, mass_min_mg=30_000)
    assert site.wait_answer(settings=1)["status"] == "done"
    assert site.starts() == 2
    site.bin.wait_for(lambda: site.health()["settings"] == 1, 10, "version 1 in health")
    site.bin.power_off()
    site.bin.power_on()
    site.bin.wait_for_text(IDLE, 20)
    site.bin.type("settings\r\n")
    site.bin.wait_for_console("mass_min_mg 30000", 10)
    site.bin.advance(10_000)
    assert site.starts() == 3, "the retained document is no news"
    assert len(site.answers(settings=1)) == 1


def test_a_bad_document_is_refused_whole_and_the_old_one_stays(site: Site) -> None:
    site.settings(1, mass_min_mg=30_000)
    site.wait_answer(settings=1, status="done")
    site.settings(2, light_mg=4_000, mass_min_mg=3)
    answer = site.wait_answer(settings=2)
    assert answer["status"] == "refused"
    assert answer["why"] == "mass_min_mg is 3, allowed 5000 to 1000000"
    site.settings(3, colour=1)
    assert site.wait_answer(settings=3)["why"] == "unknown setting colour"
    site.bin.type("settings\r\n")
    site.bin.wait_for_console("mass_min_mg 30000", 10)
    assert site.starts() == 2
    site.bin.wait_for(lambda: "settings" in site.health()["faults"], 10, "the fault settings")
    site.settings(4, mass_min_mg=30_000)
    site.wait_answer(settings=4, status="done")
    site.bin.wait_for(lambda: "settings" not in site.health()["faults"], 10, "no fault")


def test_settings_that_take_the_bin_off_the_network_are_rolled_back_by_the_bin(
    site: Site,
) -> None:
    site.settings(1, broker_host="nowhere.test", mass_min_mg=30_000)
    site.bin.wait_for_console("nowhere.test: no such name", 60)
    site.bin.wait_for_text(IDLE, 20)
    connects = site.gateway.connects
    site.bin.wait_for(lambda: site.gateway.connects > connects, 180, "its old broker")
    answer = site.wait_answer(60, settings=1)
    assert answer["status"] == "rolled_back"
    site.bin.wait_for(lambda: site.health()["refused_settings"] == 1, 10, "refused in health")
    assert site.health()["settings"] == 0
    site.bin.advance(90_000)
    assert site.starts() == 3, "the retained document is not tried again"
    assert len(site.answers(settings=1)) == 1


def test_settings_are_rolled_back_when_a_strangers_broker_takes_the_bin(site: Site) -> None:
    """It says yes to everything and knows no key: that is not the gateway's word."""
    with site.bin.world() as world:
        stranger = Gateway(world.kernel, site.bin.identity.bin, bytes(32))
        stranger.receipting = False
        world.net.listen("stranger.test", 1883, stranger.accept)
    site.settings(1, broker_host="stranger.test")
    site.bin.wait_for(lambda: stranger.connects > 0, 60, "the stranger")
    assert site.wait_answer(240, settings=1)["status"] == "rolled_back"


def test_settings_wait_for_the_end_of_a_visit(site: Site) -> None:
    begin(site.bin)
    site.settings(1, mass_min_mg=30_000)
    site.bin.advance(10_000)
    assert site.starts() == 1
    site.wait_answer(90, settings=1, status="done")
    assert site.starts() == 2


def test_a_bin_that_restarts_three_times_on_trial_goes_back(site: Site) -> None:
    with site.bin.world():
        site.gateway.receipting = False
    site.settings(1, mass_min_mg=30_000)
    site.bin.wait_for_console("on trial", 10)
    for _ in range(4):
        site.bin.advance(15_000)
        site.bin.power_off()
        site.bin.power_on()
    with site.bin.world():
        site.gateway.receipting = True
    assert site.wait_answer(60, settings=1)["status"] == "rolled_back"

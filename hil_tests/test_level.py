"""A bin that fills up: it says so and closes, is collected, and invites again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from boxbin.core import wire

from hil_tests.conftest import IDLE
from hil_tests.test_power import lines_in_flash
from hil_tests.test_visit import begin, make_pass, to_open_flap
from tools.virtual.supervisor import VirtualBin

LOOK_S = 6
SETTINGS = {"level_ms": 5_000}
FULL = "The bin is full,"


@pytest.fixture
def ready_bin(make_bin: Callable[..., VirtualBin]) -> VirtualBin:
    """A bin that looks often, and invites."""
    made = make_bin(files={"/settings.json": json.dumps(SETTINGS).encode()})
    made.wait_for_text(IDLE)
    return made


def set_distance(bin_: VirtualBin, distance_mm: float | None) -> None:
    with bin_.world() as world:
        world.level.distance_mm = distance_mm


def boots(bin_: VirtualBin) -> int:
    return sum("--- start" in line for line in bin_.console_tail(500))


def test_it_fills_up_is_collected_and_invites_again(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(300)
    set_distance(ready_bin, 320)  # while somebody is there: the visit comes to its end
    ready_bin.wait_for_text("Thank you!", 6)
    ready_bin.press_button()
    ready_bin.wait_for_text(IDLE, 30)
    ready_bin.wait_for_text(FULL, 3 * LOOK_S)
    assert ready_bin.lamp()[0] == (64, 0, 0)
    ready_bin.show_text(make_pass(ready_bin))
    ready_bin.advance(3_000)
    assert ready_bin.flap() == "shut"

    key_code = wire.key_code(ready_bin.identity.bin, ready_bin.identity.key)
    ready_bin.show_text(key_code)
    ready_bin.wait_for_text("Collection", 10)
    with ready_bin.world() as world:
        world.hands.empty()
    set_distance(ready_bin, None)
    ready_bin.advance(5_000)
    ready_bin.show_text(key_code)
    ready_bin.wait_for_text(IDLE, 60)
    ready_bin.advance(3 * LOOK_S * 1000)
    begin(ready_bin)
    ready_bin.show_text("SF9876543210")
    ready_bin.wait_for_text("Put the carton", 10)
    ready_bin.power_off()
    lines = lines_in_flash(ready_bin.flash_path)
    assert [line["k"] for line in lines] == ["boot", "deposit", "fault", "collection"]
    assert lines[2]["d"]["what"] == "full"
    assert 95 <= int(lines[2]["d"]["detail"]) <= 100
    assert boots(ready_bin) == 1


def test_a_sensor_that_is_missing_or_mad_closes_nothing(ready_bin: VirtualBin) -> None:
    for fault in ("silent", "lost", "garbage"):
        with ready_bin.world() as world:
            world.level.fault = fault
        ready_bin.advance(4 * LOOK_S * 1000)
        assert any(IDLE in line for line in ready_bin.display_text()), fault
    with ready_bin.world() as world:
        assert world.level.pings >= 5 * 8
    begin(ready_bin)
    to_open_flap(ready_bin)


def test_a_bin_without_a_sensor_asks_none(make_bin: Callable[..., VirtualBin]) -> None:
    bin_ = make_bin(
        files={"/settings.json": json.dumps({**SETTINGS, "level_empty_mm": 0}).encode()}
    )
    bin_.wait_for_text(IDLE)
    set_distance(bin_, 30)
    bin_.advance(4 * LOOK_S * 1000)
    assert any(IDLE in line for line in bin_.display_text())
    with bin_.world() as world:
        assert world.level.pings == 0
    assert boots(bin_) == 1

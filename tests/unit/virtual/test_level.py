"""The ultrasonic sensor: its driver against the emulated one, echo by echo."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.virtual import said, scripted
from tools.technician.build import build_firmware
from tools.virtual.world.level import EMPTY_MM, NEAREST_MM, Level

MAIN = """
import asyncio, sys, time
sys.path.insert(0, "/app/a")
from boxbin import board
from boxbin.drivers.level import Level

async def main():
    level = Level(board.LEVEL_TRIGGER, board.LEVEL_ECHO)
    for _ in range({looks}):
        ticks = time.ticks_ms()
        readings = await level.read(5)
        print("mm", *readings)
        print("ms", time.ticks_diff(time.ticks_ms(), ticks))
        await asyncio.sleep(1)

asyncio.run(main())
"""
MODULES = ("__init__", "board", "drivers/__init__", "drivers/level")


def bin_with(tmp_path: Path, *, looks: int = 1, virtual_time: bool = True):
    built = build_firmware()
    files = {
        f"/app/a/boxbin/{name}.mpy": (built / f"boxbin/{name}.mpy").read_bytes() for name in MODULES
    }
    made = scripted(tmp_path, MAIN.format(looks=looks), virtual_time=virtual_time)
    made._files.update(files)
    return made


def readings(lines: list[str]) -> list[list[str]]:
    return [line.split()[1:] for line in lines if line.startswith("mm")]


@pytest.mark.parametrize("virtual_time", [True, False])
@pytest.mark.parametrize("distance_mm", [60.0, 431.0, 1_200.0, 2_300.0])
def test_distances(tmp_path, distance_mm, virtual_time):
    bin_ = bin_with(tmp_path, virtual_time=virtual_time)
    with bin_ as running:
        with running.world() as world:
            world.level.distance_mm = distance_mm
        running.wait_for_state("halted", 20)
        (found,) = readings(said(running))
    assert len(found) == 5
    assert all(abs(int(mm) - distance_mm) <= 5 for mm in found), found


@pytest.mark.parametrize("fault", ["silent", "lost"])
def test_what_does_not_come_back_is_no_value_and_blocks_for_moments(tmp_path, fault):
    with bin_with(tmp_path) as running:
        with running.world() as world:
            world.level.fault = fault
        running.wait_for_state("halted", 20)
        lines = said(running)
    assert readings(lines) == [["None"] * 5]
    (took_ms,) = (int(line.split()[1]) for line in lines if line.startswith("ms"))
    assert took_ms <= 5 * (60 + 30)


def test_garbage_is_within_what_can_be_timed(tmp_path):
    with bin_with(tmp_path, looks=4) as running:
        with running.world() as world:
            world.level.fault = "garbage"
        running.wait_for_state("halted", 20)
        found = [mm for look in readings(said(running)) for mm in look]
    assert len(set(found)) > 5
    assert all(mm == "None" or int(mm) <= 2_414 for mm in found), found


def test_a_late_echo_is_not_taken_for_the_next_one(tmp_path):
    """The sensor comes back between two looks, at another distance."""
    with bin_with(tmp_path, looks=2) as running:
        with running.world() as world:
            world.level.fault = "lost"
        running.wait_for_console("ms", 10)
        with running.world() as world:
            world.level.fault = ""
            world.level.distance_mm = 500
        running.wait_for_state("halted", 20)
        first, second = readings(said(running))
    assert first == ["None"] * 5
    assert all(abs(int(mm) - 500) <= 5 for mm in second)


def test_cartons_raise_what_the_sensor_sees():
    count = [0]
    level = Level(0, lambda: count[0], lambda _wait, _us: None)
    assert level.true_mm() == EMPTY_MM
    count[0] = 100
    assert level.true_mm() == EMPTY_MM - 200
    count[0] = 10_000
    assert level.true_mm() == NEAREST_MM


def test_only_a_falling_edge_asks():
    echoes = []
    level = Level(0, lambda: 0, lambda _wait_us, us: echoes.append(us))
    for edge in (0, 1, 1, 0, 0, 1):
        level.trigger(edge)
    assert len(echoes) == level.pings == 1

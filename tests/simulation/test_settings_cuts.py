"""Settings of the gateway in flash: power cut at every operation of taking, trying and dropping."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.technician.build import build_firmware, make_flash_image
from tools.virtual.flashlab import FlashLab

START = """
import sys
sys.path.insert(0, "/app/a")
from boxbin.settingsfile import Store
s = Store()
"""
TOLD = 'print("found", s.version, s.trial, s.refused, s.settings.mass_min_mg)\n'
TAKE = 's.take({"v": %d, "s": {"mass_min_mg": %d}})\n'
RECEIPTED = "s.trial and s.confirm()\n"  # what orders.py does when the boot line is receipted


@pytest.fixture
def lab(tmp_path: Path) -> FlashLab:
    return FlashLab(tmp_path / "lab", make_flash_image(tmp_path / "new.img", build_firmware()))


def start(lab: FlashLab, script: str = "") -> tuple[int, ...]:
    """Start the store and do something: version, trial, refused and mass_min_mg after it."""
    output = lab.run(START + script + TOLD).output
    return tuple(int(word) for word in re.findall(r"found (.*)", output)[-1].split())


def found_after_cuts(lab: FlashLab, script: str) -> set[tuple[int, ...]]:
    return {start(lab) for _ in lab.cuts(START + script)}


def test_a_document_is_taken_whole_or_not_at_all(lab: FlashLab) -> None:
    assert found_after_cuts(lab, TAKE % (1, 30_000)) <= {(0, 0, 0, 40_000), (0, 1, 0, 30_000)}


def test_one_that_is_confirmed_stays(lab: FlashLab) -> None:
    start(lab, TAKE % (1, 30_000))
    assert found_after_cuts(lab, RECEIPTED) == {(0, 1, 0, 30_000), (1, 0, 0, 30_000)}


def test_one_that_is_dropped_does_not_come_back(lab: FlashLab) -> None:
    start(lab, TAKE % (1, 30_000))
    start(lab, RECEIPTED + TAKE % (2, 20_000))
    found = found_after_cuts(lab, "s.roll_back()\n")
    assert found == {(1, 2, 0, 20_000), (1, 0, 2, 30_000)}


def test_one_that_never_starts_well_is_dropped(lab: FlashLab) -> None:
    start(lab, TAKE % (1, 30_000))
    found = [start(lab) for _ in range(4)]
    assert found == [(0, 1, 0, 30_000)] * 3 + [(0, 0, 1, 40_000)]


def test_a_second_document_is_not_put_in_force_by_the_trial_of_the_first(lab: FlashLab) -> None:
    start(lab, TAKE % (1, 30_000))
    both = TAKE % (2, 20_000) + RECEIPTED
    found = found_after_cuts(lab, both)
    assert found <= {(0, 1, 0, 30_000), (0, 2, 0, 20_000)}
    assert start(lab, both) == (0, 0, 0, 30_000)
    assert start(lab) == (0, 2, 0, 20_000), "on trial as well"
    assert start(lab, RECEIPTED) == (2, 0, 0, 20_000)


def test_no_roll_back_is_told_of_what_may_come_in_force(lab: FlashLab) -> None:
    start(lab, TAKE % (1, 30_000))
    told = "from boxbin import nvs\nprint('told', nvs.number('tell'))\n"
    for _ in lab.cuts(START + "s.roll_back()\n"):
        output = lab.run(START + told + TOLD).output
        trial = int(re.findall(r"found \d+ (\d+)", output)[0])
        assert re.findall(r"told (\d+)", output) == [str(1 - trial)]

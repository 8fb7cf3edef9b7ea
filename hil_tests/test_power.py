"""Power cuts around the first promise: in flash before thanks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from littlefs import LittleFS

from hil_tests.conftest import IDLE
from hil_tests.test_visit import begin, to_open_flap
from tools.technician.build import BLOCK_BYTES, BLOCK_COUNT, UNIT_BYTES
from tools.virtual.supervisor import VirtualBin


def lines_in_flash(path: Path) -> list[dict[str, object]]:
    """The journal as it lies in the flash image, read by another implementation of LittleFS."""
    filesystem = LittleFS(
        block_size=BLOCK_BYTES,
        block_count=BLOCK_COUNT,
        read_size=UNIT_BYTES,
        prog_size=UNIT_BYTES,
        lookahead_size=UNIT_BYTES,
        cache_size=4 * UNIT_BYTES,
        mount=False,
    )
    filesystem.context.buffer = bytearray(path.read_bytes())
    filesystem.mount()
    lines: list[dict[str, object]] = []
    for name in sorted(filesystem.listdir("/journal")):
        with filesystem.open(f"/journal/{name}", "rb") as file:
            lines += [json.loads(line[23:]) for line in file.read().splitlines()]
    return lines


def thanked(bin_: VirtualBin) -> bool:
    return any("Thank you!" in line for line in bin_.display_text())


def test_a_thanked_deposit_is_in_flash_at_that_very_instant(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(300)
    ready_bin.wait_for(lambda: thanked(ready_bin), 5, "thanks")
    ready_bin.power_off()
    lines = lines_in_flash(ready_bin.flash_path)
    assert [line["k"] for line in lines] == ["boot", "deposit"]
    assert [line["n"] for line in lines] == [1, 2]


@pytest.mark.parametrize("torn", [False, True], ids=["clean", "torn"])
def test_power_cut_at_every_flash_operation_of_a_deposit(
    make_bin: Callable[..., VirtualBin], torn: bool
) -> None:
    """Either the line is there or nobody was thanked; then the bin starts and n has no gap."""
    operation = 0
    outcomes = set()
    while True:
        operation += 1
        bin_ = make_bin(f"cut{operation}", seed=operation)
        bin_.wait_for_text(IDLE)
        begin(bin_)
        to_open_flap(bin_)
        bin_.power_cut_at(operation, torn=torn)
        bin_.drop(300)
        bin_.wait_for(lambda b=bin_: b.state() == "off" or thanked(b), 6, "a cut or thanks")  # type: ignore[misc]
        was_thanked = thanked(bin_) and bin_.state() != "off"
        bin_.power_off()
        lines = lines_in_flash(bin_.flash_path)
        kinds = [line["k"] for line in lines]
        assert kinds in (["boot"], ["boot", "deposit"])
        assert kinds == ["boot", "deposit"] or not was_thanked
        outcomes.add((was_thanked, len(kinds)))
        bin_.power_on()
        bin_.wait_for_text(IDLE)
        bin_.advance(500)
        bin_.power_off()
        after = lines_in_flash(bin_.flash_path)
        assert [line["n"] for line in after] == list(range(1, len(kinds) + 2))
        assert after[-1]["k"] == "boot"
        bin_.stop()
        if was_thanked:
            break
    assert operation > 2, "the cut points were really reached"
    assert (False, 1) in outcomes


def test_a_restart_in_the_middle_of_a_visit_ends_it_with_the_flap_shut(
    ready_bin: VirtualBin,
) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.power_off()
    ready_bin.power_on()
    ready_bin.wait_for_text(IDLE)
    ready_bin.wait_for(lambda: ready_bin.flap() == "shut", 5, "a shut flap")


def test_a_bin_that_was_never_provisioned_says_so(make_bin: Callable[..., VirtualBin]) -> None:
    bin_ = make_bin(power=False)
    bin_.nvs_path.write_text("{}")
    bin_.power_on()
    bin_.wait_for_console("not provisioned")

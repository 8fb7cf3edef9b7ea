"""Parts that fail while people stand before the bin: it says so, and it comes back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from hil_tests.conftest import IDLE
from hil_tests.test_power import lines_in_flash
from hil_tests.test_visit import begin, make_pass, to_open_flap
from tests.support.gateway import sign
from tools.virtual.nvs import update_nvs
from tools.virtual.supervisor import VirtualBin

SEGMENT_BYTES = 16_384
SEGMENTS_MAX = 96


def boots(bin_: VirtualBin) -> int:
    return sum("--- start" in line for line in bin_.console_tail(500))


def test_a_display_that_is_unplugged_costs_nobody_a_deposit(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    with ready_bin.world() as world:
        world.connect_display(on=False)
    ready_bin.drop(300)
    ready_bin.wait_for(lambda: ready_bin.lamp()[0] == (0, 64, 8), 5, "the lamp of thanks")
    with ready_bin.world() as world:
        world.connect_display(on=True)
    ready_bin.wait_for_text("Thank you!", 5)
    # Gone and back between two sentences: it has lost its set-up, and nobody noticed.
    with ready_bin.world() as world:
        world.connect_display(on=False)
        world.connect_display(on=True)
    ready_bin.press_button()
    ready_bin.wait_for_text("goodbye", 5)
    assert boots(ready_bin) == 1


def test_a_scanner_that_is_unplugged_is_noticed_and_found_again(ready_bin: VirtualBin) -> None:
    with ready_bin.world() as world:
        world.scanner.connected = False
    ready_bin.wait_for_text("Scanner fault", 60)
    with ready_bin.world() as world:
        world.scanner.connected = True
        world.scanner.power_on()  # it wakes in the mode from the box, and must be told again
    ready_bin.wait_for_text(IDLE, 30)
    begin(ready_bin)
    assert boots(ready_bin) == 1


def test_a_scale_whose_cable_is_off_closes_the_bin_until_it_is_back(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    with ready_bin.world() as world:
        world.scale.connected = False
    ready_bin.wait_for_text("Scale fault", 10)
    ready_bin.wait_for(lambda: ready_bin.flap() == "shut", 5, "a shut flap")
    with ready_bin.world() as world:
        world.scale.connected = True
    ready_bin.wait_for_text(IDLE, 10)
    ready_bin.power_off()
    faults = [line["d"] for line in lines_in_flash(ready_bin.flash_path) if line["k"] == "fault"]
    assert faults == [{"what": "scale", "detail": "missing"}]


def test_a_flap_that_jams_is_told_and_tried_again(ready_bin: VirtualBin) -> None:
    with ready_bin.world() as world:
        world.flap.jammed = True
    begin(ready_bin)
    ready_bin.show_text("SF1234567890")
    ready_bin.wait_for_text("Flap fault", 20)
    with ready_bin.world() as world:
        world.flap.jammed = False
    ready_bin.wait_for_text(IDLE, 60)
    begin(ready_bin)
    to_open_flap(ready_bin)


def test_noise_on_the_scanners_line_starves_nobody(ready_bin: VirtualBin) -> None:
    """Minutes of garbage: no restart, and the next good code works."""
    for i in range(90):
        with ready_bin.world() as world:
            world._scanner_bytes(bytes((i * 37 + j * 101) & 0xFF for j in range(480)))  # noqa: SLF001
        ready_bin.advance(500)
    assert boots(ready_bin) == 1
    ready_bin.advance(2_000)
    ready_bin.show_text(make_pass(ready_bin))
    ready_bin.wait_for_text("Hello!", 60)


def test_a_button_held_for_ever_is_one_press(ready_bin: VirtualBin) -> None:
    ready_bin.press_button(hold_ms=60_000)
    ready_bin.advance(5_000)
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(300)
    ready_bin.wait_for_text("Thank you!", 6)


def full_journal(bin_id: str, key: bytes) -> dict[str, bytes]:
    """Segments as a bin without network would leave them, up to the last allowed one."""
    files: dict[str, bytes] = {}
    n = 0
    for number in range(SEGMENTS_MAX):
        lines: list[bytes] = []
        size = 0
        while True:
            body = {"e": "5f3a9c01", "n": n + 1, "t": 0, "c": "none", "k": "refused", "d": {}}
            text = json.dumps({**body, "d": {"why": "x" * 380}}, separators=(",", ":")).encode()
            line = sign(bin_id, key, "journal", text) + b"\n"
            if size + len(line) > SEGMENT_BYTES:
                break
            n += 1
            size += len(line)
            lines.append(line)
        files[f"/journal/{number:08x}.log"] = b"".join(lines)
    return files


def test_a_full_bin_does_not_take_a_carton_in_vain(make_bin: Callable[..., VirtualBin]) -> None:
    bin_ = make_bin(files=full_journal("B-7K2QM", bytes(range(32))))
    bin_.wait_for_text("Memory full", 30)
    bin_.show_text(make_pass(bin_))
    bin_.advance(5_000)
    assert any("Memory full" in line for line in bin_.display_text())
    assert bin_.flap() == "shut"
    assert boots(bin_) == 1


@pytest.mark.parametrize("key", ["broker_port", "bin", "label_key"])
def test_a_half_provisioned_board_says_which_key_is_missing(
    make_bin: Callable[..., VirtualBin], key: str
) -> None:
    bin_ = make_bin(power=False)
    stored = json.loads(bin_.nvs_path.read_text())
    del stored["boxback"][key]
    bin_.nvs_path.write_text(json.dumps(stored))
    update_nvs(bin_.nvs_path, {})
    bin_.power_on()
    bin_.wait_for_console(f"not provisioned: NVS key {key} is missing")
    bin_.advance(10_000)
    assert boots(bin_) == 1

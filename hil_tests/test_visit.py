"""Visits at the whole bin, honest ones and others: what the display says, what the flap does."""

from __future__ import annotations

import pytest

from hil_tests.conftest import IDLE
from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.world import Refused

LABEL = "SF1234567890"


def make_pass(bin_: VirtualBin, handle: str = "7K2QM0AB", steps: int = 0) -> str:
    step = int(bin_.unix_s()) // 30 + steps
    return f"BB1.{handle}.{step}.ABCDEFGHJKMNPQRS"


def begin(bin_: VirtualBin) -> None:
    bin_.show_text(make_pass(bin_))
    bin_.wait_for_text("Hello!")


def to_open_flap(bin_: VirtualBin, label: str = LABEL) -> None:
    bin_.show_text(label)
    bin_.wait_for_text("Put the carton")
    bin_.wait_for(lambda: bin_.flap() == "open", 3, "an open flap")


def test_one_carton(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(312)
    ready_bin.wait_for_text("Weighing")
    lines = ready_bin.wait_for_text("Thank you!", 5)
    grams = int(lines[2].removeprefix("Thank you! ").removesuffix("g"))
    assert abs(grams - 312) <= 5
    assert lines[0] == f"谢谢！{grams}克"
    lamp = ready_bin.lamp()[0]
    assert lamp[1] > max(lamp[0], lamp[2]), "thanks are green"
    ready_bin.wait_for(lambda: ready_bin.flap() == "shut", 5, "a shut flap")
    ready_bin.wait_for_text("goodbye", 50)
    ready_bin.wait_for_text(IDLE)


def test_several_cartons_in_one_visit(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    for i, grams in enumerate((95, 640, 1450)):
        to_open_flap(ready_bin, f"SF000000000{i}")
        ready_bin.drop(grams)
        ready_bin.wait_for_text("Thank you!", 6)
    ready_bin.press_button()
    ready_bin.wait_for_text("goodbye")


@pytest.mark.parametrize(
    ("grams", "sentence"),
    [(5, "Too light"), (6, "Too light"), (20, "Too light"), (4000, "Too heavy")],
)
def test_what_is_no_carton_gets_a_sentence(
    ready_bin: VirtualBin, grams: float, sentence: str
) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(grams)
    ready_bin.wait_for_text(sentence, 8)
    lamp = ready_bin.lamp()[0]
    assert lamp[0] > lamp[1], "a no is red"


def test_too_heavy_can_be_taken_out_again(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(4000)
    ready_bin.wait_for_text("Too heavy", 8)
    ready_bin.take_out()
    ready_bin.wait_for(lambda: ready_bin.flap() == "shut", 8, "a shut flap")
    to_open_flap(ready_bin)
    ready_bin.drop(300)
    ready_bin.wait_for_text("Thank you!", 5)


def test_nothing_put_in(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.wait_for_text("Nothing put in", 40)
    ready_bin.wait_for(lambda: ready_bin.flap() == "shut", 5, "a shut flap")
    ready_bin.wait_for_text("No label seen", 50)
    ready_bin.wait_for_text(IDLE)


def test_no_label(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    ready_bin.wait_for_text("No label seen", 50)
    assert ready_bin.flap() == "shut"


def test_codes_that_lead_nowhere(ready_bin: VirtualBin) -> None:
    for text, sentence in (
        (LABEL, "First show"),
        ("BB1.nonsense", "Not a pass"),
        (make_pass(ready_bin, steps=-10), "Pass too old"),
    ):
        ready_bin.show_text(text)
        ready_bin.wait_for_text(sentence)
        ready_bin.wait_for_text(IDLE)
    begin(ready_bin)
    ready_bin.show_text("https://example.com/")
    ready_bin.wait_for_text("Not a label")
    assert ready_bin.flap() == "shut"


def test_the_same_label_twice(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.drop(200)
    ready_bin.wait_for_text("Thank you!", 5)
    ready_bin.advance(4000)  # a scanner repeats the same code only after its delay
    ready_bin.show_text(LABEL)
    ready_bin.wait_for_text("Label was used")


def test_shaking_is_no_carton(ready_bin: VirtualBin) -> None:
    begin(ready_bin)
    to_open_flap(ready_bin)
    ready_bin.shake(hold_ms=4000)
    ready_bin.advance(4000)
    assert not any("Thank" in line for line in ready_bin.display_text())


def test_the_flap_is_shut_to_whoever_has_no_visit(ready_bin: VirtualBin) -> None:
    with pytest.raises(Refused):
        ready_bin.drop(300)


def test_without_a_network_thanks_come_all_the_same(ready_bin: VirtualBin) -> None:
    ready_bin.wifi(False)
    test_one_carton(ready_bin)

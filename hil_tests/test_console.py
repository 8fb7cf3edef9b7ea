"""A technician at the serial port: asks, sets the clock, opens; and the noise that comes there."""

from __future__ import annotations

from collections.abc import Callable

from boxbin.core import wire

from hil_tests.conftest import IDLE
from hil_tests.test_power import lines_in_flash
from hil_tests.test_visit import begin, to_open_flap
from tools.virtual.supervisor import VirtualBin


def key_of(bin_: VirtualBin) -> str:
    return wire.key_code(bin_.identity.bin, bin_.identity.key)


def shown(bin_: VirtualBin, words: str) -> bool:
    return any(words in line for line in bin_.console_tail(500))


def boots(bin_: VirtualBin) -> int:
    return sum("--- start" in line for line in bin_.console_tail(500))


def test_it_says_how_the_bin_is(ready_bin: VirtualBin) -> None:
    ready_bin.type("help\r")
    ready_bin.wait_for_console("with the key: key <code>", 5)
    ready_bin.advance(3_000)
    ready_bin.type("status\r\n")
    ready_bin.wait_for_console("bin B-7K2QM", 5)
    ready_bin.wait_for_console("fill 0", 5)
    ready_bin.type("faults\r")
    ready_bin.wait_for_console("none", 5)
    ready_bin.type("dance\r")
    ready_bin.wait_for_console("dance: unknown, try help", 5)
    assert boots(ready_bin) == 1


def test_a_bin_without_network_is_told_the_time(make_bin: Callable[..., VirtualBin]) -> None:
    bin_ = make_bin()
    bin_.wifi(on=False)
    bin_.wait_for_text(IDLE, 30)
    bin_.type("clock 1795000000\r")
    bin_.wait_for_console("clock: done", 5)
    begin(bin_)
    to_open_flap(bin_)
    bin_.drop(300)
    bin_.wait_for_text("Thank you!", 6)
    bin_.power_off()
    deposit = lines_in_flash(bin_.flash_path)[-1]
    assert deposit["c"] == "rtc"
    assert 1_795_000_000_000 <= deposit["t"] <= 1_795_000_300_000


def test_the_key_opens_and_is_written_nowhere(ready_bin: VirtualBin) -> None:
    ready_bin.type("open 20\r")
    ready_bin.wait_for_console("first: key", 5)
    assert ready_bin.flap() == "shut"
    ready_bin.type(f"key {key_of(ready_bin)}\r")
    ready_bin.wait_for_console("open for 5 minutes", 5)
    ready_bin.type("open 20\r")
    ready_bin.wait_for(lambda: ready_bin.flap() == "open", 5, "an open flap")
    ready_bin.wait_for(lambda: ready_bin.flap() == "shut", 40, "a shut flap")
    assert not shown(ready_bin, key_of(ready_bin)[5:])


def test_noise_at_the_port_starves_nobody(ready_bin: VirtualBin) -> None:
    """As fast as 115,200 baud bring it, while somebody comes and is served."""
    noise = "".join(chr(0x20 + i * 37 % 95) for i in range(576))

    def storm(ms: int) -> None:
        for _ in range(ms // 50):
            ready_bin.type(noise)
            ready_bin.advance(50)

    storm(2_000)
    begin(ready_bin)
    storm(1_000)
    ready_bin.show_text("SF1234567890")
    storm(3_000)
    ready_bin.wait_for(lambda: ready_bin.flap() == "open", 3, "an open flap")
    ready_bin.drop(300)
    storm(1_000)
    ready_bin.wait_for_text("Thank you!", 6)
    assert boots(ready_bin) == 1

"""Starts that do not last: counted, explained, and in the end a safe state that still talks."""

from __future__ import annotations

from collections.abc import Callable

from hil_tests.conftest import IDLE
from tools.technician.build import FIRMWARE
from tools.virtual.nvs import read_nvs
from tools.virtual.supervisor import VirtualBin

SAFE = "Device fault"
SETTLED_MS = 300_000
SAFE_MS = 900_000

HANGS = b"""
import asyncio


class Level:
    def __init__(self, trigger, echo):
        pass

    async def read(self, count):
        await asyncio.Event().wait()
"""


def ledger(bin_: VirtualBin) -> str:
    stored = read_nvs(bin_.nvs_path, "boxbin").get("boots", b"")
    assert isinstance(stored, bytes)
    return stored.decode()


def crashing(make_bin: Callable[..., VirtualBin]) -> VirtualBin:
    """A bin whose journal cannot be opened by any means: a folder lies where a file should be."""
    return make_bin(files={"/journal/00000000.log/x": b"", "/journal/00000001.log/x": b""})


def test_what_ended_the_program_is_in_the_ledger_with_its_place(
    make_bin: Callable[..., VirtualBin],
) -> None:
    bin_ = crashing(make_bin)
    bin_.wait_for_console("firmware", 30)
    bin_.wait_for_console("--- start, cause 2", 30)
    assert "crash mending " in ledger(bin_)
    assert "OSError" in ledger(bin_)


def test_a_bin_that_restarts_in_a_loop_ends_in_a_safe_state_that_talks(
    make_bin: Callable[..., VirtualBin],
) -> None:
    bin_ = crashing(make_bin)
    bin_.wait_for_text(SAFE, 120)
    starts = sum("--- start" in line for line in bin_.console_tail(500))
    assert starts == 6, "five that crashed, and the safe one"
    assert bin_.flap() == "shut"
    assert bin_.lamp()[0] == (64, 0, 0)
    bin_.type("status\r\n")
    bin_.wait_for_console("faults ['restarts']", 10)
    bin_.type("boots\r\n")
    bin_.wait_for_console("crash 5", 10)
    bin_.advance(60_000)
    assert bin_.state() == "running", "the watchdog is fed"
    bin_.advance(SAFE_MS - 120_000)
    assert sum("--- start" in line for line in bin_.console_tail(500)) == starts
    bin_.advance(180_000)
    assert "retry" in ledger(bin_), "it tried once more by itself"
    bin_.wait_for_text(SAFE, 60)


def test_a_technicians_restart_leaves_the_safe_state_at_once(
    make_bin: Callable[..., VirtualBin],
) -> None:
    bin_ = make_bin()
    for _ in range(10):  # somebody plays with the plug
        bin_.wait_for_text("Starting", 10)
        bin_.power_off()
        bin_.power_on()
    bin_.wait_for_text(SAFE, 10)
    bin_.type("restart\r\n")
    bin_.wait_for_text(IDLE, 20)
    bin_.advance(SETTLED_MS + 5_000)
    assert "score 0" in ledger(bin_)


def test_a_start_that_lasts_is_a_good_one(make_bin: Callable[..., VirtualBin]) -> None:
    bin_ = make_bin()
    bin_.wait_for_text(IDLE)
    assert "score 1" in ledger(bin_)
    bin_.advance(SETTLED_MS + 5_000)
    assert "score 0" in ledger(bin_)
    assert "power 1" in ledger(bin_)


def test_a_task_that_hangs_is_named_after_the_watchdog_has_restarted_the_chip(
    make_bin: Callable[..., VirtualBin],
) -> None:
    """One driver waits for ever: all else goes on, people are served, and still it is found."""
    bin_ = make_bin(files={"/app/a/boxbin/drivers/level.py": HANGS})
    bin_.wait_for_text(IDLE, 20)
    bin_.wait_for_console("no progress: ['level']", 30)
    bin_.wait_for_console("cause watchdog", 90)
    assert "- watchdog late level" in ledger(bin_)


NO_RADIO = b"""
import network


class WLAN:
    def __init__(self, interface):
        raise OSError("WiFi Out of Memory")


network.WLAN = WLAN
with open("/real.py") as f:
    exec(f.read())
"""


def test_a_radio_that_does_not_start_costs_the_link_only(
    make_bin: Callable[..., VirtualBin],
) -> None:
    real = (FIRMWARE / "main.py").read_bytes()
    bin_ = make_bin(files={"/main.py": NO_RADIO, "/real.py": real})
    bin_.wait_for_text(IDLE, 30)
    bin_.wait_for_console("WiFi Out of Memory", 30)
    bin_.advance(SETTLED_MS)
    assert sum("--- start" in line for line in bin_.console_tail(500)) == 1


def test_a_slot_file_of_noise_starts_the_first_slot(make_bin: Callable[..., VirtualBin]) -> None:
    make_bin(files={"/app/slot": b"\xff\xfe"}).wait_for_text(IDLE, 30)


def test_a_crash_that_cannot_be_written_down_still_ends_in_a_restart(
    make_bin: Callable[..., VirtualBin],
) -> None:
    ledger_away = {"/app/a/boxbin/core/ledger.py": b"raise OSError(5)\n"}
    bin_ = make_bin(files=ledger_away)
    bin_.wait_for_console("--- start, cause 2", 30)
    assert bin_.state() != "halted"

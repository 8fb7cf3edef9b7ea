"""How long the bin's flash and NVS last: measured by block, and worked out by page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tools.technician.build import make_flash_image
from tools.virtual.powercut.lab import micropython

ERASES_OF_A_BLOCK = 100_000  # what makers of NOR flash promise
BUSY_LINES_A_DAY = 6_000
QUIET_LINES_A_DAY = 3
DAYS_A_YEAR = 365

NVS_PAGES = 6  # of 4 KiB, 0x6000 bytes: ESP32_GENERIC's partition
NVS_PAGE_ENTRIES = 126
# What else lives there and is never written: the radio's calibration and Wi-Fi's own (about 110
# entries of 32 bytes), the bin's identity (40), certificates and key for TLS (3 of 66).
NVS_STILL_ENTRIES = 110 + 40 + 3 * 66


@dataclass(frozen=True)
class Wear:
    """Erases of one block of flash, or page of NVS, in one day of 6,000 lines, and years left."""

    what: str
    erases_a_day_mean: float
    erases_a_day_worst: float
    years_busy: float
    years_quiet: float


@dataclass(frozen=True)
class Day:
    """What was measured: `lines` lines, and the flash operations they took."""

    lines: int
    erases_a_line: float
    programs_a_line: float
    nvs_sets_a_line: float
    blocks: int
    flash: Wear
    nvs: Wear


def measure(folder: Path, days: int = 10) -> Day:
    """Days of 6,000 lines on a board's file system, with a receipt every five lines."""
    base = make_flash_image(folder / "base.img")
    told = json.loads(micropython((str(base), days * BUSY_LINES_A_DAY), "wear")[0])
    lines = told["lines"]
    worn = [count for count in told["erases"] if count]  # the firmware's own blocks lie still
    a_day = BUSY_LINES_A_DAY / lines
    pages = nvs_erases(told["nvs"], NVS_STILL_ENTRIES)
    return Day(
        lines,
        round(sum(worn) / lines, 3),
        round(told["programs"] / lines, 1),
        round(told["nvs"] / lines, 3),
        len(worn),
        _wear("flash block", sum(worn) / len(worn) * a_day, max(worn) * a_day),
        _wear("NVS page", sum(pages) / len(pages) * a_day, max(pages) * a_day),
    )


def _wear(what: str, mean: float, worst: float) -> Wear:
    years = ERASES_OF_A_BLOCK / worst / DAYS_A_YEAR
    quiet = years * BUSY_LINES_A_DAY / QUIET_LINES_A_DAY
    return Wear(what, round(mean, 1), round(worst, 1), round(years, 1), round(quiet))


def nvs_erases(sets: int, still_entries: int) -> list[int]:
    """Erases of each page for `sets` new values of one number, as ESP-IDF's store does it: a value
    is a new entry in the newest page; when only one free page is left, the page with the fewest
    live entries is copied into it and erased. Pages full of still entries never are.
    """
    live = [0] * NVS_PAGES  # still entries in each page
    free = list(range(NVS_PAGES))
    erases = [0] * NVS_PAGES
    in_use: list[int] = []
    used = NVS_PAGE_ENTRIES
    for _ in range(still_entries):
        if used == NVS_PAGE_ENTRIES:
            in_use.append(free.pop(0))
            used = 0
        live[in_use[-1]] += 1
        used += 1
    for _ in range(sets):
        if used == NVS_PAGE_ENTRIES:
            new = free.pop(0)
            if not free:
                worn = min(in_use, key=lambda page: live[page])
                live[new], live[worn] = live[worn], 0
                in_use.remove(worn)
                free.append(worn)
                erases[worn] += 1
            in_use.append(new)
            used = live[new]
        used += 1
    return erases

"""Power cuts at every flash operation of a life, and the journal of a whole board's flash full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.technician.build import make_flash_image
from tools.virtual.flashlab import FlashLab
from tools.virtual.powercut import lab, wear

# The parts that a bin has beside the journal and that take its heap; asyncio comes with them.
START = """
import gc, sys
sys.path.insert(0, '/app/a')
gc.threshold(8 * 1024)
from boxbin import flash, link, health, settingsfile
from boxbin.core import visit
from boxbin.witness import open_witness
class Identity:
    bin_id = 'B-7K2QM'
    key = bytes(range(32))
class Clock:
    quality = 'ntp'
    def unix_ms(self):
        return 1795000000000
f = flash.Flash(Identity, Clock(), open_witness())
"""
FULL = """
print(f.index.last, f.index.backlog, f.repaired, f.index.nearly_full, f.has_room())
try:
    while True:
        f.append('boot', (('fw', '0.1.0'), ('cause', 'power')))
except flash.JournalFull:
    print('full')
"""
CATCH_UP = """
n = faults = 0
while f.index.backlog:
    last, payload = f.batch()
    for line in payload.split(b'\\n')[:-1]:
        n += 1
        assert b'"n":%d,' % n in line
        faults += b'"k":"fault"' in line
    if payload:
        assert last == n
        f.receipt(f.index.epoch, last)
print(n, faults, f.repaired, f.has_room(), f.append('deposit', ()) == n + 1)
"""


@pytest.mark.parametrize("life", lab.SHORT, ids=lambda life: life.name)
def test_a_bin_starts_whole_after_a_cut_at_every_flash_operation(
    life: lab.Life, tmp_path: Path
) -> None:
    figures = lab.cut(life, tmp_path)
    assert figures.cuts > figures.operations > 500
    assert figures.second_cuts > 200


def test_five_thousand_deposits_wait_on_a_board_and_catch_up(tmp_path: Path) -> None:
    base = make_flash_image(tmp_path / "base.img")
    image = tmp_path / "full.img"
    told = lab.micropython((str(base), str(image)), "wear", "fill")
    deposits, warned, shut, line_bytes, segments = (int(word) for word in told)
    assert deposits >= 5_000
    assert (line_bytes, segments) == (207, 96)
    assert deposits * 0.7 < warned < deposits * 0.9 < shut < deposits
    flash = bytearray(image.read_bytes())
    for n in (1_000, 3_333, deposits):  # three lines on the way are damaged
        at = flash.index(b'"n":%d,' % n)
        while at >= 0:
            flash[at + 60] ^= 4
            at = flash.find(b'"n":%d,' % n, at + 1)
    image.write_bytes(flash)
    bench = FlashLab(tmp_path / "lab", image)
    assert bench.run(START + FULL).output.splitlines()[-2:] == [
        f"{deposits} {deposits} 1 True False",
        "full",
    ]
    n, faults, repaired, *rest = bench.run(START + CATCH_UP).output.splitlines()[-1].split()
    assert int(n) >= deposits
    assert (faults, repaired) == ("3", "2")
    assert rest == ["True", "True"]


def test_nvs_wears_where_nothing_lies_still() -> None:
    erases = wear.nvs_erases(100_000, wear.NVS_STILL_ENTRIES)
    assert sum(erases) == pytest.approx(100_000 / wear.NVS_PAGE_ENTRIES, rel=0.2)
    assert 0 in erases
    assert max(wear.nvs_erases(100_000, 0)) < max(erases)


def test_a_line_that_changes_on_flash_is_found_by_the_lab_itself(tmp_path: Path) -> None:
    """The lab can see: a life in which flash forgets a thanked line does not pass."""
    life = lab.SHORT[1]
    base = lab.base_image(tmp_path / "base.img", life)
    recording = tmp_path / "recording"
    sizes = (life.segment_bytes, life.segments_max)
    lab.micropython((str(base), str(recording), life.run, life.lines, *sizes), "story")
    text = recording.read_bytes()
    at = text.index(b'"k":"deposit"', len(text) // 2)
    recording.write_bytes(text[:at] + text[at:].replace(b'"g":', b'"h":', 1))
    with pytest.raises(lab.CutError, match="cut at operation"):
        lab.micropython((str(base), str(recording), life.run, *sizes, 0, 1, 10**9, 10**9), "replay")

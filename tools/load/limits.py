"""What the firmware needs: heap by phase, flash, time until it is ready.

    python -m tools.load.limits [--json] [--stored 300]

Heap, on the real firmware in the virtual board, less the share that the emulation takes:
- `lives`: what is reachable at rest after the phase; `peak`: the most that is reachable at one time
  in it, counted at each kilobyte of allocations; `largest`: the largest piece that is asked for.
  All three by a meter inside the interpreter (tools/load/heapmeter.py).
- `needs`: the smallest heap, to one kilobyte, with which everything up to that phase works without
  one MemoryError. The pieces that lie between free ones are in it, so it is more than the peak.
"""

from __future__ import annotations

import json
import mmap
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from tools.load import heapmeter
from tools.load.life import INVITING, PHASES, REST_MS, Failed, Life, Trust, make_trust, store
from tools.technician.build import build_firmware
from tools.virtual import process
from tools.virtual.process import FIRMWARE_HEAP_KB, HEAP_KB
from tools.virtual.supervisor import VirtualBin

EMULATION_KB: Final = HEAP_KB - FIRMWARE_HEAP_KB
STORED: Final = 300
STARTS: Final = 3
SMALL_KB: Final = 128
SEARCH_KB: Final = (FIRMWARE_HEAP_KB - 64, FIRMWARE_HEAP_KB + 16)
LIMIT_S: Final = 60.0

console = Console(stderr=True)


@contextmanager
def metered(folder: Path) -> Iterator[memoryview]:
    """Bins started inside run with the meter; gives its figures, which the caller may set to 0."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / heapmeter.METER
    path.write_bytes(bytes(8 * heapmeter.SLOTS))
    (folder / heapmeter.LOADS).write_text("")
    before = process.INTERPRETER
    process.INTERPRETER = Path(heapmeter.__file__)
    try:
        with (
            path.open("r+b") as file,
            mmap.mmap(file.fileno(), 0) as memory,
            memoryview(memory) as view,
            view.cast("Q") as slots,
        ):
            yield slots
    finally:
        process.INTERPRETER = before


def measure_phases(folder: Path, trust: Trust | None, image: Path) -> dict[str, dict[str, Any]]:
    """Phase to the bytes that live after it, their peak in it, and the largest pieces asked for."""
    found = {}
    life = Life(folder, trust, image=image)
    with metered(folder) as slots, life.bin:
        for name in life.phases():
            found[name] = {
                "lives": slots[heapmeter.LIVE] - EMULATION_KB * 1024,
                "peak": slots[heapmeter.PEAK] - EMULATION_KB * 1024,
                "largest": [size for size in slots[heapmeter.TOPS :] if size],
            }
            for place in range(heapmeter.PEAK, heapmeter.SLOTS):
                slots[place] = 0
    return found


def measure_code(folder: Path) -> dict[str, int]:
    """Module of the firmware to the bytes of heap that its bytecode and its new names take."""
    life = Life(folder)
    with metered(folder) as slots, life.bin:
        next(life.phases())
        slots[heapmeter.LIVE] = 0  # asks for the modules
        life.bin.advance(REST_MS)
    found = {}
    for line in (folder / heapmeter.LOADS).read_text().splitlines():
        path, _, size = line.rpartition(" ")
        if "/boxbin/" in path:
            found[path.partition("/boxbin/")[2].removesuffix(".mpy")] = int(size)
    return found


def live(folder: Path, trust: Trust | None, image: Path, heap_kb: int) -> tuple[list[str], str]:
    """The phases that work in a heap of so many KB for the firmware, and why the next does not."""
    done: list[str] = []
    try:
        life = Life(folder, trust, heap_kb=heap_kb + EMULATION_KB, image=image)
        with life.bin:
            done.extend(life.phases())
    except Failed as failed:
        return done, str(failed)
    return done, ""


def measure_needs(folder: Path, trust: Trust | None, image: Path) -> dict[str, int]:
    """Phase to the smallest heap in KB in which it and all before it work, of SEARCH_KB."""
    tried: dict[int, list[str]] = {}
    found: dict[str, int] = {}
    for phase in PHASES:
        low, high = SEARCH_KB  # fails, works
        while high - low > 1:
            middle = (low + high) // 2
            if middle not in tried:
                tried[middle] = live(folder / str(middle), trust, image, middle)[0]
            if phase in tried[middle]:
                high = middle
            else:
                low = middle
        found[phase] = high
    return found


def measure_ready(folder: Path) -> dict[str, Any]:
    """Seconds from power to the first sentence and to the invitation."""
    life = Life(folder / "virtual")
    with life.bin as bin_:
        bin_.wifi(on=False)
        bin_.power_on()
        bin_.wait_for(lambda: bool(life.people.text().strip(" |")), LIMIT_S, "a sentence")
        first_ms = life.now_ms()
        bin_.wait_for(lambda: INVITING in life.people.text(), LIMIT_S, "an invitation")
    seconds = []
    for i in range(STARTS):
        with VirtualBin(life.bin.identity, folder / f"real{i}", power=False) as real:
            begin_s = time.monotonic()
            real.power_on()
            real.wait_for_text(INVITING, LIMIT_S)
            seconds.append(time.monotonic() - begin_s)
    return {
        "first sentence, virtual s": first_ms / 1000,
        "inviting, virtual s": life.now_ms() / 1000,
        "inviting, real s": round(statistics.median(seconds), 2),
    }


def measure_size() -> dict[str, int]:
    """The application in flash."""
    sizes = [p.stat().st_size for p in (build_firmware() / "boxbin").rglob("*") if p.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes), "largest file": max(sizes)}


def measure(stored: int, folder: Path) -> dict[str, Any]:
    """Everything."""
    trust = make_trust()
    image = store(folder / "image", stored)
    figures: dict[str, Any] = {"stored lines": stored, "heap KB": FIRMWARE_HEAP_KB, "links": {}}
    for name, known in (("plain", None), ("tls", trust)):
        phases = measure_phases(folder / f"{name} metered", known, image)
        for phase, needs in measure_needs(folder / name, known, image).items():
            phases[phase]["needs KB"] = needs
        figures["links"][name] = phases
    code = measure_code(folder / "code")
    needs_kb = max(phase["needs KB"] for phase in figures["links"]["tls"].values())
    figures["code"] = dict(sorted(code.items(), key=lambda item: -item[1]))
    figures["code bytes"] = sum(code.values())
    figures["small heap"] = {
        "KB": SMALL_KB,
        "needs KB": needs_kb,
        "too much KB": needs_kb - SMALL_KB,
        "needs KB with frozen modules": needs_kb - sum(code.values()) // 1024,
    }
    figures["ready"] = measure_ready(folder / "ready")
    figures["flash"] = measure_size()
    return figures


def _kb(size: int) -> str:
    return f"{size / 1024:.1f}"


def show(figures: dict[str, Any]) -> None:
    """Print as tables."""
    out = Console()
    for name, phases in figures["links"].items():
        table = Table(
            "phase", "lives", "peak", "needs", "largest pieces, bytes", title=f"{name}, KB"
        )
        for phase, found in phases.items():
            pieces = " ".join(str(size) for size in found["largest"][:4])
            needs = str(found["needs KB"])
            table.add_row(phase, _kb(found["lives"]), _kb(found["peak"]), needs, pieces)
        out.print(table)
    table = Table("module", "bytecode and names, KB")
    for module, size in list(figures["code"].items())[:12]:
        table.add_row(module, _kb(size))
    table.add_row(f"all {len(figures['code'])}", _kb(figures["code bytes"]))
    out.print(table)
    for part in ("small heap", "ready", "flash"):
        table = Table(part, "")
        for what, value in figures[part].items():
            table.add_row(what, str(value))
        out.print(table)


def main(
    stored: Annotated[int, typer.Option(min=1, help="Lines to catch up with.")] = STORED,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure heap by phase, time to ready, and sizes; takes some minutes."""
    with tempfile.TemporaryDirectory(prefix="boxback-limits-") as folder:
        figures = measure(stored, Path(folder))
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        show(figures)


if __name__ == "__main__":
    typer.run(main)

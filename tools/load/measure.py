"""What is looked at again and again in a long run: heap, flash, journal, the interpreter's memory.

A sample is a flat dict of numbers, so that a run's log is lines of JSON; `slope` says whether a
curve grows, `draw` makes pictures of them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from tools.technician.build import GEOMETRY
from tools.virtual.supervisor import VirtualBin

SETTLED_SHARE: Final = 0.25
"""The first part of a run is not judged: caches fill, the heap takes its form."""
SIGMAS: Final = 3.0
"""A slope below so many of its standard errors is none."""
POINTS_MIN: Final = 12
"""Fewer samples than that say nothing: files grow and go with each segment of the journal."""
GROWTH_MIN_SHARE: Final = 0.02
"""And neither is one that changes the value by less than this over the whole run."""
CURVES: Final = {
    "heap_free": "heap free after a collection, bytes",
    "files": "files in flash",
    "file_bytes": "bytes in files",
    "segments": "journal segments",
    "erases_per_visit": "erases a visit",
    "programs_per_visit": "programs a visit",
    "rss": "memory of the interpreter, bytes",
    "real_ms_per_visit": "real ms a visit",
    "virtual_ms_per_visit": "virtual ms a visit",
}
"""What is kept as a curve, and its name on the picture."""
COLUMNS: Final = 3
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def flash_use(image: bytes) -> tuple[int, int, int]:
    """Files, their bytes, and how many of them are journal segments, in a LittleFS image."""
    filesystem = LittleFS(mount=False, **GEOMETRY)
    filesystem.context.buffer = bytearray(image)
    filesystem.mount()
    files = size = segments = 0
    for folder, _, names in filesystem.walk("/"):
        for name in names:
            files += 1
            size += filesystem.stat(f"{folder.rstrip('/')}/{name}").size
            segments += "journal" in folder
    return files, size, segments


def rss_bytes(pid: int) -> int:
    """Resident memory of a process, 0 when it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Meter:
    """Looks at one bin. `note_heap` must be called often: only just after a collection is the free
    heap the true one, so the largest since the last sample counts.
    """

    def __init__(self, bin_: VirtualBin, visits: int = 0) -> None:
        self._bin = bin_
        self._heap_free = 0
        self._before = (visits, 0, 0)

    def note_heap(self) -> None:
        """Keep the largest free heap the board has told of."""
        self._heap_free = max(self._heap_free, self._bin.engine.world.board.heap_free)

    def sample(self, visits: int, real_s: float, virtual_s: float) -> dict[str, float]:
        """All numbers now. The bin must rest (virtual time stands)."""
        engine = self._bin.engine
        board = engine.world.board
        try:
            files, size, segments = flash_use(self._bin.flash_path.read_bytes())
        except LittleFSError:
            files = size = segments = -1
        count, erases, programs = self._before
        since = max(1, visits - count)
        # A restart counts from zero again.
        erased = board.erases - erases if board.erases >= erases else board.erases
        programmed = board.programs - programs if board.programs >= programs else board.programs
        self._before = (visits, board.erases, board.programs)
        heap, self._heap_free = self._heap_free, 0
        pid = engine.child_pid()
        return {
            "visits": visits,
            "virtual_s": round(virtual_s, 1),
            "heap_free": heap,
            "files": files,
            "file_bytes": size,
            "segments": segments,
            "erases_per_visit": round(erased / since, 3),
            "programs_per_visit": round(programmed / since, 3),
            "rss": rss_bytes(pid) if pid else 0,
            "resets": engine.resets,
            "real_s": round(real_s, 2),
        }


def slope(samples: list[dict[str, float]], name: str) -> tuple[float, float, bool]:
    """(change per 1,000 visits, its standard error, whether it grows) by least squares.

    It grows when the slope is more than SIGMAS of its error and matters (GROWTH_MIN_SHARE).
    """
    rest = samples[int(len(samples) * SETTLED_SHARE) :]
    points = [(s["visits"] / 1000, s[name]) for s in rest if name in s]
    if len(points) < POINTS_MIN:
        return 0.0, math.inf, False
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0, math.inf, False
    found = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rests = sum((y - mean_y - found * (x - mean_x)) ** 2 for x, y in points)
    error = math.sqrt(rests / (n - 2) / spread)
    moved = abs(found) * (points[-1][0] - points[0][0])
    grows = abs(found) > SIGMAS * error and moved > GROWTH_MIN_SHARE * max(1.0, abs(mean_y))
    return found, error, grows


def draw(samples: list[dict[str, float]], out: Path) -> None:
    """All curves on one picture, each from zero on: what looks flat is flat."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import)

    found = {name: title for name, title in CURVES.items() if any(name in s for s in samples)}
    rows = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(12, 2.2 * rows), layout="constrained")
    for place, (name, title) in enumerate(found.items()):
        points = [(s["visits"], s[name]) for s in samples if name in s]
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        axes.plot([x for x, _ in points], [y for _, y in points], lw=1)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_ylim(bottom=0, top=max(1e-9, *(1.15 * y for _, y in points)))
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.margins(x=0)
        if place >= len(found) - COLUMNS:
            axes.set_xlabel("visits", fontsize=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)

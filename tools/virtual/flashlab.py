"""Run MicroPython scripts on a flash image with no world around it: fast enough for hundreds.

For questions like "is the old or the new content there after a power cut at every single flash
operation": enumerate() finds the number of operations, cuts() runs the script once for each.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.virtual.process import HEAP, command, environment

RUN_TIMEOUT_S = 30
MAX_CUTS = 5000
KILLED = -9


class LabError(Exception):
    """A script that was not to be cut has failed; carries its output."""


@dataclass(frozen=True)
class LabResult:
    """What one run said, and whether the power was cut in it."""

    output: str
    cut: bool


class FlashLab:
    """A flash image and its NVS in `workdir`; scripts see the image at ``/`` as on the bin.

    Modules of the application are found after ``sys.path.insert(0, '/app/a')``.
    """

    def __init__(self, workdir: Path, image: Path, heap: str = HEAP) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.workdir = workdir
        self.flash = workdir / "lab.img"
        self.nvs = workdir / "lab-nvs.json"
        self._heap = heap
        shutil.copyfile(image, self.flash)

    def run(self, script: str, *, cut_at: int | None = None, torn: bool = False) -> LabResult:
        """Run `script`; power fails at the `cut_at`-th flash operation (1 = the first).

        Raises LabError when it fails by itself, subprocess.TimeoutExpired when it hangs.
        """
        path = self.workdir / "script.py"
        path.write_text(script)
        more = {"BOXBACK_SCRIPT": str(path)}
        if cut_at is not None:
            more["BOXBACK_CUT"] = f"{cut_at},{int(torn)}"
        done = subprocess.run(
            command(self._heap),
            env=environment(self.flash, self.nvs, **more),
            capture_output=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        output = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode == KILLED and cut_at is not None:
            return LabResult(output, cut=True)
        if done.returncode != 0:
            raise LabError(f"exit code {done.returncode}:\n{output}")
        return LabResult(output, cut=False)

    def operations(self, script: str) -> int:
        """How many flash operations `script` does; the image is left as it was."""
        before = self.save()
        output = self.run(f"{script}\nimport _link\nprint('operations', sum(_link.stats))\n").output
        self.restore(before)
        return int(output.rsplit("operations", 1)[1])

    def cuts(self, script: str) -> Iterator[tuple[int, bool]]:
        """Run `script` from the present image once for each operation, clean and torn.

        Yields (operation, torn) right after each cut, with the image as the cut left it; after the
        last one the image is as it was at the beginning. Raises LabError if a cut did not happen.
        """
        count = self.operations(script)
        if not 0 < count <= MAX_CUTS:
            raise LabError(f"the script does {count} flash operations, expected 1 to {MAX_CUTS}")
        before = self.save()
        for operation in range(1, count + 1):
            for torn in (False, True):
                self.restore(before)
                if not self.run(script, cut_at=operation, torn=torn).cut:
                    raise LabError(f"no power cut at operation {operation} of {count}")
                yield operation, torn
        self.restore(before)

    def save(self) -> tuple[bytes, bytes | None]:
        """The image and the NVS as they are."""
        nvs = self.nvs.read_bytes() if self.nvs.exists() else None
        return self.flash.read_bytes(), nvs

    def restore(self, saved: tuple[bytes, bytes | None]) -> None:
        """Put back what save() returned."""
        flash, nvs = saved
        self.flash.write_bytes(flash)
        if nvs is not None:
            self.nvs.write_bytes(nvs)
        elif self.nvs.exists():
            self.nvs.unlink()

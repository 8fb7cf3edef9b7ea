"""100,000 visits through the bin's decisions and its journal, on MicroPython and a real LittleFS.

    python -m tools.load.marathon --visits 100000 --plot curves.png

The whole bin (`tools.load.street soak`) takes some 50 ms of a core for a visit, most of it for the
emulated pins and the display; this is what can grow with every visit, without them: visit, scale,
account, labels, journal, witness, in the heap of a bin and on the flash image of one. Nothing is
faked but the readings (noise, a swing and a step) and the gateway's receipts.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tools.load.measure import draw, flash_use, slope
from tools.technician.build import make_flash_image
from tools.virtual.process import HEAP, command, environment

SCRIPT = Path(__file__).parent / "chip" / "marathon.py"
LIMIT_S = 3_600
GROWING = ("heap_free", "files", "file_bytes", "segments", "erases_per_visit")

app = typer.Typer(add_completion=False)


class MarathonError(Exception):
    """The run ended before its end; the text is the interpreter's."""


def run(visits: int, every: int, folder: Path, heap: str = HEAP) -> Iterator[dict[str, float]]:
    """One sample after each `every` visits. Raises MarathonError."""
    flash = make_flash_image(folder / "flash.img")
    script = folder / "script.py"
    script.write_text(f"VISITS, EVERY = {visits}, {every}\n" + SCRIPT.read_text())
    env = environment(flash, folder / "nvs.json", BOXBACK_SCRIPT=str(script))
    with subprocess.Popen(
        command(heap), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        told: list[str] = []
        try:
            for line in process.stdout or ():
                told = [*told[-20:], line]
                if line.startswith("{"):
                    files, size, segments = flash_use(flash.read_bytes())
                    more = {"files": files, "file_bytes": size, "segments": segments}
                    yield json.loads(line) | more
        finally:
            process.kill()
        if not told or told[-1].strip() != "done":
            raise MarathonError("".join(told))


@app.command()
def main(
    visits: Annotated[int, typer.Option(min=1, help="Visits in all.")] = 100_000,
    every: Annotated[int, typer.Option(min=1, help="Visits from one sample to the next.")] = 2_000,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to this PNG or SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run visits through decisions and journal; end with 1 when something grows."""
    samples: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="boxback-marathon-") as folder:
        try:
            for sample in run(visits, every, Path(folder)):
                samples.append(sample)
                if not as_json:
                    typer.echo(f"{sample['visits']:>8.0f}  heap free {sample['heap_free']:.0f}")
        except MarathonError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
    if plot is not None:
        draw(samples, plot)
    slopes = {name: slope(samples, name) for name in GROWING}
    grows = [name for name, found in slopes.items() if found[2]]
    if as_json:
        typer.echo(json.dumps({"last": samples[-1], "slopes": slopes, "grows": grows}))
    else:
        for name, (found, spread, growth) in slopes.items():
            words = "GROWTH" if growth else "no growth"
            if math.isinf(spread):
                words = "too few samples to tell"
            typer.echo(f"{name:<18} {found:>10.4f} ± {spread:.4f} in 1,000 visits  {words}")
    if grows:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()

"""`python -m tools.virtual.powercut`: power cuts at every flash operation, or the flash's wear."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tools.virtual.powercut import lab
from tools.virtual.powercut.wear import Wear, measure


def main(
    *,
    short: Annotated[bool, typer.Option(help="The small lives that the tests run.")] = False,
    wear: Annotated[bool, typer.Option(help="How long flash and NVS last.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Cut a bin's power at every flash operation of a long life, clean and torn, and start it."""
    with tempfile.TemporaryDirectory(prefix="boxback-powercut-") as folder:
        if wear:
            _wear(Path(folder), as_json=as_json)
            return
        found = []
        for life in lab.SHORT if short else lab.LONG:
            try:
                figures = lab.cut(life, Path(folder), jobs)
            except lab.CutError as error:
                typer.echo(f"{life.name}: {error}", err=True)
                raise typer.Exit(1) from None
            found.append(figures)
            if not as_json:
                typer.echo(
                    f"{life.name}: {figures.lines} lines, {figures.operations} flash operations, "
                    f"{figures.cuts} cut points, all passed; cuts of starts {figures.second_cuts}, "
                    f"all passed; {figures.duration_s} s"
                )
    total = sum(figures.cuts for figures in found)
    second = sum(figures.second_cuts for figures in found)
    if as_json:
        lives = [asdict(figures) for figures in found]
        typer.echo(json.dumps({"cuts": total, "second_cuts": second, "passed": True, "of": lives}))
    else:
        typer.echo(f"{total} cut points and {second} cuts of the start after one, all passed")


def _wear(folder: Path, *, as_json: bool) -> None:
    day = measure(folder)
    if as_json:
        typer.echo(json.dumps(asdict(day)))
        return
    typer.echo(
        f"{day.lines} lines with a receipt every five: {day.erases_a_line} erases, "
        f"{day.programs_a_line} programs, {day.nvs_sets_a_line} NVS entries a line"
    )
    for worn in (day.flash, day.nvs):
        typer.echo(_sentence(worn))


def _sentence(worn: Wear) -> str:
    return (
        f"{worn.what}: {worn.erases_a_day_mean} erases a day at 6,000 lines, worst "
        f"{worn.erases_a_day_worst}: {worn.years_busy} years; {worn.years_quiet:.0f} at 3 a day"
    )


if __name__ == "__main__":
    typer.run(main)

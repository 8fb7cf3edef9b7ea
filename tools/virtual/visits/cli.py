"""`boxback visits`: makes visits with physics, and reports what the bin makes of them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tools.virtual.visits import make, page
from tools.virtual.visits import report as reports
from tools.virtual.visits.stories import FAIR, KINDS, TRICKS

app = typer.Typer(
    help="Visits as people make them, with physics, by seed; and how the bin fares.",
    no_args_is_help=True,
)
USAGE, FAILURE, INTERRUPTED = 2, 1, 130
SEED = 1
console = Console(stderr=True)


@app.command()
def kinds() -> None:
    """List the kinds of visits."""
    for title, group in (("honest", FAIR), ("tricks and troubles", TRICKS)):
        typer.echo(f"{title}:")
        for kind, story in group.items():
            typer.echo(f"  {kind:<24} {(story.__doc__ or '').strip()}")


@app.command("make")
def make_(
    kind: Annotated[str, typer.Option(help="Which kind; boxback visits kinds lists them.")],
    out: Annotated[Path, typer.Option(help="Folder for the traces.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first; the next has the next.")] = 1,
) -> None:
    """Write traces of one kind, named by kind and seed, to be played with boxback replay."""
    if kind not in KINDS:
        console.print(f"boxback: no kind {kind!r}; there are: {', '.join(KINDS)}", style="red")
        raise typer.Exit(USAGE)
    wanted = [(kind, number) for number in range(seed, seed + count)]
    try:
        for path, _ in make.write_visits(wanted, out):
            typer.echo(path)
    except OSError as error:
        console.print(f"boxback: {out}: {error.strerror}", style="red", markup=False)
        raise typer.Exit(FAILURE) from None


@app.command()
def report(
    count: Annotated[int, typer.Option(min=1, help="Visits of the first row.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first visit.")] = SEED,
    out: Annotated[Path, typer.Option(help="Folder for page and worst traces.")] = Path(
        "build/visits"
    ),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes. [default: one a core]")
    ] = None,
    base_only: Annotated[
        bool, typer.Option("--base-only", help="Without the rows with more noise or other rates.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Play many visits through the bin's decisions and write one page about it.

    Half of the visits are honest. The traces are made in batches and deleted after play; the worst
    are kept beside the page. Ctrl-C leaves an earlier report as it was.
    """
    variants = reports.VARIANTS[:1] if base_only else reports.VARIANTS
    rows = reports.plan(count, seed, variants)
    command = f"boxback visits report --count {count} --seed {seed}"
    command += " --base-only" if base_only else ""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".work-") as place:
            made = _run(rows, Path(place), jobs or os.cpu_count() or 1)
            _write(made, Path(place), out, command)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing was written.")
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        console.print(f"boxback: {out}: {error.strerror or error}", style="red", markup=False)
        raise typer.Exit(FAILURE) from None
    if as_json:
        typer.echo(json.dumps(made.as_json(), indent=1))
    else:
        figures = made.rows[0].tally.figures()
        for key, value in figures.items():
            typer.echo(f"{key:<18} {value:.5g}")
        typer.echo(f"written: {out / 'index.html'}")


def _run(rows: list[reports.Row], place: Path, jobs: int) -> reports.Report:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        # A visit at 80 a second is eight times the work: readings are counted, in those of 10.
        weights = {row.first_seed: row.variant.model.sps // 10 for row in rows}
        total = sum(row.count * weights[row.first_seed] for row in rows)
        task = progress.add_task("Visits", total=total)

        def step(row: reports.Row) -> None:
            progress.update(task, advance=weights[row.first_seed], description=row.variant.name)

        return reports.run(rows, place, jobs, step)


def _write(made: reports.Report, place: Path, out: Path, command: str) -> None:
    """Page, figures and worst traces, each put in its place whole."""
    from tools.virtual.replay.plot import draw  # noqa: PLC0415  (matplotlib takes a second)

    pictures = []
    with console.status("Drawing …"):
        for bad in made.worst:
            pictures.append(bad.path.with_name(bad.path.name + ".png"))
            draw(bad.path, bad.decisions, pictures[-1])
    (place / "index.html").write_text(page.render(made, pictures, command), encoding="utf-8")
    (place / "report.json").write_text(json.dumps(made.as_json(), indent=1), encoding="utf-8")
    worst = place / "worst"
    worst.mkdir()
    for bad in made.worst:
        bad.path.replace(worst / bad.path.name)
    shutil.rmtree(out / "worst", ignore_errors=True)
    worst.replace(out / "worst")
    for name in ("report.json", "index.html"):
        (place / name).replace(out / name)

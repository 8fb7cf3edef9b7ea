"""`boxback load`: what many bins at once do to what is behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

FAILURE = 1
SEEDS = 200
OUTAGE_REAL_S = 2.0

app = typer.Typer(help="What many bins at once do to the broker behind them.", no_args_is_help=True)
console = Console(stderr=True)


@app.callback()
def _group() -> None:
    """What many bins at once do to the broker behind them."""


@app.command()
def reconnect(
    bins: Annotated[int, typer.Option(min=1, help="How many bins.")] = 1000,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each outage; the worst counts.")] = (
        SEEDS
    ),
    outage_s: Annotated[
        list[float] | None,
        typer.Option("--outage", min=0, help="Seconds the broker is away; may be repeated."),
    ] = None,
    first_ms: Annotated[
        int | None, typer.Option("--first-ms", min=1, help="First window. [default: the bin's]")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to this PNG or SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    real: Annotated[
        bool, typer.Option("--real", help="With a real mosquitto that is killed and started.")
    ] = False,
    scale: Annotated[
        float, typer.Option(min=1, help="With --real: all times are this much shorter.")
    ] = 1.0,
) -> None:
    """The broker restarts: how many bins come back in the busiest second?

    All bins lose the link at once and wait by the firmware's own back-off. Ends with 1 when more
    than 5 % came back in any one second.
    """
    from tools.load import reconnect as simulated  # noqa: PLC0415  (numpy and matplotlib)
    from tools.load import reconnect_real  # noqa: PLC0415

    first_ms = first_ms or simulated.FIRST_MS
    outages_s = outage_s or ([OUTAGE_REAL_S] if real else list(simulated.OUTAGES_S))
    try:
        if real:
            found = [reconnect_real.run(bins, away, 0, first_ms, scale) for away in outages_s]
        else:
            found = [simulated.over_seeds(bins, away, seeds, first_ms) for away in outages_s]
        if plot is not None:
            simulated.draw(found, bins, _title(bins, first_ms, seeds, scale, real=real), plot)
    except (reconnect_real.LoadError, OSError) as error:
        console.print(f"boxback: {error}", style="red", markup=False)
        raise typer.Exit(FAILURE) from None
    worst = max(run.busiest_share for run in found)
    _print(_figures(found), _title(bins, first_ms, seeds, scale, real=real), as_json=as_json)
    if worst > simulated.LIMIT_SHARE:
        console.print(
            f"boxback: {worst:.1%} of the bins came back in one second, at most "
            f"{simulated.LIMIT_SHARE:.0%} may: make the first window (reconnect_ms) longer",
            style="red",
        )
        raise typer.Exit(FAILURE)


def _title(bins: int, first_ms: int, seeds: int, scale: float, *, real: bool) -> str:
    first = f"{bins} bins, first window {first_ms / 1000:g} s"
    if not real:
        return f"{first}, simulated, the worst of {seeds} seeds"
    return f"{first}, real mosquitto" + (f", {scale:g} times as fast" if scale != 1 else "")


def _figures(found: list[Any]) -> list[dict[str, float]]:
    return [
        {
            "outage_s": run.outage_s,
            "busiest_second_share": run.busiest_share,
            "busiest_second_share_median": run.median_share,
            "half_back_s": float(run.back_s[len(run.back_s) // 2]),
            "all_back_s": float(run.back_s[-1]),
        }
        for run in found
    ]


def _print(figures: list[dict[str, float]], title: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"what": title, "outages": figures}, indent=2))
        return
    table = Table(title=title)
    for head in ("broker away", "busiest second", "usually", "half are back", "all are back"):
        table.add_column(head, justify="right")
    for row in figures:
        table.add_row(
            f"{row['outage_s']:g} s",
            f"{row['busiest_second_share']:.1%}",
            f"{row['busiest_second_share_median']:.1%}",
            f"{row['half_back_s']:.0f} s",
            f"{row['all_back_s']:.0f} s",
        )
    Console().print(table)

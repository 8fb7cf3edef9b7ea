"""`boxback bin calibrate`: from a recording with known masses to the settings of a bin's scale."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from boxbin.core import scale
from boxbin.core.calibration import CalibrationError, fit, mass_mg, residual_max_mg
from boxbin.core.settings import Settings, SettingsError, row
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tools.virtual.replay.trace import Event, Header, TraceError, open_trace

USAGE, FAILURE = 2, 1
LEVEL_MS = 1_500  # a hand that pauses while it puts a mass down is no level
LEVEL_READINGS_MIN = 8
MAD_TO_DEVIATION = 1.4826  # of normal noise

HELP = {
    "masses": "name at least two different masses, such as --mass-g 0 --mass-g 1000",
    "noise": "the readings are too restless for masses so alike. Take a heavier one, and keep wind "
    "and hands away",
    "residual": "the masses do not lie on one line. Were they put on in the order given, one lying "
    "at a time, in the middle of the container, and does nothing touch its walls?",
}


class Level(NamedTuple):
    """A stretch at rest: when it was found (ms), its median and the noise of a reading (counts)."""

    t_ms: int
    counts: int
    noise_counts: int


class Result(NamedTuple):
    """A calibration that may be used, and the levels it comes from with their masses in mg."""

    counts_per_kg: int
    zero_counts: int
    residual_mg: int
    points: list[tuple[int, Level]]

    def settings(self) -> dict[str, int]:
        """What a bin reads at /settings.json."""
        return {
            "counts_per_kg": self.counts_per_kg,
            "zero_counts": self.zero_counts,
            "calibration_residual_mg": self.residual_mg,
        }

    def verdict(self) -> str:
        """How good it is, in a sentence."""
        points = [(mass, level.counts) for mass, level in self.points]
        share = self.residual_mg / residual_max_mg(points)
        word = "very good" if share <= 1 / 4 else "good" if share <= 1 / 2 else "usable"
        limit_g = residual_max_mg(points) / 1000
        text = f"{word}: no mass is off by more than {self.residual_mg / 1000:.1f} g "
        text += f"({limit_g:g} g are let pass)."
        if len(points) == 2:
            return "Two masses always fit: a third would show whether the scale is straight."
        return text[0].upper() + text[1:]


class CannotCalibrate(Exception):
    """The recording makes no calibration; says why and what to do."""


def find_levels(header: Header, events: Iterable[Event]) -> list[Level]:
    """Resting levels in order. Rest that comes back to the same level is one level still."""
    settings = Settings({**header.changes()})
    watch = scale.Scale(settings, header.zero)
    band_counts = settings.rest_band_mg * settings.counts_per_kg // 1_000_000
    levels: list[tuple[int, list[int]]] = []
    since_ms, stretch = 0, list[int]()

    def close(now_ms: int) -> None:
        if len(stretch) < LEVEL_READINGS_MIN or now_ms - since_ms < LEVEL_MS:
            return
        here = statistics.median(stretch)
        if levels and abs(here - statistics.median(levels[-1][1])) <= band_counts:
            levels[-1][1].extend(stretch)
        else:
            levels.append((since_ms, list(stretch)))

    now_ms = 0
    for event in events:
        if event.w is None:
            continue
        now_ms = event.t
        if watch.add(now_ms, event.w) == scale.STABLE:
            since_ms = since_ms if stretch else now_ms
            stretch.append(event.w)
        elif stretch:
            close(now_ms)
            stretch.clear()
    close(now_ms)
    return [Level(t_ms, *_middle(readings)) for t_ms, readings in levels]


def _middle(readings: list[int]) -> tuple[int, int]:
    """Median and standard deviation in counts, both blind to a spike and to a rising edge."""
    middle = statistics.median(readings)
    deviation = statistics.median(abs(reading - middle) for reading in readings)
    return round(middle), round(MAD_TO_DEVIATION * deviation)


def evaluate(levels: list[Level], masses_g: list[float]) -> Result:
    """Fit the masses to the levels. Raises CannotCalibrate with what to do."""
    if len(levels) != len(masses_g):
        seen = ", ".join(f"{level.counts} counts at {level.t_ms / 1000:.1f} s" for level in levels)
        raise CannotCalibrate(
            f"the recording rests at {len(levels)} levels ({seen or 'never'}), but {len(masses_g)} "
            "masses are named. Name what lies in the container each time, in order (the empty "
            "container at the end too, when it was recorded), and let each lie for 5 s"
        )
    points = [(round(mass * 1000), level) for mass, level in zip(masses_g, levels, strict=True)]
    noise_counts = max(level.noise_counts for level in levels)
    try:
        per_kg, zero, off_mg = fit([(mass, level.counts) for mass, level in points], noise_counts)
    except CalibrationError as error:
        reason, *detail = error.args
        if reason == "sensitivity":
            _, least, most = row("counts_per_kg")
            raise CannotCalibrate(
                f"{detail[0] / 1000:g} counts per gram, expected {least / 1000:g} to "
                f"{most / 1000:g}. Below 0: the wires A+ and A- are swapped. Near 0: the masses "
                "do not rest on the cells, or the order of the masses is wrong"
            ) from error
        off = f"one is off by {detail[0] / 1000:.1f} g: " if detail else ""
        raise CannotCalibrate(off + HELP[reason]) from error
    return Result(per_kg, zero, off_mg, points)


def calibrate(
    trace: Annotated[
        Path, typer.Argument(help="Recording (*.trace.jsonl), made with boxback record.")
    ],
    mass_g: Annotated[
        list[float],
        typer.Option(
            min=0,
            max=60_000,
            help="What lies in the container, in grams; once for each level, in order.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Settings document to write, or to change: the bin's /settings.json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Result as JSON, for scripts.")] = False,
) -> None:
    """Calibrate a bin's scale with two or more known masses.

    Record while the container is empty for 5 s, then with a known mass in its middle for 5 s, then
    with another one, and so on; three levels or more, up to about 2 kg. Then, for example:

        boxback bin calibrate scale.trace.jsonl --mass-g 0 --mass-g 500 --mass-g 1000

    A calibration that cannot be trusted is refused.
    """
    try:
        with open_trace(trace) as (header, events):
            result = evaluate(find_levels(header, events), mass_g)
        document = None if out is None else _write(out, result)
    except TraceError as error:
        _fail(str(error), USAGE)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}", USAGE)
    except CannotCalibrate as error:
        _fail(f"{trace}: {error}")
    if as_json:
        typer.echo(json.dumps(result.settings()))
        return
    _show(result)
    if document is not None:
        typer.echo(f"Written to {out}: it belongs into the bin's flash as /settings.json.")


def _show(result: Result) -> None:
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False)
    for heading in ("mass g", "measured g", "misfit g", "noise g", "counts"):
        table.add_column(heading, justify="right", no_wrap=True)
    for mass, level in result.points:
        measured = mass_mg(level.counts, result.counts_per_kg, result.zero_counts)
        noise_g = level.noise_counts * 1000 / result.counts_per_kg
        table.add_row(
            f"{mass / 1000:g}",
            f"{measured / 1000:.1f}",
            f"{(measured - mass) / 1000:+.1f}",
            f"{noise_g:.2f}",
            str(level.counts),
        )
    Console().print(table)
    for name, value in result.settings().items():
        typer.echo(f"{name:<24} {value}")
    typer.echo(result.verdict())


def _write(path: Path, result: Result) -> dict[str, Any]:
    """Change the document at `path`, or make it; only one that a bin takes is written."""
    try:
        document = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise CannotCalibrate(f"{path} is not JSON ({error}): mend it, or name another") from error
    if not isinstance(document, dict):
        raise CannotCalibrate(f"{path} is not a settings document: it should hold {{…}}")
    document |= result.settings()
    try:
        Settings(document)
    except SettingsError as error:
        raise CannotCalibrate(f"a bin would refuse {path}: {error}") from error
    aside = path.with_name(path.name + ".aside")
    aside.write_text(json.dumps(document, indent=1) + "\n")
    aside.replace(path)
    return document


def _fail(why: str, code: int = FAILURE) -> NoReturn:
    typer.echo(f"boxback: {why}", err=True)
    raise typer.Exit(code)

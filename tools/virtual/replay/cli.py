"""`boxback replay` and `boxback record`: traces through the firmware's decisions, and new traces.

What they work with is imported inside, so that other commands start as fast as before.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from tools.virtual.replay.pool import Played

USAGE, FAILURE = 2, 1
STDIN = "-"
BAR_FILES = 20  # for fewer nobody needs a progress bar


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE…",
        help="Traces; a folder stands for every *.trace.jsonl below it, - for standard input.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="How many at once.  [default: every core]"),
]


def replay(
    files: Files,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw each trace beside it, as NAME.png.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --plot: another folder for the pictures.")
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Say on stderr how many decisions, and how fast.")
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Play traces through the firmware's own decisions, thousands of times faster than they were.

    Prints one JSON line for each decision (deposit, refused, withdrawn, reuse, unattended,
    collection, fault), file by file in the order given. Examples:

        boxback replay tests/traces

        boxback replay --plot tests/traces/stone.trace.jsonl

        {"t":11101,"event":"refused","n":1,"g":3484,"why":"too_heavy","file":"tests/traces/stone.trace.jsonl"}

    A trace is a header and then events in time order (t in ms):

        {"trace":1,"sps":10,"counts_per_g":26.0,"zero":84210,"unix":1668153600000}

        {"t":0,"w":84213}

        {"t":900,"scan":"BB1.…"}

        {"t":2100,"flap":"open"}

        {"t":9000,"button":true}

    `w` is one raw reading of the scale. All of it: tools/virtual/replay/README.md. To make a trace:
    `boxback record`.

    Ends with 2 when a file could not be played; the others were.
    """
    if out is not None and not plot:
        _fail("--out is where --plot draws to: say --plot too", USAGE)
    names, missing = _traces(files)
    for why in missing:
        typer.echo(f"boxback: {why}", err=True)
    begun_s = time.monotonic()
    tally = _Tally()
    to_draw: list[Played] = []
    bad = bool(missing)
    for played in _with_bar(names, jobs):
        tally.add(played)
        if played.error is None:
            _print(played)
            if plot:
                to_draw.append(played)
        else:
            bad = True
            typer.echo(f"boxback: {played.error}", err=True)
    if summary:
        typer.echo(tally.text(time.monotonic() - begun_s), err=True)
    pictures = _Pictures(out)
    for played in to_draw:
        bad |= not pictures.draw(played)
    if bad:
        raise typer.Exit(USAGE)


def _fail(why: str, code: int) -> NoReturn:
    typer.echo(f"boxback: {why}", err=True)
    raise typer.Exit(code)


def _traces(files: list[str]) -> tuple[list[str], list[str]]:
    """Names of the traces meant, and why some are not there."""
    from tools.virtual.replay.trace import SUFFIX  # noqa: PLC0415

    names, missing = [], []
    for name in files:
        if name != STDIN and Path(name).is_dir():
            found = sorted(str(path) for path in Path(name).rglob(f"*{SUFFIX}"))
            names += found
            if not found:
                missing.append(f"{name}: holds no *{SUFFIX}")
        else:
            names.append(name)
    if names.count(STDIN) > 1:
        _fail("standard input (-) can be played only once", USAGE)
    return names, missing


def _with_bar(names: list[str], jobs: int | None) -> Iterator[Played]:
    """What became of each trace; a bar shows how far it is, where that disturbs nobody."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import track  # noqa: PLC0415

    from tools.technician.build import BuildError  # noqa: PLC0415
    from tools.virtual.replay.pool import play_all  # noqa: PLC0415

    console = Console(stderr=True)
    shown = len(names) >= BAR_FILES and console.is_terminal and not sys.stdout.isatty()
    try:
        with closing(play_all(names, jobs)) as every:
            yield from track(
                every, "Replay", len(names), console=console, transient=True, disable=not shown
            )
    except BuildError as error:
        _fail(str(error), FAILURE)


def _print(played: Played) -> None:
    from tools.virtual.replay.pool import dump  # noqa: PLC0415

    sys.stdout.writelines(dump(decision) + "\n" for decision in played.decisions)
    sys.stdout.flush()  # who reads along sees each trace at once


class _Tally:
    """Counts for --summary."""

    def __init__(self) -> None:
        self.traces = self.bad = self.events = self.span_ms = 0
        self.decisions: Counter[str] = Counter()

    def add(self, played: Played) -> None:
        self.traces += 1
        self.bad += played.error is not None
        self.events += played.events
        self.span_ms += played.span_ms
        if played.error is None:
            self.decisions.update(decision["event"] for decision in played.decisions)

    def text(self, taken_s: float) -> str:
        bad = f" ({self.bad} bad)" if self.bad else ""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.decisions.most_common())
        return (
            f"{self.traces:,} traces{bad}, {self.events:,} events: {kinds or 'no decision'}\n"
            f"{self.span_ms / 1000:,.0f} s of the bin's time in {taken_s:.1f} s: "
            f"{self.span_ms / 1000 / max(taken_s, 1e-3):,.0f} times as fast"
        )


class _Pictures:
    """Where --plot draws to."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._used: set[Path] = set()

    def draw(self, played: Played) -> bool:
        """Draw one trace and say where; False when that was not possible."""
        from tools.virtual.replay.plot import draw  # noqa: PLC0415

        if not played.path.is_file():
            typer.echo(f"boxback: {played.path}: only a file can be drawn", err=True)
            return False
        place = self._place(played.path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            draw(played.path, played.decisions, place)
        except OSError as error:
            typer.echo(f"boxback: {place}: cannot be written: {error.strerror}", err=True)
            return False
        typer.echo(f"drawn: {place}", err=True)
        return True

    def _place(self, path: Path) -> Path:
        from tools.virtual.replay.trace import SUFFIX  # noqa: PLC0415

        folder = self._out or path.parent
        name = path.name.removesuffix(SUFFIX)
        place, count = folder / f"{name}.png", 1
        while place in self._used:  # two folders may hold traces of one name
            count += 1
            place = folder / f"{name}-{count}.png"
        self._used.add(place)
        return place


def record(
    page: Annotated[
        str, typer.Option("--bin", help="Address of the virtual bin's page.")
    ] = "http://127.0.0.1:8080",
    out: Annotated[
        Path | None,
        typer.Option(help="The trace to write.  [default: DATE-TIME.trace.jsonl]"),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="End by itself after so many seconds.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Record what a running virtual bin's scale, scanner, flap and button give, as a trace.

    Start a bin with `make run` (or `boxback bin virtual`), then in another terminal

        boxback record --out visit.trace.jsonl

    drop a carton on the bin's page, end with Ctrl-C, and see what the rules make of it:

        boxback replay --plot visit.trace.jsonl

    The file holds the codes that were scanned, passes and labels of people: treat it as private.
    A real bin's serial console is not recorded yet.
    """
    from rich.console import Console  # noqa: PLC0415

    from gateway.site import stop_on_signals  # noqa: PLC0415
    from tools.virtual.replay.record import RecordError, copy_stream, private_file  # noqa: PLC0415
    from tools.virtual.replay.trace import SUFFIX  # noqa: PLC0415

    path = out or Path(time.strftime("%Y%m%d-%H%M%S") + SUFFIX)
    console = Console(stderr=True)
    counts: Counter[str] = Counter()
    status = console.status("Recording … Ctrl-C ends it.") if console.is_terminal else None
    ended = None
    try:
        with private_file(path, force=force) as file, status or nullcontext():

            def show(passed_s: float) -> None:
                if status is not None:
                    status.update(f"{_counted(counts)} in {passed_s:.0f} s. Ctrl-C ends it.")

            copy_stream(page, file, counts, stop_on_signals(), seconds, show)
    except FileExistsError:
        _fail(f"{path} is there already: choose another --out, or --force", USAGE)
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}", FAILURE)
    except RecordError as error:
        ended = str(error)
    if not path.stat().st_size:
        path.unlink()
    else:
        typer.echo(f"{path}: {_counted(counts)}", err=True)
    if ended is not None:
        _fail(ended, FAILURE)


def _counted(counts: Counter[str]) -> str:
    return (
        f"{counts['w']:,} readings, {counts['scan']:,} scans, {counts['button']:,} presses, "
        f"{max(0, counts['flap'] - 1):,} movements of the flap"  # the first one says how it was
    )

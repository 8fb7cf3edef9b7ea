"""A bin in the street for a long time, in virtual time: 72 hours without a network, 100,000 visits.

    python -m tools.load.street outage --hours 72 --json
    python -m tools.load.street soak --visits 100000 --dir /tmp/soak --plot /tmp/soak/curves.png

The firmware and its flash are the real ones; broker and gateway are a stand-in inside the virtual
world (tools/virtual/world/gateway.py), people hold codes before the scanner without a picture of
them. Both end with 1 when a line was lost or changed, or a carton got no thanks. Longer than most
files: two runs that share their parts, and their command line.
"""

from __future__ import annotations

import json
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tools.load.measure import CURVES, Meter, draw, slope
from tools.load.people import People
from tools.virtual.identity import Identity
from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.gateway import Gateway
from tools.virtual.world.world import World

FAILURE = 1
BIN = "B-7K2QM"
BROKER, PORT = "broker.test", 1883
KEY, LABEL_KEY = bytes(range(32)), bytes(32)
HOUR_S = 3600
DAY_FROM_H, DAY_TO_H = 8, 22  # when people come
FIRST_AFTER_US = 10_000_000
STEP_MS = 2_000
CATCH_UP_LIMIT_S = 4 * HOUR_S
DRAIN_LIMIT_S = 600
STUCK_STEPS = 300  # so many steps (ten minutes) without a visit: the run ends
MISSED_MAX = 20
LATENCY_US = 20_000

SOAK = Path(".boxback/soak")
Heap = Annotated[str | None, typer.Option(help="Another heap, such as 300K. [default: the bin's]")]

app = typer.Typer(help=__doc__, no_args_is_help=True, rich_markup_mode=None)
console = Console(stderr=True)


@dataclass
class Street:
    """A bin, people, and a gateway stand-in; `stopping` is set by Ctrl-C."""

    bin: VirtualBin
    world: World
    people: People
    gateway: Gateway
    stopping: bool = False

    def now_s(self) -> float:
        """Virtual seconds since the world began."""
        return self.world.kernel.now_us / 1e6

    def drain(self, limit_s: float) -> bool:
        """Let the bin send what it has; True when the gateway has every line."""
        end_s = self.now_s() + limit_s
        while self.now_s() < end_s:
            self.bin.advance(STEP_MS)
            health = self.gateway.record.health
            if not self.people.tally.promised and health and not health[-1].get("backlog", 1):
                return True
        return not self.people.tally.promised

    def faults(self) -> list[str]:
        """What must not have happened, in words."""
        tally, record = self.people.tally, self.gateway.record
        found = []
        if tally.missed:
            found.append(f"{tally.missed} visits without thanks: {list(tally.why)[-3:]}")
        if tally.promised:
            found.append(f"{len(tally.promised)} thanked deposits never came to the gateway")
        if tally.arrived:
            found.append(f"{len(tally.arrived)} deposits came to the gateway without thanks")
        if record.gaps:
            found.append(f"lines out of order, (expected, got): {record.gaps[:5]}")
        if record.changed:
            found.append(f"lines that came again with other bytes: {record.changed[:5]}")
        if record.bad:
            found.append(f"{len(record.bad)} broken messages: {record.bad[:5]}")
        if len(record.epochs) > 1:
            found.append(f"the journal was begun anew: {record.epochs}")
        return found


@contextmanager
def street(
    folder: Path, seed: int, again: Callable[[], int | None], *, heap: str | None = None
) -> Iterator[Street]:
    """A bin in `folder` that is powered on, its first person about to come."""
    identity = Identity(BIN, KEY, LABEL_KEY, broker_host=BROKER, broker_port=PORT)
    more: dict[str, Any] = {"heap": heap} if heap else {}
    bin_ = VirtualBin(identity, folder, virtual_time=True, seed=seed, **more)
    with bin_.world() as world:
        people = People(bin_, world, seed, again)
        gateway = Gateway(world.kernel, BIN, KEY, people.line)
        world.net.listen(BROKER, PORT, gateway.accept)
        world.net.latency_us = LATENCY_US
        made = Street(bin_, world, people, gateway)
    before = signal.getsignal(signal.SIGINT)

    def stop(_signal: int, _frame: object) -> None:
        made.stopping = True
        signal.signal(signal.SIGINT, before)

    with suppress(ValueError):  # not the main thread: a test
        signal.signal(signal.SIGINT, stop)
    try:
        with bin_:
            people.come(FIRST_AFTER_US)
            yield made
    finally:
        if not made.stopping:
            with suppress(ValueError):
                signal.signal(signal.SIGINT, before)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[float, float, str], None]]:
    """Give a function (done, of, words) that shows how far it is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)

        def show(done: float, of: float, words: str) -> None:
            bar.update(task, completed=done, total=of, description=words)

        yield show


# -- 72 hours without a network ------------------------------------------------------------------


def run_outage(
    hours: float,
    per_hour: float,
    seed: int,
    folder: Path,
    *,
    quiet: bool = True,
    latency_us: int = LATENCY_US,
    heap: str | None = None,
) -> dict[str, Any]:
    """Wi-Fi goes, people come, Wi-Fi is back: the figures, and `faults` (an empty list is well)."""
    rng = random.Random(f"street {seed}")  # noqa: S311  (no secret)
    made: list[Street] = []
    end_us = [0]

    def again() -> int | None:
        now_us = made[0].world.kernel.now_us
        wait_us = int(rng.expovariate(per_hour / HOUR_S) * 1e6)
        hour = (now_us + wait_us) / 1e6 / HOUR_S % 24
        if hours >= 24 and not DAY_FROM_H <= hour < DAY_TO_H:
            wait_us += int(((DAY_FROM_H - hour) % 24) * HOUR_S * 1e6)
        return wait_us if now_us + wait_us < end_us[0] else None

    real_s = time.monotonic()
    with street(folder, seed, again, heap=heap) as place, progress(quiet) as show:
        made.append(place)
        place.world.net.latency_us = latency_us
        end_us[0] = int(hours * HOUR_S * 1e6)
        place.bin.advance(5_000)
        place.bin.wifi(on=False)
        while place.now_s() < hours * HOUR_S and not place.stopping:
            place.bin.advance(10 * STEP_MS)
            show(place.now_s(), hours * HOUR_S, f"{place.people.tally.visits} visits offline")
        away_s, visits = place.now_s(), place.people.tally.visits
        backlog = len(place.people.tally.promised)
        before, duplicates = place.gateway.record.upto, place.gateway.record.duplicates
        place.bin.wifi(on=True)
        connects = place.gateway.connects
        while place.now_s() < away_s + CATCH_UP_LIMIT_S and place.people.tally.promised:
            place.bin.advance(STEP_MS)
        place.bin.advance(10 * STEP_MS)
        gateway = place.gateway
        lines = gateway.record.upto - before
        took_s = (gateway.line_us - gateway.connect_us) / 1e6
        return {
            "hours_offline": round(away_s / HOUR_S, 2),
            "visits_offline": visits,
            "backlog_lines": backlog,
            "latency_ms": latency_us / 1000,
            "lines_caught_up": lines,
            "back_online_after_s": round(gateway.connect_us / 1e6 - away_s, 1),
            "connects": gateway.connects - connects,
            "catch_up_s": round(took_s, 2),
            "lines_per_s": round(lines / took_s, 1),
            "sent_twice": gateway.record.duplicates - duplicates,
            "resets": place.bin.engine.resets,
            "real_s": round(time.monotonic() - real_s, 1),
            "faults": place.faults(),
        }


# -- visits, one after another ---------------------------------------------------------------------


def run_soak(
    visits: int, every: int, seed: int, folder: Path, *, quiet: bool = True, heap: str | None = None
) -> dict[str, Any]:
    """`visits` whole visits; samples go to soak.jsonl as they are made. Begins after the last one
    that is in the log, with the flash as it was left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "soak.jsonl"
    samples = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = int(samples[-1]["visits"]) if samples else 0
    made: list[Street] = []

    def again() -> int | None:
        left = done + made[0].people.tally.visits < visits and not made[0].stopping
        return 100_000 if left else None

    def total() -> int:
        return done + made[0].people.tally.visits

    real_s = time.monotonic()
    with (
        street(folder / "bin", seed + len(samples), again, heap=heap) as place,
        progress(quiet) as show,
        log.open("a") as file,
    ):
        made.append(place)
        meter = Meter(place.bin, done)
        last_s, last_virtual_s, last_visits, stuck = time.monotonic(), place.now_s(), done, 0
        while total() < visits and not place.stopping:
            before = total()
            place.bin.advance(STEP_MS)
            meter.note_heap()
            stuck = 0 if total() > before else stuck + 1
            if stuck > STUCK_STEPS or place.people.tally.missed > MISSED_MAX:
                place.people.tally.why.append(f"ended: {place.people.text()}")
                break
            if total() - last_visits >= every or total() >= visits or place.stopping:
                now_s = time.monotonic()
                sample = meter.sample(total(), now_s - real_s, place.now_s())
                new = max(1, total() - last_visits)
                sample["real_ms_per_visit"] = round((now_s - last_s) * 1000 / new, 1)
                virtual_s = place.now_s() - last_virtual_s
                sample["virtual_ms_per_visit"] = round(virtual_s * 1000 / new)
                sample |= _health(place.gateway)
                last_s, last_virtual_s, last_visits = now_s, place.now_s(), total()
                samples.append(sample)
                file.write(json.dumps(sample) + "\n")
                file.flush()
            show(total(), visits, f"{total()} visits, {place.people.tally.missed} without thanks")
        place.drain(DRAIN_LIMIT_S)
        return {
            "visits": total(),
            "of": visits,
            "collections": place.people.tally.collections,
            "lines": place.gateway.record.upto,
            "sent_twice": place.gateway.record.duplicates,
            "connects": place.gateway.connects,
            "resets": place.bin.engine.resets,
            "real_s": round(time.monotonic() - real_s, 1),
            "virtual_s": round(place.now_s()),
            "slopes_per_1000_visits": {
                name: {"slope": round(found, 4), "error": _finite(error), "grows": grows}
                for name in CURVES
                for found, error, grows in [slope(samples, name)]
            },
            "faults": place.faults(),
        }


def _health(gateway: Gateway) -> dict[str, float]:
    """The numbers of the newest health message, under names of their own."""
    newest = gateway.record.health[-1] if gateway.record.health else {}
    return {f"health_{k}": v for k, v in newest.items() if isinstance(v, int)}


def _finite(value: float) -> float | None:
    return round(value, 4) if value < float("inf") else None


# -- the command line ------------------------------------------------------------------------------


def _report(figures: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures; end with FAILURE when there are faults."""
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        curves = figures.pop("slopes_per_1000_visits", {})
        for name, value in figures.items():
            typer.echo(f"{name:22} {value}")
        for name, found in curves.items():
            word = "too few samples" if found["error"] is None else "no growth"
            word = "GROWS" if found["grows"] else word
            typer.echo(f"  {name:22} {found['slope']:>12} ± {found['error']}  {word}")
    if figures["faults"]:
        raise typer.Exit(FAILURE)


@app.command()
def outage(
    hours: Annotated[float, typer.Option(min=0.1, help="How long Wi-Fi is gone.")] = 72.0,
    per_hour: Annotated[float, typer.Option(min=0.1, help="Visits an hour, 8 to 22 h.")] = 60.0,
    latency_ms: Annotated[float, typer.Option(min=0, help="One way to the gateway.")] = 20.0,
    heap: Heap = None,
    seed: int = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Wi-Fi is gone for days, people come all the same; then every line arrives exactly once.

    Lines a second are of virtual time, in which a chip's computing costs nothing: what the network
    and the protocol allow, not what an ESP32 reaches.
    """
    with tempfile.TemporaryDirectory(prefix="boxback-street-") as folder:
        figures = run_outage(
            hours,
            per_hour,
            seed,
            Path(folder) / "bin",
            quiet=as_json,
            latency_us=int(latency_ms * 1000),
            heap=heap,
        )
    _report(figures, as_json=as_json)


@app.command()
def soak(
    visits: Annotated[int, typer.Option(min=1, help="Whole visits in all.")] = 1000,
    every: Annotated[int, typer.Option(min=1, help="Visits from one sample to the next.")] = 100,
    folder: Annotated[
        Path, typer.Option("--dir", help="Log and flash; goes on from there.")
    ] = SOAK,
    heap: Heap = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to this PNG or SVG.")] = None,
    seed: int = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Visit after visit as fast as the bin serves them; samples go to DIR/soak.jsonl."""
    try:
        figures = run_soak(visits, every, seed, folder, quiet=as_json, heap=heap)
    finally:
        log = folder / "soak.jsonl"
        if plot is not None and log.exists():
            draw([json.loads(line) for line in log.read_text().splitlines()], plot)
    _report(figures, as_json=as_json)


if __name__ == "__main__":
    app()

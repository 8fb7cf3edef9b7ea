"""Plays many visits through the bin's decisions and counts what came of them."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tools.virtual.replay import replay_files
from tools.virtual.visits.chip import FIFTY_KG, TWENTY_KG, Model
from tools.virtual.visits.make import write_visits
from tools.virtual.visits.scene import Truth
from tools.virtual.visits.score import OUTCOMES, WORDS, Score, Tally, score
from tools.virtual.visits.stories import FAIR, KINDS, kind_of

BATCH = 500  # traces on disk at a time: some 5 MB at 10 samples a second
WORST = 12  # pictures
WORST_OF_A_KIND = 2


@dataclass(frozen=True)
class Variant:
    """One row of "how it grows worse"; `share` of the count is played."""

    name: str
    model: Model
    share: float


BASE = Variant("26 counts/g, 1 g of noise, 10 a second", TWENTY_KG, 1)
VARIANTS = (
    BASE,
    Variant("double noise", Model(noise_factor=2), 0.2),
    Variant("10 counts/g, 2.4 g of noise", FIFTY_KG, 0.2),
    Variant("10 counts/g and double noise", Model(10, 2.4, noise_factor=2), 0.2),
    Variant("26 counts/g, 80 a second", Model(sps=80), 0.05),
)


@dataclass(frozen=True)
class Bad:
    """A visit worth a look."""

    path: Path
    truth: Truth
    score: Score
    decisions: list[dict[str, Any]]

    def made(self) -> str:
        """Kind and seed, which make this trace again."""
        return f"{self.truth.kind} {self.truth.seed}"

    def rank(self) -> tuple[int, float]:
        """What is worse comes first: accepts, rejects, silence, needless faults, then lateness."""
        late_s = max((kept.late_s for kept in self.score.kept), default=0.0)
        return OUTCOMES.index(self.score.outcome) or len(OUTCOMES), -late_s


@dataclass
class Row:
    """One variant's counts, and the seeds they come from."""

    variant: Variant
    first_seed: int
    count: int
    tally: Tally = field(default_factory=Tally)


@dataclass
class Report:
    """All counts; `worst` are traces of the base variant, `wrong` all its visits not right."""

    seed: int
    rows: list[Row]
    worst: list[Bad] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)  # kind and seed, outcome

    def as_json(self) -> dict[str, Any]:
        """Everything that the page shows, as plain values."""
        base = self.rows[0].tally
        return {
            "seed": self.seed,
            "rows": [
                {
                    "name": row.variant.name,
                    "seeds": [row.first_seed, row.first_seed + row.count - 1],
                    **row.tally.figures(),
                }
                for row in self.rows
            ],
            "kinds": {kind: _kind(base, kind) for kind in KINDS if base.visits[kind]},
            "worst": [bad.made() for bad in self.worst],
            "wrong": dict(self.wrong),
        }


def _kind(tally: Tally, kind: str) -> dict[str, Any]:
    return {
        "fair": kind in FAIR,
        "visits": tally.visits[kind],
        **{outcome: tally.outcomes[kind, outcome] for outcome in OUTCOMES},
        "said": {word: tally.words[kind, word] for word in WORDS},
    }


def plan(count: int, seed: int, variants: Iterable[Variant] = VARIANTS) -> list[Row]:
    """Which seeds each variant gets: one after another, none twice."""
    rows = []
    for variant in variants:
        share = max(1, round(count * variant.share))
        rows.append(Row(variant, seed, share))
        seed += share
    return rows


def run(
    rows: list[Row],
    folder: Path,
    jobs: int,
    step: Callable[[Row], None] = lambda _row: None,
) -> Report:
    """Make, play and count every row's visits; `folder` keeps the worst traces and nothing else.

    `step` is called after each visit. What is interrupted leaves no batch behind.
    """
    report = Report(rows[0].first_seed, rows)
    with _pool(jobs) as pool:
        for row in rows:
            seeds = iter(range(row.first_seed, row.first_seed + row.count))
            while batch := [(kind_of(seed), seed) for seed in islice(seeds, BATCH)]:
                with tempfile.TemporaryDirectory(dir=folder, prefix="batch-") as place:
                    for bad in _play(batch, Path(place), pool, row, jobs):
                        if row is rows[0]:
                            _note(report, bad, folder)
                        step(row)
    return report


def _play(
    batch: list[tuple[str, int]], place: Path, pool: Executor, row: Row, jobs: int
) -> Iterator[Bad]:
    truths = dict(write_visits(batch, place, pool, row.variant.model))
    for path, decisions in replay_files(list(truths), jobs=jobs):
        truth = truths[path]
        got = score(truth, decisions)
        row.tally.add(truth, got)
        yield Bad(path, truth, got, decisions)


def _note(report: Report, bad: Bad, folder: Path) -> None:
    if bad.score.outcome != OUTCOMES[0]:
        report.wrong.append((bad.made(), bad.score.outcome))
    _keep(report.worst, bad, folder)


def _keep(worst: list[Bad], bad: Bad, folder: Path) -> None:
    """Keep the trace if it belongs to the worst; a kind takes no more than its share."""
    kept = replace(bad, path=folder / bad.path.name)
    worst.append(kept)
    worst.sort(key=Bad.rank)
    alike = [one for one in worst if one.truth.kind == bad.truth.kind]
    losers = alike[WORST_OF_A_KIND:] or worst[WORST:]
    for loser in losers:
        worst.remove(loser)
        loser.path.unlink(missing_ok=True)
    if kept not in losers:
        shutil.copyfile(bad.path, kept.path)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: the replay's threads run in this process.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, _leave_ctrl_c_to_the_parent) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

"""What a broker's restart does to a nation of bins: how many come back in the busiest second.

Simulated: all bins lose the link in one instant, which is the worst case, and wait by the
firmware's own boxbin.core.backoff; a try before the broker is back fails at once and counts as a
failure. `reconnect_real.py` does the same with a real mosquitto.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from boxbin.core.backoff import RANDOM_BITS, wait_ms
from boxbin.core.settings import Settings
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LIMIT_SHARE: Final = 0.05
"""No second may bring back more than this share of the bins."""
OUTAGES_S: Final = (0.5, 2.0, 10.0, 30.0, 45.0, 59.0, 90.0, 180.0, 600.0, 3600.0)
"""The broker is away for so long: shorter and longer than each of the first windows."""
FIRST_MS: Final = int(Settings().reconnect_ms)
MOST_MS: Final = int(Settings().reconnect_max_ms)
_TRIES_MAX: Final = 100_000


@dataclass(frozen=True)
class Return:
    """How the bins came back after one outage: the busiest second over all seeds, and one run."""

    outage_s: float
    busiest_share: float
    busiest_seed: int
    median_share: float
    back_s: np.ndarray
    """When each bin was back in the run with the busiest second, sorted, from the broker's end."""


def simulate(bins: int, outage_s: float, seed: int, first_ms: int, most_ms: int) -> np.ndarray:
    """Give the second in which each of the bins is back, sorted; 0 is when the broker went."""
    random = np.random.default_rng(seed)
    at_ms = np.zeros(bins, dtype=np.int64)
    waiting = np.arange(bins)
    for failures in range(_TRIES_MAX):
        bits = random.integers(0, 1 << RANDOM_BITS, waiting.size, dtype=np.int64)
        at_ms[waiting] += wait_ms(failures, first_ms, most_ms, bits)
        waiting = waiting[at_ms[waiting] < outage_s * 1000]
        if not waiting.size:
            return np.sort(at_ms) / 1000
    message = f"{waiting.size} bins are not back after {_TRIES_MAX} tries"
    raise AssertionError(message)


def busiest(back_s: np.ndarray) -> int:
    """Most bins that came back within any one second, wherever that second begins."""
    ends = np.searchsorted(back_s, back_s + 1.0, side="left")
    return int((ends - np.arange(back_s.size)).max())


def over_seeds(
    bins: int, outage_s: float, seeds: int, first_ms: int = FIRST_MS, most_ms: int = MOST_MS
) -> Return:
    """Simulate one outage with each seed from 0 on and keep the worst."""
    runs = [simulate(bins, outage_s, seed, first_ms, most_ms) for seed in range(seeds)]
    shares = [busiest(run) / bins for run in runs]
    worst = int(np.argmax(shares))
    return Return(outage_s, shares[worst], worst, float(np.median(shares)), runs[worst])


def draw(found: list[Return], bins: int, title: str, out: Path) -> None:
    """Draw bins back a second and in all, for each outage, with the line that must hold."""
    figure = Figure((12.0, 2.2 * len(found) + 0.9), dpi=100, layout="constrained")
    axes = figure.subplots(len(found), 2, squeeze=False)
    figure.suptitle(title)
    for row, run in zip(axes, found, strict=True):
        _draw_seconds(row[0], run, bins)
        _draw_sum(row[1], run, bins)
    axes[-1][0].set_xlabel("seconds after the broker went")
    axes[-1][1].set_xlabel("seconds after the broker went")
    figure.savefig(out)


def _draw_seconds(axis: Axes, run: Return, bins: int) -> None:
    last_s = int(run.back_s[-1]) + 2
    counts, edges = np.histogram(run.back_s, bins=np.arange(int(run.outage_s), last_s + 1))
    axis.stairs(counts, edges, fill=True, color="#0072B2")
    axis.axhline(LIMIT_SHARE * bins, color="#D55E00", linestyle="--")
    axis.annotate(
        f"{LIMIT_SHARE:.0%} of the bins in one second",
        (1, LIMIT_SHARE * bins),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        ha="right",
        color="#A04000",
    )
    axis.set(ylim=(0, LIMIT_SHARE * bins * 1.35), xlim=_span_s(run), ylabel="bins back a second")
    axis.set_title(
        f"away {run.outage_s:g} s: busiest second {run.busiest_share:.1%}", fontsize=10, loc="left"
    )


def _draw_sum(axis: Axes, run: Return, bins: int) -> None:
    axis.plot(run.back_s, 100 * (np.arange(run.back_s.size) + 1) / bins, color="#0072B2")
    axis.axvspan(0, run.outage_s, color="#BBBBBB", alpha=0.5, hatch="//", label="broker away")
    axis.set(ylim=(0, 102), xlim=_span_s(run), ylabel="bins back, % in all")
    axis.legend(loc="lower right", fontsize=8)


def _span_s(run: Return) -> tuple[float, float]:
    """From the broker's end on, but no long nothing before it is back."""
    last_s = float(run.back_s[-1]) + 1
    return max(0.0, run.outage_s - (last_s - run.outage_s)), last_s

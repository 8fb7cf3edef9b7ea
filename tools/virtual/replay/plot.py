"""A trace and what the bin decided, as a picture: weight, flap, scans and decisions over time.

Nothing is told by colour alone: decisions have shapes and words, the open flap a hatching. Codes
are private, so the picture names them "pass A" and "label 1" in the order in which they came.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from boxbin.core.codes import is_label, parse_pass
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.virtual.replay.trace import Header, open_trace

WIDTH_IN, DPI = 12.0, 110
LEFT, RIGHT = 0.07, 0.98
WEIGHT_IN, ROW_IN, STRIP_MIN_IN = 3.6, 0.2, 0.7
ROWS_MAX = 12  # labels that find no row stay away; their marks do not
FONT_PT = 8.0
CHARACTER_EM = 0.58  # mean width in DejaVu Sans
READINGS_MAX = 200_000  # more are thinned out
SPAN_MIN_G = 60.0  # noise alone shall not look like a storm
GAP_S = 0.3  # readings further apart are not joined

# Shape and colour (Okabe and Ito's, which differ for the colour-blind too) of each decision.
MARKS = {
    "deposit": ("o", "#009E73"),
    "refused": ("X", "#D55E00"),
    "withdrawn": ("v", "#E69F00"),
    "reuse": ("^", "#0072B2"),
    "unattended": ("s", "#CC79A7"),
    "collection": ("D", "#56B4E9"),
    "fault": ("P", "#000000"),
}
OTHER = ("h", "#666666")


@dataclass
class _Seen:
    """What a trace holds, in seconds and grams."""

    seconds: list[float] = field(default_factory=list)
    grams: list[float] = field(default_factory=list)
    open_s: list[tuple[float, float]] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    begin_s: float = 0.0
    end_s: float = 0.0


def draw(trace: Path, decisions: Iterable[Mapping[str, Any]], out: Path) -> None:
    """Draw `trace` with its `decisions` (of replay_files) to `out`, a PNG or SVG.

    Raises TraceError when the trace cannot be read, OSError when the picture cannot be written.
    """
    with open_trace(trace) as (header, events):
        seen = _look(header, events)
    named = [(decision["t"] / 1000, *_words(decision)) for decision in decisions]
    above = _rows([(t, text) for t, text, _ in named], seen)
    below = _rows(seen.marks, seen)
    heights = [_height(above), WEIGHT_IN, _height(below)]
    total = sum(heights) + 1.1
    with mpl.rc_context({"font.size": FONT_PT, "hatch.linewidth": 0.4}):
        figure = Figure((WIDTH_IN, total), dpi=DPI)
        top, middle, bottom = figure.subplots(
            3, 1, sharex=True, gridspec_kw={"height_ratios": heights, "hspace": 0.0}
        )
        figure.subplots_adjust(LEFT, 0.5 / total, RIGHT, 1 - 0.4 / total)
        _weight(middle, seen)
        for (t, text, kind), row in zip(named, above, strict=True):
            shape, colour = MARKS.get(kind, OTHER)
            _label(top, seen, t, text, -row, shape, colour)
            middle.axvline(t, color=colour, linewidth=1.0)
        for (t, text), row in zip(seen.marks, below, strict=True):
            _label(bottom, seen, t, text, row, "|", "#333333")
            middle.axvline(t, color="#333333", linewidth=0.7, linestyle=":")
        _strip(top, "decisions", above)
        _strip(bottom, "events", below)
        bottom.invert_yaxis()
        bottom.set_xlabel("seconds")
        middle.set_xlim(seen.begin_s, max(seen.end_s, seen.begin_s + 0.1))
        top.set_title(_title(trace, header, seen), loc="left", fontsize=FONT_PT + 1)
        figure.savefig(out)


def _look(header: Header, events: Iterable[Any]) -> _Seen:
    seen = _Seen()
    names = _Names(header.key_code)
    opened_s: float | None = None
    for count, event in enumerate(events):
        t = event.t / 1000
        if count == 0:
            seen.begin_s = t
        seen.end_s = t
        if event.w is not None:
            seen.seconds.append(t)
            seen.grams.append((event.w - header.zero) / header.counts_per_g)
        if event.scan is not None:
            seen.marks.append((t, names.of(event.scan)))
        if event.button:
            seen.marks.append((t, "button"))
        if event.flap == "open" and opened_s is None:
            opened_s = t
            seen.marks.append((t, "flap open"))
        elif event.flap == "shut" and opened_s is not None:
            seen.open_s.append((opened_s, t))
            opened_s = None
    if opened_s is not None:
        seen.open_s.append((opened_s, seen.end_s))
    return seen


class _Names:
    """Short names for codes, in the order in which they came."""

    def __init__(self, key_code: str) -> None:
        self._key_code = key_code
        self._passes: dict[str, str] = {}
        self._labels: dict[str, str] = {}

    def of(self, text: str) -> str:
        found = parse_pass(text)
        if found is not None:
            letters = string.ascii_uppercase
            count = len(self._passes)
            name = letters[count] if count < len(letters) else str(count + 1)
            return "pass " + self._passes.setdefault(found[0], name)
        if text == self._key_code:
            return "key code"
        if is_label(text):
            return "label " + self._labels.setdefault(text, str(len(self._labels) + 1))
        return "other code"


def _words(decision: Mapping[str, Any]) -> tuple[str, str]:
    """What stands beside a decision's mark, and its kind."""
    kind = str(decision["event"])
    words = [f"{decision['n']}: {kind}"]
    if "what" in decision:
        words.append(str(decision["what"]))
    if "g" in decision:
        words.append(f"{decision['g']:{'+' if kind == 'unattended' else ''}} g")
    if "of" in decision:
        words.append(f"(takes back {decision['of']})")
    if decision.get("why"):
        words.append(f"({decision['why']})")
    return " ".join(words), kind


def _title(trace: Path, header: Header, seen: _Seen) -> str:
    return (
        f"{trace.name}     {len(seen.grams):,} readings at {header.sps:g} a second, "
        f"{header.counts_per_g:g} counts/g"
    )


# -- weight --------------------------------------------------------------------------------------


def _weight(axes: Axes, seen: _Seen) -> None:
    axes.set_ylabel("grams")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for begin, end in seen.open_s:
        axes.axvspan(begin, end, facecolor="#f6efdc", edgecolor="#c9b88a", hatch="//", linewidth=0)
    if not seen.grams:
        axes.text(0.5, 0.5, "no readings", transform=axes.transAxes, ha="center")
        return
    step = len(seen.grams) // READINGS_MAX + 1
    seconds, grams = np.array(seen.seconds[::step]), np.array(seen.grams[::step])
    low, high = _limits(grams)
    gaps = np.flatnonzero(np.diff(seconds) > GAP_S * step) + 1
    axes.plot(
        np.insert(seconds, gaps, np.nan),
        np.insert(grams, gaps, np.nan),
        color="#8fa3b8",
        linewidth=0.8,
        marker=".",
        markersize=2.0 if len(grams) < 2000 else 0.0,
        markerfacecolor="#3d5a80",
        markeredgecolor="#3d5a80",
    )
    axes.set_ylim(low, high)
    for out, edge, shape in ((grams > high, 0.985, "^"), (grams < low, 0.015, "v")):
        place = axes.get_xaxis_transform()
        spikes = seconds[out]
        axes.plot(spikes, np.full(len(spikes), edge), shape, color="#3d5a80", transform=place, ms=4)


def _limits(grams: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Where the weight is shown: spikes, which a median of five takes out, do not count."""
    padded = np.pad(grams, 2, mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    low, high = float(calm.min()), float(calm.max())
    margin = 0.12 * max(high - low, SPAN_MIN_G)
    middle, half = (low + high) / 2, max((high - low) / 2 + margin, SPAN_MIN_G)
    return middle - half, middle + half


# -- labels --------------------------------------------------------------------------------------


def _extent(t: float, text: str, seen: _Seen) -> tuple[float, float, bool]:
    """From where to where a label reaches (s), and whether it stands left of its mark."""
    span_s = max(seen.end_s - seen.begin_s, 0.1)
    inches = (len(text) * CHARACTER_EM + 1.6) * FONT_PT / 72
    width_s = inches / (WIDTH_IN * (RIGHT - LEFT)) * span_s
    if t + width_s > seen.end_s and t - width_s >= seen.begin_s:
        return t - width_s, t, True
    return t, t + width_s, False


def _rows(marks: list[tuple[float, str]], seen: _Seen) -> list[int]:
    """The row of each label, so that none covers another; ROWS_MAX when there is no room."""
    taken: list[list[tuple[float, float]]] = [[] for _ in range(ROWS_MAX)]
    rows = []
    for t, text in marks:
        begin, end, _ = _extent(t, text, seen)
        free = (
            row
            for row, spans in enumerate(taken)
            if all(end <= other[0] or begin >= other[1] for other in spans[-8:])
        )
        row = next(free, ROWS_MAX)
        if row < ROWS_MAX:
            taken[row].append((begin, end))
        rows.append(row)
    return rows


def _height(rows: list[int]) -> float:
    return max(STRIP_MIN_IN, ROW_IN * (min(max(rows, default=0), ROWS_MAX - 1) + 2))


def _label(axes: Axes, seen: _Seen, t: float, text: str, row: int, shape: str, colour: str) -> None:
    shown = abs(row) < ROWS_MAX
    level = row if shown else (ROWS_MAX - 1) * (1 if row > 0 else -1)
    axes.plot([t], [level], shape, color=colour, markersize=6, clip_on=False)
    if shown:
        left = _extent(t, text, seen)[2]
        axes.annotate(
            text,
            (t, level),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            annotation_clip=False,
        )


def _strip(axes: Axes, name: str, rows: list[int]) -> None:
    """Give a band of labels its limits and name."""
    most = min(max(rows, default=0), ROWS_MAX - 1)
    axes.set_ylim((-most - 1, 1) if name == "decisions" else (-1, most + 1))
    axes.set_yticks([])
    axes.set_ylabel(name)
    axes.tick_params(axis="x", length=0 if name == "decisions" else 3)
    if name == "decisions":
        axes.spines["bottom"].set_visible(False)

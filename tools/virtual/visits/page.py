"""The report as one page: no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from tools.virtual.visits.report import Bad, Report, Row
from tools.virtual.visits.score import OUTCOMES, WORDS
from tools.virtual.visits.stories import FAIR, KINDS, TRICKS

TEMPLATE = Path(__file__).with_name("template.html")
MIME = {".svg": "image/svg+xml", ".png": "image/png"}
WIDTH, HEIGHT, FOOT, TOP = 400, 170, 30, 18


class Limit(NamedTuple):
    """One of the issue's limits: a figure, how it is shown, and what it may be at most."""

    key: str
    title: str
    most: float
    form: str
    said: str


LIMITS = (
    Limit("false_accept", "false accepts", 0.001, "{:.2%}", "at most 0.1 %"),
    Limit("false_reject", "false rejects", 0.01, "{:.2%}", "at most 1 %"),
    Limit("mass_outside", "masses off by more than 5 g and 3 %", 0.0, "{:.2%}", "none at best"),
    Limit("late_p50_s", "from rest to decision, median", 1.5, "{:.2f} s", "at most 1.5 s"),
    Limit("late_max_s", "from rest to decision, worst", 4.0, "{:.2f} s", "at most 4 s"),
)


def render(report: Report, pictures: Sequence[Path], command: str) -> str:
    """The page's HTML; `pictures` are those of `report.worst`, in the same order."""
    base = report.rows[0].tally
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        visits=f"{base.visits.total():,}",
        cartons=f"{base.owed:,}",
        tricks=f"{base.tricks:,}",
        tiles="".join(_tiles(_figures(report.rows[0]))),
        variants=_variants(report.rows),
        histograms=_histogram(
            "Error of the mass, grams", base.errors_g, (-12, 12), 24, [(-5, "−5 g"), (5, "5 g")]
        )
        + _histogram(
            "From rest to decision, seconds",
            base.late_s,
            (-1, 5),
            30,
            [(1.5, "median at most 1.5 s"), (4, "4 s")],
        ),
        kinds=_kinds(report.rows[0]),
        worst="".join(map(_picture, report.worst, pictures)) or "<p>Nothing to show.</p>",
        seeds="<br>".join(
            f"{escape(row.variant.name)}: {row.first_seed:,} to {row.first_seed + row.count - 1:,}"
            for row in report.rows
        ),
        command=escape(command),
    )


def _figures(row: Row) -> dict[str, float]:
    figures = row.tally.figures()
    return {**figures, "mass_outside": 1 - figures["mass_within"]}


def within(limit: Limit, figures: dict[str, float]) -> bool:
    """Whether a figure keeps the issue's limit."""
    return figures[limit.key] <= limit.most


def _tiles(figures: dict[str, float]) -> Iterable[str]:
    for limit in LIMITS:
        good = within(limit, figures)
        yield (
            f'<li class="tile"><span>{limit.title}</span>'
            f"<b>{limit.form.format(figures[limit.key])}</b>"
            f'<span class="small">{limit.said}: '
            f'<span class="{"good" if good else "bad"}">{"kept" if good else "not kept"}</span>'
            "</span></li>"
        )


def _variants(rows: Sequence[Row]) -> str:
    heads = ("visits", *(limit.title for limit in LIMITS), "mass error, 99 %")
    out = ["<thead><tr><th>cells and chip</th>", *(f"<th>{h}</th>" for h in heads), "</tr></thead>"]
    for row in rows:
        figures = _figures(row)
        out.append(f"<tr><th>{escape(row.variant.name)}</th><td>{row.count:,}</td>")
        for limit in LIMITS:
            wrong = "" if within(limit, figures) else ' class="wrong"'
            out.append(f"<td{wrong}>{limit.form.format(figures[limit.key])}</td>")
        out.append(f"<td>{figures['mass_error_p99_g']:.1f} g</td></tr>")
    return "".join(out)


def _kinds(row: Row) -> str:
    out = [
        '<thead><tr class="group"><th></th><th></th>',
        f'<th colspan="{len(OUTCOMES)}">outcome</th><th colspan="{len(WORDS)}">said</th></tr>',
        "<tr><th>kind</th><th>visits</th>",
        *(f"<th{_edge(o, OUTCOMES)}>{o}</th>" for o in OUTCOMES),
        *(f"<th{_edge(w, WORDS)}>{w}</th>" for w in WORDS),
        "</tr></thead>",
    ]
    for title, kinds in (("honest", FAIR), ("tricks and troubles", TRICKS)):
        span = 1 + len(OUTCOMES) + len(WORDS)
        out.append(f'<tr class="heading"><th>{title}</th><td colspan="{span}"></td></tr>')
        out += [_kind(row, kind) for kind in kinds if row.tally.visits[kind]]
    return "".join(out)


def _kind(row: Row, kind: str) -> str:
    tally = row.tally
    says = escape((KINDS[kind].__doc__ or "").strip())
    cells = [f'<tr><th title="{says}">{kind}</th><td>{tally.visits[kind]}</td>']
    for outcome in OUTCOMES:
        count = tally.outcomes[kind, outcome]
        look = "zero" if not count else "" if outcome == "right" else "wrong"
        cells.append(_cell(count, look, edge=outcome == OUTCOMES[0]))
    for word in WORDS:
        count = tally.words[kind, word]
        cells.append(_cell(count, "" if count else "zero", edge=word == WORDS[0]))
    return "".join(cells) + "</tr>"


def _edge(name: str, names: Sequence[str]) -> str:
    return ' class="edge"' if name == names[0] else ""


def _cell(count: int, look: str, *, edge: bool) -> str:
    return f'<td class="{look}{" edge" if edge else ""}">{count}</td>'


def _histogram(
    title: str,
    values: Sequence[float],
    span: tuple[float, float],
    bins: int,
    limits: Sequence[tuple[float, str]],
) -> str:
    """Counts in equal steps; what lies outside `span` is counted in the step at that end."""
    least, most = span
    counts = [0] * bins
    for value in values:
        at = math.floor((value - least) / (most - least) * bins)
        counts[max(0, min(bins - 1, at))] += 1
    step, tall, floor = WIDTH / bins, HEIGHT - FOOT - TOP, HEIGHT - FOOT
    highest = max([1, *counts])
    out = [f"<figure><figcaption>{title} ({len(values):,})</figcaption>"]
    out.append(f'<svg viewBox="-6 0 {WIDTH + 12} {HEIGHT}" role="img" aria-label="{title}">')
    for number, count in enumerate(counts):
        from_, to = (least + (number + i) * (most - least) / bins for i in (0, 1))
        height = max(1.5, tall * count / highest) if count else 0.0
        out.append(
            f'<rect class="bar" x="{number * step + 0.5:.1f}" y="{floor - height:.1f}" '
            f'width="{step - 1:.1f}" height="{height:.1f}">'
            f"<title>{from_:g} to {to:g}: {count:,}</title></rect>"
        )
    out.append(f'<line class="base" x1="0" x2="{WIDTH}" y1="{floor}" y2="{floor}"/>')
    for value, said in limits:
        x = (value - least) / (most - least) * WIDTH
        out.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor}"/>')
        out.append(f'<text class="limit" x="{x:.1f}" y="12" text-anchor="middle">{said}</text>')
    ticks = 6
    for number in range(ticks + 1):
        value = least + number * (most - least) / ticks
        end = "≤ " if number == 0 else "≥ " if number == ticks else ""
        where = "start" if number == 0 else "end" if number == ticks else "middle"
        x = WIDTH * number / ticks
        out.append(
            f'<text x="{x:.0f}" y="{floor + 16}" text-anchor="{where}">{end}{value:g}</text>'
        )
    return "".join([*out, "</svg></figure>"])


def _picture(bad: Bad, picture: Path) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    kind, seed = bad.truth.kind, bad.truth.seed
    late_s = max((kept.late_s for kept in bad.score.kept), default=0.0)
    says = bad.score.outcome
    if says == "right":
        says = f"right, {late_s:.1f} s after rest"
    doc = escape((KINDS[kind].__doc__ or "").strip())
    return (
        f"<figure><figcaption><b>{kind} {seed}</b>: {says}. {doc}</figcaption>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{kind} {seed}">'
        f'<img alt="Weight, events and decisions of {kind} {seed}" '
        f'src="data:{MIME[picture.suffix]};base64,{data}"></div></figure>'
    )

"""Pictures of traces: there is something on them, labels keep apart, spikes do not ruin the scale."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tools.virtual.replay import plot
from tools.virtual.replay.trace import write_trace

HEADER = {"sps": 10, "counts_per_g": 26.0, "zero": 84_210}
PASS = "BB1.ABCDEFGH.55605120.0123456789ABCDEF"


def draw(tmp_path: Path, events: list[dict[str, Any]], decisions: list[dict[str, Any]]) -> Path:
    path, out = tmp_path / "a.trace.jsonl", tmp_path / "a.png"
    write_trace(path, HEADER, events)
    plot.draw(path, decisions, out)
    return out


def readings(count: int, mass_g: float = 0.0) -> list[dict[str, Any]]:
    return [{"t": 100 * n, "w": 84_210 + round(26 * (mass_g + n * 7 % 3))} for n in range(count)]


def colours(out: Path) -> set[tuple[int, ...]]:
    with Image.open(out) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}


def hex_colour(text: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(text.removeprefix("#")))


def test_every_kind_of_decision_is_on_the_picture(tmp_path: Path) -> None:
    decisions = [
        {"t": 1000 * n, "event": kind, "n": n, "g": 300} for n, kind in enumerate(plot.MARKS, 1)
    ]
    out = draw(tmp_path, readings(100), decisions)
    assert {hex_colour(colour) for _, colour in plot.MARKS.values()} <= colours(out)
    assert len({shape for shape, _ in plot.MARKS.values()}) == len(plot.MARKS), "not colour alone"
    with Image.open(out) as picture:
        assert picture.width == round(plot.WIDTH_IN * plot.DPI)


def test_the_open_flap_is_seen_also_when_it_never_shuts(tmp_path: Path) -> None:
    plain = colours(draw(tmp_path, readings(50), []))
    opened = colours(draw(tmp_path, [*readings(50), {"t": 4900, "flap": "open"}, {"t": 8000}], []))
    assert hex_colour("#f6efdc") in opened - plain


def test_an_event_of_tomorrow_and_a_trace_of_nothing_can_be_drawn(tmp_path: Path) -> None:
    assert draw(tmp_path, readings(5), [{"t": 1, "event": "new", "n": 1}]).stat().st_size > 5000
    assert draw(tmp_path, [], []).stat().st_size > 1000


def test_the_words_say_all_that_was_decided() -> None:
    words = [
        plot._words(decision)[0]
        for decision in (
            {"event": "deposit", "n": 1, "g": 312, "pass": PASS, "label": "SF1"},
            {"event": "withdrawn", "n": 2, "g": 312, "of": 1},
            {"event": "refused", "n": 3, "g": 12, "why": "too_light"},
            {"event": "unattended", "n": 4, "g": 30},
            {"event": "fault", "n": 5, "what": "scale", "why": "stuck"},
        )
    ]
    assert words == [
        "1: deposit 312 g",
        "2: withdrawn 312 g (takes back 1)",
        "3: refused 12 g (too_light)",
        "4: unattended +30 g",
        "5: fault scale (stuck)",
    ]


def test_codes_stay_private() -> None:
    names = plot._Names("BBC1.K")
    other = PASS.replace("ABCDEFGH", "ZZZZZZZZ")
    texts = [PASS, "SF1234567890", "BBC1.K", other, "SF9999999999", "SF1234567890", "http://x"]
    assert [names.of(text) for text in texts] == [
        *("pass A", "label 1", "key code", "pass B", "label 2", "label 1", "other code")
    ]


def test_labels_keep_apart_however_many_there_are() -> None:
    seen = plot._Seen(begin_s=0.0, end_s=60.0)
    marks = [(60 * n / 40, f"{n}: withdrawn 300 g (takes back {n})") for n in range(40)]
    rows = plot._rows(marks, seen)
    assert max(rows) <= plot.ROWS_MAX
    for row in range(plot.ROWS_MAX):
        spans = sorted(
            plot._extent(t, text, seen)[:2]
            for (t, text), at in zip(marks, rows, strict=True)
            if at == row
        )
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert plot._rows([(1.0, "a"), (50.0, "b")], seen) == [0, 0], "a row is used again"


@pytest.mark.parametrize("spike_g", [300_000.0, -300_000.0])
def test_spikes_do_not_ruin_the_scale(spike_g: float) -> None:
    grams = np.where(np.arange(200) < 100, 0.0, 300.0)
    grams[[50, 150]] = spike_g
    low, high = plot._limits(grams)
    assert -100 < low < 0
    assert 300 < high < 400

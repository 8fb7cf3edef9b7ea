"""Small versions of the long runs: `python -m tools.load.street` has the large ones."""

from __future__ import annotations

import json

from tools.load import marathon
from tools.load.measure import CURVES, draw, flash_use, slope
from tools.load.street import run_outage, run_soak, street


def test_an_hour_without_a_network(tmp_path):
    figures = run_outage(1, 24, 1, tmp_path / "bin")
    assert figures["faults"] == []
    assert figures["visits_offline"] >= 12
    assert figures["backlog_lines"] == figures["visits_offline"]
    assert figures["lines_caught_up"] >= figures["visits_offline"]
    assert figures["resets"] == 0


def test_a_hundred_and_fifty_visits(tmp_path):
    figures = run_soak(100, 25, 1, tmp_path)
    assert figures["faults"] == []
    assert (figures["visits"], figures["resets"], figures["connects"]) == (100, 0, 1)
    figures = run_soak(150, 25, 1, tmp_path)  # goes on where the first run ended
    assert figures["faults"] == []
    assert figures["visits"] == 150
    samples = [json.loads(line) for line in (tmp_path / "soak.jsonl").read_text().splitlines()]
    assert [s["visits"] // 25 for s in samples] == [1, 2, 3, 4, 5, 6]
    assert all(s["heap_free"] > 0 and s["rss"] > 0 and s["segments"] > 0 for s in samples)
    assert 0 < samples[1]["programs_per_visit"] < 200
    assert all(name in samples[0] for name in CURVES)
    assert flash_use((tmp_path / "bin" / "flash.img").read_bytes())[0] == samples[-1]["files"]


def points(values):
    return [{"visits": 100.0 * i, "x": v} for i, v in enumerate(values)]


def test_a_slope_is_told_from_noise(tmp_path):
    noise = [(-1) ** i * 10.0 for i in range(40)]
    assert slope(points([1000 + n for n in noise]), "x")[2] is False
    found, error, grows = slope(points([1000 + 5 * i + n for i, n in enumerate(noise)]), "x")
    assert grows
    assert 40 < found < 60
    assert error < 10
    assert slope(points([1000, 5000, 1000, 1000] + [1000.0] * 20), "x")[2] is False, "the start"
    assert slope(points([1.0]), "x")[2] is False
    draw([{"visits": 1, "rss": 5, "files": 3}, {"visits": 2, "rss": 6}], tmp_path / "a" / "b.png")
    assert (tmp_path / "a" / "b.png").read_bytes()[1:4] == b"PNG"


def test_equal_seeds_give_equal_days(tmp_path):
    seen = []
    for run in ("one", "two"):
        with street(tmp_path / run, 3, lambda: 100_000) as place:
            place.bin.advance(40_000)
            seen.append((place.people.tally.visits, place.bin.log(), place.gateway.record.crcs))
    assert seen[0][0] >= 2
    assert seen[0] == seen[1]


def test_visits_through_decisions_and_journal_alone(tmp_path):
    samples = list(marathon.run(240, 20, tmp_path))
    assert [s["visits"] for s in samples] == list(range(20, 241, 20))
    assert max(s["files"] for s in samples) - min(s["files"] for s in samples) <= 1
    assert all(s["repaired"] == 0 and s["backlog"] < 10 for s in samples)
    assert not slope(samples, "heap_free")[2]

"""`boxback bin calibrate`: from a recording of known masses to a settings document, or a reason."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from boxbin.core.settings import Settings
from typer.testing import CliRunner

from tools.technician.calibrate import evaluate, find_levels
from tools.virtual.cli import app
from tools.virtual.replay.trace import open_trace, write_trace

RUNNER = CliRunner()


def record(
    path: Path,
    grams: tuple[float, ...],
    *,
    counts_per_g: float = 26.0,
    zero: int = 84_210,
    noise_g: float = 1.0,
    hold_ms: int = 6_000,
    bend: float = 0.0,
    spikes: bool = False,
    seed: int = 1,
) -> Path:
    """Masses put on one after another, with half a second of handling between them."""
    rng = random.Random(seed)
    events, t = [], 0
    for index, mass in enumerate(grams):
        before = grams[index - 1] if index else mass
        for moment in range(0, hold_ms, 100):
            t += 100
            here = mass if moment >= 500 else before + (mass - before) * moment / 500
            shaken = rng.uniform(-80, 80) if 0 < moment < 900 and index else 0
            load = here + bend * here * here / 1000 + shaken + rng.gauss(0, noise_g)
            counts = round(zero + load * counts_per_g)
            if spikes and moment in {2_000, 3_500}:
                counts += 2_000_000
            events.append({"t": t, "w": counts})
    write_trace(path, {"sps": 10, "counts_per_g": 26.0, "zero": 84_000}, events)
    return path


def run(path: Path, *masses: float, more: tuple[str, ...] = ()):
    options = [word for mass in masses for word in ("--mass-g", f"{mass:g}")]
    return RUNNER.invoke(app, ["calibrate", str(path), *options, *more])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "scale.trace.jsonl"


@pytest.mark.parametrize(
    ("counts_per_g", "noise_g", "within"),
    [(26.0, 1.0, 0.003), (10.0, 2.4, 0.006), (420.0, 0.06, 0.001)],
)
def test_every_kind_of_cell_is_found(
    trace: Path, counts_per_g: float, noise_g: float, within: float
) -> None:
    record(trace, (0, 500, 1000), counts_per_g=counts_per_g, noise_g=noise_g, spikes=True)
    done = run(trace, 0, 500, 1000, more=("--json",))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["counts_per_kg"] == pytest.approx(counts_per_g * 1000, rel=within)
    assert found["zero_counts"] == pytest.approx(84_210, abs=2 * noise_g * counts_per_g)
    assert found["calibration_residual_mg"] < 2_000


def test_the_table_tells_mass_misfit_and_how_good_it_is(trace: Path) -> None:
    record(trace, (0, 500, 1000, 0))
    done = run(trace, 0, 500, 1000, 0)
    assert done.exit_code == 0, done.output
    assert "measured g" in done.stdout
    assert "Very good: no mass is off by more than" in done.stdout
    assert "(5 g are let pass)" in done.stdout
    record(trace, (0, 500))
    assert "Two masses always fit" in run(trace, 0, 500).stdout


def test_rest_that_comes_back_to_its_level_is_one_level(trace: Path) -> None:
    record(trace, (0, 500, 500.5, 1000))  # somebody touches it in between
    with open_trace(trace) as (header, events):
        levels = find_levels(header, events)
    assert len(levels) == 3
    assert evaluate(levels, [0, 500, 1000]).residual_mg < 1_000


@pytest.mark.parametrize(
    ("grams", "named", "options", "said"),
    [
        ((0, 500, 1000), (0, 500), {}, "rests at 3 levels"),
        ((0, 500), (0, 500, 1000), {}, "2 levels"),
        ((0, 500, 1000), (0, 1000, 500), {}, "not lie on one line"),
        ((0, 500, 1000), (0, 500, 1000), {"bend": 0.1}, "not lie on one line"),
        ((0, 500, 1000), (0, 500, 1000), {"counts_per_g": -26.0}, "A+ and A- are swapped"),
        ((0, 500, 1000), (7, 7, 7), {}, "two different masses"),
        ((0, 60), (0, 60), {"noise_g": 1.3}, "take a heavier one|Take a heavier one"),
        ((0, 500), (0, 500), {"hold_ms": 1_500}, "let each lie for 5 s"),
    ],
)
def test_a_bad_one_is_refused_with_what_to_do(
    trace: Path, grams, named, options, said: str
) -> None:
    record(trace, grams, **options)
    out = trace.with_name("settings.json")
    done = run(trace, *named, more=("--out", str(out)))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"boxback: {trace}: ")
    assert any(words in done.stderr for words in said.split("|")), done.stderr
    assert not out.exists()


def test_the_document_is_merged_and_one_that_a_bin_takes(trace: Path) -> None:
    record(trace, (0, 500, 1000))
    out = trace.with_name("settings.json")
    out.write_text('{"mass_min_mg": 50000, "counts_per_kg": 10000}')
    done = run(trace, 0, 500, 1000, more=("--out", str(out)))
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert written["mass_min_mg"] == 50_000
    assert written["counts_per_kg"] == pytest.approx(26_000, rel=0.003)
    settings = Settings(written)
    assert settings.zero_counts == written["zero_counts"]
    assert settings.calibration_residual_mg == written["calibration_residual_mg"]
    assert list(trace.parent.glob("*.aside")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("[1]", "not a settings document"), ('{"x": 1}', "a bin would refuse")],
)
def test_a_document_that_is_none_stays_as_it_is(trace: Path, text: str, said: str) -> None:
    record(trace, (0, 500, 1000))
    out = trace.with_name("settings.json")
    out.write_text(text)
    done = run(trace, 0, 500, 1000, more=("--out", str(out)))
    assert done.exit_code == 1
    assert said in done.stderr
    assert out.read_text() == text


def test_a_file_that_is_no_trace_is_wrong_usage(trace: Path) -> None:
    assert run(trace, 0, 500).exit_code == 2
    trace.write_text("hello\n")
    done = run(trace, 0, 500)
    assert done.exit_code == 2
    assert "is not JSON" in done.stderr
    assert run(trace).exit_code == 2

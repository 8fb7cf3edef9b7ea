"""The generator is repeatable and physically sane, and the report counts right."""

from __future__ import annotations

import json
import math
import random
import statistics
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from tools.cli import app
from tools.virtual.replay.trace import open_trace
from tools.virtual.visits import chip, physics, report
from tools.virtual.visits.chip import FIFTY_KG, LEAST, MOST, TWENTY_KG, Chip, Model
from tools.virtual.visits.make import make_visit, write_visits
from tools.virtual.visits.physics import Ramp, Rig, Ring, Sway, chance
from tools.virtual.visits.scene import Also, Due, Truth
from tools.virtual.visits.score import Score, Tally, quantile, score
from tools.virtual.visits.stories import FAIR, KINDS, TRICKS, kind_of

CHROMIUM = "/usr/bin/chromium"
RIG = Rig(5, 0.25, (1.02, 0.98, 1, 1), 0.01, 1, 0.001, 0, 6000, 0.04)
STILL = replace(RIG, corners=(1, 1, 1, 1), tail=0, creep=0)
WELL = Chip(84_210, 0.1, spikes=0, missing=0)


def grams(forces: list[physics.Force], model: Model, until_s: float, **ill: Any) -> list[float]:
    made = replace(WELL, **ill).read(chance("test"), model, forces, until_s)
    return [(raw - WELL.zero) / model.counts_per_g for _, raw in made]


# -- the generator is repeatable --------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_make_equal_visits(kind: str, tmp_path: Path) -> None:
    first, again, other = (make_visit(kind, seed) for seed in (7, 7, 8))
    assert first == again
    assert first[1] != other[1]
    assert first[2].fair == (kind in FAIR)
    [(path, truth)] = write_visits([(kind, 7)], tmp_path)
    assert truth == first[2]
    with open_trace(path) as (header, events):
        assert header.counts_per_g == 26.0
        read = list(events)  # raises when a line is not as the format says
    assert [event.t for event in read] == [event["t"] for event in first[1]]
    assert all(due.rest_s < read[-1].t / 1000 - 4 for due in truth.due), "ends too soon to judge"


def test_half_of_a_mixed_lot_is_honest_and_every_kind_is_in_it() -> None:
    lot = [kind_of(seed) for seed in range(2000)]
    assert set(lot) == set(KINDS)
    assert 0.45 < sum(kind in FAIR for kind in lot) / len(lot) < 0.55


def test_honest_people_are_owed_and_thieves_are_not() -> None:
    for kind in FAIR:
        assert all(not due.optional for due in make_visit(kind, 3)[2].due)
        assert make_visit(kind, 3)[2].due
    for kind in ("string-before-shut", "hand", "slow-lift", "swap", "stone", "reuse-put-back"):
        assert make_visit(kind, 3)[2].due == ()


# -- mechanics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "force",
    [Ramp(1, 0.4, 300), Ring(1, 800, 7, 0.3), Ring(1, -50, 0, 2, math.pi / 2)],
    ids=["ramp", "ring", "tail"],
)
def test_means_are_true_averages(force: physics.Force) -> None:
    parts = 4000
    for from_s in (0.95, 1.0, 1.23, 3.0):
        step_s = 0.1 / parts
        points = (
            force.mean_g(from_s + i * step_s, from_s + (i + 1) * step_s) for i in range(parts)
        )
        assert force.mean_g(from_s, from_s + 0.1) == pytest.approx(sum(points) / parts, abs=0.01)


@pytest.mark.parametrize("mass_g", [90.0, 312.0, 1500.0])
def test_a_drop_rests_at_its_true_mass(mass_g: float) -> None:
    forces = STILL.drop(1.0, mass_g, 2.0, 0.3)
    read = grams(forces, replace(TWENTY_KG, noise_g=0), 30)
    assert read[0] == 0
    assert max(read) > 1.5 * mass_g, "a fall hits harder than it weighs"
    assert read[-1] == pytest.approx(mass_g, abs=0.1)
    rest_s = physics.rest_s(forces, mass_g)
    band_g = max(physics.REST_G, physics.REST_SHARE * mass_g)

    def off_g(at_s: float) -> float:
        return abs(sum(f.mean_g(at_s, at_s + 0.001) for f in forces) - mass_g)

    assert max(off_g(rest_s + i * 0.003) for i in range(1000)) <= band_g * 1.05
    assert max(off_g(rest_s - i * 0.003) for i in range(20)) > band_g * 0.9


def test_what_is_lowered_swings_less_than_what_falls() -> None:
    calm = replace(TWENTY_KG, noise_g=0)
    assert max(grams(STILL.load(1, 1.0, 312), calm, 20)) == pytest.approx(312, rel=0.01)


def test_corners_weigh_a_few_percent_more_or_less() -> None:
    assert RIG.factor((-1, -1)) == pytest.approx(1.02)
    assert RIG.factor((1, -1)) == pytest.approx(0.98)
    assert RIG.factor((0, 0)) == pytest.approx(1.0)
    for seed in range(300):
        assert all(0.97 <= corner <= 1.03 for corner in Rig.draw(chance("rig", seed)).corners)


def test_bins_of_the_field_are_soft_and_stiff() -> None:
    rigs = [Rig.draw(chance("rig", seed)) for seed in range(500)]
    assert min(rig.hz for rig in rigs) < 2.3
    assert max(rig.hz for rig in rigs) > 11
    assert max(rig.tau_s for rig in rigs) > 0.7
    assert max(rig.held_g for rig in rigs) > 25_000


def test_vibration_folds_down_as_the_chip_averages() -> None:
    calm = replace(TWENTY_KG, noise_g=0)
    span = (0.0, 60.0)
    just_ten = grams([Sway(span, [(100, 10, 0)])], calm, 50)[10:]
    near_ten = grams([Sway(span, [(100, 9.5, 0)])], calm, 50)[10:]
    assert max(map(abs, just_ten)) < 0.1, "a whole turn in each conversion leaves nothing"
    assert 3 < max(near_ten) < 10, "what is left beats at half a hertz"


def test_a_hand_is_unsteady_as_told() -> None:
    calm = replace(TWENTY_KG, noise_g=0)

    def spread_g(steady: float) -> float:
        press = physics.hand(random.Random(1), (0, 40), 500, steady, 0.2)
        return statistics.stdev(grams([press], calm, 39)[10:])

    assert 8 < spread_g(1.0) < 40
    assert spread_g(0.02) < 1


# -- the chip -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "noise_g"),
    [
        (TWENTY_KG, 1.0),
        (FIFTY_KG, 2.4),
        (replace(TWENTY_KG, noise_factor=2), 2.0),
        (replace(TWENTY_KG, sps=80), 1.8),
    ],
)
def test_noise_is_the_datasheet_s(model: Model, noise_g: float) -> None:
    assert statistics.stdev(grams([], model, 400)) == pytest.approx(noise_g, rel=0.05)


def test_the_part_s_own_clock_is_near_its_rate() -> None:
    for sps, (least, most) in chip.SAMPLES_S.items():
        for seed in range(20):
            rate = 1 / Chip.draw(chance("clock", seed), Model(sps=sps)).period_s
            assert least <= rate <= most


def test_spikes_are_lone_and_far_off() -> None:
    read = grams([], TWENTY_KG, 2000, spikes=0.04)
    wild = [i for i, g in enumerate(read) if abs(g) > 8]
    assert 0.03 < len(wild) / len(read) < 0.05
    assert all(b - a > 1 for a, b in pairwise(wild))


def test_missing_readings_are_not_there() -> None:
    assert 0.9 < len(grams([], TWENTY_KG, 1000, missing=0.05)) / 10_000 < 0.97
    times = [t for t, _ in WELL.read(chance("t"), TWENTY_KG, [], 20)]
    assert times == sorted(set(times))


def test_ailments() -> None:
    def raws(ailment: chip.Ailment) -> list[int]:
        made = replace(WELL, ailment=ailment).read(chance("ill"), TWENTY_KG, [], 20)
        return [raw for t, raw in made if t > 10_200]

    assert raws(chip.off(10)) == []
    assert len(set(raws(chip.stuck(10)))) == 1
    assert set(raws(chip.saturated(10, LEAST))) == {LEAST}
    shifted = raws(chip.half_clocked(10, 1.0))
    assert all(LEAST <= raw <= MOST for raw in shifted)
    assert all(abs(raw - WELL.zero) > 20_000 for raw in shifted)


# -- the score ------------------------------------------------------------------------------------

DUE = Due("deposit", (312.0,), "ANNA0001", ("SF1",), 10.0)
GIVEN = {
    "t": 11_000,
    "event": "deposit",
    "n": 1,
    "g": 315,
    "pass": "BB1.ANNA0001.1.X",
    "label": "SF1",
}
BACK = {"t": 15_000, "event": "withdrawn", "n": 2, "g": 315, "of": 1}
FAULT = {"t": 15_000, "event": "fault", "n": 3, "what": "scale", "why": "stuck"}


def truth(*due: Due, also: tuple[Also, ...] = (), fair: bool = True) -> Truth:
    return Truth("one" if fair else "hand", 1, fair, due, also)


def test_a_good_deposit_is_right() -> None:
    got = score(truth(DUE), [GIVEN])
    assert (got.outcome, got.owed, got.excess, got.missing) == ("right", 1, 0, 0)
    assert got.kept[0].error_g == 3
    assert got.kept[0].late_s == 1.0
    assert got.kept[0].within


@pytest.mark.parametrize(
    ("g", "mass_g", "within"), [(317, 312, True), (323, 312, False), (1030, 1000, True)]
)
def test_the_limit_of_the_mass_is_5_g_or_3_percent(g: int, mass_g: float, *, within: bool) -> None:
    got = score(truth(replace(DUE, masses_g=(mass_g,))), [{**GIVEN, "g": g}])
    assert got.kept[0].within is within


@pytest.mark.parametrize(
    ("due", "decisions", "outcome"),
    [
        ((), [], "right"),
        ((), [GIVEN], "false accept"),
        ((), [GIVEN, BACK], "right"),
        ((DUE,), [], "false reject"),
        ((DUE,), [GIVEN, BACK], "false reject"),
        ((DUE,), [GIVEN, BACK, {**GIVEN, "n": 3}], "right"),
        ((DUE,), [GIVEN, {**GIVEN, "n": 2}], "false accept"),
        ((DUE,), [{**GIVEN, "label": "SF2"}], "false accept"),
        ((DUE,), [{**GIVEN, "pass": "BB1.BERT0002.1.X"}], "false accept"),
        ((DUE,), [{**GIVEN, "event": "reuse"}], "false accept"),
        ((replace(DUE, optional=True),), [], "right"),
        ((DUE,), [GIVEN, FAULT], "needless fault"),
    ],
)
def test_outcomes(due: tuple[Due, ...], decisions: list[dict[str, Any]], outcome: str) -> None:
    assert score(truth(*due), decisions).outcome == outcome


def test_what_must_be_told() -> None:
    stuck = truth(also=(Also("fault", None, ("stuck",)),))
    assert score(stuck, [FAULT]).outcome == "right"
    assert score(stuck, [{**FAULT, "why": "missing"}]).outcome == "not told"
    emptied = truth(also=(Also("collection", 12_000),))
    assert score(emptied, [{"t": 1, "event": "collection", "n": 1, "g": 11_900}]).outcome == "right"
    assert (
        score(emptied, [{"t": 1, "event": "collection", "n": 1, "g": 9_000}]).outcome == "not told"
    )
    assert score(emptied, []).outcome == "not told"


def test_the_tally_s_arithmetic() -> None:
    tally = Tally()
    for g, t in ((312, 10_500), (313, 11_000), (340, 13_000)):
        tally.add(truth(DUE), score(truth(DUE), [{**GIVEN, "g": g, "t": t}]))
    tally.add(truth(DUE), score(truth(DUE), []))
    for decisions in ([GIVEN], [GIVEN, BACK], [], []):
        tally.add(truth(fair=False), score(truth(fair=False), decisions))
    figures = tally.figures()
    assert figures["visits"] == 8
    assert figures["false_accept"] == 1 / 4
    assert figures["false_reject"] == 1 / 4
    assert figures["mass_within"] == pytest.approx(2 / 3)
    assert figures["mass_error_max_g"] == 28
    assert (figures["late_p50_s"], figures["late_max_s"]) == (1.0, 3.0)
    assert tally.outcomes["hand", "right"] == 3
    assert tally.words["hand", "withdrawn"] == 1


def test_quantiles() -> None:
    assert quantile([], 0.5) == 0
    assert quantile([3, 1, 2], 0.5) == 2
    values = list(range(1, 101))
    assert [quantile(values, share) for share in (0, 0.5, 0.99, 1)] == [1, 50, 99, 100]


# -- the report -----------------------------------------------------------------------------------


def test_no_seed_is_used_twice() -> None:
    rows = report.plan(1000, 5)
    spans = [range(row.first_seed, row.first_seed + row.count) for row in rows]
    assert spans[0].start == 5
    assert all(a.stop == b.start for a, b in pairwise(spans))


def test_the_worst_are_kept_and_no_more(tmp_path: Path) -> None:
    worst: list[report.Bad] = []
    for number in range(60):
        kind = list(KINDS)[number % 10]
        path = tmp_path / "batch" / f"{kind}-{number}.trace.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        outcome = ("right", "false reject", "false accept")[number % 3]
        got = Score(outcome, 1, (), 0, 0, frozenset())
        report._keep(worst, report.Bad(path, Truth(kind, number, True, (), ()), got, []), tmp_path)
    assert len(worst) == report.WORST
    assert {bad.score.outcome for bad in worst} == {"false accept"}
    kinds = [bad.truth.kind for bad in worst]
    assert max(map(kinds.count, kinds)) == report.WORST_OF_A_KIND
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {bad.path.name for bad in worst}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("visits")
    words = ["visits", "report", "--count", "300", "--seed", "1", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_a_small_report(reported: tuple[Path, dict[str, Any]]) -> None:
    out, figures = reported
    assert json.loads((out / "report.json").read_text()) == figures
    assert [row["visits"] for row in figures["rows"]] == [300, 60, 60, 60, 15]
    assert sum(kind["visits"] for kind in figures["kinds"].values()) == 300
    for kind in figures["kinds"].values():
        assert sum(kind[outcome] for outcome in report.OUTCOMES) == kind["visits"]
    assert figures["rows"][0]["owed"] > 150
    assert {path.name for path in out.iterdir()} == {"index.html", "report.json", "worst"}
    assert len(list((out / "worst").iterdir())) == len(figures["worst"])


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_opens_alone(width: int, reported: tuple[Path, dict[str, Any]]) -> None:
    out, figures = reported
    troubles: list[str] = []
    hosts: set[str] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=False
        )
        page = context.new_page()
        page.on("console", lambda said: troubles.append(said.text))
        page.on("request", lambda asked: hosts.add(urlsplit(asked.url).scheme))
        page.goto((out / "index.html").as_uri())
        assert page.locator("h1").inner_text() == "What the bin makes of 300 visits"
        assert page.locator(".tile").count() == 5
        assert page.locator("figure img").count() == len(figures["worst"])
        for kind in figures["kinds"]:
            assert page.locator("tbody th, tr th").filter(has_text=kind).count()
        body = page.locator("body").bounding_box()
        assert body is not None
        assert body["width"] <= width
        browser.close()
    assert troubles == []
    assert hosts <= {"file", "data"}


def test_ctrl_c_leaves_the_last_report_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(_rows: Any, folder: Path, *_more: Any) -> None:
        (folder / "batch-1").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "run", interrupted)
    (tmp_path / "index.html").write_text("the last one")
    result = CliRunner().invoke(app, ["visits", "report", "--count", "10", "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert {path.name for path in tmp_path.iterdir()} == {"index.html"}
    assert (tmp_path / "index.html").read_text() == "the last one"


def test_kinds_and_make_by_command(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["visits", "kinds"]).stdout
    assert all(f"  {kind} " in told for kind in [*FAIR, *TRICKS])
    words = ["visits", "make", "--count", "2", "--seed", "4", "--out", str(tmp_path / "v")]
    assert CliRunner().invoke(app, [*words, "--kind", "stone"]).exit_code == 0
    assert {path.name for path in (tmp_path / "v").iterdir()} == {
        "stone-4.trace.jsonl",
        "stone-5.trace.jsonl",
    }
    wrong = CliRunner().invoke(app, [*words, "--kind", "brick"])
    assert wrong.exit_code == 2
    assert "no kind 'brick'" in wrong.stderr

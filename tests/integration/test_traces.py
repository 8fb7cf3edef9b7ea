"""The known tricks: named traces through the firmware's decisions, all in one call.

`tests/traces/expected.json` lists for each trace what the bin may decide: one list of decisions,
or several where the rules leave the choice. In a decision only the keys that are written down are
compared; `g` within 5 g or 3 % unless `within_g` says otherwise, `label` is any of a list, `pass`
is the member's handle, `of` counts within the list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.virtual.replay import replay_files
from tools.virtual.replay.trace import SUFFIX

TRACES = Path(__file__).parents[1] / "traces"
EXPECTED: dict[str, list[list[dict[str, Any]]]] = json.loads((TRACES / "expected.json").read_text())
BYTES_MAX = 40_000


@pytest.fixture(scope="module")
def played() -> dict[str, list[dict[str, Any]]]:
    paths = [TRACES / f"{name}{SUFFIX}" for name in EXPECTED]
    return {path.name.removesuffix(SUFFIX): told for path, told in replay_files(paths)}


def difference(wanted: dict[str, Any], told: dict[str, Any], all_told: list[dict[str, Any]]) -> str:
    """What is wrong with a decision, in words; empty when nothing is."""
    for key, value in wanted.items():
        got = told.get(key)
        if key == "g":
            within_g = wanted.get("within_g", max(5, 0.03 * abs(value)))
            good = got is not None and abs(got - value) <= within_g
        elif key == "label":
            good = got in value
        elif key == "pass":
            good = f".{value}." in str(got)
        elif key == "of":
            good = got == all_told[value]["n"]
        else:
            good = key == "within_g" or got == value
        if not good:
            return f"{key} is {got!r}, expected {value!r}"
    return ""


def differences(wanted: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[str]:
    names = [one["event"] for one in wanted], [one["event"] for one in told]
    if names[0] != names[1]:
        return [f"decided {names[1]}, expected {names[0]}"]
    return [why for pair in zip(wanted, told, strict=True) if (why := difference(*pair, told))]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_bin_knows_this_trick(name: str, played: dict[str, list[dict[str, Any]]]) -> None:
    told = played[name]
    found = [differences(wanted, told) for wanted in EXPECTED[name]]
    assert [] in found, (found, told)


def test_every_trace_is_expected_small_and_told() -> None:
    readme = (TRACES / "README.md").read_text()
    names = {path.name.removesuffix(SUFFIX) for path in TRACES.glob("*" + SUFFIX)}
    assert names == set(EXPECTED)
    for name in names:
        assert f"`{name}`" in readme, name
        assert (TRACES / f"{name}{SUFFIX}").stat().st_size < BYTES_MAX, name


def test_a_wrong_decision_is_found() -> None:
    told = [{"n": 3, "event": "deposit", "g": 330, "pass": "BB1.ANNA0001.1.X", "label": "L"}]
    good = {"event": "deposit", "g": 325, "pass": "ANNA0001", "label": ["K", "L"]}
    assert differences([good], told) == []
    wrong: list[dict[str, Any]] = [
        *({"g": 312}, {"pass": "BERT0002"}, {"label": ["K"]}, {"event": "refused"}, {"why": "x"}),
    ]
    for change in wrong:
        assert differences([{**good, **change}], told), change
    assert differences([], told)
    back = {"n": 4, "event": "withdrawn", "of": 2}
    assert differences([good, {"event": "withdrawn", "of": 0}], [*told, back])

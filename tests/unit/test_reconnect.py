"""A broker's restart brings at most 5 % of the bins back in any one second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tools.cli import app
from tools.load.reconnect import (
    FIRST_MS,
    LIMIT_SHARE,
    MOST_MS,
    OUTAGES_S,
    busiest,
    over_seeds,
    simulate,
)
from tools.load.reconnect_real import run


@pytest.mark.parametrize("outage_s", OUTAGES_S)
def test_no_second_brings_back_more_than_five_percent(outage_s: float) -> None:
    found = over_seeds(1000, outage_s, 20)
    assert found.busiest_share <= LIMIT_SHARE
    assert found.back_s.size == 1000
    assert found.back_s[0] >= outage_s


def test_a_nation_is_smoother_than_a_thousand() -> None:
    """130,000 bins: what is left of the share when chance hardly counts."""
    back_s = simulate(130_000, 30.0, 1, FIRST_MS, MOST_MS)
    assert busiest(back_s) / 130_000 < LIMIT_SHARE / 2


def test_the_busiest_second_may_begin_anywhere() -> None:
    assert busiest(np.array([0.0, 0.9, 1.5, 1.8, 1.899, 5.0])) == 4
    assert busiest(np.array([0.0, 1.0])) == 1


def test_a_first_window_of_thirty_seconds_is_too_short_and_the_command_says_so(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "back.png"
    done = CliRunner().invoke(
        app,
        [
            *[
                "load",
                "reconnect",
                "--first-ms",
                "30000",
                "--outage",
                "10",
                "--seeds",
                "20",
                "--json",
                "--plot",
            ],
            str(picture),
        ],
    )
    assert done.exit_code == 1
    (outage,) = json.loads(done.stdout)["outages"]
    assert outage["busiest_second_share"] > LIMIT_SHARE
    assert "reconnect_ms" in done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_real_mosquitto_that_is_killed_gets_every_bin_back() -> None:
    found = run(60, 20.0, 1, FIRST_MS, scale=60.0)
    assert found.back_s.size == 60
    assert found.back_s[0] >= 20.0

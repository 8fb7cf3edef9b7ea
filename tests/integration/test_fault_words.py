"""Faults as the operator reads them: real bin, mosquitto, real gateway, `boxback fleet`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.gateway.test_orders import fleet
from tests.support.country import LIMIT_S, way
from tests.support.gateway import rows, running_gateway, wait_for


def test_faults_are_told_to_the_operator_in_words_and_end_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that closes the bin and a warning; health at its usual pace, as faults do not wait."""
    monkeypatch.setenv("COLUMNS", "160")
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):

        def told(*words: str) -> str:
            found = fleet(w.settings, *words)
            assert found.exit_code == 0, found.output
            return " ".join(found.stdout.split())

        def codes() -> list[str] | None:
            ((health,),) = rows(w.settings, "select health from bins")
            return json.loads(health or "{}").get("faults")  # type: ignore[no-any-return]

        wait_for("a bin that is well", lambda: codes() == [], LIMIT_S)
        assert " online ok " in told("list")
        assert "No bin needs a hand" in told("list", "--faults")
        with w.bin.world() as world:
            world.scale.connected = False
            world.connect_display(on=False)
        w.bin.wait_for(lambda: w.bin.lamp()[0] == (64, 0, 0), LIMIT_S, "the lamp of a no")
        wait_for("both faults", lambda: codes() == ["scale", "display"], LIMIT_S)
        assert "closed: scale, display" in told("list")
        assert w.made.bin in told("list", "--faults")
        shown = told("show", w.made.bin)
        assert "scale closed. The scale gives no reading: check the cable" in shown
        assert "display warning. The display does not answer" in shown
        with w.bin.world() as world:
            world.scale.connected = True
            world.connect_display(on=True)
        w.bin.wait_for_text("show your pass", LIMIT_S)
        wait_for("no fault any more", lambda: codes() == [], LIMIT_S)
        assert " online ok " in told("list")
        assert "Faults none" in told("show", w.made.bin)
        log = told("log", w.made.bin)
        assert "faults: +scale" in log
        assert "-scale" in log

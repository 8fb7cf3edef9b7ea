"""An operator at the command line and a whole bin: what was typed is done, seen, and on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.fleet.cli import app
from tests.support.country import LIMIT_S, Way, way
from tests.support.gateway import running_gateway, wait_for


class Operator:
    """Types `boxback fleet …` against the settings of a way."""

    def __init__(self, w: Way, folder: Path) -> None:
        self._config = folder / "boxback.toml"
        settings = w.settings
        self._config.write_text(
            f'data_dir = "{settings.data_dir}"\n'
            f'[gateway]\ndatabase = "{settings.database_path}"\n'
            f"[broker]\nembedded = false\nport = {settings.broker.port}\n"
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words, "-c", str(self._config)], env={"COLUMNS": "120"})
        assert done.exit_code == code, done.output
        return done.output

    def json(self, *words: str, code: int = 0) -> Any:
        text = self(*words, "--json", code=code)
        return json.loads(text[text.index("[") if text.lstrip()[0] == "[" else text.index("{") :])


@contextmanager
def at_desk(folder: Path) -> Iterator[tuple[Operator, Way]]:
    with way(folder, "mosquitto", health_ms=1_000) as w, running_gateway(w.settings):
        wait_for("the boot line", lambda: w.kinds() == ["boot"], LIMIT_S)
        w.bin.wait_for_console("clock: ntp", LIMIT_S)
        yield Operator(w, folder), w


def test_commands_reach_the_bin_and_are_on_record(tmp_path: Path) -> None:
    with at_desk(tmp_path) as (fleet, w):
        bin_id = w.made.bin
        assert "done" in fleet("do", bin_id, "identify", "--seconds", "3")
        w.bin.wait_for_text(bin_id, 5)
        assert "done" in fleet("do", bin_id, "open", "--seconds", "3")
        w.bin.wait_for(lambda: w.bin.flap() == "open", 5, "an open flap")
        report = fleet("do", bin_id, "report")
        assert "power" in report
        w.bin.wait_for_text("show your pass", 20)
        assert "done" in fleet("do", bin_id, "restart")
        wait_for("both boots", lambda: w.kinds() == ["boot", "boot"], LIMIT_S)
        log = fleet("log", bin_id)
        for words in ("identify 3 s", "open 3 s", "report", "restart", "done"):
            assert words in log, log


def test_settings_come_into_force_or_are_refused_in_the_bins_own_words(tmp_path: Path) -> None:
    with at_desk(tmp_path) as (fleet, w):
        bin_id = w.made.bin
        assert "no gateway runs" not in fleet("list")
        refused = fleet("set", bin_id, "mass_min_mg=3", code=1)
        assert "mass_min_mg is 3, allowed 5000 to 1000000" in refused
        assert "in force" in fleet("set", bin_id, "mass_min_mg=30000", "--wait-s", "40")
        wait_for("the new start", lambda: w.kinds() == ["boot", "boot"], LIMIT_S)
        assert "30000" in fleet("show", bin_id)
        log = fleet("log", bin_id)
        assert "refused" in log
        assert "in force" in log
    for words in (("list",), ("show", bin_id)):
        assert "no gateway runs" in fleet(*words), "what is shown was heard before it ended"

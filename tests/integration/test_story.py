"""One carton, all the way, without a browser: the story of README on mosquitto and on iotcore."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.country import way
from tests.support.gateway import rows, running_gateway, wait_for


@pytest.mark.parametrize("broker", ["mosquitto", "iotcore"])
def test_a_carton_becomes_points(tmp_path: Path, broker: str) -> None:
    with way(tmp_path, broker) as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001", 312)
        me = w.wait_balance(phone, 10)
        assert len(me["history"]) == 1
        w.bin.wait_for_text("Balance 10", 10)
        w.bin.wait_for_text("+10 points", 10)

        w.give_back("SF1000000002", 640)
        w.wait_balance(phone, 20)

        ((t_ms, clock),) = rows(w.settings, "select t_ms, clock from lines where n = 2")
        assert clock == "ntp"
        assert abs(t_ms - time.time() * 1000) < 60_000
        assert w.kinds() == ["boot", "deposit", "deposit"]


def test_a_refusal_is_told_at_the_bin(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        lin, wu = w.points.enrol_phone("Lin"), w.points.enrol_phone("Wu")
        w.scan_pass(lin)
        w.give_back("SF1000000001")
        w.wait_balance(lin, 10)
        w.bin.press_button()
        w.bin.wait_for_text("show your pass", 20)
        # The bin forgets its labels when it restarts; the points backend never does.
        w.bin.power_off()
        w.bin.power_on()
        w.bin.wait_for_text("show your pass", 20)
        w.scan_pass(wu)
        w.give_back("SF1000000001")
        w.bin.wait_for_text("No points", 20)
        assert wu.me()["balance"] == 0


def test_the_bin_tells_how_it_is(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto", health_ms=1_000) as w, running_gateway(w.settings):
        wait_for(
            "the bin's health",
            lambda: rows(w.settings, "select health from bins where health is not null"),
        )
        ((health,),) = rows(w.settings, "select health from bins")
        assert json.loads(health)["journal"] == "ok"
        w.bin.power_off()
        wait_for(
            "the last will",
            lambda: rows(w.settings, "select online from bins") == [(0,)],
            limit_s=90,
        )

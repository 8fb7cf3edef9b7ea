"""A carton on a string with the real firmware: thanks, points, and both taken back."""

from __future__ import annotations

from pathlib import Path

from tests.support.country import LIMIT_S, way
from tests.support.gateway import rows, running_gateway


def test_a_carton_pulled_out_on_a_string_takes_its_points_along(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.bin.show_text("SF1000000001")
        w.bin.wait_for_text("Put the carton", LIMIT_S)
        w.bin.wait_for(lambda: w.bin.flap() == "open", LIMIT_S, "an open flap")
        w.bin.lower_on_string(312)
        w.bin.wait_for_text("Thank you!", LIMIT_S)
        w.wait_balance(phone, 10)
        w.bin.pull_string()
        me = w.wait_balance(phone, 0)
        told = [(row["code"], row["points"]) for row in me["history"]]
        assert told == [("deposit.withdrawn", -10), ("deposit.credited", 10)]
        taken, given = rows(
            w.settings,
            "SELECT kind, status, points FROM lines JOIN outcomes USING (bin, epoch, n) ORDER BY n DESC",
        )
        assert (taken, given) == (("withdrawn", "withdrawn", -10), ("deposit", "credited", 10))
        # The label is free again: the same carton, given back honestly, earns.
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        w.wait_balance(phone, 10)

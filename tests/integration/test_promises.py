"""The five promises of DESIGN.md with the real firmware, each with something broken on purpose.

What is broken between broker, gateway and points alone is in tests/integration/gateway/ and
tests/unit/points/; power cuts at every flash operation are in hil_tests/test_power.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from hil_tests.test_power import lines_in_flash
from tests.support.country import LIMIT_S, way
from tests.support.gateway import (
    Mosquitto,
    SimBin,
    rows,
    running_gateway,
    sign,
    topic_of,
    wait_for,
)
from tests.support.points import plain_pass


def test_1_a_power_cut_after_thanks_loses_nothing(tmp_path: Path) -> None:
    """In flash before thanks: pulled at the thanks, with no gateway anywhere, credited later."""
    with way(tmp_path, "mosquitto") as w:
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        w.bin.power_off()
        w.bin.power_on()
        with running_gateway(w.settings):
            w.wait_balance(phone, 10)
            wait_for("both boots", lambda: w.kinds() == ["boot", "deposit", "boot"], LIMIT_S)
        assert phone.me()["balance"] == 10


def test_2_a_broker_killed_after_its_puback_loses_nothing(tmp_path: Path) -> None:
    """The broker said "taken" for every line, then died with all of them in its memory."""
    with way(tmp_path, "mosquitto") as w:
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        w.bin.wait_for_console("no receipt for 2", LIMIT_S)
        w.broker.kill()
        w.broker.start()
        with running_gateway(w.settings):
            w.wait_balance(phone, 10)
        assert w.kinds() == ["boot", "deposit"]


def test_2_a_line_leaves_flash_only_for_a_receipt_with_a_true_mac(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w:
        assert isinstance(w.broker, Mosquitto)
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        epoch = lines_in_flash(w.bin.flash_path)[0]["e"]
        body = json.dumps({"e": epoch, "n": 2}).encode()
        forger = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="forger")
        forger.connect("127.0.0.1", w.broker.port)
        forger.loop_start()
        for payload in (
            sign(w.made.bin, bytes(32), "receipt", body),  # another key
            sign(w.made.bin, w.made.key, "outcome", body),  # another leaf's MAC
            body,
            b"\xff" * 40,
            b"",
        ):
            forger.publish(topic_of(w.made.bin, "receipt"), payload, qos=1).wait_for_publish(5)
        wait_for(
            "five refusals on the console",
            lambda: sum("receipt refused" in x for x in w.bin.console_tail(500)) == 5,
        )
        forger.disconnect()
        forger.loop_stop()
        # Nothing was believed: the bin still sends from its first line, and all of it arrives.
        with running_gateway(w.settings):
            w.wait_balance(phone, 10)
        assert w.kinds() == ["boot", "deposit"]


def test_3_the_same_lines_again_are_one_deposit(tmp_path: Path) -> None:
    """Receipts get lost with the power: the bin sends its whole segment again after each start."""
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        w.wait_balance(phone, 10)
        for starts in (2, 3):
            w.bin.power_off()
            w.bin.power_on()
            wait_for("one more boot", lambda s=starts: w.kinds().count("boot") == s, LIMIT_S)
        assert w.kinds() == ["boot", "deposit", "boot", "boot"]
        assert rows(w.settings, "select n from progress") == [(4,)]
        assert phone.me()["balance"] == 10
        assert rows(w.settings, "select count(*) from quarantine") == [(0,)]


def test_4_a_forged_pass_gets_thanks_but_no_points(tmp_path: Path) -> None:
    """The bin knows no member's secret, so it cannot tell; the points backend can."""
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        true = phone.show_pass()
        forged = plain_pass(bytes(20), phone.handle, int(true.split(".")[2]))
        w.bin.show_text(forged)
        w.bin.wait_for_text("Hello!", LIMIT_S)
        w.give_back("SF1000000001")
        w.bin.wait_for_text("No points", LIMIT_S)
        assert rows(w.settings, "select status, code from outcomes") == [("refused", "pass_forged")]
        assert phone.me()["balance"] == 0


def test_4_a_pass_is_good_at_one_bin_only(tmp_path: Path) -> None:
    """A photograph of somebody's pass, shown at another bin within the same half minute."""
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        from gateway.fleet.register import add_bin
        from gateway.store import open_store

        store = open_store(w.settings.database_path)
        other = add_bin(store, w.settings.broker, station="S-DEMO", name="Another")
        store.close()
        phone = w.points.enrol_phone("Lin")
        shown = phone.show_pass()
        at_ms = int(shown.split(".")[2]) * 30_000 + 5_230
        w.bin.show_text(shown)
        w.bin.wait_for_text("Hello!", LIMIT_S)
        w.give_back("SF1000000001")
        w.wait_balance(phone, 10)
        with SimBin(w.broker.port, other.bin, other.key) as box:
            n = box.deposit(pass_=shown, t_ms=at_ms)
            box.deliver()
            outcome = box.wait_outcome(n)
        assert (outcome["status"], outcome["why"]) == ("refused", "pass_replayed")
        assert phone.me()["balance"] == 10


def test_4_a_pass_that_is_too_old_is_sent_away_at_the_bin(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w:
        w.bin.wait_for_console("clock: ntp", LIMIT_S)
        step = int(w.bin.unix_s()) // 30 - 10
        w.bin.show_text(plain_pass(bytes(20), "7K2QM0AB", step))
        w.bin.wait_for_text("Pass too old", LIMIT_S)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_5_points_away_for_a_while(tmp_path: Path, how: str) -> None:
    """Thanks come all the same; the points come once when the backend is back."""
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        _ = w.points.stop() if how == "stopped" else w.points.kill()
        w.give_back("SF1000000001")
        wait_for("the line in the store", lambda: "deposit" in w.kinds(), LIMIT_S)
        assert rows(w.settings, "select count(*) from outbox") == [(1,)]
        w.points.start()
        w.wait_balance(phone, 10)
        wait_for("an empty outbox", lambda: not rows(w.settings, "select * from outbox"), LIMIT_S)
        assert len(phone.me()["history"]) == 1


def test_5_evidence_is_the_same_bytes_in_flash_and_store(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w, running_gateway(w.settings):
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        w.wait_balance(phone, 10)
        w.bin.power_off()
        stored = [json.loads(raw[23:]) for (raw,) in rows(w.settings, "select raw from lines")]
        assert stored == lines_in_flash(w.bin.flash_path)
        ((raw,),) = rows(w.settings, "select raw from lines where n = 2")
        text = raw if isinstance(raw, bytes) else raw.encode()
        assert text.rstrip(b"\n") == sign(
            w.made.bin, w.made.key, "journal", text.rstrip(b"\n")[23:]
        )
        flash = w.bin.flash_path.read_bytes()
        assert text.rstrip(b"\n") in flash


def test_a_bin_that_does_not_know_the_time_still_earns_its_members_points(tmp_path: Path) -> None:
    """After a power cut with no time server: the line says so, and nothing else depends on it."""
    with way(tmp_path, "mosquitto") as w:
        w.bin.engine.sntp.on = False
        w.bin.power_off()
        w.bin.power_on()
        w.bin.wait_for_console("no answer from", LIMIT_S)
        phone = w.points.enrol_phone("Lin")
        w.scan_pass(phone)
        w.give_back("SF1000000001")
        with running_gateway(w.settings):
            w.wait_balance(phone, 10)
            clocks = rows(w.settings, "select t_ms, clock from lines where kind = 'deposit'")
        assert clocks == [(0, "none")]


def test_a_time_server_that_lies_in_the_past_is_not_believed(tmp_path: Path) -> None:
    with way(tmp_path, "mosquitto") as w:
        w.bin.power_off()
        w.bin.engine.sntp._clock_us = lambda: 1_000_000_000_000_000  # September 2001
        w.bin.power_on()
        w.bin.wait_for_console("lies in the past", LIMIT_S)
        w.bin.wait_for_text("show your pass", LIMIT_S)

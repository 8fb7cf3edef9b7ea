"""Deposits passed on to points over real HTTP, and everything that can go wrong on that way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import wire
from tests.support.gateway import rows, running_gateway, wait_for

if TYPE_CHECKING:
    from tests.integration.gateway.conftest import House


def test_an_outcome_comes_back_to_the_bin(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        box.write("boot")
        good = box.deposit(pass_="BB1.A.1.X", label="L" * 22, g=312)
        bad = box.deposit(pass_="REFUSE")
        box.deliver()
        assert box.wait_outcome(good) == {
            "e": box.epoch,
            "n": good,
            "status": "credited",
            "points": 10,
            "balance": 10,
            "why": "",
        }
        assert box.wait_outcome(bad)["why"] == "pass_forged"
        assert box.strange == []
        item = house.points.items[wire.line_id(box.bin, box.epoch, good)]
        stored = rows(gateway, "SELECT received_ms FROM lines WHERE kind = 'deposit' AND n = 2")
        assert [(item.pop("received"),)] == stored
        assert item == {
            "id": f"{box.bin}.{box.epoch}.2",
            "kind": "deposit",
            "bin": box.bin,
            "station": "S-DEMO",
            "t": 1668153600123,
            "clock": "ntp",
            "scanned_at": 1668153594893,
            "pass": "BB1.A.1.X",
            "label": "L" * 22,
            "g": 312,
        }
        assert rows(gateway, "SELECT n, status, code FROM outcomes ORDER BY n") == [
            (2, "credited", ""),
            (3, "refused", "pass_forged"),
        ]
        assert rows(gateway, "SELECT count(*) FROM outbox") == [(0,)]


def test_points_down_for_a_while_loses_nothing(house: House) -> None:
    house.points.mode = "down"
    with running_gateway(house.settings) as gateway, house.bin() as box:
        for _ in range(5):
            box.deposit()
        box.deliver()  # the bin need not wait for points
        wait_for("a few tries", lambda: house.points.requests >= 3)
        assert rows(gateway, "SELECT count(*) FROM outbox") == [(5,)]
        house.points.mode = "up"
        box.wait_outcome(5)
        assert house.points.order == [wire.line_id(box.bin, box.epoch, n) for n in range(1, 6)]
        assert sorted(box.outcomes) == [1, 2, 3, 4, 5]


def test_a_reply_lost_after_the_work_was_done_credits_once(house: House) -> None:
    house.points.mode = "drop"
    with running_gateway(house.settings) as gateway, house.bin() as box:
        for _ in range(5):
            box.deposit()
        box.deliver()
        last = wire.line_id(box.bin, box.epoch, 5)
        wait_for("the work to be done twice over", lambda: house.points.asked[last] >= 2)
        assert rows(gateway, "SELECT count(*) FROM outcomes") == [(0,)]
        house.points.mode = "up"
        assert box.wait_outcome(5)["balance"] == 50
        assert len(house.points.done) == 5
        assert rows(gateway, "SELECT status, sum(points) FROM outcomes GROUP BY status") == [
            ("credited", 50)
        ]


def test_one_item_that_the_backend_cannot_read_is_buried_and_the_others_pass(house: House) -> None:
    house.points.mode = "down"
    with running_gateway(house.settings) as gateway, house.bin() as box:
        for n in range(1, 21):
            box.deposit(g=666 if n == 13 else 312)
        box.deliver()
        wait_for("a try", lambda: house.points.requests)
        house.points.mode = "up"
        box.wait_outcome(20)
        expected = [wire.line_id(box.bin, box.epoch, n) for n in range(1, 21) if n != 13]
        assert house.points.order == expected
        dead = rows(gateway, "SELECT n, reason FROM dead_letters")
        assert [n for n, _ in dead] == [13]
        assert "number of the beast" in dead[0][1]
        assert rows(gateway, "SELECT count(*) FROM outbox") == [(0,)]


def test_a_wrong_key_keeps_everything_until_it_is_mended(house: House) -> None:
    key_file = house.settings.relay_key_path
    right = key_file.read_text()
    key_file.write_text("another key\n")
    with running_gateway(house.settings) as gateway, house.bin() as box:
        box.deposit()
        box.deliver()
        wait_for("a few tries", lambda: house.points.requests >= 2)
        assert rows(gateway, "SELECT count(*) FROM outbox") == [(1,)]
        assert rows(gateway, "SELECT count(*) FROM dead_letters") == [(0,)]
        key_file.write_text(right)
        box.wait_outcome(1)


def test_the_outbox_survives_a_restart(house: House) -> None:
    house.points.mode = "down"
    with house.bin() as box:
        with running_gateway(house.settings):
            box.deposit()
            box.deliver()
        house.points.mode = "up"
        with running_gateway(house.settings):
            box.wait_outcome(1)
    assert house.points.asked.total() == 1

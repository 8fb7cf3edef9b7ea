"""Deposits taken back through a real broker, gateway and points backend, with things broken on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.config import Settings
from gateway.fleet.register import Provisioning
from gateway.relay import feed
from gateway.store.database import now_ms
from tests.integration.gateway.test_lines import DYING_GATEWAY
from tests.support.gateway import (
    BROKERS,
    LIMIT_S,
    SimBin,
    issue_bin,
    rows,
    running_broker,
    running_gateway,
    settings_for,
    wait_for,
)
from tests.support.points import Phone, PointsService, points_service, unix_ms

ROOT = Path(__file__).parents[3]
LABEL, OTHER_LABEL = "A" * 22, "B" * 22


@dataclass
class House:
    """A broker, a points backend and one member; the gateway is the test's to start."""

    folder: Path
    settings: Settings
    points: PointsService
    phone: Phone
    made: Provisioning

    def bin(self) -> SimBin:
        """The fleet's one bin; use it as a context manager."""
        return SimBin(self.settings.broker.port, self.made.bin, self.made.key)

    def give_back(self, box: SimBin, label: str = LABEL) -> int:
        """Append a deposit of the member's, as a bin with a right clock would."""
        t_ms = unix_ms()
        return box.deposit(self.phone.show_pass(t_ms - 5_230), label, t_ms=t_ms)

    def wait_settled(self, decided: int) -> None:
        """Wait until points has decided so many lines, and nothing waits."""
        count = "SELECT count(*) FROM outcomes"
        wait_for("the outcomes", lambda: rows(self.settings, count) == [(decided,)])
        assert rows(self.settings, "SELECT count(*) FROM outbox") == [(0,)]

    def story(self) -> list[tuple[str, int, int]]:
        """What the member's page shows, oldest first."""
        me = self.phone.me()
        assert me["balance"] == sum(row["points"] for row in me["history"])
        return [(row["code"], row["points"], row["balance"]) for row in reversed(me["history"])]

    def check_ledger(self) -> None:
        """`boxback points check`: every transfer balances, every balance is the sum of entries."""
        checked = subprocess.run(
            [sys.executable, "-m", "gateway.points", "check", "--config", str(self.points._config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert (checked.returncode, checked.stdout) == (0, "The ledger is right.\n"), checked.stderr


@contextmanager
def houses(folder: Path, kind: str) -> Iterator[House]:
    with points_service(folder / "points") as points:
        made = issue_bin(settings_for(folder, 1883))
        with running_broker(kind, folder) as broker:
            settings = settings_for(folder, broker.port, points.url)
            settings.relay_key_path.write_text(points.gateway_key)
            house = House(folder, settings, points, points.enrol_phone(), made)
            yield house
            house.check_ledger()


@pytest.fixture(params=sorted(BROKERS))
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house around each kind of broker."""
    with houses(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def one_house(tmp_path: Path) -> Iterator[House]:
    """A house around one kind, for what has nothing to do with the broker."""
    with houses(tmp_path, "mosquitto") as made:
        yield made


def credited(balance: int) -> tuple[str, int, int]:
    return ("deposit.credited", 10, balance)


def taken_back(balance: int) -> tuple[str, int, int]:
    return ("deposit.withdrawn", -10, balance)


def test_weighed_again_all_of_it_doubled_and_in_disorder(house: House) -> None:
    with running_gateway(house.settings), house.bin() as box:
        box.write("boot")
        first = house.give_back(box)
        back = box.withdraw(first, g=312)
        again = house.give_back(box)
        other = house.give_back(box, OTHER_LABEL)
        taken = box.withdraw(other)
        for numbers in ((taken, other), (again, back), (back, first), (1, taken), (1, first, back)):
            box.send(*numbers)
        box.deliver()
        outcome = box.wait_outcome(taken)
        assert outcome == {
            "e": box.epoch,
            "n": taken,
            "status": "withdrawn",
            "points": -10,
            "balance": 10,
            "why": "",
        }
        box.send(*range(1, taken + 1))
        box.wait_receipt(taken, count=2)
        house.wait_settled(5)
        assert house.story() == [
            credited(10),
            taken_back(0),
            credited(10),
            credited(20),
            taken_back(10),
        ]
        assert rows(house.settings, "SELECT n, status, points FROM outcomes ORDER BY n") == [
            (first, "credited", 10),
            (back, "withdrawn", -10),
            (again, "credited", 10),
            (other, "credited", 10),
            (taken, "withdrawn", -10),
        ]


def test_what_names_no_earlier_line_is_stored_and_harms_nobody(house: House) -> None:
    with running_gateway(house.settings) as gateway, house.bin() as box:
        carton = house.give_back(box)
        for of in (0, 3, 9, -1, "1", None):
            box.write("withdrawn", {"of": of, "g": 312})
        boot = box.write("boot")
        box.withdraw(boot)  # of a line that is no deposit: points never hears of that one
        box.withdraw(carton, g=-3)  # grams that cannot be
        box.deliver()
        house.wait_settled(3)
        assert rows(gateway, "SELECT count(*) FROM lines") == [(10,)]
        assert rows(gateway, "SELECT count(*) FROM quarantine") == [(0,)]
        assert rows(gateway, "SELECT count(*) FROM dead_letters") == [(0,)]
        assert house.story() == [credited(10)]


def test_the_gateway_is_killed_between_deposit_and_withdrawal(one_house: House) -> None:
    """Each time after its commit, before any receipt: the bin sends again, and it counts once."""
    house = one_house
    file = house.folder / "boxback.toml"
    file.write_text(
        f'data_dir = "{house.settings.data_dir}"\n[broker]\nport = {house.settings.broker.port}\n'
    )

    def die_on(box: SimBin, *numbers: int) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", DYING_GATEWAY, str(file)], cwd=ROOT, stderr=subprocess.DEVNULL
        )

        def ended() -> bool:
            box.send(*numbers)  # until the gateway is up and gets it
            return process.poll() is not None

        try:
            wait_for("the gateway's death", ended)
            assert process.returncode == -signal.SIGKILL
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait(LIMIT_S)

    with house.bin() as box:
        first = house.give_back(box)
        die_on(box, first)
        back = box.withdraw(first)
        die_on(box, first, back)
        again = house.give_back(box)
        with running_gateway(house.settings):
            box.deliver()
            box.wait_outcome(again)
            house.wait_settled(3)
    assert house.story() == [credited(10), taken_back(0), credited(10)]


def test_points_is_killed_between_deposit_and_withdrawal(one_house: House) -> None:
    house = one_house
    with running_gateway(house.settings), house.bin() as box:
        first = house.give_back(box)
        box.deliver()
        box.wait_outcome(first)
        house.points.kill()
        back = box.withdraw(first)
        box.deliver()
        house.points.start()
        box.wait_outcome(back)
        house.points.kill()
        again = house.give_back(box)
        box.deliver()
        house.points.start()
        assert box.wait_outcome(again)["balance"] == 10
        house.wait_settled(3)
    assert house.story() == [credited(10), taken_back(0), credited(10)]


class Lossy(httpx.BaseTransport):
    """The way to points: it loses each reply once, after the work was done."""

    def __init__(self) -> None:
        self._way = httpx.HTTPTransport()
        self._lost: set[bytes] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._way.handle_request(request)
        body = request.read()
        if body not in self._lost:
            self._lost.add(body)
            answer.close()
            message = "the reply was lost"
            raise httpx.ReadError(message)
        return answer

    def close(self) -> None:
        self._way.close()


def test_replies_lost_after_the_work_was_done(one_house: House) -> None:
    house = one_house
    with running_gateway(house.settings, transport=Lossy()), house.bin() as box:
        first = house.give_back(box)
        box.withdraw(first)
        again = house.give_back(box)
        box.deliver()
        assert box.wait_outcome(again)["balance"] == 10
        house.wait_settled(3)
    assert house.story() == [credited(10), taken_back(0), credited(10)]


class Failing(httpx.BaseTransport):
    """The way to points: every body with one of these items is answered 500 while it is bad."""

    def __init__(self, item: str) -> None:
        self._way = httpx.HTTPTransport()
        self._mark = f'"id":"{item}"'.encode()
        self.bad = True

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.bad and self._mark in request.read():
            return httpx.Response(500)
        return self._way.handle_request(request)

    def close(self) -> None:
        self._way.close()


@pytest.mark.parametrize("bad", [1, 2], ids=["deposit", "withdrawal"])
def test_an_item_that_points_fails_on_for_a_while(
    one_house: House, bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deposit that is put off comes after its withdrawal; a withdrawal holds its journal."""
    house = one_house
    later_ms = [0]
    monkeypatch.setattr(feed, "now_ms", lambda: now_ms() + later_ms[0])
    way = Failing(f"{house.made.bin}.5f3a9c01.{bad}")
    other = issue_bin(house.settings)
    with running_gateway(house.settings, transport=way), house.bin() as box:
        first = house.give_back(box)
        box.withdraw(first)
        again = house.give_back(box)
        box.deliver()
        with SimBin(house.settings.broker.port, other.bin, other.key) as second:
            second.deposit()  # nobody's pass, but points can decide it
            second.deliver()
            second.wait_outcome(1)
            put_off = "SELECT count(*) FROM put_off"
            wait_for("the item to be put off", lambda: rows(house.settings, put_off) == [(1,)])
            second.deposit()
            second.deliver()
            second.wait_outcome(2)  # whatever may be sent was before it
        decided = rows(house.settings, "SELECT bin, n FROM outcomes ORDER BY n")
        mine = [n for bin_id, n in decided if bin_id == box.bin]
        assert mine == ([2, 3] if bad == 1 else [1])
        way.bad = False
        later_ms[0] = int(feed.PUT_OFF_S * 1000)
        house.wait_settled(5)
        last = box.wait_outcome(first if bad == 1 else again)
    late = [credited(10), ("deposit.withdrawn", 0, 10)]
    assert house.story() == (late if bad == 1 else [credited(10), taken_back(0), credited(10)])
    assert (last["balance"], last["why"]) == (10, "withdrawn" if bad == 1 else "")

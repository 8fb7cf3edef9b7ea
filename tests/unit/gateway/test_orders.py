"""Orders: how they are chosen, sent, answered and told of; no network, time as an argument."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import wire
from gateway.config import settings_from
from gateway.fleet import news
from gateway.fleet.faults import ADVICE, CLOSING, advice
from gateway.fleet.orderform import Edit, OrderError, document_of, value_of
from gateway.fleet.orders import command, want
from gateway.fleet.sender import Sender, again_ms
from gateway.intake.commit import Committed, commit
from gateway.intake.judge import Batch
from gateway.run import Gateway
from gateway.store import Store, StoreError, audit, commands, fleet, open_store, quarantine, wanted
from gateway.store.audit import Entry
from gateway.store.tables import SCHEMA_VERSION, bins, metadata
from gateway.store.tables import log as log_table
from tests.support.gateway import LIMIT_S, free_port, settings_for, sign, wait_for

BIN, OTHER, KEY = "B-7K2QM", "B-00011", bytes(range(32))
NOW = 1_795_000_000_000


class Wire:
    """A link that remembers what it was given."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.ready.set()
        self.full = False
        self.full_for = 0  # so many messages more
        self.sent: list[tuple[str, str, bytes, bool]] = []

    def publish(
        self, bin_id: str, leaf: str, payload: bytes, qos: int, *, retain: bool = False
    ) -> bool:
        assert qos == 1
        if self.full or self.full_for:
            self.full_for = max(0, self.full_for - 1)
            return False
        self.sent.append((bin_id, leaf, payload, retain))
        return True

    def take(self) -> list[dict[str, Any]]:
        """Bodies that were sent since the last look, their MACs checked."""
        sent, self.sent = self.sent, []
        found = []
        for bin_id, leaf, payload, retain in sent:
            assert retain is (leaf == "settings")
            assert payload == sign(bin_id, KEY, leaf, payload[23:])
            found.append(json.loads(payload[23:]))
        return found


class Place:
    """A store with one bin that is online, and a sender that is asked by hand."""

    def __init__(self, store: Store) -> None:
        self.store, self.wire = store, Wire()
        self.sender = Sender(store, self.wire)
        for bin_id in (BIN, OTHER):
            with store.writing() as connection:
                fleet.add_bin(
                    connection, bin_id=bin_id, station="S-DEMO", name="x", key=KEY, at_ms=NOW
                )
        self.hear(online=True)

    def hear(self, at_ms: int = NOW, bin_id: str = BIN, **told: Any) -> Committed:
        """One message of the bin, through the intake's commit."""
        batch = Batch()
        online = told.pop("online", None)
        health = told.pop("health", None)
        body = None if health is None else json.dumps(health).encode()
        heard = told.pop("heard", True)
        batch.note(fleet.Seen(bin_id, online=online, health=body, heard=heard))
        return commit(self.store, batch, at_ms, 100)

    def answer(self, at_ms: int = NOW, bin_id: str = BIN, **body: Any) -> Committed:
        done = wire.done_of(json.dumps(body).encode())
        batch = Batch()
        batch.answers.append(news.Answer(bin_id, done, "t", json.dumps(body).encode()))
        return commit(self.store, batch, at_ms, 100)

    def do(self, what: str = "tare", within_s: int = 60, at_ms: int = NOW, **more: Any) -> int:
        with self.store.writing() as connection:
            return command(
                connection,
                more.pop("bin_id", BIN),
                what,
                seconds=more.pop("seconds", None),
                within_s=within_s,
                by="li",
                at_ms=at_ms,
            ).id

    def want(self, at_ms: int = NOW, edit: Edit | None = None, **put: int | str) -> int:
        with self.store.writing() as connection:
            return want(connection, BIN, edit or Edit(put=put), by="li", at_ms=at_ms).version

    def sent(self, at_ms: int = NOW) -> list[dict[str, Any]]:
        """What the sender sends when it is asked at that time."""
        while self.sender.pass_on(at_ms):
            pass
        return self.wire.take()

    def states(self) -> list[str]:
        """Of the bin's commands, oldest first."""
        with self.store.reading() as connection:
            return [c.state for c in reversed(commands.of_bin(connection, BIN, 99))]

    def versions(self) -> dict[int, str]:
        with self.store.reading() as connection:
            return {w.version: w.state for w in reversed(wanted.of_bin(connection, BIN, 99))}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    store = open_store(tmp_path / "gateway.db")
    yield Place(store)
    store.close()


# --- commands


def test_a_command_is_sent_answered_and_not_sent_again(place: Place) -> None:
    number = place.do("open", seconds=20)
    assert place.states() == ["waiting"]
    assert place.sent() == [{"id": 1, "do": "open", "args": {"s": 20}, "until": NOW + 60_000}]
    assert place.sent() == []
    place.answer(id=number, status="done", why="", data={"a": 1})
    assert place.states() == ["done"]
    place.answer(id=number, status="refused", why="before", data={})
    assert place.states() == ["done"], "the first answer counts"
    place.hear(online=True)
    assert place.sent(NOW + 50_000) == []


def test_without_an_answer_it_is_sent_again_with_longer_waits_until_its_deadline(
    place: Place,
) -> None:
    place.do(within_s=60)
    times = [s for s in range(70) if place.sent(NOW + s * 1000)]
    assert times == [0, 3, 9, 21, 45]
    assert place.states() == ["expired"]
    place.answer(NOW + 70_000, id=1, status="done", why="", data={})
    assert place.states() == ["done"], "what the bin did, it did"


def test_waits_are_bounded() -> None:
    assert [again_ms(3, tries) for tries in (0, 1, 99)] == [3_000, 6_000, 600_000]


def test_a_bin_that_is_away_gets_it_when_it_is_back(place: Place) -> None:
    place.hear(NOW - news.HEARD_MS, online=False)
    place.do(within_s=600)
    assert place.sent() == []
    assert place.states() == ["waiting"]
    assert place.sent(NOW + 300_000) == []
    place.hear(NOW + 300_000, online=True, heard=False)  # what the broker retained says nothing new
    place.hear(NOW + 300_000, online=True)
    assert [c["id"] for c in place.sent(NOW + 300_000)] == [1]


def test_a_bin_that_stays_away_never_gets_it(place: Place) -> None:
    place.hear(NOW - news.HEARD_MS, online=False)
    place.do(within_s=60)
    assert place.sent(NOW + 60_001) == []
    assert place.states() == ["expired"]
    with place.store.reading() as connection:
        found = commands.of_bin(connection, BIN, 1)[0]
    assert found.why == "the bin was not heard before the deadline"
    place.hear(NOW + 61_000, online=True)
    assert place.sent(NOW + 61_000) == []


def test_a_bin_that_lies_low_but_is_heard_gets_it(place: Place) -> None:
    """`online` is not signed: anybody at the broker can say that a bin is gone."""
    place.hear(online=False)
    place.do()
    assert len(place.sent()) == 1
    place.hear(NOW + 2 * news.HEARD_MS, online=False, heard=False)
    place.do(at_ms=NOW + 2 * news.HEARD_MS)
    assert place.sent(NOW + 2 * news.HEARD_MS) == []
    place.hear(NOW + 2 * news.HEARD_MS, health={})
    assert [c["id"] for c in place.sent(NOW + 2 * news.HEARD_MS)] == [2]


def test_the_deadline_passes_while_there_is_no_broker(place: Place) -> None:
    place.wire.ready.clear()
    place.do(within_s=60)
    assert place.sent() == []
    assert place.sent(NOW + 61_000) == []
    assert place.states() == ["expired"]
    place.wire.ready.set()
    assert place.sent(NOW + 61_000) == []


def test_a_command_that_was_lost_is_not_overtaken_by_the_next(place: Place) -> None:
    place.do()
    place.sent()  # lost: the bin never had it
    place.do("report", at_ms=NOW + 1000)
    assert [c["id"] for c in place.sent(NOW + 1000)] == [1, 2]


def test_a_command_that_the_way_had_no_room_for_is_not_overtaken(place: Place) -> None:
    place.do()
    place.do("report")
    place.wire.full_for = 1
    assert place.sent() == [], "2 alone would make the bin take 1 for done before"
    assert [c["id"] for c in place.sent(NOW + 3_000)] == [1, 2]


def test_a_bin_has_room_for_so_many_commands(place: Place) -> None:
    for _ in range(4):
        place.do(within_s=60)
    with pytest.raises(OrderError, match=r"has 4 commands to answer \(1, 2, 3, 4\)"):
        place.do()
    place.answer(id=2, status="done", why="", data={})
    assert place.do() == 5
    assert place.do(at_ms=NOW + 61_000) == 6, "those that are late do not count"


def test_an_id_is_above_what_the_bin_has_done(place: Place) -> None:
    place.hear(health={"done": 41})
    assert place.do() == 42
    place.hear(health={"done": 7})
    assert place.do() == 43
    place.hear(health={"done": wire.ORDER_MAX})
    with pytest.raises(OrderError, match="the last one"):
        place.do()


def test_only_the_newest_answers_keep_their_data(place: Place) -> None:
    for _ in range(commands.DATA_KEPT + 2):
        number = place.do("report")
        place.answer(id=number, status="done", why="", data={"n": number})
    with place.store.reading() as connection:
        found = commands.of_bin(connection, BIN, 99)
    assert len(found) == commands.DATA_KEPT + 2, "an identity is for ever"
    assert [c.id for c in found if c.data is None] == [2, 1]


@pytest.mark.parametrize(
    ("what", "more", "told"),
    [
        ("dance", {}, "'dance': a bin can do open, tare"),
        ("open", {"seconds": 301}, "--seconds 301: must be 1 to 300"),
        ("tare", {"seconds": 3}, "only open and identify take a time, not tare"),
        ("tare", {"within_s": 0}, "within 0 s: must be 1 to 604800"),
        ("tare", {"bin_id": "B-00000"}, "no bin B-00000 in this fleet"),
    ],
)
def test_a_command_that_cannot_be_given(
    place: Place, what: str, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(OrderError, match=told):
        place.do(what, **more)
    assert place.states() == []


# --- settings


def test_settings_are_sent_retained_and_come_in_force(place: Place) -> None:
    assert place.want(mass_min_mg=30000) == 1
    assert place.sent() == [{"v": 1, "s": {"mass_min_mg": 30000}}]
    place.answer(settings=1, status="done", why="")
    assert place.versions() == {1: "in_force"}
    assert place.want(label_policy="optional") == 2
    assert place.sent() == [{"v": 2, "s": {"label_policy": "optional", "mass_min_mg": 30000}}]
    place.answer(settings=2, status="done", why="")
    assert place.versions() == {1: "replaced", 2: "in_force"}
    assert place.want(mass_min_mg=30000) == 0, "nothing to change"
    assert place.want(edit=Edit(reset=("mass_min_mg",))) == 3
    assert place.sent() == [{"v": 3, "s": {"label_policy": "optional"}}]
    assert place.want(edit=Edit(clear=True)) == 4
    assert place.sent() == [{"v": 4, "s": {}}]
    assert place.versions()[3] == "replaced", "before the bin answered"


def test_settings_reach_a_bin_that_is_away_through_the_broker_and_again_when_it_is_back(
    place: Place,
) -> None:
    place.hear(NOW - news.HEARD_MS, online=False)
    place.want(mass_min_mg=1)
    assert len(place.sent()) == 1
    assert [s for s in range(0, 7200, 60) if place.sent(NOW + s * 1000)] == []
    place.hear(NOW + 7_200_000, online=True)
    assert len(place.sent(NOW + 7_200_000)) == 1


def test_the_same_settings_after_a_refusal_end_its_warning(place: Place) -> None:
    """A bin warns of a refused version until a newer one is in force: going back must be possible."""
    place.want(mass_min_mg=30000)
    place.sent()
    place.answer(settings=1, status="done", why="")
    place.want(mass_min_mg=3)
    place.sent()
    place.answer(settings=2, status="refused", why="mass_min_mg is 3")
    assert place.want(mass_min_mg=30000) == 3
    assert place.sent() == [{"v": 3, "s": {"mass_min_mg": 30000}}]
    place.answer(settings=3, status="done", why="")
    assert place.want(mass_min_mg=30000) == 0, "nothing to change"


def test_refused_settings_are_no_ground_to_build_on(place: Place) -> None:
    place.want(mass_min_mg=30000)
    place.answer(settings=1, status="done", why="")
    place.want(mass_min_mg=3)
    place.answer(settings=2, status="refused", why="mass_min_mg is 3")
    assert place.versions() == {1: "in_force", 2: "refused"}
    place.want(rise_mg=9000)
    assert place.sent()[-1] == {"v": 3, "s": {"mass_min_mg": 30000, "rise_mg": 9000}}
    place.answer(settings=3, status="rolled_back", why="no word of the gateway")
    place.hear(health={"settings": 1, "refused_settings": 3})
    assert place.versions() == {1: "in_force", 2: "refused", 3: "rolled_back"}
    assert place.sent(NOW + 9_000_000) == []


def test_in_force_and_then_rolled_back(place: Place) -> None:
    for version in (1, 2):
        place.want(mass_min_mg=30000 + version)
        place.answer(settings=version, status="done", why="")
    place.answer(settings=2, status="rolled_back", why="no word of the gateway")
    place.hear(health={"settings": 1, "refused_settings": 2})
    assert place.versions() == {1: "in_force", 2: "rolled_back"}


def test_what_the_way_had_no_room_for_is_sent_soon(place: Place) -> None:
    place.hear(NOW - news.HEARD_MS, online=False)
    place.want(mass_min_mg=1)
    place.wire.full = True
    assert place.sent() == []
    place.wire.full = False
    assert place.sent(NOW + 2_999) == []
    assert [s["v"] for s in place.sent(NOW + 3_000)] == [1]


def test_an_answer_to_settings_that_are_no_longer_wanted(place: Place) -> None:
    place.want(mass_min_mg=1)
    place.sent()
    place.want(mass_min_mg=2)
    place.answer(settings=1, status="done", why="")
    assert place.versions() == {1: "in_force", 2: "waiting"}
    assert [s["v"] for s in place.sent()] == [2]
    place.answer(settings=2, status="done", why="")
    assert place.versions() == {1: "replaced", 2: "in_force"}


def test_health_stands_for_an_answer_that_was_lost(place: Place) -> None:
    place.want(mass_min_mg=1)
    place.sent()
    place.hear(health={"settings": 1})
    assert place.versions() == {1: "in_force"}
    place.want(mass_min_mg=2)
    place.hear(health={"settings": 1, "refused_settings": 2})
    assert place.versions() == {1: "in_force", 2: "refused"}
    assert place.sent(NOW + 9_000_000) == [], "what the bin has, or has refused, is not sent"


def test_a_bin_that_runs_the_version_is_not_sent_it(place: Place) -> None:
    """The health came before the row: a gateway's database that was put together anew."""
    place.hear(health={"settings": 1})
    with place.store.writing() as connection:
        row = wanted.Wanted(BIN, 1, b"{}", "li", NOW, wanted.WAITING, NOW, "", 0)
        wanted.add(connection, row)
    assert place.sent() == []
    assert place.versions() == {1: "in_force"}


def test_a_version_is_above_what_the_bin_has_refused(place: Place) -> None:
    place.hear(health={"settings": 0, "refused_settings": 5})
    assert place.want(mass_min_mg=1) == 6


def test_a_subscription_that_tells_what_is_known_sends_nothing_again(place: Place) -> None:
    """The broker hands out every bin's retained `online` whenever a gateway connects."""
    place.do()
    place.want(mass_min_mg=1)
    assert len(place.sent()) == 2
    place.hear(NOW + 1_000, online=True, heard=False)
    assert place.sent(NOW + 1_000) == []
    place.hear(NOW + 1_000, online=True)
    assert len(place.sent(NOW + 1_000)) == 2, "but a bin that connects has lost what was under way"


def test_nothing_to_send_costs_no_write(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.do(within_s=600)
    place.want(mass_min_mg=1)
    place.sent()

    def never() -> None:
        raise AssertionError("a write")

    monkeypatch.setattr(place.store, "writing", never)
    assert place.sent(NOW + 2_000) == []
    place.wire.ready.clear()
    assert place.sent(NOW + 5_000) == []


def test_settings_that_a_bin_lost_are_sent_again(place: Place) -> None:
    place.want(mass_min_mg=1)
    place.answer(settings=1, status="done", why="")
    place.hear(health={"settings": 0})  # a new board, or the flash was erased
    assert [s["v"] for s in place.sent()] == [1]
    assert place.versions() == {1: "sent"}
    for _ in range(3):
        place.hear(health={"settings": 0})
    assert place.sent(NOW + 5_000) == [], "health alone does not make it hurry"
    assert len(place.sent(NOW + 10_000)) == 1


def test_a_restored_database_does_not_fall_behind_its_bins(place: Place) -> None:
    place.want(mass_min_mg=1)
    assert len(place.sent()) == 1  # the bin has seen version 7 already and passes it by
    place.hear(health={"settings": 7, "refused_settings": 5})
    assert [(s["v"], s["s"]) for s in place.sent()] == [(8, {"mass_min_mg": 1})]
    assert place.versions() == {1: "replaced", 8: "sent"}
    place.hear(health={"settings": 7, "refused_settings": wire.ORDER_MAX})
    assert place.versions() == {1: "replaced", 8: "sent"}, "there is no version above that"


def test_settings_that_another_gateway_gave_are_not_built_on(place: Place) -> None:
    place.hear(health={"settings": 7})
    with pytest.raises(OrderError, match="settings 7, which this gateway did not give"):
        place.want(mass_min_mg=1)
    assert place.want(edit=Edit(clear=True, put={"rise_mg": 1})) == 8


def test_what_a_bin_keeps_retained_is_taken_off_when_it_is_gone(place: Place) -> None:
    place.want(mass_min_mg=1)
    place.sent()
    with place.store.writing() as connection:
        connection.execute(bins.delete().where(bins.c.bin == BIN))
    anew = Sender(place.store, place.wire)
    anew.pass_on(NOW)
    assert place.wire.sent == [(BIN, "settings", b"", True)]
    assert place.versions() == {1: "replaced"}
    anew.pass_on(NOW)
    assert len(place.wire.sent) == 1


def test_orders_of_a_bin_that_is_gone_wait_for_nothing(place: Place) -> None:
    place.sent()
    place.do(within_s=60)
    place.want(mass_min_mg=1)
    with place.store.writing() as connection:
        connection.execute(bins.delete().where(bins.c.bin == BIN))
    assert place.sent() == []
    assert place.sent(NOW + 61_000) == []
    assert place.states() == ["expired"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("mass_min_mg", "must be name=value"),
        ("Mass=1", "'Mass': a setting's name is"),
        ("x=2147483648", "must be an integer"),
        ("x=", "must be an integer"),
        ("x=two words", "or a word"),
    ],
)
def test_a_setting_that_has_not_the_form(word: str, told: str) -> None:
    with pytest.raises(OrderError, match=told):
        value_of(word)


def test_a_host_name_is_a_word() -> None:
    assert value_of("broker_host=mqtt-1.Example.com") == ("broker_host", "mqtt-1.Example.com")
    assert value_of("zero_counts=-5") == ("zero_counts", -5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "f.json: is not JSON"),
        ("[1]", "f.json: must be an object"),
        ('{"a": true}', "a = True: must be an integer"),
        ('{"a": {}}', "a = {}: must be"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_document_that_has_not_the_form(text: str, told: str) -> None:
    with pytest.raises(OrderError, match=told):
        document_of(text, "f.json")


def test_a_document_that_does_not_fit(place: Place) -> None:
    many = {f"setting_with_a_long_name_{n:03}": n for n in range(80)}
    with pytest.raises(OrderError, match="too many for one message"):
        place.want(**many)
    assert place.versions() == {}


# --- what the intake makes of it


def test_an_answer_to_nothing_is_kept_aside(place: Place) -> None:
    place.do(bin_id=OTHER)
    assert place.answer(id=1, status="done", why="", data={}).rejected == 1
    assert place.answer(settings=1, status="done", why="").rejected == 1
    with place.store.reading() as connection:
        found = quarantine.recent(connection)
    assert {row.reason for row in found} == {"unknown_order"}
    assert {row.bin for row in found} == {BIN}


def test_only_changes_of_faults_are_noted(place: Place) -> None:
    assert place.hear(health={"faults": []}).faults == []
    told = place.hear(health={"faults": ["scale", "clock"]}).faults
    assert [str(change) for change in told] == ["+scale +clock"]
    assert place.hear(health={"faults": ["clock", "scale"]}).faults == []
    place.hear(health={"faults": ["clock"]})
    place.hear(health={})  # an older firmware came back: it says nothing of faults
    with place.store.reading() as connection:
        rows = audit.recent(connection, BIN, 9)
    assert [(row.who, row.what, row.detail) for row in rows] == [
        ("", "faults", "-scale"),
        ("", "faults", "+scale +clock"),
    ]


# --- the log and the tables


def test_a_bin_whose_fault_comes_and_goes_pushes_nobody_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BIN_ROWS_MAX", 4)
    place.do()
    for n in range(10):
        place.hear(health={"faults": ["clock"] if n % 2 == 0 else []})
    place.hear(bin_id=OTHER, health={"faults": ["clock"]})
    with place.store.reading() as connection:
        of_bin = [row.what for row in audit.recent(connection, BIN, 99)]
        every = audit.recent(connection, None, 99)
    assert of_bin == ["faults"] * 4 + ["do"]
    assert len(every) == 6


def test_the_log_of_people_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LOG_ROWS_MAX", 10)
    monkeypatch.setattr(audit, "_TRIM_EVERY", 5)
    place.hear(health={"faults": ["clock"]})
    for n in range(40):
        with place.store.writing() as connection:
            audit.note(connection, [Entry(NOW, "li", "do", BIN, n, "x")])
    with place.store.reading() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(log_table))
        newest = audit.recent(connection, None, 1)[0]
        assert count is not None
        assert 11 <= count <= 16
        assert newest.number == 39
        assert audit.recent(connection, BIN, 99)[-1].what == "faults"


def test_a_file_of_version_1_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = open_store(path)
    with store.writing() as connection:
        fleet.add_bin(connection, bin_id=BIN, station="S-DEMO", name="x", key=KEY, at_ms=1)
        quarantine.add(connection, [quarantine.Reject(BIN, "t", "bad_mac", b"x")], 1, 100)
    store.close()
    with sqlite3.connect(path) as old:
        for table in ("commands", "wanted_settings", "log"):
            old.execute(f"DROP TABLE {table}")
        old.execute("UPDATE schema SET version = 1")
        before = list(old.iterdump())
    old.close()
    store = open_store(path)
    with store.reading() as connection:
        assert connection.scalar(sa.text("SELECT version FROM schema")) == SCHEMA_VERSION
        tables = set(sa.inspect(connection).get_table_names())
    assert set(metadata.tables) <= tables
    Place.do(place := Place(store))
    assert len(place.sent()) == 1
    store.close()
    with sqlite3.connect(path) as new:
        after = set(new.iterdump())
    new.close()
    lost = {row for row in before if row.startswith("INSERT")} - after
    assert {row for row in lost if "bins" not in row} == {'INSERT INTO "schema" VALUES(1);'}
    assert sum("bins" in row for row in lost) == 1  # the one that was heard since


def test_a_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    open_store(path).close()
    with sqlite3.connect(path) as later:
        later.execute("UPDATE schema SET version = 3")
    later.close()
    with pytest.raises(StoreError, match="version 3, this program knows 2"):
        open_store(path)


def test_every_fault_of_the_contract_has_advice() -> None:
    contract = (
        "scale scanner flap journal full restarts flap_shut display level near_full journal_near "
        "journal_mended clock settings memory late"
    )
    assert set(ADVICE) == set(contract.split())
    assert set(CLOSING) <= set(ADVICE)
    assert "does not know" in advice("sneeze")


# --- the thread


def test_a_store_in_trouble_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def troubled(at_ms: int) -> bool:
        tries.append(at_ms)
        if len(tries) < 3:
            raise sa.exc.OperationalError("SELECT", {}, sqlite3.OperationalError("disk I/O error"))
        return False

    monkeypatch.setattr(place.sender, "pass_on", troubled)
    place.sender.start()
    wait_for("another try", lambda: len(tries) > 3)
    place.sender.stop()
    place.sender.join(LIMIT_S)
    assert not place.sender.failed.is_set()


def test_a_sender_that_ends_by_itself_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(settings_for(tmp_path, free_port()))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(gateway.sender, "pass_on", lambda _: 1 / 0)
    gateway.start()
    wait_for("its end", lambda: gateway.broken == "sender")
    assert gateway.stop()


def test_a_broker_far_away_without_tls_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = settings_for(tmp_path, free_port()).model_dump(mode="json")
    plain["broker"] |= {"embedded": False, "host": "192.0.2.1"}  # an address of nobody
    gateway = Gateway(settings_from(plain, "the test"))
    gateway.link.start = lambda: None  # type: ignore[method-assign]
    gateway.start()
    assert gateway.stop()
    assert "without TLS" in caplog.text

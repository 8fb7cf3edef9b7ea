"""The store: what is new, what is known, how far it reaches, and a disk that is full."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, exc

from gateway import wire
from gateway.store import Store, StoreError, fleet, lines, open_store, outbox, quarantine
from gateway.store.lines import Arrived
from gateway.store.outbox import Entry, Outcome
from gateway.store.quarantine import Reject
from gateway.store.tables import SCHEMA_VERSION, schema

BIN, KEY, EPOCH = "B-7K2QM", bytes(range(32)), "5f3a9c01"
SIGNER = wire.Signer(BIN, KEY, "journal")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "deep" / "gateway.db")
    yield opened
    opened.close()


def line(n: int, mark: str = "", epoch: str = EPOCH) -> Arrived:
    body = f'{{"e":"{epoch}","n":{n},"t":1,"c":"ntp","k":"boot","d":{{"m":"{mark}"}}}}'
    found = wire.parse_line(SIGNER, SIGNER.sign(body.encode()) + b"\n")
    assert isinstance(found, wire.Line)
    return Arrived(BIN, "S-DEMO", found)


def add(store: Store, *arrived: Arrived) -> lines.Stored:
    with store.writing() as connection:
        return lines.add(connection, arrived, at_ms=1000)


def released(stored: lines.Stored) -> list[int]:
    return [item.line.n for item in stored.released]


def test_files_are_for_the_owner_only(tmp_path: Path, store: Store) -> None:
    add(store, line(1))
    folder = tmp_path / "deep"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes["gateway.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_commits_are_synchronous_and_in_wal(store: Store) -> None:
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_new_again_and_conflict(store: Store) -> None:
    first = add(store, line(1), line(2), line(2))
    assert (first.new, first.again, first.conflicts) == (2, 1, [])
    assert first.reached == {(BIN, EPOCH): 2}
    second = add(store, line(2), line(1, "another"))
    assert (second.new, second.again) == (0, 1)
    assert second.conflicts == [line(1, "another")]
    assert second.reached == {(BIN, EPOCH): 2}
    with store.reading() as connection:
        assert lines.raw_of(connection, BIN, EPOCH, 1) == line(1).line.raw


def test_two_different_lines_of_one_identity_in_one_batch(store: Store) -> None:
    stored = add(store, line(1), line(1, "another"))
    assert (stored.new, stored.conflicts) == (1, [line(1, "another")])


def test_a_gap_holds_until_it_is_filled(store: Store) -> None:
    assert add(store, line(1), line(4)).reached == {(BIN, EPOCH): 1}
    assert add(store, line(3)).reached == {(BIN, EPOCH): 1}
    filled = add(store, line(2))
    assert filled.reached == {(BIN, EPOCH): 4}
    assert released(filled) == [2, 3, 4]
    assert released(add(store, line(2), line(5))) == [5]


def test_a_line_behind_a_gap_keeps_the_time_at_which_it_was_received(store: Store) -> None:
    for at_ms, n in ((1000, 1), (2000, 3), (3000, 2)):
        with store.writing() as connection:
            stored = lines.add(connection, [line(n)], at_ms)
    assert [(item.line.n, item.received_ms) for item in stored.released] == [(2, 3000), (3, 2000)]


def steps_of_one_line(store: Store, epoch: str) -> int:
    """How hard SQLite works to store one line of a new journal (in hundreds of its steps)."""
    steps: list[None] = []
    with store.writing() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.set_progress_handler(lambda: steps.append(None), 100)
        try:
            lines.add(connection, [line(1, epoch=epoch)], at_ms=1)
        finally:
            raw.set_progress_handler(None, 100)
    return len(steps)


def test_a_bin_with_many_journals_costs_no_more_than_another(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    add(store, *(line(1, epoch=f"{n:08x}") for n in range(100)))
    assert "many epochs" not in caplog.text
    few = steps_of_one_line(store, "aaaaaaaa")
    assert "many epochs" in caplog.text
    add(store, *(line(1, epoch=f"{n:08x}") for n in range(100, 3000)))
    assert steps_of_one_line(store, "bbbbbbbb") <= few + 2


def test_an_error_does_not_tell_what_was_to_be_stored(store: Store) -> None:
    with pytest.raises(exc.OperationalError) as caught, store.writing() as connection:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:x)"), {"x": "BB1.SECRET"})
    assert "SECRET" not in str(caught.value)


def test_a_receipt_for_nothing_while_line_one_is_missing(store: Store) -> None:
    stored = add(store, line(2))
    assert stored.reached == {(BIN, EPOCH): 0}
    assert released(stored) == []


def test_a_long_stretch_behind_a_gap_is_released_whole(store: Store) -> None:
    many = [line(n) for n in range(2, 2503)]
    assert released(add(store, *many)) == []
    assert released(add(store, line(1))) == list(range(1, 2503))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("ab")), max_size=8)))
def test_any_order_of_arrival_comes_to_the_same(batches: list[list[tuple[int, str]]]) -> None:
    """Against a model: first come is kept, progress is the gapless stretch, each is released once."""
    store = Store(sa.create_engine("sqlite://", poolclass=sa.StaticPool))
    with store.writing() as connection:
        lines.lines.metadata.create_all(connection)
    kept: dict[int, str] = {}
    out: list[int] = []
    for batch in batches:
        conflicts = 0
        for n, mark in batch:
            conflicts += kept.setdefault(n, mark) != mark
        stored = add(store, *(line(n, mark) for n, mark in batch))
        assert len(stored.conflicts) == conflicts
        out += released(stored)
        reach = next(n for n in range(1, 14) if n not in kept) - 1
        assert out == list(range(1, reach + 1))
        assert stored.reached == ({(BIN, EPOCH): reach} if batch else {})
    with store.reading() as connection:
        for n, mark in kept.items():
            assert lines.raw_of(connection, BIN, EPOCH, n) == line(n, mark).line.raw
    store.close()


def test_pruned_evidence_still_tells_the_same_line_from_another(store: Store) -> None:
    add(store, line(1), line(2), line(4))
    with store.writing() as connection:
        assert lines.prune(connection, before_ms=1000) == 0
        assert lines.prune(connection, before_ms=1001) == 2  # 4 waits behind a gap
        assert lines.prune(connection, before_ms=1001) == 0
    again = add(store, line(1), line(2, "another"))
    assert (again.new, again.again, len(again.conflicts)) == (0, 1, 1)
    with store.reading() as connection:
        assert lines.progress_of(connection, BIN) == {EPOCH: (2, 4)}


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    def interrupted() -> None:
        with store.writing() as connection:
            lines.add(connection, [line(1)], at_ms=1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert add(store, line(1)).new == 1


def test_a_full_disk_raises_and_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "gateway.db")
    try:
        add(store, line(1))

        def small(connection: sqlite3.Connection, *_: Any) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        event.listen(store._engine, "connect", small)
        store._engine.dispose()
        with pytest.raises(exc.OperationalError, match="full"):
            add(store, *(line(n) for n in range(2, 400)))
        with store.reading() as connection:
            assert lines.progress_of(connection, BIN) == {EPOCH: (1, 1)}
            assert connection.scalar(sa.select(sa.func.count()).select_from(lines.lines)) == 1
    finally:
        store.close()


def test_a_locked_database_raises_after_its_wait(tmp_path: Path) -> None:
    store = open_store(tmp_path / "gateway.db", wait_ms=20)
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(exc.OperationalError, match="locked"):
            add(store, line(1))
        other.execute("ROLLBACK")
        assert add(store, line(1)).new == 1
    finally:
        other.close()
        store.close()


def test_what_a_write_block_has_read_stays_true_to_its_end(tmp_path: Path, store: Store) -> None:
    other = sqlite3.connect(tmp_path / "deep" / "gateway.db", isolation_level=None, timeout=0)
    try:
        with store.writing() as connection:
            assert lines.progress_of(connection, BIN) == {}  # nothing written yet, only read
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        with store.reading():
            other.execute("BEGIN IMMEDIATE")  # readers are in nobody's way
            other.execute("ROLLBACK")
    finally:
        other.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(StoreError, match=r"gateway\.db: is not a usable database"):
        open_store(path)
    with pytest.raises(StoreError, match="cannot be made or opened"):
        open_store(tmp_path)


def test_a_database_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = open_store(path)
    with store.writing() as connection:
        connection.execute(schema.update().values(version=SCHEMA_VERSION + 1))
    store.close()
    with pytest.raises(StoreError, match=f"version {SCHEMA_VERSION + 1}"):
        open_store(path)


def test_quarantine_counts_what_comes_again_and_lets_the_oldest_go(store: Store) -> None:
    rubbish = Reject(BIN, "t\n", "bad_mac", b"x" * 9000)
    for at_ms in (1, 2):
        with store.writing() as connection:
            quarantine.add(connection, [rubbish, rubbish], at_ms, rows_max=3)
    with store.reading() as connection:
        (row,) = quarantine.recent(connection)
        assert row._mapping["times"] == 4
        assert (row._mapping["first_ms"], row._mapping["last_ms"]) == (1, 2)
        assert (len(row._mapping["payload"]), row._mapping["size_bytes"]) == (8192, 9000)
        assert row._mapping["topic"] == "t\\n"
    with store.writing() as connection:
        for n in range(5):
            quarantine.add(connection, [Reject("", "t", "bad_form", bytes([n]))], 10 + n, 3)
        kept = [row._mapping["payload"] for row in quarantine.recent(connection)]
    assert kept == [b"\4", b"\3", b"\2"]


def reasons(store: Store) -> list[tuple[str, str]]:
    with store.reading() as connection:
        found = quarantine.recent(connection, 1000)
    return sorted((row._mapping["bin"], row._mapping["reason"]) for row in found)


def test_strangers_cannot_push_out_what_came_under_a_right_mac(store: Store) -> None:
    with store.writing() as connection:
        signed = ["bad_shape", "conflict", "store_refused"]
        for reason in signed:
            quarantine.add(connection, [Reject(BIN, "t", reason, b"evidence")], 1, rows_max=3)
        junk = [Reject("", "t", "bad_topic", bytes([n])) for n in range(50)]
        quarantine.add(connection, junk, 2, rows_max=3)
    assert reasons(store) == [("", "bad_topic")] * 3 + [(BIN, reason) for reason in signed]


def test_what_comes_under_a_right_mac_has_a_limit_for_each_bin(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "SIGNED_ROWS_MAX", 2)
    with store.writing() as connection:
        quarantine.add(connection, [Reject("B-00000", "t", "conflict", b"x")], 1, 3)
        for n in range(5):
            quarantine.add(connection, [Reject(BIN, "t", "conflict", bytes([n]))], 10 + n, 3)
        kept = [row._mapping["payload"] for row in quarantine.recent(connection)]
    assert kept == [b"\4", b"\3", b"x"]


def entry(n: int, item: bytes = b"{}") -> Entry:
    return Entry(BIN, EPOCH, n, item)


def test_outbox_keeps_order_settles_and_buries(store: Store) -> None:
    with store.writing() as connection:
        outbox.put(connection, [entry(n) for n in (1, 2, 3)], at_ms=5)
        outbox.put(connection, [entry(2, b"other")], at_ms=6)
        waiting = outbox.take(connection, 10)
        assert [(w.n, w.item) for w in waiting] == [(1, b"{}"), (2, b"{}"), (3, b"{}")]
        assert outbox.counts(connection) == (3, 5, 0, 0, 0, 0, 0)
        outcome = Outcome(BIN, EPOCH, 1, "credited", 10, 20, "", "Thank you.")
        outbox.settle(connection, waiting[:1], [outcome], at_ms=7)
        outbox.bury_sent(connection, waiting[1], "HTTP 422", at_ms=8)
        assert [w.n for w in outbox.take(connection, 10)] == [3]
        assert outbox.outcome_of(connection, BIN, EPOCH, 1) == outcome
        assert outbox.outcome_of(connection, BIN, EPOCH, 2) is None
        assert outbox.counts(connection) == (1, 5, 1, 0, 0, 1, 0)
        assert [d.n for d in outbox.dead(connection)] == [2]
        assert outbox.revive(connection, BIN, EPOCH, 2, at_ms=9)
        assert not outbox.revive(connection, BIN, EPOCH, 2, at_ms=9)
        assert [w.n for w in outbox.take(connection, 10)] == [3, 2]


def test_items_put_off_are_not_taken_until_their_time_and_then_alone(store: Store) -> None:
    with store.writing() as connection:
        outbox.put(connection, [entry(n) for n in (1, 2, 3, 4)], at_ms=5)
        one, two, three, _ = outbox.take(connection, 10)
        outbox.put_off(connection, one, until_ms=50)
        outbox.put_off(connection, two, until_ms=40)
        outbox.put_off(connection, one, until_ms=60)
        assert [w.n for w in outbox.take(connection, 10)] == [3, 4]
        assert outbox.take_put_off(connection, 39) is None
        assert outbox.take_put_off(connection, 100) == two
        assert outbox.counts(connection).put_off == 2
        outbox.bury_sent(connection, two, "HTTP 422", at_ms=41)
        assert outbox.take_put_off(connection, 59) is None
        assert outbox.take_put_off(connection, 60) == one
        assert outbox.counts(connection) == (3, 5, 0, 0, 0, 1, 1)
        assert [w.seq for w in outbox.take(connection, 1)] == [three.seq]


def test_dead_letters_are_revived_together_but_never_a_line_that_is_no_item(store: Store) -> None:
    with store.writing() as connection:
        letters = [
            Entry(BIN, EPOCH, 1, b"{}", "HTTP 400: 100% wrong"),
            Entry(BIN, EPOCH, 2, b"{}", "HTTP 400: 100x wrong"),
            Entry(BIN, EPOCH, 3, line(3).line.raw, "bad_shape: not a deposit"),
        ]
        outbox.bury(connection, letters, at_ms=1)
        assert outbox.revive_all(connection, "100%", at_ms=9) == 1
        assert [w.n for w in outbox.take(connection, 10)] == [1]
        assert outbox.revive_all(connection, "", at_ms=9) == 1
        assert not outbox.revive(connection, BIN, EPOCH, 3, at_ms=9)
        assert [d.n for d in outbox.dead(connection)] == [3]


def test_fleet_rows(store: Store) -> None:
    with store.writing() as connection:
        before = fleet.bins_mark(connection)
        new = {"station": "S-DEMO", "name": "Door", "key": KEY, "at_ms": 1}
        assert fleet.add_bin(connection, bin_id=BIN, **new)
        assert not fleet.add_bin(connection, bin_id=BIN, **new)
        assert fleet.bins_mark(connection) != before
        assert fleet.find_bin(connection, BIN) == (BIN, "S-DEMO", KEY)
        assert fleet.find_bin(connection, "B-00000") is None
        fleet.note_seen(connection, [fleet.Seen(BIN, online=True), fleet.Seen("B-00000")], 7)
        fleet.note_seen(connection, [fleet.Seen(BIN, health=b"{}")], 8)
        fleet.note_seen(connection, [fleet.Seen(BIN, online=True, heard=False)], 9)
        lines.add(connection, [line(1), line(2)], 9)
        outbox.put(connection, [entry(1)], 9)
        assert fleet.states(connection) == [
            (BIN, "S-DEMO", "Door", True, 8, b"{}", 8, 2, 1),
        ]
        assert fleet.secret(connection, "s", b"first") == b"first"
        assert fleet.secret(connection, "s", b"second") == b"first"

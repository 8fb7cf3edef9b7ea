"""What the intake decides about a message, and what it says to whom, and when."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc

from gateway import wire
from gateway.config import GatewaySettings
from gateway.fleet.keys import BinKeys, Keys, keys_of
from gateway.intake.commit import Committed
from gateway.intake.judge import Batch, Message, judge
from gateway.intake.worker import Worker
from gateway.store import Store, fleet, open_store, quarantine
from gateway.store.fleet import BinRow, Seen
from tests.support.gateway import LIMIT_S, SimBin, sign, wait_for

BIN, KEY = "B-7K2QM", bytes(range(32))
KEYS = keys_of(BinRow(BIN, "S-DEMO", KEY))


def find(bin_id: str) -> BinKeys | None:
    return KEYS if bin_id == BIN else None


def message(leaf: str, payload: bytes, mid: int = 1, **more: Any) -> Message:
    topic = more.pop("topic", wire.topic(BIN, leaf))
    return Message(topic, payload, 1, mid, more.pop("retain", False), more.pop("session", 1))


def judged(*messages: Message) -> Batch:
    batch = Batch()
    for one in messages:
        judge(one, find, batch)
    return batch


def reasons(batch: Batch) -> list[tuple[str, str]]:
    return [(reject.bin, reject.reason) for reject in batch.rejects]


BOX = SimBin(0, BIN, KEY)
DONE = sign(BIN, KEY, "done", b'{"id":1,"status":"done","why":"","data":{}}')


def test_good_lines_arrive_with_their_station() -> None:
    batch = judged(message("journal", BOX.line(1) + BOX.line(2)))
    assert [(item.bin, item.station, item.line.n) for item in batch.arrived] == [
        (BIN, "S-DEMO", 1),
        (BIN, "S-DEMO", 2),
    ]
    assert batch.rejects == []
    assert batch.seen == {BIN: Seen(BIN)}
    assert batch.keys == {BIN: KEYS}


@pytest.mark.parametrize(
    ("given_message", "expected"),
    [
        (message("journal", b""), (BIN, "empty")),
        (message("journal", b"x" * 8193), (BIN, "too_big")),
        (message("journal", b"x\n"), (BIN, "bad_form")),
        (message("journal", BOX.line(1), retain=True), (BIN, "retained")),
        (message("journal", BOX.line(1), topic="boxback/1/00/B-7K2QM/journal"), ("", "bad_topic")),
        (message("journal", BOX.line(1), topic=""), ("", "bad_topic")),
        (
            message("journal", b"", topic=wire.topic("B-00000", "journal")),
            ("B-00000", "unknown_bin"),
        ),
        (message("command", BOX.line(1)), (BIN, "bad_topic")),
        (message("online", b"2"), (BIN, "bad_form")),
        (message("online", b""), (BIN, "bad_form")),
        (message("done", DONE, retain=True), (BIN, "retained")),
        (message("done", b""), (BIN, "empty")),
        (message("done", DONE + b" "), (BIN, "bad_mac")),
        (message("done", sign(BIN, KEY, "command", b'{"id":1}')), (BIN, "bad_mac")),
        (message("done", sign(BIN, KEY, "done", b"[1]")), (BIN, "bad_json")),
        (message("done", sign(BIN, KEY, "done", b'{"id":1}')), (BIN, "bad_shape")),
        (message("done", sign(BIN, KEY, "done", b"{" + b" " * 2048 + b"}")), (BIN, "too_big")),
        (
            message("done", sign(BIN, KEY, "done", b'{"id":1,"data":' + b"[" * 65 + b"]" * 65)),
            (BIN, "bad_shape"),
        ),
        (message("health", b"{}"), (BIN, "bad_form")),
        (message("health", sign(BIN, KEY, "journal", b"{}")), (BIN, "bad_mac")),
        (message("health", sign(BIN, KEY, "health", b"[]")), (BIN, "bad_json")),
        (
            message("health", sign(BIN, KEY, "health", b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")),
            (BIN, "bad_shape"),
        ),
        (message("health", sign(BIN, KEY, "health", b'{"a":1e999}')), (BIN, "bad_json")),
        (message("health", sign(BIN, KEY, "health", b"{" + b" " * 2048 + b"}")), (BIN, "too_big")),
    ],
)
def test_a_bad_message_is_kept_with_its_reason(
    given_message: Message, expected: tuple[str, str]
) -> None:
    batch = judged(given_message)
    assert reasons(batch) == [expected]
    assert batch.rejects[0].payload == given_message.payload
    assert (batch.arrived, batch.seen, batch.keys) == ([], {}, {})


def test_an_answer_is_taken_and_is_a_sign_of_life() -> None:
    batch = judged(message("done", DONE))
    assert [(answer.bin, answer.done.number) for answer in batch.answers] == [(BIN, 1)]
    assert batch.seen == {BIN: Seen(BIN)}
    assert batch.rejects == []


def test_a_bad_line_does_not_touch_its_neighbours() -> None:
    wrong = BOX.line(2).replace(b'"n":2', b'"n":3')
    batch = judged(message("journal", BOX.line(1) + wrong + BOX.line(3)), message("online", b"1"))
    assert [item.line.n for item in batch.arrived] == [1, 3]
    assert [(reject.reason, reject.payload) for reject in batch.rejects] == [("bad_mac", wrong)]
    assert batch.seen == {BIN: Seen(BIN, online=True)}


def test_an_odd_line_is_both_stored_and_kept_aside() -> None:
    """Its bin would otherwise send it for ever, for no resending mends what it signed."""
    body = b'{"e":"5f3a9c01","n":1,"t":"soon"}'
    odd = sign(BIN, KEY, "journal", body) + b"\n"
    batch = judged(message("journal", odd))
    assert [(item.line.n, item.line.kind) for item in batch.arrived] == [(1, "")]
    assert reasons(batch) == [(BIN, "bad_shape")]


def test_the_last_sign_of_life_counts() -> None:
    health = sign(BIN, KEY, "health", b'{"fw":"1"}')
    batch = judged(message("online", b"1"), message("health", health), message("online", b"0"))
    assert batch.seen == {BIN: Seen(BIN, online=False, health=b'{"fw":"1"}', heard=True)}


def test_what_the_broker_says_for_a_bin_is_not_heard_from_it() -> None:
    will = judged(message("online", b"0"))
    assert will.seen == {BIN: Seen(BIN, online=False, heard=False)}
    retained = judged(message("online", b"1", retain=True))
    assert retained.seen == {BIN: Seen(BIN, online=True, heard=False)}


@given(
    st.text(max_size=40) | st.sampled_from([wire.topic(BIN, x) for x in ("journal", "health")]),
    st.binary(max_size=9000),
    st.booleans(),
)
def test_no_message_raises_and_none_is_lost(topic: str, payload: bytes, retain: bool) -> None:
    batch = judged(Message(topic, payload, 1, 1, retain, 1))
    assert batch.arrived == []
    assert b"".join(reject.payload for reject in batch.rejects) == payload


# --- the worker, with a link that writes down what is said ---


class Notebook:
    """Stands in for the link."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []
        self.acked = threading.Semaphore(0)

    def publish(self, bin_id: str, leaf: str, payload: bytes, qos: int) -> bool:
        self.said.append((f"{leaf} {bin_id} qos {qos}", payload[23:]))
        return True

    def ack(self, one: Message) -> None:
        self.said.append(("ack", one.mid))
        self.acked.release()

    def wait_acks(self, many: int) -> None:
        for _ in range(many):
            assert self.acked.acquire(timeout=LIMIT_S)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "gateway.db")
    with opened.writing() as connection:
        fleet.add_bin(connection, bin_id=BIN, station="S-DEMO", name="x", key=KEY, at_ms=1)
    yield opened
    opened.close()


class Bench:
    """A running worker with its notebook and inbox."""

    def __init__(self, store: Store, kind: type[Worker] = Worker, **values: Any) -> None:
        self.link = Notebook()
        self.inbox: queue.Queue[Message] = queue.Queue(1000)
        self.woken = threading.Event()
        settings = GatewaySettings(commit_retry_max_s=0.05, **values)
        self.worker = kind(
            settings,
            store,
            Keys(store),
            self.link,  # type: ignore[arg-type]
            self.inbox,
            self.woken.set,
        )

    def __enter__(self) -> Self:
        self.worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop()
        self.worker.join(LIMIT_S)
        assert not self.worker.is_alive()


def test_receipt_then_acks_in_order_of_arrival(store: Store) -> None:
    with Bench(store, batch_wait_ms=500, window_messages=6) as bench:
        for mid in (7, 8, 9):
            bench.inbox.put(message("journal", BOX.line(mid - 6), mid))
        bench.link.wait_acks(3)
    receipt = (f"receipt {BIN} qos 1", b'{"e":"5f3a9c01","n":3}')
    assert bench.link.said == [receipt, ("ack", 7), ("ack", 8), ("ack", 9)]


def test_a_batch_closes_by_time_when_the_window_is_not_full(store: Store) -> None:
    with Bench(store, batch_wait_ms=1, window_messages=1000, batch_lines=5000) as bench:
        bench.inbox.put(message("journal", BOX.line(1)))
        bench.link.wait_acks(1)


def test_a_batch_never_waits_for_more_than_half_the_window(store: Store) -> None:
    with Bench(store, batch_wait_ms=1000, window_messages=2) as bench:
        assert bench.worker.batch_messages == 1
        bench.inbox.put(message("journal", BOX.line(1)))
        bench.link.wait_acks(1)


def test_rubbish_is_acked_without_a_receipt(store: Store) -> None:
    with Bench(store) as bench:
        bench.inbox.put(message("journal", b"rubbish\n", 5))
        bench.link.wait_acks(1)
    assert bench.link.said == [("ack", 5)]
    with store.reading() as connection:
        assert len(quarantine.recent(connection)) == 1


def test_no_receipt_while_line_one_is_missing(store: Store) -> None:
    with Bench(store) as bench:
        bench.inbox.put(message("journal", BOX.line(2), 5))
        bench.link.wait_acks(1)
    assert bench.link.said == [("ack", 5)]


def test_deposits_wake_the_relay_and_others_do_not(store: Store) -> None:
    with Bench(store) as bench:
        bench.inbox.put(message("journal", BOX.line(1)))
        bench.link.wait_acks(1)
        assert not bench.woken.is_set()
        data = {"pass": "P", "label": "", "g": 1, "ms": 1, "age": 1}
        bench.inbox.put(message("journal", BOX.line(2, "deposit", data)))
        bench.link.wait_acks(1)
        assert bench.woken.is_set()


class FullDisk(Worker):
    """A disk that is full until there is room."""

    room = False
    tries = 0

    def commit(self, batch: Batch) -> Committed:
        self.tries += 1
        if not self.room:
            raise exc.OperationalError("INSERT", {}, Exception("database or disk is full"))
        return super().commit(batch)


def test_a_commit_that_fails_says_nothing_until_it_succeeds(store: Store) -> None:
    with Bench(store, FullDisk) as bench:
        assert isinstance(bench.worker, FullDisk)
        bench.inbox.put(message("journal", BOX.line(1), 5))
        wait_for("some tries", lambda: bench.worker.tries >= 3)
        assert bench.link.said == []
        bench.worker.room = True
        bench.link.wait_acks(1)
    assert bench.link.said == [(f"receipt {BIN} qos 1", b'{"e":"5f3a9c01","n":1}'), ("ack", 5)]


def test_the_worker_can_be_stopped_while_the_disk_is_full(store: Store) -> None:
    with Bench(store, FullDisk) as bench:
        assert isinstance(bench.worker, FullDisk)
        bench.inbox.put(message("journal", BOX.line(1), 5))
        wait_for("a try", lambda: bench.worker.tries)
    assert bench.link.said == []
    assert not bench.worker.failed.is_set()


class Picky(Worker):
    """A database that will never take line 2."""

    def commit(self, batch: Batch) -> Committed:
        if any(item.line.n == 2 for item in batch.arrived):
            raise exc.DataError("INSERT", {}, Exception("value too odd"))
        return super().commit(batch)


def test_what_the_database_never_takes_does_not_hold_up_the_others(store: Store) -> None:
    with Bench(store, Picky, batch_wait_ms=500, window_messages=6) as bench:
        for n in (1, 2, 3):
            bench.inbox.put(message("journal", BOX.line(n), n))
        bench.link.wait_acks(3)
    receipts = [body for what, body in bench.link.said if what.startswith("receipt")]
    assert receipts[-1] == b'{"e":"5f3a9c01","n":1}'
    with store.reading() as connection:
        (row,) = quarantine.recent(connection)
    assert row._mapping["reason"] == "store_refused"
    assert row._mapping["payload"] == BOX.line(2)


class Broken(Worker):
    """A defect in the program."""

    def commit(self, batch: Batch) -> Committed:
        raise ZeroDivisionError(len(batch.arrived))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_ends_the_worker_and_is_seen(store: Store) -> None:
    with Bench(store, Broken) as bench:
        bench.inbox.put(message("journal", BOX.line(1)))
        assert bench.worker.failed.wait(LIMIT_S)
    assert bench.link.said == []

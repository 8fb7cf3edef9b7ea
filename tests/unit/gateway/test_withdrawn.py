"""A line `withdrawn` on its way to points: its item, its place in the outbox, and its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.intake.commit import commit
from gateway.intake.judge import Batch
from gateway.relay import feed as feed_module
from gateway.relay.client import Done, Later, Reply, Result
from gateway.relay.feed import ALONE_TRIES, PUT_OFF_S, Feed
from gateway.relay.items import entry_of
from gateway.relay.sender import Sender
from gateway.store import Store, open_store, outbox
from gateway.store.lines import Arrived
from gateway.store.outbox import Outcome
from tests.support.gateway import SimBin

BIN, OTHER, KEY, EPOCH = "B-7K2QM", "B-00000", bytes(range(32)), "5f3a9c01"
BOX = SimBin(0, BIN, KEY)
DEPOSIT = {"pass": "BB1.X", "label": "L" * 22, "g": 312, "ms": 1840, "age": 5230}
BROKEN = Later("HTTP 500", blames=True)


def arrived(raw: bytes, bin_id: str = BIN) -> Arrived:
    line = wire.parse_line(wire.Signer(bin_id, KEY, "journal"), raw)
    assert isinstance(line, wire.Line)
    return Arrived(bin_id, "S-DEMO", line, 1668153600999)


# --- the item ---


@pytest.mark.parametrize(
    ("clock", "t"), [("ntp", 1668153600123), ("rtc", 1668153600123), ("none", 0)]
)
def test_the_item_of_a_withdrawal(clock: str, t: int) -> None:
    data = {"of": 41, "g": 308, "new": [1]}
    entry = entry_of(arrived(BOX.line(42, "withdrawn", data, 1668153600123, clock)))
    assert entry is not None
    assert (entry.bin, entry.epoch, entry.n, entry.reason) == (BIN, EPOCH, 42, "")
    assert list(json.loads(entry.item).items()) == [
        ("id", f"{BIN}.{EPOCH}.42"),
        ("kind", "withdrawn"),
        ("of", f"{BIN}.{EPOCH}.41"),
        ("bin", BIN),
        ("station", "S-DEMO"),
        ("t", t),
        ("clock", clock),
        ("received", 1668153600999),
        ("g", 308),
    ]


def test_the_item_of_a_deposit_is_what_it_always_was() -> None:
    entry = entry_of(arrived(BOX.line(42, "deposit", DEPOSIT)))
    assert entry is not None
    assert entry.item == (
        b'{"id":"B-7K2QM.5f3a9c01.42","kind":"deposit","bin":"B-7K2QM","station":"S-DEMO",'
        b'"t":1668153600123,"clock":"ntp","scanned_at":1668153594893,"received":1668153600999,'
        b'"pass":"BB1.X","label":"LLLLLLLLLLLLLLLLLLLLLL","g":312}'
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"g": 308},
        {"of": 41},
        *({"of": of, "g": 308} for of in (42, 43, 0, -1, 2**31, "41", 1.5, True, None, [41])),
        {"of": 41, "g": "heavy"},
    ],
)
def test_one_that_names_no_earlier_line_is_passed_by(data: dict[str, Any]) -> None:
    assert entry_of(arrived(BOX.line(42, "withdrawn", data))) is None


def test_an_odd_line_that_says_withdrawn_is_passed_by() -> None:
    body = f'{{"e":"{EPOCH}","n":2,"t":"soon","c":"ntp","k":"withdrawn","d":{{"of":1,"g":1}}}}'
    raw = wire.Signer(BIN, KEY, "journal").sign(body.encode()) + b"\n"
    assert entry_of(arrived(raw)) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(JSON | st.integers(-3, 50), JSON | st.integers(0, 9))
def test_whatever_it_says_it_is_a_good_item_or_none(of: Any, g: Any) -> None:
    raw = BOX.line(42, "withdrawn", {"of": of, "g": g})
    if len(raw) > wire.LINE_MAX_BYTES:
        return
    entry = entry_of(arrived(raw))
    if entry is not None:
        item = json.loads(entry.item)
        assert 0 < wire.parse_line_id(item["of"])[2] < 42
        assert isinstance(item["g"], int)
        assert entry.reason == ""
    else:
        assert not (type(of) is int and 0 < of < 42 and type(g) is int and abs(g) < 2**63)


# --- through the outbox ---


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "gateway.db")
    yield opened
    opened.close()


def write(store: Store, *lines: tuple[str, int, dict[str, Any]], bin_id: str = BIN) -> None:
    """Commit (kind, n, d) as the intake does."""
    box = SimBin(0, bin_id, KEY)
    found = [arrived(box.line(n, kind, data), bin_id) for kind, n, data in lines]
    commit(store, Batch(arrived=found), at_ms=1, quarantine_rows=100)


def weighed_again(n: int = 1) -> list[tuple[str, int, dict[str, Any]]]:
    return [
        ("deposit", n, DEPOSIT),
        ("withdrawn", n + 1, {"of": n, "g": 312}),
        ("deposit", n + 2, DEPOSIT),
    ]


class Backend:
    """Points as the sender sees it; it fails on the ids in `poison`."""

    def __init__(self) -> None:
        self.poison: set[str] = set()
        self.taken: list[str] = []

    def post(self, ids: Sequence[str], _: bytes) -> Reply:
        if self.poison & set(ids):
            return BROKEN
        self.taken += ids
        return Done([Result(name, "withdrawn", -10, 0, "", "") for name in ids])


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def feed(store: Store, backend: Backend) -> Feed:
    return Feed(store, Sender(store, backend.post, lambda _: None), 16)


def ids(*numbers: int, bin_id: str = BIN) -> list[str]:
    return [wire.line_id(bin_id, EPOCH, n) for n in numbers]


def test_it_is_queued_in_its_order_and_only_when_no_gap_is_before_it(store: Store) -> None:
    first, second, third = weighed_again()
    write(store, third, second)  # line 1 is missing
    with store.reading() as connection:
        assert outbox.take(connection, 10) == []
    write(store, first, ("withdrawn", 4, {"of": 9, "g": 1}), ("reuse", 5, DEPOSIT))
    write(store, first, second, third)
    with store.reading() as connection:
        waiting = outbox.take(connection, 10)
        assert [entry.n for entry in waiting] == [1, 2, 3]
        assert outbox.dead(connection) == []
    assert [json.loads(entry.item)["kind"] for entry in waiting] == [
        *("deposit", "withdrawn", "deposit")
    ]


def test_its_outcome_is_kept_told_and_counted(store: Store, backend: Backend) -> None:
    told: list[Outcome] = []
    write(store, *weighed_again())
    assert Feed(store, Sender(store, backend.post, told.append), 16).pass_on() is True
    assert told[1] == Outcome(BIN, EPOCH, 2, "withdrawn", -10, 0, "", "")
    with store.reading() as connection:
        assert outbox.outcome_of(connection, BIN, EPOCH, 2) == told[1]
        assert outbox.counts(connection).withdrawn == 3


def drain(feed: Feed) -> None:
    """Call until there is nothing that may be sent, or all that is left is held up."""
    for _ in range(200):
        if feed.pass_on() is False:
            return


def test_a_withdrawal_put_off_is_not_overtaken_by_its_own_journal(
    store: Store, feed: Feed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000_000]
    monkeypatch.setattr(feed_module, "now_ms", lambda: clock[0])
    backend.poison = set(ids(2))
    write(store, *weighed_again(), ("deposit", 4, DEPOSIT))
    write(store, *weighed_again(), bin_id=OTHER)
    drain(feed)
    assert sorted(backend.taken) == sorted(ids(1) + ids(1, 2, 3, bin_id=OTHER))
    with store.reading() as connection:
        assert outbox.counts(connection).put_off == 1
        assert outbox.take(connection, 10) == []
    write(store, ("deposit", 4, DEPOSIT), bin_id=OTHER)  # another bin goes on
    drain(feed)
    assert backend.taken[-1] == ids(4, bin_id=OTHER)[0]
    backend.poison = set()
    clock[0] += int(PUT_OFF_S * 1000)
    drain(feed)
    assert backend.taken[-3:] == ids(2, 3, 4)


def test_a_deposit_put_off_is_overtaken_by_its_withdrawal(
    store: Store, feed: Feed, backend: Backend
) -> None:
    backend.poison = set(ids(1))
    write(store, *weighed_again())
    drain(feed)
    assert backend.taken == ids(2, 3)


def test_nothing_is_tried_in_the_place_of_a_withdrawal_but_what_may_overtake_it(
    store: Store, feed: Feed, backend: Backend
) -> None:
    """Alone with its own journal it waits; whoever is drawn at random is of another one."""
    backend.poison = set(ids(2))
    write(store, *weighed_again(), *(("deposit", n, DEPOSIT) for n in range(4, 30)))
    for _ in range(ALONE_TRIES * 10):
        feed.pass_on()
    assert backend.taken == ids(1)
    write(store, ("deposit", 1, DEPOSIT), bin_id=OTHER)
    drain(feed)
    assert backend.taken == ids(1) + ids(1, bin_id=OTHER)


def test_a_suspect_of_another_bin_lets_nobody_overtake_a_withdrawal(
    store: Store, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one to be tried in the place of a suspect: never behind a withdrawal that waits."""
    write(store, ("deposit", 1, DEPOSIT), bin_id=OTHER)
    write(store, *weighed_again(), ("deposit", 4, DEPOSIT))
    offered: list[list[int]] = []

    def first(others: list[outbox.Waiting]) -> outbox.Waiting:
        offered.append([other.n for other in others])
        return others[0]

    monkeypatch.setattr(feed_module.secrets, "choice", first)
    backend.poison = set(ids(1, bin_id=OTHER))
    drain(Feed(store, Sender(store, backend.post, lambda _: None), 16))
    assert offered[0] == [1, 2]
    assert backend.taken == ids(1, 2, 3, 4)

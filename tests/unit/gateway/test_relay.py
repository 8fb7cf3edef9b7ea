"""What the relay makes of an answer, and that every item ends in exactly one place."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import wire
from gateway.config import ConfigError
from gateway.relay import client
from gateway.relay.client import Done, Later, Mend, Refused, Reply, Result
from gateway.relay.items import entry_of
from gateway.relay.sender import REFUSED_MAX, Sender, body_of
from gateway.relay.service import Relay, read_key
from gateway.store import Store, open_store, outbox
from gateway.store.lines import Arrived
from gateway.store.outbox import Entry, Outcome, Waiting
from gateway.store.tables import metadata
from tests.support.gateway import LIMIT_S, SimBin, settings_for, wait_for

BIN, KEY, EPOCH = "B-7K2QM", bytes(range(32)), "5f3a9c01"
BOX = SimBin(0, BIN, KEY)
SIGNER = wire.Signer(BIN, KEY, "journal")
IDS = [wire.line_id(BIN, EPOCH, n) for n in (1, 2)]


def result(name: str, **more: Any) -> dict[str, Any]:
    fields = {"status": "credited", "points": 10, "balance": 10, "code": "", "why": ""}
    return {"id": name, **fields, **more}


def meaning(answer: httpx.Response | Exception) -> Reply:
    """What one answer of the backend means for IDS."""

    def handler(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        return client.post(http, "http://points", "key", IDS, b"{}")


def test_every_item_decided() -> None:
    refused = result(IDS[1], status="refused", points=0, code="label_seen", why="Seen.", extra=1)
    reply = meaning(httpx.Response(200, json={"results": [result(IDS[0]), refused], "more": 1}))
    assert reply == Done(
        [
            Result(IDS[0], "credited", 10, 10, "", ""),
            Result(IDS[1], "refused", 0, 10, "label_seen", "Seen."),
        ]
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.ConnectError("refused"), Later),
        (httpx.ReadTimeout("slow"), Later),
        (httpx.RemoteProtocolError("hung up"), Later),
        (httpx.Response(500), Later),
        (httpx.Response(503), Later),
        (httpx.Response(429), Later),
        (httpx.Response(408), Later),
        (httpx.Response(200, content=b"x" * (client.REPLY_MAX_BYTES + 1)), Later),
        (httpx.Response(400, json={"code": "bad_request", "why": "no"}), Refused),
        (httpx.Response(413, json={"code": "too_large", "why": "no"}), Refused),
        (httpx.Response(422, json={"code": "bad_request", "why": "no"}), Refused),
        (httpx.Response(400, text="<html>plain HTTP request to an HTTPS port"), Mend),
        (httpx.Response(413), Mend),
        (httpx.Response(422, json={"detail": []}), Mend),
        (httpx.Response(401), Mend),
        (httpx.Response(403), Mend),
        (httpx.Response(404), Mend),
        (httpx.Response(307, headers={"Location": "http://elsewhere"}), Mend),
        (httpx.Response(204), Mend),
        (httpx.Response(200, content=b"<html>"), Mend),
        (httpx.Response(200, content=b"\xff"), Mend),
        (httpx.Response(200, json={"results": [result(IDS[0])]}), Mend),
        (httpx.Response(200, json={"results": [result(n, balance=2**63) for n in IDS]}), Mend),
        (httpx.Response(200, json={"results": [result(n, points=-(2**64)) for n in IDS]}), Mend),
        (httpx.Response(200, json={"results": [result(n, code="c" * 25) for n in IDS]}), Mend),
        (httpx.Response(200, json={"results": [result(IDS[1]), result(IDS[0])]}), Mend),
        (
            httpx.Response(200, json={"results": [result(IDS[0]), result(IDS[1], status="maybe")]}),
            Mend,
        ),
    ],
)
def test_what_an_answer_means(answer: httpx.Response | Exception, kind: type[Reply]) -> None:
    assert isinstance(meaning(answer), kind)


@pytest.mark.parametrize(
    ("value", "at_least_s"), [("7", 7.0), ("999999", 600.0), ("soon", 0.0), ("-1", 0.0), ("", 0.0)]
)
def test_retry_after_is_kept_within_reason(value: str, at_least_s: float) -> None:
    reply = meaning(httpx.Response(503, headers={"Retry-After": value}))
    assert reply == Later("HTTP 503", at_least_s, blames=True)


@pytest.mark.parametrize(
    ("answer", "blames"),
    [
        (httpx.Response(500), True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("hung up"), True),
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("away"), False),
        (httpx.Response(429), False),
    ],
)
def test_who_may_be_to_blame(answer: httpx.Response | Exception, blames: bool) -> None:
    reply = meaning(answer)
    assert isinstance(reply, Later)
    assert reply.blames is blames


# --- the sender ---


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "gateway.db")
    yield opened
    opened.close()


def filled(store: Store, numbers: list[int]) -> list[Waiting]:
    with store.writing() as connection:
        entries = [Entry(BIN, EPOCH, n, b'{"n":%d}' % n) for n in numbers]
        outbox.put(connection, entries, at_ms=1)
        return outbox.take(connection, 500)


def done(ids: Any) -> Done:
    return Done([Result(name, "credited", 10, 10, "", "") for name in ids])


def numbers_in(body: bytes) -> list[int]:
    return [item["n"] for item in json.loads(body)["items"]]


def left(store: Store) -> list[int]:
    with store.reading() as connection:
        return [waiting.n for waiting in outbox.take(connection, 500)]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 40)), st.integers(1, 40))
def test_exactly_the_bad_items_are_buried_and_the_others_told_once(
    bad: set[int], many: int
) -> None:
    store = Store(sa.create_engine("sqlite://", poolclass=sa.StaticPool))
    with store.writing() as connection:
        metadata.create_all(connection)
    items = filled(store, list(range(1, many + 1)))
    bad &= set(range(1, many))  # the last is good
    told: list[int] = []

    def post(ids: Any, body: bytes) -> Reply:
        return Refused("HTTP 422") if bad & set(numbers_in(body)) else done(ids)

    sender = Sender(store, post, lambda outcome: told.append(outcome.n))
    while items:
        before = len(items)
        held = sender.send(items)
        with store.reading() as connection:
            items = outbox.take(connection, 500)
        if held is None:
            assert len(items) < before
        else:  # many bad ones, wherever it looked: nothing is lost, and the operator is called
            assert isinstance(held, Mend)
            assert len(bad) > REFUSED_MAX
            store.close()
            return
    expected = [n for n in range(1, many + 1) if n not in bad]
    assert sorted(told) == expected
    assert len(bad) >= REFUSED_MAX or told == expected
    with store.reading() as connection:
        assert {letter.n for letter in outbox.dead(connection)} == bad
    store.close()


def test_points_that_refuse_everything_bury_nothing_more(store: Store) -> None:
    items = filled(store, list(range(1, 101)))
    asked: list[int] = []
    mended: list[bool] = []

    def post(ids: Any, _: bytes) -> Reply:
        asked.append(len(ids))
        return done(ids) if mended else Refused("HTTP 422")

    sender = Sender(store, post, lambda _: None)
    held = sender.send(items)
    assert isinstance(held, Mend)
    assert "points refuses every item" in held.reason
    assert len(asked) < 30
    for _ in range(5):  # nor one by one
        assert isinstance(sender.send(items[:1]), Mend)
    assert left(store) == list(range(1, 101))
    mended.append(True)
    assert sender.send(items) is None
    with store.reading() as connection:
        assert outbox.dead(connection) == []


def test_bad_items_before_a_good_one_are_the_items_fault(store: Store) -> None:
    items = filled(store, [1, 2, 3, 4])
    sender = Sender(
        store,
        lambda ids, body: done(ids) if numbers_in(body) == [4] else Refused("HTTP 422"),
        lambda _: None,
    )
    assert sender.send(items) is None
    assert left(store) == []


def test_a_long_sentence_is_cut(store: Store) -> None:
    answer = Result(IDS[0], "refused", 0, 0, "label_seen", "w" * 9000)
    told: list[Outcome] = []
    assert Sender(store, lambda *_: Done([answer]), told.append).send(filled(store, [1])) is None
    assert len(told[0].why) == 500


@pytest.mark.parametrize("held", [Later("away"), Mend("HTTP 401")])
def test_what_must_wait_stays_in_the_outbox(store: Store, held: Reply) -> None:
    items = filled(store, [1, 2, 3, 4])
    answers: list[Callable[[Any], Reply]] = [
        lambda _: Refused("HTTP 413"),
        done,  # the older half
        lambda _: held,
    ]
    sender = Sender(store, lambda ids, _: answers.pop(0)(ids), lambda _: None)
    assert sender.send(items) == held
    assert left(store) == [3, 4]


def test_an_outcome_is_stored_before_it_is_told(store: Store) -> None:
    items = filled(store, [1])

    def tell(outcome: Outcome) -> None:
        with store.reading() as connection:
            assert outbox.outcome_of(connection, BIN, EPOCH, 1) == outcome

    assert Sender(store, lambda ids, _: done(ids), tell).send(items) is None


def test_a_retry_is_the_same_to_the_byte(store: Store) -> None:
    assert body_of(filled(store, [1, 2])) == b'{"items":[{"n":1},{"n":2}]}'


# --- items ---


def arrived(raw: bytes) -> Arrived:
    line = wire.parse_line(SIGNER, raw)
    assert isinstance(line, wire.Line)
    return Arrived(BIN, "S-DEMO", line, 1668153600999)


DEPOSIT = {"pass": "BB1.X", "label": "L" * 22, "g": 312, "ms": 1840, "age": 5230, "new": [1]}


@pytest.mark.parametrize(
    ("clock", "t_ms", "expected"),
    [
        ("ntp", 1668153600123, ("ntp", 1668153600123, 1668153594893)),
        ("rtc", 1668153600123, ("rtc", 1668153600123, 1668153594893)),
        ("none", 0, ("none", 0, -5230)),
        ("gps", 1668153600123, ("none", 0, -5230)),
        ("gnss-time", 1668153600123, ("none", 0, -5230)),
    ],
)
def test_the_times_of_an_item(clock: str, t_ms: int, expected: tuple[str, int, int]) -> None:
    entry = entry_of(arrived(BOX.line(42, "deposit", DEPOSIT, t_ms, clock)))
    assert entry is not None
    item = json.loads(entry.item)
    assert (item["clock"], item["t"], item["scanned_at"]) == expected
    assert item["received"] == 1668153600999
    assert (item["id"], item["g"], item["pass"]) == (f"{BIN}.{EPOCH}.42", 312, "BB1.X")
    assert entry.reason == ""


def test_points_hear_of_deposits_only() -> None:
    assert entry_of(arrived(BOX.line(1, "boot", {}))) is None
    assert entry_of(arrived(BOX.line(1, "reuse", DEPOSIT))) is None


@pytest.mark.parametrize("key", ["pass", "label", "g", "ms", "age"])
def test_a_deposit_that_is_none_cannot_be_sent(key: str) -> None:
    data = {name: value for name, value in DEPOSIT.items() if name != key}
    raw = BOX.line(1, "deposit", data)
    entry = entry_of(arrived(raw))
    assert entry is not None
    assert entry.reason.startswith("bad_shape")
    assert entry.item == raw


@pytest.mark.parametrize(
    ("kind", "dead"), [('"deposit"', True), ("7", True), ('"boot"', False), ('"a new kind"', False)]
)
def test_an_odd_line_that_may_be_a_deposit_is_a_dead_letter(kind: str, dead: bool) -> None:
    body = f'{{"e":"{EPOCH}","n":1,"t":"soon","c":"ntp","k":{kind},"d":{{}}}}'
    raw = SIGNER.sign(body.encode()) + b"\n"
    entry = entry_of(arrived(raw))
    assert (entry is not None) is dead
    if entry is not None:
        assert entry.reason.startswith("bad_shape: ")
        assert entry.item == raw


# --- the thread ---


def test_the_relay_waits_for_its_key_and_stops_when_asked(tmp_path: Path, store: Store) -> None:
    setup = settings_for(tmp_path, 1883)
    text = setup.relay_key_path.read_text()
    setup.relay_key_path.unlink()
    filled(store, [1])
    told: list[Outcome] = []
    keys: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Authorization"])
        return httpx.Response(200, json={"results": [result(IDS[0])]})

    relay = Relay(setup, store, told.append, httpx.MockTransport(handler))
    relay.start()
    try:
        wait_for("a try without key", lambda: relay._backoff.tries)
        assert left(store) == [1]
        setup.relay_key_path.touch(mode=0o600)
        setup.relay_key_path.write_text(text)
        wait_for("the outcome", lambda: told)
        assert keys == ["Bearer the-gateway's-key"]
    finally:
        relay.stop()
        relay.join(LIMIT_S)
    assert not relay.is_alive()
    assert not relay.failed.is_set()


def test_the_relay_waits_at_its_start_for_a_way_to_tell_but_not_for_ever(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, [1])
    connected, told = threading.Event(), threading.Event()
    early: list[bool] = []

    def handler(_request: httpx.Request) -> httpx.Response:
        early.append(not connected.is_set())
        return httpx.Response(200, json={"results": [result(IDS[0])]})

    def relay() -> Relay:
        return Relay(
            settings_for(tmp_path, 1883),
            store,
            lambda _: told.set(),
            httpx.MockTransport(handler),
            connected,
        )

    def ended(one: Relay) -> bool:
        one.stop()
        one.join(LIMIT_S)
        return not one.is_alive()

    patient = relay()
    patient.start()
    try:
        assert not told.wait(0.3)  # it would have been told by now
        connected.set()
        assert told.wait(LIMIT_S)
    finally:
        assert ended(patient)
    assert early == [False]

    connected.clear()
    told.clear()
    with store.writing() as connection:
        outbox.put(connection, [Entry(BIN, EPOCH, 1, b"{}")], at_ms=1)
    monkeypatch.setattr("gateway.relay.service.TELL_WAIT_S", 0.1)
    alone = relay()
    alone.start()
    try:
        assert told.wait(LIMIT_S)  # no broker: the credit is made all the same
    finally:
        assert ended(alone)
    assert early == [False, True]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("secret\n", "secret"),
        ('pepper = "p"\ngateway_key = "secret"\n', "secret"),
        ("", None),
        ("two words\nand a line", None),
        ("gateway_key = 'x", None),
        ("ключ", None),
    ],
)
def test_the_key_file(tmp_path: Path, text: str, key: str | None) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    if key is None:
        with pytest.raises(ConfigError, match=str(path)):
            read_key(path)
    else:
        assert read_key(path) == key
        path.chmod(0o644)
        with pytest.raises(ConfigError, match="chmod 600"):
            read_key(path)

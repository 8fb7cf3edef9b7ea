"""How much goes to points at once, and that no item it fails on can hold up the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from gateway import wire
from gateway.relay import feed as feed_module
from gateway.relay.client import Done, Later, Refused, Reply, Result
from gateway.relay.feed import ALONE_TRIES, PUT_OFF_S, Feed
from gateway.relay.sender import Sender
from gateway.relay.service import Relay
from gateway.store import Store, open_store, outbox
from gateway.store.outbox import Entry
from tests.support.gateway import LIMIT_S, settings_for, wait_for

BIN, EPOCH = "B-7K2QM", "5f3a9c01"
BATCH = 16
BROKEN = Later("HTTP 500", blames=True)
AWAY = Later("no reply: refused")


class Backend:
    """Points as the sender sees it; it fails in the way a test sets."""

    def __init__(self) -> None:
        self.poison: set[int] = set()
        self.most = 500
        self.answer: Reply | None = None
        self.sizes: list[int] = []
        self.taken: list[int] = []

    def post(self, ids: Sequence[str], body: bytes) -> Reply:
        numbers = [item["n"] for item in json.loads(body)["items"]]
        self.sizes.append(len(numbers))
        if self.answer is not None:
            return self.answer
        if self.poison & set(numbers):
            return BROKEN
        if len(numbers) > self.most:
            return Later("no reply in time", blames=True)
        self.taken += numbers
        return Done([Result(name, "credited", 10, 10, "", "") for name in ids])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "gateway.db")
    yield opened
    opened.close()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def feed(store: Store, backend: Backend) -> Feed:
    return Feed(store, Sender(store, backend.post, lambda _: None), BATCH)


def fill(store: Store, *numbers: int) -> None:
    with store.writing() as connection:
        entries = [Entry(BIN, EPOCH, n, b'{"n":%d}' % n) for n in numbers]
        outbox.put(connection, entries, at_ms=1)


def counts(store: Store) -> outbox.Counts:
    with store.reading() as connection:
        return outbox.counts(connection)


def drain(feed: Feed, calls: int = 1000) -> int:
    """Call until nothing is left to send: how often it was held up."""
    held = 0
    for _ in range(calls):
        answer = feed.pass_on()
        if answer is False:
            return held
        held += answer is not True
    message = f"not empty after {calls} calls"
    raise AssertionError(message)


@pytest.mark.parametrize(
    "poison", [{1}, {7}, {30}, {1, 2, 3}, {*range(1, 31), 40}, {5, 14, 15, 29}]
)
def test_an_item_that_points_fails_on_holds_up_nobody(
    store: Store, feed: Feed, backend: Backend, poison: set[int]
) -> None:
    backend.poison = poison
    fill(store, *range(1, 41))
    good = [n for n in range(1, 41) if n not in poison]
    for _ in range(1000):  # which are tried in the place of bad ones is drawn at random
        feed.pass_on()
        if len(backend.taken) == len(good):
            break
    assert sorted(backend.taken) == good
    found = counts(store)
    assert (found.waiting, found.credited, found.dead) == (len(poison), len(good), 0)
    fill(store, *range(41, 101))  # while those that are left are the head of the outbox
    drain(feed)
    assert counts(store).put_off == len(poison)


def test_an_item_put_off_is_tried_again_alone_and_blocks_nobody_then(
    store: Store, feed: Feed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000_000]
    monkeypatch.setattr(feed_module, "now_ms", lambda: clock[0])
    backend.poison = {1}
    fill(store, *range(1, 4))
    drain(feed)
    assert feed.pass_on() is False  # not before its time
    fill(store, *range(4, 8))
    clock[0] += int(PUT_OFF_S * 1000)
    backend.sizes.clear()
    assert drain(feed) == 0
    assert backend.sizes[0] == 1
    assert sorted(backend.taken) == list(range(2, 8))
    backend.poison = set()
    assert feed.pass_on() is False
    clock[0] += int(PUT_OFF_S * 1000)
    assert drain(feed) == 0
    assert backend.taken[-1] == 1
    assert counts(store)[:3] == (0, 0, 7)


def test_a_batch_that_takes_too_long_is_made_smaller_and_grows_again(
    store: Store, feed: Feed, backend: Backend
) -> None:
    backend.most = 3
    fill(store, *range(1, 21))
    drain(feed)
    assert backend.taken == list(range(1, 21))
    assert counts(store).put_off == 0
    backend.most = 500
    fill(store, *range(21, 200))
    drain(feed)
    assert feed.items == BATCH
    assert max(backend.sizes[-3:]) == BATCH


@pytest.mark.parametrize("answer", [BROKEN, AWAY])
def test_when_points_is_away_no_item_is_to_blame(
    store: Store, feed: Feed, backend: Backend, answer: Reply
) -> None:
    fill(store, *range(1, 21))
    backend.answer = answer
    for _ in range(50):
        assert feed.pass_on() == answer
    assert counts(store) == (20, 1, 0, 0, 0, 0, 0)
    backend.answer = None
    assert drain(feed) == 0
    assert backend.taken == list(range(1, 21))


def test_a_connection_that_fails_at_times_blames_nobody(
    store: Store, feed: Feed, backend: Backend
) -> None:
    fill(store, 1)
    for _ in range(ALONE_TRIES + 1):
        backend.answer = AWAY
        assert feed.pass_on() == AWAY
    fill(store, 2)
    assert feed.pass_on() == AWAY
    assert counts(store).put_off == 0


def test_an_item_refused_in_the_place_of_a_suspect_shows_that_points_is_well(
    store: Store, feed: Feed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 1, 2)
    post = backend.post

    def refusing(ids: Sequence[str], body: bytes) -> Reply:
        return Refused("HTTP 422") if b'"n":2' in body and len(ids) == 1 else post(ids, body)

    monkeypatch.setattr(feed._sender, "_post", refusing)
    backend.poison = {1}
    drain(feed)
    assert (counts(store).put_off, counts(store).dead) == (1, 1)


def test_the_thread_passes_a_poisoned_outbox_on(tmp_path: Path, store: Store) -> None:
    fill(store, *range(1, 31))

    def handler(request: httpx.Request) -> httpx.Response:
        numbers = [item["n"] for item in json.loads(request.content)["items"]]
        if 7 in numbers:
            return httpx.Response(500)
        answer = {"status": "credited", "points": 10, "balance": 10, "code": "", "why": ""}
        results = [{"id": wire.line_id(BIN, EPOCH, n), **answer} for n in numbers]
        return httpx.Response(200, json={"results": results})

    relay = Relay(settings_for(tmp_path, 1883), store, lambda _: None, httpx.MockTransport(handler))
    relay.start()
    try:
        wait_for("the others to be credited", lambda: counts(store).credited == 29)
        assert (counts(store).waiting, counts(store).dead) == (1, 0)
    finally:
        relay.stop()
        relay.join(LIMIT_S)
    assert not relay.failed.is_set()

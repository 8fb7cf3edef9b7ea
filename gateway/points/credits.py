"""Deposits become points: look up, decide, write, all under one write lock and in one commit.

A batch is decided in memory from a few look-ups and written in bulk, so that five hundred
deposits cost a dozen statements. Order of the checks of one item: id → was it answered before →
shape → label policy → pass form and mac → age → pass time → pass bound to a bin → label seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import insert, select, tuple_

from gateway.points.items import DepositItem, body_hash, given_id, item_id, read_item
from gateway.points.ledger import Transfer, balances, issue
from gateway.points.passes import Pass, genuine, in_time, read_pass
from gateway.points.tables import deposits, handles, labels, pass_bindings, statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from gateway.points.database import Database
    from gateway.points.keys import Keys

MAX_ITEMS = 500
AGE_MAX_MS = 7_200_000  # from the scan to the carton; a bin's longest visit is an hour and a bit
ARRIVAL_AHEAD_MS = 86_400_000  # a time of arrival later than this is no time of arrival

WHY = {
    "": "Credited.",
    "pass_forged": "The pass was not made by an enrolled phone.",
    "pass_unknown": "No phone with this pass is enrolled.",
    "time_impossible": "The bin's times for this carton do not fit together.",
    "pass_expired": "The pass was too old when it was scanned.",
    "pass_replayed": "The pass was used at another bin before.",
    "label_seen": "This carton's label has earned points before.",
    "label_missing": "The carton's label was not scanned.",
    "id_conflict": "This id was answered before, for a deposit with other contents.",
}


@dataclass(frozen=True)
class Rules:
    """What the programme decides: points for a carton, and whether a label must be there."""

    points_per_carton: int
    label_required: bool


@dataclass(frozen=True)
class Answer:
    """What the gateway is told about one item. The same for ever once it is stored."""

    id: str
    status: str
    points: int
    balance: int
    code: str
    why: str


class _Verdict(NamedTuple):
    code: str
    member: str | None = None
    shown: Pass | None = None
    label: bytes | None = None
    why: str = ""


@dataclass
class _Batch:
    """What the database knew before, brought forward with each decision; and the rows to write."""

    keys: Keys
    rules: Rules
    now_ms: int
    stored: dict[str, tuple[bytes, Answer]] = field(default_factory=dict)
    secrets: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # handle: member, secret
    bound: dict[tuple[str, int], str] = field(default_factory=dict)  # handle, step: bin
    labels: set[bytes] = field(default_factory=set)
    balances: dict[str, int] = field(default_factory=dict)
    deposit_rows: list[dict[str, object]] = field(default_factory=list)
    label_rows: list[dict[str, object]] = field(default_factory=list)
    bound_rows: list[dict[str, object]] = field(default_factory=list)
    statement_rows: list[dict[str, object]] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)


def settle(
    db: Database, keys: Keys, rules: Rules, raw_items: Sequence[object], now_ms: int
) -> list[Answer]:
    """Answer each item, in order, and make the answers and their effects durable as one.

    Raises Busy when the database cannot be had in time; then nothing was changed.
    """
    if not 0 < len(raw_items) <= MAX_ITEMS:
        reason = f"{len(raw_items)} items, 1 to {MAX_ITEMS} are taken"
        raise ValueError(reason)
    read = [read_item(raw) if isinstance(raw, dict) else "" for raw in raw_items]
    with db.write() as connection:
        batch = _Batch(keys, rules, now_ms)
        _look_up(connection, batch, raw_items, read)
        answers = [_answer(batch, raw, item) for raw, item in zip(raw_items, read, strict=True)]
        _write(connection, batch)
    return answers


def _look_up(
    connection: Connection,
    batch: _Batch,
    raws: Sequence[object],
    read: Sequence[DepositItem | str],
) -> None:
    """Fetch what the decisions need, one statement for each table."""
    ids = {found for raw in raws if (found := item_id(raw)) is not None}
    for row in connection.execute(select(deposits).where(deposits.c.id.in_(ids))):
        batch.stored[row.id] = (
            row.body_hash,
            Answer(row.id, row.status, row.points, row.balance, row.code, row.why),
        )
    items = [item for item in read if isinstance(item, DepositItem)]
    passes = [shown for item in items if (shown := read_pass(item.pass_)) is not None]
    known = select(handles).where(handles.c.handle.in_({shown.handle for shown in passes}))
    for row in connection.execute(known):
        batch.secrets[row.handle] = (row.member, row.secret)
    batch.balances = balances(connection, {member for member, _ in batch.secrets.values()})
    steps = {(shown.handle, shown.step) for shown in passes if shown.handle in batch.secrets}
    bindings = select(pass_bindings).where(
        # By itself the pair makes SQLite read the whole table; the handle finds the index.
        pass_bindings.c.handle.in_({handle for handle, _ in steps}),
        tuple_(pass_bindings.c.handle, pass_bindings.c.step).in_(steps),
    )
    for row in connection.execute(bindings):
        batch.bound[row.handle, row.step] = row.bin
    hashes = {batch.keys.label_hash(item.label) for item in items if item.label}
    seen = select(labels.c.label_hash).where(labels.c.label_hash.in_(hashes))
    batch.labels = set(connection.execute(seen).scalars())


def _answer(batch: _Batch, raw: object, item: DepositItem | str) -> Answer:
    identity = item_id(raw)
    if identity is None or not isinstance(raw, dict):
        why = "The item has no id of the right form, so it cannot be remembered."
        return Answer(given_id(raw), "refused", 0, 0, "bad_item", why)
    fingerprint = body_hash(raw)
    if identity in batch.stored:
        before, answer = batch.stored[identity]
        if before == fingerprint:
            return answer
        return Answer(identity, "refused", 0, 0, "id_conflict", WHY["id_conflict"])
    verdict = _Verdict("bad_item", why=item) if isinstance(item, str) else _decide(batch, item)
    return _record(batch, identity, fingerprint, item, verdict)


def _decide(batch: _Batch, item: DepositItem) -> _Verdict:  # noqa: PLR0911  one check, one line
    if batch.rules.label_required and not item.label:
        return _Verdict("label_missing")
    shown = read_pass(item.pass_)
    if shown is None:
        return _Verdict("pass_forged")
    if shown.handle not in batch.secrets:
        return _Verdict("pass_unknown")
    member, secret = batch.secrets[shown.handle]
    if not genuine(shown, secret):
        return _Verdict("pass_forged")
    if item.clock != "none" and not 0 <= item.t - item.scanned_at <= AGE_MAX_MS:
        return _Verdict("time_impossible", member, shown)
    if not in_time(shown, item.clock, item.scanned_at, _arrived_ms(item, batch.now_ms)):
        return _Verdict("pass_expired", member, shown)
    if batch.bound.get((shown.handle, shown.step), item.bin) != item.bin:
        return _Verdict("pass_replayed", member, shown)
    label = batch.keys.label_hash(item.label) if item.label else None
    if label in batch.labels:
        return _Verdict("label_seen", member, shown)
    return _Verdict("", member, shown, label)


def _arrived_ms(item: DepositItem, now_ms: int) -> int:
    """When the line came, Unix ms: by the gateway's word, so that an outage makes no pass old."""
    said = item.received or 0  # 0 means unknown, as with every other time on the way
    return said if 0 < said <= now_ms + ARRIVAL_AHEAD_MS else now_ms


def _record(
    batch: _Batch,
    identity: str,
    fingerprint: bytes,
    item: DepositItem | str,
    verdict: _Verdict,
) -> Answer:
    """Bring the batch forward by one decision. Only a credit uses up a label or binds a pass."""
    member, shown = verdict.member, verdict.shown
    points = 0
    if not verdict.code and member is not None and shown is not None:
        points = batch.rules.points_per_carton
        batch.balances[member] += points
        batch.transfers.append(Transfer(f"deposit:{identity}", "deposit", member, points))
        if verdict.label is not None:
            batch.labels.add(verdict.label)
            batch.label_rows.append({"label_hash": verdict.label, "deposit": identity})
        if isinstance(item, DepositItem) and (shown.handle, shown.step) not in batch.bound:
            batch.bound[shown.handle, shown.step] = item.bin
            binding = {"handle": shown.handle, "step": shown.step, "bin": item.bin}
            batch.bound_rows.append({**binding, "deposit": identity})
    status = "credited" if points else "refused"
    balance = batch.balances[member] if member is not None else 0
    why = verdict.why or WHY[verdict.code]
    answer = Answer(identity, status, points, balance, verdict.code, why)
    batch.stored[identity] = (fingerprint, answer)
    batch.deposit_rows.append(_deposit_row(answer, fingerprint, item, verdict, batch.now_ms))
    if member is not None:
        batch.statement_rows.append(
            {
                "member": member,
                "at_ms": batch.now_ms,
                "code": f"deposit.{verdict.code or 'credited'}",
                "points": points,
                "balance": balance,
                "deposit": identity,
            }
        )
    return answer


def _deposit_row(
    answer: Answer, fingerprint: bytes, item: DepositItem | str, verdict: _Verdict, now_ms: int
) -> dict[str, object]:
    good = item if isinstance(item, DepositItem) else None
    shown = verdict.shown  # set only when the mac was right
    return {
        "id": answer.id,
        "body_hash": fingerprint,
        "decided_ms": now_ms,
        "status": answer.status,
        "code": answer.code,
        "why": answer.why,
        "points": answer.points,
        "balance": answer.balance,
        "member": verdict.member,
        "handle": shown.handle if shown else None,
        "step": shown.step if shown else None,
        "bin": good.bin if good else None,
        "station": good.station if good else None,
        "t_ms": good.t if good else None,
        "clock": good.clock if good else None,
        "scanned_ms": good.scanned_at if good else None,
        "clock_poor": good is not None and good.clock != "ntp",
        "mass_g": good.g if good else None,
    }


def _write(connection: Connection, batch: _Batch) -> None:
    for table, rows in (
        (deposits, batch.deposit_rows),
        (labels, batch.label_rows),
        (pass_bindings, batch.bound_rows),
        (statement, batch.statement_rows),
    ):
        if rows:
            connection.execute(insert(table), rows)
    issue(connection, batch.transfers, batch.now_ms)

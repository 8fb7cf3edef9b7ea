"""Deposits become points: look up, decide, write, all under one write lock and in one commit.

Order of the checks of one deposit: id → was it answered before → shape → label policy → pass form
and mac → age → pass time → pass bound to a bin → taken back before it came → label seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.points import withdrawals
from gateway.points.batch import Answer, Batch, Given, Rules, Status, look_up, write
from gateway.points.items import (
    DepositItem,
    Item,
    WithdrawalItem,
    body_hash,
    given_id,
    item_id,
    read_item,
)
from gateway.points.ledger import Transfer
from gateway.points.passes import Pass, genuine, in_time, read_pass
from gateway.points.tables import deposits, pass_bindings

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    withdrawals.CODE: "The carton was taken out again.",
    "label_seen": "This carton's label has earned points before.",
    "label_missing": "The carton's label was not scanned.",
    "id_conflict": "This id was answered before, for a line with other contents.",
}


class _Verdict(NamedTuple):
    code: str
    member: str | None = None
    shown: Pass | None = None
    label: bytes | None = None
    why: str = ""


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
        batch = Batch(keys, rules, now_ms)
        look_up(connection, batch, raw_items, read)
        answers = [_answer(batch, raw, item) for raw, item in zip(raw_items, read, strict=True)]
        write(connection, batch)
    return answers


def _answer(batch: Batch, raw: object, item: Item | str) -> Answer:
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
    if isinstance(item, WithdrawalItem):
        return withdrawals.take_back(batch, item, fingerprint)
    verdict = _Verdict("bad_item", why=item) if isinstance(item, str) else _decide(batch, item)
    return _record(batch, identity, fingerprint, item, verdict)


def _decide(batch: Batch, item: DepositItem) -> _Verdict:  # noqa: PLR0911  one check, one line
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
    if item.id in batch.withdrawn:
        return _Verdict(withdrawals.CODE, member, shown)
    label = batch.keys.label_hash(item.label) if item.label else None
    if label is not None and batch.is_taken(label):
        return _Verdict("label_seen", member, shown)
    return _Verdict("", member, shown, label)


def _arrived_ms(item: DepositItem, now_ms: int) -> int:
    """When the line came, Unix ms: by the gateway's word, so that an outage makes no pass old."""
    said = item.received or 0  # 0 means unknown, as with every other time on the way
    return said if 0 < said <= now_ms + ARRIVAL_AHEAD_MS else now_ms


def _record(
    batch: Batch,
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
            batch.use_label(verdict.label, identity)
        if isinstance(item, DepositItem) and (shown.handle, shown.step) not in batch.bound:
            batch.bound[shown.handle, shown.step] = item.bin
            binding = {"handle": shown.handle, "step": shown.step, "bin": item.bin}
            batch.add(pass_bindings, {**binding, "deposit": identity})
    status: Status = "credited" if points else "refused"
    balance = batch.balances[member] if member is not None else 0
    why = verdict.why or WHY[verdict.code]
    answer = Answer(identity, status, points, balance, verdict.code, why)
    batch.stored[identity] = (fingerprint, answer)
    batch.given[identity] = Given(member, points)
    batch.add(deposits, _deposit_row(answer, fingerprint, item, verdict, batch.now_ms))
    if member is not None:
        batch.tell(member, f"deposit.{verdict.code or 'credited'}", answer, identity)
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

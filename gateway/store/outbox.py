"""What waits for the points backend, what it decided, and what it will never take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gateway.store.database import insert_new
from gateway.store.tables import dead_letters, outbox, outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence


class Waiting(NamedTuple):
    """One item of the outbox; `item` is its JSON, the same at every try."""

    seq: int
    bin: str
    epoch: str
    n: int
    item: bytes


class Outcome(NamedTuple):
    """What the points backend decided about one line. `code` is "" when credited."""

    bin: str
    epoch: str
    n: int
    status: str
    points: int
    balance: int
    code: str
    why: str


class Entry(NamedTuple):
    """An item for the outbox or, with a reason, for the dead letters."""

    bin: str
    epoch: str
    n: int
    item: bytes
    reason: str = ""


def put(connection: sa.Connection, entries: Sequence[Entry], at_ms: int) -> None:
    """Queue the entries in their order. One whose identity is there already is let be."""
    if entries:
        rows = [
            {"bin": e.bin, "epoch": e.epoch, "n": e.n, "item": e.item, "queued_ms": at_ms}
            for e in entries
        ]
        connection.execute(insert_new(connection, outbox), rows)


def take(connection: sa.Connection, limit: int) -> list[Waiting]:
    """Give the oldest entries; they stay until they are settled or buried."""
    query = (
        sa.select(outbox.c.seq, outbox.c.bin, outbox.c.epoch, outbox.c.n, outbox.c.item)
        .order_by(outbox.c.seq)
        .limit(limit)
    )
    return [
        Waiting(row.seq, row.bin, row.epoch, row.n, bytes(row.item))
        for row in connection.execute(query)
    ]


def settle(
    connection: sa.Connection, sent: Sequence[Waiting], found: Sequence[Outcome], at_ms: int
) -> None:
    """Keep the outcomes and take their entries out of the outbox, in the caller's transaction."""
    if not sent:
        return
    rows = [{**outcome._asdict(), "received_ms": at_ms} for outcome in found]
    connection.execute(insert_new(connection, outcomes), rows)
    _remove(connection, sent)


def bury(connection: sa.Connection, entries: Sequence[Entry], at_ms: int) -> None:
    """Put entries that cannot succeed into the dead letters, each with its reason."""
    if not entries:
        return
    rows = [
        {
            "bin": e.bin,
            "epoch": e.epoch,
            "n": e.n,
            "item": e.item,
            "reason": e.reason,
            "buried_ms": at_ms,
        }
        for e in entries
    ]
    connection.execute(insert_new(connection, dead_letters), rows)


def bury_sent(connection: sa.Connection, sent: Waiting, reason: str, at_ms: int) -> None:
    """Move one entry of the outbox to the dead letters."""
    bury(connection, [Entry(sent.bin, sent.epoch, sent.n, sent.item, reason)], at_ms)
    _remove(connection, [sent])


def revive(connection: sa.Connection, bin_id: str, epoch: str, n: int, at_ms: int) -> bool:
    """Put a dead letter back at the end of the outbox; False when there is none of that name."""
    same = sa.and_(
        dead_letters.c.bin == bin_id, dead_letters.c.epoch == epoch, dead_letters.c.n == n
    )
    item = connection.scalar(sa.select(dead_letters.c.item).where(same))
    if item is None:
        return False
    put(connection, [Entry(bin_id, epoch, n, bytes(item))], at_ms)
    connection.execute(dead_letters.delete().where(same))
    return True


def _remove(connection: sa.Connection, sent: Sequence[Waiting]) -> None:
    statement = outbox.delete().where(outbox.c.seq == sa.bindparam("s"))
    connection.execute(statement, [{"s": waiting.seq} for waiting in sent])


def outcome_of(connection: sa.Connection, bin_id: str, epoch: str, n: int) -> Outcome | None:
    """Give what was decided about one line, or None."""
    query = sa.select(*(outcomes.c[name] for name in Outcome._fields)).where(
        outcomes.c.bin == bin_id, outcomes.c.epoch == epoch, outcomes.c.n == n
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Outcome(*row)


class Counts(NamedTuple):
    """How much lies where; `oldest_ms` is when the oldest waiting entry was queued, 0 for none."""

    waiting: int
    oldest_ms: int
    credited: int
    refused: int
    dead: int


def counts(connection: sa.Connection) -> Counts:
    """Count for `boxback relay status`."""
    waiting, oldest = connection.execute(
        sa.select(sa.func.count(), sa.func.min(outbox.c.queued_ms)).select_from(outbox)
    ).one()
    by_status = {
        row.status: row.many
        for row in connection.execute(
            sa.select(outcomes.c.status, sa.func.count().label("many")).group_by(outcomes.c.status)
        )
    }
    dead = connection.scalar(sa.select(sa.func.count()).select_from(dead_letters)) or 0
    return Counts(
        waiting, oldest or 0, by_status.get("credited", 0), by_status.get("refused", 0), dead
    )


class DeadLetter(NamedTuple):
    """An item that points will not take."""

    bin: str
    epoch: str
    n: int
    reason: str
    item: bytes
    buried_ms: int


def dead(connection: sa.Connection, limit: int = 100) -> list[DeadLetter]:
    """Dead letters, the newest first."""
    query = (
        sa.select(*(dead_letters.c[name] for name in DeadLetter._fields))
        .order_by(dead_letters.c.buried_ms.desc(), dead_letters.c.n.desc())
        .limit(limit)
    )
    return [DeadLetter(*row) for row in connection.execute(query)]

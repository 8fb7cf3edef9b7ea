"""What waits for the points backend, what it decided, and what it will never take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from gateway.store.database import insert_new
from gateway.store.lines import WITHDRAWN
from gateway.store.tables import dead_letters, lines, outbox, outcomes
from gateway.store.tables import put_off as put_off_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


class Waiting(NamedTuple):
    """One item of the outbox; `item` is its JSON, the same at every try."""

    seq: int
    bin: str
    epoch: str
    n: int
    item: bytes


_WAITING = tuple(outbox.c[column] for column in Waiting._fields)


class Outcome(NamedTuple):
    """What the points backend decided about one line. `code` is "" when all went as it should."""

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
    """Give the oldest entries but those put off; they stay until they are settled or buried.

    Nor those that must not overtake a withdrawal of their bin and epoch which is put off.
    """
    return [Waiting(*row) for row in connection.execute(_ready(*_WAITING).limit(limit))]


def take_others(connection: sa.Connection, limit: int) -> list[Waiting]:
    """Give entries that may be sent before the oldest one, from the next `limit`.

    Those behind a withdrawal of their bin and epoch may not: after it the bin may write a deposit
    with the same label, the same carton weighed anew, and that earns only when points know of the
    withdrawal.
    """
    same = sa.and_(*(lines.c[name] == outbox.c[name] for name in ("bin", "epoch", "n")))
    kind = sa.select(lines.c.kind).where(same).scalar_subquery()
    found: list[Waiting] = []
    behind: set[tuple[str, str]] = set()
    for *row, its_kind in connection.execute(_ready(*_WAITING, kind).limit(1 + limit)):
        waiting = Waiting(*row)
        if (waiting.bin, waiting.epoch) not in behind:
            found.append(waiting)
        if its_kind == WITHDRAWN:
            behind.add((waiting.bin, waiting.epoch))
    return found[1:]


def _ready(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    held = _put_off_withdrawals()
    behind = sa.and_(
        held.c.bin == outbox.c.bin, held.c.epoch == outbox.c.epoch, held.c.n < outbox.c.n
    )
    return (
        sa.select(*columns)
        .select_from(outbox.outerjoin(held, behind))
        .where(held.c.n.is_(None), outbox.c.seq.not_in(sa.select(put_off_rows.c.seq)))
        .order_by(outbox.c.seq)
    )


def _put_off_withdrawals() -> sa.Subquery:
    """(bin, epoch, n) of the first withdrawal of each journal that is put off."""
    late = outbox.alias()
    same = sa.and_(*(lines.c[name] == late.c[name] for name in ("bin", "epoch", "n")))
    return (
        sa.select(late.c.bin, late.c.epoch, sa.func.min(late.c.n).label("n"))
        .where(
            late.c.seq.in_(sa.select(put_off_rows.c.seq)),  # few; a join would walk the outbox
            sa.exists().where(same, lines.c.kind == WITHDRAWN),
        )
        .group_by(late.c.bin, late.c.epoch)
        .subquery()
    )


def take_put_off(connection: sa.Connection, at_ms: int) -> Waiting | None:
    """Give the entry whose time to be tried again has come first, or None."""
    query = (
        sa.select(*_WAITING)
        .join(put_off_rows, put_off_rows.c.seq == outbox.c.seq)
        .where(put_off_rows.c.not_before_ms <= at_ms)
        .order_by(put_off_rows.c.not_before_ms)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Waiting(*row)


def put_off(connection: sa.Connection, waiting: Waiting, until_ms: int) -> None:
    """Leave an entry out of `take` for good, and out of `take_put_off` until then."""
    connection.execute(
        insert_new(connection, put_off_rows), {"seq": waiting.seq, "not_before_ms": 0}
    )
    same = put_off_rows.c.seq == waiting.seq
    connection.execute(put_off_rows.update().where(same).values(not_before_ms=until_ms))


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
    """Put a dead letter back at the end of the outbox; False when there is none to send."""
    same = sa.and_(
        dead_letters.c.bin == bin_id, dead_letters.c.epoch == epoch, dead_letters.c.n == n
    )
    return _revive(connection, same, at_ms) > 0


def revive_all(connection: sa.Connection, reason: str, at_ms: int) -> int:
    """Put back every dead letter whose reason holds this text ("" for all): how many."""
    return _revive(connection, dead_letters.c.reason.contains(reason, autoescape=True), at_ms)


def _revive(connection: sa.Connection, which: sa.ColumnElement[bool], at_ms: int) -> int:
    """Move dead letters that are items; a line that could not be made one can never be sent."""
    which = sa.and_(which, sa.func.substr(dead_letters.c.item, 1, 1) == b"{")
    names = ("bin", "epoch", "n", "item")
    found = (
        sa.select(*(dead_letters.c[name] for name in names), sa.literal(at_ms))
        .where(which)
        .order_by(dead_letters.c.bin, dead_letters.c.epoch, dead_letters.c.n)
    )
    connection.execute(insert_new(connection, outbox).from_select([*names, "queued_ms"], found))
    return connection.execute(dead_letters.delete().where(which)).rowcount


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
    """How much lies where; `oldest_ms` is when the oldest waiting entry was queued, 0 for none.

    Those put off are among the waiting.
    """

    waiting: int
    oldest_ms: int
    credited: int
    refused: int
    withdrawn: int
    dead: int
    put_off: int


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
    credited, refused, withdrawn = (
        by_status.get(status, 0) for status in ("credited", "refused", "withdrawn")
    )
    dead, late = (
        connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in (dead_letters, put_off_rows)
    )
    return Counts(waiting, oldest or 0, credited, refused, withdrawn, dead, late)


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

"""Wanted settings: every version that was ever wanted of a bin, and what the bin says to it.

The states: waiting (never sent), sent (no answer yet), in_force, replaced (a newer version was
wanted or came in force), refused, rolled_back. What a bin's health says is the truth: it settles
what an answer that was lost, or a database restored from a backup, left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from gateway import wire
from gateway.store.database import IN_MAX
from gateway.store.tables import bins
from gateway.store.tables import wanted_settings as wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.wire import Done, Told

WAITING: Final = "waiting"
SENT: Final = "sent"
IN_FORCE: Final = "in_force"
REPLACED: Final = "replaced"
REFUSED: Final = "refused"
ROLLED_BACK: Final = "rolled_back"
OPEN: Final = (WAITING, SENT)
FAILED: Final = (REFUSED, ROLLED_BACK)


class Wanted(NamedTuple):
    """One version. `document` is a JSON object: all changes to the bin's own defaults."""

    bin: str
    version: int
    document: bytes
    by: str
    at_ms: int
    state: str
    state_ms: int
    why: str
    tries: int


_COLUMNS: Final = tuple(wanted.c[name] for name in Wanted._fields)
_WITH_ANY: Final = (
    sa.select(wanted.c.bin).where(wanted.c.bin.in_(sa.bindparam("bins", expanding=True))).distinct()
)


def of_bin(connection: sa.Connection, bin_id: str, limit: int) -> list[Wanted]:
    """Give the newest versions, newest first."""
    query = sa.select(*_COLUMNS).where(wanted.c.bin == bin_id)
    found = connection.execute(query.order_by(wanted.c.version.desc()).limit(limit))
    return [Wanted(*row) for row in found]


def newest(connection: sa.Connection, bin_id: str) -> Wanted | None:
    """Give the newest version, or None."""
    return next(iter(of_bin(connection, bin_id, 1)), None)


def with_any(connection: sa.Connection, bin_ids: Sequence[str]) -> set[str]:
    """Those of the bins of which settings were ever wanted."""
    found: set[str] = set()
    for at in range(0, len(bin_ids), IN_MAX):
        found.update(connection.scalars(_WITH_ANY, {"bins": bin_ids[at : at + IN_MAX]}))
    return found


def newest_of_all(connection: sa.Connection) -> dict[str, Wanted]:
    """By bin: its newest version."""
    top = (
        sa.select(wanted.c.bin, sa.func.max(wanted.c.version).label("version"))
        .group_by(wanted.c.bin)
        .subquery()
    )
    same = sa.and_(top.c.bin == wanted.c.bin, top.c.version == wanted.c.version)
    query = sa.select(*_COLUMNS).select_from(wanted.join(top, same))
    return {row.bin: Wanted(*row) for row in connection.execute(query)}


def find(connection: sa.Connection, bin_id: str, version: int) -> Wanted | None:
    """Give one version, or None."""
    query = sa.select(*_COLUMNS).where(wanted.c.bin == bin_id, wanted.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else Wanted(*row)


def in_force(connection: sa.Connection, bin_id: str) -> Wanted | None:
    """Give the version that the bin works with as far as we know, or None."""
    query = sa.select(*_COLUMNS).where(wanted.c.bin == bin_id, wanted.c.state == IN_FORCE)
    row = connection.execute(query).one_or_none()
    return None if row is None else Wanted(*row)


def add(connection: sa.Connection, row: Wanted) -> None:
    """Store a new version, to be sent at once; open ones before it are replaced by it."""
    connection.execute(
        wanted.update()
        .where(wanted.c.bin == row.bin, wanted.c.state.in_(OPEN))
        .values(
            state=REPLACED,
            state_ms=row.at_ms,
            next_ms=None,
            why=f"version {row.version} was wanted before the bin answered",
        )
    )
    connection.execute(wanted.insert(), {**row._asdict(), "next_ms": row.at_ms})


def answered(connection: sa.Connection, bin_id: str, done: Done, at_ms: int) -> bool:
    """Store the bin's answer; False when there is no such version.

    An answer to a version that is no longer wanted is stored too: it tells what is in force.
    """
    found = find(connection, bin_id, done.number)
    if found is None:
        return False
    if done.status == "done":
        _put_in_force(connection, found, at_ms)
    elif found.state != done.status:
        _set(connection, found, state=done.status, state_ms=at_ms, why=done.why, next_ms=None)
    return True


def _put_in_force(connection: sa.Connection, found: Wanted, at_ms: int) -> None:
    if found.state == IN_FORCE:
        return
    connection.execute(
        wanted.update()
        .where(wanted.c.bin == found.bin, wanted.c.state == IN_FORCE)
        .values(state=REPLACED, state_ms=at_ms, why=f"version {found.version} came in force")
    )
    _set(connection, found, state=IN_FORCE, state_ms=at_ms, why="", next_ms=None)


def settle(connection: sa.Connection, bin_id: str, told: Told, at_ms: int) -> None:
    """Bring what is stored in line with what the bin's health says.

    The version in force is what it says. One that is open and that it refused is refused. One that
    it had and lost (a new board, flash that was erased) is sent again. One that is open but lower
    than what the bin has seen, which only a database restored from a backup can hold, is wanted
    again under a version above that.
    """
    last = newest(connection, bin_id)
    if last is None:
        return
    seen = max(told.settings, told.refused_settings)
    if told.settings:
        now = last if last.version == told.settings else find(connection, bin_id, told.settings)
        if now is not None:
            _put_in_force(connection, now, at_ms)
    if last.version == told.settings:
        return
    if last.version < seen < wire.ORDER_MAX and last.state in (*OPEN, IN_FORCE):
        why = f"the bin has seen version {seen} already: wanted again as {seen + 1}"
        _set(connection, last, state=REPLACED, state_ms=at_ms, why=why, next_ms=None)
        again = last._replace(version=seen + 1, state=WAITING, state_ms=at_ms, why="", tries=0)
        add(connection, again._replace(at_ms=at_ms))
    elif last.version == told.refused_settings:
        if last.state in (*OPEN, IN_FORCE):
            _set(connection, last, state=REFUSED, state_ms=at_ms, why="", next_ms=None)
    elif last.state == IN_FORCE:
        _set(connection, last, state=SENT, state_ms=at_ms, tries=0, next_ms=at_ms)
    elif last.state in OPEN:
        # It was sent while the bin was away: now the bin is there.
        still = sa.and_(wanted.c.version == last.version, wanted.c.next_ms.is_(None))
        connection.execute(
            wanted.update().where(wanted.c.bin == bin_id, still).values(next_ms=at_ms)
        )


def due(connection: sa.Connection, now_ms: int, limit: int) -> list[Wanted]:
    """Give the versions to send now, those that waited longest first."""
    query = sa.select(*_COLUMNS).where(wanted.c.next_ms <= now_ms)
    found = connection.execute(query.order_by(wanted.c.next_ms).limit(limit))
    return [Wanted(*row) for row in found]


def note_sent(connection: sa.Connection, row: Wanted, now_ms: int, next_ms: int | None) -> None:
    """Mark one as sent; it is sent again at `next_ms`, None: when the bin is heard again."""
    values: dict[str, object] = {"state": SENT, "tries": row.tries + 1, "next_ms": next_ms}
    if row.state != SENT:
        values["state_ms"] = now_ms
    _set(connection, row, **values)


def wake(connection: sa.Connection, bin_id: str, now_ms: int) -> None:
    """Send the bin's open version now: it is there."""
    connection.execute(
        wanted.update()
        .where(wanted.c.bin == bin_id, wanted.c.state.in_(OPEN))
        .values(next_ms=now_ms)
    )


def forsake(connection: sa.Connection, now_ms: int) -> list[str]:
    """End the versions of bins that were taken away; their ids, for a broker keeps a message."""
    gone = sa.and_(
        wanted.c.bin.not_in(sa.select(bins.c.bin)), wanted.c.state.in_((*OPEN, IN_FORCE))
    )
    found = list(connection.scalars(sa.select(wanted.c.bin).where(gone).distinct()))
    if found:
        connection.execute(
            wanted.update()
            .where(gone)
            .values(state=REPLACED, state_ms=now_ms, next_ms=None, why="the bin was taken away")
        )
    return found


def _set(connection: sa.Connection, row: Wanted, **values: object) -> None:
    one = sa.and_(wanted.c.bin == row.bin, wanted.c.version == row.version)
    connection.execute(wanted.update().where(one).values(**values))

"""Bins with their keys, when they were last heard, and the fleet's secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from gateway.store.database import IN_MAX, insert_new
from gateway.store.tables import bins, outbox, progress, secrets

if TYPE_CHECKING:
    from collections.abc import Sequence


_BEFORES: Final = sa.select(bins.c.bin, bins.c.online, bins.c.last_seen_ms, bins.c.health).where(
    bins.c.bin.in_(sa.bindparam("bins", expanding=True))
)


class BinRow(NamedTuple):
    """A bin as the intake needs it."""

    bin: str
    station: str
    key: bytes


class Seen(NamedTuple):
    """What one batch told of a bin; None leaves a column as it is.

    `heard` is False for what the broker says in its place: a last will, a retained message.
    """

    bin: str
    online: bool | None = None
    health: bytes | None = None
    heard: bool = True


class Before(NamedTuple):
    """What was known of a bin before a sign of life."""

    online: bool
    last_seen_ms: int | None
    health: bytes | None


class BinState(NamedTuple):
    """One line of `boxback fleet list`. Times in Unix ms, None when never."""

    bin: str
    station: str
    name: str
    online: bool
    last_seen_ms: int | None
    health: bytes | None
    health_ms: int | None
    lines: int
    """Lines received without a gap, over all epochs."""
    waiting: int
    """Items in the outbox."""


def add_bin(
    connection: sa.Connection, *, bin_id: str, station: str, name: str, key: bytes, at_ms: int
) -> bool:
    """Store a new bin; False when the id is taken."""
    row = {
        "bin": bin_id,
        "station": station,
        "name": name,
        "key": key,
        "created_ms": at_ms,
        "online": False,
    }
    return bool(connection.execute(insert_new(connection, bins), row).rowcount == 1)


def find_bin(connection: sa.Connection, bin_id: str) -> BinRow | None:
    """Give the bin, or None."""
    query = sa.select(bins.c.bin, bins.c.station, bins.c.key).where(bins.c.bin == bin_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else BinRow(row.bin, row.station, bytes(row.key))


def before(connection: sa.Connection, bin_id: str) -> Before | None:
    """Give what is known of the bin's life, or None when there is no such bin."""
    return befores(connection, [bin_id]).get(bin_id)


def befores(connection: sa.Connection, wanted: Sequence[str]) -> dict[str, Before]:
    """By bin: what is known of its life. Those that are not in the table are not in it."""
    found: dict[str, Before] = {}
    for at in range(0, len(wanted), IN_MAX):
        for row in connection.execute(_BEFORES, {"bins": wanted[at : at + IN_MAX]}):
            found[row[0]] = Before(*row[1:])
    return found


def all_bins(connection: sa.Connection) -> list[BinRow]:
    """Every bin, in order of its id."""
    query = sa.select(bins.c.bin, bins.c.station, bins.c.key).order_by(bins.c.bin)
    return [BinRow(row.bin, row.station, bytes(row.key)) for row in connection.execute(query)]


def bins_mark(connection: sa.Connection) -> tuple[int, int]:
    """Give (count, newest creation): it differs when a bin was added or taken away."""
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(bins.c.created_ms), 0))
    ).one()
    return int(row[0]), int(row[1])


def note_seen(connection: sa.Connection, seen: Sequence[Seen], at_ms: int) -> None:
    """Write what was heard of bins. A bin that is not in the table is passed by."""
    for one in seen:
        values: dict[str, object] = {}
        if one.heard:
            values["last_seen_ms"] = at_ms
        if one.online is not None:
            values["online"] = one.online
        if one.health is not None:
            values.update(health=one.health, health_ms=at_ms)
        if values:
            connection.execute(bins.update().where(bins.c.bin == one.bin).values(values))


def states(connection: sa.Connection, bin_id: str | None = None) -> list[BinState]:
    """All bins for the list, in order of station and id; or this one."""
    received = (
        sa.select(progress.c.bin, sa.func.sum(progress.c.n).label("lines"))
        .where(_only(progress, bin_id))
        .group_by(progress.c.bin)
        .subquery()
    )
    queued = (
        sa.select(outbox.c.bin, sa.func.count().label("waiting"))
        .where(_only(outbox, bin_id))
        .group_by(outbox.c.bin)
        .subquery()
    )
    query = (
        sa.select(
            bins.c.bin,
            bins.c.station,
            bins.c.name,
            bins.c.online,
            bins.c.last_seen_ms,
            bins.c.health,
            bins.c.health_ms,
            sa.func.coalesce(received.c.lines, 0),
            sa.func.coalesce(queued.c.waiting, 0),
        )
        .select_from(
            bins.outerjoin(received, received.c.bin == bins.c.bin).outerjoin(
                queued, queued.c.bin == bins.c.bin
            )
        )
        .where(_only(bins, bin_id))
        .order_by(bins.c.station, bins.c.bin)
    )
    return [BinState(*row) for row in connection.execute(query)]


def reached(connection: sa.Connection, bin_id: str | None = None) -> dict[tuple[str, str], int]:
    """By bin and epoch: the n up to which every line is here. Of all bins, or of this one."""
    query = sa.select(progress.c.bin, progress.c.epoch, progress.c.n).where(_only(progress, bin_id))
    return {(row.bin, row.epoch): row.n for row in connection.execute(query)}


def _only(table: sa.Table, bin_id: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if bin_id is None else table.c.bin == bin_id


def secret(connection: sa.Connection, name: str, fresh: bytes) -> bytes:
    """Give the secret of that name, which is `fresh` when there was none, inside a write."""
    connection.execute(insert_new(connection, secrets), {"name": name, "value": fresh})
    found = connection.scalar(sa.select(secrets.c.value).where(secrets.c.name == name))
    return bytes(found or b"")

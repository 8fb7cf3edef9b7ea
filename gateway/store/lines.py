"""Lines and how far they reach without a gap: the queries behind a commit and a receipt."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from gateway import wire
from gateway.log import fields
from gateway.store.database import IN_MAX, insert_new
from gateway.store.tables import lines, progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

log = logging.getLogger("gateway.store")

_WALK_ROWS: Final = 1000
EPOCHS_USUAL: Final = 100
"""Journals that one bin begins in its life; one with more is told of in the log."""

_PROGRESS: Final = sa.select(progress.c.n, progress.c.top).where(
    progress.c.bin == sa.bindparam("b"), progress.c.epoch == sa.bindparam("e")
)

WITHDRAWN: Final = "withdrawn"
"""Kind of a line that takes an earlier deposit of its bin and epoch back."""

Series = tuple[str, str]
"""(bin, epoch): what n counts in."""


class Arrived(NamedTuple):
    """A verified line on its way to the table, with the station its bin stands at.

    `received_ms`, Unix ms of our clock, is when it became durable; 0 until then.
    """

    bin: str
    station: str
    line: wire.Line
    received_ms: int = 0


class Stored(NamedTuple):
    """What became of the lines of one batch."""

    new: int
    again: int
    conflicts: list[Arrived]
    reached: dict[Series, int]
    """For every series in the batch: 1..n are durable with this transaction; 0 lacks line 1."""
    released: list[Arrived]
    """Lines that now have no gap before them and had before, or are new: ready for the outbox, in
    order within their series."""


def add(connection: sa.Connection, arrived: Sequence[Arrived], at_ms: int) -> Stored:
    """Store what is new of `arrived` and move progress on, inside the caller's write transaction.

    A line whose identity is there with the same MAC is let be; with another it is a conflict.
    """
    grouped: dict[Series, list[Arrived]] = defaultdict(list)
    for item in arrived:
        grouped[item.bin, item.line.epoch].append(item)
    fresh: list[Arrived] = []
    conflicts: list[Arrived] = []
    known = _progress_of(connection, grouped)
    for series, items in grouped.items():
        _sort_out(connection, series, items, known.get(series, (0, 0))[1], fresh, conflicts)
    fresh = [item._replace(received_ms=at_ms) for item in fresh]
    if fresh:
        connection.execute(insert_new(connection, lines), [_row(item) for item in fresh])
    reached, released, moved = _advance(connection, grouped, known, fresh)
    _write_progress(connection, moved, known, at_ms)
    again = len(arrived) - len(fresh) - len(conflicts)
    return Stored(len(fresh), again, conflicts, reached, released)


def _row(item: Arrived) -> dict[str, object]:
    line = item.line
    return {
        "bin": item.bin,
        "epoch": line.epoch,
        "n": line.n,
        "t_ms": line.t_ms,
        "clock": line.clock,
        "kind": line.kind,
        "station": item.station,
        "raw": line.raw,
        "received_ms": item.received_ms,
    }


def _progress_of(
    connection: sa.Connection, wanted: Iterable[Series]
) -> dict[Series, tuple[int, int]]:
    """(n, top) of the series that have a row.

    One look-up for each: an IN (…) of pairs makes SQLite read the whole table.
    """
    found: dict[Series, tuple[int, int]] = {}
    for bin_id, epoch in wanted:
        row = connection.execute(_PROGRESS, {"b": bin_id, "e": epoch}).one_or_none()
        if row is not None:
            found[bin_id, epoch] = (row.n, row.top)
    return found


def _sort_out(
    connection: sa.Connection,
    series: Series,
    items: list[Arrived],
    top: int,
    fresh: list[Arrived],
    conflicts: list[Arrived],
) -> None:
    """Tell new lines from known ones and from conflicts, within one series."""
    # Nothing above `top` is in the table, so a bin that simply goes on costs no query.
    macs = _macs_of(connection, series, {item.line.n for item in items if item.line.n <= top})
    for item in items:
        mac = item.line.raw[: wire.MAC_CHARS]
        have = macs.get(item.line.n)
        if have is None:
            macs[item.line.n] = mac
            fresh.append(item)
        elif have != mac:
            conflicts.append(item)


def _macs_of(connection: sa.Connection, series: Series, wanted: set[int]) -> dict[int, bytes]:
    """MAC of the stored lines. It stands for the whole line: 128 bits under the bin's key."""
    numbers = sorted(wanted)
    found: dict[int, bytes] = {}
    for at in range(0, len(numbers), IN_MAX):
        query = sa.select(lines.c.n, lines.c.raw).where(
            lines.c.bin == series[0],
            lines.c.epoch == series[1],
            lines.c.n.in_(numbers[at : at + IN_MAX]),
        )
        for row in connection.execute(query):
            found[row.n] = bytes(row.raw[: wire.MAC_CHARS])
    return found


def _advance(
    connection: sa.Connection,
    grouped: dict[Series, list[Arrived]],
    known: dict[Series, tuple[int, int]],
    fresh: list[Arrived],
) -> tuple[dict[Series, int], list[Arrived], dict[Series, tuple[int, int]]]:
    """Walk each series on from where it stood: (reached, released, progress rows to write)."""
    new: dict[Series, dict[int, Arrived]] = defaultdict(dict)
    for item in fresh:
        new[item.bin, item.line.epoch][item.line.n] = item
    reached: dict[Series, int] = {}
    released: list[Arrived] = []
    moved: dict[Series, tuple[int, int]] = {}
    for series in grouped:
        n, top = known.get(series, (0, 0))
        mine = new.get(series)
        if mine is None:
            reached[series] = n
            continue
        start = n
        n = _walk(mine, n, released)
        while n < top and n > start:  # lines beyond an old gap may follow now
            start = n
            for item in _stored_after(connection, series, n):
                if item.line.n != n + 1:
                    break
                released.append(item)
                n += 1
            n = _walk(mine, n, released)
        reached[series] = n
        moved[series] = (n, max(top, *mine))
    return reached, released, moved


def _walk(mine: dict[int, Arrived], n: int, released: list[Arrived]) -> int:
    while (item := mine.get(n + 1)) is not None:
        released.append(item)
        n += 1
    return n


def _stored_after(connection: sa.Connection, series: Series, n: int) -> list[Arrived]:
    """Give up to _WALK_ROWS stored lines after `n`, in order."""
    query = (
        sa.select(lines)
        .where(lines.c.bin == series[0], lines.c.epoch == series[1], lines.c.n > n)
        .order_by(lines.c.n)
        .limit(_WALK_ROWS)
    )
    return [
        Arrived(
            row.bin,
            row.station,
            wire.Line(row.epoch, row.n, row.t_ms, row.clock, row.kind, bytes(row.raw)),
            row.received_ms,
        )
        for row in connection.execute(query)
    ]


def _write_progress(
    connection: sa.Connection,
    moved: dict[Series, tuple[int, int]],
    known: dict[Series, tuple[int, int]],
    at_ms: int,
) -> None:
    added = [
        {"bin": series[0], "epoch": series[1], "n": n, "top": top, "updated_ms": at_ms}
        for series, (n, top) in moved.items()
        if series not in known
    ]
    changed = [
        {"b": series[0], "e": series[1], "new_n": n, "new_top": top}
        for series, (n, top) in moved.items()
        if series in known
    ]
    if added:
        connection.execute(progress.insert(), added)
        for bin_id in sorted({series[0] for series in moved if series not in known}):
            _watch_epochs(connection, bin_id)
    if changed:
        statement = (
            progress.update()
            .where(progress.c.bin == sa.bindparam("b"), progress.c.epoch == sa.bindparam("e"))
            .values(n=sa.bindparam("new_n"), top=sa.bindparam("new_top"), updated_ms=at_ms)
        )
        connection.execute(statement, changed)


def _watch_epochs(connection: sa.Connection, bin_id: str) -> None:
    """Say so when a bin begins journals as no bin does: its flash is broken or its key is out."""
    some = sa.select(progress.c.epoch).where(progress.c.bin == bin_id).limit(EPOCHS_USUAL + 1)
    if len(connection.execute(some).all()) > EPOCHS_USUAL:
        log.warning("many epochs", extra=fields(bin=bin_id, more_than=EPOCHS_USUAL))


def progress_of(connection: sa.Connection, bin_id: str) -> dict[str, tuple[int, int]]:
    """Epoch to (n, top) of one bin."""
    query = sa.select(progress.c.epoch, progress.c.n, progress.c.top).where(
        progress.c.bin == bin_id
    )
    return {row.epoch: (row.n, row.top) for row in connection.execute(query)}


def raw_of(connection: sa.Connection, bin_id: str, epoch: str, n: int) -> bytes | None:
    """Give the evidence: the bytes the bin wrote, or None."""
    query = sa.select(lines.c.raw).where(
        lines.c.bin == bin_id, lines.c.epoch == epoch, lines.c.n == n
    )
    found = connection.scalar(query)
    return None if found is None else bytes(found)


def prune(connection: sa.Connection, before_ms: int) -> int:
    """Cut the evidence of old lines down to their MAC, and return how many were cut.

    The identity stays for ever, and the MAC still tells the same line from another one. Only lines
    that are received without a gap are cut: those after one are still wanted for the outbox.
    """
    statement = (
        lines.update()
        .where(
            lines.c.received_ms < before_ms,
            sa.func.length(lines.c.raw) > wire.MAC_CHARS,
            sa.exists().where(
                progress.c.bin == lines.c.bin,
                progress.c.epoch == lines.c.epoch,
                progress.c.n >= lines.c.n,
            ),
        )
        .values(raw=sa.func.substr(lines.c.raw, 1, wire.MAC_CHARS))
    )
    return connection.execute(statement).rowcount

"""The log of the fleet: who did what to which bin, and when a bin's faults changed.

Append only. What people did is kept to LOG_ROWS_MAX rows, what a bin told to BIN_ROWS_MAX for each
bin: one whose fault comes and goes all day must not push out who opened it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from gateway.store.tables import log

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_ROWS_MAX: Final = 100_000
BIN_ROWS_MAX: Final = 200
_TRIM_EVERY: Final = 500
"""Rows between two looks at LOG_ROWS_MAX, for the look reads that many."""
_BIN: Final = ""
"""`who` of what a bin told by itself."""


class Entry(NamedTuple):
    """One row. `number` is the command's id or the settings' version that it is about."""

    at_ms: int
    who: str
    what: str
    bin: str
    number: int | None
    detail: str


def note(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Append what people did."""
    if not entries:
        return
    connection.execute(log.insert(), [entry._asdict() for entry in entries])
    newest = connection.scalar(sa.select(sa.func.max(log.c.seq))) or 0
    if newest % _TRIM_EVERY < len(entries):
        _trim(connection, log.c.who != _BIN, LOG_ROWS_MAX)


def note_told(connection: sa.Connection, bin_id: str, what: str, detail: str, at_ms: int) -> None:
    """Append what a bin told by itself."""
    entry = Entry(at_ms, _BIN, what, bin_id, None, detail)
    connection.execute(log.insert(), entry._asdict())
    _trim(connection, sa.and_(log.c.bin == bin_id, log.c.who == _BIN), BIN_ROWS_MAX)


def _trim(connection: sa.Connection, which: sa.ColumnElement[bool], rows_max: int) -> None:
    oldest_kept = (
        sa.select(log.c.seq).where(which).order_by(log.c.seq.desc()).offset(rows_max).limit(1)
    ).scalar_subquery()
    connection.execute(log.delete().where(which, log.c.seq <= oldest_kept))


def recent(connection: sa.Connection, bin_id: str | None, limit: int) -> list[Entry]:
    """Give the newest rows, newest first; of one bin or of all."""
    query = sa.select(log.c.at_ms, log.c.who, log.c.what, log.c.bin, log.c.number, log.c.detail)
    if bin_id is not None:
        query = query.where(log.c.bin == bin_id)
    found = connection.execute(query.order_by(log.c.seq.desc()).limit(limit))
    return [Entry(*row) for row in found]

"""What a member reads: balance and history, newest first, and what is new since a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from gateway.points.tables import deposits, statement, withdrawals
from gateway.points.withdrawals import TAKEN_BACK

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

FEED_ROWS = 100
CARTON_AHEAD_MS = (
    86_400_000  # bin and service may differ by this much, as good clocks in trouble do
)


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `code` names the sentence a page shows; `at_ms` is Unix time."""

    seq: int
    at_ms: int
    code: str
    points: int
    balance: int
    bin: str | None
    station: str | None
    mass_g: int | None
    deposit: str | None
    clock_poor: bool


def history(connection: Connection, member: str, before: int | None, limit: int) -> list[Entry]:
    """Newest first, older than row `before` when given."""
    query = _rows().where(statement.c.member == member)
    if before is not None:
        query = query.where(statement.c.seq < before)
    rows = connection.execute(query.order_by(statement.c.seq.desc()).limit(limit))
    return [_entry(row) for row in rows]


def feed(connection: Connection, member: str, after: int) -> list[Entry]:
    """What came after row `after`, oldest first, at most FEED_ROWS."""
    query = _rows().where(statement.c.member == member, statement.c.seq > after)
    rows = connection.execute(query.order_by(statement.c.seq).limit(FEED_ROWS))
    return [_entry(row) for row in rows]


def last_seq(connection: Connection) -> int:
    """Return the newest row's number (of all members), 0 when there is none."""
    return connection.execute(select(func.max(statement.c.seq))).scalar_one() or 0


def members_after(connection: Connection, after: int, limit: int) -> tuple[set[str], int]:
    """Whose statement grew after row `after`; with the last row looked at."""
    rows = connection.execute(
        select(statement.c.seq, statement.c.member)
        .where(statement.c.seq > after)
        .order_by(statement.c.seq)
        .limit(limit)
    ).all()
    return {row.member for row in rows}, rows[-1].seq if rows else after


def _rows() -> Select[tuple[object, ...]]:
    """Each row with its deposit, or with the withdrawal that took the deposit's points back."""
    back = (statement.c.code == TAKEN_BACK) & withdrawals.c.id.is_not(None)
    told = [
        case((back, withdrawals.c[name]), else_=deposits.c[name]).label(name)
        for name in ("bin", "station", "mass_g", "t_ms", "clock_poor")
    ]
    return select(statement, *told).select_from(
        statement.outerjoin(deposits, statement.c.deposit == deposits.c.id).outerjoin(
            withdrawals, withdrawals.c.reverses == statement.c.deposit
        )
    )


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    # A bin with a good clock says when the carton came; a poor one is not believed, nor is a time
    # before 1970 or well after the decision.
    said = row.t_ms is not None and not row.clock_poor
    trusted = said and 0 <= row.t_ms <= row.at_ms + CARTON_AHEAD_MS
    return Entry(
        seq=row.seq,
        at_ms=row.t_ms if trusted else row.at_ms,
        code=row.code,
        points=row.points,
        balance=row.balance,
        bin=row.bin,
        station=row.station,
        mass_g=row.mass_g,
        deposit=row.deposit,
        clock_poor=bool(row.clock_poor),
    )

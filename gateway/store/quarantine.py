"""Payloads that could not become lines, with their bytes and the reason."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from gateway import wire
from gateway.store.database import insert_new
from gateway.store.tables import quarantine

if TYPE_CHECKING:
    from collections.abc import Sequence

PAYLOAD_KEPT_BYTES: Final = 8192
TOPIC_KEPT_CHARS: Final = 200
SIGNED_ROWS_MAX: Final = 200
"""Payloads of SIGNED reasons kept for each bin."""

CONFLICT: Final = "conflict"
STORE_REFUSED: Final = "store_refused"
UNKNOWN_ORDER: Final = "unknown_order"
"""An answer to a command or settings that this gateway never sent."""
SIGNED: Final = frozenset(
    {CONFLICT, STORE_REFUSED, UNKNOWN_ORDER, wire.BAD_JSON, wire.BAD_IDENTITY, wire.BAD_SHAPE}
)
"""Reasons that come after a right MAC, or from our own tables. Some of these are receipted, so this
row is all there is of them: what strangers send must not push them out."""


class Reject(NamedTuple):
    """A payload, or one line of it, that is not let in. `bin` is "" when the topic named none."""

    bin: str
    topic: str
    reason: str
    payload: bytes


def add(connection: sa.Connection, rejects: Sequence[Reject], at_ms: int, rows_max: int) -> None:
    """Keep each payload once and count how often it came: a bin that sends a bad line again and
    again, or a stranger, cannot fill the disk. Beyond `rows_max` the oldest go; those with a SIGNED
    reason have room of their own, SIGNED_ROWS_MAX a bin.
    """
    if not rejects:
        return
    merged: dict[tuple[str, str, str], dict[str, object]] = {}
    times: dict[tuple[str, str, str], int] = {}
    for reject in rejects:
        digest = hashlib.sha256(reject.payload).hexdigest()[:32]
        key = (reject.bin, reject.reason, digest)
        times[key] = times.get(key, 0) + 1
        merged[key] = {
            "bin": reject.bin,
            "reason": reject.reason,
            "digest": digest,
            "topic": reject.topic.encode("unicode_escape").decode("ascii")[:TOPIC_KEPT_CHARS],
            "payload": reject.payload[:PAYLOAD_KEPT_BYTES],
            "size_bytes": len(reject.payload),
            "times": 0,
            "first_ms": at_ms,
            "last_ms": at_ms,
        }
    connection.execute(insert_new(connection, quarantine), list(merged.values()))
    count_up = (
        quarantine.update()
        .where(
            quarantine.c.bin == sa.bindparam("b"),
            quarantine.c.reason == sa.bindparam("r"),
            quarantine.c.digest == sa.bindparam("d"),
        )
        .values(times=quarantine.c.times + sa.bindparam("more"), last_ms=at_ms)
    )
    connection.execute(
        count_up, [{"b": b, "r": r, "d": d, "more": times[b, r, d]} for b, r, d in merged]
    )
    if any(reject.reason not in SIGNED for reject in rejects):
        _trim(connection, quarantine.c.reason.not_in(SIGNED), rows_max)
    for bin_id in sorted({reject.bin for reject in rejects if reject.reason in SIGNED}):
        signed = sa.and_(quarantine.c.bin == bin_id, quarantine.c.reason.in_(SIGNED))
        _trim(connection, signed, SIGNED_ROWS_MAX)


def _trim(connection: sa.Connection, which: sa.ColumnElement[bool], rows_max: int) -> None:
    count = connection.scalar(sa.select(sa.func.count()).select_from(quarantine).where(which)) or 0
    if count <= rows_max:
        return
    oldest = (
        sa.select(quarantine.c.id)
        .where(which)
        .order_by(quarantine.c.last_ms, quarantine.c.id)
        .limit(count - rows_max)
    ).scalar_subquery()
    connection.execute(quarantine.delete().where(quarantine.c.id.in_(oldest)))


def recent(connection: sa.Connection, limit: int = 100) -> Sequence[sa.Row[tuple[object, ...]]]:
    """Rows of the table, those seen last first."""
    query = sa.select(quarantine).order_by(quarantine.c.last_ms.desc()).limit(limit)
    return connection.execute(query).all()

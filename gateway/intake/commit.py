"""A batch made durable: lines, progress, outbox, quarantine and fleet in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.relay.items import entry_of
from gateway.store import fleet, lines, outbox, quarantine
from gateway.store.quarantine import CONFLICT, Reject

if TYPE_CHECKING:
    from gateway.intake.judge import Batch
    from gateway.store import Store
    from gateway.store.outbox import Entry


class Committed(NamedTuple):
    """What a commit came to. `reached` is what receipts may say: (bin, epoch) to n."""

    new: int
    again: int
    rejected: int
    queued: int
    buried: int
    reached: dict[lines.Series, int]


def commit(store: Store, batch: Batch, at_ms: int, quarantine_rows: int) -> Committed:
    """Write all of the batch, or nothing when it raises one of SQLAlchemy's errors."""
    with store.writing() as connection:
        stored = lines.add(connection, batch.arrived, at_ms)
        sendable, broken = _entries(stored.released)
        outbox.put(connection, sendable, at_ms)
        outbox.bury(connection, broken, at_ms)
        conflicts = [Reject(item.bin, "", CONFLICT, item.line.raw) for item in stored.conflicts]
        rejects = [*batch.rejects, *conflicts]
        quarantine.add(connection, rejects, at_ms, quarantine_rows)
        fleet.note_seen(connection, list(batch.seen.values()), at_ms)
    return Committed(
        stored.new, stored.again, len(rejects), len(sendable), len(broken), stored.reached
    )


def _entries(released: list[lines.Arrived]) -> tuple[list[Entry], list[Entry]]:
    """Tell entries that can be sent from those that cannot."""
    sendable: list[Entry] = []
    broken: list[Entry] = []
    for item in released:
        entry = entry_of(item)
        if entry is not None:
            (broken if entry.reason else sendable).append(entry)
    return sendable, broken

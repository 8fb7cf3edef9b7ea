"""A batch made durable in one transaction: lines, progress, outbox, quarantine, answers, fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.fleet import news
from gateway.relay.items import entry_of
from gateway.store import fleet, lines, outbox, quarantine
from gateway.store.quarantine import CONFLICT, UNKNOWN_ORDER, Reject

if TYPE_CHECKING:
    from gateway.fleet.news import FaultChange
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
    faults: list[FaultChange]


def commit(store: Store, batch: Batch, at_ms: int, quarantine_rows: int) -> Committed:
    """Write all of the batch, or nothing when it raises one of SQLAlchemy's errors."""
    with store.writing() as connection:
        stored = lines.add(connection, batch.arrived, at_ms)
        sendable, broken = _entries(stored.released)
        outbox.put(connection, sendable, at_ms)
        outbox.bury(connection, broken, at_ms)
        conflicts = [Reject(item.bin, "", CONFLICT, item.line.raw) for item in stored.conflicts]
        strange = [
            Reject(answer.bin, answer.topic, UNKNOWN_ORDER, answer.payload)
            for answer in news.take_answers(connection, batch.answers, at_ms)
        ]
        rejects = [*batch.rejects, *conflicts, *strange]
        quarantine.add(connection, rejects, at_ms, quarantine_rows)
        faults = news.heard(connection, list(batch.seen.values()), at_ms)
        fleet.note_seen(connection, list(batch.seen.values()), at_ms)
    return Committed(
        stored.new, stored.again, len(rejects), len(sendable), len(broken), stored.reached, faults
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

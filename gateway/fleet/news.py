"""What signs of life change besides the bin's row: its faults in the log, its orders on their way.

Called by the intake for each bin of a batch that told of health or of being online, inside the
batch's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import wire
from gateway.store import audit, commands, fleet, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from gateway.store.fleet import Before, Seen

HEARD_MS: Final = 150_000
"""A bin that was heard so lately is taken to be there, whatever `online` says: two and a half times
the usual wait between health messages."""
FAULTS: Final = "faults"
"""`what` of a log row that tells of a change of faults."""


class FaultChange(NamedTuple):
    """Fault codes that a bin's health began or ended to tell."""

    bin: str
    began: tuple[str, ...]
    ended: tuple[str, ...]

    def __str__(self) -> str:
        """Say it as `+scale -clock`."""
        return " ".join(
            [*(f"+{code}" for code in self.began), *(f"-{code}" for code in self.ended)]
        )


class Answer(NamedTuple):
    """A bin's verified answer to an order, with the topic and payload it came in."""

    bin: str
    done: wire.Done
    topic: str
    payload: bytes


def is_there(online: bool, last_seen_ms: int | None, now_ms: int) -> bool:
    """Whether sending to a bin makes sense now."""
    return online or (last_seen_ms is not None and now_ms - last_seen_ms < HEARD_MS)


def take_answers(connection: sa.Connection, answers: Sequence[Answer], at_ms: int) -> list[Answer]:
    """Store answers, each order's first; those to an order that is not ours come back."""
    strange: list[Answer] = []
    for answer in answers:
        store = wanted if answer.done.settings else commands
        if not store.answered(connection, answer.bin, answer.done, at_ms):
            strange.append(answer)
    return strange


def heard(connection: sa.Connection, seen: Sequence[Seen], at_ms: int) -> list[FaultChange]:
    """Compare with what was known; call this before the bins' rows are written."""
    changes: list[FaultChange] = []
    news = [one for one in seen if one.online is not None or one.health is not None]
    known = fleet.befores(connection, [one.bin for one in news])
    wanting = wanted.with_any(connection, list(known))
    for one in news:
        before = known.get(one.bin)
        if before is None:
            continue
        _wake(connection, one, before, at_ms)
        if one.health is None:
            continue
        told = wire.told_of(one.health)
        if one.bin in wanting:
            wanted.settle(connection, one.bin, told, at_ms)
        was = set(wire.told_of(before.health).faults or ())
        change = FaultChange(
            one.bin,
            tuple(code for code in told.faults or () if code not in was),
            tuple(sorted(was.difference(told.faults or ()))) if told.faults is not None else (),
        )
        if change.began or change.ended:
            audit.note_told(connection, one.bin, FAULTS, str(change), at_ms)
            changes.append(change)
    return changes


def _wake(connection: sa.Connection, one: Seen, before: Before, at_ms: int) -> None:
    """Send what waits for a bin that connected, or is there again without having said so."""
    connected = one.online is True and (one.heard or not before.online)
    back = one.heard and not is_there(before.online, before.last_seen_ms, at_ms)
    if connected or back:
        commands.wake(connection, one.bin, at_ms)
        wanted.wake(connection, one.bin, at_ms)

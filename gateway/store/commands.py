"""Commands: what a bin is told to do once, until when, and what came of it.

The states: waiting (never sent), sent (no answer yet), and three that end it: done, refused,
expired. An answer that comes after the deadline still counts: what the bin did, it did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from gateway.store.tables import commands

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.wire import Done

WAITING: Final = "waiting"
SENT: Final = "sent"
DONE: Final = "done"
REFUSED: Final = "refused"
EXPIRED: Final = "expired"
OPEN: Final = (WAITING, SENT)
DATA_KEPT: Final = 20
"""Newest commands of a bin whose answers keep their data."""


class Command(NamedTuple):
    """One command. `args` and `data` are JSON objects."""

    bin: str
    id: int
    do: str
    args: bytes
    until_ms: int
    by: str
    at_ms: int
    state: str
    state_ms: int
    why: str
    data: bytes | None
    tries: int

    def state_at(self, now_ms: int) -> str:
        """Say the state; what nobody has marked expired yet is so all the same."""
        return EXPIRED if self.state in OPEN and self.until_ms < now_ms else self.state


_COLUMNS: Final = tuple(commands.c[name] for name in Command._fields)


def newest_id(connection: sa.Connection, bin_id: str) -> int:
    """Give the bin's largest id, 0 when there is none."""
    query = sa.select(sa.func.max(commands.c.id)).where(commands.c.bin == bin_id)
    return connection.scalar(query) or 0


def add(connection: sa.Connection, command: Command) -> None:
    """Store a new command, to be sent at once."""
    row = {**command._asdict(), "next_ms": command.at_ms}
    connection.execute(commands.insert(), row)
    old = commands.c.id <= command.id - DATA_KEPT
    connection.execute(
        commands.update()
        .where(commands.c.bin == command.bin, old, commands.c.data.is_not(None))
        .values(data=None)
    )


def of_bin(connection: sa.Connection, bin_id: str, limit: int) -> list[Command]:
    """Give the newest commands, newest first."""
    query = sa.select(*_COLUMNS).where(commands.c.bin == bin_id)
    found = connection.execute(query.order_by(commands.c.id.desc()).limit(limit))
    return [Command(*row) for row in found]


def find(connection: sa.Connection, bin_id: str, number: int) -> Command | None:
    """Give one command, or None."""
    query = sa.select(*_COLUMNS).where(commands.c.bin == bin_id, commands.c.id == number)
    row = connection.execute(query).one_or_none()
    return None if row is None else Command(*row)


def answered(connection: sa.Connection, bin_id: str, done: Done, at_ms: int) -> bool:
    """Store the bin's answer, the first one that comes; False when there is no such command."""
    found = find(connection, bin_id, done.number)
    if found is None:
        return False
    if found.state not in {DONE, REFUSED}:
        _set(
            connection,
            found,
            state=DONE if done.status == "done" else REFUSED,
            state_ms=at_ms,
            why=done.why,
            data=done.data,
            next_ms=None,
        )
    return True


def due(connection: sa.Connection, now_ms: int, limit: int) -> list[str]:
    """Give the bins with a command to look at, those that waited longest first."""
    query = (
        sa.select(commands.c.bin)
        .where(commands.c.next_ms <= now_ms)
        .group_by(commands.c.bin)
        .order_by(sa.func.min(commands.c.next_ms))
        .limit(limit)
    )
    return list(connection.scalars(query))


def late(connection: sa.Connection, now_ms: int) -> bool:
    """Whether a command is open after its deadline."""
    query = sa.select(commands.c.id).where(
        commands.c.next_ms <= now_ms, commands.c.until_ms < now_ms
    )
    return connection.scalar(query.limit(1)) is not None


def expire(connection: sa.Connection, now_ms: int) -> None:
    """End those whose deadline has passed without an answer."""
    connection.execute(
        commands.update()
        .where(commands.c.next_ms <= now_ms, commands.c.until_ms < now_ms)
        .values(
            state=EXPIRED,
            state_ms=now_ms,
            next_ms=None,
            why=sa.case(
                (commands.c.state == WAITING, "the bin was not heard before the deadline"),
                else_="sent, but no answer came before the deadline",
            ),
        )
    )


def open_of(connection: sa.Connection, bin_id: str) -> list[Command]:
    """Give the bin's commands without an answer, in the order of their ids."""
    query = sa.select(*_COLUMNS).where(commands.c.bin == bin_id, commands.c.next_ms.is_not(None))
    return [Command(*row) for row in connection.execute(query.order_by(commands.c.id))]


def hold(connection: sa.Connection, found: Iterable[Command]) -> None:
    """Let them wait until their bin is heard again, or for their deadline."""
    for command in found:
        _set(connection, command, next_ms=command.until_ms + 1)


def note_sent(connection: sa.Connection, command: Command, now_ms: int, next_ms: int) -> None:
    """Mark one as sent; it is looked at again at `next_ms` or at its deadline, the sooner one."""
    again_ms = min(next_ms, command.until_ms + 1)
    values = {"state": SENT, "tries": command.tries + 1, "next_ms": again_ms}
    if command.state != SENT:
        values["state_ms"] = now_ms
    _set(connection, command, **values)


def wake(connection: sa.Connection, bin_id: str, now_ms: int) -> None:
    """Look at the bin's commands now: it is there."""
    connection.execute(
        commands.update()
        .where(commands.c.bin == bin_id, commands.c.next_ms.is_not(None))
        .values(next_ms=now_ms)
    )


def _set(connection: sa.Connection, command: Command, **values: object) -> None:
    one = sa.and_(commands.c.bin == command.bin, commands.c.id == command.id)
    connection.execute(commands.update().where(one).values(**values))

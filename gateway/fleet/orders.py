"""Orders to bins, written into the store: the sender takes them from there.

Both raise OrderError (orderform.py), and then the caller's transaction writes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from gateway import wire
from gateway.fleet.orderform import WITHIN_MAX_S, Change, Document, Edit, OrderError, args_of
from gateway.store import audit, commands, fleet, wanted
from gateway.store.audit import Entry
from gateway.store.commands import Command
from gateway.store.wanted import Wanted

if TYPE_CHECKING:
    import sqlalchemy as sa

OPEN_MAX: Final = 4
"""Commands of one bin without an answer: it has room for no more."""


def want(connection: sa.Connection, bin_id: str, edit: Edit, *, by: str, at_ms: int) -> Change:
    """Write the bin's next settings, within a write transaction. Raises OrderError.

    The edit is laid over what is wanted now: the newest version that the bin has not refused.
    """
    told = wire.told_of(_health(connection, bin_id))
    last = wanted.newest(connection, bin_id)
    base = last
    if last is not None and last.state not in (*wanted.OPEN, wanted.IN_FORCE):
        base = wanted.in_force(connection, bin_id)
    before: Document = json.loads(base.document) if base is not None else {}
    if base is None and told.settings and not edit.clear:
        msg = (
            f"{bin_id} works with settings {told.settings}, which this gateway did not give: give "
            "the whole of them with --file, or --clear for the bin's own defaults"
        )
        raise OrderError(msg)
    after: Document = {} if edit.clear else dict(before)
    for name in edit.reset:
        after.pop(name, None)
    after.update(edit.put)
    # The same again after a refusal is an answer to it: the bin then no longer warns of it.
    if after == before and base is last and (base is not None or not told.settings):
        return Change(bin_id, 0, before, after)
    version = 1 + max(last.version if last else 0, told.settings, told.refused_settings)
    document = json.dumps(dict(sorted(after.items())), separators=(",", ":")).encode("ascii")
    _check_room(bin_id, version, document)
    row = Wanted(bin_id, version, document, by, at_ms, wanted.WAITING, at_ms, "", 0)
    wanted.add(connection, row)
    change = Change(bin_id, version, before, after)
    detail = "; ".join(change.lines()) or "the bin's own defaults"
    audit.note(connection, [Entry(at_ms, by, "set", bin_id, version, detail)])
    return change


def _check_room(bin_id: str, version: int, document: bytes) -> None:
    if version > wire.ORDER_MAX:
        msg = f"{bin_id}: has reached version {wire.ORDER_MAX}, the last one: it needs a new id"
        raise OrderError(msg)
    try:
        wire.settings_body(wire.ORDER_MAX, document)  # the longest version that it may get
    except wire.WireError as error:
        msg = f"{bin_id}: the settings are too many for one message: {error}"
        raise OrderError(msg) from error


def command(
    connection: sa.Connection,
    bin_id: str,
    do: str,
    *,
    seconds: int | None,
    within_s: int,
    by: str,
    at_ms: int,
) -> Command:
    """Write a command, within a write transaction. Raises OrderError."""
    args = args_of(do, seconds)
    if not 1 <= within_s <= WITHIN_MAX_S:
        msg = f"within {within_s} s: must be 1 to {WITHIN_MAX_S}"
        raise OrderError(msg)
    told = wire.told_of(_health(connection, bin_id))
    waiting = [c.id for c in commands.open_of(connection, bin_id) if c.until_ms >= at_ms]
    if len(waiting) >= OPEN_MAX:
        ids = ", ".join(str(number) for number in waiting)
        msg = (
            f"{bin_id}: has {len(waiting)} commands to answer ({ids}): boxback fleet show {bin_id}"
        )
        raise OrderError(msg)
    number = 1 + max(commands.newest_id(connection, bin_id), told.done)
    if number > wire.ORDER_MAX:
        msg = f"{bin_id}: has reached command {wire.ORDER_MAX}, the last one: it needs a new id"
        raise OrderError(msg)
    made = Command(
        bin_id,
        number,
        do,
        json.dumps(args, separators=(",", ":")).encode("ascii"),
        at_ms + within_s * 1000,
        by,
        at_ms,
        commands.WAITING,
        at_ms,
        "",
        None,
        0,
    )
    commands.add(connection, made)
    detail = " ".join([do, *(f"{value} s" for value in args.values()), f"within {within_s} s"])
    audit.note(connection, [Entry(at_ms, by, "do", bin_id, number, detail)])
    return made


def _health(connection: sa.Connection, bin_id: str) -> bytes | None:
    """Give the last health of a bin. Raises OrderError when there is no such bin."""
    state = fleet.before(connection, bin_id)
    if state is None:
        msg = f"no bin {bin_id} in this fleet: boxback fleet list shows those there are"
        raise OrderError(msg)
    return state.health

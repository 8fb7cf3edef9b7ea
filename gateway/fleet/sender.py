"""The thread that brings orders to bins: commands once the bin is there, settings retained.

It looks at the store a few times a second (one index look-up while nothing waits), for the command
line that writes orders is another process. An order is sent again, with longer and longer waits,
until the bin answers, is heard anew, or the deadline passes: a broker may lose any message, and
the bin does each id once. What is to be sent is marked so in one transaction and published after
it, so two senders on one database do not send the same, and what a crash loses is sent again.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sqlalchemy import exc

from gateway import wire
from gateway.backoff import Backoff
from gateway.fleet.keys import keys_of
from gateway.fleet.news import is_there
from gateway.log import fields
from gateway.store import commands, fleet, wanted
from gateway.store.database import now_ms

if TYPE_CHECKING:
    import sqlalchemy as sa

    from gateway.store import Store
    from gateway.store.fleet import Before

log = logging.getLogger("gateway.fleet")

POLL_S: Final = 0.25
BATCH_BINS: Final = 200
"""Bins that one transaction deals with."""
COMMAND_AGAIN_S: Final = 3
SETTINGS_AGAIN_S: Final = 10
AGAIN_MAX_S: Final = 600
"""Waits before an order without an answer is sent again: these first, doubled up to this."""
_DOUBLINGS_MAX: Final = 10
_STORE_RETRY_FIRST_S: Final = 0.2
_STORE_RETRY_MAX_S: Final = 10.0


class Way(Protocol):
    """How an order leaves: the link to the broker."""

    @property
    def ready(self) -> threading.Event:
        """Set while there is a connection."""

    def publish(
        self, bin_id: str, leaf: str, payload: bytes, qos: int, *, retain: bool = False
    ) -> bool:
        """Send to one bin; False when it was let go."""


class Letter(NamedTuple):
    """One signed order, ready to be published."""

    bin: str
    leaf: str
    payload: bytes
    name: str
    """For the log: `command 17 open` or `settings 3`."""


class Sender(threading.Thread):
    """Send what the store holds. It ends when asked to; `failed` tells when it ended by itself."""

    def __init__(self, store: Store, link: Way) -> None:
        super().__init__(name="boxback-sender", daemon=True)
        self._store = store
        self._link = link
        self._stopping = threading.Event()
        self._cleared = False
        self.failed = threading.Event()

    def stop(self) -> None:
        """Ask for the end, after the transaction in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Work until asked to stop."""
        backoff = Backoff(_STORE_RETRY_FIRST_S, _STORE_RETRY_MAX_S)
        try:
            while not self._stopping.is_set():
                wait_s = POLL_S
                try:
                    if self.pass_on(now_ms()):
                        wait_s = 0
                    backoff.reset()
                except (exc.DBAPIError, exc.TimeoutError) as error:
                    wait_s = backoff.next_s()
                    reason = getattr(error, "orig", None) or type(error).__name__
                    log.error("store failed", extra=fields(reason=reason, wait_s=f"{wait_s:.2f}"))  # noqa: TRY400
                self._stopping.wait(wait_s)
        finally:
            if not self._stopping.is_set():
                self.failed.set()

    def pass_on(self, at_ms: int) -> bool:
        """Send what is due; whether there may be more. Raises SQLAlchemy's errors."""
        ready = self._link.ready.is_set()
        with self._store.reading() as connection:
            some = commands.late(connection, at_ms)
            if ready and not some:
                some = bool(commands.due(connection, at_ms, 1) or wanted.due(connection, at_ms, 1))
        if not some and (self._cleared or not ready):
            return False
        gone: list[str] = []
        letters: list[Letter] = []
        with self._store.writing() as connection:
            commands.expire(connection, at_ms)
            if ready:
                gone = [] if self._cleared else wanted.forsake(connection, at_ms)
                letters = due_letters(connection, at_ms)
        for bin_id in gone:  # an empty retained message takes the old one off the broker
            self._link.publish(bin_id, "settings", b"", 1, retain=True)
        self._cleared = self._cleared or ready
        held: dict[str, None] = {}
        for letter in letters:  # after one that has no room, none to its bin: they go in order
            if letter.bin in held or not self._publish(letter):
                held[letter.bin] = None
        if held:  # the way is full: a fleet's worth of settings needs more than one go
            with self._store.writing() as connection:
                for bin_id in held:
                    commands.wake(connection, bin_id, at_ms + 1000 * COMMAND_AGAIN_S)
                    wanted.wake(connection, bin_id, at_ms + 1000 * COMMAND_AGAIN_S)
        return bool(letters) and not held

    def _publish(self, letter: Letter) -> bool:
        retain = letter.leaf == "settings"
        if not self._link.publish(letter.bin, letter.leaf, letter.payload, 1, retain=retain):
            return False
        log.info("sent", extra=fields(bin=letter.bin, order=letter.name))
        return True


def due_letters(connection: sa.Connection, at_ms: int) -> list[Letter]:
    """Mark what is due as sent, and give it. Commands of a bin go in order, all of them again:
    a bin does no id below its newest, so one that was lost must not be overtaken.
    """
    letters: list[Letter] = []
    for bin_id in commands.due(connection, at_ms, BATCH_BINS):
        letters += _commands(connection, bin_id, at_ms)
    for row in wanted.due(connection, at_ms, BATCH_BINS):
        letters += _settings(connection, row, at_ms)
    return letters


def _commands(connection: sa.Connection, bin_id: str, at_ms: int) -> list[Letter]:
    found = commands.open_of(connection, bin_id)
    state = fleet.before(connection, bin_id)
    row = fleet.find_bin(connection, bin_id)
    if row is None or state is None or not is_there(state.online, state.last_seen_ms, at_ms):
        commands.hold(connection, found)
        return []
    signer = keys_of(row).command
    letters: list[Letter] = []
    for one in found:
        body = wire.command_body(one.id, one.do, json.loads(one.args), one.until_ms)
        letters.append(Letter(bin_id, "command", signer.sign(body), f"command {one.id} {one.do}"))
        commands.note_sent(connection, one, at_ms, at_ms + again_ms(COMMAND_AGAIN_S, one.tries))
    return letters


def _settings(connection: sa.Connection, row: wanted.Wanted, at_ms: int) -> list[Letter]:
    state = fleet.before(connection, row.bin)
    found = fleet.find_bin(connection, row.bin)
    if found is None or state is None:
        wanted.note_sent(connection, row, at_ms, None)
        return []
    if _has(state, row.version):
        wanted.settle(connection, row.bin, wire.told_of(state.health), at_ms)
        return []
    there = is_there(state.online, state.last_seen_ms, at_ms)
    again = at_ms + again_ms(SETTINGS_AGAIN_S, row.tries) if there else None
    wanted.note_sent(connection, row, at_ms, again)
    payload = keys_of(found).settings.sign(wire.settings_body(row.version, row.document))
    return [Letter(row.bin, "settings", payload, f"settings {row.version}")]


def _has(state: Before, version: int) -> bool:
    """Whether the bin said that it has this version, or has refused it."""
    told = wire.told_of(state.health)
    return version in {told.settings, told.refused_settings}


def again_ms(first_s: int, tries: int) -> int:
    """Wait before the next try, after `tries` of them."""
    return 1000 * min(AGAIN_MAX_S, first_s << min(tries, _DOUBLINGS_MAX))

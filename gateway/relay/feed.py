"""What goes to points next: how many items at once, and which of them must wait."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final

from gateway.log import fields
from gateway.relay.client import Later, Mend
from gateway.relay.sender import name
from gateway.store import outbox
from gateway.store.database import now_ms

if TYPE_CHECKING:
    from gateway.relay.sender import Sender
    from gateway.store import Store
    from gateway.store.outbox import Waiting

log = logging.getLogger("gateway.relay")

ALONE_TRIES: Final = 3
"""Tries of one item alone before it is suspected and another one is tried in its place."""
OTHERS_MAX: Final = 500
"""How far away that other one is at most."""
PUT_OFF_S: Final = 600.0
"""Wait before an item that points fails on is tried again, alone."""


class Feed:
    """Empty the outbox through a sender, batch by batch.

    A batch that fails is tried with half as many items the next time, down to one: it may have been
    too much for the time limit, or one item in it is what points fails on. An item that fails alone
    and time after time, while another one passes, is put off: it stays in the outbox and blocks
    nobody. It is passed over by items of its own bin too, for one deposit does not depend on
    another. Only a withdrawal is never passed over by later lines of its own bin and epoch: the
    carton may have been weighed anew, and its label is free only when points know of it. No failure
    of points makes a dead letter: only its word does that (sender.py).
    """

    def __init__(self, store: Store, sender: Sender, batch_items: int) -> None:
        self._store = store
        self._sender = sender
        self._batch_items = batch_items
        self._halvings = 0
        self._alone = 0
        """How often in a row a single item failed."""

    @property
    def items(self) -> int:
        """How many items the next request has at most."""
        return max(1, self._batch_items >> self._halvings)

    def pass_on(self) -> Later | Mend | bool:
        """Send what is next: whether something was there, or why the rest must wait.

        Raises SQLAlchemy's errors.
        """
        with self._store.reading() as connection:
            due = outbox.take_put_off(connection, now_ms())
            items = outbox.take(connection, self.items)
        if due is not None:
            held = self._sender.send([due])
            if isinstance(held, Later) and held.blames:
                self._put_off(due, held)
            elif held is not None:
                return held
        if not items:
            return due is not None
        held = self._sender.send(items)
        if not isinstance(held, Later):
            self._halvings = max(0, self._halvings - 1)
            self._alone = 0
            return held or True
        if len(items) == 1 and held.blames and self._is_to_blame():
            self._put_off(items[0], held)
            return True
        self._halvings = min(self._halvings + 1, self._batch_items.bit_length())
        return held

    def _is_to_blame(self) -> bool:
        """Whether points fails on the oldest item, time after time, and takes another one.

        Which one is drawn at random, for bad ones may come in rows.
        """
        self._alone += 1
        if self._alone < ALONE_TRIES:
            return False
        with self._store.reading() as connection:
            others = outbox.take_others(connection, OTHERS_MAX)
        return bool(others) and self._sender.send([secrets.choice(others)]) is None

    def _put_off(self, item: Waiting, held: Later) -> None:
        with self._store.writing() as connection:
            outbox.put_off(connection, item, now_ms() + int(PUT_OFF_S * 1000))
        log.error(
            "points fails on this item and takes others: put off",
            extra=fields(line=name(item), reason=held.reason, again_s=f"{PUT_OFF_S:g}"),
        )

"""A batch from the outbox to its end: outcomes, dead letters, or a reason to wait."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from gateway import wire
from gateway.log import fields
from gateway.relay.client import Done, Later, Mend, Refused
from gateway.store import outbox
from gateway.store.database import now_ms
from gateway.store.outbox import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.relay.client import Reply
    from gateway.store import Store
    from gateway.store.outbox import Waiting

log = logging.getLogger("gateway.relay")

REFUSED_MAX: Final = 3
"""Items refused alone in a row before it is points that is suspected and not the items."""
WHY_KEPT_CHARS: Final = 500


class Sender:
    """Send items and keep what comes of them.

    `post(ids, body)` is one request; `tell(outcome)` is called when an outcome is durable.
    """

    def __init__(
        self,
        store: Store,
        post: Callable[[Sequence[str], bytes], Reply],
        tell: Callable[[Outcome], None],
    ) -> None:
        self._store = store
        self._post = post
        self._tell = tell
        self._in_a_row = 0
        """Items refused alone since one was taken."""

    def send(self, items: Sequence[Waiting]) -> Later | Mend | None:
        """Bring the items through in order; what is not decided stays in the outbox.

        A body refused as a whole is halved until the one item to blame stands alone, which takes
        at most 2 log2 n requests for each bad item; it goes to the dead letters and the others
        pass. After REFUSED_MAX of them and none that was taken, no more are looked for, and unless
        another part passes whole nothing is buried: an operator must mend points then.

        Returns None when all are done (those not looked for: by the next call), or why the rest
        must wait. Raises SQLAlchemy's errors when outcomes cannot be stored: the items are then
        sent again, which is harmless.
        """
        rest: list[Sequence[Waiting]] = [items]
        refused: list[tuple[Waiting, Refused]] = []
        taken = False
        while rest:
            part = rest.pop()
            reply = self._post([name(item) for item in part], body_of(part))
            if isinstance(reply, Done):
                self._settle(part, reply)
                taken = True
                self._in_a_row = 0
            elif not isinstance(reply, Refused):
                return reply
            elif len(part) == 1:
                refused.append((part[0], reply))
                self._in_a_row += 1
            elif taken or len(refused) < REFUSED_MAX:
                middle = len(part) // 2
                rest += [part[middle:], part[:middle]]  # the older half is sent first
            if taken:
                self._bury(refused)
                refused.clear()
        if refused and self._in_a_row >= REFUSED_MAX:
            return Mend(f"points refuses every item: {refused[-1][1].reason}")
        self._bury(refused)
        return None

    def _settle(self, part: Sequence[Waiting], reply: Done) -> None:
        found = [
            Outcome(
                item.bin,
                item.epoch,
                item.n,
                result.status,
                result.points,
                result.balance,
                result.code,
                result.why[:WHY_KEPT_CHARS],
            )
            for item, result in zip(part, reply.results, strict=True)
        ]
        with self._store.writing() as connection:
            outbox.settle(connection, part, found, now_ms())
        for item, outcome in zip(part, found, strict=True):
            log.info(
                outcome.status,
                extra=fields(line=name(item), points=outcome.points, code=outcome.code or "-"),
            )
            self._tell(outcome)

    def _bury(self, refused: Sequence[tuple[Waiting, Refused]]) -> None:
        for item, reply in refused:
            with self._store.writing() as connection:
                outbox.bury_sent(connection, item, reply.reason, now_ms())
            log.error(
                "dead letter",
                extra=fields(line=name(item), reason=reply.reason, do="boxback relay dead list"),
            )


def name(item: Waiting) -> str:
    """Give the line's id."""
    return wire.line_id(item.bin, item.epoch, item.n)


def body_of(items: Sequence[Waiting]) -> bytes:
    """Put the items into one request body, each as it was fixed at its commit."""
    return b'{"items":[' + b",".join(item.item for item in items) + b"]}"

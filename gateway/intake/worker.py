"""Messages to durable lines: collect, judge, commit, receipt, acknowledge, in that order.

If the commit fails nothing is said to anybody: no receipt, no PUBACK. It is tried again, the inbox
fills, the broker's window fills, the broker holds, and the bins hold.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import exc

from gateway import wire
from gateway.backoff import Backoff
from gateway.intake.commit import Committed, commit
from gateway.intake.judge import Batch, Message, judge
from gateway.log import fields
from gateway.store.database import now_ms
from gateway.store.quarantine import STORE_REFUSED, Reject

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import GatewaySettings
    from gateway.fleet.keys import Keys
    from gateway.intake.link import Link
    from gateway.store import Store

log = logging.getLogger("gateway.intake")

_IDLE_POLL_S: Final = 0.2
_COMMIT_RETRY_FIRST_S: Final = 0.05
_REASONS_SHOWN: Final = 5


class Worker(threading.Thread):
    """The one writer of lines. It ends when asked to; `failed` tells when it ended by itself."""

    def __init__(
        self,
        settings: GatewaySettings,
        store: Store,
        keys: Keys,
        link: Link,
        inbox: queue.Queue[Message],
        wake_relay: Callable[[], None],
    ) -> None:
        super().__init__(name="boxback-intake", daemon=True)
        self._settings = settings
        self._store = store
        self._keys = keys
        self._link = link
        self._inbox = inbox
        self._wake_relay = wake_relay
        self._stopping = threading.Event()
        self.failed = threading.Event()
        # Half of the broker's window: while one half is committed the other half arrives. A batch
        # that waited for more than the window would wait for ever (facts/mqtt.md).
        self.batch_messages = max(1, settings.window_messages // 2)

    def stop(self) -> None:
        """Ask for the end, after the batch in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Work until asked to stop."""
        try:
            while not self._stopping.is_set():
                messages = self._collect()
                if messages:
                    self._pass(messages)
        finally:
            if not self._stopping.is_set():
                self.failed.set()

    def _collect(self) -> list[Message]:
        """One batch: closed by messages, by lines, or by time after its first message."""
        try:
            messages = [self._inbox.get(timeout=_IDLE_POLL_S)]
        except queue.Empty:
            return []
        lines = messages[0].payload.count(b"\n")
        close_at = time.monotonic() + self._settings.batch_wait_ms / 1000
        while len(messages) < self.batch_messages and lines < self._settings.batch_lines:
            wait_s = close_at - time.monotonic()
            try:
                message = self._inbox.get(block=wait_s > 0, timeout=max(wait_s, 0))
            except queue.Empty:
                break
            messages.append(message)
            lines += message.payload.count(b"\n")
        return messages

    def _pass(self, messages: list[Message]) -> None:
        """Bring one batch through, however often it takes; give up only when asked to stop."""
        backoff = Backoff(_COMMIT_RETRY_FIRST_S, self._settings.commit_retry_max_s)
        while True:
            try:
                batch = self._judged(messages)
                done = self.commit(batch)
            except (exc.IntegrityError, exc.DataError) as error:
                self._pass_singly(messages, error)
                return
            except (exc.DBAPIError, exc.TimeoutError) as error:
                wait_s = backoff.next_s()
                log.error(  # noqa: TRY400 - the reason is in the line, a trace tells no more
                    "commit failed, nothing acknowledged",
                    extra=fields(
                        reason=_reason(error), tries=backoff.tries, wait_s=f"{wait_s:.2f}"
                    ),
                )
                if self._stopping.wait(wait_s):
                    return
            else:
                self.answer(batch, done)
                self._acknowledge(messages)
                return

    def _pass_singly(self, messages: list[Message], error: exc.DBAPIError) -> None:
        """A row that the database will never take must not hold up the others."""
        if len(messages) > 1:
            for message in messages:
                self._pass([message])
            return
        log.error("store refused a message", extra=fields(reason=_reason(error)))
        message = messages[0]
        batch = Batch(rejects=[Reject("", message.topic, STORE_REFUSED, message.payload)])
        try:
            self.commit(batch)
        except exc.DBAPIError as second:
            # Not acknowledged: the broker hands it out again after the next connect.
            log.error("nor its bytes", extra=fields(reason=_reason(second)))  # noqa: TRY400
            return
        self._acknowledge(messages)

    def _judged(self, messages: list[Message]) -> Batch:
        batch = Batch()
        for message in messages:
            judge(message, self._keys.find, batch)
        return batch

    def commit(self, batch: Batch) -> Committed:
        """Make the batch durable (tests put failing disks here)."""
        return commit(self._store, batch, now_ms(), self._settings.quarantine_rows)

    def answer(self, batch: Batch, done: Committed) -> None:
        """Send each bin its receipts: after the commit, before any PUBACK."""
        for (bin_id, epoch), n in done.reached.items():
            if n > 0:  # nothing can be said while line 1 is missing
                body = wire.receipt_body(epoch, n)
                self._link.publish(bin_id, "receipt", batch.keys[bin_id].receipt.sign(body), 1)
        self._tell(batch, done)
        if done.queued:
            self._wake_relay()

    def _acknowledge(self, messages: list[Message]) -> None:
        for message in messages:
            self._link.ack(message)

    def _tell(self, batch: Batch, done: Committed) -> None:
        if batch.arrived:
            spans: dict[tuple[str, str], tuple[int, int]] = {}
            for item in batch.arrived:
                n = item.line.n
                low, high = spans.get((item.bin, item.line.epoch), (n, n))
                spans[item.bin, item.line.epoch] = (min(low, n), max(high, n))
            for (bin_id, epoch), (low, high) in spans.items():
                span = str(low) if low == high else f"{low}-{high}"
                receipt = done.reached[bin_id, epoch]
                log.info("stored", extra=fields(line=f"{bin_id}.{epoch}.{span}", receipt=receipt))
            log.debug("batch", extra=fields(new=done.new, again=done.again, queued=done.queued))
        if done.rejected:
            shown = [f"{r.bin or '?'}:{r.reason}" for r in batch.rejects[:_REASONS_SHOWN]]
            log.warning(
                "quarantined",
                extra=fields(many=done.rejected, some=",".join(shown) or "see quarantine"),
            )
        for answer in batch.answers:
            kind = "settings" if answer.done.settings else "command"
            order, status = f"{kind} {answer.done.number}", answer.done.status
            log.info("answer", extra=fields(bin=answer.bin, order=order, status=status))
        for change in done.faults:
            log.warning("faults", extra=fields(bin=change.bin, change=change))
        if done.buried:
            log.error("dead letters", extra=fields(many=done.buried, do="boxback relay dead list"))


def _reason(error: Exception) -> str:
    """Say what the driver said, without the statement: its parameters hold passes."""
    return str(getattr(error, "orig", None) or type(error).__name__)

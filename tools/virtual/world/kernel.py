"""The world's clock and its list of things to come."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

MAX_PENDING = 10_000


class Pending:
    """One thing to come; cancel() makes it not happen."""

    __slots__ = ("action", "cancelled", "time_us")

    def __init__(self, time_us: int, action: Callable[[], None]) -> None:
        self.time_us = time_us
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        """Forget it."""
        self.cancelled = True


class Kernel:
    """Discrete events in microseconds since the world began. Not thread-safe: its owner locks."""

    def __init__(self) -> None:
        self.now_us = 0
        self._queue: list[tuple[int, int, Pending]] = []
        self._sequence = itertools.count()

    def at(self, time_us: int, action: Callable[[], None]) -> Pending:
        """Do `action` at `time_us` (now at the earliest); equal times keep their order."""
        if len(self._queue) >= MAX_PENDING:
            raise RuntimeError(f"more than {MAX_PENDING} events pending in the virtual world")
        pending = Pending(max(time_us, self.now_us), action)
        heapq.heappush(self._queue, (pending.time_us, next(self._sequence), pending))
        return pending

    def after(self, delay_us: int, action: Callable[[], None]) -> Pending:
        """Do `action` in `delay_us`."""
        return self.at(self.now_us + delay_us, action)

    def next_us(self) -> int | None:
        """When the next thing happens, or None."""
        while self._queue and self._queue[0][2].cancelled:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def run_to(self, time_us: int) -> None:
        """Let time pass to `time_us`, doing what is due in order."""
        while True:
            due = self.next_us()
            if due is None or due > time_us:
                break
            _, _, pending = heapq.heappop(self._queue)
            self.now_us = max(self.now_us, due)
            pending.action()
        self.now_us = max(self.now_us, time_us)

"""How often somebody may try: token buckets in memory, themselves bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict

_MINUTE_MS = 60_000
MAX_CALLERS = 10_000


class Rate:
    """At most `each` tries a minute for one caller and `total` for all of them."""

    def __init__(self, each: int, total: int) -> None:
        """Begin with full buckets."""
        self._each, self._total = each, total
        self._callers: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._all: tuple[float, int] = (float(total), 0)
        self._lock = threading.Lock()

    def allow(self, caller: str, now_ms: int) -> bool:
        """Take one try if there is one."""
        with self._lock:
            mine = _filled(
                self._callers.pop(caller, (float(self._each), now_ms)), self._each, now_ms
            )
            everybody = _filled(self._all, self._total, now_ms)
            allowed = mine >= 1 and everybody >= 1
            self._callers[caller] = (mine - allowed, now_ms)
            self._all = (everybody - allowed, now_ms)
            # The longest unseen is forgotten: its bucket is the fullest.
            if len(self._callers) > MAX_CALLERS:
                self._callers.popitem(last=False)
            return allowed


def _filled(bucket: tuple[float, int], size: int, now_ms: int) -> float:
    left, at_ms = bucket
    return min(float(size), left + size * max(0, now_ms - at_ms) / _MINUTE_MS)

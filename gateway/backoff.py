"""Waits between tries: full jitter, so that many that failed together do not come back together."""

from __future__ import annotations

import random
from typing import Final

_DOUBLINGS_MAX: Final = 16


class Backoff:
    """Draw each wait at random from zero to a bound that doubles with every try up to `most_s`."""

    def __init__(self, first_s: float, most_s: float, draw: random.Random | None = None) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._tries = 0
        self._draw = draw or random.SystemRandom()

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        bound = min(self._most_s, self._first_s * 2 ** min(self._tries, _DOUBLINGS_MAX))
        self._tries += 1
        return self._draw.uniform(0, bound)

    def reset(self) -> None:
        """Begin again with the shortest bound: it worked."""
        self._tries = 0

    @property
    def tries(self) -> int:
        """Waits drawn since the last reset."""
        return self._tries

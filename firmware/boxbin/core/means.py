"""Means of readings in counts: of a few without their extremes, of a scale that never rests."""

_BLOCK_MS = 500
_BLOCKS = 4  # 2 s; twice as many for the rough case
_CALM_MG = 6_000  # how closely the means of _BLOCKS blocks must agree
_ROUGH_MG = 8_000  # or those of two times _BLOCKS blocks
_SPREAD_MAX_MG = 200_000  # nothing that swings more than this is averaged


class Trimmed:
    """Add counts, then `take` their mean; of four or more without the highest and the lowest."""

    def __init__(self):
        self.count = self._sum = self.low = self.high = 0

    def add(self, counts):
        """One more."""
        if not self.count:
            self.count, self._sum, self.low, self.high = 1, counts, counts, counts
            return
        self.count += 1
        self._sum += counts
        if counts < self.low:
            self.low = counts
        elif counts > self.high:
            self.high = counts

    def take(self):
        """The mean; `low` and `high` stay to be read, and the next `add` begins anew."""
        count, self.count = self.count, 0
        if count >= 4:
            return (self._sum - self.low - self.high) // (count - 2)
        return self._sum // count


class Calm:
    """Wind and traffic: no band holds the readings, but the means of whole blocks agree.

    `counts` is that mean, or None; a reading further than `spread` from it has left it.
    """

    def __init__(self, to_counts):
        self._calm = to_counts(_CALM_MG)
        self._rough = to_counts(_ROUGH_MG)
        self._spread_max = to_counts(_SPREAD_MAX_MG)
        self._block = Trimmed()
        self._means, self._lows, self._highs = [], [], []
        self.clear()

    def clear(self):
        """Begin anew."""
        for blocks in (self._means, self._lows, self._highs):
            del blocks[:]
        self._block.count = 0
        self._block_ms = 0
        self.counts = None
        self.spread = 0

    def add(self, now_ms, counts):
        """One more slot of the scale."""
        block = self._block
        if not block.count:
            self._block_ms = now_ms
        block.add(counts)
        if now_ms - self._block_ms >= _BLOCK_MS:
            self._means.append(block.take())
            self._lows.append(block.low)
            self._highs.append(block.high)
            if len(self._means) > 2 * _BLOCKS:
                for blocks in (self._means, self._lows, self._highs):
                    del blocks[0]
            self.counts = self._judge()

    def _judge(self):
        means, lows, highs = self._means, self._lows, self._highs
        late = means[-_BLOCKS:]
        if len(late) < _BLOCKS:
            return None
        self.spread = max(highs[-_BLOCKS:]) - min(lows[-_BLOCKS:])
        if self.spread > self._spread_max or self._dies_away():
            return None
        if max(late) - min(late) <= self._calm:
            return sum(late) // _BLOCKS
        if len(means) == 2 * _BLOCKS and max(highs) - min(lows) <= self._spread_max:
            early = sum(means[:_BLOCKS])
            if abs(early - sum(late)) <= self._rough * _BLOCKS:
                return (early + sum(late)) // (2 * _BLOCKS)
        return None

    def _dies_away(self):
        """The swing of a carton that fell gets smaller; wind and traffic go on."""
        lows, highs = self._lows, self._highs
        early = highs[-_BLOCKS] - lows[-_BLOCKS] + highs[1 - _BLOCKS] - lows[1 - _BLOCKS]
        late = highs[-1] - lows[-1] + highs[-2] - lows[-2]
        return 2 * early > 3 * late + 2 * self._calm

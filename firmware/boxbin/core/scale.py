"""From raw HX711 counts to "at rest at this mass", in integers.

A median of three takes lone spikes out. Rest means: all filtered readings of the last `rest_ms`
agree within `rest_band_mg`, and the first and the second half of them have the same mean, so that
a slow slide is not taken for rest. A reading that is missing is no value: it makes the scale
unstable, never repeats the last one. The absolute mass drifts by kilograms over weeks, so users of
this module compare two resting masses that lie seconds apart.
"""

MISSING = "missing"  # no reading for MISSING_MS, or the chip answers nonsense
SATURATED = "saturated"
UNSTABLE = "unstable"
STABLE = "stable"

COUNTS_MAX = 0x7FFFFF
COUNTS_MIN = -0x800000
MISSING_MS = 1000  # ten periods at 10 samples a second
WINDOW_READINGS_MAX = 80  # one second at 80 samples a second

_HALVES_SHARE = 3  # the halves' means may differ by a third of the band


def median3(a, b, c):
    """The middle one of three."""
    if a > b:
        a, b = b, a
    return a if c < a else (b if c > b else c)


class Scale:
    """Feed readings with their time, read `state` and `mass_mg`.

    `mass_mg` is the mean of the window at rest, otherwise the last filtered reading, or None when
    there is no value. Mass is relative to `zero_counts`.
    """

    def __init__(self, settings, zero_counts=0):
        self._settings = settings
        self._zero_counts = zero_counts
        self._band_counts = max(2, settings.rest_band_mg * settings.counts_per_kg // 1_000_000)
        self._last_ms = 0
        self._clear()
        self.state = MISSING

    def _clear(self):
        self._raw = []
        self._times_ms = []
        self._counts = []
        self.mass_mg = None

    def add(self, now_ms, raw):
        """Take one reading (`None` when the frame was bad) and return the new state."""
        if raw is None:
            self.mass_mg = None
            if self.tick(now_ms) != MISSING:
                self.state = UNSTABLE
            return self.state
        if raw >= COUNTS_MAX or raw <= COUNTS_MIN:
            self._clear()
            self._last_ms = now_ms
            self.state = SATURATED
            return self.state
        self._last_ms = now_ms
        self._raw.append(raw)
        if len(self._raw) > 3:
            del self._raw[0]
        if len(self._raw) < 3:
            self.state = UNSTABLE
            return self.state
        self._push(now_ms, median3(*self._raw))
        self._judge(now_ms)
        return self.state

    def tick(self, now_ms):
        """Time has passed without a reading; return the state."""
        if now_ms - self._last_ms > MISSING_MS:
            self._clear()
            self.state = MISSING
        return self.state

    def _push(self, now_ms, counts):
        times_ms, window = self._times_ms, self._counts
        times_ms.append(now_ms)
        window.append(counts)
        # One reading older than the window stays in, so that the window is covered whole.
        oldest_ms = now_ms - self._settings.rest_ms
        while len(window) > WINDOW_READINGS_MAX or (len(window) > 2 and times_ms[1] <= oldest_ms):
            del times_ms[0]
            del window[0]

    def _judge(self, now_ms):
        times_ms, window = self._times_ms, self._counts
        count = len(window)
        full = (
            now_ms - times_ms[0] >= self._settings.rest_ms or count >= WINDOW_READINGS_MAX
        ) and count >= 4
        if full and max(window) - min(window) <= self._band_counts and self._level():
            self.state = STABLE
            self.mass_mg = self._to_mg(sum(window) // count)
        else:
            self.state = UNSTABLE
            self.mass_mg = self._to_mg(window[-1])

    def _level(self):
        window = self._counts
        half = len(window) // 2
        first = sum(window[:half]) // half
        second = sum(window[-half:]) // half
        return abs(first - second) <= max(1, self._band_counts // _HALVES_SHARE)

    def _to_mg(self, counts):
        return (counts - self._zero_counts) * 1_000_000 // self._settings.counts_per_kg

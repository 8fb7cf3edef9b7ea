"""From raw HX711 counts to "at rest at this mass", in integers.

Each reading has one of three answers: a value (STABLE, with `mass_mg`), UNSTABLE, or a named fault.

    80 or 10 a second readings are averaged into slots of _SLOT_MS, so both look the same from there
    lone spike        a slot loses its highest and lowest reading when it has four, a window the one
                      slot that is far off. (Not a median of three: at 10 a second a swing that
                      peaks in every third reading would look like rest, at the wrong mass)
    fast rest         all slots of `rest_ms` within a band and both halves at the same mean, so that
                      a slow slide is not taken for rest; the band widens with the noise that the
                      idle container showed (10 counts/g, a busy street), up to `rest_band_max_mg`
    slow rest         in wind or vibration nothing is ever within a band: then the mean of blocks
                      (means.py) decides, when it has stopped moving for 2 s (or 4 s, when rough),
                      and the swing no longer dies away
    MISSING           no reading for MISSING_MS: a cable is off
    SATURATED         nothing but the ends of the range for _RAIL_MS
    STUCK             the very same number for `stuck_ms`: 50 nV of noise are some 20 counts at gain
                      128 (facts/hardware.md), so a live converter never repeats itself for long
                      (QUIET_MS when it has not shown any noise yet)
    ERRATIC           most readings jump by more than _ERRATIC_MG: half-clocked, a bit slipped

A missing reading is no value: never the last one, never zero. The absolute mass drifts by kilograms
over weeks, so users compare two resting masses that lie seconds apart.
"""

from .means import Calm, Trimmed

MISSING = "missing"
SATURATED = "saturated"
STUCK = "stuck"
ERRATIC = "erratic"
UNSTABLE = "unstable"
STABLE = "stable"
FAULTS = (MISSING, SATURATED, STUCK, ERRATIC)

COUNTS_MAX = 0x7FFFFF
COUNTS_MIN = -0x800000
MISSING_MS = 2_000
QUIET_MS = 30_000
_RAIL_MS = 500
_GAP_MS = 500  # what lies on both sides of a longer gap is not one window
_ERRATIC_MG = 1_000_000  # more than a kilogram from one reading to the next
_ERRATIC_MS = 3_000  # for that long, jumps outweighing calm readings
_SLOT_MS = 80
_SLOTS_MIN = 4
_SLOTS_MAX = 64
_PAUSE_SLOTS = 4  # so many slots within the band are a pause, which is not yet rest

_NOISE_SHARE = 32  # learning: one part in so many a reading, some 3 s at ten a second


class Scale:
    """Feed readings with their time, read `state` and `mass_mg`.

    `mass_mg` is the mean at rest, otherwise the last filtered reading, or None when there is no
    value. `noise_mg` is how far readings of the idle container lie apart within `rest_ms`.
    """

    def __init__(self, settings, zero_counts=0):
        self._settings = settings
        self._zero_counts = zero_counts
        self._counts_per_kg = settings.counts_per_kg
        self._rest_ms = settings.rest_ms
        self._jump_counts = self._to_counts(_ERRATIC_MG)
        self._slot = Trimmed()
        self._calm = Calm(self._to_counts)
        self._noise = None  # _NOISE_SHARE times the usual spread in counts
        self._widen(0)
        self._last_ms = self._rail_ms = None
        self._same = None  # the last raw reading, and since when it is the same
        self._same_ms = 0
        self._erratic_ms, self._is_erratic = 0, False
        self._times_ms, self._slots = [], []
        self._clear()
        self.state = MISSING

    def _clear(self):
        self._slot.count = self._pushed_ms = 0
        del self._times_ms[:]
        del self._slots[:]
        self._calm.clear()
        self._spread = None  # of the last window at rest
        self._wide = 0  # of the last window that was not, without one spike
        self.state = UNSTABLE
        self.mass_mg = None

    @property
    def noise_mg(self):
        """Usual peak-to-peak spread of a window of the idle container, 0 until learned."""
        return (self._noise or 0) // _NOISE_SHARE * 1_000_000 // self._counts_per_kg

    def add(self, now_ms, raw):
        """Take one reading (`None`: there was none, or its frame was bad); return the new state."""
        if raw is None:
            self.mass_mg = None
            if self.tick(now_ms) not in FAULTS:
                self.state = UNSTABLE
            return self.state
        last_ms, self._last_ms = self._last_ms, now_ms
        if raw >= COUNTS_MAX or raw <= COUNTS_MIN:
            return self._at_the_rail(now_ms)
        self._rail_ms = None
        period_ms = _GAP_MS if last_ms is None else min(now_ms - last_ms, _GAP_MS)
        if period_ms == _GAP_MS or self.state in FAULTS:
            self._clear()
        fault = self._watch(now_ms, raw, period_ms)
        return self._fault(fault) if fault else self._take(now_ms, raw)

    def tick(self, now_ms):
        """Time has passed without a reading; return the state."""
        if self._last_ms is None:
            self._last_ms = now_ms
        elif now_ms - self._last_ms > MISSING_MS:
            self._fault(MISSING)
        return self.state

    def pause_mg(self):
        """The mean of the last slots when they agree, or None: enough to see what left for a
        moment, too little to weigh by.
        """
        if self.mass_mg is None or len(self._slots) < _PAUSE_SLOTS:
            return None
        late = self._slots[-_PAUSE_SLOTS:]
        if max(late) - min(late) > self._band:
            return None
        return self._to_mg(sum(late) // _PAUSE_SLOTS)

    def learn(self):
        """Nobody is there and the container rests: this is how noisy it is at the best of times."""
        if self._spread is None:
            return  # it rests by the means of blocks, and is rough: that is not its own noise
        if self._noise is None:
            self._noise = self._spread * _NOISE_SHARE
        else:
            self._noise += self._spread - self._noise // _NOISE_SHARE
        self._widen(self._noise // _NOISE_SHARE)

    # -- faults ---------------------------------------------------------------------------------

    def _fault(self, name):
        self.state = name
        self.mass_mg = None
        return name

    def _at_the_rail(self, now_ms):
        """The end of the range: one such reading is a spike, nothing else for a time a fault."""
        if self._rail_ms is None:
            self._rail_ms = now_ms
        if self.state == MISSING:
            self.state = UNSTABLE
        if now_ms - self._rail_ms >= _RAIL_MS:
            return self._fault(SATURATED)
        return self.state

    def _watch(self, now_ms, raw, period_ms):
        """STUCK, ERRATIC or None, from how this reading differs from the one before."""
        same, self._same = self._same, raw
        if raw == same:
            limit_ms = self._settings.stuck_ms if self._noise else QUIET_MS
            return STUCK if now_ms - self._same_ms >= limit_ms else None
        self._same_ms = now_ms
        if same is not None and abs(raw - same) > self._jump_counts:
            self._erratic_ms = min(2 * _ERRATIC_MS, self._erratic_ms + period_ms)
        elif self._erratic_ms:
            self._erratic_ms = max(0, self._erratic_ms - period_ms)
        if self._erratic_ms >= _ERRATIC_MS:
            self._is_erratic = True
        elif not self._erratic_ms:
            self._is_erratic = False  # as long again without jumps
        return ERRATIC if self._is_erratic else None

    # -- rest -----------------------------------------------------------------------------------

    def _take(self, now_ms, raw):
        self._slot.add(raw)
        if now_ms - self._pushed_ms >= _SLOT_MS:
            self._push(now_ms, self._slot.take())
        return self.state

    def _push(self, now_ms, counts):
        self._pushed_ms = now_ms
        times_ms, slots = self._times_ms, self._slots
        times_ms.append(now_ms)
        slots.append(counts)
        # One slot older than the window stays in, so that the window is covered whole.
        oldest_ms = now_ms - self._rest_ms
        while len(slots) > _SLOTS_MAX or (len(slots) > 2 and times_ms[1] <= oldest_ms):
            del times_ms[0]
            del slots[0]
        calm = self._calm
        calm.add(now_ms, counts)
        rest = None
        if times_ms[0] <= oldest_ms and len(slots) >= _SLOTS_MIN:
            rest = self._rest()
        if rest is not None:
            self.state = STABLE
            self.mass_mg = self._to_mg(rest)
        elif calm.counts is not None and abs(counts - calm.counts) <= calm.spread:
            self.state = STABLE
            self.mass_mg = self._to_mg(calm.counts)
            if self._wide <= self._widest:
                self._spread = self._wide  # a scale that is always as noisy as this
        else:
            self.state = UNSTABLE
            self.mass_mg = self._to_mg(counts)

    def _rest(self):
        """The mean of the window when it is at rest, else None."""
        self._spread = None
        slots = self._slots
        spread = max(slots) - min(slots)
        if spread > self._band:
            slots = self._without_spike()
            if slots is None:
                return None
            spread = max(slots) - min(slots)
        elif not spread and self._noise:
            return None  # a converter that makes noise and now makes none is frozen
        half = len(slots) // 2
        late = sum(slots[-half:])
        slide = abs(sum(slots[:half]) - late)
        if slide > self._level * half:
            return None
        self._spread = spread
        # The last of a slow settling: the later half is nearer to where it ends.
        return late // half if 2 * slide > self._level * half else sum(slots) // len(slots)

    def _without_spike(self):
        """The window without the one slot that is off; None when it is more than that one."""
        slots = self._slots
        ordered = sorted(slots)
        below, above = ordered[-2] - ordered[0], ordered[-1] - ordered[1]
        self._wide = min(below, above)
        if self._wide > self._band:
            return None
        spike = ordered[-1] if below <= above else ordered[0]
        at = slots.index(spike)
        return slots[:at] + slots[at + 1 :]

    def _widen(self, noise_counts):
        settings = self._settings
        most = self._widest = self._to_counts(settings.rest_band_max_mg)
        least = self._to_counts(settings.rest_band_mg)
        self._band = max(least, min(2 * noise_counts, most))
        # How far the means of both halves may lie apart.
        self._level = max(least // 4, min(noise_counts // 3, most // 4))

    def _to_counts(self, mass_mg):
        return max(2, mass_mg * self._counts_per_kg // 1_000_000)

    def _to_mg(self, counts):
        return (counts - self._zero_counts) * 1_000_000 // self._counts_per_kg

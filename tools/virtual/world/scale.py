"""The container on its four load cells, and the readings an HX711 makes of it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from tools.virtual.world.kernel import Kernel, Pending

FULL_SCALE = 0x7FFFFF
RISE_US = 40_000  # a carton's weight arrives on the cells in about this time
HAND_MAX_G = 100_000
HAND_TREMOR_HZ = 9.0
HAND_WANDER_S = 0.8  # a hand that means to press evenly drifts about that fast
HAND_WOBBLE = 0.05  # and by about that share of its force; its tremor has half of it
# Share of the true signal in the first readings after power-up: 400 ms to settle at 10 a second.
SETTLING = (0.35, 0.8, 0.95, 0.99)


@dataclass(frozen=True)
class ScaleModel:
    """Four 20 kg half bridges, from facts/hardware.md: 26 counts/g, 1 g of noise a sample.

    To change it while the scale runs, give `Scale.model` another one (dataclasses.replace).
    """

    counts_per_g: float = 26.0
    zero_counts: int = 84_000
    noise_g: float = 1.0
    period_us: int = 100_000
    drift_g_per_min: float = 0.0
    impact: float = 1.2  # swing of a falling carton, as a share of its mass
    swing_hz: float = 6.0
    damping_us: int = 180_000
    spikes_per_min: float = 0.0  # lone wrong readings
    spike_g: float = 5_000.0
    vibration_g: float = 0.0  # of the street: a swing of this size
    vibration_hz: float = 13.0


@dataclass
class _Load:
    """`slow_us` 0: it drops and is snatched away; else it is lowered and drawn in that time."""

    mass_g: float
    since_us: int
    impact: float
    slow_us: int = 0
    until_us: int | None = None
    wobble: float = 0.0  # of a hand: share of its force
    wander_g: float = 0.0

    def lift(self, now_us: int) -> None:
        """It begins to leave."""
        if self.until_us is None:
            self.until_us = now_us


class Scale:
    """Sums loads over time into counts; `deliver` gets a signed 24-bit reading every period."""

    def __init__(
        self, kernel: Kernel, seed: int, deliver: Callable[[int], None], model: ScaleModel
    ) -> None:
        self.model = model
        self.connected = True
        self.last_counts: int | None = None
        self._kernel = kernel
        self._random = random.Random(f"scale {seed}")  # noqa: S311  (noise, not a secret)
        self._deliver = deliver
        self._loads: dict[int, _Load] = {}
        self._next = 1
        self._reading = 0
        self._tick: Pending | None = None
        self._shake_until_us = 0
        self._drift_g = 0.0

    def power(self, *, on: bool) -> None:
        """Start or stop converting; the first readings after power-up are not settled."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self.last_counts = None
        if on:
            self._reading = 0
            self._tick = self._kernel.after(self.model.period_us, self._convert)

    def put(self, mass_g: float, impact: float | None = None, slow_ms: int = 0) -> int:
        """Lay `mass_g` into the container, slowly and without a swing when it takes `slow_ms`.

        Returns its number for lift().
        """
        number = self._next
        self._next += 1
        swing = self.model.impact if impact is None else impact
        self._loads[number] = _Load(mass_g, self._kernel.now_us, swing, slow_ms * 1000)
        return number

    def lift(self, number: int) -> None:
        """Take that load away again, as fast as it came."""
        self._loads[number].lift(self._kernel.now_us)

    def press(self, mass_g: float, slow_ms: int = 0, *, steady: bool = False) -> int:
        """A hand begins to press (a negative mass lifts the container); lift() lets go.

        A hand trembles and wanders; a `steady` one does not, as no hand can.
        """
        if abs(mass_g) > HAND_MAX_G:
            raise ValueError(f"a hand of {mass_g} g, allowed are {HAND_MAX_G}")
        number = self.put(mass_g, impact=0.3, slow_ms=slow_ms)
        self._loads[number].wobble = 0.0 if steady else HAND_WOBBLE
        return number

    def push(self, mass_g: float, hold_ms: int) -> None:
        """press() with a steady hand for `hold_ms`."""
        number = self.press(mass_g, steady=True)
        self._kernel.after(hold_ms * 1000, lambda: self.lift(number))

    def shake(self, hold_ms: int) -> None:
        """Someone shakes the bin: readings jump by hundreds of grams."""
        self._shake_until_us = self._kernel.now_us + hold_ms * 1000

    def mass_g(self) -> float:
        """What lies in the container, without swing, noise and drift."""
        return sum(load.mass_g for load in self._loads.values() if load.until_us is None)

    def _convert(self) -> None:
        self._tick = self._kernel.after(self.model.period_us, self._convert)
        if not self.connected:
            self.last_counts = None
            return
        self._forget_old()
        counts = (self._force_g() + self._disturbance_g()) * self.model.counts_per_g
        raw = self.model.zero_counts + counts
        if self._reading < len(SETTLING):
            raw *= SETTLING[self._reading]
        self._reading += 1
        self.last_counts = max(-FULL_SCALE - 1, min(FULL_SCALE, round(raw)))
        self._deliver(self.last_counts)

    def _force_g(self) -> float:
        now = self._kernel.now_us
        self._drift_g += self.model.drift_g_per_min * self.model.period_us / 60_000_000
        total = self._drift_g
        for load in self._loads.values():
            mass = load.mass_g + self._wobble_g(load)
            total += mass * self._arrived(load, now - load.since_us, load.impact)
            if load.until_us is not None:
                total -= mass * self._arrived(load, now - load.until_us, load.impact / 4)
        return total

    def _arrived(self, load: _Load, age_us: int, impact: float) -> float:
        """1 at rest; before that the slow way down, or the rise and a damped swing."""
        if age_us <= 0:
            return 0.0
        if load.slow_us:
            way = min(1.0, age_us / load.slow_us)
            return way * way * (3 - 2 * way)
        rise = 1 - math.exp(-age_us / RISE_US)
        ring = math.exp(-age_us / self.model.damping_us)
        phase = 2 * math.pi * self.model.swing_hz * age_us / 1e6
        return rise + impact * ring * math.sin(phase)

    def _wobble_g(self, load: _Load) -> float:
        """What a hand adds to the force that it means to give."""
        if not load.wobble:
            return 0.0
        size_g = load.wobble * load.mass_g
        keep = math.exp(-self.model.period_us / 1e6 / HAND_WANDER_S)
        step_g = self._random.gauss(0, size_g * math.sqrt(1 - keep * keep))
        load.wander_g = keep * load.wander_g + step_g
        phase = 2 * math.pi * HAND_TREMOR_HZ * self._kernel.now_us / 1e6
        return load.wander_g + size_g / 2 * math.sin(phase + self._random.uniform(-0.5, 0.5))

    def _disturbance_g(self) -> float:
        """Draws from the random numbers only for what the model has: equal seeds stay equal."""
        model, now_us = self.model, self._kernel.now_us
        noise = self._random.gauss(0, model.noise_g)
        if now_us < self._shake_until_us:
            noise += self._random.uniform(-600, 600)
        if model.vibration_g:
            phase = 2 * math.pi * model.vibration_hz * now_us / 1e6 + self._random.uniform(-1, 1)
            noise += model.vibration_g * math.sin(phase)
        if model.spikes_per_min:
            chance = model.spikes_per_min * model.period_us / 60_000_000
            if self._random.random() < chance:
                noise += self._random.choice((-1, 1)) * model.spike_g
        return noise

    def _forget_old(self) -> None:
        """A load that left long ago adds nothing any more."""
        horizon = self._kernel.now_us - 20 * self.model.damping_us
        gone = [
            number
            for number, load in self._loads.items()
            if load.until_us is not None and load.until_us + load.slow_us < horizon
        ]
        for number in gone:
            del self._loads[number]

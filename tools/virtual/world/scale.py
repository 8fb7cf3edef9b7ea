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
# Share of the true signal in the first readings after power-up: 400 ms to settle at 10 a second.
SETTLING = (0.35, 0.8, 0.95, 0.99)


@dataclass(frozen=True)
class ScaleModel:
    """Four 20 kg half bridges, from facts/hardware.md: 26 counts/g, 1 g of noise a sample."""

    counts_per_g: float = 26.0
    zero_counts: int = 84_000
    noise_g: float = 1.0
    period_us: int = 100_000
    drift_g_per_min: float = 0.0
    impact: float = 1.2  # swing of a falling carton, as a share of its mass
    swing_hz: float = 6.0
    damping_us: int = 180_000


@dataclass
class _Load:
    mass_g: float
    since_us: int
    impact: float
    until_us: int | None = None


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

    def power(self, *, on: bool) -> None:
        """Start or stop converting; the first readings after power-up are not settled."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self.last_counts = None
        if on:
            self._reading = 0
            self._tick = self._kernel.after(self.model.period_us, self._convert)

    def put(self, mass_g: float, impact: float | None = None) -> int:
        """Lay `mass_g` into the container; returns its number for lift()."""
        number = self._next
        self._next += 1
        swing = self.model.impact if impact is None else impact
        self._loads[number] = _Load(mass_g, self._kernel.now_us, swing)
        return number

    def lift(self, number: int) -> None:
        """Take that load away again."""
        self._loads[number].until_us = self._kernel.now_us

    def push(self, mass_g: float, hold_ms: int) -> None:
        """A hand presses on the container (a negative mass lifts it) for `hold_ms`."""
        if abs(mass_g) > HAND_MAX_G:
            raise ValueError(f"a hand of {mass_g} g, allowed are {HAND_MAX_G}")
        number = self.put(mass_g, impact=0.3)
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
        total = self.model.drift_g_per_min * now / 60_000_000
        for load in self._loads.values():
            total += load.mass_g * self._swing(now - load.since_us, load.impact)
            if load.until_us is not None:
                total -= load.mass_g * self._swing(now - load.until_us, load.impact / 4)
        return total

    def _swing(self, age_us: int, impact: float) -> float:
        """1 at rest; before that the rise and a damped swing."""
        if age_us <= 0:
            return 0.0
        rise = 1 - math.exp(-age_us / RISE_US)
        ring = math.exp(-age_us / self.model.damping_us)
        phase = 2 * math.pi * self.model.swing_hz * age_us / 1e6
        return rise + impact * ring * math.sin(phase)

    def _disturbance_g(self) -> float:
        noise = self._random.gauss(0, self.model.noise_g)
        if self._kernel.now_us < self._shake_until_us:
            noise += self._random.uniform(-600, 600)
        return noise

    def _forget_old(self) -> None:
        """A load that left long ago adds nothing any more."""
        horizon = self._kernel.now_us - 20 * self.model.damping_us
        gone = [n for n, load in self._loads.items() if (load.until_us or horizon) < horizon]
        for number in gone:
            del self._loads[number]

"""What an HX711 makes of the forces: one signed 24-bit reading a conversion, and its ailments."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.virtual.visits.physics import Force

LEAST, MOST = -0x800000, 0x7FFFFF
SAMPLES_S = {10: (9.5, 11.85), 80: (76.0, 94.0)}  # nominal by the RATE pin, real by the part
NOISE_AT_80 = 1.8  # 90 nV in place of 50
JITTER_MS = {10: 3.0, 80: 1.5}  # until the program has come to read
Ailment = Callable[[random.Random, float, int], int | None]


@dataclass(frozen=True)
class Model:
    """Cells and chip, from facts/hardware.md: four 20 kg half bridges at 10 samples a second."""

    counts_per_g: float = 26.0
    noise_g: float = 1.0  # standard deviation of a sample at 10 a second
    sps: int = 10
    noise_factor: float = 1.0

    def noise_counts(self) -> float:
        """Standard deviation of a reading, in counts."""
        fast = NOISE_AT_80 if self.sps == 80 else 1.0
        return self.counts_per_g * self.noise_g * self.noise_factor * fast


TWENTY_KG = Model()
FIFTY_KG = Model(counts_per_g=10.0, noise_g=2.4)


@dataclass(frozen=True)
class Chip:
    """One chip at its work; shares are of all readings."""

    zero: int
    period_s: float
    spikes: float = 0.0005  # lone readings far off
    missing: float = 0.002
    ailment: Ailment | None = None  # changes a reading, or takes it away

    @staticmethod
    def draw(rng: random.Random, model: Model) -> Chip:
        """A healthy chip of this model with its own zero and its own clock."""
        zero = rng.choice((-1, 1)) * rng.randint(20_000, 300_000)
        return Chip(zero, 1 / rng.uniform(*SAMPLES_S[model.sps]))

    def read(
        self, rng: random.Random, model: Model, forces: Iterable[Force], until_s: float
    ) -> list[tuple[int, int]]:
        """All readings from 0 to `until_s`, as (time in ms, counts)."""
        coming = sorted(forces, key=lambda f: f.begin_s)
        coming.reverse()
        active: list[Force] = []
        settled_g, spiked = 0.0, False
        noise, jitter_ms, scale = model.noise_counts(), JITTER_MS[model.sps], model.counts_per_g
        gauss, uniform = rng.gauss, rng.random
        readings: list[tuple[int, int]] = []
        last_ms = -1
        for number in range(1, int(until_s / self.period_s)):
            to_s = number * self.period_s
            from_s = to_s - self.period_s
            while coming and coming[-1].begin_s < to_s:
                active.append(coming.pop())
            g = settled_g
            over = False
            for force in active:
                g += force.mean_g(from_s, to_s)
                over = over or force.end_s < from_s
            if over:
                settled_g += sum(f.rest_g for f in active if f.end_s < from_s)
                active = [f for f in active if f.end_s >= from_s]
            raw: int | None = round(self.zero + g * scale + gauss(0, noise))
            lot = uniform()
            if lot < self.spikes and not spiked:
                raw, spiked = _spike(rng, raw or 0), True
            else:
                spiked = False
                if lot > 1 - self.missing:
                    continue
            if self.ailment is not None:
                raw = self.ailment(rng, to_s, raw or 0)
            if raw is not None:
                last_ms = max(last_ms + 1, round(to_s * 1000 + jitter_ms * uniform()))
                readings.append((last_ms, max(LEAST, min(MOST, raw))))
        return readings


def _spike(rng: random.Random, raw: int) -> int:
    """A lone reading far off: an interrupt within the frame, a spark, sometimes saturated."""
    if rng.random() < 0.2:
        return rng.choice((LEAST, MOST))
    return raw + rng.choice((-1, 1)) * round(10 ** rng.uniform(2.5, 6))


def off(begin_s: float, end_s: float = 1e9) -> Ailment:
    """The cable is off: no reading."""
    return lambda _rng, at_s, raw: None if begin_s <= at_s < end_s else raw


def saturated(begin_s: float, end: int = MOST) -> Ailment:
    """A wire of the bridge is off: the reading stands at the end of the scale."""
    return lambda _rng, at_s, raw: end if at_s >= begin_s else raw


def stuck(begin_s: float) -> Ailment:
    """The chip gives the same reading again and again."""
    held: list[int] = []

    def ail(_rng: random.Random, at_s: float, raw: int) -> int:
        if at_s >= begin_s:
            if not held:
                held.append(raw)
            return held[0]
        return raw

    return ail


def half_clocked(begin_s: float, share: float) -> Ailment:
    """Some frames lose or gain a pulse of the clock: their bits stand one or two places off."""

    def ail(rng: random.Random, at_s: float, raw: int) -> int:
        if at_s < begin_s or rng.random() >= share:
            return raw
        bits, places = raw & 0xFFFFFF, rng.choice((1, 1, 2))
        if rng.random() < 0.5:
            bits = (bits << places | (1 << places) - 1) & 0xFFFFFF  # DOUT idles high
        else:
            bits = bits >> places | (bits & 0x800000)
        return bits - 0x1000000 if bits & 0x800000 else bits

    return ail

"""A container on four load cells: what its weight does over time, in grams and seconds.

A force is anything with `begin_s`, `end_s` (from there on it is `rest_g` for ever) and
`mean_g(from_s, to_s)`. Means are closed forms: the HX711 averages over one conversion, so what
swings faster than it reads comes out weakened and folded down, as it does of the chip.

Sources of the numbers: facts/hardware.md and mechanics. They say nothing about the firmware.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

GRAVITY = 9.81
NOTHING_G = 0.02  # a swing below this is over
REST_G, REST_SHARE = 3.0, 0.01  # "at rest": for good inside 3 g, or 1 % of what came
FOREVER_S = 1e9


class Force(Protocol):
    """Something that presses on the cells."""

    begin_s: float
    end_s: float
    rest_g: float

    def mean_g(self, from_s: float, to_s: float) -> float:
        """Mean force between two times, in grams."""


def chance(*words: object) -> random.Random:
    """A random source of its own for these words: equal words, equal numbers."""
    return random.Random(" ".join(map(str, words)))  # noqa: S311  (physics, not secrets)


@dataclass(slots=True)
class Ramp:
    """`g` comes smoothly within `span_s` and stays."""

    begin_s: float
    span_s: float
    g: float
    end_s: float = field(init=False)
    rest_g: float = field(init=False)

    def __post_init__(self) -> None:
        """What follows from begin and span."""
        self.end_s = self.begin_s + self.span_s
        self.rest_g = self.g

    def _sum(self, at_s: float) -> float:
        x = (at_s - self.begin_s) / self.span_s
        if x <= 0:
            return 0.0
        if x >= 1:
            return self.g * (at_s - self.begin_s - self.span_s / 2)
        return self.g * self.span_s * x * x * x * (1 - x / 2)

    def mean_g(self, from_s: float, to_s: float) -> float:
        """Mean force, grams."""
        return (self._sum(to_s) - self._sum(from_s)) / (to_s - from_s)


class Ring:
    """A swing that begins with `g * sin(phase)` and dies away; with 0 Hz a slow tail."""

    __slots__ = ("_a", "_b", "_w", "begin_s", "end_s", "g", "phase", "rest_g", "tau_s")

    def __init__(
        self, begin_s: float, g: float, hz: float, tau_s: float, phase: float = 0.0
    ) -> None:
        self.begin_s, self.g, self.tau_s, self.phase = begin_s, g, tau_s, phase
        self.end_s = begin_s + tau_s * math.log(max(abs(g), NOTHING_G) / NOTHING_G)
        self.rest_g = 0.0
        self._w = 2 * math.pi * hz
        scale = g / (1 / tau_s**2 + self._w**2)
        self._a, self._b = scale / tau_s, scale * self._w

    def _sum(self, at_s: float) -> float:
        age_s = max(0.0, at_s - self.begin_s)
        turn = self._w * age_s + self.phase
        return -math.exp(-age_s / self.tau_s) * (
            self._a * math.sin(turn) + self._b * math.cos(turn)
        )

    def mean_g(self, from_s: float, to_s: float) -> float:
        """Mean force, grams."""
        return (self._sum(to_s) - self._sum(from_s)) / (to_s - from_s)


class Sway:
    """A level that comes, swings in several frequencies at once, and goes: hand, wind, traffic."""

    def __init__(
        self,
        span_s: tuple[float, float],
        waves: Iterable[tuple[float, float, float]],
        level_g: float = 0.0,
        edges_s: tuple[float, float] = (0.3, 0.3),
    ) -> None:
        self.begin_s, self.end_s = span_s[0], span_s[1] + edges_s[1]
        self.rest_g = 0.0
        self.waves = [(g, 2 * math.pi * hz, phase) for g, hz, phase in waves]
        self.level_g = level_g
        self._comes = Ramp(span_s[0], edges_s[0], 1.0)
        self._goes = Ramp(span_s[1], edges_s[1], 1.0)

    def mean_g(self, from_s: float, to_s: float) -> float:
        """Mean force, grams: each wave weakened as an average over the span weakens it."""
        middle_s, half_s = (from_s + to_s) / 2, (to_s - from_s) / 2
        total = self.level_g
        for g, w, phase in self.waves:
            total += g * math.sin(w * middle_s + phase) * math.sin(w * half_s) / (w * half_s)
        return total * (self._comes.mean_g(from_s, to_s) - self._goes.mean_g(from_s, to_s))


@dataclass(frozen=True)
class Rig:
    """One bin's mechanics, and what its container holds."""

    hz: float
    tau_s: float  # how fast a swing dies away
    corners: tuple[float, float, float, float]  # what each cell makes of a gram
    tail: float  # share of a load that comes late: rubber feet, friction
    tail_tau_s: float
    creep: float  # share of a load by which the cells yield within a minute
    held_g: float  # what lies in the container already
    tare_g: float  # the container itself
    contact_s: float  # how long a carton's impact lasts

    @staticmethod
    def draw(rng: random.Random) -> Rig:
        """A bin out of the field: soft or stiff, empty or nearly full."""
        hz = _log(rng, 2, 12)
        corners = [1 + _clip(rng.gauss(0, 0.012), 0.03) for _ in range(4)]
        return Rig(
            hz=hz,
            # 0.8 s is a plastic tub on springs; none dies away within a third of a turn.
            tau_s=max(_log(rng, 0.06, 0.8), 0.33 / hz),
            corners=(corners[0], corners[1], corners[2], corners[3]),
            tail=rng.uniform(0, 0.012),
            tail_tau_s=_log(rng, 0.3, 3),
            creep=rng.uniform(-0.001, 0.002),
            held_g=rng.choice((0.0, rng.uniform(0, 30_000))),
            tare_g=rng.uniform(4_000, 8_000),
            contact_s=_log(rng, 0.015, 0.08),
        )

    def factor(self, place: tuple[float, float]) -> float:
        """What the four cells make of a gram at this place; corners are (-1, -1) to (1, 1)."""
        x, y = (place[0] + 1) / 2, (place[1] + 1) / 2
        a, b, c, d = self.corners
        return (1 - x) * (1 - y) * a + x * (1 - y) * b + (1 - x) * y * c + x * y * d

    def load(self, at_s: float, span_s: float, g: float) -> list[Force]:
        """`g` comes (or goes, when negative) within `span_s`, and the container swings a little."""
        return [*self._step(at_s, span_s, g), *self._late(at_s + span_s, g)]

    def _step(self, at_s: float, span_s: float, g: float) -> list[Force]:
        comes = Ramp(at_s, span_s, g)
        if span_s > 1 / self.hz:
            return [comes]  # a slow load stirs up nothing
        turn = math.pi * self.hz * span_s
        swing = -g * math.sin(turn) / turn
        return [comes, Ring(at_s + span_s / 2, swing, self.hz, self.tau_s, math.pi / 2)]

    def _late(self, at_s: float, g: float) -> list[Force]:
        return [
            Ramp(at_s, 1e-3, g * self.creep),
            Ring(at_s, -g * self.creep, 0, 25, math.pi / 2),
            Ring(at_s, -g * self.tail, 0, self.tail_tau_s, math.pi / 2),
        ]

    def blow(self, at_s: float, g: float, speed_m_s: float) -> Ring:
        """The swing that a mass of `g` leaves when the container stops it at this speed."""
        w = 2 * math.pi * self.hz
        x = w * self.contact_s / math.pi
        soft = math.pi / 4 if abs(x - 1) < 1e-3 else abs(math.cos(math.pi * x / 2) / (1 - x * x))
        most = self.tare_g + self.held_g + abs(g)  # above it the container would hop
        swing = min(abs(g) * speed_m_s * w / GRAVITY * soft, most)
        return Ring(at_s + self.contact_s / 2, math.copysign(swing, g), self.hz, self.tau_s)

    def drop(self, at_s: float, g: float, speed_m_s: float, bounce: float) -> list[Force]:
        """A carton that arrives with this speed: blows, free flights between, then its weight."""
        forces: list[Force] = []
        while speed_m_s * bounce > 0.15:
            forces.append(self.blow(at_s, g, speed_m_s * (1 + bounce)))
            speed_m_s *= bounce
            at_s += 2 * speed_m_s / GRAVITY + self.contact_s
        return [*forces, self.blow(at_s, g, speed_m_s), *self.load(at_s, self.contact_s, g)]

    def topple(self, at_s: float, g: float, height_m: float) -> list[Force]:
        """A carton that stood on its edge falls over: for a moment light, then a second blow."""
        fall_s = 2 * math.sqrt(2 * height_m / GRAVITY)  # slower than free: it turns
        return [
            *self._step(at_s, fall_s * 0.8, -0.4 * g),
            *self._step(at_s + fall_s, self.contact_s, 0.4 * g),
            self.blow(at_s + fall_s, g, 0.6 * math.sqrt(2 * GRAVITY * height_m)),
        ]


def hand(
    rng: random.Random, span_s: tuple[float, float], g: float, steady: float, leave_s: float
) -> Sway:
    """A hand that presses `g` (or lifts, when negative).

    `steady` 1 is a person's: the force varies by 3 to 6 % and at least 5 g, in sway below 0.5 Hz,
    wander up to 2 Hz and tremor of 8 to 12 Hz; 0.02 is a hand of stone.
    """
    rough = max(abs(g) * rng.uniform(0.03, 0.06), 5.0) * math.sqrt(2) * steady
    waves = [
        (0.6 * rough, rng.uniform(0.15, 0.5), _phase(rng)),
        (0.6 * rough, rng.uniform(0.5, 1), _phase(rng)),
        (0.4 * rough, rng.uniform(1, 2), _phase(rng)),
        (0.4 * rough, rng.uniform(8, 12), _phase(rng)),
    ]
    return Sway(span_s, waves, g, (rng.uniform(0.1, 0.5), leave_s))


def wind(rng: random.Random, peak_g: float) -> Sway:
    """Gusts of 0.3 to 2 Hz that swell and fade, as sums of near frequencies do."""
    waves = [(peak_g / 4, _log(rng, 0.3, 2), _phase(rng)) for _ in range(6)]
    return Sway((-9, FOREVER_S), waves)


def street(rng: random.Random, peak_g: float, span_s: tuple[float, float]) -> Sway:
    """A lorry passes: 5 to 25 Hz, of which a chip at 10 a second sees the folded rest."""
    waves = [(peak_g / 2, rng.uniform(5, 25), _phase(rng)) for _ in range(4)]
    return Sway(span_s, waves, 0.0, (1.0, 1.0))


def shaking(rng: random.Random, span_s: tuple[float, float], peak_g: float) -> Sway:
    """Somebody shakes the bin."""
    waves = [(peak_g / 2, rng.uniform(1.5, 6), _phase(rng)) for _ in range(4)]
    return Sway(span_s, waves)


def drift(rng: random.Random, g_per_min: float) -> Sway:
    """Temperature: this fast at most, over minutes, up and down."""
    hz = rng.uniform(0.001, 0.004)
    return Sway((-9, FOREVER_S), [(g_per_min / 60 / (2 * math.pi * hz), hz, _phase(rng))])


def rest_s(forces: Iterable[Force], mass_g: float) -> float:
    """When these forces are at rest for good: inside 3 g, or 1 % of the mass if that is more."""
    # Creep is the cells', not the carton's.
    moving = [f for f in forces if not (isinstance(f, Ring) and f.tau_s > 10)]
    rings = [f for f in moving if isinstance(f, Ring)]
    band_g = max(REST_G, REST_SHARE * abs(mass_g))
    end_g = sum(f.rest_g for f in moving)
    first_s = max(f.end_s for f in moving if not isinstance(f, Ring))
    at_s = max(f.end_s for f in moving)
    while at_s > first_s and band_g > sum(
        abs(f.g) * math.exp(-max(0.0, at_s - f.begin_s) / f.tau_s) for f in rings
    ):
        at_s -= 0.1
    at_s += 0.1
    while at_s > first_s and band_g > abs(
        sum(f.mean_g(at_s, at_s + 0.01) for f in moving if f.begin_s < at_s) - end_g
    ):
        at_s -= 0.01
    return at_s + 0.01


def _log(rng: random.Random, least: float, most: float) -> float:
    return float(least * (most / least) ** rng.random())


def _clip(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _phase(rng: random.Random) -> float:
    return rng.uniform(0, 2 * math.pi)

"""A scene before the bin: people act, one after the other, and the truth is written down.

Stories (honest.py, tricks.py) move `now_s` on and call these verbs; `finish()` makes the trace.
The flap is open loop: it moves when a bin that works would have moved it, with spread.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tools.virtual.visits import physics
from tools.virtual.visits.chip import Chip, Model
from tools.virtual.visits.physics import Force, Ramp, Rig

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KEY_CODE = "BBC1.0123456789ABCDEF"  # the one a replay knows
STEP_MS = 30_000
UNIX_MS = 1_668_153_600_000
DROP_S = 20.0  # after this long with nothing put in, a bin shuts its flap


@dataclass(frozen=True)
class Due:
    """One credit that is owed: a deposit (or a reuse) of one of these masses and labels."""

    event: str
    masses_g: tuple[float, ...]
    handle: str
    labels: tuple[str, ...]
    rest_s: float
    optional: bool = False  # fair to give, fair to refuse


@dataclass(frozen=True)
class Also:
    """Another decision that must be there: mass in grams, or a fault's detail."""

    event: str
    g: float | None = None
    why: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Truth:
    """What really happened in a visit."""

    kind: str
    seed: int
    fair: bool
    due: tuple[Due, ...]
    also: tuple[Also, ...]


@dataclass(frozen=True)
class Load:
    """Something in the container: its mass, what the cells make of a gram there, when it rests."""

    mass_g: float
    factor: float
    rest_s: float


@dataclass
class Scene:
    """One trace in the making; `rng` decides everything that is not given."""

    rng: random.Random
    model: Model
    rig: Rig
    chip: Chip
    unix_ms: int | None = UNIX_MS
    now_s: float = 0.0
    forces: list[Force] = field(default_factory=list)
    events: list[tuple[int, str, object]] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    also: list[Also] = field(default_factory=list)

    @staticmethod
    def draw(rng: random.Random, model: Model) -> Scene:
        """A bin out of the field on an ordinary day, a few seconds before somebody comes."""
        unix_ms = UNIX_MS + rng.randrange(10**10) if rng.random() < 0.9 else None
        scene = Scene(rng, model, Rig.draw(rng), Chip.draw(rng, model), unix_ms)
        speed = max(-20.0, min(20.0, rng.gauss(0, 6)))
        scene.forces += [physics.drift(rng, speed), physics.wind(rng, abs(rng.gauss(0, 1)))]
        if rng.random() < 0.3:
            scene.forces.append(physics.street(rng, rng.uniform(1, 8), (-9, 1e6)))
        scene.now_s = rng.uniform(3, 6)
        return scene

    # -- time and codes --------------------------------------------------------------------------

    def wait(self, least_s: float, most_s: float | None = None) -> None:
        """Let time pass."""
        self.now_s += least_s if most_s is None else self.rng.uniform(least_s, most_s)

    def until(self, at_s: float, least_s: float = 0.0, most_s: float | None = None) -> None:
        """Go to this time and some seconds on; never back."""
        self.now_s = max(self.now_s, at_s)
        self.wait(least_s, most_s)

    def _event(self, name: str, value: object) -> None:
        self.events.append((round(self.now_s * 1000), name, value))

    def scan(self, text: str) -> str:
        """The scanner reads a code."""
        self._event("scan", text)
        return text

    def person(self) -> str:
        """A new member: the handle that is in all of a member's passes."""
        return self._letters(8)

    def show(self, handle: str, age_s: float = 0.0) -> str:
        """The member's phone is held before the scanner; `age_s` makes it a screenshot."""
        at_ms = (self.unix_ms or UNIX_MS) + self.now_s * 1000 - age_s * 1000
        return self.scan(f"BB1.{handle}.{int(at_ms) // STEP_MS}.{self._letters(16)}")

    def label(self) -> str:
        """A new waybill's number."""
        front, digits = self.rng.choice((("SF", 13), ("YT", 13), ("JD", 15), ("75", 12)))
        return front + "".join(self.rng.choice("0123456789") for _ in range(digits))

    def press(self) -> None:
        """The button."""
        self._event("button", True)

    def _letters(self, many: int) -> str:
        return "".join(self.rng.choice(CROCKFORD) for _ in range(many))

    # -- flap ------------------------------------------------------------------------------------

    def flap(self, word: str) -> None:
        """The reed switch changes, and the housing knocks."""
        self._event("flap", word)
        knock_g = self.rng.uniform(0, 12)
        self.forces.append(physics.Ring(self.now_s, knock_g, self.rig.hz, self.rig.tau_s))

    def open(self) -> None:
        """The flap opens, as a bin's does after a good label."""
        self.wait(0.3, 1.5)
        self.flap("open")

    def shut(self, at_s: float) -> None:
        """The flap shuts, as a bin's does once a carton rests (at `at_s`)."""
        self.until(at_s, 1, 3.5)
        self.flap("shut")

    def enter(self, handle: str = "", label: str = "") -> tuple[str, str]:
        """Pass, label, flap: returns handle and label."""
        handle, label = handle or self.person(), label or self.label()
        self.show(handle)
        self.wait(1, 4)
        self.scan(label)
        self.open()
        return handle, label

    # -- mass ------------------------------------------------------------------------------------

    def carton_g(self) -> float:
        """A carton's mass: 90 g to 1.5 kg, small ones more often."""
        return float(90 * (1500 / 90) ** self.rng.random())

    def place(self) -> tuple[float, float]:
        """Where something comes to lie."""
        return self.rng.uniform(-0.7, 0.7), self.rng.uniform(-0.7, 0.7)

    def _put(self, mass_g: float, factor: float, forces: Iterable[Force]) -> Load:
        made = list(forces)
        self.forces += made
        return Load(mass_g, factor, physics.rest_s(made, mass_g))

    def drop(self, mass_g: float, speed_m_s: float = 0.0, bounce: float = -1.0) -> Load:
        """A carton falls in: 5 to 50 cm deep unless a speed is given."""
        speed_m_s = speed_m_s or self.rng.uniform(1, 3.1)
        bounce = self.rng.uniform(0, 0.35) if bounce < 0 else bounce
        factor = self.rig.factor(self.place())
        return self._put(
            mass_g, factor, self.rig.drop(self.now_s, mass_g * factor, speed_m_s, bounce)
        )

    def topple(self, load: Load, after_s: float) -> Load:
        """That carton stood on its edge, and now falls over; its place hardly changes."""
        height_m = self.rng.uniform(0.03, 0.12)
        fall = self.rig.topple(self.now_s + after_s, load.mass_g * load.factor, height_m)
        return self._put(load.mass_g, load.factor, fall)

    def lower(self, mass_g: float, span_s: float, shaky: float = 0.05) -> Load:
        """A carton set down by hand within `span_s`; the hand's force trembles till it lets go."""
        factor = self.rig.factor(self.place())
        g, end_s = mass_g * factor, self.now_s + span_s
        touch = physics.hand(self.rng, (self.now_s, end_s - 0.2), shaky * g, 1.0, 0.2)
        load = self._put(mass_g, factor, self.rig.load(self.now_s, span_s, g))
        self.forces.append(touch)
        return replace(load, rest_s=max(load.rest_s, end_s))

    def take(self, load: Load, span_s: float = 0.0) -> Load:
        """It is lifted out again, along a string or by hand."""
        span_s = span_s or self.rng.uniform(0.2, 1.2)
        g = -load.mass_g * load.factor
        return self._put(-load.mass_g, load.factor, self.rig.load(self.now_s, span_s, g))

    def old(self, mass_g: float) -> Load:
        """Something that lies in the container since long."""
        return Load(mass_g, self.rig.factor(self.place()), 0.0)

    def hand(self, g: float, hold_s: float, steady: float = 1.0, leave_s: float = 0.0) -> float:
        """A hand presses `g` (lifts, when negative) for so long; returns when it is gone."""
        leave_s = leave_s or self.rng.uniform(0.05, 0.3)
        span = (self.now_s, self.now_s + hold_s)
        press = physics.hand(self.rng, span, g, steady, leave_s)
        self.forces.append(press)
        return press.end_s + 2 * self.rig.tau_s

    # -- truth -----------------------------------------------------------------------------------

    def owe(self, load: Load, handle: str, *labels: str, optional: bool = False) -> None:
        """This carton earns this member a deposit under one of these labels."""
        one = Due("deposit", (load.mass_g,), handle, labels, load.rest_s, optional)
        self.due.append(one)

    def expect(self, event: str, g: float | None = None, why: tuple[str, ...] = ()) -> None:
        """Another decision must be told."""
        self.also.append(Also(event, g, why))

    def finish(self, made: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Header and events of the trace; it goes on for some seconds after the last deed."""
        self.wait(6, 9)
        held = Ramp(-9, 0.001, self.rig.held_g)
        readings = self.chip.read(self.rng, self.model, [held, *self.forces], self.now_s)
        told = [(t_ms, "w", raw) for t_ms, raw in readings]
        header: dict[str, Any] = {
            "sps": self.model.sps,
            "counts_per_g": self.model.counts_per_g,
            "zero": self.chip.zero,
        }
        if self.unix_ms is not None:
            header["unix"] = self.unix_ms
        # A reading and a deed in the same millisecond: the reading is older, it took 100 ms.
        rows = sorted([*told, *self.events], key=lambda row: row[0])
        return {**header, "made": made}, [{"t": t, name: value} for t, name, value in rows]

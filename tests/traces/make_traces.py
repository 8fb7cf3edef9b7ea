"""Makes the named traces beside this file: `python -m tests.traces.make_traces`.

Each trick is told step by step with fixed masses and times; noise and swings come from the
generator's physics, by the trick's name. What the bin must decide stands in expected.json, written
by hand: this file does not know it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tools.virtual.replay.trace import SUFFIX, write_trace
from tools.virtual.visits import chip, physics
from tools.virtual.visits.chip import TWENTY_KG, Chip
from tools.virtual.visits.physics import Rig, chance
from tools.virtual.visits.scene import KEY_CODE, UNIX_MS, Load, Scene

HERE = Path(__file__).parent
ANNA, BERT = "ANNA0001", "BERT0002"
FIRST, SECOND, THIRD = "SF1000000000001", "SF1000000000002", "SF1000000000003"
RIG = Rig(
    hz=5.0,
    tau_s=0.25,
    corners=(1.01, 0.99, 1.005, 0.995),
    tail=0.005,
    tail_tau_s=1.0,
    creep=0.0005,
    held_g=12_000.0,
    tare_g=6_000.0,
    contact_s=0.04,
)
SOFT = replace(RIG, hz=2.5, tau_s=0.8)
TRACES: dict[str, Callable[[Scene], None]] = {}


def trace(story: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """Register a story; its name with hyphens is the trace's."""
    TRACES[story.__name__.replace("_", "-")] = story
    return story


def scene(name: str) -> Scene:
    """An ordinary bin on a calm day."""
    rng = chance("trace", name)
    made = Scene(rng, TWENTY_KG, RIG, Chip(84_210, 0.1, spikes=0, missing=0.002), UNIX_MS)
    made.forces += [physics.drift(rng, 5), physics.wind(rng, 0.5)]
    made.wait(4)
    return made


def enter(s: Scene, who: str = ANNA, label: str = FIRST) -> None:
    """Pass, label, and the flap opens."""
    s.show(who)
    s.wait(2)
    s.scan(label)
    s.wait(0.8)
    s.flap("open")
    s.wait(1.5)


def shut(s: Scene, after_s: float = 2.0) -> None:
    s.wait(after_s)
    s.flap("shut")


def drop(s: Scene, mass_g: float) -> Load:
    """A carton falls in from 20 cm; time stands at its rest afterwards."""
    load = s.drop(mass_g, 2.0, 0.2)
    s.until(load.rest_s)
    return load


def whole(s: Scene, mass_g: float = 312) -> None:
    """A whole honest visit."""
    enter(s)
    drop(s, mass_g)
    shut(s)


@trace
def one_after_another(s: Scene) -> None:
    enter(s)
    load = s.drop(312, 2.0, 0.2)
    s.wait(0.6)
    s.scan(SECOND)  # while the first still settles
    s.until(load.rest_s, 1.5)
    drop(s, 180)
    shut(s)
    s.wait(1.5)
    s.scan(THIRD)
    s.wait(0.8)
    s.flap("open")
    s.wait(1.5)
    drop(s, 640)
    shut(s)


@trace
def two_labels_one_drop(s: Scene) -> None:
    enter(s)
    s.scan(SECOND)
    s.wait(1)
    drop(s, 312)
    shut(s)


def _two_drops(s: Scene, apart_s: float) -> None:
    enter(s)
    s.drop(312, 2.0, 0.2)
    s.wait(apart_s)
    drop(s, 240)
    shut(s)


@trace
def one_label_two_drops_together(s: Scene) -> None:
    _two_drops(s, 0.03)


@trace
def one_label_two_drops_half_a_second(s: Scene) -> None:
    _two_drops(s, 0.5)


@trace
def one_label_two_drops_three_seconds(s: Scene) -> None:
    _two_drops(s, 3.0)


@trace
def hand(s: Scene) -> None:
    enter(s)
    s.until(s.hand(400, 3, leave_s=0.2))
    shut(s)


@trace
def hand_of_stone(s: Scene) -> None:
    enter(s)
    s.until(s.hand(400, 4, steady=0.02, leave_s=0.2))
    shut(s)


@trace
def elbow_on_the_rim(s: Scene) -> None:
    enter(s)
    s.until(s.hand(1800, 6, leave_s=0.3))
    shut(s)


@trace
def elbow_while_a_carton_falls(s: Scene) -> None:
    enter(s)
    gone_s = s.hand(900, 4, leave_s=0.3)
    s.wait(1.5)
    drop(s, 312)
    s.until(gone_s)
    shut(s)


@trace
def string_before_shut(s: Scene) -> None:
    enter(s)
    load = s.lower(312, 0.8)
    s.until(load.rest_s, 1.8)
    s.until(s.take(load, 0.6).rest_s)
    shut(s)


@trace
def string_after_shut(s: Scene) -> None:
    enter(s)
    load = drop(s, 312)
    shut(s)
    s.wait(6)
    s.take(load, 0.8)
    s.wait(1)


@trace
def string_in_the_next_visit(s: Scene) -> None:
    enter(s)
    load = drop(s, 312)
    shut(s)
    s.wait(3)
    s.show(BERT)
    s.wait(1.5)
    s.until(s.take(load, 0.6).rest_s)
    s.wait(2.5)
    s.scan(SECOND)
    s.wait(0.8)
    s.flap("open")
    s.wait(1.5)
    drop(s, 500)
    shut(s)


def _in_and_out(s: Scene, labels: tuple[str, ...]) -> None:
    enter(s, label=labels[0])
    for turn, label in enumerate(labels):
        if turn:
            s.wait(1)
            s.scan(label)
            s.wait(0.8)
            s.flap("open")
            s.wait(1.5)
        load = s.lower(312, 0.8)
        s.until(load.rest_s, 1.8)
        s.until(s.take(load, 0.6).rest_s)
        shut(s)


@trace
def in_and_out_same_label(s: Scene) -> None:
    _in_and_out(s, (FIRST, FIRST, FIRST))


@trace
def in_and_out_other_labels(s: Scene) -> None:
    _in_and_out(s, (FIRST, SECOND, THIRD))


@trace
def same_label_again(s: Scene) -> None:
    whole(s)
    s.wait(1)
    s.scan(FIRST)
    s.wait(2)
    drop(s, 280)
    s.wait(1)


@trace
def stone(s: Scene) -> None:
    whole(s, 3500)


@trace
def too_light(s: Scene) -> None:
    whole(s, 20)


@trace
def empty_flap(s: Scene) -> None:
    for _ in range(2):
        s.flap("open")
        s.wait(2)
        s.flap("shut")
        s.wait(1.5)


@trace
def no_scan(s: Scene) -> None:
    drop(s, 312)


@trace
def pass_only(s: Scene) -> None:
    s.show(ANNA)
    s.wait(3)
    drop(s, 312)


@trace
def old_pass(s: Scene) -> None:
    s.show(ANNA, age_s=600)
    s.wait(2)
    s.scan(FIRST)
    s.wait(2)
    drop(s, 312)


@trace
def left_in_the_middle(s: Scene) -> None:
    enter(s)
    s.wait(19.5)
    s.flap("shut")
    s.wait(5)
    enter(s, BERT, SECOND)
    drop(s, 312)
    shut(s)


@trace
def next_person_while_settling(s: Scene) -> None:
    s.rig = SOFT
    enter(s)
    load = s.drop(800, 2.5, 0.2)
    s.wait(0.7)
    s.show(BERT)
    s.until(load.rest_s)
    shut(s)
    s.wait(1)
    s.scan(SECOND)
    s.wait(0.8)
    s.flap("open")
    s.wait(1.5)
    load = s.drop(312, 2.0, 0.2)
    s.until(load.rest_s)
    shut(s)


@trace
def swap(s: Scene) -> None:
    enter(s)
    s.until(s.take(s.old(312), 0.6).rest_s, 2)
    s.until(s.lower(312, 0.8).rest_s)
    shut(s)


@trace
def lifted_and_let_go(s: Scene) -> None:
    enter(s)
    s.until(s.hand(-500, 6, steady=0.1, leave_s=0.2))
    shut(s)


@trace
def shaken(s: Scene) -> None:
    span = (s.now_s + 1, s.now_s + 5)
    s.forces.append(physics.shaking(s.rng, span, 1500))
    s.until(span[1])


@trace
def unattended(s: Scene) -> None:
    s.until(s.take(s.old(312), 0.6).rest_s)


@trace
def emptied(s: Scene) -> None:
    s.scan(KEY_CODE)
    s.wait(0.8)
    s.flap("open")
    for _ in range(3):
        s.wait(1.5)
        s.until(s.take(s.old(4000), 0.8).rest_s)
    s.wait(2)
    s.flap("shut")
    s.wait(2)
    s.scan(KEY_CODE)


def _reuse(s: Scene) -> None:
    s.show(ANNA)
    s.wait(2)
    s.press()
    s.wait(0.8)
    s.flap("open")
    s.wait(2)
    s.until(s.take(s.old(420), 0.7).rest_s)


@trace
def reuse(s: Scene) -> None:
    _reuse(s)
    shut(s)


@trace
def reuse_put_back(s: Scene) -> None:
    _reuse(s)
    s.wait(2.5)
    s.until(s.lower(420, 0.8).rest_s)
    shut(s)


@trace
def spikes(s: Scene) -> None:
    s.chip = replace(s.chip, spikes=0.04)
    whole(s)


@trace
def wind(s: Scene) -> None:
    s.forces.append(physics.wind(s.rng, 6))
    whole(s)


@trace
def vibration(s: Scene) -> None:
    s.forces.append(physics.street(s.rng, 30, (s.now_s, s.now_s + 8)))
    whole(s)


@trace
def sun(s: Scene) -> None:
    s.forces.append(physics.drift(s.rng, 30))
    whole(s)


def _ill(s: Scene, ailment: chip.Ailment) -> None:
    """From the middle of a visit on: a carton falls, and there is no evidence of it."""
    s.chip = replace(s.chip, ailment=ailment)
    whole(s)


@trace
def cable_off(s: Scene) -> None:
    _ill(s, chip.off(7.5))


@trace
def stuck(s: Scene) -> None:
    _ill(s, chip.stuck(7.5))


@trace
def saturated(s: Scene) -> None:
    _ill(s, chip.saturated(7.5))


@trace
def half_clocked(s: Scene) -> None:
    _ill(s, chip.half_clocked(7.5, 0.7))


def main() -> None:
    """Write every trace anew."""
    for name, story in TRACES.items():
        made = scene(name)
        story(made)
        header, events = made.finish(f"tests/traces {name}")
        write_trace(HERE / f"{name}{SUFFIX}", header, events)


if __name__ == "__main__":
    main()

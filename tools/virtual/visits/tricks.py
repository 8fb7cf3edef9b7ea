"""What people try on a bin. Each function is one kind of visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tools.virtual.visits import physics
from tools.virtual.visits.scene import DROP_S, Due, Scene

# -- strings --------------------------------------------------------------------------------------


def string_before_shut(s: Scene) -> None:
    """A carton on a string: it rests, is weighed, and is pulled out before the flap shuts."""
    s.enter()
    s.wait(0.5, 3)
    load = s.lower(s.carton_g(), s.rng.uniform(0.3, 1.5))
    s.until(load.rest_s, 0.2, 3)
    gone = s.take(load)
    s.shut(gone.rest_s)


def string_after_shut(s: Scene) -> None:
    """A carton on a string, pulled out through the slit after the flap has shut."""
    s.enter()
    s.wait(0.5, 3)
    load = s.drop(s.carton_g(), s.rng.uniform(0.5, 2))
    s.shut(load.rest_s)
    s.wait(0.5, 12)
    s.take(load)


def string_next_visit(s: Scene) -> None:
    """A carton on a string, pulled in the first seconds of an honest next visit."""
    s.enter()
    s.wait(0.5, 3)
    load = s.drop(s.carton_g(), s.rng.uniform(0.5, 2))
    s.shut(load.rest_s)
    s.wait(1, 6)
    handle = s.person()
    s.show(handle)
    if s.rng.random() < 0.5:
        s.wait(0.5, 4)
        s.until(s.take(load).rest_s)
        s.wait(1, 3)
        label = s.scan(s.label())
        s.open()
    else:
        s.wait(1, 3)
        label = s.scan(s.label())
        s.open()
        s.wait(0.2, 2)
        s.until(s.take(load).rest_s)
    s.wait(1, 3)
    load = s.drop(s.carton_g())
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def _in_and_out(s: Scene, labels: list[str]) -> None:
    handle, mass_g = s.person(), s.carton_g()
    s.enter(handle, labels[0])
    for turn, label in enumerate(labels):
        if turn:
            s.wait(0.3, 2)
            s.scan(label)
            s.open()
        s.wait(0.5, 2)
        load = s.lower(mass_g, s.rng.uniform(0.3, 1.2))
        s.until(load.rest_s, 0.5, 2.5)
        gone = s.take(load)
        s.shut(gone.rest_s)


def in_and_out_same(s: Scene) -> None:
    """The same carton in and out again and again, under one label."""
    _in_and_out(s, [s.label()] * s.rng.randint(2, 3))


def in_and_out_other(s: Scene) -> None:
    """The same carton in and out again and again, each time under another label."""
    _in_and_out(s, [s.label() for _ in range(s.rng.randint(2, 3))])


def swap(s: Scene) -> None:
    """Takes out an old carton and puts it in again under a new label."""
    old_g = s.carton_g()
    s.rig = replace(s.rig, held_g=s.rig.held_g + old_g)
    s.enter()
    s.wait(0.5, 2)
    out = s.take(s.old(old_g))
    s.until(out.rest_s, 0.5, 3)
    load = s.lower(old_g, s.rng.uniform(0.3, 1.5))
    s.shut(load.rest_s)


# -- hands ----------------------------------------------------------------------------------------


def hand(s: Scene) -> None:
    """A hand presses in place of a carton: as steady as a hand is, or unnaturally so."""
    s.enter()
    s.wait(0.5, 3)
    steady = s.rng.choice((1.0, 0.5, 0.2, 0.02))
    gone_s = s.hand(s.rng.uniform(100, 1200), s.rng.uniform(1, 6), steady)
    s.shut(gone_s)


def elbow(s: Scene) -> None:
    """An elbow leans on the rim, and no carton comes."""
    s.enter()
    s.wait(0.5, 3)
    gone_s = s.hand(s.rng.uniform(400, 4000), s.rng.uniform(2, 8))
    s.shut(gone_s)


def lift(s: Scene) -> None:
    """Lifts the container quietly, before the visit or in it, and lets go: it looks like mass."""
    g = -s.rng.uniform(100, 900)
    steady = s.rng.choice((1.0, 0.3, 0.02))
    early = s.rng.random() < 0.5
    if not early:
        s.enter()
    s.wait(0.5, 2)
    gone_s = s.hand(g, s.rng.uniform(8, 12), steady)
    if early:
        s.wait(2, 4)
        s.enter()
    s.shut(gone_s)


def slow_lift(s: Scene) -> None:
    """Lifts at 1 to 3 g a second, so that it looks like drift, and lets go in a visit."""
    speed_g, g = s.rng.uniform(1, 3), s.rng.uniform(80, 180)
    span_s = g / speed_g
    s.wait(2)
    s.forces.append(physics.Ramp(s.now_s, span_s, -g))
    s.wait(span_s - 6 if s.rng.random() < 0.5 else span_s + 1)
    s.enter()
    s.wait(2, 3)
    s.until(s.now_s)
    s.forces.append(physics.Ramp(s.now_s, s.rng.uniform(0.05, 0.3), g))
    s.shut(s.now_s + 1)


def shaken(s: Scene) -> None:
    """Somebody shakes the bin, with a visit or without."""
    if s.rng.random() < 0.5:
        s.enter()
        s.wait(0.5, 3)
        span = (s.now_s, s.now_s + s.rng.uniform(1, 6))
        s.shut(span[1])
    else:
        s.wait(0.5, 3)
        span = (s.now_s, s.now_s + s.rng.uniform(1, 6))
        s.until(span[1], 2)
    s.forces.append(physics.shaking(s.rng, span, s.rng.uniform(200, 2000)))


# -- masses and codes -----------------------------------------------------------------------------


def stone(s: Scene) -> None:
    """A stone in a carton: heavier than any carton. It stays, or is taken out again."""
    s.enter()
    s.wait(0.5, 3)
    load = s.drop(s.rng.uniform(2200, 8000), s.rng.uniform(0.5, 2))
    if s.rng.random() < 0.5:
        s.until(load.rest_s, 2, 5)
        load = s.take(load)  # perhaps before a word was said, and no harm done
    else:
        s.expect("refused", why=("too_heavy",))
    s.shut(load.rest_s)


def too_light(s: Scene) -> None:
    """Something that is no carton: a sheet of paper, a sweet."""
    s.enter()
    s.wait(0.5, 3)
    load = s.drop(s.rng.uniform(3, 30), s.rng.uniform(0.3, 1))
    s.shut(load.rest_s)


def nothing(s: Scene) -> None:
    """Pass and label, and nothing is put in; the flap shuts when its time is over."""
    s.enter()
    s.wait(DROP_S, DROP_S + 1.5)
    s.flap("shut")


def empty_flap(s: Scene) -> None:
    """The flap is moved by hand, once or twice, with no visit and nothing put in."""
    for _ in range(s.rng.randint(1, 2)):
        s.wait(1, 3)
        s.flap("open")
        s.wait(0.5, 3)
        s.flap("shut")


def no_scan(s: Scene) -> None:
    """A carton pushed in with no scan at all."""
    load = s.drop(s.carton_g())
    s.until(load.rest_s)
    s.expect("unattended", load.mass_g)


def pass_only(s: Scene) -> None:
    """A pass and no label; the carton is pushed in past the flap."""
    s.show(s.person())
    s.wait(2, 6)
    load = s.drop(s.carton_g())
    s.expect("refused", why=("no_label",))
    s.until(load.rest_s)


def two_labels(s: Scene) -> None:
    """Two labels scanned for one carton."""
    handle, first = s.enter()
    s.wait(0.3, 1.5)
    second = s.scan(s.label())
    s.wait(0.5, 3)
    load = s.drop(s.carton_g())
    s.owe(load, handle, first, second)
    s.shut(load.rest_s)


def two_drops(s: Scene) -> None:
    """One label and two cartons: together, half a second apart or three seconds apart."""
    handle, label = s.enter()
    s.wait(0.5, 3)
    first = s.drop(s.carton_g())
    s.wait(s.rng.choice((0.02, 0.5, 3)))
    second = s.drop(s.carton_g())
    both_g = first.mass_g + second.mass_g
    rest_s = max(first.rest_s, second.rest_s)
    heavy = both_g > 2000  # then it is fair to refuse what came as one
    s.due.append(Due("deposit", (first.mass_g, both_g), handle, (label,), rest_s, optional=heavy))
    s.shut(rest_s)


def label_again(s: Scene) -> None:
    """A second carton under a label that has had its deposit."""
    handle, label = s.enter()
    for turn in range(2):
        if turn:
            s.wait(0.5, 3)
            s.scan(label)
            s.open()
        s.wait(0.5, 3)
        load = s.drop(s.carton_g())
        if not turn:
            s.owe(load, handle, label)
        s.shut(load.rest_s)


def old_pass(s: Scene) -> None:
    """A screenshot of a pass; the carton is pushed in past the flap."""
    s.unix_ms = s.unix_ms or 1_668_153_600_000
    s.show(s.person(), age_s=s.rng.uniform(200, 90_000))
    s.wait(1, 3)
    s.scan(s.label())
    s.wait(1, 3)
    load = s.drop(s.carton_g())
    s.until(load.rest_s)


STORIES: dict[str, Callable[[Scene], None]] = {
    "string-before-shut": string_before_shut,
    "string-after-shut": string_after_shut,
    "string-next-visit": string_next_visit,
    "in-and-out-same-label": in_and_out_same,
    "in-and-out-other-labels": in_and_out_other,
    "swap": swap,
    "hand": hand,
    "elbow": elbow,
    "lift": lift,
    "slow-lift": slow_lift,
    "shaken": shaken,
    "stone": stone,
    "too-light": too_light,
    "nothing": nothing,
    "empty-flap": empty_flap,
    "no-scan": no_scan,
    "pass-only": pass_only,
    "two-labels-one-drop": two_labels,
    "one-label-two-drops": two_drops,
    "same-label-again": label_again,
    "old-pass": old_pass,
}

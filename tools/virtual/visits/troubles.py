"""Reuse, the operator's work, and what befalls the chip. One function, one kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tools.virtual.visits import chip
from tools.virtual.visits.scene import KEY_CODE, Due, Scene

# -- reuse and the operator -----------------------------------------------------------------------


def _take_for_reuse(s: Scene) -> tuple[str, float]:
    mass_g, handle = s.carton_g(), s.person()
    s.rig = replace(s.rig, held_g=s.rig.held_g + mass_g)
    s.show(handle)
    s.wait(1, 3)
    s.press()
    s.open()
    s.wait(1, 5)
    out = s.take(s.old(mass_g))
    s.until(out.rest_s)
    s.due.append(Due("reuse", (mass_g,), handle, (), out.rest_s))
    return handle, mass_g


def reuse(s: Scene) -> None:
    """A carton is taken out to ship with it."""
    _take_for_reuse(s)
    s.shut(s.now_s)


def reuse_put_back(s: Scene) -> None:
    """A carton is taken out for reuse, confirmed, and put back."""
    _, mass_g = _take_for_reuse(s)
    s.due.clear()
    s.wait(1.8, 4)
    load = s.lower(mass_g, s.rng.uniform(0.3, 1.5))
    s.shut(load.rest_s)


def collection(s: Scene) -> None:
    """The operator empties the bin: by handfuls, or lifts the container out and puts it back."""
    held_g = s.rng.uniform(3000, 30_000)
    s.rig = replace(s.rig, held_g=held_g)
    s.scan(KEY_CODE)
    s.open()
    s.wait(2, 4)
    if s.rng.random() < 0.5:
        for _ in range(4):
            gone = s.take(s.old(held_g / 4), s.rng.uniform(0.4, 1))
            s.until(gone.rest_s, 0.2, 1)
    else:
        gone = s.take(s.old(held_g + s.rig.tare_g), s.rng.uniform(0.5, 1))
        s.until(gone.rest_s, 2, 6)
        tare = s.lower(s.rig.tare_g, s.rng.uniform(0.3, 0.8), shaky=0.02)
        s.until(tare.rest_s)
    s.wait(1, 3)
    s.flap("shut")
    s.wait(1, 3)
    s.scan(KEY_CODE)
    s.expect("collection", held_g)


# -- what befalls the chip ------------------------------------------------------------------------


def _ailing(s: Scene, ail: Callable[[float], chip.Ailment], *details: str) -> None:
    """The chip falls ill before a visit, or in one before the carton falls: there is no evidence.

    An ill bin keeps its flap shut; one that falls ill with the flap open shuts it soon.
    """
    s.expect("fault", why=details)
    if s.rng.random() < 0.5:
        s.chip = replace(s.chip, ailment=ail(s.rng.uniform(1, s.now_s - 1)))
        s.wait(1, 6)
        s.show(s.person())
        s.wait(1, 4)
        s.scan(s.label())
    else:
        handle, label = s.enter()
        s.chip = replace(s.chip, ailment=ail(s.now_s + s.rng.uniform(-0.2, 1)))
        s.wait(1.2, 4)
        load = s.drop(s.carton_g())
        if "erratic" in details:  # it may be seen through some bad frames
            s.owe(load, handle, label, optional=True)
        s.shut(load.rest_s)
    s.wait(3, 5)
    s.show(s.person())  # somebody else, so that the trace goes on when readings do not


def cable_off(s: Scene) -> None:
    """The cable comes off before or in a visit."""
    _ailing(s, chip.off, "missing")


def stuck(s: Scene) -> None:
    """The chip gives one and the same reading for ever."""
    _ailing(s, chip.stuck, "stuck")


def saturated(s: Scene) -> None:
    """A wire of the bridge breaks: the reading stands at an end of the scale."""
    end = s.rng.choice((chip.LEAST, chip.MOST))
    _ailing(s, lambda at_s: chip.saturated(at_s, end), "saturated")


def half_clocked(s: Scene) -> None:
    """Frames lose or gain clock pulses: their bits are shifted."""
    share = s.rng.choice((0.3, 0.6, 1.0))
    _ailing(s, lambda at_s: chip.half_clocked(at_s, share), "erratic", "saturated")
    if share < 0.5:
        s.also = [replace(s.also[0], optional=True)]  # a true value is an answer too


STORIES: dict[str, Callable[[Scene], None]] = {
    "reuse": reuse,
    "reuse-put-back": reuse_put_back,
    "collection": collection,
    "cable-off": cable_off,
    "stuck": stuck,
    "saturated": saturated,
    "half-clocked": half_clocked,
}

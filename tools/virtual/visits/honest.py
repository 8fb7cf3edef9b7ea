"""What honest people do before a bin. Each function is one kind of visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tools.virtual.visits import physics
from tools.virtual.visits.scene import DROP_S, Scene


def one(s: Scene) -> None:
    """One carton, dropped."""
    _one(s, s.carton_g())


def small(s: Scene) -> None:
    """A small carton, 90 to 230 g."""
    _one(s, s.rng.uniform(90, 230))


def big(s: Scene) -> None:
    """A big carton, up to 1.5 kg."""
    _one(s, s.rng.uniform(900, 1500))


def _one(s: Scene, mass_g: float, speed_m_s: float = 0.0) -> None:
    handle, label = s.enter()
    s.wait(0.5, 5)
    load = s.drop(mass_g, speed_m_s)
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def thrown(s: Scene) -> None:
    """A carton thrown in hard."""
    _one(s, s.carton_g(), s.rng.uniform(3, 5))


def windy(s: Scene) -> None:
    """A carton in gusty wind."""
    s.forces.append(physics.wind(s.rng, s.rng.uniform(2, 10)))
    one(s)


def street(s: Scene) -> None:
    """A carton while a lorry passes."""
    begin_s = s.now_s + s.rng.uniform(-2, 8)
    span = (begin_s, begin_s + s.rng.uniform(2, 8))
    s.forces.append(physics.street(s.rng, s.rng.uniform(5, 40), span))
    one(s)


def sunny(s: Scene) -> None:
    """A carton while the sun warms the cells: 20 to 40 g a minute."""
    s.forces.append(physics.drift(s.rng, s.rng.uniform(20, 40)))
    one(s)


def spikes(s: Scene) -> None:
    """A carton with a chip that throws many lone spikes."""
    s.chip = replace(s.chip, spikes=s.rng.uniform(0.01, 0.04))
    one(s)


def gaps(s: Scene) -> None:
    """A carton with a chip of which many readings get lost."""
    s.chip = replace(s.chip, missing=s.rng.uniform(0.03, 0.08))
    one(s)


def lowered(s: Scene) -> None:
    """A carton set down by hand."""
    handle, label = s.enter()
    s.wait(0.5, 4)
    load = s.lower(s.carton_g(), s.rng.uniform(0.5, 2.5))
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def toppling(s: Scene) -> None:
    """A carton that stands on its edge for a moment and topples."""
    handle, label = s.enter()
    s.wait(0.5, 4)
    load = s.topple(s.drop(s.carton_g()), s.rng.uniform(0.3, 2))
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def rim(s: Scene) -> None:
    """A hand touches the rim while it puts the carton in."""
    handle, label = s.enter()
    s.wait(0.5, 4)
    s.now_s -= 0.4
    gone_s = s.hand(s.rng.uniform(-200, 1200), s.rng.uniform(0.4, 2))
    s.now_s += 0.4
    load = s.drop(s.carton_g())
    s.owe(replace(load, rest_s=max(load.rest_s, gone_s)), handle, label)
    s.shut(max(load.rest_s, gone_s))


def slow(s: Scene) -> None:
    """A slow person: searches for the label, then for the flap."""
    handle = s.person()
    s.show(handle)
    s.wait(8, 20)
    label = s.scan(s.label())
    s.open()
    s.wait(6, DROP_S - 5)
    load = s.drop(s.carton_g())
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def series(s: Scene) -> None:
    """Several cartons; the next label comes while the last carton settles, or after the thanks."""
    handle, label = s.enter()
    for left in range(s.rng.randint(1, 3), -1, -1):
        s.wait(0.5, 3)
        load = s.drop(s.carton_g())
        s.owe(load, handle, label)
        if left and s.rng.random() < 0.5:  # early
            s.wait(0.2, 1)
            label = s.scan(s.label())
            if s.rng.random() < 0.5:
                s.shut(load.rest_s)
                s.open()
            s.until(load.rest_s + 1.2)  # till the bin asks for it
        else:
            s.shut(load.rest_s)
            if left:
                s.wait(0.3, 3)
                label = s.scan(s.label())
                s.open()


def next_person(s: Scene) -> None:
    """The next person shows a pass while the last one's carton settles, then puts one in too."""
    handle, label = s.enter()
    s.wait(0.5, 3)
    load = s.drop(s.carton_g())
    s.owe(load, handle, label)
    s.wait(0.1, 1)
    other = s.person()
    s.show(other)
    s.shut(load.rest_s)
    s.wait(0.5, 2)
    label = s.scan(s.label())
    s.open()
    s.wait(0.5, 3)
    load = s.drop(s.carton_g())
    s.owe(load, other, label)
    s.shut(load.rest_s)


def left(s: Scene) -> None:
    """A person leaves in the middle, with pass or pass and label; then an honest one comes."""
    if s.rng.random() < 0.5:
        s.show(s.person())
    else:
        s.enter()
        s.wait(DROP_S, DROP_S + 1.5)
        s.flap("shut")
    s.wait(4, 15)
    one(s)


def label_twice(s: Scene) -> None:
    """The scanner reads the label twice before the carton falls."""
    handle, label = s.person(), s.label()
    s.show(handle)
    s.wait(1, 3)
    s.scan(label)
    s.wait(0.2, 1)
    s.scan(label)
    s.open()
    s.wait(0.5, 3)
    load = s.drop(s.carton_g())
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def pass_twice(s: Scene) -> None:
    """The same pass is read twice."""
    handle, label = s.person(), s.label()
    shown = s.show(handle)
    s.wait(0.3, 2)
    s.scan(shown)
    s.wait(1, 3)
    s.scan(label)
    s.open()
    s.wait(0.5, 3)
    load = s.drop(s.carton_g())
    s.owe(load, handle, label)
    s.shut(load.rest_s)


def leaning(s: Scene) -> None:
    """An elbow leans on the rim, a carton falls in, the elbow goes."""
    handle, label = s.enter()
    s.wait(0.3, 2)
    gone_s = s.hand(s.rng.uniform(300, 3000), s.rng.uniform(2, 6))
    s.wait(0.5, 1.5)
    load = s.drop(s.carton_g())
    s.owe(replace(load, rest_s=max(load.rest_s, gone_s)), handle, label)
    s.shut(max(load.rest_s, gone_s))


STORIES: dict[str, Callable[[Scene], None]] = {
    "one": one,
    "small": small,
    "big": big,
    "series": series,
    "lowered": lowered,
    "thrown": thrown,
    "toppling": toppling,
    "windy": windy,
    "street": street,
    "sunny": sunny,
    "spikes": spikes,
    "gaps": gaps,
    "rim": rim,
    "leaning": leaning,
    "slow": slow,
    "next-person": next_person,
    "left": left,
    "label-twice": label_twice,
    "pass-twice": pass_twice,
}

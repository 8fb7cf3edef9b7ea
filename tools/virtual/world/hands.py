"""People's hands at the container: what lies in it, and the ways in and out, honest or not."""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.world.flap import Flap
from tools.virtual.world.scale import Scale

MAX_CARTON_G = 60_000
MAX_CARTONS = 500
STRING_MS = 1_000  # a carton on a string goes down, and up, about this long
LIFT_MS = 600  # quietly
PRESS_MS = 150


class Refused(Exception):
    """What a person tried cannot be done now; says why in one sentence."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Hands:
    """Cartons by their number in `cartons` (grams), those that hang on a string in `strings`.

    `hand` is what a hand does now: "press", "lift" or nothing. Only a string goes through the gap
    of a shut flap, and the container can be lifted from below at any time.
    """

    def __init__(self, scale: Scale, flap: Flap, say: Callable[[str], None]) -> None:
        self.cartons: dict[int, float] = {}
        self.strings: list[int] = []
        self.hand = ""
        self._hand_number = 0
        self._scale = scale
        self._flap = flap
        self._say = say

    def drop(self, *masses_g: float) -> list[int]:
        """Put cartons in at once through the flap; returns their numbers. Raises Refused."""
        self._check_in(*masses_g)
        return [self._in(mass_g, "drop") for mass_g in masses_g]

    def lower(self, mass_g: float) -> int:
        """Lower a carton on a string: slowly and without a swing. Raises Refused."""
        self._check_in(mass_g)
        number = self._in(mass_g, "lower", STRING_MS)
        self.strings.append(number)
        return number

    def take_out(self, number: int | None = None) -> float:
        """Take a carton (the last one when None) out through the open flap; returns grams."""
        if not self.cartons:
            raise Refused("empty", "the container is empty")
        if not self._flap.passable():
            raise Refused("flap_shut_out", "the flap is shut: no hand gets in")
        if number is None:
            number = next(reversed(self.cartons))
        if number not in self.cartons:
            raise Refused("unknown", f"no carton {number} is in the container")
        return self._out(number, "take out")

    def pull(self) -> float:
        """Pull the last string with its carton, whatever the flap does; returns grams."""
        if not self.strings:
            raise Refused("no_string", "no carton hangs on a string")
        return self._out(self.strings[-1], "pull")

    def empty(self) -> int:
        """The operator takes everything out from behind; returns how many cartons that were."""
        numbers = list(self.cartons)
        for number in numbers:
            self._out(number, "empty")
        return len(numbers)

    def press(self, mass_g: float, *, steady: bool = False) -> None:
        """Reach through the open flap and press like `mass_g`, until let_go(). Raises Refused."""
        if not self._flap.passable():
            raise Refused("flap_shut_hand", "the flap is shut: no hand gets in")
        self._hold("press", mass_g, PRESS_MS, steady=steady)

    def lift(self, mass_g: float, *, steady: bool = False) -> None:
        """Lift the container quietly, by `mass_g` of its weight, until let_go(). Raises Refused."""
        self._hold("lift", -mass_g, LIFT_MS, steady=steady)

    def let_go(self) -> None:
        """The hand that presses or lifts is gone; nothing happens when there is none."""
        if self.hand:
            self._say("let go")
            self._scale.lift(self._hand_number)
            self.hand = ""

    def flap_shuts(self) -> None:
        """A hand under the flap is drawn back."""
        if self.hand == "press":
            self.let_go()

    def _hold(self, what: str, mass_g: float, slow_ms: int, *, steady: bool) -> None:
        if self.hand:
            raise Refused("hand", "a hand is at the container already: let go first")
        self._hand_number = self._scale.press(mass_g, slow_ms, steady=steady)
        self.hand = what
        self._say(f"{what} {mass_g:g}")

    def _check_in(self, *masses_g: float) -> None:
        if not all(0 < mass_g <= MAX_CARTON_G for mass_g in masses_g):
            raise Refused("mass", f"a carton weighs more than 0 and up to {MAX_CARTON_G} g")
        if len(self.cartons) + len(masses_g) > MAX_CARTONS:
            raise Refused("full", f"{MAX_CARTONS} cartons are in the container: no more fit")
        if not self._flap.passable():
            raise Refused("flap_shut", "the flap is shut: the carton does not go in")

    def _in(self, mass_g: float, how: str, slow_ms: int = 0) -> int:
        self._say(f"{how} {mass_g:g}")
        number = self._scale.put(mass_g, slow_ms=slow_ms)
        self.cartons[number] = mass_g
        return number

    def _out(self, number: int, how: str) -> float:
        self._scale.lift(number)
        self._say(f"{how} {self.cartons[number]:g}")
        if number in self.strings:
            self.strings.remove(number)
        return self.cartons.pop(number)

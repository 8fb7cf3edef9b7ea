"""People at one virtual bin, one after the other, as fast as it serves them.

They live inside the world's clock (no thread, no picture of a QR code): every LOOK_US they read the
display and do what a person does next. What they were promised is kept, to be held against what the
gateway got.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway import wire
from tools.virtual.supervisor import FONT, VirtualBin
from tools.virtual.world.hands import Refused
from tools.virtual.world.text import load_font, read_text
from tools.virtual.world.world import World

LOOK_US = 50_000
STEP_LIMIT_US = 60_000_000  # what does not come within a minute does not come
HOLD_US = 1_500_000
EMPTY_AFTER = 40  # cartons: then the operator comes
EMPTYING_US = 3_000_000
AGAIN_US = 4_000_000  # a code that was not read is held there again
LABEL_SPACE = 10**12
HANDLE_CHARS, MAC_CHARS = 8, 16
PASS_STEP_S = 30
PASSES_TRIED = 3
MISSED_KEPT = 50
TEXTS_KEPT = 500
CARTON_G = (90.0, 1500.0)


@dataclass
class Tally:
    """What happened at the bin, and what was promised and not yet seen at the gateway."""

    visits: int = 0  # with thanks
    missed: int = 0  # a carton went in, or the bin should have taken one, and no thanks came
    collections: int = 0
    foreign: int = 0  # deposits of labels that nobody showed here: from the run before this one
    why: deque[str] = field(default_factory=lambda: deque(maxlen=MISSED_KEPT))
    promised: set[str] = field(default_factory=set)  # label hashes with thanks, not arrived
    arrived: set[str] = field(default_factory=set)  # arrived before the thanks were read
    steps_ms: Counter[str] = field(default_factory=Counter)  # virtual time by step


class People:
    """Begin with `come(after_us)`; each visit ends with the display's invitation.

    `again` says after each visit in how many microseconds the next person comes, None for nobody.
    """

    def __init__(
        self, bin_: VirtualBin, world: World, seed: int, again: Callable[[], int | None]
    ) -> None:
        self.tally = Tally()
        self.busy = False
        self._bin = bin_
        self._world = world
        self._random = random.Random(f"people {seed}")  # noqa: S311  (no secret)
        self._again = again
        self._font = load_font(FONT)
        self._texts: dict[bytes, str] = {}
        self._label = self._hash = ""
        self._shown: set[str] = set()  # hashes of labels without thanks so far
        self._next_label = seed * 1_000_000_007 % LABEL_SPACE
        self._tries = 0
        self._step: Callable[[str], bool] = self._idle
        self._begun_us = 0
        self._shown_us = 0

    def come(self, after_us: int) -> None:
        """The next person arrives in so long."""
        self._world.kernel.after(after_us, self._arrive)

    def line(self, line: wire.Line) -> None:
        """A new line has come to the gateway."""
        if line.kind == "deposit":
            label = wire.deposit_of(line.raw).label
            if label in self.tally.promised:
                self.tally.promised.remove(label)
            elif label in self._shown:
                self.tally.arrived.add(label)
            else:
                self.tally.foreign += 1

    def text(self) -> str:
        """What the display shows, its four lines with a bar between."""
        display = self._world.display
        ram = bytes(display.ram)
        if ram not in self._texts:
            if len(self._texts) >= TEXTS_KEPT:
                self._texts.clear()
            self._texts[ram] = " | ".join(read_text(display.rows(), self._font))
        return self._texts[ram]

    def _arrive(self) -> None:
        self.busy = True
        self._go(self._idle)
        self._look()

    def _go(self, step: Callable[[str], bool]) -> None:
        now = self._world.kernel.now_us
        self.tally.steps_ms[self._step.__name__] += (now - self._begun_us) // 1000
        self._step, self._begun_us = step, now

    def _look(self) -> None:
        """Read the display, do what follows, look again a little later."""
        if self._step(self.text()):
            self.busy = False
            after_us = self._again()
            if after_us is not None:
                self.come(after_us)
            return
        if self._world.kernel.now_us - self._begun_us > STEP_LIMIT_US:
            self._give_up()
        self._world.kernel.after(LOOK_US, self._look)

    def _give_up(self) -> None:
        at_s = self._world.kernel.now_us / 1e6
        step = self._step.__name__.strip("_")
        if self._step != self._idle:
            self.tally.missed += 1
        self.tally.why.append(f"{at_s:.1f} s: {step} for a minute: {self.text()}")
        if "show your pass" not in self.text():
            self._world.press_button()
        self._go(self._idle)

    # -- the steps of a visit: each returns True when the person has gone --------------------------

    def _idle(self, text: str) -> bool:
        if "show your pass" not in text or self._world.flap.passable():
            return False
        if len(self._world.hands.cartons) >= EMPTY_AFTER:
            self._show(self._bin.identity.key_code())
            self._go(self._collect)
        else:
            self._tries = 0
            self._show_pass()
            self._go(self._hello)
        return False

    def _show_pass(self) -> None:
        step = self._bin.engine.unix_us() // 1_000_000 // PASS_STEP_S
        handle, mac = self._letters(HANDLE_CHARS), self._letters(MAC_CHARS)
        self._show(f"BB1.{handle}.{step}.{mac}")

    def _hello(self, text: str) -> bool:
        if "Scan the" in text:
            self._next_label = (self._next_label + 1) % LABEL_SPACE
            self._label = f"SF{self._next_label:013d}"
            self._hash = wire.label_hash(self._bin.identity.label_key, self._label)
            self._shown.add(self._hash)
            self._show(self._label)
            self._go(self._open)
        elif "show your pass" in text and self._waited(3_000_000):
            self._tries += 1  # the code was not read: a person holds it there again
            if self._tries < PASSES_TRIED:
                self._show_pass()
        return False

    def _open(self, text: str) -> bool:
        if "Put the carton" in text and self._world.flap.passable():
            mass_g = round(CARTON_G[0] * (CARTON_G[1] / CARTON_G[0]) ** self._random.random(), 1)
            try:
                self._world.hands.drop(mass_g)
            except Refused:
                return False
            self._go(self._thanks)
        elif "scan" in text.lower() and self._world.kernel.now_us - self._shown_us > AGAIN_US:
            self._show(self._label)  # not read, or "scan again": the bin shook
        return False

    def _thanks(self, text: str) -> bool:
        if "Thank you!" not in text:
            return False
        self.tally.visits += 1
        self._shown.discard(self._hash)
        if self._hash in self.tally.arrived:  # the line was faster than the display
            self.tally.arrived.remove(self._hash)
        else:
            self.tally.promised.add(self._hash)
        self._world.press_button()
        self._go(self._leave)
        return False

    def _leave(self, text: str) -> bool:
        if "show your pass" in text:
            return True
        if self._waited(8_000_000) and "Thank you" in text:
            self._world.press_button()
            self._begun_us = self._world.kernel.now_us
        return False

    def _collect(self, text: str) -> bool:
        if "Collection: scan" in text:
            self._world.hands.empty()
            self._go(self._emptied)
        return False

    def _emptied(self, text: str) -> bool:
        if "Collection done" in text or "show your pass" in text:
            self.tally.collections += 1
            self._go(self._idle)
        elif self._waited(EMPTYING_US):
            self._show(self._bin.identity.key_code())
            self._begun_us = self._world.kernel.now_us
        return False

    # -- hands -----------------------------------------------------------------------------------

    def _waited(self, us: int) -> bool:
        return self._world.kernel.now_us - self._begun_us > us

    def _show(self, text: str) -> None:
        self._shown_us = self._world.kernel.now_us
        self._world.show([text.encode()], HOLD_US)

    def _letters(self, many: int) -> str:
        return "".join(self._random.choice(wire.ALPHABET) for _ in range(many))

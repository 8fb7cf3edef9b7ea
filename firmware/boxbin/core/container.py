"""What lies in the container, and which of it is explained.

`level_mg` is the resting mass that is accounted for. A resting mass that differs is a change, and
has a name:

    NOTHING   less than `light_mg` (or the noise): drift, which the level follows, slowly
    LIGHT     too little for a carton
    CARTON    inside the band of a carton
    HEAVY     above it
    LESS      mass has left

Three limits keep a patient hand from making a carton out of nothing. The level falls at most by
DRIFT_MG_PER_S, and within a visit by VISIT_DRIFT_MG in all: a container that is lifted slowly and
let go is where it was. Mass that left within a visit without a reason is owed: what comes next
pays it back before it counts. Mass that left before, with the flap shut, has not gone anywhere: a
rise of just that much is no carton.
"""

from .rules import CARTON, HEAVY, LESS, LIGHT, NOTHING

DRIFT_MG_PER_S = 700  # tens of grams in minutes (facts/hardware.md)
VISIT_DRIFT_MG = 15_000
SAME_MG = 12_000  # two weighings of one carton: this close, or
SAME_PERCENT = 6
LINES_REMEMBERED = 32
SUNK_MS = 180_000  # so long a container can be held up
SUNK_DRIFT_MG = 60_000  # and so much of the lift may have passed for drift


class Container:
    """Tell it each resting mass with `look`; it answers what that is.

    After `look`, `change_mg` is the difference to the level, `held_ms` how long that has rested
    unchanged. `lines` are the deposits (and reuses, with negative mass) that may be taken back:
    lists of [n, mass_mg, label].
    """

    def __init__(self, settings):
        self._settings = settings
        self.level_mg = None
        self.zero_mg = 0  # the level at which the container is empty; moves with the drift
        self.owed_mg = 0
        self.change_mg = 0
        self.held_ms = 0
        self.kind = NOTHING
        self.lines = []
        self.others = []  # lines of the visit before this one
        self._first_mg = 0
        self._since_ms = 0
        self._looked_ms = 0
        self._fall_left_mg = 0
        self._sunk_mg = self._sinks_ms = self._sunk_ms = 0
        self._dip_ms = 0
        self.dip_mg = None  # where mass paused that a line's mass had left, since the last rest

    @property
    def content_mg(self):
        """What lies in it, as far as drift is known; 0 before the first rest."""
        return 0 if self.level_mg is None else self.level_mg - self.zero_mg

    def look(self, now_ms, mass_mg, noise_mg, visiting, shut):
        """The scale rests at `mass_mg`: returns NOTHING, LIGHT, CARTON, HEAVY or LESS."""
        if self.level_mg is None:
            self.level_mg = self.zero_mg = mass_mg
        change_mg = self.change_mg = mass_mg - self.level_mg
        light_mg = max(self._settings.light_mg, noise_mg)
        kind = self._kind(change_mg, light_mg)
        if kind == CARTON and visiting and self._had_sunk(now_ms):
            self.owed_mg, self._sunk_mg = max(self.owed_mg, change_mg), 0
            kind = NOTHING
        if kind == NOTHING and change_mg >= light_mg:
            self._pay_back(mass_mg)
        elif kind == NOTHING:
            self._follow(now_ms, visiting, shut)
            self.dip_mg = None
        if kind != self.kind or abs(mass_mg - self._first_mg) > SAME_MG:
            self.kind = kind
            self._first_mg, self._since_ms = mass_mg, now_ms
        self.held_ms = now_ms - self._since_ms
        self._looked_ms = now_ms
        return kind

    def _kind(self, change_mg, light_mg):
        least_mg = self._settings.mass_min_mg
        if change_mg < light_mg:
            return LESS if change_mg <= least_mg // 4 - least_mg else NOTHING
        net_mg = change_mg - self.owed_mg
        if self.owed_mg and net_mg < light_mg:
            return NOTHING
        if net_mg < least_mg:
            return LIGHT
        return HEAVY if change_mg > self._settings.mass_max_mg else CARTON

    def _had_sunk(self, now_ms):
        """Just as much left with the flap shut a moment ago: the container was held up."""
        if not self._sunk_mg or now_ms - self._sunk_ms > SUNK_MS:
            return False
        over_mg = self.change_mg - self._sunk_mg
        held_s = (now_ms - self._sinks_ms) // 1_000
        return -SAME_MG <= over_mg <= SUNK_DRIFT_MG + held_s * DRIFT_MG_PER_S

    def _follow(self, now_ms, visiting, shut):
        limit_mg = min(1_000, now_ms - self._looked_ms) * DRIFT_MG_PER_S // 1_000
        step_mg = max(-limit_mg, min(limit_mg, self.change_mg))
        if visiting and step_mg < 0:
            step_mg = max(step_mg, -self._fall_left_mg)
            self._fall_left_mg += step_mg
        self.level_mg += step_mg
        if shut and not visiting:
            self.zero_mg += step_mg

    def _pay_back(self, mass_mg):
        self.owed_mg = max(0, self.owed_mg - self.change_mg)
        self.level_mg = mass_mg

    def explain(self):
        """What was looked at last is accounted for: it is the level from now on."""
        if self.level_mg is not None:
            self.level_mg += self.change_mg
            self.change_mg = 0
            self.kind = NOTHING
            self.dip_mg = None

    def sink(self, now_ms, shut):
        """Mass came or left, and nobody visited."""
        if self.change_mg > 0:
            self._sunk_mg = max(0, self._sunk_mg - self.change_mg)
        elif shut and -self.change_mg <= self._settings.mass_max_mg:
            if not self._sunk_mg or now_ms - self._sunk_ms > SUNK_MS:
                self._sunk_mg, self._sinks_ms = 0, now_ms
            self._sunk_mg -= self.change_mg
            self._sunk_ms = now_ms
        self.explain()

    def pause(self, now_ms, mass_mg):
        """The scale paused at `mass_mg` between two rests: was a line's mass away there?"""
        if self.level_mg is None or mass_mg > self.level_mg - self._settings.mass_min_mg // 2:
            return
        if self.dip_mg is None and self._matching(mass_mg - self.level_mg):
            self.dip_mg, self._dip_ms = mass_mg, now_ms

    def dip(self, now_ms):
        """Look at that pause in place of the rest that followed it."""
        self.held_ms = now_ms - self._dip_ms
        if self.dip_mg is not None and self.level_mg is not None:
            self.change_mg = self.dip_mg - self.level_mg
        self.dip_mg = None

    def owe(self):
        """Mass left within a visit for no good reason: nothing counts until it is back."""
        self.owed_mg -= self.change_mg
        self.explain()

    def emptied(self):
        """The operator took everything: what rests now is empty, and nothing can be taken back."""
        self.explain()
        self._sunk_mg = 0
        self.zero_mg = self.level_mg or 0
        self.lines, self.others = [], []

    def begin_visit(self):
        """Somebody else's turn: earlier lines can be taken back for a short time only."""
        self.others, self.lines = self.lines, []
        self.owed_mg = 0
        self._fall_left_mg = VISIT_DRIFT_MG

    def forget_others(self):
        """Whatever leaves from now on is the doing of whoever is here."""
        self.others = []

    def remember(self, n, mass_mg, label):
        """Line n brought `mass_mg` (a reuse: took it, negative) and may be taken back."""
        self.lines.append([n, mass_mg, label])
        if len(self.lines) > LINES_REMEMBERED:
            del self.lines[0]

    def forget_all(self):
        """It is too long ago for anything to be taken back."""
        self.lines, self.others = [], []

    def anything(self):
        """True while some line may be taken back."""
        return bool(self.lines or self.others)

    def last(self):
        """The newest line of this visit, or None."""
        return self.lines[-1] if self.lines else None

    def taken_back(self):
        """The lines that the last change undoes, newest first; none when it matches none.

        The mass of one line, or of several in a row.
        """
        return self._matching(self.change_mg)

    def _matching(self, change_mg):
        lines = self._candidates(change_mg)
        for line in lines:
            if _same(line[1], -change_mg):
                return [line]
        total_mg = 0
        for count, line in enumerate(lines):
            total_mg += line[1]
            if _same(total_mg, -change_mg):
                return lines[: count + 1]
        return []

    def half_back(self):
        """The newest line if at least half of its mass is gone, as a list: a carton on a string
        that leans on something now has left all the same.
        """
        lines = self._candidates(self.change_mg)
        if lines and abs(lines[0][1]) // 2 <= abs(self.change_mg) < abs(lines[0][1]):
            return lines[:1]
        return []

    def _candidates(self, change_mg):
        """Lines that a change in this direction may undo, newest first."""
        gone = change_mg < 0
        lines = [line for line in self.others + self.lines if (line[1] > 0) == gone]
        lines.reverse()
        return lines

    def forget(self, line):
        """A line was taken back."""
        for lines in (self.lines, self.others):
            if line in lines:
                lines.remove(line)


def _same(a_mg, b_mg):
    return abs(a_mg - b_mg) <= max(SAME_MG, abs(a_mg) * SAME_PERCENT // 100)

"""What lies in the container, and what a change of it is called.

`level_mg` is the resting mass that is accounted for. A resting mass that differs has a name:

    NOTHING   less than `light_mg` (or the noise): drift, which the level follows, slowly
    LIGHT     too little for a carton
    CARTON    inside the band of a carton
    HEAVY     above it
    LESS      mass has left

The level falls at most by _DRIFT_MG_PER_S, and within a visit by _VISIT_DRIFT_MG in all: a
container that is lifted slowly and let go is where it was. What is gone must come back before
anything counts (account.py).
"""

from .account import Account
from .rules import CARTON, HEAVY, LESS, LIGHT, NOTHING

_DRIFT_MG_PER_S = 700  # tens of grams in minutes (facts/hardware.md)
_VISIT_DRIFT_MG = 15_000
_LIFT_DRIFT_MG = 60_000  # how much of a slow lift may have passed for drift before it was noticed
_HELD_MG = 12_000  # a change that moves on by more than this has not rested


class Container:
    """Tell it each resting mass with `look`; it answers what that is.

    After `look`, `change_mg` is the difference to the level, `held_ms` how long that has rested
    unchanged.
    """

    def __init__(self, settings):
        self._settings = settings
        self.account = Account(settings)
        self.level_mg = None
        self.zero_mg = 0  # the level at which the container is empty; moves with the drift
        self.change_mg = 0
        self.held_ms = 0
        self.kind = NOTHING
        self._first_mg = self._since_ms = self._looked_ms = 0
        self._fall_left_mg = 0
        self._dip_mg = self._top_mg = None  # where the scale paused since the last rest
        self._dip_ms = 0

    @property
    def content_mg(self):
        """What lies in it, as far as drift is known; 0 before the first rest."""
        return 0 if self.level_mg is None else self.level_mg - self.zero_mg

    def start(self, mass_mg):
        """The first mass that is known, at rest or (when the flap is open already) not."""
        if self.level_mg is None:
            self.level_mg = self.zero_mg = mass_mg

    def look(self, now_ms, mass_mg, noise_mg, visiting, shut):
        """The scale rests at `mass_mg`: returns NOTHING, LIGHT, CARTON, HEAVY or LESS."""
        self.start(mass_mg)
        change_mg = self.change_mg = mass_mg - self.level_mg
        least_mg = self._settings.mass_min_mg
        light_mg = max(self._settings.light_mg, min(noise_mg, least_mg) // 2)
        kind = self._kind(change_mg, light_mg, least_mg)
        if kind == NOTHING and change_mg <= -light_mg and self._dip_mg is not None:
            kind = LESS  # not what was there: something else has come in its place
        account = self.account
        if kind == CARTON and visiting:
            if account.is_back(now_ms, change_mg, _DRIFT_MG_PER_S, _LIFT_DRIFT_MG):
                account.gone_mg, account.match_mg = change_mg, 0
                kind = NOTHING
        if kind == NOTHING:
            if change_mg >= light_mg:
                self.came(now_ms)
            elif change_mg <= -light_mg and account.light_leaves(-change_mg):
                self.explain()
            else:
                self._follow(now_ms, visiting, shut)
            self._dip_mg = self._top_mg = None
        if kind != self.kind or abs(mass_mg - self._first_mg) > _HELD_MG:
            self.kind = kind
            self._first_mg, self._since_ms = mass_mg, now_ms
        self.held_ms = now_ms - self._since_ms
        self._looked_ms = now_ms
        return kind

    def _kind(self, change_mg, light_mg, least_mg):
        if change_mg < light_mg:
            return LESS if change_mg <= least_mg // 4 - least_mg else NOTHING
        gone_mg = self.account.gone_mg
        net_mg = change_mg - gone_mg
        if gone_mg and net_mg < light_mg:
            return NOTHING
        if net_mg < least_mg:
            return LIGHT
        return HEAVY if change_mg > self._settings.mass_max_mg else CARTON

    def _follow(self, now_ms, visiting, shut):
        limit_mg = min(1_000, now_ms - self._looked_ms) * _DRIFT_MG_PER_S // 1_000
        step_mg = max(-limit_mg, min(limit_mg, self.change_mg))
        if visiting and step_mg < 0:
            step_mg = max(step_mg, -self._fall_left_mg)
            self._fall_left_mg += step_mg
        self.level_mg += step_mg
        if shut and not visiting:
            self.zero_mg += step_mg

    def begin_visit(self, now_ms, handle):
        """Somebody's turn begins."""
        self.account.begin(now_ms, handle)
        self._fall_left_mg = _VISIT_DRIFT_MG

    def explain(self):
        """What was looked at last is accounted for: it is the level from now on."""
        if self.level_mg is not None:
            self.level_mg += self.change_mg
            self.change_mg = 0
            self.kind = NOTHING
            self._dip_mg = self._top_mg = None

    def came(self, now_ms):
        """What was looked at last came, and earned nothing."""
        self.account.come(now_ms, max(0, self.change_mg))
        self.explain()

    def emptied(self):
        """The operator took everything: what rests now is empty, and nothing can be taken back."""
        self.explain()
        self.account.clear()
        self.zero_mg = self.level_mg or 0

    # -- between two rests ----------------------------------------------------------------------

    def pause(self, now_ms, mass_mg):
        """The scale paused at `mass_mg`, too short for a rest: a line's mass may be away there, or
        something may have landed there before a line's mass left.
        """
        if self.level_mg is None:
            return
        if self._top_mg is None or mass_mg > self._top_mg:
            self._top_mg = mass_mg
        if self._dip_mg is None and mass_mg <= self.level_mg - self._settings.mass_min_mg // 2:
            line = self.account.exact(mass_mg - self.level_mg)
            if line is not None and line.n:
                self._dip_mg, self._dip_ms = mass_mg, now_ms

    def hidden(self, now_ms, mass_mg):
        """The entry whose mass left between two rests while something else came, or None; then
        `change_mg` is that fall alone.
        """
        least_mg = self._settings.mass_min_mg
        line = None
        if self._dip_mg is not None and mass_mg - self._dip_mg >= least_mg:
            self.held_ms = now_ms - self._dip_ms
            line = self.account.exact(self._dip_mg - self.level_mg)
            fall_mg = self._dip_mg - self.level_mg
        elif self._top_mg is not None and self.change_mg >= least_mg:
            fall_mg = mass_mg - self._top_mg
            if fall_mg <= -least_mg:
                line = self.account.exact(fall_mg)
        if line is None or not line.n or line.mass_mg < 0:
            return None
        self._dip_mg = self._top_mg = None
        self.change_mg = fall_mg
        return line

"""What the scale says, as events of the visit: what rests means here, and whose mass it is."""

from . import rules, scale
from .deeds import SETTLED_PERCENT, Deeds
from .rules import COLLECT, DROP, IDLE, LABEL, NOBODY, SETTLE, STARTING, STEADY

_HAND_MS = 5_000  # so long after a deposit a hand may still have been inside
_GROWS_MS = (
    2_000  # more mass so soon after a deposit, and without a blow: that carton was still held
)
_BLOW_PERCENT = 10  # what falls swings higher than it rests, by this much at least
_BLOW_MG = 20_000


class Weighing(Deeds):
    """The part of a visit that looks at the scale."""

    def __init__(self, settings, zero_counts):
        super().__init__(settings, zero_counts)
        self._peak_mg = None  # the highest reading of the last motion
        self._moved = False
        self._shut_ms = 0  # when the flap was shut last

    def reading(self, now_ms, raw):
        """One reading of the scale, or None when there was none for too long."""
        state = self.scale.add(now_ms, raw)
        return self.weigh(now_ms, state, self.scale.mass_mg)

    def weigh(self, now_ms, scale_state, mass_mg):
        """What the scale makes of a reading (`reading` calls this)."""
        self._at_rest = scale_state == scale.STABLE
        if self._at_rest:
            self._mended(now_ms, "scale")
            self._rest(now_ms, mass_mg)
            self._moved = False
        elif scale_state in scale.FAULTS:
            if not self.state & (STARTING | COLLECT):
                self._fault(now_ms, "scale", scale_state)
        elif mass_mg is not None:
            self._moves(now_ms, mass_mg)
        return self._taken() if self._actions else ()

    def _moves(self, now_ms, mass_mg):
        box = self.container
        if not self._moved or self._peak_mg is None or mass_mg > self._peak_mg:
            self._peak_mg = mass_mg
            self._moved = True
        if box.level_mg is None:
            if not self.door.shut:
                box.start(mass_mg)  # somebody was faster than the first rest
            return
        if self.state == DROP and mass_mg - box.level_mg >= self._settings.rise_mg:
            self._event(now_ms, rules.RISES)
        if box.account.lines:
            paused_mg = self.scale.pause_mg()
            if paused_mg is not None:
                box.pause(now_ms, paused_mg)

    def _rest(self, now_ms, mass_mg):
        """The scale rests: name what that means here, and let the table say what follows."""
        nobody = bool(self.state & NOBODY)
        box = self.container
        kind = box.look(now_ms, mass_mg, self.scale.noise_mg, not nobody, self.door.shut)
        if kind == rules.LESS:
            box.pause(now_ms, mass_mg)
        line = None if kind == rules.NOTHING else box.hidden(now_ms, mass_mg)
        if line is not None:
            # Its mass left, and something else came before the scale was at rest.
            self._take_back_one(now_ms, line)
            kind = box.look(now_ms, mass_mg, self.scale.noise_mg, not nobody, self.door.shut)
        if self.state == STEADY:
            self._event(now_ms, rules.RESTS)
        elif kind == rules.NOTHING:
            if nobody and self.door.shut:
                self.scale.learn()
            elif self.state & (SETTLE | rules.TAKE_OUT):
                self._event(now_ms, rules.NOTHING)
            elif self._finishing:
                self._event(now_ms, rules.EMPTIED)
        elif box.held_ms >= self._must_hold_ms(kind):
            self._named(now_ms, kind)

    def _must_hold_ms(self, kind):
        """How long a change must rest before it counts."""
        if self.state == COLLECT:
            return 0 if self._finishing else self._settings.collect_rest_ms
        if kind == rules.LIGHT:
            return self._settings.light_ms
        if kind != rules.LESS and self.state & rules.AT_ONCE:
            return 0
        return self._settings.stay_ms

    def _named(self, now_ms, kind):
        if self.state == COLLECT:
            if self._finishing or (kind == rules.LESS and self.door.shut):
                self._event(now_ms, rules.EMPTIED)
        elif kind == rules.LESS:
            self._left(now_ms)
        elif kind == rules.LIGHT:
            self._event(now_ms, kind)
        elif self._grew(now_ms):
            self._event(now_ms, rules.AGAIN)
        elif self.state & rules.AT_ONCE:
            self._event(now_ms, kind)
        else:
            self._came(now_ms, kind)

    def _came(self, now_ms, kind):
        """Mass came for good, and nobody had announced it."""
        line = self.container.account.exact(self.container.change_mg)
        if line is not None and line.n:
            self._take_back_one(now_ms, line)  # what was taken out for reuse is back
        elif self.state == LABEL and self._restless_label and kind == rules.CARTON:
            self._event(now_ms, rules.LATE)
        else:
            self._event(now_ms, kind)

    def _left(self, now_ms):
        """Mass left for good: whose was it?"""
        box, account = self.container, self.container.account
        account.forget_until(now_ms - box.held_ms)
        line = account.exact(box.change_mg)
        if line is None and self._hand_left(now_ms):
            self._event(now_ms, rules.AGAIN)
        elif self.state == rules.REUSE:
            self._event(now_ms, rules.LESS)
        elif line is not None and line.n:
            self._take_back_one(now_ms, line)
        else:
            self._undone = account.leave(
                now_ms, -box.change_mg, self._was_shut(now_ms), self._handle
            )
            self._event(now_ms, rules.BACK if self._undone else rules.LESS)

    def _take_back_one(self, now_ms, line):
        self._undone = [line]
        self._event(now_ms, rules.BACK)

    def _hand_left(self, now_ms):
        """A hand that was weighed with the last carton has gone."""
        line = self._newest(now_ms, _HAND_MS)
        if line is None:
            return False
        fall_mg = -self.container.change_mg
        stays_mg = line.mass_mg - fall_mg
        least_mg = self._settings.mass_min_mg
        return stays_mg >= least_mg and fall_mg * 100 >= line.mass_mg * SETTLED_PERCENT

    def _grew(self, now_ms):
        """The last carton was still held when it was weighed. What falls in, strikes a blow."""
        line = self._newest(now_ms, _GROWS_MS)
        if line is None or self._label:
            return False
        rise_mg = self.container.change_mg
        if line.mass_mg + rise_mg > self._settings.mass_max_mg:
            return False
        rests_mg = (self.container.level_mg or 0) + rise_mg
        over_mg = (self._peak_mg or rests_mg) - rests_mg
        return over_mg < max(_BLOW_MG, rise_mg * _BLOW_PERCENT // 100)

    def _newest(self, now_ms, within_ms):
        """The last deposit, if it was weighed once only, and not long ago or the flap is open."""
        line = self.container.account.last()
        if line is None or not self._pass or not self.state & (IDLE | LABEL | rules.ARMED):
            return None
        if line.mass_mg <= 0 or line.again:
            return None
        began_ms = now_ms - self.container.held_ms - self._settings.rest_ms
        if began_ms - self._deposit_ms > within_ms and (
            within_ms == _GROWS_MS or self._was_shut(now_ms)
        ):
            return None
        return line

    def _was_shut(self, now_ms):
        """Whether the flap was shut already when the change began."""
        began_ms = now_ms - self.container.held_ms - self._settings.rest_ms
        return self.door.shut and self._shut_ms <= began_ms

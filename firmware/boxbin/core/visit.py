"""The visit: from one scanned pass to its end, as decisions without I/O or clock.

Longer than other files by a little: events and the table at work are read together. The rules
themselves stand in rules.py as one table, what each of them does in deeds.py; here events are
recognised. They come in as method calls with `now_ms` (a count of milliseconds that never goes
back); what to do comes out as a tuple of actions:

    ("say", key, arguments)       a sentence of core/texts.py: display, lamp and sound
    ("flap", True or False)       open or shut
    ("line", kind, fields)        write one journal line; answer with `written` or `not_written`

Thanks are said only from `written`: in flash before thanks. Decisions use the difference of two
resting masses around one drop, never an absolute mass.
"""

from . import codes, rules, scale, wire
from .deeds import GROWS_MS, NO_PASS, SETTLED_PERCENT, Deeds
from .door import FAILED
from .rules import CLOSED, COLLECT, DROP, IDLE, LABEL, NOBODY, SETTLE, STARTING, STEADY
from .settings import NONE


class Visit(Deeds):
    """One bin's visits, one after another. `state` and `deadline_ms` are for reading only.

    `label_key` makes codes of labels, `key_code` is the text on the technician's card,
    `zero_counts` the calibrated zero of the scale (by default the settings').
    """

    def __init__(self, settings, label_key, key_code="", zero_counts=None):
        super().__init__(settings, settings.zero_counts if zero_counts is None else zero_counts)
        self._label_key = label_key
        self._key_code = key_code

    def wake_ms(self):
        """When `tick` is due at the latest, or None when nothing is waited for."""
        due_ms = None
        for ms in (self.deadline_ms, self.door.deadline_ms, self._speaker.wake_ms()):
            if ms is not None and (due_ms is None or ms < due_ms):
                due_ms = ms
        return due_ms

    # -- events ---------------------------------------------------------------------------------

    def start(self, now_ms):
        """The bin is ready: say so. The flap is asked to be shut whatever it was before."""
        if self.state == STARTING:  # a fault may have come first
            self.door.move(now_ms, False)
            self._event(now_ms, rules.STARTED)
        return self._taken()

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
        elif scale_state in scale.FAULTS:
            if not self.state & (STARTING | COLLECT):
                self._fault(now_ms, "scale", scale_state)
        elif self.state == DROP and mass_mg is not None and self.container.level_mg is not None:
            if mass_mg - self.container.level_mg >= self._settings.rise_mg:
                self._event(now_ms, rules.RISES)
        if not self._at_rest and self.container.anything():
            paused_mg = self.scale.pause_mg()
            if paused_mg is not None:
                self.container.pause(now_ms, paused_mg)
        return self._taken() if self._actions else ()

    def scan(self, now_ms, text, unix_s):
        """The scanner read `text`; `unix_s` is 0 while the time is not known."""
        if self.state & (IDLE | LABEL):
            self._speaker.asked()
        if text.startswith("BB1."):
            self._scan_pass(now_ms, text, unix_s)
        elif self._key_code and text == self._key_code:
            self._event(now_ms, rules.KEY)
        elif self.state == CLOSED:
            self._speaker.say("closed_" + self._faults[-1])
        elif self.state == IDLE:
            self._event(now_ms, rules.SCANNED)
        elif self.state == LABEL and not codes.is_label(text):
            self._speaker.message(now_ms, "label_bad")
        elif codes.is_label(text) and self._settings.label_policy != NONE:
            self._scan_label(now_ms, text)
        return self._taken()

    def scanner(self, now_ms, found):
        """The scanner answers, or it does not."""
        if not found:
            self._fault(now_ms, "scanner", "no answer")
        else:
            self._mended(now_ms, "scanner")
        return self._taken()

    def flap(self, now_ms, shut):
        """The reed switch changed: `shut` is True or False."""
        self.door.reed(shut)
        if shut:
            self._open_since_deposit = False
            self._mended(now_ms, "flap")
        else:
            self._event(now_ms, rules.OPENED)
        return self._taken()

    def button(self, now_ms):
        """The button was pressed."""
        self._event(now_ms, rules.BUTTON)
        return self._taken()

    def written(self, now_ms, kind, n):
        """Line n of this kind is in flash: now, and only now, thanks."""
        if kind in ("deposit", "reuse") and self.state == rules.WRITE:
            self._n = n
            self._event(now_ms, rules.WRITTEN)
        return self._taken()

    def not_written(self, now_ms):
        """The line could not be made durable: no thanks, and no more visits until it can."""
        self._fault(now_ms, "journal", "")
        return self._taken()

    def journal(self, now_ms, has_room):
        """Whether the journal takes all lines of one more visit; ask before somebody comes."""
        if has_room:
            self._mended(now_ms, "journal")
        elif self.state == IDLE and self._speaker.quiet:
            self._fault(now_ms, "journal", "")
        return self._taken()

    def outcome(self, now_ms, n, status, points, balance):
        """The points backend decided about line n; shown only to the person it belongs to."""
        if n in self._earned and self.state & (LABEL | IDLE):
            message = self.state == IDLE
            if status == "credited":
                self._speaker.after(now_ms, "credited", (points, balance), message)
            else:
                self._speaker.after(now_ms, "no_points", (), message)
        return self._taken()

    def tick(self, now_ms):
        """Time has passed; call at the latest at `wake_ms()`."""
        door = self.door.tick(now_ms)
        if door == FAILED and not self.door.wanted_open and self.state & rules.VISITING:
            self.door.move(now_ms, False)  # somebody is there, and may be holding it
        elif door == FAILED:
            self._fault(now_ms, "flap", "open" if self.door.wanted_open else "shut")
        elif door and not self.door.wanted_open and self.state != CLOSED:
            self._speaker.message(now_ms, "flap_held")
        elif self.deadline_ms is not None and now_ms >= self.deadline_ms:
            self.deadline_ms = None
            self._event(now_ms, rules.TIME_UP)
        elif self._speaker.tick(now_ms):
            if self.state == IDLE:
                self._forget_member()
            self._prompt(now_ms)
        return self._taken()

    # -- pass and label -------------------------------------------------------------------------

    def _scan_pass(self, now_ms, text, unix_s):
        found = codes.parse_pass(text)
        if self.state == CLOSED:
            self._speaker.say("closed_" + self._faults[-1])
        elif found is None:
            self._complain(now_ms, "pass_bad")
        elif not codes.pass_is_fresh(found[1], unix_s):
            self._complain(now_ms, "pass_old")
        elif self.state == IDLE or found[0] != self._handle:
            self._coming = (found[0], text, now_ms)
            self._event(now_ms, rules.PASS)

    def _complain(self, now_ms, key):
        if self.state & (IDLE | LABEL):
            self._speaker.message(now_ms, key)

    def _scan_label(self, now_ms, text):
        label = wire.label_code(self._label_key, text)
        if label in self._labels:
            if self.state == LABEL:
                self._speaker.message(now_ms, "label_seen")
        elif label != self._label:
            self._coming_label = label
            self._event(now_ms, rules.SCANNED)

    # -- mass -----------------------------------------------------------------------------------

    def _rest(self, now_ms, mass_mg):
        """The scale rests: name what that means here, and let the table say what follows."""
        state = self.state
        nobody = bool(state & NOBODY)
        box = self.container
        kind = box.look(now_ms, mass_mg, self.scale.noise_mg, not nobody, self.door.shut)
        if box.dip_mg is not None and box.dip_mg + self._settings.mass_min_mg <= mass_mg:
            # A line's mass left, and something else came before the scale was at rest.
            box.dip(now_ms)
            if box.taken_back():
                self._changed(now_ms, rules.LESS)
            kind = box.look(now_ms, mass_mg, self.scale.noise_mg, not nobody, self.door.shut)
        if state == STEADY:
            self._event(now_ms, rules.RESTS)
        elif kind == rules.NOTHING:
            if nobody and self.door.shut:
                self.scale.learn()
            elif state & (SETTLE | rules.TAKE_OUT):
                self._event(now_ms, rules.NOTHING)
        elif box.held_ms >= self._must_hold_ms(state, kind):
            if state == COLLECT:
                self._emptying(now_ms, kind)
            elif kind == rules.LIGHT or (kind != rules.LESS and state & rules.AT_ONCE):
                self._event(now_ms, kind)
            else:
                self._changed(now_ms, kind)

    def _must_hold_ms(self, state, kind):
        """How long a change must rest before it counts."""
        if state == COLLECT:
            return 0 if self._finishing else self._settings.collect_rest_ms
        if kind == rules.LIGHT:
            return self._settings.light_ms
        if kind != rules.LESS and state & rules.AT_ONCE:
            return 0
        return self._settings.stay_ms

    def _emptying(self, now_ms, kind):
        if kind == rules.LESS and self.door.shut:
            self._event(now_ms, rules.EMPTIED)

    def _changed(self, now_ms, kind):
        """Mass came or left for good: undo a line when it is that line's, else name it."""
        since_ms = now_ms - self.container.held_ms
        if self.state & NOBODY:
            if since_ms - self._ended_ms > self._settings.withdraw_ms:
                self.container.forget_all()
        elif since_ms > self._others_until_ms:
            self.container.forget_others()
        self._undone = self.container.taken_back()
        if not self._undone:
            if self.state == LABEL and self._part_only(now_ms):
                self._event(now_ms, rules.AGAIN)
                return
            self._undone = self.container.half_back()
        if self._undone:
            self._event(now_ms, rules.BACK)
        elif self.state != LABEL or not self._restless_label:
            self._event(now_ms, kind)

    def _part_only(self, now_ms):
        """The last deposit was not the carton alone, or not all of it: a hand that pressed has
        gone, or one that held it; only while a hand may still have been inside.
        """
        last, change_mg = self.container.last(), self.container.change_mg
        if not self._open_since_deposit or last is None:
            return False
        stays_mg = last[1] + change_mg
        if not self._settings.mass_min_mg <= stays_mg <= self._settings.mass_max_mg:
            return False
        if change_mg > 0:
            return now_ms - self.container.held_ms - self._deposit_ms <= GROWS_MS
        return -change_mg * 100 >= last[1] * SETTLED_PERCENT

    # -- faults ---------------------------------------------------------------------------------

    def _fault(self, now_ms, what, detail):
        """Take the bin out of service: no thanks without evidence."""
        if what in self._faults:
            return
        self._faults.append(what)
        if what != "journal":
            self._line_bounded(now_ms, "fault", ("what", what), ("detail", detail))
        self._event(now_ms, rules.FAULT)

    def close(self, now_ms):
        """The table's deed on a fault."""
        what = self._faults[-1]
        self._forget_member()
        self._ended_ms = now_ms
        self._speaker.say("closed_" + what)
        if what != "flap" or self.door.wanted_open:
            self.door.move(now_ms, False)

    def try_flap(self, now_ms):
        """The table's deed when a flap fault has lasted for a while."""
        if self.door.shut:
            self._mended(now_ms, "flap")  # it is where it belongs: let the next visit try it
        elif "flap" in self._faults:
            self.door.move(now_ms, False)
            self.deadline_ms = now_ms + self._settings.flap_retry_ms

    def _mended(self, now_ms, what):
        """A fault is gone; when it was the last one, the bin invites again."""
        if what not in self._faults:
            return
        self._faults.remove(what)
        if self._faults:
            self._speaker.say("closed_" + self._faults[-1])
        else:
            self._event(now_ms, rules.MENDED)

    # -- the table at work ----------------------------------------------------------------------

    def _event(self, now_ms, event):
        row = rules.find(self.state, event)
        if row is None:
            return
        what, then = row
        self._speaker.spoke = False
        state = getattr(self, what)(now_ms) if what else None
        if state is None:
            state = then  # one state, or STAY and perhaps others
        if not state & rules.STAY:
            self._enter(now_ms, state)

    def _enter(self, now_ms, state):
        self.state = state
        name = rules.TIMES.get(state)
        self.deadline_ms = now_ms + getattr(self._settings, name) if name else None
        if state == DROP:
            self.deadline_ms = self._drop_ends_ms
        elif state == CLOSED and "flap" in self._faults:
            self.deadline_ms = now_ms + self._settings.flap_retry_ms
        if not self._speaker.spoke:
            self._prompt(now_ms)
        if state == LABEL:
            self._await_label(now_ms)
        elif state == STEADY and self._at_rest:
            self._event(now_ms, rules.RESTS)

    def _await_label(self, now_ms):
        """Shut the flap, or go on with who and what was scanned while the last carton settled."""
        self._label = ""
        self._label_ends(now_ms)
        coming, self._next_pass = self._next_pass, NO_PASS
        label, self._next_label = self._next_label, ""
        if coming[0]:
            self._coming = coming
            self._event(now_ms, rules.PASS)
        if label and label not in self._labels:
            self._coming_label = label
            self._event(now_ms, rules.SCANNED)

    def _label_ends(self, now_ms):
        if self.door.wanted_open:
            self.door.move(now_ms, False)
        self.deadline_ms = min(self.deadline_ms, max(now_ms + 1, self._visit_ends_ms))

    def _prompt(self, now_ms):
        key = rules.PROMPTS.get(self.state)
        if self.state == CLOSED:
            self._speaker.say("closed_" + self._faults[-1])
        elif key:
            self._speaker.after(now_ms, key)

    def _taken(self):
        actions = tuple(self._actions)
        del self._actions[:]
        return actions

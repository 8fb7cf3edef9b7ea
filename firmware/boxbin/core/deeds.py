"""What each rule of rules.py does: its method has the name in the third column.

Longer than other files by a little, because a rule's deed is read next to its neighbours. A deed
writes lines, moves the flap, says something; it returns the state that follows, or None for the
first (or only) one in the table. Events come in through visit.py.
"""

from . import rules, wire
from .machine import Machine
from .rules import ARMED, CLOSED, COLLECT, DROP, IDLE, LABEL, NOBODY, OPENING, REUSE, STAY, STEADY
from .settings import REQUIRED

SETTLED_PERCENT = 15  # a carton that leans on the wall has lost less than this
_LANDING_MS = 700  # a label scanned so shortly before a rise is seen is for the carton after it


class Deeds(Machine):
    """One method a rule. Its words stand above its row."""

    # -- what the rules do: visit ---------------------------------------------------------------

    def begin(self, now_ms):
        if self._restless_label:
            self.container.came(now_ms)
        self._forget_member()
        self._handle, self._pass, self._pass_ms = self._coming
        self._visit_ends_ms = now_ms + self._settings.visit_ms
        self.container.begin_visit(now_ms, self._handle)
        if now_ms < self._reuse_until_ms:
            self._reuse_until_ms = 0
            return self.offer_reuse(now_ms)
        if now_ms < self._early_until_ms:
            self._next_label, self._early_label = self._early_label, ""
        self._speaker.after(now_ms, "label" if self._required() else "opening")
        return LABEL if self._required() or self._next_label else STEADY

    def queue_pass(self, now_ms):
        self._next_pass, self._next_label = self._coming, ""
        if self.state == DROP and self._at_rest and self._earned and not self._required():
            return self.begin(now_ms)  # the open flap waits for nobody's carton in particular
        return None

    def queue_label(self, _now_ms):
        self._next_label = self._coming_label

    def pass_first(self, now_ms):
        self._early_label = self._coming_label
        self._early_until_ms = now_ms + self._settings.handover_ms if self._early_label else 0
        self._speaker.message(now_ms, "pass_first")

    def take_label(self, now_ms):
        self._label = self._coming_label
        if self._restless_label and self._restless_label != self._label:
            self.container.came(now_ms)  # what lies there unweighed is nobody's now
        self._restless_label = ""

    def change_label(self, now_ms):
        if self.state == DROP:
            self._next_label = self._coming_label
            self._switch_ms = now_ms + _LANDING_MS
            return None
        return self._arm(now_ms, self._coming_label)

    def switch(self, now_ms):
        if not self._at_rest:
            self._switch_ms = now_ms + _LANDING_MS  # something may be landing
            return None
        label, self._next_label = self._next_label, ""
        return self._arm(now_ms, label)

    def _arm(self, now_ms, label):
        """The label counts from now on; after a queued pass it is that person's."""
        coming = self._next_pass
        if coming[0]:
            self._coming = coming
            self.begin(now_ms)
        self._label = label
        return STEADY if coming[0] else None

    def leave(self, now_ms):
        if self.state & ARMED and not (self._required() or self._earned or self._label):
            return self.offer_reuse(now_ms)
        self._end(now_ms, "no_label" if self.state == LABEL and not self._earned else "bye")
        return IDLE

    def open(self, now_ms):
        if self.container.kind == rules.LIGHT:
            self.container.came(now_ms)
        self.door.move(now_ms, True)
        if self.door.shut:
            return rules.OPENING
        return self.await_drop(now_ms)

    def await_drop(self, now_ms):
        self._drop_ends_ms = now_ms + self._settings.drop_ms
        return DROP

    def not_steady(self, _now_ms):
        self._speaker.say("not_steady")

    def last_look(self, now_ms):
        if self.door.wanted_open:
            self.door.move(now_ms, False)
            self._drop_ends_ms = now_ms + self._settings.flap_ms
            return DROP
        if self._required():
            self._speaker.say("nothing")
            return LABEL
        self._end(now_ms, "bye" if self._earned else "nothing")
        return IDLE

    # -- what the rules do: one carton ------------------------------------------------------------

    def note_rise(self, now_ms):
        self._rise_ms = now_ms
        self._switch_ms = None  # a label scanned just now is for the next carton

    def deposit(self, now_ms):
        if self.state & (OPENING | DROP):
            self.note_rise(now_ms)
        mass_mg = self.container.change_mg
        self._line_waits = ("deposit", mass_mg, self._label)
        self._line(
            "deposit",
            ("pass", self._pass),
            ("label", self._label),
            ("g", _to_g(mass_mg)),
            ("ms", now_ms - self._rise_ms),
            ("age", now_ms - self._pass_ms),
        )

    def deposit_late(self, now_ms):
        self._label, self._restless_label = self._restless_label, ""
        self.deposit(now_ms)

    def thank(self, now_ms):
        kind, mass_mg, label = self._line_waits
        self.container.explain()
        entry = self.container.account.earn(self._n, mass_mg, label, self._handle)
        self._earned.append(self._n)
        if kind == "deposit":
            self._deposit_ms = now_ms
            self._cartons += 1
            entry.again, self._is_again = self._is_again, False
            if label and self._labels:
                at = self._labels_at
                self._labels[at : at + wire.LABEL_CHARS] = label.encode()
                self._labels_at = (at + wire.LABEL_CHARS) % len(self._labels)
        last = self._cartons >= self._settings.visit_cartons or now_ms >= self._visit_ends_ms
        key = "reused" if kind == "reuse" else "thanks_end" if last else "thanks"
        self._speaker.thank(now_ms, key, (_to_g(abs(mass_mg)),), last)
        if last and not self._next_pass[0]:
            self._ended(now_ms)
            return IDLE
        return self._again()

    def refuse_light(self, now_ms):
        if self.container.change_mg >= self._settings.rise_mg:
            self._refused(now_ms, "too_light")
        self._speaker.message(now_ms, "too_light")
        self.container.came(now_ms)

    def refuse_unstable(self, now_ms):
        mass_mg = (self.scale.mass_mg or 0) - (self.container.level_mg or 0)
        self._line_bounded(now_ms, "refused", ("why", "unstable"), ("g", _to_g(max(0, mass_mg))))
        self._speaker.say("unstable")
        self._restless_label = self._label
        return self._again()

    def refuse_heavy(self, now_ms):
        self._refused(now_ms, "too_heavy")
        self.door.move(now_ms, True)

    def refuse_unlabelled(self, now_ms):
        self._refused(now_ms, "no_label")
        self._speaker.message(now_ms, "label_first")
        self.container.came(now_ms)

    def stone_out(self, _now_ms):
        return self._again()

    def leave_stone(self, now_ms):
        self.container.came(now_ms)
        self._end(now_ms, "not_taken")

    def weigh_again(self, now_ms):
        line = self.container.account.last()
        self._withdraw(line)
        self.container.level_mg -= line.mass_mg
        self.container.change_mg += line.mass_mg
        self._is_again = True
        self._label = line.label
        self._cartons -= 1
        self.deposit(now_ms)

    # -- what the rules do: mass that leaves -------------------------------------------------------

    def want_reuse(self, now_ms):
        self._reuse_until_ms = now_ms + self._settings.message_ms
        self._speaker.message(now_ms, "reuse_pass")

    def offer_reuse(self, now_ms):
        if self._earned:
            self._end(now_ms, "bye")
            return IDLE
        self.container.account.take_by_right()
        self.door.move(now_ms, True)
        return REUSE

    def reuse(self, now_ms):
        mass_mg = self.container.change_mg
        if -mass_mg > self._settings.mass_max_mg:
            self.container.account.leave(now_ms, -mass_mg, False, self._handle)
            self.owe(now_ms)
            return REUSE
        self._rise_ms = now_ms - self.container.held_ms
        self._line_waits = ("reuse", mass_mg, "")
        self._line(
            "reuse",
            ("pass", self._pass),
            ("g", _to_g(-mass_mg)),
            ("ms", now_ms - self._rise_ms),
            ("age", now_ms - self._pass_ms),
        )
        return rules.WRITE

    def nothing_out(self, now_ms):
        self._end(now_ms, "nothing_out")

    def take_back(self, now_ms):
        for line in self._undone:
            self._withdraw(line)
        if self.container.account.gone_mg >= self._settings.mass_min_mg:
            self._tell_gone(now_ms, self.container.account.gone_mg)
        self.container.explain()
        if self.state != CLOSED:
            self._speaker.message(now_ms, "withdrawn")
        line = self._undone[0]
        if self.state != LABEL or self.door.shut or not line.label or line.until_ms is not None:
            return None
        self._label = line.label
        return STEADY

    def _withdraw(self, line):
        self._line("withdrawn", ("of", line.n), ("g", _to_g(abs(line.mass_mg))))
        self.container.account.remove(line)
        for at in range(0, len(self._labels), wire.LABEL_CHARS):
            if self._labels[at : at + wire.LABEL_CHARS] == line.label.encode():
                # An honest second try is welcome.
                self._labels[at : at + wire.LABEL_CHARS] = bytes(wire.LABEL_CHARS)

    def _tell_gone(self, now_ms, gone_mg):
        if self.state & NOBODY:
            self._line_bounded(now_ms, "unattended", ("g", -_to_g(gone_mg)))
        else:
            self._line_bounded(now_ms, "refused", ("why", "taken_out"), ("g", _to_g(gone_mg)))

    def owe(self, now_ms):
        change_mg = -self.container.change_mg
        last = self.container.account.last()
        leans = last is not None and change_mg * 100 < last.mass_mg * SETTLED_PERCENT
        if self.container.account.gone_mg and not leans:
            self._tell_gone(now_ms, change_mg)
            self._speaker.message(now_ms, "put_back")
        self.container.explain()
        return self._again() if self.state == rules.TAKE_OUT else None

    def unattended(self, now_ms):
        self._line_bounded(now_ms, "unattended", ("g", _to_g(self.container.change_mg)))
        if self.container.change_mg > 0:
            self.container.came(now_ms)
        self.container.explain()

    def absorb(self, now_ms):
        self.container.came(now_ms)

    # -- what the rules do: collection ------------------------------------------------------------

    def collect(self, now_ms):
        if now_ms < self._emptied_until_ms:
            self._emptied_until_ms = 0  # it ended by itself just now, and this is the second scan
            self._speaker.message(now_ms, "collected")
            return STAY
        self._forget_member()
        self.container.account.end(now_ms)
        self.door.leave()
        return COLLECT

    def collected(self, now_ms):
        if not self._at_rest and not self._finishing:
            self._finishing = True  # weigh what was taken once it rests
            self.deadline_ms = now_ms + self._settings.settle_ms
            return STAY
        self._emptied_until_ms = now_ms + self._settings.collect_rest_ms
        self._line("collection", ("g", _to_g(max(0, -self.container.change_mg))))
        self.container.emptied()
        self._finishing = False
        if "full" in self._faults:
            self._faults.remove("full")  # the operator's word, until the sensor says otherwise
        if not self.door.shut:
            self.door.move(now_ms, False)
        if self._faults:
            return CLOSED
        self._speaker.message(now_ms, "collected")
        return IDLE

    def next_after_collection(self, now_ms):
        if not self.door.shut:
            return STAY
        self._finishing = True
        state = self.collected(now_ms)
        return state if state == CLOSED else self.begin(now_ms)

    # -- what the rules do: the operator from afar -----------------------------------------------

    def serve(self, now_ms):
        self._forget_member()
        self.container.account.end(now_ms)
        self.door.move(now_ms, True)

    def served(self, now_ms):
        self.door.move(now_ms, False)
        return CLOSED if self._faults else IDLE

    # -- what the rules do: faults ----------------------------------------------------------------

    def close(self, now_ms):
        what = self._faults[-1]
        self._forget_member()
        self.container.account.end(now_ms)
        self._speaker.say("closed_" + what)
        if what != "flap" or self.door.wanted_open:
            self.door.move(now_ms, False)

    def unwritten(self, now_ms):
        if "journal" not in self._faults:
            self._faults.append("journal")
        self.close(now_ms)

    def try_flap(self, now_ms):
        if self.door.shut:
            self._mended(now_ms, "flap")  # it is where it belongs: let the next visit try it
        elif "flap" in self._faults:
            self.door.move(now_ms, False)
            self.deadline_ms = now_ms + self._settings.flap_retry_ms

    # -- what they have in common -----------------------------------------------------------------

    def _again(self):
        return LABEL if self._required() or self._next_pass[0] else STEADY

    def _required(self):
        return self._settings.label_policy == REQUIRED

    def _refused(self, now_ms, why):
        mass_mg = abs(self.container.change_mg)
        self._line_bounded(now_ms, "refused", ("why", why), ("g", _to_g(mass_mg)))

    def _end(self, now_ms, key):
        self._ended(now_ms)
        self._speaker.message(now_ms, key)

    def _ended(self, now_ms):
        self.container.account.end(now_ms)
        if self.door.wanted_open or not self.door.shut:
            self.door.move(now_ms, False)


def _to_g(mass_mg):
    return (abs(mass_mg) + 500) // 1000 * (-1 if mass_mg < 0 else 1)

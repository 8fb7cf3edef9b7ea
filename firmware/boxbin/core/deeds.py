"""What each rule of rules.py does: its method has the name in the third column.

Longer than other files by a little, because a rule's deed is read next to its neighbours. A deed
writes lines, moves the flap, says something; it returns the state that follows, or None for the
first (or only) one in the table. Events come in through visit.py.
"""

from . import rules
from .container import Container
from .door import Door
from .rules import CLOSED, DROP, IDLE, LABEL, REUSE, STARTING, STAY, STEADY
from .scale import Scale
from .settings import REQUIRED
from .speaker import Speaker

SETTLED_PERCENT = 15  # a carton that leans on the wall has lost less than this
LANDING_MS = 700  # a label scanned so shortly before a rise is seen is for the carton after it
GROWS_MS = 2_000  # more mass so soon after a deposit: the same carton, that was still held
LINES_MAX = 20  # lines in a row that nobody earned (refused, unattended, fault), then
LINE_EACH_MS = 30_000  # one in this time: a prankster must not fill the journal
NO_PASS = "", "", 0  # handle, pass, when it was scanned


class Deeds:
    """What a visit knows, and what it can do."""

    def __init__(self, settings, zero_counts):
        self._settings = settings
        self._actions = []
        self.scale = Scale(settings, zero_counts)
        self.container = Container(settings)
        self.door = Door(settings, self._actions.append)
        self._speaker = Speaker(settings, self._actions.append)
        self._labels = []  # codes that earned a thank-you here lately, oldest first
        self._at_rest = False
        self.state = STARTING
        self.deadline_ms = None
        self._faults = []  # why the bin is closed, oldest first
        self._lines_left, self._lines_ms = LINES_MAX, 0
        self._ended_ms = self._others_until_ms = self._reuse_until_ms = 0
        self._coming, self._coming_label = NO_PASS, ""  # what was scanned just now
        self._forget_member()

    def _forget_member(self):
        self._handle = self._pass = self._label = ""
        self._next_pass = NO_PASS
        self._next_label = self._restless_label = ""
        self._pass_ms = self._rise_ms = self._visit_ends_ms = self._drop_ends_ms = 0
        self._earned = []  # the n of each line of this visit that earns something
        self._cartons = self._n = 0
        self._label_before, self._changed_ms = "", 0
        self._deposit_ms = 0
        self._finishing = False
        self._line_waits = "", 0, ""  # kind, mass, label
        self._undone = ()
        self._open_since_deposit = False

    # -- what the rules do: visit ---------------------------------------------------------------

    def begin(self, now_ms):
        if self._restless_label:
            self.container.explain()
        self._forget_member()
        self._handle, self._pass, self._pass_ms = self._coming
        self._visit_ends_ms = now_ms + self._settings.visit_ms
        self._others_until_ms = now_ms + self._settings.handover_ms
        self.container.begin_visit()
        if now_ms < self._reuse_until_ms:
            self._reuse_until_ms = 0
            return self.offer_reuse(now_ms)
        self._speaker.after(now_ms, "label" if self._required() else "opening")
        return LABEL if self._required() else STEADY

    def queue_pass(self, _now_ms):
        self._next_pass, self._next_label = self._coming, ""

    def queue_label(self, _now_ms):
        self._next_label = self._coming_label

    def pass_first(self, now_ms):
        self._speaker.message(now_ms, "pass_first")

    def take_label(self, _now_ms):
        self._label = self._coming_label
        if self._restless_label and self._restless_label != self._label:
            self.container.explain()  # what lies there unweighed is nobody's now
        self._restless_label = ""

    def change_label(self, now_ms):
        coming = self._next_pass
        if coming[0]:
            self._coming = coming
            self.begin(now_ms)
            self._label = self._coming_label
            return STEADY
        if self.state == DROP and not self._at_rest:
            self._next_label = self._coming_label  # something is landing: this is for the next one
            return None
        self._label_before, self._changed_ms = self._label, now_ms
        self._label = self._coming_label
        return None

    def leave(self, now_ms):
        self._end(now_ms, "no_label" if self.state == LABEL and not self._earned else "bye")

    def open(self, now_ms):
        if self.container.kind == rules.LIGHT and self.container.change_mg > 0:
            self.container.explain()
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
        if self._label_before and now_ms - self._changed_ms <= LANDING_MS:
            self._next_label, self._label = self._label, self._label_before
        self._label_before = ""

    def deposit(self, now_ms):
        if self.state == DROP:
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

    def thank(self, now_ms):
        kind, mass_mg, label = self._line_waits
        self.container.explain()
        self.container.remember(self._n, mass_mg, label)
        self._earned.append(self._n)
        last = False
        if kind == "deposit":
            self._open_since_deposit = not self.door.shut
            self._deposit_ms = now_ms
            if label:
                self._labels.append(label)
                if len(self._labels) > self._settings.labels_remembered:
                    del self._labels[0]
            self._cartons += 1
            last = self._cartons >= self._settings.visit_cartons
        last = last or now_ms >= self._visit_ends_ms
        key = "reused" if kind == "reuse" else "thanks_end" if last else "thanks"
        self._speaker.thank(now_ms, key, (_to_g(abs(mass_mg)),), last)
        if last and not self._next_pass[0]:
            self._ended(now_ms)
            return IDLE
        return self._again()

    def refuse_light(self, now_ms):
        return self._refuse(now_ms, "too_light")

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
        self.container.explain()

    def stone_out(self, _now_ms):
        return self._again()

    def leave_stone(self, now_ms):
        self.container.explain()
        self._end(now_ms, "not_taken")

    def weigh_again(self, now_ms):
        line = self.container.last()
        stays_mg = line[1] + self.container.change_mg
        self._withdraw(line)
        self.container.change_mg = stays_mg
        self.container.level_mg -= line[1]
        self._label = line[2]
        self.deposit(now_ms)

    # -- what the rules do: mass that leaves -------------------------------------------------------

    def want_reuse(self, now_ms):
        self._reuse_until_ms = now_ms + self._settings.message_ms
        self._speaker.message(now_ms, "reuse_pass")

    def offer_reuse(self, now_ms):
        if self._earned:
            self._end(now_ms, "bye")
            return IDLE
        self.container.forget_others()  # whatever is taken now is taken by right
        self.door.move(now_ms, True)
        return REUSE

    def reuse(self, now_ms):
        mass_mg = self.container.change_mg
        if -mass_mg > self._settings.mass_max_mg:
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
        self.container.explain()
        if self.state != CLOSED:
            self._speaker.message(now_ms, "withdrawn")

    def _withdraw(self, line):
        self._line("withdrawn", ("of", line[0]), ("g", _to_g(abs(line[1]))))
        self.container.forget(line)
        if line[2] in self._labels:
            self._labels.remove(line[2])  # an honest second try is welcome

    def owe(self, now_ms):
        last = self.container.last()
        leans = last is not None and -self.container.change_mg * 100 < last[1] * SETTLED_PERCENT
        if not leans:
            self._refused(now_ms, "taken_out")
            self._speaker.message(now_ms, "put_back")
        self.container.owe()
        return self._again() if self.state == rules.TAKE_OUT else None

    def unattended(self, now_ms):
        self._line_bounded(now_ms, "unattended", ("g", _to_g(self.container.change_mg)))
        self.container.sink(now_ms, self.door.shut)

    def absorb(self, _now_ms):
        self.container.explain()

    def collect(self, now_ms):
        self._forget_member()
        self._ended(now_ms)

    def collected(self, now_ms):
        if not self._at_rest and not self._finishing:
            self._finishing = True  # weigh what was taken once it rests
            self.deadline_ms = now_ms + self._settings.settle_ms
            return STAY
        self._line("collection", ("g", _to_g(max(0, -self.container.change_mg))))
        self.container.emptied()
        self._speaker.message(now_ms, "collected")
        return IDLE

    # -- what they have in common -----------------------------------------------------------------

    def _again(self):
        return LABEL if self._required() or self._next_pass[0] else STEADY

    def _required(self):
        return self._settings.label_policy == REQUIRED

    def _refuse(self, now_ms, why):
        self._refused(now_ms, why)
        self._speaker.say(why)
        self.container.explain()
        return self._again()

    def _refused(self, now_ms, why):
        mass_mg = abs(self.container.change_mg)
        self._line_bounded(now_ms, "refused", ("why", why), ("g", _to_g(mass_mg)))

    def _line(self, kind, *fields):
        self._actions.append(("line", kind, fields))

    def _line_bounded(self, now_ms, kind, *fields):
        passed = (now_ms - self._lines_ms) // LINE_EACH_MS
        if passed > 0:
            self._lines_left = min(LINES_MAX, self._lines_left + passed)
            self._lines_ms += passed * LINE_EACH_MS
        if self._lines_left > 0:
            self._lines_left -= 1
            self._line(kind, *fields)

    def _end(self, now_ms, key):
        self._ended(now_ms)
        self._speaker.message(now_ms, key)

    def _ended(self, now_ms):
        self._ended_ms = now_ms
        if self.door.wanted_open or not self.door.shut:
            self.door.move(now_ms, False)


def _to_g(mass_mg):
    return (abs(mass_mg) + 500) // 1000 * (-1 if mass_mg < 0 else 1)

"""The table at work: a visit's state, what it knows, its faults, the actions that it asks for."""

from . import rules, wire
from .container import Container
from .door import Door
from .rules import CLOSED, DROP, LABEL, STARTING, STEADY
from .scale import Scale
from .speaker import Speaker

LINES_MAX = 20  # lines in a row that nobody earned (refused, unattended, fault), then
_LINE_EACH_MS = 30_000  # one in this time: a prankster must not fill the journal
NO_PASS = "", "", 0  # handle, pass, when it was scanned


class Machine:
    """Events go in by `_event`; the deed of a row is the method of its name."""

    def __init__(self, settings, zero_counts):
        self._settings = settings
        self._actions = []
        self.scale = Scale(settings, zero_counts)
        self.container = Container(settings)
        self.door = Door(settings, self._actions.append)
        self._speaker = Speaker(settings, self._actions.append)
        # Codes that earned a thank-you here lately, the oldest is written over; a list took thrice.
        self._labels = bytearray(wire.LABEL_CHARS * settings.labels_remembered)
        self._labels_at = 0
        self._at_rest = False
        self.state = STARTING
        self.deadline_ms = None
        self._faults = []  # why the bin is closed, oldest first
        self._lines_left, self._lines_ms = LINES_MAX, 0
        self._reuse_until_ms = self._early_until_ms = self._emptied_until_ms = 0
        self._early_label = ""
        self._coming, self._coming_label = NO_PASS, ""  # what was scanned just now
        self._forget_member()

    def _forget_member(self):
        self._handle = self._pass = self._label = ""
        self._next_pass = NO_PASS
        self._next_label = self._restless_label = ""
        self._pass_ms = self._rise_ms = self._visit_ends_ms = self._drop_ends_ms = 0
        self._earned = []  # the n of each line of this visit that earns something
        self._cartons = self._n = 0
        self._switch_ms = None  # when a label scanned before the open flap counts
        self._deposit_ms = 0
        self._is_again = False
        self._finishing = False
        self._line_waits = "", 0, ""  # kind, mass, label
        self._undone = []

    # -- the table ------------------------------------------------------------------------------

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
        if label and label.encode() not in self._labels:
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

    # -- faults ---------------------------------------------------------------------------------

    def _fault(self, now_ms, what, detail):
        """Take the bin out of service: no thanks without evidence."""
        if what in self._faults and self.state == CLOSED:
            return
        if what not in self._faults:
            self._faults.append(what)
            if what != "journal":
                self._line_bounded(now_ms, "fault", ("what", what), ("detail", detail))
        self._event(now_ms, rules.FAULT)

    def _mended(self, now_ms, what):
        """A fault is gone; when it was the last one, the bin invites again."""
        if what not in self._faults:
            return
        self._faults.remove(what)
        if self._faults:
            if self.state == CLOSED:
                self._speaker.say("closed_" + self._faults[-1])
        else:
            self._event(now_ms, rules.MENDED)

    # -- actions --------------------------------------------------------------------------------

    def _line(self, kind, *fields):
        self._actions.append(("line", kind, fields))

    def _line_bounded(self, now_ms, kind, *fields):
        passed = (now_ms - self._lines_ms) // _LINE_EACH_MS
        if passed > 0:
            self._lines_left = min(LINES_MAX, self._lines_left + passed)
            self._lines_ms += passed * _LINE_EACH_MS
        if self._lines_left > 0:
            self._lines_left -= 1
            self._line(kind, *fields)

    def _taken(self):
        actions = tuple(self._actions)
        del self._actions[:]
        return actions

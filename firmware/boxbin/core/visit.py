"""The visit: from one scanned pass to its end, as decisions without I/O or clock.

The rules stand in rules.py as one table, machine.py carries it out, deeds.py holds what each rule
does, weighing.py what the scale means; here the other events are recognised. They come in as method
calls with `now_ms` (a count of milliseconds that never goes back); what to do comes out as a tuple
of actions:

    ("say", key, arguments)       a sentence of core/texts.py: display, lamp and sound
    ("flap", True or False)       open or shut
    ("line", kind, fields)        write one journal line; answer with `written` or `not_written`

Thanks are said only from `written`: in flash before thanks. Decisions use the difference of two
resting masses around one drop, never an absolute mass.
"""

from . import codes, rules, wire
from .door import FAILED
from .rules import CLOSED, IDLE, LABEL, NOBODY, STARTING
from .settings import NONE
from .weighing import Weighing


class Visit(Weighing):
    """One bin's visits, one after another. `state` and `deadline_ms` are for reading only.

    `label_key` makes codes of labels, `key_code` is the text on the technician's card,
    `zero_counts` the calibrated zero of the scale (by default the settings').
    """

    def __init__(self, settings, label_key, key_code="", zero_counts=None):
        super().__init__(settings, settings.zero_counts if zero_counts is None else zero_counts)
        self._label_key = label_key
        self._key_code = key_code
        self._flap_told = False
        self._looked_full = False

    def wake_ms(self):
        """When `tick` is due at the latest, or None when nothing is waited for."""
        due_ms = None
        for ms in (
            self.deadline_ms,
            self.door.deadline_ms,
            self._speaker.wake_ms(),
            self._switch_ms,
        ):
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
            known = codes.is_label(text) and self._settings.label_policy != NONE
            self._coming_label = wire.label_code(self._label_key, text) if known else ""
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
            self._shut_ms = now_ms
            self._flap_told = False
            self._mended(now_ms, "flap")
        else:
            if self.state == IDLE:
                self.door.move(now_ms, False)
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

    def level(self, now_ms, percent):
        """How full the container is, negative when that is not known, which changes nothing."""
        full = percent >= self._settings.full_percent
        if 0 <= percent < self._settings.near_full_percent:
            self._mended(now_ms, "full")
        elif full and self._looked_full and self.state == IDLE and self._speaker.quiet:
            self._fault(now_ms, "full", str(percent))
        self._looked_full = full  # twice in a row: no single look closes a bin
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

    def order(self, now_ms, name, seconds, bin_id):
        """An operator's `open`, `tare`, `collect` or `identify`: (actions, True when it was done).
        Nobody is disturbed: it is not done while somebody is there.
        """
        done = bool(self.state & NOBODY) or (name == "collect" and self.state == rules.COLLECT)
        if name == "tare":
            done = done and self._at_rest and self.door.shut
        if not done:
            return (), False
        if name == "open":
            self._event(now_ms, rules.ORDERED)
            self.deadline_ms = now_ms + seconds * 1000
        elif name == "collect":
            self._event(now_ms, rules.KEY)
        elif name == "tare":
            self.container.zero_mg = self.container.level_mg or 0
        else:
            self._speaker.message(now_ms, "identify", (bin_id,), seconds * 1000)
        return self._taken(), True

    @property
    def faults(self):
        """Codes of what is wrong with the parts that a visit needs, newest last (faults.py)."""
        return self._faults + (["flap_shut"] if self._flap_told else [])

    def tick(self, now_ms):
        """Time has passed; call at the latest at `wake_ms()`."""
        door = self.door.tick(now_ms)
        if door == FAILED and self.door.wanted_open:
            self._fault(now_ms, "flap", "open")
        elif door == FAILED:
            self._does_not_shut(now_ms)
        elif self._switch_ms is not None and now_ms >= self._switch_ms:
            self._switch_ms = None
            self._event(now_ms, rules.SWITCH)
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

    def _does_not_shut(self, now_ms):
        """Nobody is there who could be holding it: tell it, and go on asking. The scale sees what
        goes in and out all the same.
        """
        if not self._flap_told and not self.state & rules.VISITING:
            self._flap_told = True
            self._line_bounded(now_ms, "fault", ("what", "flap"), ("detail", "shut"))
        self.door.move(now_ms, False)

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
        if label.encode() in self._labels:
            if self.state == LABEL:
                self._speaker.message(now_ms, "label_seen")
        elif label != self._label:
            self._coming_label = label
            self._event(now_ms, rules.SCANNED)

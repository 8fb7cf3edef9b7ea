"""The visit: from one scanned pass to its end, as decisions without I/O or clock.

This file is longer than others because the rules of a visit are read together.

Events come in as method calls with `now_ms` (a count of milliseconds since start that never
wraps); what to do comes out as a list of actions:

    ("say", key, arguments)       a sentence of core/texts.py: display, lamp and sound
    ("flap", True or False)       open or shut
    ("line", kind, fields)        write one journal line; answer with `written` or `not_written`

    state      waits for                    then
    STARTING   `start`                      IDLE
    IDLE       a pass                       LABEL
    LABEL      a label                      STEADY (or IDLE when time is up, or the button)
    STEADY     the scale at rest            OPENING, that mass being the baseline
    OPENING    the flap to leave shut       DROP
    DROP       mass above the baseline      SETTLE (or LABEL when time is up)
    SETTLE     rest                         WRITE in the band, LABEL too light, TAKE_OUT too heavy,
                                            LABEL when it does not come to rest in time
    WRITE      the line in flash            LABEL, with thanks
    TAKE_OUT   the heavy thing to leave     LABEL (or IDLE when time is up)
    CLOSED     every fault to end           IDLE

Thanks are said only from `written`: in flash before thanks. Decisions use the difference of two
resting masses around one drop, never an absolute mass.
"""

from . import codes, scale, wire

STARTING, IDLE, LABEL, STEADY, OPENING, DROP, SETTLE, WRITE, TAKE_OUT, CLOSED = (
    "starting",
    "idle",
    "label",
    "steady",
    "opening",
    "drop",
    "settle",
    "write",
    "take_out",
    "closed",
)
LABELS_REMEMBERED = 32


class Visit:
    """One bin's visits, one after another. `state` and `deadline_ms` are for reading only."""

    def __init__(self, settings, label_key):
        self._settings = settings
        self._label_key = label_key
        self._labels = []  # codes that earned a thank-you here lately, oldest first
        self.state = STARTING
        self.deadline_ms = None
        self._flap_open = False  # what we asked for
        self._flap_deadline_ms = None
        self._shut = True  # what the reed switch says
        self._scale_state = scale.MISSING
        self._mass_mg = 0
        self._actions = []
        self._message_ends_ms = None
        self._outcome_from_ms = 0
        self._outcome = ""  # key of a sentence that waits until the thanks have been read
        self._outcome_arguments = (0, 0)
        self._handle = ""
        self._lines = []  # the n of each deposit of this visit
        self._restless_label, self._restless_mg = "", 0
        self._faults = []  # why the bin is closed, oldest first
        self._forget_member()

    def wake_ms(self):
        """When `tick` is due at the latest, or None when nothing is waited for."""
        waits = (
            self.deadline_ms,
            self._flap_deadline_ms,
            self._message_ends_ms,
            self._outcome_from_ms if self._outcome else None,
        )
        due = [ms for ms in waits if ms is not None]
        return min(due) if due else None

    # -- events ---------------------------------------------------------------------------------

    def start(self, now_ms):
        """The bin is ready: say so. The flap is asked to be shut whatever it was before."""
        if self.state == STARTING:  # a fault may have come first
            self._set_flap(now_ms, False)
            self._reopen()
        return self._taken()

    def scan(self, now_ms, text, unix_s):
        """The scanner read `text`; `unix_s` is 0 while the time is not known."""
        if self.state == CLOSED:
            self._say("closed_" + self._faults[-1])
        elif self.state == IDLE:
            if not self._try_pass(now_ms, text, unix_s) and not text.startswith("BB1."):
                self._message(now_ms, "pass_first")
        elif self.state == LABEL:
            if not self._try_pass(now_ms, text, unix_s) and not text.startswith("BB1."):
                self._try_label(now_ms, text)
        return self._taken()

    def weigh(self, now_ms, scale_state, mass_mg):
        """A new reading of the scale, or (MISSING, None) when there was none for too long."""
        self._scale_state = scale_state
        if mass_mg is not None:
            self._mass_mg = mass_mg
        if scale_state in (scale.MISSING, scale.SATURATED):
            if self.state != STARTING:
                self._close(now_ms, "scale", scale_state)
        elif mass_mg is not None:  # the first readings after a gap are no value yet
            self._weigh_value(now_ms, scale_state == scale.STABLE)
        return self._taken()

    def scanner(self, now_ms, found):
        """The scanner answers, or it does not."""
        if not found:
            self._close(now_ms, "scanner", "no answer")
        else:
            self._mended("scanner")
        return self._taken()

    def flap(self, now_ms, shut):
        """The reed switch changed: `shut` is True or False."""
        self._shut = shut
        if shut != self._flap_open:
            self._flap_deadline_ms = None
        if self.state == OPENING and not shut:
            self._drop_ends_ms = now_ms + self._settings.drop_ms
            self._go(DROP, self._drop_ends_ms)
            self._say("drop")
        elif shut:
            self._mended("flap")
        return self._taken()

    def button(self, now_ms):
        """The button was pressed: the visitor is done."""
        if self.state in (LABEL, STEADY, OPENING, DROP):
            self._end(now_ms, "bye")
        return self._taken()

    def written(self, now_ms, n):
        """The deposit's line n is in flash: now, and only now, thanks."""
        if self.state == WRITE:
            self._lines.append(n)
            self._labels.append(self._label)
            if len(self._labels) > LABELS_REMEMBERED:
                del self._labels[0]
            grams = self._grams
            self._outcome_from_ms = now_ms + self._settings.thanks_ms
            if len(self._lines) >= self._settings.visit_cartons:
                self._end(now_ms, "thanks_end", (grams,))
            else:
                self._next_label(now_ms, "thanks", (grams,))
        return self._taken()

    def not_written(self, now_ms):
        """The line could not be made durable: no thanks, and no more visits until it can."""
        self._close(now_ms, "journal", "")
        return self._taken()

    def journal(self, now_ms, has_room):
        """Whether the journal takes all lines of one more visit; ask before somebody comes."""
        if has_room:
            self._mended("journal")
        elif self.state == IDLE and self._message_ends_ms is None:
            self._close(now_ms, "journal", "")
        return self._taken()

    def outcome(self, now_ms, n, status, points, balance):
        """The points backend decided about line n; shown only to the person it belongs to."""
        if n in self._lines and self.state in (LABEL, IDLE):
            if status == "credited":
                self._outcome, self._outcome_arguments = "credited", (points, balance)
            else:
                self._outcome, self._outcome_arguments = "no_points", (0, 0)
            if now_ms >= self._outcome_from_ms:
                self._say_outcome(now_ms)
        return self._taken()

    def tick(self, now_ms):
        """Time has passed; call at the latest at `deadline_ms`."""
        if self._flap_deadline_ms is not None and now_ms >= self._flap_deadline_ms:
            self._flap_deadline_ms = None
            self._close(now_ms, "flap", "open" if self._flap_open else "shut")
        elif self.deadline_ms is not None and now_ms >= self.deadline_ms:
            self._time_is_up(now_ms)
        elif self._outcome and now_ms >= self._outcome_from_ms:
            self._say_outcome(now_ms)
        elif self._message_ends_ms is not None and now_ms >= self._message_ends_ms:
            self._message_ends_ms = None
            self._forget_member()
            self._say("idle")
        return self._taken()

    # -- pass and label -------------------------------------------------------------------------

    def _try_pass(self, now_ms, text, unix_s):
        """Begin a visit if `text` is a good pass; say why not if it is a poor one."""
        found = codes.parse_pass(text)
        if found is None:
            if text.startswith("BB1."):
                self._complain(now_ms, "pass_bad")
            return False
        handle, step = found
        if not codes.pass_is_fresh(step, unix_s):
            self._complain(now_ms, "pass_old")
            return False
        if self.state == LABEL and handle == self._handle:
            return True  # still held to the scanner: the visit goes on with the pass it has
        self._forget_member()
        self._handle, self._pass = handle, text
        self._pass_ms = now_ms
        self._visit_ends_ms = now_ms + self._settings.visit_ms
        self._next_label(now_ms, "label")
        return True

    def _try_label(self, now_ms, text):
        if not codes.is_label(text):
            self._say("label_bad")
            return
        label = wire.label_code(self._label_key, text)
        if label in self._labels:
            self._say("label_seen")
            return
        self._label = label
        self._go(STEADY, now_ms + self._settings.settle_ms)
        self._say("opening")
        self._weigh_before(now_ms)

    # -- mass -----------------------------------------------------------------------------------

    def _weigh_value(self, now_ms, rest):
        if self.state == DROP:
            self._weigh_drop(now_ms)
        elif not rest:
            self._light_since_ms = 0  # every other state waits for rest
        elif self.state == STEADY:
            self._weigh_before(now_ms)
        elif self.state == SETTLE:
            self._judge(now_ms)
        elif self.state == TAKE_OUT:
            self._weigh_heavy(now_ms)
        else:
            self._mended("scale")

    def _weigh_before(self, now_ms):
        if self._scale_state == scale.STABLE and self._shut:
            # A carton that never came to rest lies in there: its label, scanned again, weighs it.
            again = self._label == self._restless_label  # never "": a label was just scanned
            self._baseline_mg = self._restless_mg if again else self._mass_mg
            self._restless_label = ""
            self._resting_mg = self._baseline_mg
            self._resting_ms = now_ms
            self._go(OPENING, None)
            self._set_flap(now_ms, True)

    def _weigh_drop(self, now_ms):
        risen_mg = self._mass_mg - self._baseline_mg
        if risen_mg >= self._settings.rise_mg:
            self._rise_ms = now_ms
            self._light_since_ms = 0
            self._go(SETTLE, now_ms + self._settings.settle_ms)
            self._say("weighing")
            if self._scale_state == scale.STABLE:
                self._judge(now_ms)
        elif self._scale_state != scale.STABLE:
            self._light_since_ms = 0
        elif risen_mg >= self._settings.light_mg:
            self._light(now_ms, risen_mg)
        elif risen_mg > -self._settings.light_mg:
            self._light_since_ms = 0
            self._follow_drift(now_ms)

    def _light(self, now_ms, risen_mg):
        """Something light rests: a carton that a hand still holds, unless it goes on resting."""
        if not self._light_since_ms:
            self._light_since_ms = now_ms
        elif now_ms - self._light_since_ms >= self._settings.light_ms:
            self._refuse(now_ms, "too_light", risen_mg)

    def _weigh_heavy(self, now_ms):
        risen_mg = self._mass_mg - self._baseline_mg
        if risen_mg < self._settings.mass_min_mg:
            self._next_label(now_ms, "")
        elif risen_mg <= self._settings.mass_max_mg:
            self._judge(now_ms)  # a hand pressed, and what stays is a carton

    def _follow_drift(self, now_ms):
        """Move the baseline while a person gets the carton ready (tens of grams in minutes).

        It lags by one to two periods of two rest windows. A baseline that took each new mean would
        creep along with something light while that fills the window, and never see it.
        """
        if now_ms - self._resting_ms >= 2 * self._settings.rest_ms:
            self._baseline_mg = self._resting_mg
            self._resting_mg, self._resting_ms = self._mass_mg, now_ms

    def _judge(self, now_ms):
        risen_mg = self._mass_mg - self._baseline_mg
        if risen_mg < self._settings.light_mg:
            self._go(DROP, self._drop_ends_ms)  # a touch, and nothing stayed
            self._say("drop")
        elif risen_mg < self._settings.mass_min_mg:
            self._light(now_ms, risen_mg)
        elif risen_mg > self._settings.mass_max_mg:
            self._line_refused("too_heavy", risen_mg)
            self._set_flap(now_ms, True)
            self._go(TAKE_OUT, now_ms + self._settings.drop_ms)
            self._say("too_heavy")
        else:
            self._grams = _to_g(risen_mg)
            self._go(WRITE, None)
            self._actions.append(
                (
                    "line",
                    "deposit",
                    (
                        ("pass", self._pass),
                        ("label", self._label),
                        ("g", self._grams),
                        ("ms", now_ms - self._rise_ms),
                        ("age", now_ms - self._pass_ms),
                    ),
                )
            )

    def _refuse(self, now_ms, why, risen_mg):
        self._line_refused(why, risen_mg)
        self._next_label(now_ms, why)

    def _line_refused(self, why, risen_mg):
        self._actions.append(("line", "refused", (("why", why), ("g", _to_g(risen_mg)))))

    # -- changes of state -----------------------------------------------------------------------

    def _time_is_up(self, now_ms):
        if self.state == LABEL:
            self._end(now_ms, "bye" if self._lines else "no_label")
        elif self.state == STEADY:
            self._next_label(now_ms, "not_steady")
        elif self.state == DROP and self._flap_open:
            # What falls in while the flap shuts is still weighed.
            self._set_flap(now_ms, False)
            self._go(DROP, now_ms + self._settings.flap_ms)
        elif self.state == DROP:
            self._next_label(now_ms, "nothing")
        elif self.state == SETTLE:
            self._restless_label, self._restless_mg = self._label, self._baseline_mg
            self._refuse(now_ms, "unstable", max(0, self._mass_mg - self._baseline_mg))
        elif self.state == TAKE_OUT:
            self._end(now_ms, "not_taken")
        elif self.state == CLOSED and self._shut:
            self._mended("flap")  # it is where it belongs: let the next visit try it
        elif self.state == CLOSED:
            self._go(CLOSED, now_ms + self._settings.flap_retry_ms)
            self._set_flap(now_ms, False)

    def _next_label(self, now_ms, key, arguments=()):
        """Shut the flap and wait for a label, at most until the visit itself ends."""
        self._set_flap(now_ms, False)
        self._label = ""
        if now_ms >= self._visit_ends_ms:
            self._end(now_ms, "thanks_end" if key == "thanks" else "bye", arguments)
            return
        self._go(LABEL, min(now_ms + self._settings.label_ms, self._visit_ends_ms))
        self._say(key or "label", arguments)

    def _end(self, now_ms, key, arguments=()):
        self._set_flap(now_ms, False)
        self._go(IDLE, None)
        self._message(now_ms, key, arguments)

    def _close(self, now_ms, what, detail):
        """Take the bin out of service: no thanks without evidence."""
        if what in self._faults:
            return
        self._faults.append(what)
        self._forget_member()
        retry_ms = self.deadline_ms if self.state == CLOSED else None
        self._go(CLOSED, now_ms + self._settings.flap_retry_ms if what == "flap" else retry_ms)
        self._say("closed_" + what)
        if what != "flap" or self._flap_open:
            self._set_flap(now_ms, False)
        if what != "journal":
            self._actions.append(("line", "fault", (("what", what), ("detail", detail))))

    def _mended(self, what):
        """A fault is gone; when it was the last one, the bin invites again."""
        if what not in self._faults:
            return
        self._faults.remove(what)
        if self._faults:
            self._say("closed_" + self._faults[-1])
        else:
            self._reopen()

    def _reopen(self):
        self._go(IDLE, None)
        self._say("idle")

    def _set_flap(self, now_ms, is_open):
        self._flap_open = is_open
        self._actions.append(("flap", is_open))
        moving = self._shut == is_open
        self._flap_deadline_ms = now_ms + self._settings.flap_ms if moving else None

    def _go(self, state, deadline_ms):
        self.state = state
        self.deadline_ms = deadline_ms

    def _complain(self, now_ms, key):
        """Say it; in IDLE the invitation comes back, in a visit the next step does."""
        if self.state == IDLE:
            self._message(now_ms, key)
        else:
            self._say(key)

    def _message(self, now_ms, key, arguments=()):
        self._say(key, arguments)
        self._message_ends_ms = now_ms + self._settings.message_ms

    def _say_outcome(self, now_ms):
        key, self._outcome = self._outcome, ""
        if self.state == IDLE:
            self._message(now_ms, key, self._outcome_arguments)
        elif self.state == LABEL:
            self._say(key, self._outcome_arguments)

    def _say(self, key, arguments=()):
        self._message_ends_ms = None
        self._actions.append(("say", key, arguments))

    def _forget_member(self):
        self._handle = self._pass = self._label = ""
        self._pass_ms = self._rise_ms = self._visit_ends_ms = 0
        self._baseline_mg = self._drop_ends_ms = 0
        self._resting_mg = self._resting_ms = self._light_since_ms = 0
        self._restless_label, self._restless_mg = "", 0
        self._grams = 0
        self._lines = []
        self._outcome = ""

    def _taken(self):
        actions, self._actions = self._actions, []
        return actions


def _to_g(mass_mg):
    return (mass_mg + 500) // 1000

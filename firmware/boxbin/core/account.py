"""Whose mass is what: what came into the container and earned something, or nothing; what left.

Mass has no name on it. When some leaves, this is how it is told whose it was:

- A fall of just one line's mass is that line's, of just two lines' mass both of theirs.
- Otherwise what came last leaves first. Mass that earned nothing pays for a fall; a line is undone
  when _GONE_PERCENT of its mass is gone, at once or in several pulls.
- What nobody can pay for is *gone*. It may come back: the container was held up, or a carton was
  taken out of it. Then it counts for nothing until it is back.
"""

_SAME_MG = 12_000  # two weighings of one carton: this close, or
_SAME_PERCENT = 6
LINES_MAX = 32
_GONE_PERCENT = 40  # less may be a carton that leans on something now
_PAIRS_OF = 8  # the newest lines of which two may have left together
_LATE_MS = 30_000  # at the latest so long after it left, mass is looked at
GONE_MS = 180_000  # so long a container can be held up, or a carton be on its way back


class Line:
    """One entry: n (0: it earned nothing), its mass (negative: a reuse), label, member's handle.

    `until_ms`: after that it can not be taken back; None while its visit goes on. `again`: it was
    weighed a second time.
    """

    def __init__(self, n, mass_mg, label="", handle=""):
        self.n = n
        self.mass_mg = mass_mg
        self.label = label
        self.handle = handle
        self.until_ms = None
        self.again = False


class Account:
    """Lines, oldest first, and `gone_mg`."""

    def __init__(self, settings):
        self._settings = settings
        self.lines = []
        self.gone_mg = self._gone_ms = self._began_ms = 0
        self._gone_shut, self._gone_handle = True, ""
        self.match_mg = 0  # gone in another's visit: only a rise of just that much is it

    # -- visits ---------------------------------------------------------------------------------

    def begin(self, now_ms, handle):
        """A visit begins: others' lines can be taken back for a short time, one's own as before."""
        self.forget_until(now_ms - _LATE_MS)  # a bin that is never idle must not keep them all
        until_ms = now_ms + self._settings.handover_ms
        for line in self.lines:
            if line.handle == handle:
                line.until_ms = None
            elif line.until_ms is None or line.until_ms > until_ms:
                line.until_ms = until_ms
        if now_ms - self._gone_ms > GONE_MS:
            self.gone_mg = 0
        self.match_mg = 0
        if not self._gone_shut and handle != self._gone_handle:
            self.match_mg, self.gone_mg = self.gone_mg, 0

    def end(self, now_ms):
        """The visit is over: its lines can be taken back for a while."""
        for line in self.lines:
            if line.until_ms is None:
                line.until_ms = now_ms + self._settings.withdraw_ms

    def take_by_right(self):
        """A carton may be taken out now, whoever brought it."""
        self.lines = []

    def forget_until(self, now_ms):
        """Drop what could be taken back only earlier than now."""
        self.lines = [x for x in self.lines if x.until_ms is None or x.until_ms >= now_ms]

    def clear(self):
        """The container is empty."""
        self.lines = []
        self.gone_mg = self.match_mg = 0

    # -- mass that comes ------------------------------------------------------------------------

    def earn(self, n, mass_mg, label, handle):
        """Line n brought `mass_mg`, or took it (a reuse: negative); returns the entry."""
        line = Line(n, mass_mg, label, handle)
        self.lines.append(line)
        if len(self.lines) > LINES_MAX:
            del self.lines[0]
        return line

    def come(self, now_ms, mass_mg):
        """Mass came that earns nothing: what was gone is back, the rest is nobody's."""
        back_mg = min(self.gone_mg, mass_mg)
        self.gone_mg -= back_mg
        if mass_mg > back_mg:
            self._nobodys(now_ms, mass_mg - back_mg)

    def _nobodys(self, now_ms, mass_mg):
        self.earn(0, mass_mg, "", "").until_ms = now_ms + self._settings.withdraw_ms

    def is_back(self, now_ms, change_mg, drift_mg_per_s, drift_mg):
        """Whether a rise is just what left before: held up with the flap shut (then a part of the
        lift may have passed for drift), or taken out by somebody else.
        """
        if now_ms - self._gone_ms > GONE_MS:
            return False
        if self.match_mg and same(self.match_mg, change_mg):
            return True
        if not self.gone_mg or not self._gone_shut:
            return False
        drift_mg += (now_ms - self._began_ms) // 1_000 * drift_mg_per_s
        return -_SAME_MG <= change_mg - self.gone_mg <= drift_mg

    # -- mass that leaves -----------------------------------------------------------------------

    def last(self):
        """The newest entry if it is a line of the visit that goes on, else None."""
        line = self.lines[-1] if self.lines else None
        return line if line and line.n and line.until_ms is None else None

    def exact(self, change_mg):
        """The newest entry that just this change undoes, or None."""
        for at in range(len(self.lines) - 1, -1, -1):
            if same(self.lines[at].mass_mg, -change_mg):
                return self.lines[at]
        return None

    def remove(self, line):
        """It is undone."""
        if line in self.lines:
            self.lines.remove(line)

    def light_leaves(self, fall_mg):
        """Whether something that earned nothing pays for a small fall alone; then it has."""
        line = self.lines[-1] if self.lines else None
        if line is None or line.n or line.mass_mg + _SAME_MG < fall_mg:
            return False
        line.mass_mg -= fall_mg
        if line.mass_mg <= 0:
            self.remove(line)
        return True

    def leave(self, now_ms, fall_mg, shut, handle):
        """`fall_mg` left: returns the lines that this undoes, newest first.

        `gone_mg` is what is left to explain. With no visit (`handle` is empty) more than two of the
        heaviest cartons at once is an operator without a key: that undoes nobody's line.
        """
        if not handle and fall_mg > 2 * self._settings.mass_max_mg:
            self.clear()
            return []
        pair = self._pair(fall_mg)
        if pair:
            return pair
        if not self.gone_mg or now_ms - self._gone_ms > GONE_MS:
            self.gone_mg, self._began_ms = 0, now_ms
        gone_mg = self.gone_mg + fall_mg
        undone = []
        while gone_mg > 0:
            line = self._payer()
            if line is None or (line.n and 100 * gone_mg < _GONE_PERCENT * line.mass_mg):
                break
            self.remove(line)
            if line.n:
                undone.append(line)
            stays_mg = line.mass_mg - gone_mg
            gone_mg = max(0, -stays_mg)
            if stays_mg > _SAME_MG:
                self._nobodys(now_ms, stays_mg)  # it is undone, and a part of it is still inside
        self.gone_mg = gone_mg if gone_mg > _SAME_MG else 0
        self._gone_ms = now_ms
        self._gone_shut, self._gone_handle = shut, handle
        return undone

    def _pair(self, fall_mg):
        lines = [line for line in self.lines[-_PAIRS_OF:] if line.n and line.mass_mg > 0]
        for at in range(len(lines) - 1, 0, -1):
            for other in range(at - 1, -1, -1):
                if same(lines[at].mass_mg + lines[other].mass_mg, fall_mg):
                    return [lines[at], lines[other]]
        return []

    def _payer(self):
        for at in range(len(self.lines) - 1, -1, -1):
            if self.lines[at].mass_mg > 0:
                return self.lines[at]
        return None


def same(a_mg, b_mg):
    """Whether two weighings may be of one carton."""
    return abs(a_mg - b_mg) <= max(_SAME_MG, abs(a_mg) * _SAME_PERCENT // 100)

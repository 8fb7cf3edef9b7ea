"""The boot ledger: why the bin started, how often, and whether it does so in a loop.

The chip's own reset cause is not enough: it calls a brown-out power-on and a panic a hard reset
(facts/micropython.md). So what was meant is written down before a restart, and what went wrong as
far as it is known. Each start that does not last adds to a score; above LIMIT the bin stays in a
safe state that moves nothing and still talks. A start that was meant adds nothing.
"""

LIMIT = 10
_WORTH = 2  # of a crash or a watchdog reset; a start after power counts half: plugs are pulled
HISTORY_MAX = 8
_NOTE_CHARS_MAX = 60
TEXT_BYTES_MAX = 1024
CRASH = "crash"  # a note that begins so makes the next start a crash, whatever the chip says
_NUMBERS = ("total", "score", "power", "watchdog", "crash", "reset", "meant")


class Ledger:
    """`text` is what `to_text` gave last time; anything unreadable begins a new one."""

    def __init__(self, text=""):
        self.counts = dict.fromkeys(_NUMBERS, 0)
        self.intend = self.note = ""
        self.history = []  # "cause what is known", oldest first
        for line in text.split("\n"):
            name, _, value = line.partition(" ")
            if name in _NUMBERS and value.isdigit():
                self.counts[name] = int(value)
            elif name == "intend":
                self.intend = value
            elif name == "note":
                self.note = value
            elif name == "-":
                self.history.append(value)
        del self.history[:-HISTORY_MAX]

    def to_text(self):
        """Everything as text for the NVS, at most TEXT_BYTES_MAX bytes."""
        lines = ["%s %d" % (name, self.counts[name]) for name in _NUMBERS]
        lines += ["intend " + self.intend, "note " + self.note]
        lines += ["- " + entry for entry in self.history]
        return "\n".join(lines)

    def start(self, chip_cause):
        """The bin has started; returns why, as one word: what was meant, or crash, watchdog, power,
        or the chip's own word.
        """
        crashed = self.note.startswith(CRASH)
        cause = self.intend or (CRASH if crashed else chip_cause)
        kind = cause if cause in ("power", "watchdog", CRASH) else "reset"
        if self.intend:
            kind = "meant"
        else:
            self.counts["score"] = min(
                99, self.counts["score"] + (1 if kind == "power" else _WORTH)
            )
        self.counts[kind] += 1
        self.counts["total"] += 1
        known = self.note[len(CRASH) + 1 :] if crashed else self.note
        self.history.append((cause + " " + known).strip())
        del self.history[:-HISTORY_MAX]
        self.intend = self.note = ""
        return cause

    @property
    def is_loop(self):
        """True when starts have failed so often in a row that the bin must stay safe."""
        return self.counts["score"] > LIMIT

    def mean(self, why):
        """A restart is meant: for a command, for new settings, to leave the safe state."""
        if self.is_loop:
            self.counts["score"] = LIMIT - 1  # a try: one more crash, and it is safe again
        self.intend = _clean(why)

    def remember(self, what):
        """Something went wrong that the next start should know of."""
        self.note = _clean(what)

    def settled(self):
        """This start has lasted."""
        self.counts["score"] = 0
        self.note = ""

    def report(self):
        """Everything, as pairs: how often for which cause, and the last starts."""
        pairs = tuple([(name, self.counts[name]) for name in _NUMBERS])
        return pairs + (("last", self.history),)


def _clean(text):
    """One line of printable ASCII, not too long."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:_NOTE_CHARS_MAX]

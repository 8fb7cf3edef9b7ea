"""The boot ledger at work: kept in NVS, begun at each start (core/ledger.py decides)."""

import io
import sys

import machine

from boxbin import nvs
from boxbin.core.ledger import CRASH, Ledger

_CAUSES = {
    machine.PWRON_RESET: "power",
    machine.HARD_RESET: "reset",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "sleep",
    machine.SOFT_RESET: "soft",
}


class Boots:
    """`cause` is why this start came about, `is_loop` whether the bin must stay safe."""

    def __init__(self):
        self._ledger = Ledger(nvs.text("boots"))
        self._noted = ""
        self.cause = self._ledger.start(_CAUSES.get(machine.reset_cause(), "unknown"))
        self._keep()

    @property
    def is_loop(self):
        """True when the starts before this one did not last."""
        return self._ledger.is_loop

    def mean(self, why):
        """The restart that comes now is meant."""
        self._ledger.mean(why)
        self._keep()

    def remember(self, what):
        """What goes wrong now, in case it ends in a restart; written once."""
        if what != self._noted:
            self._noted = what
            self._ledger.remember(what)
            self._keep()

    def crashed(self, error):
        """An exception ends the program: keep it with the place where it was raised."""
        out = io.StringIO()
        sys.print_exception(error, out)
        lines = out.getvalue().strip().split("\n")
        parts = lines[-2].split('"') if len(lines) > 1 else []  # File "link", line 1, in run
        place = parts[1] + " " + parts[2][parts[2].rfind(" ") + 1 :] if len(parts) == 3 else ""
        self.remember("%s %s %s" % (CRASH, place, lines[-1]))

    def settled(self):
        """This start has lasted."""
        self._noted = ""
        self._ledger.settled()
        self._keep()

    def health(self):
        """(starts in all, starts that did not last) as pairs of the health message."""
        counts = self._ledger.counts
        bad = counts["watchdog"] + counts["crash"]
        return (("boots", counts["total"]), ("restarts", bad))

    def report(self):
        """Everything, as pairs: how often for which cause, and the last starts."""
        counts = self._ledger.counts
        return tuple((name, counts[name]) for name in sorted(counts)) + (
            ("last", self._ledger.history),
        )

    def _keep(self):
        nvs.put_text("boots", self._ledger.to_text())

"""The boot ledger at work: kept in NVS, begun at each start (core/ledger.py decides)."""

import io
import sys

import machine

from boxbin import nvs
from boxbin.lazily import forget

_CAUSES = {
    machine.PWRON_RESET: "power",
    machine.HARD_RESET: "reset",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "sleep",
    machine.SOFT_RESET: "soft",
}


class Boots:
    """`cause` is why this start came about, `is_loop` whether the bin must stay safe.

    The ledger itself is read when something happens, which is rare, and let go again.
    """

    def __init__(self):
        self._noted = ""
        self.cause = self._on_ledger("start", _CAUSES.get(machine.reset_cause(), "unknown"))

    def _on_ledger(self, what, *arguments):
        """Call a method of the ledger and keep what it comes to."""
        from boxbin.core import ledger

        kept = ledger.Ledger(nvs.text("boots"))
        found = getattr(kept, what)(*arguments)
        nvs.put_text("boots", kept.to_text())
        self.is_loop = kept.is_loop
        self.total, self.bad = kept.counts["total"], kept.counts["watchdog"] + kept.counts["crash"]
        forget("core.ledger")
        return found

    def mean(self, why):
        """The restart that comes now is meant."""
        self._on_ledger("mean", why)

    def remember(self, what):
        """What goes wrong now, in case it ends in a restart; written once."""
        if what != self._noted:
            self._noted = what
            self._on_ledger("remember", what)

    def crashed(self, error):
        """An exception ends the program: keep it with the place where it was raised."""
        out = io.StringIO()
        sys.print_exception(error, out)
        lines = out.getvalue().strip().split("\n")
        parts = lines[-2].split('"') if len(lines) > 1 else []  # File "link", line 1, in run
        place = parts[1] + " " + parts[2][parts[2].rfind(" ") + 1 :] if len(parts) == 3 else ""
        self.remember("crash %s %s" % (place, lines[-1]))

    def settled(self):
        """This start has lasted."""
        self._noted = ""
        self._on_ledger("settled")

    def health(self):
        """(starts in all, starts that did not last) as pairs of the health message."""
        return (("boots", self.total), ("restarts", self.bad))

    def report(self):
        """Everything, as pairs: how often for which cause, and the last starts."""
        return self._on_ledger("report")

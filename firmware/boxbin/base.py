"""What a bin is in any state, in service or safe: its face, clock, link, orders, console, watchdog.

Each task reports that it came round; the watchdog is fed only while all of them do, so a task that
hangs ends in a restart, and the ledger says which one it was.
"""

import asyncio
import gc

import machine

from boxbin import board, console, health
from boxbin.clock import Clock, keep
from boxbin.core import wire
from boxbin.drivers.flap import Flap
from boxbin.face import Face
from boxbin.link import Link
from boxbin.log import log
from boxbin.orders import Orders
from boxbin.settingsfile import Store

_SETTLED_MS = 300_000  # a start that lasts so long was a good one


class Base:
    """Bin and Safe fill in what is missing."""

    def __init__(self, identity, boots, folder):
        self.identity = identity
        self.boots = boots
        self.watchdog = machine.WDT(timeout=health.WATCHDOG_MS)
        self.clock = Clock()
        self.clock.not_before(identity.made_s)
        self.store = Store()
        self.settings = self.store.settings
        self.face = Face(folder)
        self.flap = Flap(
            board.FLAP_SERVO,
            board.FLAP_SERVO_HZ,
            board.FLAP_REED,
            board.FLAP_SHUT_US,
            board.FLAP_OPEN_US,
            self._on_edge,
        )
        self.progress = health.Progress(self.clock)
        self._codes = []  # of faults, as they were found last

    def _connect(self, flash, outcome):
        """Link and orders, when the journal is open; `flash` is None where there is none."""
        self.orders = Orders(
            self.identity, self.clock, self.store, self.boots, self.act, self.quiet, self._report
        )
        self.link = Link(
            self.identity,
            self.settings,
            self.clock,
            flash,
            self.orders,
            outcome,
            self._health,
            self.quiet,
        )

    # -- for Bin and Safe to say -------------------------------------------------------------------

    def quiet(self, _name):
        """True when nobody is at the bin whom that command would disturb."""
        return True

    def act(self, _name, _seconds):
        """Do an operator's command; False when it cannot be done now."""
        return False

    def faults(self):
        """Codes of what is wrong now."""
        return []

    def more(self):
        """Further pairs of the health message."""
        return ()

    def each_second(self):
        """What else there is to do."""

    def _on_edge(self, _pin):
        pass

    # -- told -----------------------------------------------------------------------------------

    def _health(self, brief=False):
        if brief:
            return health.brief(self._codes)
        return health.describe(
            self.clock, self.link, self.orders, self.store, self.boots, self._codes, self.more()
        )

    def _report(self):
        return (("health", self._health()), ("boots", self.boots.report()))

    def _tell(self, word):
        """Pairs for the console."""
        if word == "status":
            return (("bin", self.identity.bin_id), ("online", self.link.online)) + self._health()
        if word == "faults":
            return tuple((code, "") for code in self._codes)
        if word == "boots":
            return self.boots.report()
        return self.settings.changed()

    def _typed(self, word, number):
        """A technician's command at the console; returns what to print."""
        if word == "clock":
            try:
                self.clock.set(number * 1000, False)
            except OSError as error:
                return str(error)
        elif word == "restart":
            self.orders.restart("console")
        elif not self.act(word, number):
            return word + ": not now, somebody is at the bin"
        return word + ": done"

    # -- tasks ----------------------------------------------------------------------------------

    async def _guard(self):
        """Once a second: watchdog, display, and the heap in one piece."""
        settled = False
        while True:
            late = self.progress.late()
            if late:
                log("watchdog", "no progress:", late)
                self.boots.remember("late " + " ".join(late))
            else:
                self.watchdog.feed()
            if not settled and not self.boots.is_loop and self.clock.uptime_ms() > _SETTLED_MS:
                settled = True
                self.boots.settled()
            self.face.display.refresh()
            self.each_second()
            gc.collect()
            codes = self.faults()  # now: what is free is known right after a collection only
            if codes != self._codes:
                self._codes = codes
                self.link.tell()
            await asyncio.sleep_ms(health.FEED_MS)

    async def _keep_time(self, alive):
        await keep(self.clock, self.identity, self.settings, self.link.wifi, alive)

    async def run_all(self, *more):
        """Run everything; never returns. `more` are (name, task, limit_ms) as below."""
        log("bin", self.identity.bin_id, "firmware", health.VERSION, "cause", self.boots.cause)
        work = (
            ("time", self._keep_time, 30_000),
            ("orders", self.orders.run, 10_000),
            ("link", self.link.run, 90_000),
        )
        tasks = [
            asyncio.create_task(run(self.progress.task(name, limit_ms)))
            for name, run, limit_ms in work + more
        ]
        key_code = wire.key_code(self.identity.bin_id, self.identity.key)
        tasks.append(
            asyncio.create_task(
                console.run(key_code, self.clock.uptime_ms, self._tell, self._typed)
            )
        )
        tasks.append(asyncio.create_task(self._guard()))
        await asyncio.gather(*tasks)

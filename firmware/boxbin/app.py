"""The bin in service: drivers feed events to the visit, its decisions move things.

One task a source of events; all of them run through `_do`, which carries out what the visit
decides, in order. A line is in flash before `written` is reported, and only then are thanks said.
"""

import asyncio
import gc
import sys
import time

import machine

from boxbin import board, health
from boxbin.base import Base
from boxbin.boots import Boots
from boxbin.core import rules, wire
from boxbin.core.fill import READINGS, Fill
from boxbin.core.visit import Visit
from boxbin.drivers.button import Button
from boxbin.drivers.gm65 import Gm65
from boxbin.drivers.hx711 import Hx711
from boxbin.drivers.level import Level
from boxbin.flash import Flash, JournalFull
from boxbin.identity import Identity, IdentityError
from boxbin.log import log
from boxbin.witness import open_witness

LOOK_MS = 20
_IDLE_MS = 1_000
_SCANNER_TRIES = 5
_RESTART_S = 5
_SETTLE_READINGS = 5  # an HX711 needs 400 ms after power-up


class Bin(Base):
    """All parts of one bin and the tasks that drive them."""

    def __init__(self, identity, boots, folder):
        super().__init__(identity, boots, folder)
        self._look_now = asyncio.ThreadSafeFlag()
        self.button = Button(board.BUTTON, self._on_edge)
        self.adc = Hx711(board.HX711_DOUT, board.HX711_SCK)
        self.scanner = Gm65(board.SCANNER_UART, board.SCANNER_TX, board.SCANNER_RX, self._scanned)
        self.level = Level(board.LEVEL_TRIGGER, board.LEVEL_ECHO)
        self.fill = Fill(self.settings)
        self.face.say("starting")
        self.flash = Flash(identity, self.clock, open_witness())
        self.visit = Visit(
            self.settings, identity.label_key, wire.key_code(identity.bin_id, identity.key)
        )
        self._connect(self.flash, self._outcome)

    # -- decisions carried out ------------------------------------------------------------------

    def _do(self, actions):
        """Carry out what the visit decided, and what follows from that, in order."""
        todo = list(actions)
        while todo:
            action = todo.pop(0)
            if action[0] == "say":
                self.face.say(action[1], action[2])
            elif action[0] == "flap":
                self.flap.move(action[1])
            else:
                todo += self._write(action[1], action[2])
        self._look_now.set()  # a time limit may have moved

    def _write(self, kind, fields):
        """One line to flash; returns the actions that follow from it."""
        now_ms = self.clock.uptime_ms()
        try:
            n = self.flash.append(kind, fields)
        except JournalFull as error:
            log("journal", error)
            return self.visit.not_written(now_ms)
        self.link.line_written()
        return self.visit.written(now_ms, kind, n)

    def _on_edge(self, _pin):
        self._look_now.set()

    # -- events ---------------------------------------------------------------------------------

    def _scanned(self, text):
        unix_s = self.clock.unix_ms() // 1000
        self._do(self.visit.scan(self.clock.uptime_ms(), text, unix_s))

    def _outcome(self, n, status, points, balance):
        self._do(self.visit.outcome(self.clock.uptime_ms(), n, status, points, balance))

    def quiet(self, name):
        """Nobody is there; a collection may be ended by the command that began it."""
        ends = rules.COLLECT if name == "collect" else 0
        return bool(self.visit.state & (rules.NOBODY | ends))

    def act(self, name, seconds):
        """An operator's command."""
        now_ms = self.clock.uptime_ms()
        actions, done = self.visit.order(now_ms, name, seconds, self.identity.bin_id)
        self._do(actions)
        return done

    def faults(self):
        """Codes of everything that is wrong now."""
        found = health.faults(
            self.clock,
            self.flash,
            self.face.display.found,
            self.store,
            self.visit,
            self.progress.late(),
        )
        warning = self.fill.warning()
        return found + [warning] if warning else found

    def more(self):
        """What the gateway is told of the parts."""
        parts = health.parts(
            self.flash, self.scanner, self.face.display.found, self.settings, self.visit
        )
        return (("fill", self.fill.percent),) + parts

    def each_second(self):
        """Is there room in the journal for another visit?"""
        self._do(self.visit.journal(self.clock.uptime_ms(), self.flash.has_room()))

    # -- tasks ----------------------------------------------------------------------------------

    async def _weigh(self, alive):
        for _ in range(_SETTLE_READINGS):
            await self.adc.read()
        while True:
            alive()
            raw = await self.adc.read()
            actions = self.visit.reading(self.clock.uptime_ms(), raw)
            if actions:
                self._do(actions)

    async def _look(self, alive):
        """Flap, button and time limits."""
        shut = None
        while True:
            alive()
            now_ms = self.clock.uptime_ms()
            if self.flap.shut() != shut:
                shut = not shut
                self._do(self.visit.flap(now_ms, shut))
            if self.button.pressed():
                self._do(self.visit.button(now_ms))
            wake_ms = self.visit.wake_ms()
            if wake_ms is not None and now_ms >= wake_ms:
                self._do(self.visit.tick(now_ms))
            wait_ms = _IDLE_MS
            if self.button.settling:
                wait_ms = LOOK_MS
            elif self.visit.wake_ms() is not None:
                wait_ms = min(_IDLE_MS, max(1, self.visit.wake_ms() - now_ms))
            try:
                await asyncio.wait_for_ms(self._look_now.wait(), wait_ms)
            except asyncio.TimeoutError:
                pass

    async def _scan(self, alive):
        """Find the scanner, invite people only then, read it, and find it again when it is gone."""
        tries = 0
        while True:
            alive()
            if await self.scanner.start():
                log("scanner", "ready")
                now_ms = self.clock.uptime_ms()
                self._do(self.visit.start(now_ms))
                self._do(self.visit.scanner(now_ms, True))
                await self.scanner.run(alive)
                tries = _SCANNER_TRIES - 1
            tries += 1
            log("scanner", "not there yet, try", tries)
            if tries == _SCANNER_TRIES:
                log("scanner", "does not answer")
                now_ms = self.clock.uptime_ms()
                self._do(self.visit.start(now_ms))
                self._do(self.visit.scanner(now_ms, False))
            await asyncio.sleep_ms(_IDLE_MS)

    async def _level(self, alive):
        """How full is it? Looked at when nobody is there: it blocks the others for moments."""
        waited_ms = self.fill.every_ms
        while True:
            alive()
            await asyncio.sleep_ms(_IDLE_MS)
            waited_ms += _IDLE_MS
            nobody = self.visit.state & rules.NOBODY and self.flap.shut()
            if self.fill.every_ms and nobody and waited_ms >= self.fill.every_ms:
                waited_ms = 0
                percent = self.fill.add(await self.level.read(READINGS))
                self._do(self.visit.level(self.clock.uptime_ms(), percent))

    async def run(self):
        """Start everything; never returns."""
        self._do((("line", "boot", (("fw", health.VERSION), ("cause", self.boots.cause))),))
        self.orders.boot_n = self.flash.index.last
        await self.run_all(
            ("scale", self._weigh, 5_000),
            ("look", self._look, 5_000),
            ("scanner", self._scan, 20_000),
            ("level", self._level, 10_000),
        )


def _folder():
    """Where this application lies in flash, with a slash at the end."""
    return __file__[: __file__.rfind("/") + 1]


def main():
    """Run the bin. Whatever ends it is written into the boot ledger and the chip starts again, but
    a board that was never provisioned, or a technician's Ctrl-C, leads to the REPL.
    """
    try:
        identity = Identity()
    except IdentityError as error:
        log("bin", "not provisioned:", error)
        return
    boots = None
    try:
        boots = Boots()
        if boots.is_loop:
            from boxbin.safe import Safe  # no other start needs it

            asyncio.run(Safe(identity, boots, _folder()).run())
        else:
            asyncio.run(Bin(identity, boots, _folder()).run())
    except Exception as error:  # noqa: BLE001  (whatever it is, a bin must come back)
        sys.print_exception(error)
        gc.collect()
        try:
            if boots:
                boots.crashed(error)
        except Exception as another:  # noqa: BLE001  (the restart matters more than its reason)
            log("boots", repr(another))
        time.sleep(_RESTART_S)  # a fault that comes at once must not become a storm
        machine.reset()

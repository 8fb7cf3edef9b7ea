"""The bin put together: drivers feed events to the visit, its decisions move things.

One task a source of events; all of them run through `_do`, which carries out what the visit
decides, in order. A line is in flash before `written` is reported, and only then are thanks said.
"""

import asyncio
import gc
import sys
import time

import machine

from boxbin import board, health
from boxbin.clock import AGAIN_MS, RETRY_MS, Clock
from boxbin.core import rules, texts, wire
from boxbin.core.fill import READINGS, Fill
from boxbin.core.settings import Settings
from boxbin.core.visit import Visit
from boxbin.drivers.button import Button
from boxbin.drivers.buzzer import Buzzer
from boxbin.drivers.display import Display, Font
from boxbin.drivers.flap import Flap
from boxbin.drivers.gm65 import Gm65
from boxbin.drivers.hx711 import Hx711
from boxbin.drivers.lamp import Lamp
from boxbin.drivers.level import Level
from boxbin.flash import Flash, JournalFull
from boxbin.identity import Identity, IdentityError
from boxbin.link import Link
from boxbin.log import log
from boxbin.settingsfile import load

LOOK_MS = 20
IDLE_MS = 1_000
SCANNER_TRIES = 5
RESTART_S = 5
SETTLE_READINGS = 5  # an HX711 needs 400 ms after power-up


class Bin:
    """All parts of one bin and the tasks that drive them."""

    def __init__(self):
        self.identity = Identity()
        self.settings = Settings(load())
        self.clock = Clock()
        self.display = Display(
            board.DISPLAY_I2C,
            board.DISPLAY_SCL,
            board.DISPLAY_SDA,
            board.DISPLAY_FREQ_HZ,
            board.DISPLAY_ADDRESS,
            Font(_folder() + "font.bin"),
        )
        self._texts = open(_folder() + texts.FILE)
        self._look_now = asyncio.ThreadSafeFlag()
        self.lamp = Lamp(board.LAMP, board.LAMP_PIXELS)
        self.buzzer = Buzzer(board.BUZZER)
        self.flap = Flap(
            board.FLAP_SERVO,
            board.FLAP_SERVO_HZ,
            board.FLAP_REED,
            board.FLAP_SHUT_US,
            board.FLAP_OPEN_US,
            self._on_edge,
        )
        self.button = Button(board.BUTTON, self._on_edge)
        self.adc = Hx711(board.HX711_DOUT, board.HX711_SCK)
        self.scanner = Gm65(board.SCANNER_UART, board.SCANNER_TX, board.SCANNER_RX, self._scanned)
        self.level = Level(board.LEVEL_TRIGGER, board.LEVEL_ECHO)
        self.fill = Fill(self.settings)
        self._say("starting", ())
        self.flash = Flash(self.identity, self.clock)
        self.visit = Visit(
            self.settings,
            self.identity.label_key,
            wire.key_code(self.identity.bin_id, self.identity.key),
        )
        self.link = Link(
            self.identity, self.settings, self.clock, self.flash, self._outcome, self._health
        )
        self.progress = health.Progress(self.clock)

    # -- decisions carried out ------------------------------------------------------------------

    def _do(self, actions):
        """Carry out what the visit decided, and what follows from that, in order."""
        todo = list(actions)
        while todo:
            action = todo.pop(0)
            if action[0] == "say":
                self._say(action[1], action[2])
            elif action[0] == "flap":
                self.flap.move(action[1])
            else:
                todo += self._write(action[1], action[2])
        self._look_now.set()  # a time limit may have moved

    def _say(self, key, arguments):
        self._texts.seek(0)
        sentence = texts.find(self._texts, key) or texts.unknown(key)
        self.display.show(texts.fill(sentence, arguments))
        self.lamp.show(texts.LAMPS[sentence[4]])
        self.buzzer.play(texts.SOUNDS[sentence[5]])

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

    def _health(self):
        return health.describe(
            self.clock,
            self.flash,
            self.link,
            self.link.rssi(),
            self.scanner,
            self.display.found,
            self.settings,
            self.visit,
        )

    # -- tasks ----------------------------------------------------------------------------------

    async def _weigh(self, alive):
        for _ in range(SETTLE_READINGS):
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
            wait_ms = IDLE_MS
            if self.button.settling:
                wait_ms = LOOK_MS
            elif self.visit.wake_ms() is not None:
                wait_ms = min(IDLE_MS, max(1, self.visit.wake_ms() - now_ms))
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
                tries = SCANNER_TRIES - 1
            tries += 1
            log("scanner", "not there yet, try", tries)
            if tries == SCANNER_TRIES:
                log("scanner", "does not answer")
                now_ms = self.clock.uptime_ms()
                self._do(self.visit.start(now_ms))
                self._do(self.visit.scanner(now_ms, False))
            await asyncio.sleep_ms(IDLE_MS)

    async def _level(self, alive):
        """How full is it? Looked at when nobody is there: it blocks the others for moments."""
        waited_ms = self.fill.every_ms
        while True:
            alive()
            await asyncio.sleep_ms(IDLE_MS)
            waited_ms += IDLE_MS
            nobody = self.visit.state & rules.NOBODY and self.flap.shut()
            if self.fill.every_ms and nobody and waited_ms >= self.fill.every_ms:
                waited_ms = 0
                percent = self.fill.add(await self.level.read(READINGS))
                self._do(self.visit.level(self.clock.uptime_ms(), percent))

    async def _time(self, alive):
        while True:
            alive()
            wait_ms = RETRY_MS
            if self.link.joined():
                try:
                    await self.clock.ask(self.identity.ntp_host, self.identity.ntp_port)
                    wait_ms = AGAIN_MS
                    log("clock", self.clock.quality)
                except OSError as error:
                    log("clock", error)
            else:
                wait_ms = IDLE_MS
            for _ in range(wait_ms // IDLE_MS):
                alive()
                await asyncio.sleep_ms(IDLE_MS)

    async def _guard(self):
        """Once a second: watchdog, display, room in the journal, and the heap in one piece."""
        watchdog = machine.WDT(timeout=health.WATCHDOG_MS)
        while True:
            late = self.progress.late()
            if late:
                log("watchdog", "no progress:", late)
            else:
                watchdog.feed()
            self.display.refresh()
            self._do(self.visit.journal(self.clock.uptime_ms(), self.flash.has_room()))
            gc.collect()
            await asyncio.sleep_ms(health.FEED_MS)

    async def run(self):
        """Start everything; never returns."""
        cause = health.reset_cause()
        log("bin", self.identity.bin_id, "firmware", health.VERSION, "cause", cause)
        self._do((("line", "boot", (("fw", health.VERSION), ("cause", cause))),))
        work = (
            ("scale", self._weigh, 5_000),
            ("look", self._look, 5_000),
            ("scanner", self._scan, 20_000),
            ("time", self._time, 30_000),
            ("level", self._level, 10_000),
            ("link", self.link.run, 90_000),
        )
        tasks = [
            asyncio.create_task(run(self.progress.task(name, limit_ms)))
            for name, run, limit_ms in work
        ]
        tasks.append(asyncio.create_task(self._guard()))
        await asyncio.gather(*tasks)


def _folder():
    """Where this application lies in flash, with a slash at the end."""
    return __file__[: __file__.rfind("/") + 1]


def main():
    """Run the bin. Whatever ends it is printed and the chip starts again, but a board that was
    never provisioned, or a technician's Ctrl-C, leads to the REPL.
    """
    try:
        asyncio.run(Bin().run())
    except IdentityError as error:
        log("bin", "not provisioned:", error)
    except Exception as error:  # noqa: BLE001  (whatever it is, a bin must come back)
        sys.print_exception(error)
        time.sleep(RESTART_S)  # a fault that comes at once must not become a storm
        machine.reset()

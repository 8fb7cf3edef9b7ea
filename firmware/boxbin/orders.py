"""What the gateway asks for: commands done once each and answered, settings taken on trial.

Commands wait in a row until nobody is at the bin, each no longer than its deadline. The id is in
NVS before a command is done: a power cut in between leaves one that is not done rather than one
that is done twice. An id that is not new, and whose answer is not at hand any more, is refused as
`before`: it was done once, or passed over; the bin cannot tell.
"""

import asyncio
import gc

import machine

from boxbin import nvs
from boxbin.core import commands, wire
from boxbin.core.settings import SettingsError
from boxbin.log import log

_WAITING_MAX = 4
_ANSWERS_MAX = 4
_BUSY_MS = 600_000  # a command without deadline, or a restart, waits so long for people to leave
_CLOCK_MS = 60_000  # after the power came back the time is known a moment later than the link
_ANSWER_MS = 3_000  # an answer may take so long to be on its way before a restart
_LOOK_MS = 250


class Orders:
    """`act(name, seconds)` does a command on the bin: True, or False when it cannot now;
    `quiet(name)` is True when nobody is in its way; `report()` gives the pairs that are answered.
    """

    def __init__(self, identity, clock, store, boots, act, quiet, report):
        self._identity = identity
        self._clock = clock
        self._store = store
        self._boots = boots
        self._act = act
        self._quiet = quiet
        self._report = report
        self._waiting = []  # (id, command, since_ms), in order of ids
        self._answers = []  # [text, packet id or 0, version whose roll-back it tells or 0]
        self._last = (0, b"")  # the newest answer, to be given again
        self._restart = ""  # why, when the bin is to start again
        self._restart_ms = self._took = 0
        self.boot_n = 0  # line that this start wrote: a receipt for it was made just now
        self.done = nvs.number("done")
        self.wake = asyncio.Event()  # there is an answer to send
        told = nvs.number("tell")
        if told:
            self._answer_settings(told, "rolled_back", "the gateway was not heard with them", told)

    # -- from the link --------------------------------------------------------------------------

    def take_command(self, value):
        """A verified command."""
        number = commands.number(value)
        if not number or any(item[0] == number for item in self._waiting):
            return
        if number <= self.done:
            again = number == self._last[0]
            self._put(self._last[1] if again else self._text(number, "refused", "before"))
            return
        if len(self._waiting) >= _WAITING_MAX:
            log("orders", "too many at once:", number)  # not done: the gateway asks again
            return
        self._waiting.append((number, value, self._clock.uptime_ms()))

    def take_settings(self, value):
        """A verified settings document."""
        version = value.get("v")
        try:
            if version == self._took or not self._store.take(value):
                return
        except SettingsError as error:
            log("settings", "refused:", error)
            if isinstance(version, int):
                self._answer_settings(version, "refused", str(error))
            return
        except OSError as error:  # no room in flash: it comes again with the next connection, and
            log("settings", "not kept:", error)  # the link, which brings the room, must live on
            return
        log("settings", "version", version, "is on trial after a restart")
        self._took = version
        self.restart("settings")

    def receipted(self, n):
        """The gateway has every line up to n: so this start has reached it."""
        if self._store.trial and self.boot_n and n >= self.boot_n:
            self._store.confirm()
            log("settings", "version", self._store.version, "is in force")
            self._answer_settings(self._store.version, "done", "")

    def restart(self, why):
        """Start again as soon as nobody is at the bin."""
        self._restart = why
        self._restart_ms = self._clock.uptime_ms()

    # -- answers --------------------------------------------------------------------------------

    def connected(self):
        """A new connection: whatever was not acknowledged goes out again."""
        for answer in self._answers:
            answer[1] = 0

    def next_answer(self, packet_id):
        """The text that goes out next, under that packet id; None when there is none."""
        for answer in self._answers:
            if not answer[1]:
                answer[1] = packet_id
                return answer[0]
        return None

    def acknowledged(self, packet_id):
        """The broker has an answer."""
        for answer in self._answers:
            if answer[1] == packet_id:
                self._answers.remove(answer)
                if answer[2]:
                    nvs.put("tell", 0)
                return

    def _text(self, number, status, why, data=()):
        pairs = (("id", number), ("status", status), ("why", why), ("data", data))
        return self._sign(pairs)

    def _answer_settings(self, version, status, why, tell=0):
        pairs = (("settings", version), ("status", status), ("why", why))
        self._put(self._sign(pairs), tell)

    def _sign(self, pairs):
        identity = self._identity
        return wire.sign(identity.key, identity.bin_id, "done", wire.to_json(pairs).encode())

    def _put(self, text, tell=0):
        self._answers.append([text, 0, tell])
        del self._answers[:-_ANSWERS_MAX]
        self.wake.set()

    # -- the task -------------------------------------------------------------------------------

    async def run(self, alive):
        """Do what waits; never returns."""
        while True:
            alive()
            if self._waiting and not self._restart:
                self._next()
            now_ms = self._clock.uptime_ms()
            if self._store.trial and now_ms > self._store.settings.trial_ms:
                self._store.roll_back()
                self.restart("rollback")
            if self._restart and self._may_restart(now_ms):
                self._boots.mean(self._restart)
                machine.reset()
            await asyncio.sleep_ms(_LOOK_MS)

    def _may_restart(self, now_ms):
        waited_ms = now_ms - self._restart_ms
        if self._answers and waited_ms < _ANSWER_MS:
            return False
        return self._quiet("") or waited_ms > _BUSY_MS

    def _next(self):
        """Do the first of the row, if it can be done now or never."""
        number, value, since_ms = self._waiting[0]
        waited_ms = self._clock.uptime_ms() - since_ms
        name = why = ""
        seconds = 0
        try:
            name, seconds, until = commands.check(value, self._clock.unix_ms())
            if name != "report" and not self._quiet(name):
                if until or waited_ms < _BUSY_MS:
                    return
                why = "busy"
        except commands.CommandError as error:
            why = str(error)
            if why == commands.NO_CLOCK and waited_ms < _CLOCK_MS:
                return
        self._waiting.pop(0)
        self.done = number
        nvs.put("done", number)
        if not why:
            log("orders", number, name)
            if name == "restart":
                self.restart("command")
            elif name != "report" and not self._act(name, seconds):
                why = "busy"
        try:  # a report reads the ledger's module, and is the longest text of all
            data = self._report() if name == "report" and not why else ()
            text = self._text(number, "refused" if why else "done", why, data)
        except MemoryError:
            gc.collect()
            text = self._text(number, "refused", "memory")
        self._last = (number, text)
        self._put(text)

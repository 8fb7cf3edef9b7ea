"""The safe state: for a bin that restarts in a loop. Nothing moves, nobody is invited, it talks.

The flap is asked to be shut once, the display says that the bin is out of service, and the gateway
and the console are answered. After _SAFE_MS the bin tries again by itself, sooner by a restart that
somebody asks for. No journal is opened and no settings but the defaults and the gateway's newest
are used: either may be what it fell over.
"""

import asyncio
import random

import machine

from boxbin.base import Base
from boxbin.log import log

_LINK_WAIT_MS = 20_000  # at most: Wi-Fi's start may be what the supply is too weak for
_SAFE_MS = 900_000


class Safe(Base):
    """Runs in place of Bin."""

    def __init__(self, identity, boots, folder):
        super().__init__(identity, boots, folder)
        self._found_ms = 0  # until when it shows who it is
        self.face.say("closed_restarts")
        self.flap.move(False)
        self._connect(None, self._outcome)
        log("safe", "too many restarts: nothing moves until this one or the next has lasted")

    def faults(self):
        """Only the one that everything else hides behind."""
        return ["restarts"]

    def act(self, name, seconds):
        """Nothing moves; to be found is all that can be done."""
        if name != "identify":
            return False
        self.face.say("identify", (self.identity.bin_id,))
        self._found_ms = self.clock.uptime_ms() + seconds * 1000
        return True

    def _outcome(self, _n, _status, _points, _balance):
        pass

    def each_second(self):
        """Try again when the time has come."""
        if self._found_ms and self.clock.uptime_ms() > self._found_ms:
            self._found_ms = 0
            self.face.say("closed_restarts")
        if self.clock.uptime_ms() > _SAFE_MS:
            self.boots.mean("retry")
            machine.reset()

    async def run(self):
        """Never returns."""
        await asyncio.sleep_ms(random.getrandbits(30) % _LINK_WAIT_MS)
        await self.run_all()

# The /main.py of a bin that is nothing but its link: flash, clock and link are the firmware's own.
#
# A new line is written whenever a connection stands and all lines are receipted, so each connection
# has the whole conversation: connect, online, subscribe, journal, PUBACK, receipt, PUBACK, health.
# Waits are a few ms, so that a thousand connections take seconds, and patience is short too.
import asyncio
import gc
import sys

sys.path.insert(0, "/app/a")
gc.threshold(8 * 1024)

from boxbin import mqttclient  # noqa: E402
from boxbin.clock import Clock
from boxbin.core.settings import Settings
from boxbin.flash import Flash
from boxbin.identity import Identity
from boxbin.link import Link

LOOK_MS = 2
HEAP_EVERY = 10  # connections

mqttclient.CONNECT_MS = 400
mqttclient.WRITE_MS = 400
mqttclient.PING_MS = 150
mqttclient.SILENCE_MS = 400


class Quick:
    """The bin's settings with short waits."""

    reconnect_ms = 0
    reconnect_max_ms = 400  # also the longest patience with a receipt
    receipt_ms = 400
    health_ms = 60_000

    def __init__(self):
        self._all = Settings({})

    def __getattr__(self, name):
        return getattr(self._all, name)


class NoOrders:
    """Nobody has ordered anything."""

    def __init__(self):
        self.wake = asyncio.Event()

    def next_answer(self, packet_id):
        return None

    def connected(self):
        pass

    receipted = acknowledged = lambda self, n: None


identity = Identity()
clock = Clock()
flash = Flash(identity, clock)
link = Link(
    identity,
    Quick(),
    clock,
    flash,
    NoOrders(),
    lambda *_: None,
    lambda _: (("fw", "alone"),),
    lambda _: True,
)


async def write():
    connections = 0
    online = False
    while True:
        await asyncio.sleep_ms(LOOK_MS)
        if link.online and not online:
            connections += 1
            if connections % HEAP_EVERY == 0:
                gc.collect()
                print("heap", gc.mem_alloc())
        online = link.online
        if online and not flash.index.backlog:
            print("line", flash.append("unattended", (("g", 1000),)))
            link.line_written()


async def main():
    task = asyncio.create_task(write())
    await link.run(lambda: None)


asyncio.run(main())

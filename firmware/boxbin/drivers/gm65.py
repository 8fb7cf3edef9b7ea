"""GM65 and its kin (GM60, GM861S): a QR scanner with the 7E 00 protocol on a UART.

The protocol itself is in frames.py; here are the port, the probe for the baud rate and the
settings that are written at every boot, since a scanner may have been swapped.
"""

import asyncio

from machine import UART

from boxbin.drivers import frames

BAUDS = (9600, 57600, 115200)
_REPLY_MS = 250
LOOK_MS = 1_000
_ASK_MS = 10_000
_MISSED_MAX = 3
_READS_MAX = 16
QUIET_MS = 60  # sixty characters' time at 9600: what is half there will not go on

_MODE = 0x0000
_SAME_CODE_DELAY = 0x0013
# Lights on while reading, read continuously; a code seen again counts again after 3 s. How a text
# ends is left as it is: CR and LF both do.
_SETTINGS = ((_MODE, 0xD6), (_SAME_CODE_DELAY, 0x9E))


class Gm65:
    """One scanner; `on_scan(text)` is called for each code read."""

    def __init__(self, uart, tx, rx, on_scan):
        self._uart = UART(uart, baudrate=BAUDS[0], tx=tx, rx=rx, rxbuf=1024)
        self._stream = frames.Stream()
        self._reader = asyncio.StreamReader(self._uart)
        self._on_scan = on_scan
        self._reply = None
        self.found = False

    async def start(self):
        """Find the scanner and write its settings; True when it answered."""
        self.found = False
        for baud in BAUDS:
            self._uart.init(baudrate=baud)
            if await self._ask(frames.command(frames.READ, _MODE, b"\x01")) is not None:
                self.found = True
                break
        if self.found:
            for address, value in _SETTINGS:
                frame = frames.command(frames.WRITE, address, bytes((value,)))
                if await self._ask(frame) is None:
                    self.found = False
        return self.found

    async def run(self, alive):
        """Read until the scanner does not answer any more; `alive()` is called every second or so.

        A scanner that lost its supply wakes up without our settings and reads nothing, so it is
        asked for its mode when it has been quiet for a while.
        """
        quiet_ms = missed = 0
        while missed < _MISSED_MAX:
            alive()
            await self._read(LOOK_MS)
            quiet_ms += LOOK_MS
            if quiet_ms >= _ASK_MS:
                quiet_ms = 0
                mode = await self._ask(frames.command(frames.READ, _MODE, b"\x01"))
                missed = 0 if mode == bytes((_SETTINGS[0][1],)) else missed + 1
        self.found = False

    @property
    def dropped(self):
        """Bytes from the line that were no code and no reply."""
        return self._stream.dropped

    async def _ask(self, frame):
        """Send a frame, return the data of its reply or None when none came in time."""
        self._reply = None
        self._uart.write(frame)
        for _ in range(4):
            await self._read(_REPLY_MS // 4)
            if self._reply is not None:
                return self._reply
        return None

    async def _read(self, wait_ms):
        try:
            data = await asyncio.wait_for_ms(self._reader.read(128), wait_ms)
        except asyncio.TimeoutError:
            self._stream.quiet()
            return
        for _ in range(_READS_MAX):  # a line that never rests is noise: come up for air
            if not data:
                break
            for event in self._stream.feed(data):
                if event[0] == "scan":
                    self._on_scan(event[1])
                elif event[1] == 0:
                    self._reply = event[2]
            await asyncio.sleep_ms(QUIET_MS)
            data = self._uart.read(128) if self._uart.any() else None
        self._stream.quiet()

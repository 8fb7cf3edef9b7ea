"""HX711: a 24-bit converter for load cells, read bit by bit.

DOUT falls when a reading is ready. 25 pulses on SCK shift it out, most significant bit first, and
select channel A with gain 128 for the next one; DOUT must then be high, else the frame is
discarded. SCK must not stay high for more than 60 us, or the chip powers down in mid-frame: so
interrupts are masked for each pulse, not for the frame (facts/hardware.md).
"""

import asyncio
from time import ticks_add, ticks_diff, ticks_ms

from machine import Pin, disable_irq, enable_irq

READY_MS = 300  # three periods at 10 samples a second: later than that, it is disconnected
_PULSES = 25


class Hx711:
    """One chip on two pins."""

    def __init__(self, dout, sck):
        self._dout = Pin(dout, Pin.IN, Pin.PULL_UP)  # a cable that is off reads "never ready"
        self._sck = Pin(sck, Pin.OUT, value=0)
        self._ready = asyncio.ThreadSafeFlag()
        self._dout.irq(self._on_ready, Pin.IRQ_FALLING)
        self._until = ticks_ms()  # ticks: when the reading that is waited for is late
        self._watcher = None

    def _on_ready(self, _pin):
        self._ready.set()

    async def read(self):
        """Wait for the next reading and return it as a signed integer.

        Returns None when none came within READY_MS or the frame was not whole: no value.
        """
        if self._dout.value():
            self._ready.clear()
            if self._dout.value():  # it may have fallen just before the clear
                self._until = ticks_add(ticks_ms(), READY_MS)
                if self._watcher is None:
                    self._watcher = asyncio.create_task(self._watch())
                await self._ready.wait()
                # Something may have held the loop up: the pin has the last word.
                if self._dout.value():
                    return None  # nothing came, or an edge from the last frame's bits
        value = self._frame()
        if value is None:
            # DOUT stuck low (no supply, shorted cable) looks ready for ever: never spin on it.
            await asyncio.sleep_ms(READY_MS // 3)
        return value

    async def _watch(self):
        """Wake `read` when its reading is late.

        One task for all readings: `wait_for_ms` would make a task for each, ten a second, and what
        they leave on the heap has to be collected.
        """
        while True:
            left_ms = ticks_diff(self._until, ticks_ms())
            if left_ms <= 0:
                self._ready.set()
                left_ms = READY_MS
            await asyncio.sleep_ms(left_ms)

    def _frame(self):
        dout, sck = self._dout, self._sck
        value = 0
        for _ in range(_PULSES):
            state = disable_irq()
            sck.value(1)
            sck.value(0)
            enable_irq(state)
            value = value << 1 | dout.value()
        self._ready.clear()  # the data bits made edges too
        if not value & 1:
            return None  # after the 25th pulse DOUT is high, or it was no whole frame
        value >>= 1
        return value - 0x1000000 if value & 0x800000 else value

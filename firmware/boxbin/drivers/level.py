"""An ultrasonic sensor with trigger and echo: HC-SR04 (divider on the echo) or JSN-SR04T.

Data sheets: 10 us of trigger, then the echo pin is high for as long as the sound was on its way,
58 us for each cm to and fro. The JSN-SR04T is blind below 25 cm: it hangs that high above "full".
The echo pin is pulled down, so that a cable that is off is silence.
"""

import asyncio
from time import sleep_us

from machine import Pin, time_pulse_us

_TRIGGER_US = 10
_US_PER_CM = 58
# The wait for the echo's start and its length are each bounded by this, so a reading blocks the bin
# for at most 28 ms. 14 ms are 2.4 m.
_ECHO_US = 14_000
REST_MS = 60  # until the last echo has died away; 38 ms long when nothing comes back


class Level:
    """One sensor on two pins."""

    def __init__(self, trigger, echo):
        self._trigger = Pin(trigger, Pin.OUT, value=0)
        self._echo = Pin(echo, Pin.IN, Pin.PULL_DOWN)

    async def read(self, count):
        """So many readings in mm, None for each that did not come. For when nobody is there."""
        readings = []
        for _ in range(count):
            await asyncio.sleep_ms(REST_MS)
            readings.append(self._ping())
        return readings

    def _ping(self):
        if self._echo.value():
            return None  # still busy, or a broken wire: what is timed now is no echo of ours
        self._trigger.value(1)
        sleep_us(_TRIGGER_US)
        self._trigger.value(0)
        us = time_pulse_us(self._echo, 1, _ECHO_US)
        return us * 10 // _US_PER_CM if us > 0 else None  # negative: too late, or too long

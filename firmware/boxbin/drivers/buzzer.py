"""The buzzer: short tunes by PWM."""

import asyncio

from machine import PWM, Pin

_HALF = 32768
_SILENT_HZ = 1000


class Buzzer:
    """Plays one tune after another; a new one replaces the one that is playing."""

    def __init__(self, pin):
        self._pwm = PWM(Pin(pin), freq=_SILENT_HZ, duty_u16=0)
        self._task = None

    def play(self, notes):
        """Start a tune of (frequency_hz, duration_ms) pairs; 0 Hz is a pause."""
        if self._task is not None:
            self._task.cancel()
            self._pwm.duty_u16(0)
            self._task = None
        if notes:
            self._task = asyncio.create_task(self._play(notes))

    async def _play(self, notes):
        for frequency_hz, duration_ms in notes:
            if frequency_hz:
                self._pwm.freq(frequency_hz)
            self._pwm.duty_u16(_HALF if frequency_hz else 0)
            await asyncio.sleep_ms(duration_ms)
        self._pwm.duty_u16(0)

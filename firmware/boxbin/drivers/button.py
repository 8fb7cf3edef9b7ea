"""The one button, polled: three equal looks in a row count, so that bouncing does not."""

from machine import Pin

LOOKS = 3


class Button:
    """Call `pressed()` every 10 to 20 ms; True once for each press."""

    def __init__(self, pin):
        self._pin = Pin(pin, Pin.IN, Pin.PULL_UP)
        self._same = 0
        self._down = False

    def pressed(self):
        """True exactly once after the button has been down for LOOKS looks."""
        down = not self._pin.value()
        if down == self._down:
            self._same = 0
            return False
        self._same += 1
        if self._same < LOOKS:
            return False
        self._same = 0
        self._down = down
        return down

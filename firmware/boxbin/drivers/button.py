"""The one button: three equal looks in a row count, so that bouncing does not."""

from machine import Pin

_LOOKS = 3


class Button:
    """`on_edge` is called at each change of the pin; then call `pressed()` every 10 to 20 ms for as
    long as `settling` is true.
    """

    def __init__(self, pin, on_edge):
        self._pin = Pin(pin, Pin.IN, Pin.PULL_UP)
        self._pin.irq(on_edge, Pin.IRQ_FALLING | Pin.IRQ_RISING)
        self._same = 0
        self._down = False

    @property
    def settling(self):
        """True while the pin differs from what was taken for true last."""
        return self._same > 0

    def pressed(self):
        """True exactly once after the button has been down for _LOOKS looks."""
        down = not self._pin.value()
        if down == self._down:
            self._same = 0
            return False
        self._same += 1
        if self._same < _LOOKS:
            return False
        self._same = 0
        self._down = down
        return down

"""The flap: a servo that opens it and a reed switch that says whether it is shut."""

from machine import PWM, Pin


class Flap:
    """`shut()` reads the reed switch, `move()` asks the servo; `on_edge` is called when the reed
    switch changes.
    """

    def __init__(self, servo, servo_hz, reed, shut_us, open_us, on_edge):
        self._reed = Pin(reed, Pin.IN, Pin.PULL_UP)
        self._reed.irq(on_edge, Pin.IRQ_FALLING | Pin.IRQ_RISING)
        self._shut_us = shut_us
        self._open_us = open_us
        self._pwm = PWM(Pin(servo), freq=servo_hz, duty_u16=0)

    def move(self, is_open):
        """Ask for open or shut; returns at once."""
        self._pwm.duty_ns(1000 * (self._open_us if is_open else self._shut_us))

    def shut(self):
        """True when the magnet is at the reed switch."""
        return not self._reed.value()

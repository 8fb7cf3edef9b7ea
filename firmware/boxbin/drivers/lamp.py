"""The ring of NeoPixels around the flap: one colour at a time."""

from machine import Pin
from neopixel import NeoPixel


class Lamp:
    """All pixels alike. Not to be written within an HX711 frame: both want exact timing."""

    def __init__(self, pin, pixels):
        self._strip = NeoPixel(Pin(pin, Pin.OUT), pixels)

    def show(self, colour):
        """Show an (r, g, b) of 0 to 255."""
        self._strip.fill(colour)
        self._strip.write()

"""The ultrasonic sensor above the container: it hears how far away the topmost carton lies.

The board cannot time the pulse on the echo pin through a socket, so its length goes there as one
event, and the board's `time_pulse_us` lets that time pass.
"""

from __future__ import annotations

import random
from collections.abc import Callable

EMPTY_MM = 1_000
CARTON_MM = 2  # what one carton adds, pressed by those above it
NEAREST_MM = 30
NOISE_MM = 3
WAIT_US = 450  # eight periods of 40 kHz and the chip behind them
US_PER_MM = 5.8
LONGEST_US = 38_000  # the echo pin when nothing comes back


class Level:
    """Answers each falling edge of the trigger. `distance_mm` set by a test holds until it is None;
    `fault` is "" or one of "silent" (no supply), "lost" (nothing comes back), "garbage".
    """

    def __init__(
        self, seed: int, cartons: Callable[[], int], on_echo: Callable[[int, int], None]
    ) -> None:
        self.distance_mm: float | None = None
        self.fault = ""
        self.pings = 0
        self._random = random.Random(seed)  # noqa: S311  (noise)
        self._cartons = cartons
        self._on_echo = on_echo
        self._trigger = 0

    def true_mm(self) -> float:
        """The distance to what lies there."""
        if self.distance_mm is not None:
            return self.distance_mm
        return max(NEAREST_MM, EMPTY_MM - CARTON_MM * self._cartons())

    def trigger(self, level: int) -> None:
        """The level at the trigger pin."""
        fell, self._trigger = self._trigger and not level, level
        if not fell:
            return
        self.pings += 1
        if self.fault == "silent":
            return
        distance_mm = self.true_mm() + self._random.uniform(-NOISE_MM, NOISE_MM)
        echo_us = min(LONGEST_US, round(distance_mm * US_PER_MM))
        if self.fault == "lost":
            echo_us = LONGEST_US
        elif self.fault == "garbage":
            echo_us = self._random.randrange(LONGEST_US)
        self._on_echo(WAIT_US, echo_us)

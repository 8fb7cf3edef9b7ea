"""The flap: a servo that needs its time, and a reed switch that sees it shut."""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.world.kernel import Kernel, Pending

TRAVEL_US = 600_000  # from shut to open
REED_SHARE = 0.06  # the magnet is seen below this opening
PASSABLE_SHARE = 0.6  # a carton goes through above it
PULSE_MIN_US = 500  # beyond these the servo ignores the signal
PULSE_MAX_US = 2500
SERVO_HZ = (40, 330)


class Flap:
    """Position 0 (shut) to 1 (open), moved by pulses of `shut_us` to `open_us`."""

    def __init__(
        self, kernel: Kernel, shut_us: int, open_us: int, on_reed: Callable[[int], None]
    ) -> None:
        self.jammed = False
        self._kernel = kernel
        self._shut_us = shut_us
        self._open_us = open_us
        self._on_reed = on_reed
        self._from = 0.0
        self._target = 0.0
        self._since_us = 0
        self._reed = 0
        self._pending: list[Pending] = []

    def pwm(self, freq_hz: int, duty_ns: int) -> None:
        """The signal at the servo's input has changed; without a signal it stays where it is."""
        pulse_us = duty_ns / 1000
        if not SERVO_HZ[0] <= freq_hz <= SERVO_HZ[1]:
            self._aim(self.position())
        elif PULSE_MIN_US <= pulse_us <= PULSE_MAX_US:
            share = (pulse_us - self._shut_us) / (self._open_us - self._shut_us)
            self._aim(max(0.0, min(1.0, share)))
        else:
            self._aim(self.position())

    def position(self) -> float:
        """Where it is now."""
        travel = (self._kernel.now_us - self._since_us) / TRAVEL_US
        distance = self._target - self._from
        if abs(distance) <= travel:
            return self._target
        return self._from + (travel if distance > 0 else -travel)

    def reed(self) -> int:
        """Level of the reed switch: 0 = shut, 1 = not shut."""
        return self._reed

    def word(self) -> str:
        """One of "shut", "open", "moving"."""
        position = self.position()
        if position != self._target:
            return "moving"
        return "shut" if position <= REED_SHARE else "open"

    def passable(self) -> bool:
        """True when a carton goes through."""
        return self.position() >= PASSABLE_SHARE

    def _aim(self, target: float) -> None:
        here = self.position()
        if self.jammed:
            target = here
        if target == self._target and here == self._target:
            return
        for pending in self._pending:
            pending.cancel()
        self._from, self._target, self._since_us = here, target, self._kernel.now_us
        # The reed is looked at when the magnet's edge is passed and when the flap arrives.
        marks = {abs(target - here)}
        if min(here, target) < REED_SHARE < max(here, target):
            marks.add(abs(REED_SHARE - here))
        self._pending = [
            self._kernel.after(round(mark * TRAVEL_US) + 1, self._look) for mark in sorted(marks)
        ]

    def _look(self) -> None:
        level = 0 if self.position() < REED_SHARE else 1
        if level != self._reed:
            self._reed = level
            self._on_reed(level)

"""How full the container is, from the distance between the sensor above it and what lies in it.

Cartons tilt the echo (facts/hardware.md), so five readings are fused: their median counts when at
least _AGREE of them lie near it. A missing echo, one from beyond the container and readings that
disagree are no value: never the last one, never zero.
"""

UNKNOWN = -1
READINGS = 5
_AGREE = 3
_NEAR_MM = 25
_LEAST_MM = 20  # HC-SR04 data sheet; nearer than that the echo is lost in the ping
MISSES = 5  # looks in a row without a value before the sensor is said to be missing


class Fill:
    """`percent` is 0 to 100 or UNKNOWN; `every_ms` is the time between looks, 0: no sensor."""

    def __init__(self, settings):
        self._settings = settings
        self._misses = 0
        self.every_ms = settings.level_ms if settings.level_empty_mm else 0
        self.percent = UNKNOWN

    def add(self, readings_mm):
        """Take the readings of one look, None for each that is missing; returns `percent`."""
        self.percent = UNKNOWN
        empty_mm, full_mm = self._settings.level_empty_mm, self._settings.level_full_mm
        distance_mm = fuse(readings_mm, empty_mm * 5 // 4)
        if distance_mm is None:
            self._misses += 1
        else:
            self._misses = 0
            percent = (empty_mm - distance_mm) * 100 // (empty_mm - full_mm)
            self.percent = max(0, min(100, percent))
        return self.percent

    def warning(self):
        """The fault code that the gateway is told: `level`, `near_full` or an empty text."""
        if self._misses >= MISSES:
            return "level"
        return "near_full" if self.percent >= self._settings.near_full_percent else ""


def fuse(readings_mm, most_mm):
    """One distance of several readings, or None."""
    heard = sorted(mm for mm in readings_mm if mm is not None and _LEAST_MM <= mm <= most_mm)
    if not heard:
        return None
    middle = heard[len(heard) // 2]
    near = [mm for mm in heard if abs(mm - middle) <= _NEAR_MM]
    return middle if len(near) >= _AGREE else None

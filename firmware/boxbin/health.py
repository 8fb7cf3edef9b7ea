"""Is every task getting on? The watchdog is fed only then; and what the gateway is told of it."""

import gc

import machine

from boxbin import VERSION
from boxbin.core import rules

WATCHDOG_MS = 60_000
FEED_MS = 1_000

_CAUSES = {
    machine.PWRON_RESET: "power",
    machine.HARD_RESET: "reset",
    machine.WDT_RESET: "watchdog",
    machine.DEEPSLEEP_RESET: "sleep",
    machine.SOFT_RESET: "soft",
}


def reset_cause():
    """Why the chip started, as one word."""
    return _CAUSES.get(machine.reset_cause(), "unknown")


class Progress:
    """Each task reports that it came round; `late` names the tasks that did not in time."""

    def __init__(self, clock):
        self._clock = clock
        self._seen_ms = {}
        self._limit_ms = {}

    def task(self, name, limit_ms):
        """Register a task; returns the function that it calls whenever it came round."""
        self._limit_ms[name] = limit_ms

        def alive():
            self._seen_ms[name] = self._clock.uptime_ms()

        alive()
        return alive

    def late(self):
        """Names of the tasks that have not come round within their limit."""
        now_ms = self._clock.uptime_ms()
        return [
            name
            for name, seen_ms in self._seen_ms.items()
            if now_ms - seen_ms > self._limit_ms[name]
        ]


def describe(clock, flash, link, rssi, scanner, display_found, settings, visit):
    """The health message as ordered pairs, in bytes, ms, dBm, g and mg."""
    return (
        ("fw", VERSION),
        ("clock", clock.quality),
        ("up", clock.uptime_ms()),
        ("heap", gc.mem_free()),
        ("rssi", rssi),
        ("backlog", flash.index.backlog),
        ("journal", "nearly full" if flash.index.nearly_full else "ok"),
        ("epoch", flash.index.epoch),
        ("n", flash.index.last),
        ("scanner", "ok" if scanner.found else "missing"),
        ("noise", scanner.dropped),
        ("display", "ok" if display_found else "missing"),
        ("scale", visit.scale.state),
        ("scale_noise_mg", visit.scale.noise_mg),
        ("scale_residual_mg", settings.calibration_residual_mg),
        ("content_g", visit.container.content_mg // 1000),
        ("state", rules.name(visit.state)),
        ("repaired", flash.repaired),
        ("refused", link.refused),
        ("cause", reset_cause()),
    )

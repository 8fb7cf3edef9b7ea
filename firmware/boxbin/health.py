"""Is every task getting on? The watchdog is fed only then; and what the gateway is told of it."""

import gc

import esp32

from boxbin import VERSION
from boxbin.core import rules

WATCHDOG_MS = 60_000
FEED_MS = 1_000
_MEMORY_LOW_BYTES = 4_096  # free after a collection: less than a batch of lines and an exception


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


def block():
    """The largest free block of the chip's own heap, bytes: TLS and MicroPython grow into it."""
    return max([region[2] for region in esp32.idf_heap_info(esp32.HEAP_DATA)])


def faults(clock, flash, display_found, store, visit, late):
    """Codes of everything that is wrong now (firmware/FAULTS.md), what closes the bin first."""
    warnings = (
        ("display", not display_found),
        ("journal_near", flash.index.nearly_full),
        ("journal_mended", flash.repaired > 0),
        ("clock", clock.quality == "none"),
        ("settings", store.refused > store.version),
        ("memory", gc.mem_free() < _MEMORY_LOW_BYTES),
        ("late", bool(late)),
    )
    return visit.faults + [code for code, is_so in warnings if is_so]


def describe(clock, link, orders, store, boots, codes, more):
    """The health message as ordered pairs, in bytes, ms, s, dBm, g and mg; `codes` are faults,
    `more` the pairs of the parts that only a bin in service has.
    """
    return (
        (
            ("fw", VERSION),
            ("faults", codes),
            ("clock", clock.quality),
            ("up", clock.uptime_ms()),
            ("heap", gc.mem_free()),
            ("block", block()),
            ("rssi", link.wifi.rssi()),
            ("cause", boots.cause),
        )
        + boots.health()
        + (
            ("settings", store.version),
            ("refused_settings", store.refused),
            ("done", orders.done),
            ("refused", link.refused),
            ("offline_s", link.offline_ms // 1000),
            ("offline_why", link.why),
        )
        + more
    )


def brief(codes):
    """The health message when there is no memory for a whole one."""
    codes = [code for code in codes if code != "memory"]
    return (("fw", VERSION), ("faults", codes + ["memory"]), ("heap", gc.mem_free()))


def parts(flash, scanner, display_found, settings, visit):
    """The pairs of a bin in service."""
    return (
        ("backlog", flash.index.backlog),
        ("journal", "nearly full" if flash.index.nearly_full else "ok"),
        ("epoch", flash.index.epoch),
        ("n", flash.index.last),
        ("repaired", flash.repaired),
        ("scanner", "ok" if scanner.found else "missing"),
        ("noise", scanner.dropped),
        ("display", "ok" if display_found else "missing"),
        ("scale", visit.scale.state),
        ("scale_noise_mg", visit.scale.noise_mg),
        ("scale_residual_mg", settings.calibration_residual_mg),
        ("content_g", visit.container.content_mg // 1000),
        ("state", rules.name(visit.state)),
    )

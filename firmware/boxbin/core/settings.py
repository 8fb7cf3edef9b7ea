"""The bin's settings: every number that decides something, with its bounds, in one table.

Times are ms, masses mg. Sources: carton masses and scale noise from facts/hardware.md (small
cartons weigh 90 to 230 g, large ones up to about 1.5 kg; 26 counts/g and about 1 g of noise a
sample with four 20 kg half bridges).
"""

# Name, default, least, most. One text: as tuples in a dict it would take 5 KB more heap.
_ROWS = (
    "|counts_per_kg 26000 1000 1000000|"
    "zero_counts 0 -8388608 8388607|"  # of the calibration; nothing is decided by it
    "calibration_residual_mg 0 0 1000000|"  # its largest misfit, shown in health
    "mass_min_mg 40000 5000 1000000|"
    "mass_max_mg 2000000 100000 20000000|"
    "rise_mg 15000 2000 200000|"  # a reading this far above the baseline is "something"
    "light_mg 3000 500 50000|"  # a resting difference below this is "nothing"
    "light_ms 2500 500 20000|"  # how long "too light" must rest: no hand still holds it
    "rest_ms 800 200 4000|"  # how long readings must agree
    "rest_band_mg 8000 500 100000|"  # how closely they must agree, peak to peak
    "rest_band_max_mg 24000 500 100000|"  # and at most where the scale is always noisy
    "stuck_ms 8000 2000 60000|"  # the same reading for so long is no reading
    "stay_ms 1000 0 10000|"  # how long a fall, or mass nobody announced, must rest
    "label_ms 45000 5000 300000|"  # from pass (or last carton) to the next label
    "steady_ms 6000 1000 60000|"  # from the label to rest, before the flap opens
    "flap_ms 3000 500 30000|"  # how long the flap may take
    "flap_tries 4 1 20|"  # how often it is asked before that is a fault
    "drop_ms 30000 3000 300000|"  # from flap open to something inside
    "settle_ms 15000 1000 60000|"  # from something inside to rest
    "write_ms 5000 1000 60000|"  # a line to flash
    "withdraw_ms 300000 0 3600000|"  # after a visit, mass that leaves is that visit's
    "handover_ms 10000 0 60000|"  # and in the next visit, for so long
    "collect_ms 600000 10000 3600000|"  # a collection at most
    "collect_rest_ms 10000 1000 60000|"  # and until nothing more is taken
    "open_ms 30000 1000 300000|"  # how long an operator's "open" lasts unless it says
    "flap_retry_ms 30000 1000 600000|"  # after a flap fault, before it is tried again
    "thanks_ms 2000 0 10000|"  # thanks are read before the outcome replaces them
    "message_ms 4000 500 30000|"  # how long a closing sentence stays
    "receipt_ms 5000 500 60000|"  # after a batch, before it is sent again
    "reconnect_ms 75000 200 600000|"  # first window of the full jitter; doubles
    "reconnect_max_ms 300000 1000 3600000|"
    "level_ms 60000 5000 3600000|"  # from one look at the fill level to the next
    "level_empty_mm 1000 0 2000|"  # sensor to the container's floor; 0: no sensor
    "level_full_mm 300 20 1900|"  # sensor to what lies in a full one
    "near_full_percent 80 10 100|"  # time to collect
    "full_percent 95 20 100|"  # nothing more goes in: the bin closes
    "health_ms 60000 1000 3600000|"
    "visit_ms 600000 30000 3600000|"
    "visit_cartons 20 1 200|"
    "labels_remembered 32 0 64|"  # a label earns thanks here once in so many; 75 bytes of heap each
    "trial_ms 600000 10000 3600000|"  # new settings are on trial so long (settingsfile.py)
    "broker_port 0 0 65535|"  # 0: as provisioned
)

REQUIRED, OPTIONAL, NONE = "required", "optional", "none"
# Settings that are words: the default first.
CHOICES = {
    # Must a label be scanned before the flap opens? "none": labels are not even looked at.
    "label_policy": (REQUIRED, OPTIONAL, NONE),
}
# Settings that are host names; "" as provisioned.
HOSTS = ("broker_host", "ntp_host")
_HOST_CHARS_MAX = 63


class SettingsError(ValueError):
    """A setting that is unknown, of the wrong type or out of its bounds."""


class Settings:
    """All settings as attributes; `changes` (a dict) is taken whole or refused whole."""

    def __init__(self, changes=None):
        changes = changes or {}
        for name in changes:
            _check(name, changes[name])
        for name in names():
            setattr(self, name, changes.get(name, row(name)[0]))
        for name in CHOICES:
            setattr(self, name, changes.get(name, CHOICES[name][0]))
        for name in HOSTS:
            setattr(self, name, changes.get(name, ""))
        self._ordered("mass_min_mg", "mass_max_mg")
        if getattr(self, "level_empty_mm"):  # noqa: B009  (no attribute that a type checker sees)
            self._ordered("level_full_mm", "level_empty_mm")

    def _ordered(self, less, more):
        if getattr(self, less) >= getattr(self, more):
            raise SettingsError("%s must be below %s" % (less, more))

    def changed(self):
        """(name, value) pairs of what is not the default."""
        found = [(name, getattr(self, name)) for name in names()]
        found = [pair for pair in found if pair[1] != row(pair[0])[0]]
        found += [(name, getattr(self, name)) for name in HOSTS if getattr(self, name)]
        for name in CHOICES:
            if getattr(self, name) != CHOICES[name][0]:
                found.append((name, getattr(self, name)))
        return found


def names():
    """Each name of the settings that are numbers."""
    start = 1
    while start < len(_ROWS):
        yield _ROWS[start : _ROWS.find(" ", start)]
        start = _ROWS.find("|", start) + 1


def row(name):
    """(default, least, most) of a setting that is a number, or None."""
    start = _ROWS.find("|" + name + " ")
    if start < 0 or not name or " " in name:  # or a name could go on into the next row
        return None
    start += len(name) + 2
    numbers = _ROWS[start : _ROWS.find("|", start)].split(" ")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _check(name, value):
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise SettingsError("%s is %r, allowed: %s" % (name, value, ", ".join(CHOICES[name])))
        return
    if name in HOSTS:
        if not isinstance(value, str) or not _is_host(value):
            raise SettingsError("%s is %r, not a host name" % (name, value))
        return
    found = row(str(name))
    if found is None:
        raise SettingsError("unknown setting " + str(name))
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingsError("%s must be an integer, not %r" % (name, value))
    if not found[1] <= value <= found[2]:
        raise SettingsError("%s is %d, allowed %d to %d" % (name, value, found[1], found[2]))


def _is_host(text):
    if len(text) > _HOST_CHARS_MAX:
        return False
    for c in text:
        if not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in ".-"):
            return False
    return True

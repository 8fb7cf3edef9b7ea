"""The bin's settings: every number that decides something, with its bounds, in one table.

Times are ms, masses mg. Sources: carton masses and scale noise from facts/hardware.md (small
cartons weigh 90 to 230 g, large ones up to about 1.5 kg; 26 counts/g and about 1 g of noise a
sample with four 20 kg half bridges).
"""

# A row is the name and then the default, the least and the most value allowed.
TABLE = {
    "counts_per_kg": (26_000, 1_000, 1_000_000),
    "zero_counts": (0, -0x800000, 0x7FFFFF),  # of the calibration; nothing is decided by it
    "calibration_residual_mg": (0, 0, 1_000_000),  # its largest misfit, shown in health
    "mass_min_mg": (40_000, 5_000, 1_000_000),
    "mass_max_mg": (2_000_000, 100_000, 20_000_000),
    "rise_mg": (15_000, 2_000, 200_000),  # a reading this far above the baseline is "something"
    "light_mg": (3_000, 500, 50_000),  # a resting difference below this is "nothing"
    "light_ms": (2_500, 500, 20_000),  # how long "too light" must rest: no hand still holds it
    "rest_ms": (800, 200, 4_000),  # how long readings must agree
    "rest_band_mg": (8_000, 500, 100_000),  # how closely they must agree, peak to peak
    "rest_band_max_mg": (24_000, 500, 100_000),  # and at most where the scale is always noisy
    "stuck_ms": (8_000, 2_000, 60_000),  # the same reading for so long is no reading
    "stay_ms": (1_000, 0, 10_000),  # how long a fall, or mass nobody announced, must rest
    "label_ms": (45_000, 5_000, 300_000),  # from pass (or last carton) to the next label
    "steady_ms": (6_000, 1_000, 60_000),  # from the label to rest, before the flap opens
    "flap_ms": (3_000, 500, 30_000),  # how long the flap may take
    "flap_tries": (4, 1, 20),  # how often it is asked before that is a fault
    "drop_ms": (30_000, 3_000, 300_000),  # from flap open to something inside
    "settle_ms": (15_000, 1_000, 60_000),  # from something inside to rest
    "write_ms": (5_000, 1_000, 60_000),  # a line to flash
    "withdraw_ms": (300_000, 0, 3_600_000),  # after a visit, mass that leaves is that visit's
    "handover_ms": (10_000, 0, 60_000),  # and in the next visit, for so long
    "collect_ms": (600_000, 10_000, 3_600_000),  # a collection at most
    "collect_rest_ms": (10_000, 1_000, 60_000),  # and until nothing more is taken
    "flap_retry_ms": (30_000, 1_000, 600_000),  # after a flap fault, before it is tried again
    "thanks_ms": (2_000, 0, 10_000),  # thanks are read before the outcome replaces them
    "message_ms": (4_000, 500, 30_000),  # how long a closing sentence stays
    "receipt_ms": (5_000, 500, 60_000),  # after a batch, before it is sent again
    "reconnect_ms": (60_000, 200, 600_000),  # first window of the full jitter; doubles
    "reconnect_max_ms": (300_000, 1_000, 3_600_000),
    "health_ms": (60_000, 1_000, 3_600_000),
    "visit_ms": (600_000, 30_000, 3_600_000),
    "visit_cartons": (20, 1, 200),
    "labels_remembered": (32, 0, 200),  # a label earns thanks here once in so many
}

REQUIRED, OPTIONAL, NONE = "required", "optional", "none"
# Settings that are words: the default first.
CHOICES = {
    # Must a label be scanned before the flap opens? "none": labels are not even looked at.
    "label_policy": (REQUIRED, OPTIONAL, NONE),
}


class SettingsError(ValueError):
    """A setting that is unknown, of the wrong type or out of its bounds."""


class Settings:
    """All settings as attributes; `changes` (a dict) is taken whole or refused whole."""

    def __init__(self, changes=None):
        values = {name: row[0] for name, row in TABLE.items()}
        words = {name: row[0] for name, row in CHOICES.items()}
        for name, value in (changes or {}).items():
            _check(name, value)
            if name in CHOICES:
                words[name] = value
            else:
                values[name] = value
        if values["mass_min_mg"] >= values["mass_max_mg"]:
            raise SettingsError("mass_min_mg must be below mass_max_mg")
        for name, value in list(values.items()) + list(words.items()):
            setattr(self, name, value)


def _check(name, value):
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise SettingsError("%s is %r, allowed: %s" % (name, value, ", ".join(CHOICES[name])))
        return
    if name not in TABLE:
        raise SettingsError("unknown setting " + str(name))
    _, least, most = TABLE[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingsError("%s must be an integer, not %r" % (name, value))
    if not least <= value <= most:
        raise SettingsError("%s is %d, allowed %d to %d" % (name, value, least, most))

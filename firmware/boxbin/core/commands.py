"""An operator's command from the gateway, checked: done once, in order, and not after its deadline.

`{"id":17,"do":"open","args":{"s":20},"until":1795000000000}`, signed. The id only grows, and the
newest one done is kept in NVS: what a broker hands out again, or kept back, is not done again.
"""

NAMES = "open tare restart identify collect report"
# These may be late or early: a bin that does not know the time obeys them all the same.
HARMLESS = "restart identify report"
SECONDS_DEFAULT = 30
_SECONDS_MAX = 300
_ID_MAX = 0x7FFFFFFF
NO_CLOCK = "no clock"


class CommandError(ValueError):
    """A command that is not done; the first argument is the short reason that is answered."""


def number(value):
    """The id in a command, or 0 when there is none that could be answered."""
    found = value.get("id")
    if isinstance(found, int) and not isinstance(found, bool) and 0 < found <= _ID_MAX:
        return found
    return 0


def check(value, unix_ms):
    """(name, seconds, deadline in Unix ms or 0) of a command whose id is new; `unix_ms` is 0
    while the time is not known. Raises CommandError.
    """
    name, args, until = value.get("do"), value.get("args", {}), value.get("until")
    if not isinstance(name, str) or name not in NAMES.split(" "):
        raise CommandError("unknown")
    if not isinstance(args, dict) or not isinstance(until, int) or isinstance(until, bool):
        raise CommandError("args")
    seconds = args.get("s", SECONDS_DEFAULT)
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise CommandError("args")
    if not 0 < seconds <= _SECONDS_MAX:
        raise CommandError("args: s is %d, allowed 1 to %d" % (seconds, _SECONDS_MAX))
    if not unix_ms:
        if name not in HARMLESS.split(" "):
            raise CommandError(NO_CLOCK)
        return name, seconds, 0
    if unix_ms > until:
        raise CommandError("late")
    return name, seconds, until

"""What a scanned text is: a member's pass, a carton's label, or neither.

The bin checks only form and age of a pass: it holds no member's secret, so a stolen bin can forge
nobody. Whether the MAC is right is decided at the points backend.
"""

_PASS_STEP_S = 30
_PASS_STEPS_SLACK = 2  # one for phone clocks, one for the time that holding it up takes
_LABEL_CHARS_MIN = 8
_LABEL_CHARS_MAX = 40

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_STEP_DIGITS_MAX = 10


def _only(text, allowed):
    for character in text:
        if character not in allowed:
            return False
    return True


def parse_pass(text):
    """(handle, step) of a well-formed pass `BB1.<8>.<step>.<16>`, or None."""
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != "BB1":
        return None
    handle, step, mac = parts[1], parts[2], parts[3]
    if len(handle) != 8 or len(mac) != 16 or not 1 <= len(step) <= _STEP_DIGITS_MAX:
        return None
    if not (_only(handle, _CROCKFORD) and _only(mac, _CROCKFORD) and _only(step, "0123456789")):
        return None
    return handle, int(step)


def pass_is_fresh(step, unix_s):
    """Whether a pass of this step may be shown now; unknown time (0) judges nothing."""
    if unix_s == 0:
        return True
    return -_PASS_STEPS_SLACK <= unix_s // _PASS_STEP_S - step <= _PASS_STEPS_SLACK


def is_label(text):
    """Waybill numbers are letters, digits and hyphens; web addresses and passes are not labels."""
    if not _LABEL_CHARS_MIN <= len(text) <= _LABEL_CHARS_MAX:
        return False
    for c in text:
        if not ("0" <= c <= "9" or "A" <= c <= "Z" or "a" <= c <= "z" or c == "-"):
            return False
    return True

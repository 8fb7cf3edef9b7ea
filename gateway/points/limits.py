"""How often one caller may try: token buckets in memory, themselves bounded.

There is no bucket for all callers together: whoever had many addresses could keep it empty and
shut everybody out. Codes are beyond guessing without it (members.CODE_CHARS).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

_MINUTE_MS = 60_000
_IPV6_SITE_BITS = 64  # one household or phone has a whole /64, and may change within it at will
MAX_CALLERS = 10_000


class Rate:
    """At most `each` tries a minute for one caller."""

    def __init__(self, each: int) -> None:
        """Begin with full buckets."""
        self._each = each
        self._callers: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, caller: str, now_ms: int) -> bool:
        """Take one try if there is one."""
        with self._lock:
            left, at_ms = self._callers.pop(caller, (float(self._each), now_ms))
            gained = self._each * max(0, now_ms - at_ms) / _MINUTE_MS
            left = min(float(self._each), left + gained)
            allowed = left >= 1
            self._callers[caller] = (left - allowed, now_ms)
            # The longest unseen is forgotten: its bucket is the fullest.
            if len(self._callers) > MAX_CALLERS:
                self._callers.popitem(last=False)
            return allowed


def caller_at(host: str) -> str:
    """Name the caller behind an address: IPv4 as it is, IPv6 by its /64, anything else as one."""
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:  # IPv4 on a socket that takes both
        return str(address.ipv4_mapped)
    site = int(address) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS
    return f"{IPv6Address(site)}/{_IPV6_SITE_BITS}"

"""Wi-Fi: join the network, and leave it properly before joining again.

A second connect() without disconnect() fails on the ESP32 (micropython #17661), and a
wrong-password status just after an access point's restart is a false alarm, so only the time
limit decides (facts/micropython.md).
"""

import asyncio

import network

_JOIN_MS = 20_000
_LOOK_MS = 100


class Wifi:
    """The station interface."""

    def __init__(self, ssid, key):
        self._ssid = ssid
        self._key = key
        self._wlan = None  # a radio that does not start must cost the link only, not the bin

    def joined(self):
        """True while the access point holds us and we have an address."""
        return self._wlan is not None and self._wlan.isconnected()

    async def join(self):
        """Join if needed. Raises OSError when it takes longer than _JOIN_MS."""
        if self.joined():
            return
        self._wlan = network.WLAN(network.STA_IF)
        self._wlan.active(True)
        self._wlan.disconnect()
        self._wlan.connect(self._ssid, self._key)
        for _ in range(_JOIN_MS // _LOOK_MS):
            await asyncio.sleep_ms(_LOOK_MS)
            if self.joined():
                return
        self._wlan.disconnect()
        raise OSError("Wi-Fi %s not joined in %d ms" % (self._ssid, _JOIN_MS))

    def dns(self):
        """Address of the DNS server that the network told us."""
        return self._wlan.ifconfig()[3] if self._wlan else ""

    def rssi(self):
        """Signal strength in dBm, 0 when not joined."""
        try:
            return self._wlan.status("rssi") if self._wlan else 0
        except (OSError, ValueError):
            return 0

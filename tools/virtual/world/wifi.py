"""One access point, and how a station fares with it."""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.world.kernel import Kernel, Pending

IDLE = 1000
CONNECTING = 1001
GOT_IP = 1010
BEACON_TIMEOUT = 200
NO_AP_FOUND = 201
WRONG_PASSWORD = 202

JOIN_US = 900_000  # association and DHCP
SEARCH_US = 2_400_000  # a scan over all channels that finds nothing
REJOIN_US = 1_500_000  # the IDF's own reconnect after the access point is back
LOST_US = 600_000  # beacons missed until the station says so


class AccessPoint:
    """Turned on and off by the world; `report` gets the station's status and signal (dBm)."""

    def __init__(
        self, kernel: Kernel, ssid: str, key: str, report: Callable[[int, int], None]
    ) -> None:
        self.on = True
        self.rssi_dbm = -58
        self.ssid = ssid
        self._key = key
        self._kernel = kernel
        self._report = report
        self._wanted: tuple[str, str] | None = None
        self._pending: Pending | None = None
        self.status = IDLE

    def switch(self, *, on: bool) -> None:
        """The access point's own power, or its way to the world."""
        if on == self.on:
            return
        self.on = on
        if self._wanted is None:
            return
        if on:
            self._later(REJOIN_US, self._join)
        elif self.status == GOT_IP:
            self._later(LOST_US, lambda: self._say(BEACON_TIMEOUT))

    def carries(self) -> bool:
        """True while packets go through."""
        return self.on and self.status == GOT_IP

    def board_off(self) -> None:
        """The board lost its power or was reset: its radio forgets everything."""
        self._wanted = None
        self.status = IDLE
        if self._pending is not None:
            self._pending.cancel()

    def request(self, body: bytes) -> None:
        """A record of the board: 0x00 = disconnect, 0x01 ssid 0x00 key = connect."""
        if body[:1] != b"\1":
            self.board_off()
            return
        ssid, _, key = body[1:].partition(b"\0")
        self._wanted = (ssid.decode(errors="replace"), key.decode(errors="replace"))
        self.status = CONNECTING
        self._later(JOIN_US if self.on else SEARCH_US, self._join)

    def _join(self) -> None:
        if self._wanted is None:
            return
        if not self.on or self._wanted[0] != self.ssid:
            self._say(NO_AP_FOUND)
        elif self._wanted[1] != self._key:
            self._say(WRONG_PASSWORD)
        else:
            self._say(GOT_IP)

    def _say(self, status: int) -> None:
        self.status = status
        self._report(status, self.rssi_dbm if status == GOT_IP else -127)

    def _later(self, delay_us: int, action: Callable[[], None]) -> None:
        if self._pending is not None:
            self._pending.cancel()
        self._pending = self._kernel.after(delay_us, action)

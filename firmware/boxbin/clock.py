"""Time: milliseconds since start that never wrap, and the time of day with how good it is.

A bin that lost its power does not know the time: its lines say so (`none`). It gets one from NTP,
or from a technician at the console. Until then the chip's RTC is set to the latest time that is
surely past (kept in NVS each hour, or when the bin was provisioned), which is good enough to judge
whether a certificate has begun, and is never told as the time.
"""

import asyncio
import os
import socket
import time

from machine import RTC

from boxbin import nvs
from boxbin.log import log
from boxbin.resolver import resolve

_NTP_UNIX_S = 2_208_988_800  # from 1900 to 1970 (RFC 5905)
_UNIX_2000_S = 946_684_800  # MicroPython's epoch on the ESP32 is 2000
_PLAUSIBLE_S = 1_704_067_200  # 2024-01-01: what lies before that is no time of ours
_PLAUSIBLE_END_S = 4_102_444_800  # 2100-01-01
_GOOD_FOR_MS = 24 * 3600 * 1000
_QUERY_MS = 2_000
AGAIN_MS = 3_600_000
_RETRY_MS = 15_000
_LOOK_MS = 1_000
_PORT = 123
_TRUE = b"true"  # in the RTC's memory, which lives as long as the RTC: it was set by a true time


class Clock:
    """`quality` is `ntp` (asked within a day), `rtc` (kept by the chip, or typed) or `none`."""

    def __init__(self):
        self._ticks = time.ticks_ms()
        self._uptime_ms = 0
        self._offset_ms = None
        self._asked_ms = None
        rtc_s = time.time() + _UNIX_2000_S
        if RTC().memory() == _TRUE and rtc_s >= _PLAUSIBLE_S:
            self._offset_ms = rtc_s * 1000

    def uptime_ms(self):
        """Milliseconds since start; call at least every six days."""
        ticks = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._uptime_ms

    def unix_ms(self):
        """Unix time in ms, 0 when unknown."""
        return 0 if self._offset_ms is None else self._offset_ms + self.uptime_ms()

    @property
    def quality(self):
        """`ntp`, `rtc` or `none`"""
        if self._offset_ms is None:
            return "none"
        if self._asked_ms is not None and self.uptime_ms() - self._asked_ms < _GOOD_FOR_MS:
            return "ntp"
        return "rtc"

    def not_before(self, made_s):
        """The time may not be known, but it is surely not before the bin was made, nor before the
        last time that it knew.
        """
        unix_s = max(made_s, nvs.number("minutes") * 60)
        if self._offset_ms is None and time.time() + _UNIX_2000_S < unix_s < _PLAUSIBLE_END_S:
            _set_rtc(unix_s)

    def set(self, unix_ms, asked=True):
        """Take over a time that a server told just now, or a person; the RTC keeps it.

        Raises OSError when it is no time of ours.
        """
        if not _PLAUSIBLE_S * 1000 <= unix_ms < _PLAUSIBLE_END_S * 1000:
            raise OSError("that time lies in the past, or too far off: %d" % (unix_ms // 1000))
        now_ms = self.uptime_ms()
        self._asked_ms = now_ms if asked else None
        self._offset_ms = unix_ms - now_ms
        _set_rtc(unix_ms // 1000)
        RTC().memory(_TRUE)
        nvs.put("minutes", unix_ms // 60_000)

    async def ask(self, address, port):
        """Ask an NTP server once. Raises OSError when there is no sensible answer in time."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sent_ms = self.uptime_ms()
            mark = os.urandom(8)  # a server copies it: who cannot see the question cannot set us
            sock.sendto(b"\x1b" + bytes(39) + mark, socket.getaddrinfo(address, port)[0][-1])
            while self.uptime_ms() - sent_ms < _QUERY_MS:
                await asyncio.sleep_ms(20)
                try:
                    reply = sock.recv(48)
                except OSError:
                    continue  # nothing there yet
                if reply[24:32] != mark:
                    continue
                self._take(reply, (self.uptime_ms() - sent_ms) // 2)
                return
            raise OSError("no answer from %s:%d in %d ms" % (address, port, _QUERY_MS))
        finally:
            sock.close()

    def _take(self, reply, delay_ms):
        # Byte 0: leap, version, mode 4 = server; byte 1: stratum, 0 = "ask another"; the time it
        # was sent lies at 40, as seconds since 1900 and a binary fraction.
        if len(reply) < 48 or reply[0] & 7 != 4 or reply[0] >> 6 == 3 or not reply[1]:
            raise OSError("the NTP server's answer says nothing")
        seconds = int.from_bytes(reply[40:44], "big")
        fraction = int.from_bytes(reply[44:48], "big")
        if seconds < 0x80000000:
            seconds += 0x100000000  # the era after February 2036 (RFC 4330, section 3)
        self.set((seconds - _NTP_UNIX_S) * 1000 + (fraction * 1000 >> 32) + delay_ms)


async def keep(clock, identity, settings, wifi, alive):
    """Ask for the time, again and again: `ntp_host`, and when that fails the broker's host, where a
    site without a way to the internet can have an NTP server of its own.
    """
    broker = False
    while True:
        alive()
        wait_ms = _RETRY_MS
        if wifi.joined():
            host, port = settings.ntp_host or identity.ntp_host, identity.ntp_port
            if broker:
                host, port = settings.broker_host or identity.broker_host, _PORT
            try:
                await clock.ask(await resolve(host, wifi.dns()), port)
                wait_ms = AGAIN_MS
                broker = False
                log("clock", clock.quality)
            except OSError as error:
                log("clock", error)
                broker = not broker
        else:
            wait_ms = _LOOK_MS
        for _ in range(wait_ms // _LOOK_MS):
            alive()
            await asyncio.sleep_ms(_LOOK_MS)


def _set_rtc(unix_s):
    t = time.gmtime(unix_s - _UNIX_2000_S)
    RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))

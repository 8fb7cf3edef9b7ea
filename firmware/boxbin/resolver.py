"""Host names to addresses without blocking: `socket.getaddrinfo` stops every task on an ESP32 for
as long as a DNS server is silent.

Asked anew at each connect, so that a broker may move. Nothing is kept.
"""

import asyncio
import os
import socket
import time

from boxbin.core import dns

TRIES = 3
_TRY_MS = 2_000
_LOOK_MS = 20


async def resolve(host, server):
    """The address of `host` as text, asked of the DNS server at the address `server`.

    Addresses are passed through; names that only mDNS or the chip itself knows (`.local`,
    `localhost`) are left to the chip. Raises OSError.
    """
    if dns.is_address(host):
        return host
    if host == "localhost" or host.endswith(".local"):
        found = socket.getaddrinfo(host, 0)
        if not found:
            raise OSError("%s: no address" % host)
        return found[0][-1][0]
    why = "no answer of %s in %d ms" % (server, TRIES * _TRY_MS)
    for _ in range(TRIES):
        number = int.from_bytes(os.urandom(2), "big")
        try:
            asked = dns.question(number, host)
            packet = await _ask(server, asked)
            if packet:
                return dns.answer(number, asked, packet)
        except dns.DnsError as error:
            why = str(error)
    raise OSError("%s: %s" % (host, why))


async def _ask(server, asked):
    """One answer, or None when none came in time. Raises OSError when there is no way there."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.sendto(asked, socket.getaddrinfo(server, dns.PORT)[0][-1])
        began = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), began) < _TRY_MS:
            await asyncio.sleep_ms(_LOOK_MS)
            try:
                packet = sock.recv(dns.ANSWER_BYTES_MAX)
            except OSError:
                continue  # nothing there yet
            if packet[:2] == asked[:2]:
                return packet
        return None
    finally:
        sock.close()

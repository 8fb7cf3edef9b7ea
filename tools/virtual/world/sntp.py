"""A small SNTP server on loopback: where the bin on this machine gets its time from."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

UNIX_TO_NTP_S = 2_208_988_800
PACKET_BYTES = 48
STRATUM = 1
CLIENT_MODE, SERVER_MODE = 3, 4


def answer(request: bytes, unix_us: int) -> bytes | None:
    """The server's packet for a client's, or None when `request` is not one."""
    if len(request) < PACKET_BYTES or request[0] & 7 != CLIENT_MODE:
        return None
    version = request[0] >> 3 & 7
    stamp = _stamp(unix_us)
    head = struct.pack(
        ">BBbbII4s", version << 3 | SERVER_MODE, STRATUM, request[2], -20, 0, 0, b"LOCL"
    )
    origin = request[40:48]
    return head + stamp + origin + stamp + stamp


def _stamp(unix_us: int) -> bytes:
    seconds, us = divmod(unix_us, 1_000_000)
    return struct.pack(">II", (seconds + UNIX_TO_NTP_S) & 0xFFFFFFFF, (us << 32) // 1_000_000)


class SntpServer:
    """Owns the socket; its owner calls serve() when the socket is readable."""

    def __init__(self, clock_us: Callable[[], int], host: str = "127.0.0.1") -> None:
        self._clock_us = clock_us
        self._host = host
        self.on = True
        self.answered = 0
        self.socket: socket.socket
        self.port = 0

    def open(self) -> None:
        """Take a free port; `port` then says which."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((self._host, 0))
        self.port = self.socket.getsockname()[1]

    def serve(self) -> None:
        """Answer one packet, if one is there."""
        try:
            request, peer = self.socket.recvfrom(512)
        except (BlockingIOError, ConnectionError):
            return
        reply = answer(request, self._clock_us()) if self.on else None
        if reply is not None:
            self.socket.sendto(reply, peer)
            self.answered += 1

    def close(self) -> None:
        """Give the port back."""
        self.socket.close()

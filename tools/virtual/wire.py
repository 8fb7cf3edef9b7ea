"""The world's end of the link to the emulated board: frames, records and events.

The other end is ``overlay/_link.py``; the protocol is drawn in README.md. Numbers are
little-endian. Board to world: ``u32 length, u64 now_us, u64 until_us``, then records; world to
board: ``u32 length, u64 now_us``, then events, and zeros up to FIRST_BYTES, so that the board reads
most frames in one go. A record or event is ``u8 kind, u16 length, body``.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_FRAME_BYTES = 4096
UP_HEADER = struct.Struct("<IQQ")
DOWN_HEADER = struct.Struct("<IQ")
FIRST_BYTES = 24
PART_HEADER = struct.Struct("<BH")


class LinkError(Exception):
    """The board sent something that is not a frame."""


class Record(enum.IntEnum):
    """What the board tells the world."""

    PIN = 1
    I2C = 2
    UART_TX = 3
    UART_INIT = 4
    PWM = 5
    PIXELS = 6
    WDT = 7
    FEED = 8
    RESET = 9
    WIFI = 10
    RTC = 11
    STATS = 12
    NOTE = 13
    CUT = 14
    NET_OPEN = 20
    NET_SEND = 21
    NET_READ = 22
    NET_CLOSE = 23
    NET_DATAGRAM = 24
    NET_NAME = 25
    RTC_MEMORY = 30


class Event(enum.IntEnum):
    """What the world tells the board."""

    SAMPLE = 1
    RX = 2
    LEVEL = 3
    WIFI = 4
    CUT = 5
    I2C = 6
    TYPED = 7
    ECHO = 15
    NET_OPENED = 20
    NET_DATA = 21
    NET_ACK = 22
    NET_CLOSED = 23
    NET_DATAGRAM = 24
    NET_NAME = 25


@dataclass(frozen=True)
class Frame:
    """One frame of the board: its clock, how far it lets time pass (0: not asked), its records."""

    now_us: int
    until_us: int
    records: tuple[tuple[int, bytes], ...]


def hello(values: dict[str, Any]) -> bytes:
    """The greeting the board reads before anything else."""
    body = json.dumps(values).encode()
    return struct.pack("<I", len(body)) + body


def down(now_us: int, events: list[tuple[int, bytes]]) -> bytes:
    """One frame for the board."""
    body = b"".join(PART_HEADER.pack(kind, len(data)) + data for kind, data in events)
    return (DOWN_HEADER.pack(len(body) + 8, now_us) + body).ljust(FIRST_BYTES, b"\0")


class UpReader:
    """Cuts the bytes of the board into frames, however they were split on the way."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that is complete now; raises LinkError."""
        self._buffer += data
        while len(self._buffer) >= UP_HEADER.size:
            length, now_us, until_us = UP_HEADER.unpack_from(self._buffer)
            if not UP_HEADER.size - 4 <= length <= MAX_FRAME_BYTES:
                raise LinkError(f"frame of {length} bytes, allowed are {MAX_FRAME_BYTES}")
            if len(self._buffer) < length + 4:
                return
            records = tuple(_parts(bytes(self._buffer[UP_HEADER.size : length + 4])))
            del self._buffer[: length + 4]
            yield Frame(now_us, until_us, records)


def _parts(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        kind, size = PART_HEADER.unpack_from(body, at)
        at += PART_HEADER.size
        if at + size > len(body):
            raise LinkError(f"record {kind} says {size} bytes, {len(body) - at} are left")
        yield kind, body[at : at + size]
        at += size

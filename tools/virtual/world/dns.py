"""DNS packets (RFC 1035) of a small server: one question of class IN, IPv4 addresses only."""

from __future__ import annotations

import struct

HEAD_BYTES = 12
LEAST_BYTES = 17  # a head and the shortest question
ADDRESS = b"\0\1\0\1"  # type A, class IN
TTL_S = 60


def name_of(packet: bytes) -> str | None:
    """The name that is asked for, in lower case; None when `packet` is no question."""
    end = _end(packet)
    if end is None:
        return None
    labels, at = [], HEAD_BYTES
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode(errors="replace"))
        at += 1 + packet[at]
    return ".".join(labels).lower()


def answer(packet: bytes, ip: int | None) -> bytes | None:
    """The answer to a question: that address, or "no such name"."""
    end = _end(packet)
    if end is None:
        return None
    question = packet[HEAD_BYTES:end]
    if not ip or question[-4:] != ADDRESS:
        return packet[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + question
    head = packet[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
    return head + question + b"\xc0\x0c" + ADDRESS + struct.pack(">IHI", TTL_S, 4, ip)


def _end(packet: bytes) -> int | None:
    """Where the question ends; None when there is none that is whole."""
    if len(packet) < LEAST_BYTES or packet[2] & 0x80:
        return None
    at = HEAD_BYTES
    while at < len(packet) and packet[at]:
        at += 1 + packet[at]
    return at + 5 if at + 5 <= len(packet) else None

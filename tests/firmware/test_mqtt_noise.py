"""Ten million bytes of noise through the MQTT parser, on the interpreter and in the heap of a bin.

Five tests of two million, so that they run beside each other; each has a seed of its own. A parser
that raised is thrown away, as the client does: the next connection has one of its own. After every hundred thousand bytes a good conversation is read, cut at random, and at the end no
more is allocated than after the first hundred thousand. `BOXBACK_NOISE=n` makes n times as many.
"""

import gc
import os
import random

from boxbin.core import mqtt

ROUNDS = 20 * int(os.getenv("BOXBACK_NOISE") or "1")
ROUND_BYTES = 100_000
BUFFER_BYTES = 2048
GREW_BYTES_MAX = 256

RECEIPT = mqtt.publish("boxback/1/3f/B-7K2QM/receipt", b"m" * 22 + b' {"e":"5f3a9c01","n":42}', 9)
OUTCOME = mqtt.publish("boxback/1/3f/B-7K2QM/outcome", b"m" * 22 + b' {"n":42,"points":5}')
SETTINGS = mqtt.publish("boxback/1/3f/B-7K2QM/settings", b"s" * 700, 65535, True, True)
PACKETS = (
    b"\x20\x02\x01\x00",
    b"\x90\x04\x00\x01\x01\x00",
    RECEIPT,
    OUTCOME,
    b"\x40\x02\x12\x34",
    b"\xd0\x00",
    SETTINGS,
)
READ = [
    (mqtt.CONNACK, True, 0),
    (mqtt.SUBACK, 1, b"\x01\x00"),
    (
        mqtt.PUBLISH,
        "boxback/1/3f/B-7K2QM/receipt",
        b"m" * 22 + b' {"e":"5f3a9c01","n":42}',
        9,
        False,
    ),
    (mqtt.PUBLISH, "boxback/1/3f/B-7K2QM/outcome", b"m" * 22 + b' {"n":42,"points":5}', 0, False),
    (mqtt.PUBACK, 0x1234),
    (mqtt.PINGRESP,),
    (mqtt.PUBLISH, "boxback/1/3f/B-7K2QM/settings", b"s" * 700, 65535, True),
]


def below(limit):
    return random.getrandbits(16) % limit


def pure(buffer):
    """Any bytes at all."""
    for i in range(0, len(buffer) - 2, 3):
        value = random.getrandbits(24)
        buffer[i] = value & 0xFF
        buffer[i + 1] = value >> 8 & 0xFF
        buffer[i + 2] = value >> 16


def fill(buffer, make):
    at = 0
    while at < len(buffer):
        piece = make()
        piece = piece[: len(buffer) - at]
        buffer[at : at + len(piece)] = piece
        at += len(piece)


def mutated(buffer):
    """A real conversation in which one packet of twelve has a wrong bit, byte, or end."""

    def make():
        packet = bytearray(PACKETS[below(len(PACKETS))])
        what = below(36)
        if what == 0:
            packet[below(len(packet))] ^= 1 << below(8)
        elif what == 1:
            packet[below(min(6, len(packet)))] = below(256)
        elif what == 2:
            packet = packet[: 1 + below(len(packet))]
        return packet

    fill(buffer, make)


def partial(buffer):
    """Beginnings that promise more than comes: heads, lengths with no end, topics too long."""

    def make():
        piece = bytearray(8)
        pure(piece)
        piece[0] = (0x30, 0x31, 0x32, 0x33, 0x3A, 0x90, 0x40, 0x20)[below(8)]
        if below(2):
            piece[1] = 0x80 | below(128)
            piece[2] = below(80)
        if below(2):
            piece[3 + below(2)] = 0
        return piece[: 1 + below(8)]

    fill(buffer, make)


def good(buffer):
    """Nothing wrong but that it was cut off somewhere before."""
    fill(buffer, lambda: PACKETS[below(len(PACKETS))])


def connection(kind, buffer):
    """One connection's bytes up to its first error: (bytes, packets, errors, most held)."""
    parser = mqtt.Parser()
    fed = packets = held = 0
    for _ in range(1 + below(8)):
        kind(buffer)
        at = 0
        while at < len(buffer):
            piece = memoryview(buffer)[at : at + 1 + below(below(2) * 504 + 8)]
            at += len(piece)
            fed += len(piece)
            try:
                packets += len(parser.feed(piece))
            except mqtt.MqttError:
                return fed, packets, 1, held
            held = max(held, len(parser._buffer))
    return fed, packets, 0, held


def noise(seed, *kinds):
    random.seed(seed)
    buffer = bytearray(BUFFER_BYTES)
    sums = [0, 0, 0]
    longest = 0
    for turn in range(ROUNDS):
        kind = kinds[turn % len(kinds)]
        end = sums[0] + ROUND_BYTES
        while sums[0] < end:
            got = connection(kind, buffer)
            for i in range(3):
                sums[i] += got[i]
            longest = max(longest, got[3])
        assert longest < mqtt.PACKET_BYTES_MAX + 5
        assert read_in_pieces(b"".join(PACKETS)) == READ
        if turn == 0:
            before = used()
    grew = used() - before
    print("%d bytes, %d packets, %d errors" % tuple(sums), "longest", longest, "heap", grew)
    assert sums[0] >= ROUNDS * ROUND_BYTES
    assert sums[2] > ROUNDS
    assert grew <= GREW_BYTES_MAX, grew


def read_in_pieces(data):
    parser = mqtt.Parser()
    found = []
    at = 0
    while at < len(data):
        size = 1 + below(40)
        found += parser.feed(data[at : at + size])
        at += size
    assert len(parser._buffer) == 0
    return found


def used():
    gc.collect()
    return gc.mem_alloc()


def test_noise_1():
    noise(11, pure)


def test_noise_2():
    noise(12, mutated)


def test_noise_3():
    noise(13, partial, pure)


def test_noise_4():
    noise(14, mutated, partial)


def test_noise_5():
    noise(15, mutated, good, partial, pure)

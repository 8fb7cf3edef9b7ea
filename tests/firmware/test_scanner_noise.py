"""Ten million bytes of noise through the scanner's stream, on the interpreter and in the heap of a bin.

Five tests of two million, so that they run beside each other; each has a seed of its own. After
every hundred thousand bytes a good code is read, and at the end no more is allocated than after
the first hundred thousand.
"""

import gc
import random

from boxbin.drivers import frames

ROUNDS = 20
ROUND_BYTES = 100_000
GREW_BYTES_MAX = 256  # counters that have become large integers
PIECES = (
    b"\x02",
    b"\x02\x00",
    b"\x02\x00\x00\x10",
    b"\x02\x00\x10",
    b"\x02\x02\x00\x02\x00\x00",
    b"\x02\x00\x00\x01\x3e\xe4",
    b"\x02\x00\x00\x01\x3e\xe4\xac",
    b"\x02\x00\x00\x01\x00\x33\x31",
    b"SF1234567890",
    b"BB1.7K2QM0AB.56604004.ABCDEFGHJKMNPQRS",
    b"\r",
    b"\n",
    b"\x00",
    b"\xff" * 8,
    b"x" * 40,
)


def pure(buffer):
    """Any bytes at all."""
    for i in range(0, len(buffer), 2):
        value = random.getrandbits(16)
        buffer[i] = value & 0xFF
        buffer[i + 1] = value >> 8
    return buffer


def pieces(buffer):
    """Halves of frames and codes, storms of 02, ends of line where nobody expects them."""
    at = 0
    while at < len(buffer):
        piece = PIECES[random.getrandbits(8) % len(PIECES)]
        for byte in piece[: 1 + random.getrandbits(8) % len(piece)]:
            if at < len(buffer):
                buffer[at] = byte
                at += 1
    return buffer


def flood(buffer):
    """Printable characters that never end; now and then what may be the start of a reply."""
    for i in range(len(buffer)):
        buffer[i] = 0x20 + random.getrandbits(8) % 95
    if random.getrandbits(2) == 0:
        buffer[random.getrandbits(6)] = 0x02
    return buffer


def noise(seed, *kinds):
    random.seed(seed)
    stream = frames.Stream()
    buffer = bytearray(128)  # as many as the driver reads at once
    fed = scans = replies = 0
    for turn in range(ROUNDS):
        kind = kinds[turn % len(kinds)]
        end = fed + ROUND_BYTES
        while fed < end:
            for event in stream.feed(kind(buffer)):
                if event[0] == "scan":
                    scans += 1
                    assert 0 < len(event[1]) <= frames.TEXT_BYTES_MAX, event
                else:
                    replies += 1
                    assert event[0] == "reply" and len(event[2]) <= frames.REPLY_BYTES_MAX, event
            fed += len(buffer)
            assert len(stream._text) <= frames.TEXT_BYTES_MAX
            assert len(stream._held) < frames.HELD_BYTES_MAX
        stream.quiet()
        assert stream.feed(b"GOOD-%d\r" % turn) == [("scan", "GOOD-%d" % turn)]
        if turn == 0:
            before = used()
    grew = used() - before
    print(
        "%d bytes, %d dropped, %d codes, %d replies, heap %+d"
        % (fed, stream.dropped, scans, replies, grew)
    )
    assert fed >= ROUNDS * ROUND_BYTES
    assert grew <= GREW_BYTES_MAX, grew


def used():
    gc.collect()
    return gc.mem_alloc()


def test_noise_1():
    noise(1, pure)


def test_noise_2():
    noise(2, pure)


def test_noise_3():
    noise(3, pure, pieces)


def test_noise_4():
    noise(4, pieces)


def test_noise_5():
    noise(5, flood, pieces, pure)

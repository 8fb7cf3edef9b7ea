"""Ten million bytes of noise through the console, on the interpreter and in the heap of a bin.

Five tests of two million, so that they run beside each other; each has a seed of its own. Whatever
comes out goes through `answer` to a bin that notes what it is told to do. After every hundred
thousand bytes a command is answered, and at the end no more is allocated than after the first
hundred thousand. `BOXBACK_NOISE=n` makes n times as many.
"""

import gc
import os
import random

from boxbin.core import console

ROUNDS = 20 * int(os.getenv("BOXBACK_NOISE") or "1")
ROUND_BYTES = 100_000
GREW_BYTES_MAX = 256
CODE = "BBC1.0123456789ABCDEF"
PIECES = (
    b"help", b"status", b"faults", b"boots", b"settings", b"clock 1795000000", b"restart", b"open 5",
    b"collect", b"key BBC1.0123456789ABCDEX", b"key ", b" ", b"9" * 12, b"\r", b"\n", b"\r\n",
    b"\x08", b"\x7f", b"\x1b", b"\x1b[A", b"\x00", b"\xff" * 5, b"\xc3\xa9", b"x" * 40, b"\t",
)  # fmt: skip


def pure(buffer):
    """Any bytes at all."""
    for i in range(0, len(buffer) - 2, 3):
        value = random.getrandbits(24)
        buffer[i] = value & 0xFF
        buffer[i + 1] = value >> 8 & 0xFF
        buffer[i + 2] = value >> 16


def printable(buffer):
    """Characters, and an end of line now and then."""
    pure(buffer)
    for i in range(len(buffer)):
        buffer[i] = 0x20 + buffer[i] % 95
    for _ in range(len(buffer) // 64):
        buffer[random.getrandbits(16) % len(buffer)] = 0x0D


def endless(buffer):
    """Characters and no end of line, for ever."""
    pure(buffer)
    for i in range(len(buffer)):
        buffer[i] = 0x20 + buffer[i] % 95


def commands(buffer):
    """Commands whole, cut off and run together."""
    at = 0
    while at < len(buffer):
        piece = PIECES[random.getrandbits(8) % len(PIECES)]
        if random.getrandbits(1):
            piece = piece[: 1 + random.getrandbits(8) % len(piece)]
        piece = piece[: len(buffer) - at]
        buffer[at : at + len(piece)] = piece
        at += len(piece)


class Desk:
    def __init__(self):
        self.told = self.acts = 0

    def tell(self, word):
        assert word in console.TOLD
        self.told += 1
        return (("a", 1), ("b", "2"))

    def act(self, word, value):
        self.acts += 1
        if word == "clock":
            assert console.UNIX_S_MIN <= value <= console.UNIX_S_MAX
        else:
            assert word == "restart", word  # the others want the key
        return "done"


def noise(seed, *kinds):
    random.seed(seed)
    desk = Desk()
    lines = console.Lines()
    lock = console.Lock(CODE)
    buffer = bytearray(256)
    fed = answers = now_ms = 0
    for turn in range(ROUNDS):
        kind = kinds[turn % len(kinds)]
        end = fed + ROUND_BYTES
        while fed < end:
            kind(buffer)
            for words in lines.feed(buffer):
                now_ms += 1_000
                text = console.answer(words, lock, now_ms, desk.tell, desk.act)
                assert 0 < len(text) < 200, text
                answers += 1
            fed += len(buffer)
            assert len(lines._line) <= console.LINE_BYTES_MAX
            assert len(lines.echo) <= 3 * len(buffer)
        assert lines.feed(b"\rhelp\r")[-1] == ["help"]
        if turn == 0:
            before = used(lines)
    grew = used(lines) - before
    print("%d bytes, %d answers, %d told, %d done" % (fed, answers, desk.told, desk.acts), grew)
    assert fed >= ROUNDS * ROUND_BYTES
    assert not lock.is_open(now_ms)
    assert grew <= GREW_BYTES_MAX, grew


def used(lines):
    lines.echo = ""
    gc.collect()
    return gc.mem_alloc()


def test_noise_1():
    noise(21, pure)


def test_noise_2():
    noise(22, printable)


def test_noise_3():
    noise(23, endless, pure)


def test_noise_4():
    noise(24, commands)


def test_noise_5():
    noise(25, commands, printable, endless, pure)

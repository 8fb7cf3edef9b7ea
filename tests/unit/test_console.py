"""The bin's console at a real pipe: it answers, it keeps the secret, and it starves nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.technician.build import build_firmware

MICROPYTHON = Path(sys.executable).with_name("micropython")
CODE = "BBC1.0123456789ABCDEF"
ENOUGH_S = 20.0

# Beside the console runs a task that wants its turn every 10 ms, as the scale does.
SCRIPT = """
import asyncio, gc, sys, time
gc.threshold(8 * 1024)
from boxbin import console

turns = [0]

def tell(word):
    if word == "boots":
        raise ValueError("broken")
    return (("turns", turns[0]), ("heap", gc.mem_alloc()))

def act(word, value):
    if word == "restart":
        sys.exit(0)
    return "%s %d done" % (word, value)

async def other():
    while True:
        turns[0] += 1
        if turns[0] % 50 == 0:
            print("still here")
        await asyncio.sleep_ms(10)

async def main():
    asyncio.create_task(other())
    await console.run("BBC1.0123456789ABCDEF", time.ticks_ms, tell, act)

asyncio.run(main())
"""


class Terminal:
    """The technician's end of the wire."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self.shown = b""

    def type(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for(self, words: bytes) -> bytes:
        """What was shown up to the end of the line with `words`; the rest stays."""
        assert self.process.stdout is not None
        end = time.monotonic() + ENOUGH_S
        while words not in self.shown or b"\n" not in self.shown.split(words, 1)[1]:
            assert time.monotonic() < end, self.shown
            assert self.process.poll() is None, self.shown
            self.shown += self.process.stdout.read() or b""
            time.sleep(0.005)
        before, after = self.shown.split(words, 1)
        rest, self.shown = after.split(b"\n", 1)
        return before + words + rest

    def turns(self) -> int:
        self.type(b"\rstatus\r")
        return int(self.wait_for(b"turns ").split(b"turns ")[1].split()[0])


@contextmanager
def running() -> Iterator[Terminal]:
    process = subprocess.Popen(
        [str(MICROPYTHON), "-X", "heapsize=192K", "-c", SCRIPT],
        env=dict(os.environ, MICROPYPATH=f"{build_firmware()}:.frozen"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Terminal(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with running() as found:
        yield found


def test_it_answers_and_echoes(terminal: Terminal) -> None:
    terminal.type(b"hel")
    terminal.type(b"p\r\n")
    assert b"help" in terminal.wait_for(b"with the key: key <code>")
    terminal.type(b"fly\r")
    terminal.wait_for(b"fly: unknown, try help")
    terminal.type(b"clock 1795000000\n")
    terminal.wait_for(b"clock 1795000000 done")


def test_a_command_that_fails_does_not_end_it(terminal: Terminal) -> None:
    terminal.type(b"boots\r")
    terminal.wait_for(b"console: ValueError('broken'")
    assert terminal.turns() > 0


def test_the_key_is_not_shown(terminal: Terminal) -> None:
    terminal.type(b"open 5\r")
    terminal.wait_for(b"first: key")
    terminal.type(b"key " + CODE.encode() + b"\r")
    shown = terminal.wait_for(b"open for 5 minutes")
    assert CODE[:8].encode() not in shown
    assert b"key " + b"*" * len(CODE) in shown
    terminal.type(b"open 5\r")
    terminal.wait_for(b"open 5 done")


@pytest.mark.parametrize("flood", [b"x", b"\xff\x00", b"help\r", b"\r\n"], ids=repr)
def test_a_flood_starves_nobody(terminal: Terminal, flood: bytes) -> None:
    """A full pipe for as long as it is looked at: the other task gets its turns all the same."""
    assert terminal.process.stdin is not None
    os.set_blocking(terminal.process.stdin.fileno(), False)
    pipe_full = False
    for _ in range(3):
        try:
            while True:
                os.write(terminal.process.stdin.fileno(), flood * (4096 // len(flood)))
        except BlockingIOError:
            pipe_full = True
        terminal.wait_for(b"still here")
    assert pipe_full


def test_a_port_with_no_other_end_is_no_reason_to_stop(terminal: Terminal) -> None:
    assert terminal.process.stdin is not None
    terminal.process.stdin.close()
    terminal.process.stdin = None  # or `communicate` would close it again
    for _ in range(2):
        terminal.wait_for(b"still here")

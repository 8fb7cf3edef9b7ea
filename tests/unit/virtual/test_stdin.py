"""Typing on the serial console: both clocks, both ways to read, and no cost while nobody types."""

from __future__ import annotations

import pytest

from tests.support.virtual import said, scripted

STREAM = """
import asyncio, sys, time
async def console():
    reader = asyncio.StreamReader(sys.stdin)
    line = ''
    while True:
        c = await reader.read(1)
        if c == '\\n':
            print('got', line)
            line = ''
        else:
            line += c
async def main():
    asyncio.create_task(console())
    print('ready')
    while True:
        await asyncio.sleep_ms(700)
asyncio.run(main())
"""
POLL = """
import select, sys
p = select.poll()
p.register(sys.stdin, select.POLLIN)
print('ready')
line = ''
while True:
    if not p.poll(700):
        continue
    c = sys.stdin.read(1)
    if c == '\\n':
        print('got', line)
        line = ''
    else:
        line += c
"""


@pytest.mark.parametrize("virtual_time", [True, False], ids=["virtual", "real"])
@pytest.mark.parametrize("main", [STREAM, POLL], ids=["stream", "poll"])
def test_what_is_typed_is_read(tmp_path, main, virtual_time):
    with scripted(tmp_path, main, virtual_time=virtual_time) as bin_:
        bin_.wait_for_console("ready", 20)
        bin_.type("sta")
        bin_.type("tus\nécran\n")
        bin_.wait_for_console("got écran", 20)
        assert said(bin_) == ["ready", "got status", "got écran"]


def test_equal_typing_gives_equal_logs(tmp_path):
    logs = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        with scripted(tmp_path / run, STREAM) as bin_:
            bin_.advance(1234)
            bin_.type("a\n")
            bin_.advance(2000)
            assert said(bin_)[-1] == "got a"
            logs.append(bin_.log())
    assert logs[0] == logs[1]


def test_a_console_that_is_listened_to_lets_virtual_time_jump(tmp_path):
    with scripted(tmp_path, STREAM) as bin_:
        bin_.wait_for_console("ready", 20)
        bin_.advance(3_600_000)  # at the pace of a real socket this takes three minutes
        bin_.type("still here\n")
        bin_.wait_for_console("got still here", 5)
        with bin_.engine.lock:
            frames = bin_.engine.frames
        assert frames < 60_000, "somebody spins"


def test_what_nobody_reads_is_lost_and_blocks_nobody(tmp_path):
    with scripted(tmp_path, "import time\nprint('ready')\ntime.sleep(1000)") as bin_:
        bin_.wait_for_console("ready", 20)
        for _ in range(30):
            bin_.type("x" * 60_000)
            bin_.advance(10)
        assert bin_.state() == "running"

"""Resets, watchdog, clock, power: what the chip remembers and what it does not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.virtual import run_to_end, said, scripted
from tools.technician.build import ROOT, build_firmware
from tools.virtual.process import FIRMWARE_HEAP_KB, HEAP, HEAP_KB, NAMES_HEAP_KB, OBJECTS_HEAP_KB

# Tables of 20, 40, 80 … 640 names: each is twice the one before (MicroPython's py/qstr.c).
FIRMWARE_NAMES_MAX = 1260


def test_an_unfed_watchdog_resets_and_says_so(tmp_path):
    main = """
import machine, time
print('cause', machine.reset_cause())
w = machine.WDT(timeout=2000)
if machine.reset_cause() != machine.WDT_RESET:
    for i in range(5):
        time.sleep(1)
        w.feed()
    print('sleeping')
    time.sleep(30)
    print('never')
time.sleep(1)
"""
    with scripted(tmp_path, main) as bin_:
        bin_.wait_for_console("cause 3", 20)
        assert said(bin_) == ["cause 1", "sleeping", "cause 3"]
        resets = [t for t, text in bin_.log() if text == "watchdog"]
        assert resets[0] // 1000 in range(7000, 7003)


def test_a_program_that_ended_is_reset_by_its_watchdog(tmp_path):
    main = """
import machine
print('cause', machine.reset_cause())
if machine.reset_cause() == 1:
    machine.WDT(timeout=1000)
"""
    with scripted(tmp_path, main) as bin_:
        bin_.wait_for_console("cause 3", 10)
        bin_.wait_for_state("halted", 10)


def test_a_busy_loop_that_looks_at_the_clock_meets_the_watchdog(tmp_path):
    main = """
import machine, time
print('cause', machine.reset_cause())
if machine.reset_cause() == 1:
    machine.WDT(timeout=300)
    while True:
        time.ticks_ms()
        machine.Pin(33, machine.Pin.IN).value()
"""
    with scripted(tmp_path, main) as bin_:
        bin_.wait_for_console("cause 3", 10)


def test_real_time_watchdog(tmp_path):
    main = """
import machine, time
print('cause', machine.reset_cause())
if machine.reset_cause() == 1:
    machine.WDT(timeout=300)
    while True:
        pass
"""
    with scripted(tmp_path, main, virtual_time=False) as bin_:
        bin_.wait_for_console("cause 3", 20)


def test_reset_runs_no_finally_and_keeps_the_clock(tmp_path):
    main = """
import machine, time
cause = machine.reset_cause()
if cause == machine.PWRON_RESET:
    print('fresh', time.gmtime()[:3])
    machine.RTC().datetime((2026, 11, 24, 1, 12, 0, 0, 0))
    try:
        machine.reset()
    finally:
        print('finally')
print('cause', cause, time.gmtime()[:4], type(time.time()))
"""
    lines = run_to_end(scripted(tmp_path, main))
    assert lines == ["fresh (2000, 1, 1)", "cause 2 (2026, 11, 24, 12) <class 'int'>"]


def test_a_power_cut_forgets_the_clock(tmp_path):
    main = """
import machine, time
print(time.gmtime()[0])
machine.RTC().datetime((2026, 11, 24, 1, 12, 0, 0, 0))
time.sleep(100)
"""
    with scripted(tmp_path, main) as bin_:
        bin_.advance(1000)
        bin_.power_off()
        assert bin_.state() == "off"
        bin_.power_on()
        bin_.advance(1000)
        assert said(bin_) == ["2000", "2000"]


def test_time_has_the_epoch_and_the_wrap_of_the_chip(tmp_path):
    main = """
import time
print(time.mktime((2000, 1, 1, 0, 0, 0, 0, 0)), time.mktime((2026, 11, 24, 12, 30, 15, 0, 0)))
print(time.gmtime(0)[:6], len(time.gmtime()))
a = time.ticks_ms()
time.sleep(40)
b = time.ticks_ms()
print(a > b, time.ticks_diff(b, a), time.ticks_add(a, 40000) - b)
"""
    lines = run_to_end(scripted(tmp_path, main), 60)
    assert lines[0] == "0 848838615"
    assert lines[1] == "(2000, 1, 1, 0, 0, 0) 8"
    wrapped, difference, rest = lines[2].split()
    assert wrapped == "True"
    assert int(difference) in (40000, 40001)
    assert abs(int(rest)) <= 1


def test_asyncio_crosses_the_wrap(tmp_path):
    main = """
import asyncio, time
async def tick(n):
    for i in range(n):
        await asyncio.sleep_ms(500)
    return n
async def main():
    t = asyncio.create_task(tick(80))
    try:
        await asyncio.wait_for(tick(7200), 45)
    except asyncio.TimeoutError:
        print('timeout')
    print(t.done(), await t, await asyncio.gather(tick(1), tick(2)))
    t = asyncio.create_task(tick(1000))
    await asyncio.sleep(0)
    t.cancel()
    try:
        await t
    except asyncio.CancelledError:
        print('cancelled')
asyncio.run(main())
"""
    lines = run_to_end(scripted(tmp_path, main), 120)
    assert lines == ["timeout", "True 80 [1, 2]", "cancelled"]


def test_an_hour_of_sleep_is_short_and_equal_seeds_give_equal_logs(tmp_path):
    main = """
import asyncio, machine, os, random
dout = machine.Pin(19, machine.Pin.IN)
sck = machine.Pin(18, machine.Pin.OUT, value=0)
lamp = machine.PWM(machine.Pin(25), freq=1000, duty_u16=0)
flag = asyncio.ThreadSafeFlag()
dout.irq(lambda p: flag.set(), machine.Pin.IRQ_FALLING)
async def scale():
    while True:
        await flag.wait()
        if dout():
            continue
        v = 0
        for i in range(24):
            sck(1); v = v << 1 | dout(); sck(0)
        sck(1); sck(0)
        if v & 63 == 0:
            lamp.duty_u16(v & 0xffff)
async def main():
    t = asyncio.create_task(scale())
    lamp.duty_u16(os.urandom(1)[0] + random.getrandbits(8))
    await asyncio.sleep(3600)
    print('slept')
asyncio.run(main())
"""
    logs = []
    for seed in (7, 7, 8):
        folder = tmp_path / f"run{len(logs)}"
        folder.mkdir()
        bin_ = scripted(folder, main, seed=seed)
        with bin_:
            bin_.advance(3_601_000)
            assert said(bin_) == ["slept"]
            logs.append(bin_.log())
    assert len(logs[0]) > 100
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_a_killed_interpreter_is_a_halted_bin(tmp_path):
    with scripted(tmp_path, "import time\nprint('up')\ntime.sleep(1000)") as bin_:
        bin_.wait_for_console("up", 10)
        with bin_.engine.lock:
            pid = bin_.engine._child.process.pid
        os.kill(pid, signal.SIGKILL)
        bin_.wait_for(lambda: bin_.state() == "halted", 10)


ORPHAN = """
import pathlib, sys, time
from tests.support.virtual import scripted
with scripted(pathlib.Path(sys.argv[1]), "while True: pass", virtual_time=False) as bin_:
    bin_.wait_for_state("running", 20)
    print(bin_.engine._child.process.pid, flush=True)
    time.sleep(100)
"""


def test_a_killed_parent_leaves_no_bin_behind(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    with parent:
        child = int(parent.stdout.readline())
        deadline = time.monotonic() + 20
        # The kernel fills in the command line a moment after the program was started.
        while b"interpreter.py" not in Path(f"/proc/{child}/cmdline").read_bytes():
            assert time.monotonic() < deadline, "the bin has not started"
            time.sleep(0.01)
        parent.kill()
    while Path(f"/proc/{child}/cmdline").exists():
        if b"interpreter.py" not in Path(f"/proc/{child}/cmdline").read_bytes():
            break  # a zombie whose reaper is slow has no command line
        assert time.monotonic() < deadline, "the bin outlived its parent"
        time.sleep(0.01)


def test_an_exception_is_on_the_console(tmp_path):
    lines = run_to_end(scripted(tmp_path, "print('before')\n1 / 0\n"))
    assert lines[0] == "before"
    assert lines[-1] == "ZeroDivisionError: divide by zero"


def test_the_host_cannot_be_reached(tmp_path):
    main = """
import os, sys
print(os.listdir('/'), hasattr(os, 'system'), hasattr(os, 'getenv'))
try:
    open('/etc/passwd')
except OSError as e:
    print(e.errno)
"""
    assert run_to_end(scripted(tmp_path, main)) == ["['main.py'] False False", "2"]


def test_the_firmware_gets_no_more_than_its_own_heap(tmp_path):
    """What is free for a program is at most 192 KB: the overlay takes all of its extra share."""
    main = "import gc\ngc.collect()\nprint(gc.mem_free())"
    free = int(run_to_end(scripted(tmp_path, main))[0])
    assert f"{HEAP_KB}K" == HEAP
    own = free - (NAMES_HEAP_KB + OBJECTS_HEAP_KB) * 1024
    assert own <= (FIRMWARE_HEAP_KB - 8) * 1024  # asyncio and the mount are the firmware's
    assert own >= (FIRMWARE_HEAP_KB - 16) * 1024


def test_the_objects_of_the_overlay_take_their_share_of_the_extra_heap(tmp_path):
    """What the pins and ports of a bin, and its tasks, take here and not on a chip."""
    main = """
import gc, machine, network, neopixel, asyncio
from machine import I2C, PWM, UART, WDT, Pin
gc.collect()
before = gc.mem_alloc()
keep = [Pin(n, Pin.IN, Pin.PULL_UP) for n in (19, 27, 33, 32)]
for pin in keep:
    pin.irq(lambda pin: None)
keep += [Pin(n, Pin.OUT, value=0) for n in (18, 23, 4, 25, 26)]
keep += [PWM(Pin(25), freq=1000, duty_u16=0), PWM(Pin(26), freq=50, duty_u16=0)]
keep += [I2C(0, scl=Pin(22), sda=Pin(21), freq=400000), WDT(timeout=60000), network.WLAN(0)]
keep += [UART(1, baudrate=9600, tx=17, rx=16, rxbuf=1024), neopixel.NeoPixel(Pin(4), 8)]

async def rest():
    await asyncio.sleep(100)

async def run():
    keep.extend([asyncio.create_task(rest()) for _ in range(20)])
    await asyncio.sleep_ms(10)
    gc.collect()
    print(gc.mem_alloc() - before)

asyncio.run(run())
"""
    taken = int(run_to_end(scripted(tmp_path, main))[0])
    # Of these a chip has in its heap: twenty tasks (176 bytes each on this interpreter, written in
    # C) and about half a kilobyte of ports.
    assert taken - 20 * 176 - 512 >= OBJECTS_HEAP_KB * 1024


def test_the_names_of_the_overlay_take_the_rest_of_the_extra_heap(tmp_path):
    """The table of names doubles when it is full; on a chip, without the overlay's names, the
    firmware's own do not fill it (FIRMWARE_NAMES_MAX), so it would not double there.
    """
    main = """
import gc, micropython, sys
sys.path.insert(0, "/app/a")
gc.threshold(8 * 1024)
micropython.qstr_info()
from boxbin import app, safe
from boxbin.core import console
micropython.qstr_info()
"""
    built = build_firmware()
    bin_ = scripted(tmp_path, main)
    bin_._files.update(
        (f"/app/a/{path.relative_to(built)}", path.read_bytes())
        for path in built.rglob("boxbin/**/*.mpy")
    )
    before, after = (
        {name: int(number) for name, number in re.findall(r"(n_\w+)=(\d+)", line)}
        for line in run_to_end(bin_)
    )
    names = after["n_qstr"] - before["n_qstr"]
    assert names <= FIRMWARE_NAMES_MAX, "the firmware alone would need the next doubling too"
    assert after["n_qstr"] > FIRMWARE_NAMES_MAX
    assert after["n_pool"] == before["n_pool"] + 2
    # 1,280 places of a pointer (8 bytes), a hash (2) and a length (1).
    assert NAMES_HEAP_KB * 1024 <= 1280 * 11 + 512


def test_uart_rxbuf_overflows_as_the_chip_does(tmp_path):
    main = """
import machine, time
u = machine.UART(1, baudrate=9600, tx=17, rx=16, rxbuf=16, timeout=0)
u.write(bytes.fromhex('7e000701000020') + b'\\xab\\xcd')
time.sleep(1)
print(u.any(), u.read())
print(u.read())
"""
    bin_ = scripted(tmp_path, "import time\ntime.sleep(1)\n" + main)
    lines = run_to_end(bin_)
    assert lines[0].startswith("16 b'\\x02\\x00\\x00 ")
    assert lines[1] == "None"
    assert any("rxbuf of 16 is full" in note for note in bin_.engine.world.notes)

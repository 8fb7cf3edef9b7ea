"""The HX711 at pin level, seen by a program on the interpreter."""

from __future__ import annotations

from tests.support.virtual import run_to_end, scripted
from tools.virtual.world.scale import ScaleModel

STILL = ScaleModel(noise_g=0, zero_counts=-123_456)

HEAD = """
import asyncio, machine, time
Pin = machine.Pin
dout = Pin(19, Pin.IN)
sck = Pin(18, Pin.OUT, value=0)
falls = 0
flag = asyncio.ThreadSafeFlag()
def fell(pin):
    global falls
    falls += 1
    flag.set()
dout.irq(fell, Pin.IRQ_FALLING)
def clock(pulses):
    v = 0
    for i in range(pulses):
        sck(1)
        v = v << 1 | dout()
        sck(0)
    return v
def signed(v):
    return v - (1 << 24) if v & 0x800000 else v
async def ready():
    while True:
        await asyncio.wait_for(flag.wait(), 2)
        if not dout():
            return
"""


def run(tmp_path, body, model=STILL, **values):
    return run_to_end(scripted(tmp_path, HEAD + body, scale=model, **values))


def test_25_pulses_give_the_reading_and_leave_dout_high(tmp_path):
    lines = run(
        tmp_path,
        """
async def main():
    for n in range(8):
        await ready()
        before = dout()
        v = clock(24)
        sck(1); last = dout(); sck(0)
        print(before, signed(v), last, dout())
asyncio.run(main())
""",
    )
    assert lines[-1] == "0 -123456 1 1"
    assert len(lines) == 8
    assert len({line.split()[1] for line in lines[:4]}) == 4  # not settled after power-up


def test_the_full_range_saturates(tmp_path):
    for zero, expected in ((9_000_000, 0x7FFFFF), (-9_000_000, -0x800000)):
        lines = run(
            tmp_path,
            """
async def main():
    for n in range(6):
        await ready()
        v = signed(clock(24)); clock(1)
    print(v)
asyncio.run(main())
""",
            ScaleModel(noise_g=0, zero_counts=zero),
        )
        assert lines == [str(expected)]


def test_a_half_clocked_frame_is_lost_and_the_next_is_whole(tmp_path):
    bin_ = scripted(
        tmp_path,
        HEAD
        + """
async def main():
    for n in range(5):
        await ready()
        clock(25)
    await ready()
    clock(10)
    print('half', dout() in (0, 1))
    await asyncio.sleep(0.15)
    print('ready', dout())
    print(signed(clock(24)), (clock(1), dout())[1])
asyncio.run(main())
""",
        scale=STILL,
    )
    lines = run_to_end(bin_)
    assert lines == ["half True", "ready 0", "-123456 1"]
    with bin_.engine.lock:
        assert any("half-clocked" in note for note in bin_.engine.world.notes)


def test_pulses_without_a_reading_give_ones(tmp_path):
    lines = run(
        tmp_path,
        """
async def main():
    await ready()
    clock(25)
    print(hex(clock(24)), dout())
asyncio.run(main())
""",
    )
    assert lines == ["0xffffff 1"]


def test_sck_left_high_powers_down_and_then_needs_to_settle(tmp_path):
    lines = run(
        tmp_path,
        """
async def main():
    for n in range(5):
        await ready()
        clock(25)
    sck(1)
    await asyncio.sleep(0.5)
    print('down', dout())
    flag.clear()
    sck(0)
    t = time.ticks_ms()
    await ready()
    print('settled', time.ticks_diff(time.ticks_ms(), t) >= 400, signed(clock(24)))
asyncio.run(main())
""",
    )
    assert lines == ["down 1", "settled True -123456"]


def test_27_pulses_choose_gain_64(tmp_path):
    lines = run(
        tmp_path,
        """
async def main():
    for n in range(6):
        await ready()
        v = signed(clock(24)); clock(3)
    print(v)
asyncio.run(main())
""",
    )
    assert lines == ["-61728"]


def test_a_disconnected_scale_gives_no_edge(tmp_path):
    bin_ = scripted(
        tmp_path,
        HEAD
        + """
async def main():
    try:
        await ready()
        print('reading')
    except asyncio.TimeoutError:
        print('no value')
asyncio.run(main())
""",
        power=False,
    )
    with bin_:
        with bin_.world() as world:
            world.scale.connected = False
        bin_.power_on()
        bin_.wait_for_state("halted", 10)
        assert bin_.console_tail()[-2] == "no value"


def test_interrupts_wait_while_they_are_off(tmp_path):
    lines = run(
        tmp_path,
        """
async def main():
    await ready()
    clock(25)
    state = machine.disable_irq()
    n = falls
    time.sleep_ms(150)
    print(falls - n)
    machine.enable_irq(state)
    print(falls - n, dout())
asyncio.run(main())
""",
    )
    assert lines == ["0", "1 0"]

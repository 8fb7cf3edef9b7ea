# The wire between the emulated board and its world: clock, records out, events in.
#
# Runs inside the MicroPython unix port, below the drivers. Everything else of the overlay (pins,
# UART, sockets, sleep) comes here to send an output or to let time pass. The protocol is drawn in
# tools/virtual/README.md; tools/virtual/wire.py is the other end and must be changed with this.
import struct
import sys

import uos
import uselect
import utime

# Records to the world.
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

# Events from the world.
EV_SAMPLE = 1
EV_RX = 2
EV_LEVEL = 3
EV_WIFI = 4
EV_CUT = 5
EV_I2C = 6
EV_TYPED = 7
EV_NET_OPENED = 20
EV_NET_DATA = 21
EV_NET_ACK = 22
EV_NET_CLOSED = 23
EV_NET_DATAGRAM = 24
EV_NET_NAME = 25
EV_ECHO = 15

NEVER = 0x3FFFFFFFFFFFFFFF
FIRST_BYTES = 24  # u32 length, u64 now_us, the first events: most frames end in here
HEADER = 20  # u32 length of what follows, u64 now_us, u64 until_us (0: no answer wanted)
IN_BYTES = 1200
OUT_BYTES = 1600  # one full picture for the display (1025 bytes) and some pins
STATS_EVERY_US = 2000000
EXCHANGE_EVERY_US = 1000  # virtual time: a busy loop sees the world at least this often
TICK_COST_US = 2  # virtual time: what one look at the clock costs, so that busy loops end
DEFERRED = 8  # as deep as the ESP32's scheduler queue
TICKS_MASK = 0x3FFFFFFF  # ESP32's ticks wrap at 2**30

hello = {}
handlers = {}  # event kind -> function(body)
sample = None  # what takes a reading of the scale; apart from handlers, since ten come each second
virtual = False
wifi_up = False
wifi_turn = 0  # grows at each change of wifi_up, so that pollers notice
typed = False  # virtual time: the world put something into standard input

_io = None
_out = bytearray(OUT_BYTES)
_n = HEADER
_head = bytearray(FIRST_BYTES)
_first = memoryview(_head)[12:]
_in = memoryview(bytearray(IN_BYTES))  # kept: what comes in must not need the heap in large pieces
_start = 0  # clock value at power-on of this board
_now = 0  # virtual time, us
_last = 0  # virtual time of the last exchange
_ticks0 = 0
_deferred = []  # interrupts kept while they are off
_masked = 0
_poll = None
_stats_at = 0
_stats_sent = 0
stats = [0, 0, 0]  # erases, programs, NVS commits


def begin(fd):
    """Open the link and read the world's greeting."""
    global _io, virtual, _start, _now, _ticks0, _poll, hello, _last
    import json

    _io = open(fd, "r+b")
    head = bytearray(4)
    _io.readinto(head)
    hello = json.loads(_io.read(struct.unpack("<I", head)[0]))
    virtual = hello["virtual"]
    _now = _last = hello["now"]
    _ticks0 = hello["ticks0"]
    _start = _now if virtual else utime.ticks_us()
    _poll = uselect.poll()
    _poll.register(_io, uselect.POLLIN)


def begin_alone():
    """Lab runs have no world: only the flash and the real clock."""
    global _start
    _start = utime.ticks_us()


def port():
    return _io


def now_us():
    """Microseconds since power-on of the board (real) or on the world's clock (virtual)."""
    global _now
    if virtual:
        _now += TICK_COST_US
        return _now
    return utime.ticks_us() - _start


def ticks_ms():
    return (now_us() - (_start if virtual else 0)) // 1000 + _ticks0 & TICKS_MASK


def ticks_us():
    return now_us() - (_start if virtual else 0) + _ticks0 * 1000 & TICKS_MASK


def put(kind, body):
    """Queue one record; it leaves at the next flush, at the latest when the program rests."""
    global _n
    size = len(body)
    if _n + size + 3 > OUT_BYTES:
        flush()
    _out[_n] = kind
    _out[_n + 1] = size & 255
    _out[_n + 2] = size >> 8
    _out[_n + 3 : _n + 3 + size] = body
    _n += size + 3


def put_parts(kind, first, parts, size):
    """put() of one byte and `parts`, `size` bytes in all: a picture must not take a kilobyte of heap
    in one piece, as it does not on the chip.
    """
    global _n
    if _n + size + 4 > OUT_BYTES:
        flush()
    _out[_n] = kind
    _out[_n + 1] = size + 1 & 255
    _out[_n + 2] = size + 1 >> 8
    _out[_n + 3] = first
    _n += 4
    for part in parts:
        _out[_n : _n + len(part)] = part
        _n += len(part)


def put2(kind, a, b):
    global _n
    if _n + 5 > OUT_BYTES:
        flush()
    _out[_n] = kind
    _out[_n + 1] = 2
    _out[_n + 2] = 0
    _out[_n + 3] = a
    _out[_n + 4] = b
    _n += 5


# Functions that run often are small on purpose: one that needs more than eleven words (locals, stack,
# three for a `try`) takes them from the heap at each call, which the collector then has to mend.
def flush(until=0):
    """Send what is queued; with `until`, also ask the world to let time pass up to there."""
    if until or _n > HEADER or stats[0] + stats[1] != _stats_sent:
        _flush(until)


def _flush(until):
    global _n, _stats_at, _stats_sent
    if _io is None:
        _n = HEADER
        return
    at = utime.ticks_us() if not virtual else _now
    if at >= _stats_at or stats[0] + stats[1] != _stats_sent:
        _stats_at = at + STATS_EVERY_US
        _stats_sent = stats[0] + stats[1]
        _put_stats()
    _pack32(0, _n - 4)
    _pack32(4, _now & 0xFFFFFFFF)
    _pack32(8, _now >> 32)
    _pack32(12, until & 0xFFFFFFFF)
    _pack32(16, until >> 32)
    _write()
    _n = HEADER


def _pack32(at, value):
    struct.pack_into("<I", _out, at, value)


def _write():
    try:
        _io.write(_out, _n)
    except OSError:
        gone()


def _put_stats():
    global _n
    import gc

    if _n + 19 <= OUT_BYTES:
        _out[_n] = STATS
        _out[_n + 1] = 16
        _out[_n + 2] = 0
        struct.pack_into("<IIII", _out, _n + 3, stats[0], stats[1], gc.mem_free(), gc.mem_alloc())
        _n += 19


def gone():
    """The world has gone or the power has: nothing of this process may run on."""
    uos.system("kill -9 $PPID")
    while True:  # the signal is on its way; no instruction of the firmware may follow
        pass


def _read_frame():
    global _now, _last
    h = _head
    if _io.readinto(h) != FIRST_BYTES:
        gone()
    size = int.from_bytes(h[:4], "little")
    if virtual:
        at = int.from_bytes(h[4:12], "little")
        if at > _now:
            _now = at
        _last = _now
    if size == 15 and h[12] == EV_SAMPLE:  # one reading and nothing else: what a bin at rest gets
        at = int.from_bytes(h[15:18], "little")
        sample(at - 0x1000000 if at & 0x800000 else at)
    elif size > 8:
        _read_events(size)


def _read_events(size):
    size -= 8
    view = _in if size <= IN_BYTES else memoryview(bytearray(size))
    view[: FIRST_BYTES - 12] = _first
    if size > FIRST_BYTES - 12:
        _io.readinto(view[FIRST_BYTES - 12 : size])
    i = 0
    while i < size:
        part = view[i + 1] | view[i + 2] << 8
        event(view[i], bytes(view[i + 3 : i + 3 + part]))
        i += 3 + part


def event(kind, body):
    global typed
    if kind == EV_TYPED:
        typed = True
    elif kind in handlers:
        handlers[kind](body)


def interrupt(handler, arg):
    """Call an interrupt handler now, or at enable_irq when interrupts are off."""
    if not _masked:
        handler(arg)
    elif len(_deferred) < DEFERRED:
        _deferred.append((handler, arg))


def mask():
    global _masked
    _masked += 1
    return _masked - 1


def unmask(state):
    global _masked
    _masked = state
    while not _masked and _deferred:
        handler, arg = _deferred.pop(0)
        handler(arg)


def pump():
    """Take in what the world has already said; never waits."""
    if _io is None:
        return
    if virtual:
        if _now - _last >= EXCHANGE_EVERY_US:
            exchange(_now)
        return
    while _poll.poll(0):
        _read_frame()


def receive():
    """Take in one frame of the world that is known to be there (real time)."""
    _read_frame()


def exchange(until):
    """Virtual time: let it run to `until` or to the next event, whichever is first."""
    flush(until if until > 0 else 1)
    _read_frame()


def sleep_us(us):
    """Block, as time.sleep does: events still come in, as interrupts do on the board."""
    end = now_us() + us
    if virtual:
        while _now < end:
            exchange(end)
        return
    flush()
    while True:
        left = end - now_us()
        if left <= 0:
            return
        if _io is None or left < 1000:
            utime.sleep_us(left)
        elif _poll.poll(left // 1000):
            _read_frame()


def note(text):
    """Tell the engineer's log about something the chip saw that a firmware should not do."""
    put(NOTE, text.encode())


def crash(exc):
    sys.print_exception(exc)
    flush()

# The parts of the ESP32's `machine` that a bin uses. Levels and bytes go to the world and come from
# it; nothing here knows what hangs on a pin, except the HX711, whose edges must be answered at once.
# One long file: each further module costs the small heap its own tables.
import io
import struct

import _link
from _hx711 import HX711
from micropython import RingIO

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_pins = {}
_uarts = {}
_i2c = [_link.hello.get("i2c", [])]
_scale = HX711()
_DOUT, _SCK = _link.hello.get("hx711", (-1, -1))


class _State:
    def __init__(self, level):
        self.level = level
        self.pin = None  # the object its interrupt handler gets
        self.handler = None
        self.trigger = 0
        self.out = False


def _state(pin):
    s = _pins.get(pin)
    if s is None:
        if not (0 <= pin <= 39) or pin in (6, 7, 8, 9, 10, 11, 20, 24, 28, 29, 30, 31):
            raise ValueError("invalid pin")
        s = _pins[pin] = _State(_link.hello.get("levels", {}).get(str(pin), 1))
    return s


def _edge(pin, level):
    s = _state(pin)
    old = s.level
    s.level = level
    if s.handler and old != level and s.trigger & (1 if level else 2):
        if s.pin is None:
            s.pin = Pin(pin)
        _link.interrupt(s.handler, s.pin)


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, id, mode=None, pull=-1, *, value=None, drive=None, hold=None):
        self._id = id._id if isinstance(id, Pin) else id
        self._s = _state(self._id)
        if self._id == _SCK:
            self.value = self._clock
        elif self._id == _DOUT:
            self.value = self._data
        if mode is not None or value is not None:
            self.init(mode, pull, value=value)

    # The scale's two pins have ways of their own: a reading is fifty edges and twenty-five looks.
    def _clock(self, x=None):
        if x is None:
            return self._s.level
        self._s.level = x = 1 if x else 0
        _scale.sck(x)

    def _data(self, x=None):
        if _scale.dout:
            _link.pump()  # a program that waits for DOUT by looking must see it fall
        return _scale.dout

    def init(self, mode=None, pull=-1, *, value=None, drive=None, hold=None):
        if mode is not None:
            if mode != Pin.IN and self._id >= 34:
                raise ValueError("pin can only be input")
            self._s.out = mode != Pin.IN
        if value is not None:
            self.value(value)

    def value(self, x=None):
        s = self._s
        if x is None:
            if not s.out:
                _link.pump()
            return s.level
        x = 1 if x else 0
        if x != s.level or not s.out:
            s.level = x
            _link.put2(_link.PIN, self._id, x)
        return None

    def __call__(self, x=None):
        return self.value(x)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self._s.level)

    def irq(self, handler=None, trigger=3, *, wake=None, hard=False):
        self._s.handler = handler
        self._s.trigger = trigger
        return self

    def __repr__(self):
        return "Pin(%d)" % self._id


def _on_dout(level):
    # Also while bits are clocked out: on the board, too, the data's edges raise the interrupt.
    s = _data_state
    s.level = level
    if s.handler and s.trigger & (1 if level else 2):
        if s.pin is None:
            s.pin = Pin(_DOUT)
        _link.interrupt(s.handler, s.pin)


_data_state = _state(_DOUT) if _DOUT >= 0 else _State(1)
_scale.on_dout = _on_dout


class PWM:
    def __init__(self, dest, *, freq=0, duty=None, duty_u16=None, duty_ns=None):
        self._id = dest._id if isinstance(dest, Pin) else dest
        _state(self._id)
        self._freq = freq or 5000
        self._u16 = 32768
        self.init(freq=freq, duty=duty, duty_u16=duty_u16, duty_ns=duty_ns)

    def init(self, *, freq=0, duty=None, duty_u16=None, duty_ns=None):
        if freq:
            self._freq = freq
        if duty is not None:
            self._u16 = duty * 65535 // 1023
        if duty_u16 is not None:
            self._u16 = duty_u16
        if duty_ns is not None:
            self._u16 = self._from_ns(duty_ns)
        self._send()

    def _from_ns(self, ns):
        return min(65535, (ns * self._freq * 65535 + 500000000) // 1000000000)

    def _send(self):
        ns = self.duty_ns() if self._freq else 0
        _link.put(_link.PWM, struct.pack("<BII", self._id, self._freq, ns))

    def freq(self, hz=None):
        if hz is None:
            return self._freq
        if not 0 < hz <= 40000000:
            raise ValueError("frequency must be from 1Hz to 40MHz")
        self._freq = hz
        self._send()

    def duty_u16(self, x=None):
        if x is None:
            return self._u16
        if not 0 <= x <= 65535:
            raise ValueError("duty_u16 should be from 0 to 65535")
        self._u16 = x
        self._send()

    def duty_ns(self, ns=None):
        if ns is None:
            return self._u16 * 1000000000 // (self._freq * 65535)
        self._u16 = self._from_ns(ns)
        self._send()

    def duty(self, x=None):
        if x is None:
            return self._u16 * 1023 // 65535
        self.duty_u16(x * 65535 // 1023)

    def deinit(self):
        _link.put(_link.PWM, struct.pack("<BII", self._id, 0, 0))


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._freq = freq

    def init(self, **kw):
        pass

    def scan(self):
        _link.pump()
        return list(_i2c[0])

    def _check(self, addr):
        if addr not in _i2c[0]:
            raise OSError(19)  # ENODEV: nobody acknowledged the address

    def writeto(self, addr, buf, stop=True):
        self._check(addr)
        return self._send(addr, (buf,))

    def writevto(self, addr, vector, stop=True):
        self._check(addr)
        return self._send(addr, vector)

    def _send(self, addr, vector):
        size = sum([len(v) for v in vector])
        if size > 1200:
            raise ValueError("longer than the virtual I2C carries in one transfer (1200)")
        _link.put_parts(_link.I2C, addr, vector, size)
        return size

    def readfrom(self, addr, n, stop=True):
        self._check(addr)
        return bytes(n)

    def readfrom_into(self, addr, buf, stop=True):
        self._check(addr)

    def writeto_mem(self, addr, mem, buf, *, addrsize=8):
        return self.writeto(addr, bytes((mem,)) + buf)


SoftI2C = I2C


class _Port:
    def __init__(self):
        self.ring = RingIO(256)
        self.size = 256
        self.baud = 0
        self.lost = 0
        self.handler = None


class UART(io.IOBase):
    INV_TX = 1
    INV_RX = 2
    IRQ_RX = 1
    IRQ_RXIDLE = 2
    IRQ_BREAK = 4

    def __init__(self, id, baudrate=9600, bits=8, parity=None, stop=1, **kw):
        if id not in (0, 1, 2):
            raise ValueError("UART(%d) does not exist" % id)
        self._id = id
        self._timeout = 0
        self._p = _uarts.get(id)
        if self._p is None:
            self._p = _uarts[id] = _Port()
        self.init(baudrate, bits, parity, stop, **kw)

    def init(
        self, baudrate=None, bits=None, parity=None, stop=None, *, timeout=None, rxbuf=None, **kw
    ):
        if baudrate:
            self._p.baud = baudrate
            _link.put(_link.UART_INIT, struct.pack("<BI", self._id, baudrate))
            _link.flush()
        if rxbuf and rxbuf != self._p.size:
            self._p.size = rxbuf
            self._p.ring = RingIO(rxbuf)
        if timeout is not None:
            self._timeout = timeout

    def deinit(self):
        _uarts.pop(self._id, None)

    def any(self):
        if not self._p.ring.any():
            _link.pump()
        return self._p.ring.any()

    def _wait(self):
        if self._p.ring.any():
            return True
        _link.pump()
        end = _link.now_us() + self._timeout * 1000
        while not self._p.ring.any() and _link.now_us() < end:
            _link.sleep_us(1000)
        return bool(self._p.ring.any())

    def read(self, n=-1):
        if not self._wait():
            return None
        if n is None or n < 0:
            n = self._p.ring.any()
        return self._p.ring.read(n)

    def readinto(self, buf, n=-1):
        if not self._wait():
            return None
        return self._p.ring.readinto(buf) if n < 0 else self._p.ring.readinto(buf, n)

    def readline(self):
        if not self._wait():
            return None
        return self._p.ring.readline()

    def write(self, buf):
        view = memoryview(buf)
        for i in range(0, len(view), 512):
            _link.put(_link.UART_TX, bytes((self._id,)) + view[i : i + 512])
        return len(view)

    def flush(self):
        _link.flush()

    def txdone(self):
        return True

    def sendbreak(self):
        pass

    def irq(self, handler=None, trigger=0, hard=False):
        self._p.handler = handler

    def ioctl(self, op, arg):
        if op == 3:
            return arg & (5 if self._p.ring.any() else 4)
        return 0 if op == 4 else -1


class WDT:
    def __init__(self, id=0, timeout=5000):
        if timeout < 1:
            raise ValueError("WDT timeout too short")
        _link.put(_link.WDT, struct.pack("<I", timeout))
        _link.flush()
        self._fed = False

    def feed(self):
        _link.put(_link.FEED, b"")


_rtc_memory = [bytes.fromhex(_link.hello.get("rtc_memory", ""))]


class RTC:
    def datetime(self, t=None):
        import time

        if t is None:
            us = time._rtc_us()
            g = time.gmtime(us // 1000000)
            return (g[0], g[1], g[2], g[6], g[3], g[4], g[5], us % 1000000)
        seconds = time.mktime((t[0], t[1], t[2], t[4], t[5], t[6]))
        time._rtc[0] = seconds * 1000000 + t[7] - _link.now_us()
        _link.put(_link.RTC, struct.pack("<q", seconds * 1000000 + t[7]))
        _link.flush()

    init = datetime

    def memory(self, data=None):
        # Outlives resets, not the power; the world keeps it.
        if data is None:
            return _rtc_memory[0]
        if len(data) > 2048:
            raise ValueError("buffer too long")
        _rtc_memory[0] = bytes(data)
        _link.put(_link.RTC_MEMORY, data)
        _link.flush()


def reset():
    _link.put(_link.RESET, b"")
    _link.flush()
    _link.gone()


def reset_cause():
    return _link.hello["cause"]


def unique_id():
    import binascii

    return binascii.unhexlify(_link.hello["uid"])


disable_irq = _link.mask
enable_irq = _link.unmask


def freq(hz=None):
    return 160000000


def idle():
    _link.pump()


_echoes = {}  # pin -> [when the world told, us from then to the pulse, its length]
_ECHO_OLD_US = 20000
_ECHO_LATE_US = 300000  # real time: the world's thread may be busy


def time_pulse_us(pin, pulse_level, timeout_us=1000000):
    # Only high pulses that the world announces as a whole (EV_ECHO).
    start = _link.now_us()
    end = start + (timeout_us if _link.virtual else max(timeout_us, _ECHO_LATE_US))
    while True:
        at, wait_us, us = _echoes.pop(pin._id, (start - _ECHO_OLD_US, 0, 0))
        if at > start - _ECHO_OLD_US:
            break
        if _link.now_us() >= end:
            return -2
        _link.sleep_us(2000)  # less would not listen to the world, in real time
    _link.sleep_us(wait_us + min(us, timeout_us))
    return us if us <= timeout_us else -1


def _ev_sample(body):
    _scale.sample(struct.unpack("<i", body)[0])


_link.sample = _scale.sample


def _ev_rx(body):
    p = _uarts.get(body[0])
    if p is None:
        return
    took = p.ring.write(memoryview(body)[1:])
    if took != len(body) - 1:
        p.lost += len(body) - 1 - (took or 0)
        _link.note("uart: rxbuf of %d is full, %d bytes lost" % (p.size, p.lost))
    if p.handler:
        _link.interrupt(p.handler, None)


def _ev_level(body):
    _edge(body[0], body[1])


def _ev_i2c(body):
    _i2c[0] = list(body)


def _ev_echo(body):
    pin, wait_us, us = struct.unpack("<BII", body)
    _echoes[pin] = (_link.now_us(), wait_us, us)


_link.handlers[_link.EV_ECHO] = _ev_echo
_link.handlers[_link.EV_SAMPLE] = _ev_sample
_link.handlers[_link.EV_RX] = _ev_rx
_link.handlers[_link.EV_LEVEL] = _ev_level
_link.handlers[_link.EV_I2C] = _ev_i2c

# ESP32's time: whole seconds since 2000, ticks that wrap at 2**30, sleep that lets events in.
import _link
import utime

_EPOCH = 946684800  # 2000-01-01 in Unix seconds
_HALF = 0x20000000
_rtc = [_link.hello.get("rtc_us", 0)]  # what must be added to now_us() to get RTC time, us


def ticks_ms():
    return _link.ticks_ms()


def ticks_us():
    return _link.ticks_us()


ticks_cpu = ticks_us


def ticks_diff(a, b):
    return (a - b + _HALF & 0x3FFFFFFF) - _HALF


def ticks_add(a, b):
    if not -_HALF < b < _HALF:
        raise OverflowError("ticks interval overflow")
    return a + b & 0x3FFFFFFF


def sleep_ms(ms):
    if ms > 0:
        _link.sleep_us(ms * 1000)


def sleep_us(us):
    if us > 0:
        _link.sleep_us(us)


def sleep(seconds):
    sleep_ms(int(seconds * 1000))


def _rtc_us():
    return _link.now_us() + _rtc[0]


def time():
    return _rtc_us() // 1000000


def time_ns():
    return _rtc_us() * 1000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else int(seconds)) + _EPOCH)[:8]


localtime = gmtime


def mktime(t):
    # Days from the civil date (Howard Hinnant's method); the host's mktime knows a time zone.
    y, m = t[0], t[1]
    y -= m <= 2
    era = y // 400
    doy = (153 * (m + (-3 if m > 2 else 9)) + 2) // 5 + t[2] - 1
    yoe = y - era * 400
    days = era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
    return days * 86400 + t[3] * 3600 + t[4] * 60 + t[5] - _EPOCH

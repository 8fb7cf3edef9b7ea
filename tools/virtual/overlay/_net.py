# A socket whose other end is a host of the world: bytes go there through the link and time passes
# with them, so that a network in virtual time is as quick and as repeatable as the rest.
import struct

import _link

IN_PROGRESS = 115
NOT_CONNECTED = 107
TIMED_OUT = 110
AGAIN = 11
WINDOW_BYTES = 5744  # lwIP's send buffer: more than that is not on its way without an answer
PART_BYTES = 1024

_ends = {}
_next = [0]
_names = {}


def inside(ip):
    """True when a host of the world has this address; its DNS server is always there."""
    return ip.startswith("10.77.")


def number(ip):
    value = 0
    for part in ip.split("."):
        value = value << 8 | int(part)
    return value


def text(ip):
    return "%d.%d.%d.%d" % (ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255)


def look_up(host):
    """The address of a name in the world; None when it has none."""
    _names.pop(host, None)
    _link.put(_link.NET_NAME, host.encode())
    while host not in _names:
        _link.sleep_us(1000)
    return _names.pop(host)


class End:
    def __init__(self, stream):
        self.stream = stream
        self.timeout = None
        self.state = 0  # 1 connecting, 2 open, 3 the other side has closed, 4 broken
        self.error = 0
        self.rx = []
        self.unanswered = 0
        _next[0] = self.id = _next[0] % 65535 + 1
        _ends[self.id] = self

    def connect(self, addr):
        self.state = 1
        _link.put(_link.NET_OPEN, struct.pack("<HIH", self.id, number(addr[0]), addr[1]))
        _link.flush()
        if self.timeout == 0:
            raise OSError(IN_PROGRESS)
        self._until(self._settled)
        self._check()

    def _settled(self):
        return self.state != 1

    def _check(self):
        if self.error:
            raise OSError(self.error)

    def _until(self, ready):
        """Wait as the mode says; False when it does not wait at all."""
        if ready():
            return True
        if self.timeout == 0:
            return False
        end = None if self.timeout is None else _link.now_us() + int(self.timeout * 1000000)
        while not ready():
            if end is not None and _link.now_us() >= end:
                raise OSError(TIMED_OUT)
            _link.sleep_us(20000)
        return True

    # -- what comes in

    def _readable(self):
        return self.rx or self.state >= 3

    def read(self, n=-1):
        if not self._until(self._readable):
            return None
        if not self.rx:
            self._check()
            return b""
        if n is None or n < 0:
            data = b"".join(self.rx)
            self.rx.clear()
        else:
            data = self.rx[0]
            if len(data) <= n:
                self.rx.pop(0)
            else:
                self.rx[0] = data[n:]
                data = data[:n]
        _link.put(_link.NET_READ, struct.pack("<HI", self.id, len(data)))
        return data

    def readinto(self, buf, n=-1):
        data = self.read(len(buf) if n < 0 else n)
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            part = self.read(1)
            if not part:
                return line or part
            line += part
        return line

    def recv(self, n):
        if not self.stream:
            return self.recvfrom(n)[0]
        data = self.read(n)
        if data is None:
            raise OSError(AGAIN)
        return data

    def recvfrom(self, n):
        if not self._until(self._readable):
            raise OSError(AGAIN)
        data, addr = self.rx.pop(0)
        return data[:n], addr

    # -- what goes out

    def _writable(self):
        return self.state != 1 and self.unanswered < WINDOW_BYTES

    def write(self, data):
        if not self._until(self._writable):
            return None
        self._check()
        if not self.state:
            raise OSError(NOT_CONNECTED)
        sent = min(len(data), WINDOW_BYTES - self.unanswered)
        view = memoryview(data)
        for at in range(0, sent, PART_BYTES):
            part = view[at : min(at + PART_BYTES, sent)]
            parts = (bytes((self.id >> 8,)), part)
            _link.put_parts(_link.NET_SEND, self.id & 255, parts, 1 + len(part))
        self.unanswered += sent
        _link.flush()
        return sent

    def send(self, data):
        n = self.write(data)
        if n is None:
            raise OSError(AGAIN)
        return n

    def sendall(self, data):
        while data:
            data = data[self.send(data) :]

    def sendto(self, data, addr):
        head = struct.pack("<HIH", self.id, number(addr[0]), addr[1])
        _link.put(_link.NET_DATAGRAM, head + data)
        _link.flush()
        return len(data)

    # -- the rest

    def poll(self, mask):
        got = 0
        if self._readable():
            got |= mask & 1
        if not self.stream or self._writable():
            got |= mask & 4
        if self.state == 4:
            got |= 8 | 16
        return got

    def setblocking(self, on):
        self.timeout = None if on else 0

    def settimeout(self, seconds):
        self.timeout = seconds

    def setsockopt(self, *args):
        pass

    def fileno(self):
        return -1

    def close(self):
        if _ends.pop(self.id, None) is not None and self.state:
            _link.put(_link.NET_CLOSE, struct.pack("<H", self.id))
            _link.flush()
        self.state = 4
        self.error = 9


def _end(body):
    return _ends.get(body[0] | body[1] << 8)


def _opened(body):
    end = _end(body)
    if end:
        end.error = body[2]
        end.state = 4 if body[2] else 2


def _data(body):
    end = _end(body)
    if end:
        end.rx.append(body[2:])


def _acknowledged(body):
    end = _end(body)
    if end:
        end.unanswered -= struct.unpack("<I", body[2:])[0]


def _closed(body):
    end = _end(body)
    if end:
        end.error = body[2]
        end.state = 4 if body[2] else 3


def _datagram(body):
    end = _end(body)
    if end:
        ip, port = struct.unpack("<IH", body[2:8])
        end.rx.append((body[8:], (text(ip), port)))


def _name(body):
    ip = struct.unpack("<I", body[:4])[0]
    _names[body[4:].decode()] = text(ip) if ip else None


_link.handlers[_link.EV_NET_OPENED] = _opened
_link.handlers[_link.EV_NET_DATA] = _data
_link.handlers[_link.EV_NET_ACK] = _acknowledged
_link.handlers[_link.EV_NET_CLOSED] = _closed
_link.handlers[_link.EV_NET_DATAGRAM] = _datagram
_link.handlers[_link.EV_NET_NAME] = _name

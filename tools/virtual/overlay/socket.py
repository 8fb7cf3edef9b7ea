# The host's sockets, and those of the world (_net), which move bytes only while Wi-Fi is up.
#
# Without Wi-Fi an open connection hangs (as TCP does until it gives up), a new one fails with
# EHOSTUNREACH and names do not resolve: what lwIP does on the board.
import io

import _link
import _net
import usocket
from usocket import (
    AF_INET,
    AF_INET6,
    SO_KEEPALIVE,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    inet_ntop,
    inet_pton,
)

IPPROTO_TCP = 6
_EAGAIN = 11
_ETIMEDOUT = 110
_EHOSTUNREACH = 113
_EAI_FAIL = -202


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    _link.pump()
    if not _link.wifi_up:
        raise OSError(_EAI_FAIL)
    ip = host
    if _link.hello.get("net") and not host.replace(".", "").isdigit():
        ip = _net.look_up(host) or host
    try:
        if not _net.inside(ip):
            found = usocket.getaddrinfo(ip, port, AF_INET, SOCK_STREAM)
            ip = ".".join([str(b) for b in found[0][-1][4:8]])
    except OSError:
        raise OSError(_EAI_FAIL)
    return [(AF_INET, type or SOCK_STREAM, 0, "", (ip, port))]


def _address(addr):
    """The form the host's sockets take; "" and bytes are let by."""
    if isinstance(addr, tuple):
        return usocket.getaddrinfo(addr[0], addr[1], AF_INET, SOCK_STREAM)[0][-1]
    return addr


class socket(io.IOBase):
    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0, _real=None):
        # What does the work: a socket of the host, or one end of a connection in the world.
        self._s = self._real = _real or usocket.socket(af, type, proto)
        self._stream = type == SOCK_STREAM
        self._timeout = None

    def _gate(self):
        """True when bytes may move. Else: wait as the socket's mode says, then fail."""
        _link.pump()
        if _link.wifi_up:
            return True
        if self._timeout != 0:
            end = None if self._timeout is None else _link.now_us() + int(self._timeout * 1000000)
            while end is None or _link.now_us() < end:
                _link.sleep_us(20000)
                if _link.wifi_up:
                    return True
            raise OSError(_ETIMEDOUT)
        return False

    def connect(self, addr):
        _link.flush()
        _link.pump()
        if not _link.wifi_up:
            raise OSError(_EHOSTUNREACH)
        self._to_world(addr)
        return self._s.connect(_address(addr) if self._real else addr)

    def _to_world(self, addr):
        if isinstance(addr, tuple) and _net.inside(addr[0]) and self._real is not None:
            self._real.close()
            self._real = None
            self._s = _net.End(self._stream)
            self._s.timeout = self._timeout

    def bind(self, addr):
        return self._s.bind(_address(addr))

    def listen(self, n=5):
        return self._s.listen(n)

    def accept(self):
        if not self._gate():
            raise OSError(_EAGAIN)
        s, addr = self._s.accept()
        return socket(_real=s), addr

    def _out(self, data, send):
        _link.flush()
        if not self._gate():
            return None
        return send(data)

    def write(self, data, *more):
        if more:
            data = memoryview(data)[: more[-1]]
        return self._out(data, self._s.write)

    def send(self, data):
        n = self._out(data, self._s.send)
        if n is None:
            raise OSError(_EAGAIN)
        return n

    def sendall(self, data):
        if self._out(data, self._s.sendall) is None and not _link.wifi_up:
            raise OSError(_EAGAIN)

    def sendto(self, data, addr):
        _link.flush()
        _link.pump()
        if not _link.wifi_up:
            raise OSError(_EHOSTUNREACH)
        self._to_world(addr)
        return self._s.sendto(data, _address(addr) if self._real else addr)

    def read(self, n=-1):
        if not self._gate():
            return None
        return self._s.read() if n is None or n < 0 else self._s.read(n)

    def readinto(self, buf, *n):
        return self._s.readinto(buf, *n) if self._gate() else None

    def readline(self):
        return self._s.readline() if self._gate() else None

    def recv(self, n):
        if not self._gate():
            raise OSError(_EAGAIN)
        return self._s.recv(n)

    def recvfrom(self, n):
        if not self._gate():
            raise OSError(_EAGAIN)
        return self._s.recvfrom(n)

    def setblocking(self, on):
        self._timeout = None if on else 0
        self._s.setblocking(on)

    def settimeout(self, seconds):
        self._timeout = seconds
        self._s.settimeout(seconds)

    def setsockopt(self, *args):
        if args[0] != IPPROTO_TCP:
            self._s.setsockopt(*args)

    def makefile(self, *args):
        return self

    def fileno(self):
        return self._s.fileno()

    def close(self):
        self._s.close()

    def ioctl(self, op, arg):
        # Used by TLS, which polls the socket below it; asyncio's poll looks at _real itself.
        if op == 3:
            if not _link.wifi_up:
                return 0
            if self._real is None:
                return self._s.poll(arg)
            import uselect

            p = uselect.poll()
            p.register(self._real, arg)
            got = p.poll(0)
            return got[0][1] if got else 0
        if op == 4:
            self._s.close()
            return 0
        return -1

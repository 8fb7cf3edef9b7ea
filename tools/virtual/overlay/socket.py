# The host's sockets, which move bytes only while Wi-Fi is up.
#
# Without Wi-Fi an open connection hangs (as TCP does until it gives up), a new one fails with
# EHOSTUNREACH and names do not resolve: what lwIP does on the board.
import io

import _link
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
    try:
        return usocket.getaddrinfo(host, port, AF_INET, type or SOCK_STREAM)
    except OSError:
        raise OSError(_EAI_FAIL)


class socket(io.IOBase):
    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0, _real=None):
        self._real = _real or usocket.socket(af, type, proto)
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
        return self._real.connect(addr)

    def bind(self, addr):
        return self._real.bind(addr)

    def listen(self, n=5):
        return self._real.listen(n)

    def accept(self):
        if not self._gate():
            raise OSError(_EAGAIN)
        s, addr = self._real.accept()
        return socket(_real=s), addr

    def _out(self, data, send):
        _link.flush()
        if not self._gate():
            return None
        return send(data)

    def write(self, data, *more):
        if more:
            data = memoryview(data)[: more[-1]]
        return self._out(data, self._real.write)

    def send(self, data):
        n = self._out(data, self._real.send)
        if n is None:
            raise OSError(_EAGAIN)
        return n

    def sendall(self, data):
        if self._out(data, self._real.sendall) is None and not _link.wifi_up:
            raise OSError(_EAGAIN)

    def sendto(self, data, addr):
        _link.flush()
        _link.pump()
        if not _link.wifi_up:
            raise OSError(_EHOSTUNREACH)
        return self._real.sendto(data, addr)

    def read(self, n=-1):
        if not self._gate():
            return None
        return self._real.read() if n is None or n < 0 else self._real.read(n)

    def readinto(self, buf, *n):
        return self._real.readinto(buf, *n) if self._gate() else None

    def readline(self):
        return self._real.readline() if self._gate() else None

    def recv(self, n):
        if not self._gate():
            raise OSError(_EAGAIN)
        return self._real.recv(n)

    def recvfrom(self, n):
        if not self._gate():
            raise OSError(_EAGAIN)
        return self._real.recvfrom(n)

    def setblocking(self, on):
        self._timeout = None if on else 0
        self._real.setblocking(on)

    def settimeout(self, seconds):
        self._timeout = seconds
        self._real.settimeout(seconds)

    def setsockopt(self, *args):
        if args[0] != IPPROTO_TCP:
            self._real.setsockopt(*args)

    def makefile(self, *args):
        return self

    def fileno(self):
        return self._real.fileno()

    def close(self):
        self._real.close()

    def ioctl(self, op, arg):
        # Used by TLS, which polls the socket below it; asyncio's poll looks at _real itself.
        if op == 3:
            if not _link.wifi_up:
                return 0
            import uselect

            p = uselect.poll()
            p.register(self._real, arg)
            got = p.poll(0)
            return got[0][1] if got else 0
        if op == 4:
            self._real.close()
            return 0
        return -1

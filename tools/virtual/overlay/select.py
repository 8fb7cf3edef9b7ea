# poll() over real sockets and emulated devices together.
#
# Here is where an idle program rests: the link to the world and the real sockets are waited for in
# one system call (real time), or the world is asked for the next event (virtual time).
import sys

import _link
import uselect
from uselect import POLLERR, POLLHUP, POLLIN, POLLOUT

SLICE_US = 20000  # virtual time beside real sockets: the clock moves in such steps


class _Typed:
    # Standard input in virtual time: the world says when it puts something in, so that it need not
    # be waited for like a socket.
    def ioctl(self, op, mask):
        if not _link.typed:
            return 0
        p = uselect.poll()
        p.register(sys.stdin, mask)
        got = p.poll(0)
        if not got:
            _link.typed = False
            return 0
        return got[0][1]


class poll:
    def __init__(self):
        # [object, mask, real socket or None, TLS or None, its mask, what answers for the object
        # when nothing is real], in order of registration
        self._items = []
        self._soft = []  # those of them that nothing real stands behind
        self._count = 0  # how many the interpreter's own poll is asked for
        self._real = None
        self._tls = None  # asks TLS objects, which may hold data that no socket shows any more
        self._turn = -1

    def _find(self, obj):
        for item in self._items:
            if item[0] is obj:
                return item
        return None

    def register(self, obj, mask=POLLIN | POLLOUT):
        item = self._find(obj)
        if item:
            item[1] = mask
        else:
            # A socket of this overlay carries the real one, and TLS its socket's; emulated devices
            # speak ioctl in Python; anything else is native and left to the interpreter's own poll.
            real = getattr(obj, "_real", None)
            ask = obj
            if real is None and not hasattr(obj, "ioctl"):
                if _link.virtual and (obj is sys.stdin or obj is sys.stdin.buffer):
                    ask = _Typed()
                else:
                    real = obj
            item = [obj, mask, real, getattr(obj, "_tls", None), 0, ask]
            self._items.append(item)
            if real is None:
                self._soft.append(item)
        if item[2] is not None:
            self._turn = -1

    def modify(self, obj, mask):
        item = self._find(obj)
        if item is None:
            raise OSError(2)
        item[1] = mask
        if item[2] is not None:
            self._turn = -1

    def unregister(self, obj):
        item = self._find(obj)
        if item:
            self._items.remove(item)
            if item[2] is not None:
                self._turn = -1
            else:
                self._soft.remove(item)

    # Asked some ninety times a second: small functions, see _link.flush.
    def _emulated(self):
        ready = None
        soft = self._soft
        i = 0
        while i < len(soft):
            ready = self._ask(soft[i], ready)
            i += 1
        return ready

    def _ask(self, item, ready):
        if item[1]:
            got = item[5].ioctl(3, item[1])
            if got:
                if ready is None:
                    ready = []
                ready.append((item[0], got))
        return ready

    def _rebuild(self):
        # Without Wi-Fi nothing of a socket is seen, not even that the other side has gone.
        self._turn = _link.wifi_turn
        self._real = uselect.poll()
        if not _link.virtual and _link.port() is not None:
            self._real.register(_link.port(), POLLIN)
        self._count = 0
        self._tls = None
        for item in self._items:
            obj, mask, real, tls, _, _ = item
            if real is None or not mask:
                continue
            if tls is not None:
                if self._tls is None:
                    self._tls = uselect.poll()
                self._tls.register(tls, mask)
                item[4] = 0
            elif real is obj or _link.wifi_up:
                self._real.register(real, mask)
            else:
                continue
            self._count += 1

    def _secure(self, ready):
        # What TLS waits for below is not always what its user waits for: being asked, it tells.
        for tls, event in self._tls.poll(0):
            for item in self._items:
                if item[3] is tls:
                    ready.append((item[0], event))
        if ready:
            return True
        for item in self._items:
            obj, mask, real, tls, had, _ = item
            if tls is None or not mask:
                continue
            want = obj.want() if _link.wifi_up else 0
            if want != had:
                if want:
                    self._real.register(real, want)
                else:
                    self._real.unregister(real)
                item[4] = want
        return False

    def _wait_real(self, ms, ready):
        if self._turn != _link.wifi_turn:
            self._rebuild()
        if _link.virtual and not self._count:
            return ready or ()
        return self._wait_sockets(ms, ready or [])

    def _wait_sockets(self, ms, ready):
        if self._tls is not None and self._secure(ready):
            ms = 0
        link = _link.port()
        for got, event in self._real.poll(ms):
            if got is link:
                _link.receive()
                continue
            for obj, _, real, tls, _, _ in self._items:
                if real is got and tls is None:
                    ready.append((obj, event))
        return ready

    def poll(self, timeout=-1):
        end = None
        if timeout is not None and timeout >= 0:
            end = _link.now_us() + timeout * 1000
        _link.flush()
        if timeout == 0:
            _link.pump()
        while True:
            ready = self._emulated()
            if ready:
                return self._wait_real(0, ready)
            left = None if end is None else end - _link.now_us()
            if left is not None and left <= 0:
                return self._wait_real(0, None)
            if _link.virtual:
                ready = self._wait_virtual(end)
            else:
                _link.flush()  # interrupt handlers may have put something
                ready = self._wait_real(-1 if left is None else (left + 999) // 1000, None)
            if ready:
                return ready

    def _wait_virtual(self, end):
        if self._turn != _link.wifi_turn:
            self._rebuild()
        if end is None:
            end = _link.NEVER
        if self._count:
            # Real peers need real time: a slice of virtual time costs its share of it.
            end = min(end, _link.now_us() + SLICE_US)
            ready = self._wait_sockets(max(1, SLICE_US // 1000 // _link.hello["speed"]), [])
            if ready:
                return ready
        _link.exchange(end)
        return None

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout))

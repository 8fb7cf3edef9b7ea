# NeoPixel with the interface of MicroPython's frozen driver; write() shows the pixels in the world.
import _link


class NeoPixel:
    ORDER = (1, 0, 2, 3)

    def __init__(self, pin, n, bpp=3, timing=1):
        self.pin = pin
        self.n = n
        self.bpp = bpp
        self.buf = bytearray(n * bpp)

    def __len__(self):
        return self.n

    def __setitem__(self, i, v):
        if not -self.n <= i < self.n:
            raise IndexError("pixel %d of %d" % (i, self.n))
        offset = i % self.n * self.bpp
        for k in range(self.bpp):
            self.buf[offset + self.ORDER[k]] = v[k]

    def __getitem__(self, i):
        offset = i % self.n * self.bpp
        return tuple(self.buf[offset + self.ORDER[k]] for k in range(self.bpp))

    def fill(self, v):
        for i in range(self.n):
            self[i] = v

    def write(self):
        _link.put(_link.PIXELS, bytes((self.pin._id, self.bpp)) + self.buf)

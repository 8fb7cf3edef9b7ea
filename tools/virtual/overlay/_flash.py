# The chip's flash as a block device over a file, with a fuse: power can fail at any operation.
#
# Operations (erase a block, program a stretch) are counted from power-on. The fuse is set by the
# world or by the environment; torn means that half of the operation reached the flash.
import struct

import _link

BLOCK = 4096
_ERASED = b"\xff" * 256


class Flash:
    # Small methods with few locals on purpose: LittleFS calls them while the heap may be locked.
    def __init__(self, path, blocks):
        self.f = open(path, "r+b")
        self.blocks = blocks
        self.left = 0  # operations until the fuse blows; 0 = no fuse
        self.torn = 0

    def fuse(self, operations, torn):
        self.left = operations
        self.torn = torn

    def readblocks(self, n, buf, off=0):
        self.f.seek(n * BLOCK + off)
        self.f.readinto(buf)

    def writeblocks(self, n, buf, off=0):
        if self.left:
            self.left -= 1
            if not self.left:
                self.cut_program(n * BLOCK + off, buf)
        _link.stats[1] += 1
        self.f.seek(n * BLOCK + off)
        self.f.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6:
            if self.left:
                self.left -= 1
                if not self.left:
                    self.cut_erase(arg)
            _link.stats[0] += 1
            self.fill(arg, 16)
        return 0

    def fill(self, n, parts):
        self.f.seek(n * BLOCK)
        while parts:
            self.f.write(_ERASED)
            parts -= 1

    def step(self):
        """One operation outside this device (an NVS commit) that the fuse counts as well."""
        if self.left:
            self.left -= 1
            if not self.left:
                self.blow()
        _link.stats[2] += 1

    def cut_program(self, at, buf):
        if self.torn:
            self.f.seek(at)
            self.f.write(memoryview(buf)[: len(buf) // 2])
        self.blow()

    def cut_erase(self, n):
        if self.torn:
            self.fill(n, 8)
        self.blow()

    def blow(self):
        # What the person saw before the cut was seen: let it out first, then die at once.
        _link.put(_link.CUT, struct.pack("<II", _link.stats[0], _link.stats[1]))
        _link.flush()
        _link.gone()

# Runs on MicroPython: flash and NVS that tell each operation, and a view of them that may be cut.
import struct

BLOCK = 4096
EIO = -5
NONE = b""
_ERASED = b"\xff" * BLOCK


class Cut(Exception):
    """The power is gone."""


class Disk:
    """Flash in memory. Each erase and program goes to `tell(kind, block, offset, data)` first."""

    def __init__(self, data, tell):
        self.data = data
        self.view = memoryview(data)
        self.tell = tell

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = self.view[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        self.tell("P", block, offset, buffer)
        at = block * BLOCK + offset
        self.view[at : at + len(buffer)] = buffer

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            self.tell("E", arg, 0, NONE)
            self.view[arg * BLOCK : (arg + 1) * BLOCK] = _ERASED
        return 0


class View:
    """A disk over `base` that keeps what is written to itself; `left` operations until the cut."""

    def __init__(self, base, left=0, torn=False):
        self.base = base
        self.blocks = {}
        self.left = left
        self.torn = torn
        self.dead = False
        self.count = 0

    def survivor(self):
        """What the next start finds. Files the cut left open write when they are collected: this
        view takes no more."""
        self.dead = True
        return self.copy()

    def copy(self):
        after = View(self.base)
        for block, data in self.blocks.items():
            after.blocks[block] = bytearray(data)
        return after

    def step(self):
        """One operation: True when the power fails in it."""
        self.count += 1
        return self.left and self.count >= self.left

    def own(self, block):
        data = self.blocks.get(block)
        if data is None:
            data = bytearray(self.base[block * BLOCK : (block + 1) * BLOCK])
            self.blocks[block] = data
        return data

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            return EIO
        data = self.blocks.get(block)
        if data is None:
            at = block * BLOCK + offset
            buffer[:] = self.base[at : at + len(buffer)]
        else:
            buffer[:] = memoryview(data)[offset : offset + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        if self.dead:
            return EIO
        if self.step():
            if self.torn:
                self.tear("P", block, offset, buffer)
            raise Cut
        self.own(block)[offset : offset + len(buffer)] = buffer

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.base) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            if self.dead:
                return EIO
            if self.step():
                if self.torn:
                    self.tear("E", arg, 0, NONE)
                raise Cut
            self.own(arg)[:] = _ERASED
        return 0

    def tear(self, kind, block, offset, data):
        """The first half of an operation."""
        if kind == "P":
            half = len(data) // 2
            self.own(block)[offset : offset + half] = memoryview(data)[:half]
        elif kind == "E":
            self.own(block)[: BLOCK // 2] = _ERASED[: BLOCK // 2]


class Nvs:
    """The chip's store, in `values`. Each set is durable at once and by itself, as on the chip."""

    values = {}
    tell = None  # called with (key, value) before each set

    def __init__(self, namespace):
        if namespace != "boxbin":
            raise ValueError(namespace)

    def get_i32(self, key):
        if key not in Nvs.values:
            raise OSError(-4354)
        return Nvs.values[key]

    def get_blob(self, key, buffer):
        value = self.get_i32(key)
        buffer[: len(value)] = value
        return len(value)

    def set_i32(self, key, value):
        Nvs.tell(key, value)
        Nvs.values[key] = value

    def set_blob(self, key, value):
        self.set_i32(key, value.encode() if isinstance(value, str) else value)

    def commit(self):
        pass


HEAD = "<BHHH"  # kind, block, offset, bytes that follow
HEAD_BYTES = struct.calcsize(HEAD)


def record(file, kind, block=0, offset=0, data=NONE):
    """Append one operation or one word of the story to a recording."""
    file.write(struct.pack(HEAD, ord(kind), block, offset, len(data)))
    file.write(data)


def records(file):
    """(kind, block, offset, data) of all there is in a recording."""
    while True:
        head = file.read(HEAD_BYTES)
        if not head:
            return
        kind, block, offset, size = struct.unpack(HEAD, head)
        yield chr(kind), block, offset, file.read(size) if size else NONE

# Runs on MicroPython: the board's file system worn by busy days, and filled to its end.
import json

import story
from boxbin import flash
from disk import BLOCK, Disk, Nvs


class Counter:
    """Erases and programmed bytes of each block, and sets of NVS."""

    def __init__(self, blocks):
        self.erases = [0] * blocks
        self.bytes = [0] * blocks
        self.programs = self.nvs = 0

    def tell(self, kind, block, offset, data):
        if kind == "E":
            self.erases[block] += 1
        else:
            self.programs += 1
            self.bytes[block] += len(data)

    def tell_nvs(self, key, value):
        self.nvs += 1


def _disk(base_path):
    with open(base_path, "rb") as f:
        data = bytearray(f.read())
    counter = Counter(len(data) // BLOCK)
    Nvs.values = {}
    Nvs.tell = counter.tell_nvs
    return Disk(data, counter.tell), counter


def main(base_path, lines):
    """A receipt every few lines, a restart and new settings at times. Prints one JSON object."""
    story.RESTART_LINES = 2_000
    story.SETTINGS_LINES = 6_000
    disk, counter = _disk(base_path)
    bin_ = story.Story(disk, lambda *_: None)
    for i in range(lines):
        bin_.line()
        if i % story.RECEIPT_LINES == 0:
            bin_.send()
    print(
        json.dumps(
            {
                "lines": bin_.flash.index.last,
                "erases": counter.erases,
                "bytes": counter.bytes,
                "programs": counter.programs,
                "nvs": counter.nvs,
            }
        ).replace(" ", "")
    )


def fill(base_path, image_path):
    """Deposits with no receipt until there is no room. Prints how many there are, when the warning
    came, how long the lines are; the flash as it is then goes to `image_path`."""
    image = open(image_path, "wb")  # before the host's file system is taken away
    disk, _ = _disk(base_path)
    story.mount(disk)
    f = story.opened(story.Watched)
    n = warned = shut = size = 0
    try:
        while True:
            fields = (("g", 250 + n % 400), ("ms", 1840), ("age", 5230 + n % 9000))
            story.Clock.lines = n
            n = f.append("deposit", story.DEPOSIT + fields)
            size += len(f.newest)
            warned = warned or (n if f.index.nearly_full else 0)
            shut = shut or (n if n % 10 == 0 and not f.has_room() else 0)
    except flash.JournalFull:
        pass
    image.write(disk.data)
    image.close()
    print(n, warned, shut, size // n, f.index.count)

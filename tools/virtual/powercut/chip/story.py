# Runs on MicroPython: a long life of the journal on flash that tells every operation.
#
# What is recorded beside the operations: T a line was thanked for, R a receipt, X a bit is turned,
# D the damaged line may be a fault from here on, s/S settings begin to be / are written.

import os
import sys

import vfs
from boxbin import flash, mending
from boxbin.core import journal
from boxbin.core.settings import names, row
from boxbin.settingsfile import Store
from boxbin.witness import open_witness
from disk import Nvs, record

# Kept: once the flash is mounted, nothing is found on the machine's disk any more.
sys.modules["boxbin.mending"] = mending
flash.forget = lambda leaf: None

RESTART_LINES = 60
RECEIPT_LINES = 5
SETTINGS_LINES = 35
DEPOSIT = (
    ("pass", "BB1.0A1B2C3D.55605119.AEBAGBAFAYDQQCJK"),
    ("label", "AAECAwQFBgcICQoLDA0ODw"),
)
# Of twenty lines of a busy bin: (after how many of them, kind, fields); all others are deposits.
OTHERS = {
    4: ("refused", (("why", "too_light"), ("g", 12))),
    9: ("withdrawn", (("of", 41), ("g", 318))),
    13: ("reuse", (DEPOSIT[0], ("g", 296), ("ms", 1940), ("age", 9120))),
    16: ("unattended", (("g", -214),)),
    18: ("refused", (("why", "unstable"), ("g", 640))),
    19: ("collection", (("g", 18250),)),
}


class Identity:
    bin_id = "B-7K2QM"
    key = bytes(range(32))


class Clock:
    quality = "ntp"
    lines = 0

    def unix_ms(self):
        return 1795000000000 + self.lines * 14400


class Watched(flash.Flash):
    """The firmware's own, with an ear for the bytes of the newest line."""

    def line(self, n, kind, fields, epoch=None):
        self.newest = super().line(n, kind, fields, epoch)
        return self.newest


def mount(disk):
    try:
        vfs.umount("/")
    except OSError:
        pass
    vfs.mount(vfs.VfsLfs2(disk), "/")


def opened(kind=flash.Flash):
    return kind(Identity, Clock(), open_witness())


def write_settings(version):
    """A document of the gateway: taken, on trial at the next start, and then the gateway is heard."""
    Store().take({"v": version, "s": {name: row(name)[0] for name in names()}})
    Store().confirm()


def read_settings():
    """The version that a start finds, in force or on trial."""
    store = Store()
    if store.refused:
        raise ValueError("settings %d were refused" % store.refused)
    return max(store.version, store.trial)


class Story:
    """One bin on `disk`; `tell(kind, n, data)` gets the words of the story."""

    def __init__(self, disk, tell):
        self.disk = disk
        self.tell = tell
        self.thanked = {}
        self.settings = 0
        self.count = 0
        self.start()

    def start(self):
        mount(self.disk)
        self.flash = opened(Watched)
        self.append("boot", (("fw", "0.1.0"), ("cause", "power")))

    def append(self, kind, fields):
        n = self.flash.append(kind, fields)
        self.thanked[n] = self.flash.newest
        self.tell("T", n, self.flash.newest)
        return n

    def line(self):
        """One line as a busy bin writes them, and what comes with it at times."""
        self.count += 1
        Clock.lines = self.count
        if self.count % RESTART_LINES == 0:
            self.start()
        if self.count % SETTINGS_LINES == 0:
            self.settings += 1
            self.tell("s", self.settings, b"")
            try:
                write_settings(self.settings)
                self.tell("S", self.settings, b"")
            except OSError:
                pass  # no room for them: those before stay, or these are on trial
        more = (("g", 250 + self.count % 400), ("ms", 1840), ("age", 5230 + self.count * 7))
        kind, fields = OTHERS.get(self.count % 20) or ("deposit", DEPOSIT + more)
        return self.append(kind, fields)

    def send(self, all_of_it=False):
        """One batch and its receipt, or all there are."""
        while self.flash.index.backlog:
            last, payload = self.flash.batch()
            if payload:
                self.tell("R", last, b"")
                for n in range(self.flash.index.receipted + 1, last + 1):
                    self.thanked.pop(n, None)
                self.flash.receipt(self.flash.index.epoch, last)
                if not all_of_it:
                    return

    def damage(self, n, at, *lost):
        """Turn a bit of line n, in every copy that lies in flash; `lost` are all lines it costs."""
        for line in lost:
            self.tell("D", line, b"")
        text, place = self.thanked[n], 0
        while True:
            place = self.disk.data.find(text, place)
            if place < 0:
                break
            self.disk.data[place + at] ^= 0x10
            changed = bytes(self.disk.data[place + at : place + at + 1])
            record(self.file, "X", (place + at) // 4096, (place + at) % 4096, changed)
            place += 1


def long_run(story, lines):
    """Normal days, an outage, damage in every place, catching up, a normal day again."""
    for i in range(lines // 3):
        story.line()
        if i % RECEIPT_LINES == 0:
            story.send()
    for _ in range(lines // 2):
        story.line()
    last = story.flash.index.last
    middle = story.flash.index.segment(story.flash.index.count // 2)[1]
    story.send()  # so that the oldest segment is receipted in part
    story.damage(middle + 2, 30, middle + 2)
    story.damage(last, 40, last)
    story.start()
    last = story.line()
    story.damage(last, len(story.thanked[last]) - 1, last)  # the end: only NVS tells that it was
    story.damage(middle, len(story.thanked[middle]) - 1, middle, middle + 1)
    story.start()
    last = story.line()
    story.damage(middle + 4, 33, middle + 4)
    story.damage(last - 1, 50, last - 1)
    story.send(all_of_it=True)  # damage is found while sending
    for i in range(lines // 6):
        story.line()
        if i % RECEIPT_LINES == 0:
            story.send(all_of_it=True)
    story.start()


def full_run(story, lines):
    """Until there is no room, a restart there, room again; twice."""
    for _ in range(2):
        written = 0
        try:
            while written < lines:
                story.line()
                written += 1
        except flash.JournalFull:
            pass
        else:
            raise ValueError("%d lines do not fill it" % lines)
        try:
            story.start()
        except flash.JournalFull:
            pass
        story.send(all_of_it=True)
    story.line()


def main(base_path, out_path, run, lines, segment_bytes, segments_max):
    """Record one life. Prints how it went."""
    import disk as disks

    journal.SEGMENT_BYTES = segment_bytes
    journal.SEGMENTS_MAX = segments_max
    with open(base_path, "rb") as f:
        data = bytearray(f.read())
    out = open(out_path, "wb")
    Nvs.values = {}

    def tell_nvs(key, value):
        blob = not isinstance(value, int)
        record(out, "N", len(key), blob, key.encode() + (value if blob else b"%d" % value))

    Nvs.tell = tell_nvs
    disk = disks.Disk(data, lambda *what: record(out, *what))
    Story.file = out
    story = Story(disk, lambda kind, n, data: record(out, kind, n, 0, data))
    (long_run if run == "long" else full_run)(story, lines)
    out.close()
    index = story.flash.index
    print(index.last, story.flash.repaired, index.count)

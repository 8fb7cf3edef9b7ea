"""The journal on a real LittleFS, with power cuts, damage and a full file system."""

import gc
import os

import vfs
from boxbin import flash, mending
from boxbin.core import wire

ROOT = "/mem/journal"
BLOCK = 512


class Cut(Exception):
    """The power is gone."""


class Disk:
    """A block device over a file that can lose power at a write and keeps what was there."""

    def __init__(self, blocks):
        self.path = "/tmp/boxback-%s.lfs" % "".join("%02x" % b for b in os.urandom(6))
        with open(self.path, "wb") as f:
            for _ in range(blocks):
                f.write(bytes(BLOCK))
        self.file = open(self.path, "r+b")
        os.remove(self.path)  # it lives as long as it is open: nothing is left behind
        self.blocks = blocks
        self.left = None
        self.torn = False

    def survivor(self):
        """The disk as the next start finds it; this one takes no more writes, for files that the
        cut left open would still write when they are collected."""
        after = Disk(0)
        after.blocks = self.blocks
        self.file.seek(0)
        while True:
            data = self.file.read(4096)
            if not data:
                break
            after.file.write(data)
        self.left = 0
        return after

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * BLOCK + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=None):
        gone = self._power_gone()
        if gone and not self.torn:
            raise Cut
        self.file.seek(block * BLOCK + (offset or 0))
        self.file.write(memoryview(buffer)[: len(buffer) // 2] if gone else buffer)
        if gone:
            raise Cut

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6 and self._power_gone():
            raise Cut
        return 0

    def _power_gone(self):
        if self.left is None:
            return False
        if self.left == 0:
            raise Cut
        self.left -= 1
        return self.left == 0


class Identity:
    bin_id = "B-7K2QM"
    key = bytes(range(32))


class Clock:
    quality = "none"

    def unix_ms(self):
        return 0


def mount(disk, fresh=False):
    if fresh:
        vfs.VfsLfs2.mkfs(disk, progsize=32, readsize=32, lookahead=32)
    try:
        vfs.umount("/mem")
    except OSError:
        pass
    vfs.mount(vfs.VfsLfs2(disk, progsize=32, readsize=32, lookahead=32), "/mem")


def opened():
    return flash.Flash(Identity(), Clock(), None, ROOT)


def lines_of(f):
    """All unreceipted lines, each verified, receipting as it goes; returns the n's and kinds."""
    found = []
    while True:
        last, payload = f.batch()
        if not payload:
            if not f.index.backlog:
                return found
            continue
        assert len(payload) <= wire.PAYLOAD_BYTES_MAX
        for line in payload.split(b"\n")[:-1]:
            body = wire.read(Identity.key, Identity.bin_id, "journal", line)
            found.append((body["n"], body["k"]))
        assert last == found[-1][0]
        assert f.receipt(f.index.epoch, last), (last, f.index.receipted, f.index.last)


def test_lines_survive_a_restart_and_go_only_for_a_receipt():
    mount(Disk(256), fresh=True)
    f = opened()
    for i in range(150):
        assert f.append("deposit", (("g", i), ("label", "x" * 22))) == i + 1
    epoch = f.index.epoch
    again = opened()
    assert again.index.epoch == epoch and again.index.last == 150 and again.index.backlog == 150
    assert not again.receipt("00000000", 150)
    assert not again.receipt(epoch, 151)
    assert again.index.backlog == 150
    assert lines_of(again) == [(n, "deposit") for n in range(1, 151)]
    last = opened()
    assert last.index.last == 150 and last.index.epoch == epoch
    assert last.append("deposit", ()) == 151
    assert len(os.listdir(ROOT)) == 1


def test_a_batch_is_the_same_until_the_receipt_comes():
    mount(Disk(256), fresh=True)
    f = opened()
    for _ in range(40):
        f.append("deposit", (("g", 1),))
    first = f.batch()
    assert f.batch() == first and 0 < first[0] <= wire.PAYLOAD_LINES_MAX
    f.receipt(f.index.epoch, 10)
    last, payload = f.batch()
    assert payload.count(b"\n") == last - 10 and last > 20
    assert len(payload) > flash.BATCH_BYTES_MAX - 200
    assert wire.read_line(Identity.key, Identity.bin_id, payload.split(b"\n")[0])[1] == 11


def fragmented(size):
    """Fill the heap so that no free piece is much longer than `size`; returns what holds it."""
    held = [None] * (192 * 1024 // size)
    gc.collect()
    n = 0
    try:
        while True:
            held[n] = bytearray(size)
            n += 1
    except MemoryError:
        pass
    for i in range(0, n, 2):
        held[i] = None
    gc.collect()
    return held


def test_a_batch_is_as_long_as_the_longest_piece_of_the_heap_allows():
    mount(Disk(256), fresh=True)
    f = opened()
    for _ in range(60):
        f.append("deposit", (("label", "x" * 140),))
    whole = f.batch()
    assert len(whole[1]) > flash.BATCH_BYTES_MAX - 300
    held = fragmented(900)
    last, payload = f.batch()
    assert 2 <= last < whole[0] and whole[1].startswith(payload) and payload.count(b"\n") == last
    del held, payload
    held = fragmented(160)  # not even one line: no error, and no damage where there is none
    found = f.batch()
    del held
    gc.collect()
    assert found[0] <= 1 and f.repaired == 0
    assert f.batch() == whole


def test_power_cut_at_every_flash_operation():
    """After each cut the bin starts, each line that was reported written is there once, in order."""
    gc.threshold(-1)  # only between two cuts: a file that is ended writes, and this disk is Python
    cuts = 0
    for torn in (False, True):
        at = 1
        while True:
            gc.collect()  # ends files that the cut left open while their disk is still there
            disk = Disk(64)
            mount(disk, fresh=True)
            disk.left, disk.torn = at, torn
            thanked = receipted = 0
            finished = False
            try:
                f = opened()
                for i in range(8):
                    thanked = f.append("deposit", (("g", i), ("label", "y" * 200)))
                    if i == 5:
                        receipted = 4
                        f.receipt(f.index.epoch, 4)
                finished = True
            except (Cut, OSError):
                pass
            disk = disk.survivor()
            mount(disk)
            f = opened()
            assert thanked <= f.index.last <= thanked + 1, (at, torn, thanked, f.index.last)
            found = [n for n, _ in lines_of(f)]
            assert (
                found == list(range(found[0], f.index.last + 1)) if found else thanked <= receipted
            )
            assert not found or found[0] <= receipted + 1
            assert f.append("deposit", ()) == f.index.last
            if finished:
                break
            cuts += 1
            at += 1
    print(cuts, "cuts")
    assert cuts > 50


def damage(path, at, value):
    with open(path, "rb") as f:
        data = bytearray(f.read())
    data[at] = value
    with open(path, "wb") as f:
        f.write(data)


def test_a_flipped_bit_costs_that_line_only_and_is_reported():
    for place in (0, 3, 9):  # the first, one within, the last
        mount(Disk(256), fresh=True)
        f = opened()
        for i in range(10):
            f.append("deposit", (("g", i),))
        path = ROOT + "/00000000.log"
        with open(path, "rb") as g:
            lines = g.read().split(b"\n")
        damage(path, sum(len(line) + 1 for line in lines[:place]) + 30, 0x7F)
        f = opened()
        expected = [(n, "fault" if n == place + 1 else "deposit") for n in range(1, 11)]
        assert lines_of(f) == expected, place
        assert f.repaired == 1
        assert f.append("deposit", ()) == 11


def test_damage_found_while_sending_is_mended_too():
    mount(Disk(256), fresh=True)
    f = opened()
    for i in range(10):
        f.append("deposit", (("g", i),))
    damage(ROOT + "/00000000.log", 400, 0x00)
    kinds = [kind for _, kind in lines_of(f)]
    assert kinds.count("fault") == 1 and len(kinds) == 10


def test_a_lost_newline_joins_two_lines_and_costs_both_but_no_n():
    mount(Disk(256), fresh=True)
    f = opened()
    for i in range(6):
        f.append("deposit", (("g", i),))
    path = ROOT + "/00000000.log"
    with open(path, "rb") as g:
        data = g.read()
    damage(path, data.index(b"\n", data.index(b"\n") + 1), 0x20)
    f = opened()
    assert [kind for _, kind in lines_of(f)] == ["deposit", "fault", "fault"] + ["deposit"] * 3


def test_a_torn_end_was_never_thanked_for_and_goes():
    mount(Disk(256), fresh=True)
    f = opened()
    for i in range(3):
        f.append("deposit", (("g", i),))
    with open(ROOT + "/00000000.log", "ab") as g:
        g.write(b"AAAAAAAAAAAAAAAAAAAAAA {")
    f = opened()
    assert f.index.last == 3 and f.append("deposit", ()) == 4
    assert [n for n, _ in lines_of(f)] == [1, 2, 3, 4]


def test_another_key_begins_a_new_epoch_and_keeps_the_old_lines_aside():
    mount(Disk(256), fresh=True)
    f = opened()
    f.append("deposit", ())
    epoch = f.index.epoch
    other = Identity()
    other.key = bytes(32)
    f = flash.Flash(other, Clock(), None, ROOT)
    assert f.index.epoch != epoch and f.index.last == 0 and f.repaired == 1
    assert os.listdir(ROOT) == ["00000000.bad"]
    assert f.append("boot", ()) == 1
    f = flash.Flash(other, Clock(), None, ROOT)
    assert f.index.last == 1


def several_segments():
    """A journal of 200 lines in several segments; returns it and the names of its files."""
    mount(Disk(512), fresh=True)
    f = opened()
    for _ in range(200):
        f.append("deposit", (("label", "x" * 200),))
    names = sorted(os.listdir(ROOT))
    assert len(names) >= 4
    return f, names


def test_a_lost_segment_costs_its_own_lines_only():
    """Whether it is gone or overwritten: its n are bridged with signed faults, all others go on."""
    for how in ("gone", "overwritten"):
        f, names = several_segments()
        epoch, (_, first, last, _) = f.index.epoch, f.index.segment(1)
        if how == "gone":
            os.remove(ROOT + "/" + names[1])
        else:
            with open(ROOT + "/" + names[1], "wb") as g:
                g.write(b"\xff" * 5000 + b"\n")
        f = opened()
        assert f.index.epoch == epoch and f.index.last == 200
        expected = []
        for n in range(1, 201):
            expected.append((n, "fault" if first <= n <= last else "deposit"))
        assert lines_of(f) == expected
        assert f.append("deposit", ()) == 201


def test_segments_put_aside_are_bounded():
    f, names = several_segments()
    for number in range(len(names) + 6):
        with open("%s/%08x.log" % (ROOT, number), "wb") as g:
            g.write(b"nothing of ours\n")
    f = opened()
    assert f.index.last == 0
    assert len(os.listdir(ROOT)) == mending.BAD_SEGMENTS_MAX
    assert f.append("boot", ()) == 1


def test_room_is_asked_for_before_it_is_needed():
    mount(Disk(200), fresh=True)
    f = opened()
    assert f.has_room()
    written = 0
    while f.has_room():
        written = f.append("deposit", (("label", "x" * 300),))
        assert written < 1000
    for _ in range(20):
        written = f.append("deposit", (("label", "x" * 300),))  # a whole visit still fits
    while not f.has_room():
        last, _ = f.batch()
        f.receipt(f.index.epoch, last)
    assert f.index.receipted <= written


def test_a_full_file_system_is_no_thanks_and_nothing_is_lost():
    mount(Disk(48), fresh=True)
    f = opened()
    written = 0
    try:
        while True:
            written = f.append("deposit", (("label", "x" * 300),))
            assert written < 1000
    except flash.JournalFull:
        pass
    assert written > 10
    f = opened()
    assert f.index.last == written
    assert [n for n, _ in lines_of(f)] == list(range(1, written + 1))
    assert f.append("deposit", ()) == written + 1, "room again after receipts"


class NoMemory:
    def loads(self, _text):
        raise MemoryError


def test_a_line_that_memory_is_too_short_to_read_is_not_damaged():
    mount(Disk(256), fresh=True)
    f = opened()
    for _ in range(3):
        f.append("deposit", ())
    whole, epoch, json = f.batch(), f.index.epoch, wire.json
    wire.json = NoMemory()
    try:
        assert f.batch() == (0, b"")
        try:
            opened()
            raise AssertionError("opened without memory")
        except MemoryError:
            pass
    finally:
        wire.json = json
    again = opened()
    assert again.batch() == whole and again.index.epoch == epoch and again.repaired == 0

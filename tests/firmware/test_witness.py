"""Lines that flash loses at either end of the journal, which only NVS tells of; every bit turned."""

import os
import sys
from collections import namedtuple

from boxbin.core import journal, wire


class Nvs:
    values = {}
    broken = False

    def __init__(self, namespace):
        assert namespace == "boxbin"

    def get_i32(self, key):
        if Nvs.broken or key not in Nvs.values:
            raise OSError(-4354)
        return Nvs.values[key]

    def get_blob(self, key, buffer):
        value = self.get_i32(key)
        buffer[: len(value)] = value
        return len(value)

    def set_i32(self, key, value):
        if Nvs.broken:
            raise OSError(-4357)
        Nvs.values[key] = value

    def set_blob(self, key, value):
        self.set_i32(key, value.encode())

    def commit(self):
        pass


class esp32:
    NVS = Nvs


sys.modules["esp32"] = esp32
from boxbin import flash, mending
from boxbin.witness import open_witness

from test_flash import ROOT, Clock, Disk, Identity, mount


def new_bin(blocks=120):
    mount(Disk(blocks), fresh=True)
    Nvs.values, Nvs.broken = {}, False
    return opened()


def opened():
    return flash.Flash(Identity, Clock(), open_witness(), ROOT)


def sent(f):
    """{n: line} of all that the gateway gets; n has no gap. Nothing is receipted by it."""
    lines = {}
    n = receipted = f.index.receipted
    empty = 0
    while n < f.index.last:
        last, payload = f.batch()
        for line in payload.split(b"\n")[:-1]:
            body = wire.read(Identity.key, Identity.bin_id, "journal", line)
            n += 1
            assert (body["e"], body["n"]) == (f.index.epoch, n)
            lines[n] = (body["k"], line)
        assert not payload or last == n
        empty = 0 if payload else empty + 1
        assert empty < 4, "it mends for ever"
        f.index.receipted = n
    f.index.receipted = receipted
    return lines


Segment = namedtuple("Segment", ("number", "first", "last", "size"))


def segments_of(f):
    return [Segment(*f.index.segment(i)) for i in range(f.index.count)]


def kinds(f):
    return [kind for _, (kind, _) in sorted(sent(f).items())]


def text_of(number):
    with open("%s/%08x.log" % (ROOT, number), "rb") as g:
        return g.read()


def put(number, text):
    with open("%s/%08x.log" % (ROOT, number), "wb") as g:
        g.write(text)


def test_a_lost_end_is_bridged_and_no_n_is_used_twice():
    """The end of the newest segment, all of it, or two of them."""
    for how in ("some lines", "a segment", "two"):
        f = new_bin(400)
        for _ in range(200):
            f.append("deposit", (("label", "x" * 200),))
        epoch, segments = f.index.epoch, segments_of(f)
        if how == "some lines":
            left = segments[-1].first + 2
            put(
                segments[-1].number,
                b"\n".join(text_of(segments[-1].number).split(b"\n")[:3]) + b"\n",
            )
        else:
            gone = segments[-1:] if how == "a segment" else segments[-2:]
            left = gone[0].first - 1
            for segment in gone:
                os.remove("%s/%08x.log" % (ROOT, segment.number))
        f = opened()
        assert (f.index.epoch, f.index.last, f.repaired) == (epoch, 200, 200 - left), (
            how,
            f.index.epoch,
            epoch,
            f.index.last,
            f.repaired,
            left,
        )
        assert kinds(f) == ["deposit"] * left + ["fault"] * (200 - left)
        assert b'"detail":"line lost"' in sent(f)[200][1]
        assert f.append("deposit", ()) == 201
        f = opened()
        assert (f.index.last, f.repaired) == (201, 0)


def test_a_lost_beginning_is_bridged_or_the_gateway_would_wait_for_it_for_ever():
    for receipts in (False, True):
        f = new_bin(400)
        for _ in range(250):
            f.append("deposit", (("label", "x" * 200),))
        if receipts:  # segment 0 has gone for a receipt, and then 1 is lost
            f.receipt(f.index.epoch, segments_of(f)[1].first + 3)
        oldest = segments_of(f)[0]
        os.remove("%s/%08x.log" % (ROOT, oldest.number))
        f = opened()
        lost = oldest.last - oldest.first + 1
        assert segments_of(f)[0].first == oldest.first and f.repaired == lost
        assert kinds(f) == ["fault"] * lost + ["deposit"] * (250 - oldest.last)


def test_a_journal_that_is_gone_altogether_begins_a_new_epoch_and_says_so():
    f = new_bin()
    f.append("boot", ())
    epoch = f.index.epoch
    os.remove(ROOT + "/00000000.log")
    f = opened()
    assert f.index.epoch != epoch and f.index.last == 0 and f.repaired == 1
    assert f.append("boot", ()) == 1
    assert bytes(Nvs.values["epoch"]).decode() == f.index.epoch and Nvs.values["n"] == 1
    assert opened().index.last == 1


def test_power_may_fail_between_a_line_and_its_witness():
    f = new_bin()
    for _ in range(3):
        f.append("deposit", ())
    before = dict(Nvs.values)
    f.append("deposit", ())
    Nvs.values = before
    f = opened()
    assert (f.index.last, f.repaired, Nvs.values["n"]) == (4, 0, 4)
    # ... or between the numbers of a new epoch and its name:
    Nvs.values = {"n": 900, "first": 700, "epoch": b"00000000"}
    f = opened()
    assert (f.index.last, f.repaired) == (4, 0)
    assert bytes(Nvs.values["epoch"]).decode() == f.index.epoch and Nvs.values["n"] == 4


def test_nvs_that_is_broken_costs_no_deposit():
    f = new_bin()
    f.append("deposit", ())
    Nvs.broken = True
    assert f.append("deposit", ()) == 2
    f = opened()
    assert f.append("deposit", ()) == 3
    Nvs.broken = False
    f = opened()
    assert (f.index.last, f.repaired, Nvs.values["n"]) == (3, 0, 3)


def test_far_more_lost_than_can_be_told_sends_what_is_left_and_begins_a_new_epoch():
    f = new_bin(400)
    for _ in range(120):
        f.append("deposit", (("label", "x" * 200),))
    epoch = f.index.epoch
    Nvs.values["n"] = 120 + mending.LOST_LINES_MAX + 1
    f = opened()
    assert not f.has_room()
    try:
        f.append("deposit", ())
        raise AssertionError("an n may have been used twice")
    except flash.JournalFull:
        pass
    assert kinds(f) == ["deposit"] * 120
    f.receipt(epoch, 60)
    assert f.index.epoch == epoch and f.index.last == 120
    f = opened()
    f.receipt(epoch, 120)
    assert f.index.epoch != epoch and f.has_room() and os.listdir(ROOT) == []
    assert f.append("boot", ()) == 1
    f = opened()
    assert f.index.last == 1 and f.index.epoch != epoch


def test_lost_lines_wait_for_room_and_no_n_is_used_twice():
    f = new_bin(40)
    try:
        while True:
            f.append("deposit", (("label", "x" * 200),))
    except flash.JournalFull:
        pass
    last = f.index.last
    Nvs.values["n"] = last + 90
    f = opened()
    assert f.index.last < last + 90 and not f.has_room()
    try:
        f.append("deposit", ())
        raise AssertionError("an n may have been used twice")
    except flash.JournalFull:
        pass


def turned(text, at, bit):
    changed = bytearray(text)
    changed[at] ^= 1 << bit
    return changed


def test_any_bit_that_turns_costs_its_line_only():
    """First, middle and newest segment; a newline that turns joins two lines and costs both."""
    f = new_bin()
    journal.SEGMENT_BYTES = 3 * len(f.line(1, "refused", (("g", 1),))) + 9
    for g in range(9):
        f.append("refused", (("g", g),))
    whole = sent(f)
    texts = [text_of(number) for number in range(3)]
    assert len(segments_of(f)) == 3 and segments_of(f)[1].first == 4
    nvs = dict(Nvs.values)
    turns = 0
    for number, text in enumerate(texts):
        ends = [i for i, byte in enumerate(text) if byte == 10]
        for at in range(len(text)):
            place = len([end for end in ends if end < at])
            costs = {number * 3 + place + 1}
            if at in ends[:-1]:
                costs.add(number * 3 + place + 2)
            # Every bit of every newline and of the newest line, every bit by turns of the others.
            newest = number == 2 and place == 2
            for bit in range(8) if at in ends or newest else (at % 8,):
                put(number, turned(text, at, bit))
                Nvs.values = dict(nvs)
                f = opened()
                lines = sent(f)
                for n, line in whole.items():
                    assert lines[n] == line or (n in costs and lines[n][0] == "fault"), (n, at, bit)
                assert 9 <= f.index.last <= 10 and f.repaired >= 1, (number, at, bit)
                assert f.append("deposit", ()) == f.index.last
                turns += 1
                for again, before in enumerate(texts):  # as it was, for the next bit
                    if segments_of(f)[-1].number == again or again in (number, number + 1):
                        put(again, before)
                for name in os.listdir(ROOT):
                    if int(name[:8], 16) > 2 or not name.endswith(".log"):
                        os.remove(ROOT + "/" + name)
    assert turns > 1400, turns


def test_a_bit_that_makes_two_lines_of_one_costs_that_one():
    """Wherever it does: the first line, one within, the last of a segment, the newest of all."""
    journal.SEGMENT_BYTES = 450
    for n in range(1, 13):
        f = new_bin()
        for g in range(12):
            f.append("refused", (("g", g),))
        whole = sent(f)
        for segment in segments_of(f):
            text = text_of(segment.number)
            if whole[n][1] in text:
                put(segment.number, text.replace(whole[n][1], whole[n][1].replace(b'"t"', b'"\n"')))
        f = opened()
        lines = sent(f)
        assert [i for i in whole if lines[i] != whole[i]] == [n] and lines[n][0] == "fault", n
        assert f.index.last - 12 == (n == 12)  # the newest may have been two: one more n is spent


def test_several_bits_at_once():
    journal.SEGMENT_BYTES = 450
    for seed in range(60):
        f = new_bin(120)
        for g in range(12):
            f.append("refused", (("g", g),))
        whole = sent(f)
        if seed % 3 == 0:
            f.receipt(f.index.epoch, 5)
        costs = set()
        texts = {segment.number: text_of(segment.number) for segment in segments_of(f)}
        for i in range(4):
            segment = segments_of(f)[(seed * 7 + i * 5) % len(segments_of(f))]
            text = texts[segment.number]
            at = (seed * 911 + i * 577) % len(text)
            put(segment.number, turned(text_of(segment.number), at, seed % 8))
            before = text[:at].count(b"\n")
            costs.add(segment.first + before)
            if text[at] == 10:
                costs.add(segment.first + before + 1)
        f = opened()
        lines = sent(f)
        for n, line in whole.items():
            if n in lines:
                assert lines[n] == line or (n in costs and lines[n][0] == "fault"), (seed, n)
            else:
                assert n <= 5
        assert f.append("deposit", ()) > 12


def test_a_whole_segment_of_one_endless_line_does_not_stop_the_start():
    f = new_bin(400)
    for _ in range(100):
        f.append("deposit", (("label", "x" * 200),))
    newest = segments_of(f)[-1]
    put(newest.number, b"\xff" * 40_000)
    f = opened()
    assert f.index.last == 100 and kinds(f).count("fault") == newest.last - newest.first + 1

# Runs on MicroPython: rebuilds the flash at each operation of a recording and starts the bin there.
import gc

import story
from boxbin.core import journal, wire
from disk import BLOCK, Cut, Nvs, View, records


class State:
    """What the flash holds after the operations so far, and what was promised by then."""

    def __init__(self, base, may_be_full):
        self.base = base
        self.may_be_full = may_be_full
        self.nvs = {}
        self.thanked = {}
        self.damaged = {}
        self.last = 0
        self.receipted = 0
        self.settings = (0,)  # the versions that may be found

    def operation(self, kind, block, offset, data):
        """Do one operation, or hear one word of the story."""
        at = block * BLOCK + offset
        if kind in "PX":
            self.base[at : at + len(data)] = data
        elif kind == "E":
            self.base[at : at + BLOCK] = b"\xff" * BLOCK
        elif kind == "N":
            value = data[block:]
            self.nvs[data[:block].decode()] = bytes(value) if offset else int(value)
        elif kind == "T":
            self.last = block
            self.thanked[block] = data
        elif kind == "R":
            for n in range(self.receipted + 1, block + 1):
                self.thanked.pop(n, None)
            self.receipted = block
        elif kind == "D":
            self.damaged[block] = True
        elif kind == "s":
            self.settings += (block,)
        elif kind == "S":
            self.settings = (block,)


def fused_nvs(view):
    def tell(_key, _value):
        if not view.dead and view.step():
            raise Cut

    return tell


def start(view, nvs):
    """What the bin does at every start: the journal is opened, a boot line is written."""
    Nvs.values = nvs
    Nvs.tell = fused_nvs(view)
    story.mount(view)
    f = story.opened()
    opened = view.count
    try:
        f.append("boot", (("fw", "0.1.0"), ("cause", "power")))
    except story.flash.JournalFull:
        return f, opened, False
    return f, opened, True


def check(state, view, nvs, starts=1):
    """Start the bin twice on `view` and hold it to all that was promised; it was started `starts`
    times since the cut, this time too. Returns the operations of this start: those of opening,
    and all; and the lines there are."""
    f, opened, wrote = start(view, nvs)
    assert wrote or state.may_be_full, "no room"
    count = view.count
    damaged = [n for n in state.damaged if n > state.receipted]
    lines = check_sent(state, f) if damaged else check_lines(state, f)
    # Beyond what was thanked for: one line that power failed under, and a boot line each start.
    more = f.index.last - state.last
    assert wrote <= more <= 1 + starts, ("last", f.index.last, state.last)
    version = story.read_settings()
    assert version in state.settings, ("settings", version, state.settings)
    view.left = 0
    story.mount(view)
    again = story.opened()
    assert (again.index.epoch, again.index.last) == (f.index.epoch, f.index.last), "second start"
    assert not again.repaired, "something was left to mend"
    return opened, count, lines


def check_lines(state, f):
    """Every line in flash, by the bytes; returns how many."""
    index = f.index
    first = index.segment(0)[1] if index.count else index.last + 1
    assert first <= state.receipted + 1, ("front", first, state.receipted)
    assert index.last >= state.last, ("lost", index.last, state.last)
    n = first
    for place in range(index.count):
        number, begins, ends, size = index.segment(place)
        assert begins == n, ("gap", begins, n)
        with open(f.path(number), "rb") as file:
            text = file.read()
        lines = text.split(b"\n")
        assert lines.pop() == b"" and len(text) == size, "torn end"
        for line in lines:
            check_line(state, f, n, line)
            n += 1
        assert ends == n - 1
    assert n == index.last + 1
    return n - first


def check_sent(state, f):
    """The same for damage that is found while sending: every line as the gateway gets it."""
    first = n = f.index.receipted + 1
    assert first <= state.receipted + 1, ("front", first, state.receipted)
    assert f.index.last >= state.last, ("lost", f.index.last, state.last)
    while f.index.backlog:
        last, payload = f.batch()
        for line in payload.split(b"\n")[:-1]:
            check_line(state, f, n, line)
            n += 1
        if payload:
            assert last == n - 1
            f.receipt(f.index.epoch, last)
    return n - first


def check_line(state, f, n, line):
    thanked = state.thanked.get(n)
    if thanked is None or line != thanked[:-1]:
        assert thanked is None or n in state.damaged, ("changed", n, line)
        body = wire.read(f.identity.key, f.identity.bin_id, "journal", line)
        assert (body["e"], body["n"]) == (f.index.epoch, n), ("doubled", n, line)
        assert thanked is None or body["k"] == "fault", ("replaced", n, line)


def second_cuts(state, first, nvs, count):
    """Cut the start itself at each of its operations, clean and torn; returns how many."""
    done = 0
    for left in range(1, count + 1):
        for torn in (False, True):
            view = first.copy()
            view.left, view.torn = left, torn
            store = dict(nvs)
            try:
                start(view, store)
            except (Cut, OSError):
                pass
            else:
                raise AssertionError("no cut at %d of %d" % (left, count))
            after = view.survivor()
            try:
                check(state, after, store, 2)
            except Exception as error:
                print("second cut at", left, "of", count, "torn" if torn else "clean")
                raise error
            after.dead = True
            done += 1
    return done


def main(base_path, recording, run, segment_bytes, segments_max, shard, shards, *second_every):
    """Every `shards`-th operation from the `shard`-th on. Prints figures; raises at a failure."""
    journal.SEGMENT_BYTES = segment_bytes
    journal.SEGMENTS_MAX = segments_max
    with open(base_path, "rb") as f:
        state = State(bytearray(f.read()), run == "full")
    operations = second = most = 0
    starts = [0, 0]  # those that mend or tell NVS, all others
    for kind, block, offset, data in records(open(recording, "rb")):
        if kind in "PEN":
            operations += 1
            if operations % shards == shard:
                for torn in (False, True) if kind in "PE" else (False,):
                    view = View(state.base)
                    if torn:
                        view.tear(kind, block, offset, data)
                    before = view.copy()
                    try:
                        opened, count, lines = check(state, view, dict(state.nvs))
                        view.dead = True
                        most = max(most, lines)
                        which = 0 if opened else 1
                        starts[which] += 1
                        if starts[which] % second_every[which] == 0:
                            second += second_cuts(state, before, state.nvs, count)
                    except Exception as error:
                        print("cut at operation", operations, kind, "torn" if torn else "clean")
                        raise error
        state.operation(kind, block, offset, data)
        if operations % 50 == 0:
            gc.collect()
    cuts, mended = sum(starts), starts[0]
    print(operations, cuts, mended, second, most)

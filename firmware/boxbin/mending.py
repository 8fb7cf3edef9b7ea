"""Mending of the journal's files: at start, and when a damaged line is met.

Functions of a Flash (flash.py), in a file of their own so that a bin can let them go again: they
are 6 KB that it needs for a second at start and then perhaps never.
"""

import os

from boxbin.core import journal, wire
from boxbin.log import log

READ_BYTES = wire.LINE_BYTES_MAX + 1  # of a damaged segment's endless line at a time
_GAP_LINES_MAX = 16_384  # between sound lines: more than a full journal has of the shortest
LOST_LINES_MAX = 1_024  # at the end, where only NVS tells: some ten segments, 5 s of an ESP32
_BRIDGE_LINES = 64  # lines that one closing of a file makes durable
BAD_SEGMENTS_MAX = 4


def load(flash):
    """The index of what is there, or None. Older segments are checked at both ends only:
    a MAC takes an ESP32 1 to 2 ms, and each line is checked again before it is sent.
    """
    numbers = _numbers(flash)
    index = None
    for place, number in enumerate(numbers):
        newest = place == len(numbers) - 1
        expected = index.last + 1 if index else None
        try:
            found = None if newest else _ends(flash, number)
            if found and not index:
                expected = _begin(flash, number, found[0], found[1], 0)
            if found is None or found[1] != expected:
                found = mend(flash, number, expected, newest)
            if found is None:
                os.remove(flash.path(number))  # nothing in it: cut off while being made
                continue
            epoch, first, last, size = found
            if index is None:
                index = journal.Journal(epoch)
            elif epoch != index.epoch:
                raise journal.JournalError("segment %d is of epoch %s" % (number, epoch))
            index.found(number, first, last, size)
        except journal.JournalError as error:
            log("journal", error)
            put_aside(flash, number)
    return index


def _begin(flash, number, epoch, found, bad):
    """The n that the oldest segment begins with: `found` is that of its first sound line, and
    `bad` unsound ones lie before it.
    """
    if number == 0:
        return 1
    if flash.seen[0] == epoch and 0 < flash.seen[1] <= found:
        return flash.seen[1]
    return max(1, found - bad)


def _numbers(flash):
    try:
        names = os.listdir(flash.root)
    except OSError:
        os.mkdir(flash.root)
        return []
    for name in names:
        if name.endswith(".tmp"):
            os.remove(flash.root + "/" + name)
    return sorted(int(name[:8], 16) for name in names if name.endswith(".log"))


def _ends(flash, number):
    """(epoch, first n, last n, bytes) from the first and the last line, or None if unsound."""
    identity = flash.identity
    with open(flash.path(number), "rb") as f:
        head = f.readline(READ_BYTES)
        size = f.seek(0, 2)
        f.seek(max(0, size - wire.LINE_BYTES_MAX))
        end = f.read()
    tail = end[end[:-1].rfind(b"\n") + 1 :]
    try:
        epoch, first = wire.read_line(identity.key, identity.bin_id, head)
        same_epoch, last = wire.read_line(identity.key, identity.bin_id, tail)
    except wire.WireError:
        return None
    return (epoch, first, last, size) if same_epoch == epoch else None


def mend(flash, number, expected, newest):
    """Check each line of a segment; write it anew only when something in it is unsound.

    `expected` is the n of its first line, None when that is unknown. Returns (epoch, first n,
    last n, bytes), or None when there is no line in it. Raises JournalError when what is there
    is not ours, and OSError when there is no room to mend it (SEGMENTS_MAX leaves some).
    """
    found = _walk(flash, number, expected, None, newest)
    if found is None or not found[4]:
        return found and found[:4]
    temporary = flash.root + "/mend.tmp"
    flash.room_changed()
    with open(temporary, "wb") as out:
        found = _walk(flash, number, found[1], out, newest)
    os.rename(temporary, flash.path(number))
    flash.repaired += found[4]
    return found[:4]


def _walk(flash, number, expected, out, newest):
    """Go through a segment, copying it to `out` (or nowhere) with its damage mended.

    Returns (epoch, first n, last n, bytes, unsound places) or None.
    """
    epoch = None
    first, n = expected, (expected or 1) - 1
    bad = size = unsound = 0
    with open(flash.path(number), "rb") as f:
        while True:
            line = f.readline(READ_BYTES)
            if not line:
                break
            whole = line[-1:] == b"\n"
            try:
                if not whole:
                    raise wire.WireError("torn")
                epoch, found = wire.read_line(flash.identity.key, flash.identity.bin_id, line)
            except wire.WireError:
                bad += 1 if whole else 0
                unsound += 0 if whole else 1
                continue
            if first is None:
                first = _begin(flash, number, epoch, found, bad)
                n = first - 1
            if not n < found <= n + _GAP_LINES_MAX:
                raise journal.JournalError("segment %d: n=%d after %d" % (number, found, n))
            size += _fill(flash, out, n + 1, found, epoch)
            unsound += found - n - 1
            if out:
                out.write(line)
            n, bad = found, 0
            size += len(line)
    if epoch is None:
        if bad:
            raise journal.JournalError("segment %d: no line of it is ours" % number)
        return None
    # Elsewhere the next segment tells how many: a turned bit may have made two lines of one.
    tail = bad if newest else 0
    size += _fill(flash, out, n + 1, n + 1 + tail, epoch)
    return epoch, first, n + tail, size, unsound + bad


def _fill(flash, out, n, end, epoch, detail="line damaged"):
    """Signed `fault` lines for n up to but without `end`; returns their bytes."""
    size = 0
    while n < end:
        line = flash.line(n, "fault", (("what", "journal"), ("detail", detail)), epoch)
        if out:
            out.write(line)
        size += len(line)
        n += 1
    return size


def put_aside(flash, number):
    """Keep a segment that is no row of our lines for a technician; a bounded number."""
    flash.repaired += 1
    flash.room_changed()
    os.rename(flash.path(number), flash.path(number, "bad"))
    names = sorted(name for name in os.listdir(flash.root) if name.endswith(".bad"))
    for name in names[:-BAD_SEGMENTS_MAX]:
        os.remove(flash.root + "/" + name)


def mend_or_put_aside(flash, number, first, newest):
    """Mend a segment that begins with n = `first`; one that is no row of our lines is put aside."""
    try:
        mend(flash, number, first, newest)
    except journal.JournalError as error:
        log("journal", error)
        put_aside(flash, number)


def settle(flash):
    """Put signed `fault` lines for what was lost at the end, so that no n is used twice.

    Of more than LOST_LINES_MAX nobody wants to hear one by one: the row is sent to its end and
    a new epoch begins. Until then, and while there is no room, nothing is written.
    """
    index = flash.index
    if flash.lost() > LOST_LINES_MAX:
        if not index.backlog:
            for place in range(index.count - 1, -1, -1):  # what is left stays too old
                os.remove(flash.path(index.segment(place)[0]))
            flash.renew()
        return
    try:
        while flash.lost():
            number = index.place(0)
            if number is None:  # it takes the room of lines that are gone
                number = index.segment(-1)[0] + 1
            n, count = index.last + 1, min(flash.lost(), _BRIDGE_LINES)
            with open(flash.path(number), "ab") as f:
                size = _fill(flash, f, n, n + count, index.epoch, "line lost")
            index.wrote(number, size, count)
            flash.repaired += count
    except OSError as error:
        log("journal", "lost lines:", error)  # at the next receipt, again
    flash.tell()

"""The journal's files in flash: one line is durable when `append` returns.

Segments are `/journal/<8 hex digits>.log`. LittleFS commits a file when it is closed, so each line
is written by open, write, close. Every line carries its own MAC and is checked when it is read
back: a line that is damaged is replaced by a signed `fault` line with the same n, so that the row
has no gap and the gateway hears of it; a torn end, which was never thanked for, is cut off. What
flash loses at either end of the row, where no other line tells of it, the witness (NVS) tells.

Longer than other files: writing, reading and mending share one index, and a second module costs
heap.
"""

import gc
import os

from boxbin.core import journal, wire
from boxbin.log import log

ROOT = "/journal"
VISIT_BYTES = journal.SEGMENT_BYTES  # twenty deposits and their refusals take about half of it
RESERVE_BYTES = 49_152  # of the file system: a visit, and a segment while it is mended
BATCH_BYTES_MAX = 4_096  # half of what the wire allows: it is copied twice on its way out
READ_BYTES = wire.LINE_BYTES_MAX + 1  # of a damaged segment's endless line at a time
GAP_LINES_MAX = 16_384  # between sound lines: more than a full journal has of the shortest
LOST_LINES_MAX = 1_024  # at the end, where only NVS tells: some ten segments, 5 s of an ESP32
BRIDGE_LINES = 64  # lines that one closing of a file makes durable
BAD_SEGMENTS_MAX = 4


class JournalFull(OSError):
    """No room for another line: no thanks without evidence, so the flap stays shut."""


class Flash:
    """The journal of one bin. `index` is the core.journal.Journal that says what is where."""

    def __init__(self, identity, clock, witness=None, root=ROOT):
        self._identity = identity
        self._clock = clock
        self._witness = witness
        self._root = root
        self._cursor = (0, 0, 0)  # (n, segment, offset) of where the last batch ended
        self._has_bytes = None  # has the file system its reserve? None: something was written since
        self._seen = witness.seen() if witness else ("", 0, 0)  # (epoch, first n, last n)
        self.repaired = 0
        self._open(0)

    # -- writing --------------------------------------------------------------------------------

    def append(self, kind, fields):
        """Write one line; return its n once it is in flash. Raises JournalFull."""
        index = self.index
        n = index.last + 1
        if self._lost():
            raise JournalFull("n=%d to %d were lost: no room to say so" % (n, self._seen[2]))
        line = self._line(n, kind, fields)
        number = index.place(len(line))
        if number is None:
            raise JournalFull("journal has %d segments" % index.count)
        try:
            with open(self._path(number), "ab") as f:
                f.write(line)
        except OSError as error:
            self._open(index.receipted)  # whatever half of it is there is cut off again
            raise JournalFull("line %d: %r" % (n, error))
        index.wrote(number, len(line))
        self._tell()
        return n

    def has_room(self):
        """Whether the journal takes all lines of a visit: nobody's last carton is taken in vain."""
        if self._lost() or self.index.room_bytes < VISIT_BYTES:
            return False
        if self._has_bytes is None:  # LittleFS walks all its files for the answer
            stat = os.statvfs(self._root)
            self._has_bytes = stat[1] * stat[3] >= RESERVE_BYTES
        return self._has_bytes

    def receipt(self, epoch, n):
        """Take a verified receipt; True when it covered something new."""
        index = self.index
        before = index.receipted
        gone = index.receipt(epoch, n)
        if gone:
            self._tell()  # first, or what is gone would be missed after a power cut in between
            for number in gone:
                os.remove(self._path(number))
            self._has_bytes = None
        covered = index.receipted > before
        if self._lost():
            self._settle()
        return covered

    # -- the witness ----------------------------------------------------------------------------

    def _tell(self):
        """Have the witness know both ends of the row. That NVS is broken costs no deposit."""
        self._has_bytes = None
        index, seen, witness = self.index, self._seen, self._witness
        if not witness:
            return
        now = (index.epoch, index.segment(0)[1], index.last + self._lost())
        try:
            if seen[0] != now[0]:
                witness.begin(*now)
            else:
                if seen[1] != now[1]:
                    witness.let_go(now[1])
                if seen[2] != now[2]:
                    witness.wrote(now[2])
            self._seen = now
        except OSError as error:
            log("journal", "no witness:", error)

    def _lost(self):
        """How many lines the witness saw beyond the end of the row."""
        epoch, _, n = self._seen
        return max(0, n - self.index.last) if epoch == self.index.epoch else 0

    def _settle(self):
        """Put signed `fault` lines for what was lost at the end, so that no n is used twice.

        Of more than LOST_LINES_MAX nobody wants to hear one by one: the row is sent to its end and
        a new epoch begins. Until then, and while there is no room, nothing is written.
        """
        index = self.index
        if self._lost() > LOST_LINES_MAX:
            if not index.backlog:
                for place in range(index.count - 1, -1, -1):  # what is left stays too old
                    os.remove(self._path(index.segment(place)[0]))
                self._renew()
            return
        try:
            while self._lost():
                number = index.place(0)
                if number is None:  # it takes the room of lines that are gone
                    number = index.segment(-1)[0] + 1
                n, count = index.last + 1, min(self._lost(), BRIDGE_LINES)
                with open(self._path(number), "ab") as f:
                    size = self._fill(f, n, n + count, index.epoch, "line lost")
                index.wrote(number, size, count)
                self.repaired += count
        except OSError as error:
            log("journal", "lost lines:", error)  # at the next receipt, again
        self._tell()

    def _renew(self):
        self.index = journal.Journal("".join("%02x" % b for b in os.urandom(4)))
        self.repaired += 1 if self._seen[2] else 0  # there was a journal, and it is gone
        self._has_bytes = None

    def _line(self, n, kind, fields, epoch=None):
        identity, clock = self._identity, self._clock
        return wire.line(
            identity.key,
            identity.bin_id,
            epoch or self.index.epoch,
            n,
            clock.unix_ms(),
            clock.quality,
            kind,
            fields,
        )

    # -- reading --------------------------------------------------------------------------------

    def batch(self):
        """(n of the last line in it, payload) of the oldest unreceipted lines, or (0, b"").

        The payload is one piece of the heap; where there is none of that size, fewer lines go.
        """
        limit = BATCH_BYTES_MAX
        while limit >= wire.LINE_BYTES_MAX:
            try:
                return self._batch(limit)
            except MemoryError:
                gc.collect()
                limit //= 2
        log("journal", "no memory for one line")
        return 0, b""

    def _batch(self, limit):
        place = self.index.next_to_send()
        if place is None:
            return 0, b""
        number, skip = place
        n = before = self.index.receipted
        with open(self._path(number), "rb") as f:
            if self._cursor[:2] == (n, number):
                f.seek(self._cursor[2])
            else:
                for _ in range(skip):
                    f.readline(READ_BYTES)
            start = end = f.tell()
            while n - before < wire.PAYLOAD_LINES_MAX:
                line = f.readline(READ_BYTES)
                if end - start + len(line) > limit or not self._is_line(line, n + 1):
                    break
                n += 1
                end += len(line)
            if n > before:
                f.seek(start)
                payload = f.read(end - start)
                self._cursor = (n, number, end)
                return n, payload
        # The next line is damaged.
        try:
            self._mend(number, before + 1 - skip)
        except journal.JournalError as error:
            log("journal", error)
            self._put_aside(number)
        self._open(before)
        return 0, b""

    def _is_line(self, line, n):
        try:
            found = wire.read_line(self._identity.key, self._identity.bin_id, line)
        except wire.WireError:
            return False
        return line[-1:] == b"\n" and found == (self.index.epoch, n)

    # -- start ----------------------------------------------------------------------------------

    def _open(self, receipted):
        """The journal as it lies in flash, of which `receipted` is known to be durable."""
        self._cursor = (0, 0, 0)  # mended lines before it would have moved what it points at
        index = self._load()
        if index is None:
            self._renew()
            return
        self.index = index
        index.receipted = max(index.receipted, min(receipted, index.last))
        self._settle()

    def _load(self):
        """The index of what is there, or None. Older segments are checked at both ends only:
        a MAC takes an ESP32 1 to 2 ms, and each line is checked again before it is sent.
        """
        numbers = self._numbers()
        index = None
        for place, number in enumerate(numbers):
            expected = index.last + 1 if index else None
            try:
                found = None if place == len(numbers) - 1 else self._ends(number)
                if found and not index:
                    expected = self._begin(number, found[0], found[1], 0)
                if found is None or found[1] != expected:
                    found = self._mend(number, expected)
                if found is None:
                    os.remove(self._path(number))  # nothing in it: cut off while being made
                    continue
                epoch, first, last, size = found
                if index is None:
                    index = journal.Journal(epoch)
                elif epoch != index.epoch:
                    raise journal.JournalError("segment %d is of epoch %s" % (number, epoch))
                index.found(number, first, last, size)
            except journal.JournalError as error:
                log("journal", error)
                self._put_aside(number)
        return index

    def _begin(self, number, epoch, found, bad):
        """The n that the oldest segment begins with: `found` is that of its first sound line, and
        `bad` unsound ones lie before it.
        """
        if number == 0:
            return 1
        if self._seen[0] == epoch and 0 < self._seen[1] <= found:
            return self._seen[1]
        return max(1, found - bad)

    def _numbers(self):
        try:
            names = os.listdir(self._root)
        except OSError:
            os.mkdir(self._root)
            return []
        for name in names:
            if name.endswith(".tmp"):
                os.remove(self._root + "/" + name)
        return sorted(int(name[:8], 16) for name in names if name.endswith(".log"))

    def _ends(self, number):
        """(epoch, first n, last n, bytes) from the first and the last line, or None if unsound."""
        identity = self._identity
        with open(self._path(number), "rb") as f:
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

    def _mend(self, number, expected):
        """Check each line of a segment; write it anew only when something in it is unsound.

        `expected` is the n of its first line, None when that is unknown. Returns (epoch, first n,
        last n, bytes), or None when there is no line in it. Raises JournalError when what is there
        is not ours, and OSError when there is no room to mend it (SEGMENTS_MAX leaves some).
        """
        found = self._walk(number, expected, None)
        if found is None or not found[4]:
            return found and found[:4]
        temporary = self._root + "/mend.tmp"
        self._has_bytes = None
        with open(temporary, "wb") as out:
            found = self._walk(number, found[1], out)
        os.rename(temporary, self._path(number))
        self.repaired += found[4]
        return found[:4]

    def _walk(self, number, expected, out):
        """Go through a segment, copying it to `out` (or nowhere) with its damage mended.

        Returns (epoch, first n, last n, bytes, unsound places) or None.
        """
        epoch = None
        first, n = expected, (expected or 1) - 1
        bad = size = unsound = 0
        with open(self._path(number), "rb") as f:
            while True:
                line = f.readline(READ_BYTES)
                if not line:
                    break
                whole = line[-1:] == b"\n"
                try:
                    if not whole:
                        raise wire.WireError("torn")
                    epoch, found = wire.read_line(self._identity.key, self._identity.bin_id, line)
                except wire.WireError:
                    bad += 1 if whole else 0
                    unsound += 0 if whole else 1
                    continue
                if first is None:
                    first = self._begin(number, epoch, found, bad)
                    n = first - 1
                if not n < found <= n + GAP_LINES_MAX:
                    raise journal.JournalError("segment %d: n=%d after %d" % (number, found, n))
                size += self._fill(out, n + 1, found, epoch)
                unsound += found - n - 1
                if out:
                    out.write(line)
                n, bad = found, 0
                size += len(line)
        if epoch is None:
            if bad:
                raise journal.JournalError("segment %d: no line of it is ours" % number)
            return None
        size += self._fill(out, n + 1, n + 1 + bad, epoch)  # whole lines whose bits are wrong
        return epoch, first, n + bad, size, unsound + bad

    def _fill(self, out, n, end, epoch, detail="line damaged"):
        """Signed `fault` lines for n up to but without `end`; returns their bytes."""
        size = 0
        while n < end:
            line = self._line(n, "fault", (("what", "journal"), ("detail", detail)), epoch)
            if out:
                out.write(line)
            size += len(line)
            n += 1
        return size

    def _put_aside(self, number):
        """Keep a segment that is no row of our lines for a technician; a bounded number."""
        self.repaired += 1
        self._has_bytes = None
        os.rename(self._path(number), self._path(number, "bad"))
        names = sorted(name for name in os.listdir(self._root) if name.endswith(".bad"))
        for name in names[:-BAD_SEGMENTS_MAX]:
            os.remove(self._root + "/" + name)

    def _path(self, number, kind="log"):
        return "%s/%08x.%s" % (self._root, number, kind)

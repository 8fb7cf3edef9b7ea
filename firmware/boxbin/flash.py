"""The journal's files in flash: one line is durable when `append` returns.

Segments are `/journal/<8 hex digits>.log`. LittleFS commits a file when it is closed, so each line
is written by open, write, close. Every line carries its own MAC and is checked when it is read
back: a line that is damaged is replaced by a signed `fault` line with the same n, so that the row
has no gap and the gateway hears of it; a torn end, which was never thanked for, is cut off. What
flash loses at either end of the row, where no other line tells of it, the witness (NVS) tells. All
mending is in mending.py.
"""

import gc
import os

from boxbin.core import journal, wire
from boxbin.lazily import forget
from boxbin.log import log

ROOT = "/journal"
VISIT_BYTES = journal.SEGMENT_BYTES  # twenty deposits and their refusals take about half of it
RESERVE_BYTES = 49_152  # of the file system: a visit, and a segment while it is mended
_READ_BYTES = wire.LINE_BYTES_MAX + 1
BATCH_BYTES_MAX = 2_048  # a quarter of what the wire allows: it is one piece of a small heap


class JournalFull(OSError):
    """No room for another line: no thanks without evidence, so the flap stays shut."""


class Flash:
    """The journal of one bin. `index` is the core.journal.Journal that says what is where."""

    def __init__(self, identity, clock, witness=None, root=ROOT):
        self.identity = identity
        self._clock = clock
        self._witness = witness
        self.root = root
        self._cursor = (0, 0, 0)  # (n, segment, offset) of where the last batch ended
        self._has_bytes = None  # has the file system its reserve? None: something was written since
        self.seen = witness.seen() if witness else ("", 0, 0)  # (epoch, first n, last n)
        self.repaired = 0
        self.index = journal.Journal("")
        self._open(0)

    # -- writing --------------------------------------------------------------------------------

    def append(self, kind, fields):
        """Write one line; return its n once it is in flash. Raises JournalFull."""
        index = self.index
        n = index.last + 1
        if self.lost():
            raise JournalFull("n=%d to %d were lost: no room to say so" % (n, self.seen[2]))
        line = self.line(n, kind, fields)
        number = index.place(len(line))
        if number is None:
            raise JournalFull("journal has %d segments" % index.count)
        try:
            with open(self.path(number), "ab") as f:
                f.write(line)
        except OSError as error:
            self._open(index.receipted)  # whatever half of it is there is cut off again
            raise JournalFull("line %d: %r" % (n, error))
        index.wrote(number, len(line))
        self.tell()
        return n

    def has_room(self):
        """Whether the journal takes all lines of a visit: nobody's last carton is taken in vain."""
        if self.lost() or self.index.room_bytes < VISIT_BYTES:
            return False
        if self._has_bytes is None:  # LittleFS walks all its files for the answer
            stat = os.statvfs(self.root)
            self._has_bytes = stat[1] * stat[3] >= RESERVE_BYTES
        return self._has_bytes

    def receipt(self, epoch, n):
        """Take a verified receipt; True when it covered something new."""
        index = self.index
        before = index.receipted
        gone = index.receipt(epoch, n)
        if gone:
            self.tell()  # first, or what is gone would be missed after a power cut in between
            for number in gone:
                os.remove(self.path(number))
            self._has_bytes = None
        covered = index.receipted > before
        if self.lost():
            from boxbin import mending

            mending.settle(self)
            forget("mending")
        return covered

    # -- the witness ----------------------------------------------------------------------------

    def tell(self):
        """Have the witness know both ends of the row. That NVS is broken costs no deposit."""
        self._has_bytes = None
        index, seen, witness = self.index, self.seen, self._witness
        if not witness:
            return
        now = (index.epoch, index.segment(0)[1], index.last + self.lost())
        try:
            if seen[0] != now[0]:
                witness.begin(*now)
            else:
                if seen[1] != now[1]:
                    witness.let_go(now[1])
                if seen[2] != now[2]:
                    witness.wrote(now[2])
            self.seen = now
        except OSError as error:
            log("journal", "no witness:", error)

    def lost(self):
        """How many lines the witness saw beyond the end of the row."""
        epoch, _, n = self.seen
        return max(0, n - self.index.last) if epoch == self.index.epoch else 0

    def line(self, n, kind, fields, epoch=None):
        """A signed line of this journal, or of another epoch."""
        identity, clock = self.identity, self._clock
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
        with open(self.path(number), "rb") as f:
            if self._cursor[:2] == (n, number):
                f.seek(self._cursor[2])
            else:
                for _ in range(skip):
                    f.readline(_READ_BYTES)
            start = end = f.tell()
            while n - before < wire.PAYLOAD_LINES_MAX:
                line = f.readline(_READ_BYTES)
                if end - start + len(line) > limit or not self._is_line(line, n + 1):
                    break
                n += 1
                end += len(line)
            if n > before:
                f.seek(start)
                payload = f.read(end - start)
                self._cursor = (n, number, end)
                return n, payload
        self._open(before, number, before + 1 - skip)  # the next line is damaged
        return 0, b""

    def _is_line(self, line, n):
        try:
            found = wire.read_line(self.identity.key, self.identity.bin_id, line)
        except wire.WireError:
            return False
        return line[-1:] == b"\n" and found == (self.index.epoch, n)

    # -- start ----------------------------------------------------------------------------------

    def _open(self, receipted, damaged=None, first=None):
        """The journal as it lies in flash, of which `receipted` is known to be durable; the segment
        `damaged`, which begins with n = `first`, is mended before.
        """
        from boxbin import mending

        self._cursor = (0, 0, 0)  # mended lines before it would have moved what it points at
        if damaged is not None:
            mending.mend_or_put_aside(self, damaged, first, damaged == self.index.segment(-1)[0])
        index = mending.load(self)
        if index is None:
            self.renew()
        else:
            self.index = index
            index.receipted = max(index.receipted, min(receipted, index.last))
            mending.settle(self)
        forget("mending")

    def renew(self):
        """A new journal, with an epoch of its own."""
        self.index = journal.Journal("".join("%02x" % b for b in os.urandom(4)))
        self.repaired += 1 if self.seen[2] else 0  # there was a journal, and it is gone
        self.room_changed()

    def room_changed(self):
        """Something was written or removed: the file system must be asked again."""
        self._has_bytes = None

    def path(self, number, kind="log"):
        """The file of a segment."""
        return "%s/%08x.%s" % (self.root, number, kind)

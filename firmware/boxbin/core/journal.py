"""The journal's book-keeping: which segment holds which lines, what may go, what is sent next.

No I/O here. The journal is a row of append-only segment files. A new line goes to the newest
segment until that is full; a segment goes when a receipt covers all of it, except the newest,
which keeps epoch and n alive across a restart. A receipt is not written to flash: after a restart
the lines still there are sent once more, the gateway knows them and repeats its receipt. That
saves a flash write for each receipt.
"""

from array import array

SEGMENT_BYTES = 16_368  # four blocks of LittleFS, which keeps 16 bytes of them for itself
SEGMENTS_MAX = 96  # 1.5 MiB of the 2 MiB file system of a 4 MB board; the rest is the firmware
WARN_SEGMENTS = 77  # 80 %
_WIDTH = 4


class JournalError(ValueError):
    """The segments on flash do not make one row of lines."""


class Journal:
    """Index of the segments. `epoch` is 8 hex digits, `last` the newest n, `receipted` the newest
    n that the gateway has made durable (0 after a start: unknown).
    """

    def __init__(self, epoch):
        self.epoch = epoch
        self.last = 0
        self.receipted = 0
        self._rows = array("i")  # four numbers a segment: 96 objects would take 10 KB of the heap

    @property
    def count(self):
        """How many segments there are."""
        return len(self._rows) // _WIDTH

    def segment(self, place):
        """(number, first n, last n, bytes) of one, from old to new; -1 is the newest."""
        at = place % self.count * _WIDTH
        return tuple(self._rows[at : at + _WIDTH])

    def found(self, number, first, last, size):
        """At start, for each segment from old to new. Raises JournalError on a gap."""
        rows = self._rows
        if rows and (first != self.last + 1 or number <= rows[-_WIDTH]):
            raise JournalError("segment %d begins at n=%d after n=%d" % (number, first, self.last))
        if last < first:
            raise JournalError("segment %d is empty" % number)
        if not rows:
            self.receipted = first - 1  # what is no longer here went for a receipt
        rows.extend(array("i", (number, first, last, size)))
        self.last = last

    def place(self, size):
        """Number of the segment that the next line of `size` bytes goes to, None when full."""
        rows = self._rows
        if not rows:
            return 0
        if rows[-1] + size <= SEGMENT_BYTES:
            return rows[-_WIDTH]
        return rows[-_WIDTH] + 1 if self.count < SEGMENTS_MAX else None

    def wrote(self, number, size, lines=1):
        """`lines` more of `size` bytes together are in flash, in segment `number`. Returns the n
        of the last of them.
        """
        rows = self._rows
        if not rows or rows[-_WIDTH] != number:
            rows.extend(array("i", (number, self.last + 1, self.last, 0)))
        self.last += lines
        rows[len(rows) - 2] = self.last
        rows[len(rows) - 1] += size
        return self.last

    def receipt(self, epoch, n):
        """Take a verified receipt; return the numbers of segments that may be removed.

        A receipt only grows: an older one, one of another epoch, or one beyond the last line
        changes nothing.
        """
        if epoch != self.epoch or not self.receipted < n <= self.last:
            return []
        self.receipted = n
        gone = []
        while len(gone) < self.count - 1 and self.segment(len(gone))[2] <= n:
            gone.append(self.segment(len(gone))[0])
        self._rows = self._rows[len(gone) * _WIDTH :]
        return gone

    def next_to_send(self):
        """(segment number, lines to pass over in it) of the oldest unreceipted line, or None."""
        n = self.receipted + 1
        for place in range(self.count):
            number, first, last, _ = self.segment(place)
            if first <= n <= last:
                return number, n - first
        return None

    @property
    def room_bytes(self):
        """Bytes of lines that still fit into the segments that are allowed."""
        free = (SEGMENTS_MAX - self.count) * SEGMENT_BYTES
        return free + (SEGMENT_BYTES - self._rows[-1] if self._rows else 0)

    @property
    def backlog(self):
        """How many lines have no receipt yet."""
        return self.last - self.receipted

    @property
    def nearly_full(self):
        """Time to warn the operator."""
        return self.count >= WARN_SEGMENTS

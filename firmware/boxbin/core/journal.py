"""The journal's book-keeping: which segment holds which lines, what may go, what is sent next.

No I/O here. The journal is a row of append-only segment files. A new line goes to the newest
segment until that is full; a segment goes when a receipt covers all of it, except the newest,
which keeps epoch and n alive across a restart. A receipt is not written to flash: after a restart
the lines still there are sent once more, the gateway knows them and repeats its receipt. That
saves a flash write for each receipt.
"""

SEGMENT_BYTES = 16_368  # four blocks of LittleFS, which keeps 16 bytes of them for itself
SEGMENTS_MAX = 96  # 1.5 MiB of the 2 MiB file system of a 4 MB board; the rest is the firmware
WARN_SEGMENTS = 77  # 80 %


class JournalError(ValueError):
    """The segments on flash do not make one row of lines."""


class Segment:
    """One file: its number, the first and last n in it, its size in bytes."""

    def __init__(self, number, first, last, size):
        self.number = number
        self.first = first
        self.last = last
        self.size = size


class Journal:
    """Index of the segments. `epoch` is 8 hex digits, `last` the newest n, `receipted` the newest
    n that the gateway has made durable (0 after a start: unknown).
    """

    def __init__(self, epoch):
        self.epoch = epoch
        self.last = 0
        self.receipted = 0
        self.segments = []

    def found(self, number, first, last, size):
        """At start, for each segment from old to new. Raises JournalError on a gap."""
        if self.segments and (first != self.last + 1 or number <= self.segments[-1].number):
            raise JournalError("segment %d begins at n=%d after n=%d" % (number, first, self.last))
        if last < first:
            raise JournalError("segment %d is empty" % number)
        self.segments.append(Segment(number, first, last, size))
        self.last = last
        if len(self.segments) == 1:
            self.receipted = first - 1  # what is no longer here went for a receipt

    def place(self, size):
        """Number of the segment that the next line of `size` bytes goes to, None when full."""
        if self.segments and self.segments[-1].size + size <= SEGMENT_BYTES:
            return self.segments[-1].number
        if len(self.segments) >= SEGMENTS_MAX:
            return None
        return self.segments[-1].number + 1 if self.segments else 0

    def wrote(self, number, size, lines=1):
        """`lines` more of `size` bytes together are in flash, in segment `number`. Returns the n
        of the last of them.
        """
        if not self.segments or self.segments[-1].number != number:
            self.segments.append(Segment(number, self.last + 1, self.last, 0))
        self.last += lines
        self.segments[-1].last = self.last
        self.segments[-1].size += size
        return self.last

    def receipt(self, epoch, n):
        """Take a verified receipt; return the numbers of segments that may be removed.

        A receipt only grows: an older one, one of another epoch, or one beyond the last line
        changes nothing.
        """
        if epoch != self.epoch or not self.receipted < n <= self.last:
            return []
        self.receipted = n
        gone = [s.number for s in self.segments[:-1] if s.last <= n]
        self.segments = self.segments[len(gone) :]
        return gone

    def next_to_send(self):
        """(segment number, lines to pass over in it) of the oldest unreceipted line, or None."""
        n = self.receipted + 1
        for segment in self.segments:
            if segment.first <= n <= segment.last:
                return segment.number, n - segment.first
        return None

    @property
    def room_bytes(self):
        """Bytes of lines that still fit into the segments that are allowed."""
        free = (SEGMENTS_MAX - len(self.segments)) * SEGMENT_BYTES
        return free + (SEGMENT_BYTES - self.segments[-1].size if self.segments else 0)

    @property
    def backlog(self):
        """How many lines have no receipt yet."""
        return self.last - self.receipted

    @property
    def nearly_full(self):
        """Time to warn the operator."""
        return len(self.segments) >= WARN_SEGMENTS

"""The byte stream of a 7E 00 scanner (GM60, GM65, GM861S), taken apart without I/O.

Two things share the line and can fall between each other: replies `02 00 | status | len | data |
CRC` and scanned text that ends in a carriage return and has neither length nor checksum
(facts/hardware.md). So text is capped and must be printable; anything else spoils its line, which
is dropped to its end and counted, and the next good code works. What began like a reply and is none
is taken for text after all: a waybill whose first digits were eaten would pass for another one.
"""

TEXT_BYTES_MAX = 128
REPLY_BYTES_MAX = 16  # data of a reply
HELD_BYTES_MAX = REPLY_BYTES_MAX + 6
CRC_SKIPPED = b"\xab\xcd"  # in place of a CRC it tells the scanner not to check
CRC_QUIRK = b"\x33\x31"  # some units end every reply so

READ, WRITE, SAVE = 7, 8, 9


def crc16(data, crc=0):
    """CRC-16/XMODEM: polynomial 0x1021, initial value 0."""
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def command(kind, address, data):
    """A frame to the scanner: `7E 00 | type | len | address | data | CRC`.

    `data` of a read is one byte: how many registers. The length byte counts data bytes.
    """
    body = bytes((kind, len(data), address >> 8, address & 0xFF)) + data
    crc = crc16(body)
    return b"\x7e\x00" + body + bytes((crc >> 8, crc & 0xFF))


def _reply_bytes(held):
    """How many bytes the reply at the start of `held` has, 0 when it is none.

    More than are held: it may become one.
    """
    size = len(held)
    if (size > 1 and held[1] != 0x00) or (size > 3 and held[3] > REPLY_BYTES_MAX):
        return 0
    whole = held[3] + 6 if size > 3 else HELD_BYTES_MAX
    if size < whole:
        return whole
    end = bytes(held[whole - 2 : whole])
    crc = crc16(held[2 : whole - 2])
    good = end == bytes((crc >> 8, crc & 0xFF)) or end in (CRC_QUIRK, CRC_SKIPPED)
    return whole if good else 0


class Stream:
    """Feed bytes in pieces of any size; get whole events out.

    Events are `("scan", text)` and `("reply", status, data)`. Bounded: at most TEXT_BYTES_MAX of a
    text and HELD_BYTES_MAX of what may be a reply are kept. `dropped` counts bytes thrown away.
    """

    def __init__(self):
        self._text = bytearray()
        self._held = bytearray()  # from an 02 on: a reply, perhaps
        self._spoilt = False
        self.dropped = 0

    def feed(self, data):
        """Take bytes in, return the events they complete (a list, mostly empty)."""
        events = []
        for byte in data:
            if self._held or byte == 0x02:
                self._held.append(byte)
                self._sort(events)
            else:
                self._in_text(byte, events)
        return events

    def quiet(self):
        """The line has been silent for a while: what is half there will not be finished any more.

        Without this, noise with no end of line would swallow the good code that follows it.
        """
        self.dropped += len(self._held) + len(self._text)
        self._held = bytearray()
        self._new_line()

    def _sort(self, events):
        """Take a whole reply from what is held; what cannot become one goes on as text."""
        held = self._held
        while held:
            size = _reply_bytes(held) if held[0] == 0x02 else 0
            if size > len(held):
                break
            if size:
                events.append(("reply", held[2], bytes(held[4 : size - 2])))
            else:
                self._in_text(held[0], events)
            held = held[size or 1 :]
        self._held = held

    def _in_text(self, byte, events):
        if byte in (0x0D, 0x0A):
            if self._text:
                events.append(("scan", bytes(self._text).decode()))
            self._new_line()
        elif not self._spoilt and 0x20 <= byte <= 0x7E and len(self._text) < TEXT_BYTES_MAX:
            self._text.append(byte)
        else:
            self.dropped += len(self._text) + 1
            self._text = bytearray()
            self._spoilt = True

    def _new_line(self):
        self._text = bytearray()
        self._spoilt = False

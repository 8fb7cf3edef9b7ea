"""The byte stream of a 7E 00 scanner (GM60, GM65, GM861S), taken apart without I/O.

Two things share the line and can fall between each other: replies `02 00 | status | len | data |
CRC` and scanned text that ends in a carriage return and has neither length nor checksum
(facts/hardware.md). So text is capped and must be printable; anything else is dropped up to the
next end of line, counted, and the next good code works.
"""

TEXT_BYTES_MAX = 128
REPLY_BYTES_MAX = 16
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


class Stream:
    """Feed bytes in pieces of any size; get whole events out.

    Events are `("scan", text)` and `("reply", status, data)`. Bounded: at most one text of
    TEXT_BYTES_MAX and one reply are held. `dropped` counts bytes and frames thrown away.
    """

    def __init__(self):
        self._text = bytearray()
        self._reply = bytearray()
        self._skip = False
        self.dropped = 0

    def feed(self, data):
        """Take bytes in, return the events they complete (a list, mostly empty)."""
        events = []
        for byte in data:
            if self._reply:
                self._in_reply(byte, events)
            elif byte == 0x02:
                self._reply.append(byte)
            else:
                self._in_text(byte, events)
        return events

    def quiet(self):
        """The line has been silent for a while: what is half there will not be finished any more.

        Without this, noise with no end of line would swallow the good code that follows it.
        """
        if self._reply:
            self._drop_reply()
        self.dropped += len(self._text)
        self._reset_text()

    def _in_text(self, byte, events):
        if byte in (0x0D, 0x0A):
            if self._text and not self._skip:
                events.append(("scan", bytes(self._text).decode()))
            self._reset_text()
        elif self._skip:
            self.dropped += 1
        elif 0x20 <= byte <= 0x7E and len(self._text) < TEXT_BYTES_MAX:
            self._text.append(byte)
        else:
            self.dropped += len(self._text) + 1
            self._reset_text()
            self._skip = True

    def _reset_text(self):
        self._text = bytearray()
        self._skip = False

    def _in_reply(self, byte, events):
        reply = self._reply
        reply.append(byte)
        size = len(reply)
        if size == 2 and byte != 0x00:
            self._drop_reply()
            self._in_text(byte, events)  # the 02 was noise; this byte may begin a code
            return
        if size == 4 and byte > REPLY_BYTES_MAX:
            self._drop_reply()
        elif size >= 4 and size == reply[3] + 6:
            end = bytes(reply[-2:])
            crc = crc16(reply[2:-2])
            if end == bytes((crc >> 8, crc & 0xFF)) or end in (CRC_QUIRK, CRC_SKIPPED):
                events.append(("reply", reply[2], bytes(reply[4:-2])))
                self._reply = bytearray()
            else:
                self._drop_reply()

    def _drop_reply(self):
        self.dropped += len(self._reply)
        self._reply = bytearray()

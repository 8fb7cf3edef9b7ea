"""SSD1306, 128 x 64 pixels on I2C, showing four rows of text in a bitmap font.

The font lies in flash as a file and is read glyph by glyph, so that Chinese costs no heap but two
bytes a character (layout: `BXF1`, u16 count, sorted u16 code points, then 32-byte glyphs of 16 x 16
pixels, of which code points below 0x100 use the left half).
"""

import framebuf
from machine import I2C, Pin

WIDTH = 128
HEIGHT = 64
ROW_PX = 16

# SSD1306 datasheet, section 4: off, horizontal addressing, ratio 1/64, no offset, start line 0,
# mirrored columns and rows (the cable is on top), COM pins, contrast, precharge, VCOMH, clock,
# charge pump, normal, on.
_SETUP = bytes.fromhex("ae2000a83fd30040a1c8da12818fd9f1db30d5808d14a4a6af")
_AGAIN = 30  # so many calls of `refresh` after which the picture is sent again, come what may
_WINDOW = bytes.fromhex("21007f220007")


class Font:
    """Finds a code point in memory, and reads its glyph from the file."""

    def __init__(self, path):
        self._file = open(path, "rb")
        head = self._file.read(6)
        if head[:4] != b"BXF1":
            raise ValueError("%s is no font of this bin" % path)
        self._codes = self._file.read(2 * (head[4] | head[5] << 8))

    def glyph(self, code, buffer):
        """Put 32 bytes into `buffer`; False when the font does not have this code point."""
        pair = bytes((code & 0xFF, code >> 8 & 0xFF))
        at = self._codes.find(pair)
        while at > 0 and at & 1:  # the halves of two neighbours
            at = self._codes.find(pair, at + 1)
        if at < 0 or code > 0xFFFF:
            return False
        self._file.seek(6 + len(self._codes) + 16 * at)
        return self._file.readinto(buffer) == len(buffer)


class Display:
    """Four rows of text. A display that does not answer costs nobody a deposit: `found` says so,
    and `refresh` brings the rows back when it is there again.
    """

    def __init__(self, bus, scl, sda, freq_hz, address, font):
        self._i2c = I2C(bus, scl=Pin(scl), sda=Pin(sda), freq=freq_hz)
        self._address = address
        self._font = font
        self._buffer = bytearray(WIDTH * HEIGHT // 8)
        self._frame = framebuf.FrameBuffer(self._buffer, WIDTH, HEIGHT, framebuf.MONO_VLSB)
        self._glyph = bytearray(32)
        self._glyph_frame = framebuf.FrameBuffer(self._glyph, 16, 16, framebuf.MONO_HLSB)
        self._calls = 0
        self.found = False

    def show(self, rows):
        """Show up to four rows, each centred; a character without a glyph leaves its cell empty."""
        self._frame.fill(0)
        for index, row in enumerate(rows):
            self._row(index * ROW_PX, row)
        self._send()

    def _send(self):
        self._calls = 0
        try:
            # The set-up each time: it may have lost its supply since, and it is 32 bytes.
            self._i2c.writeto(self._address, b"\x00" + _SETUP + _WINDOW)
            self._i2c.writevto(self._address, (b"\x40", self._buffer))
            self.found = True
        except OSError:
            self.found = False

    def refresh(self):
        """Send the picture again if it did not arrive, and now and then anyway: a display that is
        gone is noticed so, and one that lost its supply for a moment does not stay dark. Call every
        second or so.
        """
        self._calls += 1
        if not self.found or self._calls >= _AGAIN:
            self._send()

    def _row(self, y, row):
        width = sum(8 if ord(c) < 0x100 else 16 for c in row)
        x = max(0, (WIDTH - width) // 2 // 8 * 8)
        for character in row:
            code = ord(character)
            if self._font.glyph(code, self._glyph):
                self._frame.blit(self._glyph_frame, x, y, 0)
            x += 8 if code < 0x100 else 16

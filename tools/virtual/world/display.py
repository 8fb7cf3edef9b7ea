"""An SSD1306 on I2C: its command stream in, 128 x 64 pixels out."""

from __future__ import annotations

import io

from PIL import Image

WIDTH = 128
HEIGHT = 64
PAGES = HEIGHT // 8

# Bytes that follow a command byte; every other command stands alone.
ARGUMENTS = {
    0x20: 1, 0x21: 2, 0x22: 2, 0x26: 6, 0x27: 6, 0x29: 5, 0x2A: 5, 0x81: 1, 0x8D: 1, 0xA3: 2,
    0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1,
}  # fmt: skip
HORIZONTAL, VERTICAL, PAGE = 0, 1, 2


class Ssd1306:
    """What the controller does with the bytes written to its address."""

    def __init__(self) -> None:
        self.connected = True
        self.transfers = 0
        self._picture: list[bytes] | None = None  # rows(), until something is written
        self.power_on()

    def power_on(self) -> None:
        """Registers at their reset values; the RAM keeps nothing a person should see."""
        self._picture = None
        self.ram = bytearray(WIDTH * PAGES)
        self.on = False
        self.pump = False  # without the charge pump the panel stays dark
        self.inverse = False
        self.all_on = False
        self.contrast = 0x7F
        self.mode = PAGE
        self.mirrored_x = True  # A1 and C8 put the module upright; A0 and C0 are the reset state
        self.mirrored_y = True
        self.start_line = 0
        self.columns = (0, WIDTH - 1)
        self.pages = (0, PAGES - 1)
        self.column = 0
        self.page = 0
        self._command = 0
        self._wanted = 0
        self._arguments: list[int] = []

    def write(self, data: bytes) -> None:
        """One I2C transfer: control bytes (0x80 one command, 0x00 commands, 0x40 data)."""
        self.transfers += 1
        self._picture = None
        at = 0
        while at < len(data):
            control = data[at]
            at += 1
            is_data = bool(control & 0x40)
            end = at + 1 if control & 0x80 else len(data)
            if is_data and end - at == len(self.ram) and self._whole():
                self.ram[:] = data[at:end]  # a whole picture ends where it began
                at = end
                continue
            for byte in data[at:end]:
                if is_data:
                    self._data(byte)
                else:
                    self._command_byte(byte)
            at = end

    def _whole(self) -> bool:
        """True when a picture written now fills the RAM from its first to its last byte."""
        window = self.columns == (0, WIDTH - 1) and self.pages == (0, PAGES - 1)
        return window and self.mode == HORIZONTAL and self.column == self.page == 0

    def visible(self) -> bool:
        """True when the panel shows its RAM."""
        return self.on and self.pump

    def pixel(self, x: int, y: int) -> bool:
        """True when the pixel glows; (0, 0) is at the upper left for a person."""
        if not self.visible():
            return False
        if self.all_on:
            return True
        column = WIDTH - 1 - x if self.mirrored_x else x
        row = HEIGHT - 1 - y if self.mirrored_y else y
        row = (row + self.start_line) % HEIGHT
        lit = bool(self.ram[(row // 8) * WIDTH + column] >> (row % 8) & 1)
        return lit != self.inverse

    def rows(self) -> list[bytes]:
        """64 rows of 16 bytes, the left pixel in the highest bit."""
        if self._picture is None:
            self._picture = [self._row(y) for y in range(HEIGHT)]
        return list(self._picture)

    def _row(self, y: int) -> bytes:
        bits = 0
        for x in range(WIDTH):
            bits = bits << 1 | self.pixel(x, y)
        return bits.to_bytes(WIDTH // 8, "big")

    def png(self, scale: int = 4) -> bytes:
        """The picture as a PNG, `scale` screen pixels a pixel."""
        image = Image.frombytes("1", (WIDTH, HEIGHT), b"".join(self.rows()))
        image = image.resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST)
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    def _data(self, byte: int) -> None:
        self.ram[self.page * WIDTH + self.column] = byte
        if self.mode == PAGE:
            self.column = (self.column + 1) % WIDTH
        elif self.mode == HORIZONTAL:
            self.column = self._step(self.column, self.columns)
            if self.column == self.columns[0]:
                self.page = self._step(self.page, self.pages)
        else:
            self.page = self._step(self.page, self.pages)
            if self.page == self.pages[0]:
                self.column = self._step(self.column, self.columns)

    @staticmethod
    def _step(value: int, window: tuple[int, int]) -> int:
        return window[0] if value >= window[1] else value + 1

    def _command_byte(self, byte: int) -> None:
        if self._wanted:
            self._arguments.append(byte)
            self._wanted -= 1
            if not self._wanted:
                self._with_arguments(self._command, self._arguments)
            return
        self._wanted = ARGUMENTS.get(byte, 0)
        if self._wanted:
            self._command = byte
            self._arguments = []
        else:
            self._alone(byte)

    def _alone(self, byte: int) -> None:
        if byte <= 0x0F:
            self.column = self.column & 0x70 | byte
        elif byte <= 0x1F:
            self.column = self.column & 0x0F | (byte & 7) << 4
        elif 0x40 <= byte <= 0x7F:
            self.start_line = byte & 0x3F
        elif 0xB0 <= byte <= 0xB7:
            self.page = byte & 7
        elif byte & 0xFE == 0xA0:
            self.mirrored_x = byte == 0xA0
        elif byte & 0xFE == 0xA4:
            self.all_on = byte == 0xA5
        elif byte & 0xFE == 0xA6:
            self.inverse = byte == 0xA7
        elif byte & 0xFE == 0xAE:
            self.on = byte == 0xAF
        elif byte & 0xF0 == 0xC0:
            self.mirrored_y = not byte & 8

    def _with_arguments(self, command: int, arguments: list[int]) -> None:
        if command == 0x20:
            self.mode = min(arguments[0] & 3, PAGE)
        elif command == 0x21:
            self.columns = (arguments[0] & 0x7F, arguments[1] & 0x7F)
            self.column = self.columns[0]
        elif command == 0x22:
            self.pages = (arguments[0] & 7, arguments[1] & 7)
            self.page = self.pages[0]
        elif command == 0x81:
            self.contrast = arguments[0]
        elif command == 0x8D:
            self.pump = bool(arguments[0] & 4)

"""Read the words on the display back, by comparing its cells to the font that drew them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MAGIC = b"BXF1"
GLYPH_BYTES = 32
CELL_ROWS = 16
TEXT_ROWS = 4
COLUMNS = 128
WIDE_FROM = 0x100
UNKNOWN = "\ufffd"


class FontError(Exception):
    """The file is not a BXF1 font."""


@dataclass(frozen=True)
class Font:
    """Glyph pictures to characters: 16 bytes for the narrow ones, 32 for the wide."""

    narrow: dict[bytes, str]
    wide: dict[bytes, str]


def load_font(path: Path) -> Font:
    """Read a ``font.bin``; raises FontError, or OSError when it cannot be read."""
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise FontError(f"{path} begins with {data[:4]!r}, expected {MAGIC!r}")
    count = int.from_bytes(data[4:6], "little")
    glyphs = 6 + 2 * count
    if len(data) < glyphs + GLYPH_BYTES * count:
        raise FontError(f"{path} says {count} glyphs and has only {len(data)} bytes")
    narrow: dict[bytes, str] = {}
    wide: dict[bytes, str] = {}
    for index in range(count):
        code = int.from_bytes(data[6 + 2 * index : 8 + 2 * index], "little")
        glyph = data[glyphs + GLYPH_BYTES * index : glyphs + GLYPH_BYTES * (index + 1)]
        if code < WIDE_FROM:
            narrow.setdefault(glyph[::2], chr(code))
        else:
            wide.setdefault(glyph, chr(code))
    narrow[bytes(CELL_ROWS)] = " "
    wide.pop(bytes(GLYPH_BYTES), None)
    return Font(narrow, wide)


def read_text(rows: list[bytes], font: Font) -> list[str]:
    """The four lines of text on a picture of 64 rows; unknown cells read as U+FFFD."""
    return [_line(rows[16 * n : 16 * n + 16], font) for n in range(TEXT_ROWS)]


def _line(rows: list[bytes], font: Font) -> str:
    bits = [int.from_bytes(row, "big") for row in rows]
    readings = [_at_offset(bits, offset, font) for offset in range(8)]
    if min(reading.count(UNKNOWN) for reading in readings):
        inverted = [~row & (1 << COLUMNS) - 1 for row in bits]
        readings += [_at_offset(inverted, offset, font) for offset in range(8)]
    return min(readings, key=lambda reading: reading.count(UNKNOWN)).strip()


def _at_offset(bits: list[int], offset: int, font: Font) -> str:
    """Read with the cells beginning at pixel `offset`; what lies left of it must be dark."""
    text = ""
    if any(row >> (COLUMNS - offset) for row in bits):
        text = UNKNOWN
    x = offset
    while x + 8 <= COLUMNS:
        wide = _cell(bits, x, 16) if x + 16 <= COLUMNS else b""
        if wide in font.wide:
            text += font.wide[wide]
            x += 16
            continue
        text += font.narrow.get(_cell(bits, x, 8), UNKNOWN)
        x += 8
    rest = COLUMNS - x
    if rest and any(row & (1 << rest) - 1 for row in bits):
        text += UNKNOWN
    return text


def _cell(bits: list[int], x: int, width: int) -> bytes:
    shift = COLUMNS - x - width
    mask = (1 << width) - 1
    return b"".join((row >> shift & mask).to_bytes(width // 8, "big") for row in bits)

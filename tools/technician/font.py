"""Make the bin's font file from GNU Unifont: ASCII and every character the bin can say.

    python -m tools.technician.font /usr/share/unifont/unifont.hex

GNU Unifont is dual-licensed; its bitmaps are used here under the SIL Open Font License 1.1. The
result, `firmware/boxbin/font.bin`, is committed, so only whoever changes the texts needs Debian's
package `unifont`. Layout: `BXF1`, u16 count, sorted u16 code points, 32-byte glyphs (little endian;
16 rows of 2 bytes, most significant bit left; 8-pixel glyphs use the first byte of a row).
"""

import struct
import sys
from pathlib import Path

from boxbin.core import texts

BOXBIN = Path(__file__).parents[2] / "firmware" / "boxbin"
FONT = BOXBIN / "font.bin"
MAGIC = b"BXF1"


def sentences() -> dict[str, list[str]]:
    """Key to [four rows, lamp, sound] of everything that the bin can say."""
    lines = (BOXBIN / texts.FILE).read_text().splitlines()
    found = {}
    for line in lines:
        key = line.partition("|")[0]
        parts = texts.find(lines, key)
        if parts and not line.startswith("#"):
            found[key] = parts
    return found


def characters() -> list[int]:
    """Code points that the font must hold: printable ASCII and all of the sentences."""
    said = {ord(c) for rows in sentences().values() for row in rows[:4] for c in row}
    return sorted(said | set(range(0x20, 0x7F)))


def make(unifont: Path) -> bytes:
    """The font file. Raises KeyError for a character that Unifont does not have."""
    bitmaps: dict[int, bytes] = {}
    for line in unifont.read_text().splitlines():
        point, _, digits = line.partition(":")
        bitmaps[int(point, 16)] = bytes.fromhex(digits)
    glyphs = bytearray()
    codes = characters()
    for code in codes:
        bits = bitmaps[code]
        if len(bits) == 16:
            bits = b"".join(bytes((row, 0)) for row in bits)
        glyphs += bits
    head = MAGIC + struct.pack(f"<H{len(codes)}H", len(codes), *codes)
    return head + bytes(glyphs)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.technician.font /usr/share/unifont/unifont.hex")
    data = make(Path(sys.argv[1]))
    FONT.write_bytes(data)
    sys.stdout.write(f"{FONT}: {len(data)} bytes, {len(characters())} characters\n")

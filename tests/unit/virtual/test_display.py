"""The SSD1306 model, and reading words back from its picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tools.virtual.world.display import HEIGHT, WIDTH, Ssd1306
from tools.virtual.world.text import FontError, load_font, read_text

START = bytes.fromhex("00 AE D5 80 A8 3F D3 00 40 8D 14 20 00 A1 C8 DA 12 81 CF A4 A6 AF")


def lit(display: Ssd1306) -> set[tuple[int, int]]:
    return {(x, y) for x in range(WIDTH) for y in range(HEIGHT) if display.pixel(x, y)}


@pytest.fixture
def display() -> Ssd1306:
    display = Ssd1306()
    display.write(START)
    return display


def window(columns: tuple[int, int], pages: tuple[int, int]) -> bytes:
    return bytes([0, 0x21, *columns, 0x22, *pages])


def test_dark_until_it_is_on_and_its_pump_runs():
    display = Ssd1306()
    display.write(b"\x40\xff")
    assert lit(display) == set()
    display.write(b"\x00\xaf")
    assert not display.visible()
    display.write(b"\x00\x8d\x14")
    assert display.visible()


def test_horizontal_mode_wraps_in_its_window(display):
    display.write(window((10, 11), (2, 3)))
    display.write(b"\x40" + bytes([1, 2, 4, 8, 16]))
    assert lit(display) == {(10, 16 + 4), (11, 16 + 1), (10, 24 + 2), (11, 24 + 3)}


def test_vertical_mode(display):
    display.write(b"\x00\x20\x01" + window((5, 6), (0, 1))[1:])
    display.write(b"\x40" + bytes([1, 1, 1]))
    assert lit(display) == {(5, 0), (5, 8), (6, 0)}


def test_page_mode_with_column_nibbles(display):
    display.write(b"\x00\x20\x02\xb3\x05\x14")
    display.write(b"\x40\x80")
    assert lit(display) == {(0x45, 31)}


def test_commands_with_one_control_byte_each_and_split_over_transfers(display):
    display.write(bytes.fromhex("80 21 80 07 80 07 80 22"))
    display.write(bytes.fromhex("80 00 80 00 40 01"))
    assert lit(display) == {(7, 0)}


def test_mirrors_and_start_line(display):
    display.write(window((0, 127), (0, 7)))
    display.write(b"\x40\x01")
    display.write(b"\x00\xa0")
    assert lit(display) == {(127, 0)}
    display.write(b"\x00\xc0")
    assert lit(display) == {(127, 63)}
    display.write(b"\x00\xa1\xc8\x48")
    assert lit(display) == {(0, 56)}


def test_invert_and_all_on(display):
    display.write(b"\x00\xa7")
    assert len(lit(display)) == WIDTH * HEIGHT
    display.write(b"\x00\xa6\xa5")
    assert len(lit(display)) == WIDTH * HEIGHT
    display.write(b"\x00\xa4")
    assert lit(display) == set()


def test_png_is_the_picture(display):
    display.write(window((0, 127), (0, 7)) + b"")
    display.write(b"\x40\x01")
    image = Image.open(io.BytesIO(display.png(2)))
    assert image.size == (256, 128)
    assert image.getpixel((0, 0)) == image.getpixel((1, 1)) == 255
    assert image.getpixel((2, 0)) == 0


def font_bytes(glyphs: dict[str, bytes]) -> bytes:
    codes = sorted(map(ord, glyphs))
    return (
        b"BXF1"
        + len(codes).to_bytes(2, "little")
        + b"".join(code.to_bytes(2, "little") for code in codes)
        + b"".join(glyphs[chr(code)] for code in codes)
    )


def narrow(seed: int) -> bytes:
    return b"".join(bytes([(seed * 37 + row * 11) & 0xFF, 0]) for row in range(16))


def wide(seed: int) -> bytes:
    return bytes((seed * 91 + n * 29) & 0xFF for n in range(32))


def picture(cells: list[tuple[int, int, bytes, int]]) -> list[bytes]:
    rows = [0] * HEIGHT
    for x, line, glyph, width in cells:
        for row in range(16):
            value = int.from_bytes(glyph[2 * row : 2 * row + 2], "big") >> (16 - width)
            rows[line * 16 + row] |= value << (WIDTH - x - width)
    return [row.to_bytes(16, "big") for row in rows]


@pytest.mark.parametrize("offset", [0, 3, 8, 13])
def test_words_are_read_back_wherever_they_begin(tmp_path, offset):
    path = tmp_path / "font.bin"
    path.write_bytes(font_bytes({"A": narrow(1), "b": narrow(2), "谢": wide(3)}))
    rows = picture(
        [
            (offset, 0, narrow(1), 8),
            (offset + 8, 0, wide(3), 16),
            (offset + 32, 0, narrow(2), 8),
            (offset, 3, narrow(2), 8),
        ]
    )
    assert read_text(rows, load_font(path)) == ["A谢 b", "", "", "b"]
    inverted = [bytes(255 - byte for byte in row) for row in rows]
    assert read_text(inverted, load_font(path))[0] == "A谢 b"


def test_unknown_cells_are_not_guessed(tmp_path):
    path = tmp_path / "font.bin"
    path.write_bytes(font_bytes({"A": narrow(1)}))
    rows = picture([(0, 0, narrow(1), 8), (8, 0, narrow(5), 8)])
    assert read_text(rows, load_font(path))[0] == "A\ufffd"


def test_a_file_that_is_no_font_is_refused(tmp_path):
    path = tmp_path / "font.bin"
    path.write_bytes(b"nope")
    with pytest.raises(FontError, match="expected b'BXF1'"):
        load_font(path)
    path.write_bytes(b"BXF1\x05\x00\x41\x00")
    with pytest.raises(FontError, match="5 glyphs"):
        load_font(path)

"""Whatever is typed: bounded, cut anywhere with the same result, and no noise becomes a command.

The same takes ten million bytes on MicroPython in `tests/firmware/test_console_noise.py`.
"""

from __future__ import annotations

import re

from boxbin.core import console
from hypothesis import example, given, settings
from hypothesis import strategies as st

CODE = "BBC1.0123456789ABCDEF"
COMMANDS = st.sampled_from(
    ("help", "status", "restart", "clock 1795000000", "open", "open 5", "collect", f"key {CODE}")
)
PIECES = st.one_of(
    COMMANDS.map(str.encode),
    st.sampled_from((b"\r", b"\n", b"\r\n", b"\x08", b"\x7f", b"\x1b", b"\xff", b"\0", b" ")),
    st.binary(max_size=20),
    st.integers(1, 100).map(lambda count: b"y" * count),
)
TYPED = st.lists(PIECES, max_size=20).map(b"".join)


def words_of(data: bytes, sizes: list[int]) -> list[list[str]]:
    lines, found, at, turn = console.Lines(), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        found += lines.feed(data[at : at + size])
        assert len(lines._line) <= console.LINE_BYTES_MAX
        at, turn = at + size, turn + 1
    return found


def by_the_book(data: bytes) -> list[list[str]]:
    """Line by line, worked out on the whole in another way."""
    found = []
    for whole in re.split(rb"[\r\n]", data)[:-1]:
        kept: list[int] = []
        for byte in whole:
            if byte in (8, 127):
                kept = kept[:-1]
            elif byte == 27:
                kept = []
            elif 32 <= byte <= 126 and len(kept) < console.LINE_BYTES_MAX:
                kept.append(byte)
            else:
                found.append(["?"])
                break
        else:
            if words := bytes(kept).decode().split():
                found.append(words)
    return found


@settings(max_examples=400)
@given(TYPED, st.lists(st.integers(1, 30), max_size=4))
@example(b"rest\x1bhelp\r", [])
@example(b"help\xff\x1bhelp\r", [])
def test_lines_are_what_the_book_says_however_they_are_cut(data: bytes, sizes: list[int]) -> None:
    assert words_of(data, sizes) == by_the_book(data)


@given(TYPED, COMMANDS)
def test_a_command_after_an_end_of_line_is_read(noise: bytes, command: str) -> None:
    assert words_of(noise + b"\r" + command.encode() + b"\r", [])[-1] == command.split()


class Desk:
    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []

    def tell(self, word: str) -> tuple[tuple[str, str], ...]:
        return (("told", word),)

    def act(self, word: str, value: int) -> str:
        self.done.append((word, value))
        return "done"


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(COMMANDS.map(str.split), st.lists(st.text(min_size=1), min_size=1)), max_size=12
    )
)
def test_only_the_key_opens_what_is_locked(typed: list[list[str]]) -> None:
    desk, lock = Desk(), console.Lock(CODE)
    opened = False
    wrong = 0
    for words in typed:
        before = len(desk.done)
        assert console.answer(words, lock, 1_000, desk.tell, desk.act)
        if words[0] == "key" and len(words) == 2 and wrong < console.TRIES:
            opened |= words[1] == CODE
            wrong = 0 if words[1] == CODE else wrong + 1
        for word, _ in desk.done[before:]:
            assert word in ("clock", "restart") or opened
    for word, value in desk.done:
        assert word != "open" or 1 <= value <= console.OPEN_S_MAX
        assert word != "clock" or console.UNIX_S_MIN <= value <= console.UNIX_S_MAX


@given(
    TYPED, st.text(st.characters(codec="ascii", categories=["Lu", "Nd"]), min_size=8, max_size=30)
)
def test_a_secret_is_never_echoed(noise: bytes, secret: str) -> None:
    lines = console.Lines()
    lines.feed(noise + b"\rkey ")
    lines.feed(secret.encode())
    assert set(lines.echo) <= {"*"}

"""Whatever bytes come from the scanner: bounded, well-formed, and the next good code works.

The same stream takes ten million bytes on MicroPython in `tests/firmware/test_scanner_noise.py`,
and `hil_tests/test_faults.py` sends noise to a whole bin.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

from boxbin.core import codes
from boxbin.drivers import frames
from hypothesis import example, given, settings
from hypothesis import strategies as st

PRINTABLE = re.compile(rb"[ -~]{1,128}\Z")
PASS = re.compile(r"BB1\.([0-9A-HJKMNP-TV-Z]{8})\.([0-9]{1,10})\.[0-9A-HJKMNP-TV-Z]{16}\Z")
LABEL = re.compile(r"[0-9A-Za-z-]{8,40}\Z")


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """A good reply, or one that is cut, changed or longer than any that we ask for."""
    data = draw(st.binary(max_size=20))
    body = bytes((draw(st.sampled_from((0, 0, 0, 1, 2))), len(data))) + data
    end = draw(
        st.sampled_from(
            (frames.crc16(body).to_bytes(2, "big"), frames.CRC_QUIRK, frames.CRC_SKIPPED, b"\0\0")
        )
    )
    whole = b"\x02\x00" + body + end
    return whole[: draw(st.integers(1, len(whole)))] if draw(st.booleans()) else whole


GOOD_CODES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=128
)
PIECES = st.one_of(
    replies(),
    GOOD_CODES.map(str.encode),
    st.sampled_from((b"\r", b"\n", b"\r\n", b"\x02", b"\x02\x00", b"\x00", b"\xff")),
    st.binary(max_size=40),
    st.integers(1, 400).map(lambda count: b"y" * count),
)
NOISE = st.lists(PIECES, max_size=20).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` in pieces of these sizes over and over; one byte at a time without sizes."""
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)] if sizes else 1
        pieces.append(data[at : at + size])
        at += size
    return pieces


def feed(stream: frames.Stream, pieces: list[bytes]) -> list[tuple[Any, ...]]:
    """All events; after each piece, what is held stays within its bounds."""
    events: list[tuple[Any, ...]] = []
    for piece in pieces:
        events += stream.feed(piece)
        assert len(stream._text) <= frames.TEXT_BYTES_MAX
        assert len(stream._held) < frames.HELD_BYTES_MAX
    return events


@given(NOISE, st.lists(st.integers(1, 64), max_size=5))
def test_pieces_of_any_size_give_the_same_well_formed_events(
    noise: bytes, sizes: list[int]
) -> None:
    whole, split = frames.Stream(), frames.Stream()
    events = feed(whole, [noise])
    assert feed(split, cut(noise, sizes)) == events
    assert split.dropped == whole.dropped <= len(noise)
    for event in events:
        if event[0] == "scan":
            assert PRINTABLE.match(event[1].encode())
        else:
            kind, status, data = event
            assert kind == "reply"
            assert 0 <= status <= 0xFF
            assert len(data) <= frames.REPLY_BYTES_MAX


@given(NOISE)
def test_no_byte_is_counted_twice_or_lost(noise: bytes) -> None:
    stream = frames.Stream()
    events = feed(stream, [noise])
    stream.quiet()
    told = sum(len(e[1]) if e[0] == "scan" else len(e[2]) + 6 for e in events)
    ends = noise.count(b"\r") + noise.count(b"\n")
    assert told + stream.dropped <= len(noise) <= told + stream.dropped + ends


@given(NOISE, GOOD_CODES)
@example(b"\x02\x00\x00\x10", "SF1234567890")
def test_a_good_code_is_read_once_the_line_was_quiet(noise: bytes, code: str) -> None:
    stream = frames.Stream()
    feed(stream, [noise])
    stream.quiet()
    assert feed(stream, [code.encode() + b"\r"]) == [("scan", code)]


@given(NOISE, GOOD_CODES)
def test_a_good_code_is_read_after_an_end_of_line(noise: bytes, code: str) -> None:
    """At once, but when the noise ends in what may yet be a reply: then within its length."""
    stream = frames.Stream()
    feed(stream, [noise, b"\r"])
    line = code.encode() + b"\r"
    if not stream._held:
        assert feed(stream, [line]) == [("scan", code)]
    else:
        assert ("scan", code) in feed(stream, [line * (2 + frames.HELD_BYTES_MAX)])


def by_the_book(noise: bytes) -> tuple[list[str], list[tuple[int, bytes]]]:
    """Texts and replies, worked out on the whole in another way than the stream's."""
    rest, replies_found, at = bytearray(), [], 0
    while at < len(noise):
        end = at + 1
        if noise[at] == 0x02:
            head = noise[at : at + 4]
            fits = b"\x02\x00".startswith(head[:2]) and (head[3:] or b"\0")[0] <= 16
            whole = head[3] + 6 if len(head) == 4 else 22
            if fits and len(noise) - at < whole:
                break  # it may become one
            reply = noise[at : at + whole]
            check = binascii.crc_hqx(reply[2:-2], 0).to_bytes(2, "big")
            if fits and reply[-2:] in (check, b"\xab\xcd", b"\x33\x31"):
                replies_found.append((reply[2], reply[4:-2]))
                at += whole
                continue
        rest += noise[at:end]
        at = end
    lines = re.split(rb"[\r\n]", bytes(rest))[:-1]
    return [line.decode() for line in lines if PRINTABLE.match(line)], replies_found


@settings(max_examples=300)
@given(NOISE)
@example(b"\x02\x00SF1234567890\r")
@example(b"SF1234\x02\x00\x00\x02567890\r")
def test_what_is_read_is_what_stands_there(noise: bytes) -> None:
    """No code that lost its beginning or its middle, only good replies may fall into one."""
    events = feed(frames.Stream(), [noise])
    texts = [e[1] for e in events if e[0] == "scan"]
    answers = [e[1:] for e in events if e[0] == "reply"]
    assert (texts, answers) == by_the_book(noise)


TEXTS = st.one_of(
    st.text(max_size=60),
    st.from_regex(PASS),
    st.from_regex(r"BB1\.[0-9A-Z]{7,9}\.[-0-9 ]{0,12}\.[0-9A-Z]{15,17}", fullmatch=True),
    st.from_regex(r"[0-9A-Za-z-]{6,42}", fullmatch=True),
    GOOD_CODES,
)


@settings(max_examples=300)
@given(TEXTS)
def test_a_pass_is_exactly_what_its_form_says(text: str) -> None:
    match = PASS.match(text)
    assert codes.parse_pass(text) == ((match[1], int(match[2])) if match else None)


@settings(max_examples=300)
@given(TEXTS)
def test_a_label_is_exactly_what_its_form_says_and_never_a_pass(text: str) -> None:
    assert codes.is_label(text) == bool(LABEL.match(text))
    assert not (codes.is_label(text) and codes.parse_pass(text))

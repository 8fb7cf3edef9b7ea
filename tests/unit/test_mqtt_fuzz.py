"""core/mqtt.py against a second reading of OASIS MQTT 3.1.1, written here from the text of the
standard: packets of ours as a broker reads them, a broker's packets and any bytes at all as we do.

The same parser takes ten million bytes on MicroPython in `tests/firmware/test_mqtt_noise.py`.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest
from boxbin.core import mqtt
from hypothesis import example, given, settings
from hypothesis import strategies as st

Packet = tuple[Any, ...]

# -- the standard, read again ------------------------------------------------------------------------


class Malformed(Exception):
    """Section 4.8: close the network connection."""


class More(Exception):
    """The bytes end within a packet."""


def take_length(data: bytes, at: int) -> tuple[int, int]:
    """Section 2.2.3, with its own words: multiplier, encoded byte, at most four of them."""
    multiplier, value = 1, 0
    while True:
        if at == len(data):
            raise More
        value += (data[at] & 127) * multiplier
        multiplier *= 128
        at += 1
        if data[at - 1] & 128 == 0:
            return value, at
        if multiplier > 128**3:
            raise Malformed


def length_bytes(value: int) -> bytes:
    digits = []
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit + (128 if value else 0))
        if not value:
            return bytes(digits)


def take_string(body: bytes, at: int) -> tuple[bytes, int]:
    """Section 1.5.3"""
    if len(body) - at < 2:
        raise Malformed
    (size,) = struct.unpack_from(">H", body, at)
    if len(body) - at - 2 < size:
        raise Malformed
    return body[at + 2 : at + 2 + size], at + 2 + size


def string(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def fixed(first: int, body: bytes) -> bytes:
    return bytes([first]) + length_bytes(len(body)) + body


def from_broker(data: bytes) -> tuple[list[Packet], type[Exception]]:
    """All packets that a client may take from `data`, and how it ends."""
    found: list[Packet] = []
    at = 0
    try:
        while True:
            packet, at = next_from_broker(data, at)
            found.append(packet)
    except (Malformed, More) as end:
        return found, type(end)


def next_from_broker(data: bytes, at: int) -> tuple[Packet, int]:
    """Table 2.1 and 2.2: what goes from server to client with QoS 0 and 1, and its flags."""
    if at == len(data):
        raise More
    kind, flags = data[at] >> 4, data[at] & 15
    if kind not in (2, 3, 4, 9, 13) or (kind != 3 and flags):
        raise Malformed
    size, start = take_length(data, at + 1)
    if size > mqtt.PACKET_BYTES_MAX:
        raise Malformed
    if len(data) - start < size:
        raise More
    return one_from_broker(kind, flags, data[start : start + size]), start + size


def one_from_broker(kind: int, flags: int, body: bytes) -> Packet:
    if kind == 3:  # 3.3
        name, at = take_string(body, 0)
        try:
            topic = name.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed from None
        if "\0" in topic:  # [MQTT-1.5.3-2]
            raise Malformed
        qos = flags >> 1 & 3
        if qos > 1:  # we subscribe with 0 and 1 only
            raise Malformed
        packet_id = 0
        if qos:
            if len(body) - at < 2:
                raise Malformed
            (packet_id,) = struct.unpack_from(">H", body, at)
            if not packet_id:  # [MQTT-2.3.1-1]
                raise Malformed
            at += 2
        return 3, topic, body[at:], packet_id, bool(flags & 8)
    if kind == 13 and not body:  # 3.13
        return (13,)
    if kind == 2 and len(body) == 2:  # 3.2
        return 2, bool(body[0] & 1), body[1]
    if kind == 4 and len(body) == 2:  # 3.4
        return 4, body[0] * 256 + body[1]
    if kind == 9 and len(body) > 2:  # 3.9
        return 9, body[0] * 256 + body[1], body[2:]
    raise Malformed


# -- what a broker may send, and what it may not ------------------------------------------------------

TOPIC_CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TOPICS = st.text(TOPIC_CHARS, max_size=40).map(str.encode)
IDS = st.integers(1, 65535)
SIZES = st.sampled_from((0, 1, 100, 120, 124, 125, 127, 128, 129, 300, 2_000))
PAYLOADS = st.one_of(st.binary(max_size=60), SIZES.map(lambda size: b"p" * size))


@st.composite
def publishes(draw: st.DrawFn) -> bytes:
    topic, payload = draw(TOPICS), draw(PAYLOADS)
    retain, dup = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    if draw(st.booleans()):
        return fixed(0x30 | retain, string(topic) + payload)
    head = string(topic) + struct.pack(">H", draw(IDS))
    return fixed(0x32 | dup << 3 | retain, head + payload)


GOOD = st.one_of(
    publishes(),
    st.tuples(st.integers(0, 1), st.integers(0, 5)).map(lambda v: fixed(0x20, bytes(v))),
    IDS.map(lambda i: fixed(0x40, struct.pack(">H", i))),
    st.tuples(IDS, st.lists(st.sampled_from((0, 1, 2, 128)), min_size=1, max_size=5)).map(
        lambda v: fixed(0x90, struct.pack(">H", v[0]) + bytes(v[1]))
    ),
    st.just(b"\xd0\x00"),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A packet with a byte changed, put in or taken out."""
    packet = bytearray(draw(GOOD))
    at = draw(st.integers(0, min(len(packet) - 1, 12)))
    how = draw(st.integers(0, 2))
    if how == 0:
        packet[at] = draw(st.integers(0, 255))
    elif how == 1:
        packet.insert(at, draw(st.integers(0, 255)))
    else:
        del packet[at]
    return bytes(packet)


@st.composite
def crooked(draw: st.DrawFn) -> bytes:
    """A packet whose frame is right and whose inside may not be."""
    kind = draw(st.sampled_from((2, 3, 3, 3, 4, 9, 13)))
    if kind != 3:
        return fixed(kind << 4, bytes(draw(st.integers(0, 4))))
    topic = draw(st.sampled_from((b"", b"t", b"a\0b", b"\xff", b"topic")))
    said = max(0, len(topic) + draw(st.integers(-2, 3)))
    ident = draw(st.sampled_from((b"", b"\0", b"\0\0", b"\0\1", b"\1\0")))
    rest = draw(st.binary(max_size=2))
    return fixed(0x30 | draw(st.integers(0, 15)), struct.pack(">H", said) + topic + ident + rest)


ANY = st.one_of(
    st.lists(st.one_of(GOOD, GOOD, damaged(), st.binary(max_size=12)), max_size=8).map(b"".join),
    st.lists(crooked(), max_size=3).map(b"".join),
)
CUTS = st.lists(st.integers(1, 200), max_size=5)


def feed(pieces: list[bytes]) -> tuple[list[Packet], type[Exception]]:
    """What our parser says, piece by piece; it never holds more than one packet."""
    parser = mqtt.Parser()
    found: list[Packet] = []
    try:
        for piece in pieces:
            found += parser.feed(piece)
            assert len(parser._buffer) < mqtt.PACKET_BYTES_MAX + 5
    except mqtt.MqttError:
        return found, Malformed
    return found, More


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)] if sizes else 1
        pieces.append(data[at : at + size])
        at += size
    return pieces


@settings(max_examples=400)
@given(ANY)
@example(b"\x30\x80\x80\x80\x00")  # a length with needless bytes, of nothing: too short a PUBLISH
@example(b"\x30\x82\x00\x00\x00")  # ... and of two
@example(b"\x30\x80\x80\x80\x80\x00")
@example(b"\x32\x07\x00\x01\x00\x00\x01ab")
@example(fixed(0x30, string(b"\xed\xa0\x80")))
@example(fixed(0x34, string(b"t") + b"\0\1"))  # QoS 2
@example(fixed(0x90, b"\0\1"))  # no code at all
@example(fixed(0x3B, string(b"") + b"\xff\xff"))
def test_any_bytes_are_read_as_the_standard_reads_them(data: bytes) -> None:
    assert feed(cut(data, [])) == from_broker(data)


@settings(max_examples=200)
@given(ANY, CUTS)
def test_where_the_bytes_are_cut_does_not_matter(data: bytes, sizes: list[int]) -> None:
    """An error takes the packets that came in the same piece with it: the link is closed."""
    whole, end = from_broker(data)
    found, our_end = feed(cut(data, sizes) if sizes else [data])
    assert our_end is end
    assert found == (whole if end is More else whole[: len(found)])


@given(st.lists(GOOD, max_size=6), CUTS)
def test_good_conversations_are_read_whole(packets: list[bytes], sizes: list[int]) -> None:
    data = b"".join(packets)
    found, end = feed(cut(data, sizes) if sizes else [data])
    assert len(found) == len(packets)
    assert end is More


@given(st.integers(0, 20_000), st.sampled_from((0, 1, 2, 3)))
@example(mqtt.PACKET_BYTES_MAX, 0)
@example(mqtt.PACKET_BYTES_MAX + 1, 0)
@example(128**3 - 1, 0)
@example(128**4 - 1, 0)
def test_lengths_up_to_the_limit_and_not_beyond(size: int, more_zeros: int) -> None:
    head = bytearray(length_bytes(size))
    for _ in range(min(more_zeros, 4 - len(head))):
        head[-1] |= 128
        head.append(0)
    parser = mqtt.Parser()
    if size > mqtt.PACKET_BYTES_MAX:
        with pytest.raises(mqtt.MqttError, match=f"packet of {size} bytes"):
            parser.feed(b"\x30" + head)
    elif size >= 3:
        body = b"\x00\x01t" + bytes(size - 3)
        assert parser.feed(b"\x30" + head + body) == [(3, "t", body[3:], 0, False)]


# -- ours, as a broker reads them -----------------------------------------------------------------------


def at_broker(data: bytes) -> tuple[int, int, bytes]:
    """(kind, flags, body) of the one packet in `data`."""
    size, at = take_length(data, 1)
    assert len(data) - at == size
    assert at - 1 == len(length_bytes(size)), "no needless length bytes"
    return data[0] >> 4, data[0] & 15, data[at:]


@given(TOPICS, PAYLOADS, st.integers(0, 65535), st.booleans(), st.booleans())
@example(b"t", b"x" * 8_192, 1, True, True)
@example(b"t", b"x" * 16_380, 1, False, False)
@example(b"t", b"x" * 16_381, 0, False, False)
def test_our_publish(topic: bytes, payload: bytes, packet_id: int, retain: bool, dup: bool) -> None:
    kind, flags, body = at_broker(mqtt.publish(topic, payload, packet_id, retain, dup))
    assert kind == 3
    assert flags == (bool(packet_id) << 1 | retain | dup << 3)
    name, at = take_string(body, 0)
    assert name == topic
    if packet_id:
        assert struct.unpack_from(">H", body, at) == (packet_id,)
        at += 2
    assert body[at:] == payload


@given(TOPICS, TOPICS, TOPICS, TOPICS, PAYLOADS, st.integers(0, 65535), st.booleans())
def test_our_connect(
    client: bytes, user: bytes, password: bytes, topic: bytes, will: bytes, keep: int, clean: bool
) -> None:
    packet = mqtt.connect(client, user, password, keep, clean, topic, will)
    kind, flags, body = at_broker(packet)
    assert (kind, flags) == (1, 0)
    assert body[:7] == b"\x00\x04MQTT\x04"
    # User, password, will retained with QoS 1, will.
    assert body[7] == 0b11101100 | clean << 1
    assert struct.unpack_from(">H", body, 8) == (keep,)
    at, parts = 10, []
    while at < len(body):
        part, at = take_string(body, at)
        parts.append(part)
    assert parts == [client, topic, will, user, password]


@given(IDS, st.lists(st.tuples(TOPICS, st.integers(0, 1)), min_size=1, max_size=5))
def test_our_subscribe_and_puback(packet_id: int, wanted: list[tuple[bytes, int]]) -> None:
    kind, flags, body = at_broker(mqtt.subscribe(packet_id, wanted))
    assert (kind, flags) == (8, 2)
    assert struct.unpack_from(">H", body) == (packet_id,)
    at, read = 2, []
    while at < len(body):
        topic, at = take_string(body, at)
        read.append((topic, body[at]))
        at += 1
    assert read == wanted
    assert at_broker(mqtt.puback(packet_id)) == (4, 0, struct.pack(">H", packet_id))

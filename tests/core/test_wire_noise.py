"""Signed texts whose JSON is mad: refused with a WireError, or read; nothing else comes out.

Only who has the bin's key can sign one, but a gateway's mistake must not start bins anew either. On
MicroPython this runs in what a bin has left of its heap: its JSON reader nests on the heap, so
that brackets alone can fill it.
"""

import gc
import random

from boxbin.core import wire

KEY = bytes(range(32))
BIN = "B-7K2QM"
LEFT_BYTES = 24 * 1024
BODIES = (
    ("receipt", b'{"e":"5f3a9c01","n":42}'),
    ("outcome", b'{"e":"5f3a9c01","n":42,"status":"credited","points":5,"balance":120,"why":""}'),
    ("command", b'{"id":17,"do":"open","args":{"s":20},"until":1795000000000}'),
    ("settings", b'{"v":3,"s":{"mass_min_mg":30000,"label_policy":"none"}}'),
    ("journal", b'{"e":"5f3a9c01","n":42,"t":5,"c":"ntp","k":"fault","d":{"what":"scale"}}'),
)
TOKENS = tuple(
    b'[ ] { } , : " \\ \\u \\ud800 - 1e 1e999 NaN null true 0x . \x00 \xff \xed\xa0\x80'.split()
) + (
    b"9" * 40,
    b"[" * 30,
)
VALUES = (
    b"NaN Infinity -Infinity 1e999 - --1 1. .5 0x10 1_0 +1 007 tru nul None {} [] {1:2} {[]:1} {{}:1}"
    b' {null:1} "\\ud800" "\\udfff\\ud800" "\\u12" "\\uzzzz" "\\x" "\\ " "\x00" "\xff" "\xed\xa0\x80"'
    b" \"\xf8\x88\x80\x80\x80\" 'a'"
).split(b" ")
LONG_VALUES = (b"9" * 300, b"-" + b"9" * 300, b"1." + b"9" * 300, b"1e" + b"9" * 100, b'"\n"', b"")
MUTATIONS = 1_000


def crowd():
    """On MicroPython, take the heap but for what a bin has left."""
    kept = []
    if hasattr(gc, "mem_free"):
        gc.collect()
        while gc.mem_free() > LEFT_BYTES:
            kept.append(bytearray(512))
    return kept


def read(leaf, body):
    """What the bin makes of a signed body: a dict, or None when it was refused."""
    text = wire.sign(KEY, BIN, leaf, body)
    try:
        if leaf == "journal":
            epoch, n = wire.read_line(KEY, BIN, text)
            assert len(epoch) == 8 and 1 <= n <= wire.N_MAX
        value = wire.read(KEY, BIN, leaf, text)
    except wire.WireError as error:
        assert error.args[0] in ("shape", "mac", "json", "identity", "long"), error
        return None
    assert isinstance(value, dict)
    return value


def test_the_bodies_that_are_changed_here_are_good():
    for leaf, body in BODIES:
        assert read(leaf, body), leaf


def test_what_nests_or_grows_without_end_is_refused():
    kept = crowd()
    for size in (500, 1_000, 1_900):
        for mad in (
            b"[" * size,
            b'{"n":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
            b'{"a":' * (size // 5),
            b"[" + b"[]," * (size // 3) + b"[]]",
            b"[" * (size // 2) + b"{" * (size // 2),
        ):
            for leaf, _ in BODIES:
                assert read(leaf, mad) is None, (leaf, size, mad[:8])
    assert read("receipt", b'{"n":' + b"9" * 1_900 + b"}") is not None
    del kept


def test_what_is_longer_than_anything_that_is_sent_is_refused():
    for mad in (b"[" * 8_000, b'{"n":' + b"9" * 8_000 + b"}", b'{"n":"' + b"9" * 8_000 + b'"}'):
        assert read("receipt", mad) is None, mad[:8]


def test_numbers_and_texts_of_every_kind_are_read_or_refused():
    for value in tuple(VALUES) + LONG_VALUES:
        for name in (b'"n"', b'"e"', b'"\xff"', b"n", b"[1]", b"{}", b"null"):
            for leaf, _ in BODIES:
                read(leaf, b"{" + name + b":" + value + b"}")
    for whole in (b"", b"   ", b"null", b"1", b'"a"', b"[]", b"{}x", b"{} {}", b"]", b"}"):
        assert read("receipt", whole) is None, whole


def test_the_last_of_two_keys_counts():
    assert read("receipt", b'{"n":1,"n":2}') == {"n": 2}


def mutated(body):
    body = bytearray(body)
    for _ in range(1 + random.getrandbits(2)):
        at = random.getrandbits(10) % (len(body) + 1)
        how = random.getrandbits(2)
        if how == 0:
            body = body[:at] + bytes((random.getrandbits(8),)) + body[at + 1 :]
        elif how == 1:
            body = body[:at] + body[at + 1 + random.getrandbits(2) :]
        else:
            body = body[:at] + TOKENS[random.getrandbits(8) % len(TOKENS)] + body[at:]
    return bytes(body)


def test_changed_texts_of_every_leaf():
    random.seed(17)
    kept = crowd()
    refused = 0
    for _ in range(MUTATIONS):
        for leaf, body in BODIES:
            if read(leaf, mutated(body)) is None:
                refused += 1
    assert MUTATIONS < refused < 5 * MUTATIONS, refused
    del kept


def test_any_bytes_where_a_signed_text_should_be():
    random.seed(18)
    for _ in range(300):
        size = random.getrandbits(9)
        text = bytes(random.getrandbits(8) for _ in range(size))
        try:
            wire.read(KEY, BIN, "receipt", text)
        except wire.WireError:
            continue
        raise AssertionError(text)

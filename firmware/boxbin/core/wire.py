"""The wire, version 1: MACs, journal lines, topics and the codes that are derived from keys.

The gateway has the same contract in `gateway/wire.py`; `tests/vectors/wire.json` holds both sides
to it. A signed text is `<mac> <json>` with
mac = base64url(HMAC-SHA256(bin key, "boxback/1/" + bin + "/" + leaf + newline + json)[:16]),
and the MAC is over the bytes as they stand, so nobody needs a canonical form of JSON.
"""

import binascii
import hashlib
import json

PREFIX = b"boxback/1/"
_MAC_CHARS = 22
LINE_BYTES_MAX = 512
PAYLOAD_BYTES_MAX = 8192
PAYLOAD_LINES_MAX = 32
KEY_BYTES = 32
LABEL_CHARS = 22  # of a label's code
N_MAX = 0x7FFFFFFF
TEXT_BYTES_MAX = 2_048  # a signed text that a bin is sent; the largest are settings
TEXT_PARTS_MAX = 64  # objects and arrays in one: each is heap, also in one another without end

_BLOCK_BYTES = 64
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class WireError(ValueError):
    """A signed text that is not what it says; the first argument is a short reason code."""


def hmac_sha256(key, message, more=b""):
    """HMAC-SHA256 (RFC 2104) of `message` and `more`, which are not joined in the heap.

    MicroPython has hashlib but no hmac module.
    """
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key))
    inner.update(message)
    inner.update(more)
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key))
    outer.update(inner.digest())
    return outer.digest()


def base64url(data):
    """Base64 with `-` and `_` and no padding, as bytes."""
    text = binascii.b2a_base64(data).rstrip(b"\n=")
    return text.replace(b"+", b"-").replace(b"/", b"_")


def same(a, b):
    """Compare two byte strings in a time that does not tell where they differ."""
    if len(a) != len(b):
        return False
    difference = 0
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


def mac(key, bin_id, leaf, body):
    """The 22 characters that sign `body` (bytes) for one leaf of one bin."""
    head = PREFIX + bin_id.encode() + b"/" + leaf.encode() + b"\n"
    return base64url(hmac_sha256(key, head, body)[:16])


def sign(key, bin_id, leaf, body):
    """`<mac> <json>` as bytes, without a newline."""
    return mac(key, bin_id, leaf, body) + b" " + body


def verify(key, bin_id, leaf, text):
    """Return the body (bytes) of a signed text, one trailing newline allowed.

    Raises WireError `shape` or `mac`.
    """
    if text[-1:] == b"\n":
        text = text[:-1]
    if len(text) < _MAC_CHARS + 3 or text[_MAC_CHARS : _MAC_CHARS + 1] != b" ":
        raise WireError("shape")
    body = text[_MAC_CHARS + 1 :]
    if not same(text[:_MAC_CHARS], mac(key, bin_id, leaf, body)):
        raise WireError("mac")
    return body


def read(key, bin_id, leaf, text):
    """Verify a signed text and return its JSON object as a dict.

    Raises WireError `long`, `shape`, `mac` or `json`. A MemoryError is none: it says nothing of
    the text, and a line of the journal that could not be read for it must not count as damaged.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise WireError("long")
    body = verify(key, bin_id, leaf, text)
    if body.count(b"{") + body.count(b"[") > TEXT_PARTS_MAX:
        raise WireError("json")
    try:
        value = json.loads(body)
    except (ValueError, RuntimeError):  # nested deeper than the stack
        raise WireError("json")
    if not isinstance(value, dict):
        raise WireError("json")
    return value


def quote(text):
    """A JSON string for printable ASCII; other characters become `?`, for they never occur."""
    safe = "".join(c if " " <= c <= "~" else "?" for c in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_json(pairs):
    """JSON text of ordered (key, value) pairs; values are int, str, further pairs (a tuple) or a
    list of str.

    Written by hand because the order of a MicroPython dict is not the order of insertion.
    """
    parts = []
    for key, value in pairs:
        if isinstance(value, str):
            text = quote(value)
        elif isinstance(value, tuple):
            text = to_json(value)
        elif isinstance(value, list):
            text = "[" + ",".join([quote(item) for item in value]) + "]"
        else:
            text = str(value)
        parts.append('"' + key + '":' + text)
    return "{" + ",".join(parts) + "}"


def line(key, bin_id, epoch, n, unix_ms, clock, kind, fields):
    """One signed journal line with its newline, as bytes.

    `clock` is `ntp`, `rtc` or `none` (then `unix_ms` is 0); `fields` are ordered pairs.
    Raises WireError `long` when it would pass LINE_BYTES_MAX.
    """
    body = to_json(
        (
            ("e", epoch),
            ("n", n),
            ("t", unix_ms),
            ("c", clock),
            ("k", kind),
            ("d", tuple(fields)),
        )
    ).encode()
    text = sign(key, bin_id, "journal", body) + b"\n"
    if len(text) > LINE_BYTES_MAX:
        raise WireError("long")
    return text


def read_line(key, bin_id, text):
    """Return (epoch, n) of one journal line; raises WireError when it is not whole and ours."""
    value = read(key, bin_id, "journal", text)
    epoch, n = value.get("e"), value.get("n")
    if not is_epoch(epoch) or not isinstance(n, int) or n is True or not 1 <= n <= N_MAX:
        raise WireError("identity")
    return epoch, n


def is_epoch(value):
    """True for eight lower-case hex digits."""
    if not isinstance(value, str) or len(value) != 8:
        return False
    for digit in value:
        if digit not in "0123456789abcdef":
            return False
    return True


def shard(bin_id):
    """Two hex digits: the part of the fleet that a bin belongs to."""
    return binascii.hexlify(hashlib.sha256(bin_id.encode()).digest()[:1]).decode()


def topic(bin_id, leaf):
    """`boxback/1/<shard>/<bin>/<leaf>`"""
    return "boxback/1/" + shard(bin_id) + "/" + bin_id + "/" + leaf


def is_bin_id(text):
    """True for `B-` and five Crockford symbols, the last being the mod-37 check symbol."""
    if len(text) != 7 or text[:2] != "B-":
        return False
    value = 0
    for symbol in text[2:6]:
        digit = _SYMBOLS.find(symbol)
        if digit < 0:
            return False
        value = value * 32 + digit
    check = value % 37
    return check < 32 and text[6] == _SYMBOLS[check]


def label_code(label_key, text):
    """What stands for a carton's label everywhere behind the scanner (22 characters)."""
    return base64url(hmac_sha256(label_key, text.encode())[:16]).decode()


def mqtt_password(key):
    """The bin's password at the broker, derived from its key so that no second secret is kept."""
    return base64url(hmac_sha256(key, b"boxback/1/mqtt")[:16]).decode()


def key_code(bin_id, key):
    """The technician's code that begins and ends a collection: `BBC1.` and 16 symbols. A secret."""
    digest = hmac_sha256(key, PREFIX + b"collect/" + bin_id.encode())
    number = int.from_bytes(digest[:10], "big")
    return "BBC1." + "".join(_SYMBOLS[number >> shift & 31] for shift in range(75, -1, -5))

"""The wire, version 1: what a bin and the gateway say to each other, as pure functions.

The same contract is written a second time in `firmware/boxbin/core/wire.py`, small and slow;
this one is fast. `tests/vectors/wire.json` holds both to it.

    WireError                 a payload, topic or id that breaks the contract; `.reason` is a code
    Signer                    MACs of one bin and one leaf, with the keyed hash states kept
    Line / BadLine            one record of a journal payload, good or not
    Told / Done               what a health message and an answer to an order say

Nothing here does I/O, keeps state between calls or looks at a clock. It is longer than other files
because the contract is read as a whole.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import b2a_base64
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

VERSION: Final = "boxback/1"
KEY_BYTES: Final = 32
MAC_CHARS: Final = 22
"""16 bytes as base64url without padding."""
LINE_MAX_BYTES: Final = 512
"""One journal line, its newline included."""
LINES_MAX: Final = 32
"""Lines in one `journal` payload."""
PAYLOAD_MAX_BYTES: Final = 8192
N_MAX: Final = 2**31 - 1
"""6,000 cartons a day fill it in 980 years; it fits every integer type on the way."""
T_MAX_MS: Final = 2**53 - 1
KIND_MAX_CHARS: Final = 16
COMMAND_MAX_BYTES: Final = 512
SETTINGS_MAX_BYTES: Final = 2048
DONE_MAX_BYTES: Final = 2048
"""Payloads of these leaves, their MAC included."""
ORDER_MAX: Final = N_MAX
"""Largest id of a command and largest version of settings; both begin with 1 in each bin."""
FAULTS_MAX: Final = 32
"""Fault codes read from one health message."""

DO: Final = ("open", "tare", "restart", "identify", "collect", "report")
"""What a bin can be told to do."""

LEAVES_UP: Final = frozenset({"journal", "online", "health", "ask", "done"})
LEAVES_DOWN: Final = frozenset({"receipt", "outcome", "answer", "command", "settings"})
CLOCKS: Final = frozenset({"ntp", "rtc", "none"})

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford base32: no I, L, O, U."""
BIN_NUMBER_MAX: Final = 32**4 - 1
KEY_CODE_PREFIX: Final = "BBC1."
_CHECK_MODULUS: Final = 37
_SPACE: Final = 0x20
_SIGNED_MIN_BYTES: Final = MAC_CHARS + len(" {}")
_BIN_ID = re.compile(r"B-[0-9A-HJKMNP-TV-Z]{5}", re.ASCII)
_STATION_ID = re.compile(r"S-[A-Z0-9-]{1,12}", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,23}", re.ASCII)
_LINE_ID = re.compile(r"(B-[0-9A-HJKMNP-TV-Z]{5})\.([0-9a-f]{8})\.([1-9][0-9]{0,9})", re.ASCII)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

# Codes a broken line or payload can carry. The quarantine table keeps them: never rename one.
EMPTY: Final = "empty"
TOO_BIG: Final = "too_big"
TOO_MANY: Final = "too_many"
TOO_LONG: Final = "too_long"
NO_NEWLINE: Final = "no_newline"
BAD_FORM: Final = "bad_form"
BAD_MAC: Final = "bad_mac"
BAD_JSON: Final = "bad_json"
BAD_IDENTITY: Final = "bad_identity"
BAD_SHAPE: Final = "bad_shape"
BAD_TOPIC: Final = "bad_topic"


class WireError(ValueError):
    """A payload, topic or id that breaks the contract. `reason` is one of the codes above."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


_Epoch = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=1, le=N_MAX)]


class LineBody(msgspec.Struct, frozen=True, gc=False):
    """The JSON of a line. Keys that are not named here are passed by.

    Kinds are short printable ASCII, known to us or not: they go into tables and logs.
    """

    e: _Epoch
    n: _Number
    t: Annotated[int, msgspec.Meta(ge=0, le=T_MAX_MS)]
    c: str
    k: Annotated[str, msgspec.Meta(pattern=rf"^[!-~]{{1,{KIND_MAX_CHARS}}}\Z")]
    d: dict[str, msgspec.Raw]


class _Identity(msgspec.Struct, frozen=True, gc=False):
    e: _Epoch
    n: _Number


class Deposit(msgspec.Struct, frozen=True, gc=False):
    """The `d` of a deposit.

    Pass text, label hash ("" when there was none), grams, ms from first rise to rest, and ms from
    the scan of the pass to this line.
    """

    pass_: str = msgspec.field(name="pass")
    label: str
    g: int
    ms: int
    age: Annotated[int, msgspec.Meta(ge=0, le=T_MAX_MS)]


class _Kind(msgspec.Struct, frozen=True, gc=False):
    k: str


class _DepositLine(msgspec.Struct, frozen=True, gc=False):
    d: Deposit


class Line(NamedTuple):
    """A line whose MAC is right. `raw` is what the bin wrote, newline included: the evidence.

    `clock` is one of CLOCKS: one that we do not know is as good as none.
    `odd` is "" or BAD_SHAPE: identity and MAC are right but the rest is not what version 1 says
    (a defect in the firmware that made it). Such a line is kept like any other, or its bin would
    send it for ever; its kind is "".
    """

    epoch: str
    n: int
    t_ms: int
    clock: str
    kind: str
    raw: bytes
    odd: str = ""


class BadLine(NamedTuple):
    """A line that is not a line of this bin: why, and its bytes."""

    reason: str
    raw: bytes


class Told(NamedTuple):
    """What a health message says that the gateway acts on; 0 where it says nothing.

    `faults` is None when the bin tells none at all: its firmware is older than that.
    """

    settings: int
    """Version in force."""
    refused_settings: int
    """Newest version that was refused or rolled back."""
    done: int
    """Id of the newest command that was done."""
    faults: tuple[str, ...] | None


class Done(NamedTuple):
    """A bin's answer to one order. `number` is a command's id, or a version of settings."""

    settings: bool
    number: int
    status: str
    why: str
    data: bytes
    """JSON object; `{}` for settings."""


class _CommandDone(msgspec.Struct, frozen=True):
    id: _Number
    status: Literal["done", "refused"]
    why: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _SettingsDone(msgspec.Struct, frozen=True):
    settings: _Number
    status: Literal["done", "refused", "rolled_back"]
    why: str = ""


class Topic(NamedTuple):
    """A topic taken apart. `leaf` is any word of a-z: what to do with it is the reader's matter."""

    shard: str
    bin: str
    leaf: str


_decode_line = msgspec.json.Decoder(LineBody).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_deposit = msgspec.json.Decoder(_DepositLine).decode
_decode_command_done = msgspec.json.Decoder(_CommandDone).decode
_decode_settings_done = msgspec.json.Decoder(_SettingsDone).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def base64url(raw: bytes) -> str:
    """base64url without padding."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


class Signer:
    """The MAC of one bin and one leaf.

    Inner and outer hash states are keyed once and copied: twice as fast as `hmac.digest`.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, bin_id: str, key: bytes, leaf: str) -> None:
        """Raise ValueError when the key is not KEY_BYTES long."""
        if len(key) != KEY_BYTES:
            msg = f"a bin key has {KEY_BYTES} bytes, not {len(key)}"
            raise ValueError(msg)
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in block))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in block))
        self._inner.update(f"{VERSION}/{bin_id}/{leaf}\n".encode("ascii"))

    def mac(self, body: bytes) -> bytes:
        """22 ASCII bytes."""
        inner = self._inner.copy()
        inner.update(body)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b2a_base64(outer.digest()[:16], newline=False)[:MAC_CHARS].translate(_URL_SAFE)

    def sign(self, body: bytes) -> bytes:
        """`<mac> <json>` without a newline."""
        return self.mac(body) + b" " + body

    def check(self, text: bytes) -> bytes:
        """The JSON of `<mac> <json>` (no newline at its end), in constant time.

        Raises WireError BAD_FORM or BAD_MAC.
        """
        if len(text) < _SIGNED_MIN_BYTES or text[MAC_CHARS] != _SPACE:
            raise WireError(BAD_FORM, f"not `<{MAC_CHARS} characters> <json>`")
        body = text[MAC_CHARS + 1 :]
        if not hmac.compare_digest(text[:MAC_CHARS], self.mac(body)):
            raise WireError(BAD_MAC, "the MAC is not this bin's for this leaf")
        return body


def sign(bin_id: str, key: bytes, leaf: str, body: bytes) -> bytes:
    """`<mac> <json>` for one payload. For many of one bin keep a Signer."""
    return Signer(bin_id, key, leaf).sign(body)


def verify(bin_id: str, key: bytes, leaf: str, payload: bytes) -> bytes:
    """The JSON bytes of a signed payload that is not a journal (one newline at its end is let by).

    Raises WireError EMPTY, TOO_BIG, BAD_FORM or BAD_MAC.
    """
    return verify_with(Signer(bin_id, key, leaf), payload)


def verify_with(signer: Signer, payload: bytes) -> bytes:
    """As `verify`, with a Signer that is kept."""
    if not payload:
        raise WireError(EMPTY, "an empty payload")
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise WireError(TOO_BIG, f"{len(payload)} bytes, at most {PAYLOAD_MAX_BYTES}")
    return signer.check(payload.removesuffix(b"\n"))


def parse_journal(signer: Signer, payload: bytes) -> list[Line | BadLine]:
    """Every line of a `journal` payload, in order, each judged on its own.

    `signer` is the bin's for the leaf `journal`. A payload that is empty or over
    PAYLOAD_MAX_BYTES gives one BadLine with all of its bytes; lines after LINES_MAX are TOO_MANY.
    """
    if not payload:
        return [BadLine(EMPTY, b"")]
    if len(payload) > PAYLOAD_MAX_BYTES:
        return [BadLine(TOO_BIG, payload)]
    pieces = payload.split(b"\n")
    tail = pieces.pop()
    found: list[Line | BadLine] = [
        parse_line(signer, piece + b"\n") for piece in pieces[:LINES_MAX]
    ]
    found.extend(BadLine(TOO_MANY, piece + b"\n") for piece in pieces[LINES_MAX:])
    if tail:
        found.append(BadLine(NO_NEWLINE, tail))
    return found


def parse_line(signer: Signer, raw: bytes) -> Line | BadLine:
    """One line with its newline. The MAC is checked before anything reads the JSON."""
    if not raw.endswith(b"\n"):
        return BadLine(NO_NEWLINE, raw)
    if len(raw) > LINE_MAX_BYTES:
        return BadLine(TOO_LONG, raw)
    try:
        body = signer.check(raw[:-1])
    except WireError as error:
        return BadLine(error.reason, raw)
    try:
        line = _decode_line(body)
    except msgspec.ValidationError:
        return _odd_line(body, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BadLine(BAD_JSON, raw)
    return Line(line.e, line.n, line.t, line.c if line.c in CLOCKS else "none", line.k, raw)


def _odd_line(body: bytes, raw: bytes) -> Line | BadLine:
    try:
        identity = _decode_identity(body)
    except msgspec.ValidationError:
        return BadLine(BAD_IDENTITY, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BadLine(BAD_JSON, raw)
    return Line(identity.e, identity.n, 0, "none", "", raw, BAD_SHAPE)


def odd_kind(raw: bytes) -> str:
    """Kind that the bytes of an odd line name; "" when they name none."""
    try:
        return _decode_kind(raw[MAC_CHARS + 1 :]).k
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def deposit_of(raw: bytes) -> Deposit:
    """The deposit in the bytes of a verified line.

    Raises WireError BAD_SHAPE when `d` is not what a deposit holds.
    """
    try:
        return _decode_deposit(raw[MAC_CHARS + 1 :]).d
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(BAD_SHAPE, f"not a deposit: {error}") from error


def receipt_body(epoch: str, n: int) -> bytes:
    """JSON of a receipt: every line of `epoch` from 1 up to `n` is durable."""
    return b'{"e":"%s","n":%d}' % (epoch.encode("ascii"), n)


def outcome_body(epoch: str, n: int, *, status: str, points: int, balance: int, why: str) -> bytes:
    """JSON of an outcome. `why` is a refusal's code, "" when credited."""
    return _encode(
        {"e": epoch, "n": n, "status": status, "points": points, "balance": balance, "why": why}
    )


def command_body(number: int, do: str, args: dict[str, int], until_ms: int) -> bytes:
    """JSON of a command: what to do, once for ever under that id, and not after `until_ms`.

    Raises WireError TOO_BIG.
    """
    body = _encode({"id": number, "do": do, "args": args, "until": until_ms})
    return _fitting(body, COMMAND_MAX_BYTES)


def settings_body(version: int, document: bytes) -> bytes:
    """JSON of wanted settings; `document` is the JSON object of all changes to the defaults.

    Raises WireError TOO_BIG.
    """
    return _fitting(b'{"v":%d,"s":%b}' % (version, document), SETTINGS_MAX_BYTES)


def _fitting(body: bytes, payload_max: int) -> bytes:
    room = payload_max - MAC_CHARS - 1
    if len(body) > room:
        raise WireError(TOO_BIG, f"{len(body)} bytes of JSON, at most {room}")
    return body


def done_of(body: bytes) -> Done:
    """A bin's answer, from the JSON of a verified `done`.

    Raises WireError BAD_JSON when it is no object, BAD_SHAPE when it answers nothing that is known.
    """
    for_settings = "settings" in object_of(body)
    try:
        if for_settings:
            told = _decode_settings_done(body)
            return Done(for_settings, told.settings, told.status, told.why, b"{}")
        answer = _decode_command_done(body)
        data = bytes(answer.data)
        object_of(data)
    except (msgspec.DecodeError, WireError) as error:
        raise WireError(BAD_SHAPE, f"not an answer: {error}") from error
    return Done(for_settings, answer.id, answer.status, answer.why, data)


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object in these bytes. Raises WireError BAD_JSON."""
    try:
        return _decode_object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(BAD_JSON, f"not a JSON object: {error}") from error


def told_of(health: bytes | None) -> Told:
    """What a health message says that the gateway acts on.

    Of what has another form than version 1 says nothing is taken: health is for people to read,
    and a slip in one of its values must not hide the others.
    """
    try:
        found = object_of(health or b"{}")
    except WireError:
        found = {}
    faults = found.get("faults")
    codes = None
    if isinstance(faults, list):
        kept = [f for f in faults if isinstance(f, str) and _CODE.fullmatch(f)]
        codes = tuple(dict.fromkeys(kept))[:FAULTS_MAX]
    return Told(
        _count_in(found, "settings"),
        _count_in(found, "refused_settings"),
        _count_in(found, "done"),
        codes,
    )


def _count_in(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    return value if type(value) is int and 0 <= value <= ORDER_MAX else 0


def shard_of(bin_id: str) -> str:
    """Two lower-case hex digits: the first byte of sha256 over the bin id."""
    return hashlib.sha256(bin_id.encode("ascii")).hexdigest()[:2]


def topic(bin_id: str, leaf: str) -> str:
    """`boxback/1/<shard>/<bin>/<leaf>`."""
    return f"{VERSION}/{shard_of(bin_id)}/{bin_id}/{leaf}"


def parse_topic(text: str) -> Topic:
    """Take a topic apart; raises WireError BAD_TOPIC for another form, bin id or shard."""
    parts = text.split("/")
    if len(parts) != 5 or parts[0] != "boxback" or parts[1] != "1":
        raise WireError(BAD_TOPIC, f"not {VERSION}/<shard>/<bin>/<leaf>")
    shard, bin_id, leaf = parts[2:]
    if not is_bin_id(bin_id):
        raise WireError(BAD_TOPIC, "not a bin id")
    if shard != shard_of(bin_id):
        raise WireError(BAD_TOPIC, f"shard of {bin_id} is {shard_of(bin_id)}")
    if not (leaf.isascii() and leaf.isalpha() and leaf.islower()):
        raise WireError(BAD_TOPIC, "not a leaf")
    return Topic(shard, bin_id, leaf)


def bin_id_of(number: int) -> str | None:
    """The bin id of a number, or None when its check symbol is not one of the 32 (never issued).

    Raises ValueError outside 0..BIN_NUMBER_MAX.
    """
    if not 0 <= number <= BIN_NUMBER_MAX:
        msg = f"a bin number is 0 to {BIN_NUMBER_MAX}, not {number}"
        raise ValueError(msg)
    check = number % _CHECK_MODULUS
    if check >= len(ALPHABET):
        return None
    symbols = "".join(ALPHABET[number >> shift & 31] for shift in (15, 10, 5, 0))
    return f"B-{symbols}{ALPHABET[check]}"


def is_bin_id(text: str) -> bool:
    """Form and check symbol are right."""
    if _BIN_ID.fullmatch(text) is None:
        return False
    number = 0
    for symbol in text[2:6]:
        number = number * 32 + ALPHABET.index(symbol)
    return number % _CHECK_MODULUS == ALPHABET.index(text[6])


def is_station_id(text: str) -> bool:
    """`S-` and 1 to 12 of A-Z, 0-9 and `-`."""
    return _STATION_ID.fullmatch(text) is not None


def line_id(bin_id: str, epoch: str, n: int) -> str:
    """`B-7K2QM.5f3a9c01.42`, the name of a line in logs and towards points."""
    return f"{bin_id}.{epoch}.{n}"


def parse_line_id(text: str) -> tuple[str, str, int]:
    """(bin, epoch, n). Raises ValueError."""
    match = _LINE_ID.fullmatch(text)
    if match is None or not is_bin_id(match[1]) or int(match[3]) > N_MAX:
        msg = f"{text!r} is not a line id such as B-7K2QM.5f3a9c01.42"
        raise ValueError(msg)
    return match[1], match[2], int(match[3])


def label_hash(label_key: bytes, text: str) -> str:
    """22 characters: what a bin sends of a label. `label_key` is the fleet's."""
    return base64url(hmac.digest(label_key, text.encode(), "sha256")[:16])


def mqtt_password(key: bytes) -> str:
    """22 characters: what a bin shows a broker that asks for a password."""
    return base64url(hmac.digest(key, f"{VERSION}/mqtt".encode(), "sha256")[:16])


def key_code(bin_id: str, key: bytes) -> str:
    """`BBC1.` and 16 Crockford characters: the technician's code that begins a collection.

    A secret: whoever holds it to the scanner may empty the bin.
    """
    digest = hmac.digest(key, f"{VERSION}/collect/{bin_id}".encode(), "sha256")
    number = int.from_bytes(digest[:10], "big")
    return KEY_CODE_PREFIX + "".join(ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))

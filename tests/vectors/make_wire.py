"""Write `wire.json`: the contract's cases, worked out by hand from DESIGN and the standard library.

    python tests/vectors/make_wire.py

It imports nothing of Boxback on purpose: expected values that came from the code under test would
prove nothing. Run it after the contract has changed and read the difference.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

BIN, KEY = "B-7K2QM", bytes(range(32))
OTHER_BIN, OTHER_KEY = "B-00011", bytes(range(100, 132))
LABEL_KEY = bytes(range(200, 232))
ABOUT = [
    "Cases of the wire, version 1 (DESIGN.md). Made by make_wire.py; read by gateway and firmware.",
    "Every key is hex. Payloads are text (UTF-8), or hex in *_hex; `times` repeats a payload.",
    "signed: text is the whole payload for bin, key, leaf and json.",
    "unsigned: payloads of `leaf` that must be refused, and the gateway's reason code.",
    "journal: a payload and what each of its lines is: ok with e, n, t, c, k, or refused with a reason.",
    "odd: identity and MAC are right and the rest is not version 1: kept, its kind is empty.",
    "receipts, outcomes: json is the exact body, text the signed payload.",
    "commands, settings: what the gateway sends; json is the exact body, text the signed payload.",
    "dones: what a bin answers; what it means, or the reason it means nothing.",
    "tolds: a health message and what the gateway acts on.",
    "key_codes: the technician's code of a bin, which begins and ends a collection.",
]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def mac(bin_id: str, key: bytes, leaf: str, body: bytes) -> str:
    message = b"boxback/1/" + bin_id.encode() + b"/" + leaf.encode() + b"\n" + body
    return b64(hmac.new(key, message, hashlib.sha256).digest()[:16])


def signed(body: str | bytes, leaf: str = "journal", bin_id: str = BIN, key: bytes = KEY) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    return mac(bin_id, key, leaf, raw).encode() + b" " + raw


def key_code(bin_id: str, key: bytes) -> str:
    digest = hmac.new(key, b"boxback/1/collect/" + bin_id.encode(), hashlib.sha256).digest()
    usual = base64.b32encode(digest[:10]).decode()  # RFC 4648; Crockford has other symbols
    rfc, crockford = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "BBC1." + usual.translate(str.maketrans(rfc, crockford))


def line_json(n: int, kind: str = "boot", data: str = '{"fw":"0.1.0","cause":"power"}') -> str:
    return f'{{"e":"5f3a9c01","n":{n},"t":1668153600123,"c":"ntp","k":"{kind}","d":{data}}}'


def good(n: int, kind: str = "boot", t: int = 1668153600123, c: str = "ntp") -> dict[str, Any]:
    return {"ok": True, "e": "5f3a9c01", "n": n, "t": t, "c": c, "k": kind, "odd": False}


def odd(n: int) -> dict[str, Any]:
    return {"ok": True, "e": "5f3a9c01", "n": n, "t": 0, "c": "none", "k": "", "odd": True}


def bad(reason: str) -> dict[str, Any]:
    return {"ok": False, "reason": reason}


def flipped(payload: bytes, at: int, bit: int = 1) -> bytes:
    return payload[:at] + bytes([payload[at] ^ bit]) + payload[at + 1 :]


def case(name: str, payload: bytes, lines: list[dict[str, Any]], times: int = 1) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "bin": BIN, "key": KEY.hex()}
    try:
        made["payload"] = payload.decode()
    except UnicodeDecodeError:
        made["payload_hex"] = payload.hex()
    if times > 1:
        made["times"] = times
    return {**made, "lines": lines}


DEPOSIT = line_json(
    42,
    "deposit",
    '{"pass":"BB1.0A1B2C3D.55605119.AEBAGBAFAYDQQCJK","label":"AAECAwQFBgcICQoLDA0ODw",'
    '"g":312,"ms":1840,"age":5230}',
)


def of_length(total: int, n: int) -> bytes:
    """A signed line of exactly `total` bytes with its newline."""
    body = line_json(n, "fault", '{"what":"%s"}')
    fill = total - len(signed(body % "")) - 1
    return signed(body % ("x" * fill)) + b"\n"


def journal_good() -> list[dict[str, Any]]:
    one, two, three = (signed(line_json(n)) + b"\n" for n in (1, 2, 3))
    cold = '{"e":"5f3a9c01","n":1,"t":0,"c":"none","k":"boot","d":{}}'
    more = '{"z":[1,{"y":null}],"e":"5f3a9c01","n":9,"t":1668153600123,"c":"ntp","k":"boot","d":{}}'
    spaced = '{ "n": 5, "e": "5f3a9c01", "k": "boot", "c": "rtc", "d": {}, "t": 7 }'
    foreign = line_json(6, "fault", '{"what":"秤 – ü"}')
    many = b"".join(signed(line_json(n, "boot", "{}")) + b"\n" for n in range(1, 34))
    last = signed('{"e":"5f3a9c01","n":2147483647,"t":9007199254740991,"c":"ntp","k":"x","d":{}}')
    return [
        case("a deposit", signed(DEPOSIT) + b"\n", [good(42, "deposit")]),
        case("three lines", one + two + three, [good(1), good(2), good(3)]),
        case("no clock yet", signed(cold) + b"\n", [good(1, t=0, c="none")]),
        case("unknown kind", signed(line_json(7, "sneeze", "{}")) + b"\n", [good(7, "sneeze")]),
        case("unknown keys", signed(more) + b"\n", [good(9)]),
        case("another order and spaces", signed(spaced) + b"\n", [good(5, t=7, c="rtc")]),
        case("text that is not ASCII", signed(foreign) + b"\n", [good(6, "fault")]),
        case("512 bytes", of_length(512, 8), [good(8, "fault")]),
        case("largest numbers", last + b"\n", [good(2147483647, "x", t=9007199254740991)]),
        case("33 lines", many, [good(n) for n in range(1, 33)] + [bad("too_many")]),
    ]


def journal_bad() -> list[dict[str, Any]]:
    one, three = signed(line_json(1)) + b"\n", signed(line_json(3)) + b"\n"
    two = signed(line_json(2)) + b"\n"
    shape = '{"e":"5f3a9c01","n":4,"t":"soon","c":"ntp","k":"boot","d":{}}'
    no_d = '{"e":"5f3a9c01","n":4,"t":1,"c":"ntp","k":"boot"}'
    cases = [
        case("nothing", b"", [bad("empty")]),
        case("8193 bytes", b"x", [bad("too_big")], times=8193),
        case("513 bytes", of_length(513, 8), [bad("too_long")]),
        case("no newline", signed(line_json(1)), [bad("no_newline")]),
        case("the second line cut", one + two[:40], [good(1), bad("no_newline")]),
        case("an empty line", one + b"\n" + two, [good(1), bad("bad_form"), good(2)]),
        case("no MAC", line_json(1).encode() + b"\n", [bad("bad_form")]),
        case("short MAC", one[1:], [bad("bad_form")]),
        case("MAC of another leaf", signed(line_json(1), "health") + b"\n", [bad("bad_mac")]),
        case(
            "MAC of another bin's key",
            signed(line_json(1), key=OTHER_KEY) + b"\n",
            [bad("bad_mac")],
        ),
        case(
            "MAC for another bin's name",
            signed(line_json(1), bin_id=OTHER_BIN) + b"\n",
            [bad("bad_mac")],
        ),
        case("a bit of the MAC flipped", flipped(one, 3), [bad("bad_mac")]),
        case("the MAC's spare bits set", flipped_spare_bits(one), [bad("bad_mac")]),
        case("a bit of n flipped", flipped(one, one.index(b'"n":1') + 4), [bad("bad_mac")]),
        case("the last byte flipped", flipped(one, len(one) - 2), [bad("bad_mac")]),
        case(
            "wrong between right ones",
            one + flipped(two, 0) + three,
            [good(1), bad("bad_mac"), good(3)],
        ),
        case("t is no number", signed(shape) + b"\n", [odd(4)]),
        case("no d", signed(no_d) + b"\n", [odd(4)]),
        case("d is a list", signed(line_json(4, "boot", "[]")) + b"\n", [odd(4)]),
        case("no kind", signed(line_json(4, "")) + b"\n", [odd(4)]),
        case("kind of 16", signed(line_json(4, "k" * 16)) + b"\n", [good(4, "k" * 16)]),
        case("kind of 17", signed(line_json(4, "k" * 17)) + b"\n", [odd(4)]),
        case("newline in a kind", signed(line_json(4, "boot\\n")) + b"\n", [odd(4)]),
    ]
    for name, body in [
        ("JSON cut", line_json(1)[:-1]),
        ("two values", line_json(1) + "{}"),
        ("single quotes", line_json(1).replace('"', "'")),
        ("not UTF-8 in the clock", line_json(1).encode().replace(b"ntp", b"n\xffp")),
    ]:
        cases.append(case(name, signed(body) + b"\n", [bad("bad_json")]))
    for name, body in [
        ("a list", "[1,2]"),
        ("e in upper case", line_json(1).replace("5f3a9c01", "5F3A9C01")),
        ("e of 7", line_json(1).replace("5f3a9c01", "5f3a9c0")),
        ("e of 9", line_json(1).replace("5f3a9c01", "5f3a9c011")),
        ("e missing", '{"n":1,"t":1,"c":"ntp","k":"boot","d":{}}'),
        ("n is 0", line_json(0)),
        ("n is negative", line_json(-1)),
        ("n is text", line_json(1).replace('"n":1', '"n":"1"')),
        ("n is a fraction", line_json(1).replace('"n":1', '"n":1.5')),
        ("n is true", line_json(1).replace('"n":1', '"n":true')),
        ("n over 2147483647", line_json(2147483648)),
    ]:
        cases.append(case(name, signed(body) + b"\n", [bad("bad_identity")]))
    return cases


def flipped_spare_bits(line: bytes) -> bytes:
    """The same 16 bytes in base64, written with spare bits that are not zero."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(line[21]) | 1]
    return line[:21] + bytes([other]) + line[22:]


def check_symbol(four: str) -> str:
    number = 0
    for symbol in four:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(symbol)
    return "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U"[number % 37]


def ids() -> dict[str, Any]:
    fours = ["0000", "0001", "7K2Q", "ZZZZ", "ABCD", "T0W1"]
    made = [("B-" + four + check_symbol(four)) for four in fours]
    shards = {b: hashlib.sha256(b.encode()).hexdigest()[:2] for b in (BIN, OTHER_BIN, "B-00000")}
    return {
        "bin_ids": [{"id": i, "ok": i[-1] not in "*~$=U"} for i in made]
        + [
            {"id": i, "ok": False}
            for i in (
                "B-7K2QA",
                "b-7k2qm",
                "B-7K2Q",
                "B-7K2QMM",
                "B-7KIQM",
                "7K2QM",
                "",
                "B-7K2QM\n",
            )
        ],
        "shards": [{"bin": b, "shard": s} for b, s in shards.items()],
        "topics": [
            {"bin": b, "leaf": leaf, "topic": f"boxback/1/{s}/{b}/{leaf}"}
            for b, s in shards.items()
            for leaf in ("journal", "receipt", "online")
        ],
        "bad_topics": [
            f"boxback/2/{shards[BIN]}/{BIN}/journal",
            f"boxback/1/{BIN}/journal",
            f"boxback/1/{shards[OTHER_BIN]}/{BIN}/journal",
            f"boxback/1/{shards[BIN]}/{BIN}/journal/x",
            f"boxback/1/{shards[BIN]}/{BIN}/",
            f"boxback/1/{shards[BIN]}/{BIN[:-1]}A/journal",
            f"boxback/1/{shards[BIN].upper()}x/{BIN}/journal",
            "",
        ],
        "stations": [
            {"id": i, "ok": ok}
            for i, ok in (
                ("S-DEMO", True),
                ("S-HZ-0571", True),
                ("S-ABCDEFGHIJKL", True),
                ("S-ABCDEFGHIJKLM", False),
                ("S-demo", False),
                ("S-", False),
                ("DEMO", False),
            )
        ],
    }


def orders() -> dict[str, Any]:
    """What goes down to a bin, and what comes up again."""
    who = {"bin": BIN, "key": KEY.hex()}
    commands = [
        {"id": 17, "do": "open", "args": {"s": 20}, "until": 1795000000000},
        {"id": 1, "do": "report", "args": {}, "until": 1668153600000},
        {"id": 2147483647, "do": "identify", "args": {"s": 300}, "until": 9007199254740991},
    ]
    settings = [
        {"v": 3, "s": {"mass_min_mg": 30000}},
        {"v": 1, "s": {}},
        {"v": 2147483647, "s": {"label_policy": "optional", "zero_counts": -5}},
    ]
    return {
        "commands": [order(who, "command", body) for body in commands],
        "settings": [order(who, "settings", body) for body in settings],
        "dones": [{**who, **case} for case in dones()],
        "tolds": tolds(),
    }


def order(who: dict[str, Any], leaf: str, body: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(body, separators=(",", ":"))
    return {**who, "body": body, "json": text, "text": signed(text, leaf).decode()}


def dones() -> list[dict[str, Any]]:
    def means(text: str, **meaning: Any) -> dict[str, Any]:
        return {"json": text, "text": signed(text, "done").decode(), "means": meaning}

    def nothing(text: str, reason: str) -> dict[str, Any]:
        return {"json": text, "text": signed(text, "done").decode(), "reason": reason}

    def command(number: int, status: str, why: str, data: str) -> dict[str, Any]:
        text = f'{{"id":{number},"status":"{status}","why":"{why}","data":{data}}}'
        meaning = {"settings": False, "number": number, "status": status, "why": why}
        return means(text, **meaning, data=json.loads(data))

    def settings(version: int, status: str, why: str) -> dict[str, Any]:
        text = f'{{"settings":{version},"status":"{status}","why":"{why}"}}'
        meaning = {"settings": True, "number": version, "status": status, "why": why}
        return means(text, **meaning, data={})

    return [
        command(17, "done", "", "{}"),
        command(17, "refused", "late", "{}"),
        command(2147483647, "done", "", '{"heap":20480,"faults":["clock"]}'),
        settings(3, "done", ""),
        settings(4, "refused", "mass_min_mg is 3, allowed 5000 to 1000000"),
        settings(5, "rolled_back", "no word of the gateway"),
        means(
            '{"id":1,"status":"done"}',
            settings=False,
            number=1,
            status="done",
            why="",
            data={},
        ),
        nothing("[]", "bad_json"),
        nothing('{"id":1', "bad_json"),
        nothing("{}", "bad_shape"),
        nothing('{"id":0,"status":"done"}', "bad_shape"),
        nothing('{"id":2147483648,"status":"done"}', "bad_shape"),
        nothing('{"id":true,"status":"done"}', "bad_shape"),
        nothing('{"id":1,"status":"rolled_back"}', "bad_shape"),
        nothing('{"id":1,"status":"done","data":[]}', "bad_shape"),
        nothing('{"settings":3,"status":"maybe"}', "bad_shape"),
        nothing('{"settings":"3","status":"done"}', "bad_shape"),
    ]


def tolds() -> list[dict[str, Any]]:
    def told(text: str, settings: int, refused: int, done: int, faults: Any) -> dict[str, Any]:
        return {
            "json": text,
            "settings": settings,
            "refused_settings": refused,
            "done": done,
            "faults": faults,
        }

    return [
        told("{}", 0, 0, 0, None),
        told(
            '{"faults":["scale","clock"],"settings":3,"refused_settings":2,"done":17}',
            *(3, 2, 17),
            ["scale", "clock"],
        ),
        told('{"faults":[],"settings":0,"refused_settings":0,"done":0}', 0, 0, 0, []),
        told('{"faults":["x","x",1,"NO","a b"],"settings":true,"done":-1}', 0, 0, 0, ["x"]),
        told('{"faults":"scale","settings":2147483648,"done":1.5}', 0, 0, 0, None),
    ]


def main() -> None:
    receipts = [f'{{"e":"5f3a9c01","n":{n}}}' for n in (1, 42, 2147483647)]
    outcomes = [
        '{"e":"5f3a9c01","n":42,"status":"credited","points":10,"balance":120,"why":""}',
        '{"e":"5f3a9c01","n":43,"status":"refused","points":0,"balance":120,"why":"label_seen"}',
    ]
    receipt = signed(receipts[1], "receipt")
    labels = ["YT8839201746512", "SF1020304050607", "包裹 7", ""]
    document = {
        "about": ABOUT,
        "signed": [
            {
                "bin": b,
                "key": k.hex(),
                "leaf": leaf,
                "json": j,
                "text": signed(j, leaf, b, k).decode(),
            }
            for b, k, leaf, j in (
                (BIN, KEY, "journal", line_json(1)),
                (BIN, KEY, "health", "{}"),
                (BIN, OTHER_KEY, "journal", DEPOSIT),
                (OTHER_BIN, OTHER_KEY, "outcome", outcomes[0]),
                (OTHER_BIN, OTHER_KEY, "health", '{"what":"秤"}'),
            )
        ],
        "unsigned": [
            {"bin": BIN, "key": KEY.hex(), "leaf": "receipt", "payload": text, "reason": reason}
            for text, reason in (
                ("", "empty"),
                (receipts[1], "bad_form"),
                (receipt.decode()[:23], "bad_form"),
                (signed(receipts[1], "journal").decode(), "bad_mac"),
                (signed(receipts[1], "receipt", OTHER_BIN).decode(), "bad_mac"),
                (signed(receipts[1], "receipt", BIN, OTHER_KEY).decode(), "bad_mac"),
                (receipt.decode().replace('"n":42', '"n":43'), "bad_mac"),
                (receipt.decode() + " ", "bad_mac"),
            )
        ],
        "journal": journal_good() + journal_bad(),
        "receipts": [
            {
                "bin": BIN,
                "key": KEY.hex(),
                "e": "5f3a9c01",
                "n": json.loads(j)["n"],
                "json": j,
                "text": signed(j, "receipt").decode(),
            }
            for j in receipts
        ],
        "outcomes": [
            {
                "bin": BIN,
                "key": KEY.hex(),
                **json.loads(j),
                "json": j,
                "text": signed(j, "outcome").decode(),
            }
            for j in outcomes
        ],
        **orders(),
        **ids(),
        "labels": [
            {
                "key": LABEL_KEY.hex(),
                "text": t,
                "hash": b64(hmac.new(LABEL_KEY, t.encode(), hashlib.sha256).digest()[:16]),
            }
            for t in labels
        ],
        "passwords": [
            {
                "key": k.hex(),
                "password": b64(hmac.new(k, b"boxback/1/mqtt", hashlib.sha256).digest()[:16]),
            }
            for k in (KEY, OTHER_KEY)
        ],
        "key_codes": [
            {"bin": b, "key": k.hex(), "code": key_code(b, k)}
            for b, k in (
                (BIN, KEY),
                (BIN, OTHER_KEY),
                (OTHER_BIN, OTHER_KEY),
                (OTHER_BIN, bytes(32)),
            )
        ],
    }
    target = Path(__file__).with_name("wire.json")
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

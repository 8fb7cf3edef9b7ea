"""The gateway's side of the wire against the vectors, and against whatever bytes may come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "wire.json").read_text(encoding="ascii")
)
BIN, KEY = "B-7K2QM", bytes(range(32))
JOURNAL = wire.Signer(BIN, KEY, "journal")


def payload_of(case: dict[str, Any]) -> bytes:
    raw = bytes.fromhex(case["payload_hex"]) if "payload_hex" in case else case["payload"].encode()
    return bytes(raw) * int(case.get("times", 1))


def body(n: int, kind: str = "boot") -> bytes:
    text = f'{{"e":"5f3a9c01","n":{n},"t":1,"c":"ntp","k":"{kind}","d":{{}}}}'
    return text.encode()


@pytest.mark.parametrize("case", VECTORS["signed"], ids=lambda c: f"{c['bin']}-{c['leaf']}")
def test_signed_texts(case: dict[str, Any]) -> None:
    key, text = bytes.fromhex(case["key"]), case["text"].encode()
    assert wire.sign(case["bin"], key, case["leaf"], case["json"].encode()) == text
    assert wire.verify(case["bin"], key, case["leaf"], text) == case["json"].encode()
    assert wire.verify(case["bin"], key, case["leaf"], text + b"\n") == case["json"].encode()


@pytest.mark.parametrize("case", VECTORS["unsigned"])
def test_refused_texts(case: dict[str, Any]) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.verify(case["bin"], bytes.fromhex(case["key"]), case["leaf"], payload_of(case))
    assert caught.value.reason == case["reason"]


@pytest.mark.parametrize("case", VECTORS["journal"], ids=lambda c: c["name"])
def test_journal_payloads(case: dict[str, Any]) -> None:
    payload = payload_of(case)
    signer = wire.Signer(case["bin"], bytes.fromhex(case["key"]), "journal")
    found = wire.parse_journal(signer, payload)
    assert b"".join(line.raw for line in found) == payload
    told = [
        {
            "ok": True,
            "e": line.epoch,
            "n": line.n,
            "t": line.t_ms,
            "c": line.clock,
            "k": line.kind,
            "odd": line.odd != "",
        }
        if isinstance(line, wire.Line)
        else {"ok": False, "reason": line.reason}
        for line in found
    ]
    assert told == case["lines"]


@pytest.mark.parametrize("case", VECTORS["receipts"])
def test_receipts(case: dict[str, Any]) -> None:
    made = wire.receipt_body(case["e"], case["n"])
    assert made == case["json"].encode()
    signed = wire.sign(case["bin"], bytes.fromhex(case["key"]), "receipt", made)
    assert signed == case["text"].encode()


@pytest.mark.parametrize("case", VECTORS["outcomes"])
def test_outcomes(case: dict[str, Any]) -> None:
    made = wire.outcome_body(
        case["e"],
        case["n"],
        status=case["status"],
        points=case["points"],
        balance=case["balance"],
        why=case["why"],
    )
    assert made == case["json"].encode()
    signed = wire.sign(case["bin"], bytes.fromhex(case["key"]), "outcome", made)
    assert signed == case["text"].encode()


def test_ids_shards_and_topics() -> None:
    for case in VECTORS["bin_ids"]:
        assert wire.is_bin_id(case["id"]) is case["ok"], case
    for case in VECTORS["stations"]:
        assert wire.is_station_id(case["id"]) is case["ok"], case
    for case in VECTORS["shards"]:
        assert wire.shard_of(case["bin"]) == case["shard"]
    for case in VECTORS["topics"]:
        assert wire.topic(case["bin"], case["leaf"]) == case["topic"]
        parsed = wire.parse_topic(case["topic"])
        assert (parsed.bin, parsed.leaf) == (case["bin"], case["leaf"])
    for text in VECTORS["bad_topics"]:
        with pytest.raises(wire.WireError):
            wire.parse_topic(text)


def test_labels_and_passwords() -> None:
    for case in VECTORS["labels"]:
        assert wire.label_hash(bytes.fromhex(case["key"]), case["text"]) == case["hash"]
    for case in VECTORS["passwords"]:
        assert wire.mqtt_password(bytes.fromhex(case["key"])) == case["password"]


def test_key_codes() -> None:
    for case in VECTORS["key_codes"]:
        code = wire.key_code(case["bin"], bytes.fromhex(case["key"]))
        assert code == case["code"]
        assert len(code) == len("BBC1.") + 16
    assert len({case["code"] for case in VECTORS["key_codes"]}) == len(VECTORS["key_codes"])


@given(st.integers(0, wire.BIN_NUMBER_MAX))
def test_an_issued_id_is_right_and_one_wrong_symbol_is_noticed(number: int) -> None:
    issued = wire.bin_id_of(number)
    if issued is None:
        assert number % 37 >= 32
        return
    assert wire.is_bin_id(issued)
    for at in range(2, 7):
        for symbol in wire.ALPHABET:
            if symbol != issued[at]:
                assert not wire.is_bin_id(issued[:at] + symbol + issued[at + 1 :])


def test_bin_numbers_have_limits() -> None:
    for number in (-1, wire.BIN_NUMBER_MAX + 1):
        with pytest.raises(ValueError, match="a bin number is 0 to"):
            wire.bin_id_of(number)


def test_a_key_of_another_length_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        wire.Signer(BIN, KEY[:-1], "journal")


def test_line_ids() -> None:
    assert wire.parse_line_id("B-7K2QM.5f3a9c01.42") == (BIN, "5f3a9c01", 42)
    assert wire.line_id(BIN, "5f3a9c01", 42) == "B-7K2QM.5f3a9c01.42"
    for text in ("B-7K2QA.5f3a9c01.42", "B-7K2QM.5f3a9c01.042", "B-7K2QM.5f3a9c01.4294967296", "x"):
        with pytest.raises(ValueError, match="not a line id"):
            wire.parse_line_id(text)


def test_a_deposit_is_read_and_a_strange_one_is_told() -> None:
    raw = payload_of(VECTORS["journal"][0])
    deposit = wire.deposit_of(raw)
    assert (deposit.g, deposit.ms, deposit.age) == (312, 1840, 5230)
    assert deposit.pass_ == "BB1.0A1B2C3D.55605119.AEBAGBAFAYDQQCJK"
    assert deposit.label == "AAECAwQFBgcICQoLDA0ODw"
    with pytest.raises(wire.WireError) as caught:
        wire.deposit_of(JOURNAL.sign(body(1, "deposit")) + b"\n")
    assert caught.value.reason == wire.BAD_SHAPE


@pytest.mark.parametrize("clock", ["gps", "gnss-time", "", "ü", "x" * 100])
def test_a_clock_that_is_not_known_is_as_good_as_none(clock: str) -> None:
    text = json.dumps({"e": "5f3a9c01", "n": 2, "t": 1, "c": clock, "k": "deposit", "d": {}})
    line = wire.parse_line(JOURNAL, JOURNAL.sign(text.encode()) + b"\n")
    assert isinstance(line, wire.Line)
    assert (line.clock, line.kind, line.odd) == ("none", "deposit", "")


@given(st.binary(max_size=9000))
def test_no_bytes_upset_the_parser_and_none_are_lost(payload: bytes) -> None:
    found = wire.parse_journal(JOURNAL, payload)
    assert b"".join(line.raw for line in found) == payload
    assert all(isinstance(line, wire.BadLine) for line in found)


@given(st.binary(max_size=480).filter(lambda text: b"\n" not in text))
def test_a_signed_body_of_any_bytes_is_judged_not_raised(text: bytes) -> None:
    raw = JOURNAL.sign(text) + b"\n"
    found = wire.parse_line(JOURNAL, raw)
    assert found.raw == raw
    if isinstance(found, wire.BadLine):
        assert found.reason in {wire.BAD_FORM, wire.BAD_JSON, wire.BAD_IDENTITY, wire.TOO_LONG}


@given(st.data(), st.integers(1, wire.N_MAX))
def test_every_flipped_bit_is_found(data: st.DataObject, n: int) -> None:
    raw = JOURNAL.sign(body(n)) + b"\n"
    at = data.draw(st.integers(0, len(raw) - 1))
    bit = data.draw(st.integers(0, 7))
    broken = raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :]
    assert isinstance(wire.parse_line(JOURNAL, broken), wire.BadLine)


@given(st.text(max_size=60))
def test_topics_of_any_text_are_judged_not_raised(text: str) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_topic(f"boxback/1/54/{text}")


@pytest.mark.parametrize("leaf", ["command", "settings"])
def test_orders(leaf: str) -> None:
    for case in VECTORS["commands" if leaf == "command" else "settings"]:
        body = case["body"]
        if leaf == "command":
            made = wire.command_body(body["id"], body["do"], body["args"], body["until"])
        else:
            document = json.dumps(body["s"], separators=(",", ":")).encode()
            made = wire.settings_body(body["v"], document)
        assert made == case["json"].encode()
        signed = wire.sign(case["bin"], bytes.fromhex(case["key"]), leaf, made)
        assert signed == case["text"].encode()


def test_an_order_fits_its_payload() -> None:
    room = wire.SETTINGS_MAX_BYTES - wire.MAC_CHARS - 1 - len('{"v":1,"s":}')
    assert len(wire.settings_body(1, b"x" * room)) == wire.SETTINGS_MAX_BYTES - 23
    with pytest.raises(wire.WireError, match="2026 bytes of JSON, at most 2025"):
        wire.settings_body(1, b"x" * (room + 1))
    with pytest.raises(wire.WireError, match="at most 489"):
        wire.command_body(1, "x" * 500, {}, 1)


@pytest.mark.parametrize("case", VECTORS["dones"], ids=lambda c: c["json"])
def test_answers(case: dict[str, Any]) -> None:
    body = wire.verify(case["bin"], bytes.fromhex(case["key"]), "done", case["text"].encode())
    if "reason" in case:
        with pytest.raises(wire.WireError) as caught:
            wire.done_of(body)
        assert caught.value.reason == case["reason"]
    else:
        done = wire.done_of(body)
        assert {**done._asdict(), "data": json.loads(done.data)} == case["means"]


@pytest.mark.parametrize("case", VECTORS["tolds"], ids=lambda c: c["json"])
def test_what_health_tells(case: dict[str, Any]) -> None:
    told = wire.told_of(case["json"].encode())
    faults = None if told.faults is None else list(told.faults)
    assert {"json": case["json"], **told._asdict(), "faults": faults} == case


@given(st.binary(max_size=300))
def test_no_bytes_upset_those_who_read_health_or_an_answer(body: bytes) -> None:
    assert wire.told_of(body) == wire.Told(0, 0, 0, None)
    with pytest.raises(wire.WireError):
        wire.done_of(body)

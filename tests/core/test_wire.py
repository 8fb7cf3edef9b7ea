import json

from boxbin.core import wire

VECTORS = __file__.replace("\\", "/").rsplit("/", 2)[0] + "/vectors/wire.json"


def section(name):
    """One part of the vectors; the whole file would fill a bin's heap."""
    with open(VECTORS) as f:
        return json.load(f)[name]


def unhex(text):
    return bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))


def payload(case):
    if "payload_hex" in case:
        return unhex(case["payload_hex"])
    return case["payload"].encode() * case.get("times", 1)


def refused(function, *arguments):
    try:
        function(*arguments)
    except wire.WireError:
        return True
    return False


def test_signed_texts():
    cases = section("signed")
    assert cases
    for case in cases:
        key, body = unhex(case["key"]), case["json"].encode()
        text = case["text"].encode()
        assert wire.sign(key, case["bin"], case["leaf"], body) == text
        assert wire.verify(key, case["bin"], case["leaf"], text) == body
        assert wire.verify(key, case["bin"], case["leaf"], text + b"\n") == body
        assert refused(wire.verify, key, case["bin"], case["leaf"] + "x", text)


def test_texts_that_are_not_signed():
    cases = section("unsigned")
    assert cases
    for case in cases:
        assert refused(wire.verify, unhex(case["key"]), case["bin"], case["leaf"], payload(case)), (
            case
        )


def test_journal_lines():
    seen = 0
    for case in section("journal"):
        lines = payload(case).split(b"\n")[:-1]
        for text, expected in zip(lines, case["lines"]):
            if expected["ok"]:
                found = wire.read_line(unhex(case["key"]), case["bin"], text)
                assert found == (expected["e"], expected["n"]), case["name"]
                seen += 1
            elif expected["reason"].startswith("bad_"):  # the others are about size: see below
                assert refused(wire.read_line, unhex(case["key"]), case["bin"], text), case["name"]
    assert seen > 30


def test_receipts_and_outcomes():
    for name, leaf in (("receipts", "receipt"), ("outcomes", "outcome")):
        for case in section(name):
            value = wire.read(unhex(case["key"]), case["bin"], leaf, case["text"].encode())
            assert value["e"] == case["e"] and value["n"] == case["n"]
            assert value.get("balance") == case.get("balance")


def test_names():
    for case in section("bin_ids"):
        assert wire.is_bin_id(case["id"]) == case["ok"], case
    for case in section("shards"):
        assert wire.shard(case["bin"]) == case["shard"]
    for case in section("topics"):
        assert wire.topic(case["bin"], case["leaf"]) == case["topic"]


def test_codes_from_keys():
    for case in section("labels"):
        assert wire.label_code(unhex(case["key"]), case["text"]) == case["hash"]
    for case in section("passwords"):
        assert wire.mqtt_password(unhex(case["key"])) == case["password"]
    for case in section("key_codes"):
        assert wire.key_code(case["bin"], unhex(case["key"])) == case["code"]


def test_a_line_is_made_in_the_fixed_order_and_is_bounded():
    key = bytes(range(32))
    line = wire.line(
        key, "B-7K2QM", "5f3a9c01", 42, 5, "ntp", "deposit", (("pass", 'a"\\'), ("g", 3))
    )
    assert line[22:] == (
        b' {"e":"5f3a9c01","n":42,"t":5,"c":"ntp","k":"deposit","d":{"pass":"a\\"\\\\","g":3}}\n'
    )
    assert wire.read_line(key, "B-7K2QM", line) == ("5f3a9c01", 42)
    assert json.loads(wire.verify(key, "B-7K2QM", "journal", line))["d"]["pass"] == 'a"\\'
    assert refused(
        wire.line, key, "B-7K2QM", "5f3a9c01", 1, 0, "none", "fault", (("what", "x" * 480),)
    )

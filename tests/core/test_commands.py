from boxbin.core import commands

NOW = 1_795_000_000_000
OPEN = {"id": 17, "do": "open", "args": {"s": 20}, "until": NOW + 1}


def why(now=NOW, **changes):
    value = dict(OPEN)
    value.update(changes)
    try:
        return commands.check(value, now)
    except commands.CommandError as error:
        return str(error)


def test_a_good_command():
    assert commands.check(OPEN, NOW) == ("open", 20, NOW + 1)
    assert why(args={}) == ("open", commands.SECONDS_DEFAULT, NOW + 1)
    for name in commands.NAMES.split(" "):
        assert why(do=name)[0] == name


def test_what_is_not_done_has_a_reason():
    assert why(do="explode") == "unknown"
    assert why(do="open tare") == "unknown" and why(do="") == "unknown" and why(do=1) == "unknown"
    assert why(args=[]) == "args" and why(args={"s": "20"}) == "args"
    assert why(args={"s": True}) == "args"
    assert why(args={"s": 301}) == "args: s is 301, allowed 1 to 300"
    assert why(args={"s": 0}).startswith("args") and why(until=None) == "args"
    assert why(now=NOW + 2) == "late"
    assert why(until=0) == "late"


def test_without_the_time_only_what_does_no_harm():
    for name in commands.NAMES.split(" "):
        found = why(now=0, do=name)
        assert found == ((name, 20, 0) if name in ("restart", "identify", "report") else "no clock")


def test_the_id_is_a_number_that_can_be_answered():
    assert commands.number({"id": 17}) == 17
    for value in ({}, {"id": 0}, {"id": -1}, {"id": "17"}, {"id": True}, {"id": 1 << 31}):
        assert commands.number(value) == 0, value

"""The trace format: what is taken, and how a wrong line is told."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tools.virtual.replay.trace import (
    COUNTS_MAX,
    COUNTS_MIN,
    KEY_CODE,
    Event,
    Header,
    TraceError,
    open_trace,
    read_trace,
    write_trace,
)

HEAD = '{"trace":1,"sps":10,"counts_per_g":26.0,"zero":84210}\n'


def read(text: str | bytes) -> tuple[Header, list[Event]]:
    data = text.encode() if isinstance(text, str) else text
    header, events = read_trace(io.BytesIO(data), "x.trace.jsonl")
    return header, list(events)


def why(text: str | bytes) -> str:
    with pytest.raises(TraceError) as found:
        read(text)
    return str(found.value)


def test_a_whole_trace_is_read_and_what_is_unknown_passed_by() -> None:
    header, events = read(
        '{"trace":1,"sps":80,"counts_per_g":26,"zero":-5,"unix":1668153600000,"rig":"B",'
        '"settings":{"mass_min_mg":50000,"label_policy":"none","of_tomorrow":1,"key_code":"BBC1.X"}}\n'
        '{"t":0,"w":84213,"note":"x"}\n{"t":5,"scan":"BB1.X"}\n{"t":5,"flap":"open"}\n'
        '{"t":7,"button":true,"flap":"shut"}\n{"t":8,"temperature":21.5}\n{"what":"is this"}\n'
    )
    assert (header.sps, header.zero, header.unix, header.key_code) == (
        80,
        -5,
        1668153600000,
        "BBC1.X",
    )
    assert header.changes() == {
        "mass_min_mg": 50000,
        "label_policy": "none",
        "counts_per_kg": 26000,
    }
    assert [(e.t, e.w, e.scan, e.flap, e.button) for e in events] == [
        (0, 84213, None, None, None),
        (5, None, "BB1.X", None, None),
        (5, None, None, "open", None),
        (7, None, None, "shut", True),
        (8, None, None, None, None),
    ]


def test_the_headers_own_calibration_wins() -> None:
    header, _ = read(HEAD.replace('"zero":84210', '"zero":1,"settings":{"counts_per_kg":99000}'))
    assert header.changes()["counts_per_kg"] == 26_000
    assert header.unix is None
    assert header.key_code == KEY_CODE


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("\n", "\r\n") + '{"t":1,"w":2}\r\n',
        "\ufeff" + HEAD + '{"t":1,"w":2}\n',
        "\n \n" + HEAD + '\n{"t":1,"w":2}',
        HEAD + '{"t":0.8,"w":2.0}\n',
        HEAD + '{"t":1,"w":2,"scan":null,"flap":null,"button":null}\n',
    ],
    ids=["CRLF", "BOM", "blank lines", "fractions", "nulls"],
)
def test_what_is_meant_well_is_taken(text: str) -> None:
    _, (event,) = read(text)
    assert (event.t, event.w, event.scan) == (1, 2, None)


def test_a_count_beyond_24_bits_is_the_end_of_the_range_as_on_the_chip() -> None:
    _, events = read(HEAD + '{"t":1,"w":13000000}\n{"t":2,"w":-13000000}\n{"t":3,"w":1e30}\n')
    assert [event.w for event in events] == [COUNTS_MAX, COUNTS_MIN, COUNTS_MAX]


def test_half_a_surrogate_pair_can_be_sent_on() -> None:
    _, (event,) = read(HEAD + '{"t":1,"scan":"a\\ud800b"}\n')
    assert event.scan == "a?b"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            '{"t":1200,"w":1}\n{"t":1100,"w":1}',
            "x.trace.jsonl:3: t is 1100, before 1200: events come",
        ),
        ('{"t":-1,"w":1}', "x.trace.jsonl:2: t is -1, expected 0 or more"),
        ('{"t":1668153600000,"w":1}', "later than ten years"),
        ('{"w":1}', "2: has no t, expected something like"),
        ('{"t":"12","w":1}', 't is "12", expected whole milliseconds'),
        ('{"t":true,"w":1}', "t is true, expected"),
        ('{"t":1,"w":"x"}', 'w is "x", expected a whole number of counts'),
        ('{"t":1,"w":true}', "w is true"),
        ('{"t":1,"scan":7}', "scan is 7, expected a text"),
        ('{"t":1,"flap":"opn"}', 'flap is "opn", expected "open" or "shut"'),
        ('{"t":1,"flap":["open"]}', 'flap is ["open"]'),
        ('{"t":1,"button":1}', "button is 1, expected true"),
        ('{"t":1,"scan":"%s"}' % ("x" * 7090), "scan has 7,090 characters"),
        ("[1,2]", "is [1,2], expected an object like"),
        ('{"t":1,"w":NaN}', "NaN is no number of JSON"),
        ('{"t":1,,}', "is not JSON: "),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_wrong_line_is_told_with_file_line_and_value(line: str, said: str) -> None:
    assert said in why(HEAD + line + "\n")


def test_bytes_that_are_no_text() -> None:
    assert "x.trace.jsonl:2: is not UTF-8 at byte 16" in why(
        HEAD.encode() + b'{"t":1,"scan":"\xff"}\n'
    )


def test_a_line_without_end_costs_no_memory() -> None:
    assert "2: has more than 1,048,576 bytes" in why(HEAD + "{" + " " * (3 << 20))


def test_a_recording_that_was_cut_off_is_called_so() -> None:
    said = why(HEAD + '{"t":1,"w":2}\n{"t":12')
    assert (
        said
        == 'x.trace.jsonl:3: the last line is cut off ({"t":12): was the recording interrupted?'
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"trace":1', '"trace":2', "trace is 2, expected 1"),
        ('"trace":1,', "", "the header has no trace, expected 1"),
        ('"sps":10', '"sps":0', "sps is 0, expected a number above 0"),
        ('"sps":10', '"sps":"10"', 'sps is "10"'),
        (
            '"counts_per_g":26.0',
            '"counts_per_g":-26',
            "counts_per_g is -26, expected a number from 1",
        ),
        (',"zero":84210', "", "the header has no zero"),
        ('"zero":84210', '"zero":1e999', "zero is Infinity"),
        ('"zero":84210', '"zero":1,"unix":"now"', 'unix is "now"'),
        ('"zero":84210', '"zero":1,"settings":[]', "settings is []"),
        ('"zero":84210', '"zero":1,"settings":{"mass_min_mg":-3}', "settings: mass_min_mg is -3"),
        ('"zero":84210', '"zero":1,"settings":{"label_policy":1}', "settings: label_policy is 1"),
        ('"zero":84210', '"zero":1,"settings":{"key_code":5}', "settings.key_code is 5"),
        (HEAD, "", "x.trace.jsonl: is empty"),
        (HEAD, '{"t":1,"w":5}\n', "1: the header has no trace"),
    ],
)
def test_a_wrong_header(old: str, new: str, said: str) -> None:
    assert said in why(HEAD.replace(old, new))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    events = [{"t": 0, "w": 5}, {"t": 100, "scan": "盒子"}, {"t": 100, "flap": "open"}]
    write_trace(path, {"sps": 10, "counts_per_g": 26.0, "zero": 0}, events)
    with open_trace(path) as (header, found):
        assert header == Header(10.0, 26.0, 0)
        assert [event.scan for event in found] == [None, "盒子", None]
    assert path.read_bytes().splitlines()[1] == b'{"t":0,"w":5}'

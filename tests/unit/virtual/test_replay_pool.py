"""The player and its host: what the rules are told and when, and traces that go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tools.technician.build import FIRMWARE, build_firmware
from tools.virtual.replay import replay_files
from tools.virtual.replay.child import ReplayError
from tools.virtual.replay.pool import Played, play_all
from tools.virtual.replay.trace import TraceError, write_trace

HEADER = {"sps": 10, "counts_per_g": 26.0, "zero": 84_210, "unix": 1_668_153_600_000}
PASS = "BB1.ABCDEFGH.55605120.0123456789ABCDEF"
LIMIT_S = 60

# Writes a line for each call, so that a test sees what the rules are told: `why` the call, `of` its
# argument. Some texts, when scanned, make it do what firmware must not do.
ECHO = """
class Visit:
    def __init__(self, settings, label_key, key_code, zero):
        self.wake = None
        self.told = [("made", (settings.counts_per_kg, label_key == bytes(32), key_code, zero))]
    def line(self, now, what, value=None):
        self.told.append((what, value))
        told, self.told = self.told, []
        return [("line", "call", (("why", w), ("of", v))) for w, v in told]
    def start(self, now): return self.line(now, "start")
    def flap(self, now, shut): return self.line(now, "flap", shut)
    def button(self, now): return self.line(now, "button")
    def reading(self, now, raw):
        return self.line(now, "reading", raw) if raw != 1 else ()
    def wake_ms(self): return self.wake
    def tick(self, now):
        self.wake = None
        return self.line(now, "tick")
    def written(self, now, kind, n):
        return [("line", "written", (("of", n),))] if kind == "ask" else ()
    def scan(self, now, text, unix_s):
        word, _, value = text.partition(" ")
        if word == "WAKE": self.wake = now + int(value)
        if word == "ASK": return [("line", "ask", ()), ("line", "call", (("why", "after"),))]
        if word == "LABEL":
            from boxbin.core.wire import label_code
            return [("line", "deposit", (("label", label_code(bytes(32), text)), ("age", 3)))]
        if word == "OPEN": return [("flap", True)]
        if word == "CRASH": raise ValueError("no such thing")
        if word == "PRINT": print("what an engineer wants to know")
        if word == "MANY": return [("line", "call", (("why", "x" * 60),)) for _ in range(int(value))]
        if word == "EAT":
            eaten = []
            while True: eaten.append(bytes(1000))
        if word == "DIE":
            import sys
            sys.exit(3)
        if word == "HANG":
            print("hanging")
            while True: pass
        return self.line(now, "scan", (text, unix_s))
"""


def firmware_with(folder: Path, visit: str) -> Path:
    """Firmware whose rules are `visit`."""
    core = folder / "source" / "boxbin" / "core"
    core.mkdir(parents=True)
    for name in ("settings.py", "wire.py"):
        shutil.copy(FIRMWARE / "boxbin" / "core" / name, core)
    (core.parent / "__init__.py").touch()
    (core / "__init__.py").touch()
    (core / "visit.py").write_text(visit)
    return build_firmware(folder / "source", folder / "out")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware_with(tmp_path_factory.mktemp("firmware"), ECHO)


def trace(folder: Path, events: Iterable[dict[str, Any]], name: str = "a", **header: Any) -> Path:
    path = folder / f"{name}.trace.jsonl"
    write_trace(path, HEADER | header, events)
    return path


def told(path: Path, firmware: Path) -> list[tuple[Any, ...]]:
    (played,) = play_all([path], 1, firmware=firmware)
    assert played.error is None
    return [(d["t"], d["why"], d["of"]) for d in played.decisions if d["event"] == "call"]


def quiet(ms: range) -> list[dict[str, Any]]:
    """Readings that the echo keeps to itself."""
    return [{"t": t, "w": 1} for t in ms]


def test_every_event_reaches_the_rules_in_order_with_its_value(tmp_path: Path, echo: Path) -> None:
    events = [
        *({"t": 5, "w": -7}, {"t": 6, "scan": "盒"}, {"t": 6, "flap": "open"}),
        *({"t": 7, "flap": "shut"}, {"t": 8, "button": True}, {"t": 9, "button": False}),
        {"t": 9, "w": 84_300, "button": True, "scan": "x", "flap": "open"},
    ]
    path = trace(tmp_path, events, settings={"key_code": "BBC1.K", "counts_per_kg": 5})
    second = HEADER["unix"] // 1000
    assert told(path, echo) == [
        (5, "made", [26_000, True, "BBC1.K", 84_210]),
        (5, "flap", True),
        *((5, "start", None), (5, "reading", -7), (6, "scan", ["盒", second])),
        *((6, "flap", False), (7, "flap", True), (8, "button", None)),
        *((9, "flap", False), (9, "scan", ["x", second]), (9, "button", None)),
        (9, "reading", 84_300),
    ]


def test_ticks_come_when_they_are_due_and_not_after_the_end(tmp_path: Path, echo: Path) -> None:
    events = sorted(
        [
            *quiet(range(0, 1000, 100)),
            {"t": 150, "scan": "WAKE 130"},
            {"t": 310, "scan": "WAKE 90"},
            {"t": 910, "scan": "WAKE 5"},
            {"t": 915, "button": True},
            {"t": 920, "scan": "WAKE 500"},
        ],
        key=lambda event: event["t"],
    )
    found = [(t, what) for t, what, _ in told(trace(tmp_path, events), echo)[3:] if what != "scan"]
    # Due in between; due at the time of a reading: before it; of another event: before it too.
    assert found == [(280, "tick"), (400, "tick"), (915, "tick"), (915, "button")]


def test_a_tick_that_stays_due_comes_each_millisecond(tmp_path: Path) -> None:
    stuck = ECHO.replace("        self.wake = None\n        return", "        return")
    assert stuck != ECHO
    path = trace(tmp_path, [{"t": 10, "scan": "WAKE 2"}, {"t": 15}])
    found = told(path, firmware_with(tmp_path, stuck))
    assert [t for t, what, _ in found if what == "tick"] == [12, 13, 14, 15]


def test_missing_readings_are_told_as_the_driver_does(tmp_path: Path, echo: Path) -> None:
    events = [{"t": 50, "button": True}, {"t": 700, "w": 2}, {"t": 1000, "w": 3}, {"t": 2000}]
    found = [
        (t, value) for t, what, value in told(trace(tmp_path, events), echo) if what == "reading"
    ]
    assert found == [
        *((350, None), (650, None), (700, 2)),
        (1000, 3),  # 300 ms later, in time
        *((1300, None), (1600, None), (1900, None)),
    ]


def test_ten_years_without_readings_are_over_soon(tmp_path: Path, echo: Path) -> None:
    events = [{"t": 0, "w": 2}, {"t": 60_000}, {"t": 315_000_000_000, "w": 3}]
    found = told(trace(tmp_path, events), echo)
    times = [t for t, what, _ in found if what == "reading"]
    assert times[1:200] == list(range(300, 60_000, 300)), "in the first minute each 300 ms"
    assert len(times) < 10_000
    assert times[-1] == 315_000_000_000


def test_every_line_is_written_at_once_and_counted(tmp_path: Path, echo: Path) -> None:
    path = trace(tmp_path, [{"t": 1, "scan": "ASK"}])
    (played,) = play_all([path], firmware=echo)
    assert [(d["n"], d["event"], d.get("why"), d.get("of")) for d in played.decisions[3:]] == [
        *((4, "ask", None, None), (5, "call", "after", None)),
        (6, "written", None, 4),
    ]
    assert (played.events, played.span_ms) == (1, 0)


@pytest.mark.parametrize("moves", [True, False])
def test_a_rig_without_a_flap_has_one_that_obeys(tmp_path: Path, echo: Path, moves: bool) -> None:
    last = [{"t": 9, "flap": "shut"}] if moves else []
    found = told(trace(tmp_path, [{"t": 5, "scan": "OPEN"}, *last]), echo)[3:]
    assert found == ([(9, "flap", True)] if moves else [(5, "flap", False)])


def test_a_label_comes_back_as_its_text(tmp_path: Path, echo: Path) -> None:
    events = [{"t": n, "scan": f"LABEL {n}"} for n in range(5_000)]  # more than a frame holds
    (played,) = play_all([trace(tmp_path, events)], firmware=echo)
    labels = [d["label"] for d in played.decisions if d["event"] == "deposit"]
    assert labels == [f"LABEL {n}" for n in range(5_000)]
    assert set(played.decisions[-1]) == {"t", "event", "n", "label", "file"}


def test_no_clock_no_time(tmp_path: Path, echo: Path) -> None:
    found = told(trace(tmp_path, [{"t": 5, "scan": "x"}], unix=None), echo)
    assert found[-1] == (5, "scan", ["x", 0])


def bad(tmp_path: Path) -> list[tuple[Path, str]]:
    """Traces that go wrong, each in its own way, and what is said of them."""
    later = quiet(range(10, 300_000, 100))

    def scans(text: str) -> Path:
        return trace(tmp_path, [{"t": 3, "scan": text}, *later], text)

    order = trace(tmp_path, [*later, {"t": 5}], "order")
    return [
        (scans("CRASH"), "ValueError: no such thing"),
        (scans("DIE"), "the interpreter ended by itself"),
        (scans("EAT"), "MemoryError"),
        (order, f"{order}:3002: t is 5, before 299910"),
        (tmp_path / "none.trace.jsonl", "none.trace.jsonl: cannot be read: No such file"),
        (tmp_path, f"{tmp_path}: cannot be read: Is a directory"),
    ]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_bad_trace_is_told_and_stops_no_other(tmp_path: Path, echo: Path, jobs: int) -> None:
    wrong = bad(tmp_path)
    good = [trace(tmp_path, [{"t": 1, "scan": f"LABEL {n}"}], f"good{n}") for n in range(30)]
    paths: list[Path] = []
    for index, path in enumerate(good):
        paths += [path, wrong[index % len(wrong)][0]]
    played = list(play_all(paths, jobs, firmware=echo))
    assert [p.path for p in played] == paths, "in the order in which they were given"
    said = dict(wrong)
    for index, p in enumerate(played):
        if index % 2:
            assert said[p.path] in str(p.error), p.path
            assert str(p.error).startswith(str(p.path))
        else:
            assert p.decisions[-1]["label"] == f"LABEL {index // 2}"
            assert {d["file"] for d in p.decisions} == {str(p.path)}


def test_a_crash_is_told_with_its_time_and_traceback(tmp_path: Path, echo: Path) -> None:
    path = trace(tmp_path, [{"t": 1, "w": 5}, {"t": 77, "scan": "CRASH"}, {"t": 99, "w": 6}])
    (played,) = play_all([path], firmware=echo)
    text = str(played.error)
    assert text.startswith(f"{path}: the firmware failed at t = 77 ms:\nTraceback")
    assert 'File "visit", line' in text  # compiled without folders and line numbers
    assert text.endswith("ValueError: no such thing")


def test_a_firmware_that_hangs_is_ended_and_the_next_trace_played(
    tmp_path: Path, echo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [
        trace(tmp_path, [{"t": 1, "scan": "HANG"}, *quiet(range(2, 500_000, 100))], "hang"),
        trace(tmp_path, [{"t": 1, "scan": "PRINT"}], "print"),
    ]
    hung, printed = play_all(paths, 1, firmware=echo, limit_s=0.5)
    assert str(hung.error) == f"{paths[0]}: the firmware hung: no answer within 0.5 s"
    assert printed.error is None
    assert "what an engineer wants to know\n" in capfd.readouterr().err


def test_more_answers_than_a_pipe_holds(tmp_path: Path, echo: Path) -> None:
    events = [{"t": t, "scan": "MANY 30"} for t in range(300)]
    (played,) = play_all([trace(tmp_path, events)], firmware=echo)
    assert len(played.decisions) == 3 + 9_000


def test_who_leaves_early_leaves_nothing_behind(tmp_path: Path, echo: Path) -> None:
    paths = [trace(tmp_path, [{"t": n}], f"{n}") for n in range(50)]
    before = set(children())
    every = play_all(paths, 2, firmware=echo)
    assert isinstance(next(every), Played)
    assert set(children()) - before
    every.close()
    assert set(children()) <= before
    assert not [t for t in threading.enumerate() if t.name.startswith("replay")]


def children() -> list[str]:
    task = Path(f"/proc/{os.getpid()}/task")
    return [pid for thread in task.iterdir() for pid in (thread / "children").read_text().split()]


def test_ctrl_c_ends_it_at_once(tmp_path: Path, echo: Path) -> None:
    path = trace(tmp_path, [{"t": 1, "scan": "HANG"}])
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from tools.virtual.replay.pool import play_all\n"
        # Whoever runs the tests in the background of a shell has Ctrl-C ignored, for children too.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "list(play_all([sys.argv[1]], 2, firmware=Path(sys.argv[2])))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(echo)], stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "hanging\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=LIMIT_S)  # its limit for a hung firmware is longer
    assert "KeyboardInterrupt" in said


# -- the real rules ------------------------------------------------------------------------------


def visit(*, flap: bool, sps: int = 10, mass_g: float = 300.0) -> list[dict[str, Any]]:
    """An honest visit of 20 s."""
    events: list[dict[str, Any]] = []
    for index in range(20 * sps):
        t = index * 1000 // sps
        mass = mass_g if t >= 9000 else 0
        events.append({"t": t, "w": 84_210 + round(26 * mass) + index * 7 % 23})
    events += [{"t": 4001, "scan": PASS}, {"t": 5001, "scan": "SF1234567890"}]
    if flap:
        events += [{"t": 7001, "flap": "open"}, {"t": 14_001, "flap": "shut"}]
    return sorted(events, key=lambda event: event["t"])


@pytest.mark.parametrize("flap", [True, False])
@pytest.mark.parametrize("sps", [10, 80])
def test_the_real_rules_decide_over_an_honest_visit(tmp_path: Path, flap: bool, sps: int) -> None:
    path = trace(tmp_path, visit(flap=flap, sps=sps), sps=sps)
    ((found, (deposit,)),) = replay_files([path])
    assert found == path
    assert 9_000 < deposit.pop("t") < 11_500
    values = ("deposit", 1, 300, PASS, "SF1234567890", str(path))
    keys = ("event", "n", "g", "pass", "label", "file")
    assert deposit == dict(zip(keys, values, strict=True))


def test_readings_that_end_are_a_fault_of_the_scale(tmp_path: Path) -> None:
    path = trace(tmp_path, [*visit(flap=True)[:30], {"t": 30_000}])
    ((_, decisions),) = replay_files([path])
    assert [(d["event"], d["what"], d["why"]) for d in decisions] == [("fault", "scale", "missing")]


def test_the_age_of_a_pass_counts_only_with_a_clock(tmp_path: Path) -> None:
    old = trace(tmp_path, visit(flap=True), "old", unix=1_668_153_600_000 + 3_600_000)
    none = trace(tmp_path, visit(flap=True), "none", unix=None)
    (_, with_clock), (_, without) = replay_files([old, none])
    assert [d["event"] for d in with_clock] == ["unattended"]
    assert [d["event"] for d in without] == ["deposit"]


def test_settings_of_the_header_are_the_bins(tmp_path: Path) -> None:
    path = trace(tmp_path, visit(flap=True), settings={"mass_max_mg": 200_000})
    ((_, (refused, *_)),) = replay_files([path])
    assert (refused["event"], refused["why"], refused["g"]) == ("refused", "too_heavy", 300)


def test_without_more_ado_a_bad_trace_is_raised(tmp_path: Path) -> None:
    path = trace(tmp_path, [{"t": 5}, {"t": 4}])
    with pytest.raises(TraceError, match="t is 4, before 5"):
        list(replay_files([path]))
    with pytest.raises(ReplayError, match="cannot be read"):
        list(replay_files([tmp_path / "none"]))


def test_a_trace_of_nothing_decides_nothing(tmp_path: Path) -> None:
    path = trace(tmp_path, [])
    assert list(replay_files([path])) == [(path, [])]

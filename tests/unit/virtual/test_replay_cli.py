"""`boxback replay` as it is typed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tools.cli import app
from tools.virtual.replay import replay_files
from tools.virtual.replay.trace import write_trace

ROOT = Path(__file__).parents[3]

LIMIT_S = 60
HEADER = {"sps": 10, "counts_per_g": 26.0, "zero": 84_210}
BOXBACK = str(Path(sys.executable).with_name("boxback"))


def trace(folder: Path, name: str, visits: int = 1) -> Path:
    """`visits` times something is put on the scale with nobody there."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.trace.jsonl"
    events: list[dict[str, Any]] = []
    for index in range(30 + 40 * visits):
        mass_g = 300 * (index // 40)
        events.append({"t": 100 * index, "w": 84_210 + 26 * mass_g + index * 7 % 23})
    write_trace(path, HEADER, events)
    return path


def boxback(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BOXBACK, "replay", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        input=stdin,
    )


def test_one_line_of_json_for_each_decision_in_file_order(tmp_path: Path) -> None:
    paths = [str(trace(tmp_path, name, n)) for name, n in (("b", 1), ("a", 2), ("c", 1))]
    done = boxback(*paths)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(d["file"], d["n"]) for d in found] == [
        *((paths[0], 1), (paths[1], 1), (paths[1], 2), (paths[2], 1))
    ]
    assert done.stdout.startswith('{"t":')
    assert '","' in done.stdout, "compact"
    assert set(found[0]) == {"t", "event", "n", "g", "file"}
    assert (found[0]["event"], found[0]["g"]) == ("unattended", 300)


def test_a_folder_stands_for_its_traces(tmp_path: Path) -> None:
    trace(tmp_path / "z", "one")
    trace(tmp_path / "a", "two")
    (tmp_path / "a" / "expected.json").write_text("{}")
    done = boxback(str(tmp_path))
    files = [json.loads(line)["file"] for line in done.stdout.splitlines()]
    assert files == [str(tmp_path / "a/two.trace.jsonl"), str(tmp_path / "z/one.trace.jsonl")]


def test_bad_ones_are_told_the_others_played_and_the_end_is_2(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.trace.jsonl"
    write_trace(wrong, HEADER, [{"t": 2}, {"t": 1}])
    (tmp_path / "empty").mkdir()
    good = trace(tmp_path, "good")
    done = boxback(str(wrong), str(tmp_path / "none"), str(tmp_path / "empty"), str(good))
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.splitlines() == [
        f"boxback: {tmp_path}/empty: holds no *.trace.jsonl",
        f"boxback: {wrong}:3: t is 1, before 2: events come in time order",
        f"boxback: {tmp_path}/none: cannot be read: No such file or directory",
    ]


def test_standard_input_and_pipes(tmp_path: Path) -> None:
    path = trace(tmp_path, "a", 2)
    done = boxback("-", stdin=path.read_text())
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == ["-", "-"]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cp", str(path), str(fifo)]):
        piped = boxback(str(fifo))
    assert piped.stdout == done.stdout.replace('"-"', f'"{fifo}"')
    assert boxback("-", "-", stdin="").returncode == 2


def test_who_reads_only_the_first_lines_sees_no_traceback(tmp_path: Path) -> None:
    paths = [str(trace(tmp_path, f"{n}", 2)) for n in range(40)]
    with subprocess.Popen(
        [BOXBACK, "replay", *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith('{"t":')
        child.stdout.close()
        said = child.stderr.read()
        child.wait(LIMIT_S)
    assert said == ""


def test_summary_counts_and_says_how_fast(tmp_path: Path) -> None:
    path = trace(tmp_path, "a", 2)
    done = boxback("--summary", str(path), str(tmp_path / "none"))
    first, second = done.stderr.splitlines()[1:]
    assert first == "2 traces (1 bad), 110 events: 2 unattended"
    assert second.startswith("11 s of the bin's time in ")
    assert second.endswith(" times as fast")


def test_pictures_go_beside_the_trace_or_where_one_says(tmp_path: Path) -> None:
    one, two = trace(tmp_path / "1", "same"), trace(tmp_path / "2", "same")
    done = boxback("--plot", str(one))
    assert done.stderr == f"drawn: {tmp_path}/1/same.png\n"
    out = tmp_path / "deep" / "pictures"
    done = boxback("--plot", "--out", str(out), str(one), str(two))
    assert sorted(path.name for path in out.iterdir()) == ["same-2.png", "same.png"]
    assert boxback("--out", str(out), str(one)).returncode == 2
    done = boxback("--plot", "-", stdin=one.read_text())
    assert (done.returncode, done.stderr) == (2, "boxback: -: only a file can be drawn\n")


def test_a_terminal_gets_a_bar_for_many_files_and_scripts_none(tmp_path: Path) -> None:
    paths = [str(trace(tmp_path, f"{n}")) for n in range(25)]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [BOXBACK, "replay", *paths], stdout=subprocess.DEVNULL, stderr=theirs
    ) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            shown += data
        os.close(ours)
        assert child.wait(LIMIT_S) == 0
    assert b"Replay" in shown
    assert boxback(*paths).stderr == ""


@pytest.mark.parametrize("command", ["replay", "record"])
def test_help_teaches(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "visit.trace.jsonl" in result.output or "tests/traces" in result.output


def test_the_example_in_help_and_readme_is_what_it_prints() -> None:
    """Rules change; what is shown to strangers must follow."""
    stone = ROOT / "tests" / "traces" / "stone.trace.jsonl"
    [(_, told)] = replay_files([stone])
    shown = json.dumps(told[0], separators=(",", ":")).split(',"file"')[0]
    for path in ("tools/virtual/replay/cli.py", "tools/virtual/replay/README.md"):
        assert shown in (ROOT / path).read_text(), (path, shown)

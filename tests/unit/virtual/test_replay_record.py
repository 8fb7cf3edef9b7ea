"""Recording: what a virtual bin decided over a visit, its recording decides again."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.virtual import identity, scripted
from tools.virtual.page.record import MAX_RECORDINGS
from tools.virtual.page.serve import PageServer
from tools.virtual.page.server import create_app
from tools.virtual.replay import record as module
from tools.virtual.replay import replay_files
from tools.virtual.replay.record import (
    STREAM,
    RecordError,
    Recording,
    copy_stream,
    flash_settings,
    record,
)
from tools.virtual.replay.trace import KEY_CODE, open_trace
from tools.virtual.supervisor import VirtualBin

IDLE = "Return a carton:"
LABEL = "SF1234567890"
LIMIT_S = 60
BOXBACK = str(Path(sys.executable).with_name("boxback"))
MAIN = """
import time
print('up')
while True:
    time.sleep_ms(50)
"""


@pytest.fixture
def real(tmp_path: Path) -> Iterator[VirtualBin]:
    """A bin with the real firmware, ready, in virtual time."""
    settings = {"mass_max_mg": 5_000_000}
    with VirtualBin(
        identity(broker_port=1),
        tmp_path / "bin",
        virtual_time=True,
        files={"/settings.json": json.dumps(settings).encode()},
    ) as bin_:
        bin_.wait_for_text(IDLE)
        yield bin_


@pytest.fixture
def bin_(tmp_path: Path) -> Iterator[VirtualBin]:
    """A bin in real time, without the firmware."""
    with scripted(tmp_path, MAIN, virtual_time=False) as bin_:
        bin_.wait_for_console("up", 20)
        yield bin_


@pytest.fixture
def page(bin_: VirtualBin) -> Iterator[PageServer]:
    """Its page."""
    with PageServer(create_app(bin_)) as server:
        yield server


def boxback(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BOXBACK, "record", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def visit(bin_: VirtualBin) -> str:
    """One honest visit; returns its pass."""
    text = f"BB1.7K2QM0AB.{int(bin_.unix_s()) // 30}.ABCDEFGHJKMNPQRS"
    bin_.show_text(text)
    bin_.wait_for_text("Hello!")
    bin_.show_text(LABEL)
    bin_.wait_for(lambda: bin_.flap() == "open", 10, "an open flap")
    bin_.drop(312)
    bin_.wait_for_text("Thank you!", 10)
    return text


def test_an_honest_visit_replays_to_the_same_deposit(real: VirtualBin, tmp_path: Path) -> None:
    path = tmp_path / "visit.trace.jsonl"
    with record(real, path):
        real.advance(2000)
        text = visit(real)
        thanks = real.wait_for_text("Thank you!")[2]
        real.advance(3000)
    ((_, (deposit,)),) = replay_files([path])
    assert (deposit["event"], deposit["pass"], deposit["label"]) == ("deposit", text, LABEL)
    said = re.search(r"(\d+)g", thanks)
    assert said is not None
    assert deposit["g"] == int(said[1]), "to the gram what the bin itself said"


def test_the_header_and_the_flap_are_as_the_bin_is(real: VirtualBin, tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    unix_s = real.unix_s()
    with record(real, path):
        real.press_button()
        real.advance(1000)
    with open_trace(path) as (header, events):
        first, *others = events
    assert (header.sps, header.counts_per_g, header.zero) == (10.0, 26.0, 84_000)
    assert header.unix == round(unix_s * 1000)
    assert header.settings == {"mass_max_mg": 5_000_000}
    assert (first.t, first.flap) == (0, "shut")
    assert sum(bool(event.button) for event in others) == 1, "once a press, bounces or not"
    assert [event.w is not None for event in others].count(True) == 10
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it holds people's codes"
    with real.world() as world:
        assert not world.listeners


def test_the_bins_own_key_code_does_not_get_into_the_file(real: VirtualBin, tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    with record(real, path):
        real.show_text(real.identity.key_code())
        real.advance(1500)
    assert real.identity.key_code() not in path.read_text()
    with open_trace(path) as (header, events):
        assert [e.scan for e in events if e.scan] == [KEY_CODE]
        assert header.key_code == KEY_CODE, "so a collection is one in the replay too"


def test_no_settings_in_flash_none_in_the_header(tmp_path: Path) -> None:
    assert flash_settings(tmp_path / "none.img") is None
    with scripted(tmp_path, MAIN) as bin_:
        assert flash_settings(bin_.flash_path) is None
        with record(bin_, tmp_path / "a.trace.jsonl"):
            pass
    with open_trace(tmp_path / "a.trace.jsonl") as (header, _):
        assert header.settings == {}


def test_a_recording_that_gets_too_long_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 3)
    path = tmp_path / "a.trace.jsonl"

    def too_much(bin_: VirtualBin) -> None:
        with record(bin_, path):
            for _ in range(5):
                bin_.press_button()
                bin_.advance(200)

    with scripted(tmp_path, MAIN) as bin_, pytest.raises(RecordError, match="3 lines are kept"):
        too_much(bin_)
    assert len(path.read_bytes().splitlines()) == 3


def test_over_the_page(page: PageServer, tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    counts: Counter[str] = Counter()
    passed: list[float] = []

    def show(seconds: float) -> None:
        passed.append(seconds)
        if counts["flap"] and not counts["button"]:
            httpx.post(page.url + "api/button")

    with path.open("wb", buffering=0) as file:
        copy_stream(page.url, file, counts, threading.Event(), seconds=1.0, show=show)
    assert counts["trace"] == counts["flap"] == 1
    assert counts["button"]
    assert counts["w"] > 3
    assert passed[-1] >= 1.0
    with open_trace(path) as (header, events):
        assert header.unix is not None
        assert sum(1 for _ in events) == counts.total() - 1


def test_boxback_record_ends_well_with_ctrl_c(page: PageServer, tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    words = ["--bin", page.url, "--out", str(path)]
    with subprocess.Popen([BOXBACK, "record", *words], stderr=subprocess.PIPE, text=True) as child:
        while not path.exists() or path.read_bytes().count(b'"w"') < 3:
            assert child.poll() is None
            os.sched_yield()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=LIMIT_S)
    assert child.returncode == 0
    with open_trace(path) as (_, events):
        found = [event.w for event in events if event.w is not None]
    assert said == f"{path}: {len(found)} readings, 0 scans, 0 presses, 0 movements of the flap\n"
    refused = boxback(*words)
    assert (refused.returncode, len(found)) == (2, path.read_bytes().count(b'"w"'))
    assert refused.stderr == f"boxback: {path} is there already: choose another --out, or --force\n"
    assert boxback(*words, "--force", "--seconds", "0.1").returncode == 0


def test_no_bin_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    foreign = FastAPI()
    foreign.state.closing = threading.Event()
    with PageServer(foreign) as other:
        done = boxback("--out", str(path), "--bin", other.url)
    assert done.returncode == 1
    assert "answers 404: that is no virtual bin's page" in done.stderr
    done = boxback("--out", str(path), "--bin", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "boxback: no bin's page at http://127.0.0.1:1: is `make run` running?\n"
    assert not path.exists()


def test_the_page_makes_only_so_many_and_forgets_who_left(page: PageServer) -> None:
    with httpx.Client(base_url=page.url, timeout=20) as client:
        streams = [client.stream("GET", STREAM) for _ in range(MAX_RECORDINGS)]
        answers = [stream.__enter__() for stream in streams]
        lines = [answer.iter_lines() for answer in answers]  # one that is forgotten hangs up
        assert all(json.loads(next(first))["trace"] == 1 for first in lines)
        with (
            Path(os.devnull).open("wb", buffering=0) as file,
            pytest.raises(RecordError, match=f"503: {MAX_RECORDINGS} recordings"),
        ):
            copy_stream(page.url, file, Counter(), threading.Event(), seconds=1.0)
        for stream in streams:
            stream.__exit__(None, None, None)
        while client.get("/api/state").status_code == 200 and page._app.state.recordings:
            os.sched_yield()
        assert page._app.state.recordings == 0


def test_the_bin_that_ends_is_told(page: PageServer, bin_: VirtualBin, tmp_path: Path) -> None:
    path = tmp_path / "a.trace.jsonl"
    with path.open("wb", buffering=0) as file, pytest.raises(RecordError, match="ended"):
        copy_stream(page.url, file, Counter(), threading.Event(), show=lambda _: bin_.stop())
    assert path.read_bytes().endswith(b"\n")


def test_a_recording_tells_only_what_is_new(tmp_path: Path) -> None:
    with scripted(tmp_path, MAIN) as bin_:
        recording = Recording(bin_)
        assert recording.take().count(b"\n") == 2
        bin_.press_button()
        assert json.loads(recording.take()) == {"t": 0, "button": True}
        recording.stop()
        bin_.press_button()
        assert recording.take() == b""

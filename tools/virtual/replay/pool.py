"""Many traces through the firmware, on every core.

Each thread owns one interpreter and feeds it one trace after another. A thread parses the next
frame of events while its interpreter plays the last one, so no file is held whole anywhere.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import shutil
import sys
import tempfile
import threading
from array import array
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from boxbin.core.wire import label_code

from tools.technician.build import build_firmware
from tools.virtual.replay import player
from tools.virtual.replay.child import PlayerProcess, ReplayError
from tools.virtual.replay.trace import Event, Header, TraceError, read_trace

FRAME_EVENTS = 2_048
FRAME_TEXT_CHARS = 8_192
ANSWER_LIMIT_S = 60.0  # a frame takes about 0.1 s; one that takes this long has hung
AHEAD = 4  # how many traces a job may be ahead of the one whose turn it is
KEYS = ("t", "event", "n", "g", "pass", "label", "why", "of", "what", "file")
STDIN = Path("-")

_FLAP = re.compile(rb'"flap"\s*:\s*"(?:open|shut)"')

Decision = dict[str, Any]


@dataclass
class Played:
    """What became of one trace. With an `error`, `decisions` are those that came before it."""

    path: Path
    decisions: list[Decision] = field(default_factory=list)
    events: int = 0
    span_ms: int = 0  # of the bin's time
    error: ReplayError | TraceError | None = None


def play_all(
    paths: Iterable[Path | str],
    jobs: int | None = None,
    *,
    firmware: Path | None = None,
    limit_s: float = ANSWER_LIMIT_S,
) -> Generator[Played, None, None]:
    """Play traces; yield what became of each, in the order of `paths`.

    `firmware`: a folder made by build_firmware, the one of this tree when None. `limit_s`: a
    firmware that plays longer than this at one frame has hung.
    """
    firmware = firmware or build_firmware()
    jobs = jobs or os.cpu_count() or 1
    waiting: deque[Future[Played]] = deque()
    workers = _Workers(firmware, limit_s)
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="replay")
    try:
        for path in map(Path, paths):
            waiting.append(pool.submit(workers.play, path, _copy(path)))
            if len(waiting) > jobs * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        workers.kill()  # whoever still plays sees the end of its interpreter
        pool.shutdown(cancel_futures=True)
        workers.close()


class _Workers:
    """The interpreters, one a thread, made when they are first needed."""

    def __init__(self, firmware: Path, limit_s: float) -> None:
        self._firmware, self._limit_s = firmware, limit_s
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._all: list[PlayerProcess] = []
        self._ended = False

    def play(self, path: Path, copy: BinaryIO | None) -> Played:
        """Play one trace, or its copy, with this thread's interpreter."""
        played = Played(path)
        try:
            with copy or path.open("rb") as source:
                has_flap = _has_flap(source)
                header, events = read_trace(source, str(path))
                _Playing(self._child(), played).play(header, events, has_flap=has_flap)
        except OSError as error:
            played.error = ReplayError(f"{path}: cannot be read: {error.strerror or error}")
        except (ReplayError, TraceError) as error:
            played.error = error
        return played

    def _child(self) -> PlayerProcess:
        child: PlayerProcess | None = getattr(self._mine, "child", None)
        if child is None or child.ended:
            with self._lock:
                if self._ended:
                    raise ReplayError("stopped")
                if child is not None:
                    self._all.remove(child)
                    child.close()
                child = PlayerProcess(self._firmware, _say, self._limit_s)
                self._all.append(child)
            self._mine.child = child
        return child

    def kill(self) -> None:
        """End every interpreter now, and let no new one begin."""
        with self._lock:
            self._ended = True
            for child in self._all:
                child.kill()

    def close(self) -> None:
        """Give everything back; the threads have ended."""
        for child in self._all:
            child.close()


def _say(line: str) -> None:
    """What the firmware prints by itself is for the engineer at the terminal."""
    sys.stderr.write(f"{line}\n")


class _Playing:
    """One trace on its way through one interpreter."""

    def __init__(self, child: PlayerProcess, played: Played) -> None:
        self._child, self._played = child, played
        self._name = str(played.path)
        self._unanswered = 0
        self._texts: dict[str, None] = {}  # scanned, and not yet looked at for labels
        self._labels: dict[str, str] = {}  # code on a line -> text that was scanned

    def play(self, header: Header, events: Iterator[Event], *, has_flap: bool) -> None:
        """Fill `played`; raises TraceError and ReplayError. The interpreter stays usable."""
        begin: dict[str, Any] = {
            "start": {
                "settings": header.changes(),
                "key_code": header.key_code,
                "zero": header.zero,
                "unix": header.unix,
                "flap": has_flap,
            }
        }
        first_ms = 0
        try:
            for scans, pairs in _frames(events):
                self._texts.update(dict.fromkeys(scans))
                if begin:
                    first_ms = pairs[0]
                self._child.send({**begin, "scans": scans}, pairs)
                begin = {}
                self._unanswered += 1
                self._played.events += len(pairs) // 2
                self._played.span_ms = pairs[-2] - first_ms
                if self._unanswered > 1:
                    self._answer()
            while self._unanswered:
                self._answer()
        finally:
            # After an error: an answer that is still due belongs to this trace, not to the next.
            while self._unanswered and not self._child.ended:
                self._answer()

    def _answer(self) -> None:
        self._unanswered -= 1
        try:
            failure = self._child.answer(self._line)
        except ReplayError as error:
            raise ReplayError(f"{self._name}: {error}") from error
        if failure:
            t, trace = failure
            raise ReplayError(f"{self._name}: the firmware failed at t = {t} ms:\n{trace.rstrip()}")

    def _line(self, line: list[Any]) -> None:
        """One journal line becomes a decision."""
        t, n, event, fields = line
        found = {**fields, "t": t, "event": event, "n": n, "file": self._name}
        if event == "fault":
            found["why"] = fields.get("detail", "")
        if "label" in fields:
            found["label"] = self._label(fields["label"])
        self._played.decisions.append({key: found[key] for key in KEYS if key in found})

    def _label(self, code: str) -> str:
        """The text whose code the line holds."""
        for text in self._texts:
            self._labels[label_code(player.LABEL_KEY, text)] = text
        self._texts.clear()
        return self._labels.get(code, code)


def _frames(events: Iterator[Event]) -> Iterator[tuple[list[str], array[int]]]:
    """Pack events for player.py: texts of scans, and pairs of time and reading or code."""
    pairs, scans, chars = array("q"), list[str](), 0
    for event in events:
        t, w = event.t, event.w
        before = len(pairs)
        if event.flap is not None:
            pairs.extend((t, player.FLAP_SHUT if event.flap == "shut" else player.FLAP_OPEN))
        if event.scan is not None:
            pairs.extend((t, player.SCAN))
            scans.append(event.scan)
            chars += len(event.scan)
        if event.button:
            pairs.extend((t, player.BUTTON))
        if w is not None:
            pairs.extend((t, w))
        elif len(pairs) == before:
            pairs.extend((t, player.TIME))
        if len(pairs) >= 2 * FRAME_EVENTS or chars > FRAME_TEXT_CHARS:
            yield scans, pairs
            pairs, scans, chars = array("q"), [], 0
    if pairs:
        yield scans, pairs


def _copy(path: Path) -> BinaryIO | None:
    """What can be read only once, as a nameless file: a trace is looked at twice. Else None.

    Done in the caller's thread, so that Ctrl-C ends the wait for whoever writes it.
    """
    if path != STDIN and (not path.exists() or path.is_file() or path.is_dir()):
        return None
    copy = tempfile.TemporaryFile()  # noqa: SIM115  (who plays it closes it)
    if path == STDIN:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    else:
        with path.open("rb") as source:
            shutil.copyfileobj(source, copy)
    copy.seek(0)
    return copy


def _has_flap(source: BinaryIO) -> bool:
    """Whether any event is one of the flap; must be known before the first one is played."""
    if not os.fstat(source.fileno()).st_size:
        return False
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _FLAP.search(data) is not None


def dump(decision: Decision) -> str:
    """One line of JSON, without its end."""
    return json.dumps(decision, ensure_ascii=False, separators=(",", ":"))

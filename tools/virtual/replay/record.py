"""Make a trace of what a virtual bin's inputs get: in Python, or over its page from elsewhere."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from tools.technician.build import BLOCK_BYTES, BLOCK_COUNT, GEOMETRY
from tools.virtual.replay.trace import KEY_CODE, VERSION
from tools.virtual.supervisor import VirtualBin

if TYPE_CHECKING:
    import httpx

SETTINGS = "/settings.json"
STREAM = "/api/record"  # tools/virtual/page/record.py
LINES_MAX = 1_000_000  # a day at ten samples a second
CONNECT_S = 5.0
QUIET_S = 15.0  # the stream says something every second, even when the bin is off
HTTP_OK = 200


class RecordError(Exception):
    """Nothing can be recorded, or not any more; the text says why."""


class Recording:
    """Notes what the inputs of a started bin get, from now until stop(). take() gives the lines."""

    def __init__(self, virtual_bin: VirtualBin) -> None:
        self._bin = virtual_bin
        self._lines: deque[bytes] = deque()
        self._secret = virtual_bin.identity.key_code()
        settings = flash_settings(virtual_bin.flash_path)
        self.overflow = False
        with virtual_bin.world() as world:
            self._begin_us = world.kernel.now_us
            model = world.scale.model
            header = {
                "trace": VERSION,
                "sps": round(1_000_000 / model.period_us, 3),
                "counts_per_g": model.counts_per_g,
                "zero": model.zero_counts,
                "unix": virtual_bin.engine.unix_us() // 1000,
            }
            self._add(header | ({} if settings is None else {"settings": settings}))
            # Said first, so that a recording in which it never moves is not one without a flap.
            self._add({"t": 0, "flap": "open" if world.flap.reed() else "shut"})
            world.listeners.append(self._hear)

    def _hear(self, what: str, value: int | str | bool) -> None:
        if value == self._secret:
            value = KEY_CODE  # a collection can be played, and the bin's own code stays secret
        t = (self._bin.engine.world.kernel.now_us - self._begin_us) // 1000
        self._add({"t": t, what: value})

    def _add(self, line: dict[str, Any]) -> None:
        if len(self._lines) >= LINES_MAX:
            self.overflow = True  # a trace with a hole would be a lie: it ends here
        if not self.overflow:
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
            self._lines.append(text.encode() + b"\n")

    def take(self) -> bytes:
        """Whole lines that are new since the last call."""
        with self._bin.engine.lock:
            data = b"".join(self._lines)
            self._lines.clear()
        return data

    def stop(self) -> None:
        """Listen no more."""
        with self._bin.world() as world:
            world.listeners.remove(self._hear)


@contextmanager
def record(virtual_bin: VirtualBin, path: Path) -> Iterator[None]:
    """Record the block to `path`, written at its end. Raises RecordError when it was too long."""
    recording = Recording(virtual_bin)
    try:
        yield
    finally:
        recording.stop()
        with private_file(path, force=True) as file:
            file.write(recording.take())
    if recording.overflow:
        raise RecordError(f"{path} ends early: {LINES_MAX:,} lines are kept at most")


def flash_settings(image: Path) -> dict[str, Any] | None:
    """The settings file in a bin's flash; None when there is none that can be read now."""
    try:
        data = bytearray(image.read_bytes())
        if len(data) != BLOCK_BYTES * BLOCK_COUNT:
            return None
        filesystem = LittleFS(mount=False, **GEOMETRY)
        filesystem.context.buffer = data
        filesystem.mount()
        with filesystem.open(SETTINGS, "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError, LittleFSError):
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def private_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Open a file that only its owner reads: it holds the codes that people showed. May raise
    FileExistsError without `force`.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
        yield file


def copy_stream(
    url: str,
    file: BinaryIO,
    counts: Counter[str],
    stopping: threading.Event,
    seconds: float | None = None,
    show: Callable[[float], None] = lambda _: None,
) -> None:
    """Copy a bin's stream to `file` for `seconds`, or until `stopping`; only whole lines.

    `counts` grows with the lines of each kind, and `show` is told the seconds that have passed.
    Raises RecordError when there is no such bin, or when it is gone.
    """
    import httpx  # noqa: PLC0415  (the page, which makes the stream, needs it not)

    if "://" not in url:
        url = f"http://{url}"
    begun_s = time.monotonic()
    rest = b""
    try:
        with (
            httpx.Client(trust_env=False, timeout=httpx.Timeout(CONNECT_S, read=QUIET_S)) as client,
            client.stream("GET", url.rstrip("/") + STREAM) as answer,
        ):
            if answer.status_code != HTTP_OK:
                raise RecordError(f"{url} answers {answer.status_code}: {_why(answer)}")
            for chunk in answer.iter_bytes():
                whole, _, rest = (rest + chunk).rpartition(b"\n")
                lines = [line for line in whole.split(b"\n") if line]
                file.write(b"".join(line + b"\n" for line in lines))
                counts.update(map(_kind, lines))
                passed_s = time.monotonic() - begun_s
                show(passed_s)
                if stopping.is_set() or (seconds is not None and passed_s >= seconds):
                    return
    except httpx.ConnectError as error:
        raise RecordError(f"no bin's page at {url}: is `make run` running?") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RecordError(f"{url}: {error}") from error
    raise RecordError("the bin has ended; what was recorded until then is whole")


def _why(answer: httpx.Response) -> str:
    try:
        return str(json.loads(answer.read())["why"])
    except (ValueError, KeyError, TypeError):
        return "that is no virtual bin's page, or an older one"


def _kind(line: bytes) -> str:
    """What a line of a recording holds: it has one thing besides t, or is the header."""
    return next((key for key in json.loads(line) if key != "t"), "")

"""The trace format `*.trace.jsonl`: read, check, write (README.md here describes it).

Everything that can be wrong with a trace is found here, on the host, in the one time that a file is
parsed: msgspec takes the good lines, and only a line that it refuses is looked at closely, for a
message that says what to mend.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

import msgspec
from boxbin.core.settings import CHOICES, Settings, SettingsError, row

SUFFIX = ".trace.jsonl"
VERSION = 1
T_MAX_MS = 10 * 366 * 24 * 3_600_000  # ten years: what is later than that is a wrong unit
UNIX_MAX_MS = 1 << 53
LINE_BYTES_MAX = 1 << 20
SCAN_CHARS_MAX = 7_089  # what the largest QR code holds
COUNTS_MAX, COUNTS_MIN = 0x7FFFFF, -0x800000  # the ends of an HX711's range
KEY_CODE = "BBC1.0123456789ABCDEF"  # the technician's, unless the header's settings name another
SHOWN_CHARS = 60

_SHAPES = {
    "w": "a whole number of counts",
    "scan": 'a text like "SF1234567890"',
    "flap": '"open" or "shut"',
    "button": "true",
}
_EXAMPLE = '{"t":1200,"w":84210}'
_HEADER_EXAMPLE = '{"trace":1,"sps":10,"counts_per_g":26.0,"zero":84210}'


class TraceError(ValueError):
    """A trace that cannot be played: the text names file, line, value and what is expected."""

    def __init__(self, name: str, line: int, why: str) -> None:
        super().__init__(f"{name}:{line}: {why}" if line else f"{name}: {why}")


@dataclass(frozen=True)
class Header:
    """The first line. `unix`: Unix ms at t = 0, None when the clock is not known."""

    sps: float
    counts_per_g: float
    zero: int
    unix: int | None = None
    settings: Mapping[str, int | str] = field(default_factory=dict)  # known names only
    key_code: str = KEY_CODE

    def changes(self) -> dict[str, int | str]:
        """What core/settings.py takes: the header's own counts_per_g wins."""
        return {**self.settings, "counts_per_kg": round(self.counts_per_g * 1000)}


class Event(msgspec.Struct, gc=False):
    """One line: t (ms), and whatever else it holds; None is "not in this line"."""

    t: int
    w: int | None = None
    scan: str | None = None
    flap: Literal["open", "shut"] | None = None
    button: bool | None = None


_decode = msgspec.json.Decoder(Event).decode


def read_trace(source: BinaryIO, name: str) -> tuple[Header, Iterator[Event]]:
    """Return the header, and the events one by one as they are read. Both raise TraceError."""
    lines = _lines(source, name)
    number, line = next(lines, (0, b""))
    if not number:
        raise TraceError(name, 0, f"is empty, expected a first line like {_HEADER_EXAMPLE}")
    return _header(line, name, number), _events(lines, name)


@contextmanager
def open_trace(path: Path) -> Iterator[tuple[Header, Iterator[Event]]]:
    """read_trace() of a file, open for the block."""
    with path.open("rb") as source:
        yield read_trace(source, str(path))


def write_trace(path: Path, header: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> None:
    """Write `header` and `events` as they stand; "trace" is put in front. Not checked here."""
    encode = msgspec.json.encode
    with path.open("wb") as file:
        file.write(encode({"trace": VERSION, **header}) + b"\n")
        file.writelines(encode(event) + b"\n" for event in events)


# -- lines ---------------------------------------------------------------------------------------


def _lines(source: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank. A cut-off one has no line end."""
    number = 0
    while line := source.readline(LINE_BYTES_MAX):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) == LINE_BYTES_MAX:
            raise TraceError(name, number, f"has more than {LINE_BYTES_MAX:,} bytes")
        if not line.isspace():
            yield number, line


def _events(lines: Iterator[tuple[int, bytes]], name: str) -> Iterator[Event]:
    last_ms = 0
    for number, line in lines:
        try:
            event = _decode(line)
        except (msgspec.DecodeError, ValueError, RecursionError):
            closely = _look_closely(line, name, number)
            if closely is None:
                continue
            event = closely
        if not last_ms <= event.t <= T_MAX_MS:
            raise TraceError(name, number, _wrong_time(event.t, last_ms))
        last_ms = event.t
        w, scan = event.w, event.scan
        if w is not None and not COUNTS_MIN <= w <= COUNTS_MAX:
            event.w = COUNTS_MAX if w > 0 else COUNTS_MIN  # as the chip answers what is too much
        if scan is not None and len(scan) > SCAN_CHARS_MAX:
            why = f"scan has {len(scan):,} characters, a code holds {SCAN_CHARS_MAX:,} at most"
            raise TraceError(name, number, why)
        yield event


def _wrong_time(t: int, last_ms: int) -> str:
    if t < 0:
        return f"t is {t}, expected 0 or more"
    if t > T_MAX_MS:
        return f"t is {t}, which is later than ten years: expected milliseconds"
    return f"t is {t}, before {last_ms}: events come in time order"


def _object(line: bytes, name: str, number: int, example: str) -> dict[str, Any]:
    """The line as a JSON object; raises TraceError."""

    def no_number(text: str) -> NoReturn:
        raise TraceError(name, number, f"{text} is no number of JSON")

    try:
        found = json.loads(line.rstrip(), parse_constant=no_number)
    except TraceError:
        raise
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 at byte {error.start + 1}"
        raise TraceError(name, number, why) from error
    except RecursionError as error:
        raise TraceError(name, number, "is nested too deeply") from error
    except ValueError as error:
        if not line.endswith(b"\n"):
            why = f"the last line is cut off ({_shown(line)}): was the recording interrupted?"
        elif isinstance(error, json.JSONDecodeError):
            why = f"is not JSON: {error.msg} at column {error.colno} of {_shown(line)}"
        else:
            why = f"is not JSON: {error}"
        raise TraceError(name, number, why) from error
    if not isinstance(found, dict):
        raise TraceError(name, number, f"is {_shown(line)}, expected an object like {example}")
    return found


def _shown(value: object) -> str:
    """A value for a message: as JSON, not too long."""
    if isinstance(value, bytes):
        text = value.decode(errors="replace").strip()
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


# -- lines that the fast way refused ---------------------------------------------------------------


def _look_closely(line: bytes, name: str, number: int) -> Event | None:
    """Take what can be taken (t with a fraction), pass by what says nothing, or raise."""
    found = _object(line, name, number, _EXAMPLE)
    if "t" not in found and not any(key in found for key in _SHAPES):
        return None
    if "t" not in found:
        raise TraceError(name, number, f"has no t, expected something like {_EXAMPLE}")
    t = _whole(found["t"])
    if t is None:
        why = f"t is {_shown(found['t'])}, expected whole milliseconds"
        raise TraceError(name, number, why)
    w, scan, flap, button = (found.get(key) for key in _SHAPES)
    good = {
        "w": w is None or _whole(w) is not None,
        "scan": scan is None or isinstance(scan, str),
        "flap": flap is None or flap in ("open", "shut"),
        "button": button is None or isinstance(button, bool),
    }
    for key, is_good in good.items():
        if not is_good:
            why = f"{key} is {_shown(found[key])}, expected {_SHAPES[key]}"
            raise TraceError(name, number, why)
    if scan is not None:
        scan = scan.encode(errors="replace").decode()  # half a surrogate pair is no character
    return Event(t, _whole(w), scan, flap, button)


def _whole(value: object) -> int | None:
    """A number, rounded; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return round(value)
    except OverflowError:  # 1e999
        return None


# -- header --------------------------------------------------------------------------------------


def _header(line: bytes, name: str, number: int) -> Header:
    found = _object(line, name, number, _HEADER_EXAMPLE)
    _, least, most = row("counts_per_kg")
    # Key, what is good (of a number, or None when it is none), and how that is said.
    checks: tuple[tuple[str, Callable[[float | None], bool], str], ...] = (
        ("trace", lambda n: n == VERSION, f"{VERSION}, in a first line like {_HEADER_EXAMPLE}"),
        ("sps", lambda n: n is not None and n > 0, "a number above 0, the samples a second"),
        (
            "counts_per_g",
            lambda n: n is not None and least <= round(n * 1000) <= most,
            f"a number from {least / 1000:g} to {most / 1000:g}",
        ),
        ("zero", lambda n: n is not None, "a whole number, the counts of the empty container"),
        (
            "unix",
            lambda n: n is not None and 0 < n < UNIX_MAX_MS,
            "Unix milliseconds at t = 0; leave it out when the time is not known",
        ),
    )
    for key, is_good, expected in checks:
        value = found.get(key)
        optional = key == "unix" and value is None
        if not optional and not is_good(None if _whole(value) is None else value):
            what = f"{key} is {_shown(value)}" if key in found else f"the header has no {key}"
            raise TraceError(name, number, f"{what}, expected {expected}")
    settings, key_code = _settings(found.get("settings"), name, number)
    header = Header(
        sps=float(found["sps"]),
        counts_per_g=float(found["counts_per_g"]),
        zero=round(found["zero"]),
        unix=_whole(found.get("unix")),
        settings=settings,
        key_code=key_code,
    )
    try:
        Settings(header.changes())
    except SettingsError as error:
        raise TraceError(name, number, f"settings: {error}") from error
    return header


def _settings(found: Any, name: str, number: int) -> tuple[dict[str, int | str], str]:
    """The settings that are known here, and the technician's code."""
    settings = {} if found is None else found
    if not isinstance(settings, dict):
        why = f'settings is {_shown(settings)}, expected an object like {{"mass_min_mg":40000}}'
        raise TraceError(name, number, why)
    key_code = settings.get("key_code", KEY_CODE)
    if not isinstance(key_code, str) or not key_code:
        why = f"settings.key_code is {_shown(key_code)}, expected a text like {KEY_CODE}"
        raise TraceError(name, number, why)
    known = {key: value for key, value in settings.items() if row(key) or key in CHOICES}
    return known, key_code

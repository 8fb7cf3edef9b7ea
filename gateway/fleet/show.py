"""`boxback fleet show BIN`: everything about one bin, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import wire
from gateway.clihelp import (
    BinArgument,
    ConfigOption,
    JsonOption,
    ago,
    bin_or_exit,
    cell,
    now_ms,
    plain,
    reading_or_exit,
    settings_or_exit,
    span,
    unknown_bin,
    when,
)
from gateway.fleet.faults import advice, is_closing
from gateway.fleet.listing import (
    Row,
    as_document,
    rows,
    seen,
    settings_words,
    tell_when_stopped,
)

if TYPE_CHECKING:
    from gateway.store.commands import Command
    from gateway.store.wanted import Wanted

COMMANDS_SHOWN: Final = 5
VERSIONS_SHOWN: Final = 5
_RSSI_WORDS: Final = ((-60, "good"), (-75, "fair"), (-200, "poor"))
_CLOCK_WORDS: Final = {
    "ntp": "right: set by a time server",
    "rtc": "kept since the last start, not checked since",
    "none": "not known: lines carry no time",
}
_SHOWN_ELSEWHERE: Final = (
    *("fw", "clock", "up", "heap", "block", "rssi", "epoch", "n", "faults", "fill", "boots"),
    *("restarts", "cause", "settings", "refused_settings", "done", "offline_s", "offline_why"),
    *("content_g", "state", "journal", "backlog"),  # of its backlog: listing.py
)

Pairs = list[tuple[str, str | Text]]


class Picture(NamedTuple):
    """What is shown of one bin."""

    row: Row
    versions: list[Wanted]
    in_force: Wanted | None
    commands: list[Command]


def show(bin_id: BinArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show everything about one bin: where, how it is, its faults and what to do about each.

    Example: boxback fleet show B-7K2QM
    """
    bin_or_exit(bin_id)
    from gateway.store import commands, wanted  # noqa: PLC0415

    settings = settings_or_exit(config)
    found: Picture | None = None
    with reading_or_exit(settings) as connection:
        if connection is not None:
            row = next(iter(rows(connection, bin_id)), None)
            if row is not None:
                found = Picture(
                    row,
                    wanted.of_bin(connection, bin_id, VERSIONS_SHOWN),
                    wanted.in_force(connection, bin_id),
                    commands.of_bin(connection, bin_id, COMMANDS_SHOWN),
                )
    if found is None:
        unknown_bin(settings, bin_id, config)
    if as_json:
        typer.echo(json.dumps(_document(found), ensure_ascii=False))
        return
    tell_when_stopped(settings, config)
    console = Console()
    for title, pairs in _sections(found):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, min_width=12)
        grid.add_column()
        for name, value in pairs:
            grid.add_row(f"  {name}", cell(value) if isinstance(value, str) else value)
        console.print(Text(title, "bold"))
        console.print(grid)


def _sections(found: Picture) -> list[tuple[str, Pairs]]:
    state, health = found.row.state, found.row.health or {}
    more = [(name, _compact(value)) for name, value in health.items()]
    sections: list[tuple[str, Pairs]] = [
        (f"{state.bin}  {plain(state.name)}", _where(found.row)),
        ("Faults", _faults(found.row)),
        ("Lines", _lines(found.row)),
        ("Health" + (f", told {ago(state.health_ms)}" if health else ""), _health(health)),
        ("Restarts", _restarts(health)),
        ("Settings", _settings(found)),
        ("Commands", [(f"{c.id} {c.do}", command_words(c)) for c in found.commands]),
        ("It also told", [(name, text) for name, text in more if name not in _SHOWN_ELSEWHERE]),
    ]
    return [(title, pairs) for title, pairs in sections if pairs]


def _where(row: Row) -> Pairs:
    state, health = row.state, row.health or {}
    line = seen(state)
    if state.last_seen_ms is not None:
        line.append(f", last heard {ago(state.last_seen_ms)}", "default")
    pairs: Pairs = [("station", state.station), ("seen", line)]
    away_s = health.get("offline_s")
    if isinstance(away_s, int) and away_s > 0:
        why = health.get("offline_why") or "it did not say"
        pairs.append(("last away", f"for {span(away_s)}: {why}"))
    return pairs


def _faults(row: Row) -> Pairs:
    if row.told.faults is None:
        return [("", Text("It has told none; its firmware may be too old to.", "dim"))]
    if not row.told.faults:
        return [("", Text("none", "green"))]
    pairs: Pairs = []
    for code in sorted(row.told.faults, key=lambda code: not is_closing(code)):
        closing = is_closing(code)
        text = Text("closed. " if closing else "warning. ", "bold red" if closing else "yellow")
        pairs.append((code, text.append(advice(code), "default")))
    return pairs


def _lines(row: Row) -> Pairs:
    at_bin = "it has not said" if row.backlog is None else str(row.backlog)
    journal = (row.health or {}).get("journal")
    return [
        ("here", f"{row.state.lines}, without a gap"),
        ("at the bin", at_bin + (f"; its journal is {_compact(journal)}" if journal else "")),
        ("to points", f"{row.state.waiting} wait"),
    ]


def _health(health: dict[str, object]) -> Pairs:
    pairs: Pairs = []
    for name, key, words in (
        ("firmware", "fw", str),
        ("state", "state", str),
        ("clock", "clock", lambda v: f"{v}, {_CLOCK_WORDS.get(str(v), 'not known here')}"),
        ("running for", "up", lambda v: span(v // 1000)),
        ("heap", "heap", lambda v: f"{v} bytes free"),
        ("block", "block", lambda v: f"{v} bytes, the largest free one"),
        ("Wi-Fi", "rssi", _rssi),
        ("fill", "fill", lambda v: "not known" if v < 0 else f"{v} %"),
        ("content", "content_g", lambda v: f"{v} g"),
    ):
        value = health.get(key)
        if value is not None:
            pairs.append((name, _said(value, words)))
    return pairs


def _said(value: object, words: object) -> str:
    """Say the value in words; as it is when it has not the form that the words are for."""
    try:
        return str(words(value))  # type: ignore[operator]
    except (TypeError, ValueError):
        return _compact(value)


def _rssi(value: int) -> str:
    word = next((word for least, word in _RSSI_WORDS if value >= least), "poor")
    return f"{value} dBm, {word}"


def _restarts(health: dict[str, object]) -> Pairs:
    pairs: Pairs = []
    if "boots" in health:
        short = health.get("restarts", 0)
        pairs.append(("starts", f"{_compact(health['boots'])}, did not last: {_compact(short)}"))
    if "cause" in health:
        pairs.append(("last cause", _compact(health["cause"])))
    return pairs


def _settings(found: Picture) -> Pairs:
    told = found.row.told
    pairs: Pairs = []
    known = found.in_force is not None and found.in_force.version == told.settings
    if told.settings:
        pairs.append(("in force", str(told.settings) + ("" if known else ", not given from here")))
    elif found.row.health is not None:
        pairs.append(("in force", "the bin's own defaults"))
    for name, row in (("in force", found.in_force), ("wanted", next(iter(found.versions), None))):
        if row is None or (name == "wanted" and row == found.in_force):
            continue
        if name == "wanted":
            words = settings_words(told, row)
            words.append(f", by {plain(row.by)} {ago(row.at_ms)}", "default")
            pairs.append(("wanted", words.append(f": {plain(row.why)}" if row.why else "")))
        document: dict[str, object] = json.loads(row.document)
        pairs += [(f"  {key}", _compact(value)) for key, value in document.items()]
        if not document:
            pairs.append(("", "no difference from the bin's own defaults"))
    return pairs


def command_words(command: Command) -> str:
    """`done, by li 3 min ago`, `refused: busy, …`."""
    state = command.state_at(now_ms())
    if state in {"waiting", "sent"}:
        state += f" until {when(command.until_ms)}"
    why = f": {plain(command.why)}" if command.why else ""
    return f"{state}{why}, by {plain(command.by)} {ago(command.at_ms)}"


def _compact(value: object) -> str:
    """Text as it is, all else as JSON in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _document(found: Picture) -> dict[str, object]:
    told = found.row.told.faults or ()
    return {
        **as_document(found.row),
        "advice": {code: advice(code) for code in told},
        "settings": [wanted_document(row) for row in found.versions],
        "commands": [command_document(row) for row in found.commands],
    }


def wanted_document(row: Wanted) -> dict[str, object]:
    """One version of settings, for --json."""
    return {**row._asdict(), "document": json.loads(row.document)}


def command_document(row: Command) -> dict[str, object]:
    """One command, for --json."""
    return {
        **row._asdict(),
        "state": row.state_at(now_ms()),
        "args": json.loads(row.args),
        "data": wire.object_of(row.data) if row.data else None,
    }

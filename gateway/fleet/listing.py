"""`boxback fleet list`: all bins on one page, what needs a hand first to see."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import wire
from gateway.clihelp import (
    ConfigOption,
    JsonOption,
    cell,
    elsewhere,
    reading_or_exit,
    settings_or_exit,
    span,
    start_hint,
)
from gateway.fleet.faults import is_closing

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

    from gateway.config import Settings
    from gateway.store.fleet import BinState
    from gateway.store.wanted import Wanted

QUIET_S: Final = 600
"""A bin that is online and was not heard for so long is told as quiet."""
_FAULTS_SHOWN: Final = 3


class Row(NamedTuple):
    """One bin of the list."""

    state: BinState
    health: dict[str, object] | None
    told: wire.Told
    backlog: int | None
    wanted: Wanted | None

    @property
    def needs_a_hand(self) -> bool:
        """Something is wrong that waiting alone may not mend. A bin that was never heard waits
        for its technician, and is not counted.
        """
        if self.state.last_seen_ms is None:
            return False
        refused = self.wanted is not None and self.wanted.state in {"refused", "rolled_back"}
        return bool(self.told.faults) or not self.state.online or refused


def rows(connection: sa.Connection, bin_id: str | None = None) -> list[Row]:
    """All bins, in order of station and id; or this one."""
    from gateway.store import fleet, wanted  # noqa: PLC0415

    reached = fleet.reached(connection, bin_id)
    if bin_id is None:
        newest = wanted.newest_of_all(connection)
    else:
        newest = {row.bin: row for row in wanted.of_bin(connection, bin_id, 1)}
    return [
        Row(
            state,
            health := health_of(state.health),
            wire.told_of(state.health),
            backlog_of(state.bin, health, reached),
            newest.get(state.bin),
        )
        for state in fleet.states(connection, bin_id)
    ]


def list_bins(
    faults: Annotated[
        bool,
        typer.Option(
            "--faults", help="Only bins that need a hand: a fault, offline, settings refused."
        ),
    ] = False,
    station: Annotated[
        str | None, typer.Option(help="Only the bins of this station, such as S-DEMO.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the bins: which are there, which need a hand, and what waits where.

    Each morning: boxback fleet list --faults. More about one: boxback fleet show BIN

    FAULTS: codes that close the bin stand behind "closed:". SETTINGS: the version wanted, and how
    far it got. AT BIN: lines that only the bin has. TO POINTS: deposits that the points backend
    has not had yet. FW is shown when not all bins have the same.
    """
    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        every = rows(connection) if connection else []
    found = [row for row in every if station is None or row.state.station == station]
    shown = [row for row in found if row.needs_a_hand] if faults else found
    if as_json:
        typer.echo(json.dumps([as_document(row) for row in shown], ensure_ascii=False))
    elif not every:
        typer.echo(
            f"No bins in {settings.database_path.parent} yet: "
            f"boxback fleet add --station S-DEMO --name 'Front door'{elsewhere(config)}"
        )
    elif not found:
        typer.echo(f"No bins at {station}: boxback fleet list shows all {len(every)}.")
    elif not shown:
        typer.echo(f"No bin needs a hand ({len(found)} looked at).")
    else:
        tell_when_stopped(settings, config)
        Console().print(_table(shown, found))


def tell_when_stopped(settings: Settings, config: Path | None) -> None:
    """Say so when no gateway runs: what is shown then was heard before it ended."""
    hint = start_hint(settings, config)
    if hint:
        typer.echo(f"boxback: {hint}; what follows is what was heard last", err=True)


def _table(shown: list[Row], found: list[Row]) -> Table:
    versions = {row.health.get("fw") for row in found if row.health} - {None}
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in ("bin", "station", "name", "seen", "faults", "settings"):
        table.add_column(heading, no_wrap=heading not in {"name", "faults"}, vertical="top")
    if len(versions) > 1:
        table.add_column("fw", no_wrap=True)
    for heading in ("at\nbin", "to\npoints"):
        table.add_column(heading, no_wrap=True, justify="right")
    for row in shown:
        firmware = [cell(str((row.health or {}).get("fw", "-")))] if len(versions) > 1 else []
        table.add_row(
            row.state.bin,
            row.state.station,
            cell(row.state.name),
            seen(row.state),
            fault_words(row.told),
            settings_words(row.told, row.wanted),
            *firmware,
            "-" if row.backlog is None else str(row.backlog),
            str(row.state.waiting),
        )
    return table


def seen(state: BinState) -> Text:
    """`online`, `quiet 20 min`, `off 3 h`, or `never`."""
    if state.last_seen_ms is None:
        return Text("never", "dim")
    for_s = max(0, int(time.time()) - state.last_seen_ms // 1000)
    if not state.online:
        return Text(f"off {span(for_s)}", "red")
    return Text(f"quiet {span(for_s)}", "yellow") if for_s > QUIET_S else Text("online", "green")


def fault_words(told: wire.Told) -> Text:
    """`closed: scale +1`, `clock`, `ok`, or `-` for a bin that tells none."""
    if told.faults is None:
        return Text("-", "dim")
    if not told.faults:
        return Text("ok", "green")
    closing = [code for code in told.faults if is_closing(code)]
    ordered = closing + [code for code in told.faults if code not in closing]
    words = ", ".join(ordered[:_FAULTS_SHOWN])
    more = f" +{len(ordered) - _FAULTS_SHOWN}" if len(ordered) > _FAULTS_SHOWN else ""
    if closing:
        return Text(f"closed: {words}{more}", "bold red")
    return Text(words + more, "yellow")


def settings_words(told: wire.Told, wanted: Wanted | None) -> Text:
    """`3` in force, `3 waits`, `3 sent`, `3 refused`, `3 rolled back`, `-` without any."""
    if wanted is None:
        return Text(str(told.settings) if told.settings else "-", "" if told.settings else "dim")
    words, style = {
        "waiting": (" waits", "yellow"),
        "sent": (" sent", "yellow"),
        "refused": (" refused", "red"),
        "rolled_back": (" rolled back", "red"),
    }.get(wanted.state, ("", ""))
    return Text(f"{wanted.version}{words}", style)


def as_document(row: Row) -> dict[str, object]:
    """Everything of one bin, for --json."""
    wanted = row.wanted
    return {
        **row.state._asdict(),
        "health": row.health,
        "backlog": row.backlog,
        "faults": row.told.faults,
        "settings_in_force": row.told.settings,
        "settings_wanted": wanted.version if wanted else None,
        "settings_state": wanted.state if wanted else None,
        "needs_a_hand": row.needs_a_hand,
    }


def health_of(raw: bytes | None) -> dict[str, object] | None:
    """What the bin said of itself last, None when that was nothing or cannot be read."""
    try:
        return wire.object_of(raw or b"")
    except wire.WireError:
        return None


def backlog_of(
    bin_id: str, health: dict[str, object] | None, reached: dict[tuple[str, str], int]
) -> int | None:
    """Lines that are at the bin only: its newest n by its last health message, less what is here.

    None when it told none. Its own count is of no use for that: at connect it is told before the
    receipts, and then counts lines that have long been here.
    """
    found = health or {}
    epoch, n = found.get("epoch"), found.get("n")
    if not isinstance(epoch, str) or not isinstance(n, int) or isinstance(n, bool):
        return None
    return max(0, n - reached.get((bin_id, epoch), 0))

"""`boxback fleet do` and `boxback fleet log`: one thing done by one bin, and who did what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from gateway import wire
from gateway.clihelp import (
    FAILURE,
    USAGE,
    BinArgument,
    ByOption,
    ConfigOption,
    JsonOption,
    bin_or_exit,
    by_or_exit,
    cell,
    elsewhere,
    fail,
    now_ms,
    plain,
    reading_or_exit,
    settings_or_exit,
    start_hint,
    store_or_exit,
    unknown_bin,
    when,
)
from gateway.fleet.asking import WaitOption, later, say, there_hint, wait_for
from gateway.fleet.orderform import WITHIN_MAX_S, OrderError
from gateway.fleet.show import command_document

if TYPE_CHECKING:
    import sqlalchemy as sa

    from gateway.store import Store
    from gateway.store.audit import Entry
    from gateway.store.commands import Command


def do(
    bin_id: BinArgument,
    what: Annotated[
        str, typer.Argument(metavar="|".join(wire.DO), help="What to do.", show_default=False)
    ],
    seconds: Annotated[
        int | None,
        typer.Option(help="How long, for open and identify: 1 to 300. [default: 30]"),
    ] = None,
    within: Annotated[
        int,
        typer.Option(
            min=1, max=WITHIN_MAX_S, help="Seconds after which the bin must not do it any more."
        ),
    ] = 60,
    wait_s: WaitOption = 20,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a bin to do something once, and wait for its answer.

    open lets the flap open for a time; tare takes what lies on the scale for nothing; restart
    starts it anew; identify makes it blink and sound; collect begins a collection as the
    technician's code does; report gives all that it knows of itself, as a table.

    Example: boxback fleet do B-7K2QM identify --seconds 60

    Ends with 0 when it was done, 1 when the bin refused it or the time was up, 3 when it still
    waits: it is sent when the bin is there, but never after --within seconds.
    """
    from gateway.fleet.orders import command  # noqa: PLC0415

    bin_or_exit(bin_id)
    name = by_or_exit(by)
    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        if connection is None:
            unknown_bin(settings, bin_id, config)
    with store_or_exit(settings) as store:
        at_ms = now_ms()
        try:
            with store.writing() as connection:
                made = command(
                    connection, bin_id, what, seconds=seconds, within_s=within, by=name, at_ms=at_ms
                )
        except OrderError as error:
            fail(f"{error}{elsewhere(config)}", USAGE)
        hint = start_hint(settings, config)
        away = there_hint(store, bin_id)
        if away and wait_s and not hint:
            say(f"{away}: the command waits for it until {when(made.until_ms)}")

        found = wait_for(
            lambda: _look(store, made), lambda c: c.state_at(now_ms()), 0 if hint else wait_s
        )
    state = found.state_at(now_ms())
    if as_json:
        typer.echo(json.dumps(command_document(found), ensure_ascii=False))
    if state in {"waiting", "sent"}:
        told = hint or "no answer yet"
        raise later(f"{told}; command {made.id} ({what}) waits until {when(made.until_ms)}")
    if state != "done":
        why = _reason(found.why) or f"no answer within {within} s"
        fail(f"{bin_id}: {what} {state}: {why}", FAILURE)
    if not as_json:
        _tell_done(found)


def _reason(why: str) -> str:
    """Say the bin's reason; the one that asks for words has them."""
    if why == "before":
        return "before: it was done, or a later one was, and the first answer is lost"
    return plain(why)


def _look(store: Store, made: Command) -> Command:
    from gateway.store import commands  # noqa: PLC0415

    with store.reading() as connection:
        return commands.find(connection, made.bin, made.id) or made


def _tell_done(found: Command) -> None:
    typer.echo(f"{found.bin}: {found.do} done" + (f": {_reason(found.why)}" if found.why else ""))
    data = wire.object_of(found.data or b"{}")
    if not data:
        return
    grid = Table.grid(padding=(0, 2))
    for name, value in data.items():
        if isinstance(value, dict):
            grid.add_row(cell(name))
            for inner, part in value.items():
                grid.add_row(cell(f"  {inner}"), cell(_compact(part)))
        else:
            grid.add_row(cell(name), cell(_compact(value)))
    Console().print(grid)


def _compact(value: object) -> str:
    """Text as it is, a list of plain values with spaces, all else as JSON."""
    if isinstance(value, list) and not any(isinstance(part, list | dict) for part in value):
        return ", ".join(str(part) for part in value) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def log(
    bin_id: Annotated[
        str | None,
        typer.Argument(metavar="[BIN]", help="One bin; without it all.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what to which bin and what came of it, newest first.

    What a bin tells by itself stands there too: when a fault began (+) and when it ended (-).

    Example: boxback fleet log B-7K2QM --limit 5
    """
    if bin_id is not None:
        bin_or_exit(bin_id)
    from gateway.store import audit  # noqa: PLC0415

    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        if connection is None:
            found = []
        else:
            entries = audit.recent(connection, bin_id, limit)
            found = [(entry, *_outcome(connection, entry)) for entry in entries]
    if as_json:
        rows = [{**entry._asdict(), "outcome": state, "why": why} for entry, state, why in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not found:
        typer.echo(f"Nothing in {settings.database_path.parent} yet.{elsewhere(config)}")
        return
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in ("at", "who", "bin", "what", "outcome"):
        table.add_column(heading, no_wrap=heading in {"at", "bin"}, vertical="top")
    for entry, state, why in found:
        number = "" if entry.number is None else f" {entry.number}"
        table.add_row(
            when(entry.at_ms),
            cell(entry.who or "the bin"),
            entry.bin,
            cell(f"{entry.what}{number}: {entry.detail}"),
            cell(f"{state.replace('_', ' ')}: {why}" if why else state.replace("_", " ")),
        )
    Console().print(table)


def _outcome(connection: sa.Connection, entry: Entry) -> tuple[str, str]:
    """State and reason of the order that a row of the log is about; empty when it is about none."""
    from gateway.store import commands, wanted  # noqa: PLC0415

    if entry.number is None:
        return "", ""
    if entry.what == "do":
        told = commands.find(connection, entry.bin, entry.number)
        return (told.state_at(now_ms()), told.why) if told else ("", "")
    version = wanted.find(connection, entry.bin, entry.number)
    return (version.state, version.why) if version else ("", "")

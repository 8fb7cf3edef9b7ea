"""`boxback relay`: what waits for the points backend, and what it will not take."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway import wire
from gateway.clihelp import (
    USAGE,
    ConfigOption,
    JsonOption,
    cell,
    elsewhere,
    fail,
    reading_or_exit,
    settings_or_exit,
    store_or_exit,
)

app = typer.Typer(
    name="relay", no_args_is_help=True, help="What is passed on to points: waiting, done, dead."
)
dead_app = typer.Typer(
    name="dead", no_args_is_help=True, help="Dead letters: what points will not take."
)
app.add_typer(dead_app)

_SHOWN_REASON_CHARS = 100


@app.command()
def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what waits in the outbox, what was decided, and the dead letters."""
    from gateway.store import outbox  # noqa: PLC0415

    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        found = outbox.counts(connection) if connection else outbox.Counts(0, 0, 0, 0, 0, 0, 0)
    age_s = int(time.time()) - found.oldest_ms // 1000 if found.oldest_ms else 0
    if as_json:
        typer.echo(json.dumps({**found._asdict(), "oldest_age_s": age_s}))
        return
    oldest = f", the oldest for {age_s} s" if found.waiting else ""
    typer.echo(f"waiting   {found.waiting}{oldest}")
    if found.put_off:
        typer.echo(f"put off   {found.put_off} of them: points fails on each, the log says how")
    typer.echo(f"credited  {found.credited}")
    typer.echo(f"refused   {found.refused}")
    typer.echo(f"withdrawn {found.withdrawn}")
    hint = "   (boxback relay dead list)" if found.dead else ""
    typer.echo(f"dead      {found.dead}{hint}")
    if not any(found):
        typer.echo(f"Nothing in {settings.database_path.parent} yet.{elsewhere(config)}")


@dead_app.command("list")
def dead_list(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 100,
) -> None:
    """List dead letters with their reasons, the newest first."""
    from gateway.store import outbox  # noqa: PLC0415

    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        found = outbox.dead(connection, limit) if connection else []
    if as_json:
        rows = [
            {
                "id": wire.line_id(letter.bin, letter.epoch, letter.n),
                "reason": letter.reason,
                "item": bytes(letter.item).decode("utf-8", "replace"),
                "buried_ms": letter.buried_ms,
            }
            for letter in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not found:
        typer.echo(f"No dead letters in {settings.database_path.parent}.{elsewhere(config)}")
        return
    table = Table("line", "reason")
    for letter in found:
        name = wire.line_id(letter.bin, letter.epoch, letter.n)
        table.add_row(name, cell(letter.reason[:_SHOWN_REASON_CHARS]))
    Console().print(table)


@dead_app.command("retry")
def dead_retry(
    line: Annotated[
        str | None, typer.Argument(help="Line id, such as B-7K2QM.5f3a9c01.42.")
    ] = None,
    retry_all: Annotated[bool, typer.Option("--all", help="All of them, not one.")] = False,
    reason: Annotated[
        str, typer.Option(help="With --all: only those whose reason holds this text.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Put dead letters back into the outbox, after what they died of was mended.

    A line that its bin wrote wrong (bad_shape) is no item that could be sent, and stays.
    """
    if (line is None) != retry_all or (reason and not retry_all):
        fail("name one line, or give --all, perhaps with --reason TEXT", USAGE)
    if line is None:
        _retry_all(config, reason)
    else:
        _retry_one(config, line)


def _retry_all(config: Path | None, reason: str) -> None:
    from gateway.store import outbox  # noqa: PLC0415
    from gateway.store.database import now_ms  # noqa: PLC0415

    with store_or_exit(settings_or_exit(config)) as store, store.writing() as connection:
        many = outbox.revive_all(connection, reason, now_ms())
    typer.echo(f"{many} dead letters are in the outbox again.")


def _retry_one(config: Path | None, line: str) -> None:
    from gateway.store import outbox  # noqa: PLC0415
    from gateway.store.database import now_ms  # noqa: PLC0415

    try:
        bin_id, epoch, n = wire.parse_line_id(line)
    except ValueError as error:
        fail(str(error), USAGE)
    with store_or_exit(settings_or_exit(config)) as store, store.writing() as connection:
        found = outbox.revive(connection, bin_id, epoch, n, now_ms())
    if not found:
        fail(f"there is no dead letter {line} that can be sent: see boxback relay dead list")
    typer.echo(f"{line} is in the outbox again.")

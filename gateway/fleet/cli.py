"""`boxback fleet`: issue bins and see how they are."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

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

if TYPE_CHECKING:
    import segno

    from gateway.store.fleet import BinState

QR_KINDS = (".svg", ".png")
QR_SCALE = 8

app = typer.Typer(name="fleet", no_args_is_help=True, help="Bins: issue them, see how they are.")


@app.command()
def add(
    station: Annotated[str, typer.Option(help="Station where the bin stands, such as S-DEMO.")],
    name: Annotated[str, typer.Option(help="What people call this bin.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a bin: an id, a key, and what a technician writes into it.

    The keys are shown this once. A running gateway knows the bin at once; the embedded broker
    within two seconds.
    """
    from gateway.fleet.register import FleetError, add_bin  # noqa: PLC0415

    settings = settings_or_exit(config)
    with store_or_exit(settings) as store:
        try:
            made = add_bin(store, settings.broker, station=station, name=name)
        except FleetError as error:
            fail(str(error), USAGE)
    shown = made.as_json()
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    for key, value in shown.items():
        typer.echo(f"{key:<14} {value}")
    typer.echo("Keep this: the keys are not shown again.", err=True)


@app.command("list")
def list_bins(
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the bins: where they stand, when last heard, what waits at the bin and for points."""
    from gateway.store import fleet  # noqa: PLC0415

    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        found = fleet.states(connection) if connection else []
        reached = fleet.reached(connection) if connection else {}
    if as_json:
        rows = [_as_json(state, reached) for state in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not found:
        typer.echo(
            f"No bins in {settings.database_path.parent} yet: "
            f"boxback fleet add --station S-DEMO --name 'Front door'{elsewhere(config)}"
        )
        return
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in ("bin", "station", "name", "online", "last seen"):
        table.add_column(heading, no_wrap=heading != "name", vertical="top")
    for heading in ("at the\nbin", "lines", "waiting\nfor points"):
        table.add_column(heading, no_wrap=True, justify="right")
    for state in found:
        backlog = _backlog(state, reached)
        table.add_row(
            state.bin,
            state.station,
            cell(state.name),
            "yes" if state.online else "no",
            _ago(state.last_seen_ms),
            "-" if backlog is None else str(backlog),
            str(state.lines),
            str(state.waiting),
        )
    Console().print(table)


@app.command("key-code")
def key_code(
    bin_id: Annotated[str, typer.Argument(metavar="BIN", help="The bin, such as B-7K2QM.")],
    out: Annotated[
        Path | None, typer.Option(help="Also draw it into this file: .svg or .png.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the code that a technician holds to a bin's scanner to empty it, and again afterwards.

    It is derived from the bin's key and stays the same as long as that key.
    """
    import segno  # noqa: PLC0415

    from gateway import wire  # noqa: PLC0415
    from gateway.store import fleet  # noqa: PLC0415

    if not wire.is_bin_id(bin_id):
        fail(f"{bin_id!r} is no bin id such as B-7K2QM", USAGE)
    if out is not None and out.suffix.lower() not in QR_KINDS:
        fail(f"--out {out}: the name must end in {' or '.join(QR_KINDS)}", USAGE)
    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        found = fleet.find_bin(connection, bin_id) if connection else None
    if found is None:
        fail(
            f"no bin {bin_id} in {settings.database_path.parent}: "
            f"boxback fleet list shows those there are{elsewhere(config)}"
        )
    code = wire.key_code(found.bin, found.key)
    qr = segno.make(code, micro=False)
    if out is not None:
        _save(qr, out)
    if as_json:
        typer.echo(json.dumps({"bin": bin_id, "key_code": code, "secret": True}))
        return
    qr.terminal(compact=True)
    typer.echo(f"{bin_id}  {code}")
    typer.echo("Keep it secret: whoever holds this code can empty the bin.", err=True)


def _save(qr: segno.QRCode, path: Path) -> None:
    """Draw into a file that only its owner may read."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            path.chmod(0o600)  # it may have been there before
            qr.save(file, kind=path.suffix[1:].lower(), scale=QR_SCALE, border=4)
    except OSError as error:
        fail(f"--out {path}: {error.strerror}")


def _as_json(state: BinState, reached: dict[tuple[str, str], int]) -> dict[str, object]:
    return {**state._asdict(), "health": _health(state), "backlog": _backlog(state, reached)}


def _health(state: BinState) -> dict[str, object] | None:
    """What the bin said of itself last, None when that was nothing or cannot be read."""
    try:
        return msgspec.json.decode(state.health or b"", type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _backlog(state: BinState, reached: dict[tuple[str, str], int]) -> int | None:
    """Lines that are at the bin only: its newest n by its last health message, less what is here.

    None when it told none. Its own count is of no use for that: at connect it is told before the
    receipts, and then counts lines that have long been here.
    """
    health = _health(state) or {}
    epoch, n = health.get("epoch"), health.get("n")
    if not isinstance(epoch, str) or not isinstance(n, int) or isinstance(n, bool):
        return None
    return max(0, n - reached.get((state.bin, epoch), 0))


def _ago(at_ms: int | None) -> str:
    """`12 s ago`, `3 min ago` …"""
    if at_ms is None:
        return "never"
    seconds = max(0, int(time.time()) - at_ms // 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"

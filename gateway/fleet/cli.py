"""`boxback fleet`: issue bins, see how they are, tell them what to do and how to be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.clihelp import (
    USAGE,
    BinArgument,
    ConfigOption,
    JsonOption,
    bin_or_exit,
    by_or_exit,
    fail,
    reading_or_exit,
    settings_or_exit,
    store_or_exit,
    unknown_bin,
)
from gateway.fleet.listing import list_bins
from gateway.fleet.order_cli import do, log
from gateway.fleet.set_cli import set_
from gateway.fleet.show import show

if TYPE_CHECKING:
    import segno


QR_KINDS = (".svg", ".png")
QR_SCALE = 8

app = typer.Typer(
    name="fleet",
    no_args_is_help=True,
    help="Bins: issue them, see how they are, tell them what to do.",
)

app.command("list")(list_bins)
app.command("show")(show)
app.command("set")(set_)
app.command("do")(do)
app.command("log")(log)


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
            made = add_bin(store, settings.broker, station=station, name=name, by=by_or_exit(None))
        except FleetError as error:
            fail(str(error), USAGE)
    shown = made.as_json()
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    for key, value in shown.items():
        typer.echo(f"{key:<14} {value}")
    typer.echo("Keep this: the keys are not shown again.", err=True)


@app.command("key-code")
def key_code(
    bin_id: BinArgument,
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

    bin_or_exit(bin_id)
    if out is not None and out.suffix.lower() not in QR_KINDS:
        fail(f"--out {out}: the name must end in {' or '.join(QR_KINDS)}", USAGE)
    settings = settings_or_exit(config)
    with reading_or_exit(settings) as connection:
        found = fleet.find_bin(connection, bin_id) if connection else None
    if found is None:
        unknown_bin(settings, bin_id, config)
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

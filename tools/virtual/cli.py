"""`boxback bin`: one virtual bin with its page, and what a technician does to any."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Annotated

import typer

from tools.technician.calibrate import calibrate
from tools.virtual.identity import Identity, IdentityError, load_identity
from tools.virtual.page.serve import PageServer
from tools.virtual.page.server import create_app
from tools.virtual.supervisor import VirtualBin

app = typer.Typer(help="Bins on this machine and on your desk.", no_args_is_help=True)
log = logging.getLogger(__name__)

DEFAULT_PORT = 8080
PACE_MS = 100
MAX_SPEED = 1000

app.command()(calibrate)


@app.command()
def virtual(
    identity: Annotated[
        Path,
        typer.Option(
            help="JSON file of a bin that the gateway knows. To get one: boxback fleet add "
            "--station S-DEMO --name Desk --json > bin.json (it holds the bin's keys). "
            "boxback run must run beside it.",
        ),
    ],
    workdir: Annotated[
        Path, typer.Option(help="Where the bin's flash, NVS and console log are kept.")
    ] = Path(".boxback/virtual"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = DEFAULT_PORT,
    broker_host: Annotated[
        str | None, typer.Option(help="MQTT broker, in place of the identity file's.")
    ] = None,
    broker_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port.")] = None,
    phone_url: Annotated[
        str | None, typer.Option(help="The member's page, shown beside the bin.")
    ] = None,
    page: Annotated[
        bool, typer.Option(help="Serve the page; without it the console is shown.")
    ] = True,
    virtual_time: Annotated[
        bool, typer.Option("--virtual-time", help="Let the bin's time pass faster than ours.")
    ] = False,
    speed: Annotated[
        int, typer.Option(min=1, max=MAX_SPEED, help="With --virtual-time: how many times faster.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Seed of noise and chance.")] = 0,
) -> None:
    """Run one virtual bin: the real firmware on the real interpreter, with emulated hardware.

    It needs the broker and the gateway beside it: in one terminal `boxback run`, in another one, in
    the same folder:

        boxback fleet add --station S-DEMO --name Desk --json > bin.json

        boxback bin virtual --identity bin.json
    """
    who = _identity(identity, broker_host, broker_port)
    if phone_url is not None and not phone_url.startswith(("http://", "https://")):
        _wrong(f"--phone-url is {phone_url!r}, expected something like http://127.0.0.1:8081/")
    one = VirtualBin(who, workdir, virtual_time=virtual_time, seed=seed)
    try:
        with one:
            if page:
                _with_page(one, port, phone_url, speed)
            else:
                typer.echo(f"Bin {who.bin} runs in {workdir}. Ctrl-C ends it.")
                _console(one, speed)
    except KeyboardInterrupt:
        typer.echo("\nThe bin is off.")


def _identity(path: Path, host: str | None, port: int | None) -> Identity:
    try:
        found = load_identity(path)
        return Identity(
            bin=found.bin,
            key=found.key,
            label_key=found.label_key,
            broker_host=host or found.broker_host,
            broker_port=port or found.broker_port,
        )
    except IdentityError as error:
        _wrong(str(error))
        raise


def _wrong(why: str) -> None:
    typer.echo(f"boxback: {why}", err=True)
    raise typer.Exit(2)


def _with_page(one: VirtualBin, port: int, phone_url: str | None, speed: int) -> None:
    try:
        server = PageServer(create_app(one, phone_url=phone_url), port)
    except OSError as error:
        typer.echo(
            f"boxback: port {port} cannot be used ({error.strerror}). "
            "Choose another with --port, or 0 for a free one.",
            err=True,
        )
        raise typer.Exit(1) from error
    with server:
        typer.echo(f"Bin {one.identity.bin}: {server.url}   Ctrl-C ends it.")
        _pace(one, speed)


def _pace(one: VirtualBin, speed: int) -> None:
    """Let time pass until Ctrl-C or until the bin's thread has ended."""
    pause = threading.Event()
    while one.engine.is_alive():
        pause.wait(PACE_MS / 1000)
        if one.virtual_time:
            one.advance(PACE_MS * speed)


def _console(one: VirtualBin, speed: int) -> None:
    """Copy the serial console to ours."""
    pause = threading.Event()
    shown = 0
    while one.engine.is_alive():
        pause.wait(PACE_MS / 1000)
        if one.virtual_time:
            one.advance(PACE_MS * speed)
        total = one.console.total
        for line in one.console_tail(total - shown) if total > shown else []:
            typer.echo(line)
        shown = total

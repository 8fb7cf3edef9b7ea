"""`boxback points …`: run the points backend, add members, check the ledger."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from sqlalchemy.exc import DBAPIError

from gateway.points import ledger, members
from gateway.points.config import ConfigError, PointsSettings, load_settings
from gateway.points.database import Busy, Database, NewerSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST_MAX = 10_000
DEFAULT_FILE = Path("boxback.toml")
TRY_FILE = Path(".boxback/try/boxback.toml")  # where `boxback try` keeps its country's settings

app = typer.Typer(
    help="The reference points backend: members, passes, credits.", no_args_is_help=True
)
member_app = typer.Typer(help="Members and their phones.", no_args_is_help=True)
app.add_typer(member_app, name="member")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings; by default boxback.toml here, if any."),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder, .boxback unless set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn expected troubles into one line and an exit code: 2 for settings, 1 for the rest."""
    try:
        yield
    except ConfigError as error:
        typer.echo(f"boxback: {error}", err=True)
        raise typer.Exit(2) from None
    except (NewerSchema, Busy, OSError, members.Refusal) as error:
        why = error.why if isinstance(error, members.Refusal) else error
        typer.echo(f"boxback: {why}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _plain_database_errors(path: Path) -> Iterator[None]:
    """Say in one line what SQLite says of this file, and what to do; exit code 1."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        typer.echo(
            f"boxback: {path}: {said}. See whether the disk is full and the file may be "
            "written; if it is damaged, stop the service and put the file back from a backup.",
            err=True,
        )
        raise typer.Exit(1) from None


def _settings(config: Path | None, data_dir: Path | None, **more: object) -> PointsSettings:
    if config is None and DEFAULT_FILE.exists():
        config = DEFAULT_FILE
    return load_settings(config, data_dir=data_dir, **more)


def _elsewhere(config: Path | None, data_dir: Path | None) -> str:
    """A line that points to the country of `boxback try`; "" when that cannot be meant."""
    if config is not None or data_dir is not None or not TRY_FILE.is_file():
        return ""
    return f"\nfor the country of `make run`: -c {TRY_FILE}"


@contextmanager
def _database(settings: PointsSettings) -> Iterator[Database]:
    with _plain_database_errors(settings.database_path):
        db = Database(settings.database_path, settings.database_wait_ms)
        try:
            yield db
        finally:
            db.close()


@app.command()
def serve(
    *,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    frame_ancestor: Annotated[
        list[str] | None,
        typer.Option(help="Origin that may show the member's page in a frame; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the points backend: the gateway's API and the member's page.

    Prints its address when it is ready to be asked. Ctrl-C stops it.
    """
    from gateway.points import serve as server  # noqa: PLC0415  FastAPI takes a second to load

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with _plain_errors():
        settings = _settings(
            config, data_dir, host=host, port=port, frame_ancestors=frame_ancestor or None
        )
        listener = server.bind(settings)
        try:
            url = server.address(listener)
            with _plain_database_errors(settings.database_path):
                running = server.make_server(settings)
            line = (
                json.dumps({"url": url}) if as_json else f"Points backend and member's page: {url}"
            )
            typer.echo(line)
            server.run(running, listener)
        finally:
            listener.close()


@member_app.command("add")
def member_add(
    name: Annotated[str, typer.Argument(help="The member's name.")],
    *,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the member's page, for the link.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a member and print the link that enrols their phone, once."""
    with _plain_errors():
        settings = _settings(config, data_dir)
        now_ms = time.time_ns() // 1_000_000
        with _database(settings) as db:
            member = members.create_member(db, name, now_ms)
            code, expires_ms = members.create_enrolment(
                db, member.id, now_ms, settings.enrolment_ttl_s
            )
        base = url or settings.public_url or f"http://{settings.host}:{settings.port}"
        link = f"{base.rstrip('/')}/#enrol={code}"
    if as_json:
        facts = {"id": member.id, "name": member.name, "link": link, "expires_at": expires_ms}
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        typer.echo(f"{member.id} {member.name}")
        minutes = settings.enrolment_ttl_s / 60
        typer.echo(f"Open this on the phone, once, within {minutes:g} minutes:\n{link}")


@member_app.command("list")
def member_list(
    *, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List members and their balances."""
    with _plain_errors():
        settings = _settings(config, data_dir)
        found: list[members.Member] = []
        if settings.database_path.exists():  # a look must not make one
            with _database(settings) as db:
                found = members.list_members(db, LIST_MAX)
    if as_json:
        rows = [{"id": one.id, "name": one.name, "balance": one.balance} for one in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for one in found:
        typer.echo(f"{one.id}  {one.balance:>8}  {one.name}")
    if not found:
        typer.echo(
            f"No members in {settings.database_path.parent} yet. "
            f"Add one: boxback points member add NAME{_elsewhere(config, data_dir)}"
        )


@app.command()
def check(*, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Check the ledger: every transfer balances, every balance is the sum of its entries."""
    with _plain_errors():
        settings = _settings(config, data_dir)
        if not settings.database_path.exists():  # a look must not make one
            folder, hint = settings.database_path.parent, _elsewhere(config, data_dir)
            typer.echo(f"No ledger in {folder} yet: nothing to check.{hint}")
            return
        with _database(settings) as db, db.read() as connection:
            slips = ledger.audit(connection)
    for slip in slips:
        typer.echo(slip, err=True)
    if slips:
        raise typer.Exit(1)
    typer.echo("The ledger is right.")

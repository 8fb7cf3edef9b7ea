"""What the command lines of the gateway share: the --config option, and how errors end.

Command lines import what they work with inside the commands, so that `--help` comes at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from gateway import config

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa
    from rich.text import Text

    from gateway.config import Settings
    from gateway.store import Store

USAGE: Final = 2
FAILURE: Final = 1
TRY_CONFIG: Final = Path(".boxback/try/boxback.toml")
"""Where `boxback try` keeps the settings of its country, unless told otherwise."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration file. Without it: ./boxback.toml if there is one, else the defaults.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]


def fail(text: str, code: int = FAILURE) -> NoReturn:
    """Print the reason and end with the code: 2 for wrong usage or settings, 1 for a failure."""
    typer.echo(f"boxback: {text}", err=True)
    raise typer.Exit(code)


def settings_or_exit(path: Path | None) -> Settings:
    """Load the settings; a wrong one ends the command with what to mend."""
    try:
        return config.load(path)
    except config.ConfigError as error:
        fail(str(error), USAGE)


def elsewhere(path: Path | None) -> str:
    """Give a line that points to the country of `boxback try`; "" when that cannot be meant."""
    if path is not None or not TRY_CONFIG.is_file():
        return ""
    return f"\nfor the country of `make run`: -c {TRY_CONFIG}"


def cell(text: str) -> Text:
    """Make a table cell that shows the text as it is: no markup, nothing that steers a terminal."""
    from rich.text import Text  # noqa: PLC0415

    return Text(
        "".join(symbol if symbol.isprintable() else "\N{REPLACEMENT CHARACTER}" for symbol in text)
    )


@contextmanager
def store_or_exit(settings: Settings) -> Iterator[Store]:
    """Open the store for the block; end the command when it cannot be used, then or later."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from gateway.store import StoreError, open_store  # noqa: PLC0415

    try:
        store = open_store(settings.database_path, wait_ms=settings.gateway.database_wait_ms)
    except StoreError as error:
        fail(str(error))
    try:
        yield store
    except DBAPIError as error:
        fail(f"{settings.database_path}: {error.orig}; is the disk full, or the file damaged?")
    finally:
        store.close()


@contextmanager
def reading_or_exit(settings: Settings) -> Iterator[sa.Connection | None]:
    """Read the store in the block; None when there is none yet, for a look must not make one."""
    try:
        there = settings.database_path.exists()
    except OSError as error:
        fail(f"{settings.database_path}: cannot be looked at: {error.strerror}")
    if not there:
        yield None
        return
    with store_or_exit(settings) as store, store.reading() as connection:
        yield connection

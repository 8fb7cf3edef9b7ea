"""What the command lines of the gateway share: the --config option, and how errors end.

Command lines import what they work with inside the commands, so that `--help` comes at once.
"""

from __future__ import annotations

import getpass
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from gateway import config, onlyone, wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa
    from rich.text import Text

    from gateway.config import Settings
    from gateway.store import Store

USAGE: Final = 2
FAILURE: Final = 1
LATER: Final = 3
"""Exit code of an order that is written down and was not answered yet."""
BY_MAX_CHARS: Final = 64
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
BinArgument = Annotated[
    str, typer.Argument(metavar="BIN", help="The bin, such as B-7K2QM.", show_default=False)
]
ByOption = Annotated[
    str | None,
    typer.Option(help="Who does it, for the log. [default: your login name]", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]


def fail(text: str, code: int = FAILURE) -> NoReturn:
    """Print the reason and end with the code: 2 for wrong usage or settings, 1 for a failure."""
    typer.echo(f"boxback: {text}", err=True)
    raise typer.Exit(code)


def start_hint(settings: Settings, path: Path | None) -> str:
    """Say that no gateway runs, and how to start one; "" when one runs."""
    if onlyone.held(settings.gateway_dir / "serve.lock"):
        return ""
    which = "" if path is None else f" -c {path}"
    return f"no gateway runs on {settings.gateway_dir}: boxback run{which} starts one"


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


def bin_or_exit(bin_id: str) -> None:
    """End the command unless the text has the form of a bin id."""
    if not wire.is_bin_id(bin_id):
        fail(f"{bin_id!r} is no bin id such as B-7K2QM", USAGE)


def unknown_bin(settings: Settings, bin_id: str, path: Path | None) -> NoReturn:
    """End the command: there is no such bin in this fleet."""
    fail(
        f"no bin {bin_id} in {settings.database_path.parent}: "
        f"boxback fleet list shows those there are{elsewhere(path)}"
    )


def by_or_exit(by: str | None) -> str:
    """Give the name for the log: the one given, or who is logged in."""
    if by is None:
        try:
            return getpass.getuser()[:BY_MAX_CHARS]
        except (KeyError, OSError):  # a container may have a number for a user, and no name
            return f"uid-{os.getuid()}"
    if not 1 <= len(by) <= BY_MAX_CHARS or not by.isprintable():
        fail(f"--by {by!r}: must be 1 to {BY_MAX_CHARS} printable characters", USAGE)
    return by


def plain(text: str) -> str:
    """Give the text without anything that steers a terminal."""
    return cell(text).plain


def now_ms() -> int:
    """Unix ms, as in the store's tables; from here it does not import the store."""
    return time.time_ns() // 1_000_000


def ago(at_ms: int | None) -> str:
    """`12 s ago`, `3 min ago` …"""
    if at_ms is None:
        return "never"
    return f"{span(max(0, int(time.time()) - at_ms // 1000))} ago"


def span(seconds: int) -> str:
    """`12 s`, `3 min`, `5 h`, `2 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def when(at_ms: int) -> str:
    """Say a time of day in UTC as it stands in logs: `2026-11-24 05:47:09Z`."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at_ms // 1000))


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

"""`boxback fleet set`: the settings that one bin or many are to work with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from gateway.clihelp import (
    FAILURE,
    USAGE,
    ByOption,
    ConfigOption,
    JsonOption,
    bin_or_exit,
    by_or_exit,
    elsewhere,
    fail,
    now_ms,
    plain,
    reading_or_exit,
    settings_or_exit,
    start_hint,
    store_or_exit,
    unknown_bin,
)
from gateway.fleet.asking import WaitOption, later, say, there_hint, wait_for
from gateway.fleet.orderform import (
    Change,
    Edit,
    OrderError,
    check_name,
    document_of,
    value_of,
)
from gateway.fleet.show import wanted_document

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.store import Store
    from gateway.store.wanted import Wanted

FILE_MAX_BYTES: Final = 65_536
CHUNK_BINS: Final = 200
"""Bins that one transaction writes: the intake must not wait long for the lock."""
SENT_TEXT: Final = "sent; the bin starts anew with them when nobody is at it, and answers then"
SHOWN_MAX: Final = 20
"""Bins that are told of one by one."""


class Given(NamedTuple):
    """What became of one change: the version, None when nothing was to be changed."""

    change: Change
    wanted: Wanted | None


def set_(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BIN] [NAME=VALUE]...",
            help="The bin, then what to change.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="JSON file that holds all changes to the bin's own defaults."),
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Back to the bin's own default.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="All back to the defaults.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every bin of the fleet.")] = False,
    station: Annotated[
        str | None, typer.Option(help="Every bin of this station, such as S-DEMO.")
    ] = None,
    wait_s: WaitOption = 20,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings of a bin, show old → new, and wait for its answer.

    The bin decides: it takes all of them or refuses all of them and says why. It starts anew with
    them when nobody is at it; if it then does not reach the gateway, it goes back by itself.

    Examples:
    boxback fleet set B-7K2QM mass_min_mg=30000 label_policy=optional

    boxback fleet set --station S-DEMO --reset mass_min_mg

    Ends with 0 when they are in force, 1 when a bin refused them or went back, 3 when one has not
    answered yet: the settings wait, for as long as it takes.
    """
    bin_id, edit = _edit_or_exit(words or [], file, reset or [], clear=clear)
    if sum([bin_id is not None, every, station is not None]) != 1:
        fail("name one bin, or give --all, or --station S", USAGE)
    name = by_or_exit(by)
    settings = settings_or_exit(config)
    bins = _bins_or_exit(settings, bin_id, station, config)
    with store_or_exit(settings) as store:
        changes, slips = _write(store, bins, edit, name)
        if not changes:
            fail(f"{slips[0]}{elsewhere(config)}", USAGE)
        if not as_json:
            _tell_changes(changes)
        hint = start_hint(settings, config)
        if bin_id is not None and changes[0].version and wait_s and not hint:
            away = there_hint(store, bin_id)
            if away:
                say(f"{away}: the settings wait for it")
        found = wait_for(lambda: _look(store, changes), _state, 0 if hint else wait_s, SENT_TEXT)
    _end(found, slips, hint, as_json=as_json)


def _edit_or_exit(
    words: list[str], file: Path | None, reset: list[str], *, clear: bool
) -> tuple[str | None, Edit]:
    """Read the words of the command line; end it when they do not make an edit."""
    bin_id = words[0] if words and "=" not in words[0] else None
    if bin_id is not None:
        bin_or_exit(bin_id)
    try:
        put = dict(value_of(word) for word in words[1 if bin_id else 0 :])
        for setting in reset:
            check_name(setting)
        if file is not None:
            if put or reset or clear:
                fail("--file gives all settings: not with name=value, --reset or --clear", USAGE)
            return bin_id, Edit(clear=True, put=document_of(_text_or_exit(file), str(file)))
    except OrderError as error:
        fail(str(error), USAGE)
    if not (put or reset or clear):
        fail("nothing to set: give name=value, --file, --reset or --clear (see --help)", USAGE)
    return bin_id, Edit(clear, tuple(reset), put)


def _text_or_exit(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            fail(f"--file {path}: is larger than {FILE_MAX_BYTES} bytes: is this the file?", USAGE)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"--file {path}: cannot be read: {error.strerror}", USAGE)
    except UnicodeDecodeError:
        fail(f"--file {path}: is not UTF-8 text", USAGE)


def _bins_or_exit(
    settings: Settings, bin_id: str | None, station: str | None, config: Path | None
) -> list[str]:
    from gateway.store import fleet  # noqa: PLC0415

    with reading_or_exit(settings) as connection:
        if bin_id is not None:
            one = fleet.find_bin(connection, bin_id) if connection else None
            every = [] if one is None else [one]
        else:
            every = fleet.all_bins(connection) if connection else []
    if bin_id is not None and not every:
        unknown_bin(settings, bin_id, config)
    found = [row.bin for row in every if station is None or row.station == station]
    if not found:
        where = f"at {station}" if station is not None else f"in {settings.database_path.parent}"
        fail(f"no bins {where}: boxback fleet list shows those there are{elsewhere(config)}")
    return found


def _write(store: Store, bins: list[str], edit: Edit, by: str) -> tuple[list[Change], list[str]]:
    """Write what is wanted of each; also why some cannot be told, which does not hold up others."""
    from gateway.fleet.orders import want  # noqa: PLC0415

    changes: list[Change] = []
    slips: list[str] = []
    for at in range(0, len(bins), CHUNK_BINS):
        with store.writing() as connection:
            for bin_id in bins[at : at + CHUNK_BINS]:
                try:
                    changes.append(want(connection, bin_id, edit, by=by, at_ms=now_ms()))
                except OrderError as error:  # before it wrote anything
                    slips.append(str(error))
    return changes, slips


def _tell_changes(changes: list[Change]) -> None:
    for change in changes[:SHOWN_MAX]:
        if not change.version:
            typer.echo(f"{change.bin}: nothing to change, these settings are wanted already")
            continue
        typer.echo(f"{change.bin}: version {change.version}")
        for line in change.lines() or ["all at the bin's own defaults"]:
            typer.echo(f"  {line}")
    if len(changes) > SHOWN_MAX:
        typer.echo(f"… and {len(changes) - SHOWN_MAX} more bins")


def _look(store: Store, changes: list[Change]) -> list[Given]:
    from gateway.store import wanted  # noqa: PLC0415

    with store.reading() as connection:
        return [
            Given(
                change,
                wanted.find(connection, change.bin, change.version)
                if change.version
                else wanted.newest(connection, change.bin),
            )
            for change in changes
        ]


def _state(found: list[Given]) -> str:
    """One word for many: what is furthest from its end."""
    states = {given.wanted.state for given in found if given.wanted is not None}
    return next((word for word in ("waiting", "sent") if word in states), "answered")


def _end(found: list[Given], slips: list[str], hint: str, *, as_json: bool) -> None:
    groups: dict[str, list[Wanted]] = {}
    for given in found:
        if given.wanted is not None:
            groups.setdefault(given.wanted.state, []).append(given.wanted)
    failed = [*groups.get("refused", []), *groups.get("rolled_back", [])]
    waiting = [*groups.get("waiting", []), *groups.get("sent", [])]
    if as_json:
        rows = [
            {
                **given.change._asdict(),
                "wanted": wanted_document(given.wanted) if given.wanted else None,
            }
            for given in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif len(found) == 1 and "in_force" in groups:
        typer.echo(f"{found[0].change.bin}: in force")
    elif len(found) > 1:
        counts = [f"{len(rows)} {state.replace('_', ' ')}" for state, rows in groups.items()]
        typer.echo(", ".join(counts))
    for row in failed[:SHOWN_MAX]:
        why = plain(row.why) or "it gave no reason"
        say(f"boxback: {row.bin}: settings {row.version} {row.state.replace('_', ' ')}: {why}")
    for slip in slips[:SHOWN_MAX]:
        say(f"boxback: not told: {slip}")
    if failed or slips:
        raise typer.Exit(FAILURE)
    if waiting:
        raise later(f"{hint or 'no answer yet'}; the settings wait until the bin takes them")

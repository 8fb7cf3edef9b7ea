"""The form of orders as people write them: settings, their values, what a command takes.

    OrderError      the order cannot be given; the text says which value is wrong and what to do

What a setting means and how far it may go is the bin's matter (the gateway does not know the
firmware): here only the form is checked, and the bin says whether it takes it. Pure, and quick to
import for the command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway import wire

SECONDS_DO: Final = ("open", "identify")
"""Commands that take a time."""
SECONDS_DEFAULT: Final = 30
SECONDS_MAX: Final = 300
WITHIN_MAX_S: Final = 7 * 86_400
NUMBER_MAX: Final = 2**31 - 1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)

Document = dict[str, int | str]
"""Changes to a bin's own defaults: a setting's name to an integer or a word."""


class OrderError(Exception):
    """The order cannot be given; the text says which value is wrong and what to do."""


class Change(NamedTuple):
    """What one `want` came to. `version` 0: nothing changed, nothing was written."""

    bin: str
    version: int
    before: Document
    after: Document

    def lines(self) -> list[str]:
        """Say each difference as `name  old → new`; a setting that is not changed has `default`."""
        return [
            f"{name}  {self.before.get(name, 'default')} → {self.after.get(name, 'default')}"
            for name in sorted({*self.before, *self.after})
            if self.before.get(name) != self.after.get(name)
        ]


class Edit(NamedTuple):
    """How a document is to change: first emptied, then names taken out, then values put in."""

    clear: bool = False
    reset: tuple[str, ...] = ()
    put: Mapping[str, int | str] = {}


def value_of(text: str) -> tuple[str, int | str]:
    """Read `name=value`. Raises OrderError."""
    name, equals, value = text.partition("=")
    if not equals:
        msg = f"{text!r}: must be name=value, such as mass_min_mg=30000"
        raise OrderError(msg)
    check_name(name)
    found: int | str = int(value) if _INTEGER.fullmatch(value) else value
    return name, check_value(name, found)


def check_name(name: str) -> str:
    """Give the name. Raises OrderError when no setting can be called so."""
    if not _NAME.fullmatch(name):
        msg = f"{name!r}: a setting's name is a-z, 0-9 and _, at most 32, such as mass_min_mg"
        raise OrderError(msg)
    return name


def check_value(name: str, value: object) -> int | str:
    """Give the value. Raises OrderError when no setting can have it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX:
        return value
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    msg = f"{name} = {value!r}: must be an integer to ±{NUMBER_MAX}, or a word or host name"
    raise OrderError(msg)


def document_of(text: str, where: str) -> Document:
    """Read a document from JSON; `where` names it. Raises OrderError."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: is not JSON: {error}"
        raise OrderError(msg) from error
    if not isinstance(found, dict):
        msg = f'{where}: must be an object of settings, such as {{"mass_min_mg": 30000}}'
        raise OrderError(msg)
    return {check_name(name): check_value(name, value) for name, value in found.items()}


def args_of(do: str, seconds: int | None) -> dict[str, int]:
    """Give the arguments of a command. Raises OrderError."""
    if do not in wire.DO:
        msg = f"{do!r}: a bin can do {', '.join(wire.DO)}"
        raise OrderError(msg)
    if do not in SECONDS_DO:
        if seconds is not None:
            msg = f"--seconds {seconds}: only {' and '.join(SECONDS_DO)} take a time, not {do}"
            raise OrderError(msg)
        return {}
    seconds = SECONDS_DEFAULT if seconds is None else seconds
    if not 1 <= seconds <= SECONDS_MAX:
        msg = f"--seconds {seconds}: must be 1 to {SECONDS_MAX}"
        raise OrderError(msg)
    return {"s": seconds}
